//! Macro windows and expirations: when a day's calendar forbids entries (spec 4, stage B; setups obey it too).
//!
//! Releases at 08:30: no entries before 09:45. Releases at 10:00: five minutes before to ten after. Auctions at 13:00: five
//! minutes around. Decisions of the FOMC: 13:30 to 15:00. Minutes of the FOMC: five minutes before to fifteen after.

use std::time::Duration;

use domain::calendar::{DayKind, NoCalendar, day_kind, previous_session};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{Date, Time, Weekday, time};
use serde::{Deserialize, Serialize};

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacroKind {
    /// Inflation, employment and others of 08:30.
    MorningRelease,
    /// ISM, job openings, sentiment: 10:00.
    TenOClockRelease,
    /// A treasury auction at 13:00.
    Auction,
    /// A decision of the FOMC, with its press conference.
    FomcDecision,
    /// Minutes of the FOMC.
    FomcMinutes,
    /// Another event, with its own window.
    Other {
        /// Minutes before it from which nothing is entered.
        before: u16,
        /// Minutes after it from which entries go on.
        after: u16,
    },
}

impl MacroKind {
    /// The name in traces and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MorningRelease => "morning_release",
            Self::TenOClockRelease => "ten_o_clock_release",
            Self::Auction => "auction",
            Self::FomcDecision => "fomc_decision",
            Self::FomcMinutes => "fomc_minutes",
            Self::Other { .. } => "other",
        }
    }

    /// The kind of an event by its usual name; `None` for a name that is not known, which needs a window of its own.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "CPI" | "NFP" | "PPI" | "PCE" | "GDP" | "RETAIL_SALES" | "JOBLESS_CLAIMS" => Self::MorningRelease,
            "ISM" | "ISM_SERVICES" | "JOLTS" | "SENTIMENT" => Self::TenOClockRelease,
            "AUCTION" => Self::Auction,
            "FOMC" | "FOMC_PRESSER" => Self::FomcDecision,
            "FOMC_MINUTES" => Self::FomcMinutes,
            _ => return None,
        })
    }
}

/// One publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MacroEvent {
    /// When it is published.
    pub at: UtcNanos,
    /// What it is.
    pub kind: MacroKind,
}

impl MacroEvent {
    /// From when until when no entry may be made because of it.
    pub fn window(&self) -> (UtcNanos, UtcNanos) {
        let (date, minutes) = (self.at.new_york_date(), |n: u64| Duration::from_secs(n * 60));
        match self.kind {
            MacroKind::MorningRelease => {
                (at_new_york(date, Time::midnight()), at_new_york(date, time(9, 45, 0, 0)))
            }
            MacroKind::TenOClockRelease => (self.at.minus(minutes(5)), self.at.plus(minutes(10))),
            MacroKind::Auction => (self.at.minus(minutes(5)), self.at.plus(minutes(5))),
            MacroKind::FomcDecision => {
                (at_new_york(date, time(13, 30, 0, 0)), at_new_york(date, time(15, 0, 0, 0)))
            }
            MacroKind::FomcMinutes => (self.at.minus(minutes(5)), self.at.plus(minutes(15))),
            MacroKind::Other { before, after } => {
                (self.at.minus(minutes(before.into())), self.at.plus(minutes(after.into())))
            }
        }
    }
}

/// What is known of the day's publications. "None known" and "not known" are different things.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacroCalendar {
    /// Nobody has told.
    #[default]
    Unavailable,
    /// These and no others.
    Known(Vec<MacroEvent>),
}

impl MacroCalendar {
    /// The publication whose window holds `now`; the outer `None` where the calendar is not known.
    pub fn holds(&self, now: UtcNanos) -> Option<Option<&MacroEvent>> {
        let Self::Known(events) = self else { return None };
        Some(events.iter().find(|it| {
            let (from, until) = it.window();
            from <= now && now < until
        }))
    }
}

/// What a day is besides trading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayFlags {
    /// The monthly series expire: the third Friday, or the session before it where that is a holiday.
    pub monthly_expiration: bool,
    /// And it is that of March, June, September or December.
    pub quarterly_expiration: bool,
    /// The session closes at 13:00.
    pub short_day: bool,
}

impl DayFlags {
    /// Of a New York date.
    ///
    /// # Errors
    /// [`NoCalendar`] outside the years covered.
    pub fn of(date: Date) -> Result<Self, NoCalendar> {
        let monthly_expiration = date == monthly_expiration(date)?;
        Ok(Self {
            monthly_expiration,
            quarterly_expiration: monthly_expiration && date.month() % 3 == 0,
            short_day: day_kind(date)? == DayKind::Short,
        })
    }
}

/// The monthly expiration of the month that `date` is in.
fn monthly_expiration(date: Date) -> Result<Date, NoCalendar> {
    let third = date.nth_weekday_of_month(3, Weekday::Friday).map_err(|_| NoCalendar(date))?;
    match day_kind(third)? {
        DayKind::Closed => previous_session(third).map(|it| it.date),
        DayKind::Full | DayKind::Short => Ok(third),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn no_entry_is_made_in_a_macro_window() {
        let day = date(2026, 11, 18);
        let at = |h, m, s| at_new_york(day, time(h, m, s, 0));
        for (kind, published, first, last, after) in [
            (MacroKind::MorningRelease, at(8, 30, 0), at(9, 30, 0), at(9, 44, 59), at(9, 45, 0)),
            (MacroKind::TenOClockRelease, at(10, 0, 0), at(9, 55, 0), at(10, 9, 59), at(10, 10, 0)),
            (MacroKind::Auction, at(13, 0, 0), at(12, 55, 0), at(13, 4, 59), at(13, 5, 0)),
            (MacroKind::FomcDecision, at(14, 0, 0), at(13, 30, 0), at(14, 59, 59), at(15, 0, 0)),
            (MacroKind::FomcMinutes, at(14, 0, 0), at(13, 55, 0), at(14, 14, 59), at(14, 15, 0)),
        ] {
            let calendar = MacroCalendar::Known(vec![MacroEvent { at: published, kind }]);
            let holds = |now| calendar.holds(now).unwrap().is_some();
            assert!(holds(first) && holds(last) && !holds(after), "{kind:?}");
        }
        assert!(MacroCalendar::Unavailable.holds(at(12, 0, 0)).is_none(), "not known is not none");
        assert_eq!(MacroCalendar::Known(Vec::new()).holds(at(12, 0, 0)), Some(None));
    }

    #[test]
    fn expirations_and_short_days_are_flagged() {
        for (day, flags) in [
            (date(2026, 11, 20), (true, false, false)),
            (date(2026, 12, 18), (true, true, false)),
            (date(2026, 11, 27), (false, false, true)),
            (date(2026, 11, 19), (false, false, false)),
            // The third Friday of April 2025 was Good Friday.
            (date(2025, 4, 17), (true, false, false)),
            (date(2025, 4, 18), (false, false, false)),
        ] {
            let it = DayFlags::of(day).unwrap();
            assert_eq!((it.monthly_expiration, it.quarterly_expiration, it.short_day), flags, "{day}");
        }
    }
}
