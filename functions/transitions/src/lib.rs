//! Turns a setup's step into one intent per account that follows it.
//!
//! A trigger becomes an opening intent: contract, size, gates, all recorded, the "no" with its reason like the "yes". A
//! target, a stop or another end becomes a closing intent where something was opened. Steps are worked in the order of
//! their sequence; an early one is rewritten and comes again.

#![forbid(unsafe_code)]

mod close;
mod open;
mod release;

use domain::account::{AccountRef, Switches};
use domain::ids::SetupId;
use domain::ports::{Clock, EARLY_TRIES_MAX, HandleError, Ledger, Message, Queue, early_again};
use domain::setup::{SetupState, TransitionRecord};

/// Our only broker so far, as the kill switch names it.
pub const BROKER: &str = "tradier";

/// What the function works with.
#[derive(Debug)]
pub struct Transitions<'a, L, C> {
    /// The books.
    pub ledger: &'a L,
    /// Market time.
    pub clock: &'a C,
    /// The deployment's switches.
    pub switches: Switches,
}

/// What a step asks of the accounts that follow its setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Open,
    Close(close::Closing),
}

impl<L: Ledger, C: Clock> Transitions<'_, L, C> {
    /// Works one message.
    ///
    /// # Errors
    /// [`HandleError::Poison`] for an unknown setup and for messages of other queues, [`HandleError::Again`] when the
    /// ledger did not answer.
    pub async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        match message {
            Message::Transition { setup, sequence, tries } => {
                self.transition(*setup, *sequence, *tries).await
            }
            Message::Step { .. }
            | Message::BrokerOrder { .. }
            | Message::Flatten { .. }
            | Message::Alert { .. } => {
                Err(HandleError::Poison("this message belongs to another queue than transitions".to_owned()))
            }
        }
    }

    async fn transition(&self, setup: SetupId, sequence: u32, tries: u16) -> Result<(), HandleError> {
        let record = self.ledger.transition(setup, sequence).await?;
        let record = record
            .ok_or_else(|| HandleError::Poison(format!("no step {sequence} of setup {setup} is recorded")))?;
        let next = self.ledger.handled_up_to(setup).await?.map_or(0, |it| it.saturating_add(1));
        if sequence < next {
            return Ok(());
        }
        if sequence > next {
            return self.early(setup, sequence, tries, next).await;
        }
        match wanted(&record) {
            Wanted::Nothing => {}
            Wanted::Open => {
                let mut decided = Vec::new();
                for account in self.ledger.active_accounts().await? {
                    decided.push(self.decide(&account, &record).await?);
                }
                for new in release::released(decided, &record, self.clock.now()) {
                    self.ledger.record_intent(&new).await?;
                }
            }
            Wanted::Close(closing) => {
                for account in self.ledger.active_accounts().await? {
                    self.close(&account, &record, closing).await?;
                }
            }
        }
        if moves_the_stop(&record) {
            for account in self.ledger.active_accounts().await? {
                self.price_anew(&account, setup).await?;
            }
        }
        // Every intent above is keyed by its id: a crash before this line repeats them without effect.
        Ok(self.ledger.mark_handled(setup, sequence).await?)
    }

    async fn early(&self, setup: SetupId, sequence: u32, tries: u16, next: u32) -> Result<(), HandleError> {
        if tries >= EARLY_TRIES_MAX {
            return Err(HandleError::Poison(format!(
                "step {sequence} of setup {setup} waited {tries} times for step {next}"
            )));
        }
        let again = Message::Transition { setup, sequence, tries: tries + 1 };
        Ok(self.ledger.send_later(Queue::Transitions, &again, early_again(self.clock.now())).await?)
    }

    /// The stop moved: what rests at the broker is looked at now and not at its next look. A step for a version that moved
    /// on meanwhile is dropped, and whoever moved it read the same stop.
    async fn price_anew(&self, account: &AccountRef, setup: SetupId) -> Result<(), HandleError> {
        for view in self.ledger.intents_of(account, setup).await? {
            let head = view.intent.head();
            if head.action.protects() && !view.state.is_final() {
                let (account, intent, version) = (head.account, head.id, view.version);
                let step = Message::Step { account, intent, version, tries: 0 };
                self.ledger.send_later(step.queue(false), &step, self.clock.now()).await?;
            }
        }
        Ok(())
    }

    async fn t1_fraction(&self, account: &AccountRef) -> Result<u32, HandleError> {
        Ok(self.ledger.settings(account.user).await?.t1_fraction_bp)
    }
}

/// Whether a step leaves the stop elsewhere: a move of the trail, or T1, from which on it stands at break-even.
fn moves_the_stop(record: &TransitionRecord) -> bool {
    let step = &record.transition;
    step.from.is_some_and(SetupState::is_live) && step.to.is_live()
}

/// What a step asks for. A move of the trail asks for no close: the stop is watched on the index.
fn wanted(record: &TransitionRecord) -> Wanted {
    let step = &record.transition;
    let was_live = step.from.is_some_and(SetupState::is_live);
    match step.to {
        SetupState::Triggered if step.from == Some(SetupState::Ready) => Wanted::Open,
        SetupState::T1Hit if step.from == Some(SetupState::Triggered) => Wanted::Close(close::Closing::T1),
        SetupState::T2Hit => Wanted::Close(close::Closing::T2),
        SetupState::Stopped => Wanted::Close(close::Closing::Stop),
        // At the session's end the flatten alone closes.
        SetupState::Expired if was_live && step.reason != "session_end" => {
            Wanted::Close(close::Closing::Terminal)
        }
        SetupState::Forming
        | SetupState::Ready
        | SetupState::Triggered
        | SetupState::T1Hit
        | SetupState::Invalidated
        | SetupState::Expired
        | SetupState::Missed => Wanted::Nothing,
    }
}

#[cfg(test)]
mod tests;
