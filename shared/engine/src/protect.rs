//! Disaster orders: what rests at the broker from the first fill of an entry (spec 3, "Who triggers").
//!
//! Stops are watched by us on the index. Should we be away while the market falls through one, a stop-limit order at the
//! broker sells on its own: one for what T1 will close, one for the runner. Its prices follow a model of the series at the
//! index level half an R beyond the stop, and are looked at again on each move of the trail and every five minutes.

use std::time::Duration;

use domain::ids::IntentId;
use domain::intent::{Action, CloseAmount, ClosingIntent, IntentHead, OpeningIntent, OrderIntent, intent_id};
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Side, TickGrid};
use domain::ports::{IntentView, NewIntent};
use domain::position::Owned;
use domain::setup::{Direction, SetupLevels};
use domain::symbol::OccSymbol;
use domain::ticket::StopLimit;
use domain::time::UtcNanos;

use crate::selection::Model;

/// A protection's prices are as old as this at most.
pub const REPRICE_EVERY: Duration = Duration::from_secs(5 * 60);
/// Ticks from the stop down to the limit, at least.
const LIMIT_TICKS: i32 = 5;
/// Part of the stop that the limit keeps, at most.
const LIMIT_KEEPS: f64 = 0.60;
/// The limit is never under this.
const LIMIT_MIN: Price = Price::from_cents(5);

/// The two protections of an entry, to be written with its first fill: one for T1's share, one for what it leaves. Written
/// again they are the same intents.
pub fn intents(opening: &OpeningIntent, t1_fraction_bp: u32, at: UtcNanos) -> [NewIntent; 2] {
    let tranches = [
        (Action::ProtectT1, CloseAmount::FractionBp(t1_fraction_bp)),
        (Action::ProtectRunner, CloseAmount::RestBp(t1_fraction_bp)),
    ];
    tranches.map(|(action, amount)| {
        let entry = opening.head;
        // The entry's own step: every close of the setup comes later, and asks what is earlier to stop.
        let id = intent_id(entry.origin, entry.sequence, entry.account.account, action, None);
        let head = IntentHead { id, action, decided_at: at, ..entry };
        let reason = "disaster".to_owned();
        let closing = ClosingIntent { head, opening: Some(entry.id), amount, reason };
        NewIntent::ready(OrderIntent::Closing(closing), at)
    })
}

/// Whether a close asks this protection to stop: T1 leaves the runner's alone, every other close ends both.
pub const fn makes_way(protection: Action, close: Action) -> bool {
    match (protection, close) {
        (
            Action::ProtectT1 | Action::ProtectRunner,
            Action::Enter | Action::ProtectT1 | Action::ProtectRunner,
        )
        | (Action::ProtectRunner, Action::TakeProfit1) => false,
        (Action::ProtectT1, Action::TakeProfit1)
        | (
            Action::ProtectT1 | Action::ProtectRunner,
            Action::TakeProfit2 | Action::Stop | Action::Terminal | Action::Flatten | Action::Emergency,
        ) => true,
        // The legs of a structure are not a single long's to protect.
        (Action::ProtectT1 | Action::ProtectRunner, Action::Balance) => false,
        (
            Action::Enter
            | Action::TakeProfit1
            | Action::TakeProfit2
            | Action::Stop
            | Action::Terminal
            | Action::Flatten
            | Action::Balance
            | Action::Emergency,
            _,
        ) => false,
    }
}

/// Contracts of T1's share that were sold so far, at T1 or by its protection. `intents` are those of the setup.
pub fn sold_of_t1(intents: &[IntentView], opening: IntentId) -> u32 {
    let of_t1 = intents.iter().filter(|it| match &it.intent {
        OrderIntent::Closing(closing) => {
            closing.opening == Some(opening)
                && matches!(closing.head.action, Action::TakeProfit1 | Action::ProtectT1)
        }
        OrderIntent::Opening(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => false,
    });
    of_t1.map(|it| it.filled).fold(0, u32::saturating_add)
}

/// Contracts of a tranche that are still held.
pub fn left(closing: &ClosingIntent, entry: &Owned, sold_of_t1: u32) -> u32 {
    match closing.amount {
        CloseAmount::FractionBp(_) => {
            let share = closing.amount.of(entry.bought, entry.held().saturating_add(sold_of_t1));
            share.saturating_sub(sold_of_t1).min(entry.held())
        }
        CloseAmount::RestBp(bp) => {
            let t1 = CloseAmount::FractionBp(bp).of(entry.bought, entry.bought);
            entry.held().saturating_sub(t1.saturating_sub(sold_of_t1))
        }
        CloseAmount::All => entry.held(),
    }
}

/// What a protection's prices follow from.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The series.
    pub series: OccSymbol,
    /// Its quote now.
    pub quote: &'a OptionQuote,
    /// The index now.
    pub spot: Points,
    /// The way the setup expects the index to go.
    pub direction: Direction,
    /// Its levels now, the stop as far as it trailed.
    pub levels: &'a SetupLevels,
    /// Market time.
    pub now: UtcNanos,
}

/// Stop and limit: the modelled value with the index half an R beyond the setup's stop, less half the spread, under the
/// bid and on the tick; the limit five ticks or 40 % under it, whichever is more. `None` without a two-sided quote, or
/// where no price lies under the bid.
pub fn prices(standing: &Standing<'_>) -> Option<StopLimit> {
    let half = Points(standing.levels.r_index.0 / 2);
    let beyond = Points(half.0.saturating_mul(standing.direction.sign()));
    at_index(standing, standing.levels.stop.minus(beyond))
}

/// The same with nothing known of the index but where it was: half of what lies between the level and the last value is
/// taken, so that the order triggers sooner.
pub fn tightened(standing: &Standing<'_>) -> Option<StopLimit> {
    let stop = standing.levels.stop;
    at_index(standing, Points(stop.0.saturating_add(standing.spot.0) / 2))
}

fn at_index(standing: &Standing<'_>, level: Points) -> Option<StopLimit> {
    let (bid, ask) = standing.quote.two_sided()?;
    let grid = TickGrid::single_leg(&standing.series.root, standing.now.new_york_date());
    let model = Model::fit(standing.series, standing.spot.to_f64(), bid.mid(ask), standing.now)?;
    let half_spread = (ask.to_f64() - bid.to_f64()) / 2.0;
    let value = (model.value(level.to_f64(), standing.now) - half_spread).max(0.0);
    let wanted = Price::from_model(value, Side::Buy, grid).ok()?.max(grid.one_tick());
    let under_bid = grid.down(grid.ceil(bid));
    let stop = wanted.min(under_bid);
    if stop == Price::ZERO {
        return None;
    }
    let by_ticks = grid.step_by(stop, -LIMIT_TICKS);
    let by_part = Price::from_model(stop.to_f64() * LIMIT_KEEPS, Side::Buy, grid).ok()?;
    let limit = by_ticks.min(by_part).max(LIMIT_MIN).min(stop);
    StopLimit::new(stop, limit).ok()
}

#[cfg(test)]
mod tests;
