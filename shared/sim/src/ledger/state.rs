//! The tables.

use std::collections::{BTreeMap, BTreeSet};

use domain::account::{AccountRef, CredentialRecord, UserSettings};
use domain::chain::ChainSnapshot;
use domain::gate::GateCheck;
use domain::ids::{AccountId, BrokerOrderId, ChainId, IntentId, SetupId, UserId};
use domain::kill::{KillRow, KillScope};
use domain::market::Microbar;
use domain::ports::{
    DeadLetter, Difference, Fence, IntentView, LedgerError, Message, OutboxRow, Queue, Snapshot,
};
use domain::setup::{Setup, TransitionRecord};
use domain::symbol::Underlying;
use domain::time::UtcNanos;
use jiff::civil::Date;

use super::members::MemberRows;

/// The broker every account is at, as the kill switch names it.
pub const BROKER: &str = "tradier";

/// One line of the journal: what a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Market time; that of the transaction's argument.
    pub at: UtcNanos,
    /// The account it was about; `None` for what belongs to nobody.
    pub account: Option<AccountId>,
    /// What was done.
    pub what: String,
}

/// Everything the books hold, as a value.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) chains: BTreeMap<ChainId, ChainSnapshot>,
    pub(super) setups: BTreeMap<SetupId, SetupRow>,
    pub(super) microbars: BTreeMap<Underlying, BTreeMap<UtcNanos, Microbar>>,
    pub(super) checkpoints: BTreeMap<Date, Vec<u8>>,
    pub(super) accounts: BTreeMap<AccountId, AccountRow>,
    pub(super) intents: BTreeMap<IntentId, IntentRow>,
    pub(super) orders: BTreeMap<(AccountId, BrokerOrderId), IntentId>,
    pub(super) outbox: Outbox,
    pub(super) dead_letters: BTreeMap<(String, String), DeadLetter>,
    pub(super) kill: BTreeMap<KillScope, KillRow>,
    pub(super) settings: BTreeMap<UserId, UserSettings>,
    pub(super) reports: BTreeMap<(AccountId, Date), (String, UtcNanos)>,
    pub(super) members: MemberRows,
    pub(super) audit: Vec<AuditLine>,
}

/// A setup and its steps.
#[derive(Debug, Clone)]
pub(super) struct SetupRow {
    pub(super) setup: Setup,
    pub(super) records: Vec<TransitionRecord>,
    pub(super) handled: Option<u32>,
}

/// An account and what hangs on it.
#[derive(Debug, Clone)]
pub(super) struct AccountRow {
    pub(super) owner: AccountRef,
    pub(super) credential: CredentialRecord,
    /// When the credential was stored, proven or refused last.
    pub(super) credential_at: UtcNanos,
    pub(super) lease: Lease,
    /// In order of decision, then id.
    pub(super) intents: BTreeSet<(UtcNanos, IntentId)>,
    pub(super) snapshots: BTreeMap<UtcNanos, Snapshot>,
    pub(super) runs: BTreeMap<UtcNanos, Vec<Difference>>,
}

/// The lease of an account's one writer.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) holder: Option<String>,
    pub(super) fence: Fence,
    pub(super) until: UtcNanos,
}

impl Default for Lease {
    fn default() -> Self {
        Self { holder: None, fence: Fence(0), until: UtcNanos(i64::MIN) }
    }
}

/// An intent and what was kept with it.
#[derive(Debug, Clone)]
pub(super) struct IntentRow {
    pub(super) view: IntentView,
    pub(super) gates: Vec<GateCheck>,
    pub(super) breakdown: String,
}

/// Messages not sent yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    last_id: i64,
    due: BTreeMap<(UtcNanos, i64), (Queue, Message)>,
    due_of: BTreeMap<i64, UtcNanos>,
    unsent: BTreeSet<(UtcNanos, Queue, Message)>,
    alerted: BTreeSet<String>,
    /// Early messages that wait, as they were written first: how often each was rewritten.
    early: BTreeMap<(Queue, Message), BTreeSet<(u16, i64)>>,
}

impl Outbox {
    pub(super) fn alerted(&self) -> impl Iterator<Item = &String> {
        self.alerted.iter()
    }

    pub(super) fn put(&mut self, queue: Queue, message: Message, due_at: UtcNanos) {
        if let Message::Alert { key, .. } = &message
            && !self.alerted.insert(key.clone())
        {
            return;
        }
        let early = message.rewritten();
        if let Some((first, tries)) = &early
            && let Some(waiting) = self.early.get(&(queue, first.clone()))
            && waiting.last().is_some_and(|it| it.0 >= *tries)
        {
            return;
        }
        if !self.unsent.insert((due_at, queue, message.clone())) {
            return;
        }
        self.last_id = self.last_id.saturating_add(1);
        if let Some((first, tries)) = early {
            self.early.entry((queue, first)).or_default().insert((tries, self.last_id));
        }
        self.due.insert((due_at, self.last_id), (queue, message));
        self.due_of.insert(self.last_id, due_at);
    }

    pub(super) fn due(&self, now: UtcNanos, limit: u32) -> Vec<OutboxRow> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let row = |(&(due_at, id), (queue, message)): (&(UtcNanos, i64), &(Queue, Message))| OutboxRow {
            id,
            queue: *queue,
            message: message.clone(),
            due_at,
        };
        self.due.range(..=(now, i64::MAX)).take(limit).map(row).collect()
    }

    pub(super) fn next_due(&self) -> Option<UtcNanos> {
        self.due.first_key_value().map(|((due_at, _), _)| *due_at)
    }

    pub(super) fn sent(&mut self, id: i64) {
        if let Some(due_at) = self.due_of.remove(&id)
            && let Some((queue, message)) = self.due.remove(&(due_at, id))
        {
            if let Some((first, tries)) = message.rewritten() {
                let waiting = self.early.entry((queue, first)).or_default();
                waiting.remove(&(tries, id));
            }
            self.unsent.remove(&(due_at, queue, message));
        }
    }
}

pub(super) fn refused(what: &'static str, why: impl ToString) -> LedgerError {
    LedgerError::Refused { what, why: why.to_string() }
}

impl State {
    /// The account, when it is there and the user owns it.
    pub(super) fn account(&self, account: &AccountRef) -> Option<&AccountRow> {
        self.accounts.get(&account.account).filter(|it| it.owner.user == account.user)
    }

    /// The account to be written to.
    pub(super) fn account_mut(
        &mut self,
        account: &AccountRef,
        what: &'static str,
    ) -> Result<&mut AccountRow, LedgerError> {
        let row = self.accounts.get_mut(&account.account).filter(|it| it.owner.user == account.user);
        row.ok_or_else(|| refused(what, format!("user {} has no account {}", account.user, account.account)))
    }

    /// The intent, when it is of an account the user owns.
    pub(super) fn intent(&self, account: &AccountRef, id: IntentId) -> Option<&IntentRow> {
        self.account(account)?;
        self.intents.get(&id).filter(|it| it.view.intent.head().account.account == account.account)
    }

    /// The intent to be written to.
    pub(super) fn own_intent(
        &self,
        account: &AccountRef,
        id: IntentId,
        what: &'static str,
    ) -> Result<&IntentRow, LedgerError> {
        let missing = || refused(what, format!("account {} has no intent {id}", account.account));
        self.intent(account, id).ok_or_else(missing)
    }

    /// The account's intents in order of decision; none for a stranger.
    pub(super) fn views(&self, account: &AccountRef) -> Vec<&IntentView> {
        let Some(row) = self.account(account) else { return Vec::new() };
        row.intents.iter().filter_map(|(_, id)| self.intents.get(id)).map(|it| &it.view).collect()
    }

    pub(super) fn note(&mut self, at: UtcNanos, account: Option<AccountId>, what: String) {
        self.audit.push(AuditLine { at, account, what });
    }
}
