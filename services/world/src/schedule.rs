//! The day's schedules in New York time, by the exchange calendar: what EventBridge Scheduler does in the cloud.

use std::time::Duration;

use domain::account::Switches;
use domain::calendar::Session;
use domain::time::UtcNanos;

/// How long before the open the books are compared with the broker for the first time.
pub const OPENING_RECONCILIATION: Duration = Duration::from_secs(60);
/// How long after the close the report is written.
pub const REPORT_AFTER: Duration = Duration::from_secs(15 * 60);

const MINUTE: Duration = Duration::from_secs(60);

/// A function that is started by the clock. At one instant the earlier variant is started first: what is held must be
/// known before it is closed, and closed before it is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheduled {
    /// Balances and the daily loss, each minute of the session, the close included.
    PortfolioSync,
    /// Books against broker, each minute from before the first entry until the report.
    Reconcile,
    /// At the open what is held is noted beside the database; later everything that expires today is closed: once, its
    /// follow-ups are messages.
    Flatten,
    /// Whether it is closed, each minute of the last ones, the close included.
    FlatWatch,
    /// The day's report.
    Report,
}

impl Scheduled {
    /// The function's name.
    pub const fn function(self) -> &'static str {
        match self {
            Self::PortfolioSync => "portfolio-sync",
            Self::Reconcile => "reconcile",
            Self::Flatten => "flatten",
            Self::FlatWatch => "flat-watch",
            Self::Report => "report",
        }
    }
}

/// Everything that is scheduled for a session, in order.
pub fn of(session: &Session, switches: &Switches) -> Vec<(UtcNanos, Scheduled)> {
    let report = session.close.plus(REPORT_AFTER);
    let mut due = Vec::new();
    let mut each_minute = |from: UtcNanos, before: UtcNanos, what| {
        let mut at = from;
        while at < before {
            due.push((at, what));
            at = at.plus(MINUTE);
        }
    };
    each_minute(session.open.minus(OPENING_RECONCILIATION), report, Scheduled::Reconcile);
    let after_close = session.close.plus(MINUTE);
    each_minute(session.open, after_close, Scheduled::PortfolioSync);
    let pages_until = session.close.plus(flat_watch::PAGES_AFTER_CLOSE);
    each_minute(session.before_close(switches.watchdog_minutes), pages_until, Scheduled::FlatWatch);
    due.push((session.open, Scheduled::Flatten));
    due.push((session.before_close(switches.flatten_minutes), Scheduled::Flatten));
    due.push((report, Scheduled::Report));
    due.sort_unstable();
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Date, date};

    fn times(day: Date, what: Scheduled) -> Vec<String> {
        let session = Session::of(day).unwrap().unwrap();
        let due = of(&session, &Switches::default());
        assert!(due.is_sorted());
        let wall = |it: &UtcNanos| it.new_york().strftime("%H:%M:%S").to_string();
        due.iter().filter(|it| it.1 == what).map(|it| wall(&it.0)).collect()
    }

    #[test]
    fn a_full_day_is_scheduled_in_new_york_time_summer_and_winter() {
        for day in [date(2026, 7, 17), date(2026, 11, 20)] {
            assert_eq!(times(day, Scheduled::Flatten), ["09:30:00", "15:45:00"]);
            assert_eq!(times(day, Scheduled::Report), ["16:15:00"]);
            let watch = times(day, Scheduled::FlatWatch);
            assert_eq!((watch.len(), watch[0].as_str(), watch[14].as_str()), (15, "15:47:00", "16:01:00"));
            let sync = times(day, Scheduled::PortfolioSync);
            assert_eq!((sync.len(), sync[0].as_str(), sync[390].as_str()), (391, "09:30:00", "16:00:00"));
            let reconcile = times(day, Scheduled::Reconcile);
            assert_eq!(
                (reconcile.len(), reconcile[0].as_str(), reconcile[405].as_str()),
                (406, "09:29:00", "16:14:00")
            );
        }
    }

    #[test]
    fn a_short_day_ends_three_hours_earlier() {
        let day = date(2026, 11, 27);
        assert_eq!(times(day, Scheduled::Flatten), ["09:30:00", "12:45:00"]);
        assert_eq!(times(day, Scheduled::FlatWatch).last().unwrap(), "13:01:00");
        assert_eq!(times(day, Scheduled::Report), ["13:15:00"]);
        assert_eq!(times(day, Scheduled::PortfolioSync).len(), 211);
    }

    #[test]
    fn the_deployment_chooses_when_it_flattens_and_watches() {
        let session = Session::of(date(2026, 11, 20)).unwrap().unwrap();
        let switches = Switches { flatten_minutes: 30, watchdog_minutes: 5, ..Switches::default() };
        let due = of(&session, &switches);
        let first = |what| due.iter().find(|it| it.1 == what && it.0 > session.open).unwrap().0;
        assert_eq!(first(Scheduled::Flatten), session.before_close(30));
        assert_eq!(first(Scheduled::FlatWatch), session.before_close(5));
    }
}
