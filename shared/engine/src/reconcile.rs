//! Our books against the broker's (spec 3, "Reconciliation"): what differs, in both directions, and its cure.
//!
//! Nothing here changes a position: a difference names the intents whose next step asks the broker again. What carries no
//! tag of ours is foreign: labelled, shown, never a fault.

mod cash;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::calendar::last_trade;
use domain::combo::OwnedCombo;
use domain::ids::{IntentId, OrderTag};
use domain::intent::{IntentState, OrderIntent, Origin};
use domain::order::{Attempt, BrokerOrder};
use domain::planted::{self, Bug};
use domain::ports::{Difference, DifferenceKind, IntentView, Snapshot};
use domain::position::{BrokerPosition, Owned};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;

use crate::flatten::{AT_ONCE, LATE_MINUTES};

/// A submission without an answer is its own follow-ups' business until it is this old.
pub const SUBMISSION_AGE_MAX: Duration = Duration::from_secs(30);
/// A close that works longer than this does not end by itself.
pub const CLOSE_AGE_MAX: Duration = Duration::from_secs(60);
/// An entry that works longer than this does not end by itself.
pub const ENTRY_AGE_MAX: Duration = Duration::from_secs(60);
/// A protection whose prices are older than this is looked after by nobody.
pub const PROTECTION_AGE_MAX: Duration = Duration::from_secs(7 * 60);
/// The broker's lists may lag an order, and its averages a fill, by this much.
pub const LAG_MAX: Duration = Duration::from_secs(5);

/// How long before the last trade a scheduled flatten stops being patient.
const LATE: Duration = Duration::from_secs(60 * LATE_MINUTES as u64);

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Books<'a> {
    /// What is ours, by entry.
    pub owned: &'a [Owned],
    /// The structures that are ours, by entry: their short legs count below zero.
    pub structures: &'a [OwnedCombo],
    /// Intents of the account: at least those that are not final.
    pub intents: &'a [IntentView],
    /// The broker's positions.
    pub positions: &'a [BrokerPosition],
    /// The broker's orders of today.
    pub orders: &'a [BrokerOrder],
    /// What was opened by hand and handed over: closed with ours.
    pub taken_over: &'a [(OccSymbol, u32)],
    /// The session's balances as they were stored, in order.
    pub snapshots: &'a [Snapshot],
    /// Market time.
    pub now: UtcNanos,
}

/// What differs, and who asks again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Sorted, each once.
    pub differences: Vec<Difference>,
    /// Intents to be stepped at once, sorted, each once.
    pub steps: Vec<IntentId>,
}

impl Findings {
    /// Whether the books agree. What is foreign is nobody's fault.
    pub fn is_reconciled(&self) -> bool {
        !self.differences.iter().any(|it| it.kind.is_fault())
    }
}

/// Compares.
pub fn diff(books: &Books<'_>) -> Findings {
    let mut found = Found::default();
    for order in books.orders {
        compare_order(books, order, &mut found);
    }
    for view in books.intents {
        compare_intent(books, view, &mut found);
    }
    for owned in books.owned.iter().filter(|it| it.price_missing) {
        let is_known = books.intents.iter().any(|it| it.intent.head().id == owned.opening);
        if !is_known {
            let ours = "a fill without a price";
            found.note(DifferenceKind::PriceMissing, owned.opening, ours, "not asked", "re_ask");
            found.steps.insert(owned.opening);
        }
    }
    compare_positions(books, &mut found);
    cash::compare(books, &mut found);
    Findings {
        differences: found.differences.into_iter().collect(),
        steps: found.steps.into_iter().collect(),
    }
}

#[derive(Default)]
struct Found {
    differences: BTreeSet<Difference>,
    steps: BTreeSet<IntentId>,
}

impl Found {
    fn note(
        &mut self,
        kind: DifferenceKind,
        about: impl ToString,
        ours: impl ToString,
        broker: impl ToString,
        cure: &str,
    ) {
        self.differences.insert(Difference {
            kind,
            about: about.to_string(),
            ours: ours.to_string(),
            broker: broker.to_string(),
            cure: cure.to_owned(),
        });
    }
}

fn executed(order: &BrokerOrder) -> u32 {
    order.legs.iter().map(|it| it.executed).max().unwrap_or(0)
}

/// Whether an order executed more than its attempt knows, of any leg.
fn tells_more(order: &BrokerOrder, attempt: &Attempt) -> bool {
    match &attempt.combo {
        None => executed(order) > attempt.executed,
        Some(combo) => order.legs.iter().any(|leg| {
            let known = combo.legs.iter().find(|it| it.series == leg.series);
            leg.executed > known.map_or(0, |it| it.executed)
        }),
    }
}

/// An order at the broker against the attempt behind its tag.
fn compare_order(books: &Books<'_>, order: &BrokerOrder, found: &mut Found) {
    let is_working = !order.status.is_final();
    let Some(tag) = order.tag else {
        if is_working {
            found.note(DifferenceKind::Foreign, format!("order {}", order.id), "none", "working", "none");
        }
        return;
    };
    let view = books.intents.iter().find(|it| it.intent.head().id == tag.intent);
    let attempt = view.and_then(|it| it.attempts.iter().find(|it| it.no == tag.attempt));
    let broker = format!("{:?}, {} executed", order.status, executed(order));
    match attempt {
        // A final order of an intent that was not handed in is checked by its position.
        None if view.is_none() && !is_working => {}
        None => {
            found.note(DifferenceKind::UnknownAtBroker, tag, "no attempt", broker, "adopt");
            found.steps.insert(tag.intent);
        }
        Some(attempt) if tells_more(order, attempt) => {
            let ours = format!("{} executed", attempt.executed);
            found.note(DifferenceKind::QuantityMismatch, tag, ours, broker, "adopt");
            found.steps.insert(tag.intent);
        }
        Some(attempt) if is_working && attempt.state.is_final() => {
            found.note(DifferenceKind::UnknownAtBroker, tag, attempt.state.as_str(), broker, "adopt");
            found.steps.insert(tag.intent);
        }
        Some(attempt) if attempt.state.is_unresolved() => {
            // The answer was lost and here is the order: its next step adopts it, and nothing differs.
            found.steps.insert(tag.intent);
        }
        Some(_) => {}
    }
}

/// An intent of ours against what the broker shows of it.
fn compare_intent(books: &Books<'_>, view: &IntentView, found: &mut Found) {
    let id = view.intent.head().id;
    for attempt in &view.attempts {
        compare_attempt(books, id, attempt, found);
    }
    let unpriced = view
        .fills
        .iter()
        .filter(|it| it.price.is_none() && books.now.since(it.at) > LAG_MAX)
        .map(|it| OrderTag { intent: id, attempt: it.attempt });
    for tag in unpriced {
        found.note(DifferenceKind::PriceMissing, tag, "a fill without a price", "not asked", "re_ask");
        found.steps.insert(id);
    }
    let started = view.attempts.first().map_or(view.intent.head().decided_at, |it| it.marked_at);
    let age = books.now.since(started.max(patient_until(&view.intent)));
    match view.state {
        // It rests for as long as something is held; one that nobody looked at for so long lost its follow-up.
        IntentState::Ready | IntentState::Working if view.intent.head().action.protects() => {
            let looked_at = view.last_attempt().map_or(view.intent.head().decided_at, |it| it.repriced_at);
            // One that was asked to stop is looked after at once: who waits for it waits to close.
            if view.stop_requested || books.now.since(looked_at) > PROTECTION_AGE_MAX {
                found.steps.insert(id);
            }
        }
        IntentState::Working if !view.intent.opens() && age > CLOSE_AGE_MAX => {
            let ours = format!("working for {} s, {} filled", age.as_secs(), view.filled);
            found.note(DifferenceKind::StuckClose, id, ours, "see its orders", "alert");
            found.steps.insert(id);
        }
        // Its first message is lost: the step is written again.
        IntentState::Ready if age > SUBMISSION_AGE_MAX => {
            found.steps.insert(id);
        }
        // A walk is over in a third of this, its cancel included: its follow-up is lost, and the step is written again.
        IntentState::Working
            if view.intent.opens() && age > ENTRY_AGE_MAX && !planted::is(Bug::FollowUpNotStepped) =>
        {
            found.steps.insert(id);
        }
        IntentState::Ready | IntentState::Working => {}
        IntentState::Blocked | IntentState::WouldSubmit | IntentState::Done => {}
    }
}

/// Until when an intent is in no hurry: a scheduled flatten works its offers down for minutes before it takes the bid, and
/// is not stuck while it does.
fn patient_until(intent: &OrderIntent) -> UtcNanos {
    let head = intent.head();
    let OrderIntent::Closing(closing) = intent else { return head.decided_at };
    match head.origin {
        Origin::Flatten(_) if closing.reason != AT_ONCE => {
            last_trade(&head.series).map_or(head.decided_at, |it| it.minus(LATE))
        }
        Origin::Flatten(_) | Origin::Setup(_) | Origin::Decision(_) => head.decided_at,
    }
}

fn compare_attempt(books: &Books<'_>, intent: IntentId, attempt: &Attempt, found: &mut Found) {
    let tag = OrderTag { intent, attempt: attempt.no };
    let is_there = books.orders.iter().any(|it| {
        it.tag == Some(tag) || (attempt.broker_order.is_some() && attempt.broker_order == Some(it.id))
    });
    let age = books.now.since(attempt.marked_at);
    if is_there || attempt.state.is_final() {
        return;
    }
    if attempt.state.is_unresolved() && age > SUBMISSION_AGE_MAX {
        let ours = format!("{} for {} s", attempt.state.as_str(), age.as_secs());
        found.note(DifferenceKind::StuckSubmission, tag, ours, "no order with this tag", "re_ask");
        found.steps.insert(intent);
    } else if attempt.broker_order.is_some() && age > LAG_MAX {
        found.note(DifferenceKind::MissingAtBroker, tag, attempt.state.as_str(), "no such order", "re_ask");
        found.steps.insert(intent);
    }
}

/// Positions by series, ours against the broker's. Where today's orders with our tag explain what the broker has, the
/// books lag and adopt it; what they do not explain was done by hand.
fn compare_positions(books: &Books<'_>, found: &mut Found) {
    let mut by_series: BTreeMap<OccSymbol, (i64, i64)> = BTreeMap::new();
    for owned in books.owned {
        by_series.entry(owned.series).or_default().0 += i64::from(owned.held());
    }
    for leg in books.structures.iter().flat_map(|it| &it.legs) {
        let held = i64::from(leg.held()).saturating_mul(leg.leg.side.side().sign());
        let ours = &mut by_series.entry(leg.leg.series).or_default().0;
        *ours = ours.saturating_add(held);
    }
    for position in books.positions {
        let broker = &mut by_series.entry(position.series).or_default().1;
        *broker = broker.saturating_add(position.quantity);
    }
    for (series, (ours, broker)) in by_series {
        let is_over = last_trade(&series).is_ok_and(|it| it <= books.now);
        if ours == broker || (is_over && ours == 0) {
            // The broker shows settled series until its overnight processing.
            continue;
        }
        let is_handed_over = books.taken_over.iter().any(|it| it.0 == series);
        let foreign = if is_handed_over { "taken_over" } else { "none" };
        let net = tagged_net(books.orders, &series);
        let lag = in_flight(books, &series);
        // A short is compared as a long is, the other way round.
        let sign = if ours < 0 || (ours == 0 && net < 0) { -1 } else { 1 };
        let (held, shown, net) =
            (ours.saturating_mul(sign), broker.saturating_mul(sign), net.saturating_mul(sign));
        let (kind, cure) = match (held, shown) {
            _ if is_over => (DifferenceKind::MissingAtBroker, "mark"),
            (0, _) if net == 0 => (DifferenceKind::Foreign, foreign),
            (0, _) => (DifferenceKind::UnknownAtBroker, "adopt"),
            (_, shown) if shown > held && net <= held => (DifferenceKind::Foreign, foreign),
            (_, shown) if shown > held => (DifferenceKind::QuantityMismatch, "adopt"),
            (_, shown) => {
                let cure = if net < held || !lag.is_empty() { "re_ask" } else { "alert" };
                let is_gone = shown <= 0;
                let kind =
                    if is_gone { DifferenceKind::MissingAtBroker } else { DifferenceKind::QuantityMismatch };
                (kind, cure)
            }
        };
        found.note(kind, series, format!("{ours} held"), format!("{broker} held"), cure);
        if kind.is_fault() {
            found.steps.extend(lag);
        }
        if cure == "adopt" {
            found.steps.extend(tagged(books.orders, &series).map(|(tag, _)| tag.intent));
        }
    }
}

/// What today's orders with our tag executed in a series, bought above zero.
fn tagged<'a>(
    orders: &'a [BrokerOrder],
    series: &'a OccSymbol,
) -> impl Iterator<Item = (OrderTag, i64)> + 'a {
    let tagged = orders.iter().filter_map(|it| it.tag.map(|tag| (tag, &it.legs)));
    let legs = tagged.flat_map(|(tag, legs)| legs.iter().map(move |leg| (tag, leg)));
    legs.filter(|(_, leg)| leg.series == *series && leg.executed > 0)
        .map(|(tag, leg)| (tag, leg.side.sign() * i64::from(leg.executed)))
}

/// Their net.
fn tagged_net(orders: &[BrokerOrder], series: &OccSymbol) -> i64 {
    tagged(orders, series).map(|(_, contracts)| contracts).sum()
}

/// Intents in a series that are at work, and whose next step may explain a difference.
fn in_flight(books: &Books<'_>, series: &OccSymbol) -> Vec<IntentId> {
    let at_work = |it: &&IntentView| it.intent.has(series) && !it.state.is_final();
    books.intents.iter().filter(at_work).map(|it| it.intent.head().id).collect()
}

#[cfg(test)]
mod tests;
