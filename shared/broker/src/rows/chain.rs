//! Option chains (TRADIER.md section 15.2), read in one pass without a tree: a full one has ten thousand rows.

use std::borrow::Cow;

use domain::chain::ChainRow;
use domain::market::OptionQuote;
use domain::money::Price;
use domain::symbol::{OccSymbol, Root};
use domain::time::UtcNanos;
use jiff::civil::DateTime;

use crate::json::{self, Unreadable};
use crate::scan::Scanner;

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

/// A row's values as they are written.
#[derive(Default)]
struct Fields<'a> {
    symbol: Field<'a>,
    bid: Field<'a>,
    ask: Field<'a>,
    bidsize: Field<'a>,
    asksize: Field<'a>,
    bid_date: Field<'a>,
    ask_date: Field<'a>,
    open_interest: Field<'a>,
    volume: Field<'a>,
}

/// A value as it is written; `None` for a field that is not there.
type Field<'a> = Option<&'a str>;

/// The rows of a chain, sorted by series; of `root` alone where one is given, because the broker mixes the roots of
/// an underlying.
///
/// # Errors
/// [`Unreadable`] where the list, a symbol or a price cannot be read.
pub fn chain(body: &str, root: Option<Root>) -> Result<Vec<ChainRow>, Unreadable> {
    let mut found = Vec::new();
    rows(body, |scanner| {
        let mut fields = Fields::default();
        scanner.object(|it, key| fields.take(key, it.value()?))?;
        found.extend(fields.row(root)?);
        Ok(())
    })?;
    found.sort_unstable_by_key(|it: &ChainRow| it.series);
    Ok(found)
}

/// The rows of a chain as [`chain`] gives them, with the broker's greeks.
///
/// # Errors
/// [`Unreadable`] as [`chain`]; greeks that cannot be read are none.
pub fn chain_with_greeks(body: &str, root: Option<Root>) -> Result<Vec<GreekRow>, Unreadable> {
    let mut found = Vec::new();
    rows(body, |scanner| {
        let (mut fields, mut greeks) = (Fields::default(), None);
        scanner.object(|it, key| {
            if key == "greeks" && it.is_object() {
                greeks = Some(read_greeks(it)?);
                return Ok(());
            }
            fields.take(key, it.value()?)
        })?;
        found.extend(fields.row(root)?.map(|row| GreekRow { row, greeks }));
        Ok(())
    })?;
    found.sort_unstable_by_key(|it: &GreekRow| it.row.series);
    Ok(found)
}

/// Walks over `{"options": {"option": [..]}}` and stops at each row.
fn rows<'a>(
    body: &'a str,
    mut each: impl FnMut(&mut Scanner<'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut scanner = Scanner::new(body);
    let mut found = false;
    scanner.object(|it, key| {
        if key != "options" || found {
            return it.value().map(|_| ());
        }
        found = true;
        it.collection("option", &mut each)
    })?;
    // Half a chain is none.
    if found && scanner.ended() { Ok(()) } else { Err(Unreadable("options")) }
}

impl<'a> Fields<'a> {
    #[expect(clippy::unnecessary_wraps, reason = "it is the reader of an object's fields")]
    fn take(&mut self, key: &str, value: &'a str) -> Result<(), Unreadable> {
        let field = match key {
            "symbol" => &mut self.symbol,
            "bid" => &mut self.bid,
            "ask" => &mut self.ask,
            "bidsize" => &mut self.bidsize,
            "asksize" => &mut self.asksize,
            "bid_date" => &mut self.bid_date,
            "ask_date" => &mut self.ask_date,
            "open_interest" => &mut self.open_interest,
            "volume" => &mut self.volume,
            _ => return Ok(()),
        };
        *field = Some(value);
        Ok(())
    }

    /// The row in our words; `None` for adjusted contracts and other roots.
    fn row(&self, root: Option<Root>) -> Result<Option<ChainRow>, Unreadable> {
        let symbol = self.symbol.and_then(json::text_of).ok_or(Unreadable("an option's symbol"))?;
        let Ok(series) = symbol.parse::<OccSymbol>() else { return Ok(None) };
        if root.is_some_and(|it| it != series.root) {
            return Ok(None);
        }
        let (bid, bid_size) = side(self.bid, self.bidsize)?;
        let (ask, ask_size) = side(self.ask, self.asksize)?;
        let at = |field| whole(field).and_then(json::epoch);
        let ts = at(self.bid_date).max(at(self.ask_date)).unwrap_or(UtcNanos(0));
        let quote = OptionQuote { ts, bid, ask, bid_size, ask_size };
        Ok(Some(ChainRow {
            series,
            quote,
            open_interest: count(self.open_interest),
            volume: count(self.volume),
        }))
    }
}

/// A number as plain decimal text.
fn decimal(field: Field<'_>) -> Option<Cow<'_, str>> {
    json::decimal_of(json::text_of(field?)?)
}

fn whole(field: Field<'_>) -> Option<i64> {
    json::whole_of(&decimal(field)?)
}

fn count(field: Field<'_>) -> Option<u32> {
    whole(field).and_then(|it| u32::try_from(it).ok())
}

/// A side of a quote as [`fn@super::quotes`] reads it: of 0, or without a price, it is nobody's.
fn side(price: Field<'_>, size: Field<'_>) -> Result<(Option<Price>, u32), Unreadable> {
    if price.and_then(json::text_of).is_none() {
        return Ok((None, 0));
    }
    let price =
        decimal(price).and_then(|it| Price::parse(&it).ok()).ok_or(Unreadable("an option's price"))?;
    Ok(if price == Price::ZERO { (None, 0) } else { (Some(price), count(size).unwrap_or(0)) })
}

/// Volatilities above this are the broker's mistakes: 2,000 %.
const IV_MAX: f64 = 20.0;

fn read_greeks(scanner: &mut Scanner<'_>) -> Result<Greeks, Unreadable> {
    let mut found = Greeks::default();
    scanner.object(|it, key| {
        let value = it.value()?;
        if key == "updated_at" {
            found.updated = json::text_of(value).and_then(|it| it.replace(' ', "T").parse().ok());
            return Ok(());
        }
        let (field, low, high) = match key {
            "delta" => (&mut found.delta, -1.0, 1.0),
            "gamma" => (&mut found.gamma, 0.0, f64::MAX),
            "theta" => (&mut found.theta, f64::MIN, f64::MAX),
            "vega" => (&mut found.vega, 0.0, f64::MAX),
            "bid_iv" => (&mut found.bid_iv, 0.0, IV_MAX),
            "mid_iv" => (&mut found.mid_iv, 0.0, IV_MAX),
            "ask_iv" => (&mut found.ask_iv, 0.0, IV_MAX),
            "smv_vol" => (&mut found.smv_vol, 0.0, IV_MAX),
            _ => return Ok(()),
        };
        let number = json::text_of(value).and_then(|it| it.parse::<f64>().ok());
        *field = number.filter(|it| (low..=high).contains(it));
        Ok(())
    })?;
    Ok(found)
}
