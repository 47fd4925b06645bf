//! Bodies of the broker's answers, turned into our words.
//!
//! Every field is optional and of any type until somebody needs it: a row must survive new fields, new words and
//! fields that go missing, and a foreign order of a class we never trade must not hide our own.

use std::borrow::Cow;

use domain::account::{AccountType, Balances};
use domain::chain::ChainRow;
use domain::ids::{AccountNumber, BrokerOrderId, OrderTag};
use domain::market::{OptionQuote, Points};
use domain::money::{Side, Usd};
use domain::order::{BrokerLeg, BrokerOrder, BrokerStatus};
use domain::ports::MarketNow;
use domain::position::BrokerPosition;
use domain::symbol::{OccSymbol, Root};
use domain::time::UtcNanos;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

#[derive(Deserialize)]
struct BalancesBody<'a> {
    #[serde(borrow, alias = "balance")]
    balances: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct BalancesRow<'a> {
    account_number: Raw<'a>,
    account_type: Raw<'a>,
    total_equity: Raw<'a>,
    total_cash: Raw<'a>,
    close_pl: Raw<'a>,
    open_pl: Raw<'a>,
    pending_orders_count: Raw<'a>,
    margin: Raw<'a>,
    pdt: Raw<'a>,
    cash: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(bound(deserialize = "'de: 'a"))]
struct PowerRow<'a> {
    option_buying_power: Raw<'a>,
    day_trade_buying_power: Raw<'a>,
    cash_available: Raw<'a>,
    unsettled_funds: Raw<'a>,
}

/// Balances of `account`, with the buying power of the block named like its type.
pub(crate) fn balances(body: &str, account: &AccountNumber) -> Result<Balances, Unreadable> {
    let outer: BalancesBody<'_> = json::parse(body, "balances")?;
    let row: BalancesRow<'_> = json::parse(outer.balances.get(), "balances")?;
    if json::text(row.account_number).is_some_and(|it| it != account.as_str()) {
        return Err(Unreadable("balances of the account asked about"));
    }
    let account_type = json::text(row.account_type)
        .and_then(|it| AccountType::parse(&it))
        .ok_or(Unreadable("account_type margin, pdt or cash"))?;
    let block = match account_type {
        AccountType::Margin => row.margin,
        AccountType::Pdt => row.pdt,
        AccountType::Cash => row.cash,
    };
    let power: PowerRow<'_> = match block {
        Some(block) if !json::is_null(block) => {
            json::parse(block.get(), "a block named like the account type")?
        }
        _ => PowerRow::default(),
    };
    let amount = |raw, expected| json::usd(raw).ok_or(Unreadable(expected));
    Ok(Balances {
        account_type,
        total_equity: amount(row.total_equity, "total_equity")?,
        total_cash: amount(row.total_cash, "total_cash")?,
        option_buying_power: json::usd(power.option_buying_power),
        day_trade_buying_power: json::usd(power.day_trade_buying_power),
        cash_available: json::usd(power.cash_available),
        unsettled_funds: json::usd(power.unsettled_funds),
        close_pl: amount(row.close_pl, "close_pl")?,
        open_pl: amount(row.open_pl, "open_pl")?,
        pending_orders: json::count(row.pending_orders_count).ok_or(Unreadable("pending_orders_count"))?,
    })
}

#[derive(Deserialize)]
struct PositionsBody<'a> {
    #[serde(borrow)]
    positions: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct PositionRow<'a> {
    symbol: Raw<'a>,
    quantity: Raw<'a>,
    cost_basis: Raw<'a>,
}

/// The option positions. Shares and adjusted contracts are left out; an option row that cannot be read is an error,
/// because a position that is not seen is a position that is not closed.
pub(crate) fn positions(body: &str) -> Result<Vec<BrokerPosition>, Unreadable> {
    let outer: PositionsBody<'_> = json::parse(body, "positions")?;
    let mut found = Vec::new();
    for raw in json::collection(outer.positions, "position", "positions")? {
        let row: PositionRow<'_> = json::parse(raw.get(), "a position")?;
        let symbol = json::text(row.symbol).ok_or(Unreadable("a position's symbol"))?;
        let Ok(series) = symbol.parse::<OccSymbol>() else { continue };
        let quantity = json::whole(row.quantity).ok_or(Unreadable("a whole number of contracts"))?;
        let cost_basis = json::usd(row.cost_basis).ok_or(Unreadable("a position's cost_basis"))?;
        found.push(BrokerPosition { series, quantity, cost_basis });
    }
    Ok(found)
}

#[derive(Deserialize)]
struct OrdersBody<'a> {
    #[serde(borrow)]
    orders: &'a RawValue,
}

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
    price: Raw<'a>,
    avg_fill_price: Raw<'a>,
    exec_quantity: Raw<'a>,
    create_date: Raw<'a>,
    transaction_date: Raw<'a>,
    option_symbol: Raw<'a>,
    leg: Raw<'a>,
    tag: Raw<'a>,
    reason_description: Raw<'a>,
}

/// One page of orders.
pub(crate) fn orders(body: &str) -> Result<Vec<BrokerOrder>, Unreadable> {
    let outer: OrdersBody<'_> = json::parse(body, "orders")?;
    let rows = json::collection(outer.orders, "order", "orders")?;
    rows.into_iter().map(|raw| order_row(raw, false)).collect()
}

/// The one order asked for, which must be readable.
pub(crate) fn order(body: &str) -> Result<BrokerOrder, Unreadable> {
    let outer: OrderBody<'_> = json::parse(body, "order")?;
    order_row(outer.order, true)
}

/// Reads an order. Of ours, and of one that was `asked_for`, every option leg must be readable; of a foreign one in
/// a list, what cannot be read is left out.
fn order_row(raw: &RawValue, asked_for: bool) -> Result<BrokerOrder, Unreadable> {
    let row: OrderRow<'_> = json::parse(raw.get(), "an order")?;
    let tag = json::text(row.tag).and_then(|it| OrderTag::parse(&it));
    let strict = asked_for || tag.is_some();
    let status = status(json::text(row.status));
    let market = json::text(row.kind).is_some_and(|it| it == "market");
    Ok(BrokerOrder {
        id: BrokerOrderId(json::id(row.id).ok_or(Unreadable("an order's id"))?),
        tag,
        status,
        price: if market { None } else { json::price(row.price) },
        legs: legs(&row, strict)?,
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

#[derive(Deserialize)]
struct QuotesBody<'a> {
    #[serde(borrow)]
    quotes: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct QuotesRow<'a> {
    quote: Raw<'a>,
    unmatched_symbols: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct QuoteRow<'a> {
    symbol: Raw<'a>,
    bid: Raw<'a>,
    ask: Raw<'a>,
    bidsize: Raw<'a>,
    asksize: Raw<'a>,
    bid_date: Raw<'a>,
    ask_date: Raw<'a>,
    open_interest: Raw<'a>,
    volume: Raw<'a>,
    last: Raw<'a>,
    trade_date: Raw<'a>,
}

impl QuoteRow<'_> {
    /// Best bid and ask. A side of 0, or without a price, is nobody's; its time, 0 when it never had one, keeps the
    /// quote stale until there is one.
    fn quote(&self) -> Result<OptionQuote, Unreadable> {
        let side = |raw: Raw<'_>, size: Raw<'_>| match json::text(raw) {
            None => Ok((None, 0)),
            Some(_) => {
                let price = json::price(raw).ok_or(Unreadable("a quote's price"))?;
                let size = json::count(size).unwrap_or(0);
                Ok(if price.cents() == 0 { (None, 0) } else { (Some(price), size) })
            }
        };
        let (bid, bid_size) = side(self.bid, self.bidsize)?;
        let (ask, ask_size) = side(self.ask, self.asksize)?;
        let at = |raw| json::whole(raw).and_then(json::epoch);
        let ts = at(self.bid_date).max(at(self.ask_date)).unwrap_or(UtcNanos(0));
        Ok(OptionQuote { ts, bid, ask, bid_size, ask_size })
    }
}

/// The option quotes in a body, by series. Rows of other symbols are left out.
pub(crate) fn quotes(body: &str) -> Result<Vec<(OccSymbol, OptionQuote)>, Unreadable> {
    let mut found = Vec::new();
    for (symbol, row) in quote_rows(body)? {
        let Ok(series) = symbol.parse::<OccSymbol>() else { continue };
        found.push((series, row.quote()?));
    }
    Ok(found)
}

/// The quote of `series` in a body, and the last value of its underlying where the body has it.
pub(crate) fn market(body: &str, series: &OccSymbol) -> Result<MarketNow, Unreadable> {
    let mut now = MarketNow::default();
    for (symbol, row) in quote_rows(body)? {
        if symbol.parse() == Ok(*series) {
            now.quote = Some(row.quote()?);
        } else if symbol == series.underlying().as_str() {
            let value = json::text(row.last).and_then(|it| Points::parse(&it)).filter(|it| it.0 > 0);
            now.index = value.zip(json::whole(row.trade_date).and_then(json::epoch));
        }
    }
    Ok(now)
}

/// The rows of a body of quotes with their symbols.
fn quote_rows(body: &str) -> Result<Vec<(Cow<'_, str>, QuoteRow<'_>)>, Unreadable> {
    let outer: QuotesBody<'_> = json::parse(body, "quotes")?;
    if json::is_null(outer.quotes) {
        return Ok(Vec::new());
    }
    let row: QuotesRow<'_> = json::parse(outer.quotes.get(), "quotes")?;
    let Some(raw) = row.quote else {
        // All symbols unknown to the broker is an answer; neither key is none.
        return if row.unmatched_symbols.is_some() { Ok(Vec::new()) } else { Err(Unreadable("quotes")) };
    };
    let mut found = Vec::new();
    for raw in json::elements(raw)? {
        let row: QuoteRow<'_> = json::parse(raw.get(), "a quote")?;
        let symbol = json::text(row.symbol).ok_or(Unreadable("a quote's symbol"))?;
        found.push((symbol, row));
    }
    Ok(found)
}

#[derive(Deserialize)]
struct ChainBody<'a> {
    #[serde(borrow)]
    options: &'a RawValue,
}

/// The rows of a chain, sorted by series; of `root` alone where one is given, because the broker mixes the roots of
/// an underlying.
pub(crate) fn chain(body: &str, root: Option<Root>) -> Result<Vec<ChainRow>, Unreadable> {
    let outer: ChainBody<'_> = json::parse(body, "options")?;
    let mut found = Vec::new();
    for raw in json::collection(outer.options, "option", "options")? {
        let row: QuoteRow<'_> = json::parse(raw.get(), "an option")?;
        let symbol = json::text(row.symbol).ok_or(Unreadable("an option's symbol"))?;
        let Ok(series) = symbol.parse::<OccSymbol>() else { continue };
        if root.is_some_and(|it| it != series.root) {
            continue;
        }
        found.push(ChainRow {
            series,
            quote: row.quote()?,
            open_interest: json::count(row.open_interest),
            volume: json::count(row.volume),
        });
    }
    found.sort_by_key(|it| it.series);
    Ok(found)
}

/// Where to listen to the account's events, and the pass for it.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamSession {
    /// The WebSocket's address, as the broker gave it.
    pub url: String,
    /// Good for one connection within five minutes. A secret, while it lasts.
    pub session_id: String,
}

impl std::fmt::Debug for StreamSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamSession").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct StreamBody<'a> {
    #[serde(borrow)]
    stream: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct StreamRow<'a> {
    url: Raw<'a>,
    sessionid: Raw<'a>,
}

/// The answer to a request for a stream session.
pub(crate) fn stream_session(body: &str) -> Result<StreamSession, Unreadable> {
    let outer: StreamBody<'_> = json::parse(body, "a stream session")?;
    let row: StreamRow<'_> = json::parse(outer.stream.get(), "a stream session")?;
    let part = |raw| json::text(raw).filter(|it| !it.is_empty()).map(Cow::into_owned);
    match (part(row.url), part(row.sessionid)) {
        (Some(url), Some(session_id)) => Ok(StreamSession { url, session_id }),
        _ => Err(Unreadable("a stream session's url and sessionid")),
    }
}
