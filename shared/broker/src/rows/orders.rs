//! Orders as the broker shows them (TRADIER.md section 8).

use std::borrow::Cow;

use domain::ids::{BrokerOrderId, OrderTag};
use domain::money::{Price, Side, Usd};
use domain::order::{BrokerLeg, BrokerOrder, BrokerStatus};
use domain::symbol::OccSymbol;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

#[derive(Deserialize)]
struct OrderBody<'a> {
    #[serde(borrow)]
    order: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct OrderRow<'a> {
    id: Raw<'a>,
    #[serde(rename = "type")]
    kind: Raw<'a>,
    class: Raw<'a>,
    side: Raw<'a>,
    quantity: Raw<'a>,
    status: Raw<'a>,
    duration: Raw<'a>,
    price: Raw<'a>,
    stop_price: Raw<'a>,
    avg_fill_price: Raw<'a>,
    exec_quantity: Raw<'a>,
    create_date: Raw<'a>,
    transaction_date: Raw<'a>,
    option_symbol: Raw<'a>,
    strategy: Raw<'a>,
    leg: Raw<'a>,
    tag: Raw<'a>,
    reason_description: Raw<'a>,
}

/// One page of orders.
///
/// # Errors
/// [`Unreadable`] where the list, an id, or an order of ours cannot be read.
pub fn orders(body: &str) -> Result<Vec<BrokerOrder>, Unreadable> {
    let rows: Vec<OrderRow<'_>> = json::rows(body, "orders", "order")?;
    rows.iter().map(|row| read_row(row, false)).collect()
}

/// The one order asked for, which must be readable.
///
/// # Errors
/// [`Unreadable`] where its id or a leg cannot be read.
pub fn order(body: &str) -> Result<BrokerOrder, Unreadable> {
    let outer: OrderBody<'_> = json::parse(body, "order")?;
    read_row(&json::parse(outer.order.get(), "an order")?, true)
}

/// Reads an order. Of ours, and of one that was `asked_for`, every option leg must be readable; of a foreign one in
/// a list, what cannot be read is left out.
fn read_row(row: &OrderRow<'_>, asked_for: bool) -> Result<BrokerOrder, Unreadable> {
    let tag = json::text(row.tag).and_then(|it| OrderTag::parse(&it));
    let strict = asked_for || tag.is_some();
    let status = status(json::text(row.status));
    let market = json::text(row.kind).is_some_and(|it| it == "market");
    Ok(BrokerOrder {
        id: BrokerOrderId(json::id(row.id).ok_or(Unreadable("an order's id"))?),
        tag,
        status,
        price: if market { None } else { json::price(row.price) },
        legs: legs(row, strict)?,
        created_at: json::instant(row.create_date),
        changed_at: json::instant(row.transaction_date),
        reason: json::text(row.reason_description).map(Cow::into_owned),
    })
}

/// The option legs: of a multi-leg order its `leg` rows, of a single-leg one the order itself.
fn legs(order: &OrderRow<'_>, strict: bool) -> Result<Vec<BrokerLeg>, Unreadable> {
    let mut legs = Vec::new();
    let mut add = |row: &OrderRow<'_>| match leg(row) {
        Ok(found) => {
            legs.extend(found);
            Ok(())
        }
        Err(_) if !strict => Ok(()),
        Err(error) => Err(error),
    };
    match order.leg {
        Some(raw) if !json::is_null(raw) => {
            for raw in json::elements(raw)? {
                let row: OrderRow<'_> = json::parse(raw.get(), "a leg")?;
                add(&row)?;
            }
        }
        _ => add(order)?,
    }
    let of_options = json::text(order.class).is_some_and(|it| it == "option" || it == "multileg");
    if strict && of_options && legs.is_empty() {
        return Err(Unreadable("at least one option leg"));
    }
    Ok(legs)
}

/// The option leg in a row; `None` for shares.
fn leg(row: &OrderRow<'_>) -> Result<Option<BrokerLeg>, Unreadable> {
    let Some(symbol) = json::text(row.option_symbol).filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let series: OccSymbol = symbol.parse().map_err(|_| Unreadable("an option symbol"))?;
    let (side, opens) = match json::text(row.side).as_deref() {
        Some("buy_to_open") => (Side::Buy, true),
        Some("buy_to_close") => (Side::Buy, false),
        Some("sell_to_open") => (Side::Sell, true),
        Some("sell_to_close") => (Side::Sell, false),
        _ => return Err(Unreadable("a leg's side")),
    };
    let quantity = json::count(row.quantity).ok_or(Unreadable("a whole number of contracts"))?;
    let executed = match (json::text(row.exec_quantity), status(json::text(row.status))) {
        (Some(_), _) => {
            json::count(row.exec_quantity).ok_or(Unreadable("a whole number of contracts executed"))?
        }
        // What a cancelled order executed is its verdict; without it there is none yet.
        (None, BrokerStatus::Canceled | BrokerStatus::Expired) => {
            return Err(Unreadable("the executed quantity of an order that ended"));
        }
        // Not populated yet: what is known to have executed is nothing, and it only grows.
        (
            None,
            BrokerStatus::Pending
            | BrokerStatus::Open
            | BrokerStatus::PartiallyFilled
            | BrokerStatus::PendingCancel
            | BrokerStatus::Filled
            | BrokerStatus::Rejected
            | BrokerStatus::Other,
        ) => 0,
    };
    let average = json::usd(row.avg_fill_price).filter(|it| *it > Usd::ZERO);
    Ok(Some(BrokerLeg { series, side, opens, quantity, executed, average }))
}

/// The status in our words. What is new, or missing, is not final.
fn status(word: Option<Cow<'_, str>>) -> BrokerStatus {
    match word.as_deref() {
        Some("pending") => BrokerStatus::Pending,
        Some("open") => BrokerStatus::Open,
        Some("partially_filled") => BrokerStatus::PartiallyFilled,
        Some("pending_cancel") => BrokerStatus::PendingCancel,
        Some("filled") => BrokerStatus::Filled,
        Some("canceled") => BrokerStatus::Canceled,
        Some("expired") => BrokerStatus::Expired,
        Some("rejected") => BrokerStatus::Rejected,
        _ => BrokerStatus::Other,
    }
}

/// How an order hangs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderClass {
    /// Shares.
    Equity,
    /// One option.
    Option,
    /// Several options at one net price.
    Multileg,
    /// Options and shares at one net price.
    Combo,
    /// One triggers another.
    Oto,
    /// One cancels the other.
    Oco,
    /// One triggers two of which one cancels the other.
    Otoco,
    /// A word we do not know, or none.
    Other,
}

/// What price an order takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// Any.
    Market,
    /// Its limit.
    Limit,
    /// Any, once its stop was touched.
    Stop,
    /// Its limit, once its stop was touched.
    StopLimit,
    /// A net price paid.
    Debit,
    /// A net price received.
    Credit,
    /// A net price of nothing.
    Even,
    /// A word we do not know, or none: parents of brackets have none.
    Other,
}

/// How long an order works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeInForce {
    /// Until the close.
    Day,
    /// Until cancelled.
    Gtc,
    /// Before the open.
    Pre,
    /// After the close.
    Post,
    /// A word we do not know, or none.
    Other,
}

/// An order with what only the broker's own view has: classes, stops, legs with ids of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDetail {
    /// What we decide by.
    pub order: BrokerOrder,
    /// How it hangs together.
    pub class: OrderClass,
    /// What price it takes.
    pub kind: OrderKind,
    /// How long it works.
    pub duration: TimeInForce,
    /// Where it triggers.
    pub stop: Option<Price>,
    /// The broker's name for the structure: `butterfly`, `spread`, `unknown`.
    pub strategy: Option<String>,
    /// The parent's own average: net per unit, negative where money was received, `None` until there is one. The legs
    /// are right where the two differ.
    pub parent_average: Option<Usd>,
    /// Its legs, each an order with an id; none on a single-leg order.
    pub legs: Vec<DetailLeg>,
}

/// A leg as an order of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetailLeg {
    /// Its id: legs of brackets are changed and cancelled by it.
    pub id: BrokerOrderId,
    /// Where it stands.
    pub status: BrokerStatus,
    /// What price it takes.
    pub kind: OrderKind,
    /// Its limit; of a multi-leg order the net price.
    pub price: Option<Price>,
    /// Where it triggers.
    pub stop: Option<Price>,
    /// The option in it; `None` for shares.
    pub leg: Option<BrokerLeg>,
}

impl OrderDetail {
    /// The net price per unit at which the legs executed: paid above zero, received below. `None` until every leg that
    /// executed has its average, and where nothing did.
    ///
    /// Source: TRADIER.md section 8.5, checked there over 63 fills: sum of sign x average x executed over the unit,
    /// which is the greatest common divisor of the legs' quantities.
    pub fn net_fill(&self) -> Option<Usd> {
        let unit = self.order.legs.iter().fold(0, |unit, leg| gcd(unit, leg.quantity));
        let mut net = Usd::ZERO;
        for leg in self.order.legs.iter().filter(|it| it.executed > 0) {
            net += leg.average?.times(leg.side.sign()).times(i64::from(leg.executed));
        }
        let executed = self.order.legs.iter().any(|it| it.executed > 0);
        (executed && unit > 0).then(|| net.scaled(1, i64::from(unit)))
    }

    /// Whether the parent's average is what the legs say, to half a cent; `None` where either is missing.
    pub fn parent_agrees(&self) -> Option<bool> {
        Some((self.net_fill()? - self.parent_average?).abs() <= Usd::from_e4(50))
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One order in every detail.
///
/// # Errors
/// [`Unreadable`] as [`order`].
pub fn order_detail(body: &str) -> Result<OrderDetail, Unreadable> {
    let outer: OrderBody<'_> = json::parse(body, "order")?;
    detail(&json::parse(outer.order.get(), "an order")?, true)
}

/// One page of orders in every detail.
///
/// # Errors
/// [`Unreadable`] as [`orders`].
pub fn order_details(body: &str) -> Result<Vec<OrderDetail>, Unreadable> {
    let rows: Vec<OrderRow<'_>> = json::rows(body, "orders", "order")?;
    rows.iter().map(|row| detail(row, false)).collect()
}

fn detail(row: &OrderRow<'_>, asked_for: bool) -> Result<OrderDetail, Unreadable> {
    let order = read_row(row, asked_for)?;
    let legs = row.leg.map_or_else(|| Ok(Vec::new()), json::elements)?;
    Ok(OrderDetail {
        class: class(json::text(row.class)),
        kind: kind(json::text(row.kind)),
        duration: duration(json::text(row.duration)),
        stop: json::price(row.stop_price).filter(|it| *it > Price::ZERO),
        strategy: json::owned(row.strategy),
        parent_average: json::usd(row.avg_fill_price).filter(|it| *it != Usd::ZERO),
        legs: legs.into_iter().map(|raw| detail_leg(raw, asked_for)).collect::<Result<_, _>>()?,
        order,
    })
}

fn detail_leg(raw: &RawValue, strict: bool) -> Result<DetailLeg, Unreadable> {
    let row: OrderRow<'_> = json::parse(raw.get(), "a leg")?;
    let option = match leg(&row) {
        Ok(option) => option,
        Err(error) if strict => return Err(error),
        Err(_) => None,
    };
    Ok(DetailLeg {
        id: BrokerOrderId(json::id(row.id).ok_or(Unreadable("a leg's id"))?),
        status: status(json::text(row.status)),
        kind: kind(json::text(row.kind)),
        price: json::price(row.price).filter(|it| *it > Price::ZERO),
        stop: json::price(row.stop_price).filter(|it| *it > Price::ZERO),
        leg: option,
    })
}

fn class(word: Option<Cow<'_, str>>) -> OrderClass {
    match word.as_deref() {
        Some("equity") => OrderClass::Equity,
        Some("option") => OrderClass::Option,
        Some("multileg") => OrderClass::Multileg,
        Some("combo") => OrderClass::Combo,
        Some("oto") => OrderClass::Oto,
        Some("oco") => OrderClass::Oco,
        Some("otoco") => OrderClass::Otoco,
        _ => OrderClass::Other,
    }
}

fn kind(word: Option<Cow<'_, str>>) -> OrderKind {
    match word.as_deref() {
        Some("market") => OrderKind::Market,
        Some("limit") => OrderKind::Limit,
        Some("stop") => OrderKind::Stop,
        Some("stop_limit") => OrderKind::StopLimit,
        Some("debit") => OrderKind::Debit,
        Some("credit") => OrderKind::Credit,
        Some("even") => OrderKind::Even,
        _ => OrderKind::Other,
    }
}

fn duration(word: Option<Cow<'_, str>>) -> TimeInForce {
    match word.as_deref() {
        Some("day") => TimeInForce::Day,
        Some("gtc") => TimeInForce::Gtc,
        Some("pre") => TimeInForce::Pre,
        Some("post") => TimeInForce::Post,
        _ => TimeInForce::Other,
    }
}
