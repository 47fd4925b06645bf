//! Decisions made again from the books as they stood (INV13).

use domain::ports::{Clock, Message, Queue};
use domain::time::UtcNanos;
use sim::conformance::block_on;
use sim::ledger::MemLedger;
use sim::perils::mixed;
use transitions::Transitions;

use super::engine::Engine;
use crate::simulated::switches;

/// One decision in so many is made again.
const ONE_IN: u64 = 16;

/// The books before a decision, with what it decides on and when.
pub(super) struct Replay {
    books: MemLedger,
    message: Message,
    at: UtcNanos,
    faults: usize,
}

/// A clock that stands.
struct Standing(UtcNanos);

impl Clock for Standing {
    fn now(&self) -> UtcNanos {
        self.0
    }
}

impl Engine {
    /// Keeps the books as task `id` will read them, now and then.
    pub(super) fn before_decision(&self, id: u64, queue: Queue, body: &str) -> Option<Replay> {
        let is_drawn = mixed(self.course.seed ^ id).is_multiple_of(ONE_IN);
        let message = wire::message::decode(body).ok().filter(|_| queue == Queue::Transitions && is_drawn)?;
        Some(Replay {
            books: MemLedger::from_state(self.parts.books.snapshot()),
            message,
            at: UtcNanos(self.now().0.saturating_add(self.skew_of(id))),
            faults: self.parts.perils.count(),
        })
    }

    /// INV13: the same books at the same instant make the same decision, gates, sizes and reasons included.
    pub(super) fn decide_again(&self, id: u64, replay: &Replay) {
        // A worker that stands still, or met a fault, did not decide on these books alone.
        if self.tasks.contains_key(&id) || self.parts.perils.count() > replay.faults {
            return;
        }
        let clock = Standing(replay.at);
        let function = Transitions { ledger: &replay.books, clock: &clock, switches: switches() };
        if block_on(function.handle(&replay.message)).is_err() {
            return self.laws.decided_otherwise("a decision made again does not end");
        }
        let (books, again) = (&self.parts.books, &replay.books);
        for intent in books.intent_ids() {
            let decided = books.look(intent, |it| format!("{it:?}"));
            let is_same = again.look(intent, |it| format!("{it:?}")) == decided
                && again.gates(intent) == books.gates(intent)
                && again.breakdown(intent) == books.breakdown(intent);
            if !is_same {
                return self.laws.decided_otherwise(&format!("intent {intent} was decided otherwise again"));
            }
        }
    }
}
