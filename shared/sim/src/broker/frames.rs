//! Payloads of the market stream (TRADIER.md section 16.2): each made once, whoever hears it.

use std::sync::Arc;

use domain::market::{MarketEvent, OptionQuote, Points, PrintCounts, Quote, QuoteSide, Trade};
use domain::money::Price;
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use serde::Serialize;

use super::Sandbox;
use super::book::UnderlyingState;
use super::faults::Told;
use super::market::exchange;
use super::stream::{Ear, Frame, broken};
use super::subscription::{Payloads, Subject};

/// One payload, as a text of its own and with its line break; made when first asked for.
struct Payload<F> {
    sort: Payloads,
    /// Prints that exchanges do not count go only to those who asked for them.
    valid: bool,
    make: F,
    plain: Option<Arc<str>>,
    broken: Option<Arc<str>>,
}

impl<F: Fn() -> String> Payload<F> {
    const fn new(sort: Payloads, valid: bool, make: F) -> Self {
        Self { sort, valid, make, plain: None, broken: None }
    }

    fn text(&mut self, linebreak: bool) -> Arc<str> {
        let plain = self.plain.get_or_insert_with(|| Arc::from((self.make)()));
        let text = if linebreak { self.broken.get_or_insert_with(|| broken(plain)) } else { plain };
        Arc::clone(text)
    }
}

/// What a day's summary shows: whoever hears of it is told when it changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Extremes {
    open: Option<Points>,
    high: Option<Points>,
    low: Option<Points>,
}

impl Extremes {
    pub(super) fn of(state: Option<&UnderlyingState>) -> Option<Self> {
        state.map(|it| Self { open: it.open, high: it.high, low: it.low })
    }
}

impl Sandbox {
    /// Whether anybody hears the market stream.
    pub(super) fn has_audience(&self) -> bool {
        !self.audience.ears.is_empty()
    }

    /// The day's summary of what `event` is about, before it is taken in.
    pub(super) fn extremes(&self, event: &MarketEvent) -> Option<Extremes> {
        match event {
            MarketEvent::Trade(underlying, _) => Extremes::of(self.book.underlying(underlying)),
            MarketEvent::Quote(..) | MarketEvent::OptionQuote(..) => None,
        }
    }

    /// Tells the streams of `event`, which the book already holds.
    pub(super) fn stream_market(&mut self, event: &MarketEvent, before: Option<Extremes>) {
        match event {
            MarketEvent::Quote(underlying, quote) => {
                let make = || stock_text(*underlying, quote);
                self.tell(Subject::Underlying(*underlying), &mut Payload::new(Payloads::QUOTE, true, make));
            }
            MarketEvent::OptionQuote(series, quote) => {
                let make = || option_text(&series.to_string(), exchange(series.underlying()), quote);
                self.tell(Subject::Series(*series), &mut Payload::new(Payloads::QUOTE, true, make));
            }
            MarketEvent::Trade(underlying, trade) => self.stream_print(*underlying, trade, before),
        }
    }

    fn stream_print(&mut self, underlying: Underlying, trade: &Trade, before: Option<Extremes>) {
        let subject = Subject::Underlying(underlying);
        if !self.audience.ears.contains_key(&subject) {
            return;
        }
        let Some(state) = self.book.underlying(&underlying).copied() else { return };
        let counted = trade.counts == PrintCounts::Everywhere;
        let regular = self.session.holds(trade.ts);
        if counted && regular {
            let make = || trade_text("trade", underlying, trade, state.volume);
            self.tell(subject, &mut Payload::new(Payloads::TRADE, true, make));
        }
        if counted && before != Extremes::of(Some(&state)) {
            let previous = self.book.previous_close(&underlying);
            let make = || summary_text(underlying, &state, previous);
            self.tell(subject, &mut Payload::new(Payloads::SUMMARY, true, make));
        }
        let when = self.part_of_day(trade.ts);
        let make = || timesale_text(underlying, trade, &state, when);
        self.tell(subject, &mut Payload::new(Payloads::TIMESALE, counted, make));
        if counted {
            let make = || trade_text("tradex", underlying, trade, state.volume);
            self.tell(subject, &mut Payload::new(Payloads::TRADEX, true, make));
        }
    }

    fn part_of_day(&self, at: UtcNanos) -> &'static str {
        if at < self.session.open {
            "pre"
        } else if at < self.session.close {
            "normal"
        } else {
            "post"
        }
    }

    fn tell<F: Fn() -> String>(&mut self, subject: Subject, payload: &mut Payload<F>) {
        if payload.sort == Payloads::QUOTE && self.mistells_quotes() {
            return self.tell_wrongly_or_not(subject, payload);
        }
        let Some(ears) = self.audience.ears.get(&subject) else { return };
        let (sort, valid) = (payload.sort, payload.valid);
        let hears = |ear: &&Ear| ear.payloads.holds(sort) && (valid || !ear.valid_only);
        for ear in ears.iter().filter(hears) {
            let text = payload.text(ear.linebreak);
            self.frames.push_back(Frame { session: Arc::clone(&ear.session), text });
            if let Some(spoken) = self.audience.spoken.get_mut(ear.slot) {
                *spoken = true;
            }
        }
    }

    /// As [`Self::tell`] where a fault may strike one stream's quote and not another's.
    fn tell_wrongly_or_not<F: Fn() -> String>(&mut self, subject: Subject, payload: &mut Payload<F>) {
        let ears = self.audience.ears.get(&subject).cloned().unwrap_or_default();
        let sort = payload.sort;
        for ear in ears.iter().filter(|it| it.payloads.holds(sort)) {
            let user = self.streams.get(&*ear.session).map(|it| it.user().to_owned()).unwrap_or_default();
            let text = match self.told_frame(&user, &payload.text(false)) {
                Told::Wrongly(told) if ear.linebreak => broken(&told),
                Told::Wrongly(told) => Arc::from(told),
                Told::AsItIs => payload.text(ear.linebreak),
                Told::Not => continue,
            };
            self.frames.push_back(Frame { session: Arc::clone(&ear.session), text });
            if let Some(spoken) = self.audience.spoken.get_mut(ear.slot) {
                *spoken = true;
            }
        }
    }

    /// A new subscriber hears the day's summary and the standing quote; whatever was before is not repeated.
    pub(super) fn greet(&mut self, session: &str, subject: Subject) {
        let ear =
            self.audience.ears.get(&subject).and_then(|ears| ears.iter().find(|it| *it.session == *session));
        let Some(ear) = ear.cloned() else { return };
        let mut say = |sort: Payloads, text: Option<String>| {
            if let Some(text) = text.filter(|_| ear.payloads.holds(sort)) {
                let text = if ear.linebreak { broken(&text) } else { Arc::from(text) };
                self.frames.push_back(Frame { session: Arc::clone(&ear.session), text });
            }
        };
        match subject {
            Subject::Underlying(underlying) => {
                let state = self.book.underlying(&underlying);
                let previous = self.book.previous_close(&underlying);
                let summary = state.filter(|it| it.open.is_some());
                say(Payloads::SUMMARY, summary.map(|it| summary_text(underlying, it, previous)));
                let quote = state.and_then(|it| it.quote);
                say(Payloads::QUOTE, quote.map(|it| stock_text(underlying, &it)));
            }
            Subject::Series(series) => {
                let quote = self.book.series(&series).and_then(|it| it.quote);
                let text =
                    quote.map(|it| option_text(&series.to_string(), exchange(series.underlying()), &it));
                say(Payloads::QUOTE, text);
            }
        }
    }
}

#[derive(Serialize)]
struct QuoteFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    symbol: &'a str,
    bid: f64,
    bidsz: u32,
    bidexch: &'static str,
    biddate: &'a str,
    ask: f64,
    asksz: u32,
    askexch: &'static str,
    askdate: &'a str,
}

fn option_text(symbol: &str, exchange: &'static str, quote: &OptionQuote) -> String {
    let price = |it: Option<Price>| it.map_or(0.0, Price::to_f64);
    let (bid, ask) = ((price(quote.bid), quote.bid_size), (price(quote.ask), quote.ask_size));
    quote_text(symbol, exchange, quote.ts, bid, ask)
}

fn stock_text(underlying: Underlying, quote: &Quote) -> String {
    let side = |it: Option<QuoteSide>| it.map_or((0.0, 0), |it| (it.price.to_f64(), it.size.unwrap_or(0)));
    quote_text(underlying.as_str(), exchange(underlying), quote.ts, side(quote.bid), side(quote.ask))
}

fn quote_text(
    symbol: &str,
    exchange: &'static str,
    ts: UtcNanos,
    bid: (f64, u32),
    ask: (f64, u32),
) -> String {
    let date = ts.millis().to_string();
    let frame = QuoteFrame {
        kind: "quote",
        symbol,
        bid: bid.0,
        bidsz: bid.1,
        bidexch: exchange,
        biddate: &date,
        ask: ask.0,
        asksz: ask.1,
        askexch: exchange,
        askdate: &date,
    };
    serde_json::to_string(&frame).unwrap_or_default()
}

#[derive(Serialize)]
struct TradeFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    symbol: &'a str,
    exch: &'static str,
    price: &'a str,
    size: String,
    cvol: String,
    date: String,
    last: &'a str,
}

fn trade_text(kind: &'static str, underlying: Underlying, trade: &Trade, volume: u64) -> String {
    let price = decimal(trade.price);
    let frame = TradeFrame {
        kind,
        symbol: underlying.as_str(),
        exch: exchange(underlying),
        price: &price,
        size: trade.size.to_string(),
        cvol: volume.to_string(),
        date: trade.ts.millis().to_string(),
        last: &price,
    };
    serde_json::to_string(&frame).unwrap_or_default()
}

#[derive(Serialize)]
struct SummaryFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    symbol: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<String>,
    #[serde(rename = "prevClose", skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

fn summary_text(underlying: Underlying, state: &UnderlyingState, previous: Option<Points>) -> String {
    let frame = SummaryFrame {
        kind: "summary",
        symbol: underlying.as_str(),
        open: state.open.map(decimal),
        high: state.high.map(decimal),
        low: state.low.map(decimal),
        previous: previous.map(decimal),
    };
    serde_json::to_string(&frame).unwrap_or_default()
}

#[derive(Serialize)]
struct TimesaleFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    symbol: &'a str,
    exch: &'static str,
    bid: String,
    ask: String,
    last: String,
    size: String,
    date: String,
    seq: u64,
    flag: &'static str,
    cancel: bool,
    correction: bool,
    session: &'static str,
}

fn timesale_text(
    underlying: Underlying,
    trade: &Trade,
    state: &UnderlyingState,
    when: &'static str,
) -> String {
    let side = |it: Option<QuoteSide>| decimal(it.map_or(Points(0), |it| it.price));
    let frame = TimesaleFrame {
        kind: "timesale",
        symbol: underlying.as_str(),
        exch: exchange(underlying),
        bid: side(state.quote.and_then(|it| it.bid)),
        ask: side(state.quote.and_then(|it| it.ask)),
        last: decimal(trade.price),
        size: trade.size.to_string(),
        date: trade.ts.millis().to_string(),
        seq: trade.sequence.unwrap_or(state.prints),
        flag: match trade.counts {
            PrintCounts::Everywhere => "",
            // The letter of an average-price print on the consolidated tape.
            PrintCounts::VolumeOnly => "W",
            PrintCounts::Nowhere => "M",
        },
        cancel: false,
        correction: false,
        session: when,
    };
    serde_json::to_string(&frame).unwrap_or_default()
}

/// A price as the stream prints it: `281.85`, `561.0`.
fn decimal(price: Points) -> String {
    format!("{:?}", price.to_f64())
}
