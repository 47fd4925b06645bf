//! Where a working order's limit stands and when it moves (spec 3, "Orders and their plans").
//!
//! Each rung reads the NBBO anew. A limit only ever becomes more aggressive, never leaves the tick grid and never
//! goes beyond its bound. Entries end; closes do not, but for the last trade of their series.

use std::time::Duration;

use domain::intent::Action;
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Side, TickGrid};
use domain::order::Attempt;
use domain::planted::{self, Bug};
use domain::setup::{Direction, SetupLevels};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

/// How long an entry is worked.
pub const ENTRY_WINDOW: Duration = Duration::from_secs(20);
/// From then on a target's limit is the bid.
pub const TARGET_PATIENCE: Duration = Duration::from_secs(10);

/// How an order is worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Buys: from the passive side of mid, a tick up every 3 seconds, for 20 seconds, up to the worst price.
    Entry,
    /// Sells at a target: from mid rounded up, a tick down every 2 seconds, at the bid after 10, until filled.
    Target,
    /// Sells at once: the bid, then every 2 seconds 1, 2, 4 ... ticks under it, until filled.
    Urgent,
}

impl Plan {
    /// The plan an action is worked by.
    pub const fn for_action(action: Action) -> Self {
        match action {
            Action::Enter => Self::Entry,
            Action::TakeProfit1 | Action::TakeProfit2 => Self::Target,
            // A protection is not walked; where its rest has to go, it goes as a stop does.
            Action::Stop
            | Action::Terminal
            | Action::Flatten
            | Action::ProtectT1
            | Action::ProtectRunner
            | Action::Balance
            | Action::Emergency => Self::Urgent,
        }
    }

    /// Time between two rungs.
    pub const fn pace(self) -> Duration {
        match self {
            Self::Entry => Duration::from_secs(3),
            Self::Target | Self::Urgent => Duration::from_secs(2),
        }
    }

    /// Which way it trades.
    pub const fn side(self) -> Side {
        match self {
            Self::Entry => Side::Buy,
            Self::Target | Self::Urgent => Side::Sell,
        }
    }
}

/// What a walk is held to, all of it fixed while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How it is worked.
    pub plan: Plan,
    /// The prices the series may be quoted at.
    pub grid: TickGrid,
    /// The price it never goes beyond. Entries have one; a close has none but the smallest tick.
    pub bound: Option<Price>,
    /// When the intent's first attempt was marked.
    pub started_at: UtcNanos,
    /// When it ends in any case: the end of the entry hours, or the last trade for closes.
    pub until: UtcNanos,
}

/// A limit, and when the next one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rung {
    /// The limit.
    pub price: Price,
    /// Its number, from 0.
    pub rung: u16,
    /// When the next step is due.
    pub due: UtcNanos,
}

/// What comes next in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The order works at this limit. Where it is the limit it has already, nothing is sent.
    Rung(Rung),
    /// The order is cancelled and what filled is kept.
    Stop(StopReason),
}

/// Why a walk ends without a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// An entry's window is over.
    TimedOut,
    /// The entry hours are over.
    EntryHours,
    /// The index left the entry zone by more than a quarter of R.
    BeyondZone,
    /// The index is within half of R of the first target.
    NearTarget,
    /// An entry without a two-sided quote has no price to start from.
    NoQuote,
    /// The series no longer trades.
    LastTrade,
}

impl StopReason {
    /// The code kept with the intent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::EntryHours => "entry_hours",
            Self::BeyondZone => "beyond_zone",
            Self::NearTarget => "near_t1",
            Self::NoQuote => "no_quote",
            Self::LastTrade => "last_trade",
        }
    }
}

/// The first limit of a walk.
pub fn first(terms: &Terms, quote: Option<&OptionQuote>, now: UtcNanos) -> Next {
    step(terms, quote, now, 0, None)
}

/// The limit after the one `last` worked at, or the same one while its time is not up. A new attempt for the rest
/// of a walk goes on where the ended one stood.
pub fn next(terms: &Terms, last: &Attempt, quote: Option<&OptionQuote>, now: UtcNanos) -> Next {
    let due = last.repriced_at.plus(terms.plan.pace());
    if now < due
        && let Some(price) = within(terms, last.price)
        && over(terms, now).is_none()
    {
        return Next::Rung(Rung { price, rung: last.rung, due: capped(terms, due) });
    }
    step(terms, quote, now, last.rung.saturating_add(1), Some(last.price))
}

/// Why an entry is given up before it filled: the index ran from its zone, or most of the way to the first target is
/// gone. Unknown spot gives nothing up.
pub fn abandon(direction: Direction, levels: &SetupLevels, spot: Option<Points>) -> Option<StopReason> {
    let spot = spot?;
    let ahead = |points: Points| points.0.saturating_mul(direction.sign());
    let edge = match direction {
        Direction::Long => levels.zone_high,
        Direction::Short => levels.zone_low,
    };
    let r = levels.r_index.0;
    // In quarters and halves of R without a division: exact.
    if ahead(spot).saturating_sub(ahead(edge)).saturating_mul(4) > r {
        return Some(StopReason::BeyondZone);
    }
    (ahead(levels.t1).saturating_sub(ahead(spot)).saturating_mul(2) < r).then_some(StopReason::NearTarget)
}

fn step(terms: &Terms, quote: Option<&OptionQuote>, now: UtcNanos, rung: u16, before: Option<Price>) -> Next {
    if let Some(reason) = over(terms, now) {
        return Next::Stop(reason);
    }
    let wanted = match terms.plan {
        Plan::Entry => entry_price(terms, quote, now, rung),
        Plan::Target => Some(target_price(terms, quote, now, rung)),
        Plan::Urgent => Some(urgent_price(terms, quote, rung)),
    };
    // Without a price to go to, an order that works already stays where it is.
    let Some(price) = wanted.map(|it| keep_ground(terms, it, before)).or(before) else {
        return Next::Stop(StopReason::NoQuote);
    };
    match within(terms, price) {
        Some(price) => Next::Rung(Rung { price, rung, due: capped(terms, now.plus(terms.plan.pace())) }),
        None => Next::Stop(StopReason::NoQuote),
    }
}

/// Whether the walk's time is up.
fn over(terms: &Terms, now: UtcNanos) -> Option<StopReason> {
    match terms.plan {
        Plan::Entry if now >= terms.started_at.plus(ENTRY_WINDOW) => Some(StopReason::TimedOut),
        Plan::Entry => (now >= terms.until).then_some(StopReason::EntryHours),
        Plan::Target | Plan::Urgent => (now >= terms.until).then_some(StopReason::LastTrade),
    }
}

/// The next look comes no later than the walk's own end.
fn capped(terms: &Terms, due: UtcNanos) -> UtcNanos {
    match terms.plan {
        Plan::Entry => due.min(terms.started_at.plus(ENTRY_WINDOW)).min(terms.until),
        Plan::Target | Plan::Urgent => due.min(terms.until),
    }
}

/// A walk never takes an offer back.
fn keep_ground(terms: &Terms, wanted: Price, before: Option<Price>) -> Price {
    match (terms.plan.side(), before) {
        (_, None) => wanted,
        (Side::Buy, Some(before)) => wanted.max(before),
        (Side::Sell, Some(before)) => wanted.min(before),
    }
}

/// On the grid, within the bound, at least one tick; `None` where no such price exists.
fn within(terms: &Terms, price: Price) -> Option<Price> {
    let bounded = match (terms.plan.side(), terms.bound) {
        (Side::Buy, Some(_)) if planted::is(Bug::BoundIgnored) => terms.grid.up(terms.grid.up(price)),
        (Side::Sell, _) if planted::is(Bug::OffTheGrid) => Price::from_cents(price.cents().saturating_sub(1)),
        (Side::Buy, Some(worst)) => terms.grid.floor(price.min(worst)),
        (Side::Buy, None) => terms.grid.floor(price),
        (Side::Sell, Some(worst)) => terms.grid.ceil(price.max(worst)),
        (Side::Sell, None) => terms.grid.ceil(price).max(terms.grid.one_tick()),
    };
    (bounded > Price::ZERO).then_some(bounded)
}

/// Mid rounded down plus a tick for each rung, not above the ask; the last rung rounds up.
fn entry_price(terms: &Terms, quote: Option<&OptionQuote>, now: UtcNanos, rung: u16) -> Option<Price> {
    let (bid, ask) = quote?.two_sided()?;
    let is_last = now.plus(terms.plan.pace()) >= terms.started_at.plus(ENTRY_WINDOW);
    let towards = if is_last { Side::Sell } else { Side::Buy };
    let mid = Price::from_model(bid.mid(ask), towards, terms.grid).ok()?.max(terms.grid.one_tick());
    Some(terms.grid.step_by(mid, i32::from(rung)).min(terms.grid.ceil(ask)))
}

/// Mid rounded up less a tick for each rung, not under the bid; the bid once patience is over.
fn target_price(terms: &Terms, quote: Option<&OptionQuote>, now: UtcNanos, rung: u16) -> Price {
    let bid = bid_or_tick(terms, quote);
    let patient = now < terms.started_at.plus(TARGET_PATIENCE);
    match quote.and_then(OptionQuote::mid).and_then(|it| Price::from_model(it, Side::Sell, terms.grid).ok()) {
        Some(mid) if patient => terms.grid.step_by(mid, -i32::from(rung)).max(bid),
        _ => bid,
    }
}

/// The bid less 0, 1, 2, 4 ... ticks, at least one tick.
fn urgent_price(terms: &Terms, quote: Option<&OptionQuote>, rung: u16) -> Price {
    below_bid(terms.grid, bid_or_tick(terms, quote), rung)
}

/// `bid` less 0, 1, 2, 4 ... ticks by rung, at least one tick. Doubling ends at 1,024 ticks, where the smallest price
/// is long reached.
pub fn below_bid(grid: TickGrid, bid: Price, rung: u16) -> Price {
    let ticks = if rung == 0 { 0 } else { 1i32 << (rung - 1).min(10) };
    grid.step_by(bid, -ticks).max(grid.one_tick())
}

/// The bid on the grid; one tick where nobody bids.
fn bid_or_tick(terms: &Terms, quote: Option<&OptionQuote>) -> Price {
    let bid = quote.and_then(|it| it.bid).map_or(Price::ZERO, |it| terms.grid.floor(it));
    bid.max(terms.grid.one_tick())
}

#[cfg(test)]
mod tests;
