//! How often what ends by itself is started again, and how long that waits.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

/// What ran this long had started well: earlier failures are forgotten.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How often in a row it may end by itself.
const FAILURES_MAX: u32 = 5;
/// The first wait, doubled each time.
const WAIT: Duration = Duration::from_millis(100);

/// Counts how often something ended by itself.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    failures: u32,
}

impl Restarts {
    /// It ended after running for `ran`: how long to wait before it is started again, `None` to give up. What a signal
    /// ended was ended by somebody else, who may do that as often as they like.
    pub(crate) fn after(&mut self, ran: Duration, ended: &std::io::Result<ExitStatus>) -> Option<Duration> {
        if ended.as_ref().is_ok_and(|it| it.signal().is_some()) {
            return Some(WAIT);
        }
        self.failures = if ran >= WELL_AFTER { 1 } else { self.failures.saturating_add(1) };
        (self.failures <= FAILURES_MAX).then(|| WAIT.saturating_mul(1 << self.failures))
    }
}

/// How it ended, in words.
pub(crate) fn words(ended: &std::io::Result<ExitStatus>) -> String {
    ended.as_ref().map_or_else(ToString::to_string, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_at_once_is_given_up_and_what_ran_well_begins_anew() {
        let mut restarts = Restarts::default();
        let (short, failed) = (Duration::from_secs(1), Ok(ExitStatus::from_raw(1 << 8)));
        let waits: Vec<_> = (0..6).map(|_| restarts.after(short, &failed).map(|it| it.as_millis())).collect();
        assert_eq!(waits, [Some(200), Some(400), Some(800), Some(1_600), Some(3_200), None]);
        assert_eq!(restarts.after(WELL_AFTER, &failed), Some(Duration::from_millis(200)));
    }

    #[test]
    fn what_is_killed_is_started_again_however_often() {
        let mut restarts = Restarts::default();
        let killed = Ok(ExitStatus::from_raw(9));
        assert!((0..100).all(|_| restarts.after(Duration::from_secs(1), &killed) == Some(WAIT)));
    }
}
