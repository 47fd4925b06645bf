//! The clock and the calendar: equity hours, which know nothing of index options (TRADIER.md section 15.4).

use domain::calendar::{DayKind, day_kind};
use domain::time::at_new_york;
use jiff::civil::{Date, Time, Weekday, time};
use serde::Serialize;

use super::super::Sandbox;
use super::super::answer::Answer;
use super::super::params::{Invalid, Params};
use super::super::shape::Under;
use super::Several;

const PREMARKET: Hours = Hours { start: "07:00", end: "09:24" };

#[derive(Serialize)]
struct ClockRow {
    date: Date,
    description: String,
    state: &'static str,
    timestamp: i64,
    next_change: &'static str,
    next_state: &'static str,
}

#[derive(Serialize)]
struct Calendar {
    month: i8,
    year: i16,
    days: Option<Under<Several<CalendarDay>>>,
}

#[derive(Serialize)]
struct Hours {
    start: &'static str,
    end: &'static str,
}

#[derive(Serialize)]
struct CalendarDay {
    date: Date,
    status: &'static str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    premarket: Option<Hours>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Hours>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postmarket: Option<Hours>,
}

/// When equities close and when their after-hours session ends.
const fn closes(kind: DayKind) -> Option<(&'static str, &'static str)> {
    match kind {
        DayKind::Full => Some(("16:00", "19:55")),
        DayKind::Short => Some(("13:00", "17:00")),
        DayKind::Closed => None,
    }
}

impl CalendarDay {
    fn of(date: Date, kind: DayKind) -> Self {
        let Some((close, end)) = closes(kind) else {
            return Self {
                date,
                status: "closed",
                description: closed(date),
                premarket: None,
                open: None,
                postmarket: None,
            };
        };
        Self {
            date,
            status: "open",
            description: "Market is open".to_owned(),
            premarket: Some(PREMARKET),
            open: Some(Hours { start: "09:30", end: close }),
            postmarket: Some(Hours { start: close, end }),
        }
    }
}

fn closed(date: Date) -> String {
    match holiday(date) {
        Some(name) => format!("Market is closed for {name}"),
        None => "Market is closed".to_owned(),
    }
}

/// What a weekday on which the exchanges are closed is called; it may be the day on which the holiday is observed.
fn holiday(date: Date) -> Option<&'static str> {
    if matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) {
        return None;
    }
    match (date.month(), date.day()) {
        (1, 1..=2) | (12, 31) => Some("New Year's Day"),
        (1, 15..=21) => Some("Martin Luther King, Jr. Day"),
        (2, 15..=21) => Some("Washington's Birthday"),
        (3 | 4, _) => Some("Good Friday"),
        (5, _) => Some("Memorial Day"),
        (6, _) => Some("Juneteenth National Independence Day"),
        (7, _) => Some("Independence Day"),
        (9, _) => Some("Labor Day"),
        (11, _) => Some("Thanksgiving Day"),
        (12, 24..=26) => Some("Christmas Day"),
        _ => None,
    }
}

impl Sandbox {
    pub(super) fn clock(&self) -> Answer {
        let (now, date) = (self.now, self.now.new_york_date());
        // Outside the years of the calendar nothing is known to be open.
        let kind = day_kind(date).unwrap_or(DayKind::Closed);
        let passed = |hour, minute| at_new_york(date, wall(hour, minute)) <= now;
        let (state, description, next_change, next_state) = match closes(kind) {
            None => ("closed", closed(date), "07:00", "premarket"),
            Some((close, end)) => {
                let (shut, late) =
                    if kind == DayKind::Short { ((13, 0), (17, 0)) } else { ((16, 0), (19, 55)) };
                let plain = || "Market is closed".to_owned();
                if !passed(7, 0) || passed(late.0, late.1) {
                    ("closed", plain(), "07:00", "premarket")
                } else if passed(shut.0, shut.1) {
                    ("postmarket", plain(), end, "closed")
                } else if passed(9, 30) {
                    ("open", format!("Market is open from 09:30 to {close}"), close, "postmarket")
                } else {
                    ("premarket", plain(), "09:30", "open")
                }
            }
        };
        let row = ClockRow { date, description, state, timestamp: now.secs(), next_change, next_state };
        Answer::json(&Under("clock", row))
    }

    pub(super) fn calendar(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let today = self.now.new_york_date();
        let number = |name: &str, default: i16| match params.get(name) {
            None => Ok(default),
            Some(text) => text.parse::<i16>().map_err(|_| Invalid::new(name, "is not valid.")),
        };
        let (year, month) = (number("year", today.year())?, number("month", i16::from(today.month()))?);
        let month = i8::try_from(month).map_err(|_| Invalid::new("month", "is not valid."))?;
        let month =
            (1..=12).contains(&month).then_some(month).ok_or(Invalid::new("month", "is not valid."))?;
        let first = Date::new(year, month, 1).map_err(|_| Invalid::new("year", "is not valid."))?;
        let days = first.series(jiff::Span::new().days(1)).take_while(|it| it.month() == month);
        let days: Vec<_> =
            days.filter_map(|day| day_kind(day).ok().map(|kind| CalendarDay::of(day, kind))).collect();
        let days = Several::some(days).map(|it| Under("day", it));
        Ok(Answer::json(&Under("calendar", Calendar { month, year, days })))
    }
}

const fn wall(hour: i8, minute: i8) -> Time {
    time(hour, minute, 0, 0)
}
