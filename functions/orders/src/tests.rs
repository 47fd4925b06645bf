//! Each way an order can go wrong, and what the steps make of it: real sandbox, real client, books in memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use broker::connector::Connector;
use broker::transport::Method;
use domain::account::{AccountType, BrokerCredential};
use domain::calendar::Session;
use domain::intent::{Action, CloseAmount, DecisionMarket, OpeningIntent, OrderIntent};
use domain::kill::{KillScope, KillState};
use domain::market::{ListedSeries, MarketEvent, OptionQuote, Points, PrintCounts, Trade};
use domain::money::{Price, Usd};
use domain::ports::{KillFlip, Recorded, Secrets as _};
use domain::secret::Token;
use domain::setup::SetupLevels;
use domain::symbol::{OccSymbol, Underlying};
use sim::broker::{
    AccountConfig, Config, ForeignOrder, InMemoryTransport, LegSide, OrderType, Rules, Sandbox,
    TranscriptEvent, UserConfig,
};
use sim::conformance::block_on;
use sim::faults::{Fault, Faulty};
use sim::fixtures::{self as sample, SESSION, at};
use sim::ledger::MemLedger;
use sim::vault::{MemNotes, MemSecrets};

use super::*;

mod closes;
mod combos;
mod emergency;
mod protect;

#[derive(Clone, Default)]
struct Hand(Rc<Cell<UtcNanos>>);

impl Clock for Hand {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

type Line = Rc<Faulty<InMemoryTransport<Hand>>>;

/// One account at 10:00, its broker, and a message loop.
struct Bench {
    clock: Hand,
    sandbox: Rc<RefCell<Sandbox>>,
    line: Line,
    ledger: MemLedger,
    brokers: Connector<Rc<MemSecrets>, Line, Hand>,
    notes: MemNotes,
    failures: RefCell<Vec<HandleError>>,
}

const ACCOUNT: AccountRef = sample::account(1);

fn series() -> OccSymbol {
    sample::series(5_610)
}

fn start() -> UtcNanos {
    at(10, 0, 30)
}

impl Bench {
    fn new() -> Self {
        let bench = Self::before_the_opening_reconciliation();
        block_on(sample::agree(&bench.ledger, &ACCOUNT)).unwrap().unwrap();
        bench
    }

    fn before_the_opening_reconciliation() -> Self {
        let (clock, secrets, ledger) = (Hand::default(), Rc::new(MemSecrets::default()), MemLedger::new());
        clock.0.set(start());
        let number: domain::ids::AccountNumber = "VA00000001".parse().unwrap();
        let account = AccountConfig::full(number.clone(), AccountType::Margin, Usd::from_dollars(50_000));
        let user = UserConfig::with_account("id-1", "t", account);
        let session = Session::of(SESSION).unwrap().unwrap();
        let legs = sample::combos::legs(1).into_iter().map(|it| it.series);
        let all = std::iter::once(series()).chain(legs);
        let listed = all.map(|series| ListedSeries { series, open_interest: None }).collect();
        let sandbox =
            Sandbox::new(Config { session, users: vec![user], series: listed, rules: Rules::live(1) });
        let sandbox = Rc::new(RefCell::new(sandbox));
        let line = Rc::new(Faulty::new(InMemoryTransport::new(Rc::clone(&sandbox), clock.clone())));
        let brokers = Connector::new(Rc::clone(&secrets), clock.clone(), Rc::clone(&line), None);
        let bench = Self {
            clock,
            sandbox,
            line,
            ledger,
            brokers,
            notes: MemNotes::default(),
            failures: RefCell::default(),
        };
        bench.index(5_600);
        bench.quote(510, 520, 50);
        let credential =
            BrokerCredential { account: ACCOUNT, token: Token::new("t"), number, flatten_foreign: false };
        block_on(async {
            secrets.put(&credential).await.unwrap();
            sample::enrol(&bench.ledger, &ACCOUNT).await.unwrap();
            bench.ledger.store_settings(ACCOUNT.user, &sample::settings()).await.unwrap();
            bench.ledger.record_snapshot(&ACCOUNT, &sample::snapshot(start()), "session_open").await.unwrap();
            triggered(&bench.ledger).await;
        })
        .unwrap();
        bench.clear_outbox();
        bench
    }

    fn orders(&self) -> Orders<'_, MemLedger, Connector<Rc<MemSecrets>, Line, Hand>, Hand, MemNotes> {
        let switches = Switches { execution_enabled: true, ..Switches::default() };
        Orders {
            ledger: &self.ledger,
            brokers: &self.brokers,
            clock: &self.clock,
            notes: &self.notes,
            switches,
            holder: "test",
        }
    }

    fn quote(&self, bid: u32, ask: u32, size: u32) {
        let (bid, ask) = (Some(Price::from_cents(bid)), Some(Price::from_cents(ask)));
        let quote = OptionQuote { ts: self.clock.now(), bid, ask, bid_size: size, ask_size: size };
        self.sandbox.borrow_mut().on_market(&MarketEvent::OptionQuote(series(), quote));
    }

    fn index(&self, points: i64) {
        let (ts, price) = (self.clock.now(), Points::whole(points));
        let print = Trade { ts, sequence: None, price, size: 0, counts: PrintCounts::Everywhere };
        self.sandbox.borrow_mut().on_market(&MarketEvent::Trade(Underlying::SPX, print));
    }

    fn clear_outbox(&self) {
        block_on(async {
            let rows = self.ledger.due_outbox(UtcNanos(i64::MAX), 100).await.unwrap();
            let ids: Vec<i64> = rows.iter().map(|it| it.id).collect();
            self.ledger.mark_sent(&ids, self.clock.now()).await.unwrap();
        })
        .unwrap();
    }

    /// Works everything that falls due until `seconds` after now.
    fn pass(&self, seconds: u64) {
        let end = self.clock.now().plus(Duration::from_secs(seconds));
        block_on(async {
            for _ in 0..10_000 {
                let mail = self.ledger.next_due().await.unwrap();
                let broker = self.sandbox.borrow().next_due();
                let next = [mail, broker].into_iter().flatten().min().filter(|it| *it <= end);
                let Some(next) = next else { break };
                self.clock.0.set(next.max(self.clock.now()));
                self.sandbox.borrow_mut().advance(self.clock.now());
                for row in self.ledger.due_outbox(self.clock.now(), 1).await.unwrap() {
                    self.ledger.mark_sent(&[row.id], self.clock.now()).await.unwrap();
                    if row.queue == Queue::Alerts {
                        continue;
                    }
                    if let Err(error) = self.orders().handle(&row.message).await {
                        if let HandleError::Again(_) = error {
                            let again = self.clock.now().plus(Duration::from_secs(1));
                            self.ledger.send_later(row.queue, &row.message, again).await.unwrap();
                        }
                        self.failures.borrow_mut().push(error);
                    }
                }
            }
        })
        .unwrap();
        self.clock.0.set(end);
        self.sandbox.borrow_mut().advance(end);
    }

    fn enter(&self, quantity: u32) -> OpeningIntent {
        self.enter_at(quantity, None)
    }

    /// An entry whose turn comes at `release_at`.
    fn enter_at(&self, quantity: u32, release_at: Option<UtcNanos>) -> OpeningIntent {
        let sampled = sample::opening(&ACCOUNT, 1, quantity);
        let mut head = sampled.head;
        (head.series, head.decided_at) = (series(), self.clock.now());
        let market = DecisionMarket {
            spot: Points::whole(5_600),
            bid: Price::from_cents(510),
            ask: Price::from_cents(520),
        };
        let levels = SetupLevels {
            zone_low: Points::whole(5_599),
            zone_high: Points::whole(5_601),
            stop: Points::whole(5_585),
            t1: Points::whole(5_615),
            t2: Points::whole(5_630),
            r_index: Points::whole(15),
        };
        let intent =
            OpeningIntent { head, market, levels, worst: Price::from_cents(530), release_at, ..sampled };
        let new = sample::ready(OrderIntent::Opening(intent.clone()));
        assert_eq!(block_on(self.ledger.record_intent(&new)).unwrap().unwrap(), Recorded::New);
        intent
    }

    fn close(&self, entry: &OpeningIntent, sequence: u32, action: Action, amount: CloseAmount) -> IntentId {
        let mut intent = sample::closing(entry, sequence, action, amount);
        intent.head.decided_at = self.clock.now();
        let id = intent.head.id;
        let new = sample::ready(OrderIntent::Closing(intent));
        assert_eq!(block_on(self.ledger.record_intent(&new)).unwrap().unwrap(), Recorded::New);
        id
    }

    fn view(&self, id: IntentId) -> IntentView {
        block_on(self.ledger.intent(&ACCOUNT, id)).unwrap().unwrap().unwrap()
    }

    /// State, reason and contracts executed.
    fn stands(&self, id: IntentId) -> (IntentState, String, u32) {
        let view = self.view(id);
        (view.state, view.reason, view.filled)
    }

    fn held(&self) -> i64 {
        self.sandbox.borrow().account("VA00000001").unwrap().held(&series())
    }

    /// Orders the broker received, but for those that rest as protection.
    fn accepted(&self) -> usize {
        let lines = self.sandbox.borrow_mut().take_transcript();
        let walks = |it: &TranscriptEvent| matches!(it, TranscriptEvent::Accepted { kind, .. } if *kind != OrderType::StopLimit);
        lines.iter().filter(|it| walks(&it.event)).count()
    }

    /// Requests for orders that left, but for those of protections.
    fn posts(&self) -> u32 {
        let views = block_on(self.ledger.intents_of(&ACCOUNT, sample::setup_id(1))).unwrap().unwrap();
        let protections = views.iter().filter(|it| it.intent.head().action.protects());
        let resting: usize = protections.map(|it| it.attempts.len()).sum();
        u32::try_from(usize::try_from(self.line.posts()).unwrap() - resting).unwrap()
    }

    fn filled_entry(&self, quantity: u32) -> OpeningIntent {
        let entry = self.enter(quantity);
        self.pass(20);
        assert_eq!(self.stands(entry.head.id), (IntentState::Done, String::new(), quantity));
        entry
    }
}

/// The setup triggers at the start: the age of a signal counts from there.
async fn triggered(ledger: &MemLedger) {
    let formed = sample::formed(1);
    let ready = sample::then(&formed, domain::setup::SetupState::Ready);
    let mut trigger = sample::then(&ready, domain::setup::SetupState::Triggered);
    trigger.transition.ts = start();
    for step in [formed, ready, trigger] {
        ledger.record_transition(&step, start()).await.unwrap();
    }
}

fn done(reason: &str, filled: u32) -> (IntentState, String, u32) {
    (IntentState::Done, reason.to_owned(), filled)
}

#[test]
fn an_entry_walks_to_the_ask_and_its_fill_is_booked_once() {
    let bench = Bench::new();
    let entry = bench.enter(3);
    bench.pass(30);
    let view = bench.view(entry.head.id);
    assert_eq!((bench.stands(entry.head.id), bench.held()), (done("", 3), 3), "{:?}", bench.failures);
    assert_eq!(view.attempts.iter().map(|it| it.price.cents()).collect::<Vec<_>>(), [520]);
    assert_eq!(
        view.fills.iter().map(|it| (it.from, it.to, it.price)).collect::<Vec<_>>(),
        [(0, 3, Some(Usd::from_cents(520)))]
    );
    assert_eq!((bench.posts(), bench.accepted()), (1, 1));
}

#[test]
fn an_entry_waits_for_its_turn_whoever_delivers_its_step_early() {
    let bench = Bench::new();
    let turn = bench.clock.now().plus(Duration::from_secs(6));
    let entry = bench.enter_at(3, Some(turn));
    let step = Message::Step { account: ACCOUNT, intent: entry.head.id, version: 1, tries: 0 };
    block_on(bench.orders().handle(&step)).unwrap().unwrap();
    bench.pass(5);
    assert_eq!((bench.posts(), bench.view(entry.head.id).state), (0, IntentState::Ready));
    bench.pass(30);
    let sent = bench.view(entry.head.id).attempts.remove(0);
    assert_eq!((sent.marked_at, bench.stands(entry.head.id)), (turn, done("", 3)));
}

#[test]
fn an_entry_whose_turn_came_too_late_is_refused_with_its_reason() {
    let bench = Bench::new();
    let turn = bench.clock.now().plus(Duration::from_secs(15));
    let entry = bench.enter_at(3, Some(turn));
    bench.pass(14);
    // Meanwhile the market went where the entry may not follow.
    bench.quote(560, 580, 50);
    bench.pass(30);
    let refused = (IntentState::Blocked, "price_beyond_worst".to_owned(), 0);
    assert_eq!((bench.stands(entry.head.id), bench.posts()), (refused, 0));
}

#[test]
fn no_entry_is_sent_before_the_opening_reconciliation_agreed() {
    let bench = Bench::before_the_opening_reconciliation();
    let entry = bench.enter(3);
    bench.pass(30);
    let refused = (IntentState::Blocked, "not_reconciled".to_owned(), 0);
    assert_eq!((bench.stands(entry.head.id), bench.line.posts()), (refused, 0));
}

#[test]
fn a_request_is_sent_once_whatever_becomes_of_it() {
    for (fault, accepted, ends) in [
        (Fault::AnswerLost, 1, done("", 2)),
        (Fault::ErrorAfterEffect, 1, done("", 2)),
        (Fault::HalfAnswer, 1, done("", 2)),
        (Fault::RequestLost, 0, (IntentState::Working, "unknown".to_owned(), 0)),
        (Fault::ErrorWithoutEffect, 0, (IntentState::Working, "unknown".to_owned(), 0)),
        (Fault::NotSent, 0, done("not_sent", 0)),
    ] {
        let bench = Bench::new();
        bench.line.next(Method::Post, &[fault]);
        let entry = bench.enter(2);
        bench.pass(300);
        assert_eq!(
            (bench.stands(entry.head.id), bench.accepted()),
            (ends, accepted),
            "{fault:?}: {:?}",
            bench.failures
        );
        assert_eq!(bench.posts(), 1, "{fault:?}");
    }
}

#[test]
fn an_entry_that_never_arrived_blocks_its_setup_until_the_session_ends() {
    let bench = Bench::new();
    bench.line.next(Method::Post, &[Fault::RequestLost]);
    let entry = bench.enter(2);
    bench.pass(3_600);
    assert_eq!(bench.view(entry.head.id).state, IntentState::Working);
    bench.pass(6 * 3_600);
    assert_eq!((bench.stands(entry.head.id), bench.posts()), (done("unresolved", 0), 1));
}

#[test]
fn an_entry_is_given_up_when_the_index_leaves_it_behind() {
    let bench = Bench::new();
    bench.quote(510, 540, 50);
    let entry = bench.enter(2);
    bench.pass(2);
    bench.index(5_606);
    bench.pass(30);
    assert_eq!((bench.stands(entry.head.id), bench.held()), (done("beyond_zone", 0), 0));
}

#[test]
fn a_flipped_kill_switch_lets_no_entry_out_and_stops_those_that_work() {
    let flip = |state| KillFlip {
        if_version: None,
        scope: KillScope::Global,
        state,
        by: "operator".to_owned(),
        reason: "test".to_owned(),
        at: start(),
    };
    let bench = Bench::new();
    block_on(bench.ledger.flip_kill_switch(&flip(KillState::NoEntries))).unwrap().unwrap();
    let entry = bench.enter(2);
    bench.pass(30);
    let (state, reason, _) = bench.stands(entry.head.id);
    assert_eq!((state, reason.as_str(), bench.posts()), (IntentState::Blocked, "kill_switch", 0));

    let bench = Bench::new();
    bench.quote(510, 560, 50);
    let entry = bench.enter(2);
    bench.pass(2);
    block_on(bench.ledger.flip_kill_switch(&flip(KillState::SafeMode))).unwrap().unwrap();
    bench.pass(10);
    assert_eq!(bench.stands(entry.head.id), done("superseded", 0));
}

#[test]
fn a_step_written_for_another_version_does_nothing() {
    let bench = Bench::new();
    let entry = bench.filled_entry(1);
    let before = bench.view(entry.head.id);
    let stale = Message::Step { account: ACCOUNT, intent: entry.head.id, version: 1, tries: 0 };
    block_on(bench.orders().handle(&stale)).unwrap().unwrap();
    assert_eq!((bench.view(entry.head.id), bench.posts()), (before, 1));
}

#[test]
fn a_step_waits_for_the_accounts_lease_and_is_dead_after_thirty_tries() {
    let bench = Bench::new();
    let (now, later) = (bench.clock.now(), bench.clock.now().plus(Duration::from_secs(10)));
    block_on(bench.ledger.take_lease(&ACCOUNT, "another", now, later)).unwrap().unwrap().unwrap();
    let entry = bench.enter(1);
    bench.pass(9);
    assert_eq!((bench.view(entry.head.id).state, bench.posts()), (IntentState::Ready, 0));
    bench.pass(21);
    assert_eq!(bench.view(entry.head.id).filled, 1);

    let bench = Bench::new();
    block_on(bench.ledger.take_lease(&ACCOUNT, "another", now, now.plus(Duration::from_secs(9_999))))
        .unwrap()
        .unwrap();
    bench.enter(1);
    bench.pass(60);
    let dead = bench.failures.borrow();
    assert!(
        matches!(dead.as_slice(), [HandleError::Poison(why)] if why.contains("over 30 tries")),
        "{dead:?}"
    );
}

#[test]
fn a_crash_between_the_mark_and_the_send_leaves_a_question_and_no_second_order() {
    let bench = Bench::new();
    let entry = bench.enter(2);
    block_on(async {
        let (now, until) = (bench.clock.now(), bench.clock.now().plus(LEASE));
        let fence = bench.ledger.take_lease(&ACCOUNT, "dies", now, until).await.unwrap().unwrap();
        let view = bench.ledger.intent(&ACCOUNT, entry.head.id).await.unwrap().unwrap();
        bench.ledger.mark_submitting(&sample::mark(&view, fence, 2, now)).await.unwrap();
    })
    .unwrap();
    bench.pass(300);
    let (state, reason, filled) = bench.stands(entry.head.id);
    assert_eq!((state, reason.as_str(), filled, bench.posts()), (IntentState::Working, "unknown", 0, 0));
}

#[test]
fn a_position_closed_by_hand_is_told_and_not_sold_again() {
    let bench = Bench::new();
    let entry = bench.filled_entry(2);
    let by_hand = ForeignOrder {
        account: "VA00000001".to_owned(),
        series: series(),
        side: LegSide::SellToClose,
        quantity: 2,
        price: None,
        tag: None,
    };
    bench.sandbox.borrow_mut().place_foreign(bench.clock.now(), by_hand).unwrap();
    bench.pass(5);
    assert_eq!(bench.held(), 0);
    let posts = bench.posts();
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.pass(60);
    assert_eq!((bench.stands(stop), bench.posts()), (done("missing_at_broker", 0), posts));
}

#[test]
fn messages_of_other_queues_and_of_unknown_intents_are_poison() {
    let bench = Bench::new();
    let unknown =
        Message::Step { account: ACCOUNT, intent: IntentId::of(&[b"nobody"]), version: 1, tries: 0 };
    let alert = Message::Alert { key: "k".into(), level: "info".into(), text: String::new() };
    for message in [unknown, alert] {
        let handled = block_on(bench.orders().handle(&message)).unwrap();
        assert!(matches!(handled, Err(HandleError::Poison(_))), "{message:?}");
    }
}

#[test]
fn an_order_whose_attempt_was_given_up_is_cancelled_and_what_it_executed_is_kept() {
    let bench = Bench::new();
    let entry = bench.filled_entry(2);
    bench.quote(500, 520, 50);
    let id = bench.close(&entry, 3, Action::TakeProfit1, CloseAmount::All);
    bench.pass(2);
    let working = bench.view(id).attempts[0].clone();
    let order = working.broker_order.expect("the close is at the broker");
    // In our books it has ended, at the broker it works on: the request was given up and arrived after all.
    block_on(async {
        let now = bench.clock.now();
        let fence = bench.ledger.take_lease(&ACCOUNT, "test", now, now).await.unwrap().unwrap();
        let view = bench.ledger.intent(&ACCOUNT, id).await.unwrap().unwrap();
        let mut progress = sample::progress(&view, Some(fence), now);
        progress.attempts = vec![sample::ended(&view, domain::order::AttemptState::Missed).unwrap()];
        (progress.state, progress.follow_up) = (IntentState::Done, None);
        bench.ledger.record_progress(&progress).await.unwrap();
        bench.ledger.release_lease(&ACCOUNT, fence).await.unwrap();
        bench.ledger.record_broker_event(&ACCOUNT, order, now).await.unwrap();
    })
    .unwrap();
    bench.pass(5);
    let status = bench.sandbox.borrow().order(order.0).unwrap().status;
    assert_eq!(status, sim::broker::Status::Canceled);
    assert_eq!(bench.held(), 2);
}

#[test]
fn an_entry_is_refused_when_its_signal_is_old_however_late_it_was_decided() {
    let bench = Bench::new();
    let signal = block_on(bench.ledger.transition(sample::setup_id(1), 2)).unwrap().unwrap().unwrap();
    // Its intent is written half a minute after the transition, by a worker that was held up.
    let late = engine::gates::SIGNAL_AGE_MAX + Duration::from_secs(1);
    bench.clock.0.set(signal.transition.ts.plus(late).max(start()));
    bench.index(5_600);
    bench.quote(510, 520, 50);
    let entry = bench.enter(1);
    bench.pass(5);
    assert_eq!(bench.stands(entry.head.id), (IntentState::Blocked, "signal_stale".to_owned(), 0));
    assert_eq!(bench.accepted(), 0);
}

#[test]
fn an_answer_about_somebody_elses_order_is_not_taken_in() {
    let bench = Bench::new();
    let entry = bench.enter(2);
    bench.pass(20);
    let view = bench.view(entry.head.id);
    let attempt = view.attempts[0].clone();
    let order = |id: u64, strike: u32, side, executed| domain::order::BrokerOrder {
        id: BrokerOrderId(id),
        tag: None,
        status: domain::order::BrokerStatus::Filled,
        price: None,
        legs: vec![domain::order::BrokerLeg {
            series: sample::series(strike),
            side,
            opens: true,
            quantity: executed,
            executed,
            average: None,
        }],
        created_at: None,
        changed_at: None,
        reason: None,
    };
    let own = attempt.broker_order.unwrap().0;
    let buy = domain::money::Side::Buy;
    for (what, seen) in [
        ("another order", order(own + 1, 5_610, buy, 2)),
        ("another series", order(own, 5_700, buy, 2)),
        ("another side", order(own, 5_610, domain::money::Side::Sell, 2)),
        ("more than was ordered", order(own, 5_610, buy, 3)),
    ] {
        let taken = follow::observe(&entry.head, &attempt, &seen);
        assert!(matches!(taken, Err(HandleError::Poison(_))), "{what}: {taken:?}");
    }
    assert!(follow::observe(&entry.head, &attempt, &order(own, 5_610, buy, 2)).is_ok());
}

#[test]
fn the_order_of_another_account_wakes_nobody_and_sends_nothing() {
    let bench = Bench::new();
    let entry = bench.filled_entry(2);
    let order = bench.view(entry.head.id).attempts[0].broker_order.unwrap();
    let (posts, before) = (bench.line.posts(), bench.view(entry.head.id));
    let other = sample::account(2);
    block_on(sample::enrol(&bench.ledger, &other)).unwrap().unwrap();
    let message = Message::BrokerOrder { account: other, order };
    block_on(bench.orders().handle(&message)).unwrap().unwrap();
    assert_eq!((bench.view(entry.head.id), bench.line.posts()), (before, posts));
    let step = Message::Step { account: other, intent: entry.head.id, version: 1, tries: 0 };
    let worked = block_on(bench.orders().handle(&step)).unwrap();
    assert!(matches!(worked, Err(HandleError::Poison(_))), "{worked:?}");
}

#[test]
fn what_is_owned_is_noted_beside_the_database_with_every_fill() {
    use domain::ports::OwnedNotes as _;
    let bench = Bench::new();
    let entry = bench.filled_entry(3);
    let noted = || block_on(bench.notes.get(&ACCOUNT)).unwrap().unwrap().map(|it| (it.owned, it.flatten));
    assert_eq!(noted(), Some((vec![(series(), 3)], true)));
    bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.pass(60);
    assert_eq!((bench.held(), noted()), (0, Some((Vec::new(), true))));
}
