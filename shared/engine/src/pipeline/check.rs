//! One check: what was observed, what was required, and the value at which the answer turns round.

use domain::symbol::OccSymbol;
use serde::{Deserialize, Serialize};

use super::bound::{Bound, Value};
use super::reading::Reading;
use super::reason::Reason;

/// The stages, in the order in which the first that stops decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Universe and data.
    A,
    /// Calendar.
    B,
    /// Liquidity of the chain near the money.
    C,
    /// Days to expiry.
    D,
    /// Term structure.
    E1,
    /// Regime.
    E2,
    /// IV rank.
    E3,
    /// Structure.
    F,
    /// Liquidity of the chosen legs.
    C2,
    /// Collision with open legs.
    F3,
    /// Earnings.
    G1,
    /// Ex-dividend dates.
    G2,
    /// Expected value.
    G3,
    /// The book after the trade.
    G4,
    /// Execution hours.
    H,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Self::A,
        Self::B,
        Self::C,
        Self::D,
        Self::E1,
        Self::E2,
        Self::E3,
        Self::F,
        Self::C2,
        Self::F3,
        Self::G1,
        Self::G2,
        Self::G3,
        Self::G4,
        Self::H,
    ];

    /// Its name in a waterfall.
    pub const fn title(self) -> &'static str {
        match self {
            Self::A => "universe and data",
            Self::B => "calendar",
            Self::C => "liquidity of the chain",
            Self::D => "days to expiry",
            Self::E1 => "term structure",
            Self::E2 => "regime",
            Self::E3 => "IV rank",
            Self::F => "structure",
            Self::C2 => "liquidity of the legs",
            Self::F3 => "leg collision",
            Self::G1 => "earnings",
            Self::G2 => "ex-dividend",
            Self::G3 => "expected value",
            Self::G4 => "portfolio risk",
            Self::H => "execution hours",
        }
    }
}

/// What a check or a stage says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Lets through.
    Pass,
    /// Stops.
    Block,
    /// Does not apply, and says why.
    Skipped,
    /// Cannot be judged, because something is missing: stops too.
    Unknown,
}

impl Verdict {
    /// Whether nothing goes on from here.
    pub const fn stops(self) -> bool {
        match self {
            Self::Block | Self::Unknown => true,
            Self::Pass | Self::Skipped => false,
        }
    }
}

/// One check of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is read.
    pub reading: Reading,
    /// Of which series, where it is about one.
    pub leg: Option<OccSymbol>,
    /// What it says.
    pub verdict: Verdict,
    /// What was read; `null` where it is missing or not asked for.
    pub observed: Option<Value>,
    /// What is required; `null` where nothing is.
    pub required: Option<Bound>,
    /// How far the value is inside of what is required, in its own unit, negative outside; `null` for names.
    pub margin: Option<f64>,
    /// The nearest value that turns the verdict round.
    pub flips_at: Option<Value>,
    /// Why it stops or is skipped.
    pub reason: Option<Reason>,
    /// What it says whenever it stops.
    pub blocks_as: Reason,
}

impl Check {
    /// A value against a bound; without a value it is not known, for the reason `missing`. Nor is it against a bound that
    /// is no number.
    pub(super) fn of(
        reading: Reading,
        observed: Option<Value>,
        required: Bound,
        blocks_as: Reason,
        missing: Reason,
    ) -> Self {
        let required = Some(required).filter(Bound::is_finite);
        let mut it = Self {
            reading,
            leg: None,
            verdict: Verdict::Unknown,
            margin: None,
            flips_at: None,
            observed,
            required,
            reason: Some(missing),
            blocks_as,
        };
        it.judge();
        it
    }

    /// One that does not apply.
    pub(super) const fn skipped(reading: Reading, why: Reason) -> Self {
        Self {
            reading,
            leg: None,
            verdict: Verdict::Skipped,
            observed: None,
            required: None,
            margin: None,
            flips_at: None,
            reason: Some(why),
            blocks_as: why,
        }
    }

    /// The same about `series`.
    pub(super) const fn about(mut self, series: OccSymbol) -> Self {
        self.leg = Some(series);
        self
    }

    /// Whether it is the reading that `change` is about.
    pub fn is_about(&self, change: &Change) -> bool {
        self.reading == change.reading && self.leg == change.leg
    }

    /// The same check had it read `value`.
    pub fn had_read(&self, value: &Value) -> Self {
        let mut it = Self { observed: Some(value.clone()), ..self.clone() };
        it.judge();
        it
    }

    /// What would turn it round.
    pub fn change(&self) -> Option<Change> {
        let to = self.flips_at.clone()?;
        Some(Change { reading: self.reading, leg: self.leg, from: self.observed.clone(), to })
    }

    fn judge(&mut self) {
        let Some(required) = &self.required else { return };
        self.flips_at = Some(required.flips_at(self.observed.as_ref()));
        let Some(observed) = &self.observed else { return };
        self.margin = required.margin(observed);
        (self.verdict, self.reason) = if required.holds(observed) {
            (Verdict::Pass, None)
        } else {
            (Verdict::Block, Some(self.blocks_as))
        };
    }
}

/// A reading that would have to be another for the answer to be another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What is read.
    pub reading: Reading,
    /// Of which series.
    pub leg: Option<OccSymbol>,
    /// What was read.
    pub from: Option<Value>,
    /// What it would have to be.
    pub to: Value,
}

/// A stage's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Which stage.
    pub stage: Stage,
    /// What it says: it stops where one of its checks does.
    pub verdict: Verdict,
    /// The reason of the first check that stops, or of a stage that does not apply.
    pub reason: Option<Reason>,
    /// All of its checks.
    pub checks: Vec<Check>,
}

impl Outcome {
    /// Sums up the checks of a stage.
    pub(super) fn of(stage: Stage, checks: Vec<Check>) -> Self {
        let blocked = checks.iter().find(|it| it.verdict == Verdict::Block);
        let stop = blocked.or_else(|| checks.iter().find(|it| it.verdict == Verdict::Unknown));
        let passes = checks.iter().any(|it| it.verdict == Verdict::Pass);
        let (verdict, reason) = match (stop, checks.first()) {
            (Some(stop), _) => (stop.verdict, stop.reason),
            (None, Some(first)) if !passes => (Verdict::Skipped, first.reason),
            (None, _) => (Verdict::Pass, None),
        };
        Self { stage, verdict, reason, checks }
    }

    /// The fewest readings that turn the stage round: all that stop it, or of those that let it through the nearest.
    pub fn flip(&self) -> Vec<Change> {
        if self.verdict.stops() {
            let stopping = self.checks.iter().filter(|it| it.verdict.stops());
            return stopping.filter_map(Check::change).collect();
        }
        self.nearest().and_then(Check::change).into_iter().collect()
    }

    /// The check that lets through by the least part of what is required.
    pub fn nearest(&self) -> Option<&Check> {
        let passing = self.checks.iter().filter(|it| it.verdict == Verdict::Pass);
        passing.min_by(|a, b| closeness(a).total_cmp(&closeness(b)))
    }

    /// The same stage had it read other values.
    pub(super) fn had_read(&self, changes: &[Change]) -> Self {
        let read = |it: &Check| {
            let change = changes.iter().find(|change| it.is_about(change));
            change.map_or_else(|| it.clone(), |change| it.had_read(&change.to))
        };
        Self::of(self.stage, self.checks.iter().map(read).collect())
    }
}

/// How near a check is to turning round, as a part of the larger of the value and where it turns; names are further
/// than any number.
pub(super) fn closeness(it: &Check) -> f64 {
    let numbers = [&it.observed, &it.flips_at].map(|it| it.as_ref().and_then(Value::as_f64));
    let [Some(is), Some(at)] = numbers else { return f64::MAX };
    (is - at).abs() / is.abs().max(at.abs()).max(f64::MIN_POSITIVE)
}
