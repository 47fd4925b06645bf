//! Time to the instant whose value settles an option, in seconds, so that the last day is right.

use domain::calendar::{NoCalendar, Session, last_trade, previous_session};
use domain::symbol::{OccSymbol, Settlement};
use domain::time::UtcNanos;

/// Seconds in the year of ACT/365.
const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;
/// An option about to stop trading is priced as if this much time were left, so that gamma stays finite.
const LEAST_SECONDS: f64 = 60.0;

/// The instant at which the value is taken that `series` settles on: the opening of its expiry for series that settle in
/// the morning (their last trade is the session before), its close for the others. A series listed for a closed day
/// settles the session before it.
///
/// # Errors
/// [`NoCalendar`] outside the years covered.
pub fn settlement_instant(series: &OccSymbol) -> Result<UtcNanos, NoCalendar> {
    match series.root.settlement() {
        Settlement::CashPm | Settlement::Physical => last_trade(series),
        Settlement::CashAm => match Session::of(series.expiry)? {
            Some(session) => Ok(session.open),
            None => previous_session(series.expiry).map(|it| it.open),
        },
    }
}

/// Years from `now` to the settlement of `series`, as [`years_between`] counts them.
///
/// # Errors
/// As [`settlement_instant`].
pub fn years_to_settlement(now: UtcNanos, series: &OccSymbol) -> Result<f64, NoCalendar> {
    settlement_instant(series).map(|it| years_between(now, it))
}

/// Years from `now` to `instant`, ACT/365 counted in seconds, at least 60 s.
pub fn years_between(now: UtcNanos, instant: UtcNanos) -> f64 {
    let seconds = instant.0.saturating_sub(now.0) as f64 / 1e9;
    seconds.max(LEAST_SECONDS) / SECONDS_PER_YEAR
}
