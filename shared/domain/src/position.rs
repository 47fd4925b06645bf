//! Fills, and the positions that follow from them. Only broker execution records change a position.

use serde::{Deserialize, Serialize};

use crate::account::Environment;
use crate::ids::{AttemptNo, IntentId, SetupId};
use crate::money::{CONTRACT_MULTIPLIER, Side, Usd};
use crate::symbol::OccSymbol;
use crate::time::UtcNanos;

/// Who told us of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillSource {
    /// The broker's account stream woke us; the order was read.
    Stream,
    /// A poll.
    Poll,
    /// Reconciliation.
    Reconciliation,
    /// Cash settlement at expiry.
    Settlement,
    /// Given back to its owner, at cost.
    Handover,
}

impl FillSource {
    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Poll => "poll",
            Self::Reconciliation => "reconciliation",
            Self::Settlement => "settlement",
            Self::Handover => "handover",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Stream, Self::Poll, Self::Reconciliation, Self::Settlement, Self::Handover]
            .into_iter()
            .find(|it| it.as_str() == text)
    }
}

/// A stretch of one order leg's execution: contracts `from` (exclusive) to `to` (inclusive) of its cumulative
/// quantity. The key is (intent, attempt, series, to); delivered twice it is one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    /// The intent behind the order.
    pub intent: IntentId,
    /// Which attempt of it.
    pub attempt: AttemptNo,
    /// The leg's series.
    pub series: OccSymbol,
    /// Buy or sell.
    pub side: Side,
    /// Cumulative contracts before.
    pub from: u32,
    /// Cumulative contracts after.
    pub to: u32,
    /// Price per share of this stretch; `None` until the broker says.
    pub price: Option<Usd>,
    /// Charges for this stretch.
    pub fees: Usd,
    /// When we learnt of it, market time.
    pub at: UtcNanos,
    /// Who told.
    pub source: FillSource,
}

impl Fill {
    /// Contracts in this stretch.
    pub const fn contracts(&self) -> u32 {
        self.to.saturating_sub(self.from)
    }

    /// What the account paid (negative) or received (positive), without fees; `None` without a price.
    pub fn cash(&self) -> Option<Usd> {
        let gross = self.price?.times(CONTRACT_MULTIPLIER).times(i64::from(self.contracts()));
        Some(match self.side {
            Side::Buy => -gross,
            Side::Sell => gross,
        })
    }
}

/// What an observation of an order leg adds to what is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillStep {
    /// It is not above what is recorded, and completes nothing.
    Nothing,
    /// A new stretch `from..to` at `price` per share.
    Add {
        /// Cumulative contracts recorded.
        from: u32,
        /// Cumulative contracts seen.
        to: u32,
        /// (avg2 q2 - avg1 q1)/(q2 - q1), `None` while an average is missing.
        price: Option<Usd>,
    },
    /// The average of what had none: the price of every stretch still without one, once.
    Complete {
        /// The end of the last of them.
        to: u32,
        /// Their price per share.
        price: Usd,
    },
}

/// What `contracts` at an average `price` came to, per share: executions are priced in whole cents, so their sum is one,
/// and an average that was rounded on its way gives it back.
///
/// # Examples
/// ```
/// use domain::{money::Usd, position::premium};
/// // 1 at 7.10 and 2 at 7.00: the average of 7.033333 arrives as 7.0333.
/// assert_eq!(premium(Usd::from_e4(70_333), 3), Usd::from_cents(2_110));
/// ```
pub fn premium(price: Usd, contracts: u32) -> Usd {
    Usd::from_cents(price.times(i64::from(contracts)).scaled(1, 100).e4())
}

/// What is recorded of an order leg: its stretches in order.
pub fn fill_step(recorded: &[Fill], executed: u32, average: Option<Usd>) -> FillStep {
    let done = recorded.last().map_or(0, |it| it.to);
    let paid: Option<Usd> = recorded.iter().map(|it| it.price.map(|p| premium(p, it.contracts()))).sum();
    let priced = |total: u32, of: u32| -> Option<Usd> {
        let rest = premium(average?, total) - paid?;
        Some(rest.scaled(1, i64::from(of)))
    };
    if executed > done {
        return FillStep::Add { from: done, to: executed, price: priced(executed, executed - done) };
    }
    // Stretches without a price are the last ones: after the first of them no later one could be priced. Their
    // average now known, they share what is left.
    let unpriced: u32 = recorded.iter().filter(|it| it.price.is_none()).map(Fill::contracts).sum();
    if executed == done && unpriced > 0 {
        let known = recorded.iter().filter_map(|it| it.price.map(|p| premium(p, it.contracts())));
        let known: Usd = known.sum();
        if let Some(average) = average {
            let rest = premium(average, executed) - known;
            return FillStep::Complete { to: done, price: rest.scaled(1, i64::from(unpriced)) };
        }
    }
    FillStep::Nothing
}

/// What we own of one series for one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    /// The entry that opened it.
    pub opening: IntentId,
    /// The setup behind the entry.
    pub setup: Option<SetupId>,
    /// The series.
    pub series: OccSymbol,
    /// Where it was opened; its closes go there.
    pub environment: Environment,
    /// Contracts the entry filled.
    pub bought: u32,
    /// Contracts closed or settled since.
    pub sold: u32,
    /// Paid for the bought contracts, without fees. Stretches without a price count zero until completed.
    pub paid: Usd,
    /// Received for the sold ones, without fees.
    pub received: Usd,
    /// Charges on both.
    pub fees: Usd,
    /// Whether a stretch still has no price.
    pub price_missing: bool,
}

impl Owned {
    /// Contracts still held.
    pub const fn held(&self) -> u32 {
        self.bought.saturating_sub(self.sold)
    }

    /// Realised so far: received less the average cost of what was sold, without fees.
    pub fn realized(&self) -> Usd {
        self.received - self.paid.scaled(i64::from(self.sold), i64::from(self.bought))
    }
}

/// A position as the broker shows it. Negative quantities are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerPosition {
    /// The series.
    pub series: OccSymbol,
    /// Contracts, negative when short.
    pub quantity: i64,
    /// Total cost in dollars, commissions excluded, negative for shorts.
    pub cost_basis: Usd,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(from: u32, to: u32, price: Option<i64>) -> Fill {
        Fill {
            intent: IntentId::of(&[b"i"]),
            attempt: AttemptNo::FIRST,
            series: "SPXW261120C05610000".parse().unwrap(),
            side: Side::Buy,
            from,
            to,
            price: price.map(Usd::from_cents),
            fees: Usd::ZERO,
            at: UtcNanos(0),
            source: FillSource::Poll,
        }
    }

    #[test]
    fn several_fills_in_one_poll_are_priced_from_the_averages() {
        let step = fill_step(&[fill(0, 2, Some(200))], 5, Some(Usd::from_cents(230)));
        assert_eq!(step, FillStep::Add { from: 2, to: 5, price: Some(Usd::from_cents(250)) });
    }

    #[test]
    fn averages_that_were_rounded_on_their_way_give_the_cents_back() {
        // 1 at 7.10 and 2 at 7.00, then 2 at 7.20: 7.0333 and 7.1000 a share.
        let first = fill_step(&[], 3, Some(Usd::from_e4(70_333)));
        let FillStep::Add { price: Some(price), .. } = first else { panic!("{first:?}") };
        assert_eq!(premium(price, 3), Usd::from_cents(2_110));
        let recorded = [Fill { price: Some(price), ..fill(0, 3, None) }];
        let rest = fill_step(&recorded, 5, Some(Usd::from_e4(71_000)));
        assert_eq!(rest, FillStep::Add { from: 3, to: 5, price: Some(Usd::from_cents(720)) });
    }

    #[test]
    fn what_is_not_above_the_record_changes_nothing() {
        let recorded = [fill(0, 3, Some(200))];
        for executed in 0..=3 {
            assert_eq!(fill_step(&recorded, executed, Some(Usd::from_cents(200))), FillStep::Nothing);
        }
    }

    #[test]
    fn a_missing_average_is_completed_once() {
        assert_eq!(fill_step(&[], 2, None), FillStep::Add { from: 0, to: 2, price: None });
        let recorded = [fill(0, 1, Some(100)), fill(1, 3, None)];
        let step = fill_step(&recorded, 3, Some(Usd::from_cents(200)));
        assert_eq!(step, FillStep::Complete { to: 3, price: Usd::from_cents(250) });
        assert_eq!(fill_step(&recorded, 3, None), FillStep::Nothing);
    }

    #[test]
    fn several_stretches_without_a_price_are_completed_together() {
        let recorded = [fill(0, 1, Some(100)), fill(1, 2, None), fill(2, 4, None)];
        let step = fill_step(&recorded, 4, Some(Usd::from_cents(250)));
        assert_eq!(step, FillStep::Complete { to: 4, price: Usd::from_cents(300) });
    }

    #[test]
    fn realised_takes_the_average_cost_of_what_was_sold() {
        let owned = Owned {
            opening: IntentId::of(&[b"i"]),
            setup: None,
            series: "SPXW261120C05610000".parse().unwrap(),
            environment: Environment::Sandbox,
            bought: 3,
            sold: 2,
            paid: Usd::from_dollars(600),
            received: Usd::from_dollars(500),
            fees: Usd::ZERO,
            price_missing: false,
        };
        assert_eq!((owned.held(), owned.realized()), (1, Usd::from_dollars(100)));
    }
}
