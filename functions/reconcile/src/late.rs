//! Books what the broker's list says of attempts that had ended in our books: a request that was given up may have arrived
//! after all, and a fill may have raced a cancel. Nobody steps such an attempt, so its facts are written here.

use domain::account::AccountRef;
use domain::books;
use domain::intent::OrderIntent;
use domain::order::{Attempt, BrokerLeg, BrokerOrder, ComboAttempt};
use domain::ports::{Brokers, Clock, HandleError, IntentView, Ledger, Progress};
use domain::position::FillSource;
use engine::protect;

use crate::{Reconcile, Seen};

impl<L: Ledger, B: Brokers, C: Clock> Reconcile<'_, L, B, C> {
    /// `intents` may be older than the broker's word: what was written since is left to the next run.
    ///
    /// Writes late executions and the orders behind ended attempts, and wakes whoever cancels what still works. Returns how
    /// many intents learned something.
    pub(crate) async fn book_late(
        &self,
        account: &AccountRef,
        intents: &[IntentView],
        seen: &Seen,
    ) -> Result<u32, HandleError> {
        let mut booked: u32 = 0;
        for view in intents {
            let now = self.clock.now();
            let learned = learned(view, &seen.orders);
            if !learned.is_empty() {
                booked = booked.saturating_add(1);
                self.protect(view, &learned).await?;
                self.ledger.record_progress(&self.facts(account, view, &learned)).await?;
            }
            for order in still_working(view, &seen.orders) {
                self.ledger.record_broker_event(account, order.id, now).await?;
            }
        }
        Ok(booked)
    }

    /// What an entry bought late is protected like the rest.
    async fn protect(&self, view: &IntentView, learned: &[Attempt]) -> Result<(), HandleError> {
        let OrderIntent::Opening(opening) = &view.intent else { return Ok(()) };
        if learned.iter().any(|it| it.executed > 0) {
            let settings = self.ledger.settings(opening.head.account.user).await?;
            for new in protect::intents(opening, settings.t1_fraction_bp, self.clock.now()) {
                self.ledger.record_intent(&new).await?;
            }
        }
        Ok(())
    }

    fn facts(&self, account: &AccountRef, view: &IntentView, learned: &[Attempt]) -> Progress {
        let at = self.clock.now();
        let head = view.intent.head();
        let execution = |it: &Attempt| books::observed(head, it, at, FillSource::Reconciliation);
        Progress {
            account: *account,
            intent: head.id,
            version: view.version,
            fence: None,
            attempts: learned.to_vec(),
            fills: learned.iter().flat_map(execution).collect(),
            state: view.state,
            reason: view.reason.clone(),
            gates: Vec::new(),
            what: "late facts of an earlier attempt".to_owned(),
            at,
            // The write raises the version, so the intent's next step is written with it.
            follow_up: (!view.state.is_final()).then_some(at),
            also: Vec::new(),
        }
    }
}

/// The order of an attempt, by its tag.
fn order_of<'o>(view: &IntentView, attempt: &Attempt, orders: &'o [BrokerOrder]) -> Option<&'o BrokerOrder> {
    let id = view.intent.head().id;
    orders.iter().find(|it| it.tag.is_some_and(|tag| tag.intent == id && tag.attempt == attempt.no))
}

/// Attempts that no step looks at any more as the broker shows them, where that says more than the books: those that
/// ended, and those that a flatten without the database overtook with attempts of its own.
fn learned(view: &IntentView, orders: &[BrokerOrder]) -> Vec<Attempt> {
    let last = view.last_attempt().map(|it| it.no);
    let left = view.attempts.iter().filter(|it| it.state.is_final() || Some(it.no) != last);
    let seen = left.filter_map(|attempt| {
        let order = order_of(view, attempt, orders)?;
        // Somebody else's order under our tag is a difference, and no fact of ours.
        let head = view.intent.head();
        let is_ours = |it: &BrokerLeg| it.series == head.series && it.side == attempt.side;
        if attempt.combo.is_none() && order.single().is_some_and(|it| !is_ours(it)) {
            return None;
        }
        let event = attempt.shown(order)?;
        // What contradicts the books is a difference, and told as one.
        let seen = attempt.apply(&event).ok()?;
        let unpriced = view.is_priced_by(&seen);
        let is_more = seen.executed > attempt.executed
            || seen.state != attempt.state
            || seen.broker_order != attempt.broker_order
            || seen.combo.as_ref().map(ComboAttempt::contracts)
                > attempt.combo.as_ref().map(ComboAttempt::contracts);
        (is_more || unpriced).then_some(seen)
    });
    seen.collect()
}

/// Orders that work although their attempt has ended in our books.
fn still_working<'o>(view: &IntentView, orders: &'o [BrokerOrder]) -> Vec<&'o BrokerOrder> {
    let ended = view.attempts.iter().filter(|it| it.state.is_final());
    let orders = ended.filter_map(|attempt| order_of(view, attempt, orders));
    orders.filter(|order| !order.status.is_final()).collect()
}
