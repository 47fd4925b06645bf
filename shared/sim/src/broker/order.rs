//! Orders as the broker keeps them.

use domain::money::{CONTRACT_MULTIPLIER, Price, Side, Usd};
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::instrument::Instrument;
pub use super::words::{LegSide, Lifetime, OrderClass, OrderType, Status, Terms};

/// One leg of an order; a single-leg order has one, with the order's own id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Its own order number.
    pub id: u64,
    /// What it trades.
    #[serde(rename = "series")]
    pub instrument: Instrument,
    /// What it does.
    pub side: LegSide,
    /// Contracts or shares ordered.
    pub quantity: u32,
    /// Contracts or shares executed.
    pub executed: u32,
    /// Price per share, summed over the contracts or shares executed.
    pub paid: Usd,
    /// Price of the last execution.
    pub last_price: Price,
    /// Size of the last execution.
    pub last_quantity: u32,
}

impl Leg {
    /// Average price per share; zero before the first execution, as the broker writes it.
    pub fn average(&self) -> Usd {
        self.paid.scaled(1, i64::from(self.executed))
    }

    /// Contracts or shares not executed yet.
    pub const fn remaining(&self) -> u32 {
        self.quantity.saturating_sub(self.executed)
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub id: u64,
    /// The account it belongs to.
    pub account: String,
    /// What it is made of.
    pub class: OrderClass,
    /// How it is priced.
    pub kind: OrderType,
    /// How long it works.
    pub lifetime: Lifetime,
    /// The limit, or the net price's magnitude.
    pub price: Option<Price>,
    /// The stop.
    pub stop: Option<Price>,
    /// At least one leg; a bracket has none but its orders'.
    pub legs: Vec<Leg>,
    /// Whatever its sender called it.
    pub tag: Option<String>,
    /// Whether it came from elsewhere than the API.
    pub foreign: bool,
    /// Where it stands.
    pub status: Status,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// When it was received.
    pub created: UtcNanos,
    /// When it last changed.
    pub changed: UtcNanos,
    /// When it last executed.
    pub executed_at: Option<UtcNanos>,
    /// Not executable before this instant.
    pub ready_at: UtcNanos,
    /// Its place in time priority; a change of price takes a new one.
    pub place: u64,
    /// Whether its stop was reached.
    pub triggered: bool,
    /// The bracket it belongs to.
    #[serde(default)]
    pub parent: Option<u64>,
    /// The orders of a bracket, in order.
    #[serde(default)]
    pub children: Vec<u64>,
    /// Money its working part ties up.
    #[serde(default)]
    pub tied: Usd,
    /// Whether it claims contracts of positions: one of two orders that exclude each other does.
    #[serde(default = "yes")]
    pub claims: bool,
    /// Whether a short leg of it is covered by what the account holds, not by the order itself.
    #[serde(default)]
    pub leans: bool,
    /// Whether a cancel is on its way.
    #[serde(default)]
    pub canceling: bool,
    /// A change that is on its way.
    #[serde(default)]
    pub changing: Option<Terms>,
}

const fn yes() -> bool {
    true
}

impl Order {
    /// Whether it may still execute.
    pub const fn is_live(&self) -> bool {
        !self.status.is_final()
    }

    /// Whether any leg sells.
    pub fn sells(&self) -> bool {
        self.legs.iter().any(|leg| leg.side.side() == Side::Sell)
    }

    /// What its legs are written on.
    pub fn underlying(&self) -> Option<Underlying> {
        self.legs.first().map(|leg| leg.instrument.underlying())
    }

    /// What it stands at.
    pub const fn terms(&self) -> Terms {
        Terms { kind: self.kind, lifetime: self.lifetime, price: self.price, stop: self.stop }
    }

    /// How many whole units it stands for: the greatest common divisor of its legs' quantities, shares counted by the
    /// hundred beside options.
    pub fn units(&self) -> u32 {
        units(self.class, self.legs.iter().map(|leg| (leg.instrument, leg.quantity)))
    }

    /// Contracts or shares of `leg` in one unit.
    pub fn ratio(&self, leg: &Leg) -> u32 {
        leg.quantity.checked_div(self.units()).unwrap_or(leg.quantity).max(1)
    }

    /// Units executed. Legs execute in ratio, so every leg gives the same answer.
    pub fn executed_units(&self) -> u32 {
        self.legs.first().map_or(0, |leg| leg.executed.checked_div(self.ratio(leg)).unwrap_or(0))
    }

    /// Average price of a unit per share, below zero where money was received; a single leg's plain average.
    pub fn average(&self) -> Usd {
        match (self.class.single(), self.legs.first()) {
            (true, Some(leg)) => leg.average(),
            _ => {
                let net: Usd = self.legs.iter().map(|leg| self.net_paid(leg)).sum();
                net.scaled(1, i64::from(self.executed_units()))
            }
        }
    }

    /// A leg's part of the net price, summed over what executed: shares beside options count by the hundred.
    fn net_paid(&self, leg: &Leg) -> Usd {
        let paid = leg.paid.times(leg.side.side().sign());
        if leg.instrument.is_share() && !self.class.single() {
            paid.scaled(1, CONTRACT_MULTIPLIER)
        } else {
            paid
        }
    }
}

/// Units of legs: the greatest common divisor of their quantities, shares by the hundred beside options.
pub(super) fn units(class: OrderClass, legs: impl Iterator<Item = (Instrument, u32)>) -> u32 {
    let lots = legs.map(
        |(instrument, quantity)| {
            if instrument.is_share() && !class.single() { quantity / LOT } else { quantity }
        },
    );
    lots.fold(0, gcd).max(1)
}

/// Shares that stand beside one contract.
pub(super) const LOT: u32 = 100;

fn gcd(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}
