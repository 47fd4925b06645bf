//! Our client over real sockets: HTTP that is kept open, both streams, and a broker that goes away and comes back.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use broker::StreamSession;
use broker::budget::RateBudget;
use broker::https::{Https, Patience};
use broker::stream::socket::{Follower, Heard, follow, tls};
use broker::stream::{
    Ended, Gap, StreamKind, StreamLimits, StreamPlan, Subscription, account_frame, market_frame,
};
use broker::tradier::Tradier;
use broker::transport::{Method, Reply, Request, Transport};
use domain::account::{AccountType, Environment};
use domain::calendar::Session;
use domain::market::{MarketEvent, OptionQuote};
use domain::money::{Price, Usd};
use domain::ports::{BrokerPort, Clock};
use domain::secret::Token;
use domain::time::UtcNanos;
use sandbox::Listener;
use sim::broker::{AccountConfig, Config, Latencies, Rules, Sandbox, UserConfig};
use tokio::sync::Notify;

const CALL: &str = "SPXW261120C05610000";

#[derive(Debug, Clone)]
struct Hand(Rc<Cell<UtcNanos>>);

impl Clock for Hand {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

/// One margin account at 10:00, one quoted call.
fn venue() -> (Rc<RefCell<Sandbox>>, Hand) {
    let session = Session::of("2026-11-20".parse().unwrap()).unwrap().unwrap();
    let account =
        AccountConfig::full("VA00000001".parse().unwrap(), AccountType::Margin, Usd::from_dollars(100_000));
    let user = UserConfig::with_account("id-one", "stub-token", account);
    let rules = Rules { latencies: Latencies::NONE, ..Rules::live(1) };
    let sandbox = Sandbox::new(Config { session, users: vec![user], series: Vec::new(), rules });
    let clock = Hand(Rc::new(Cell::new(session.open.plus(Duration::from_secs(1_800)))));
    let venue = (Rc::new(RefCell::new(sandbox)), clock);
    quote(&venue, 230);
    venue
}

/// A bid, and an ask a tick above it, a second later than whatever was before.
fn quote((sandbox, clock): &(Rc<RefCell<Sandbox>>, Hand), bid: u32) {
    clock.0.set(clock.now().plus(Duration::from_secs(1)));
    let price = |cents| Some(Price::from_cents(cents));
    let quote =
        OptionQuote { ts: clock.now(), bid: price(bid), ask: price(bid + 5), bid_size: 9, ask_size: 9 };
    sandbox.borrow_mut().on_market(&MarketEvent::OptionQuote(CALL.parse().unwrap(), quote));
}

fn client(base: &str, clock: &Hand) -> (Https, Tradier<Https, Hand>) {
    let https = Https::new(base, Patience::default()).unwrap();
    let budget = Rc::new(RateBudget::new(Environment::Live));
    let number = "VA00000001".parse().unwrap();
    (https.clone(), Tradier::new(https, clock.clone(), Token::new("stub-token"), number, budget))
}

/// A limit order that must leave at once.
fn buy(cents: u32) -> Request {
    let fields = [
        ("class", "option".to_owned()),
        ("symbol", "SPX".to_owned()),
        ("option_symbol", CALL.to_owned()),
        ("side", "buy_to_open".to_owned()),
        ("quantity", "1".to_owned()),
        ("type", "limit".to_owned()),
        ("duration", "day".to_owned()),
        ("price", Price::from_cents(cents).to_string()),
    ];
    Request {
        method: Method::Post,
        path: "/v1/accounts/VA00000001/orders".to_owned(),
        query: Vec::new(),
        form: fields.map(|(name, value)| (name.to_owned(), value)).into(),
        token: Token::new("stub-token"),
        leaves_within: Some(Duration::from_secs(2)),
    }
}

/// The id in the answer to an order.
fn placed(reply: &Reply) -> u64 {
    broker::rows::answer(reply.status, std::str::from_utf8(&reply.body).unwrap()).unwrap().0
}

/// What a follower heard, in words, and a bell for whoever waits for it.
struct Ear<'a> {
    client: &'a Tradier<Https, Hand>,
    kind: StreamKind,
    heard: RefCell<Vec<String>>,
    bell: Notify,
}

impl<'a> Ear<'a> {
    fn new(client: &'a Tradier<Https, Hand>, kind: StreamKind) -> Self {
        Self { client, kind, heard: RefCell::default(), bell: Notify::new() }
    }

    fn note(&self, word: String) {
        self.heard.borrow_mut().push(word);
        self.bell.notify_one();
    }

    /// Waits until `word` was heard, and forgets all there was.
    async fn hears(&self, word: &str) {
        while !self.heard.borrow().iter().any(|it| it == word) {
            self.bell.notified().await;
        }
        self.heard.borrow_mut().clear();
    }
}

impl Follower for Ear<'_> {
    async fn open(&self) -> Result<StreamSession, String> {
        self.client.session(self.kind).await.map_err(|it| it.to_string())
    }

    /// Reads what was missed, as a gap asks for.
    async fn on_gap(&self, gap: Gap) -> Result<(), String> {
        let orders = self.client.orders().await.map_err(|it| it.to_string())?;
        self.note(format!(
            "{} with {} orders",
            if gap.since.is_some() { "again" } else { "first" },
            orders.len()
        ));
        Ok(())
    }

    async fn on_text(&self, text: &str) -> Result<Heard, String> {
        let (good, error) = match self.kind {
            StreamKind::Account => {
                let frame = account_frame(text);
                frame.orders.iter().for_each(|it| self.note(format!("order {it}")));
                (frame.is_good(), frame.error)
            }
            StreamKind::Market => {
                let frame = market_frame(text);
                for event in frame.items.iter().filter_map(broker::stream::MarketItem::event) {
                    if let MarketEvent::OptionQuote(series, quote) = event {
                        self.note(format!("{series} {}", quote.bid.unwrap_or_default()));
                    }
                }
                (!frame.items.is_empty(), frame.error)
            }
        };
        Ok(Heard { good, error })
    }

    fn on_end(&self, _: &Ended, _: Duration) {}
}

fn limits() -> StreamLimits {
    let wait = (Duration::from_millis(20), Duration::from_millis(100));
    StreamLimits { wait, ..StreamLimits::default() }
}

#[test]
fn what_happened_while_the_broker_was_away_is_read_when_its_streams_are_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let venue = venue();
        let (sandbox, clock) = (Rc::clone(&venue.0), venue.1.clone());
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(any, Rc::clone(&sandbox), clock.clone(), None).await.unwrap();
        let address = listener.address();
        let (https, client) = client(&format!("http://{address}"), &clock);
        let (orders, market) =
            (Ear::new(&client, StreamKind::Account), Ear::new(&client, StreamKind::Market));
        let symbols = Subscription::Symbols(vec![CALL.to_owned()]);
        let tls = Arc::new(tls().unwrap());
        let day = async {
            orders.hears("first with 0 orders").await;
            market.hears("first with 0 orders").await;
            let id = placed(&https.send(&buy(225)).await.unwrap());
            // A second of market time: the broker tells what it did.
            quote(&venue, 235);
            listener.flush_frames().unwrap();
            orders.hears(&format!("order {id}")).await;
            quote(&venue, 240);
            listener.flush_frames().unwrap();
            market.hears(&format!("{CALL} 2.40")).await;
            // The broker goes, and an order is placed by hand while nobody hears of it.
            listener.shutdown().await;
            placed(&sandbox.borrow_mut().answer(clock.now(), &buy(220)));
            let back = Listener::bind(address, Rc::clone(&sandbox), clock.clone(), None).await.unwrap();
            orders.hears("again with 2 orders").await;
            market.hears("again with 2 orders").await;
            quote(&venue, 245);
            back.flush_frames().unwrap();
            market.hears(&format!("{CALL} 2.45")).await;
        };
        let follow_orders =
            follow(StreamPlan::new(Subscription::Orders, limits()), &orders, Arc::clone(&tls));
        let follow_market = follow(StreamPlan::new(symbols, limits()), &market, tls);
        let ended = async {
            tokio::select! {
                () = day => {}
                () = follow_orders => {}
                () = follow_market => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    });
}
