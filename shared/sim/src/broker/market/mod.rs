//! Market data over the session's book (TRADIER.md section 15).

mod bars;
mod days;
mod greeks;
mod options;
mod quotes;
mod securities;

use domain::symbol::{Root, Underlying};
use jiff::civil::Date;
use serde::Serialize;

pub use bars::DayBar;
pub(super) use bars::MinuteBar;
pub(super) use greeks::{GreeksCache, Hourly};
pub(super) use securities::exchange;

use super::Sandbox;
use super::answer::Answer;
use super::params::{Invalid, Params};
use super::shape::Collapsed;

impl Sandbox {
    pub(super) fn market_route(&mut self, path: &[&str], params: &Params<'_>) -> Result<Answer, Invalid> {
        match path {
            ["quotes"] => self.quotes(params),
            ["options", "chains"] => self.chain(params),
            ["options", "expirations"] => self.expirations(params),
            ["options", "strikes"] => self.strikes(params),
            ["options", "lookup"] => self.lookup(params),
            ["clock"] => Ok(self.clock()),
            ["calendar"] => self.calendar(params),
            ["history"] => self.history(params),
            ["timesales"] => self.timesales(params),
            ["search"] => self.search(params),
            ["lookup"] => self.lookup_symbol(params),
            ["etb"] => Ok(self.easy_to_borrow()),
            _ => Ok(Answer::text(404, &format!("Not found: GET /markets/{}", path.join("/")))),
        }
    }
}

/// An owned list that collapses.
struct Several<T>(Vec<T>);

impl<T> Several<T> {
    fn some(items: Vec<T>) -> Option<Self> {
        if items.is_empty() { None } else { Some(Self(items)) }
    }
}

impl<T: Serialize> Serialize for Several<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Collapsed(&self.0).serialize(to)
    }
}

/// The underlying a parameter names. A root such as SPXW means its index here, as in orders.
fn underlying(params: &Params<'_>, name: &str) -> Result<Underlying, Invalid> {
    let text = params.need(name)?.to_ascii_uppercase();
    if let Ok(root) = text.parse::<Root>() {
        return Ok(root.underlying());
    }
    text.parse().map_err(|_| Invalid::new(name, "is not valid"))
}

fn date(params: &Params<'_>, name: &str) -> Result<Option<Date>, Invalid> {
    let Some(text) = params.get(name) else { return Ok(None) };
    // Some clients send a time with it.
    let day = text.get(..10).unwrap_or(text);
    day.parse().map(Some).map_err(|_| Invalid::new(name, "must be a date such as 2026-11-20."))
}

fn expiration(params: &Params<'_>) -> Result<Date, Invalid> {
    date(params, "expiration")?.ok_or_else(|| Invalid::new("expiration", "is required."))
}
