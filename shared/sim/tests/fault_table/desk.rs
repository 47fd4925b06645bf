//! Our client and the broker it talks to, in one process, with a fault between.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use broker::budget::RateBudget;
use broker::stream::{account_frame, market_frame};
use broker::tradier::Tradier;
use domain::account::{AccountType, Environment};
use domain::calendar::Session;
use domain::ids::{AttemptNo, BrokerOrderId, OrderTag};
use domain::intent::{approve_combo, approve_opening};
use domain::lookup::{Sought, TagLookup};
use domain::market::{ListedSeries, MarketEvent, OptionQuote};
use domain::money::{Price, Usd};
use domain::order::{Mark, Ticket};
use domain::ports::{BrokerError, BrokerPort as _, CancelAnswer, Clock};
use domain::secret::Token;
use domain::ticket::{BoundedRisk, ComboLeg, ComboOpening, ComboTicket, LegSide, Net};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{date, time};
use sim::broker::faults::FaultScript;
use sim::broker::{AccountConfig, Config, InMemoryTransport, Rules, Sandbox, StreamKind, UserConfig};
use sim::fixtures;

const CALL: &str = "SPXW261120C05610000";
const HIGHER: &str = "SPXW261120C05620000";
const ACCOUNT: &str = "VA00000001";
/// The number of the only order.
const ORDER: u64 = 141_000_001;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What the caller saw.
    pub(crate) saw: String,
    /// What the broker held two minutes later.
    pub(crate) held: String,
    /// How the caller found out.
    pub(crate) found: String,
}

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

/// An error's sort: what the caller does next follows from it alone.
fn sort(error: &BrokerError) -> &'static str {
    match error {
        BrokerError::Refused { .. } => "refused",
        BrokerError::NotSent { .. } => "not sent",
        BrokerError::Unknown { .. } => "unknown outcome",
        BrokerError::RateLimited { .. } => "rate limited until the window ends",
        BrokerError::Authentication { .. } => "authentication",
        BrokerError::Broken { .. } => "broken answer",
    }
}

pub(crate) struct Desk {
    broker: Rc<RefCell<Sandbox>>,
    clock: Hand,
    client: Tradier<InMemoryTransport<Hand>, Hand>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let account =
            AccountConfig::full(ACCOUNT.parse().unwrap(), AccountType::Margin, Usd::from_dollars(100_000));
        let user = UserConfig::with_account("id-one", "stub-token", account);
        let listed = |it: &str| ListedSeries { series: it.parse().unwrap(), open_interest: None };
        let broker = Sandbox::new(Config {
            session: Session::of(date(2026, 11, 20)).unwrap().unwrap(),
            users: vec![user],
            series: [CALL, HIGHER].map(listed).into(),
            rules: Rules::live(7),
        });
        let clock = Hand(Rc::new(Cell::new(at_new_york(date(2026, 11, 20), time(10, 0, 0, 0)))));
        let broker = Rc::new(RefCell::new(broker));
        let transport = InMemoryTransport::new(Rc::clone(&broker), clock.clone());
        let budget = Rc::new(RateBudget::new(Environment::Sandbox));
        let (token, number) = (Token::new("stub-token"), ACCOUNT.parse().unwrap());
        let client = Tradier::new(transport, clock.clone(), token, number, budget);
        let it = Self { broker, clock, client };
        it.quote(CALL, 230, 240);
        it.quote(HIGHER, 100, 110);
        it
    }

    /// Sets a rule.
    pub(crate) fn with(self, rule: &str) -> Self {
        let script = FaultScript::parse(&format!("{{\"rules\": [{rule}]}}"));
        self.broker.borrow_mut().set_faults(script.unwrap_or_else(|wrong| panic!("{rule}: {wrong}")));
        self
    }

    fn quote(&self, series: &str, bid: u32, ask: u32) {
        self.pass(1);
        let (ts, price) = (self.clock.now(), |cents| Some(Price::from_cents(cents)));
        let quote = OptionQuote { ts, bid: price(bid), ask: price(ask), bid_size: 50, ask_size: 50 };
        self.broker.borrow_mut().on_market(&MarketEvent::OptionQuote(series.parse().unwrap(), quote));
    }

    fn pass(&self, millis: u64) {
        self.clock.0.set(self.clock.now().plus(Duration::from_millis(millis)));
        self.broker.borrow_mut().advance(self.clock.now());
    }

    fn mark(&self, tag: OrderTag) -> Mark {
        Mark { tag, at: self.clock.now(), version: 1 }
    }

    fn ticket(&self, cents: u32) -> Ticket {
        let mut intent = fixtures::opening(&fixtures::account(2), 2, 1);
        intent.head.series = CALL.parse().unwrap();
        let tag = OrderTag { intent: intent.head.id, attempt: AttemptNo::FIRST };
        let approved = approve_opening(intent, &fixtures::approving_gates()).unwrap();
        Ticket::buy_to_open(&approved, &self.mark(tag), 1, Price::from_cents(cents))
    }

    fn spread(&self) -> ComboTicket {
        let leg = |series: &str, side| ComboLeg { series: series.parse().unwrap(), side, ratio: 1 };
        let legs = [leg(CALL, LegSide::BuyToOpen), leg(HIGHER, LegSide::SellToOpen)];
        let net = Net::debit(Price::from_cents(140));
        let risk = BoundedRisk::check(&legs, net).unwrap();
        let approved = approve_combo(ComboOpening { risk, units: 1 }, &fixtures::approving_gates()).unwrap();
        let intent = fixtures::opening(&fixtures::account(3), 3, 1);
        let tag = OrderTag { intent: intent.head.id, attempt: AttemptNo::FIRST };
        ComboTicket::open(&approved, &self.mark(tag), 1, net)
    }

    /// The truth about the order.
    fn held(&self) -> String {
        let broker = self.broker.borrow();
        let Some(order) = broker.order(ORDER) else { return "no order".to_owned() };
        let executed: Vec<String> =
            order.legs.iter().map(|leg| format!("{} of {}", leg.executed, leg.quantity)).collect();
        format!("order {}, {} executed", order.status.as_str(), executed.join(" and "))
    }

    /// What a look at today's list says now and two minutes later.
    fn found(&self, tag: OrderTag, sought: &Sought) -> String {
        self.pass(1_000);
        let now = self.look(tag, sought);
        self.pass(119_000);
        let later = self.look(tag, sought);
        match (now.as_str(), later.as_str()) {
            ("found", "found") => "found by its tag after 1 s".to_owned(),
            ("absent", "found") => "absent after 1 s, found by its tag after 120 s".to_owned(),
            ("absent", "absent") => "absent after 1 s and after 120 s".to_owned(),
            (now, later) => format!("{now} after 1 s, {later} after 120 s"),
        }
    }

    fn look(&self, tag: OrderTag, sought: &Sought) -> String {
        match done(self.client.look_up(tag, sought)) {
            Ok(TagLookup::Found(_)) => "found".to_owned(),
            Ok(TagLookup::NotFound { .. }) => "absent".to_owned(),
            Ok(TagLookup::Several(_)) => "several".to_owned(),
            Ok(TagLookup::Other(_)) => "another".to_owned(),
            Err(error) => sort(&error).to_owned(),
        }
    }

    /// Buys one contract at the ask.
    pub(crate) fn place(self) -> Outcome {
        let ticket = self.ticket(240);
        let sent_at = self.clock.now();
        let placed = done(self.client.place(&ticket));
        let found = self.found(ticket.tag(), &Sought::single(&ticket, sent_at));
        Outcome { saw: placed_as(&placed), held: self.held(), found }
    }

    /// Buys a call spread at its far touches.
    pub(crate) fn place_spread(self) -> Outcome {
        let ticket = self.spread();
        let sent_at = self.clock.now();
        let placed = done(self.client.place_combo(&ticket));
        self.pass(1_000);
        let seen = placed.as_ref().ok().map(|id| {
            let order = done(self.client.order(*id)).unwrap();
            let legs: Vec<String> = order.legs.iter().map(|leg| leg.executed.to_string()).collect();
            format!("; legs {} after 1 s", legs.join(" and "))
        });
        let held = self.held();
        let found = self.found(ticket.tag(), &Sought::combo(&ticket, sent_at));
        let saw = format!("{}{}", placed_as(&placed), seen.unwrap_or_default());
        Outcome { saw, held: format!("{held}; later {}", self.held()), found }
    }

    /// Buys one contract at the ask and reads the order by its number.
    pub(crate) fn place_and_read(self) -> Outcome {
        let ticket = self.ticket(240);
        let placed = done(self.client.place(&ticket));
        self.pass(1_000);
        let read = |id: BrokerOrderId| match done(self.client.order(id)) {
            Ok(order) => {
                let leg = order.single().unwrap();
                let average = leg.average.map_or_else(|| "no price".to_owned(), |it| it.to_string());
                format!("{:?}, {} executed, {average}", order.status, leg.executed)
            }
            Err(error) => sort(&error).to_owned(),
        };
        let first = placed.as_ref().map_or_else(|error| sort(error).to_owned(), |id| read(*id));
        self.pass(119_000);
        let later = placed.as_ref().map_or_else(|error| sort(error).to_owned(), |id| read(*id));
        Outcome {
            saw: format!("{}; {first} after 1 s", placed_as(&placed)),
            held: self.held(),
            found: format!("{later} after 120 s"),
        }
    }

    /// Asks for the end of an order that works below the bid.
    pub(crate) fn cancel(self, rule: &str) -> Outcome {
        let id = done(self.client.place(&self.ticket(220))).unwrap();
        let desk = self.with_later(rule);
        desk.pass(1_000);
        let answer = done(desk.client.cancel(id));
        desk.pass(1_000);
        let again = done(desk.client.cancel(id));
        desk.pass(120_000);
        Outcome {
            saw: cancelled_as(&answer),
            held: desk.held(),
            found: format!("asked again after 1 s: {}", cancelled_as(&again)),
        }
    }

    /// The same for one that was placed under the rule.
    pub(crate) fn cancel_under(self) -> Outcome {
        let id = done(self.client.place(&self.ticket(220))).unwrap();
        self.pass(1_000);
        let answer = done(self.client.cancel(id));
        self.pass(1_000);
        let again = done(self.client.cancel(id));
        Outcome {
            saw: cancelled_as(&answer),
            held: self.held(),
            found: format!("asked again after 1 s: {}", cancelled_as(&again)),
        }
    }

    fn with_later(self, rule: &str) -> Self {
        self.pass(1_000);
        self.with(rule)
    }

    /// Moves the limit of a working order to the ask.
    pub(crate) fn modify(self, rule: &str) -> Outcome {
        let id = done(self.client.place(&self.ticket(220))).unwrap();
        let desk = self.with_later(rule);
        let price = Price::from_cents(240);
        let modify = || match done(desk.client.modify(id, price, false)) {
            Ok(()) => "taken".to_owned(),
            Err(error) => sort(&error).to_owned(),
        };
        let saw = modify();
        desk.pass(1_000);
        let again = modify();
        desk.pass(120_000);
        Outcome { saw, held: desk.held(), found: format!("asked again after 1 s: {again}") }
    }

    /// Reads today's list with an order in it, then reads it again.
    pub(crate) fn list(self, rule: &str) -> Outcome {
        done(self.client.place(&self.ticket(220))).unwrap();
        let desk = self.with_later(rule);
        desk.pass(1_000);
        let read = || match done(desk.client.orders()) {
            Ok(orders) => format!("{} order", orders.len()),
            Err(error) => sort(&error).to_owned(),
        };
        let saw = read();
        Outcome { saw, held: desk.held(), found: format!("read again: {}", read()) }
    }

    /// Watches the market for a minute in which the call's quote goes from 2.30 to 2.50.
    pub(crate) fn watch(self) -> Outcome {
        let now = self.clock.now();
        let hello = {
            let mut broker = self.broker.borrow_mut();
            let session = broker.open_stream(&Token::new("stub-token"), StreamKind::Market, now).unwrap();
            let hello =
                format!("{{\"symbols\":[\"{CALL}\"],\"filter\":[\"quote\"],\"sessionid\":\"{session}\"}}");
            broker.attach(now, StreamKind::Market, &hello)
        };
        hello.unwrap();
        // The greeting tells the standing quote.
        self.broker.borrow_mut().take_frames();
        for cents in [230, 240, 250] {
            self.quote(CALL, cents, cents + 10);
        }
        for _ in 0..61 {
            self.pass(1_000);
        }
        let frames = self.broker.borrow_mut().take_frames();
        let read: Vec<_> = frames.iter().map(|frame| market_frame(&frame.text)).collect();
        let quotes: usize = read.iter().map(|it| it.items.len()).sum();
        let heartbeats = frames.iter().filter(|it| it.text.contains("heartbeat")).count();
        self.quote(CALL, 250, 260);
        let saw = format!("{quotes} quotes and {heartbeats} heartbeats");
        Outcome { saw, held: self.held(), found: format!("asks: {}", self.asked()) }
    }

    /// Asks for the quote of the call, 2.30 to 2.40.
    pub(crate) fn quotes(self) -> Outcome {
        let saw = self.asked();
        let ticket = self.ticket(240);
        done(self.client.place(&ticket)).unwrap();
        self.pass(1_000);
        let average = self.broker.borrow().order(ORDER).map(sim::broker::Order::average).unwrap_or_default();
        Outcome { saw, held: self.held(), found: format!("an order at 2.40 executed at {average}") }
    }

    fn asked(&self) -> String {
        let now = self.clock.now();
        let answer = done(self.client.quotes(&[CALL.parse().unwrap()]));
        match answer.map(|it| it.into_iter().next().flatten()) {
            Ok(Some(quote)) => {
                let side = |it: Option<Price>| it.map_or_else(|| "none".to_owned(), |it| it.to_string());
                let age = now.since(quote.ts).as_secs();
                let two_sided = if quote.two_sided().is_some() { "" } else { ", not two-sided" };
                format!("{} to {}, {age} s old{two_sided}", side(quote.bid), side(quote.ask))
            }
            Ok(None) => "no quote".to_owned(),
            Err(error) => sort(&error).to_owned(),
        }
    }

    /// Buys one contract at the ask and listens.
    pub(crate) fn listen(self) -> Outcome {
        let now = self.clock.now();
        let hello = {
            let mut broker = self.broker.borrow_mut();
            let session = broker.open_stream(&Token::new("stub-token"), StreamKind::Account, now).unwrap();
            let hello = format!("{{\"events\":[\"order\"],\"sessionid\":\"{session}\"}}");
            broker.attach(now, StreamKind::Account, &hello)
        };
        hello.unwrap();
        let placed = done(self.client.place(&self.ticket(240)));
        let before = self.heard();
        for _ in 0..70 {
            self.pass(1_000);
        }
        let after = self.heard();
        let poll = done(self.client.orders()).unwrap();
        let polled = poll.first().map_or_else(|| "nothing".to_owned(), |it| format!("{:?}", it.status));
        Outcome {
            saw: format!("{}; {before} before, {after} after the answer", placed_as(&placed)),
            held: self.held(),
            found: format!("the list says {polled}"),
        }
    }

    /// What came on the stream since the last time.
    fn heard(&self) -> String {
        self.broker.borrow_mut().advance(self.clock.now());
        let frames = self.broker.borrow_mut().take_frames();
        let read: Vec<_> = frames.iter().map(|frame| account_frame(&frame.text)).collect();
        let orders: usize = read.iter().map(|it| it.orders.len()).sum();
        let heartbeats: u32 = read.iter().map(|it| it.heartbeats).sum();
        format!("{orders} events and {heartbeats} heartbeats")
    }
}

fn placed_as(placed: &Result<BrokerOrderId, BrokerError>) -> String {
    placed.as_ref().map_or_else(|error| sort(error).to_owned(), |_| "accepted".to_owned())
}

fn cancelled_as(answer: &Result<CancelAnswer, BrokerError>) -> String {
    match answer {
        Ok(CancelAnswer::Requested) => "requested".to_owned(),
        Ok(CancelAnswer::AlreadyFinal) => "already final".to_owned(),
        Err(error) => sort(error).to_owned(),
    }
}
