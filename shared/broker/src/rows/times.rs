//! The market's clock and calendar as the broker tells them (TRADIER.md section 15.4). Both describe equities: index
//! options close later, expiring ones at the close.

use domain::time::UtcNanos;
use jiff::civil::{Date, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

/// What the market is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketState {
    /// Before the open.
    Premarket,
    /// Open.
    Open,
    /// After the close.
    Postmarket,
    /// Closed.
    Closed,
    /// A word we do not know: not open.
    Other,
}

impl MarketState {
    fn read(word: &str) -> Self {
        match word {
            "premarket" => Self::Premarket,
            "open" => Self::Open,
            "postmarket" => Self::Postmarket,
            "closed" => Self::Closed,
            _ => Self::Other,
        }
    }
}

/// The broker's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketClock {
    /// The market's day.
    pub date: Date,
    /// What the market is doing.
    pub state: MarketState,
    /// The broker's time.
    pub at: UtcNanos,
    /// When that changes, New York time.
    pub next_change: Option<Time>,
    /// What it changes to.
    pub next_state: Option<MarketState>,
    /// The broker's words.
    pub description: Option<String>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct ClockRow<'a> {
    date: Raw<'a>,
    description: Raw<'a>,
    state: Raw<'a>,
    timestamp: Raw<'a>,
    next_change: Raw<'a>,
    next_state: Raw<'a>,
}

/// The broker's clock.
///
/// # Errors
/// [`Unreadable`] without date, state and timestamp.
pub fn clock(body: &str) -> Result<MarketClock, Unreadable> {
    let row: ClockRow<'_> = json::parse(json::field(body, "clock", "clock")?.get(), "clock")?;
    let state = |raw| json::text(raw).map(|it| MarketState::read(&it));
    let at = json::whole(row.timestamp).and_then(json::epoch);
    Ok(MarketClock {
        date: json::date(row.date).ok_or(Unreadable("a clock's date"))?,
        state: state(row.state).ok_or(Unreadable("a clock's state"))?,
        at: at.ok_or(Unreadable("a clock's timestamp"))?,
        next_change: time(row.next_change),
        next_state: state(row.next_state),
        description: json::owned(row.description),
    })
}

/// `HH:MM`, New York time.
fn time(raw: Raw<'_>) -> Option<Time> {
    let text = json::text(raw)?;
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |it: &str| if it.len() == 2 { it.parse::<i8>().ok() } else { None };
    Time::new(two(hour)?, two(minute.get(..2)?)?, 0, 0).ok()
}

/// From when to when, New York time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayHours {
    /// From.
    pub start: Time,
    /// To.
    pub end: Time,
}

/// One day of the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarDay {
    /// The day.
    pub date: Date,
    /// Whether there is a session.
    pub open: bool,
    /// The broker's words: the name of a holiday.
    pub description: Option<String>,
    /// Before the open.
    pub premarket: Option<DayHours>,
    /// The session.
    pub regular: Option<DayHours>,
    /// After the close.
    pub postmarket: Option<DayHours>,
}

/// A month of the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarMonth {
    /// The year.
    pub year: i16,
    /// The month, from 1.
    pub month: i8,
    /// Its days, as the broker lists them.
    pub days: Vec<CalendarDay>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct CalendarRow<'a> {
    month: Raw<'a>,
    year: Raw<'a>,
    days: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct DayRow<'a> {
    date: Raw<'a>,
    status: Raw<'a>,
    description: Raw<'a>,
    premarket: Raw<'a>,
    open: Raw<'a>,
    postmarket: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct HoursRow<'a> {
    start: Raw<'a>,
    end: Raw<'a>,
}

/// A month of the calendar.
///
/// # Errors
/// [`Unreadable`] without month, year and days, and for an open day without its hours: a day of unknown length is not
/// a day to trade on.
pub fn calendar(body: &str) -> Result<CalendarMonth, Unreadable> {
    let row: CalendarRow<'_> = json::parse(json::field(body, "calendar", "calendar")?.get(), "calendar")?;
    let year = json::whole(row.year).and_then(|it| i16::try_from(it).ok());
    let month =
        json::whole(row.month).and_then(|it| i8::try_from(it).ok()).filter(|it| (1..=12).contains(it));
    let days =
        json::collection(row.days.ok_or(Unreadable("a calendar's days"))?, "day", "a calendar's days")?;
    Ok(CalendarMonth {
        year: year.ok_or(Unreadable("a calendar's year"))?,
        month: month.ok_or(Unreadable("a calendar's month"))?,
        days: days.into_iter().map(day).collect::<Result<_, _>>()?,
    })
}

fn day(raw: &RawValue) -> Result<CalendarDay, Unreadable> {
    let row: DayRow<'_> = json::parse(raw.get(), "a day")?;
    let open = match json::text(row.status).as_deref() {
        Some("open") => true,
        Some("closed") => false,
        _ => return Err(Unreadable("a day's status")),
    };
    let regular = hours(row.open)?;
    if open && regular.is_none() {
        return Err(Unreadable("the hours of an open day"));
    }
    Ok(CalendarDay {
        date: json::date(row.date).ok_or(Unreadable("a day's date"))?,
        open,
        description: json::owned(row.description),
        premarket: hours(row.premarket)?,
        regular,
        postmarket: hours(row.postmarket)?,
    })
}

fn hours(raw: Raw<'_>) -> Result<Option<DayHours>, Unreadable> {
    let Some(raw) = raw.filter(|it| !json::is_null(it)) else { return Ok(None) };
    let row: HoursRow<'_> = json::parse(raw.get(), "a day's hours")?;
    match (time(row.start), time(row.end)) {
        (Some(start), Some(end)) if start < end => Ok(Some(DayHours { start, end })),
        _ => Err(Unreadable("a day's hours")),
    }
}
