//! The sandbox from outside: requests in, replies and transcript out.

mod accounts;
mod bad_input;
mod brackets;
mod client;
mod expiry;
mod market;
mod matching;
mod random;
mod reference;
mod rules;
mod session;
mod shapes;
mod shares;
mod streams;

use std::time::Duration;

use ::broker::transport::{Method, Reply, Request};
use domain::account::AccountType;
use domain::calendar::Session;
use domain::market::{ListedSeries, MarketEvent, OptionQuote, Points, PrintCounts, Quote, QuoteSide, Trade};
use domain::money::{Price, Usd};
use domain::secret::Token;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::{UtcNanos, at_new_york};
use jiff::civil::{date, time};

use super::*;

pub(super) const CALL: &str = "SPXW261120C05610000";
pub(super) const HIGHER: &str = "SPXW261120C05620000";
pub(super) const PUT: &str = "SPXW261120P05600000";
pub(super) const TOMORROW: &str = "SPXW261123C05610000";
pub(super) const MARGIN: &str = "VA00000001";
pub(super) const PDT: &str = "VA00000002";
pub(super) const CASH: &str = "VA00000003";

/// A sandbox at 10:00 with quoted series, and its time.
pub(super) struct World {
    pub(super) broker: Sandbox,
    pub(super) now: UtcNanos,
    pub(super) token: &'static str,
}

pub(super) fn config(rules: Rules) -> Config {
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
    let listed = |series: &str| ListedSeries { series: series.parse().unwrap(), open_interest: Some(1_204) };
    Config {
        session: Session::of(date(2026, 11, 20)).unwrap().unwrap(),
        users: vec![
            user("id-one", "stub-token", vec![account(MARGIN, AccountType::Margin, 100_000)]),
            user(
                "id-two",
                "other-token",
                vec![account(PDT, AccountType::Pdt, 50_000), account(CASH, AccountType::Cash, 5_000)],
            ),
        ],
        series: [CALL, HIGHER, PUT, TOMORROW].into_iter().map(listed).collect(),
        rules,
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Rules { latencies: Latencies::NONE, ..Rules::live(7) })
    }

    pub(super) fn with(rules: Rules) -> Self {
        let now = at_new_york(date(2026, 11, 20), time(10, 0, 0, 0));
        let mut it = Self { broker: Sandbox::new(config(rules)), now, token: "stub-token" };
        it.index(5_611.25);
        it.quote(CALL, 230, 240, 41, 37);
        it.quote(HIGHER, 100, 110, 20, 20);
        it.quote(PUT, 145, 155, 10, 10);
        it.quote(TOMORROW, 900, 920, 5, 5);
        it
    }

    pub(super) fn index(&mut self, value: f64) {
        let (ts, price) = (self.now, Points::from_f64(value));
        let trade = Trade { ts, sequence: None, price, size: 0, counts: PrintCounts::Everywhere };
        self.broker.on_market(&MarketEvent::Trade(Underlying::SPX, trade));
    }

    /// A quote in cents, a millisecond after whatever was before.
    pub(super) fn quote(&mut self, series: &str, bid: u32, ask: u32, bid_size: u32, ask_size: u32) {
        self.now = self.now.plus(Duration::from_millis(1));
        let price = |cents: u32| (cents > 0).then_some(Price::from_cents(cents));
        let quote = OptionQuote { ts: self.now, bid: price(bid), ask: price(ask), bid_size, ask_size };
        self.broker.on_market(&MarketEvent::OptionQuote(series.parse().unwrap(), quote));
    }

    /// A quote of SPY in dollars, a millisecond after whatever was before.
    pub(super) fn stock(&mut self, bid: f64, ask: f64, size: u32) {
        self.now = self.now.plus(Duration::from_millis(1));
        let side = |price: f64| Some(QuoteSide { price: Points::from_f64(price), size: Some(size) });
        let quote = Quote { ts: self.now, bid: side(bid), ask: side(ask) };
        self.broker.on_market(&MarketEvent::Quote(Underlying::SPY, quote));
    }

    /// A print of SPY.
    pub(super) fn print(&mut self, value: f64) {
        self.now = self.now.plus(Duration::from_millis(1));
        let (ts, price) = (self.now, Points::from_f64(value));
        let trade = Trade { ts, sequence: None, price, size: 100, counts: PrintCounts::Everywhere };
        self.broker.on_market(&MarketEvent::Trade(Underlying::SPY, trade));
    }

    /// A placement, written as `name=value` pairs with blanks between, and the answer's body.
    pub(super) fn post(&mut self, account: &str, form: &str) -> String {
        let pairs: Vec<(&str, &str)> =
            form.split_whitespace().map(|it| it.split_once('=').unwrap()).collect();
        let body = text(&self.ask(Method::Post, &format!("/accounts/{account}/orders"), &pairs));
        self.after(Duration::from_millis(1));
        body
    }

    /// A placement in [`MARGIN`] that the broker takes.
    pub(super) fn taken(&mut self, form: &str) -> u64 {
        let body = self.post(MARGIN, form);
        number(&body).unwrap_or_else(|| panic!("not accepted: {body}"))
    }

    pub(super) fn change(&mut self, id: u64, name: &str, value: &str) -> (u16, String) {
        let reply = self.ask(Method::Put, &format!("/accounts/{MARGIN}/orders/{id}"), &[(name, value)]);
        self.after(Duration::from_millis(1));
        (reply.status, text(&reply))
    }

    pub(super) fn row(&mut self, id: u64) -> String {
        self.get(&format!("/accounts/{MARGIN}/orders/{id}"), &[("includeTags", "true")])
    }

    pub(super) fn status(&self, id: u64) -> Status {
        self.broker.order(id).unwrap().status
    }

    pub(super) fn account(&self) -> &Account {
        self.broker.account(MARGIN).unwrap()
    }

    pub(super) fn shares(&self) -> i64 {
        self.account().shares.get(&Underlying::SPY).map_or(0, |it| it.quantity)
    }

    pub(super) fn after(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.plus(time);
        self.broker.advance(self.now);
        self
    }

    pub(super) fn ask(&mut self, method: Method, path: &str, params: &[(&str, &str)]) -> Reply {
        let pairs: Vec<_> =
            params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let form = matches!(method, Method::Post | Method::Put);
        let request = Request {
            method,
            path: format!("/v1{path}"),
            query: if form { Vec::new() } else { pairs.clone() },
            form: if form { pairs } else { Vec::new() },
            token: Token::new(self.token),
            leaves_within: None,
        };
        self.broker.answer(self.now, &request)
    }

    pub(super) fn get(&mut self, path: &str, params: &[(&str, &str)]) -> String {
        text(&self.ask(Method::Get, path, params))
    }

    /// A limit order in [`MARGIN`], and the answer's body.
    pub(super) fn limit(&mut self, series: &str, side: &str, quantity: &str, price: &str) -> String {
        let form = [
            ("class", "option"),
            ("symbol", "SPX"),
            ("option_symbol", series),
            ("side", side),
            ("quantity", quantity),
            ("type", "limit"),
            ("price", price),
            ("duration", "day"),
            ("tag", "q7-01k9x"),
        ];
        text(&self.ask(Method::Post, "/accounts/VA00000001/orders", &form))
    }

    /// A limit order in [`MARGIN`] that the broker takes, at the market.
    pub(super) fn placed(&mut self, series: &str, side: &str, quantity: &str, price: &str) -> u64 {
        let body = self.limit(series, side, quantity, price);
        self.after(Duration::from_millis(1));
        number(&body).unwrap_or_else(|| panic!("not accepted: {body}"))
    }

    pub(super) fn order(&self, id: u64) -> (Status, u32, Usd) {
        let order = self.broker.order(id).unwrap();
        (order.status, order.legs[0].executed, order.average())
    }

    pub(super) fn held(&self, series: &str) -> i64 {
        self.broker.account(MARGIN).unwrap().held(&series.parse::<OccSymbol>().unwrap())
    }

    pub(super) fn cancel(&mut self, id: u64) -> (u16, String) {
        let reply = self.ask(Method::Delete, &format!("/accounts/{MARGIN}/orders/{id}"), &[]);
        (reply.status, text(&reply))
    }
}

pub(super) fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

/// The order's number in an answer to a placement.
pub(super) fn number(body: &str) -> Option<u64> {
    body.split("\"id\":").nth(1).and_then(|it| it.split(',').next()).and_then(|it| it.parse().ok())
}

/// A refusal of the OMS by its code.
pub(super) fn refusal(code: &str) -> String {
    format!(r#"{{"errors":{{"error":["Backoffice rejected override of the order.","{code}"]}}}}"#)
}

/// A refusal of the OMS by its sentence.
pub(super) fn sentence(text: &str) -> String {
    format!(r#"{{"errors":{{"error":"{text}"}}}}"#)
}
