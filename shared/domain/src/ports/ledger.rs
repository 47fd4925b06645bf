//! The ledger: each method is one whole transaction, named for what it does.
//!
//! PostgreSQL (`store`) and memory (`sim`) implement it and pass one conformance suite. Nothing here hands out a
//! transaction. Whatever is delivered twice has one effect, by natural key; order comes from versions and sequence
//! numbers, never from a queue.

mod books;
mod intents;

use jiff::civil::Date;

use super::queue::{DeadLetter, Message, OutboxRow, Queue};
use crate::account::{AccountRef, CredentialRecord, UserSettings};
use crate::chain::ChainSnapshot;
use crate::combo::OwnedCombo;
use crate::ids::{BrokerOrderId, ChainId, IntentId, SetupId, UserId};
use crate::kill::{KillRow, KillScope};
use crate::market::Microbar;
use crate::money::Usd;
use crate::position::{FillSource, Owned};
use crate::setup::TransitionRecord;
use crate::symbol::{OccSymbol, Underlying};
use crate::time::UtcNanos;

pub use books::{
    CredentialChange, DayBook, DayRisk, Difference, DifferenceKind, KillFlip, OpeningContext,
    REFUSED_TOKEN_AGE_MAX, ReconciliationRun, SetupBook, Snapshot,
};
pub use intents::{Answer, IntentView, MarkRequest, Marking, NewIntent, Progress};

/// Why the ledger could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No answer, or the connection broke. The transaction may or may not have been committed: every method can be
    /// called again with the same arguments.
    #[error("the ledger did not answer ({what}): {why}")]
    Unavailable {
        /// The method.
        what: &'static str,
        /// The driver's words.
        why: String,
    },
    /// A row that contradicts our own rules.
    #[error("the ledger holds something impossible ({what}): {why}")]
    Corrupt {
        /// The row.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The write contradicts what is recorded, and repeating it will not help.
    #[error("the ledger refuses ({what}): {why}")]
    Refused {
        /// The method.
        what: &'static str,
        /// Why.
        why: String,
    },
}

/// Whether a write with a natural key was the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Written now.
    New,
    /// It was there already; nothing changed.
    Known,
}

/// What a compare-and-set write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Done; the intent has this version now.
    Version(i64),
    /// Somebody wrote in between: read again.
    Stale,
    /// The account's lease is somebody else's by now: stop.
    LeaseLost,
}

/// A fence: rises with every taking of an account's lease, so that a late writer is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub i64);

/// The books. See the module for its rules.
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller; see the module")]
pub trait Ledger: super::Members {
    // ---- written by the ingester ----

    /// Keeps a chain by its content. Storing it again changes nothing.
    async fn store_chain(&self, chain: &ChainSnapshot) -> Result<ChainId, LedgerError>;

    /// Writes a setup's step and the message about it. The key is (setup, sequence). A step that is not the next one
    /// of the lifecycle is refused.
    async fn record_transition(
        &self,
        record: &TransitionRecord,
        at: UtcNanos,
    ) -> Result<Recorded, LedgerError>;

    /// Writes closed bars of a symbol. The key is (symbol, start); writing one again changes nothing.
    async fn store_microbars(&self, symbol: Underlying, bars: &[Microbar]) -> Result<(), LedgerError>;

    /// Replaces the ingester's checkpoint of a session.
    async fn save_checkpoint(&self, session: Date, checkpoint: &[u8]) -> Result<(), LedgerError>;

    /// The ingester's checkpoint of a session.
    async fn checkpoint(&self, session: Date) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Keeps the message that a broker's account stream spoke of an order.
    async fn record_broker_event(
        &self,
        account: &AccountRef,
        order: BrokerOrderId,
        at: UtcNanos,
    ) -> Result<(), LedgerError>;

    // ---- transitions ----

    /// A step of a setup, with the setup as it was after that step.
    async fn transition(
        &self,
        setup: SetupId,
        sequence: u32,
    ) -> Result<Option<TransitionRecord>, LedgerError>;

    /// A stored chain.
    async fn chain(&self, id: ChainId) -> Result<Option<ChainSnapshot>, LedgerError>;

    /// The last step of a setup whose intents are all written; `None` before the first.
    async fn handled_up_to(&self, setup: SetupId) -> Result<Option<u32>, LedgerError>;

    /// Notes that all intents of a step are written. Steps are handled in order; an earlier one changes nothing.
    async fn mark_handled(&self, setup: SetupId, sequence: u32) -> Result<(), LedgerError>;

    /// Every account with an active credential: who and where, and nothing else. Sorted by account.
    async fn active_accounts(&self) -> Result<Vec<AccountRef>, LedgerError>;

    /// What the gate reads, as of `session`.
    async fn opening_context(
        &self,
        account: &AccountRef,
        session: Date,
        scopes: &[KillScope],
    ) -> Result<OpeningContext, LedgerError>;

    /// Writes an intent and, when it is ready, the message for its first step. The key is the intent's id.
    async fn record_intent(&self, intent: &NewIntent) -> Result<Recorded, LedgerError>;

    /// The intents of a setup for an account, in order of sequence.
    async fn intents_of(&self, account: &AccountRef, setup: SetupId) -> Result<Vec<IntentView>, LedgerError>;

    // ---- orders ----

    /// An intent.
    async fn intent(&self, account: &AccountRef, id: IntentId) -> Result<Option<IntentView>, LedgerError>;

    /// Whose order that is; `None` for foreign ones.
    async fn intent_of_order(
        &self,
        account: &AccountRef,
        order: BrokerOrderId,
    ) -> Result<Option<IntentId>, LedgerError>;

    /// Intents of an account that are not final.
    async fn open_intents(&self, account: &AccountRef) -> Result<Vec<IntentView>, LedgerError>;

    /// Takes the account's lease until `until`; `None` while another holder has it. The same holder gets it again with a
    /// new fence.
    async fn take_lease(
        &self,
        account: &AccountRef,
        holder: &str,
        now: UtcNanos,
        until: UtcNanos,
    ) -> Result<Option<Fence>, LedgerError>;

    /// Gives the lease back. A later fence is left alone.
    async fn release_lease(&self, account: &AccountRef, fence: Fence) -> Result<(), LedgerError>;

    /// Commits an attempt as `submitting` with its follow-up, reading the kill switch FOR SHARE in the same transaction.
    async fn mark_submitting(&self, request: &MarkRequest) -> Result<Marking, LedgerError>;

    /// Records what the request was answered with.
    async fn record_answer(&self, answer: &Answer) -> Result<Written, LedgerError>;

    /// Records a step: attempts, executions, state, follow-up.
    async fn record_progress(&self, progress: &Progress) -> Result<Written, LedgerError>;

    /// Asks an intent to stop and writes a step for it, due now. Asked again, or of a final one, it changes nothing.
    async fn request_stop(
        &self,
        account: &AccountRef,
        intent: IntentId,
        at: UtcNanos,
    ) -> Result<(), LedgerError>;

    // ---- outbox ----

    /// Writes a message on its own: an early one rewritten, a flatten's next pass. The same message for the same queue
    /// and instant waits once; an alert is written once per key, sent or not. An early message is not written where the
    /// same one waits that was rewritten as often or oftener: that one goes on for both, so that repeats do not multiply.
    async fn send_later(&self, queue: Queue, message: &Message, due_at: UtcNanos) -> Result<(), LedgerError>;

    /// Unsent messages due at `now` or before, oldest first by (due, id), at most `limit`.
    async fn due_outbox(&self, now: UtcNanos, limit: u32) -> Result<Vec<OutboxRow>, LedgerError>;

    /// When the next unsent message is due.
    async fn next_due(&self) -> Result<Option<UtcNanos>, LedgerError>;

    /// Notes that messages were handed to their queues.
    async fn mark_sent(&self, ids: &[i64], at: UtcNanos) -> Result<(), LedgerError>;

    /// Keeps a message that cannot be worked. The key is (queue, message id).
    async fn record_dead_letter(&self, letter: &DeadLetter) -> Result<(), LedgerError>;

    // ---- positions, money, truth ----

    /// What the account holds of ours or held in `session`, by entry.
    async fn owned(&self, account: &AccountRef, session: Date) -> Result<Vec<Owned>, LedgerError>;

    /// The structures the account holds or held in `session`, by entry.
    async fn structures(&self, account: &AccountRef, session: Date) -> Result<Vec<OwnedCombo>, LedgerError>;

    /// Stores balances. The key is (account, instant).
    async fn record_snapshot(
        &self,
        account: &AccountRef,
        snapshot: &Snapshot,
        reason: &str,
    ) -> Result<(), LedgerError>;

    /// The first balances of `session` and the latest of all, in order of time; one where they are the same.
    async fn snapshots(&self, account: &AccountRef, session: Date) -> Result<Vec<Snapshot>, LedgerError>;

    /// Writes a reconciliation with the steps and alerts that follow from it. The key is (account, instant). Intents
    /// to be stepped get a new version and a step due now; final ones are left alone.
    async fn record_reconciliation(
        &self,
        account: &AccountRef,
        run: &ReconciliationRun,
    ) -> Result<(), LedgerError>;

    /// Books the settlement of what is held of an expired series at `price` a share, once per entry: a fill of the
    /// entry under [`SETTLEMENT`](crate::books::SETTLEMENT).
    async fn record_settlement(
        &self,
        account: &AccountRef,
        opening: IntentId,
        price: Usd,
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError>;

    /// Books the settlement of a structure, every leg that is still held at its price in one transaction, once per leg: fills
    /// of the entry under [`SETTLEMENT`](crate::books::SETTLEMENT). A held leg without a price is refused.
    async fn record_combo_settlement(
        &self,
        account: &AccountRef,
        opening: IntentId,
        prices: &[(OccSymbol, Usd)],
        at: UtcNanos,
        source: FillSource,
    ) -> Result<Recorded, LedgerError>;

    // ---- control, credentials, reports ----

    /// Flips the kill switch: takes the row FOR UPDATE, raises its version, and asks every working entry it covers to
    /// stop where the new state says so. A hard stop also writes the flatten at once of every active account it covers
    /// ([`books::is_covered`](crate::books::is_covered)). All of it or nothing.
    async fn flip_kill_switch(&self, flip: &KillFlip) -> Result<KillRow, LedgerError>;

    /// Every row of the kill switch.
    async fn kill_switch(&self) -> Result<Vec<KillRow>, LedgerError>;

    /// Changes a credential's record. The account is created with its first credential.
    async fn change_credential(
        &self,
        account: &AccountRef,
        change: &CredentialChange,
        at: UtcNanos,
    ) -> Result<(), LedgerError>;

    /// The credentials of a user.
    async fn credentials(&self, user: UserId) -> Result<Vec<CredentialRecord>, LedgerError>;

    /// A user's choices; the defaults when none are stored.
    async fn settings(&self, user: UserId) -> Result<UserSettings, LedgerError>;

    /// Stores a user's choices.
    async fn store_settings(&self, user: UserId, settings: &UserSettings) -> Result<(), LedgerError>;

    /// A session of an account.
    async fn day_book(&self, account: &AccountRef, session: Date) -> Result<DayBook, LedgerError>;

    /// Setups of a session with their steps, in order of forming.
    async fn setups(&self, session: Date) -> Result<Vec<SetupBook>, LedgerError>;

    /// Keeps a report. The key is (account, session); a later one replaces it.
    async fn store_report(
        &self,
        account: &AccountRef,
        session: Date,
        report: &str,
        at: UtcNanos,
    ) -> Result<(), LedgerError>;
}
