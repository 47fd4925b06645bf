//! The part of a pass that needs the books.

use desk::{Desk, DeskError, Slot, Submitted};
use domain::account::AccountRef;
use domain::books::observed;
use domain::intent::{ClosingIntent, IntentState, OrderIntent, Origin};
use domain::order::{Attempt, AttemptEvent, Touch};
use domain::planted::{self, Bug};
use domain::ports::{
    Brokers, Clock, Fence, HandleError, IntentView, Ledger, NewIntent, OwnedNotes, Progress, Secrets, Sender,
};
use domain::position::FillSource;
use domain::symbol::OccSymbol;
use engine::flatten::{self as plan, Close, FlattenPlan};

use crate::{Flatten, Pass, Seen, approve, closing, is_due, is_without_books};

/// A close without an answer is given up when its tag was looked up this long after the send.
const LOOKED_UP_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes, S: Secrets, Q: Sender> Flatten<'_, L, B, C, N, S, Q> {
    /// Books what the broker shows of this flatten's own orders.
    pub(crate) async fn book_executions(
        &self,
        pass: &Pass<'_, B::Account>,
        seen: &Seen,
    ) -> Result<(), HandleError> {
        for view in self.flatten_intents(&pass.account, pass).await? {
            let Some(last) = view.last_attempt().filter(|it| !it.state.is_final()) else { continue };
            let id = view.intent.head().id;
            let found = seen
                .orders
                .iter()
                .find(|it| it.tag.is_some_and(|tag| tag.intent == id && tag.attempt == last.no));
            let event = match found.and_then(|order| last.shown(order)) {
                Some(event) => event,
                None if last.state.is_unresolved()
                    && self.clock.now().since(last.marked_at) >= LOOKED_UP_AFTER =>
                {
                    AttemptEvent::GivenUp
                }
                None => AttemptEvent::NotFound,
            };
            let attempt = last.apply(&event).map_err(|it| HandleError::Poison(it.to_string()))?;
            if attempt != *last {
                self.write(pass, &view, Some(attempt), IntentState::Working, "").await?;
            }
        }
        Ok(())
    }

    /// What passes without the books sold that no row stands for yet, by series. It is read before the books: adopted in
    /// between it counts twice, and the next pass closes the rest.
    pub(crate) async fn unbooked(
        &self,
        pass: &Pass<'_, B::Account>,
        seen: &Seen,
    ) -> Result<Vec<(OccSymbol, u32)>, HandleError> {
        let mut sold = Vec::new();
        for order in &seen.orders {
            let (Some(tag), Some(leg)) = (order.tag.filter(|it| is_without_books(*it)), order.single())
            else {
                continue;
            };
            let id = plan::intent_of(pass.account.account, &pass.session, &leg.series, 0);
            if tag.intent != id || leg.opens || leg.executed == 0 {
                continue;
            }
            let view = self.ledger.intent(&pass.account, id).await?;
            let is_known = |it: &IntentView| it.attempts.iter().any(|it| it.no == tag.attempt);
            if !view.as_ref().is_some_and(is_known) {
                sold.push((leg.series, leg.executed));
            }
        }
        Ok(sold)
    }

    /// Asks every other intent of the account that works a series of this flatten to stop: from now on it alone closes.
    pub(crate) async fn stop_intents(&self, pass: &Pass<'_, B::Account>) -> Result<(), HandleError> {
        for view in self.ledger.open_intents(&pass.account).await? {
            let head = view.intent.head();
            // Of structures those that are due are stopped with the exit that takes over.
            let is_flatten = matches!(head.origin, Origin::Flatten(_)) || view.intent.is_combo();
            if !is_flatten && !view.stop_requested && is_due(pass, &head.series) {
                self.ledger.request_stop(&pass.account, head.id, self.clock.now()).await?;
            }
        }
        Ok(())
    }

    /// Sends one close through the books.
    pub(crate) async fn send_booked(
        &self,
        pass: &Pass<'_, B::Account>,
        close: &Close,
        fence: Fence,
        seen: &Seen,
    ) -> Result<(), HandleError> {
        let (view, intent) = self.intent(pass, close).await?;
        // The request of an earlier pass may still arrive: nothing is sent while a close of ours may work.
        if view.last_attempt().is_some_and(|it| !it.state.is_final()) {
            return Ok(());
        }
        if planted::is(Bug::FlattenOnce) && view.state.is_final() {
            return Ok(());
        }
        let bound = approve(&intent, close, seen)?;
        let quote = seen.quotes.iter().find(|it| it.0 == close.series);
        let arrival = quote.and_then(|it| Touch::of(&it.1));
        let desk = Desk { ledger: self.ledger, broker: pass.broker, clock: self.clock };
        let slot = Slot {
            account: pass.account,
            version: view.version,
            fence,
            attempt: close.tag.attempt,
            price: close.price,
            arrival,
            next_step: self.clock.now().plus(plan::RUNG),
        };
        match desk.submit_close(&intent, bound, slot).await {
            // The next pass reads what became of it.
            Ok(Submitted::Answered { .. } | Submitted::Killed(_) | Submitted::Stale) => Ok(()),
            Ok(Submitted::LeaseLost) => {
                Err(HandleError::Again("the account's lease ran out in a pass".to_owned()))
            }
            Err(DeskError::Ledger(error)) => Err(error.into()),
            Err(DeskError::Attempt(error)) => Err(HandleError::Poison(error.to_string())),
        }
    }

    /// Flat, or the close has passed: the flatten's intents are at their end.
    pub(crate) async fn finish(
        &self,
        pass: &Pass<'_, B::Account>,
        plan: &FlattenPlan,
    ) -> Result<(), HandleError> {
        for view in self.flatten_intents(&pass.account, pass).await? {
            let series = view.intent.head().series;
            let left = plan.worthless_left.iter().any(|it| it.0 == series);
            let reason = if left {
                "worthless_left"
            } else if plan.flat {
                ""
            } else {
                "not_flat"
            };
            self.write(pass, &view, None, IntentState::Done, reason).await?;
        }
        Ok(())
    }

    async fn flatten_intents(
        &self,
        account: &AccountRef,
        pass: &Pass<'_, B::Account>,
    ) -> Result<Vec<IntentView>, HandleError> {
        let mut open = self.ledger.open_intents(account).await?;
        // Exits of structures are worked by the order router.
        open.retain(|it| {
            it.intent.head().origin == Origin::Flatten(pass.session.date) && !it.intent.is_combo()
        });
        Ok(open)
    }

    /// The intent of a close, written with its first pass. One that ended is not opened again: a series that was opened
    /// after its flatten gets the next.
    async fn intent(
        &self,
        pass: &Pass<'_, B::Account>,
        close: &Close,
    ) -> Result<(IntentView, ClosingIntent), HandleError> {
        for round in 0..plan::ROUNDS {
            let intent = closing(pass, close, round, self.clock.now());
            let id = intent.head.id;
            match self.ledger.intent(&pass.account, id).await? {
                Some(view) if view.state.is_final() && !planted::is(Bug::FlattenOnce) => continue,
                Some(view) => return Ok((view, intent)),
                None => {}
            }
            let ready = NewIntent::ready(OrderIntent::Closing(intent.clone()), self.clock.now());
            let new = NewIntent { state: IntentState::Working, ..ready };
            self.ledger.record_intent(&new).await?;
            let view = self.ledger.intent(&pass.account, id).await?;
            let missing = || HandleError::Again(format!("intent {id} was written and is not there"));
            return Ok((view.ok_or_else(missing)?, intent));
        }
        Err(HandleError::Poison(format!(
            "{} was flattened {} times today: close it by hand",
            close.series,
            plan::ROUNDS
        )))
    }

    async fn write(
        &self,
        pass: &Pass<'_, B::Account>,
        view: &IntentView,
        attempt: Option<Attempt>,
        state: IntentState,
        reason: &str,
    ) -> Result<(), HandleError> {
        let at = self.clock.now();
        let head = view.intent.head();
        let observe = |it: &Attempt| observed(head, it, at, FillSource::Poll);
        let fills = attempt.as_ref().map(observe).unwrap_or_default();
        let progress = Progress {
            account: pass.account,
            intent: head.id,
            version: view.version,
            fence: pass.fence,
            attempts: attempt.into_iter().collect(),
            fills,
            state,
            reason: reason.to_owned(),
            gates: Vec::new(),
            what: "read by the flatten".to_owned(),
            at,
            follow_up: (!state.is_final()).then(|| at.plus(plan::RUNG)),
            also: Vec::new(),
        };
        self.ledger.record_progress(&progress).await?;
        Ok(())
    }
}
