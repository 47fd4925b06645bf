//! What is listed and how it traded: expirations, strikes, symbols, bars (TRADIER.md sections 15.3 and 15.4).

use domain::market::Points;
use domain::symbol::{OccSymbol, Root, Strike};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

/// An expiration date. In the plain answer there is nothing but the date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiration {
    /// The date.
    pub date: Date,
    /// Shares a contract stands for.
    pub contract_size: Option<u32>,
    /// `standard`, `weeklys`, `quarterlys`, `eom`, in the broker's words.
    pub kind: Option<String>,
    /// Its strikes, all roots mixed, sorted; empty where they were not asked for.
    pub strikes: Vec<Strike>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct ExpirationsRow<'a> {
    date: Raw<'a>,
    expiration: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct ExpirationRow<'a> {
    date: Raw<'a>,
    contract_size: Raw<'a>,
    expiration_type: Raw<'a>,
    strikes: Raw<'a>,
}

/// Expirations in either of the broker's two shapes, sorted.
///
/// # Errors
/// [`Unreadable`] where the list, a date or a strike cannot be read.
pub fn expirations(body: &str) -> Result<Vec<Expiration>, Unreadable> {
    let list = json::field(body, "expirations", "expirations")?;
    if json::is_null(list) {
        return Ok(Vec::new());
    }
    let row: ExpirationsRow<'_> = json::parse(list.get(), "expirations")?;
    let mut found = Vec::new();
    match (row.expiration, row.date) {
        (Some(rows), _) => {
            for raw in json::elements(rows)? {
                found.push(expiration(raw)?);
            }
        }
        (None, Some(dates)) => {
            for text in json::texts(Some(dates), "a date")? {
                let date = text.parse().map_err(|_| Unreadable("a date"))?;
                found.push(Expiration { date, contract_size: None, kind: None, strikes: Vec::new() });
            }
        }
        (None, None) => return Err(Unreadable("expirations")),
    }
    found.sort_by_key(|it| it.date);
    Ok(found)
}

fn expiration(raw: &RawValue) -> Result<Expiration, Unreadable> {
    let row: ExpirationRow<'_> = json::parse(raw.get(), "an expiration")?;
    let strikes = match row.strikes {
        Some(raw) => strikes_of(json::collection(raw, "strike", "strikes")?)?,
        None => Vec::new(),
    };
    Ok(Expiration {
        date: json::date(row.date).ok_or(Unreadable("an expiration's date"))?,
        contract_size: json::count(row.contract_size),
        kind: json::owned(row.expiration_type),
        strikes,
    })
}

/// Strikes of one expiration, all roots mixed, sorted, each once.
///
/// # Errors
/// [`Unreadable`] where the list or a strike cannot be read.
pub fn strikes(body: &str) -> Result<Vec<Strike>, Unreadable> {
    let list = json::field(body, "strikes", "strikes")?;
    strikes_of(json::collection(list, "strike", "strikes")?)
}

fn strikes_of(rows: Vec<&RawValue>) -> Result<Vec<Strike>, Unreadable> {
    let read = |raw| json::strike(Some(raw)).ok_or(Unreadable("a strike"));
    let mut found: Vec<Strike> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct SymbolsRow<'a> {
    #[serde(rename = "rootSymbol")]
    root: Raw<'a>,
    options: Raw<'a>,
}

/// Every listed series of an underlying by root. Adjusted contracts, whose roots or symbols are not OCC's, are left
/// out.
///
/// # Errors
/// [`Unreadable`] where a list cannot be read.
pub fn lookup(body: &str) -> Result<Vec<(Root, Vec<OccSymbol>)>, Unreadable> {
    let list = json::field(body, "symbols", "symbols")?;
    let mut found = Vec::new();
    for raw in json::elements(list)? {
        let row: SymbolsRow<'_> = json::parse(raw.get(), "a root's symbols")?;
        let root = json::text(row.root).ok_or(Unreadable("a rootSymbol"))?;
        let symbols = json::texts(row.options, "option symbols")?;
        let Ok(root) = root.parse::<Root>() else { continue };
        found.push((root, symbols.iter().filter_map(|it| it.parse().ok()).collect()));
    }
    Ok(found)
}

/// A day, week or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Its first day.
    pub date: Date,
    /// First value.
    pub open: Option<Points>,
    /// Highest.
    pub high: Option<Points>,
    /// Lowest.
    pub low: Option<Points>,
    /// Last.
    pub close: Option<Points>,
    /// Shares or contracts traded; indexes have none.
    pub volume: Option<u64>,
}

/// A few minutes, or one print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaleBar {
    /// When it began.
    pub at: UtcNanos,
    /// The print, or the middle of the bar.
    pub price: Option<Points>,
    /// First value.
    pub open: Option<Points>,
    /// Highest.
    pub high: Option<Points>,
    /// Lowest.
    pub low: Option<Points>,
    /// Last.
    pub close: Option<Points>,
    /// Shares or contracts traded.
    pub volume: Option<u64>,
    /// Average by volume.
    pub vwap: Option<Points>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct BarRow<'a> {
    date: Raw<'a>,
    timestamp: Raw<'a>,
    price: Raw<'a>,
    open: Raw<'a>,
    high: Raw<'a>,
    low: Raw<'a>,
    close: Raw<'a>,
    volume: Raw<'a>,
    vwap: Raw<'a>,
}

/// Daily, weekly or monthly bars. Expired options have none.
///
/// # Errors
/// [`Unreadable`] where the list or a bar's date cannot be read.
pub fn bars(body: &str) -> Result<Vec<Bar>, Unreadable> {
    let list = json::field(body, "history", "history")?;
    let read = |raw: &RawValue| {
        let row: BarRow<'_> = json::parse(raw.get(), "a bar")?;
        Ok(Bar {
            date: json::date(row.date).ok_or(Unreadable("a bar's date"))?,
            open: json::points(row.open),
            high: json::points(row.high),
            low: json::points(row.low),
            close: json::points(row.close),
            volume: json::volume(row.volume),
        })
    };
    json::collection(list, "day", "history")?.into_iter().map(read).collect()
}

/// Bars within the day, or single prints.
///
/// # Errors
/// [`Unreadable`] where the list or a bar's timestamp cannot be read.
pub fn sales(body: &str) -> Result<Vec<SaleBar>, Unreadable> {
    let list = json::field(body, "series", "series")?;
    let read = |raw: &RawValue| {
        let row: BarRow<'_> = json::parse(raw.get(), "a bar")?;
        // `time` is New York's without saying so; `timestamp` is the same instant in epoch seconds.
        let at = json::whole(row.timestamp).and_then(json::epoch);
        Ok(SaleBar {
            at: at.ok_or(Unreadable("a bar's timestamp"))?,
            price: json::points(row.price),
            open: json::points(row.open),
            high: json::points(row.high),
            low: json::points(row.low),
            close: json::points(row.close),
            volume: json::volume(row.volume),
            vwap: json::points(row.vwap),
        })
    };
    json::collection(list, "data", "series")?.into_iter().map(read).collect()
}
