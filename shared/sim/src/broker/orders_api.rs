//! Reading orders (TRADIER.md section 8).

use std::collections::BTreeMap;

use domain::time::{UtcNanos, at_new_york};
use jiff::civil::Time;
use serde_json::value::{RawValue, to_raw_value};

use super::Sandbox;
use super::answer::Answer;
use super::config::Latencies;
use super::order::{Order, Status};
use super::params::{Invalid, Params};
use super::shape::{BracketRow, Listed, OrderRow, Row, Under, View};

/// Rows of one page at most.
const PAGE_MAX: usize = 1_500;

/// Statuses a list may be asked for.
const STATUSES: [&str; 9] = [
    "pending",
    "open",
    "partially_filled",
    "pending_cancel",
    "held",
    Status::Filled.as_str(),
    Status::Rejected.as_str(),
    Status::Expired.as_str(),
    Status::Canceled.as_str(),
];

/// Rows of orders that ended, as they were written. They follow from the orders, so that two caches never differ in what
/// they answer: most of a day's list ended long ago, and the list is what is asked for most.
#[derive(Debug, Clone, Default)]
pub(super) struct RowCache(BTreeMap<u64, Written>);

/// A row with what it was written from.
#[derive(Debug, Clone)]
struct Written {
    order: Order,
    tags: bool,
    text: Box<RawValue>,
}

impl PartialEq for RowCache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for RowCache {}

impl RowCache {
    fn of(&self, order: &Order, tags: bool) -> Option<&RawValue> {
        let known = self.0.get(&order.id).filter(|it| it.tags == tags && it.order == *order);
        known.map(|it| &*it.text)
    }
}

impl Sandbox {
    pub(super) fn order_list(&mut self, account: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let tags = params.flag("includeTags")?;
        let page = params.count("page", 1, 1_000_000)?;
        let limit = params.count("limit", self.rules.practice.page_rows.clamp(1, PAGE_MAX), PAGE_MAX)?;
        let wanted: Option<Vec<&str>> = params.get("status").map(|it| it.split(',').map(str::trim).collect());
        if wanted.iter().flatten().any(|it| !STATUSES.contains(it)) {
            return Err(Invalid::new("status", "is not valid."));
        }
        let today = self.now.new_york_date();
        let from = at_new_york(today, Time::midnight());
        let until = at_new_york(today.tomorrow().unwrap_or(today), Time::midnight());
        let practice = &self.rules.practice;
        let shown = |order: &&Order| {
            let of_today = || from <= order.created && order.created < until;
            order.parent.is_none()
                && order.created.plus(self.rules.latencies.list) <= self.now
                && self.listed(order.id)
                && ((order.is_live() && practice.earlier_listed) || of_today())
                && wanted.as_ref().is_none_or(|it| it.contains(&super::shape::status_word(order, practice)))
        };
        let skipped = page.saturating_sub(1).saturating_mul(limit);
        let ids = self.accounts.get(account).into_iter().flat_map(|it| &it.orders);
        let orders = ids.filter_map(|id| self.as_listed(*id)).filter(shown).skip(skipped).take(limit);
        let ids: Vec<u64> = orders.map(|it| it.id).collect();
        self.write_rows(&ids, tags);
        let orders: Vec<&Order> = ids.iter().filter_map(|id| self.as_listed(*id)).collect();
        let known = |it: &Order| self.rows.of(it, tags).filter(|_| self.view(it, tags).executions);
        let written: Vec<Option<&RawValue>> = orders.iter().map(|it| known(it)).collect();
        let about: Vec<(String, Vec<(&Order, String)>)> = orders
            .iter()
            .zip(&written)
            .map(
                |(it, known)| if known.is_some() { Default::default() } else { (symbol(it), self.parts(it)) },
            )
            .collect();
        let rows =
            orders.iter().zip(&written).zip(&about).map(|((order, known), (symbol, parts))| match known {
                Some(text) => Row::Written(text),
                None => self.row(order, symbol, parts, tags),
            });
        Ok(Answer::json(&Under("orders", Listed::new("order", rows.collect()))))
    }

    /// An order is about to execute or to end: until the list has caught up it shows the order as it was before.
    pub(super) fn changes(&mut self, id: u64) {
        let lags = self.rules.latencies.list > Latencies::USUAL.list;
        let Some(order) = self.orders.get(&id).filter(|_| lags) else { return };
        if self.before.get(&id).is_none_or(|it| !self.is_listed_late(it.0)) {
            self.before.insert(id, (self.now, order.clone()));
        }
    }

    /// Whether the list does not show yet what happened at `at`.
    fn is_listed_late(&self, at: UtcNanos) -> bool {
        self.now < at.plus(self.rules.latencies.list)
    }

    /// An order as the list shows it: what changed in the last moments is not there yet.
    fn as_listed(&self, id: u64) -> Option<&Order> {
        let before = self.before.get(&id).filter(|it| self.is_listed_late(it.0));
        before.map(|it| &it.1).or_else(|| self.orders.get(&id))
    }

    /// Writes the rows of those that ended, once.
    fn write_rows(&mut self, ids: &[u64], tags: bool) {
        for id in ids {
            let Some(order) = self.as_listed(*id) else { continue };
            let is_still = !order.is_live() && !order.class.brackets() && self.view(order, tags).executions;
            if !is_still || self.rows.of(order, tags).is_some() {
                continue;
            }
            if let Ok(text) = to_raw_value(&self.row(order, &symbol(order), &[], tags)) {
                let written = Written { order: order.clone(), tags, text };
                self.rows.0.insert(*id, written);
            }
        }
    }

    pub(super) fn order_single(&self, id: u64, params: &Params<'_>) -> Result<Answer, Invalid> {
        let tags = params.flag("includeTags")?;
        let Some(order) = self.orders.get(&id) else {
            return Ok(Answer::text(500, "An error occurred while communicating with the backend."));
        };
        let (symbol, parts) = (symbol(order), self.parts(order));
        Ok(Answer::json(&Under("order", self.row(order, &symbol, &parts, tags))))
    }

    /// The orders of a bracket, with their symbols.
    fn parts(&self, bracket: &Order) -> Vec<(&Order, String)> {
        bracket.children.iter().filter_map(|id| self.orders.get(id)).map(|it| (it, symbol(it))).collect()
    }

    fn row<'a>(
        &self,
        order: &'a Order,
        symbol: &'a str,
        parts: &'a [(&Order, String)],
        tags: bool,
    ) -> Row<'a> {
        let view = self.view(order, tags);
        if !order.class.brackets() {
            return Row::Order(Box::new(OrderRow::of(order, symbol, view)));
        }
        let legs = parts.iter().map(|(part, symbol)| OrderRow::of(part, symbol, self.view(part, false)));
        Row::Bracket(BracketRow::of(order, legs.collect(), view))
    }

    /// A fill's price and quantity may show later than its status.
    fn view(&self, order: &Order, tags: bool) -> View<'_> {
        let late = order.executed_at.is_some_and(|at| {
            self.now < at.plus(self.rules.latencies.average) || self.unpriced(order.id, at)
        });
        View { tags, executions: !late, practice: &self.rules.practice }
    }

    pub(super) fn own_order(&self, account: &str, id: &str) -> Option<u64> {
        let id: u64 = id.parse().ok()?;
        self.orders.get(&id).filter(|order| order.account == account).map(|order| order.id)
    }
}

/// What an order's row is about.
fn symbol(order: &Order) -> String {
    order.underlying().map_or_else(String::new, |it| it.to_string())
}
