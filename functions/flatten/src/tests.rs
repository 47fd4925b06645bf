//! Flat with the books and without them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use broker::connector::Connector;
use domain::account::{AccountType, BrokerCredential};
use domain::ids::AccountNumber;
use domain::intent::{IntentState, OrderIntent};
use domain::market::{ListedSeries, MarketEvent, PrintCounts, Trade};
use domain::money::{Price, Usd};
use domain::ports::{Members as _, NoteError, OwnedNote, SendError};
use domain::secret::Token;
use domain::symbol::Underlying;
use sim::broker::{
    AccountConfig, Config, ForeignOrder, InMemoryTransport, LegSide, Rules, Sandbox, TranscriptEvent,
    UserConfig,
};
use sim::conformance::block_on;
use sim::fixtures::{self as sample, SESSION, at};
use sim::ledger::{Breakable, MemLedger};
use sim::vault::{MemNotes, MemSecrets};

use super::*;

mod combos;
mod races;

/// Notes that let a pass stand still beside a claim.
#[derive(Default)]
struct Pausing {
    inner: MemNotes,
    before: Cell<bool>,
    after: Cell<bool>,
}

impl Pausing {
    /// Not ready the first time it is asked.
    async fn pause(pauses: bool) {
        let mut waits = pauses;
        std::future::poll_fn(|_| {
            if std::mem::take(&mut waits) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
    }
}

impl OwnedNotes for Pausing {
    async fn put(&self, note: &OwnedNote) -> Result<(), NoteError> {
        self.inner.put(note).await
    }

    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        self.inner.get(account).await
    }

    async fn claim(&self, account: &AccountRef, what: &str, with_books: bool) -> Result<bool, NoteError> {
        Self::pause(self.before.take()).await;
        let claimed = self.inner.claim(account, what, with_books).await;
        Self::pause(self.after.take()).await;
        claimed
    }
}

#[derive(Clone, Default)]
struct Hand(Rc<Cell<UtcNanos>>);

impl Clock for Hand {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

/// What went straight to a queue.
#[derive(Default)]
struct Sent {
    clock: Hand,
    messages: RefCell<VecDeque<(UtcNanos, Queue, Message)>>,
}

impl Sender for Sent {
    async fn send(&self, queue: Queue, message: &Message, delay: Duration) -> Result<(), SendError> {
        self.messages.borrow_mut().push_back((self.clock.now().plus(delay), queue, message.clone()));
        Ok(())
    }
}

type FlattenOf<'a> =
    Flatten<'a, Breakable<MemLedger>, Connector<Rc<MemSecrets>, Line, Hand>, Hand, Pausing, MemSecrets, Sent>;
type Line = Rc<InMemoryTransport<Hand>>;

const ACCOUNT: AccountRef = sample::account(1);
const NUMBER: &str = "VA00000001";

struct Bench {
    clock: Hand,
    sandbox: Rc<RefCell<Sandbox>>,
    ledger: Breakable<MemLedger>,
    secrets: Rc<MemSecrets>,
    brokers: Connector<Rc<MemSecrets>, Line, Hand>,
    notes: Pausing,
    sender: Sent,
    switches: Switches,
}

fn series() -> OccSymbol {
    sample::series(5_605)
}

impl Bench {
    fn new() -> Self {
        let clock = Hand::default();
        clock.0.set(at(15, 44, 0));
        let number: AccountNumber = NUMBER.parse().unwrap();
        let account = AccountConfig::full(number.clone(), AccountType::Margin, Usd::from_dollars(50_000));
        let user = UserConfig::with_account("id-1", "t", account);
        let session = Session::of(SESSION).unwrap().unwrap();
        let legs = sample::combos::legs(1).into_iter().map(|it| it.series);
        let all = std::iter::once(series()).chain(legs);
        let listed = all.map(|series| ListedSeries { series, open_interest: None }).collect();
        let sandbox =
            Sandbox::new(Config { session, users: vec![user], series: listed, rules: Rules::live(1) });
        let sandbox = Rc::new(RefCell::new(sandbox));
        let secrets = Rc::new(MemSecrets::default());
        let line = Rc::new(InMemoryTransport::new(Rc::clone(&sandbox), clock.clone()));
        let bench = Self {
            brokers: Connector::new(Rc::clone(&secrets), clock.clone(), line, None),
            sender: Sent { clock: clock.clone(), ..Sent::default() },
            ledger: Breakable::new(MemLedger::new()),
            notes: Pausing::default(),
            switches: Switches { execution_enabled: true, ..Switches::default() },
            clock,
            sandbox,
            secrets,
        };
        let credential =
            BrokerCredential { account: ACCOUNT, token: Token::new("t"), number, flatten_foreign: false };
        block_on(async {
            bench.secrets.put(&credential).await.unwrap();
            sample::enrol(&bench.ledger, &ACCOUNT).await.unwrap();
            sample::trigger(&bench.ledger, 1).await.unwrap();
        })
        .unwrap();
        bench.market(5_612, 1_190, 1_210);
        bench
    }

    fn market(&self, points: i64, bid: u32, ask: u32) {
        let (ts, price) = (self.clock.now(), Points::whole(points));
        let print = Trade { ts, sequence: None, price, size: 0, counts: PrintCounts::Everywhere };
        let (bid, ask) = ((bid > 0).then(|| Price::from_cents(bid)), Some(Price::from_cents(ask)));
        let quote = OptionQuote { ts, bid, ask, bid_size: 50, ask_size: 50 };
        let mut sandbox = self.sandbox.borrow_mut();
        sandbox.on_market(&MarketEvent::Trade(Underlying::SPX, print));
        sandbox.on_market(&MarketEvent::OptionQuote(series(), quote));
    }

    /// Something bought outside our books.
    fn bought_by_hand(&self, quantity: u32) {
        let order = ForeignOrder {
            account: NUMBER.to_owned(),
            series: series(),
            side: LegSide::BuyToOpen,
            quantity,
            price: None,
            tag: None,
        };
        self.sandbox.borrow_mut().place_foreign(self.clock.now(), order).unwrap();
        self.advance(self.clock.now().plus(Duration::from_secs(5)));
    }

    /// An entry of ours that filled, in the books and at the broker.
    fn entered(&self, quantity: u32) {
        self.entered_again(1, quantity);
    }

    /// The same, of setup `n`.
    fn entered_again(&self, n: u8, quantity: u32) {
        self.bought_by_hand(quantity);
        block_on(async {
            let now = self.clock.now();
            let mut opening = sample::opening(&ACCOUNT, n, quantity);
            opening.head.series = series();
            let new = sample::ready(OrderIntent::Opening(opening));
            let id = new.intent.head().id;
            self.ledger.record_intent(&new).await.unwrap();
            let fence = self.ledger.take_lease(&ACCOUNT, "entry", now, now).await.unwrap().unwrap();
            let view = self.ledger.intent(&ACCOUNT, id).await.unwrap().unwrap();
            self.ledger.mark_submitting(&sample::mark(&view, fence, quantity, now)).await.unwrap();
            let view = self.ledger.intent(&ACCOUNT, id).await.unwrap().unwrap();
            let answer = sample::accepted(&view, fence, u64::from(n), now).unwrap();
            self.ledger.record_answer(&answer).await.unwrap();
            let view = self.ledger.intent(&ACCOUNT, id).await.unwrap().unwrap();
            let mut progress = sample::progress(&view, Some(fence), now);
            progress.attempts = vec![sample::ended(&view, domain::order::AttemptState::Filled).unwrap()];
            progress.attempts[0].executed = quantity;
            progress.fills = vec![sample::observed(&view, quantity, Some(1_200), now).unwrap()];
            (progress.state, progress.follow_up) = (IntentState::Done, None);
            self.ledger.record_progress(&progress).await.unwrap();
            self.ledger.release_lease(&ACCOUNT, fence).await.unwrap();
            let rows = self.ledger.due_outbox(UtcNanos(i64::MAX), 100).await.unwrap();
            self.ledger.mark_sent(&rows.iter().map(|it| it.id).collect::<Vec<_>>(), now).await.unwrap();
        })
        .unwrap();
    }

    fn advance(&self, to: UtcNanos) {
        self.clock.0.set(to.max(self.clock.now()));
        self.sandbox.borrow_mut().advance(self.clock.now());
    }

    fn flatten(&self) -> FlattenOf<'_> {
        Flatten {
            ledger: &self.ledger,
            brokers: &self.brokers,
            clock: &self.clock,
            notes: &self.notes,
            secrets: &self.secrets,
            sender: &self.sender,
            switches: self.switches,
            holder: "flatten",
        }
    }

    /// Starts the flatten at 15:45 and works its messages, from either way, until `until`.
    fn run(&self, until: UtcNanos) -> Vec<(Queue, Message)> {
        self.advance(at(15, 45, 0));
        block_on(self.flatten().start()).unwrap().unwrap();
        let mut told = Vec::new();
        for _ in 0..2_000 {
            let sent = self.sender.messages.borrow().iter().map(|it| it.0).min();
            let booked = block_on(self.ledger.inner().next_due()).unwrap().unwrap();
            let broker = self.sandbox.borrow().next_due();
            let Some(next) = [sent, booked, broker].into_iter().flatten().min().filter(|it| *it <= until)
            else {
                break;
            };
            self.advance(next);
            let now = self.clock.now();
            let mut due: Vec<(Queue, Message)> = Vec::new();
            for row in block_on(self.ledger.inner().due_outbox(now, 10)).unwrap().unwrap() {
                block_on(self.ledger.inner().mark_sent(&[row.id], now)).unwrap().unwrap();
                due.push((row.queue, row.message));
            }
            self.sender.messages.borrow_mut().retain(|it| {
                let is_due = it.0 <= now;
                if is_due {
                    due.push((it.1, it.2.clone()));
                }
                !is_due
            });
            for (queue, message) in due {
                if queue == Queue::Flatten {
                    block_on(self.flatten().handle(&message)).unwrap().unwrap();
                } else {
                    told.push((queue, message));
                }
            }
        }
        self.advance(until);
        told
    }

    fn held(&self) -> i64 {
        self.sandbox.borrow().account(NUMBER).unwrap().held(&series())
    }

    /// Tags of the orders the broker received, ours alone.
    fn tags(&self) -> Vec<String> {
        let lines = self.sandbox.borrow_mut().take_transcript();
        let tag = |event| if let TranscriptEvent::Accepted { tag, .. } = event { tag } else { None };
        lines.into_iter().filter_map(|it| tag(it.event)).collect()
    }

    fn note(&self, owned: u32) {
        let note = OwnedNote {
            account: ACCOUNT,
            structures: Vec::new(),
            owned: vec![(series(), owned)],
            flatten: true,
            at: self.clock.now(),
        };
        block_on(self.notes.put(&note)).unwrap().unwrap();
    }
}

#[test]
fn what_we_opened_is_closed_before_the_last_trade_and_booked() {
    let bench = Bench::new();
    bench.entered(3);
    bench.run(at(15, 55, 0));
    assert_eq!(bench.held(), 0);
    let owned = block_on(bench.ledger.owned(&ACCOUNT, SESSION)).unwrap().unwrap();
    assert_eq!(owned.iter().map(|it| (it.bought, it.held())).collect::<Vec<_>>(), [(3, 0)]);
    assert!(block_on(bench.ledger.open_intents(&ACCOUNT)).unwrap().unwrap().is_empty());
}

#[test]
fn what_is_opened_again_after_a_hard_stop_is_flattened_again() {
    let bench = Bench::new();
    block_on(sample::trigger(bench.ledger.inner(), 2)).unwrap().unwrap();
    bench.entered(3);
    bench.run(at(15, 48, 0));
    assert_eq!(bench.held(), 0);
    for passes_with_books in [true, false] {
        let n = if passes_with_books { 2 } else { 3 };
        if passes_with_books {
            bench.entered_again(n, 2);
        } else {
            bench.bought_by_hand(1);
            bench.note(1);
            bench.ledger.set_down(true);
        }
        bench.tags();
        bench.run(at(15, 50 + u32::from(n), 0));
        assert_eq!(bench.held(), 0, "with the books: {passes_with_books}");
        assert_eq!(bench.tags().len(), 1, "one order closed it");
    }
    bench.ledger.set_down(false);
    let names = plan::intents_of(ACCOUNT.account, &Session::of(SESSION).unwrap().unwrap(), &series());
    let view = |n: usize| block_on(bench.ledger.intent(&ACCOUNT, names[n])).unwrap().unwrap();
    let ended = |n| view(n).map(|it| (it.intent.head().sequence, it.state, it.filled));
    assert_eq!(ended(0), Some((0, IntentState::Done, 3)), "the first flatten stays as it ended");
    assert_eq!((ended(1), ended(2)), (Some((1, IntentState::Done, 2)), None));
}

#[test]
fn with_the_database_down_the_note_says_what_is_ours_and_the_tag_stands_for_the_row() {
    let bench = Bench::new();
    bench.entered(2);
    bench.note(2);
    bench.ledger.set_down(true);
    bench.run(at(15, 58, 0));
    let tags = bench.tags();
    let distinct: std::collections::BTreeSet<_> = tags.iter().collect();
    assert_eq!((bench.held(), distinct.len()), (0, tags.len()), "{tags:?}");
    assert!(!tags.is_empty() && tags.iter().all(|it| it.starts_with("cx-")));
}

#[test]
fn with_database_and_notes_gone_only_what_our_tags_bought_is_closed() {
    let bench = Bench::new();
    bench.bought_by_hand(2);
    bench.ledger.set_down(true);
    bench.run(at(15, 58, 0));
    assert_eq!((bench.held(), bench.tags()), (2, Vec::<String>::new()), "nothing of it is ours");
}

#[test]
fn what_was_opened_by_hand_beside_ours_stays() {
    let bench = Bench::new();
    bench.entered(2);
    bench.bought_by_hand(3);
    bench.run(at(15, 58, 0));
    assert_eq!(bench.held(), 3);
}

#[test]
fn a_database_that_comes_back_in_the_middle_does_not_sell_twice() {
    let bench = Bench::new();
    bench.entered(2);
    bench.note(2);
    bench.market(5_500, 0, 5);
    bench.ledger.set_down(true);
    bench.run(at(15, 50, 0));
    bench.ledger.set_down(false);
    bench.market(5_612, 1_190, 1_210);
    bench.run(at(15, 59, 0));
    assert_eq!(bench.held(), 0);
    let tags = bench.tags();
    let distinct: std::collections::BTreeSet<_> = tags.iter().collect();
    assert_eq!(distinct.len(), tags.len());
}

#[test]
fn a_start_outside_its_minutes_starts_nothing() {
    let bench = Bench::new();
    bench.entered(1);
    for now in [at(15, 43, 0), at(16, 0, 0), at(12, 45, 0)] {
        bench.clock.0.set(now);
        assert_eq!(block_on(bench.flatten().start()).unwrap(), Ok(0), "{now}");
    }
}

#[test]
fn what_a_member_handed_over_is_closed_with_ours() {
    let bench = Bench::new();
    bench.entered(2);
    bench.bought_by_hand(3);
    block_on(bench.ledger.take_over(&ACCOUNT, &series(), u32::MAX, bench.clock.now())).unwrap().unwrap();
    bench.run(at(15, 58, 0));
    assert_eq!(bench.held(), 0);
}

#[test]
fn a_hard_stop_with_the_market_closed_sends_nothing_before_two_minutes_past_the_open() {
    let bench = Bench::new();
    bench.entered(2);
    bench.tags();
    bench.clock.0.set(at(8, 0, 0));
    let stop = Message::Flatten { account: ACCOUNT, session: SESSION, at_once: true };
    block_on(bench.flatten().handle(&stop)).unwrap().unwrap();
    assert_eq!((bench.held(), bench.tags()), (2, Vec::<String>::new()));
    let rows = block_on(bench.ledger.due_outbox(UtcNanos(i64::MAX), 10)).unwrap().unwrap();
    let passes: Vec<_> = rows.iter().filter(|it| it.queue == Queue::Flatten).map(|it| it.due_at).collect();
    assert_eq!(passes, [at(9, 32, 0)]);
}

#[test]
fn a_hard_stop_after_the_open_waits_for_a_quote_with_both_sides() {
    let bench = Bench::new();
    bench.entered(2);
    bench.tags();
    let stop = Message::Flatten { account: ACCOUNT, session: SESSION, at_once: true };
    bench.clock.0.set(at(9, 32, 0));
    bench.market(5_612, 0, 1_210);
    block_on(bench.flatten().handle(&stop)).unwrap().unwrap();
    assert_eq!(bench.tags(), Vec::<String>::new());
    bench.clock.0.set(at(9, 32, 10));
    bench.market(5_612, 1_190, 1_210);
    block_on(bench.flatten().handle(&stop)).unwrap().unwrap();
    assert_eq!(bench.tags().len(), 1);
}

#[test]
fn what_is_held_overnight_is_noted_at_the_open_and_who_holds_nothing_has_no_note() {
    for holds in [false, true] {
        let bench = Bench::new();
        if holds {
            bench.entered(2);
        }
        bench.clock.0.set(at(9, 30, 0));
        assert_eq!(block_on(bench.flatten().start()).unwrap(), Ok(0));
        let note = block_on(bench.notes.get(&ACCOUNT)).unwrap().unwrap();
        let owned = note.map(|it| (it.owned, it.flatten, it.at));
        assert_eq!(owned, holds.then(|| (vec![(series(), 2)], true, at(9, 30, 0))));
    }
}
