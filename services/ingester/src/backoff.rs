//! Waits that grow while something keeps failing, on this program's clock.

use std::time::Duration;

use broker::stream::Waits;
use tokio::time::Instant;

/// The wait before the next try, and until when it lasts.
#[derive(Debug)]
pub(crate) struct Backoff {
    waits: Waits,
    until: Option<Instant>,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { waits: Waits::new(first, longest), until: None }
    }

    /// It failed: the wait that follows.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = self.waits.failed();
        self.until = Instant::now().checked_add(wait);
        wait
    }

    /// It worked: the next failure waits as the first did.
    pub(crate) const fn worked(&mut self) {
        self.waits.worked();
        self.until = None;
    }

    /// What is left of the wait; zero when it may be tried.
    pub(crate) fn left(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |it| it.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_a_wait_shrinks_with_time_and_is_nothing_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(10));
        backoff.failed();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(backoff.left(), Duration::from_secs(2));
        backoff.worked();
        assert_eq!((backoff.left(), backoff.failed()), (Duration::ZERO, Duration::from_secs(5)));
    }
}
