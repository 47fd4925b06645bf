//! Orders on structures, leg by leg.

use serde::{Deserialize, Serialize};

use super::Touch;
use crate::money::Usd;
use crate::symbol::OccSymbol;
use crate::ticket::{ComboLeg, LegSide, Net};

/// An order on a structure, leg by leg: what executed of each, never of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComboAttempt {
    /// The net limit of one unit now.
    pub net: Net,
    /// The legs, in the order they were sent; one where a leg is closed on its own.
    pub legs: Vec<LegExecution>,
}

/// What executed of one leg of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LegExecution {
    /// The series.
    pub series: OccSymbol,
    /// What it does.
    pub side: LegSide,
    /// Contracts in one unit.
    pub ratio: u32,
    /// Contracts executed, never shrinking.
    pub executed: u32,
    /// Average price per share of what executed, once the broker says.
    pub average: Option<Usd>,
    /// The market of the leg that the order was sent into, where it was two-sided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival: Option<Touch>,
}

impl LegExecution {
    /// A leg of which nothing executed yet.
    pub const fn of(leg: &ComboLeg) -> Self {
        Self {
            series: leg.series,
            side: leg.side,
            ratio: leg.ratio,
            executed: 0,
            average: None,
            arrival: None,
        }
    }

    /// The leg itself.
    pub const fn leg(&self) -> ComboLeg {
        ComboLeg { series: self.series, side: self.side, ratio: self.ratio }
    }
}

impl ComboAttempt {
    /// An order of `legs` at `net`, nothing executed.
    pub fn of(legs: &[ComboLeg], net: Net) -> Self {
        Self { net, legs: legs.iter().map(LegExecution::of).collect() }
    }

    /// The same, sent into this market of its legs.
    #[must_use]
    pub fn met(mut self, touches: &[(OccSymbol, Touch)]) -> Self {
        for leg in &mut self.legs {
            leg.arrival = touches.iter().find(|it| it.0 == leg.series).map(|it| it.1);
        }
        self
    }

    /// Whole units of which every leg executed.
    pub fn whole_units(&self) -> u32 {
        self.legs.iter().filter_map(|it| it.executed.checked_div(it.ratio)).min().unwrap_or(0)
    }

    /// Contracts executed over all legs.
    pub fn contracts(&self) -> u32 {
        self.legs.iter().fold(0, |sum, it| sum.saturating_add(it.executed))
    }

    /// Whether every leg executed in its ratio.
    pub fn is_balanced(&self) -> bool {
        let units = self.whole_units();
        self.legs.iter().all(|it| it.executed == units.saturating_mul(it.ratio))
    }
}

/// What the broker shows of one leg of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegSeen {
    /// The series.
    pub series: OccSymbol,
    /// Contracts executed.
    pub executed: u32,
    /// Average price, where said.
    pub average: Option<Usd>,
}
