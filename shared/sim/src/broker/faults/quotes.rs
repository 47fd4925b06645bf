//! Faults of quotes: what is told of them, while the book that orders meet stays right.

use std::time::Duration;

use broker::transport::{Method, Reply};
use domain::symbol::OccSymbol;
use serde_json::{Map, Value, json};

use super::super::Sandbox;
use super::super::params::Params;
use super::super::stream::StreamKind;
use super::{Fault, Point, Strike, Subject, with_underlyings};

/// How a frame is told.
pub(in super::super) enum Told {
    /// As it is.
    AsItIs,
    /// As something else.
    Wrongly(String),
    /// Not at all.
    Not,
}

impl Sandbox {
    /// Tells the quotes in an answer wrongly, where a fault strikes.
    pub(in super::super) fn told_quotes(&mut self, user: &str, path: &[&str], reply: Reply) -> Reply {
        let collection = match path {
            ["markets", "quotes"] => ["quotes", "quote"],
            ["markets", "options", "chains"] => ["options", "option"],
            _ => return reply,
        };
        if !self.faults.aims_at(Point::Quote) || reply.status != 200 {
            return reply;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
        let [outer, inner] = collection;
        let rows = match body.get_mut(outer).and_then(|it| it.get_mut(inner)) {
            Some(Value::Array(rows)) => rows.as_mut_slice(),
            Some(row @ Value::Object(_)) => std::slice::from_mut(row),
            Some(_) | None => return reply,
        };
        let mut changed = false;
        for row in rows {
            let Value::Object(row) = row else { continue };
            if let Some(strike) = self.struck_quote(row, None) {
                self.tell_wrongly(user, row, &strike);
                changed = true;
            }
        }
        match serde_json::to_vec(&body) {
            Ok(body) if changed => Reply { body, ..reply },
            Ok(_) | Err(_) => reply,
        }
    }

    /// How a quote is told on the market stream. Texts of another sort stay as they are.
    pub(in super::super) fn told_frame(&mut self, user: &str, text: &str) -> Told {
        let Ok(Value::Object(mut row)) = serde_json::from_str::<Value>(text) else { return Told::AsItIs };
        if row.get("type").and_then(Value::as_str) != Some("quote") {
            return Told::AsItIs;
        }
        let Some(strike) = self.struck_quote(&row, Some(StreamKind::Market)) else { return Told::AsItIs };
        if strike.fault == Fault::QuoteDropped {
            return Told::Not;
        }
        self.tell_wrongly(user, &mut row, &strike);
        serde_json::to_string(&row).map_or(Told::AsItIs, Told::Wrongly)
    }

    /// Whether quotes may be told wrongly on streams.
    pub(in super::super) fn mistells_quotes(&self) -> bool {
        self.faults.aims_at(Point::Quote)
    }

    fn struck_quote(&mut self, row: &Map<String, Value>, stream: Option<StreamKind>) -> Option<Strike> {
        let symbol = row.get("symbol").and_then(Value::as_str)?.to_owned();
        let what = format!("quote of {symbol}");
        let symbols = with_underlyings(vec![symbol]);
        let subject = Subject { symbols, stream, ..Subject::default() };
        self.strike(Point::Quote, &subject, &what).pop()
    }

    fn tell_wrongly(&mut self, user: &str, row: &mut Map<String, Value>, strike: &Strike) {
        match strike.fault {
            Fault::CrossedQuote => swap_sides(row),
            Fault::ZeroQuote => {
                for name in ["bid", "ask", "bidsize", "asksize", "bidsz", "asksz"] {
                    if let Some(value) = row.get_mut(name) {
                        *value = if value.is_f64() { json!(0.0) } else { json!(0) };
                    }
                }
            }
            Fault::StaleQuote => {
                for name in ["bid_date", "ask_date", "trade_date", "biddate", "askdate", "date"] {
                    if let Some(value) = row.get_mut(name) {
                        make_older(value, strike.with.age_ms);
                    }
                }
            }
            Fault::WrongInstrument | Fault::MislabelledQuote => {
                let symbol = row.get("symbol").cloned();
                let Some(other) = symbol.as_ref().and_then(Value::as_str).and_then(|it| self.neighbour(it))
                else {
                    return;
                };
                let Some(told) = self.row_of(user, &other) else { return };
                // A frame has fewer fields than a row, under other names.
                for (name, value) in row.iter_mut() {
                    let theirs = match name.as_str() {
                        "bidsz" => "bidsize",
                        "asksz" => "asksize",
                        other => other,
                    };
                    if let Some(it) = told.get(theirs) {
                        *value = it.clone();
                    }
                }
                if let Some(symbol) = symbol.filter(|_| strike.fault == Fault::MislabelledQuote) {
                    row.insert("symbol".to_owned(), symbol);
                }
            }
            Fault::RequestLost
            | Fault::AnswerLost
            | Fault::SlowAcceptance
            | Fault::SlowAnswer
            | Fault::ErrorWithoutEffect
            | Fault::ErrorAfterEffect
            | Fault::TooManyRequests
            | Fault::TokenRefused
            | Fault::Refused
            | Fault::RefusedAfterEffect
            | Fault::HalfAnswer
            | Fault::LateVisibility
            | Fault::RejectAfterAcceptance
            | Fault::FillBeforeAcknowledgement
            | Fault::PartialLegs
            | Fault::LatePrice
            | Fault::FillBeatsCancel
            | Fault::EventDropped
            | Fault::EventTwice
            | Fault::EventLate
            | Fault::QuoteDropped => {}
        }
    }

    /// The next quoted series, or the first after the last; of an underlying, any.
    fn neighbour(&self, symbol: &str) -> Option<String> {
        let quoted = || self.book.all_series().filter(|it| it.1.quote.is_some()).map(|it| it.0);
        let series = symbol.parse::<OccSymbol>().ok();
        let after = series.and_then(|it| quoted().find(|other| **other > it));
        let found = after.or_else(|| quoted().find(|other| Some(**other) != series))?;
        Some(found.to_string())
    }

    /// Another symbol's row, as an answer shows it.
    fn row_of(&mut self, user: &str, symbol: &str) -> Option<Map<String, Value>> {
        let pairs = [("symbols".to_owned(), symbol.to_owned())];
        let answer = self.route(user, Method::Get, &["markets", "quotes"], &Params::over(&pairs)).ok()?;
        let body: Value = serde_json::from_slice(&answer.into_reply(None).body).ok()?;
        body.get("quotes")?.get("quote")?.as_object().cloned()
    }
}

/// Bid above ask; equal ones are set a nickel apart.
fn swap_sides(row: &mut Map<String, Value>) {
    for (one, other) in [("bid", "ask"), ("bidsize", "asksize"), ("bidsz", "asksz")] {
        if let (Some(bid), Some(ask)) = (row.get(one).cloned(), row.get(other).cloned()) {
            let ask = match (one, bid.as_f64(), ask.as_f64()) {
                ("bid", Some(bid), Some(ask)) if ask <= bid => json!(bid + 0.05),
                _ => ask,
            };
            row.insert(one.to_owned(), ask);
            row.insert(other.to_owned(), bid);
        }
    }
}

/// Milliseconds since the epoch, as a number or as a text; 0 says that there was none.
fn make_older(value: &mut Value, age_ms: u64) {
    let age = Duration::from_millis(age_ms).as_millis();
    let older = |it: i64| i64::try_from(age).ok().and_then(|age| it.checked_sub(age)).filter(|_| it > 0);
    if let Some(it) = value.as_i64().and_then(older) {
        *value = json!(it);
    } else if let Some(it) = value.as_str().and_then(|it| it.parse().ok()).and_then(older) {
        *value = json!(it.to_string());
    }
}
