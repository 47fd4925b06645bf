//! Follows an order the broker has: reads it, books what executed, then moves its limit one rung, or ends it.

use std::time::Duration;

use domain::intent::IntentState;
use domain::money::TickGrid;
use domain::order::{Attempt, AttemptError, AttemptEvent, AttemptState, BrokerOrder};
use domain::ports::{BrokerError, BrokerPort, Brokers, Clock, HandleError, Ledger, OwnedNotes};
use domain::time::UtcNanos;
use engine::walk::{self, Plan, Rung};

use crate::{Orders, Work};

/// How long after a cancel request the order is read again: the answer to the request is no verdict.
const CANCEL_READ_AFTER: Duration = Duration::from_secs(1);
/// How long after a cancel request that did nothing it is repeated.
const CANCEL_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long after a refused close the next attempt is made.
const REFUSED_CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The attempt after `event`.
pub(crate) fn apply(attempt: &Attempt, event: &AttemptEvent) -> Result<Attempt, HandleError> {
    attempt.apply(event).map_err(|error: AttemptError| HandleError::Poison(error.to_string()))
}

/// The attempt as the broker shows its order.
pub(crate) fn observe(attempt: &Attempt, order: &BrokerOrder) -> Result<Attempt, HandleError> {
    let Some(leg) = order.single() else {
        return Err(HandleError::Poison(format!("order {} has {} legs, one was sent", order.id, order.legs.len())));
    };
    let event = AttemptEvent::Observed {
        id: order.id,
        status: order.status,
        executed: leg.executed,
        average: leg.average,
    };
    let seen = apply(attempt, &event)?;
    let reason = seen.reason.clone().or_else(|| order.reason.clone());
    Ok(Attempt { reason, ..seen })
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    pub(crate) async fn follow(&self, work: &Work<'_, B::Account>, last: &Attempt) -> Result<(), HandleError> {
        let Some(id) = last.broker_order else { return self.resolve(work, last).await };
        let seen = match work.broker.order(id).await {
            Ok(order) => observe(last, &order)?,
            Err(error) => return self.ask_again(work, &error).await,
        };
        if seen.state.is_final() {
            return self.ended(work, seen).await;
        }
        if work.view.stop_requested || seen.cancel_at.is_some() {
            return self.cancel(work, seen, "superseded").await;
        }
        self.rung(work, seen).await
    }

    /// The broker works the order no more. An entry is over; a close goes on until nothing is left.
    pub(crate) async fn ended(&self, work: &Work<'_, B::Account>, seen: Attempt) -> Result<(), HandleError> {
        let now = self.clock.now();
        let what = format!("ended {} with {} executed", seen.state.as_str(), seen.executed);
        let filled = seen.state == AttemptState::Filled;
        if work.view.intent.opens() || filled || work.view.stop_requested {
            let executed = work.view.filled > 0 || seen.executed > 0;
            let reason = if executed { String::new() } else { seen.reason.clone().unwrap_or_else(|| "missed".to_owned()) };
            let progress = self.progress(work, seen, IntentState::Done, &reason, &what, None);
            return self.write(work, progress).await;
        }
        let due = if seen.state == AttemptState::Rejected { now.plus(REFUSED_CLOSE_WAIT) } else { now };
        let progress = self.progress(work, seen, IntentState::Working, "", &what, Some(due));
        self.write(work, progress).await
    }

    /// Asks for the order's end and reads it until it has ended.
    async fn cancel(&self, work: &Work<'_, B::Account>, seen: Attempt, reason: &str) -> Result<(), HandleError> {
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
                (Attempt { cancel_at: Some(now), reason: Some(reason), ..seen }, what)
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
        let quote = match work.broker.quotes(&[head.series]).await {
            Ok(quotes) => quotes.into_iter().next().flatten(),
            Err(error) => return self.read_only(work, seen, &error).await,
        };
        let grid = TickGrid::single_leg(&head.series.root, now.new_york_date());
        let started = work.view.attempts.first().map_or(seen.marked_at, |it| it.marked_at);
        match walk::next(Plan::for_intent(&work.view.intent), &seen, quote.as_ref(), grid, started, now) {
            Rung::Stop(reason) => self.cancel(work, seen, reason).await,
            Rung::Hold { due } => {
                let progress = self.progress(work, seen, IntentState::Working, "", "polled", Some(due));
                self.write(work, progress).await
            }
            Rung::Move { price, due } => {
                let moved = self.modify(work, seen, price, due).await;
                let (attempt, what, due) = moved;
                let progress = self.progress(work, attempt, IntentState::Working, "", &what, Some(due));
                self.write(work, progress).await
            }
        }
    }

    async fn modify(
        &self,
        work: &Work<'_, B::Account>,
        seen: Attempt,
        price: domain::money::Price,
        due: UtcNanos,
    ) -> (Attempt, String, UtcNanos) {
        let now = self.clock.now();
        let Some(id) = seen.broker_order else { return (seen, "no order to move".to_owned(), due) };
        match work.broker.modify(id, price, !work.view.intent.opens()).await {
            Ok(()) => {
                let what = format!("moved from {} to {price}", seen.price);
                (Attempt { price, rung: seen.rung.saturating_add(1), repriced_at: now, ..seen }, what, due)
            }
            // It may stand at the old price or the new one, or have ended: read it back soon.
            Err(error) => (seen, format!("not moved to {price}: {error}"), now.plus(CANCEL_READ_AFTER)),
        }
    }

    /// Books what was read although the market could not be asked.
    async fn read_only(&self, work: &Work<'_, B::Account>, seen: Attempt, error: &BrokerError) -> Result<(), HandleError> {
        let due = self.clock.now().plus(crate::ASK_AGAIN);
        let what = format!("no quote to walk by: {error}");
        let progress = self.progress(work, seen, IntentState::Working, "", &what, Some(due));
        self.write(work, progress).await
    }
}
