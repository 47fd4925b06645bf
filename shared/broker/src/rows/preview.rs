//! What an order would cost (TRADIER.md section 9.3). Advice: no order, no id.

use domain::money::Usd;
use serde::Deserialize;

use crate::json::{self, Raw, Unreadable};

/// The broker's estimate. Sells have negative costs; what the broker leaves out is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Whether the broker would take it.
    pub result: bool,
    /// The premium, paid above zero.
    pub order_cost: Option<Usd>,
    /// The broker's commission.
    pub commission: Option<Usd>,
    /// Exchange and regulatory fees, as far as the broker knows them.
    pub fees: Option<Usd>,
    /// All three together.
    pub cost: Option<Usd>,
    /// By how much the requirement changes: of a spread its full width.
    pub margin_change: Option<Usd>,
    /// The options' requirement after it.
    pub option_requirement: Option<Usd>,
    /// Day trades counted under the old rule.
    pub day_trades: Option<u32>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct PreviewRow<'a> {
    result: Raw<'a>,
    status: Raw<'a>,
    order_cost: Raw<'a>,
    commission: Raw<'a>,
    fees: Raw<'a>,
    cost: Raw<'a>,
    margin_change: Raw<'a>,
    option_requirement: Raw<'a>,
    day_trades: Raw<'a>,
}

/// An estimate.
///
/// # Errors
/// [`Unreadable`] where it says neither a result nor a cost.
pub fn preview(body: &str) -> Result<Preview, Unreadable> {
    let row: PreviewRow<'_> = json::parse(json::field(body, "order", "order")?.get(), "a preview")?;
    let cost = json::usd(row.cost);
    let result = match json::flag(row.result) {
        Some(result) => result,
        // Older servers leave the result out and say `ok` beside the cost.
        None if cost.is_some() => json::text(row.status).is_some_and(|it| it == "ok"),
        None => return Err(Unreadable("a preview's result")),
    };
    Ok(Preview {
        result,
        order_cost: json::usd(row.order_cost),
        commission: json::usd(row.commission),
        fees: json::usd(row.fees),
        cost,
        margin_change: json::usd(row.margin_change),
        option_requirement: json::usd(row.option_requirement),
        day_trades: json::count(row.day_trades),
    })
}
