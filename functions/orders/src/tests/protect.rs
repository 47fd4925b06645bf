//! Disaster orders: what rests at the broker while we hold, and how it gets out of the way.

use super::*;
use domain::setup::{SetupState, TrailStep, TransitionRecord};

/// A disaster order as the broker has it: contracts, stop and limit in cents.
type Resting = (u32, u32, u32);

impl Bench {
    /// Seconds in which index and quote keep coming.
    fn live(&self, seconds: u64, (bid, ask): (u32, u32)) {
        for _ in 0..seconds {
            self.index(5_600);
            self.quote(bid, ask, 50);
            self.pass(1);
            self.never_more_working_than_held();
        }
    }

    fn resting(&self) -> Vec<Resting> {
        let sandbox = self.sandbox.borrow();
        let live = sandbox.account("VA00000001").unwrap().live.clone();
        let orders = live.iter().filter_map(|id| sandbox.order(*id));
        let stops = orders.filter(|it| it.kind == OrderType::StopLimit);
        let cents = |it: Option<Price>| it.map_or(0, Price::cents);
        let mut found: Vec<Resting> = stops
            .map(|it| (it.legs[0].quantity - it.legs[0].executed, cents(it.stop), cents(it.price)))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    fn never_more_working_than_held(&self) {
        let sandbox = self.sandbox.borrow();
        let account = sandbox.account("VA00000001").unwrap();
        let orders = account.live.iter().filter_map(|id| sandbox.order(*id)).filter(|it| it.sells());
        let working: u32 = orders.map(|it| it.legs[0].quantity - it.legs[0].executed).sum();
        assert!(
            i64::from(working) <= account.held(&series()).max(0),
            "{working} working at {}",
            self.clock.now()
        );
    }

    /// Three contracts, held and protected.
    fn protected(&self, quantity: u32) -> OpeningIntent {
        let entry = self.enter(quantity);
        self.live(25, (510, 520));
        assert_eq!(self.stands(entry.head.id), done("", quantity));
        entry
    }

    fn protections(&self, entry: &OpeningIntent) -> Vec<IntentView> {
        let views = block_on(self.ledger.intents_of(&ACCOUNT, sample::setup_id(1))).unwrap().unwrap();
        let of_entry = views.into_iter().filter(|it| it.intent.head().action.protects());
        let mut found: Vec<IntentView> = of_entry.collect();
        found.sort_by_key(|it| it.intent.head().action);
        assert!(found.iter().all(|it| it.intent.head().series == entry.head.series));
        found
    }

    /// The setup's next step, with its stop at `stop` after `moves` moves of the trail.
    fn step(&self, to: SetupState, stop: i64, moves: usize) {
        block_on(async {
            let mut sequence = 2;
            let mut last: Option<TransitionRecord> = None;
            while let Some(found) = self.ledger.transition(sample::setup_id(1), sequence).await.unwrap() {
                (last, sequence) = (Some(found), sequence + 1);
            }
            let mut next = sample::then(&last.unwrap(), to);
            next.setup.levels.stop = Points::whole(stop);
            let ts = self.clock.now();
            next.setup.trailing_stop_path =
                vec![TrailStep { ts, stop: Points::whole(stop), reason: "pivot_low".to_owned() }; moves];
            self.ledger.record_transition(&next, ts).await.unwrap();
        })
        .unwrap();
    }

    /// What happened at the broker since it was last asked, in words.
    fn told(&self) -> Vec<String> {
        let lines = self.sandbox.borrow_mut().take_transcript();
        let words = lines.iter().filter_map(|it| match &it.event {
            TranscriptEvent::Accepted { kind, legs, .. } => {
                Some(format!("{} {}", kind.as_str(), legs[0].quantity))
            }
            TranscriptEvent::Canceled { .. } => Some("canceled".to_owned()),
            TranscriptEvent::Filled { legs, .. } => Some(format!("filled {}", legs[0].quantity)),
            TranscriptEvent::SessionOpened { .. }
            | TranscriptEvent::Account { .. }
            | TranscriptEvent::Request { .. }
            | TranscriptEvent::Opened { .. }
            | TranscriptEvent::Rejected { .. }
            | TranscriptEvent::Changed { .. }
            | TranscriptEvent::CancelRequested { .. }
            | TranscriptEvent::Expired { .. }
            | TranscriptEvent::FaultStruck { .. }
            | TranscriptEvent::SessionClosed { .. }
            | TranscriptEvent::Settled { .. }
            | TranscriptEvent::Delivered { .. } => None,
        });
        words.collect()
    }
}

#[test]
fn from_the_first_fill_a_stop_limit_order_rests_for_each_tranche() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    let resting = bench.resting();
    assert_eq!(resting.iter().map(|it| it.0).collect::<Vec<_>>(), [2, 1], "{:?}", bench.failures);
    for (_, stop, limit) in resting {
        assert!(stop < 510 && limit < stop && stop % 5 == 0 && limit % 5 == 0, "{stop} {limit}");
    }
    for view in bench.protections(&entry) {
        assert_eq!((view.state, view.filled, view.attempts.len()), (IntentState::Working, 0, 1));
    }
}

#[test]
fn one_contract_has_one_disaster_order() {
    let bench = Bench::new();
    let entry = bench.protected(1);
    assert_eq!(bench.resting().len(), 1);
    let stands: Vec<_> =
        bench.protections(&entry).iter().map(|it| bench.stands(it.intent.head().id)).collect();
    assert_eq!(stands[1], done("nothing_held", 0));
}

#[test]
fn never_do_opposite_orders_work_while_an_entry_fills_in_parts() {
    let bench = Bench::new();
    bench.quote(510, 520, 1);
    let entry = bench.enter(3);
    let mut opposite = false;
    for _ in 0..40 {
        bench.index(5_600);
        bench.quote(510, 520, 1);
        bench.pass(1);
        opposite |= bench.view(entry.head.id).state == IntentState::Working && !bench.resting().is_empty();
    }
    let bought = bench.view(entry.head.id).filled;
    assert!(bought > 0 && !opposite);
    assert_eq!(bench.resting().iter().map(|it| it.0).sum::<u32>(), bought);
}

#[test]
fn t1_ends_its_own_disaster_order_first_and_leaves_the_runners_at_work() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    bench.told();
    let t1 = bench.close(&entry, 3, Action::TakeProfit1, CloseAmount::FractionBp(5_000));
    bench.live(20, (510, 520));
    assert_eq!(bench.told(), ["canceled", "limit 2", "filled 2"], "{:?}", bench.failures);
    assert_eq!((bench.stands(t1), bench.held()), (done("", 2), 1));
    assert_eq!(bench.resting().iter().map(|it| it.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn every_other_close_waits_until_both_disaster_orders_have_ended() {
    for action in [Action::TakeProfit2, Action::Stop, Action::Terminal] {
        let bench = Bench::new();
        let entry = bench.protected(3);
        bench.told();
        let close = bench.close(&entry, 3, action, CloseAmount::All);
        bench.live(20, (510, 520));
        assert_eq!(bench.told(), ["canceled", "canceled", "limit 3", "filled 3"], "{action:?}");
        assert_eq!((bench.stands(close), bench.held()), (done("", 3), 0), "{action:?}");
        assert!(bench.protections(&entry).iter().all(|it| it.state == IntentState::Done));
    }
}

#[test]
fn a_close_that_finds_its_disaster_orders_cancelled_at_once_waits_no_longer_than_a_second() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    let asked_at = bench.clock.now();
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.live(10, (510, 520));
    let sent_at = bench.view(stop).attempts[0].marked_at;
    assert!(sent_at.since(asked_at) <= Duration::from_secs(1), "{:?}", sent_at.since(asked_at));
}

#[test]
fn a_disaster_order_that_executes_is_a_close_like_any_other() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    let stops: Vec<u32> = bench.resting().iter().map(|it| it.1).collect();
    let under = Price::from_cents(*stops.iter().min().unwrap()).cents() - 10;
    bench.live(70, (under, under + 20));
    assert_eq!((bench.held(), bench.resting().len()), (0, 0), "{:?}", bench.failures);
    let sold: u32 = bench.protections(&entry).iter().map(|it| it.filled).sum();
    assert_eq!(sold, 3);
    let owned = block_on(bench.ledger.owned(&ACCOUNT, SESSION)).unwrap().unwrap();
    assert_eq!(owned.iter().map(|it| it.held()).sum::<u32>(), 0);
    // The setup's own closes find nothing left.
    for (sequence, action) in [(3, Action::TakeProfit1), (4, Action::Stop)] {
        let amount = if sequence == 3 { CloseAmount::FractionBp(5_000) } else { CloseAmount::All };
        let close = bench.close(&entry, sequence, action, amount);
        bench.live(10, (under, under + 20));
        assert_eq!(bench.stands(close), done("nothing_held", 0));
    }
}

#[test]
fn t1_sells_nothing_of_the_runner_when_its_own_disaster_order_executed() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    let (_, stop, _) = bench.resting()[0];
    // Two contracts are bid for once, at the stop: both orders are triggered, one finds a buyer.
    bench.quote(stop, stop + 20, 2);
    bench.pass(1);
    bench.live(70, (510, 520));
    let sold = bench.protections(&entry).iter().map(|it| it.filled).sum::<u32>();
    let t1 = bench.close(&entry, 3, Action::TakeProfit1, CloseAmount::FractionBp(5_000));
    bench.live(20, (510, 520));
    let of_t1 = bench.protections(&entry)[0].filled + bench.view(t1).filled;
    assert_eq!(of_t1, 2, "{sold} were sold before");
}

#[test]
fn the_runners_disaster_order_is_replaced_as_the_trail_moves_and_every_five_minutes() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    let t1 = bench.close(&entry, 3, Action::TakeProfit1, CloseAmount::FractionBp(5_000));
    bench.live(10, (510, 520));
    assert_eq!(bench.stands(t1), done("", 2));
    let runner = |bench: &Bench| bench.protections(&entry)[1].last_attempt().unwrap().clone();
    let (order, before) = (runner(&bench).broker_order, bench.resting());
    bench.step(SetupState::T1Hit, 5_600, 1);
    bench.live(70, (510, 520));
    let moved = bench.resting();
    assert!(moved[0].1 > before[0].1, "{before:?} then {moved:?}");
    assert_eq!(
        (runner(&bench).broker_order, runner(&bench).rung),
        (order, 1),
        "the order keeps its identity"
    );
    bench.step(SetupState::T1Hit, 5_605, 2);
    bench.live(70, (510, 520));
    assert!(bench.resting()[0].1 > moved[0].1);
    let repriced_at = runner(&bench).repriced_at;
    bench.live(240, (510, 520));
    assert_eq!(runner(&bench).repriced_at, repriced_at);
    bench.live(120, (510, 520));
    let again = runner(&bench).repriced_at.since(repriced_at);
    assert!(Duration::from_secs(300) <= again && again <= Duration::from_secs(361), "{again:?}");
}

#[test]
fn whatever_becomes_of_its_request_no_more_disaster_orders_work_than_contracts_are_held() {
    use Fault as F;
    let faults = [
        F::AnswerLost,
        F::ErrorAfterEffect,
        F::HalfAnswer,
        F::RequestLost,
        F::ErrorWithoutEffect,
        F::NotSent,
    ];
    for fault in faults {
        let bench = Bench::new();
        let entry = bench.enter(3);
        bench.index(5_600);
        bench.quote(510, 520, 50);
        bench.pass(1);
        bench.line.next(Method::Post, &[fault]);
        bench.live(150, (510, 520));
        assert_eq!(bench.stands(entry.head.id), done("", 3));
        let contracts: u32 = bench.resting().iter().map(|it| it.0).sum();
        assert_eq!(contracts, 3, "{fault:?}: {:?}", bench.failures);
        let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
        bench.live(30, (510, 520));
        assert_eq!((bench.stands(stop), bench.held()), (done("", 3), 0), "{fault:?}");
    }
}

#[test]
fn a_disaster_order_whose_request_arrives_after_it_was_given_up_does_not_keep_a_stop_from_selling() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    // In our books it has ended, at the broker it rests on.
    let runner = bench.protections(&entry).remove(1);
    block_on(async {
        let now = bench.clock.now();
        let fence = bench.ledger.take_lease(&ACCOUNT, "test", now, now).await.unwrap().unwrap();
        let mut progress = sample::progress(&runner, Some(fence), now);
        progress.attempts = vec![sample::ended(&runner, domain::order::AttemptState::Missed).unwrap()];
        (progress.state, progress.follow_up) = (IntentState::Done, None);
        bench.ledger.record_progress(&progress).await.unwrap();
        bench.ledger.release_lease(&ACCOUNT, fence).await.unwrap();
    })
    .unwrap();
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.live(20, (510, 520));
    assert_eq!((bench.stands(stop), bench.held()), (done("", 3), 0), "{:?}", bench.failures);
}

impl Bench {
    fn market(&self, state: KillState) {
        let (scope, at) = (KillScope::Market(Underlying::SPX), self.clock.now());
        let flip =
            KillFlip { scope, state, by: "halt".to_owned(), reason: "test".to_owned(), at, if_version: None };
        block_on(self.ledger.flip_kill_switch(&flip)).unwrap().unwrap();
    }
}

#[test]
fn in_a_halt_nothing_walks_what_works_rests_and_it_goes_on_when_the_market_reopened() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    let t1 = bench.close(&entry, 3, Action::TakeProfit1, CloseAmount::FractionBp(5_000));
    // Wide and empty: the target rests over the bid.
    bench.live(3, (410, 620));
    let price = |bench: &Bench| bench.view(t1).last_attempt().map(|it| (it.no.0, it.price, it.rung));
    let before = price(&bench);
    bench.market(KillState::SafeMode);
    bench.pass(60);
    assert_eq!((price(&bench), bench.view(t1).state), (before, IntentState::Working));
    bench.market(KillState::Normal);
    bench.live(30, (410, 620));
    assert_ne!(price(&bench), before);
    assert_eq!(bench.stands(t1), done("", 2));
}

#[test]
fn a_close_that_begins_in_a_halt_waits_and_leaves_the_disaster_orders_where_they_rest() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    bench.market(KillState::SafeMode);
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.live(60, (510, 520));
    assert_eq!((bench.view(stop).attempts.len(), bench.resting().len(), bench.held()), (0, 2, 3));
    bench.market(KillState::Normal);
    bench.live(15, (510, 520));
    assert_eq!((bench.stands(stop), bench.held()), (done("", 3), 0));
}

#[test]
fn no_entry_leaves_and_none_works_on_while_the_market_is_halted() {
    let bench = Bench::new();
    bench.market(KillState::SafeMode);
    let entry = bench.enter(2);
    bench.pass(20);
    let (state, reason, _) = bench.stands(entry.head.id);
    assert_eq!((state, reason.as_str(), bench.line.posts()), (IntentState::Blocked, "market_halted", 0));
    let bench = Bench::new();
    bench.quote(510, 560, 50);
    let entry = bench.enter(2);
    bench.pass(2);
    bench.market(KillState::SafeMode);
    bench.pass(10);
    assert_eq!(bench.stands(entry.head.id), done("superseded", 0));
}

#[test]
fn a_halt_whose_end_nobody_told_does_not_keep_a_close_for_ever() {
    let bench = Bench::new();
    let entry = bench.protected(1);
    bench.market(KillState::SafeMode);
    let stop = bench.close(&entry, 3, Action::Stop, CloseAmount::All);
    bench.live(24 * 60, (510, 520));
    assert_eq!(bench.held(), 1);
    bench.live(2 * 60, (510, 520));
    assert_eq!((bench.stands(stop), bench.held()), (done("", 1), 0));
}

#[test]
fn disaster_orders_are_drawn_nearer_while_nobody_sees_the_index() {
    let bench = Bench::new();
    let entry = bench.protected(3);
    let before = bench.resting();
    for _ in 0..20 {
        bench.quote(510, 520, 50);
        bench.pass(1);
    }
    // The ingester has each of them looked at.
    block_on(async {
        for view in bench.protections(&entry) {
            let (intent, version) = (view.intent.head().id, view.version);
            let step = Message::Step { account: ACCOUNT, intent, version, tries: 0 };
            bench.ledger.send_later(Queue::Exits, &step, bench.clock.now()).await.unwrap();
        }
    })
    .unwrap();
    bench.pass(1);
    let tight = bench.resting();
    assert!(tight[0].1 > before[0].1 && tight[0].1 < 510, "{before:?} then {tight:?}");
    // Seen again, they go back.
    bench.live(70, (510, 520));
    assert!(bench.resting()[0].1 < tight[0].1, "{:?}", bench.resting());
}
