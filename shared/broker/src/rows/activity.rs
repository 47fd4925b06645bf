//! What the account did on earlier days (TRADIER.md section 12). Filled overnight, without order ids and times:
//! neither list can say whether an order of today landed.

use domain::money::Usd;
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

/// One line of an account's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEvent {
    /// The day.
    pub date: Date,
    /// `trade`, `option`, `fee`, `journal` and others, in the broker's words.
    pub kind: String,
    /// What it did to the cash.
    pub amount: Usd,
    /// What was traded, in the broker's spelling.
    pub symbol: Option<String>,
    /// How much, negative for sells.
    pub quantity: Option<Usd>,
    /// At what price.
    pub price: Option<Usd>,
    /// The commission in it.
    pub commission: Option<Usd>,
    /// The broker's words.
    pub description: Option<String>,
    /// `expiration`, `assignment` and others on option events; `option`, `equity` on trades.
    pub detail: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct EventRow<'a> {
    amount: Raw<'a>,
    date: Raw<'a>,
    #[serde(rename = "type")]
    kind: Raw<'a>,
    symbol: Raw<'a>,
    quantity: Raw<'a>,
    price: Raw<'a>,
    commission: Raw<'a>,
    description: Raw<'a>,
    trade_type: Raw<'a>,
    option_type: Raw<'a>,
}

/// One page of an account's history. The newer servers write all fields into the event, the older ones into a block
/// named like its type.
///
/// # Errors
/// [`Unreadable`] where the list, or an event's day, type or amount, cannot be read.
pub fn history(body: &str) -> Result<Vec<AccountEvent>, Unreadable> {
    let list = json::field(body, "history", "history")?;
    json::collection(list, "event", "history")?.into_iter().map(event).collect()
}

fn event(raw: &RawValue) -> Result<AccountEvent, Unreadable> {
    let row: EventRow<'_> = json::parse(raw.get(), "an event")?;
    let kind = json::owned(row.kind).ok_or(Unreadable("an event's type"))?;
    let fields: std::collections::BTreeMap<std::borrow::Cow<'_, str>, &RawValue> =
        json::parse(raw.get(), "an event")?;
    let block: EventRow<'_> = match fields.get(kind.as_str()) {
        Some(block) if block.get().trim_start().starts_with('{') => {
            json::parse(block.get(), "an event's block")?
        }
        _ => EventRow::default(),
    };
    Ok(AccountEvent {
        date: json::date(row.date).ok_or(Unreadable("an event's date"))?,
        kind,
        amount: json::usd(row.amount).ok_or(Unreadable("an event's amount"))?,
        symbol: json::owned(block.symbol.or(row.symbol)),
        quantity: json::usd(block.quantity.or(row.quantity)),
        price: json::usd(block.price.or(row.price)),
        commission: json::usd(block.commission.or(row.commission)),
        description: json::owned(block.description.or(row.description)),
        detail: json::owned(block.option_type.or(row.option_type).or(block.trade_type).or(row.trade_type)),
    })
}

/// A position that was opened and closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedPosition {
    /// What it was, in the broker's spelling.
    pub symbol: String,
    /// The series, where it was an option.
    pub series: Option<OccSymbol>,
    /// How much of it, negative when it was short.
    pub quantity: Usd,
    /// What opening cost.
    pub cost: Usd,
    /// What closing brought.
    pub proceeds: Usd,
    /// The difference.
    pub gain: Usd,
    /// When it was opened; the broker knows the day alone.
    pub opened_at: Option<UtcNanos>,
    /// When it was closed.
    pub closed_at: Option<UtcNanos>,
    /// Days held.
    pub term_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct ClosedRow<'a> {
    symbol: Raw<'a>,
    quantity: Raw<'a>,
    cost: Raw<'a>,
    proceeds: Raw<'a>,
    gain_loss: Raw<'a>,
    open_date: Raw<'a>,
    close_date: Raw<'a>,
    term: Raw<'a>,
}

/// One page of closed positions.
///
/// # Errors
/// [`Unreadable`] where the list, or a row's symbol or amounts, cannot be read.
pub fn gain_loss(body: &str) -> Result<Vec<ClosedPosition>, Unreadable> {
    let list = json::field(body, "gainloss", "gainloss")?;
    json::collection(list, "closed_position", "gainloss")?.into_iter().map(closed).collect()
}

fn closed(raw: &RawValue) -> Result<ClosedPosition, Unreadable> {
    let row: ClosedRow<'_> = json::parse(raw.get(), "a closed position")?;
    let amount = |raw, expected| json::usd(raw).ok_or(Unreadable(expected));
    let symbol = json::owned(row.symbol).ok_or(Unreadable("a closed position's symbol"))?;
    Ok(ClosedPosition {
        series: symbol.parse().ok(),
        symbol,
        quantity: amount(row.quantity, "a closed position's quantity")?,
        cost: amount(row.cost, "a closed position's cost")?,
        proceeds: amount(row.proceeds, "a closed position's proceeds")?,
        gain: amount(row.gain_loss, "a closed position's gain_loss")?,
        opened_at: json::instant(row.open_date),
        closed_at: json::instant(row.close_date),
        term_days: json::count(row.term),
    })
}
