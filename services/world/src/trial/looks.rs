//! What must hold within a time: asked where nothing was in anybody's way since.

use std::time::Duration;

use domain::time::UtcNanos;

use super::engine::Engine;
use super::laws::{APART_AT_MOST, PROTECTED_WITHIN, meets};

impl Engine {
    /// INV7, while the broker answers and the market trades.
    pub(super) fn looks_after_legs(&self) {
        let now = self.now();
        let Some(since) = self.laws.apart_since().filter(|it| now.since(*it) > APART_AT_MOST) else { return };
        if now < self.course.session.close && !self.has_any(&[26, 33]) && !self.was_out(since) {
            self.laws.stands_apart();
        }
    }

    /// INV20, while the market trades and until the flatten: whoever closes makes the disaster orders end first.
    pub(super) fn looks_after_protection(&self) {
        let now = self.now();
        let Some(since) = self.laws.unprotected_since().filter(|it| now.since(*it) > PROTECTED_WITHIN) else {
            return;
        };
        let is_early = now < self.course.session.before_close(16);
        if is_early && !self.has_any(&[26, 28, 32, 33]) && !self.was_out(since) {
            self.laws.stands_unprotected();
        }
    }

    /// INV5, a second after a hard stop.
    pub(super) fn looks_after_hard_stop(&self, index: usize) {
        let since = self.now().minus(Duration::from_secs(1));
        // What stops or delays whoever carries the message delays the flatten with it.
        if !self.has_any(&[6, 7, 8, 9, 10, 12, 13, 14, 22, 25, 30]) && !self.was_out(since) {
            self.laws.hard_stop_began(index);
        }
    }

    /// Whether one of these classes of faults is in the session.
    pub(super) fn has_any(&self, classes: &[u8]) -> bool {
        classes.iter().any(|it| self.course.classes.contains(it))
    }

    /// Whether nothing could be expected of anybody at some time since.
    fn was_out(&self, since: UtcNanos) -> bool {
        meets(&self.outages, since, self.now())
    }
}
