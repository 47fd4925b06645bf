//! What is written and read of an account, a user or a session.

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::super::queue::Message;
use super::IntentView;
use crate::account::{AccountRef, Balances, CredentialRecord, UserSettings};
use crate::combo::OwnedCombo;
use crate::expiry::Expiry;
use crate::ids::{IntentId, SetupId};
use crate::kill::{KillRow, KillScope, KillState};
use crate::money::Usd;
use crate::position::Owned;
use crate::setup::{Setup, Transition};
use crate::symbol::OccSymbol;
use crate::ticket::HeldLeg;
use crate::time::UtcNanos;

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
