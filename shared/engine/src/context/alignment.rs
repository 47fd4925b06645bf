//! Macro alignment: how far regime, basis and options flow speak for a direction, 0 to 100.
//!
//! Each is normalised to [-1, 1], positive upwards: the regime +1 and -1 in a trend, the sign of VWAP's move in a breakout and
//! 0 in a range or compression; the basis its z-score over `basis_full_z`; the flow its score. The alignment of a direction
//! is 50 + 50 x their weighted mean x the direction's sign. With an input missing there is none.

use domain::setup::Direction;
use serde::{Deserialize, Serialize};

use super::basis::BasisReading;
use super::exact::{bits_or_none, six_decimals};
use super::options::FlowReading;
use super::regime::{Regime, RegimeReading};
use crate::profile::ContextRules;

/// What the alignment is made from, each in [-1, 1], positive upwards.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Alignment {
    /// Of the regime; `None` while it is unknown.
    #[serde(with = "bits_or_none")]
    pub regime: Option<f64>,
    /// Of the basis.
    #[serde(with = "bits_or_none")]
    pub basis: Option<f64>,
    /// Of options flow.
    #[serde(with = "bits_or_none")]
    pub flow: Option<f64>,
}

impl Alignment {
    /// From the readings.
    pub fn of(
        regime: &RegimeReading,
        basis: Option<&BasisReading>,
        flow: Option<&FlowReading>,
        rules: &ContextRules,
    ) -> Self {
        let full = rules.basis_full_z;
        Self {
            regime: match regime.regime {
                Regime::TrendingUp => Some(1.0),
                Regime::TrendingDown => Some(-1.0),
                Regime::Ranging | Regime::Compression => Some(0.0),
                Regime::Breakout => regime.slope.map(|it| if it > 0.0 { 1.0 } else { -1.0 }),
                Regime::Unknown => None,
            },
            basis: basis.filter(|_| full > 0.0).map(|it| (it.z / full).clamp(-1.0, 1.0)),
            flow: flow.and_then(|it| it.score),
        }
    }

    /// 0 to 100 for a direction; `None` while an input is missing.
    pub fn score(&self, direction: Direction, rules: &ContextRules) -> Option<f64> {
        let (it, sign) = (&rules.weights, direction.sign() as f64);
        let weights = it.regime + it.basis + it.flow;
        if weights <= 0.0 {
            return None;
        }
        let mean = (it.regime * self.regime? + it.basis * self.basis? + it.flow * self.flow?) / weights;
        Some(six_decimals(50.0 + 50.0 * sign * mean))
    }

    /// The inputs that are missing, by name.
    pub fn missing(&self) -> Vec<&'static str> {
        let inputs = [("regime", self.regime), ("basis", self.basis), ("options_flow", self.flow)];
        inputs.into_iter().filter(|it| it.1.is_none()).map(|it| it.0).collect()
    }
}
