//! Minutes and days: time and sales, and history.

use domain::market::{Points, PrintCounts, Trade};
use domain::symbol::Underlying;
use domain::time::{NANOS_PER_SEC, UtcNanos, at_new_york};
use jiff::Span;
use jiff::civil::{Date, DateTime, Time, Weekday, time};
use serde::{Deserialize, Serialize};

use super::super::Sandbox;
use super::super::answer::Answer;
use super::super::book::UnderlyingState;
use super::super::params::{Invalid, Params};
use super::super::shape::Under;
use super::{Several, date};

const MINUTE_NS: i64 = 60 * NANOS_PER_SEC;
/// Minutes kept of a day: every one of it.
const MINUTES_MAX: usize = 1_440;

/// One minute's prints of an index or a share. Written as eight numbers: there are hundreds in a saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "[i64; 8]", from = "[i64; 8]")]
pub struct MinuteBar {
    /// Minutes since 1970.
    minute: i64,
    open: Points,
    high: Points,
    low: Points,
    close: Points,
    volume: i64,
    /// Price times weight over the prints, in 1/10,000.
    value: i64,
    /// Shares, or prints where there are no shares.
    weight: i64,
}

impl From<MinuteBar> for [i64; 8] {
    fn from(it: MinuteBar) -> Self {
        [it.minute, it.open.0, it.high.0, it.low.0, it.close.0, it.volume, it.value, it.weight]
    }
}

impl From<[i64; 8]> for MinuteBar {
    fn from([minute, open, high, low, close, volume, value, weight]: [i64; 8]) -> Self {
        let (open, high, low, close) = (Points(open), Points(high), Points(low), Points(close));
        Self { minute, open, high, low, close, volume, value, weight }
    }
}

impl MinuteBar {
    /// Adds a print to the day's minutes.
    pub(crate) fn add(bars: &mut Vec<Self>, trade: &Trade) {
        if trade.counts != PrintCounts::Everywhere {
            return;
        }
        let (minute, price) = (trade.ts.0.div_euclid(MINUTE_NS), trade.price);
        let weight = i64::from(trade.size.max(1));
        let value = price.0.saturating_mul(weight);
        let one = Self {
            minute,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: i64::from(trade.size),
            value,
            weight,
        };
        match bars.last_mut() {
            Some(last) if last.minute >= minute => last.take(&one),
            _ => {
                if bars.len() < MINUTES_MAX {
                    bars.push(one);
                }
            }
        }
    }

    /// Goes on with a later bar.
    fn take(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume = self.volume.saturating_add(later.volume);
        self.value = self.value.saturating_add(later.value);
        self.weight = self.weight.saturating_add(later.weight);
    }

    const fn at(&self) -> UtcNanos {
        UtcNanos(self.minute.saturating_mul(MINUTE_NS))
    }
}

/// One day of an index or a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayBar {
    /// The New York date.
    pub date: Date,
    /// The first value.
    pub open: Points,
    /// The highest.
    pub high: Points,
    /// The lowest.
    pub low: Points,
    /// The last at or before the close.
    pub close: Points,
    /// Shares traded; 0 for an index.
    pub volume: u64,
}

impl DayBar {
    /// A day as it stands; `None` before its first print.
    pub(crate) fn of(date: Date, state: &UnderlyingState) -> Option<Self> {
        Some(Self {
            date,
            open: state.open?,
            high: state.high?,
            low: state.low?,
            close: state.official.or(state.last)?,
            volume: state.volume,
        })
    }

    fn take(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume = self.volume.saturating_add(later.volume);
    }
}

#[derive(Serialize)]
struct DayRow {
    date: Date,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: u64,
}

#[derive(Serialize)]
struct SliceRow {
    time: String,
    timestamp: i64,
    price: f64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: i64,
    vwap: f64,
}

impl SliceRow {
    fn of(bar: &MinuteBar) -> Self {
        let dollars = |cents4: f64| (cents4 / 10_000.0 * 1e5).round() / 1e5;
        Self {
            time: bar.at().new_york().strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            timestamp: bar.at().secs(),
            price: dollars((bar.high.0 as f64 + bar.low.0 as f64) / 2.0),
            open: bar.open.to_f64(),
            high: bar.high.to_f64(),
            low: bar.low.to_f64(),
            close: bar.close.to_f64(),
            volume: bar.volume,
            vwap: dollars(bar.value as f64 / bar.weight.max(1) as f64),
        }
    }
}

/// Which prints of a day, and how far back they are kept, in days.
#[derive(Clone, Copy)]
struct Slice {
    minutes: i64,
    depth_open: i32,
    depth_all: i32,
}

impl Slice {
    /// `None` for single prints, which the paper environment does not keep.
    fn of(params: &Params<'_>) -> Result<Option<Self>, Invalid> {
        let bars = |minutes, depth_open, depth_all| Ok(Some(Self { minutes, depth_open, depth_all }));
        match params.get("interval").unwrap_or("tick") {
            "tick" => Ok(None),
            "1min" => bars(1, 20, 10),
            "5min" => bars(5, 40, 18),
            "15min" => bars(15, 40, 18),
            _ => Err(Invalid::new("interval", "must be one of tick, 1min, 5min, 15min.")),
        }
    }

    fn fold(self, minutes: impl Iterator<Item = MinuteBar>) -> Vec<MinuteBar> {
        let mut slices: Vec<MinuteBar> = Vec::new();
        for bar in minutes {
            let minute = bar.minute.saturating_sub(bar.minute.rem_euclid(self.minutes));
            match slices.last_mut() {
                Some(last) if last.minute == minute => last.take(&bar),
                _ => slices.push(MinuteBar { minute, ..bar }),
            }
        }
        slices
    }
}

impl Sandbox {
    pub(super) fn timesales(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let symbol = params.need("symbol")?;
        let slice = Slice::of(params)?;
        let open_only = open_only(params)?;
        let start = moment(params, "start", time(0, 0, 0, 0))?;
        let end = moment(params, "end", time(23, 59, 59, 0))?;
        let depth = slice.map_or(5, |it| if open_only { it.depth_open } else { it.depth_all });
        let today = self.now.new_york_date();
        let earliest = today.saturating_sub(Span::new().days(depth));
        if start.is_some_and(|it| it.new_york_date() < earliest) {
            return Err(Invalid::new("start", &format!("must be on or after {earliest}.")));
        }
        let known = symbol.to_ascii_uppercase().parse::<Underlying>().ok();
        let rows: Vec<SliceRow> = match (known, slice) {
            (Some(underlying), Some(slice)) => {
                let within = |bar: &&MinuteBar| {
                    start.is_none_or(|it| it <= bar.at())
                        && end.is_none_or(|it| bar.at() <= it)
                        && (!open_only || self.session.holds(bar.at()))
                };
                let minutes = self.book.minutes(&underlying).iter().filter(within).copied();
                slice.fold(minutes).iter().map(SliceRow::of).collect()
            }
            _ => Vec::new(),
        };
        Ok(Answer::json(&Under("series", Several::some(rows).map(|it| Under("data", it)))))
    }

    pub(super) fn history(&self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let symbol = params.need("symbol")?;
        let period: fn(Date) -> Date = match params.get("interval").unwrap_or("daily") {
            "daily" => |day| day,
            "weekly" => week_of,
            "monthly" => Date::first_of_month,
            _ => return Err(Invalid::new("interval", "must be one of daily, weekly, monthly.")),
        };
        open_only(params)?;
        let (start, end) = (date(params, "start")?, date(params, "end")?);
        let known = symbol.to_ascii_uppercase().parse::<Underlying>().ok();
        let days = known.map(|it| self.days_of(&it)).unwrap_or_default();
        let mut rows: Vec<(Date, DayBar)> = Vec::new();
        let within =
            |day: &DayBar| start.is_none_or(|it| it <= day.date) && end.is_none_or(|it| day.date <= it);
        for day in days.into_iter().filter(within) {
            match rows.last_mut() {
                Some((first, bar)) if *first == period(day.date) => bar.take(&day),
                _ => rows.push((period(day.date), day)),
            }
        }
        let row = |(_, day): (Date, DayBar)| DayRow {
            date: day.date,
            open: day.open.to_f64(),
            high: day.high.to_f64(),
            low: day.low.to_f64(),
            close: day.close.to_f64(),
            volume: day.volume,
        };
        let rows = Several::some(rows.into_iter().map(row).collect()).map(|it| Under("day", it));
        Ok(Answer::json(&Under("history", rows)))
    }

    /// The days it knows of, today as far as it has come.
    fn days_of(&self, underlying: &Underlying) -> Vec<DayBar> {
        let mut days = self.book.days(underlying).to_vec();
        let today = self.book.underlying(underlying);
        days.extend(today.and_then(|it| DayBar::of(self.session.date, it)));
        days
    }
}

/// The Monday of a week.
fn week_of(day: Date) -> Date {
    day.saturating_sub(Span::new().days(day.weekday().since(Weekday::Monday)))
}

fn open_only(params: &Params<'_>) -> Result<bool, Invalid> {
    match params.get("session_filter") {
        None | Some("all") => Ok(false),
        Some("open") => Ok(true),
        Some(_) => Err(Invalid::new("session_filter", "must be all or open.")),
    }
}

/// A moment in New York: `2026-11-20 09:30`, with seconds or without, or a date, at `bare`.
fn moment(params: &Params<'_>, name: &str, bare: Time) -> Result<Option<UtcNanos>, Invalid> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let wrong = || Invalid::new(name, "must be a time such as 2026-11-20 09:30.");
    let at: DateTime = match text.len() {
        10 => text.parse::<Date>().map_err(|_| wrong())?.to_datetime(bare),
        16 | 19 => text.replace('T', " ").parse().map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    Ok(Some(at_new_york(at.date(), at.time())))
}
