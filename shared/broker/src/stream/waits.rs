//! Waits that grow while something keeps failing.

use std::time::Duration;

/// The wait before the next try: doubled by each failure up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Waits {
    /// Waits from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// It failed: the wait that follows.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        wait
    }

    /// It worked: the next failure waits as the first did.
    pub const fn worked(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_begin_anew_after_success() {
        let mut waits = Waits::new(Duration::from_secs(1), Duration::from_secs(5));
        let seconds: Vec<u64> = (0..5).map(|_| waits.failed().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 5, 5]);
        waits.worked();
        assert_eq!(waits.failed(), Duration::from_secs(1));
    }
}
