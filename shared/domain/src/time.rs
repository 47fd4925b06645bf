//! Instants and New York wall time.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// An instant in nanoseconds since the Unix epoch, UTC. Covers 1677 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcNanos(pub i64);

/// Nanoseconds in a second.
pub const NANOS_PER_SEC: i64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const NANOS_PER_MILLI: i64 = 1_000_000;

impl UtcNanos {
    /// The instant `secs` seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC))
    }

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SEC)
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(NANOS_PER_MILLI)
    }

    /// Whole microseconds since the epoch, rounded down. PostgreSQL keeps microseconds.
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The instant `d` later, saturating at the ends of the range.
    pub const fn plus(self, d: Duration) -> Self {
        let nanos = d.as_nanos();
        let nanos = if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 };
        Self(self.0.saturating_add(nanos))
    }

    /// The instant `d` earlier, saturating at the ends of the range.
    pub const fn minus(self, d: Duration) -> Self {
        let nanos = d.as_nanos();
        let nanos = if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 };
        Self(self.0.saturating_sub(nanos))
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        let d = self.0.saturating_sub(earlier.0);
        Duration::from_nanos(if d < 0 { 0 } else { d as u64 })
    }

    /// The start of the `step`-long interval that holds this instant. `step` is in nanoseconds, above 0.
    pub const fn floor_to(self, step: i64) -> Self {
        if step <= 0 { self } else { Self(self.0.saturating_sub(self.0.rem_euclid(step))) }
    }

    /// As a `jiff` timestamp, for civil time.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// From a `jiff` timestamp; `None` outside 1677 to 2262.
    pub fn from_jiff(t: jiff::Timestamp) -> Option<Self> {
        i64::try_from(t.as_nanosecond()).ok().map(Self)
    }

    /// Parses RFC 3339, any offset, up to nine decimals.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().and_then(Self::from_jiff)
    }

    /// New York wall time at this instant.
    pub fn new_york(self) -> DateTime {
        new_york().to_datetime(self.to_jiff())
    }

    /// The New York calendar date at this instant.
    pub fn new_york_date(self) -> Date {
        let known = PLAIN_DAYS.get().into_iter().flatten();
        let day = known.into_iter().find(|it| it.midnight <= self && self < it.midnight.plus(DAY));
        day.map_or_else(|| self.new_york().date(), |it| it.date)
    }
}

/// RFC 3339, UTC, always nine decimals: `2026-11-20T14:30:00.000000000Z`.
impl fmt::Display for UtcNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = jiff::Timestamp::from_second(self.secs()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let civil = jiff::tz::Offset::UTC.to_datetime(secs);
        // Written digit by digit: instants are spelled more often than anything else.
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let nanos = self.0.rem_euclid(NANOS_PER_SEC);
        for (from, to, value) in [
            (0, 4, i64::from(civil.year())),
            (5, 7, civil.month().into()),
            (8, 10, civil.day().into()),
            (11, 13, civil.hour().into()),
            (14, 16, civil.minute().into()),
            (17, 19, civil.second().into()),
            (20, 29, nanos),
        ] {
            if let Some(part) = text.get_mut(from..to) {
                digits(part, value);
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Writes `value` in decimal, with zeros in front, as wide as `text` is.
pub(crate) fn digits(text: &mut [u8], value: i64) {
    let mut left = value;
    for digit in text.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(left.rem_euclid(10)).unwrap_or(0));
        left = left.div_euclid(10);
    }
}

/// The New York time zone, compiled in. Looked up once.
pub fn new_york() -> &'static TimeZone {
    static ZONE: std::sync::OnceLock<TimeZone> = std::sync::OnceLock::new();
    // The database is compiled in; without it UTC would be a wrong answer, so a test holds the name.
    ZONE.get_or_init(|| TimeZone::get("America/New_York").unwrap_or(TimeZone::UTC))
}

/// A day in New York that is 24 hours long: every time of day is as far from midnight as its clock says.
#[derive(Clone, Copy)]
struct PlainDay {
    date: Date,
    midnight: UtcNanos,
}

const DAY: Duration = Duration::from_secs(86_400);

thread_local! {
    /// Days that were asked for last, each in the place of its number: nearly every question is about today or tomorrow, and
    /// the rules of a zone are long.
    static PLAIN_DAYS: Cell<[Option<PlainDay>; 4]> = const { Cell::new([None; 4]) };
}

/// The instant of a New York wall time. A time in the spring gap moves forward; in the autumn fold the first.
pub fn at_new_york(date: Date, time: Time) -> UtcNanos {
    let known = PLAIN_DAYS.get().into_iter().flatten().find(|it| it.date == date);
    let day = known.or_else(|| {
        let midnight = looked_up(date, Time::midnight());
        let next = looked_up(date.tomorrow().ok()?, Time::midnight());
        let day = (next == midnight.plus(DAY)).then_some(PlainDay { date, midnight })?;
        let mut known = PLAIN_DAYS.get();
        let place = usize::try_from(date.day()).unwrap_or(0) % known.len();
        known.get_mut(place)?.replace(day);
        PLAIN_DAYS.set(known);
        Some(day)
    });
    let since = u64::try_from(time.duration_since(Time::midnight()).as_nanos());
    match (day, since) {
        (Some(day), Ok(since)) => day.midnight.plus(Duration::from_nanos(since)),
        (Some(_) | None, _) => looked_up(date, time),
    }
}

fn looked_up(date: Date, time: Time) -> UtcNanos {
    let zoned = new_york().to_ambiguous_zoned(date.to_datetime(time)).compatible();
    zoned.ok().and_then(|it| UtcNanos::from_jiff(it.timestamp())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, time};

    #[test]
    fn new_york_is_compiled_in_with_its_daylight_saving() {
        assert_eq!(
            at_new_york(date(2026, 11, 20), time(9, 30, 0, 0)).to_string(),
            "2026-11-20T14:30:00.000000000Z"
        );
        assert_eq!(
            at_new_york(date(2026, 7, 17), time(9, 30, 0, 0)).to_string(),
            "2026-07-17T13:30:00.000000000Z"
        );
    }

    #[test]
    fn every_hour_of_a_year_is_where_the_zone_says_whatever_was_asked_before() {
        let mut day = date(2026, 1, 1);
        while day.year() == 2026 {
            for hour in 0..24 {
                let at = at_new_york(day, time(hour, 30, 0, 7));
                assert_eq!(at, looked_up(day, time(hour, 30, 0, 7)), "{day} {hour}");
                assert_eq!(at.new_york_date(), at.new_york().date(), "{day} {hour}");
            }
            day = day.tomorrow().unwrap();
        }
    }

    #[test]
    fn text_round_trips_to_the_nanosecond() {
        let t = UtcNanos::parse("2013-10-07T08:00:00.464000001Z").unwrap();
        assert_eq!(t.to_string(), "2013-10-07T08:00:00.464000001Z");
        assert_eq!(UtcNanos::parse("2013-10-07T04:00:00.464000001-04:00"), Some(t));
        assert_eq!(UtcNanos::parse("yesterday"), None);
    }

    #[test]
    fn floors_also_before_the_epoch() {
        assert_eq!(UtcNanos(-1).floor_to(NANOS_PER_SEC), UtcNanos(-NANOS_PER_SEC));
        assert_eq!(UtcNanos(1_999_999_999).floor_to(NANOS_PER_SEC), UtcNanos(NANOS_PER_SEC));
    }
}
