//! How answers look on the wire (TRADIER.md sections 3 and 21).

use domain::money::{Price, Usd};
use domain::symbol::{OccSymbol, Right};
use domain::time::{NANOS_PER_MILLI, UtcNanos};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::config::Practice;
use super::instrument::Instrument;
use super::order::{Leg, Order, OrderClass, OrderType, Status};

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, always three decimals.
pub(crate) fn stamp(at: UtcNanos) -> String {
    let text = at.floor_to(NANOS_PER_MILLI).to_string();
    format!("{}Z", text.get(..23).unwrap_or(&text))
}

/// A list under its name: `"null"` when empty, the element itself when there is one.
pub(crate) struct Listed<T> {
    key: &'static str,
    items: Vec<T>,
}

impl<T> Listed<T> {
    pub(crate) const fn new(key: &'static str, items: Vec<T>) -> Self {
        Self { key, items }
    }
}

impl<T: Serialize> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.items.is_empty() {
            return to.serialize_str("null");
        }
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(self.key, &Collapsed(&self.items))?;
        map.end()
    }
}

/// One element as itself, several as an array.
pub(crate) struct Collapsed<'a, T>(pub(crate) &'a [T]);

impl<T: Serialize> Serialize for Collapsed<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [only] => only.serialize(to),
            several => several.serialize(to),
        }
    }
}

/// An object with one key.
pub(crate) struct Under<T>(pub(crate) &'static str, pub(crate) T);

impl<T: Serialize> Serialize for Under<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &self.1)?;
        map.end()
    }
}

/// Dollars as balances print them: a bare `0`, else a float.
pub(crate) struct Amount(pub(crate) Usd);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0 == Usd::ZERO { to.serialize_u8(0) } else { to.serialize_f64(self.0.to_f64()) }
    }
}

/// An order row.
#[derive(Serialize)]
pub(crate) struct OrderRow<'a> {
    id: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    symbol: &'a str,
    side: &'static str,
    quantity: f64,
    status: &'static str,
    duration: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_price: Option<f64>,
    avg_fill_price: Option<f64>,
    exec_quantity: f64,
    last_fill_price: f64,
    last_fill_quantity: f64,
    remaining_quantity: f64,
    create_date: String,
    transaction_date: String,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    option_symbol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_legs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<Vec<OrderRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
}

/// How an order shows: with its tag or without, whether its executions show yet, and what the broker makes of what
/// sources do not agree on.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) tags: bool,
    pub(crate) executions: bool,
    pub(crate) practice: &'a Practice,
}

/// The word for where an order stands.
pub(crate) const fn status_word(order: &Order, practice: &Practice) -> &'static str {
    match order.status {
        Status::Held if practice.held => "held",
        Status::Held => "pending",
        Status::Pending | Status::Open | Status::PartiallyFilled
            if order.canceling && practice.pending_cancel =>
        {
            "pending_cancel"
        }
        Status::Pending
        | Status::Open
        | Status::PartiallyFilled
        | Status::Filled
        | Status::Canceled
        | Status::Expired
        | Status::Rejected => order.status.as_str(),
    }
}

impl<'a> OrderRow<'a> {
    pub(crate) fn of(order: &'a Order, symbol: &'a str, view: View<'_>) -> Self {
        let tag = order.tag.as_deref().filter(|_| view.tags);
        if let (true, Some(leg)) = (order.class.single(), order.legs.first()) {
            return Self {
                reason_description: order.reason.as_deref(),
                tag,
                ..Self::leg(order, leg, symbol, view)
            };
        }
        let sum = |of: fn(&Leg) -> u32| order.legs.iter().map(|leg| f64::from(of(leg))).sum::<f64>();
        let shown = |value: f64| if view.executions { value } else { 0.0 };
        Self {
            id: order.id,
            kind: order.kind.as_str(),
            symbol,
            side: "buy",
            quantity: sum(|leg| leg.quantity),
            status: status_word(order, view.practice),
            duration: order.lifetime.as_str(),
            price: order.price.map(Price::to_f64),
            stop_price: None,
            avg_fill_price: average(order, order.average(), view),
            exec_quantity: shown(sum(|leg| leg.executed)),
            last_fill_price: 0.0,
            last_fill_quantity: shown(f64::from(order.legs.last().map_or(0, |leg| leg.last_quantity))),
            remaining_quantity: remaining(order.status, sum(Leg::remaining)),
            create_date: stamp(order.created),
            transaction_date: stamp(order.changed),
            class: order.class.as_str(),
            option_symbol: None,
            num_legs: Some(order.legs.len()),
            strategy: Some(strategy(order.legs.iter().map(|leg| leg.instrument))),
            leg: Some(order.legs.iter().map(|leg| Self::leg(order, leg, symbol, view)).collect()),
            reason_description: order.reason.as_deref(),
            tag,
        }
    }

    fn leg(order: &'a Order, leg: &Leg, symbol: &'a str, view: View<'_>) -> Self {
        let shown = |value: f64| if view.executions { value } else { 0.0 };
        let class = if leg.instrument.is_share() { OrderClass::Equity } else { OrderClass::Option };
        Self {
            id: leg.id,
            kind: order.kind.as_str(),
            symbol,
            side: leg.side.as_str(),
            quantity: f64::from(leg.quantity),
            status: status_word(order, view.practice),
            duration: order.lifetime.as_str(),
            price: order.price.map(Price::to_f64),
            stop_price: order.stop.map(Price::to_f64),
            avg_fill_price: average(order, leg.average(), view),
            exec_quantity: shown(f64::from(leg.executed)),
            last_fill_price: shown(leg.last_price.to_f64()),
            last_fill_quantity: shown(f64::from(leg.last_quantity)),
            remaining_quantity: remaining(order.status, f64::from(leg.remaining())),
            create_date: stamp(order.created),
            transaction_date: stamp(order.changed),
            class: class.as_str(),
            option_symbol: leg.instrument.series().map(OccSymbol::to_string),
            num_legs: None,
            strategy: None,
            leg: None,
            reason_description: None,
            tag: None,
        }
    }
}

/// An average, unless it does not show yet or, of market orders, never does.
fn average(order: &Order, value: Usd, view: View<'_>) -> Option<f64> {
    let missing = view.practice.averages_missing && order.kind == OrderType::Market && value != Usd::ZERO;
    if missing { None } else { Some(if view.executions { value.to_f64() } else { 0.0 }) }
}

/// A bracket: what it has no value for is left out.
#[derive(Serialize)]
pub(crate) struct BracketRow<'a> {
    id: u64,
    status: &'static str,
    duration: &'static str,
    create_date: String,
    transaction_date: String,
    class: &'static str,
    num_legs: usize,
    leg: Vec<OrderRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
}

impl<'a> BracketRow<'a> {
    pub(crate) fn of(order: &'a Order, leg: Vec<OrderRow<'a>>, view: View<'_>) -> Self {
        Self {
            id: order.id,
            status: status_word(order, view.practice),
            duration: order.lifetime.as_str(),
            create_date: stamp(order.created),
            transaction_date: stamp(order.changed),
            class: order.class.as_str(),
            num_legs: leg.len(),
            leg,
            reason_description: order.reason.as_deref(),
            tag: order.tag.as_deref().filter(|_| view.tags && view.practice.bracket_tags),
        }
    }
}

/// A row of the list of orders.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Row<'a> {
    /// An order.
    Order(Box<OrderRow<'a>>),
    /// A bracket.
    Bracket(BracketRow<'a>),
    /// A row that was written before.
    Written(&'a RawValue),
}

/// 0 when filled and when canceled; a rejected order keeps what it asked for.
fn remaining(status: Status, left: f64) -> f64 {
    match status {
        Status::Filled | Status::Canceled | Status::Expired => 0.0,
        Status::Held | Status::Pending | Status::Open | Status::PartiallyFilled | Status::Rejected => left,
    }
}

/// Tradier's name for a structure; butterflies and condors only when sent in strike order.
pub(crate) fn strategy(legs: impl Iterator<Item = Instrument>) -> &'static str {
    let legs: Vec<Instrument> = legs.collect();
    let options: Vec<&OccSymbol> = legs.iter().filter_map(Instrument::series).collect();
    if options.len() < legs.len() {
        return match options.as_slice() {
            [one] if one.right == Right::Call => "covered_call",
            [_] => "protective_put",
            [a, b] if a.right != b.right => "collar",
            _ => "unknown",
        };
    }
    let pairs = |of: fn(&OccSymbol, &OccSymbol) -> bool| {
        options.windows(2).all(|it| matches!(it, [a, b] if of(a, b)))
    };
    let same_right = pairs(|a, b| a.right == b.right);
    let rising = pairs(|a, b| a.strike < b.strike);
    match (options.len(), same_right) {
        (2, true) => "spread",
        (2, false) if pairs(|a, b| a.strike == b.strike) => "straddle",
        (2, false) => "strangle",
        (3, true) if rising => "butterfly",
        (4, _) if rising => "condor",
        _ => "unknown",
    }
}

/// An order event of the account stream: no symbol, no side, `executed_quantity`.
#[derive(Serialize)]
pub(crate) struct OrderNotice<'a> {
    id: u64,
    event: &'static str,
    status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    price: f64,
    stop_price: f64,
    avg_fill_price: f64,
    executed_quantity: f64,
    last_fill_quantity: f64,
    remaining_quantity: f64,
    transaction_date: String,
    create_date: String,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<u64>,
}

impl<'a> OrderNotice<'a> {
    pub(crate) fn of(order: &'a Order, practice: &Practice) -> Self {
        let sum = |of: fn(&Leg) -> u32| order.legs.iter().map(|leg| f64::from(of(leg))).sum::<f64>();
        Self {
            id: order.id,
            event: "order",
            status: status_word(order, practice),
            kind: order.kind.as_str(),
            price: order.price.map_or(0.0, Price::to_f64),
            stop_price: order.stop.map_or(0.0, Price::to_f64),
            avg_fill_price: order.average().to_f64(),
            executed_quantity: sum(|leg| leg.executed),
            last_fill_quantity: order.legs.last().map_or(0.0, |leg| f64::from(leg.last_quantity)),
            remaining_quantity: remaining(order.status, sum(Leg::remaining)),
            transaction_date: stamp(order.changed),
            create_date: stamp(order.created),
            account: &order.account,
            parent_id: order.parent,
        }
    }

    /// An event of one leg of several.
    pub(crate) fn of_leg(order: &'a Order, leg: &Leg, practice: &Practice) -> Self {
        Self {
            id: leg.id,
            avg_fill_price: leg.average().to_f64(),
            executed_quantity: f64::from(leg.executed),
            last_fill_quantity: f64::from(leg.last_quantity),
            remaining_quantity: remaining(order.status, f64::from(leg.remaining())),
            parent_id: Some(order.id),
            ..Self::of(order, practice)
        }
    }
}

/// A position row.
#[derive(Serialize)]
pub(crate) struct PositionRow {
    pub(crate) cost_basis: f64,
    pub(crate) date_acquired: String,
    pub(crate) id: u64,
    pub(crate) quantity: f64,
    pub(crate) symbol: String,
}

/// The answer to a placement, a change or a cancel.
#[derive(Serialize)]
pub(crate) struct Ok {
    pub(crate) id: u64,
    pub(crate) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partner_id: Option<String>,
}

/// An uuid made of `parts`: the same for the same parts.
pub(crate) fn uuid(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hex = hasher.finalize().to_hex();
    let cut = |from: usize, to: usize| hex.get(from..to).unwrap_or("").to_owned();
    format!("{}-{}-4{}-8{}-{}", cut(0, 8), cut(8, 12), cut(12, 15), cut(15, 18), cut(18, 30))
}

/// `SPXW Nov 20 2026 $5610.00 Call`.
pub(crate) fn description(series: &OccSymbol) -> String {
    let right = match series.right {
        Right::Call => "Call",
        Right::Put => "Put",
    };
    format!("{} {} ${:.2} {right}", series.root, series.expiry.strftime("%b %d %Y"), series.strike.points())
}

/// Whether `kind` suits a class.
pub(crate) const fn suits(kind: OrderType, class: OrderClass) -> bool {
    match class {
        OrderClass::Option | OrderClass::Equity => !kind.net(),
        OrderClass::Multileg | OrderClass::Combo => kind.net() || matches!(kind, OrderType::Market),
        OrderClass::Oto | OrderClass::Oco | OrderClass::Otoco => false,
    }
}
