//! The ledger: each method is one whole transaction, named for what it does.
//!
//! PostgreSQL (`store`) and memory (`sim`) implement it and pass one conformance suite. Nothing here hands out a
//! transaction. Whatever is delivered twice has one effect, by natural key; order comes from versions and sequence
//! numbers, never from a queue.

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::queue::{DeadLetter, Message, OutboxRow, Queue};
use crate::account::{AccountRef, Balances, CredentialRecord, UserSettings};
use crate::chain::ChainSnapshot;
use crate::combo::OwnedCombo;
use crate::expiry::Expiry;
use crate::gate::GateCheck;
use crate::ids::{AttemptNo, BrokerOrderId, ChainId, IntentId, OrderTag, SetupId, UserId};
use crate::intent::{IntentState, OrderIntent};
use crate::kill::{KillRow, KillScope, KillState};
use crate::market::Microbar;
use crate::money::{Price, Side, Usd};
use crate::order::{Attempt, ComboAttempt, Mark, Touch};
use crate::position::{Fill, FillSource, Owned};
use crate::setup::{Setup, Transition, TransitionRecord};
use crate::symbol::{OccSymbol, Underlying};
use crate::ticket::HeldLeg;
use crate::time::UtcNanos;

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

/// An intent to be written with the gates that decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewIntent {
    /// The intent.
    pub intent: OrderIntent,
    /// `Ready`, `Blocked` or `WouldSubmit`. Ready writes its first step into the outbox, the others no message. A
    /// flatten's intent is written `Working`, also without a message: the flatten works it itself.
    pub state: IntentState,
    /// Why it is blocked; empty when ready.
    pub reason: String,
    /// The gates as they stood.
    pub gates: Vec<GateCheck>,
    /// The sizing or whatever else explains it, as JSON text; empty for none.
    pub breakdown: String,
    /// Market time.
    pub at: UtcNanos,
}

impl NewIntent {
    /// An intent that no gate is asked for: a close, or what follows from an entry. Its first step is due at once.
    pub const fn ready(intent: OrderIntent, at: UtcNanos) -> Self {
        Self {
            intent,
            state: IntentState::Ready,
            reason: String::new(),
            gates: Vec::new(),
            breakdown: String::new(),
            at,
        }
    }

    /// When its first step is due: when it is written, or at its turn where it waits for one.
    pub fn first_step_due(&self) -> UtcNanos {
        match &self.intent {
            OrderIntent::Opening(it) => it.release_at.map_or(self.at, |turn| turn.max(self.at)),
            OrderIntent::Closing(_) | OrderIntent::OpeningCombo(_) | OrderIntent::ClosingCombo(_) => self.at,
        }
    }
}

/// An intent with everything recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct IntentView {
    /// The intent.
    pub intent: OrderIntent,
    /// Where it stands.
    pub state: IntentState,
    /// Why it stands there.
    pub reason: String,
    /// Its attempts, in order.
    pub attempts: Vec<Attempt>,
    /// Fills of all attempts, in order of recording.
    pub fills: Vec<Fill>,
    /// Contracts executed over all attempts.
    pub filled: u32,
    /// Somebody asked it to stop; at the next step its order is cancelled and confirmed.
    pub stop_requested: bool,
    /// Raised by every write.
    pub version: i64,
}

impl IntentView {
    /// Whether a recorded execution of `attempt` lacks a price that is known now.
    pub fn is_priced_by(&self, attempt: &Attempt) -> bool {
        let said = |series: &OccSymbol| match &attempt.combo {
            None => attempt.average.is_some(),
            Some(combo) => combo.legs.iter().any(|it| it.series == *series && it.average.is_some()),
        };
        self.fills.iter().any(|it| it.attempt == attempt.no && it.price.is_none() && said(&it.series))
    }

    /// The attempt worked on, the last.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

/// Asks for the right to send: the row that must be committed before a request leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct MarkRequest {
    /// Whose.
    pub account: AccountRef,
    /// Which intent.
    pub intent: IntentId,
    /// The version read.
    pub version: i64,
    /// The account's lease.
    pub fence: Fence,
    /// Which attempt; it must be the one after the last.
    pub attempt: AttemptNo,
    /// Buy or sell; of an order on a structure, whether it opens or closes.
    pub side: Side,
    /// Contracts; of an order on a structure, units.
    pub quantity: u32,
    /// The limit.
    pub price: Price,
    /// The legs of an order on a structure with its net limit; `None` for a single long.
    pub combo: Option<ComboAttempt>,
    /// The market it is sent into, where it was two-sided.
    pub arrival: Option<Touch>,
    /// Scopes of the kill switch, read FOR SHARE in this transaction. Empty for closes.
    pub kill_scopes: Vec<KillScope>,
    /// The gates of the second pass, kept with the intent. Empty for closes.
    pub gates: Vec<GateCheck>,
    /// Market time.
    pub at: UtcNanos,
    /// When the outcome is asked for if no answer is recorded.
    pub follow_up: UtcNanos,
}

/// What a mark was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marking {
    /// Committed: the request may leave.
    Marked(Mark),
    /// The kill switch says no.
    Killed(KillRow),
    /// Somebody wrote in between.
    Stale,
    /// The lease is somebody else's.
    LeaseLost,
}

/// What the broker answered to the request of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whose.
    pub account: AccountRef,
    /// Which order.
    pub tag: OrderTag,
    /// The version read or marked.
    pub version: i64,
    /// The account's lease.
    pub fence: Fence,
    /// The attempt after the answer.
    pub attempt: Attempt,
    /// Where the intent stands after it, and why.
    pub state: IntentState,
    /// The reason with the state; empty for none.
    pub reason: String,
    /// In the broker's words, for the audit.
    pub broker_words: String,
    /// Market time.
    pub at: UtcNanos,
    /// When the intent takes its next step; `None` when it is final.
    pub follow_up: Option<UtcNanos>,
}

/// What a step found out or did: attempts as they stand, executions seen, and what follows. One transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Whose.
    pub account: AccountRef,
    /// Which intent.
    pub intent: IntentId,
    /// The version read.
    pub version: i64,
    /// The account's lease; `None` for reconciliation, which writes facts and sends nothing.
    pub fence: Option<Fence>,
    /// The attempts that changed.
    pub attempts: Vec<Attempt>,
    /// Executions seen: observations, not rows. `to` is the cumulative executed quantity of the order leg, `price`
    /// the average so far where the broker said one, `from` is ignored, `fees` is the charge for **one** contract.
    /// The ledger computes the stretch against what is recorded for (intent, attempt, series) and charges it `fees`
    /// times its contracts, anew when a later average completes its price; what is not above the record and
    /// completes nothing changes nothing. [`books::progressed`](crate::books::progressed) is that rule, for every
    /// ledger.
    pub fills: Vec<Fill>,
    /// Where the intent stands now, and why.
    pub state: IntentState,
    /// The reason with the state; empty for none.
    pub reason: String,
    /// Gates of a second pass that refused; empty otherwise.
    pub gates: Vec<GateCheck>,
    /// What happened, for the audit: `modified`, `cancel requested`, `polled`.
    pub what: String,
    /// Market time.
    pub at: UtcNanos,
    /// When the next step is due; refused when `None` leaves an intent that is not final.
    pub follow_up: Option<UtcNanos>,
    /// Other messages that leave with it: alerts, a flatten.
    pub also: Vec<(Queue, Message, UtcNanos)>,
}

/// What counts against a user's limits today.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayRisk {
    /// Realised less fees, today.
    pub realized: Usd,
    /// Cost of what is held plus worst cost of working entries.
    pub open_premium: Usd,
    /// Worst cost of working entries alone, for buying power.
    pub working_debits: Usd,
    /// Entries marked today.
    pub entries: u32,
    /// Closed trades in a row that lost, most recent first.
    pub losses_in_a_row: u32,
    /// Contracts held or working, up.
    pub long_contracts: u32,
    /// Contracts held or working, down.
    pub short_contracts: u32,
    /// Day trades in the last five sessions, today included.
    pub day_trades: u32,
}

/// Balances as they were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// When, market time.
    pub at: UtcNanos,
    /// The balances.
    pub balances: Balances,
}

/// What the first and second pass of the gate read, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct OpeningContext {
    /// The user's choices.
    pub settings: UserSettings,
    /// The credential's record; `None` when there is none.
    pub credential: Option<CredentialRecord>,
    /// Rows of the kill switch that match the scopes asked for.
    pub kill: Vec<KillRow>,
    /// The latest balances.
    pub snapshot: Option<Snapshot>,
    /// When the books and the broker's first agreed in the session; `None` until a reconciliation ran and found no fault.
    pub agreed_at: Option<UtcNanos>,
    /// What counts against the limits.
    pub day: DayRisk,
    /// Series the account holds or works, with the setup behind each: one owner per series.
    pub owned_series: Vec<(OccSymbol, Option<SetupId>)>,
    /// Every leg the account holds or works an entry in, negative when short: no new one may be opposite to it.
    pub open_legs: Vec<HeldLeg>,
}

/// A flip of the kill switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillFlip {
    /// What it covers.
    pub scope: KillScope,
    /// The new state.
    pub state: KillState,
    /// Who: `operator`, `daily_loss`.
    pub by: String,
    /// Why, in words.
    pub reason: String,
    /// Market time.
    pub at: UtcNanos,
    /// Flips only where the row still has this version, 0 being a row that nobody flipped: who releases by rule must not
    /// lift what somebody else set in between. The row as it stands comes back then.
    pub if_version: Option<i64>,
}

/// How our books and the broker may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// We have it, the broker does not.
    MissingAtBroker,
    /// The broker has it, we do not.
    UnknownAtBroker,
    /// Both have it, in different amounts.
    QuantityMismatch,
    /// Executed without a price.
    PriceMissing,
    /// Sent, never answered, and past its own follow-ups.
    StuckSubmission,
    /// A close that does not end.
    StuckClose,
    /// Cash moved by what none of our fills explains.
    CashMismatch,
    /// Opened by hand: labelled, shown, never touched.
    Foreign,
}

impl DifferenceKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::MissingAtBroker,
        Self::UnknownAtBroker,
        Self::QuantityMismatch,
        Self::PriceMissing,
        Self::StuckSubmission,
        Self::StuckClose,
        Self::CashMismatch,
        Self::Foreign,
    ];

    /// The name in rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingAtBroker => "missing_at_broker",
            Self::UnknownAtBroker => "unknown_at_broker",
            Self::QuantityMismatch => "quantity_mismatch",
            Self::PriceMissing => "price_missing",
            Self::StuckSubmission => "stuck_submission",
            Self::StuckClose => "stuck_close",
            Self::CashMismatch => "cash_mismatch",
            Self::Foreign => "foreign",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Whether it counts against `reconciled`. What was opened by hand is nobody's fault, and cash may be paid in and taken
    /// out at any hour: it is told, and stops nothing.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Foreign | Self::CashMismatch)
    }
}

/// One difference, with its cure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// How they differ.
    pub kind: DifferenceKind,
    /// About what: a series, a tag or a broker order.
    pub about: String,
    /// What our books say.
    pub ours: String,
    /// What the broker says.
    pub broker: String,
    /// What is done about it: `adopt`, `mark`, `re_ask`, `alert`, `none`; `taken_over` where its owner handed it over.
    pub cure: String,
}

/// One reconciliation of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconciliationRun {
    /// Market time.
    pub at: UtcNanos,
    /// What differed.
    pub differences: Vec<Difference>,
    /// Intents to be stepped at once because of it.
    pub steps: Vec<IntentId>,
    /// Alerts that leave with it.
    pub alerts: Vec<Message>,
}

/// How old a token may be that a broker just refused: it is read at most so long before it is used. A refusal says nothing
/// of a credential that was stored since.
pub const REFUSED_TOKEN_AGE_MAX: Duration = Duration::from_secs(120);

/// A change of a credential's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialChange {
    /// Stored or rotated.
    Stored {
        /// The secret's name.
        secret: String,
        /// The account number's last four characters.
        last4: String,
    },
    /// Balances were read with it.
    Proven,
    /// The broker refused it. Its `at` says from when on the refused token was surely read: a credential that was stored or
    /// proven after that is another one, and nothing changes. See [`REFUSED_TOKEN_AGE_MAX`].
    Refused,
    /// Taken out.
    Removed,
}

/// A setup with all its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct SetupBook {
    /// As it stands.
    pub setup: Setup,
    /// Its steps, in order.
    pub transitions: Vec<Transition>,
}

/// A session of one account, for its report.
#[derive(Debug, Clone, PartialEq)]
pub struct DayBook {
    /// Whose.
    pub account: AccountRef,
    /// The session.
    pub session: Date,
    /// Every intent decided that day, with attempts and fills.
    pub intents: Vec<IntentView>,
    /// What was owned, by entry.
    pub owned: Vec<Owned>,
    /// The structures that were owned, by entry.
    pub structures: Vec<OwnedCombo>,
    /// Balances, in order.
    pub snapshots: Vec<Snapshot>,
    /// Differences of the last reconciliation.
    pub differences: Vec<Difference>,
    /// When it ran; `None` when none did.
    pub reconciled_at: Option<UtcNanos>,
    /// What expired that day, and what is pending of earlier ones, by entry.
    pub expiries: Vec<Expiry>,
}

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
    /// and instant waits once; an alert is written once per key, sent or not.
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
