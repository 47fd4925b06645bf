//! Quotes and chains.

use std::str::FromStr;

use domain::market::{Points, QuoteSide};
use domain::money::Price;
use domain::symbol::{OccSymbol, Right, Root, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::Serialize;

use super::super::Sandbox;
use super::super::answer::Answer;
use super::super::book::{SeriesState, UnderlyingState};
use super::super::params::{Invalid, Params};
use super::super::shape::{Under, description};
use super::greeks::GreeksRow;
use super::options::expiration_type;
use super::securities::Security;
use super::{Several, exchange, expiration, underlying};

/// Symbols of one request at most; a whole chain by POST has some hundreds.
const SYMBOLS_MAX: usize = 5_000;
/// Shares of a round lot.
const LOT: u32 = 100;

/// A quote row. Options carry a strike, a contract and, when asked for, greeks; underlyings their roots.
#[derive(Serialize)]
struct QuoteRow<'a> {
    symbol: String,
    description: String,
    exch: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    last: Option<f64>,
    change: Option<f64>,
    volume: u64,
    open: Option<f64>,
    high: Option<f64>,
    low: Option<f64>,
    close: Option<f64>,
    bid: f64,
    ask: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    underlying: Option<Underlying>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strike: Option<f64>,
    change_percentage: Option<f64>,
    average_volume: u64,
    last_volume: u64,
    trade_date: i64,
    prevclose: Option<f64>,
    week_52_high: f64,
    week_52_low: f64,
    bidsize: u32,
    bidexch: &'static str,
    bid_date: i64,
    asksize: u32,
    askexch: &'static str,
    ask_date: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_interest: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    option_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_symbol: Option<Root>,
    /// Asked for, and perhaps not had.
    #[serde(skip_serializing_if = "Option::is_none")]
    greeks: Option<Option<&'a GreeksRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_symbols: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lot_size: Option<u32>,
}

#[derive(Serialize)]
struct Quotes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<Several<QuoteRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unmatched_symbols: Option<Under<Several<&'a str>>>,
}

/// What a quote request asks for beside its symbols.
#[derive(Clone, Copy)]
struct Extras {
    greeks: bool,
    lot_size: bool,
}

impl Sandbox {
    pub(in super::super) fn quotes(&mut self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let symbols = params.need("symbols")?;
        let extras = Extras { greeks: params.flag("greeks")?, lot_size: params.flag("includeLotSize")? };
        let symbols: Vec<&str> = symbols.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        if symbols.len() > SYMBOLS_MAX {
            return Err(Invalid::new("symbols", &format!("must be at most {SYMBOLS_MAX}.")));
        }
        if extras.greeks {
            let series: Vec<OccSymbol> = symbols.iter().filter_map(|it| it.parse().ok()).collect();
            self.learn_greeks(&series);
        }
        let (mut rows, mut unmatched) = (Vec::new(), Vec::new());
        for symbol in symbols {
            match self.quote_row(symbol, extras) {
                Some(row) => rows.push(row),
                None => unmatched.push(symbol),
            }
        }
        let unmatched = Several::some(unmatched).map(|it| Under("symbol", it));
        let quotes = Quotes { quote: Several::some(rows), unmatched_symbols: unmatched };
        Ok(Answer::json(&Under("quotes", quotes)))
    }

    pub(super) fn chain(&mut self, params: &Params<'_>) -> Result<Answer, Invalid> {
        let (symbol, date) = (underlying(params, "symbol")?, expiration(params)?);
        let greeks = params.flag("greeks")?;
        if greeks {
            let series: Vec<OccSymbol> = self.book.series_of(symbol, Some(date)).map(|it| *it.0).collect();
            self.learn_greeks(&series);
        }
        let rows = self.book.series_of(symbol, Some(date));
        let rows: Vec<_> = rows.map(|(series, state)| self.option_row(series, state, greeks)).collect();
        let rows = Several::some(rows).map(|it| Under("option", it));
        Ok(Answer::json(&Under("options", rows)))
    }

    /// Computes the hour's greeks of those series whose greeks are of another hour.
    fn learn_greeks(&mut self, wanted: &[OccSymbol]) {
        for series in wanted {
            let Some(hourly) = self.book.series(series).and_then(|it| it.hourly) else { continue };
            self.greeks.learn(series, &hourly);
        }
    }

    fn quote_row(&self, symbol: &str, extras: Extras) -> Option<QuoteRow<'_>> {
        let upper = symbol.to_ascii_uppercase();
        if let Ok(series) = OccSymbol::from_str(&upper) {
            return self.book.series(&series).map(|state| self.option_row(&series, state, extras.greeks));
        }
        let underlying = Underlying::from_str(&upper).ok()?;
        self.book.underlying(&underlying).map(|state| self.stock_row(underlying, state, extras.lot_size))
    }

    fn stock_row(&self, underlying: Underlying, state: &UnderlyingState, lot_size: bool) -> QuoteRow<'_> {
        let points = |it: Option<Points>| it.map(Points::to_f64);
        let side =
            |it: Option<QuoteSide>| it.map_or((0.0, 0), |it| (it.price.to_f64(), it.size.unwrap_or(0)));
        let quoted = state.quote.map_or(0, |it| it.ts.millis());
        let (bid, ask) = (side(state.quote.and_then(|it| it.bid)), side(state.quote.and_then(|it| it.ask)));
        let exch = exchange(underlying);
        let about = Security::of(&underlying);
        let roots: Vec<String> = self.book.roots(underlying).rev().map(|it| it.to_string()).collect();
        let previous = self.book.previous_close(&underlying);
        let change = state.last.zip(previous).map(|(last, before)| last.minus(before));
        let percent = change.zip(previous).filter(|(_, before)| before.0 > 0);
        let percent = percent.map(|(change, before)| change.to_f64() / before.to_f64() * 100.0);
        let (low, high) = self.year(&underlying, state);
        QuoteRow {
            symbol: underlying.to_string(),
            description: about.description.to_owned(),
            exch,
            kind: about.kind,
            last: points(state.last),
            change: points(change),
            volume: state.volume,
            open: points(state.open),
            high: points(state.high),
            low: points(state.low),
            close: if self.now >= self.session.close { points(state.official) } else { None },
            bid: bid.0,
            ask: ask.0,
            underlying: None,
            strike: None,
            change_percentage: percent.map(|it| (it * 100.0).round() / 100.0),
            average_volume: self.average_volume(&underlying),
            last_volume: u64::from(state.last_size),
            trade_date: state.last_at.map_or(0, UtcNanos::millis),
            prevclose: points(previous),
            week_52_high: high,
            week_52_low: low,
            bidsize: bid.1,
            bidexch: exch,
            bid_date: quoted,
            asksize: ask.1,
            askexch: exch,
            ask_date: quoted,
            open_interest: None,
            contract_size: None,
            expiration_date: None,
            expiration_type: None,
            option_type: None,
            root_symbol: None,
            greeks: None,
            root_symbols: (!roots.is_empty()).then(|| roots.join(",")),
            lot_size: lot_size.then_some(LOT),
        }
    }

    /// Lowest and highest of the days it knows of.
    fn year(&self, underlying: &Underlying, state: &UnderlyingState) -> (f64, f64) {
        let days = self.book.days(underlying);
        let low = days.iter().map(|it| it.low).chain(state.low).min();
        let high = days.iter().map(|it| it.high).chain(state.high).max();
        (low.map_or(0.0, Points::to_f64), high.map_or(0.0, Points::to_f64))
    }

    fn average_volume(&self, underlying: &Underlying) -> u64 {
        let days = self.book.days(underlying);
        let sum = days.iter().fold(0u64, |sum, it| sum.saturating_add(it.volume));
        sum.checked_div(days.len() as u64).unwrap_or(0)
    }

    fn option_row(&self, series: &OccSymbol, state: &SeriesState, greeks: bool) -> QuoteRow<'_> {
        let quoted = state.quote.map_or(0, |it| it.ts.millis());
        let price = |it: Option<Price>| it.map_or(0.0, Price::to_f64);
        let (quote, underlying) = (state.quote, series.underlying());
        let exch = exchange(underlying);
        QuoteRow {
            symbol: series.to_string(),
            description: description(series),
            exch,
            kind: "option",
            last: None,
            change: None,
            volume: u64::from(state.volume),
            open: None,
            high: None,
            low: None,
            close: None,
            bid: price(quote.and_then(|it| it.bid)),
            ask: price(quote.and_then(|it| it.ask)),
            underlying: Some(underlying),
            strike: Some(series.strike.points()),
            change_percentage: None,
            average_volume: 0,
            last_volume: 0,
            trade_date: 0,
            prevclose: None,
            week_52_high: 0.0,
            week_52_low: 0.0,
            bidsize: quote.map_or(0, |it| it.bid_size),
            bidexch: exch,
            bid_date: quoted,
            asksize: quote.map_or(0, |it| it.ask_size),
            askexch: exch,
            ask_date: quoted,
            open_interest: Some(state.open_interest.unwrap_or(0)),
            contract_size: Some(100),
            expiration_date: Some(series.expiry),
            expiration_type: Some(expiration_type(series)),
            option_type: Some(match series.right {
                Right::Call => "call",
                Right::Put => "put",
            }),
            root_symbol: Some(series.root),
            greeks: greeks.then(|| self.greeks.of(series)),
            root_symbols: None,
            lot_size: None,
        }
    }
}
