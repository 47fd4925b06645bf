//! Orders that hang together at the broker, for longs alone: one triggers others, one cancels the other. And the
//! protection that rests there from the first fill.

use crate::ids::OrderTag;
use crate::intent::{Approved, CloseBound, OpeningIntent};
use crate::money::Price;
use crate::order::{Mark, Ticket};
use crate::symbol::OccSymbol;

/// Sells at `limit` or better once the bid touched `stop`. A plain stop would become a market order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopLimit {
    stop: Price,
    limit: Price,
}

/// Why a bracket's prices do not make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BracketRefused {
    /// The limit is the worst a protection may get.
    #[error("a protection's limit {limit} is not above zero and at most its stop {stop}")]
    Limit {
        /// The stop.
        stop: Price,
        /// The limit.
        limit: Price,
    },
    /// Both would be touched at once.
    #[error("the stop {stop} is not under the entry's price {entry}")]
    StopAtEntry {
        /// The stop.
        stop: Price,
        /// The entry's limit.
        entry: Price,
    },
    /// It would execute at once, at a loss.
    #[error("the target {target} is not above {floor}")]
    Target {
        /// The target.
        target: Price,
        /// What it must be above.
        floor: Price,
    },
}

impl StopLimit {
    /// Sells at `limit` or better once the bid touched `stop`.
    ///
    /// # Errors
    /// [`BracketRefused::Limit`] for a limit of zero or above the stop.
    pub const fn new(stop: Price, limit: Price) -> Result<Self, BracketRefused> {
        if limit.cents() == 0 || limit.cents() > stop.cents() {
            return Err(BracketRefused::Limit { stop, limit });
        }
        Ok(Self { stop, limit })
    }

    /// Where it triggers.
    pub const fn stop(&self) -> Price {
        self.stop
    }

    /// The least it takes.
    pub const fn limit(&self) -> Price {
        self.limit
    }
}

/// What rests at the broker while we hold: sells what is held once the bid touched its stop.
#[derive(Debug)]
pub struct ProtectiveTicket {
    tag: OrderTag,
    series: OccSymbol,
    quantity: u32,
    terms: StopLimit,
}

impl ProtectiveTicket {
    /// Protects what is held.
    pub const fn sell_to_close(
        approved: &Approved<CloseBound>,
        mark: &Mark,
        series: OccSymbol,
        terms: StopLimit,
    ) -> Self {
        Self { tag: mark.tag, series, quantity: approved.get().quantity(), terms }
    }

    /// The tag it carries.
    pub const fn tag(&self) -> OrderTag {
        self.tag
    }

    /// The series.
    pub const fn series(&self) -> OccSymbol {
        self.series
    }

    /// Contracts.
    pub const fn quantity(&self) -> u32 {
        self.quantity
    }

    /// Stop and limit.
    pub const fn terms(&self) -> StopLimit {
        self.terms
    }
}

/// What sells the long again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exits {
    /// At a price above.
    Target(Price),
    /// Under a stop.
    Protection(StopLimit),
    /// Either, whichever comes first.
    Both(Price, StopLimit),
}

/// Orders that hang together. The broker drops their tag (TRADIER.md section 9.1): after a lost answer they are looked
/// up by what they are, not by their tag.
#[derive(Debug)]
pub struct BracketTicket {
    tag: OrderTag,
    entry: Option<Ticket>,
    series: OccSymbol,
    quantity: u32,
    exits: Exits,
}

impl BracketTicket {
    /// An entry that, once filled, places what sells it again: one exit makes an `oto`, two an `otoco`.
    ///
    /// # Errors
    /// [`BracketRefused`] where the exits are on the wrong side of the entry's price.
    pub fn with_entry(
        approved: &Approved<OpeningIntent>,
        mark: &Mark,
        quantity: u32,
        price: Price,
        exits: Exits,
    ) -> Result<Self, BracketRefused> {
        let entry = Ticket::buy_to_open(approved, mark, quantity, price);
        let price = entry.price();
        let (target, stop) = match exits {
            Exits::Target(target) => (Some(target), None),
            Exits::Protection(it) => (None, Some(it.stop)),
            Exits::Both(target, it) => (Some(target), Some(it.stop)),
        };
        if let Some(target) = target.filter(|it| *it <= price) {
            return Err(BracketRefused::Target { target, floor: price });
        }
        if let Some(stop) = stop.filter(|it| *it >= price) {
            return Err(BracketRefused::StopAtEntry { stop, entry: price });
        }
        let (series, quantity) = (entry.series(), entry.quantity());
        Ok(Self { tag: mark.tag, entry: Some(entry), series, quantity, exits })
    }

    /// Two exits of what is held, of which one cancels the other: an `oco`.
    ///
    /// # Errors
    /// [`BracketRefused::Target`] for a target that is not above the stop.
    pub fn of_held(
        approved: &Approved<CloseBound>,
        mark: &Mark,
        series: OccSymbol,
        target: Price,
        protection: StopLimit,
    ) -> Result<Self, BracketRefused> {
        if target <= protection.stop {
            return Err(BracketRefused::Target { target, floor: protection.stop });
        }
        let exits = Exits::Both(target, protection);
        Ok(Self { tag: mark.tag, entry: None, series, quantity: approved.get().quantity(), exits })
    }

    /// The tag it carries, as far as the broker keeps it.
    pub const fn tag(&self) -> OrderTag {
        self.tag
    }

    /// What opens; `None` where the long is held.
    pub const fn entry(&self) -> Option<&Ticket> {
        self.entry.as_ref()
    }

    /// The series.
    pub const fn series(&self) -> OccSymbol {
        self.series
    }

    /// Contracts of each order in it.
    pub const fn quantity(&self) -> u32 {
        self.quantity
    }

    /// What sells.
    pub const fn exits(&self) -> Exits {
        self.exits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protection_never_takes_less_than_nothing_nor_more_than_its_stop() {
        let of = |stop, limit| StopLimit::new(Price::from_cents(stop), Price::from_cents(limit)).is_ok();
        assert!(of(120, 120) && of(120, 5));
        assert!(!of(120, 125) && !of(120, 0));
    }
}
