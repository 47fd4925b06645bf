//! A decision: every stage with what it saw, the structure with its figures, and what would have changed the answer.

use domain::ids::DecisionHash;
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::check::{Change, Check, Outcome, Stage, Verdict, closeness};
use super::reason::Reason;
use super::snapshot::canonical;
use super::strategy::Kind;
use super::structure::{Numbers, Search, Structure};

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Every stage lets the structure through.
    Enter,
    /// A stage stops it.
    Stand,
}

/// A decision with its whole explanation. "No" is kept like "yes".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whose: the strategy's name.
    pub strategy: String,
    /// What it would open; of a wheel the put or the call.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// On what.
    pub underlying: Underlying,
    /// Market time.
    pub at: UtcNanos,
    /// What was decided.
    pub answer: Answer,
    /// The first stage that stops.
    pub decided_by: Option<Stage>,
    /// Its reason.
    pub reason: Option<Reason>,
    /// Whether the term structure is inverted, which trips safe mode.
    pub trips_safe_mode: bool,
    /// Every stage, in order; also those after the one that decided.
    pub stages: Vec<Outcome>,
    /// The fewest readings that turn the answer round, each at the nearest value that does.
    pub flip: Vec<Change>,
    /// What was chosen, also where a stage stops it.
    pub structure: Option<Structure>,
    /// Its figures.
    pub numbers: Option<Numbers>,
    /// What was tried.
    pub search: Search,
}

impl Decision {
    /// Puts the stages' answers together.
    pub(super) fn sum_up(mut self) -> Self {
        let stop = self.stages.iter().find(|it| it.verdict.stops());
        self.answer = if stop.is_some() { Answer::Stand } else { Answer::Enter };
        (self.decided_by, self.reason) = (stop.map(|it| it.stage), stop.and_then(|it| it.reason));
        self.flip = self.fewest();
        self
    }

    /// A "no" takes all readings that stop a stage; a "yes" the one that lets through by the least. A reading that two
    /// stages share is one, at the value that satisfies both.
    fn fewest(&self) -> Vec<Change> {
        if self.answer == Answer::Enter {
            let nearest = self.stages.iter().filter_map(Outcome::nearest);
            let nearest = nearest.min_by(|a, b| closeness(a).total_cmp(&closeness(b)));
            return nearest.and_then(Check::change).into_iter().collect();
        }
        let mut all: Vec<Change> = Vec::new();
        for change in self.stages.iter().filter(|it| it.verdict.stops()).flat_map(Outcome::flip) {
            let same = |it: &Change| it.reading == change.reading && it.leg == change.leg;
            match all.iter_mut().find(|it| same(it)) {
                // Of two demands on one reading the later one stands where it satisfies the earlier too.
                Some(first) if self.satisfies(&change) => *first = change,
                Some(_) => {}
                None => all.push(change),
            }
        }
        all
    }

    /// Whether every check of its reading would let this value through.
    fn satisfies(&self, change: &Change) -> bool {
        let checks = self.stages.iter().flat_map(|it| &it.checks);
        let mut about = checks.filter(|it| it.is_about(change) && it.required.is_some());
        about.all(|it| !it.had_read(&change.to).verdict.stops())
    }

    /// The same decision had these readings been others: everything else and the structure stay.
    pub fn had_read(&self, changes: &[Change]) -> Self {
        let stages = self.stages.iter().map(|it| it.had_read(changes)).collect();
        Self { stages, ..self.clone() }.sum_up()
    }

    /// A stage's answer.
    pub fn stage(&self, stage: Stage) -> Option<&Outcome> {
        self.stages.iter().find(|it| it.stage == stage)
    }

    /// How many stages say so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.stages.iter().filter(|it| it.verdict == verdict).count()
    }

    /// The name of everything that was decided: the same inputs give the same one, on every machine and at any time.
    pub fn hash(&self) -> DecisionHash {
        DecisionHash::of(&[&canonical(self)])
    }
}
