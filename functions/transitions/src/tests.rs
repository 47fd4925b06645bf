//! Steps in order, once, for every account that follows.

use std::cell::Cell;
use std::time::Duration;

use domain::calendar::last_trade;
use domain::chain::{ChainRow, ChainSnapshot};
use domain::intent::{Action, IntentState};
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Side, TickGrid};
use domain::ports::IntentView;
use domain::setup::{FamilyStatus, SetupLevels, SetupState as S};
use domain::symbol::Right;
use domain::time::UtcNanos;
use engine::pricing::{Inputs, price, years_between};
use sim::conformance::block_on;
use sim::fixtures::{self as sample, at};
use sim::ledger::MemLedger;

use super::*;

struct Hand(Cell<UtcNanos>);

impl Clock for Hand {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

struct Bench {
    ledger: MemLedger,
    clock: Hand,
}

/// One that trades and one that only watches.
const ACCOUNTS: [AccountRef; 2] = [sample::account(1), sample::account(2)];

impl Bench {
    fn new() -> Self {
        let bench = Self { ledger: MemLedger::new(), clock: Hand(Cell::new(at(9, 50, 30))) };
        block_on(async {
            for account in ACCOUNTS {
                sample::enrol(&bench.ledger, &account).await.unwrap();
                let settings = domain::account::UserSettings {
                    spx_auto_execute: account == sample::account(1),
                    ..sample::settings()
                };
                bench.ledger.store_settings(account.user, &settings).await.unwrap();
                let snapshot = sample::snapshot(bench.clock.now());
                bench.ledger.record_snapshot(&account, &snapshot, "session_open").await.unwrap();
                sample::agree(&bench.ledger, &account).await.unwrap();
            }
        })
        .unwrap();
        bench
    }

    /// Records the steps of setup 1 up to `states`, the chain with the trigger.
    fn record(&self, states: &[S]) -> SetupId {
        self.record_spoilt(states, |_| ())
    }

    /// The same, each step changed by `spoil` as it is written.
    fn record_spoilt(&self, states: &[S], spoil: impl Fn(&mut TransitionRecord)) -> SetupId {
        block_on(async {
            let mut step = sample::formed(1);
            step.setup.levels = levels();
            spoil(&mut step);
            let chain = self.ledger.store_chain(&chain(self.clock.now())).await.unwrap();
            self.ledger.record_transition(&step, step.transition.ts).await.unwrap();
            for state in states {
                step = sample::then(&step, *state);
                step.chain = (*state == S::Triggered).then_some(chain);
                spoil(&mut step);
                self.ledger.record_transition(&step, step.transition.ts).await.unwrap();
            }
            step.setup.id
        })
        .unwrap()
    }

    fn handle(&self, setup: SetupId, sequence: u32, tries: u16) -> Result<(), HandleError> {
        let switches = Switches { execution_enabled: true, ..Switches::default() };
        let function = Transitions { ledger: &self.ledger, clock: &self.clock, switches };
        block_on(function.handle(&Message::Transition { setup, sequence, tries })).unwrap()
    }

    fn intents(&self, account: usize, setup: SetupId) -> Vec<IntentView> {
        block_on(self.ledger.intents_of(&ACCOUNTS[account], setup)).unwrap().unwrap()
    }
}

/// A long setup with an R of 15 points.
fn levels() -> SetupLevels {
    SetupLevels {
        stop: Points::whole(5_585),
        t1: Points::whole(5_615),
        t2: Points::whole(5_630),
        r_index: Points::whole(15),
        ..sample::levels()
    }
}

/// Calls around the money at 16 % volatility, a tick to each side of their value.
fn chain(ts: UtcNanos) -> ChainSnapshot {
    let row = |points: u32| {
        let series = sample::series(points);
        let years = years_between(ts, last_trade(&series).unwrap());
        let inputs =
            Inputs { spot: 5_600.0, strike: f64::from(points), years, rate: 0.0, div: 0.0, vol: 0.16 };
        let value = price(Right::Call, &inputs);
        let side = |side, by: f64| Price::from_model((value + by).max(0.05), side, TickGrid::FIVE_TEN).ok();
        let (bid, ask) = (side(Side::Buy, -0.05), side(Side::Sell, 0.05));
        let quote = OptionQuote { ts, bid, ask, bid_size: 40, ask_size: 40 };
        ChainRow { series, quote, open_interest: Some(1_200), volume: None }
    };
    let rows = (5_560..=5_640).step_by(5).map(row).collect();
    ChainSnapshot { ts, rows, ..sample::chain() }
}

fn actions(intents: &[IntentView]) -> Vec<Action> {
    intents.iter().map(|it| it.intent.head().action).collect()
}

#[test]
fn a_trigger_gives_every_follower_an_intent_and_the_one_without_execution_a_reason() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered]);
    for sequence in 0..=2 {
        bench.handle(setup, sequence, 0).unwrap();
    }
    let watching = bench.intents(1, setup);
    assert_eq!((actions(&watching), watching[0].state), (vec![Action::Enter], IntentState::Blocked));
    let gates = bench.ledger.gates(watching[0].intent.head().id);
    assert!(gates.iter().any(|it| it.gate == "four_lights" && it.reason == "execution_off"), "{gates:?}");
    let trading = bench.intents(0, setup);
    assert_eq!(actions(&trading), [Action::Enter]);
    assert!(
        !bench.ledger.breakdown(trading[0].intent.head().id).is_empty(),
        "the sizing is kept, whatever it says"
    );
}

#[test]
fn a_step_delivered_twice_has_one_effect() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered]);
    for sequence in [0, 1, 2, 2, 1, 0] {
        bench.handle(setup, sequence, 0).unwrap();
    }
    assert_eq!(bench.intents(0, setup).len(), 1);
    assert_eq!(block_on(bench.ledger.handled_up_to(setup)).unwrap(), Ok(Some(2)));
}

#[test]
fn an_early_step_comes_again_a_second_later_and_is_dead_after_thirty() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered]);
    bench.handle(setup, 2, 4).unwrap();
    assert!(bench.intents(0, setup).is_empty());
    let rows = block_on(bench.ledger.due_outbox(at(23, 0, 0), 50)).unwrap().unwrap();
    let again = Message::Transition { setup, sequence: 2, tries: 5 };
    assert!(rows.iter().any(|it| it.message == again && it.due_at == at(9, 50, 31)), "{rows:?}");
    assert!(matches!(bench.handle(setup, 2, EARLY_TRIES_MAX), Err(HandleError::Poison(_))));
}

#[test]
fn repeats_of_an_early_step_meet_in_one_row() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered]);
    for _ in 0..3 {
        bench.handle(setup, 2, 4).unwrap();
        bench.clock.0.set(bench.clock.0.get().plus(Duration::from_millis(250)));
    }
    let rows = block_on(bench.ledger.due_outbox(at(23, 0, 0), 50)).unwrap().unwrap();
    let again = Message::Transition { setup, sequence: 2, tries: 5 };
    assert_eq!(rows.iter().filter(|it| it.message == again).count(), 1, "{rows:?}");
}

#[test]
fn an_unknown_setup_is_poison() {
    let bench = Bench::new();
    assert!(matches!(bench.handle(sample::setup_id(9), 0, 0), Err(HandleError::Poison(_))));
}

#[test]
fn a_step_that_must_not_be_opens_nothing_is_recorded_with_its_reason_and_pages() {
    type Spoil = fn(&mut TransitionRecord);
    let cases: [(&str, Spoil); 4] = [
        ("unknown_profile", |it| it.setup.profile = "nobody-v9".to_owned()),
        ("signal_from_the_future", |it| it.transition.ts = it.transition.ts.plus(Duration::from_secs(7_200))),
        ("price_not_positive", |it| it.transition.price = Points::whole(-5_600)),
        ("price_not_positive", |it| it.setup.levels.stop = Points::whole(0)),
    ];
    for (reason, spoil) in cases {
        let bench = Bench::new();
        let setup = bench.record_spoilt(&[S::Ready, S::Triggered], spoil);
        for sequence in 0..=2 {
            bench.handle(setup, sequence, 0).unwrap();
        }
        let intents = bench.intents(0, setup);
        let stands: Vec<_> = intents.iter().map(|it| (it.state, it.reason.as_str())).collect();
        assert_eq!(stands, [(IntentState::Blocked, reason)]);
        let rows = block_on(bench.ledger.due_outbox(at(23, 0, 0), 100)).unwrap().unwrap();
        let pages = |it: &Message| matches!(it, Message::Alert { level, key, .. } if level == "critical" && key.starts_with(reason));
        assert!(rows.iter().any(|it| pages(&it.message)), "{reason}: {rows:?}");
        let sends = |it: &Message| matches!(it, Message::Step { .. });
        assert!(!rows.iter().any(|it| sends(&it.message)), "{reason}: {rows:?}");
    }
}

#[test]
fn of_a_family_that_is_quarantined_or_on_trial_no_intent_leaves_and_nobody_is_paged() {
    for family in [FamilyStatus::Quarantined, FamilyStatus::Shadow] {
        let bench = Bench::new();
        let setup = bench.record_spoilt(&[S::Ready, S::Triggered], |it| it.setup.facts.family = family);
        for sequence in 0..=2 {
            bench.handle(setup, sequence, 0).unwrap();
        }
        let intents = bench.intents(0, setup);
        let stands: Vec<_> = intents.iter().map(|it| (it.state, it.reason.as_str())).collect();
        assert_eq!(stands, [(IntentState::Blocked, "family_not_active")]);
        let rows = block_on(bench.ledger.due_outbox(at(23, 0, 0), 100)).unwrap().unwrap();
        let moves = |it: &Message| matches!(it, Message::Step { .. } | Message::Alert { .. });
        assert!(!rows.iter().any(|it| moves(&it.message)), "{rows:?}");
    }
}

#[test]
fn a_step_that_is_hours_old_opens_nothing_and_says_so() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered]);
    bench.clock.0.set(at(12, 50, 30));
    for sequence in 0..=2 {
        bench.handle(setup, sequence, 0).unwrap();
    }
    let intent = bench.intents(0, setup).remove(0);
    assert_eq!(intent.state, IntentState::Blocked);
    let stale = ["signal_stale", "no_fresh_quote", "no_fresh_chain", "chain_stale", "no_series"];
    assert!(stale.contains(&intent.reason.as_str()), "{}", intent.reason);
}

#[test]
fn an_account_nobody_enrolled_gets_no_intent() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered]);
    for sequence in 0..=2 {
        bench.handle(setup, sequence, 0).unwrap();
    }
    let stranger = sample::account(9);
    assert!(block_on(bench.ledger.intents_of(&stranger, setup)).unwrap().unwrap().is_empty());
    assert!(
        block_on(bench.ledger.opening_context(&stranger, sample::SESSION, &[]))
            .unwrap()
            .unwrap()
            .credential
            .is_none()
    );
}

#[test]
fn a_target_closes_where_something_was_opened_and_nowhere_else() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered, S::T1Hit]);
    for sequence in 0..=2 {
        bench.handle(setup, sequence, 0).unwrap();
    }
    let entry = bench.intents(0, setup).remove(0);
    assert_eq!(
        entry.state,
        IntentState::Ready,
        "{}: {:?}",
        entry.reason,
        bench.ledger.gates(entry.intent.head().id)
    );
    bench.handle(setup, 3, 0).unwrap();
    let trading = bench.intents(0, setup);
    assert_eq!(actions(&trading), [Action::Enter, Action::TakeProfit1]);
    assert_eq!(trading[1].intent.head().series, entry.intent.head().series);
    assert_eq!(actions(&bench.intents(1, setup)), [Action::Enter]);
}

#[test]
fn the_sessions_end_writes_no_intent_and_a_move_of_the_trail_neither() {
    for states in [vec![S::Ready, S::Triggered, S::Expired], vec![S::Ready, S::Triggered, S::T1Hit, S::T1Hit]]
    {
        let bench = Bench::new();
        let setup = bench.record(&states);
        let last = u32::try_from(states.len()).unwrap();
        for sequence in 0..last {
            bench.handle(setup, sequence, 0).unwrap();
        }
        let before = bench.intents(0, setup).len();
        let record = block_on(bench.ledger.transition(setup, last)).unwrap().unwrap().unwrap();
        let mut step = record;
        step.transition.reason = "session_end".to_owned();
        assert_eq!(wanted(&step), Wanted::Nothing);
        assert_eq!(before, bench.intents(0, setup).len());
    }
}

#[test]
fn a_moved_stop_has_the_disaster_orders_looked_at_now_and_t1_closes_the_share_they_rest_for() {
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered, S::T1Hit, S::T1Hit]);
    for sequence in 0..=2 {
        bench.handle(setup, sequence, 0).unwrap();
    }
    let entry = bench.intents(0, setup).remove(0);
    let domain::intent::OrderIntent::Opening(opening) = &entry.intent else { panic!("{entry:?}") };
    block_on(async {
        for new in engine::protect::intents(opening, 3_000, bench.clock.now()) {
            bench.ledger.record_intent(&new).await.unwrap();
        }
        let rows = bench.ledger.due_outbox(at(23, 0, 0), 100).await.unwrap();
        let ids: Vec<i64> = rows.iter().map(|it| it.id).collect();
        bench.ledger.mark_sent(&ids, at(23, 0, 0)).await.unwrap();
    })
    .unwrap();
    let looked_at = || {
        let rows = block_on(bench.ledger.due_outbox(at(23, 0, 0), 100)).unwrap().unwrap();
        let steps = rows.iter().filter_map(|it| match it.message {
            Message::Step { intent, version: 1, .. } if it.queue == Queue::Exits => Some(intent),
            Message::Step { .. }
            | Message::Transition { .. }
            | Message::BrokerOrder { .. }
            | Message::Flatten { .. }
            | Message::Alert { .. } => None,
        });
        let protections = bench.intents(0, setup).into_iter().filter(|it| it.intent.head().action.protects());
        let ids: Vec<_> = protections.map(|it| it.intent.head().id).collect();
        steps.filter(|it| ids.contains(it)).count()
    };
    assert_eq!(looked_at(), 0);
    bench.handle(setup, 3, 0).unwrap();
    assert_eq!(looked_at(), 2, "T1 moves the stop to break-even");
    let close = bench.intents(0, setup).into_iter().find(|it| it.intent.head().action == Action::TakeProfit1);
    let domain::intent::OrderIntent::Closing(close) = close.unwrap().intent else { panic!() };
    assert_eq!(close.amount, domain::intent::CloseAmount::FractionBp(3_000));
}

/// Two users that both trade and ask for five to eight contracts each.
fn rich() -> Bench {
    let bench = Bench::new();
    block_on(async {
        for account in ACCOUNTS {
            let limits = domain::account::RiskLimits {
                max_risk_per_trade: domain::money::Usd::from_dollars(100_000),
                max_contracts: 8,
                max_direction_contracts: 100,
                daily_loss_limit: domain::money::Usd::from_dollars(100_000),
                ..domain::account::RiskLimits::default()
            };
            let settings = domain::account::UserSettings { limits, ..sample::settings() };
            bench.ledger.store_settings(account.user, &settings).await.unwrap();
        }
    })
    .unwrap();
    bench
}

/// Contracts and turn of an account's entry, in seconds from the decision.
fn release_of(bench: &Bench, account: usize, setup: SetupId) -> (u32, u64) {
    let view = bench.intents(account, setup).remove(0);
    assert_eq!(view.state, IntentState::Ready, "{}", view.reason);
    let domain::intent::OrderIntent::Opening(it) = view.intent else { panic!() };
    (it.quantity, it.release_at.map_or(0, |at| at.since(it.head.decided_at).as_secs()))
}

#[test]
fn the_entries_of_one_signal_take_a_fifth_of_the_displayed_size_per_rung_in_rotation() {
    let bench = rich();
    let setup = bench.record(&[S::Ready, S::Triggered]);
    for sequence in 0..=2 {
        bench.handle(setup, sequence, 0).unwrap();
    }
    // Forty are shown: eight to a rung, so that two entries of more than four each take two.
    let given = [0, 1].map(|account| release_of(&bench, account, setup));
    assert!(given.iter().all(|it| (5..=8).contains(&it.0)), "{given:?}");
    let mut turns = given.map(|it| it.1);
    turns.sort_unstable();
    assert_eq!(turns, [0, 3]);
    let rows = block_on(bench.ledger.due_outbox(at(23, 0, 0), 50)).unwrap().unwrap();
    let mut due: Vec<UtcNanos> =
        rows.iter().filter(|it| it.queue == Queue::Entries).map(|it| it.due_at).collect();
    due.sort();
    assert_eq!(due, [bench.clock.now(), bench.clock.now().plus(Duration::from_secs(3))]);
}

#[test]
fn a_signal_that_is_worked_again_gives_out_no_rung_twice() {
    let whole = rich();
    let setup = whole.record(&[S::Ready, S::Triggered]);
    for sequence in 0..=2 {
        whole.handle(setup, sequence, 0).unwrap();
    }
    for first in [0, 1] {
        // Killed after the entry of one account was written, and delivered again: the other finds its rung taken.
        let bench = rich();
        bench.record(&[S::Ready, S::Triggered]);
        for sequence in 0..=1 {
            bench.handle(setup, sequence, 0).unwrap();
        }
        let known = whole.intents(first, setup).remove(0);
        let new = sample::ready(known.intent.clone());
        block_on(bench.ledger.record_intent(&new)).unwrap().unwrap();
        let second = Duration::from_secs(1);
        bench.clock.0.set(bench.clock.now().plus(second));
        bench.handle(setup, 2, 0).unwrap();
        assert_eq!(bench.intents(first, setup)[0].intent, known.intent, "what was written stands");
        let taken = release_of(&whole, first, setup).1;
        let given = release_of(&bench, 1 - first, setup).1;
        assert_ne!(taken, given, "account {first} was written first");
    }
}

#[test]
fn a_close_goes_to_the_environment_its_position_was_opened_in() {
    use domain::account::Environment;
    let bench = Bench::new();
    let setup = bench.record(&[S::Ready, S::Triggered, S::Stopped]);
    for sequence in 0..=2 {
        bench.handle(setup, sequence, 0).unwrap();
    }
    // The account's credential is stored anew, for another environment.
    let opened_in = ACCOUNTS[0].environment;
    let other = if opened_in == Environment::Live { Environment::Sandbox } else { Environment::Live };
    let moved = AccountRef { environment: other, ..ACCOUNTS[0] };
    block_on(sample::enrol(&bench.ledger, &moved)).unwrap().unwrap();
    assert!(block_on(bench.ledger.active_accounts()).unwrap().unwrap().contains(&moved));
    bench.handle(setup, 3, 0).unwrap();
    let close = bench.intents(0, setup).into_iter().find(|it| it.intent.head().action == Action::Stop);
    assert_eq!(close.unwrap().intent.head().account.environment, opened_in);
}
