//! Option chains (TRADIER.md section 15.2), read in one pass: a full one has ten thousand rows.

use domain::chain::ChainRow;
use domain::symbol::Root;
use jiff::civil::DateTime;
use serde::Deserialize;

use super::quotes::option_quote;
use crate::json::{self, Collection, Raw, Row, Unreadable};

/// The broker's greeks, about an hour old and sometimes absurd: what cannot be is `None`. Not for 0DTE risk.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Greeks {
    /// -1 to 1.
    pub delta: Option<f64>,
    /// Per point.
    pub gamma: Option<f64>,
    /// Per calendar day.
    pub theta: Option<f64>,
    /// Per vol point.
    pub vega: Option<f64>,
    /// Implied volatility of the bid, annualised.
    pub bid_iv: Option<f64>,
    /// Of the middle.
    pub mid_iv: Option<f64>,
    /// Of the ask.
    pub ask_iv: Option<f64>,
    /// Off the broker's smoothed surface.
    pub smv_vol: Option<f64>,
    /// When they were made, in a zone the broker does not name.
    pub updated: Option<DateTime>,
}

/// A row with its greeks, where the broker has any.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GreekRow {
    /// The row.
    pub row: ChainRow,
    /// The broker's greeks.
    pub greeks: Option<Greeks>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Row<'de>"))]
struct Body<T> {
    options: Collection<T>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct PlainRow<'a> {
    symbol: Raw<'a>,
    bid: Raw<'a>,
    ask: Raw<'a>,
    bidsize: Raw<'a>,
    asksize: Raw<'a>,
    bid_date: Raw<'a>,
    ask_date: Raw<'a>,
    open_interest: Raw<'a>,
    volume: Raw<'a>,
}

impl<'a> Row<'a> for PlainRow<'a> {
    const KEY: &'static str = "option";
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct FullRow<'a> {
    symbol: Raw<'a>,
    bid: Raw<'a>,
    ask: Raw<'a>,
    bidsize: Raw<'a>,
    asksize: Raw<'a>,
    bid_date: Raw<'a>,
    ask_date: Raw<'a>,
    open_interest: Raw<'a>,
    volume: Raw<'a>,
    greeks: Raw<'a>,
}

impl<'a> Row<'a> for FullRow<'a> {
    const KEY: &'static str = "option";
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct GreeksRow<'a> {
    delta: Raw<'a>,
    gamma: Raw<'a>,
    theta: Raw<'a>,
    vega: Raw<'a>,
    bid_iv: Raw<'a>,
    mid_iv: Raw<'a>,
    ask_iv: Raw<'a>,
    smv_vol: Raw<'a>,
    updated_at: Raw<'a>,
}

/// The rows of a chain, sorted by series; of `root` alone where one is given, because the broker mixes the roots of
/// an underlying.
///
/// # Errors
/// [`Unreadable`] where the list, a symbol or a price cannot be read.
pub fn chain(body: &str, root: Option<Root>) -> Result<Vec<ChainRow>, Unreadable> {
    let body: Body<PlainRow<'_>> = json::parse(body, "options")?;
    let mut found = Vec::with_capacity(body.options.0.len());
    for row in &body.options.0 {
        found.extend(plain(row, root)?);
    }
    found.sort_unstable_by_key(|it: &ChainRow| it.series);
    Ok(found)
}

/// The rows of a chain as [`chain`] gives them, with the broker's greeks.
///
/// # Errors
/// [`Unreadable`] as [`chain`]; greeks that cannot be read are none.
pub fn chain_with_greeks(body: &str, root: Option<Root>) -> Result<Vec<GreekRow>, Unreadable> {
    let body: Body<FullRow<'_>> = json::parse(body, "options")?;
    let mut found = Vec::with_capacity(body.options.0.len());
    for it in &body.options.0 {
        let FullRow {
            symbol,
            bid,
            ask,
            bidsize,
            asksize,
            bid_date,
            ask_date,
            open_interest,
            volume,
            greeks: _,
        } = *it;
        let row = PlainRow { symbol, bid, ask, bidsize, asksize, bid_date, ask_date, open_interest, volume };
        if let Some(row) = plain(&row, root)? {
            found.push(GreekRow { row, greeks: greeks(it.greeks) });
        }
    }
    found.sort_unstable_by_key(|it| it.row.series);
    Ok(found)
}

/// A row in our words; `None` for adjusted contracts and other roots.
fn plain(row: &PlainRow<'_>, root: Option<Root>) -> Result<Option<ChainRow>, Unreadable> {
    let symbol = json::text(row.symbol).ok_or(Unreadable("an option's symbol"))?;
    let Ok(series) = symbol.parse::<domain::symbol::OccSymbol>() else { return Ok(None) };
    if root.is_some_and(|it| it != series.root) {
        return Ok(None);
    }
    let quote = option_quote((row.bid, row.bidsize, row.bid_date), (row.ask, row.asksize, row.ask_date))?;
    let (open_interest, volume) = (json::count(row.open_interest), json::count(row.volume));
    Ok(Some(ChainRow { series, quote, open_interest, volume }))
}

/// Volatilities above this are the broker's mistakes: 2,000 %.
const IV_MAX: f64 = 20.0;

fn greeks(raw: Raw<'_>) -> Option<Greeks> {
    let row: GreeksRow<'_> = json::parse(raw?.get(), "greeks").ok()?;
    let iv = |raw| json::measure(raw).filter(|it| (0.0..=IV_MAX).contains(it));
    Some(Greeks {
        delta: json::measure(row.delta).filter(|it| it.abs() <= 1.0),
        gamma: json::measure(row.gamma).filter(|it| *it >= 0.0),
        theta: json::measure(row.theta),
        vega: json::measure(row.vega).filter(|it| *it >= 0.0),
        bid_iv: iv(row.bid_iv),
        mid_iv: iv(row.mid_iv),
        ask_iv: iv(row.ask_iv),
        smv_vol: iv(row.smv_vol),
        updated: json::text(row.updated_at).and_then(|it| it.replace(' ', "T").parse().ok()),
    })
}
