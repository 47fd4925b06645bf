//! Waits that grow while something keeps failing.

use std::time::Duration;

use tokio::time::Instant;

/// The wait before the next try: doubled by each failure up to a limit.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    until: Option<Instant>,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, until: None }
    }

    /// It failed: the wait that follows.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        self.until = Instant::now().checked_add(wait);
        wait
    }

    /// It worked: the next failure waits as the first did.
    pub(crate) const fn worked(&mut self) {
        self.next = self.first;
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
    async fn waits_double_up_to_the_limit_and_begin_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let waits: Vec<u64> = (0..5).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(backoff.left(), Duration::from_secs(2));
        backoff.worked();
        assert_eq!((backoff.left(), backoff.failed()), (Duration::ZERO, Duration::from_secs(1)));
    }
}
