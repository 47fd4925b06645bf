//! Where the net limit of an order on a structure stands and when it moves (spec 3, "Orders and their plans").
//!
//! A net is paid above zero, so that for entries and closes alike a higher one fills sooner. It only ever rises, never
//! leaves its grid and never goes beyond its bound. A leg that is closed on its own is walked the same way, on its own grid.

use std::time::Duration;

use domain::intent::Action;
use domain::market::OptionQuote;
use domain::money::{Price, Side, TickGrid};
use domain::symbol::OccSymbol;
use domain::ticket::{ComboLeg, Net};
use domain::time::UtcNanos;

use crate::walk::StopReason;

/// How long an entry is worked, and how long a close is patient.
pub const WINDOW: Duration = Duration::from_secs(120);
/// Time between two patient rungs.
const PACE: Duration = Duration::from_secs(10);
/// Time between two urgent ones.
const URGENT_PACE: Duration = Duration::from_secs(2);
/// Time between two looks at a close that can go no further.
const REST: Duration = Duration::from_secs(15);
/// How long before the end of its trading a patient close goes faster, and how fast then.
const FASTER: [(Duration, Duration); 2] = [
    (Duration::from_secs(10 * 60), Duration::from_secs(2)),
    (Duration::from_secs(30 * 60), Duration::from_secs(5)),
];
/// How far over the natural price an emergency goes.
const EMERGENCY_TICKS: i32 = 2;

/// How an order on a structure is worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// From the net mid, a step each 10 seconds, for 120 seconds, up to the worst net.
    Entry {
        /// The worst net a unit may get.
        worst: Net,
    },
    /// As an entry, faster near the close; after its window as [`Plan::Urgent`].
    Close {
        /// The most it may cost.
        width: Price,
    },
    /// The natural price at once, then every 2 seconds 1, 2, 4 ... ticks beyond it, until filled.
    Urgent {
        /// The most it may cost; a leg on its own has no such bound.
        width: Option<Price>,
    },
    /// The natural price and two ticks, at most the width, pegged again every 2 seconds.
    Emergency {
        /// The most it may cost.
        width: Price,
    },
}

impl Plan {
    /// The plan by which an exit of a structure of this width is worked.
    pub const fn for_exit(action: Action, width: Price) -> Self {
        match action {
            Action::Enter | Action::TakeProfit1 | Action::TakeProfit2 | Action::Flatten => {
                Self::Close { width }
            }
            Action::Stop | Action::Terminal | Action::ProtectT1 | Action::ProtectRunner | Action::Balance => {
                Self::Urgent { width: Some(width) }
            }
            Action::Emergency => Self::Emergency { width },
        }
    }
}

/// What a walk is held to, all of it fixed while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How it is worked.
    pub plan: Plan,
    /// The prices its order may have.
    pub grid: TickGrid,
    /// Which way a leg on its own is traded: its price is never zero. `None` for a combination.
    pub lone: Option<Side>,
    /// When it started.
    pub started_at: UtcNanos,
    /// When it ends in any case: the end of the entry hours, or the last trade.
    pub until: UtcNanos,
}

/// The grid of an order with `legs`: the net's, or a single series' own.
pub fn grid(legs: &[ComboLeg], series: &OccSymbol, now: UtcNanos) -> TickGrid {
    let day = now.new_york_date();
    if legs.len() == 1 {
        TickGrid::single_leg(&series.root, day)
    } else {
        TickGrid::net(&series.root, false, day)
    }
}

/// A net limit, and when the next one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// The limit.
    pub net: Net,
    /// Its number, from 0.
    pub rung: u16,
    /// When the next step is due.
    pub due: UtcNanos,
}

/// What comes next in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The order works at this limit.
    Rung(Rung),
    /// The order is cancelled and what filled is kept.
    Stop(StopReason),
}

/// The net of a unit by the quotes of its legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetQuote {
    /// What it costs at the far touches; `None` where a leg to be bought is not offered. A leg nobody bids for is sold
    /// for nothing.
    pub natural: Option<Net>,
    /// What it would cost at the near ones; `None` where a leg to be sold is not offered.
    pub passive: Option<Net>,
    /// Whether every leg has both sides.
    pub is_two_sided: bool,
}

/// The net of one unit of `legs`; `quotes` are those of their series, in their order.
pub fn net_quote(legs: &[ComboLeg], quotes: &[Option<OptionQuote>]) -> NetQuote {
    let (mut natural, mut passive) = (Some(0i64), Some(0i64));
    let mut is_two_sided = quotes.len() == legs.len();
    for (n, leg) in legs.iter().enumerate() {
        let quote = quotes.get(n).copied().flatten();
        let bid = quote.and_then(|it| it.bid).filter(|it| *it > Price::ZERO);
        let ask = quote.and_then(|it| it.ask).filter(|it| *it > Price::ZERO);
        is_two_sided &= quote.is_some_and(|it| it.two_sided().is_some());
        let side = leg.side.side();
        let (far, near) = match side {
            Side::Buy => (ask, Some(bid.unwrap_or(Price::ZERO))),
            Side::Sell => (Some(bid.unwrap_or(Price::ZERO)), ask),
        };
        let add = |sum: Option<i64>, price: Option<Price>| {
            let part =
                i64::from(price?.cents()).saturating_mul(i64::from(leg.ratio)).saturating_mul(side.sign());
            Some(sum?.saturating_add(part))
        };
        (natural, passive) = (add(natural, far), add(passive, near));
    }
    NetQuote { natural: natural.map(Net::from_cents), passive: passive.map(Net::from_cents), is_two_sided }
}

/// The legs to be sold that have no bid although their series is quoted: wings that nobody bids for.
pub fn unbid_wings(legs: &[ComboLeg], quotes: &[Option<OptionQuote>]) -> Vec<OccSymbol> {
    let is_unbid = |(leg, quote): &(&ComboLeg, &Option<OptionQuote>)| {
        let bid = quote.and_then(|it| it.bid).filter(|it| *it > Price::ZERO);
        leg.side.side() == Side::Sell && quote.is_some() && bid.is_none()
    };
    legs.iter().zip(quotes).filter(is_unbid).map(|(leg, _)| leg.series).collect()
}

/// The first limit of a walk.
pub fn first(terms: &Terms, quote: &NetQuote, now: UtcNanos) -> Next {
    step(terms, quote, now, 0, None)
}

/// The limit after `last` (its net, its rung, when it moved there), or the same one while its time is not up.
pub fn next(terms: &Terms, last: (Net, u16, UtcNanos), quote: &NetQuote, now: UtcNanos) -> Next {
    let (net, rung, moved_at) = last;
    let due = moved_at.plus(pace_at(terms, net, now));
    if now < due && over(terms, now).is_none() {
        return Next::Rung(Rung { net, rung, due: capped(terms, due) });
    }
    step(terms, quote, now, rung.saturating_add(1), Some(net))
}

fn step(terms: &Terms, quote: &NetQuote, now: UtcNanos, rung: u16, before: Option<Net>) -> Next {
    if let Some(reason) = over(terms, now) {
        return Next::Stop(reason);
    }
    let wanted = match terms.plan {
        // An entry goes by two-sided quotes alone.
        Plan::Entry { .. } if !quote.is_two_sided => None,
        Plan::Entry { .. } => patient(terms, quote, now, rung),
        Plan::Close { .. } => match urgent_rung(terms, now) {
            Some(urgent) => beyond(terms, quote, urgent),
            None => patient(terms, quote, now, rung).or_else(|| beyond(terms, quote, 0)),
        },
        Plan::Urgent { .. } => beyond(terms, quote, rung),
        Plan::Emergency { .. } => {
            quote.natural.map(|it| ticks_up(terms, it.toward_fill(terms.grid), EMERGENCY_TICKS))
        }
    };
    // Without a price to go to, an order that works already stays where it is.
    let Some(net) = wanted.map(|it| before.map_or(it, |before| it.max(before))).or(before) else {
        return Next::Stop(StopReason::NoQuote);
    };
    let net = bounded(terms, net);
    Next::Rung(Rung { net, rung, due: capped(terms, now.plus(pace_at(terms, net, now))) })
}

/// Time until the next look at an order at `net`: one that can go no further rests, and the account stream tells of its fill.
fn pace_at(terms: &Terms, net: Net, now: UtcNanos) -> Duration {
    let pace = pace(terms, now);
    match terms.plan {
        Plan::Entry { .. } => pace,
        Plan::Close { .. } | Plan::Urgent { .. } | Plan::Emergency { .. } => {
            let is_at_its_end = bounded(terms, ticks_up(terms, net, 1)) == net;
            if is_at_its_end { REST.max(pace) } else { pace }
        }
    }
}

/// Whether the walk's time is up. A close never is before its last trade.
fn over(terms: &Terms, now: UtcNanos) -> Option<StopReason> {
    match terms.plan {
        Plan::Entry { .. } if now >= terms.started_at.plus(WINDOW) => Some(StopReason::TimedOut),
        Plan::Entry { .. } => (now >= terms.until).then_some(StopReason::EntryHours),
        Plan::Close { .. } | Plan::Urgent { .. } | Plan::Emergency { .. } => {
            (now >= terms.until).then_some(StopReason::LastTrade)
        }
    }
}

/// Time between two rungs.
fn pace(terms: &Terms, now: UtcNanos) -> Duration {
    match terms.plan {
        Plan::Entry { .. } => PACE,
        Plan::Urgent { .. } | Plan::Emergency { .. } => URGENT_PACE,
        Plan::Close { .. } if urgent_rung(terms, now).is_some() => URGENT_PACE,
        Plan::Close { .. } => {
            let left = terms.until.since(now);
            FASTER.iter().find(|(within, _)| left <= *within).map_or(PACE, |(_, pace)| *pace)
        }
    }
}

/// The next look comes no later than the walk's own end.
fn capped(terms: &Terms, due: UtcNanos) -> UtcNanos {
    match terms.plan {
        Plan::Entry { .. } => due.min(terms.started_at.plus(WINDOW)).min(terms.until),
        Plan::Close { .. } | Plan::Urgent { .. } | Plan::Emergency { .. } => due.min(terms.until),
    }
}

/// Which urgent rung a close is at; `None` while it is patient.
fn urgent_rung(terms: &Terms, now: UtcNanos) -> Option<u16> {
    let patient_until = terms.started_at.plus(WINDOW);
    let over = (now >= patient_until).then(|| now.since(patient_until))?;
    u16::try_from(over.as_secs().checked_div(URGENT_PACE.as_secs())?).ok()
}

/// The net mid and a step for each rung, not over the natural price. A step is the larger of a tick and a twentieth of
/// the spread; every rung rounds to the passive side, an entry's last towards the fill.
fn patient(terms: &Terms, quote: &NetQuote, now: UtcNanos, rung: u16) -> Option<Net> {
    let (natural, passive) = (quote.natural?, quote.passive?);
    let spread = natural.cents().saturating_sub(passive.cents()).max(0);
    let step = i64::from(terms.grid.one_tick().cents()).max(spread.div_euclid(20));
    let mid = passive.cents().saturating_add(spread.div_euclid(2));
    let wanted = Net::from_cents(mid.saturating_add(step.saturating_mul(i64::from(rung))));
    let is_last = matches!(terms.plan, Plan::Entry { .. }) && now.plus(PACE) >= terms.started_at.plus(WINDOW);
    let on_grid = if is_last { wanted.toward_fill(terms.grid) } else { wanted.passive(terms.grid) };
    Some(on_grid.min(natural.toward_fill(terms.grid)))
}

/// The natural price and 0, 1, 2, 4 ... ticks beyond it.
fn beyond(terms: &Terms, quote: &NetQuote, rung: u16) -> Option<Net> {
    let ticks = if rung == 0 { 0 } else { 1i32 << (rung - 1).min(10) };
    Some(ticks_up(terms, quote.natural?.toward_fill(terms.grid), ticks))
}

/// `net` and so many ticks more.
fn ticks_up(terms: &Terms, net: Net, ticks: i32) -> Net {
    let mut net = net;
    let mut left = ticks;
    // Through zero tick by tick, as the grid's threshold lies on both sides of it; at most 1,024 of them.
    while left > 0 {
        net = match net.cents() {
            cents if cents < 0 => Net::credit(terms.grid.down(net.magnitude())),
            _ => Net::debit(terms.grid.up(net.magnitude())),
        };
        left -= 1;
    }
    net
}

/// Within the plan's bound and on the grid; a leg that is sold on its own brings a tick at least.
fn bounded(terms: &Terms, net: Net) -> Net {
    let most = match terms.plan {
        Plan::Entry { worst } => Some(worst),
        Plan::Close { width } | Plan::Emergency { width } => Some(Net::debit(width)),
        Plan::Urgent { width } => width.map(Net::debit),
    };
    let net = match most {
        Some(most) if net > most => most.passive(terms.grid),
        Some(_) | None => net,
    };
    match terms.lone {
        Some(Side::Sell) => net.min(Net::credit(terms.grid.one_tick())),
        Some(Side::Buy) => net.max(Net::debit(terms.grid.one_tick())),
        None => net,
    }
}

#[cfg(test)]
mod tests;
