//! Looking for the order that a lost answer may have left behind (TRADIER.md section 14).

use std::time::Duration;

use crate::ids::{BrokerOrderId, OrderTag};
use crate::money::Side;
use crate::order::{BrokerOrder, Ticket};
use crate::symbol::OccSymbol;
use crate::ticket::{BracketTicket, ComboTicket, Exits};
use crate::time::UtcNanos;

/// How far the broker's clock and ours may differ before an order is somebody else's.
const CLOCKS_APART: Duration = Duration::from_secs(5);
/// How long after its send an order may still be created: a slow acceptance takes up to a minute.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(90);

/// One leg of what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SoughtLeg {
    series: OccSymbol,
    side: Side,
    opens: bool,
    quantity: u32,
}

/// What was sent and when: enough to know it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// Sorted.
    legs: Vec<SoughtLeg>,
    sent_at: UtcNanos,
    /// The broker drops the tag of brackets.
    tag_is_kept: bool,
}

impl Sought {
    /// A single-leg order.
    pub fn single(ticket: &Ticket, sent_at: UtcNanos) -> Self {
        let side = ticket.side();
        let (series, quantity) = (ticket.series(), ticket.quantity());
        Self {
            legs: vec![SoughtLeg { series, side, opens: ticket.opens(), quantity }],
            sent_at,
            tag_is_kept: true,
        }
    }

    /// A combination.
    pub fn combo(ticket: &ComboTicket, sent_at: UtcNanos) -> Self {
        let leg = |it: &crate::ticket::ComboLeg| SoughtLeg {
            series: it.series,
            side: it.side.side(),
            opens: it.side.opens(),
            quantity: it.ratio.saturating_mul(ticket.units()),
        };
        let mut legs: Vec<SoughtLeg> = ticket.legs().iter().map(leg).collect();
        legs.sort_unstable();
        Self { legs, sent_at, tag_is_kept: true }
    }

    /// Orders that hang together.
    pub fn bracket(ticket: &BracketTicket, sent_at: UtcNanos) -> Self {
        let (series, quantity) = (ticket.series(), ticket.quantity());
        let leg = |side, opens| SoughtLeg { series, side, opens, quantity };
        let exits = match ticket.exits() {
            Exits::Target(_) | Exits::Protection(_) => 1,
            Exits::Both(..) => 2,
        };
        let mut legs: Vec<SoughtLeg> = ticket.entry().map(|_| leg(Side::Buy, true)).into_iter().collect();
        legs.extend(std::iter::repeat_n(leg(Side::Sell, false), exits));
        legs.sort_unstable();
        Self { legs, sent_at, tag_is_kept: false }
    }

    /// Whether `order` has these legs.
    fn has_shape_of(&self, order: &BrokerOrder) -> bool {
        let leg = |it: &crate::order::BrokerLeg| SoughtLeg {
            series: it.series,
            side: it.side,
            opens: it.opens,
            quantity: it.quantity,
        };
        let mut legs: Vec<SoughtLeg> = order.legs.iter().map(leg).collect();
        legs.sort_unstable();
        legs == self.legs
    }

    /// Whether `order` was created when this may have been.
    fn has_time_of(&self, order: &BrokerOrder) -> bool {
        order.created_at.is_some_and(|at| {
            at >= self.sent_at.minus(CLOCKS_APART) && at <= self.sent_at.plus(ACCEPTED_WITHIN)
        })
    }
}

/// What today's list says about an order whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagLookup {
    /// It is there: bind the id.
    Found(BrokerOrderId),
    /// More than one is it: freeze and tell.
    Several(Vec<BrokerOrderId>),
    /// An order carries the tag and is not what was sent: freeze and tell.
    Other(BrokerOrderId),
    /// It is not in the list. That proves nothing; `covered` says whether the list provably reached the time of the
    /// send: same New York day, and an order in it that was created no earlier.
    NotFound {
        /// Whether the list reached the send.
        covered: bool,
    },
}

/// Looks for `tag` and what was sent with it in a whole list of today's `orders`, read at `now`.
pub fn look_up(orders: &[BrokerOrder], tag: OrderTag, sought: &Sought, now: UtcNanos) -> TagLookup {
    let tagged: Vec<&BrokerOrder> = orders.iter().filter(|it| it.tag == Some(tag)).collect();
    if let Some(other) = tagged.iter().find(|it| !sought.has_shape_of(it)) {
        return TagLookup::Other(other.id);
    }
    let untagged = orders.iter().filter(|it| {
        !sought.tag_is_kept && it.tag.is_none() && sought.has_shape_of(it) && sought.has_time_of(it)
    });
    let mut ids: Vec<BrokerOrderId> = tagged.into_iter().chain(untagged).map(|it| it.id).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [] => {
            let same_day = now.new_york_date() == sought.sent_at.new_york_date();
            let reached = orders.iter().any(|it| it.created_at.is_some_and(|at| at >= sought.sent_at));
            TagLookup::NotFound { covered: same_day && reached }
        }
        [one] => TagLookup::Found(*one),
        _ => TagLookup::Several(ids),
    }
}

#[cfg(test)]
mod tests;
