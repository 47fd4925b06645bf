//! Which schedules of a session are fired.

use std::time::Duration;

use domain::time::UtcNanos;

use super::course::Course;
use crate::schedule::Scheduled;

/// Which schedules of a session are fired: all of them cost most of the time and show nothing while nothing happens. What
/// is left out is a schedule that was missed.
pub(super) struct Thinned {
    start: UtcNanos,
    active_until: UtcNanos,
    flatten: UtcNanos,
    pages: UtcNanos,
    close: UtcNanos,
    settled: UtcNanos,
    calm: UtcNanos,
}

impl Thinned {
    pub(super) fn of(course: &Course) -> Self {
        let last = course.setups.last().map_or(course.start, |it| it.at);
        Self {
            start: course.start,
            active_until: last.plus(Duration::from_secs(240)),
            flatten: course.session.before_close(17),
            pages: course.session.before_close(6),
            close: course.session.close,
            settled: course.session.close.plus(Duration::from_secs(300)),
            calm: course.calm_at,
        }
    }

    pub(super) fn keeps(&self, at: UtcNanos, what: Scheduled) -> bool {
        let minute = at.since(self.start).as_secs() / 60;
        let is_busy = at <= self.active_until || self.flatten <= at;
        // What went wrong is found and cured in these minutes.
        let is_cure = self.calm <= at && at <= self.calm.plus(Duration::from_secs(600));
        match what {
            Scheduled::PortfolioSync => minute.is_multiple_of(4),
            // The settlement is booked in the first minutes after the close, late facts in the later ones.
            Scheduled::Reconcile if self.close < at => {
                is_cure || at <= self.settled || minute.is_multiple_of(4)
            }
            Scheduled::Reconcile if is_cure => true,
            Scheduled::Reconcile => minute.is_multiple_of(if is_busy { 4 } else { 16 }),
            Scheduled::FlatWatch => self.pages <= at || minute.is_multiple_of(4),
            Scheduled::Flatten | Scheduled::Report => true,
        }
    }
}
