//! Values on the command line, checked before anything starts.

use domain::calendar::{NoCalendar, Session, next_session};
use jiff::civil::Date;

/// Reads the date of a session: `2026-11-20`, a day on which the exchange is open.
///
/// # Errors
/// What was expected, with the next session after a day without one.
pub fn session_date(text: &str) -> Result<Date, String> {
    let exact = text.len() == 10 && text.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    let date: Date = text
        .parse()
        .ok()
        .filter(|_| exact)
        .ok_or_else(|| format!("{text:?} is no date: expected year-month-day, such as 2026-11-20"))?;
    let explain = |it: NoCalendar| it.to_string();
    match Session::of(date).map_err(explain)? {
        Some(_) => Ok(date),
        None => {
            let next = next_session(date).map_err(explain)?;
            Err(format!("the exchange is closed on {date}: the next session is {}", next.date))
        }
    }
}

/// Reads a seed: a whole number, from which everything generated follows.
///
/// # Errors
/// What was expected.
pub fn seed(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| format!("{text:?} is no seed: expected a whole number from 0 to {}", u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_date_is_a_day_of_trading() {
        assert_eq!(session_date("2013-10-07"), Ok(date(2013, 10, 7)));
        assert_eq!(session_date("2026-11-27"), Ok(date(2026, 11, 27)));
        for (text, told) in [
            ("2026-11-26", "the next session is 2026-11-27"),
            ("2026-11-21", "the next session is 2026-11-23"),
            ("1999-01-04", "it covers 2010 to 2027"),
            ("2026-02-30", "such as 2026-11-20"),
            ("20261120", "such as 2026-11-20"),
            ("2026-11-20T10:00", "such as 2026-11-20"),
            ("today", "such as 2026-11-20"),
            ("", "such as 2026-11-20"),
        ] {
            let error = session_date(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_seed_is_a_whole_number() {
        assert_eq!(seed("0"), Ok(0));
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "-1", "+1", "1.5", "seven", "18446744073709551616"] {
            assert!(seed(text).unwrap_err().contains("expected a whole number"), "{text}");
        }
    }
}
