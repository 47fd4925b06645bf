//! Our own client against the sandbox, request by request.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ::broker::budget::RateBudget;
use ::broker::tradier::Tradier;
use domain::account::Environment;
use domain::ids::{AttemptNo, BrokerOrderId, OrderTag};
use domain::intent::{Action, CloseAmount, approve_closing, approve_opening};
use domain::order::{BrokerStatus, Mark, Ticket};
use domain::ports::{BrokerError, BrokerPort, CancelAnswer, Clock};

use super::*;
use crate::fixtures;

#[derive(Clone)]
struct Hand(Rc<Cell<UtcNanos>>);

impl Clock for Hand {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

/// One poll: the transport in memory never waits.
fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the transport in memory waited"),
    }
}

type Client = Tradier<InMemoryTransport<Hand>, Hand>;

struct Desk {
    broker: Rc<RefCell<Sandbox>>,
    clock: Hand,
    client: Client,
}

impl Desk {
    fn new() -> Self {
        let world = World::with(Rules::live(7));
        let clock = Hand(Rc::new(Cell::new(world.now)));
        let broker = Rc::new(RefCell::new(world.broker));
        let transport = InMemoryTransport::new(Rc::clone(&broker), clock.clone());
        let budget = Rc::new(RateBudget::new(Environment::Sandbox));
        let number = MARGIN.parse().unwrap();
        let client = Tradier::new(transport, clock.clone(), Token::new("stub-token"), number, budget);
        Self { broker, clock, client }
    }

    fn after(&self, millis: u64) {
        self.clock.0.set(self.clock.now().plus(Duration::from_millis(millis)));
        self.broker.borrow_mut().advance(self.clock.now());
    }

    fn quote(&self, bid: u32, ask: u32, ask_size: u32) {
        self.after(1);
        let (ts, price) = (self.clock.now(), |cents| Some(Price::from_cents(cents)));
        let quote = OptionQuote { ts, bid: price(bid), ask: price(ask), bid_size: 50, ask_size };
        self.broker.borrow_mut().on_market(&MarketEvent::OptionQuote(CALL.parse().unwrap(), quote));
    }

    fn mark(&self, tag: OrderTag) -> Mark {
        Mark { tag, at: self.clock.now(), version: 1 }
    }

    fn buy(&self, n: u8, quantity: u32, cents: u32) -> (OrderTag, Result<BrokerOrderId, BrokerError>) {
        let mut intent = fixtures::opening(&fixtures::account(n), n, quantity);
        intent.head.series = CALL.parse().unwrap();
        let tag = OrderTag { intent: intent.head.id, attempt: AttemptNo::FIRST };
        let approved = approve_opening(intent, &fixtures::approving_gates()).unwrap();
        let ticket = Ticket::buy_to_open(&approved, &self.mark(tag), quantity, Price::from_cents(cents));
        (tag, done(self.client.place(&ticket)))
    }

    fn sell(&self, n: u8, quantity: u32, cents: u32) -> Result<BrokerOrderId, BrokerError> {
        let entry = fixtures::opening(&fixtures::account(n), n, quantity);
        let intent = fixtures::closing(&entry, 5, Action::TakeProfit1, CloseAmount::All);
        let tag = OrderTag { intent: intent.head.id, attempt: AttemptNo::FIRST };
        let approved = approve_closing(&intent, quantity, quantity).unwrap();
        let series = CALL.parse().unwrap();
        let ticket = Ticket::sell_to_close(&approved, &self.mark(tag), series, Price::from_cents(cents));
        done(self.client.place(&ticket))
    }

    fn seen(&self, id: BrokerOrderId) -> (BrokerStatus, u32, Option<Usd>) {
        let order = done(self.client.order(id)).unwrap();
        let leg = order.single().unwrap();
        (order.status, leg.executed, leg.average)
    }
}

#[test]
fn an_order_goes_from_pending_to_open_to_partly_filled_to_filled_with_its_tag() {
    let desk = Desk::new();
    desk.quote(230, 240, 2);
    let (tag, placed) = desk.buy(2, 3, 240);
    let id = placed.unwrap();
    assert_eq!(desk.seen(id).0, BrokerStatus::Pending);
    desk.after(60);
    assert_eq!(desk.seen(id).0, BrokerStatus::Open);
    desk.after(40);
    assert_eq!(desk.seen(id), (BrokerStatus::PartiallyFilled, 2, Some(Usd::from_cents(240))));
    desk.quote(230, 240, 2);
    assert_eq!(desk.seen(id), (BrokerStatus::Filled, 3, Some(Usd::from_cents(240))));
    let orders = done(desk.client.orders()).unwrap();
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].id, orders[0].tag), (id, Some(tag)));
    let positions = done(desk.client.positions()).unwrap();
    assert_eq!((positions.len(), positions[0].series.to_string().as_str()), (1, CALL));
}

#[test]
fn empty_lists_balances_and_quotes_are_read() {
    let desk = Desk::new();
    assert_eq!(done(desk.client.orders()), Ok(Vec::new()));
    assert_eq!(done(desk.client.positions()), Ok(Vec::new()));
    let balances = done(desk.client.balances()).unwrap();
    assert_eq!(balances.option_buying_power, Some(Usd::from_dollars(100_000)));
    let unlisted = "SPXW261120C09990000".parse().unwrap();
    let quotes = done(desk.client.quotes(&[unlisted, CALL.parse().unwrap()])).unwrap();
    assert_eq!(quotes[0], None);
    assert_eq!(quotes[1].unwrap().two_sided(), Some((Price::from_cents(230), Price::from_cents(240))));
}

#[test]
fn a_cancel_that_loses_its_race_is_told_as_final_and_the_fill_is_read() {
    let desk = Desk::new();
    let id = desk.buy(2, 1, 230).1.unwrap();
    desk.after(200);
    assert_eq!(done(desk.client.cancel(id)), Ok(CancelAnswer::Requested));
    desk.quote(220, 230, 5);
    assert_eq!(desk.seen(id), (BrokerStatus::Filled, 1, Some(Usd::from_cents(230))));
    assert_eq!(done(desk.client.cancel(id)), Ok(CancelAnswer::AlreadyFinal));
}

#[test]
fn a_walked_limit_keeps_its_id_and_a_canceled_part_keeps_its_contracts() {
    let desk = Desk::new();
    desk.quote(230, 250, 1);
    let id = desk.buy(2, 2, 230).1.unwrap();
    desk.after(200);
    assert_eq!(done(desk.client.modify(id, Price::from_cents(250), false)), Ok(()));
    desk.after(40);
    assert_eq!(desk.seen(id), (BrokerStatus::PartiallyFilled, 1, Some(Usd::from_cents(250))));
    assert_eq!(done(desk.client.cancel(id)), Ok(CancelAnswer::Requested));
    desk.after(40);
    assert_eq!(desk.seen(id), (BrokerStatus::Canceled, 1, Some(Usd::from_cents(250))));
}

#[test]
fn refusals_are_told_apart_and_what_is_held_is_sold_once() {
    let desk = Desk::new();
    let nothing_held = desk.sell(2, 1, 230);
    assert!(matches!(&nothing_held, Err(BrokerError::Refused { reason }) if reason.contains("more shares")));
    assert!(matches!(done(desk.client.order(BrokerOrderId(5))), Err(BrokerError::Refused { .. })));
    desk.buy(2, 1, 240).1.unwrap();
    desk.after(200);
    let id = desk.sell(2, 1, 230).unwrap();
    desk.after(200);
    assert_eq!(desk.seen(id).0, BrokerStatus::Filled);
    let lines = desk.broker.borrow_mut().take_transcript();
    let facts = Facts::from_transcript(&lines).accounts[MARGIN].clone();
    assert_eq!((facts.broker_orders, facts.fills, facts.duplicate_orders, facts.naked_shorts), (2, 2, 0, 0));
    // Ten dollars lost to the spread; 1.05 of charges each way.
    assert_eq!(facts.realized_pnl, Usd::from_cents(-1_210));
}
