//! Gates: what was observed, what was required, and by how much.

use serde::{Deserialize, Serialize};

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The gate lets through.
    Pass,
    /// The gate stops.
    Block,
    /// The gate does not apply and says so.
    Skip,
}

/// One gate's answer, kept with the decision it was part of. A "no" is kept like a "yes".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateCheck {
    /// The gate, `snake_case`: `spread_width`, `kill_switch`.
    pub gate: String,
    /// What it says.
    pub verdict: Verdict,
    /// The observed value in words and figures; `null` where it is missing.
    pub observed: Option<String>,
    /// What would have been required.
    pub required: String,
    /// How far the observed value is from the threshold in the gate's own unit, positive when it passes; `null`
    /// for gates without a measure.
    pub margin: Option<f64>,
    /// Why it blocks or skips: a code such as `microstructure_unavailable`; empty on a pass.
    pub reason: String,
}

impl GateCheck {
    /// A gate with a measure: passes while `margin` is at least 0.
    pub fn measured(
        gate: &str,
        observed: impl ToString,
        required: impl ToString,
        margin: f64,
        reason: &str,
    ) -> Self {
        let pass = margin >= 0.0;
        Self {
            gate: gate.to_owned(),
            verdict: if pass { Verdict::Pass } else { Verdict::Block },
            observed: Some(observed.to_string()),
            required: required.to_string(),
            margin: Some(margin),
            reason: if pass { String::new() } else { reason.to_owned() },
        }
    }

    /// A gate that holds or does not.
    pub fn holds(
        gate: &str,
        holds: bool,
        observed: impl ToString,
        required: impl ToString,
        reason: &str,
    ) -> Self {
        Self {
            gate: gate.to_owned(),
            verdict: if holds { Verdict::Pass } else { Verdict::Block },
            observed: Some(observed.to_string()),
            required: required.to_string(),
            margin: None,
            reason: if holds { String::new() } else { reason.to_owned() },
        }
    }

    /// A gate whose input is missing: it blocks.
    pub fn missing(gate: &str, required: impl ToString, reason: &str) -> Self {
        Self {
            gate: gate.to_owned(),
            verdict: Verdict::Block,
            observed: None,
            required: required.to_string(),
            margin: None,
            reason: reason.to_owned(),
        }
    }

    /// A gate that does not apply.
    pub fn skipped(gate: &str, required: impl ToString, reason: &str) -> Self {
        Self { verdict: Verdict::Skip, ..Self::missing(gate, required, reason) }
    }

    /// Whether the gate stops.
    pub fn blocks(&self) -> bool {
        self.verdict == Verdict::Block
    }
}

/// The reason of the first gate that blocks; `None` when all let through.
pub fn first_block(gates: &[GateCheck]) -> Option<&GateCheck> {
    gates.iter().find(|it| it.blocks())
}
