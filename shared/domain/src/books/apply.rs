//! What a write makes of an intent.

use std::cmp::Ordering;

use super::{MAX_STEPS, Refusal, SETTLEMENT, changes, combos};
use crate::fees::FeeSchedule;
use crate::ids::{AttemptNo, IntentId};
use crate::intent::{IntentHead, IntentState, OrderIntent, Origin};
use crate::money::{Price, Side, Usd};
use crate::order::{Attempt, AttemptState, Trace};
use crate::planted::{self, Bug};
use crate::ports::{Answer, Fence, IntentView, MarkRequest, NewIntent, Progress, Written};
use crate::position::{Fill, FillSource, FillStep, fill_step};
use crate::symbol::OccSymbol;
use crate::time::UtcNanos;

/// An intent after a write, and which rows the write touched.
#[derive(Debug, Clone, PartialEq)]
pub struct After {
    /// The intent as it stands now, its version raised.
    pub view: IntentView,
    /// Attempts to be inserted or updated.
    pub attempts: Vec<AttemptNo>,
    /// Stretches to be inserted.
    pub added: Vec<Fill>,
    /// Stretches recorded before whose price and fees are known now. The key is (intent, attempt, series, to).
    pub completed: Vec<Fill>,
}

impl After {
    fn of(view: &IntentView) -> Self {
        let mut view = view.clone();
        view.version = view.version.saturating_add(1);
        Self { view, attempts: Vec::new(), added: Vec::new(), completed: Vec::new() }
    }
}

/// Why a write of a step does not apply, if so: who lost the account's lease must stop, and a step written for another
/// version is one that somebody else took. `latest` is the lease's fence, `view` the intent as it stands, both read in the
/// transaction that writes.
pub fn late(fence: Option<Fence>, latest: Option<Fence>, view: &IntentView, version: i64) -> Option<Written> {
    if planted::is(Bug::NoCompareAndSet) {
        return None;
    }
    if fence.is_some() && fence != latest {
        return Some(Written::LeaseLost);
    }
    (view.version != version).then_some(Written::Stale)
}

/// How an intent may begin: decided or refused by the gates, or at work already where a flatten works it itself.
///
/// # Errors
/// A [`Refusal`] for any other state.
pub fn begins(new: &NewIntent) -> Result<(), Refusal> {
    let is_flatten = matches!(new.intent.head().origin, Origin::Flatten(_)) && !new.intent.opens();
    match new.state {
        IntentState::Ready | IntentState::Blocked | IntentState::WouldSubmit => Ok(()),
        IntentState::Working if is_flatten => Ok(()),
        IntentState::Working | IntentState::Done => {
            Err(format!("an intent does not begin as {}", new.state.as_str()))
        }
    }
}

/// The intent with its next attempt `submitting`. The caller has checked version, fence and kill switch.
///
/// # Errors
/// A [`Refusal`] when the intent is final, an entry was asked to stop, the attempt is not the next, the one before
/// may still be at the broker, the side is wrong, or more is ordered than the entry has left.
pub fn marked(view: &IntentView, request: &MarkRequest) -> Result<After, Refusal> {
    let opens = view.intent.opens();
    if view.state.is_final() {
        return Err(format!("intent {} is {} and final", request.intent, view.state.as_str()));
    }
    if opens && view.stop_requested {
        return Err(format!("entry {} was asked to stop", request.intent));
    }
    let next = view.last_attempt().map_or(AttemptNo::FIRST, |it| it.no.next());
    // A flatten's attempts are its passes, and a pass that only cancels sends nothing.
    let is_flatten = matches!(view.intent.head().origin, Origin::Flatten(_));
    if request.attempt < next || (request.attempt != next && !is_flatten) {
        return Err(format!("attempt {} is not the next one, {next} is", request.attempt));
    }
    if let Some(last) = view.last_attempt()
        && !(last.state.is_final() || (!opens && last.state.is_unresolved()))
    {
        return Err(format!("attempt {} is still {}", last.no, last.state.as_str()));
    }
    if (request.side == Side::Buy) != opens {
        return Err(format!("{} intent {} cannot {:?}", effect(opens), request.intent, request.side));
    }
    if request.quantity == 0 {
        return Err("an order of no contracts".to_owned());
    }
    if let OrderIntent::Opening(opening) = &view.intent
        && view.filled.saturating_add(request.quantity) > opening.quantity
    {
        let (asked, filled, of) = (request.quantity, view.filled, opening.quantity);
        return Err(format!("{asked} contracts on top of {filled} filled exceed the entry's {of}"));
    }
    combos::marked(view, request)?;
    let mut after = After::of(view);
    after.view.state = IntentState::Working;
    after.view.attempts.push(Attempt {
        no: request.attempt,
        state: AttemptState::Submitting,
        broker_order: None,
        side: request.side,
        quantity: request.quantity,
        price: request.price,
        rung: 0,
        executed: 0,
        average: None,
        marked_at: request.at,
        repriced_at: request.at,
        cancel_at: None,
        reason: None,
        combo: request.combo.clone(),
        trace: Trace { arrival: request.arrival, ..Trace::default() },
    });
    after.attempts.push(request.attempt);
    Ok(after)
}

/// The intent after the broker's answer. The caller has checked version and fence.
///
/// # Errors
/// A [`Refusal`] when the attempt was never marked, contradicts its record, or a non-final intent is left without a
/// follow-up.
pub fn answered(view: &IntentView, answer: &Answer) -> Result<After, Refusal> {
    if answer.attempt.no != answer.tag.attempt {
        return Err(format!("tag {} does not name attempt {}", answer.tag, answer.attempt.no));
    }
    if !view.attempts.iter().any(|it| it.no == answer.tag.attempt) {
        return Err(format!("attempt {} was never marked", answer.tag.attempt));
    }
    let mut after = After::of(view);
    take_attempt(&mut after, &answer.attempt)?;
    take_state(&mut after.view, answer.state, &answer.reason);
    followed(&after.view, answer.follow_up)?;
    Ok(after)
}

/// The intent after a step. The caller has checked version and fence.
///
/// # Errors
/// A [`Refusal`] when an attempt or an observation contradicts the record, or a non-final intent is left without a
/// follow-up.
pub fn progressed(view: &IntentView, progress: &Progress) -> Result<After, Refusal> {
    let mut after = After::of(view);
    for attempt in &progress.attempts {
        take_attempt(&mut after, attempt)?;
    }
    for seen in &progress.fills {
        take_fill(&mut after, progress.intent, seen)?;
    }
    take_state(&mut after.view, progress.state, &progress.reason);
    followed(&after.view, progress.follow_up)?;
    Ok(after)
}

/// The intent asked to stop; `None` when it was before or is final, and nothing is to be written.
pub fn stopped(view: &IntentView) -> Option<After> {
    if view.stop_requested || view.state.is_final() {
        return None;
    }
    let mut after = After::of(view);
    after.view.stop_requested = true;
    Some(after)
}

/// What executed of an attempt so far, as observations for a progress: of each leg, and none where nothing did.
///
/// Charges are for one contract, at the average where the broker says it and at the limit until then.
pub fn observed(head: &IntentHead, attempt: &Attempt, at: UtcNanos, source: FillSource) -> Vec<Fill> {
    match &attempt.combo {
        Some(combo) => combos::observed(head, attempt.no, combo, at, source),
        None => observed_single(head, attempt, at, source).into_iter().collect(),
    }
}

fn observed_single(head: &IntentHead, attempt: &Attempt, at: UtcNanos, source: FillSource) -> Option<Fill> {
    let is_dropped = planted::is(Bug::PartialFillDropped) && attempt.executed < attempt.quantity;
    if attempt.executed == 0 || is_dropped {
        return None;
    }
    let average = attempt.average.and_then(|it| Price::parse(&it.to_string()).ok());
    let fees = FeeSchedule::as_of(at.new_york_date());
    Some(Fill {
        intent: head.id,
        attempt: attempt.no,
        series: head.series,
        side: attempt.side,
        from: 0,
        to: attempt.executed,
        price: attempt.average,
        fees: fees.charge(&head.series.root, average.unwrap_or(attempt.price), 1),
        at,
        source,
    })
}

/// Contracts executed by orders: a settlement is no execution.
pub fn filled(fills: &[Fill]) -> u32 {
    fills.iter().filter(|it| it.attempt != SETTLEMENT).map(Fill::contracts).sum()
}

/// The fill that settles `held` contracts of an entry; `None` when nothing is held or it was settled before.
pub fn settled(view: &IntentView, held: u32, price: Usd, at: UtcNanos, source: FillSource) -> Option<Fill> {
    if planted::is(Bug::SettlementDropped)
        || held == 0
        || view.fills.iter().any(|it| it.attempt == SETTLEMENT)
    {
        return None;
    }
    let head = view.intent.head();
    Some(Fill {
        intent: head.id,
        attempt: SETTLEMENT,
        series: head.series,
        side: Side::Sell,
        from: 0,
        to: held,
        price: Some(price),
        fees: Usd::ZERO,
        at,
        source,
    })
}

const fn effect(opens: bool) -> &'static str {
    if opens { "opening" } else { "closing" }
}

/// A final state stays, with its reason.
fn take_state(view: &mut IntentView, state: IntentState, reason: &str) {
    if !view.state.is_final() {
        view.state = state;
        reason.clone_into(&mut view.reason);
    }
}

/// A write that leaves work leaves the message that resumes it, or the intent would be forgotten.
fn followed(view: &IntentView, follow_up: Option<UtcNanos>) -> Result<(), Refusal> {
    if view.state.is_final() || follow_up.is_some() {
        return Ok(());
    }
    Err(format!("intent {} stays {} without a follow-up", view.intent.head().id, view.state.as_str()))
}

fn take_attempt(after: &mut After, seen: &Attempt) -> Result<(), Refusal> {
    let opens = after.view.intent.opens();
    let recorded = after.view.attempts.iter_mut().find(|it| it.no == seen.no);
    match recorded {
        Some(recorded) => *recorded = merged(recorded, seen)?,
        // A flatten that ran without the database sent orders no row stands for: they are adopted. An entry never
        // leaves without its row.
        None if !opens && seen.no > SETTLEMENT => {
            let is_structure = after.view.intent.is_combo();
            if seen.combo.is_some() != is_structure || seen.side == Side::Buy || seen.executed > seen.quantity
            {
                return Err(format!("attempt {} is no order that closes", seen.no));
            }
            after.view.attempts.push(seen.clone());
            after.view.attempts.sort_by_key(|it| it.no);
        }
        None => return Err(format!("attempt {} was never marked", seen.no)),
    }
    if !after.attempts.contains(&seen.no) {
        after.attempts.push(seen.no);
    }
    Ok(())
}

/// What is recorded of an attempt and what is known of it now, as one.
fn merged(recorded: &Attempt, seen: &Attempt) -> Result<Attempt, Refusal> {
    if let (Some(bound), Some(other)) = (recorded.broker_order, seen.broker_order)
        && bound != other
    {
        return Err(format!("attempt {} is order {bound} at the broker, not {other}", recorded.no));
    }
    if seen.executed > recorded.quantity {
        let (executed, quantity) = (seen.executed, recorded.quantity);
        return Err(format!("{executed} executed of {quantity} ordered by attempt {}", recorded.no));
    }
    let ended = recorded.state.is_final();
    if let (Some(was), Some(now)) = (&recorded.combo, &seen.combo) {
        let combo = combos::merged(recorded, was, now)?;
        return Ok(Attempt {
            state: if ended { recorded.state } else { seen.state },
            reason: if ended { recorded.reason.clone() } else { seen.reason.clone() },
            broker_order: recorded.broker_order.or(seen.broker_order),
            price: seen.price,
            rung: seen.rung,
            executed: combo.whole_units(),
            repriced_at: seen.repriced_at,
            cancel_at: recorded.cancel_at.or(seen.cancel_at),
            combo: Some(combo),
            trace: recorded.trace.or(seen.trace),
            ..recorded.clone()
        });
    }
    if recorded.combo.is_some() || seen.combo.is_some() {
        return Err(format!("attempt {} is an order on a structure, or is not", recorded.no));
    }
    Ok(Attempt {
        no: recorded.no,
        state: if ended { recorded.state } else { seen.state },
        reason: if ended { recorded.reason.clone() } else { seen.reason.clone() },
        broker_order: recorded.broker_order.or(seen.broker_order),
        side: recorded.side,
        quantity: recorded.quantity,
        price: seen.price,
        rung: seen.rung,
        executed: recorded.executed.max(seen.executed),
        average: average(recorded, seen.executed, seen.average),
        marked_at: recorded.marked_at,
        repriced_at: seen.repriced_at,
        cancel_at: recorded.cancel_at.or(seen.cancel_at),
        combo: None,
        trace: recorded.trace.or(seen.trace),
    })
}

/// The average of what executed: the one said with the larger quantity, and none where that one was not said.
fn average(recorded: &Attempt, executed: u32, said: Option<Usd>) -> Option<Usd> {
    average_of((recorded.executed, recorded.average), executed, said)
}

/// The same over what is recorded: (executed, average).
pub(super) fn average_of(
    (known, average): (u32, Option<Usd>),
    executed: u32,
    said: Option<Usd>,
) -> Option<Usd> {
    match executed.cmp(&known) {
        Ordering::Greater if planted::is(Bug::AverageKept) => said.or(average),
        Ordering::Greater => said,
        Ordering::Equal => said.or(average),
        Ordering::Less => average,
    }
}

fn take_fill(after: &mut After, intent: IntentId, seen: &Fill) -> Result<(), Refusal> {
    let attempt = after.view.attempts.iter_mut().find(|it| it.no == seen.attempt);
    let Some(attempt) = attempt.filter(|_| seen.intent == intent) else {
        return Err(format!(
            "an execution of attempt {} of {}, which is not there",
            seen.attempt, seen.intent
        ));
    };
    if attempt.combo.is_some() {
        combos::take_fill(attempt, seen)?;
    } else {
        if seen.side != attempt.side || seen.series != after.view.intent.head().series {
            return Err(format!("attempt {} does not {:?} {}", seen.attempt, seen.side, seen.series));
        }
        if seen.to > attempt.quantity {
            let (executed, quantity) = (seen.to, attempt.quantity);
            return Err(format!("{executed} executed of {quantity} ordered by attempt {}", seen.attempt));
        }
        attempt.average = average(attempt, seen.to, seen.price);
        attempt.executed = attempt.executed.max(seen.to);
    }
    attempt.trace.filled_at = attempt.trace.filled_at.or(Some(seen.at));
    if !after.attempts.contains(&seen.attempt) {
        after.attempts.push(seen.attempt);
    }
    for _ in 0..MAX_STEPS {
        let recorded = leg(&after.view.fills, seen.attempt, &seen.series);
        let step = fill_step(&recorded, seen.to, seen.price);
        if !changes(&step) {
            break;
        }
        write_step(after, seen, step);
    }
    Ok(())
}

/// The stretches recorded of one order leg, in order.
fn leg(fills: &[Fill], attempt: AttemptNo, series: &OccSymbol) -> Vec<Fill> {
    let mut leg: Vec<Fill> =
        fills.iter().filter(|it| it.attempt == attempt && it.series == *series).copied().collect();
    leg.sort_by_key(|it| it.to);
    leg
}

fn write_step(after: &mut After, seen: &Fill, step: FillStep) {
    match step {
        FillStep::Nothing => {}
        FillStep::Add { from, to, price } => {
            let contracts = i64::from(to.saturating_sub(from));
            let contracts = if planted::is(Bug::ChargedOnce) { 1 } else { contracts };
            let fill = Fill { from, to, price, fees: seen.fees.times(contracts), ..*seen };
            after.view.fills.push(fill);
            after.view.filled = after.view.filled.saturating_add(fill.contracts());
            after.added.push(fill);
        }
        FillStep::Complete { to, price } => {
            let unpriced = |it: &Fill| {
                it.attempt == seen.attempt && it.series == seen.series && it.price.is_none() && it.to <= to
            };
            for fill in after.view.fills.iter_mut().filter(|it| unpriced(it)) {
                fill.price = Some(price);
                fill.fees = seen.fees.times(i64::from(fill.contracts()));
                let is_it = |it: &&mut Fill| {
                    it.attempt == fill.attempt && it.series == fill.series && it.to == fill.to
                };
                match after.added.iter_mut().find(is_it) {
                    Some(added) => *added = *fill,
                    None => after.completed.push(*fill),
                }
            }
        }
    }
}
