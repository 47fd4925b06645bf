//! The invariants, asked at every step: of each write into the books as it is committed, of each line of the broker's
//! transcript, and of the whole when it has come to rest.

mod broker;
mod rest;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ::broker::transport::{Method, Request};
use domain::account::AccountRef;
use domain::ids::{AttemptNo, IntentId, OrderTag, SetupId};
use domain::intent::{Action, IntentState, OpeningIntent, OrderIntent, Origin, intent_id};
use domain::kill::{KillRow, KillScope, scopes_for};
use domain::money::{Side, Usd};
use domain::order::AttemptState;
use domain::ports::{
    Answer, Clock as _, IntentView, KillFlip, MarkRequest, Marking, Message, NewIntent, Progress,
    ReconciliationRun, Recorded, Written,
};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use engine::protect::makes_way;
use sim::broker::Sandbox;
use sim::ledger::MemLedger;
use sim::perils::{Database, Fired, Peril, Perils, Witness};

pub(crate) use rest::Entries;

use super::tape::Tape;
use crate::simulated::{Member, VirtualClock};

/// An entry leaves at most this long after its mark (spec 3).
const ENTRY_LEAVES_WITHIN: Duration = Duration::from_millis(2_000);
/// A signal opens for this long; the request may leave a little later.
const SIGNAL_AGE_MAX: Duration = Duration::from_secs(30);
/// A quote counts for this long.
const QUOTE_AGE_MAX: Duration = Duration::from_secs(60);

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, from 1 to 19.
    pub invariant: u8,
    /// When, market time.
    pub at: UtcNanos,
    /// After how many events.
    pub step: u64,
    /// What was seen.
    pub what: String,
}

/// An intent as it was seen last.
#[derive(Debug, Clone)]
struct Kept {
    state: IntentState,
    version: i64,
    filled: u32,
    attempts: Vec<(AttemptNo, AttemptState, u32)>,
}

/// A committed mark.
#[derive(Debug, Clone, Copy)]
struct Marked {
    at: UtcNanos,
    opens: bool,
}

/// What an entry was decided as.
#[derive(Debug, Clone)]
struct Entry {
    intent: OpeningIntent,
    state: IntentState,
}

/// An order at the broker.
#[derive(Debug, Clone)]
struct Order {
    tag: Option<OrderTag>,
    is_foreign: bool,
    account: usize,
    series: OccSymbol,
    side: Side,
    executed: u32,
    /// Contracts executed under a dollar, and from a dollar on: the exchange charges them differently.
    tiers: [u32; 2],
}

/// What an account holds of a series: ours by tag, and everything.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    ours: i64,
    all: i64,
}

#[derive(Debug, Default)]
struct Seen {
    kept: BTreeMap<IntentId, Kept>,
    entries: BTreeMap<IntentId, Entry>,
    marks: BTreeMap<OrderTag, Marked>,
    posted: BTreeMap<OrderTag, u32>,
    accepted: BTreeSet<OrderTag>,
    orders: BTreeMap<u64, Order>,
    executed: BTreeMap<IntentId, u32>,
    held: BTreeMap<(usize, OccSymbol), Held>,
    /// What our orders brought each account, charges taken.
    flows: BTreeMap<usize, Usd>,
    /// Accounts in which somebody traded by hand.
    by_hand: BTreeSet<usize>,
    /// Tasks whose connection to the books broke.
    broken: BTreeSet<u64>,
    /// Intents some call of whose own steps met a peril.
    hit: BTreeSet<IntentId>,
    /// When a worker of orders met a peril: it may have held an account's lease for a while.
    hits: Vec<UtcNanos>,
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

    /// INV19: a disaster order of the same contracts that has not ended when another close of them is marked.
    fn stands_in_the_way(&self, close: IntentId) -> Option<OrderTag> {
        let (opening, action) = self.books.look(close, |view| match &view.intent {
            OrderIntent::Closing(it) if !it.head.action.protects() => Some((it.opening?, it.head.action)),
            OrderIntent::Closing(_)
            | OrderIntent::Opening(_)
            | OrderIntent::OpeningCombo(_)
            | OrderIntent::ClosingCombo(_) => None,
        })??;
        self.books.intent_ids().into_iter().find_map(|id| {
            let found = self.books.look(id, |view| match &view.intent {
                OrderIntent::Closing(it)
                    if it.opening == Some(opening) && makes_way(it.head.action, action) =>
                {
                    let last = view.last_attempt().filter(|it| !it.state.is_final())?;
                    Some(OrderTag { intent: id, attempt: last.no })
                }
                OrderIntent::Closing(_)
                | OrderIntent::Opening(_)
                | OrderIntent::OpeningCombo(_)
                | OrderIntent::ClosingCombo(_) => None,
            });
            found.flatten()
        })
    }

    /// INV5: whether the switch stood against an entry when it was marked.
    fn stopped_by(&self, opening: &OpeningIntent) -> Option<KillRow> {
        let head = &opening.head;
        let scopes: [KillScope; 6] = scopes_for(
            head.account.user,
            opening.kind.as_str(),
            head.series.underlying(),
            sim::ledger::BROKER,
        );
        scopes.iter().filter_map(|it| self.books.kill_row(it)).find(|it| !it.state.allows_entries())
    }
}

impl Witness for Laws {
    fn recorded(&self, answer: &Recorded, new: &NewIntent) {
        if *answer == Recorded::Known {
            return;
        }
        let id = new.intent.head().id;
        if let OrderIntent::Opening(opening) = &new.intent {
            let entry = Entry { intent: opening.clone(), state: new.state };
            self.seen.borrow_mut().entries.insert(id, entry);
        }
        self.tell(|| {
            let head = new.intent.head();
            let state = new.state.as_str();
            format!("  intent {id} {} {} {state} {}", head.action.as_str(), head.series, new.reason)
        });
        self.touch(id);
    }

    fn marked(&self, answer: &Marking, request: &MarkRequest) {
        let Marking::Marked(mark) = answer else {
            self.tell(|| format!("  mark of {} attempt {}: {answer:?}", request.intent, request.attempt));
            return;
        };
        let entry = self.seen.borrow().entries.get(&request.intent).map(|it| it.intent.clone());
        if let Some(entry) = &entry {
            if let Some(row) = self.stopped_by(entry) {
                self.violated(
                    5,
                    format!("entry {} marked while {} is {}", mark.tag, row.scope, row.state.as_str()),
                );
            }
            if !entry_bound_holds(entry, request) {
                self.violated(
                    12,
                    format!("entry {} marked at {}, worst is {}", mark.tag, request.price, entry.worst),
                );
            }
        }
        if let Some(stands) = self.stands_in_the_way(request.intent) {
            self.violated(
                19,
                format!("close {} leaves while disaster order {stands} has not ended", mark.tag),
            );
        }
        let marked = Marked { at: self.time.now(), opens: entry.is_some() };
        if self.seen.borrow_mut().marks.insert(mark.tag, marked).is_some() {
            self.violated(1, format!("attempt {} was marked twice", mark.tag));
        }
        self.tell(|| format!("  marked {} {} at {}", mark.tag, request.quantity, request.price));
        self.touch(request.intent);
    }

    fn answered(&self, written: &Written, answer: &Answer) {
        self.tell(|| format!("  answer to {}: {} ({written:?})", answer.tag, answer.broker_words));
        self.touch(answer.tag.intent);
    }

    fn progressed(&self, written: &Written, progress: &Progress) {
        self.tell(|| {
            let (id, state, what) = (progress.intent, progress.state.as_str(), &progress.what);
            format!("  {id} {state} {}: {what} ({written:?})", progress.reason)
        });
        self.touch(progress.intent);
    }

    fn stopped(&self, _: &AccountRef, intent: IntentId) {
        self.tell(|| format!("  {intent} asked to stop"));
        self.touch(intent);
    }

    fn reconciled(&self, _: &AccountRef, run: &ReconciliationRun) {
        self.tell(|| {
            let words: Vec<String> =
                run.differences.iter().map(|it| format!("{} {}", it.kind.as_str(), it.about)).collect();
            format!("  reconciled: {} steps; {}", run.steps.len(), words.join(", "))
        });
        for intent in &run.steps {
            self.touch(*intent);
        }
    }

    fn flipped(&self, row: &KillRow, flip: &KillFlip) {
        self.tell(|| format!("  kill switch {} is {} by {}", row.scope, row.state.as_str(), flip.by));
        self.mix(row.version.unsigned_abs());
    }

    fn leaves(&self, request: &Request, perils: &Perils) {
        self.tell(|| {
            let words = |it: &[(String, String)]| {
                let it: Vec<String> = it.iter().map(|(key, value)| format!("{key}={value}")).collect();
                it.join(" ")
            };
            format!("  {request:?} {} {}", words(&request.query), words(&request.form))
        });
        match request.method {
            Method::Post if request.path.ends_with("/orders") => self.posted(request, perils),
            Method::Get if request.path.contains("/markets/quotes") => {
                // The market is as it stands when somebody looks.
                let symbols = request.query.iter().find(|it| it.0 == "symbols").map(|it| it.1.as_str());
                let series: Vec<OccSymbol> =
                    symbols.unwrap_or_default().split(',').filter_map(|it| it.parse().ok()).collect();
                self.tape.show(&series, self.time.now());
            }
            Method::Get | Method::Post | Method::Put | Method::Delete => {}
        }
    }

    fn races(&self, request: &Request) {
        let id = request.path.rsplit('/').next().and_then(|it| it.parse::<u64>().ok());
        let found = id.and_then(|id| {
            let sandbox = self.sandbox.borrow();
            let order = sandbox.order(id)?;
            let leg = order.legs.first()?;
            Some((*leg.instrument.series()?, leg.side.side(), order.price?))
        });
        if let Some((series, side, limit)) = found {
            self.tape.meet(&series, side, limit, self.time.now());
        }
    }

    fn unanswered(&self, task: u64) {
        self.seen.borrow_mut().broken.insert(task);
    }

    fn befalls(&self, fired: &Fired) {
        self.tell(|| format!("! {} at {} call {}", fired.peril.as_str(), fired.site, fired.call));
        let mut seen = self.seen.borrow_mut();
        if matches!(fired.peril, Peril::LostBefore | Peril::LostAfter) {
            seen.broken.insert(fired.task);
        }
        let works = self.works.borrow();
        let message = works.get(&fired.task).and_then(|it| wire::message::decode(it).ok());
        if let Some(Message::Step { intent, .. }) = message {
            seen.hit.insert(intent);
        }
        if fired.site.actor == "orders" {
            let now = self.time.now();
            seen.hits.push(now);
        }
        // A request that stood still between its adapter and the wire is counted by the broker in another minute.
        let is_broker =
            ["GET", "POST", "PUT", "DELETE"].iter().any(|it| fired.site.operation.starts_with(it));
        if fired.peril == Peril::LateArrival || (is_broker && fired.peril == Peril::FreezeBefore) {
            seen.late_until = Some(self.time.now().plus(Duration::from_secs(400)));
        }
    }
}

impl Laws {
    /// A request that places an order leaves the adapter.
    fn posted(&self, request: &Request, perils: &Perils) {
        let field = |name: &str| request.form.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
        let Some(tag) = field("tag").and_then(OrderTag::parse) else {
            return self.violated(3, format!("an order left without a tag of ours: {:?}", field("tag")));
        };
        // Without the books nothing stands for a request before it leaves: of those the broker's own orders are counted.
        let is_marked = self.seen.borrow().marks.contains_key(&tag);
        let count = {
            let mut seen = self.seen.borrow_mut();
            let count = seen.posted.entry(tag).or_default();
            *count = count.saturating_add(u32::from(is_marked));
            *count
        };
        self.mix(short(tag.intent) ^ u64::from(tag.attempt.0));
        if count > 1 {
            self.violated(1, format!("the request of {tag} left {count} times"));
        }
        let now = self.time.now();
        let marked = self.seen.borrow().marks.get(&tag).copied();
        match marked {
            Some(marked) if marked.opens => self.entry_leaves(tag, marked, now),
            Some(_) => {}
            None if self.may_leave_unmarked(tag, field("option_symbol"), perils) => {}
            None => self.violated(1, format!("{tag} left without a committed mark")),
        }
        if field("type") == Some("market") {
            self.violated(9, format!("{tag} is a market order"));
        }
    }

    fn entry_leaves(&self, tag: OrderTag, marked: Marked, now: UtcNanos) {
        let age = now.since(marked.at);
        if age > ENTRY_LEAVES_WITHIN {
            self.violated(5, format!("entry {tag} left {} ms after its mark", age.as_millis()));
        }
        let (signal, series) = {
            let seen = self.seen.borrow();
            let Some(entry) = seen.entries.get(&tag.intent) else { return };
            let signal = match entry.intent.head.origin {
                Origin::Setup(setup) => seen.signals.get(&setup).copied(),
                Origin::Flatten(_) | Origin::Decision(_) => None,
            };
            (signal, entry.intent.head.series)
        };
        // Clocks may be two seconds off, each way, and what is marked leaves within two seconds.
        let slack = Duration::from_secs(6);
        let age = signal.map(|it| now.since(it));
        if age.is_none_or(|it| it > SIGNAL_AGE_MAX.saturating_add(slack)) {
            self.violated(11, format!("entry {tag} left {age:?} after its signal"));
        }
        let age = self.tape.quoted_at(&series).map(|it| now.since(it));
        if age.is_none_or(|it| it > QUOTE_AGE_MAX.saturating_add(slack)) {
            self.violated(11, format!("entry {tag} left on a quote of {age:?} ago"));
        }
    }

    /// A flatten's close whose books did not answer goes by its derived tag.
    fn may_leave_unmarked(&self, tag: OrderTag, series: Option<&str>, perils: &Perils) -> bool {
        let Some(series) = series.and_then(|it| it.parse::<OccSymbol>().ok()) else { return false };
        let is_flatten = self.members.iter().any(|it| {
            let origin = Origin::Flatten(self.tape.session().date);
            tag.intent == intent_id(origin, 0, it.account.account, Action::Flatten, Some(&series))
        });
        let is_broken = self.seen.borrow().broken.contains(&perils.running().task);
        is_flatten && (is_broken || perils.database() != Database::Up)
    }
}

fn entry_bound_holds(entry: &OpeningIntent, request: &MarkRequest) -> bool {
    request.price <= entry.worst && request.quantity <= entry.quantity && request.side == Side::Buy
}

fn kept(view: &IntentView) -> Kept {
    Kept {
        state: view.state,
        version: view.version,
        filled: view.filled,
        attempts: view.attempts.iter().map(|it| (it.no, it.state, it.executed)).collect(),
    }
}

/// What went backwards, if something did.
fn backwards(before: &Kept, after: &Kept) -> Option<String> {
    if after.version < before.version {
        return Some(format!("version {} after {}", after.version, before.version));
    }
    if before.state.is_final() && after.state != before.state {
        return Some(format!("{} after {}", after.state.as_str(), before.state.as_str()));
    }
    if after.state == IntentState::Ready && before.state != IntentState::Ready {
        return Some(format!("ready after {}", before.state.as_str()));
    }
    if after.filled < before.filled {
        return Some(format!("{} filled after {}", after.filled, before.filled));
    }
    for (no, state, executed) in &before.attempts {
        let Some((_, now, more)) = after.attempts.iter().find(|it| it.0 == *no) else {
            return Some(format!("attempt {no} is gone"));
        };
        if state.is_final() && now != state {
            return Some(format!("attempt {no} {} after {}", now.as_str(), state.as_str()));
        }
        if more < executed {
            return Some(format!("attempt {no} {more} executed after {executed}"));
        }
    }
    None
}

/// The first bytes of an id, as a number.
fn short(intent: IntentId) -> u64 {
    intent.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
