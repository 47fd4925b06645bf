//! Reading orders (TRADIER.md section 8).

use super::Sandbox;
use super::answer::Answer;
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

impl Sandbox {
    pub(super) fn order_list(&self, account: &str, params: &Params<'_>) -> Result<Answer, Invalid> {
        let tags = params.flag("includeTags")?;
        let page = params.count("page", 1, 1_000_000)?;
        let limit = params.count("limit", self.rules.practice.page_rows.clamp(1, PAGE_MAX), PAGE_MAX)?;
        let wanted: Option<Vec<&str>> = params.get("status").map(|it| it.split(',').map(str::trim).collect());
        if wanted.iter().flatten().any(|it| !STATUSES.contains(it)) {
            return Err(Invalid::new("status", "is not valid."));
        }
        let today = self.now.new_york_date();
        let practice = &self.rules.practice;
        let shown = |order: &&Order| {
            let of_today = || order.created.new_york_date() == today;
            order.parent.is_none()
                && order.created.plus(self.rules.latencies.list) <= self.now
                && self.listed(order.id)
                && ((order.is_live() && practice.earlier_listed) || of_today())
                && wanted.as_ref().is_none_or(|it| it.contains(&super::shape::status_word(order, practice)))
        };
        let skipped = page.saturating_sub(1).saturating_mul(limit);
        let ids = self.accounts.get(account).into_iter().flat_map(|it| &it.orders);
        let orders = ids.filter_map(|id| self.orders.get(id)).filter(shown).skip(skipped).take(limit);
        let orders: Vec<(&Order, String)> = orders.map(|it| (it, symbol(it))).collect();
        let parts: Vec<Vec<(&Order, String)>> = orders.iter().map(|(it, _)| self.parts(it)).collect();
        let rows =
            orders.iter().zip(&parts).map(|((order, symbol), parts)| self.row(order, symbol, parts, tags));
        Ok(Answer::json(&Under("orders", Listed::new("order", rows.collect()))))
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
