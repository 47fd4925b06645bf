//! Placing and previewing orders: syntax, contract, the OMS's rules, acceptance (TRADIER.md section 9).

use domain::account::AccountType;
use domain::money::{Price, Side, Usd};
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use serde::Serialize;

use super::account::requirement;
use super::answer::Answer;
use super::engine::Action;
use super::order::{Leg, LegSide, Lifetime, Order, OrderClass, OrderType, Status};
use super::params::{Invalid, Params};
use super::shape::{Ok as Accepted, Under, stamp, suits, uuid};
use super::transcript::{AcceptedLeg, TranscriptEvent};
use super::{Account, Sandbox};

pub(super) const NO_BUYING_POWER: &str = "You do not have enough buying power for this trade.";
const TOO_MANY_SOLD: &str = "Sell order is for more shares than your current long position, please review current position quantity along with open orders for security. ";
const OVERRIDE: &str = "Backoffice rejected override of the order.";

/// An order as asked for, syntactically sound.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    class: OrderClass,
    kind: OrderType,
    lifetime: Lifetime,
    price: Option<Price>,
    stop: Option<Price>,
    tag: Option<String>,
    legs: Vec<(OccSymbol, LegSide, u32)>,
}

/// An order that somebody placed elsewhere: on the website, by phone, by another program.
#[derive(Debug, Clone)]
pub struct ForeignOrder {
    /// Its account.
    pub account: String,
    /// The series.
    pub series: OccSymbol,
    /// What it does.
    pub side: LegSide,
    /// Contracts.
    pub quantity: u32,
    /// The limit; a market order without one.
    pub price: Option<Price>,
    /// A tag, if that program uses them.
    pub tag: Option<String>,
}

/// Why the OMS refuses.
pub(super) struct Refusal(pub(super) Vec<&'static str>);

impl Refusal {
    fn code(code: &'static str) -> Self {
        Self(vec![OVERRIDE, code])
    }
}

impl Ask {
    fn parse(params: &Params<'_>) -> Result<Self, Invalid> {
        let class = match params.need("class")? {
            "option" => OrderClass::Option,
            "multileg" => OrderClass::Multileg,
            _ => return Err(Invalid::new("class", "is not valid: this sandbox trades option and multileg.")),
        };
        let symbol = params.need("symbol")?;
        let legs = match class {
            OrderClass::Option => vec![leg(params, "option_symbol", "side", "quantity")?],
            OrderClass::Multileg => several(params)?,
        };
        for (series, _, _) in &legs {
            let known = symbol == series.underlying().as_str() || symbol == series.root.as_str();
            if !known {
                return Err(Invalid::new("symbol", "is not valid"));
            }
        }
        let kind = params.need("type")?;
        let kind = OrderType::parse(kind).filter(|it| suits(*it, class));
        let kind = kind.ok_or_else(|| Invalid::new("type", "is not valid."))?;
        let lifetime = lifetime(params.need("duration")?)?;
        let (price, stop) = (params.price("price")?, params.price("stop")?);
        if kind.priced() && price.is_none() {
            return Err(Invalid::new("price", "is required."));
        }
        if kind.stops() && stop.is_none() {
            return Err(Invalid::new("stop", "is required."));
        }
        let (price, stop) = (price.filter(|_| kind.priced()), stop.filter(|_| kind.stops()));
        Ok(Self { class, kind, lifetime, price, stop, tag: params.tag()?, legs })
    }
}

pub(super) fn lifetime(text: &str) -> Result<Lifetime, Invalid> {
    match text {
        "day" => Ok(Lifetime::Day),
        "gtc" => Ok(Lifetime::Gtc),
        "pre" | "post" => Err(Invalid::new("duration", "pre/post market no longer available")),
        _ => Err(Invalid::new("duration", "is not valid.")),
    }
}

fn leg(
    params: &Params<'_>,
    symbol: &str,
    side: &str,
    quantity: &str,
) -> Result<(OccSymbol, LegSide, u32), Invalid> {
    let series = params.need(symbol)?.parse().map_err(|_| Invalid::new(symbol, "is not valid"))?;
    let which = LegSide::parse(params.need(side)?).ok_or_else(|| Invalid::new(side, "is not valid."))?;
    Ok((series, which, params.quantity(quantity)?))
}

fn several(params: &Params<'_>) -> Result<Vec<(OccSymbol, LegSide, u32)>, Invalid> {
    let count =
        params.indices("option_symbol")?.max(params.indices("side")?).max(params.indices("quantity")?);
    if count > 4 {
        return Err(Invalid::new("option_symbol", "must have between 2 and 4 legs."));
    }
    let one = |i: usize| {
        leg(params, &format!("option_symbol[{i}]"), &format!("side[{i}]"), &format!("quantity[{i}]"))
    };
    (0..count.max(2)).map(one).collect()
}

impl Sandbox {
    pub(super) fn place(&mut self, account: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let preview = params.flag("preview")?;
        let ask = Ask::parse(params)?;
        if let Err(Refusal(reasons)) = self.check(account, &ask) {
            return Ok(Answer::refused(&reasons));
        }
        if preview {
            return Ok(self.preview(account, &ask));
        }
        let id = self.accept(account, ask, false);
        let partner = uuid(&[b"partner", &self.rules.seed.to_le_bytes(), &id.to_le_bytes()]);
        Ok(Answer::json(&Under("order", Accepted { id, status: "ok", partner_id: Some(partner) })))
    }

    /// Places an order that did not come through the API. It is checked for nothing but its account.
    pub fn place_foreign(&mut self, now: UtcNanos, order: ForeignOrder) -> Option<u64> {
        self.advance(now);
        if !self.accounts.contains_key(&order.account) {
            return None;
        }
        let ask = Ask {
            class: OrderClass::Option,
            kind: if order.price.is_some() { OrderType::Limit } else { OrderType::Market },
            lifetime: Lifetime::Day,
            price: order.price,
            stop: None,
            tag: order.tag,
            legs: vec![(order.series, order.side, order.quantity)],
        };
        Some(self.accept(&order.account, ask, true))
    }

    fn accept(&mut self, account: &str, ask: Ask, foreign: bool) -> u64 {
        let id = self.next_order;
        let legs_from = match ask.class {
            OrderClass::Option => id,
            OrderClass::Multileg => id.saturating_add(1),
        };
        let ids = legs_from..;
        let legs: Vec<Leg> = ask
            .legs
            .iter()
            .zip(ids)
            .map(|((series, side, quantity), id)| Leg {
                id,
                series: *series,
                side: *side,
                quantity: *quantity,
                executed: 0,
                paid: Usd::ZERO,
                last_price: Price::ZERO,
                last_quantity: 0,
            })
            .collect();
        self.next_order = legs.last().map_or(id, |leg| leg.id).saturating_add(1);
        let legs_shown = ask.legs.iter();
        let legs_shown = legs_shown
            .map(|(series, side, quantity)| AcceptedLeg { series: *series, side: *side, quantity: *quantity })
            .collect();
        let order = Order {
            id,
            account: account.to_owned(),
            class: ask.class,
            kind: ask.kind,
            lifetime: ask.lifetime,
            price: ask.price,
            stop: ask.stop,
            legs,
            tag: ask.tag.clone(),
            foreign,
            status: Status::Pending,
            reason: None,
            created: self.now,
            changed: self.now,
            executed_at: None,
            ready_at: self.now,
            place: self.take_place(),
            triggered: false,
        };
        let over = order.legs.iter().any(|leg| self.trading_end(&leg.series) <= self.now);
        self.orders.insert(id, order);
        if let Some(it) = self.accounts.get_mut(account) {
            it.live.insert(id);
        }
        self.watch(id);
        self.record(TranscriptEvent::Accepted {
            account: account.to_owned(),
            order: id,
            class: ask.class,
            kind: ask.kind,
            duration: ask.lifetime,
            price: ask.price,
            stop: ask.stop,
            tag: ask.tag,
            foreign,
            legs: legs_shown,
        });
        self.notify(id);
        self.touch();
        if !over {
            let opens = self.now.plus(self.rules.latencies.accept).max(self.session.open);
            self.schedule(opens, Action::Open(id));
        }
        self.mark_order(id);
        id
    }

    pub(super) fn take_place(&mut self) -> u64 {
        let place = self.next_place;
        self.next_place = place.saturating_add(1);
        place
    }

    /// The OMS's rules, at the moment of the request.
    fn check(&self, account: &str, ask: &Ask) -> Result<(), Refusal> {
        let Some(account) = self.accounts.get(account) else {
            return Err(Refusal::code("AccountDisabled"));
        };
        for (series, _, _) in &ask.legs {
            if self.book.series(series).is_none() {
                return Err(Refusal::code("SecurityUndefined"));
            }
            if series.expiry <= self.session.date && self.trading_end(series) <= self.now {
                return Err(Refusal::code("TradingDeniedForSecurity"));
            }
        }
        if let Some(reason) = permission(account, ask) {
            return Err(reason);
        }
        self.check_stop(ask)?;
        self.check_positions(account, ask)?;
        let needed = self.needs(ask);
        match needed {
            Some(needed) if needed <= self.buying_power(account) => Ok(()),
            Some(needed) if needed == Usd::ZERO => Ok(()),
            _ => Err(Refusal(vec![NO_BUYING_POWER])),
        }
    }

    fn check_stop(&self, ask: &Ask) -> Result<(), Refusal> {
        let (Some(stop), [(series, side, _)]) = (ask.stop, ask.legs.as_slice()) else { return Ok(()) };
        let Some((bid, ask)) = self.book.series(series).and_then(|it| it.quote?.two_sided()) else {
            return Ok(());
        };
        match side.side() {
            Side::Buy if stop < ask => Err(Refusal::code("BuyStopOrderStopPriceLessAsk")),
            Side::Sell if stop > bid => Err(Refusal::code("SellStopOrderStopPriceGreaterBid")),
            Side::Buy | Side::Sell => Ok(()),
        }
    }

    /// Filled position plus working orders (TRADIER.md section 9.4).
    fn check_positions(&self, account: &Account, ask: &Ask) -> Result<(), Refusal> {
        for (series, side, quantity) in &ask.legs {
            let (held, quantity) = (account.held(series), i64::from(*quantity));
            let reserved = self.reserved(account, series, *side);
            match side {
                LegSide::SellToClose if held.max(0) < quantity.saturating_add(reserved) => {
                    return Err(Refusal(vec![TOO_MANY_SOLD]));
                }
                LegSide::BuyToClose if held.min(0).saturating_neg() < quantity.saturating_add(reserved) => {
                    return Err(Refusal::code("ShortPositionCrossZero"));
                }
                LegSide::SellToOpen if held > 0 => {
                    return Err(Refusal::code("UnexpectedSellShortOrderOption"));
                }
                LegSide::BuyToOpen if held < 0 => return Err(Refusal::code("UnexpectedBuyOrderOption")),
                LegSide::SellToClose | LegSide::BuyToClose | LegSide::SellToOpen | LegSide::BuyToOpen => {}
            }
        }
        Ok(())
    }

    /// Contracts that working orders of the same side already claim.
    fn reserved(&self, account: &Account, series: &OccSymbol, side: LegSide) -> i64 {
        let legs = account.live.iter().filter_map(|id| self.orders.get(id)).flat_map(|order| &order.legs);
        let mine = legs.filter(|leg| leg.series == *series && leg.side == side);
        mine.fold(0i64, |sum, leg| sum.saturating_add(i64::from(leg.remaining())))
    }

    /// What an order ties up: premium, charges, width of its short legs; `None` when its loss has no bound.
    fn needs(&self, ask: &Ask) -> Option<Usd> {
        let opening = ask.legs.iter().filter(|(_, side, _)| side.opens());
        let signed =
            opening.map(|(series, side, n)| (*series, i64::from(*n).saturating_mul(side.side().sign())));
        let width = if ask.legs.iter().any(|(_, side, _)| *side == LegSide::SellToOpen) {
            requirement(signed)?
        } else {
            Usd::ZERO
        };
        let paid = self.premium(ask);
        let pays = ask.legs.iter().any(|(_, side, _)| side.opens());
        let charges = if pays { self.charges(ask) } else { Usd::ZERO };
        Some(width + paid.max(Usd::ZERO) + charges)
    }

    /// What an order would pay at its limit or, without one, at the touch; below zero when it receives.
    fn premium(&self, ask: &Ask) -> Usd {
        let units = i64::from(ask.legs.iter().map(|(_, _, n)| *n).min().unwrap_or(0));
        let net = |price: Price| price.notional(1).times(units);
        match (ask.kind, ask.price) {
            (OrderType::Credit, Some(price)) => -net(price),
            (OrderType::Debit, Some(price)) => net(price),
            (OrderType::Even, _) => Usd::ZERO,
            (_, Some(price)) => {
                let sign = ask.legs.first().map_or(1, |(_, side, _)| side.side().sign());
                net(price).times(sign)
            }
            (_, None) => ask.legs.iter().map(|(series, side, n)| self.touch_value(series, *side, *n)).sum(),
        }
    }

    fn touch_value(&self, series: &OccSymbol, side: LegSide, contracts: u32) -> Usd {
        let quote = self.book.series(series).and_then(|it| it.quote);
        let price = quote.and_then(|it| match side.side() {
            Side::Buy => it.ask,
            Side::Sell => it.bid,
        });
        price.unwrap_or(Price::ZERO).notional(contracts).times(side.side().sign())
    }

    fn charges(&self, ask: &Ask) -> Usd {
        let price = ask.price.unwrap_or(Price::from_cents(100));
        ask.legs.iter().map(|(series, _, n)| self.rules.fees.charge(&series.root, price, *n)).sum()
    }

    /// What working orders of an account tie up.
    pub(super) fn pending_cash(&self, account: &Account) -> Usd {
        let orders = account.live.iter().filter_map(|id| self.orders.get(id));
        let opening = orders.filter(|order| order.legs.iter().any(|leg| leg.side.opens()));
        opening.map(|order| self.needs(&Ask::rest_of(order)).unwrap_or(Usd::ZERO)).sum()
    }

    /// What may still be spent on options: cash less requirements less what working orders tie up, in a cash account
    /// less today's proceeds too.
    pub(super) fn buying_power(&self, account: &Account) -> Usd {
        let required = account.requirement().unwrap_or(Usd::ZERO);
        let free = account.cash - required - self.pending_cash(account);
        match account.kind {
            AccountType::Cash => free - account.unsettled,
            AccountType::Margin | AccountType::Pdt => free,
        }
    }

    /// Whether a working order may carry another price.
    pub(super) fn can_afford(&self, order: &Order, price: Option<Price>) -> bool {
        let Some(account) = self.accounts.get(&order.account) else { return false };
        let now = Ask::rest_of(order);
        let then = Ask { price, ..now.clone() };
        match (self.needs(&now), self.needs(&then)) {
            (Some(now), Some(then)) => then <= now || then - now <= self.buying_power(account),
            _ => false,
        }
    }

    fn preview(&self, account: &str, ask: &Ask) -> Answer {
        let (order_cost, charges) = (self.premium(ask), self.charges(ask));
        let commission = self.rules.fees.commission;
        let contracts: u32 = ask.legs.iter().fold(0, |sum, (_, _, n)| sum.saturating_add(*n));
        let commission = commission.times(i64::from(contracts));
        let opening = ask.legs.iter().filter(|(_, side, _)| side.opens());
        let signed =
            opening.map(|(series, side, n)| (*series, i64::from(*n).saturating_mul(side.side().sign())));
        let width = requirement(signed).unwrap_or(Usd::ZERO);
        let first = ask.legs.first();
        let single = first.filter(|_| ask.class == OrderClass::Option);
        let request_date = stamp(self.now).trim_end_matches('Z').trim_end_matches('0').to_owned();
        Answer::json(&Under(
            "order",
            PreviewRow {
                status: "ok",
                commission: commission.to_f64(),
                cost: (order_cost + charges).to_f64(),
                fees: (charges - commission).to_f64(),
                symbol: first.map(|(series, _, _)| series.underlying()),
                quantity: contracts,
                side: single.map_or("buy", |(_, side, _)| side.as_str()),
                kind: ask.kind.as_str(),
                duration: ask.lifetime.as_str(),
                result: true,
                price: ask.price.map(Price::to_f64),
                order_cost: order_cost.to_f64(),
                margin_change: width.to_f64(),
                option_requirement: width.to_f64(),
                request_date: request_date.trim_end_matches('.').to_owned(),
                extended_hours: false,
                option_symbol: single.map(|(series, _, _)| series.to_string()),
                class: ask.class.as_str(),
                strategy: if single.is_some() { "option" } else { "spread" },
                day_trades: self.accounts.get(account).map_or(0, |it| it.day_trades),
            },
        ))
    }
}

impl Ask {
    /// What of an order is still to be executed.
    fn rest_of(order: &Order) -> Self {
        let legs = order.legs.iter().map(|leg| (leg.series, leg.side, leg.remaining())).collect();
        Self {
            class: order.class,
            kind: order.kind,
            lifetime: order.lifetime,
            price: order.price,
            stop: order.stop,
            tag: None,
            legs,
        }
    }
}

/// Option levels: 2 buys, 3 and above trade spreads. A short leg needs a long one beside it at every level.
fn permission(account: &Account, ask: &Ask) -> Option<Refusal> {
    let opens = ask.legs.iter().filter(|(_, side, _)| side.opens()).count();
    if opens == 0 {
        return None;
    }
    let sells = ask.legs.iter().any(|(_, side, _)| *side == LegSide::SellToOpen);
    match ask.class {
        OrderClass::Option if sells => Some(Refusal::code("ShortOptionTradingDeniedForAccount")),
        OrderClass::Option if account.option_level < 2 => {
            Some(Refusal::code("LongOptionTradingDeniedForAccount"))
        }
        OrderClass::Multileg if account.option_level < 3 || account.kind == AccountType::Cash => {
            Some(Refusal::code("SpreadTradingDeniedForAccount"))
        }
        OrderClass::Multileg if !one_expiry(ask) => Some(Refusal::code("IndexOptionsOneExparyDate")),
        OrderClass::Multileg if sells && unbounded(ask) => {
            Some(Refusal::code("ShortOptionTradingDeniedForAccount"))
        }
        OrderClass::Option | OrderClass::Multileg => None,
    }
}

fn unbounded(ask: &Ask) -> bool {
    let opening = ask.legs.iter().filter(|(_, side, _)| side.opens());
    let signed = opening.map(|(series, side, n)| (*series, i64::from(*n).saturating_mul(side.side().sign())));
    requirement(signed).is_none()
}

fn one_expiry(ask: &Ask) -> bool {
    let index = ask.legs.iter().filter(|(series, _, _)| series.underlying().is_index());
    let mut dates = index.map(|(series, _, _)| series.expiry);
    let first = dates.next();
    dates.all(|date| Some(date) == first)
}

#[derive(Serialize)]
struct PreviewRow {
    status: &'static str,
    commission: f64,
    cost: f64,
    fees: f64,
    symbol: Option<Underlying>,
    quantity: u32,
    side: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    duration: &'static str,
    result: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    order_cost: f64,
    margin_change: f64,
    option_requirement: f64,
    request_date: String,
    extended_hours: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    option_symbol: Option<String>,
    class: &'static str,
    strategy: &'static str,
    day_trades: u32,
}
