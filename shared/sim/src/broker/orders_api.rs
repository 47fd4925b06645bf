//! Profile, balances, positions, and reading, changing and canceling orders.

use domain::account::AccountType;
use domain::money::Usd;
use domain::symbol::Underlying;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::answer::Answer;
use super::engine::Action;
use super::order::{Order, OrderType, Status};
use super::params::{Invalid, Params};
use super::place::lifetime;
use super::shape::{
    Amount, Collapsed, Listed, Ok as Accepted, OrderRow, PositionRow, Under, View, stamp, suits, uuid,
};
use super::transcript::TranscriptEvent;
use super::{Account, Sandbox};

/// Rows of one page at most.
const PAGE_MAX: usize = 1_500;

#[derive(Serialize)]
struct Profile<'a> {
    id: &'a str,
    name: &'a str,
    account: Collapsed<'a, ProfileAccount<'a>>,
}

#[derive(Serialize)]
struct ProfileAccount<'a> {
    account_number: &'a str,
    classification: &'static str,
    date_created: &'static str,
    day_trader: bool,
    option_level: u8,
    status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    last_update_date: &'static str,
}

#[derive(Serialize)]
struct BalancesRow<'a> {
    option_short_value: Amount,
    total_equity: Amount,
    account_number: &'a str,
    account_type: &'static str,
    close_pl: Amount,
    current_requirement: Amount,
    equity: u8,
    long_market_value: Amount,
    market_value: Amount,
    open_pl: Amount,
    option_long_value: Amount,
    option_requirement: Amount,
    pending_orders_count: usize,
    short_market_value: Amount,
    stock_long_value: u8,
    total_cash: Amount,
    uncleared_funds: u8,
    pending_cash: Amount,
    #[serde(flatten)]
    power: Power,
}

/// The block named like the account's type.
struct Power {
    kind: AccountType,
    free: Usd,
    unsettled: Usd,
}

impl Serialize for Power {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Margin {
            #[serde(skip_serializing_if = "Option::is_none")]
            day_trade_buying_power: Option<Amount>,
            fed_call: u8,
            maintenance_call: u8,
            option_buying_power: Amount,
            stock_buying_power: Amount,
            stock_short_value: u8,
            #[serde(skip_serializing_if = "Option::is_none")]
            sweep: Option<u8>,
        }
        #[derive(Serialize)]
        struct Cash {
            cash_available: Amount,
            sweep: u8,
            unsettled_funds: Amount,
        }
        let margin = |day, sweep| Margin {
            day_trade_buying_power: day,
            fed_call: 0,
            maintenance_call: 0,
            option_buying_power: Amount(self.free),
            stock_buying_power: Amount(self.free.times(2)),
            stock_short_value: 0,
            sweep,
        };
        let mut map = to.serialize_map(Some(1))?;
        match self.kind {
            AccountType::Margin => map.serialize_entry("margin", &margin(None, Some(0)))?,
            AccountType::Pdt => {
                map.serialize_entry("pdt", &margin(Some(Amount(self.free.times(4))), None))?
            }
            AccountType::Cash => {
                let cash = Cash {
                    cash_available: Amount(self.free),
                    sweep: 0,
                    unsettled_funds: Amount(self.unsettled),
                };
                map.serialize_entry("cash", &cash)?;
            }
        }
        map.end()
    }
}

impl Sandbox {
    pub(super) fn profile(&self, user: &str) -> Answer {
        let Some(user) = self.users.iter().find(|it| it.id == user) else {
            return Answer::text(500, "An error occurred while communicating with the backend.");
        };
        let row = |number, account: &Account| ProfileAccount {
            account_number: number,
            classification: "individual",
            date_created: "2024-05-02T18:11:09.000Z",
            day_trader: account.kind == AccountType::Pdt,
            option_level: account.option_level,
            status: "active",
            kind: account.kind.as_str(),
            last_update_date: "2024-05-02T18:11:09.000Z",
        };
        let known = user.accounts.iter().filter_map(|number| self.accounts.get(number));
        let rows: Vec<_> = known.map(|it| row(it.number.as_str(), it)).collect();
        Answer::json(&Under("profile", Profile { id: &user.id, name: &user.name, account: Collapsed(&rows) }))
    }

    pub(super) fn balances(&self, number: &str) -> Answer {
        let Some(account) = self.accounts.get(number) else { return Answer::foreign_account(number) };
        let (long, short) = account.market_value(&self.book);
        let value = long + short;
        let cost: Usd = account.positions.values().map(|it| it.cost).sum();
        let required = account.requirement().unwrap_or(Usd::ZERO);
        let free = self.buying_power(account);
        Answer::json(&Under(
            "balances",
            BalancesRow {
                option_short_value: Amount(short),
                total_equity: Amount(account.cash + value),
                account_number: &account.number,
                account_type: account.kind.as_str(),
                close_pl: Amount(account.realized),
                current_requirement: Amount(required),
                equity: 0,
                long_market_value: Amount(long),
                market_value: Amount(value),
                open_pl: Amount(value - cost),
                option_long_value: Amount(long),
                option_requirement: Amount(required),
                pending_orders_count: account.live.len(),
                short_market_value: Amount(short),
                stock_long_value: 0,
                total_cash: Amount(account.cash),
                uncleared_funds: 0,
                pending_cash: Amount(self.pending_cash(account)),
                power: Power { kind: account.kind, free, unsettled: account.unsettled },
            },
        ))
    }

    pub(super) fn positions(&self, number: &str) -> Answer {
        let held = self.accounts.get(number).into_iter().flat_map(|it| &it.positions);
        let rows = held.map(|(series, it)| PositionRow {
            cost_basis: it.cost.to_f64(),
            date_acquired: stamp(it.acquired),
            id: it.id,
            quantity: it.quantity as f64,
            symbol: series.to_string(),
        });
        Answer::json(&Under("positions", Listed::new("position", rows.collect())))
    }

    pub(super) fn order_list(&self, account: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let tags = params.flag("includeTags")?;
        let page = params.count("page", 1, 1_000_000)?;
        let limit = params.count("limit", PAGE_MAX, PAGE_MAX)?;
        let wanted: Option<Vec<&str>> = params.get("status").map(|it| it.split(',').map(str::trim).collect());
        let today = self.now.new_york_date();
        let shown = |order: &&Order| {
            order.account == account
                && order.created.plus(self.rules.latencies.list) <= self.now
                && self.listed(order.id)
                && (order.is_live() || order.created.new_york_date() == today)
                && wanted.as_ref().is_none_or(|it| it.contains(&order.status.as_str()))
        };
        let skipped = page.saturating_sub(1).saturating_mul(limit);
        let orders: Vec<&Order> = self.orders.values().filter(shown).skip(skipped).take(limit).collect();
        let symbols: Vec<Underlying> = orders.iter().filter_map(|it| it.underlying()).collect();
        let rows = orders.iter().zip(&symbols);
        let rows = rows.map(|(order, symbol)| OrderRow::of(order, symbol.as_str(), self.view(order, tags)));
        Ok(Answer::json(&Under("orders", Listed::new("order", rows.collect()))))
    }

    pub(super) fn order_single(&self, id: u64, params: &Params<'_>) -> Result<Answer, Invalid> {
        let tags = params.flag("includeTags")?;
        let found = self.orders.get(&id).and_then(|order| Some((order, order.underlying()?)));
        Ok(match found {
            Some((order, symbol)) => {
                let row = OrderRow::of(order, symbol.as_str(), self.view(order, tags));
                Answer::json(&Under("order", row))
            }
            None => Answer::text(500, "An error occurred while communicating with the backend."),
        })
    }

    /// A fill's price and quantity may show later than its status.
    fn view(&self, order: &Order, tags: bool) -> View {
        let late = order.executed_at.is_some_and(|at| {
            self.now < at.plus(self.rules.latencies.average) || self.unpriced(order.id, at)
        });
        View { tags, executions: !late }
    }

    pub(super) fn own_order(&self, account: &str, id: &str) -> Option<u64> {
        let id: u64 = id.parse().ok()?;
        self.orders.get(&id).filter(|order| order.account == account).map(|order| order.id)
    }

    pub(super) fn cancel(&mut self, id: u64) -> Answer {
        let Some(order) = self.orders.get(&id) else {
            return Answer::text(500, "An error occurred while communicating with the backend.");
        };
        if let Some(ended) = finalized(order) {
            return ended;
        }
        let account = order.account.clone();
        self.record(TranscriptEvent::CancelRequested { account, order: id });
        self.race_cancel(id);
        let at = self.now.plus(self.rules.latencies.cancel);
        self.schedule(at, Action::Cancel(id));
        self.touch();
        Answer::json(&Under("order", Accepted { id, status: "ok", partner_id: None }))
    }

    /// Changes type, duration, price or stop. Only what is sent changes; a new price takes a new place in time.
    pub(super) fn change(&mut self, id: u64, params: &Params<'_>) -> Result<Answer, Invalid> {
        let kind =
            params.get("type").map(|it| OrderType::parse(it).ok_or(Invalid::new("type", "is not valid.")));
        let kind = kind.transpose()?;
        let duration = params.get("duration").map(lifetime).transpose()?;
        let (price, stop) = (params.price("price")?, params.price("stop")?);
        let Some(order) = self.orders.get(&id) else {
            return Ok(Answer::text(500, "An error occurred while communicating with the backend."));
        };
        if let Some(ended) = finalized(order) {
            return Ok(ended);
        }
        let kind = kind.unwrap_or(order.kind);
        if !suits(kind, order.class) {
            return Err(Invalid::new("type", "is not valid."));
        }
        let price = price.or(order.price).filter(|_| kind.priced());
        let stop = stop.or(order.stop).filter(|_| kind.stops());
        if kind.priced() && price.is_none() {
            return Err(Invalid::new("price", "is required."));
        }
        if kind.stops() && stop.is_none() {
            return Err(Invalid::new("stop", "is required."));
        }
        if self.off_grid(order, price, stop) {
            return Ok(Answer::refused(&[
                "Backoffice rejected override of the order.",
                "OrderPriceIsInvalid",
            ]));
        }
        if !self.can_afford(order, price) {
            return Ok(Answer::refused(&[super::place::NO_BUYING_POWER]));
        }
        let (now, account) = (self.now, order.account.clone());
        let ready_at = now.plus(self.rules.latencies.fill);
        let place = self.take_place();
        if let Some(order) = self.orders.get_mut(&id) {
            if kind != order.kind || price != order.price || stop != order.stop {
                order.place = place;
                order.triggered = false;
            }
            (order.kind, order.price, order.stop) = (kind, price, stop);
            order.lifetime = duration.unwrap_or(order.lifetime);
            order.changed = now;
            if order.status != Status::Pending {
                order.ready_at = ready_at;
            }
        }
        self.record(TranscriptEvent::Changed { account, order: id, price, stop });
        self.notify(id);
        self.touch();
        self.schedule(ready_at, Action::Match(id));
        let partner = uuid(&[b"partner", &self.rules.seed.to_le_bytes(), &id.to_le_bytes()]);
        Ok(Answer::json(&Under("order", Accepted { id, status: "ok", partner_id: Some(partner) })))
    }
}

fn finalized(order: &Order) -> Option<Answer> {
    let text = format!("order already in finalized state: {}", order.status.as_str());
    order.status.is_final().then(|| Answer::text(400, &text))
}
