//! How answers look on the wire (TRADIER.md sections 3 and 21).

use domain::money::{Price, Usd};
use domain::symbol::{OccSymbol, Right};
use domain::time::{NANOS_PER_MILLI, UtcNanos};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

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
    avg_fill_price: f64,
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

/// How an order shows: with its tag or without, and whether its executions show yet.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) tags: bool,
    pub(crate) executions: bool,
}

impl<'a> OrderRow<'a> {
    pub(crate) fn of(order: &'a Order, symbol: &'a str, view: View) -> Self {
        let legs = || order.legs.iter().map(|leg| Self::leg(order, leg, symbol, view)).collect();
        let tag = order.tag.as_deref().filter(|_| view.tags);
        match (order.class, order.legs.first()) {
            (OrderClass::Option, Some(leg)) => Self {
                reason_description: order.reason.as_deref(),
                tag,
                ..Self::leg(order, leg, symbol, view)
            },
            _ => {
                let sum = |of: fn(&Leg) -> u32| order.legs.iter().map(|leg| f64::from(of(leg))).sum::<f64>();
                let executed = if view.executions { sum(|leg| leg.executed) } else { 0.0 };
                let last = order.legs.last().map_or(0, |leg| leg.last_quantity);
                Self {
                    id: order.id,
                    kind: order.kind.as_str(),
                    symbol,
                    side: "buy",
                    quantity: sum(|leg| leg.quantity),
                    status: order.status.as_str(),
                    duration: order.lifetime.as_str(),
                    price: order.price.map(Price::to_f64),
                    stop_price: None,
                    avg_fill_price: if view.executions { order.average().to_f64() } else { 0.0 },
                    exec_quantity: executed,
                    last_fill_price: 0.0,
                    last_fill_quantity: if view.executions { f64::from(last) } else { 0.0 },
                    remaining_quantity: remaining(order.status, sum(Leg::remaining)),
                    create_date: stamp(order.created),
                    transaction_date: stamp(order.changed),
                    class: order.class.as_str(),
                    option_symbol: None,
                    num_legs: Some(order.legs.len()),
                    strategy: Some(strategy(order)),
                    leg: Some(legs()),
                    reason_description: order.reason.as_deref(),
                    tag,
                }
            }
        }
    }

    fn leg(order: &'a Order, leg: &Leg, symbol: &'a str, view: View) -> Self {
        let shown = |value: f64| if view.executions { value } else { 0.0 };
        Self {
            id: leg.id,
            kind: order.kind.as_str(),
            symbol,
            side: leg.side.as_str(),
            quantity: f64::from(leg.quantity),
            status: order.status.as_str(),
            duration: order.lifetime.as_str(),
            price: order.price.map(Price::to_f64),
            stop_price: order.stop.map(Price::to_f64),
            avg_fill_price: shown(leg.average().to_f64()),
            exec_quantity: shown(f64::from(leg.executed)),
            last_fill_price: shown(leg.last_price.to_f64()),
            last_fill_quantity: shown(f64::from(leg.last_quantity)),
            remaining_quantity: remaining(order.status, f64::from(leg.remaining())),
            create_date: stamp(order.created),
            transaction_date: stamp(order.changed),
            class: OrderClass::Option.as_str(),
            option_symbol: Some(leg.series.to_string()),
            num_legs: None,
            strategy: None,
            leg: None,
            reason_description: None,
            tag: None,
        }
    }
}

/// 0 when filled and when canceled; a rejected order keeps what it asked for.
fn remaining(status: Status, left: f64) -> f64 {
    match status {
        Status::Filled | Status::Canceled | Status::Expired => 0.0,
        Status::Pending | Status::Open | Status::PartiallyFilled | Status::Rejected => left,
    }
}

/// Tradier's name for a structure; butterflies and condors only when sent in strike order.
fn strategy(order: &Order) -> &'static str {
    let same_right = order.legs.windows(2).all(|it| match it {
        [a, b] => a.series.right == b.series.right,
        _ => true,
    });
    let rising = order.legs.windows(2).all(|it| match it {
        [a, b] => a.series.strike < b.series.strike,
        _ => true,
    });
    match (order.legs.len(), same_right) {
        (2, true) => "spread",
        (2, false)
            if order.legs.first().map(|it| it.series.strike)
                == order.legs.last().map(|it| it.series.strike) =>
        {
            "straddle"
        }
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
}

impl<'a> OrderNotice<'a> {
    pub(crate) fn of(order: &'a Order) -> Self {
        let sum = |of: fn(&Leg) -> u32| order.legs.iter().map(|leg| f64::from(of(leg))).sum::<f64>();
        Self {
            id: order.id,
            event: "order",
            status: order.status.as_str(),
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
        OrderClass::Option => !kind.net(),
        OrderClass::Multileg => kind.net() || matches!(kind, OrderType::Market),
    }
}
