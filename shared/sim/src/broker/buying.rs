//! Buying power: what orders tie up, and what is left (TRADIER.md sections 6 and 17.5).
//!
//! Options must be paid, shares half of them in a margin account. Cash, half of what long shares are worth, less what
//! options require, less half as much again as short shares would cost, less what working orders tie up, may be spent
//! on options; twice that on shares. Cash accounts borrow nothing and do not spend what has not settled.

use domain::account::AccountType;
use domain::money::{Price, Usd};
use domain::symbol::{OccSymbol, Right};

use super::Sandbox;
use super::account::{Account, Value};
use super::ask::{Ask, AskLeg};
use super::check::LEVEL_NAKED;
use super::instrument::Instrument;
use super::margin::requirement;
use super::order::{LegSide, Order};

/// What the short legs of an order require.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Width {
    /// How much.
    pub(super) amount: Usd,
    /// Whether positions cover them, not the order's own legs.
    pub(super) leans: bool,
    /// Whether among these positions are options.
    pub(super) by_options: bool,
}

impl Sandbox {
    /// What the short legs of `ask` require: the order's own width, else what positions would require more with it.
    /// `None` when a loss has no bound.
    pub(super) fn width(&self, account: &Account, ask: &Ask) -> Option<Width> {
        let naked = |series: &OccSymbol| self.naked_per_share(account, series);
        if !ask.shorts_options() {
            return Some(Width { amount: Usd::ZERO, leans: false, by_options: false });
        }
        let alone = requirement(ask.openings(), &naked);
        let puts_alone =
            || ask.openings().all(|(it, _)| it.series().is_some_and(|it| it.right == Right::Put));
        let secured = ask.class.single() && puts_alone();
        if let (Some(amount), false) = (alone, secured) {
            return Some(Width { amount, leans: false, by_options: false });
        }
        let held = || self.free_holdings(account);
        let after = requirement(held().chain(ask.changes()), &naked);
        let before = requirement(held(), &naked);
        let relying = after.zip(before).map(|(after, before)| (after - before).max(Usd::ZERO));
        match (alone, relying) {
            // A put is secured by cash, or cheaper by a put that is held.
            (Some(alone), Some(more)) if more < alone => {
                Some(Width { amount: more, leans: true, by_options: true })
            }
            (Some(amount), _) => Some(Width { amount, leans: false, by_options: false }),
            (None, Some(amount)) => {
                let shares = held().filter(|(it, _)| it.is_share());
                let by_options = requirement(shares.chain(ask.changes()), &naked).is_none();
                Some(Width { amount, leans: true, by_options })
            }
            (None, None) => None,
        }
    }

    /// Holdings less what working orders already sell of them.
    fn free_holdings<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = (Instrument, i64)> + 'a {
        let free = account.holdings().map(|(instrument, it)| {
            let side = if instrument.is_share() { LegSide::Sell } else { LegSide::SellToClose };
            let sold = if it.quantity > 0 { account.claimed(&instrument, side) } else { 0 };
            (instrument, it.quantity.saturating_sub(sold.min(it.quantity.max(0))))
        });
        free.chain(self.leaning_legs(account))
    }

    /// What working orders will sell that rely on what is held.
    pub(super) fn leaning_legs<'a>(
        &'a self,
        account: &'a Account,
    ) -> impl Iterator<Item = (Instrument, i64)> + 'a {
        let orders = account.leaning.iter().filter_map(|id| self.orders.get(id));
        orders
            .flat_map(|order| &order.legs)
            .map(|leg| (leg.instrument, i64::from(leg.remaining()).saturating_mul(leg.side.side().sign())))
    }

    /// What a short option without cover requires per share: a fifth of the underlying (a broad index 15 %) less what it
    /// is out of the money, at least a tenth, and its worth.
    pub(super) fn naked_per_share(&self, account: &Account, series: &OccSymbol) -> Option<Usd> {
        if !self.rules.practice.naked_shorts || account.option_level < LEVEL_NAKED {
            return None;
        }
        let spot = self.book.last(&series.underlying())?;
        let strike = Usd::from_e4(i64::from(series.strike.0).saturating_mul(10));
        let out = match series.right {
            Right::Call => strike - spot,
            Right::Put => spot - strike,
        };
        let share = if series.underlying().is_index() { 15 } else { 20 };
        let floor = match series.right {
            Right::Call => spot.scaled(10, 100),
            Right::Put => strike.scaled(10, 100),
        };
        let most = spot.scaled(share, 100) - out.max(Usd::ZERO);
        Some(most.max(floor) + self.book.mark(&Instrument::Option(*series)))
    }

    /// What an account's options require, `None` when a loss has no bound.
    pub(super) fn option_requirement(&self, account: &Account) -> Option<Usd> {
        let naked = |series: &OccSymbol| self.naked_per_share(account, series);
        requirement(account.holdings().map(|(instrument, it)| (instrument, it.quantity)), &naked)
    }

    /// What an order ties up: premium, charges, width of its short legs, half of its shares; `None` when its loss has no
    /// bound. A closing order ties up what it pays beyond the requirement that ends with it.
    pub(super) fn needs(&self, account: &Account, ask: &Ask) -> Option<Usd> {
        let paid = self.premium(ask) + self.loan(account, ask);
        if !ask.opens() {
            return Some((paid - self.released(account, ask)).max(Usd::ZERO));
        }
        let width = self.width(account, ask)?;
        Some(width.amount + paid.max(Usd::ZERO) + self.charges(ask))
    }

    /// The requirement that ends with a closing order.
    fn released(&self, account: &Account, ask: &Ask) -> Usd {
        if !ask.legs.iter().any(|leg| leg.side == LegSide::BuyToClose) {
            return Usd::ZERO;
        }
        let naked = |series: &OccSymbol| self.naked_per_share(account, series);
        let held = || account.holdings().map(|(instrument, it)| (instrument, it.quantity));
        let after = requirement(held().chain(ask.changes()), &naked);
        requirement(held(), &naked).zip(after).map_or(Usd::ZERO, |(before, after)| before - after)
    }

    /// What an order would pay at its limit or, without one, at the touch; below zero when it receives.
    pub(super) fn premium(&self, ask: &Ask) -> Usd {
        ask.limit_value().unwrap_or_else(|| ask.legs.iter().map(|leg| self.touch_value(leg)).sum())
    }

    fn touch_value(&self, leg: &AskLeg) -> Usd {
        let far = self.book.touch(&leg.instrument).and_then(|it| it.far(leg.side.side()).0);
        let price = far.unwrap_or(Price::ZERO);
        leg.instrument.notional(price, leg.quantity).times(leg.side.side().sign())
    }

    /// How shares change what may be borrowed in a margin account, as cash that is needed: half of what is bought less,
    /// half as much again as is sold short more.
    fn loan(&self, account: &Account, ask: &Ask) -> Usd {
        if account.kind == AccountType::Cash {
            return Usd::ZERO;
        }
        let single = if ask.class.single() { ask.limit_value().map(Usd::abs) } else { None };
        let of = |leg: &AskLeg| {
            let worth = single.unwrap_or_else(|| self.touch_value(leg).abs());
            match leg.side {
                LegSide::Buy => -worth.scaled(1, 2),
                LegSide::Sell => worth.scaled(1, 2),
                LegSide::SellShort => worth.scaled(3, 2),
                LegSide::BuyToCover => -worth.scaled(3, 2),
                LegSide::BuyToOpen | LegSide::BuyToClose | LegSide::SellToOpen | LegSide::SellToClose => {
                    Usd::ZERO
                }
            }
        };
        ask.legs.iter().map(of).sum()
    }

    /// Commission and fees; options alone have any.
    pub(super) fn charges(&self, ask: &Ask) -> Usd {
        let price = ask.terms.price.unwrap_or(Price::from_cents(100));
        ask.legs.iter().map(|leg| self.charge(&leg.instrument, price, leg.quantity)).sum()
    }

    /// Commission and fees of an execution.
    pub(super) fn charge(&self, instrument: &Instrument, price: Price, quantity: u32) -> Usd {
        instrument.series().map_or(Usd::ZERO, |it| self.rules.fees.charge(&it.root, price, quantity))
    }

    /// What may still be spent on options.
    pub(super) fn buying_power(&self, account: &Account) -> Usd {
        let value = if account.shares.is_empty() { Value::default() } else { account.value(&self.book) };
        self.buying_power_at(account, &value)
    }

    /// What may still be spent on options when positions are worth `value`.
    pub(super) fn buying_power_at(&self, account: &Account, value: &Value) -> Usd {
        let required = match self.rules.practice.naked_shorts {
            // What a short without cover requires moves with the market.
            true => self.option_requirement(account).unwrap_or(account.required),
            false => account.required,
        };
        let free = account.cash - required - account.tied;
        match account.kind {
            AccountType::Cash => free - account.unsettled,
            AccountType::Margin | AccountType::Pdt => {
                free + value.long_shares.scaled(1, 2) + value.short_shares.scaled(3, 2)
            }
        }
    }

    /// What shares require in a margin account: half of the long ones, half as much again as the short ones.
    pub(super) fn share_requirement(account: &Account, value: &Value) -> Usd {
        match account.kind {
            AccountType::Cash => Usd::ZERO,
            AccountType::Margin | AccountType::Pdt => {
                value.long_shares.scaled(1, 2) + value.short_shares.abs().scaled(3, 2)
            }
        }
    }

    /// Whether a working order may carry other terms.
    pub(super) fn can_afford(&self, order: &Order, ask: &Ask) -> bool {
        let Some(account) = self.accounts.get(&order.account) else { return false };
        if order.leans {
            // It sells: another price changes what it receives, not what it requires.
            return true;
        }
        match self.needs(account, ask) {
            Some(then) => then <= order.tied || then - order.tied <= self.buying_power(account),
            None => false,
        }
    }

    /// Lets an order's claims and ties follow what is left of it.
    pub(super) fn settle_claims(&mut self, id: u64, working: bool) {
        let Some(order) = self.orders.get(&id) else { return };
        let counted = working && order.claims;
        let rest = Ask::rest_of(order);
        let (leans, before, account) = (order.leans, order.tied, order.account.clone());
        if let Some(owner) = self.accounts.get_mut(&account) {
            // What it needs is asked without itself.
            owner.leaning.remove(&id);
        }
        let Some(owner) = self.accounts.get(&account) else { return };
        let tied = if counted { self.needs(owner, &rest).unwrap_or(before) } else { Usd::ZERO };
        if let Some(order) = self.orders.get_mut(&id) {
            order.tied = tied;
        }
        let Some(owner) = self.accounts.get_mut(&account) else { return };
        owner.tied = owner.tied - before + tied;
        if working && leans {
            owner.leaning.insert(id);
        }
    }

    /// Counts `by` more contracts of a leg as claimed; none left are forgotten.
    pub(super) fn claim(account: &mut Account, leg: (Instrument, LegSide), by: i64) {
        let claimed = account.claims.entry(leg).or_default();
        *claimed = claimed.saturating_add(by);
        if *claimed == 0 {
            account.claims.remove(&leg);
        }
    }
}
