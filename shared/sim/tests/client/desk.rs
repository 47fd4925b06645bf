//! A sandbox with one margin account, and our client on it.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use broker::budget::RateBudget;
use broker::tradier::Tradier;
use domain::account::{AccountType, Environment};
use domain::calendar::Session;
use domain::ids::{AttemptNo, BrokerOrderId, OrderTag};
use domain::intent::{Action, Approved, CloseAmount, CloseBound, approve_closing, approve_opening};
use domain::market::{ListedSeries, MarketEvent, OptionQuote, Points, PrintCounts, Trade};
use domain::money::{Price, Usd};
use domain::order::{BrokerStatus, Mark, Ticket};
use domain::ports::{BrokerPort, Clock};
use domain::secret::Token;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{date, time};
use sim::broker::{
    AccountConfig, Config, InMemoryTransport, Latencies, Practice, Rules, Sandbox, UserConfig,
};
use sim::fixtures;

pub(crate) const CALL: &str = "SPXW261120C05610000";
pub(crate) const HIGHER: &str = "SPXW261120C05620000";

#[derive(Clone)]
pub(crate) struct Hand(Rc<Cell<UtcNanos>>);

impl Clock for Hand {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

/// One poll: the transport in memory never waits.
pub(crate) fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the transport in memory waited"),
    }
}

pub(crate) fn cents(cents: u32) -> Price {
    Price::from_cents(cents)
}

pub(crate) fn series(symbol: &str) -> OccSymbol {
    symbol.parse().unwrap()
}

/// One user with one margin account, and our client.
pub(crate) struct Desk {
    pub(crate) broker: Rc<RefCell<Sandbox>>,
    pub(crate) clock: Hand,
    pub(crate) client: Tradier<InMemoryTransport<Hand>, Hand>,
    pub(crate) orders: Cell<u8>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let account = AccountConfig::full(
            "VA00000001".parse().unwrap(),
            AccountType::Margin,
            Usd::from_dollars(100_000),
        );
        let user = UserConfig::with_account("id-one", "stub-token", account);
        let listed = |it: &&str| ListedSeries { series: series(it), open_interest: Some(1_204) };
        let practice = Practice { nightly: false, ..Practice::USUAL };
        let config = Config {
            session: Session::of(date(2026, 11, 20)).unwrap().unwrap(),
            users: vec![user],
            series: [CALL, HIGHER].iter().map(listed).collect(),
            rules: Rules { latencies: Latencies::NONE, practice, ..Rules::live(7) },
        };
        let clock = Hand(Rc::new(Cell::new(at_new_york(date(2026, 11, 20), time(10, 0, 0, 0)))));
        let broker = Rc::new(RefCell::new(Sandbox::new(config)));
        let transport = InMemoryTransport::new(Rc::clone(&broker), clock.clone());
        let budget = Rc::new(RateBudget::new(Environment::Live));
        let number = "VA00000001".parse().unwrap();
        let client = Tradier::new(transport, clock.clone(), Token::new("stub-token"), number, budget);
        let desk = Self { broker, clock, client, orders: Cell::new(0) };
        desk.index(5_611.25);
        desk.quote(CALL, 340, 350);
        desk.quote(HIGHER, 230, 235);
        desk
    }

    pub(crate) fn index(&self, value: f64) {
        let (ts, price) = (self.clock.now(), Points::from_f64(value));
        let trade = Trade { ts, sequence: None, price, size: 0, counts: PrintCounts::Everywhere };
        self.broker.borrow_mut().on_market(&MarketEvent::Trade(Underlying::SPX, trade));
    }

    pub(crate) fn after(&self, time: Duration) {
        self.clock.0.set(self.clock.now().plus(time));
        self.broker.borrow_mut().advance(self.clock.now());
    }

    pub(crate) fn quote(&self, symbol: &str, bid: u32, ask: u32) {
        self.after(Duration::from_millis(1));
        let ts = self.clock.now();
        let quote =
            OptionQuote { ts, bid: Some(cents(bid)), ask: Some(cents(ask)), bid_size: 50, ask_size: 50 };
        self.broker.borrow_mut().on_market(&MarketEvent::OptionQuote(series(symbol), quote));
    }

    /// A mark of now with a tag of its own.
    pub(crate) fn mark(&self) -> Mark {
        self.orders.set(self.orders.get() + 1);
        let intent = fixtures::opening(&fixtures::account(self.orders.get()), self.orders.get(), 1).head.id;
        Mark { tag: OrderTag { intent, attempt: AttemptNo::FIRST }, at: self.clock.now(), version: 1 }
    }

    pub(crate) fn approved(&self, quantity: u32) -> Approved<domain::intent::OpeningIntent> {
        let mut intent = fixtures::opening(&fixtures::account(1), 1, quantity);
        intent.head.series = series(CALL);
        intent.worst = cents(400);
        approve_opening(intent, &fixtures::approving_gates()).unwrap()
    }

    pub(crate) fn buy(&self, quantity: u32, price: u32) -> BrokerOrderId {
        let ticket = Ticket::buy_to_open(&self.approved(quantity), &self.mark(), quantity, cents(price));
        let id = done(self.client.place(&ticket)).unwrap();
        self.after(Duration::from_secs(1));
        id
    }

    pub(crate) fn held(&self, quantity: u32) -> Approved<CloseBound> {
        let entry = fixtures::opening(&fixtures::account(1), 1, quantity);
        let closing = fixtures::closing(&entry, 5, Action::Stop, CloseAmount::All);
        approve_closing(&closing, quantity, quantity).unwrap()
    }

    pub(crate) fn status(&self, id: BrokerOrderId) -> BrokerStatus {
        done(self.client.order(id)).unwrap().status
    }
}
