//! Frames of the market's stream. Trades write their numbers as text, quotes as numbers, times are epoch milliseconds
//! as text; all of it is read either way.

use domain::market::{MarketEvent, OptionQuote, Points, PrintCounts, Quote, QuoteSide, Trade};
use domain::money::Price;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use serde::Deserialize;

use crate::json::{self, Raw};

/// What a frame held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MarketFrame {
    /// What it told, in order.
    pub items: Vec<MarketItem>,
    /// Heartbeats.
    pub heartbeats: u32,
    /// Events that cannot be read: counted and passed over.
    pub unknown: u32,
    /// The broker ends the stream, in these words: the session is not good.
    pub error: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub enum MarketItem {
    /// The top of the book.
    Quote(StreamQuote),
    /// A print, conflated.
    Trade(StreamTrade),
    /// The day so far.
    Summary(StreamSummary),
    /// A print with what stood around it.
    Sale(StreamSale),
}

/// The top of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamQuote {
    /// The symbol.
    pub symbol: String,
    /// Bid, ask and the later of their times.
    pub quote: Quote,
}

/// A print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTrade {
    /// The symbol.
    pub symbol: String,
    /// At what price.
    pub price: Points,
    /// How much; indexes print nothing.
    pub size: u32,
    /// Traded today with it.
    pub volume: Option<u64>,
    /// When.
    pub at: UtcNanos,
    /// Also prints outside the session (`tradex`).
    pub extended: bool,
}

/// The day so far. What is absent is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSummary {
    /// The symbol.
    pub symbol: String,
    /// First value.
    pub open: Option<Points>,
    /// Highest.
    pub high: Option<Points>,
    /// Lowest.
    pub low: Option<Points>,
    /// The close before.
    pub previous_close: Option<Points>,
}

/// A print with what stood around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSale {
    /// The symbol.
    pub symbol: String,
    /// At what price.
    pub price: Points,
    /// How much.
    pub size: u32,
    /// The bid then.
    pub bid: Option<Points>,
    /// The ask then.
    pub ask: Option<Points>,
    /// When.
    pub at: UtcNanos,
    /// The feed's number of it.
    pub sequence: Option<u64>,
    /// Takes an earlier print back.
    pub cancel: bool,
    /// Corrects an earlier print.
    pub correction: bool,
    /// `normal`, `pre`, `post`.
    pub session: String,
}

impl MarketItem {
    /// The same in the words of our feeds; `None` for summaries, for prints of options, and for symbols that are neither
    /// underlyings nor series.
    pub fn event(&self) -> Option<MarketEvent> {
        match self {
            Self::Quote(it) => match it.symbol.parse::<OccSymbol>() {
                Ok(series) => Some(MarketEvent::OptionQuote(series, option_quote(&it.quote))),
                Err(_) => Some(MarketEvent::Quote(it.symbol.parse::<Underlying>().ok()?, it.quote)),
            },
            Self::Trade(it) => {
                // Outside the session a print moves the volume and nothing else.
                let counts = if it.extended { PrintCounts::VolumeOnly } else { PrintCounts::Everywhere };
                let trade = Trade { ts: it.at, sequence: None, price: it.price, size: it.size, counts };
                Some(MarketEvent::Trade(it.symbol.parse().ok()?, trade))
            }
            Self::Sale(it) => {
                let counts = match (it.cancel || it.correction, it.session.as_str()) {
                    (true, _) => PrintCounts::Nowhere,
                    (false, "normal") => PrintCounts::Everywhere,
                    (false, _) => PrintCounts::VolumeOnly,
                };
                let trade =
                    Trade { ts: it.at, sequence: it.sequence, price: it.price, size: it.size, counts };
                Some(MarketEvent::Trade(it.symbol.parse().ok()?, trade))
            }
            Self::Summary(_) => None,
        }
    }
}

/// Of an option, prices are whole cents.
fn option_quote(quote: &Quote) -> OptionQuote {
    let side = |it: Option<QuoteSide>| {
        let cents = it.and_then(|it| u32::try_from(it.price.0 / 100).ok()).filter(|it| *it > 0);
        (cents.map(Price::from_cents), it.and_then(|it| it.size).unwrap_or(0))
    };
    let ((bid, bid_size), (ask, ask_size)) = (side(quote.bid), side(quote.ask));
    OptionQuote { ts: quote.ts, bid, ask, bid_size, ask_size }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct EventRow<'a> {
    #[serde(rename = "type")]
    kind: Raw<'a>,
    event: Raw<'a>,
    error: Raw<'a>,
    symbol: Raw<'a>,
    bid: Raw<'a>,
    bidsz: Raw<'a>,
    biddate: Raw<'a>,
    ask: Raw<'a>,
    asksz: Raw<'a>,
    askdate: Raw<'a>,
    price: Raw<'a>,
    last: Raw<'a>,
    size: Raw<'a>,
    cvol: Raw<'a>,
    date: Raw<'a>,
    open: Raw<'a>,
    high: Raw<'a>,
    low: Raw<'a>,
    #[serde(rename = "prevClose")]
    previous_close: Raw<'a>,
    seq: Raw<'a>,
    cancel: Raw<'a>,
    correction: Raw<'a>,
    session: Raw<'a>,
}

/// Reads a frame: JSON objects, one a line or one after the other.
pub fn market_frame(text: &str) -> MarketFrame {
    let mut frame = MarketFrame::default();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        for event in serde_json::Deserializer::from_str(line).into_iter::<EventRow<'_>>() {
            let Ok(event) = event else {
                frame.unknown = frame.unknown.saturating_add(1);
                break;
            };
            let kind = json::text(event.kind);
            let heartbeat =
                [kind.as_deref(), json::text(event.event).as_deref()].contains(&Some("heartbeat"));
            match item(kind.as_deref().unwrap_or(""), &event) {
                Some(item) => frame.items.push(item),
                None if heartbeat => frame.heartbeats = frame.heartbeats.saturating_add(1),
                None => match json::owned(event.error) {
                    Some(error) => frame.error = Some(error.chars().take(200).collect()),
                    None => frame.unknown = frame.unknown.saturating_add(1),
                },
            }
        }
    }
    frame
}

fn item(kind: &str, row: &EventRow<'_>) -> Option<MarketItem> {
    let symbol = json::owned(row.symbol)?;
    let at = |raw| json::whole(raw).and_then(json::epoch);
    match kind {
        "quote" => {
            let side = |price, size| {
                let price = json::points(price).filter(|it| it.0 > 0)?;
                Some(QuoteSide { price, size: json::count(size) })
            };
            let ts = at(row.biddate).max(at(row.askdate))?;
            let quote = Quote { ts, bid: side(row.bid, row.bidsz), ask: side(row.ask, row.asksz) };
            Some(MarketItem::Quote(StreamQuote { symbol, quote }))
        }
        "trade" | "tradex" => Some(MarketItem::Trade(StreamTrade {
            symbol,
            price: json::points(row.price).or_else(|| json::points(row.last)).filter(|it| it.0 > 0)?,
            size: json::count(row.size).unwrap_or(0),
            volume: json::volume(row.cvol),
            at: at(row.date)?,
            extended: kind == "tradex",
        })),
        "summary" => Some(MarketItem::Summary(StreamSummary {
            symbol,
            open: json::points(row.open),
            high: json::points(row.high),
            low: json::points(row.low),
            previous_close: json::points(row.previous_close),
        })),
        "timesale" => Some(MarketItem::Sale(StreamSale {
            symbol,
            price: json::points(row.last).filter(|it| it.0 > 0)?,
            size: json::count(row.size).unwrap_or(0),
            bid: json::points(row.bid),
            ask: json::points(row.ask),
            at: at(row.date)?,
            sequence: json::volume(row.seq),
            cancel: json::flag(row.cancel).unwrap_or(false),
            correction: json::flag(row.correction).unwrap_or(false),
            session: json::owned(row.session).unwrap_or_default(),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_read_as_numbers_and_as_text() {
        let quote = r#"{"type":"quote","symbol":"SPXW261120C05610000","bid":2.3,"bidsz":41,"bidexch":"C","biddate":"1795187010000","ask":"2.4","asksz":"37","askexch":"C","askdate":1795187011000}"#;
        let trade = r#"{"type":"trade","symbol":"SPX","exch":"C","price":"5611.25","size":"0","cvol":"812","date":"1795187011000","last":"5611.25"}"#;
        let frame =
            market_frame(&format!("{quote}\n{trade}{{\"type\":\"heartbeat\"}}\n{{\"type\":\"news\"}}"));
        assert_eq!((frame.items.len(), frame.heartbeats, frame.unknown), (2, 1, 1));
        let at = UtcNanos::from_secs(1_795_187_011);
        let (bid, ask) = (Some(Price::from_cents(230)), Some(Price::from_cents(240)));
        let series = "SPXW261120C05610000".parse().unwrap();
        let want = OptionQuote { ts: at, bid, ask, bid_size: 41, ask_size: 37 };
        assert_eq!(frame.items[0].event(), Some(MarketEvent::OptionQuote(series, want)));
        let trade = Trade {
            ts: at,
            sequence: None,
            price: Points(56_112_500),
            size: 0,
            counts: PrintCounts::Everywhere,
        };
        assert_eq!(frame.items[1].event(), Some(MarketEvent::Trade(Underlying::SPX, trade)));
    }

    #[test]
    fn prints_taken_back_and_prints_outside_the_session_do_not_count() {
        let sale = |cancel: bool, session: &str| {
            let text = format!(
                r#"{{"type":"timesale","symbol":"SPY","last":"561.01","size":"100","date":"1795187011355","seq":352795,"cancel":{cancel},"correction":false,"session":"{session}"}}"#
            );
            match market_frame(&text).items[0].event() {
                Some(MarketEvent::Trade(_, trade)) => (trade.sequence, trade.counts),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sale(false, "normal"), (Some(352_795), PrintCounts::Everywhere));
        assert_eq!(sale(true, "normal").1, PrintCounts::Nowhere);
        assert_eq!(sale(false, "pre").1, PrintCounts::VolumeOnly);
    }

    #[test]
    fn a_side_of_nothing_is_nobodys_and_an_event_without_a_time_is_not_one() {
        let text = r#"{"type":"quote","symbol":"SPY","bid":0,"bidsz":0,"biddate":"1795187010000","ask":561.02,"asksz":3,"askdate":"1795187010000"}"#;
        let frame = market_frame(text);
        let [MarketItem::Quote(it)] = frame.items.as_slice() else { panic!("{frame:?}") };
        assert!(it.quote.bid.is_none() && it.quote.ask.is_some());
        for text in [
            r#"{"type":"quote","symbol":"SPY","bid":1,"ask":2,"biddate":"0","askdate":"0"}"#,
            r#"{"type":"trade","symbol":"SPY","price":"NaN","size":"1","date":"1795187010000"}"#,
            r#"{"type":"trade","price":"1","size":"1","date":"1795187010000"}"#,
        ] {
            assert_eq!(market_frame(text).unknown, 1, "{text}");
        }
    }
}
