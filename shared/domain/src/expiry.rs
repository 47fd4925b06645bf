//! What is held past its last trade: pending on a provisional amount, until the broker shows what became of it.

use serde::{Deserialize, Serialize};

use crate::ids::IntentId;
use crate::market::Points;
use crate::money::{CONTRACT_MULTIPLIER, Usd};
use crate::symbol::{OccSymbol, Right, Settlement};
use crate::time::UtcNanos;

/// Where an expired position stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryStatus {
    /// Past its last trade; the broker has not shown what became of it.
    ExpiredPending,
    /// Paid in cash, or worth nothing.
    Settled,
    /// A short that was assigned.
    Assigned,
    /// A long that was exercised.
    Exercised,
}

impl ExpiryStatus {
    /// The name in rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExpiredPending => "expired_pending",
            Self::Settled => "settled",
            Self::Assigned => "assigned",
            Self::Exercised => "exercised",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::ExpiredPending, Self::Settled, Self::Assigned, Self::Exercised]
            .into_iter()
            .find(|it| it.as_str() == text)
    }

    /// Whether its amount may still change.
    pub const fn is_provisional(self) -> bool {
        matches!(self, Self::ExpiredPending)
    }

    /// What a position of `series` came to that the broker no longer shows, at `price` a share.
    pub fn ended(series: &OccSymbol, is_long: bool, price: Usd) -> Self {
        match series.root.settlement() {
            Settlement::CashAm | Settlement::CashPm => Self::Settled,
            Settlement::Physical if price == Usd::ZERO => Self::Settled,
            Settlement::Physical if is_long => Self::Exercised,
            Settlement::Physical => Self::Assigned,
        }
    }
}

/// What was held of one entry past its last trade, of a structure leg by leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiry {
    /// The entry.
    pub opening: IntentId,
    /// Its series.
    pub series: OccSymbol,
    /// Contracts held.
    pub contracts: u32,
    /// Whether they were sold: a leg of a structure that owes what it comes to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_short: bool,
    /// What a share came to; `None` until the official close is known.
    pub price: Option<Usd>,
    /// Where it stands.
    pub status: ExpiryStatus,
    /// When that was written, market time.
    pub at: UtcNanos,
}

impl Expiry {
    /// The cash amount, provisional while pending: below zero where a short owes it.
    pub fn cash(&self) -> Option<Usd> {
        let amount = self.price?.times(CONTRACT_MULTIPLIER).times(i64::from(self.contracts));
        Some(if self.is_short { -amount } else { amount })
    }

    /// As it ended: what the broker no longer shows, at the price it is pending on.
    pub fn ended(&self, at: UtcNanos) -> Self {
        let price = self.price.unwrap_or(Usd::ZERO);
        Self { status: ExpiryStatus::ended(&self.series, !self.is_short, price), at, ..*self }
    }

    /// The row after `next`; `None` where nothing changes. What has ended stays, and a price is not taken back.
    pub fn then(&self, next: &Self) -> Option<Self> {
        let after = Self { price: next.price.or(self.price), ..*next };
        let is_more =
            after.price != self.price || after.status != self.status || after.contracts != self.contracts;
        (self.status.is_provisional() && is_more).then_some(after)
    }
}

/// What one share of `series` comes to when its index closes at `close`: max(0, +/-(S - K)), exactly.
pub fn value_at(series: &OccSymbol, close: Points) -> Usd {
    // A strike counts thousandths, points count ten-thousandths.
    let above = close.0.saturating_sub(i64::from(series.strike.0).saturating_mul(10));
    let value = match series.right {
        Right::Call => above,
        Right::Put => above.saturating_neg(),
    };
    Usd::from_e4(value.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(price: Option<i64>) -> Expiry {
        Expiry {
            opening: IntentId::of(&[b"i"]),
            series: "SPXW261120C05610000".parse().unwrap(),
            contracts: 2,
            is_short: false,
            price: price.map(Usd::from_cents),
            status: ExpiryStatus::ExpiredPending,
            at: UtcNanos(0),
        }
    }

    #[test]
    fn the_provisional_amount_is_the_distance_to_the_strike_times_100_and_never_negative() {
        let close = Points::parse("5612.34").unwrap();
        for (series, share) in
            [("SPXW261120C05610000", 234), ("SPXW261120P05610000", 0), ("SPXW261120P05615000", 266)]
        {
            assert_eq!(value_at(&series.parse().unwrap(), close), Usd::from_cents(share), "{series}");
        }
        assert_eq!(pending(Some(234)).cash(), Some(Usd::from_dollars(468)));
        assert_eq!(pending(None).cash(), None);
        let short = Expiry { is_short: true, ..pending(Some(234)) };
        assert_eq!(short.cash(), Some(Usd::from_dollars(-468)), "a short owes it");
    }

    #[test]
    fn what_expired_is_pending_until_the_broker_shows_what_became_of_it_and_then_stays() {
        let priced = pending(None).then(&pending(Some(234))).unwrap();
        assert_eq!(priced.price, Some(Usd::from_cents(234)));
        assert_eq!(priced.then(&pending(None)), None, "a price is not taken back");
        let settled = Expiry { status: ExpiryStatus::Settled, ..priced };
        assert_eq!(priced.then(&settled), Some(settled));
        assert_eq!(settled.then(&pending(Some(999))), None);
    }

    #[test]
    fn cash_settles_and_shares_are_exercised_or_assigned() {
        let ended = |series: &str, is_long, cents| {
            ExpiryStatus::ended(&series.parse().unwrap(), is_long, Usd::from_cents(cents))
        };
        assert_eq!(ended("SPXW261120C05610000", true, 234), ExpiryStatus::Settled);
        assert_eq!(ended("SPY261120C00560000", true, 234), ExpiryStatus::Exercised);
        assert_eq!(ended("SPY261120C00560000", false, 234), ExpiryStatus::Assigned);
        assert_eq!(ended("SPY261120C00560000", true, 0), ExpiryStatus::Settled);
    }
}
