//! Follows an order the broker has: reads it, books what executed, then moves its limit one rung, or ends it.

use std::time::Duration;

use domain::calendar::{NoCalendar, last_trade};
use domain::intent::{IntentHead, IntentState, OrderIntent};
use domain::kill::halted_since;
use domain::money::TickGrid;
use domain::order::{Attempt, AttemptError, AttemptEvent, AttemptState, BrokerLeg, BrokerOrder};
use domain::planted::{self, Bug};
use domain::ports::{BrokerError, BrokerPort, Brokers, Clock, HandleError, Ledger, OwnedNotes};
use domain::time::UtcNanos;
use engine::walk::{self, Next, Plan, Rung, Terms};

use crate::{Orders, Work, protect};

/// How long after a cancel request the order is read again: the answer to the request is no verdict.
pub(crate) const CANCEL_READ_AFTER: Duration = Duration::from_secs(1);
/// How long after a cancel request that did nothing it is repeated.
const CANCEL_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// An older value of the index says nothing about where it is.
pub(crate) const INDEX_AGE_MAX: Duration = Duration::from_secs(5);
/// No entry is worked later than this before its series' last trade.
pub(crate) const ENTRY_HOURS_END_BEFORE: Duration = Duration::from_secs(20 * 60);
/// How often a close is looked at that rests in a halt.
pub(crate) const HALT_LOOK: Duration = Duration::from_secs(5);
/// So long a halt is believed without another word: a breaker lasts fifteen minutes, its auction some more.
const HALT_BELIEVED: Duration = Duration::from_secs(25 * 60);
/// How long after a refused close the next attempt is made.
pub(crate) const REFUSED_CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The attempt after `event`.
pub(crate) fn apply(attempt: &Attempt, event: &AttemptEvent) -> Result<Attempt, HandleError> {
    attempt.apply(event).map_err(|error: AttemptError| HandleError::Poison(error.to_string()))
}

/// The attempt as the broker shows its order. An answer about somebody else's order is not taken in.
pub(crate) fn observe(
    head: &IntentHead,
    attempt: &Attempt,
    order: &BrokerOrder,
) -> Result<Attempt, HandleError> {
    let is_ours = |it: &BrokerLeg| it.series == head.series && it.side == attempt.side;
    if attempt.combo.is_none() && order.single().is_some_and(|it| !is_ours(it)) {
        return Err(HandleError::Poison(format!(
            "order {} is not what attempt {} of intent {} trades, {}: it is somebody else's",
            order.id, attempt.no, head.id, head.series
        )));
    }
    let Some(event) = attempt.shown(order) else {
        return Err(HandleError::Poison(format!(
            "order {} has {} legs, one was sent",
            order.id,
            order.legs.len()
        )));
    };
    let seen = apply(attempt, &event)?;
    let reason = seen.reason.clone().or_else(|| order.reason.clone());
    Ok(Attempt { reason, ..seen })
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    pub(crate) async fn follow(
        &self,
        work: &Work<'_, B::Account>,
        last: &Attempt,
    ) -> Result<(), HandleError> {
        let Some(id) = last.broker_order else { return self.resolve(work, last).await };
        let order = match work.broker.order(id).await {
            Ok(order) => order,
            Err(error) => return self.ask_again(work, &error).await,
        };
        let seen = observe(work.view.intent.head(), last, &order)?;
        if seen.state.is_final() {
            return self.ended(work, seen).await;
        }
        if work.view.intent.is_combo() {
            return self.follow_combo(work, seen).await;
        }
        if work.view.stop_requested || seen.cancel_at.is_some() {
            return self.cancel(work, seen, "superseded").await;
        }
        match &work.view.intent {
            OrderIntent::Closing(closing) if closing.head.action.protects() => {
                self.rest(work, closing, seen).await
            }
            OrderIntent::Closing(closing) if Self::is_at_market(closing, &order) => {
                self.at_market(work, seen).await
            }
            OrderIntent::Opening(_) | OrderIntent::Closing(_) => self.rung(work, seen).await,
            OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => {
                self.follow_combo(work, seen).await
            }
        }
    }

    /// The broker works the order no more. An entry is over; a close goes on until nothing is left.
    pub(crate) async fn ended(&self, work: &Work<'_, B::Account>, seen: Attempt) -> Result<(), HandleError> {
        if seen.combo.is_some() {
            return self.combo_ended(work, seen).await;
        }
        let now = self.clock.now();
        let what = format!("ended {} with {} executed", seen.state.as_str(), seen.executed);
        let filled = seen.state == AttemptState::Filled;
        if work.view.intent.opens() || filled || work.view.stop_requested {
            let executed = work.view.filled > 0 || seen.executed > 0;
            let reason = if executed {
                String::new()
            } else {
                seen.reason.clone().unwrap_or_else(|| "missed".to_owned())
            };
            let progress = self.progress(work, seen, IntentState::Done, &reason, &what, None);
            return self.write(work, progress).await;
        }
        let due = if seen.state == AttemptState::Rejected {
            now.plus(REFUSED_CLOSE_WAIT)
        } else if work.view.intent.head().action.protects() {
            protect::comes_back(&seen, now)
        } else {
            now
        };
        let progress = self.progress(work, seen, IntentState::Working, "", &what, Some(due));
        self.write(work, progress).await
    }

    /// Asks for the order's end and reads it until it has ended.
    pub(crate) async fn cancel(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
        reason: &str,
    ) -> Result<(), HandleError> {
        let now = self.clock.now();
        let due = now.plus(CANCEL_READ_AFTER);
        let asked_lately = seen.cancel_at.is_some_and(|at| now.since(at) < CANCEL_AGAIN_AFTER);
        let (seen, what) = match seen.broker_order {
            Some(id) if !asked_lately => {
                let what = match work.broker.cancel(id).await {
                    Ok(_) => "cancel requested".to_owned(),
                    Err(error) => format!("cancel not answered: {error}"),
                };
                let reason = seen.reason.clone().unwrap_or_else(|| reason.to_owned());
                // The answer says that the request arrived: only reading the order back says what became of it.
                let is_trusted = planted::is(Bug::CancelTrusted);
                let state = if is_trusted { AttemptState::Canceled } else { seen.state };
                (Attempt { state, cancel_at: Some(now), reason: Some(reason), ..seen }, what)
            }
            Some(_) | None => (seen, "waiting for the cancel".to_owned()),
        };
        let progress = self.progress(work, seen, IntentState::Working, "", &what, Some(due));
        self.write(work, progress).await
    }

    /// Reads the NBBO anew and moves the limit where the plan says.
    async fn rung(&self, work: &Work<'_, B::Account>, seen: Attempt) -> Result<(), HandleError> {
        let head = work.view.intent.head();
        let now = self.clock.now();
        if !work.view.intent.opens() && self.stands_still(work).await? {
            let due = now.plus(HALT_LOOK);
            let progress =
                self.progress(work, seen, IntentState::Working, "", "the market stands: it rests", Some(due));
            return self.write(work, progress).await;
        }
        let market = match work.broker.market(head.series).await {
            Ok(market) => market,
            Err(error) => return self.read_only(work, seen, &error).await,
        };
        if let OrderIntent::Opening(opening) = &work.view.intent
            && let Some(reason) =
                walk::abandon(opening.direction, &opening.levels, market.spot(now, INDEX_AGE_MAX))
        {
            return self.cancel(work, seen, reason.as_str()).await;
        }
        let started = work.view.attempts.first().map_or(seen.marked_at, |it| it.marked_at);
        let terms = terms(&work.view.intent, started)?;
        match walk::next(&terms, &seen, market.quote.as_ref(), now) {
            Next::Stop(reason) => self.cancel(work, seen, reason.as_str()).await,
            Next::Rung(rung) if rung.price == seen.price => {
                let seen = Attempt { rung: rung.rung, repriced_at: repriced_at(&seen, &rung, now), ..seen };
                let progress = self.progress(work, seen, IntentState::Working, "", "polled", Some(rung.due));
                self.write(work, progress).await
            }
            Next::Rung(rung) => {
                let (attempt, what, due) = self.modify(work, seen, rung).await;
                let progress = self.progress(work, attempt, IntentState::Working, "", &what, Some(due));
                self.write(work, progress).await
            }
        }
    }

    /// Whether the market is halted: nothing walks then, what works rests. A halt whose end nobody told for longer than any
    /// breaker lasts is not believed against a quote of two sides.
    pub(crate) async fn stands_still(&self, work: &Work<'_, B::Account>) -> Result<bool, HandleError> {
        let series = work.view.intent.head().series;
        let rows = self.ledger.kill_switch().await?;
        let Some(since) = halted_since(&rows, series.underlying()) else { return Ok(false) };
        let now = self.clock.now();
        if now.since(since) < HALT_BELIEVED {
            return Ok(true);
        }
        let quote = work.broker.quotes(&[series]).await.ok().and_then(|it| it.into_iter().next().flatten());
        let trades = quote.is_some_and(|it| it.two_sided().is_some() && now.since(it.ts) <= INDEX_AGE_MAX);
        Ok(!trades)
    }

    async fn modify(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
        rung: Rung,
    ) -> (Attempt, String, UtcNanos) {
        let now = self.clock.now();
        let Some(id) = seen.broker_order else { return (seen, "no order to move".to_owned(), rung.due) };
        match work.broker.modify(id, rung.price, !work.view.intent.opens()).await {
            Ok(()) => {
                let what = format!("moved from {} to {}", seen.price, rung.price);
                (Attempt { price: rung.price, rung: rung.rung, repriced_at: now, ..seen }, what, rung.due)
            }
            // It may stand at the old price or the new one, or have ended: read it back soon.
            Err(error) => {
                (seen, format!("not moved to {}: {error}", rung.price), now.plus(CANCEL_READ_AFTER))
            }
        }
    }

    /// Books what was read although the market could not be asked.
    pub(crate) async fn read_only(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
        error: &BrokerError,
    ) -> Result<(), HandleError> {
        let due = self.clock.now().plus(crate::ASK_AGAIN);
        let what = format!("no quote to walk by: {error}");
        let progress = self.progress(work, seen, IntentState::Working, "", &what, Some(due));
        self.write(work, progress).await
    }
}

/// A rung that leaves the price where it is still counts as taken, so that the next one goes a step further.
fn repriced_at(seen: &Attempt, rung: &Rung, now: UtcNanos) -> UtcNanos {
    if rung.rung == seen.rung { seen.repriced_at } else { now }
}

/// How an intent is walked since `started_at`.
///
/// Entries still open 20 minutes before the close are cancelled; closes go on until their series' last trade.
pub(crate) fn terms(intent: &OrderIntent, started_at: UtcNanos) -> Result<Terms, HandleError> {
    let head = intent.head();
    let no_calendar = |error: NoCalendar| HandleError::Poison(error.to_string());
    let last_trade = last_trade(&head.series).map_err(no_calendar)?;
    let until = if intent.opens() { last_trade.minus(ENTRY_HOURS_END_BEFORE) } else { last_trade };
    let bound = match intent {
        OrderIntent::Opening(opening) => Some(opening.worst),
        OrderIntent::Closing(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => None,
    };
    let grid = TickGrid::single_leg(&head.series.root, started_at.new_york_date());
    Ok(Terms { plan: Plan::for_action(head.action), grid, bound, started_at, until })
}
