mod combos;
mod physical;

use super::*;
use domain::account::Switches;
use domain::expiry::ExpiryStatus;
use domain::ids::{AttemptNo, BrokerOrderId, OrderTag};
use domain::intent::{Action, CloseAmount, IntentState, OrderIntent};
use domain::money::{Price, Side, Usd};
use domain::order::{AttemptState, BrokerLeg, BrokerStatus};
use domain::ports::{Marking, Members as _, OutboxRow, Queue, Written};
use sim::fixtures::{self as sample, SESSION, at};
use sim::ledger::MemLedger;
use sim::shown::{Accounts, Shown, Stands, run};

fn on() -> Switches {
    Switches { reconciliation: true, ..Switches::default() }
}

fn reconcile(
    ledger: &MemLedger,
    brokers: &Accounts,
    now: UtcNanos,
    switches: Switches,
    close: Option<i64>,
) -> Reconciled {
    let clock = Stands(now);
    let this = Reconcile { ledger, brokers, clock: &clock, switches };
    run(this.run(close.map(Points::whole))).unwrap()
}

/// User 1 bought two contracts of 5605 as order 101.
async fn bought(ledger: &MemLedger) -> (IntentView, BrokerOrder) {
    let account = sample::account(1);
    sample::enrol(ledger, &account).await.unwrap();
    sample::trigger(ledger, 1).await.unwrap();
    let fence = ledger.take_lease(&account, "test", at(9, 0, 0), at(9, 59, 0)).await.unwrap().unwrap();
    let entry = sample::opening(&account, 1, 2);
    let id = entry.head.id;
    ledger.record_intent(&sample::ready(OrderIntent::Opening(entry))).await.unwrap();
    let read = async || sample::read(ledger, &account, id).await.unwrap();
    let marked = ledger.mark_submitting(&sample::mark(&read().await, fence, 2, at(9, 50, 0))).await.unwrap();
    assert!(matches!(marked, Marking::Marked(_)), "{marked:?}");
    let answer = sample::accepted(&read().await, fence, 101, at(9, 50, 1)).unwrap();
    ledger.record_answer(&answer).await.unwrap();
    let view = read().await;
    let mut done = sample::progress(&view, Some(fence), at(9, 50, 2));
    done.attempts
        .push(domain::order::Attempt { executed: 2, ..sample::ended(&view, AttemptState::Filled).unwrap() });
    done.fills.push(sample::observed(&view, 2, Some(240), at(9, 50, 2)).unwrap());
    (done.state, done.follow_up) = (IntentState::Done, None);
    assert!(matches!(ledger.record_progress(&done).await.unwrap(), Written::Version(_)));
    let order = order(101, Some(OrderTag { intent: id, attempt: AttemptNo::FIRST }), Side::Buy, 2);
    (read().await, order)
}

fn order(id: u64, tag: Option<OrderTag>, side: Side, executed: u32) -> BrokerOrder {
    let leg = BrokerLeg {
        series: sample::series(5_605),
        side,
        opens: side == Side::Buy,
        quantity: executed,
        executed,
        average: Some(Usd::from_cents(240)),
    };
    BrokerOrder {
        id: BrokerOrderId(id),
        tag,
        status: BrokerStatus::Filled,
        price: Some(Price::from_cents(240)),
        legs: vec![leg],
        created_at: Some(at(9, 50, 0)),
        changed_at: Some(at(9, 50, 2)),
        reason: None,
    }
}

fn shows(orders: Vec<BrokerOrder>, held: i64) -> Accounts {
    let position =
        BrokerPosition { series: sample::series(5_605), quantity: held, cost_basis: Usd::from_dollars(480) };
    let positions = if held == 0 { Vec::new() } else { vec![position] };
    Accounts([(sample::account(1).account, Shown { positions, orders, ..Shown::default() })].into())
}

fn alerts(ledger: &MemLedger) -> Vec<String> {
    let rows = run(ledger.due_outbox(at(23, 0, 0), 1_000)).unwrap();
    let text = |it: OutboxRow| {
        let Message::Alert { level, text, .. } = it.message else { return None };
        Some(format!("{level} {text}"))
    };
    rows.into_iter().filter(|it| it.queue == Queue::Alerts).filter_map(text).collect()
}

#[test]
fn books_that_agree_are_recorded_as_reconciled() {
    let ledger = MemLedger::new();
    let (_, order) = run(bought(&ledger));
    let done = reconcile(&ledger, &shows(vec![order], 2), at(10, 0, 0), on(), None);
    assert_eq!(done, Reconciled { accounts: 1, ..Reconciled::default() });
    let book = run(ledger.day_book(&sample::account(1), SESSION)).unwrap();
    assert_eq!((book.reconciled_at, book.differences), (Some(at(10, 0, 0)), Vec::new()));
    assert!(alerts(&ledger).is_empty());
}

#[test]
fn what_was_closed_by_hand_is_told_at_once() {
    let ledger = MemLedger::new();
    let (_, order) = run(bought(&ledger));
    assert_eq!(reconcile(&ledger, &shows(vec![order], 0), at(10, 0, 0), on(), None).faults, 1);
    let told = alerts(&ledger);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("critical account") && told[0].contains("SPXW261120C05605000"), "{told:?}");
}

#[test]
fn what_cures_itself_is_told_only_when_the_next_run_still_finds_it() {
    let ledger = MemLedger::new();
    let (_, mut order) = run(bought(&ledger));
    order.legs[0].executed = 3;
    let brokers = shows(vec![order], 3);
    assert!(reconcile(&ledger, &brokers, at(10, 0, 0), on(), None).faults > 0);
    assert_eq!(alerts(&ledger), Vec::<String>::new());
    assert!(reconcile(&ledger, &brokers, at(10, 1, 0), on(), None).faults > 0);
    assert!(!alerts(&ledger).is_empty());
}

#[test]
fn a_late_execution_of_an_ended_intent_wakes_its_order() {
    let ledger = MemLedger::new();
    let (_, mut order) = run(bought(&ledger));
    order.legs[0].executed = 3;
    let done = reconcile(&ledger, &shows(vec![order], 3), at(10, 0, 0), on(), None);
    assert_eq!((done.faults > 0, done.stepped), (true, 1));
    let rows = run(ledger.due_outbox(at(10, 0, 0), 1_000)).unwrap();
    let wakes =
        |it: &&OutboxRow| matches!(it.message, Message::BrokerOrder { order: BrokerOrderId(101), .. });
    assert_eq!(rows.iter().filter(wakes).count(), 1, "{rows:?}");
}

#[test]
fn what_was_opened_by_hand_is_shown_and_nobodys_fault() {
    let ledger = MemLedger::new();
    run(sample::enrol(&ledger, &sample::account(1))).unwrap();
    let done = reconcile(&ledger, &shows(vec![order(7, None, Side::Buy, 2)], 2), at(10, 0, 0), on(), None);
    assert_eq!((done.faults, done.foreign), (0, 1));
    assert!(alerts(&ledger).is_empty());
}

#[test]
fn switched_off_it_still_looks_after_what_is_ours_and_after_nothing_else() {
    let ledger = MemLedger::new();
    run(sample::enrol(&ledger, &sample::account(1))).unwrap();
    let off = Switches::default();
    let by_hand = shows(vec![order(7, None, Side::Buy, 2)], 2);
    assert_eq!(reconcile(&ledger, &by_hand, at(10, 0, 0), off, None).skipped, 1);
    let (_, order) = run(bought(&ledger));
    assert_eq!(reconcile(&ledger, &shows(vec![order], 2), at(10, 1, 0), off, None).accounts, 1);
}

#[test]
fn one_account_that_does_not_answer_stops_no_other() {
    let ledger = MemLedger::new();
    for n in [1, 2] {
        run(sample::enrol(&ledger, &sample::account(n))).unwrap();
    }
    let down = Shown { is_down: true, ..Shown::default() };
    let brokers = Accounts([(sample::account(1).account, down)].into());
    let done = reconcile(&ledger, &brokers, at(10, 0, 0), on(), None);
    assert_eq!((done.failed, done.accounts), (1, 1));
}

#[test]
fn an_expired_position_is_settled_on_the_official_close_once_the_broker_lets_go_of_it() {
    let ledger = MemLedger::new();
    let (_, order) = run(bought(&ledger));
    let account = sample::account(1);
    let held = || run(ledger.owned(&account, SESSION)).unwrap()[0].held();
    let gone = shows(vec![order.clone()], 0);
    assert_eq!(reconcile(&ledger, &shows(vec![order], 2), at(16, 0, 0), on(), None).settled, 0);
    assert_eq!(reconcile(&ledger, &gone, at(16, 1, 0), on(), None).settled, 0);
    assert_eq!(held(), 2);
    let done = reconcile(&ledger, &gone, at(16, 2, 0), on(), Some(5_612));
    assert_eq!((done.settled, done.faults, held()), (1, 0, 0));
    let received = run(ledger.owned(&account, SESSION)).unwrap()[0].received;
    assert_eq!(received, Usd::from_dollars(7 * 100 * 2));
    // Settled and compared: the day is over for this account.
    assert_eq!(reconcile(&ledger, &gone, at(16, 3, 0), on(), Some(5_612)).skipped, 1);
}

#[test]
fn a_sale_that_is_not_booked_yet_is_no_settlement() {
    let ledger = MemLedger::new();
    let (view, bought) = run(bought(&ledger));
    let tag = OrderTag { intent: view.intent.head().id, attempt: AttemptNo(2) };
    let gone = shows(vec![bought, order(102, Some(tag), Side::Sell, 2)], 0);
    let done = reconcile(&ledger, &gone, at(16, 1, 0), on(), Some(5_612));
    assert_eq!((done.settled, done.faults > 0), (0, true));
}

#[test]
fn the_short_leg_of_a_structure_in_its_series_is_no_sale_of_a_long() {
    let ledger = MemLedger::new();
    let (view, bought) = run(bought(&ledger));
    let mut short =
        order(102, Some(OrderTag { intent: view.intent.head().id, attempt: AttemptNo(2) }), Side::Sell, 2);
    short.legs[0].opens = true;
    let done = reconcile(&ledger, &shows(vec![bought, short], 0), at(16, 1, 0), on(), Some(5_612));
    assert_eq!(done.settled, 1);
}

#[test]
fn a_flatten_whose_closes_are_adopted_is_asked_for_a_pass_that_ends_it() {
    let ledger = MemLedger::new();
    let (_, bought) = run(bought(&ledger));
    let account = sample::account(1);
    let flatten = sample::flattening(&account, sample::series(5_605)).head.id;
    let tag = OrderTag { intent: flatten, attempt: AttemptNo(22_561) };
    let sold = order(102, Some(tag), Side::Sell, 2);
    let done = reconcile(&ledger, &shows(vec![bought, sold], 0), at(15, 51, 0), on(), None);
    assert_eq!(done.adopted, 1);
    let rows = run(ledger.due_outbox(at(15, 51, 0), 100)).unwrap();
    let pass = Message::Flatten { account, session: SESSION, at_once: false };
    assert!(rows.iter().any(|it| it.message == pass), "{rows:?}");
}

#[test]
fn closes_that_a_flatten_sent_with_the_database_down_are_booked_afterwards() {
    let ledger = MemLedger::new();
    let (_, bought) = run(bought(&ledger));
    let account = sample::account(1);
    let flatten = sample::flattening(&account, sample::series(5_605)).head.id;
    let pass = |no, id, executed, status| {
        let tag = OrderTag { intent: flatten, attempt: AttemptNo(no) };
        let mut order = order(id, Some(tag), Side::Sell, executed);
        (order.status, order.legs[0].quantity) = (status, 2);
        order.created_at = Some(at(15, 46, 0));
        order
    };
    let canceled = pass(22_561, 102, 1, BrokerStatus::Canceled);
    let working = pass(22_571, 103, 0, BrokerStatus::Open);
    let half = shows(vec![bought.clone(), canceled.clone(), working], 1);
    let done = reconcile(&ledger, &half, at(15, 46, 30), on(), None);
    assert_eq!((done.adopted, done.faults), (2, 0));
    let held = || run(ledger.owned(&account, SESSION)).unwrap()[0].held();
    assert_eq!(held(), 1);
    // The flatten may go on with this intent until the close.
    assert_eq!(run(sample::read(&ledger, &account, flatten)).unwrap().state, IntentState::Working);
    let filled = pass(22_581, 104, 1, BrokerStatus::Filled);
    let canceled_too = pass(22_571, 103, 0, BrokerStatus::Canceled);
    let flat = shows(vec![bought, canceled, canceled_too, filled], 0);
    let done = reconcile(&ledger, &flat, at(16, 0, 0), on(), None);
    assert_eq!((done.adopted, held()), (1, 0));
    assert_eq!(run(sample::read(&ledger, &account, flatten)).unwrap().state, IntentState::Done);
}

#[test]
fn outside_its_hours_nothing_is_asked() {
    let ledger = MemLedger::new();
    run(sample::enrol(&ledger, &sample::account(1))).unwrap();
    let brokers = Accounts::default();
    for (now, accounts) in [(at(9, 24, 59), 0), (at(9, 25, 0), 1), (at(18, 0, 1), 0)] {
        assert_eq!(reconcile(&ledger, &brokers, now, on(), None).accounts, accounts, "{now}");
    }
}

/// What of ours expired, as it stands.
fn expiries(ledger: &MemLedger) -> Vec<(ExpiryStatus, Option<Usd>)> {
    let book = run(ledger.day_book(&sample::account(1), SESSION)).unwrap();
    book.expiries.iter().map(|it| (it.status, it.cash())).collect()
}

#[test]
fn what_expires_is_pending_on_a_provisional_amount_until_the_broker_lets_go_of_it() {
    let ledger = MemLedger::new();
    let (_, order) = run(bought(&ledger));
    let shown = shows(vec![order.clone()], 2);
    reconcile(&ledger, &shown, at(15, 59, 0), on(), None);
    assert_eq!(expiries(&ledger), []);
    reconcile(&ledger, &shown, at(16, 0, 0), on(), None);
    assert_eq!(expiries(&ledger), [(ExpiryStatus::ExpiredPending, None)]);
    reconcile(&ledger, &shown, at(16, 1, 0), on(), Some(5_612));
    let provisional = Some(Usd::from_dollars(7 * 100 * 2));
    assert_eq!(expiries(&ledger), [(ExpiryStatus::ExpiredPending, provisional)]);
    reconcile(&ledger, &shows(vec![order], 0), at(16, 2, 0), on(), Some(5_612));
    assert_eq!(expiries(&ledger), [(ExpiryStatus::Settled, provisional)]);
}

#[test]
fn what_the_broker_lets_go_of_overnight_is_settled_on_the_amount_that_was_kept() {
    let ledger = MemLedger::new();
    let (_, order) = run(bought(&ledger));
    reconcile(&ledger, &shows(vec![order.clone()], 2), at(16, 1, 0), on(), Some(5_612));
    let monday = at(9, 29, 0).plus(Duration::from_secs(3 * 24 * 3_600));
    let done = reconcile(&ledger, &shows(Vec::new(), 0), monday, on(), None);
    assert_eq!((done.settled, done.faults), (1, 0));
    assert_eq!(expiries(&ledger), [(ExpiryStatus::Settled, Some(Usd::from_dollars(1_400)))]);
}

/// A close of both contracts, its first attempt given up after its answer was lost.
async fn given_up(ledger: &MemLedger, entry: &IntentView) -> domain::ids::IntentId {
    let account = sample::account(1);
    let OrderIntent::Opening(opening) = &entry.intent else { panic!("an entry opens") };
    let closing = sample::closing(opening, 2, Action::Stop, CloseAmount::All);
    let id = closing.head.id;
    ledger.record_intent(&sample::ready(OrderIntent::Closing(closing))).await.unwrap();
    let fence = ledger.take_lease(&account, "test", at(9, 51, 0), at(9, 59, 0)).await.unwrap().unwrap();
    let view = sample::read(ledger, &account, id).await.unwrap();
    let marked = ledger.mark_submitting(&sample::mark(&view, fence, 2, at(9, 51, 0))).await.unwrap();
    assert!(matches!(marked, Marking::Marked(_)), "{marked:?}");
    let view = sample::read(ledger, &account, id).await.unwrap();
    let mut lost = sample::progress(&view, Some(fence), at(9, 51, 6));
    lost.attempts.push(sample::ended(&view, AttemptState::Missed).unwrap());
    (lost.state, lost.follow_up) = (IntentState::Working, Some(at(9, 51, 7)));
    assert!(matches!(ledger.record_progress(&lost).await.unwrap(), Written::Version(_)));
    id
}

#[test]
fn a_request_that_arrives_after_its_attempt_was_given_up_is_booked_and_its_order_is_looked_at() {
    let ledger = MemLedger::new();
    let (entry, bought) = run(bought(&ledger));
    let id = run(given_up(&ledger, &entry));
    let tag = OrderTag { intent: id, attempt: AttemptNo::FIRST };
    let mut late = order(102, Some(tag), Side::Sell, 1);
    (late.status, late.legs[0].quantity) = (BrokerStatus::PartiallyFilled, 2);
    reconcile(&ledger, &shows(vec![bought, late], 1), at(10, 0, 0), on(), None);

    let view = run(sample::read(&ledger, &sample::account(1), id)).unwrap();
    assert_eq!((view.filled, view.attempts[0].state), (1, AttemptState::Missed), "{view:?}");
    assert_eq!(view.attempts[0].broker_order, Some(BrokerOrderId(102)));
    let owned = run(ledger.owned(&sample::account(1), SESSION)).unwrap();
    assert_eq!(owned.iter().map(domain::position::Owned::held).sum::<u32>(), 1);
    let rows = run(ledger.due_outbox(at(10, 0, 0), 1_000)).unwrap();
    let wakes =
        |it: &&OutboxRow| matches!(it.message, Message::BrokerOrder { order: BrokerOrderId(102), .. });
    assert_eq!(rows.iter().filter(wakes).count(), 1, "what still works is brought to its end: {rows:?}");
}

#[test]
fn a_fill_larger_than_its_order_is_never_booked_and_pages() {
    let ledger = MemLedger::new();
    let (_, mut order) = run(bought(&ledger));
    (order.legs[0].quantity, order.legs[0].executed) = (5, 5);
    let brokers = shows(vec![order], 5);
    for minute in [0, 1] {
        assert!(reconcile(&ledger, &brokers, at(10, minute, 0), on(), None).faults > 0);
    }
    let owned = run(ledger.owned(&sample::account(1), SESSION)).unwrap();
    assert_eq!(owned.iter().map(|it| it.bought).collect::<Vec<_>>(), [2]);
    assert!(alerts(&ledger).iter().any(|it| it.starts_with("critical") && it.contains("quantity_mismatch")));
}

#[test]
fn an_order_in_another_series_under_our_tag_is_not_booked_as_ours() {
    let ledger = MemLedger::new();
    let (_, mut order) = run(bought(&ledger));
    (order.legs[0].series, order.legs[0].executed) = (sample::series(5_700), 3);
    reconcile(&ledger, &shows(vec![order], 2), at(10, 0, 0), on(), None);
    let owned = run(ledger.owned(&sample::account(1), SESSION)).unwrap();
    assert_eq!(
        owned.iter().map(|it| (it.series, it.bought)).collect::<Vec<_>>(),
        [(sample::series(5_605), 2)]
    );
}

#[test]
fn what_was_handed_over_is_shown_as_taken_over_and_nobodys_fault() {
    let ledger = MemLedger::new();
    let account = sample::account(1);
    run(sample::enrol(&ledger, &account)).unwrap();
    run(ledger.take_over(&account, &sample::series(5_605), 2, at(9, 50, 0))).unwrap();
    let done = reconcile(&ledger, &shows(Vec::new(), 2), at(10, 0, 0), on(), None);
    let book = run(ledger.day_book(&account, SESSION)).unwrap();
    let cures: Vec<_> = book.differences.iter().map(|it| it.cure.as_str()).collect();
    assert_eq!((done.faults, done.foreign, cures), (0, 1, vec!["taken_over"]));
}
