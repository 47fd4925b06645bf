//! Accounts: cash, positions, and what working orders claim of them.

use std::collections::{BTreeMap, BTreeSet};

use domain::account::AccountType;
use domain::ids::AccountNumber;
use domain::money::{Price, Side, Usd};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::book::Book;
use super::config::AccountConfig;
use super::day_trades::DayTrades;
use super::instrument::{Instrument, per_share};
use super::order::LegSide;
use super::reports::Reports;

/// Contracts of one series, or shares of one company, in one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The broker's number of the row.
    pub id: u64,
    /// Contracts or shares, below zero when short.
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
    /// The options it holds, by series.
    pub positions: BTreeMap<OccSymbol, Position>,
    /// The shares it holds.
    #[serde(default)]
    pub shares: BTreeMap<Underlying, Position>,
    /// Gain of today's closes without charges.
    pub realized: Usd,
    /// Proceeds of today's sales: a cash account may not spend them before tomorrow.
    pub unsettled: Usd,
    /// Closes of what was opened the same day, and what follows from them.
    #[serde(default)]
    pub day_trades: DayTrades,
    /// Its working orders, those of brackets too.
    pub live: BTreeSet<u64>,
    /// Working orders that are not part of a bracket: what the broker counts.
    #[serde(default)]
    pub working: usize,
    /// Money that working orders tie up.
    #[serde(default)]
    pub tied: Usd,
    /// What its options require.
    #[serde(default)]
    pub required: Usd,
    /// What it was worth when the session began.
    #[serde(default)]
    pub equity_at_open: Usd,
    /// Gain and loss and history.
    #[serde(default)]
    pub reports: Reports,
    /// All its orders; rebuilt from the orders.
    #[serde(skip)]
    pub(super) orders: BTreeSet<u64>,
    /// What working orders are still to trade, by instrument and side; rebuilt from the orders.
    #[serde(skip)]
    pub(super) claims: BTreeMap<(Instrument, LegSide), i64>,
    /// Working orders whose short legs rely on what is held; rebuilt from the orders.
    #[serde(skip)]
    pub(super) leaning: BTreeSet<u64>,
    /// Working orders that sell; rebuilt from the orders.
    #[serde(skip)]
    pub(super) selling: BTreeSet<u64>,
}

/// What an execution did to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Gain of what it closed, without charges.
    pub realized: Usd,
    /// What it closed.
    pub closed: Option<Closed>,
}

/// A position or a part of one that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// When it was opened.
    pub opened: UtcNanos,
    /// Contracts or shares, below zero for a short position.
    pub quantity: i64,
    /// What was paid, to open it or, when short, to close it.
    pub cost: Usd,
    /// What was received.
    pub proceeds: Usd,
}

impl Account {
    /// An account as it begins.
    pub(super) fn opening(it: &AccountConfig) -> Self {
        let number: &AccountNumber = &it.number;
        Self {
            number: number.as_str().to_owned(),
            kind: it.kind,
            option_level: it.option_level,
            cash: it.cash,
            positions: BTreeMap::new(),
            shares: BTreeMap::new(),
            realized: Usd::ZERO,
            unsettled: Usd::ZERO,
            day_trades: DayTrades::default(),
            live: BTreeSet::new(),
            working: 0,
            tied: Usd::ZERO,
            required: Usd::ZERO,
            equity_at_open: it.cash,
            reports: Reports::default(),
            orders: BTreeSet::new(),
            claims: BTreeMap::new(),
            leaning: BTreeSet::new(),
            selling: BTreeSet::new(),
        }
    }

    /// Moves a position and cash. `next_id` names a row that appears.
    pub fn apply(
        &mut self,
        instrument: Instrument,
        side: Side,
        quantity: u32,
        price: Price,
        at: UtcNanos,
        next_id: &mut u64,
    ) -> Applied {
        let notional = instrument.notional(price, quantity);
        self.cash -= notional.times(side.sign());
        if side == Side::Sell {
            self.unsettled += notional;
        }
        let change = i64::from(quantity).saturating_mul(side.sign());
        let each = per_share(price).times(instrument.multiplier());
        self.move_position(instrument, change, each, at, next_id)
    }

    /// Moves a position by `change` at `each` per contract or share, without cash.
    pub(super) fn move_position(
        &mut self,
        instrument: Instrument,
        change: i64,
        each: Usd,
        at: UtcNanos,
        next_id: &mut u64,
    ) -> Applied {
        let held = self.position(&instrument).copied();
        let (before, cost) = held.map_or((0, Usd::ZERO), |it| (it.quantity, it.cost));
        let closing = if before.signum() == -change.signum() { before.abs().min(change.abs()) } else { 0 };
        let opening = change.abs().saturating_sub(closing);
        let gone = cost.scaled(closing, before.abs());
        let closed_at = each.times(closing).times(change.signum());
        let realized = if closing > 0 { -(closed_at + gone) } else { Usd::ZERO };
        let left = before.saturating_add(change);
        if left == 0 {
            self.remove(&instrument);
        } else {
            let fresh = held.filter(|it| it.quantity.signum() == left.signum());
            let (id, acquired) = fresh.map_or_else(|| (take(next_id), at), |it| (it.id, it.acquired));
            let cost = cost - gone + each.times(opening).times(change.signum());
            self.insert(instrument, Position { id, quantity: left, cost, acquired });
        }
        self.realized += realized;
        let closed = held.filter(|_| closing > 0).map(|it| {
            let (cost, proceeds) = if it.quantity > 0 { (gone, -closed_at) } else { (closed_at, -gone) };
            Closed { opened: it.acquired, quantity: closing.saturating_mul(before.signum()), cost, proceeds }
        });
        Applied { realized, closed }
    }

    /// The row of an instrument.
    pub fn position(&self, instrument: &Instrument) -> Option<&Position> {
        match instrument {
            Instrument::Option(series) => self.positions.get(series),
            Instrument::Share(share) => self.shares.get(share),
        }
    }

    fn insert(&mut self, instrument: Instrument, row: Position) {
        match instrument {
            Instrument::Option(series) => self.positions.insert(series, row),
            Instrument::Share(share) => self.shares.insert(share, row),
        };
    }

    pub(super) fn remove(&mut self, instrument: &Instrument) -> Option<Position> {
        match instrument {
            Instrument::Option(series) => self.positions.remove(series),
            Instrument::Share(share) => self.shares.remove(share),
        }
    }

    /// Everything it holds, options first.
    pub fn holdings(&self) -> impl Iterator<Item = (Instrument, &Position)> {
        let options = self.positions.iter().map(|(series, it)| (Instrument::Option(*series), it));
        options.chain(self.shares.iter().map(|(share, it)| (Instrument::Share(*share), it)))
    }

    /// Contracts held of `series`, below zero when short.
    pub fn held(&self, series: &OccSymbol) -> i64 {
        self.positions.get(series).map_or(0, |it| it.quantity)
    }

    /// Contracts or shares held, below zero when short.
    pub(super) fn held_of(&self, instrument: &Instrument) -> i64 {
        self.position(instrument).map_or(0, |it| it.quantity)
    }

    /// What working orders of `side` are still to trade of `instrument`.
    pub(super) fn claimed(&self, instrument: &Instrument, side: LegSide) -> i64 {
        self.claims.get(&(*instrument, side)).copied().unwrap_or(0)
    }

    /// Market values.
    pub fn value(&self, book: &Book) -> Value {
        let mut value = Value::default();
        for (instrument, position) in self.holdings() {
            let worth = book.mark(&instrument).times(instrument.multiplier()).times(position.quantity);
            let side = match (instrument.is_share(), position.quantity > 0) {
                (false, true) => &mut value.long_options,
                (false, false) => &mut value.short_options,
                (true, true) => &mut value.long_shares,
                (true, false) => &mut value.short_shares,
            };
            *side += worth;
        }
        value
    }
}

/// What an account's positions are worth; short ones not above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Value {
    /// Options it owns.
    pub long_options: Usd,
    /// Options it owes.
    pub short_options: Usd,
    /// Shares it owns.
    pub long_shares: Usd,
    /// Shares it owes.
    pub short_shares: Usd,
}

impl Value {
    /// All of it.
    pub fn net(&self) -> Usd {
        self.long() + self.short()
    }

    /// What it owns.
    pub fn long(&self) -> Usd {
        self.long_options + self.long_shares
    }

    /// What it owes.
    pub fn short(&self) -> Usd {
        self.short_options + self.short_shares
    }
}

fn take(next: &mut u64) -> u64 {
    let id = *next;
    *next = next.saturating_add(1);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account::opening(&AccountConfig {
            number: "VA00000001".parse().unwrap(),
            kind: AccountType::Margin,
            option_level: 6,
            cash: Usd::from_dollars(10_000),
        })
    }

    #[test]
    fn closing_in_parts_realizes_the_average_cost() {
        let mut account = account();
        let series = Instrument::Option("SPXW261120C05610000".parse().unwrap());
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

    #[test]
    fn a_short_position_costs_what_it_is_bought_back_for() {
        let mut account = account();
        let share = Instrument::Share(Underlying::SPY);
        let mut id = 1;
        account.apply(share, Side::Sell, 10, Price::from_cents(56_100), UtcNanos(5), &mut id);
        assert_eq!(account.shares[&Underlying::SPY].cost, Usd::from_dollars(-5_610));
        let done = account.apply(share, Side::Buy, 4, Price::from_cents(56_000), UtcNanos(9), &mut id);
        let closed = done.closed.unwrap();
        assert_eq!((closed.quantity, closed.opened), (-4, UtcNanos(5)));
        assert_eq!((closed.cost, closed.proceeds), (Usd::from_dollars(2_240), Usd::from_dollars(2_244)));
        assert_eq!(done.realized, Usd::from_dollars(4));
    }
}
