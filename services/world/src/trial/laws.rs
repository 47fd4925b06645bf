//! The invariants, asked at every step: of each write into the books as it is committed, of each line of the broker's
//! transcript, and of the whole when it has come to rest.

mod broker;
mod entry;
mod prompt;
mod protected;
mod requests;
mod rest;
mod states;
mod structures;
mod witness;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use domain::ids::{IntentId, OrderTag, SetupId};
use domain::money::{Side, Usd};
use domain::ports::{Clock as _, IntentView};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use sim::broker::{OrderType, Sandbox};
use sim::ledger::MemLedger;

pub(crate) use protected::PROTECTED_WITHIN;
pub(crate) use rest::Entries;
pub(crate) use structures::APART_AT_MOST;

use entry::Entry;
use states::{Kept, backwards, kept};
use structures::Structure;

use super::tape::Tape;
use crate::simulated::{Member, VirtualClock};

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, from 1 to 20.
    pub invariant: u8,
    /// When, market time.
    pub at: UtcNanos,
    /// After how many events.
    pub step: u64,
    /// What was seen.
    pub what: String,
}

/// A committed mark.
#[derive(Debug, Clone, Copy)]
struct Marked {
    at: UtcNanos,
    opens: bool,
}

/// A hard stop, and the accounts with something to close whose flatten has not begun.
#[derive(Debug, Clone)]
struct HardStop {
    at: UtcNanos,
    waiting: BTreeSet<usize>,
    is_scheduled: bool,
}

/// An order at the broker.
#[derive(Debug, Clone)]
struct Order {
    tag: Option<OrderTag>,
    is_foreign: bool,
    account: usize,
    kind: OrderType,
    legs: Vec<OrderLeg>,
}

/// A leg of an order.
#[derive(Debug, Clone, Copy)]
struct OrderLeg {
    series: OccSymbol,
    side: Side,
    quantity: u32,
    executed: u32,
    /// Contracts executed under a dollar, and from a dollar on: the exchange charges them differently.
    tiers: [u32; 2],
}

/// What an account holds of a series: ours by tag, bought and sold, and everything.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    long: i64,
    short: i64,
    all: i64,
}

impl Held {
    /// What of ours is there, below zero when short: no more than the broker shows on that side.
    fn ours(&self) -> i64 {
        let net = self.long.saturating_sub(self.short);
        if net > 0 { net.min(self.all).max(0) } else { net.max(self.all).min(0) }
    }
}

#[derive(Debug, Default)]
struct Seen {
    kept: BTreeMap<IntentId, Kept>,
    entries: BTreeMap<IntentId, Entry>,
    marks: BTreeMap<OrderTag, Marked>,
    posted: BTreeMap<OrderTag, u32>,
    accepted: BTreeSet<OrderTag>,
    orders: BTreeMap<u64, Order>,
    /// Contracts executed by intent, over all its series, and by intent and series.
    executed: BTreeMap<IntentId, u32>,
    executed_of: BTreeMap<(IntentId, OccSymbol), u32>,
    structures: BTreeMap<IntentId, Structure>,
    /// Single longs that nothing at the broker would sell, and since when.
    unprotected: BTreeMap<(usize, OccSymbol), UtcNanos>,
    held: BTreeMap<(usize, OccSymbol), Held>,
    /// What our orders brought each account, charges taken.
    flows: BTreeMap<usize, Usd>,
    /// What somebody sold by hand, or bought back of what we are short.
    by_hand: BTreeSet<(usize, OccSymbol)>,
    /// Tasks whose connection to the books broke.
    broken: BTreeSet<u64>,
    /// Intents some call of whose own steps met a peril.
    hit: BTreeSet<IntentId>,
    /// When somebody on the way of an entry met a peril, and until when others may have waited for it.
    hits: Vec<(UtcNanos, UtcNanos)>,
    /// Requests that change orders, by account: since when the minute counts, and how many.
    windows: BTreeMap<String, (UtcNanos, u32)>,
    hard_stops: Vec<HardStop>,
    /// Alerts, when they were due and how long they took.
    alerts: BTreeMap<String, UtcNanos>,
    alerted: BTreeSet<String>,
    delays: Vec<Duration>,
    signals: BTreeMap<SetupId, UtcNanos>,
    /// Open at the close, to be paged.
    left_open: Vec<(usize, OccSymbol, i64)>,
    violations: Vec<Violation>,
    hash: u64,
    fills: u64,
    story: Option<Vec<String>>,
    late_until: Option<UtcNanos>,
}

/// Who watches a session.
pub(crate) struct Laws {
    books: Rc<MemLedger>,
    time: Rc<VirtualClock>,
    tape: Rc<Tape>,
    sandbox: Rc<RefCell<Sandbox>>,
    members: Vec<Member>,
    steps: Cell<u64>,
    /// The message that a task works.
    works: RefCell<BTreeMap<u64, String>>,
    seen: RefCell<Seen>,
}

impl Laws {
    pub(crate) fn new(
        books: Rc<MemLedger>,
        time: Rc<VirtualClock>,
        tape: Rc<Tape>,
        sandbox: Rc<RefCell<Sandbox>>,
        members: Vec<Member>,
        is_told: bool,
    ) -> Self {
        let seen = Seen { hash: 0xcbf2_9ce4_8422_2325, story: is_told.then(Vec::new), ..Seen::default() };
        Self {
            books,
            time,
            tape,
            sandbox,
            members,
            steps: Cell::new(0),
            works: RefCell::default(),
            seen: RefCell::new(seen),
        }
    }

    /// One event more.
    pub(crate) fn step(&self) {
        self.steps.set(self.steps.get().saturating_add(1));
    }

    pub(crate) const fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// `task` works the message with this body.
    pub(crate) fn works(&self, task: u64, body: &str) {
        self.works.borrow_mut().insert(task, body.to_owned());
    }

    /// `task` works no more.
    pub(crate) fn rests(&self, task: u64) {
        self.works.borrow_mut().remove(&task);
    }

    /// A setup triggered.
    pub(crate) fn signalled(&self, setup: SetupId, at: UtcNanos) {
        self.seen.borrow_mut().signals.insert(setup, at);
    }

    /// A line of the story, where somebody reads it.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        let now = self.time.now();
        if let Some(story) = &mut self.seen.borrow_mut().story {
            let wall = now.new_york().strftime("%H:%M:%S%.3f");
            story.push(format!("{wall} {}", line()));
        }
    }

    pub(crate) fn take_story(&self) -> Vec<String> {
        self.seen.borrow_mut().story.take().unwrap_or_default()
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.seen.borrow().violations.clone()
    }

    pub(crate) fn is_broken(&self) -> bool {
        !self.seen.borrow().violations.is_empty()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.seen.borrow().hash
    }

    pub(crate) fn fills(&self) -> u64 {
        self.seen.borrow().fills
    }

    /// Requests that place an order, whatever became of them.
    pub(crate) fn posts(&self) -> u64 {
        self.seen.borrow().posted.values().map(|it| u64::from(*it)).sum()
    }

    fn violated(&self, invariant: u8, what: impl Into<String>) {
        let violation =
            Violation { invariant, at: self.time.now(), step: self.steps.get(), what: what.into() };
        self.tell(|| format!("VIOLATION of INV{invariant}: {}", violation.what));
        let mut seen = self.seen.borrow_mut();
        // The first few say it all.
        if seen.violations.len() < 20 {
            seen.violations.push(violation);
        }
    }

    /// INV0: what a session itself must be. A use case awaits ports and nothing else.
    pub(crate) fn waits(&self, who: &str) {
        self.violated(0, format!("{who} waits for something else than its ports"));
    }

    /// INV0: parts keep waking each other.
    pub(crate) fn storms(&self, most: u64) {
        let open = self.books.intent_ids().into_iter().filter_map(|id| {
            let open =
                |view: &IntentView| (!view.state.is_final()).then(|| view.intent.head().action.as_str());
            self.books.look(id, open).flatten()
        });
        let open: Vec<_> = open.collect();
        self.violated(0, format!("a storm: more than {most} events, with these intents at work: {open:?}"));
    }

    /// INV13.
    pub(crate) fn decided_otherwise(&self, what: &str) {
        self.violated(13, what);
    }

    /// Refusing is no proof.
    pub(crate) fn refused(&self, what: &str) {
        self.violated(0, what);
    }

    fn mix(&self, value: u64) {
        let mut seen = self.seen.borrow_mut();
        for byte in value.to_le_bytes() {
            seen.hash = (seen.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// INV4: an intent after a write, against what it was.
    fn touch(&self, intent: IntentId) {
        let found = self.books.look(intent, |view| {
            let kept = kept(view);
            let before = self.seen.borrow().kept.get(&intent).cloned();
            let wrong = before.as_ref().and_then(|before| backwards(before, &kept));
            (kept, wrong)
        });
        let Some((kept, wrong)) = found else { return };
        if let Some(wrong) = wrong {
            self.violated(4, format!("intent {intent}: {wrong}"));
        }
        self.mix(kept.version.unsigned_abs() ^ u64::from(kept.filled) << 32 ^ (kept.state as u64) << 48);
        self.mix(short(intent));
        self.seen.borrow_mut().kept.insert(intent, kept);
    }
}

/// Whether one of these spans of time meets the one from `since` to `now`.
pub(crate) fn meets(spans: &[(UtcNanos, UtcNanos)], since: UtcNanos, now: UtcNanos) -> bool {
    spans.iter().any(|(from, until)| *from <= now && since <= *until)
}

/// The first bytes of an id, as a number.
fn short(intent: IntentId) -> u64 {
    intent.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
