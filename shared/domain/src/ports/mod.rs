//! What the core asks of the world. Use cases await these and nothing else.
//!
//! Every method may fail, be slow, or lose its answer; time-outs belong to the adapters and come back as values.
//! Futures need not be `Send`: a use case is driven by one caller, be it a runtime or a bare poll.

mod broker;
mod ledger;
mod members;
mod queue;

pub use broker::{BrokerError, BrokerPort, Brokers, CancelAnswer, ConnectError, MarketNow};
pub use ledger::{
    Answer, CredentialChange, DayBook, DayRisk, Difference, DifferenceKind, Fence, IntentView, KillFlip,
    Ledger, LedgerError, MarkRequest, Marking, NewIntent, OpeningContext, Progress, REFUSED_TOKEN_AGE_MAX,
    ReconciliationRun, Recorded, SetupBook, Snapshot, Written,
};
pub use members::{MESSAGE_COOLDOWN, Members, StoredMessage, UserMessage};
pub use queue::{DeadLetter, Message, OutboxRow, Queue};

use std::time::Duration;

use crate::account::{AccountRef, BrokerCredential, Switches, UserSettings};
use crate::combo::{LegHeld, OwnedCombo, OwnedLeg};
use crate::ids::{AccountId, BrokerOrderId, IntentId, UserId};
use crate::position::Owned;
use crate::symbol::OccSymbol;
use crate::ticket::ComboTerms;
use crate::time::{NANOS_PER_SEC, UtcNanos};

/// Market time. In the cloud the system's clock; in the local run and the simulator the runner's.
pub trait Clock {
    /// The instant now.
    fn now(&self) -> UtcNanos;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> UtcNanos {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for std::rc::Rc<C> {
    fn now(&self) -> UtcNanos {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> UtcNanos {
        (**self).now()
    }
}

/// Why a secret could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is none by that name.
    #[error("no secret {0}: store the credential again")]
    Missing(String),
    /// It is not in the form we write.
    #[error("secret {name} is not a broker credential: {why}")]
    Malformed {
        /// The secret's name.
        name: String,
        /// What is wrong, without its content.
        why: String,
    },
    /// The store did not answer.
    #[error("the secret store did not answer: {0}")]
    Unavailable(String),
}

/// Where tokens live: AWS Secrets Manager, or the local stand-in.
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller; see the module")]
pub trait Secrets {
    /// Reads the credential of an account.
    async fn credential(&self, user: UserId, account: AccountId) -> Result<BrokerCredential, SecretError>;

    /// Every broker credential there is, by the tag all of them carry: how the flatten finds accounts with the
    /// database down.
    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError>;

    /// Writes a new version of an account's credential. `credentials` alone calls it.
    async fn put(&self, credential: &BrokerCredential) -> Result<String, SecretError>;

    /// Removes an account's credential. `credentials` alone calls it.
    async fn remove(&self, user: UserId, account: AccountId) -> Result<(), SecretError>;
}

impl<S: Secrets + ?Sized> Secrets for std::rc::Rc<S> {
    async fn credential(&self, user: UserId, account: AccountId) -> Result<BrokerCredential, SecretError> {
        (**self).credential(user, account).await
    }

    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError> {
        (**self).all_credentials().await
    }

    async fn put(&self, credential: &BrokerCredential) -> Result<String, SecretError> {
        (**self).put(credential).await
    }

    async fn remove(&self, user: UserId, account: AccountId) -> Result<(), SecretError> {
        (**self).remove(user, account).await
    }
}

/// An order event of the broker's account stream: it wakes the poller and decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerOrderEvent {
    /// The account it is about.
    pub account: AccountRef,
    /// The order it is about.
    pub order: BrokerOrderId,
    /// When we received it, market time.
    pub at: UtcNanos,
}

/// What of ours is held, kept outside the database so that a flatten finds it with the database down: one entry per
/// account and series, written on every fill and at the open.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OwnedNote {
    /// For whom and where.
    pub account: AccountRef,
    /// The series and how many contracts of it are ours.
    pub owned: Vec<(OccSymbol, u32)>,
    /// The structures that are ours.
    #[serde(default)]
    pub structures: Vec<NotedCombo>,
    /// The user's choice about the flatten, resolved.
    pub flatten: bool,
    /// When it was written.
    pub at: UtcNanos,
}

impl OwnedNote {
    /// What an account holds, and its user's choice about the flatten, resolved: their own, or the deployment's.
    pub fn of(
        account: &AccountRef,
        (owned, structures): (&[Owned], &[OwnedCombo]),
        (settings, switches): (&UserSettings, &Switches),
        at: UtcNanos,
    ) -> Self {
        let held = owned.iter().filter(|it| it.held() > 0);
        let by_default = switches.force_flatten || switches.execution_enabled;
        Self {
            account: *account,
            owned: held.map(|it| (it.series, it.held())).collect(),
            structures: structures.iter().filter(|it| !it.is_flat()).map(NotedCombo::of).collect(),
            flatten: settings.force_flatten.unwrap_or(by_default),
            at,
        }
    }

    /// Whether there is nothing in it to close.
    pub const fn is_empty(&self) -> bool {
        self.owned.is_empty() && self.structures.is_empty()
    }
}

/// A structure of ours as it is noted: enough to close it without the database.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NotedCombo {
    /// The entry that opened it.
    pub opening: IntentId,
    /// What a unit of it is.
    pub terms: ComboTerms,
    /// Contracts held of each leg, in the order of a unit's.
    pub held: Vec<u32>,
}

impl NotedCombo {
    /// The note about a structure.
    pub fn of(owned: &OwnedCombo) -> Self {
        let held = owned.legs.iter().map(OwnedLeg::held).collect();
        Self { opening: owned.opening, terms: owned.terms.clone(), held }
    }

    /// What is held, leg by leg.
    pub fn held(&self) -> Vec<LegHeld> {
        let legs = self.terms.legs().iter().zip(&self.held);
        legs.map(|(leg, contracts)| LegHeld { leg: *leg, contracts: *contracts }).collect()
    }
}

/// The second durable store could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of owned positions did not answer: {0}")]
pub struct NoteError(pub String);

/// The second durable store: S3 in the cloud, a file locally.
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller; see the module")]
pub trait OwnedNotes {
    /// Replaces the note of an account.
    async fn put(&self, note: &OwnedNote) -> Result<(), NoteError>;

    /// The note of an account; `None` when none was written.
    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError>;

    /// Claims `what` of an account, once for all: true for who comes first. Who works `with_books` is told apart by the
    /// books, and what one of them claimed the others of them have too; without books nobody shares.
    async fn claim(&self, account: &AccountRef, what: &str, with_books: bool) -> Result<bool, NoteError>;
}

/// A message could not be handed to its queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("queue {queue} did not take the message: {why}")]
pub struct SendError {
    /// The queue.
    pub queue: &'static str,
    /// The service's words.
    pub why: String,
}

/// Hands messages to queues at once: the relay after a commit, and `flat-watch`, which has no database.
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller; see the module")]
pub trait Sender {
    /// Sends `message` so that it arrives no earlier than `delay` from now. Delays beyond a queue's longest are cut to
    /// it; an early message is rewritten by its handler.
    async fn send(
        &self,
        queue: Queue,
        message: &Message,
        delay: std::time::Duration,
    ) -> Result<(), SendError>;
}

/// Why a message was not worked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// It never will be: kept as a dead letter with the reason.
    #[error("cannot be worked: {0}")]
    Poison(String),
    /// It may be the next time: the queue delivers it again.
    #[error("not worked this time: {0}")]
    Again(String),
}

impl From<LedgerError> for HandleError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable { .. } => Self::Again(error.to_string()),
            LedgerError::Corrupt { .. } | LedgerError::Refused { .. } => Self::Poison(error.to_string()),
        }
    }
}

impl From<ConnectError> for HandleError {
    fn from(error: ConnectError) -> Self {
        Self::Again(error.to_string())
    }
}

impl From<BrokerError> for HandleError {
    fn from(error: BrokerError) -> Self {
        Self::Again(error.to_string())
    }
}

/// How often an early message is rewritten, a second later each time, before it is a dead letter.
pub const EARLY_TRIES_MAX: u16 = 30;
/// How long an early message waits at most.
const EARLY_WAIT: Duration = Duration::from_secs(1);

/// When a message that is early at `now` comes again: with the next whole second, so that its repeats meet in one row of
/// the outbox and do not multiply.
pub fn early_again(now: UtcNanos) -> UtcNanos {
    now.plus(EARLY_WAIT).floor_to(NANOS_PER_SEC)
}
