//! Safe mode by itself (spec 3, "Kill switch"): what trips it, and when it lets go again.
//!
//! A pure rule over readings as values. Who takes them posts one each minute; a reading that is missing or old trips nothing
//! and releases nothing. A trip by a rule lets go ten minutes after its cause ended, and only what that rule set: a row that
//! somebody flipped since is theirs.

use std::time::Duration;

use domain::kill::{KillRow, KillScope, KillState, Reading};
use domain::time::UtcNanos;

/// VIX over VIX3M at which credit strategies stop.
pub const VIX_ON: f64 = 1.00;
/// The ratio from which on down it counts as over.
pub const VIX_OFF: f64 = 0.97;
/// How long a cause must be over before its trip lets go.
pub const RELEASE_AFTER: Duration = Duration::from_secs(10 * 60);
/// An older reading says nothing about now, and two further apart leave a gap nobody saw into.
pub const READING_AGE_MAX: Duration = Duration::from_secs(150);
/// The strategies that sell premium, as the switch names them.
pub const CREDIT: &str = "credit";

/// Why safe mode trips by itself. The daily loss is its own: it looks at an account, and holds for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// VIX at or over VIX3M.
    Vix,
    /// A release of figures is near.
    MacroWindow,
    /// The regime has failed.
    Regime,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 3] = [Self::Vix, Self::MacroWindow, Self::Regime];

    /// Who the switch says flipped it.
    pub const fn by(self) -> &'static str {
        match self {
            Self::Vix => "system:vix",
            Self::MacroWindow => "system:macro_window",
            Self::Regime => "system:regime",
        }
    }

    /// Whether a reading shows the cause; `None` where it says nothing, or lies between both thresholds.
    fn shows(self, reading: &Reading) -> Option<bool> {
        match self {
            Self::Vix => match reading.vix_ratio? {
                ratio if ratio >= VIX_ON => Some(true),
                ratio if ratio <= VIX_OFF => Some(false),
                _ => None,
            },
            Self::MacroWindow => reading.macro_window,
            Self::Regime => reading.regime_failed,
        }
    }

    fn words(self, reading: &Reading) -> String {
        match self {
            Self::Vix => format!("VIX/VIX3M is {:.3}", reading.vix_ratio.unwrap_or(f64::NAN)),
            Self::MacroWindow => "a release of figures is near".to_owned(),
            Self::Regime => "the regime has failed".to_owned(),
        }
    }
}

/// How far each cause reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Credit strategies alone, unless set wider.
    pub vix: KillScope,
    /// Everything.
    pub macro_window: KillScope,
    /// Everything.
    pub regime: KillScope,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            vix: KillScope::Strategy(CREDIT.to_owned()),
            macro_window: KillScope::Global,
            regime: KillScope::Global,
        }
    }
}

impl Reach {
    /// The scope of a cause.
    pub const fn of(&self, cause: Cause) -> &KillScope {
        match cause {
            Cause::Vix => &self.vix,
            Cause::MacroWindow => &self.macro_window,
            Cause::Regime => &self.regime,
        }
    }
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Stay,
    /// Safe mode, for this reason.
    Trip(String),
    /// Normal again.
    Release(String),
}

/// Decides over the `readings` of the last minutes, in order, and the row of the cause's scope as it stands.
pub fn decide(cause: Cause, readings: &[Reading], row: &KillRow, now: UtcNanos) -> Verdict {
    let is_own = row.by == cause.by() && row.state != KillState::Normal;
    match (is_own, row.state) {
        (true, _) if is_over(cause, readings, now) => {
            let minutes = RELEASE_AFTER.as_secs() / 60;
            Verdict::Release(format!("its cause has been over for {minutes} minutes: {}", row.reason))
        }
        // Whoever stopped more than this, or the same for another reason, decides when it ends.
        (true, _) | (false, KillState::SafeMode | KillState::HardStop) => Verdict::Stay,
        (false, KillState::Normal | KillState::NoEntries) => {
            let last = readings.last().filter(|it| it.at <= now && now.since(it.at) <= READING_AGE_MAX);
            match last.filter(|it| cause.shows(it) == Some(true)) {
                Some(reading) => Verdict::Trip(cause.words(reading)),
                None => Verdict::Stay,
            }
        }
    }
}

/// Whether every reading of the last ten minutes shows the cause over, without a gap that nobody saw into.
fn is_over(cause: Cause, readings: &[Reading], now: UtcNanos) -> bool {
    let from = now.minus(RELEASE_AFTER);
    let mut seen = from;
    let known = readings.iter().filter(|it| it.at <= now);
    let before = known.clone().rfind(|it| it.at <= from);
    let Some(first) = before.filter(|it| from.since(it.at) <= READING_AGE_MAX) else { return false };
    if cause.shows(first) != Some(false) {
        return false;
    }
    for reading in known.filter(|it| it.at > from) {
        if cause.shows(reading) != Some(false) || reading.at.since(seen) > READING_AGE_MAX {
            return false;
        }
        seen = reading.at;
    }
    now.since(seen) <= READING_AGE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::at_new_york;
    use jiff::civil::{date, time};

    fn at(minute: u64) -> UtcNanos {
        at_new_york(date(2026, 11, 20), time(10, 0, 0, 0)).plus(Duration::from_secs(60 * minute))
    }

    /// One reading each minute from 0.
    fn ratios(of: &[f64]) -> Vec<Reading> {
        let reading = |(n, ratio): (usize, &f64)| Reading {
            at: at(n as u64),
            vix_ratio: Some(*ratio),
            ..Reading::default()
        };
        of.iter().enumerate().map(reading).collect()
    }

    fn row(state: KillState, by: &str) -> KillRow {
        let scope = KillScope::Strategy(CREDIT.to_owned());
        KillRow { state, by: by.to_owned(), version: 1, ..KillRow::untouched(scope) }
    }

    fn vix(readings: &[Reading], row: &KillRow) -> Verdict {
        decide(Cause::Vix, readings, row, readings.last().map_or(at(0), |it| it.at))
    }

    #[test]
    fn safe_mode_trips_at_a_ratio_of_one_and_for_credit_strategies_alone_unless_set_wider() {
        let normal = KillRow::untouched(KillScope::Global);
        assert_eq!(vix(&ratios(&[0.999]), &normal), Verdict::Stay);
        assert_eq!(vix(&ratios(&[1.0]), &normal), Verdict::Trip("VIX/VIX3M is 1.000".to_owned()));
        assert_eq!(Reach::default().of(Cause::Vix), &KillScope::Strategy("credit".to_owned()));
        assert_eq!(Reach::default().of(Cause::Regime), &KillScope::Global);
    }

    #[test]
    fn a_trip_lets_go_ten_minutes_after_the_ratio_fell_to_097_and_not_between_both_thresholds() {
        let own = row(KillState::SafeMode, "system:vix");
        let mut readings = vec![1.02];
        readings.extend([0.97; 10]);
        assert_eq!(vix(&ratios(&readings), &own), Verdict::Stay, "nine minutes of it were seen");
        readings.push(0.97);
        assert!(matches!(vix(&ratios(&readings), &own), Verdict::Release(_)));
        let mut between = readings.clone();
        between[6] = 0.98;
        assert_eq!(vix(&ratios(&between), &own), Verdict::Stay);
        assert_eq!(vix(&ratios(&[0.98; 20]), &own), Verdict::Stay);
    }

    #[test]
    fn nothing_lets_go_on_minutes_that_nobody_saw() {
        let own = row(KillState::SafeMode, "system:vix");
        let all = ratios(&[0.9; 12]);
        assert!(matches!(vix(&all, &own), Verdict::Release(_)));
        let mut gap = all.clone();
        gap.drain(4..7);
        assert_eq!(vix(&gap, &own), Verdict::Stay);
        let mut silent = all.clone();
        silent[5].vix_ratio = None;
        assert_eq!(vix(&silent, &own), Verdict::Stay);
        let stale = decide(Cause::Vix, &all, &own, at(11).plus(Duration::from_secs(151)));
        assert_eq!(stale, Verdict::Stay);
        assert_eq!(vix(&[], &own), Verdict::Stay);
        let old = decide(Cause::Vix, &ratios(&[1.2]), &KillRow::untouched(KillScope::Global), at(3));
        assert_eq!(old, Verdict::Stay, "an old reading trips nothing");
    }

    #[test]
    fn what_an_operator_set_ends_by_the_operator() {
        let calm = ratios(&[0.9; 12]);
        for state in [KillState::NoEntries, KillState::SafeMode, KillState::HardStop] {
            assert_eq!(vix(&calm, &row(state, "operator:1")), Verdict::Stay, "{state:?}");
        }
        let panic = ratios(&[1.1]);
        assert_eq!(vix(&panic, &row(KillState::HardStop, "operator:1")), Verdict::Stay);
        assert!(matches!(vix(&panic, &row(KillState::NoEntries, "operator:1")), Verdict::Trip(_)));
    }

    #[test]
    fn a_macro_window_and_a_failed_regime_trip_and_let_go_by_the_same_rule() {
        for cause in [Cause::MacroWindow, Cause::Regime] {
            let reading = |n: u64, on: bool| Reading {
                at: at(n),
                macro_window: (cause == Cause::MacroWindow).then_some(on),
                regime_failed: (cause == Cause::Regime).then_some(on),
                ..Reading::default()
            };
            let normal = KillRow::untouched(KillScope::Global);
            assert!(matches!(decide(cause, &[reading(0, true)], &normal, at(0)), Verdict::Trip(_)));
            let own = row(KillState::SafeMode, cause.by());
            let over: Vec<_> = (0..=10).map(|n| reading(n, false)).collect();
            assert!(matches!(decide(cause, &over, &own, at(10)), Verdict::Release(_)), "{cause:?}");
        }
    }
}
