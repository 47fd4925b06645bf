//! Quotes, and the market around one series (TRADIER.md section 15.1).

use std::borrow::Cow;

use domain::market::{OptionQuote, Points, Quote, QuoteSide};
use domain::ports::MarketNow;
use domain::symbol::{OccSymbol, Right, Root};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

#[derive(Deserialize)]
struct QuotesBody<'a> {
    #[serde(borrow)]
    quotes: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct QuotesRow<'a> {
    quote: Raw<'a>,
    unmatched_symbols: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct QuoteRow<'a> {
    symbol: Raw<'a>,
    bid: Raw<'a>,
    ask: Raw<'a>,
    bidsize: Raw<'a>,
    asksize: Raw<'a>,
    bid_date: Raw<'a>,
    ask_date: Raw<'a>,
    last: Raw<'a>,
    trade_date: Raw<'a>,
    strike: Raw<'a>,
    expiration_date: Raw<'a>,
    option_type: Raw<'a>,
}

impl QuoteRow<'_> {
    /// Whether what the row says of its option is `series`. A broker was seen to answer with another instrument's row
    /// under the symbol that was asked for; such a row is no quote.
    fn is_of(&self, series: &OccSymbol) -> bool {
        let right = match series.right {
            Right::Call => "call",
            Right::Put => "put",
        };
        let date = json::text(self.expiration_date).and_then(|it| it.parse::<Date>().ok());
        json::strike(self.strike).is_none_or(|it| it == series.strike)
            && date.is_none_or(|it| it == series.expiry)
            && json::text(self.option_type).is_none_or(|it| it == right)
    }

    /// Best bid and ask. A side of 0, or without a price, is nobody's; its time, 0 when it never had one, keeps the
    /// quote stale until there is one.
    fn quote(&self) -> Result<OptionQuote, Unreadable> {
        option_quote((self.bid, self.bidsize, self.bid_date), (self.ask, self.asksize, self.ask_date))
    }
}

/// Best bid and ask from price, size and time of each.
fn option_quote(
    bid: (Raw<'_>, Raw<'_>, Raw<'_>),
    ask: (Raw<'_>, Raw<'_>, Raw<'_>),
) -> Result<OptionQuote, Unreadable> {
    let side = |raw: Raw<'_>, size: Raw<'_>| match json::text(raw) {
        None => Ok((None, 0)),
        Some(_) => {
            let price = json::price(raw).ok_or(Unreadable("a quote's price"))?;
            let size = json::count(size).unwrap_or(0);
            Ok(if price.cents() == 0 { (None, 0) } else { (Some(price), size) })
        }
    };
    let at = |raw| json::whole(raw).and_then(json::epoch);
    let (bid_price, bid_size) = side(bid.0, bid.1)?;
    let (ask_price, ask_size) = side(ask.0, ask.1)?;
    let ts = at(bid.2).max(at(ask.2)).unwrap_or(UtcNanos(0));
    Ok(OptionQuote { ts, bid: bid_price, ask: ask_price, bid_size, ask_size })
}

/// The option quotes in a body, by series. Rows of other symbols are left out, and rows that tell of another series than
/// their symbol does.
///
/// # Errors
/// [`Unreadable`] where the list, a symbol or an option's price cannot be read.
pub fn quotes(body: &str) -> Result<Vec<(OccSymbol, OptionQuote)>, Unreadable> {
    let mut found = Vec::new();
    for (symbol, row) in quote_rows(body)? {
        let Some(series) = symbol.parse::<OccSymbol>().ok().filter(|it| row.is_of(it)) else { continue };
        found.push((series, row.quote()?));
    }
    Ok(found)
}

/// The quote of `series` in a body, and the last value of its underlying where the body has it.
///
/// # Errors
/// [`Unreadable`] as [`quotes`].
pub fn market(body: &str, series: &OccSymbol) -> Result<MarketNow, Unreadable> {
    let mut now = MarketNow::default();
    for (symbol, row) in quote_rows(body)? {
        if symbol.parse() == Ok(*series) {
            if row.is_of(series) {
                now.quote = Some(row.quote()?);
            }
        } else if symbol == series.underlying().as_str() {
            let value = json::text(row.last).and_then(|it| Points::parse(&it)).filter(|it| it.0 > 0);
            now.index = value.zip(json::whole(row.trade_date).and_then(json::epoch));
        }
    }
    Ok(now)
}

/// The rows of a body of quotes with their symbols.
fn quote_rows(body: &str) -> Result<Vec<(Cow<'_, str>, QuoteRow<'_>)>, Unreadable> {
    let outer: QuotesBody<'_> = json::parse(body, "quotes")?;
    if json::is_null(outer.quotes) {
        return Ok(Vec::new());
    }
    let row: QuotesRow<'_> = json::parse(outer.quotes.get(), "quotes")?;
    let mut found = Vec::new();
    for raw in listed(&row)? {
        let row: QuoteRow<'_> = json::parse(raw.get(), "a quote")?;
        let symbol = json::text(row.symbol).ok_or(Unreadable("a quote's symbol"))?;
        found.push((symbol, row));
    }
    Ok(found)
}

/// The rows in `quotes`. All symbols unknown to the broker is an answer; neither key is none.
fn listed<'a>(row: &QuotesRow<'a>) -> Result<Vec<&'a RawValue>, Unreadable> {
    match row.quote {
        Some(raw) => json::elements(raw),
        None if row.unmatched_symbols.is_some() => Ok(Vec::new()),
        None => Err(Unreadable("quotes")),
    }
}

/// What a symbol stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuoteKind {
    /// A share.
    Stock,
    /// An exchange-traded fund.
    Etf,
    /// An index: no shares, no sizes worth reading.
    Index,
    /// An option.
    Option,
    /// A word we do not know.
    Other,
}

/// A quote of any symbol. What was never traded or quoted is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolQuote {
    /// The symbol, in the broker's spelling.
    pub symbol: String,
    /// What it stands for.
    pub kind: QuoteKind,
    /// Bid and ask.
    pub quote: Quote,
    /// The last print and when it was.
    pub last: Option<(Points, UtcNanos)>,
    /// Today's first value.
    pub open: Option<Points>,
    /// Today's highest.
    pub high: Option<Points>,
    /// Today's lowest.
    pub low: Option<Points>,
    /// Today's close; there is none before it.
    pub close: Option<Points>,
    /// The close before.
    pub previous_close: Option<Points>,
    /// Traded today.
    pub volume: Option<u64>,
    /// Of an underlying, the roots of its options.
    pub roots: Vec<Root>,
    /// Of an option, what it is.
    pub option: Option<OptionFacts>,
}

/// What an option's quote says of the option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionFacts {
    /// The series.
    pub series: OccSymbol,
    /// Open interest of the morning.
    pub open_interest: Option<u32>,
    /// Shares a contract stands for.
    pub contract_size: Option<u32>,
}

/// An answer to a request for quotes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quotes {
    /// In the broker's order, which is not the request's.
    pub found: Vec<SymbolQuote>,
    /// Symbols the broker does not know.
    pub unmatched: Vec<String>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct SymbolRow<'a> {
    symbol: Raw<'a>,
    #[serde(rename = "type")]
    kind: Raw<'a>,
    bid: Raw<'a>,
    ask: Raw<'a>,
    bidsize: Raw<'a>,
    asksize: Raw<'a>,
    bid_date: Raw<'a>,
    ask_date: Raw<'a>,
    last: Raw<'a>,
    trade_date: Raw<'a>,
    open: Raw<'a>,
    high: Raw<'a>,
    low: Raw<'a>,
    close: Raw<'a>,
    prevclose: Raw<'a>,
    volume: Raw<'a>,
    root_symbols: Raw<'a>,
    open_interest: Raw<'a>,
    contract_size: Raw<'a>,
}

/// Quotes of any symbols, and those the broker does not know.
///
/// # Errors
/// [`Unreadable`] where a list or a symbol cannot be read.
pub fn symbol_quotes(body: &str) -> Result<Quotes, Unreadable> {
    let outer: QuotesBody<'_> = json::parse(body, "quotes")?;
    if json::is_null(outer.quotes) {
        return Ok(Quotes::default());
    }
    let row: QuotesRow<'_> = json::parse(outer.quotes.get(), "quotes")?;
    let unmatched = match row.unmatched_symbols {
        Some(raw) => {
            let symbols = json::collection(raw, "symbol", "unmatched symbols")?;
            symbols.into_iter().filter_map(|it| json::owned(Some(it))).collect()
        }
        None => Vec::new(),
    };
    let found = listed(&row)?.into_iter().map(symbol_quote).collect::<Result<_, _>>()?;
    Ok(Quotes { found, unmatched })
}

fn symbol_quote(raw: &RawValue) -> Result<SymbolQuote, Unreadable> {
    let row: SymbolRow<'_> = json::parse(raw.get(), "a quote")?;
    let symbol = json::owned(row.symbol).ok_or(Unreadable("a quote's symbol"))?;
    let at = |raw| json::whole(raw).and_then(json::epoch);
    let side = |price, size| {
        let price = json::points(price).filter(|it| it.0 > 0)?;
        Some(QuoteSide { price, size: json::count(size) })
    };
    let positive = |raw| json::points(raw).filter(|it| it.0 > 0);
    let kind = match json::text(row.kind).as_deref() {
        Some("stock") => QuoteKind::Stock,
        Some("etf") => QuoteKind::Etf,
        Some("index") => QuoteKind::Index,
        Some("option") => QuoteKind::Option,
        _ => QuoteKind::Other,
    };
    let roots = json::text(row.root_symbols);
    Ok(SymbolQuote {
        kind,
        quote: Quote {
            ts: at(row.bid_date).max(at(row.ask_date)).unwrap_or(UtcNanos(0)),
            bid: side(row.bid, row.bidsize),
            ask: side(row.ask, row.asksize),
        },
        last: positive(row.last).zip(at(row.trade_date)),
        open: positive(row.open),
        high: positive(row.high),
        low: positive(row.low),
        close: positive(row.close),
        previous_close: positive(row.prevclose),
        volume: json::volume(row.volume),
        roots: roots.iter().flat_map(|it| it.split(',')).filter_map(|it| it.trim().parse().ok()).collect(),
        option: symbol.parse().ok().map(|series| OptionFacts {
            series,
            open_interest: json::count(row.open_interest),
            contract_size: json::count(row.contract_size),
        }),
        symbol,
    })
}
