//! The exchange calendar: which New York days trade, and until when.
//!
//! Rules rather than rows, so that recorded days of earlier years have a session too; a test compares every
//! weekday of 2024 to 2027 with a published table. Sources: NYSE holiday rules and notices (one-off closings), Cboe
//! hours (expiring SPXW stop at the equity close, other SPX options 15 minutes later).

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday, date, time};
use serde::{Deserialize, Serialize};

use crate::symbol::{OccSymbol, Settlement};
use crate::time::{UtcNanos, at_new_york};

/// The years the rules were checked for.
pub const YEARS: std::ops::RangeInclusive<i16> = 2010..=2027;

/// Days on which the exchanges stayed closed outside their rules.
const ONE_OFF_CLOSINGS: [Date; 4] =
    [date(2012, 10, 29), date(2012, 10, 30), date(2018, 12, 5), date(2025, 1, 9)];

/// What a date is to the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayKind {
    /// 09:30 to 16:00.
    Full,
    /// 09:30 to 13:00.
    Short,
    /// No session.
    Closed,
}

/// The date lies outside [`YEARS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no exchange calendar for {0}: it covers 2010 to 2027; extend domain::calendar")]
pub struct NoCalendar(pub Date);

/// The regular session of one New York date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The New York date.
    pub date: Date,
    /// 09:30.
    pub open: UtcNanos,
    /// 16:00, or 13:00 on short days: the last trade of series that expire today in the afternoon.
    pub close: UtcNanos,
    /// Whether it closes early.
    pub short: bool,
}

impl Session {
    /// The session of `date`; `None` when the exchange is closed.
    ///
    /// # Errors
    /// [`NoCalendar`] outside the years covered.
    pub fn of(date: Date) -> Result<Option<Self>, NoCalendar> {
        let close = match day_kind(date)? {
            DayKind::Closed => return Ok(None),
            DayKind::Full => time(16, 0, 0, 0),
            DayKind::Short => time(13, 0, 0, 0),
        };
        let short = close.hour() == 13;
        Ok(Some(Self {
            date,
            open: at_new_york(date, time(9, 30, 0, 0)),
            close: at_new_york(date, close),
            short,
        }))
    }

    /// The session whose New York date holds `now`.
    ///
    /// # Errors
    /// [`NoCalendar`] outside the years covered.
    pub fn at(now: UtcNanos) -> Result<Option<Self>, NoCalendar> {
        Self::of(now.new_york_date())
    }

    /// The first session after this date.
    ///
    /// # Errors
    /// [`NoCalendar`] past the last year covered.
    pub fn next(&self) -> Result<Self, NoCalendar> {
        next_session(self.date)
    }

    /// Whether `t` lies in the session, the close excluded.
    pub fn holds(&self, t: UtcNanos) -> bool {
        self.open <= t && t < self.close
    }

    /// `minutes` before the close.
    pub fn before_close(&self, minutes: u32) -> UtcNanos {
        self.close.minus(Duration::from_secs(u64::from(minutes) * 60))
    }

    /// A wall time of this date.
    pub fn wall(&self, t: Time) -> UtcNanos {
        at_new_york(self.date, t)
    }
}

/// The first session after `day`.
///
/// # Errors
/// [`NoCalendar`] past the last year covered.
pub fn next_session(day: Date) -> Result<Session, NoCalendar> {
    let mut day = day;
    loop {
        day = day.tomorrow().map_err(|_| NoCalendar(day))?;
        if let Some(session) = Session::of(day)? {
            return Ok(session);
        }
    }
}

/// The last session before `day`.
///
/// # Errors
/// [`NoCalendar`] before the first year covered.
pub fn previous_session(day: Date) -> Result<Session, NoCalendar> {
    let mut day = day;
    loop {
        day = day.yesterday().map_err(|_| NoCalendar(day))?;
        if let Some(session) = Session::of(day)? {
            return Ok(session);
        }
    }
}

/// The instant after which `series` no longer trades: the close of its expiry, or of the session before for series
/// that settle in the morning. A series listed for a closed day stops at the session before it.
///
/// # Errors
/// [`NoCalendar`] outside the years covered.
pub fn last_trade(series: &OccSymbol) -> Result<UtcNanos, NoCalendar> {
    let on_expiry = Session::of(series.expiry)?;
    match (series.root.settlement(), on_expiry) {
        (Settlement::CashPm | Settlement::Physical, Some(session)) => Ok(session.close),
        _ => previous_session(series.expiry).map(|it| it.close),
    }
}

/// What `day` is to the exchange.
///
/// # Errors
/// [`NoCalendar`] outside the years covered.
pub fn day_kind(day: Date) -> Result<DayKind, NoCalendar> {
    if !YEARS.contains(&day.year()) {
        return Err(NoCalendar(day));
    }
    if matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
        || is_holiday(day)
        || ONE_OFF_CLOSINGS.contains(&day)
    {
        return Ok(DayKind::Closed);
    }
    let midweek = !matches!(day.weekday(), Weekday::Friday);
    let short = match (day.month(), day.day()) {
        (7, 3) | (12, 24) => midweek,
        (11, d) => day.weekday() == Weekday::Friday && (23..=29).contains(&d),
        _ => false,
    };
    Ok(if short { DayKind::Short } else { DayKind::Full })
}

fn is_holiday(day: Date) -> bool {
    let (m, d, w) = (day.month(), day.day(), day.weekday());
    let nth_monday = |n: i8| w == Weekday::Monday && (d - 1) / 7 + 1 == n;
    // A holiday on Saturday is kept on Friday, one on Sunday on Monday; New Year's on Saturday is not kept at all.
    let observed =
        |hd: i8| d == hd || (w == Weekday::Friday && d + 1 == hd) || (w == Weekday::Monday && d == hd + 1);
    match m {
        1 => d == 1 || (w == Weekday::Monday && d == 2) || nth_monday(3),
        2 => nth_monday(3),
        3 | 4 => day == good_friday(day.year()),
        5 => w == Weekday::Monday && d > 24,
        6 => day.year() >= 2022 && observed(19),
        7 => observed(4),
        9 => nth_monday(1),
        11 => w == Weekday::Thursday && (22..=28).contains(&d),
        12 => observed(25),
        _ => false,
    }
}

/// The Friday before Easter (Gregorian computus, Meeus/Jones/Butcher).
fn good_friday(year: i16) -> Date {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    let easter = Date::new(year, month as i8, day as i8).unwrap_or(Date::ZERO);
    easter.checked_sub(jiff::Span::new().days(2)).unwrap_or(easter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_are_what_they_were() {
        for (day, kind) in [
            (date(2013, 10, 7), DayKind::Full),
            (date(2013, 7, 3), DayKind::Short),
            (date(2021, 1, 4), DayKind::Full),
            (date(2021, 12, 24), DayKind::Closed),
            (date(2022, 1, 3), DayKind::Full),
            (date(2023, 7, 3), DayKind::Short),
            (date(2025, 1, 9), DayKind::Closed),
            (date(2026, 7, 3), DayKind::Closed),
            (date(2026, 11, 27), DayKind::Short),
            (date(2027, 6, 18), DayKind::Closed),
            (date(2027, 12, 24), DayKind::Closed),
        ] {
            assert_eq!(day_kind(day), Ok(kind), "{day}");
        }
        assert_eq!(day_kind(date(2009, 12, 31)), Err(NoCalendar(date(2009, 12, 31))));
    }

    /// The published table lies beside the checkout, not in it.
    #[test]
    fn every_weekday_of_2024_to_2027_agrees_with_the_published_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/calendar.csv");
        let Ok(table) = std::fs::read_to_string(path) else {
            println!("skipped: {path} is not there");
            return;
        };
        let mut rows = 0;
        for line in table.lines().skip(1) {
            let mut cells = line.split(',');
            let day: Date = cells.next().unwrap().parse().unwrap();
            let kind = match cells.nth(1).unwrap() {
                "open" => DayKind::Full,
                "early_close" => DayKind::Short,
                _ => DayKind::Closed,
            };
            assert_eq!(day_kind(day), Ok(kind), "{day}");
            let open_utc = line.split(',').nth(7).unwrap();
            let session = Session::of(day).unwrap();
            assert_eq!(session.map(|it| it.open), UtcNanos::parse(open_utc), "{day} opens {open_utc}");
            rows += 1;
        }
        assert_eq!(rows, 1_045);
    }

    #[test]
    fn morning_settled_series_stop_the_session_before() {
        let am: OccSymbol = "SPX261120C05600000".parse().unwrap();
        let pm: OccSymbol = "SPXW261127C05600000".parse().unwrap();
        assert_eq!(last_trade(&am).map(|t| t.to_string()), Ok("2026-11-19T21:00:00.000000000Z".to_owned()));
        assert_eq!(last_trade(&pm).map(|t| t.to_string()), Ok("2026-11-27T18:00:00.000000000Z".to_owned()));
    }
}
