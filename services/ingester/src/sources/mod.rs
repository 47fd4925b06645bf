//! Recorded sessions as market sources, from the tables their README describes.
//!
//! - [`SpyTicks`]: every SPY print and its one-second quotes; the index is SPY x 10 and says so, and the 0DTE chain
//!   is modelled around the real path. 2013-10-07 is such a day.
//! - [`SpxMinutes`]: the index by the minute and the real quotes of the option series recorded that day, nothing
//!   else. 2021-01-04 is such a day.
//!
//! A bar becomes its close at the bar's end less a nanosecond: nothing is known before it happened. Events of one
//! instant come quotes first, then option quotes, then prints, then the index made from them. A print is joined
//! with a quote strictly before it, so that order changes no join; it lets a decision made on a print see every
//! quote of its instant. A whole day is read once before it is handed out, so that a file that breaks in the middle
//! starts nothing.

mod daily;
mod equity;
mod spx_minutes;
mod spy_ticks;
mod table;
#[cfg(test)]
mod tests;
mod ticks;

use std::collections::BTreeSet;
use std::path::Path;

use domain::calendar::Session;
use domain::market::{MarketSource, SourceError};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{Date, Time};

pub use self::spx_minutes::SpxMinutes;
pub use self::spy_ticks::SpyTicks;
use self::table::{Table, broken};
pub use self::ticks::{LeftOut, Tick, Ticks};

/// Opens the recorded session of `date` in `dir`, by tick where there are ticks.
///
/// # Errors
/// [`SourceError`] where a file is missing or malformed, or no session of that date is recorded; the message then
/// names the dates that are.
pub fn open_recorded(dir: &Path, date: Date) -> Result<Box<dyn MarketSource>, SourceError> {
    if has_date(dir, spy_ticks::TRADES, date)? {
        return Ok(Box::new(SpyTicks::open(dir, date)?));
    }
    if has_date(dir, spx_minutes::INDEX, date)? && has_date(dir, spx_minutes::OPTIONS, date)? {
        return Ok(Box::new(SpxMinutes::open(dir, date)?));
    }
    Err(not_recorded(dir, date))
}

/// Why `date` cannot be opened: the file that is missing, or the dates that are there.
fn not_recorded(dir: &Path, date: Date) -> SourceError {
    let dates = |file| dates_of(dir, file);
    let listed = (|| {
        let (ticks, index) = (dates(spy_ticks::TRADES)?, dates(spx_minutes::INDEX)?);
        let options = dates(spx_minutes::OPTIONS)?;
        Ok(ticks.into_iter().chain(index.intersection(&options).copied()).collect::<BTreeSet<Date>>())
    })();
    match listed {
        Ok(there) => {
            let there: Vec<_> = there.iter().map(Date::to_string).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            let folder = dir.display().to_string();
            broken(&folder, 0, 0, format!("a recorded session of {date}; recorded here: {there}"))
        }
        Err(missing) => missing,
    }
}

/// The window of a New York date.
fn day(date: Date) -> (UtcNanos, UtcNanos) {
    let next = date.tomorrow().unwrap_or(date);
    (at_new_york(date, Time::midnight()), at_new_york(next, Time::midnight()))
}

/// Whether a table has rows of `date`; a table that is not there has none.
fn has_date(dir: &Path, file: &'static str, date: Date) -> Result<bool, SourceError> {
    if !dir.join(file).exists() {
        return Ok(false);
    }
    let (from, until) = day(date);
    let mut table = Table::open(dir, file, time_column(file))?;
    while let Some(ts) = table.next()? {
        if ts >= from {
            return Ok(ts < until);
        }
    }
    Ok(false)
}

/// The New York dates a table has rows of.
fn dates_of(dir: &Path, file: &'static str) -> Result<BTreeSet<Date>, SourceError> {
    let mut dates = BTreeSet::new();
    let mut until = UtcNanos(i64::MIN);
    let mut table = Table::open(dir, file, time_column(file))?;
    while let Some(ts) = table.next()? {
        if ts >= until {
            let date = ts.new_york_date();
            dates.insert(date);
            until = day(date).1;
        }
    }
    Ok(dates)
}

/// Bars are stamped with their opening, prints with their event.
fn time_column(file: &str) -> &'static [&'static str] {
    if file == spy_ticks::TRADES { &["ts_event"] } else { &["ts_open"] }
}

/// The exchange session of `date`, which a recorded day must have.
fn session_of(file: &str, date: Date) -> Result<Session, SourceError> {
    match Session::of(date) {
        Ok(Some(session)) => Ok(session),
        Ok(None) => Err(broken(file, 0, 0, format!("a trading day, but the exchange was closed on {date}"))),
        Err(error) => Err(broken(file, 0, 0, format!("a session within the calendar ({error})"))),
    }
}
