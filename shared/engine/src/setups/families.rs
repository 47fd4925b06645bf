//! Who may trade: a family is active, quarantined or on trial (shadow).
//!
//! A governed family's rolling figures - the part that reached T1, the mean of money R, and how many setups they are made
//! from - must hold the profile's floors; under any of them it is quarantined until they hold again. Its setups are found
//! and led to their end all the same, which is how it recovers; no intent follows.

use std::collections::VecDeque;

use domain::gate::{GateCheck, Verdict};
use domain::setup::{FamilyStatus, SetupKind, SetupState, Transition};
use serde::{Deserialize, Serialize};

use crate::context::{Context, Exact, six_decimals};
use crate::profile::{Governance, Standing};

/// How a setup that triggered came out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether it reached T1.
    pub reached_t1: bool,
    /// Money R (spec 3); absent where no money was in it and nobody reckoned it.
    r: Option<Exact>,
}

impl Outcome {
    /// An outcome with its money R, where there is one.
    pub fn new(reached_t1: bool, money_r: Option<f64>) -> Self {
        Self { reached_t1, r: money_r.filter(|it| it.is_finite()).map(Exact) }
    }

    /// Of a setup's steps, with the money R that its positions came to; `None` unless it triggered and ended.
    pub fn of(steps: &[Transition], money_r: Option<f64>) -> Option<Self> {
        let reached = |state: SetupState| steps.iter().any(|it| it.to == state);
        let is_over = steps.last().is_some_and(|it| it.to.is_terminal());
        let resolved = is_over && reached(SetupState::Triggered);
        resolved.then(|| Self::new(reached(SetupState::T1Hit), money_r))
    }
}

/// The outcomes of a family's last setups.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rolling {
    outcomes: VecDeque<Outcome>,
}

/// A family's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Setups they are made from.
    pub sample: u32,
    /// Part of them that reached T1.
    pub t1_rate: Option<f64>,
    /// Mean of money R over those that have one.
    pub expectancy: Option<f64>,
}

impl Rolling {
    /// Takes the next outcome; the oldest leaves the window.
    pub fn take(&mut self, outcome: Outcome, rules: &Governance) {
        self.outcomes.push_back(outcome);
        while self.outcomes.len() > rules.window as usize {
            self.outcomes.pop_front();
        }
    }

    /// The figures now.
    pub fn figures(&self) -> Figures {
        let n = self.outcomes.len();
        let mean = |sum: f64, n: usize| (n > 0).then(|| six_decimals(sum / n as f64));
        let hits = self.outcomes.iter().filter(|it| it.reached_t1).count();
        let rs: Vec<f64> = self.outcomes.iter().filter_map(|it| it.r).map(|it| it.0).collect();
        Figures {
            sample: u32::try_from(n).unwrap_or(u32::MAX),
            t1_rate: mean(hits as f64, n),
            expectancy: mean(rs.iter().sum(), rs.len()),
        }
    }
}

impl Figures {
    /// Active where every figure holds its floor; a figure that is missing holds none.
    pub fn judged(&self, rules: &Governance) -> FamilyStatus {
        let holds = self.sample >= rules.sample_min
            && self.t1_rate.is_some_and(|it| it >= rules.t1_rate_min)
            && self.expectancy.is_some_and(|it| it >= rules.expectancy_min);
        if holds { FamilyStatus::Active } else { FamilyStatus::Quarantined }
    }
}

/// What a family is in this session.
pub fn status(kind: SetupKind, ctx: &Context) -> FamilyStatus {
    let Some(families) = &ctx.profile().families else { return FamilyStatus::Active };
    let rules = &families.governance;
    match rules.standing(kind) {
        Standing::Fixed(status) => status,
        Standing::Governed => ctx
            .wider()
            .and_then(|it| it.rolling(kind))
            .map_or(FamilyStatus::Quarantined, |it| it.figures().judged(rules)),
    }
}

/// Says whether an intent may follow. It never blocks: what may not trade is led to its end.
pub(super) fn gate(kind: SetupKind, ctx: &Context) -> GateCheck {
    let status = status(kind, ctx);
    let figures = ctx.wider().and_then(|it| it.rolling(kind)).map(Rolling::figures);
    let observed = match figures {
        Some(it) => format!(
            "{}: {} setups, T1 {}, {} R",
            status.as_str(),
            it.sample,
            shown(it.t1_rate),
            shown(it.expectancy)
        ),
        None => format!("{}: no figures", status.as_str()),
    };
    let check = GateCheck::holds("family_status", true, observed, "active", "");
    match status {
        FamilyStatus::Active => check,
        FamilyStatus::Quarantined => {
            GateCheck { verdict: Verdict::Skip, reason: "family_quarantined".to_owned(), ..check }
        }
        FamilyStatus::Shadow => {
            GateCheck { verdict: Verdict::Skip, reason: "family_shadow".to_owned(), ..check }
        }
    }
}

fn shown(it: Option<f64>) -> String {
    it.map_or_else(|| "unknown".to_owned(), |it| it.to_string())
}
