//! Cash, as the broker's balances tell it, against what our fills of the session brought and cost.
//!
//! Two balances of the session are compared: nothing is asked of the broker for it. Where somebody traded by hand, an order
//! works, or a fill lies too near one of the two, the comparison would be a guess and is left to a later run.

use std::time::Duration;

use domain::money::Usd;
use domain::ports::{DifferenceKind, Snapshot};
use domain::position::Fill;
use domain::time::UtcNanos;

use super::{Books, Found};

/// A fill this near to a balance may be in it or not.
const NEAR: Duration = Duration::from_secs(60);
/// Charges are ours to the cent but for what an exchange rounds: this much a contract is no difference.
const CHARGES_MAY_DIFFER: Usd = Usd::from_cents(25);

pub(super) fn compare(books: &Books<'_>, found: &mut Found) {
    let [first, .., last] = books.snapshots else { return };
    let by_hand = books.orders.iter().any(|it| it.tag.is_none() && super::executed(it) > 0);
    if by_hand || first.balances.pending_orders > 0 || last.balances.pending_orders > 0 {
        return;
    }
    let Some((expected, contracts)) = moved_by_us(books, first, last) else { return };
    let moved = last.balances.total_cash - first.balances.total_cash;
    if (moved - expected).abs() > CHARGES_MAY_DIFFER.times(i64::from(contracts)) {
        let (ours, broker) = (format!("{expected} by our fills"), format!("{moved} by its balances"));
        found.note(DifferenceKind::CashMismatch, "cash", ours, broker, "alert");
    }
}

/// What our fills between two balances moved, and over how many contracts; `None` where one of them cannot be placed or has
/// no price yet.
fn moved_by_us(books: &Books<'_>, first: &Snapshot, last: &Snapshot) -> Option<(Usd, u32)> {
    let near = |fill: &Fill, at: UtcNanos| fill.at.since(at) < NEAR && at.since(fill.at) < NEAR;
    let (mut moved, mut contracts) = (Usd::ZERO, 0_u32);
    for fill in books.intents.iter().flat_map(|it| &it.fills) {
        if near(fill, first.at) || near(fill, last.at) {
            return None;
        }
        if first.at < fill.at && fill.at < last.at {
            moved += fill.cash()? - fill.fees;
            contracts = contracts.saturating_add(fill.contracts());
        }
    }
    Some((moved, contracts))
}
