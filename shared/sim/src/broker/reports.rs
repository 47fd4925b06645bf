//! Gain and loss and account history (TRADIER.md section 12). Both are filled nightly: what happens on a date shows from
//! the next one on. Neither knows order ids or times.

use domain::money::Usd;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::account::Closed;
use super::answer::Answer;
use super::instrument::Instrument;
use super::params::{Invalid, Params};
use super::shape::{Listed, Under, description};
use super::transcript::FilledLeg;

/// Rows kept of each report; the oldest leave first.
const ROWS_MAX: usize = 20_000;

/// What an account's reports are made of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reports {
    closed: Vec<ClosedRow>,
    events: Vec<Event>,
}

/// A position, or a part of one, that was closed on a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ClosedRow {
    instrument: Instrument,
    opened: Date,
    closed: Date,
    quantity: i64,
    cost: Usd,
    proceeds: Usd,
}

/// Something that moved money or positions on a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    date: Date,
    amount: Usd,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// Executions of one leg: value paid and commission.
    Trade { leg: u64, instrument: Instrument, quantity: i64, value: Usd, commission: Usd },
    /// Exchange and regulatory fees of a date.
    Fee,
    /// The end of an option position.
    Option { series: OccSymbol, quantity: i64, ending: Ending },
    /// Shares that came or went by it.
    Delivery { instrument: Instrument, quantity: i64, price: Usd },
}

/// How an option position ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// Worthless.
    Expiration,
    /// In the money, and long.
    Exercise,
    /// In the money, and short.
    Assignment,
}

impl Ending {
    /// How a position of `quantity` ended that was in the money or not.
    pub(super) const fn of(quantity: i64, in_the_money: bool) -> Self {
        match (in_the_money, quantity > 0) {
            (false, _) => Self::Expiration,
            (true, true) => Self::Exercise,
            (true, false) => Self::Assignment,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Expiration => "expiration",
            Self::Exercise => "exercise",
            Self::Assignment => "assignment",
        }
    }
}

/// An option position that expired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expired {
    pub(super) series: OccSymbol,
    pub(super) quantity: i64,
    pub(super) cash: Usd,
    pub(super) ending: Ending,
    pub(super) at: UtcNanos,
}

impl Reports {
    /// A position, or a part of one, was closed. Parts of one position closed on one date are one row.
    pub(super) fn closed(&mut self, instrument: Instrument, at: UtcNanos, it: &Closed) {
        let row = ClosedRow {
            instrument,
            opened: it.opened.new_york_date(),
            closed: at.new_york_date(),
            quantity: it.quantity,
            cost: it.cost,
            proceeds: it.proceeds,
        };
        let today = self.closed.iter_mut().rev().take_while(|it| it.closed == row.closed);
        let mut same = today.filter(|it| it.key() == row.key());
        match same.next() {
            Some(before) => {
                before.quantity = before.quantity.saturating_add(row.quantity);
                before.cost += row.cost;
                before.proceeds += row.proceeds;
            }
            None => keep(&mut self.closed, row),
        }
    }

    /// A leg executed. Executions of one leg on one date are one row, fees of a date another.
    pub(super) fn traded(&mut self, id: u64, leg: &FilledLeg, commission: Usd, at: UtcNanos) {
        let (date, sign) = (at.new_york_date(), leg.side.side().sign());
        let paid = leg.instrument.notional(leg.price, leg.quantity).times(sign);
        let moved = i64::from(leg.quantity).saturating_mul(sign);
        let mut today = self.events.iter_mut().rev().take_while(|it| it.date == date);
        let before = today.find(|it| matches!(it.what, What::Trade { leg, .. } if leg == id));
        match before {
            Some(Event { amount, what: What::Trade { quantity, value, commission: sum, .. }, .. }) => {
                *quantity = quantity.saturating_add(moved);
                *value += paid;
                *sum += commission;
                *amount -= paid + commission;
            }
            _ => {
                let instrument = leg.instrument;
                let what = What::Trade { leg: id, instrument, quantity: moved, value: paid, commission };
                keep(&mut self.events, Event { date, amount: -(paid + commission), what });
            }
        }
        let fees = leg.fee - commission;
        if fees != Usd::ZERO {
            let mut today = self.events.iter_mut().rev().take_while(|it| it.date == date);
            match today.find(|it| it.what == What::Fee) {
                Some(row) => row.amount -= fees,
                None => keep(&mut self.events, Event { date, amount: -fees, what: What::Fee }),
            }
        }
    }

    /// An option position expired.
    pub(super) fn expired(&mut self, it: &Expired) {
        let what = What::Option { series: it.series, quantity: it.quantity, ending: it.ending };
        keep(&mut self.events, Event { date: it.at.new_york_date(), amount: it.cash, what });
    }

    /// Shares came or went by exercise or assignment.
    pub(super) fn delivered(
        &mut self,
        instrument: Instrument,
        quantity: i64,
        price: Usd,
        cash: Usd,
        at: UtcNanos,
    ) {
        let what = What::Delivery { instrument, quantity, price };
        keep(&mut self.events, Event { date: at.new_york_date(), amount: cash, what });
    }

    /// Everything that moved cash, summed.
    #[cfg(test)]
    pub(super) fn moved(&self) -> Usd {
        self.events.iter().map(|it| it.amount).sum()
    }

    /// Gain of everything that was closed.
    #[cfg(test)]
    pub(super) fn gained(&self) -> Usd {
        self.closed.iter().map(|it| it.proceeds - it.cost).sum()
    }
}

fn keep<T>(rows: &mut Vec<T>, row: T) {
    if rows.len() >= ROWS_MAX {
        rows.drain(..ROWS_MAX / 10);
    }
    rows.push(row);
}

impl ClosedRow {
    fn key(&self) -> (Instrument, Date, Date, bool) {
        (self.instrument, self.opened, self.closed, self.quantity > 0)
    }
}

fn midnight(date: Date) -> String {
    format!("{date}T00:00:00.000Z")
}

#[derive(Serialize)]
struct GainRow {
    close_date: String,
    cost: f64,
    gain_loss: f64,
    gain_loss_percent: f64,
    open_date: String,
    proceeds: f64,
    quantity: f64,
    symbol: String,
    term: i64,
}

impl GainRow {
    fn of(it: &ClosedRow) -> Self {
        let gain = it.proceeds - it.cost;
        // Two decimals of a per cent: the gain in 1/10,000 of the cost.
        let percent = Usd::from_e4(gain.e4()).scaled(10_000, it.cost.e4());
        let term = (it.closed - it.opened).get_days();
        Self {
            close_date: midnight(it.closed),
            cost: it.cost.to_f64(),
            gain_loss: gain.to_f64(),
            gain_loss_percent: percent.e4() as f64 / 100.0,
            open_date: midnight(it.opened),
            proceeds: it.proceeds.to_f64(),
            quantity: it.quantity as f64,
            symbol: it.instrument.to_string(),
            term: i64::from(term),
        }
    }
}

struct EventRow<'a>(&'a Event);

#[derive(Serialize)]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    commission: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    option_type: Option<&'static str>,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    quantity: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trade_type: Option<&'static str>,
}

impl Event {
    fn kind(&self) -> &'static str {
        match self.what {
            What::Trade { .. } | What::Delivery { .. } => "trade",
            What::Fee => "fee",
            What::Option { .. } => "option",
        }
    }

    fn instrument(&self) -> Option<Instrument> {
        match &self.what {
            What::Trade { instrument, .. } | What::Delivery { instrument, .. } => Some(*instrument),
            What::Option { series, .. } => Some(Instrument::Option(*series)),
            What::Fee => None,
        }
    }

    fn part(&self) -> Part {
        let named = |instrument: &Instrument| match instrument {
            Instrument::Option(series) => description(series),
            Instrument::Share(share) => share.to_string(),
        };
        let trade = |instrument: &Instrument, price: f64, quantity: i64, commission: Usd| Part {
            commission: Some(commission.to_f64()),
            option_type: None,
            description: named(instrument),
            price: Some(price),
            quantity: quantity as f64,
            symbol: Some(instrument.to_string()),
            trade_type: Some(if instrument.is_share() { "Equity" } else { "Option" }),
        };
        match &self.what {
            What::Trade { instrument, quantity, value, commission, .. } => {
                let each = value.scaled(1, quantity.saturating_mul(instrument.multiplier()));
                trade(instrument, each.to_f64(), *quantity, *commission)
            }
            What::Delivery { instrument, quantity, price } => {
                trade(instrument, price.to_f64(), *quantity, Usd::ZERO)
            }
            What::Fee => Part {
                commission: None,
                option_type: None,
                description: "Exchange and regulatory fees".to_owned(),
                price: None,
                quantity: 0.0,
                symbol: None,
                trade_type: None,
            },
            What::Option { series, quantity, ending } => Part {
                commission: None,
                option_type: Some(ending.as_str()),
                description: description(series),
                price: None,
                quantity: *quantity as f64,
                symbol: None,
                trade_type: None,
            },
        }
    }
}

impl Serialize for EventRow<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(4))?;
        map.serialize_entry("amount", &self.0.amount.to_f64())?;
        map.serialize_entry("date", &midnight(self.0.date))?;
        map.serialize_entry("type", self.0.kind())?;
        map.serialize_entry(self.0.kind(), &self.0.part())?;
        map.end()
    }
}

/// The types an event may be asked for by.
const TYPES: [&str; 12] = [
    "trade",
    "option",
    "ach",
    "wire",
    "dividend",
    "fee",
    "tax",
    "journal",
    "check",
    "transfer",
    "adjustment",
    "interest",
];

/// What both reports are asked for.
struct Asked<'a> {
    start: Option<Date>,
    end: Option<Date>,
    symbol: Option<&'a str>,
    skip: usize,
    take: usize,
}

impl<'a> Asked<'a> {
    fn parse(params: &Params<'a>, rows: usize) -> Result<Self, Invalid> {
        let date = |name: &str| params.get(name).map(|it| day(name, it)).transpose();
        let (page, take) = (params.count("page", 1, 1_000_000)?, params.count("limit", rows, 10_000)?);
        let skip = page.saturating_sub(1).saturating_mul(take);
        Ok(Self { start: date("start")?, end: date("end")?, symbol: params.get("symbol"), skip, take })
    }

    fn holds(&self, date: Date) -> bool {
        self.start.is_none_or(|it| it <= date) && self.end.is_none_or(|it| date <= it)
    }
}

fn day(name: &str, text: &str) -> Result<Date, Invalid> {
    // Some clients send a time behind the date.
    let text = text.get(..10).unwrap_or(text);
    text.parse().map_err(|_| Invalid::new(name, "must be a date such as 2026-11-20."))
}

fn word<'a>(params: &Params<'a>, name: &str, default: &'a str, known: &[&str]) -> Result<&'a str, Invalid> {
    let text = params.get(name).unwrap_or(default);
    if known.contains(&text) { Ok(text) } else { Err(Invalid::new(name, "is not valid.")) }
}

impl Sandbox {
    /// Whether the night after `date` is over.
    fn reported(&self, date: Date) -> bool {
        !self.rules.practice.nightly || date < self.now.new_york_date()
    }

    pub(super) fn gain_loss(&self, account: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let asked = Asked::parse(params, 100)?;
        let by_open = word(params, "sortBy", "closeDate", &["openDate", "closeDate"])? == "openDate";
        let rising = word(params, "sort", "desc", &["asc", "desc"])? == "asc";
        let rows = self.accounts.get(account).map_or(&[][..], |it| &it.reports.closed);
        let shown = |it: &&ClosedRow| {
            let symbol = asked.symbol.is_none_or(|wanted| it.instrument.to_string() == wanted);
            symbol && asked.holds(it.closed) && self.reported(it.closed)
        };
        let mut rows: Vec<&ClosedRow> = rows.iter().filter(shown).collect();
        rows.sort_by_key(|it| if by_open { it.opened } else { it.closed });
        if !rising {
            rows.reverse();
        }
        let page = rows.into_iter().skip(asked.skip).take(asked.take).map(GainRow::of);
        Ok(Answer::json(&Under("gainloss", Listed::new("closed_position", page.collect()))))
    }

    pub(super) fn account_history(&self, account: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let asked = Asked::parse(params, 25)?;
        let types: Vec<&str> =
            params.get("type").map_or_else(Vec::new, |it| it.split(',').map(str::trim).collect());
        if types.iter().any(|it| !TYPES.contains(it)) {
            return Err(Invalid::new("type", "is not valid."));
        }
        let exact = params.flag("exactMatch")?;
        let rows = self.accounts.get(account).map_or(&[][..], |it| &it.reports.events);
        let named = |it: &Event, wanted: &str| {
            it.instrument()
                .is_some_and(|it| it.to_string() == wanted || (!exact && it.underlying().as_str() == wanted))
        };
        let shown = |it: &&Event| {
            (types.is_empty() || types.contains(&it.kind()))
                && asked.symbol.is_none_or(|wanted| named(it, wanted))
                && asked.holds(it.date)
                && self.reported(it.date)
        };
        // The newest first.
        let rows = rows.iter().rev().filter(shown).skip(asked.skip).take(asked.take);
        Ok(Answer::json(&Under("history", Listed::new("event", rows.map(EventRow).collect()))))
    }
}
