//! Each way in which books and broker differ.

use super::*;
use crate::testing::{DAY, opening, owned, selected, view};
use domain::account::Balances;
use domain::ids::{AttemptNo, BrokerOrderId};
use domain::money::{Price, Side, TickGrid, Usd};
use domain::order::{AttemptState, BrokerLeg, BrokerStatus};
use domain::time::at_new_york;
use jiff::civil::time;

fn entry(state: IntentState, attempt: AttemptState, executed: u32) -> IntentView {
    let chosen = selected();
    let intent = opening(&chosen, TickGrid::FIVE_TEN.up(chosen.ask), 3);
    view(OrderIntent::Opening(intent), state, attempt, 3, executed)
}

fn order_of(view: &IntentView, status: BrokerStatus, executed: u32) -> BrokerOrder {
    let head = view.intent.head();
    BrokerOrder {
        id: BrokerOrderId(1),
        tag: Some(OrderTag { intent: head.id, attempt: AttemptNo::FIRST }),
        status,
        price: Some(Price::from_cents(910)),
        legs: vec![BrokerLeg {
            series: head.series,
            side: Side::Buy,
            opens: true,
            quantity: 3,
            executed,
            average: None,
        }],
        created_at: None,
        changed_at: None,
        reason: None,
    }
}

fn position(quantity: i64) -> BrokerPosition {
    BrokerPosition { series: selected().row.series, quantity, cost_basis: Usd::ZERO }
}

struct Case {
    owned: Vec<Owned>,
    intents: Vec<IntentView>,
    positions: Vec<BrokerPosition>,
    orders: Vec<BrokerOrder>,
    snapshots: Vec<Snapshot>,
    seconds: u64,
}

impl Case {
    /// Three contracts bought, everybody agrees.
    fn agreed() -> Self {
        let view = entry(IntentState::Done, AttemptState::Filled, 3);
        Self {
            owned: vec![owned(&view, 3, 0)],
            orders: vec![order_of(&view, BrokerStatus::Filled, 3)],
            intents: vec![view],
            positions: vec![position(3)],
            snapshots: vec![],
            seconds: 10,
        }
    }

    fn working(state: AttemptState) -> Self {
        let view = entry(IntentState::Working, state, 0);
        Self {
            intents: vec![view],
            owned: vec![],
            positions: vec![],
            orders: vec![],
            snapshots: vec![],
            seconds: 31,
        }
    }

    fn found(&self) -> Findings {
        let now = selected().row.quote.ts.plus(Duration::from_secs(self.seconds));
        diff(&Books {
            structures: &[],
            owned: &self.owned,
            intents: &self.intents,
            positions: &self.positions,
            orders: &self.orders,
            snapshots: &self.snapshots,
            taken_over: &[],
            now,
        })
    }

    /// The only difference, as kind and cure, and how many steps follow.
    fn only(&self) -> (DifferenceKind, String, usize) {
        let found = self.found();
        assert_eq!(found.differences.len(), 1, "{found:?}");
        let it = &found.differences[0];
        (it.kind, it.cure.clone(), found.steps.len())
    }
}

#[test]
fn books_that_agree_have_no_difference() {
    assert_eq!(Case::agreed().found(), Findings::default());
}

#[test]
fn an_entry_whose_follow_up_is_lost_is_stepped_and_nothing_differs() {
    let mut lost = Case::working(AttemptState::Working);
    lost.orders = vec![order_of(&lost.intents[0], BrokerStatus::Open, 0)];
    lost.intents[0].attempts[0].broker_order = Some(BrokerOrderId(1));
    assert_eq!(lost.found(), Findings::default(), "its walk is not over");
    lost.seconds = 61;
    let found = lost.found();
    assert_eq!((found.differences.len(), found.steps), (0, vec![lost.intents[0].intent.head().id]));
}

#[test]
fn positions_differ_in_both_directions() {
    let missing = Case { positions: vec![], ..Case::agreed() };
    assert_eq!(missing.only(), (DifferenceKind::MissingAtBroker, "alert".to_owned(), 0));
    let fewer = Case { positions: vec![position(2)], ..Case::agreed() };
    assert_eq!(fewer.only(), (DifferenceKind::QuantityMismatch, "alert".to_owned(), 0));
    let unknown = Case { owned: vec![], intents: vec![], ..Case::agreed() };
    assert_eq!(unknown.only(), (DifferenceKind::UnknownAtBroker, "adopt".to_owned(), 1));
    assert!(!unknown.found().is_reconciled());
}

#[test]
fn what_was_opened_by_hand_is_labelled_and_no_fault() {
    let mut by_hand = Case { owned: vec![], intents: vec![], orders: vec![], ..Case::agreed() };
    assert_eq!(by_hand.only(), (DifferenceKind::Foreign, "none".to_owned(), 0));
    by_hand.positions = vec![position(-2)];
    assert_eq!(by_hand.only().0, DifferenceKind::Foreign);
    let added = Case { positions: vec![position(5)], ..Case::agreed() };
    assert_eq!(added.only().0, DifferenceKind::Foreign);
    assert!(added.found().is_reconciled());
    let mut working = Case::agreed();
    let view = working.intents[0].clone();
    working.orders.push(BrokerOrder {
        id: BrokerOrderId(2),
        tag: None,
        ..order_of(&view, BrokerStatus::Open, 0)
    });
    assert_eq!(working.only().0, DifferenceKind::Foreign);
}

#[test]
fn an_execution_we_have_not_booked_is_adopted_by_the_next_step() {
    let view = entry(IntentState::Working, AttemptState::Working, 0);
    let case = Case {
        owned: vec![],
        orders: vec![order_of(&view, BrokerStatus::Open, 1)],
        intents: vec![view],
        positions: vec![position(1)],
        snapshots: vec![],
        seconds: 10,
    };
    let found = case.found();
    let kinds: Vec<_> = found.differences.iter().map(|it| (it.kind, it.cure.as_str())).collect();
    let expected = [(DifferenceKind::UnknownAtBroker, "adopt"), (DifferenceKind::QuantityMismatch, "adopt")];
    assert_eq!((kinds.as_slice(), found.steps.len()), (expected.as_slice(), 1));
}

#[test]
fn a_lost_answer_is_stuck_after_thirty_seconds_and_adopted_where_its_tag_is_found() {
    for state in [AttemptState::Submitting, AttemptState::Unknown] {
        let stuck = Case::working(state);
        assert_eq!(stuck.only(), (DifferenceKind::StuckSubmission, "re_ask".to_owned(), 1));
        assert_eq!(Case { seconds: 30, ..Case::working(state) }.found(), Findings::default());
        let view = stuck.intents[0].clone();
        let there = Case { orders: vec![order_of(&view, BrokerStatus::Open, 0)], ..Case::working(state) };
        let found = there.found();
        assert_eq!((found.differences.len(), found.steps.len()), (0, 1));
    }
}

#[test]
fn an_order_the_broker_no_longer_shows_and_one_that_outlived_us_are_both_found() {
    let gone = Case::working(AttemptState::Working);
    assert_eq!(gone.only(), (DifferenceKind::MissingAtBroker, "re_ask".to_owned(), 1));
    assert!(Case { seconds: 5, ..Case::working(AttemptState::Working) }.found().is_reconciled());
    let view = entry(IntentState::Done, AttemptState::Canceled, 0);
    let zombie = Case {
        orders: vec![order_of(&view, BrokerStatus::Open, 0)],
        intents: vec![view],
        ..Case::working(AttemptState::Working)
    };
    assert_eq!(zombie.only(), (DifferenceKind::UnknownAtBroker, "adopt".to_owned(), 1));
}

#[test]
fn a_fill_without_a_price_and_a_close_without_an_end_are_told() {
    let mut case = Case::agreed();
    case.intents[0].fills[0].price = None;
    assert_eq!(case.only(), (DifferenceKind::PriceMissing, "re_ask".to_owned(), 1));
    case.seconds = 5;
    assert!(case.found().is_reconciled(), "an average may come a moment after its fill");
    let mut stuck = Case::agreed();
    let close = crate::testing::closing(&stuck.intents[0], 3);
    stuck.intents.push(view(OrderIntent::Closing(close), IntentState::Working, AttemptState::Canceled, 3, 0));
    stuck.seconds = 61;
    assert_eq!(stuck.only(), (DifferenceKind::StuckClose, "alert".to_owned(), 1));
}

#[test]
fn after_the_last_trade_a_settled_series_may_still_be_shown_and_an_unsettled_one_is_marked() {
    let evening = at_new_york(DAY, time(16, 20, 0, 0));
    let seconds = evening.since(selected().row.quote.ts).as_secs();
    let view = entry(IntentState::Done, AttemptState::Filled, 3);
    let settled = Case { owned: vec![owned(&view, 3, 3)], seconds, ..Case::agreed() };
    assert_eq!(settled.found(), Findings::default());
    let pending = Case { positions: vec![], seconds, ..Case::agreed() };
    assert_eq!(pending.only(), (DifferenceKind::MissingAtBroker, "mark".to_owned(), 0));
}

#[test]
fn a_ready_intent_whose_message_is_lost_is_stepped_again() {
    let mut view = entry(IntentState::Ready, AttemptState::Created, 0);
    view.attempts.clear();
    let case = Case { intents: vec![view], ..Case::working(AttemptState::Working) };
    let found = case.found();
    assert_eq!((found.differences.len(), found.steps.len()), (0, 1));
}

#[test]
fn a_disaster_order_may_rest_and_one_whose_follow_up_is_lost_is_stepped() {
    let entry = entry(IntentState::Done, AttemptState::Filled, 3);
    let OrderIntent::Opening(opening) = &entry.intent else { panic!() };
    let decided_at = entry.intent.head().decided_at;
    let [protection, _] = crate::protect::intents(opening, 5_000, decided_at);
    let rests = view(protection.intent, IntentState::Working, AttemptState::Working, 2, 0);
    let order = order_of(&rests, BrokerStatus::Open, 0);
    for (minutes, steps) in [(6, 0), (8, 1)] {
        let found = diff(&Books {
            structures: &[],
            owned: &[owned(&entry, 3, 0)],
            intents: &[entry.clone(), rests.clone()],
            positions: &[position(3)],
            orders: &[order_of(&entry, BrokerStatus::Filled, 3), order.clone()],
            snapshots: &[],
            taken_over: &[],
            now: decided_at.plus(Duration::from_secs(60 * minutes)),
        });
        assert_eq!((found.differences.as_slice(), found.steps.len()), ([].as_slice(), steps), "{minutes}");
    }
    // Asked to stop, it is stepped whenever somebody looks: its message may be lost, and a close waits for its end.
    let stopping = IntentView { stop_requested: true, ..rests };
    let found = diff(&Books {
        owned: &[owned(&entry, 3, 0)],
        intents: &[entry.clone(), stopping],
        positions: &[position(3)],
        orders: &[order_of(&entry, BrokerStatus::Filled, 3), order],
        structures: &[],
        snapshots: &[],
        taken_over: &[],
        now: decided_at.plus(Duration::from_secs(60)),
    });
    assert_eq!(found.steps.len(), 1);
}

#[test]
fn a_patient_flatten_is_stuck_only_when_it_takes_the_bid_and_a_minute_has_gone() {
    let flattening = |reason: &str, minutes: u32| {
        let entry = entry(IntentState::Done, AttemptState::Filled, 3);
        let close = domain::calendar::last_trade(&selected().row.series).unwrap();
        let started = close.minus(Duration::from_secs(15 * 60));
        let mut flatten = crate::testing::closing(&entry, 0);
        flatten.head.origin = Origin::Flatten(DAY);
        (flatten.opening, flatten.reason) = (None, reason.to_owned());
        let mut working =
            view(OrderIntent::Closing(flatten), IntentState::Working, AttemptState::Canceled, 3, 0);
        working.attempts[0].marked_at = started;
        let now = close.minus(Duration::from_secs(60 * u64::from(minutes)));
        let seconds = now.since(selected().row.quote.ts).as_secs();
        let found = Case { intents: vec![entry, working], seconds, ..Case::agreed() }.found();
        found.differences.iter().any(|it| it.kind == DifferenceKind::StuckClose)
    };
    for (reason, minutes_before_close, is_stuck) in [
        ("session_end", 13, false),
        ("session_end", 7, false),
        ("session_end", 5, true),
        ("flatten_now", 13, true),
    ] {
        assert_eq!(flattening(reason, minutes_before_close), is_stuck, "{reason} at {minutes_before_close}");
    }
}

#[test]
fn cash_that_no_fill_of_ours_explains_is_told_and_nobodys_fault() {
    // Three contracts bought at 9.10 with 1.05 of charges each.
    let cost = Usd::from_dollars(2_730) + Usd::from_cents(315);
    let case = |cash: Usd| {
        let mut case = Case::agreed();
        case.intents[0].fills[0].fees = Usd::from_cents(315);
        case.intents[0].fills[0].price = Some(Usd::from_cents(910));
        let bought_at = case.intents[0].fills[0].at;
        let snapshot = |at, total_cash| Snapshot {
            at,
            balances: Balances { total_cash, ..crate::testing::balances(50_000) },
        };
        let rich = Usd::from_dollars(50_000);
        let (before, after) = (Duration::from_secs(600), Duration::from_secs(600));
        case.snapshots = vec![snapshot(bought_at.minus(before), rich), snapshot(bought_at.plus(after), cash)];
        case.seconds = 700;
        case
    };
    let left = Usd::from_dollars(50_000) - cost;
    assert_eq!(case(left).found(), Findings::default());
    assert_eq!(case(left + Usd::from_cents(75)).found(), Findings::default(), "charges may be rounded");
    let paid_in = case(left + Usd::from_dollars(1_000));
    assert_eq!(paid_in.only(), (DifferenceKind::CashMismatch, "alert".to_owned(), 0));
    assert!(paid_in.found().is_reconciled());
    // Right after a fill nobody can say whether the balance has it.
    let mut near = case(left + Usd::from_dollars(1_000));
    near.snapshots[1].at = near.intents[0].fills[0].at.plus(Duration::from_secs(30));
    assert_eq!(near.found(), Findings::default());
    // What was traded by hand moves cash, too.
    let mut by_hand = case(left + Usd::from_dollars(1_000));
    by_hand.orders[0].tag = None;
    assert!(by_hand.found().differences.iter().all(|it| it.kind != DifferenceKind::CashMismatch));
}
