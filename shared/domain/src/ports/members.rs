//! What a member is told, what they hand over or take back, and what became of what expired.

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::ledger::{LedgerError, Recorded};
use crate::account::AccountRef;
use crate::expiry::Expiry;
use crate::ids::UserId;
use crate::kill::Reading;
use crate::symbol::OccSymbol;
use crate::time::UtcNanos;

/// How long a member hears nothing more of one reason.
pub const MESSAGE_COOLDOWN: Duration = Duration::from_secs(30 * 60);

/// Something to tell one user, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserMessage {
    /// To whom.
    pub user: UserId,
    /// A code: `buying_power`, `day_trades`, `credential_refused`.
    pub reason: String,
    /// What must be quiet for [`MESSAGE_COOLDOWN`] after it: the reason, with what it is about where that counts.
    pub key: String,
    /// In words.
    pub text: String,
    /// Market time.
    pub at: UtcNanos,
}

/// A message as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMessage {
    /// Its number.
    pub id: i64,
    /// A code.
    pub reason: String,
    /// In words.
    pub text: String,
    /// When it was written, market time.
    pub at: UtcNanos,
    /// When its user read it.
    pub read_at: Option<UtcNanos>,
}

/// The part of the books that belongs to members. PostgreSQL (`store`) and memory (`sim`) implement it under the rules of
/// [`Ledger`](super::Ledger).
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller; see the module")]
pub trait Members {
    /// Keeps a message unless one of its key was written less than [`MESSAGE_COOLDOWN`] before.
    async fn tell_user(&self, message: &UserMessage) -> Result<Recorded, LedgerError>;

    /// A user's messages, the latest first, at most `limit`.
    async fn user_messages(&self, user: UserId, limit: u32) -> Result<Vec<StoredMessage>, LedgerError>;

    /// Notes that a user read a message; the first time counts. `false` where the user has no such message.
    async fn read_message(&self, user: UserId, id: i64, at: UtcNanos) -> Result<bool, LedgerError>;

    /// A user hands over `contracts` of a series that were opened by hand: from now on they are closed with ours. None
    /// takes them back.
    async fn take_over(
        &self,
        account: &AccountRef,
        series: &OccSymbol,
        contracts: u32,
        at: UtcNanos,
    ) -> Result<(), LedgerError>;

    /// What an account handed over, by series, sorted.
    async fn taken_over(&self, account: &AccountRef) -> Result<Vec<(OccSymbol, u32)>, LedgerError>;

    /// Writes what became of an entry past its last trade. The key is the entry and the series, for a structure has several. What is pending takes a price it did not
    /// have and may end; what has ended stays.
    async fn record_expiry(&self, account: &AccountRef, expiry: &Expiry) -> Result<Recorded, LedgerError>;

    /// Keeps what the automatic trips look at. The key is the instant; the first one counts.
    async fn record_reading(&self, reading: &Reading) -> Result<(), LedgerError>;

    /// Readings since an instant, in order.
    async fn readings(&self, since: UtcNanos) -> Result<Vec<Reading>, LedgerError>;

    /// What expired in `session`, and what is pending of earlier ones, by entry and series.
    async fn expiries(&self, account: &AccountRef, session: Date) -> Result<Vec<Expiry>, LedgerError>;
}
