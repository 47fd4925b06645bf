//! What the books make of fills.

use super::*;
use crate::account::{AccountRef, Environment};
use crate::ids::{AccountId, IntentId, SetupId, UserId};
use crate::intent::{
    Action, CloseAmount, ClosingIntent, DecisionMarket, IntentHead, IntentState, OpeningIntent, OrderIntent,
    Origin,
};
use crate::market::Points;
use crate::money::{Price, Side, Usd};
use crate::order::{Attempt, AttemptState};
use crate::ports::{IntentView, Progress};
use crate::position::{Fill, FillSource};
use crate::setup::{Direction, SetupKind, SetupLevels};
use crate::time::{UtcNanos, at_new_york};
use jiff::civil::{Date, date, time};
use uuid::Uuid;

const DAY: Date = date(2026, 11, 20);

fn head(name: &str, action: Action) -> IntentHead {
    IntentHead {
        id: IntentId::of(&[name.as_bytes()]),
        account: AccountRef {
            user: UserId(Uuid::from_u128(1)),
            account: AccountId(Uuid::from_u128(2)),
            environment: Environment::Sandbox,
        },
        origin: Origin::Setup(SetupId::of(&[name.as_bytes()])),
        sequence: 2,
        action,
        series: "SPXW261120C05610000".parse().unwrap(),
        decided_at: at(10),
    }
}

fn at(hour: i8) -> UtcNanos {
    at_new_york(DAY, time(hour, 0, 0, 0))
}

fn fill(view: &IntentView, side: Side, from: u32, to: u32, cents: i64, hour: i8) -> Fill {
    Fill {
        intent: view.intent.head().id,
        attempt: AttemptNo::FIRST,
        series: view.intent.head().series,
        side,
        from,
        to,
        price: Some(Usd::from_cents(cents)),
        fees: Usd::from_dollars(i64::from(to - from)),
        at: at(hour),
        source: FillSource::Poll,
    }
}

fn view(intent: OrderIntent, state: IntentState) -> IntentView {
    IntentView {
        intent,
        state,
        reason: String::new(),
        attempts: Vec::new(),
        fills: Vec::new(),
        filled: 0,
        stop_requested: false,
        version: 1,
    }
}

fn entry(name: &str, contracts: u32, cents: i64) -> IntentView {
    let levels = SetupLevels {
        zone_low: Points(0),
        zone_high: Points(0),
        stop: Points(0),
        t1: Points(0),
        t2: Points(0),
        r_index: Points(0),
    };
    let intent = OpeningIntent {
        head: head(name, Action::Enter),
        kind: SetupKind::OrbBreakout,
        direction: Direction::Long,
        quantity: contracts,
        worst: Price::from_cents(300),
        market: DecisionMarket { spot: Points(0), bid: Price::ZERO, ask: Price::ZERO },
        levels,
        risk_per_contract: Usd::ZERO,
        release_at: None,
    };
    let mut it = view(OrderIntent::Opening(intent), IntentState::Done);
    it.fills.push(fill(&it, Side::Buy, 0, contracts, cents, 10));
    it.filled = contracts;
    it
}

fn close(name: &str, opening: Option<&IntentView>, contracts: u32, cents: i64, hour: i8) -> IntentView {
    let intent = ClosingIntent {
        head: head(name, Action::Flatten),
        opening: opening.map(|it| it.intent.head().id),
        amount: CloseAmount::All,
        reason: "session_end".into(),
    };
    let mut it = view(OrderIntent::Closing(intent), IntentState::Done);
    it.fills.push(fill(&it, Side::Sell, 0, contracts, cents, hour));
    it
}

fn attempt(no: u16, side: Side, quantity: u32) -> Attempt {
    Attempt {
        no: AttemptNo(no),
        state: AttemptState::Working,
        broker_order: None,
        side,
        quantity,
        price: Price::from_cents(250),
        rung: 0,
        executed: 0,
        average: None,
        marked_at: at(10),
        repriced_at: at(10),
        cancel_at: None,
        reason: None,
        combo: None,
        trace: Default::default(),
    }
}

fn observe(view: &IntentView, to: u32, average: Option<i64>, fee: i64) -> super::After {
    let seen = Fill {
        price: average.map(Usd::from_cents),
        fees: Usd::from_dollars(fee),
        ..fill(view, Side::Buy, 0, to, 0, 11)
    };
    let progress = Progress {
        account: view.intent.head().account,
        intent: seen.intent,
        version: view.version,
        fence: None,
        attempts: Vec::new(),
        fills: vec![seen],
        state: IntentState::Done,
        reason: String::new(),
        gates: Vec::new(),
        what: "polled".into(),
        at: at(11),
        follow_up: None,
        also: Vec::new(),
    };
    progressed(view, &progress).unwrap()
}

#[test]
fn an_observation_is_cumulative_and_a_stretch_is_charged_by_contract() {
    let mut it = entry("a", 2, 200);
    it.attempts.push(attempt(1, Side::Buy, 5));
    let after = observe(&it, 5, Some(230), 1);
    let row = after.added[0];
    assert_eq!((row.from, row.to, row.price), (2, 5, Some(Usd::from_cents(250))));
    assert_eq!((row.fees, after.view.filled), (Usd::from_dollars(3), 5));
    let again = observe(&after.view, 5, Some(230), 1);
    assert!(again.added.is_empty() && again.completed.is_empty());
}

#[test]
fn an_average_that_comes_late_prices_every_stretch_without_one() {
    let mut it = entry("a", 1, 100);
    it.attempts.push(attempt(1, Side::Buy, 5));
    let one = observe(&it, 2, None, 1).view;
    let two = observe(&one, 4, Some(250), 2);
    let figures: Vec<_> = two.view.fills.iter().map(|it| (it.to, it.price, it.fees)).collect();
    let (price, dollars) = (|cents| Some(Usd::from_cents(cents)), Usd::from_dollars);
    let expected = [(1, price(100), dollars(1)), (2, price(300), dollars(2)), (4, price(300), dollars(4))];
    assert_eq!(figures, expected);
    assert_eq!((two.added.len(), two.completed.len()), (1, 1));
}

#[test]
fn a_flatten_closes_what_entries_still_hold_in_their_order() {
    let (first, second) = (entry("a", 3, 200), entry("b", 2, 100));
    let t1 = close("t1", Some(&first), 2, 300, 11);
    let flatten = close("f", None, 3, 150, 15);
    let books = owned(&[first, second, t1, flatten], DAY);
    let figures: Vec<_> = books.iter().map(|it| (it.bought, it.sold, it.received)).collect();
    assert_eq!(figures, [(3, 3, Usd::from_dollars(750)), (2, 2, Usd::from_dollars(300))]);
}

#[test]
fn a_close_that_came_late_sells_what_another_entry_of_its_series_holds() {
    let first = entry("a", 5, 600);
    let second = entry("b", 5, 530);
    let close = close("c", Some(&first), 7, 550, 12);
    let owned = owned(&[first, second, close], DAY);
    assert_eq!(owned.iter().map(|it| (it.bought, it.sold)).collect::<Vec<_>>(), [(5, 5), (5, 2)]);
    assert_eq!(owned.iter().map(|it| it.received).sum::<Usd>(), Usd::from_dollars(7 * 550));
    assert_eq!(owned.iter().map(|it| it.fees).sum::<Usd>(), Usd::from_dollars(5 + 5 + 7));
}

#[test]
fn the_day_counts_fees_losses_and_one_day_trade_for_a_close_in_parts() {
    let it = entry("a", 2, 200);
    let parts = [close("t1", Some(&it), 1, 150, 11), close("st", Some(&it), 1, 100, 12)];
    let [one, two] = parts;
    let risk = day_risk(&[it, one, two], DAY);
    assert_eq!(risk.realized, Usd::from_dollars(250 - 400 - 4));
    assert_eq!((risk.losses_in_a_row, risk.day_trades, risk.open_premium), (1, 1, Usd::ZERO));
}

#[test]
fn what_is_held_and_what_is_sent_count_and_what_is_only_ready_does_not() {
    let held = entry("a", 2, 200);
    let mut sent = entry("b", 3, 100);
    sent.fills.clear();
    sent.filled = 0;
    let mut ready = sent.clone();
    (sent.state, ready.state) = (IntentState::Working, IntentState::Ready);
    let risk = day_risk(&[held, sent, ready], DAY);
    assert_eq!(risk.open_premium, Usd::from_dollars(400 + 900));
    assert_eq!((risk.working_debits, risk.long_contracts), (Usd::from_dollars(900), 5));
}

#[test]
fn a_settlement_closes_and_is_no_day_trade() {
    let mut it = entry("a", 2, 200);
    let settled = Fill { attempt: SETTLEMENT, fees: Usd::ZERO, ..fill(&it, Side::Sell, 0, 2, 0, 16) };
    it.fills.push(settled);
    assert_eq!((filled(&it.fills), held(std::slice::from_ref(&it), it.intent.head().id)), (2, 0));
    let risk = day_risk(std::slice::from_ref(&it), DAY);
    assert_eq!((risk.day_trades, risk.losses_in_a_row), (0, 1));
    assert_eq!(risk.realized, Usd::from_dollars(-402));
}
