//! Stage B: outside of the windows of [`crate::macros`], by a calendar that is fresh.

use std::time::Duration;

use domain::time::{NANOS_PER_SEC, UtcNanos};
use jiff::civil::{Date, Time, time};
use serde::{Deserialize, Serialize};

use super::bound::{Bound, Value};
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;
use crate::macros::{MacroEvent, MacroKind};

/// A calendar that nobody confirmed for longer closes the gate: a release may have been moved.
const AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Short 0DTE positions are closed by then on days of an FOMC decision.
pub const FOMC_SHORTS_CLOSED_BY: Time = time(13, 50, 0, 0);

/// The macro calendar, and how fresh it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MacroSchedule {
    /// When its source last confirmed it.
    pub confirmed_at: UtcNanos,
    /// Events, in any order.
    pub events: Vec<MacroEvent>,
}

impl MacroSchedule {
    /// The window that holds `now` with all that overlap it, or `None` outside of them.
    pub fn open_window(&self, now: UtcNanos) -> Option<(UtcNanos, UtcNanos)> {
        let mut open = self.windows().find(|(from, to)| *from <= now && now < *to)?;
        // Windows that touch are one: leaving the first would enter the second.
        while let Some(wider) = self.windows().find(|(from, to)| {
            *from <= open.1 && open.0 <= *to && (*from < open.0 || open.1 < *to) && from < to
        }) {
            open = (open.0.min(wider.0), open.1.max(wider.1));
        }
        Some(open)
    }

    /// Whether an FOMC decision falls on `day`: short 0DTE positions end by [`FOMC_SHORTS_CLOSED_BY`].
    pub fn is_fomc_day(&self, day: Date) -> bool {
        self.events.iter().any(|it| it.kind == MacroKind::FomcDecision && it.at.new_york_date() == day)
    }

    /// Nanoseconds from `now` to the nearest end of a window: how long it stays outside, or, negative, how far it is
    /// inside. `None` without events.
    fn distance(&self, now: UtcNanos) -> Option<i64> {
        if let Some((from, to)) = self.open_window(now) {
            let back = now.0.saturating_sub(from.0).saturating_add(1);
            return Some(back.min(to.0.saturating_sub(now.0)).saturating_neg());
        }
        let away = |(from, to): (UtcNanos, UtcNanos)| {
            if now < from {
                from.0.saturating_sub(now.0).saturating_sub(1)
            } else {
                now.0.saturating_sub(to.0)
            }
        };
        self.windows().map(away).min()
    }

    fn windows(&self) -> impl Iterator<Item = (UtcNanos, UtcNanos)> {
        self.events.iter().map(MacroEvent::window).filter(|(from, to)| from < to)
    }
}

/// Stage B.
pub(super) fn checks(calendar: Option<&MacroSchedule>, now: UtcNanos) -> Vec<Check> {
    let seconds = |nanos: i64| nanos as f64 / NANOS_PER_SEC as f64;
    let age = calendar.and_then(|it| Value::number(now.since(it.confirmed_at).as_secs_f64()));
    let fresh = Bound::AtMost(AGE_MAX.as_secs_f64());
    let fresh = Check::of(Reading::MacroAge, age, fresh, Reason::MacroStale, Reason::MacroMissing);
    let Some(calendar) = calendar else { return vec![fresh] };
    let distance = match calendar.distance(now) {
        Some(it) => Check::of(
            Reading::MacroDistance,
            Value::number(seconds(it)),
            Bound::AtLeast(0.0),
            Reason::MacroWindow,
            Reason::MacroMissing,
        ),
        None => return vec![fresh],
    };
    vec![fresh, distance]
}
