//! Standard queues that lose, repeat, delay and reorder.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use domain::ports::{Clock as _, Message, Queue, SendError, Sender};
use domain::time::UtcNanos;
use sim::perils::{Peril, Perils, Port};

use crate::day::{RECEIVES_MAX, VISIBILITY};
use crate::parts::{Delivery, Mailboxes};
use crate::simulated::VirtualClock;

/// A message in a queue.
#[derive(Debug, Clone)]
struct Letter {
    queue: Queue,
    body: String,
    visible_at: UtcNanos,
    receives: u32,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    letters: BTreeMap<u64, Letter>,
    dead: Vec<(Queue, String)>,
    /// When letters become visible, since the last look.
    due: Vec<(UtcNanos, u64)>,
}

/// The queues of one session.
#[derive(Debug)]
pub(crate) struct Mail {
    clock: Rc<VirtualClock>,
    perils: Rc<Perils>,
    state: RefCell<State>,
}

impl Mail {
    pub(crate) fn new(clock: Rc<VirtualClock>, perils: Rc<Perils>) -> Self {
        Self { clock, perils, state: RefCell::default() }
    }

    /// Puts a body into a queue.
    pub(crate) fn put(&self, queue: Queue, body: String, delay: Duration) {
        let visible_at = self.clock.now().plus(delay);
        let mut state = self.state.borrow_mut();
        let id = state.next;
        state.next = id.saturating_add(1);
        state.due.push((visible_at, id));
        state.letters.insert(id, Letter { queue, body, visible_at, receives: 0 });
    }

    /// When letters become visible, of those since the last look.
    pub(crate) fn take_due(&self) -> Vec<(UtcNanos, u64)> {
        std::mem::take(&mut self.state.borrow_mut().due)
    }

    /// Receives one letter: it is in hand until its visibility time-out, and buried once it was received too often.
    pub(crate) fn receive_one(&self, id: u64) -> Option<(Queue, Delivery)> {
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        let letter = state.letters.get_mut(&id).filter(|it| it.visible_at <= now)?;
        if letter.receives >= RECEIVES_MAX {
            let letter = state.letters.remove(&id)?;
            state.dead.push((letter.queue, letter.body));
            return None;
        }
        letter.receives = letter.receives.saturating_add(1);
        letter.visible_at = now.plus(VISIBILITY);
        let delivery = Delivery {
            id: id.to_string(),
            receipt: id.to_string(),
            body: letter.body.clone(),
            receives: letter.receives,
        };
        let (queue, due) = (letter.queue, (letter.visible_at, id));
        state.due.push(due);
        Some((queue, delivery))
    }

    /// The letter was worked.
    pub(crate) fn delete_one(&self, id: u64) {
        self.state.borrow_mut().letters.remove(&id);
    }

    /// Puts dead letters back where they came from.
    pub(crate) fn redrive(&self) {
        let dead = std::mem::take(&mut self.state.borrow_mut().dead);
        for (queue, body) in dead {
            self.put(queue, body, Duration::ZERO);
        }
    }

    /// Bodies that wait or are dead, for whoever looks for what must not be in them.
    pub(crate) fn any_body(&self, is: impl Fn(&str) -> bool) -> bool {
        let state = self.state.borrow();
        state.letters.values().map(|it| &it.body).chain(state.dead.iter().map(|it| &it.1)).any(|it| is(it))
    }
}

impl Sender for Mail {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        let body = wire::message::encode(message);
        // Alerts are read where they are sent: who delivers them is another function's business.
        let drawn = if queue == Queue::Alerts {
            None
        } else {
            self.perils.strike("queue", queue.as_str(), Port::Letter)
        };
        match drawn {
            Some((Peril::LetterLost, _)) => {}
            Some((Peril::LetterTwice, amount)) => {
                self.put(queue, body.clone(), delay);
                let later =
                    Duration::from_millis(if amount % 2 == 0 { 0 } else { u64::from(amount % 20_000) });
                self.put(queue, body, delay.saturating_add(later));
            }
            Some((Peril::LetterLate, amount)) => {
                self.put(queue, body, delay.saturating_add(Duration::from_millis(u64::from(amount % 8_000))));
            }
            Some(_) | None => self.put(queue, body, delay),
        }
        Ok(())
    }
}

fn number(queue: Queue, delivery: &Delivery) -> Result<u64, SendError> {
    let why = || SendError { queue: queue.as_str(), why: format!("{:?} is not a receipt", delivery.receipt) };
    delivery.receipt.parse().map_err(|_| why())
}

impl Mailboxes for Mail {
    async fn receive(&self, queue: Queue) -> Result<Vec<Delivery>, SendError> {
        let now = self.clock.now();
        let visible: Vec<u64> = {
            let state = self.state.borrow();
            let visible = state.letters.iter().filter(|it| it.1.queue == queue && it.1.visible_at <= now);
            visible.map(|it| *it.0).collect()
        };
        Ok(visible.into_iter().filter_map(|id| self.receive_one(id)).map(|it| it.1).collect())
    }

    async fn delete(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        self.delete_one(number(queue, delivery)?);
        Ok(())
    }

    async fn give_back(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        let (id, now) = (number(queue, delivery)?, self.clock.now());
        let mut state = self.state.borrow_mut();
        if let Some(letter) = state.letters.get_mut(&id) {
            letter.visible_at = now;
            state.due.push((now, id));
        }
        Ok(())
    }

    async fn bury(&self, queue: Queue, delivery: &Delivery) -> Result<(), SendError> {
        let id = number(queue, delivery)?;
        let mut state = self.state.borrow_mut();
        if let Some(letter) = state.letters.remove(&id) {
            state.dead.push((letter.queue, letter.body));
        }
        Ok(())
    }
}
