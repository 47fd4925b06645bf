//! Previews: what an order would cost, without an order (TRADIER.md section 9.3).

use domain::money::{Price, Usd};
use domain::symbol::Underlying;
use serde::Serialize;

use super::Sandbox;
use super::account::Account;
use super::answer::Answer;
use super::ask::{Ask, Asked};
use super::order::OrderClass;
use super::shape::{Under, stamp, strategy};

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

impl Sandbox {
    /// What the order would cost; of a bracket its first order.
    pub(super) fn preview(&self, account: &str, asked: &Asked) -> Answer {
        let (class, ask) = match asked {
            Asked::One(ask) => (ask.class, Some(ask)),
            Asked::Bracket { class, parts, .. } => (*class, parts.first()),
        };
        let (Some(ask), Some(account)) = (ask, self.accounts.get(account)) else {
            return Answer::text(400, "Unexpected server error");
        };
        let (order_cost, charges) = (self.premium(ask), self.charges(ask));
        let contracts = ask.legs.iter().filter(|leg| !leg.instrument.is_share());
        let contracts = contracts.fold(0u32, |sum, leg| sum.saturating_add(leg.quantity));
        let commission = self.rules.fees.commission.times(i64::from(contracts));
        let width = self.width(account, ask).map_or(Usd::ZERO, |it| it.amount);
        let single = ask.legs.first().filter(|_| ask.class.single());
        let request_date = stamp(self.now).trim_end_matches('Z').trim_end_matches('0').to_owned();
        let legs = ask.legs.iter().map(|leg| leg.instrument);
        let row = PreviewRow {
            status: "ok",
            commission: commission.to_f64(),
            cost: (order_cost + charges).to_f64(),
            fees: (charges - commission).to_f64(),
            symbol: ask.legs.first().map(|leg| leg.instrument.underlying()),
            quantity: ask.legs.iter().fold(0, |sum, leg| sum.saturating_add(leg.quantity)),
            side: single.map_or("buy", |leg| leg.side.as_str()),
            kind: ask.terms.kind.as_str(),
            duration: ask.terms.lifetime.as_str(),
            result: true,
            price: ask.terms.price.map(Price::to_f64),
            order_cost: order_cost.to_f64(),
            margin_change: width.to_f64(),
            option_requirement: width.to_f64(),
            request_date: request_date.trim_end_matches('.').to_owned(),
            extended_hours: self.extended(ask.terms.lifetime).is_some(),
            option_symbol: single.and_then(|leg| leg.instrument.series()).map(ToString::to_string),
            class: class.as_str(),
            strategy: match ask.class {
                OrderClass::Equity => "equity",
                OrderClass::Option => "option",
                OrderClass::Multileg
                | OrderClass::Combo
                | OrderClass::Oto
                | OrderClass::Oco
                | OrderClass::Otoco => strategy(legs),
            },
            day_trades: self.day_trades_with(account, ask),
        };
        Answer::json(&Under("order", row))
    }

    /// Day trades that count today, with the one that `ask` would be.
    fn day_trades_with(&self, account: &Account, ask: &Ask) -> u32 {
        let today = self.now.new_york_date();
        let closes_today = ask.legs.iter().filter(|leg| !leg.side.opens()).any(|leg| {
            account.position(&leg.instrument).is_some_and(|it| it.acquired.new_york_date() == today)
        });
        account.day_trades.count().saturating_add(u32::from(closes_today))
    }
}
