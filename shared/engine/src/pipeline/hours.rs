//! Stage H: in regular hours, not in the session's last minutes. The exchange's calendar knows daylight saving and short
//! days.

use domain::calendar::Session;
use domain::time::{NANOS_PER_SEC, UtcNanos};

use super::Asked;
use super::bound::{Bound, Value};
use super::check::Check;
use super::reading::Reading;
use super::reason::Reason;

fn seconds(from: UtcNanos, to: UtcNanos) -> Option<Value> {
    Value::number(to.0.saturating_sub(from.0) as f64 / NANOS_PER_SEC as f64)
}

/// Stage H.
pub(super) fn checks(asked: &Asked<'_>) -> Vec<Check> {
    let session = Session::at(asked.now);
    let word = session.map(|it| if it.is_some() { "open" } else { "closed" });
    let mut checks = vec![Check::of(
        Reading::Exchange,
        word.ok().and_then(Value::word),
        Bound::is("open", "closed"),
        Reason::ExchangeClosed,
        Reason::NoCalendar,
    )];
    let Ok(Some(session)) = session else { return checks };
    let cutoff = session.before_close(u32::from(asked.set.entry.cutoff_minutes));
    checks.push(Check::of(
        Reading::SinceOpen,
        seconds(session.open, asked.now),
        Bound::AtLeast(0.0),
        Reason::BeforeOpen,
        Reason::NoCalendar,
    ));
    checks.push(Check::of(
        Reading::ToCutoff,
        seconds(asked.now, cutoff),
        Bound::Above(0.0),
        Reason::EntryCutoff,
        Reason::NoCalendar,
    ));
    if let Some(hours) = asked.set.entry.hours {
        let since = asked.now.0.saturating_sub(session.wall(hours.from).0);
        // The end is excluded, the start is not.
        let left = session.wall(hours.to).0.saturating_sub(asked.now.0).saturating_sub(1);
        let inside = Value::number(since.min(left) as f64 / NANOS_PER_SEC as f64);
        checks.push(Check::of(
            Reading::OwnHours,
            inside,
            Bound::AtLeast(0.0),
            Reason::OutsideEntryWindow,
            Reason::NoCalendar,
        ));
    }
    checks
}
