//! What a trade costs, as of the date (DEC15).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::money::{Price, Usd};
use crate::symbol::{Root, Underlying};

/// A broker's and exchanges' charges per contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeSchedule {
    /// The broker's commission for a contract, to open or to close.
    pub commission: Usd,
    /// Charged by the index's exchange for premiums below 1.00.
    pub index_fee_low: Usd,
    /// Charged by the index's exchange for premiums of 1.00 and more.
    pub index_fee_high: Usd,
    /// Options regulatory and clearing fees, each contract.
    pub regulatory: Usd,
}

impl FeeSchedule {
    /// Tradier's 0.35 plan with Cboe's SPX customer tiers (0.57 below a dollar, 0.66 from it) and 0.04 regulatory
    /// and clearing fees. Source: TRADIER.md section 17.5 for the commission; Cboe fee schedule for the tiers.
    pub const TRADIER: Self = Self {
        commission: Usd::from_cents(35),
        index_fee_low: Usd::from_cents(57),
        index_fee_high: Usd::from_cents(66),
        regulatory: Usd::from_cents(4),
    };

    /// The schedule in force on `date`. One row so far; it takes the date so that a replay of an old day uses old
    /// charges once they are recorded.
    pub const fn as_of(_date: Date) -> Self {
        Self::TRADIER
    }

    /// Charges for `contracts` of `root` traded at `premium`.
    pub fn charge(&self, root: &Root, premium: Price, contracts: u32) -> Usd {
        let exchange = match root.underlying() {
            Underlying::SPX if premium.cents() < 100 => self.index_fee_low,
            Underlying::SPX => self.index_fee_high,
            _ => Usd::ZERO,
        };
        (self.commission + exchange + self.regulatory).times(i64::from(contracts))
    }
}
