//! Works order intents: one message, one step.
//!
//! A step reads the intent, checks that it is the one the message was written for, takes the account's lease, asks the
//! broker, moves one rung, and writes what follows as a message due later. Nothing sleeps, and a crash at any line
//! loses nothing: the row tells where it stood, and the follow-up written with it asks again.

#![forbid(unsafe_code)]

mod begin;
mod combo;
mod combo_close;
mod combo_follow;
mod emergency;
mod follow;
mod protect;
mod resolve;

use std::time::Duration;

use domain::account::{AccountRef, Switches};
use domain::books;
use domain::ids::{BrokerOrderId, IntentId};
use domain::intent::{IntentState, OrderIntent, Origin};
use domain::order::{Attempt, BrokerOrder};
use domain::ports::{
    BrokerError, BrokerPort, Brokers, Clock, EARLY_TRIES_MAX, Fence, HandleError, IntentView, Ledger,
    Message, OwnedNote, OwnedNotes, Progress, Queue, Written, early_again,
};
use domain::position::FillSource;
use domain::time::UtcNanos;

/// Our only broker so far, as the kill switch names it.
pub const BROKER: &str = "tradier";
/// How long an account's lease is held: longer than a POST's time-out.
pub const LEASE: Duration = Duration::from_secs(20);
/// How long a close waits before it looks again whether what stands in its way has ended.
pub const EARLY_WAIT: Duration = Duration::from_secs(1);
/// The longest such wait: what has not ended for a minute will hardly within the next second.
const EARLY_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long to wait before the broker is asked again after it did not answer.
pub const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What the function works with.
#[derive(Debug)]
pub struct Orders<'a, L, B, C, N> {
    /// The books.
    pub ledger: &'a L,
    /// The brokers.
    pub brokers: &'a B,
    /// Market time.
    pub clock: &'a C,
    /// What is owned, kept outside the database.
    pub notes: &'a N,
    /// The deployment's switches.
    pub switches: Switches,
    /// Who holds leases: this process.
    pub holder: &'a str,
}

/// One intent in hand: read, leased, with its account at the broker.
struct Work<'w, A> {
    account: AccountRef,
    broker: &'w A,
    view: IntentView,
    fence: Fence,
    source: FillSource,
}

impl<L: Ledger, B: Brokers, C: Clock, N: OwnedNotes> Orders<'_, L, B, C, N> {
    /// Works one message.
    ///
    /// # Errors
    /// [`HandleError::Poison`] for messages that belong elsewhere or name what does not exist, [`HandleError::Again`]
    /// when a port did not answer.
    pub async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        match message {
            Message::Step { account, intent, version, tries } => {
                self.step(account, *intent, *version, *tries).await
            }
            Message::BrokerOrder { account, order } => self.wake(account, *order).await,
            Message::Transition { .. } | Message::Flatten { .. } | Message::Alert { .. } => {
                Err(HandleError::Poison(
                    "this message belongs to another queue than entries, exits or broker-events".to_owned(),
                ))
            }
        }
    }

    async fn step(
        &self,
        account: &AccountRef,
        intent: IntentId,
        version: i64,
        tries: u16,
    ) -> Result<(), HandleError> {
        let view = self.ledger.intent(account, intent).await?;
        let view = view.ok_or_else(|| {
            HandleError::Poison(format!("no intent {intent} of account {}", account.account))
        })?;
        // Somebody moved on since this was written; their own message goes on from there. A flatten works its own.
        // Structures it hands over: their exits are worked here.
        let is_flatten = matches!(view.intent.head().origin, Origin::Flatten(_)) && !view.intent.is_combo();
        if view.version != version || view.state.is_final() || is_flatten {
            return Ok(());
        }
        let Some(fence) = self.lease(account).await? else {
            if tries >= EARLY_TRIES_MAX {
                return Err(HandleError::Poison(format!(
                    "the account's lease stayed taken over {tries} tries"
                )));
            }
            let again = Message::Step { account: *account, intent, version, tries: tries + 1 };
            let queue = again.queue(view.intent.opens());
            self.ledger.send_later(queue, &again, early_again(self.clock.now())).await?;
            return Ok(());
        };
        let worked = self.work(account, view, fence, FillSource::Poll).await;
        self.ledger.release_lease(account, fence).await?;
        worked
    }

    /// The account stream spoke of an order: read it now rather than at the next rung.
    async fn wake(&self, account: &AccountRef, order: BrokerOrderId) -> Result<(), HandleError> {
        // Foreign orders wake nobody, and an order whose answer is not recorded yet is found by its own follow-up.
        let Some(intent) = self.ledger.intent_of_order(account, order).await? else { return Ok(()) };
        let Some(fence) = self.lease(account).await? else { return Ok(()) };
        let worked = match self.ledger.intent(account, intent).await {
            Ok(Some(view)) => self.woken(account, view, fence, order).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        self.ledger.release_lease(account, fence).await?;
        worked
    }

    /// An attempt that had ended in our books is looked at by itself; anything else is the intent's next step.
    async fn woken(
        &self,
        account: &AccountRef,
        view: IntentView,
        fence: Fence,
        order: BrokerOrderId,
    ) -> Result<(), HandleError> {
        let ended = view.attempts.iter().find(|it| it.broker_order == Some(order) && it.state.is_final());
        let Some(ended) = ended.cloned() else {
            return self.work(account, view, fence, FillSource::Stream).await;
        };
        let broker = self.brokers.account(account).await?;
        let work = Work { account: *account, broker: &broker, view, fence, source: FillSource::Stream };
        self.late(&work, &ended).await
    }

    async fn lease(&self, account: &AccountRef) -> Result<Option<Fence>, HandleError> {
        let now = self.clock.now();
        Ok(self.ledger.take_lease(account, self.holder, now, now.plus(LEASE)).await?)
    }

    async fn work(
        &self,
        account: &AccountRef,
        view: IntentView,
        fence: Fence,
        source: FillSource,
    ) -> Result<(), HandleError> {
        let broker = self.brokers.account(account).await?;
        let work = Work { account: *account, broker: &broker, view, fence, source };
        self.advance(&work).await
    }

    /// One step of the intent in hand.
    async fn advance(&self, work: &Work<'_, B::Account>) -> Result<(), HandleError> {
        match work.view.last_attempt() {
            Some(last) if last.state.is_unresolved() => self.resolve(work, last).await,
            Some(last) if !last.state.is_final() => self.follow(work, last).await,
            Some(last) if work.view.state.is_final() => self.late(work, last).await,
            Some(_) | None => self.begin(work).await,
        }
    }

    /// Reads an order that had ended in our books: a fill may have raced its cancel, and a request that was given up may
    /// have arrived after all. What it still works is nobody's wish any more, and is cancelled until it has ended.
    async fn late(&self, work: &Work<'_, B::Account>, ended: &Attempt) -> Result<(), HandleError> {
        let Some(id) = ended.broker_order else { return Ok(()) };
        let order = work.broker.order(id).await?;
        let seen = follow::observe(work.view.intent.head(), ended, &order)?;
        let now = self.clock.now();
        if !order.status.is_final() {
            // None of a cancel's answers is a verdict: the next look reads the order.
            drop(work.broker.cancel(id).await);
            let again = Message::BrokerOrder { account: work.account, order: id };
            self.ledger.send_later(Queue::BrokerEvents, &again, early_again(now)).await?;
        }
        let (state, reason) = (work.view.state, work.view.reason.clone());
        if seen == *ended && !needs_price(work, &seen) {
            // An exit at work puts its legs right by itself: a short that it bought back before its wing is no imbalance.
            return if state.is_final() { self.late_balance(work).await } else { Ok(()) };
        }
        let follow_up = (!state.is_final()).then_some(now);
        let is_combo = seen.combo.is_some();
        let mut progress = self.progress(work, seen, state, &reason, "a late execution was read", follow_up);
        if is_combo {
            // What executed late may be out of ratio: the order is looked at once more with it in the books.
            let again = Message::BrokerOrder { account: work.account, order: id };
            progress.also.push((Queue::BrokerEvents, again, early_again(now)));
        }
        self.write(work, progress).await
    }

    /// A progress of `work` with `attempt` as it stands now and the execution it shows.
    fn progress(
        &self,
        work: &Work<'_, B::Account>,
        attempt: Attempt,
        state: IntentState,
        reason: &str,
        what: &str,
        follow_up: Option<UtcNanos>,
    ) -> Progress {
        let at = self.clock.now();
        let fills = books::observed(work.view.intent.head(), &attempt, at, work.source);
        Progress {
            account: work.account,
            intent: work.view.intent.head().id,
            version: work.view.version,
            fence: Some(work.fence),
            attempts: vec![attempt],
            fills,
            state,
            reason: reason.to_owned(),
            gates: Vec::new(),
            what: what.to_owned(),
            at,
            follow_up,
            also: Vec::new(),
        }
    }

    /// A progress that touches no attempt.
    fn bare(
        &self,
        work: &Work<'_, B::Account>,
        state: IntentState,
        reason: &str,
        what: &str,
        follow_up: Option<UtcNanos>,
    ) -> Progress {
        Progress {
            account: work.account,
            intent: work.view.intent.head().id,
            version: work.view.version,
            fence: Some(work.fence),
            attempts: Vec::new(),
            fills: Vec::new(),
            state,
            reason: reason.to_owned(),
            gates: Vec::new(),
            what: what.to_owned(),
            at: self.clock.now(),
            follow_up,
            also: Vec::new(),
        }
    }

    /// Writes a progress; after an execution also what is owned, outside the database.
    async fn write(&self, work: &Work<'_, B::Account>, progress: Progress) -> Result<(), HandleError> {
        let executed = !progress.fills.is_empty();
        if let OrderIntent::Opening(opening) = &work.view.intent
            && executed
        {
            self.protect(opening).await?;
        }
        match self.ledger.record_progress(&progress).await? {
            Written::Version(_) if executed => self.note_owned(&work.account).await,
            // Stale: somebody else wrote, and their follow-up goes on.
            Written::Version(_) | Written::Stale => Ok(()),
            Written::LeaseLost => Err(lease_lost()),
        }
    }

    /// Keeps what is owned where a flatten finds it with the database down. A note that cannot be written stops nothing:
    /// the flatten then takes the smaller of the broker's position and the day's tagged orders.
    async fn note_owned(&self, account: &AccountRef) -> Result<(), HandleError> {
        let now = self.clock.now();
        let owned = self.ledger.owned(account, now.new_york_date()).await?;
        let structures = self.ledger.structures(account, now.new_york_date()).await?;
        let settings = self.ledger.settings(account.user).await?;
        let note = OwnedNote::of(account, (&owned, &structures), (&settings, &self.switches), now);
        if let Err(error) = self.notes.put(&note).await {
            let alert = Message::Alert {
                key: format!("owned_note:{}:{}", account.account, now.new_york_date()),
                level: "warning".to_owned(),
                text: format!(
                    "what account {} owns could not be kept outside the database: {error}",
                    account.account
                ),
            };
            self.ledger.send_later(Queue::Alerts, &alert, now).await?;
        }
        Ok(())
    }

    /// When a close next looks at what stands in its way: later the longer it has waited.
    fn next_look(&self, work: &Work<'_, B::Account>) -> UtcNanos {
        let now = self.clock.now();
        let waited = now.since(work.view.intent.head().decided_at);
        now.plus((waited / 12).clamp(EARLY_WAIT, EARLY_WAIT_MAX))
    }

    /// Asks later, because the broker did not answer now.
    async fn ask_again(&self, work: &Work<'_, B::Account>, error: &BrokerError) -> Result<(), HandleError> {
        let due = match error {
            BrokerError::RateLimited { until } => (*until).max(self.clock.now().plus(EARLY_WAIT)),
            BrokerError::Refused { .. }
            | BrokerError::NotSent { .. }
            | BrokerError::Unknown { .. }
            | BrokerError::Authentication { .. }
            | BrokerError::Broken { .. } => self.clock.now().plus(ASK_AGAIN),
        };
        let reason = work.view.reason.clone();
        let progress = self.bare(
            work,
            work.view.state,
            &reason,
            &format!("the broker did not answer: {error}"),
            Some(due),
        );
        self.write(work, progress).await
    }
}

/// The new holder may be working another intent, so this message has to come again.
fn lease_lost() -> HandleError {
    HandleError::Again("the account's lease ran out in the middle of a step".to_owned())
}

/// Whether a recorded execution of the attempt lacks a price that is known now.
fn needs_price<A>(work: &Work<'_, A>, attempt: &Attempt) -> bool {
    work.view.is_priced_by(attempt)
}

/// Our order in a list, by its tag. Two orders under one tag must never be; the first one counts and the rest is told.
fn tagged<'o>(orders: &'o [BrokerOrder], intent: IntentId, attempt: &Attempt) -> Vec<&'o BrokerOrder> {
    let ours =
        |it: &&BrokerOrder| it.tag.is_some_and(|tag| tag.intent == intent && tag.attempt == attempt.no);
    orders.iter().filter(ours).collect()
}

#[cfg(test)]
mod tests;
