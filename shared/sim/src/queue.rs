//! Standard queues in memory: at least once, counted receives, dead letters.
//!
//! Market time decides what is visible. Nothing is lost, repeated or reordered here; faults are put around it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use domain::ports::{Clock, Message, Queue, SendError, Sender};
use domain::time::UtcNanos;

/// How often a message is received before it is a dead letter.
pub const RECEIVES_MAX: u32 = 5;

/// A message in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The queue's id of it.
    pub id: u64,
    /// The message.
    pub message: Message,
    /// How often it was received, this time included.
    pub receives: u32,
}

#[derive(Debug, Clone)]
struct Waiting {
    message: Message,
    visible_at: UtcNanos,
    receives: u32,
    in_hand: bool,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: BTreeMap<(Queue, u64), Waiting>,
    dead: Vec<(Queue, Message)>,
}

/// The queues of one run.
#[derive(Debug)]
pub struct MemQueues<C> {
    clock: C,
    state: RefCell<State>,
}

impl<C: Clock> MemQueues<C> {
    /// Empty queues at `clock`'s time.
    pub fn new(clock: C) -> Self {
        Self { clock, state: RefCell::default() }
    }

    /// Takes every visible message of a queue in hand, in order of sending.
    pub fn receive(&self, queue: Queue) -> Vec<Held> {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        let mut held = Vec::new();
        for (key, waiting) in state.waiting.range_mut((queue, 0)..=(queue, u64::MAX)) {
            if !waiting.in_hand && waiting.visible_at <= now {
                waiting.in_hand = true;
                waiting.receives = waiting.receives.saturating_add(1);
                held.push(Held { id: key.1, message: waiting.message.clone(), receives: waiting.receives });
            }
        }
        held
    }

    /// The message was worked.
    pub fn delete(&self, queue: Queue, id: u64) {
        self.state.borrow_mut().waiting.remove(&(queue, id));
    }

    /// The message was not worked: it is visible again at `visible_at`, or a dead letter after its last receive.
    pub fn give_back(&self, queue: Queue, id: u64, visible_at: UtcNanos) {
        let mut state = self.state.borrow_mut();
        let Some(waiting) = state.waiting.get_mut(&(queue, id)) else { return };
        if waiting.receives >= RECEIVES_MAX {
            let message = waiting.message.clone();
            state.waiting.remove(&(queue, id));
            state.dead.push((queue, message));
            return;
        }
        waiting.in_hand = false;
        waiting.visible_at = visible_at;
    }

    /// When the next message becomes visible; `None` when nothing waits.
    pub fn next_visible(&self) -> Option<UtcNanos> {
        let state = self.state.borrow();
        state.waiting.values().filter(|it| !it.in_hand).map(|it| it.visible_at).min()
    }

    /// Messages that could not be worked, in order.
    pub fn dead(&self) -> Vec<(Queue, Message)> {
        self.state.borrow().dead.clone()
    }
}

impl<C: Clock> Sender for MemQueues<C> {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        let visible_at = self.clock.now().plus(delay);
        let mut state = self.state.borrow_mut();
        let id = state.next;
        state.next = id.saturating_add(1);
        let waiting = Waiting { message: message.clone(), visible_at, receives: 0, in_hand: false };
        state.waiting.insert((queue, id), waiting);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::block_on;
    use std::cell::Cell;

    struct At(Cell<UtcNanos>);
    impl Clock for At {
        fn now(&self) -> UtcNanos {
            self.0.get()
        }
    }

    fn alert(n: u8) -> Message {
        Message::Alert { key: n.to_string(), level: "info".to_owned(), text: String::new() }
    }

    #[test]
    fn a_message_is_seen_after_its_delay_and_again_until_it_is_dead() {
        let queues = MemQueues::new(At(Cell::new(UtcNanos(0))));
        block_on(queues.send(Queue::Exits, &alert(1), Duration::from_nanos(10))).unwrap().unwrap();
        assert_eq!((queues.receive(Queue::Exits), queues.next_visible()), (Vec::new(), Some(UtcNanos(10))));
        for receives in 1..=RECEIVES_MAX {
            queues.clock.0.set(UtcNanos(10 * i64::from(receives)));
            let held = queues.receive(Queue::Exits);
            assert_eq!(held.iter().map(|it| it.receives).collect::<Vec<_>>(), [receives]);
            assert_eq!(queues.receive(Queue::Exits), Vec::new(), "in hand");
            queues.give_back(Queue::Exits, held[0].id, UtcNanos(10 * i64::from(receives) + 10));
        }
        assert_eq!((queues.dead(), queues.next_visible()), (vec![(Queue::Exits, alert(1))], None));
    }
}
