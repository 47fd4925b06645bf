//! Accounts: cash, positions and what short legs require.

use std::collections::{BTreeMap, BTreeSet};

use domain::account::AccountType;
use domain::money::{CONTRACT_MULTIPLIER, Price, Side, Usd};
use domain::symbol::{OccSymbol, Right, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::book::{Book, SeriesState};

/// Contracts of one series in one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The broker's number of the row.
    pub id: u64,
    /// Contracts, below zero when short.
    pub quantity: i64,
    /// What they cost without charges, below zero when short.
    pub cost: Usd,
    /// When the row appeared.
    pub acquired: UtcNanos,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its number.
    pub number: String,
    /// Margin, pattern day trader or cash.
    pub kind: AccountType,
    /// What options it may trade.
    pub option_level: u8,
    /// Dollars, charges taken.
    pub cash: Usd,
    /// What it holds, by series.
    pub positions: BTreeMap<OccSymbol, Position>,
    /// Gain of today's closes without charges.
    pub realized: Usd,
    /// Proceeds of today's sales: a cash account may not spend them before tomorrow.
    pub unsettled: Usd,
    /// Closes today of what was opened today.
    pub day_trades: u32,
    /// Its working orders.
    pub live: BTreeSet<u64>,
}

/// What an execution did to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Gain of what it closed, without charges.
    pub realized: Usd,
    /// Whether it closed something acquired the same New York day.
    pub day_trade: bool,
}

impl Account {
    /// Moves contracts and cash. `next_id` names a row that appears.
    pub fn apply(
        &mut self,
        series: OccSymbol,
        side: Side,
        contracts: u32,
        price: Price,
        at: UtcNanos,
        next_id: &mut u64,
    ) -> Applied {
        let notional = price.notional(contracts);
        self.cash -= notional.times(side.sign());
        if side == Side::Sell {
            self.unsettled += notional;
        }
        let held = self.positions.get(&series).copied();
        let (quantity, cost) = held.map_or((0, Usd::ZERO), |it| (it.quantity, it.cost));
        let change = i64::from(contracts).saturating_mul(side.sign());
        let closing =
            if quantity.signum() == -change.signum() { quantity.abs().min(change.abs()) } else { 0 };
        let opening = change.abs().saturating_sub(closing);
        let sold_cost = cost.scaled(closing, quantity.abs());
        let closed_at = price.notional(u32::try_from(closing).unwrap_or(u32::MAX)).times(side.sign());
        let realized = if closing > 0 { -(closed_at + sold_cost) } else { Usd::ZERO };
        let opened = price.notional(u32::try_from(opening).unwrap_or(u32::MAX)).times(side.sign());
        let left = quantity.saturating_add(change);
        let day_trade =
            closing > 0 && held.is_some_and(|it| it.acquired.new_york_date() == at.new_york_date());
        if left == 0 {
            self.positions.remove(&series);
        } else {
            let fresh = held.filter(|it| it.quantity.signum() == left.signum());
            let (id, acquired) = fresh.map_or_else(|| (take(next_id), at), |it| (it.id, it.acquired));
            let row = Position { id, quantity: left, cost: cost - sold_cost + opened, acquired };
            self.positions.insert(series, row);
        }
        self.realized += realized;
        Applied { realized, day_trade }
    }

    /// Contracts held of `series`, below zero when short.
    pub fn held(&self, series: &OccSymbol) -> i64 {
        self.positions.get(series).map_or(0, |it| it.quantity)
    }

    /// What the short positions require; `None` when a loss has no bound.
    pub fn requirement(&self) -> Option<Usd> {
        requirement(self.positions.iter().map(|(series, it)| (*series, it.quantity)))
    }

    /// Market value of long and of short positions, the latter not above zero.
    pub fn market_value(&self, book: &Book) -> (Usd, Usd) {
        let mut value = (Usd::ZERO, Usd::ZERO);
        for (series, position) in &self.positions {
            let worth = mark(book.series(series)).times(CONTRACT_MULTIPLIER).times(position.quantity);
            if position.quantity > 0 { value.0 += worth } else { value.1 += worth }
        }
        value
    }
}

fn take(next: &mut u64) -> u64 {
    let id = *next;
    *next = next.saturating_add(1);
    id
}

/// Midpoint per share of a two-sided quote, else the bid, else nothing.
fn mark(state: Option<&SeriesState>) -> Usd {
    let Some(quote) = state.and_then(|it| it.quote) else { return Usd::ZERO };
    let cents = |it: Price| i64::from(it.cents());
    match (quote.two_sided(), quote.bid) {
        (Some((bid, ask)), _) => Usd::from_cents(cents(bid).saturating_add(cents(ask))).scaled(1, 2),
        (None, Some(bid)) => Usd::from_cents(cents(bid)),
        (None, None) => Usd::ZERO,
    }
}

/// The largest loss at expiry of `legs` per underlying and expiry, premiums not counted: the full width of a
/// defined-risk spread (TRADIER.md section 17.5). `None` when it has no bound.
pub(super) fn requirement(legs: impl Iterator<Item = (OccSymbol, i64)>) -> Option<Usd> {
    let mut groups: BTreeMap<(Underlying, Date), Vec<(OccSymbol, i64)>> = BTreeMap::new();
    for (series, quantity) in legs {
        groups.entry((series.underlying(), series.expiry)).or_default().push((series, quantity));
    }
    let mut total = Usd::ZERO;
    for group in groups.values() {
        if group.iter().all(|(_, quantity)| *quantity >= 0) {
            continue;
        }
        if !covered(group) {
            return None;
        }
        let spots = std::iter::once(0).chain(group.iter().map(|(series, _)| i64::from(series.strike.0)));
        let worst = spots.map(|spot| payoff(group, spot)).min().unwrap_or(0);
        // Strikes are in thousandths of a dollar: ten to the unit of Usd.
        total += Usd::from_e4(worst.min(0).saturating_neg().saturating_mul(10)).times(CONTRACT_MULTIPLIER);
    }
    Some(total)
}

/// Worth at `spot` per share of the underlying, in thousandths of a dollar.
fn payoff(group: &[(OccSymbol, i64)], spot: i64) -> i64 {
    let one = |(series, quantity): &(OccSymbol, i64)| {
        let above = spot.saturating_sub(i64::from(series.strike.0));
        let worth = match series.right {
            Right::Call => above.max(0),
            Right::Put => above.saturating_neg().max(0),
        };
        worth.saturating_mul(*quantity)
    };
    group.iter().map(one).fold(0, i64::saturating_add)
}

/// Whether every short contract has a long one of the same right beside it.
pub(super) fn covered(group: &[(OccSymbol, i64)]) -> bool {
    [Right::Call, Right::Put].into_iter().all(|right| {
        let net = group.iter().filter(|(series, _)| series.right == right).map(|(_, quantity)| *quantity);
        net.fold(0, i64::saturating_add) >= 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legs(list: &[(&str, i64)]) -> Vec<(OccSymbol, i64)> {
        list.iter().map(|(series, quantity)| (series.parse().unwrap(), *quantity)).collect()
    }

    #[test]
    fn a_vertical_requires_its_full_width_and_a_condor_one_side() {
        let vertical = legs(&[("SPXW261120P05600000", -2), ("SPXW261120P05595000", 2)]);
        assert_eq!(requirement(vertical.clone().into_iter()), Some(Usd::from_dollars(1_000)));
        let condor = [vertical, legs(&[("SPXW261120C05700000", -2), ("SPXW261120C05705000", 2)])].concat();
        assert_eq!(requirement(condor.into_iter()), Some(Usd::from_dollars(1_000)));
    }

    #[test]
    fn a_short_without_a_long_of_its_right_has_no_bound() {
        let naked = legs(&[("SPXW261120C05700000", -1), ("SPXW261120P05600000", 1)]);
        assert_eq!(requirement(naked.into_iter()), None);
        assert_eq!(requirement(legs(&[("SPXW261120C05700000", 3)]).into_iter()), Some(Usd::ZERO));
    }

    #[test]
    fn closing_in_parts_realizes_the_average_cost() {
        let mut account = Account {
            number: "VA1".to_owned(),
            kind: AccountType::Margin,
            option_level: 6,
            cash: Usd::from_dollars(10_000),
            positions: BTreeMap::new(),
            realized: Usd::ZERO,
            unsettled: Usd::ZERO,
            day_trades: 0,
            live: BTreeSet::new(),
        };
        let series = "SPXW261120C05610000".parse().unwrap();
        let mut id = 1;
        let mut trade = |side, n, cents| {
            account.apply(series, side, n, Price::from_cents(cents), UtcNanos(0), &mut id).realized
        };
        assert_eq!(trade(Side::Buy, 1, 200), Usd::ZERO);
        assert_eq!(trade(Side::Buy, 1, 300), Usd::ZERO);
        assert_eq!(trade(Side::Sell, 1, 400), Usd::from_dollars(150));
        assert_eq!(trade(Side::Sell, 1, 100), Usd::from_dollars(-150));
        assert!(account.positions.is_empty());
        assert_eq!(account.cash, Usd::from_dollars(10_000));
    }
}
