//! A sandbox at ten in the morning with everything quoted that the shapes need.

use std::time::Duration;

use broker::rows;
use broker::transport::{Method, Reply, Request};
use domain::account::AccountType;
use domain::calendar::Session;
use domain::market::{ListedSeries, MarketEvent, OptionQuote, Points, PrintCounts, Trade};
use domain::money::{Price, Usd};
use domain::secret::Token;
use domain::symbol::Underlying;
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{date, time};
use sim::broker::{AccountConfig, Config, Latencies, Practice, Rules, Sandbox, StreamKind, UserConfig};

pub(super) const CALL: &str = "SPXW261120C05610000";
pub(super) const HIGHER: &str = "SPXW261120C05620000";
pub(super) const PUTS: [&str; 3] = ["SPXW261120P05550000", "SPXW261120P05560000", "SPXW261120P05570000"];
pub(super) const MARGIN: &str = "VA12345678";

/// The sandbox and its time.
pub(super) struct World {
    pub(super) broker: Sandbox,
    pub(super) now: UtcNanos,
}

pub(super) type Fields<'a> = &'a [(&'a str, &'a str)];

impl World {
    /// 10:00, everything quoted.
    pub(super) fn new() -> Self {
        Self::with(Latencies::NONE)
    }

    pub(super) fn with(latencies: Latencies) -> Self {
        let account = |number: &str, kind, dollars| AccountConfig {
            number: number.parse().unwrap(),
            kind,
            option_level: 6,
            cash: Usd::from_dollars(dollars),
        };
        let user = |id: &str, token: &str, accounts| UserConfig {
            id: id.to_owned(),
            name: "Jane Doe".to_owned(),
            tokens: vec![Token::new(token)],
            accounts,
        };
        let listed =
            |series: &str| ListedSeries { series: series.parse().unwrap(), open_interest: Some(1_204) };
        let practice = Practice { nightly: false, ..Practice::USUAL };
        let config = Config {
            session: Session::of(date(2026, 11, 20)).unwrap().unwrap(),
            users: vec![
                user("id-one", "one", vec![account(MARGIN, AccountType::Margin, 100_000)]),
                user("id-two", "two", vec![account("VA00000002", AccountType::Pdt, 50_000)]),
                user("id-three", "three", vec![account("VA00000003", AccountType::Cash, 5_000)]),
            ],
            series: [CALL, HIGHER].into_iter().chain(PUTS).map(listed).collect(),
            rules: Rules { latencies, practice, ..Rules::live(7) },
        };
        let now = at_new_york(date(2026, 11, 20), time(10, 0, 0, 0));
        let mut it = Self { broker: Sandbox::new(config), now };
        it.index(5_605.0);
        it.index(5_611.25);
        it.quote(CALL, 340, 345);
        it.quote(HIGHER, 225, 235);
        it.quote(PUTS[0], 975, 980);
        it.quote(PUTS[1], 1_562, 1_570);
        it.quote(PUTS[2], 2_300, 2_304);
        it
    }

    pub(super) fn index(&mut self, value: f64) {
        let trade = Trade {
            ts: self.now,
            sequence: None,
            price: Points::from_f64(value),
            size: 0,
            counts: PrintCounts::Everywhere,
        };
        self.broker.on_market(&MarketEvent::Trade(Underlying::SPX, trade));
    }

    pub(super) fn quote(&mut self, series: &str, bid: u32, ask: u32) {
        self.now = self.now.plus(Duration::from_millis(1));
        let price = |cents| Some(Price::from_cents(cents));
        let quote =
            OptionQuote { ts: self.now, bid: price(bid), ask: price(ask), bid_size: 41, ask_size: 37 };
        self.broker.on_market(&MarketEvent::OptionQuote(series.parse().unwrap(), quote));
    }

    /// Time for whatever the broker does on its own.
    pub(super) fn wait(&mut self) {
        self.now = self.now.plus(Duration::from_secs(5));
        self.broker.advance(self.now);
    }

    pub(super) fn ask_as(
        &mut self,
        token: &str,
        method: Method,
        path: &str,
        fields: Fields<'_>,
    ) -> (u16, String) {
        let pairs: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (query, form) = if matches!(method, Method::Post | Method::Put) {
            (Vec::new(), pairs)
        } else {
            (pairs, Vec::new())
        };
        let path = format!("/v1{}", path.replace("{}", MARGIN));
        let request = Request { method, path, query, form, token: Token::new(token), leaves_within: None };
        let Reply { status, body, .. } = self.broker.answer(self.now, &request);
        (status, String::from_utf8(body).unwrap())
    }

    pub(super) fn get(&mut self, path: &str, fields: Fields<'_>) -> (u16, String) {
        self.ask_as("one", Method::Get, path, fields)
    }

    pub(super) fn post(&mut self, fields: Fields<'_>) -> (u16, String) {
        self.ask_as("one", Method::Post, "/accounts/{}/orders", fields)
    }

    /// A single-leg order, and its id where it was accepted.
    pub(super) fn single(
        &mut self,
        series: &str,
        side: &str,
        kind: &str,
        price: &str,
    ) -> (String, (u16, String)) {
        let answer = self.post(&[
            ("class", "option"),
            ("symbol", "SPX"),
            ("option_symbol", series),
            ("side", side),
            ("quantity", "1"),
            ("type", kind),
            ("duration", "day"),
            ("price", price),
        ]);
        self.wait();
        (id(&answer.1), answer)
    }

    pub(super) fn order(&mut self, id: &str) -> (u16, String) {
        self.get(&format!("/accounts/{{}}/orders/{id}"), &[("includeTags", "true")])
    }

    /// A vertical in calls, opened or closed.
    pub(super) fn vertical(&mut self, opens: bool, kind: &str, price: &str) -> String {
        let (near, far) =
            if opens { ("buy_to_open", "sell_to_open") } else { ("sell_to_close", "buy_to_close") };
        let answer = self.post(&[
            ("class", "multileg"),
            ("symbol", "SPX"),
            ("type", kind),
            ("duration", "day"),
            ("price", price),
            ("option_symbol[0]", CALL),
            ("side[0]", near),
            ("quantity[0]", "1"),
            ("option_symbol[1]", HIGHER),
            ("side[1]", far),
            ("quantity[1]", "1"),
        ]);
        id(&answer.1)
    }

    /// A stream of the first user, and its first frames.
    pub(super) fn stream(&mut self, kind: StreamKind, rest: &str) -> String {
        let session = self.broker.open_stream(&Token::new("one"), kind, self.now).unwrap();
        let hello = format!(r#"{{"sessionid":"{session}",{rest}}}"#);
        self.broker.attach(self.now, kind, &hello).unwrap()
    }

    /// The first frame line that holds `word`.
    pub(super) fn frame(&mut self, word: &str) -> (u16, String) {
        let frames: Vec<String> = self
            .broker
            .take_frames()
            .iter()
            .flat_map(|it| it.text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let found = frames.iter().find(|it| it.contains(word));
        (200, found.unwrap_or_else(|| panic!("no {word} in {frames:?}")).clone())
    }
}

/// The id in an answer to a placement; empty for a refusal.
pub(super) fn id(body: &str) -> String {
    rows::answer(200, body).map(|it| it.to_string()).unwrap_or_default()
}
