//! Reads, and writes that no intent is about.

use domain::account::{AccountRef, CredentialRecord, CredentialStatus};
use domain::books;
use domain::ids::SetupId;
use domain::intent::Origin;
use domain::kill::KillScope;
use domain::ports::{
    CredentialChange, DayBook, Difference, Fence, IntentView, LedgerError, Message, OpeningContext, Queue,
    Recorded, SetupBook, Snapshot,
};
use domain::setup::{SetupState, TransitionRecord};
use domain::time::UtcNanos;
use jiff::civil::Date;

use super::state::{AccountRow, Lease, SetupRow, State, refused};

impl State {
    pub(super) fn record_transition(
        &mut self,
        record: &TransitionRecord,
        at: UtcNanos,
    ) -> Result<Recorded, LedgerError> {
        const WHAT: &str = "record_transition";
        let TransitionRecord { setup, transition, chain, .. } = record;
        let known = self.setups.get(&transition.setup);
        let next = known.map_or(0, |it| it.setup.sequence.saturating_add(1));
        if transition.sequence < next {
            return Ok(Recorded::Known);
        }
        let fits = match known {
            None => {
                transition.from.is_none() && matches!(transition.to, SetupState::Forming | SetupState::Ready)
            }
            Some(it) => transition.from == Some(it.setup.state) && it.setup.state.may_become(transition.to),
        };
        let consistent = setup.id == transition.setup
            && setup.state == transition.to
            && setup.sequence == transition.sequence;
        if transition.sequence != next || !fits || !consistent {
            let (sequence, to) = (transition.sequence, transition.to.as_str());
            return Err(refused(
                WHAT,
                format!("step {sequence} to {to} is not the next of setup {}", setup.id),
            ));
        }
        if let Some(chain) = chain.filter(|it| !self.chains.contains_key(it)) {
            return Err(refused(WHAT, format!("chain {chain} is not stored")));
        }
        let row = self.setups.entry(setup.id).or_insert_with(|| SetupRow {
            setup: setup.clone(),
            records: Vec::new(),
            handled: None,
        });
        row.setup.clone_from(setup);
        row.records.push(record.clone());
        let message = Message::Transition { setup: setup.id, sequence: transition.sequence, tries: 0 };
        self.outbox.put(Queue::Transitions, message, at);
        self.note(at, None, format!("setup {} {} {}", setup.id, transition.sequence, transition.to.as_str()));
        Ok(Recorded::New)
    }

    pub(super) fn mark_handled(&mut self, setup: SetupId, sequence: u32) -> Result<(), LedgerError> {
        const WHAT: &str = "mark_handled";
        let missing = || refused(WHAT, format!("setup {setup} has no step {sequence}"));
        let row = self.setups.get_mut(&setup).ok_or_else(missing)?;
        let next = row.handled.map_or(0, |it| it.saturating_add(1));
        if sequence < next {
            return Ok(());
        }
        if sequence > next {
            return Err(refused(WHAT, format!("step {next} of setup {setup} comes before step {sequence}")));
        }
        if sequence > row.setup.sequence {
            return Err(missing());
        }
        row.handled = Some(sequence);
        Ok(())
    }

    pub(super) fn active_accounts(&self) -> Vec<AccountRef> {
        let active = self.accounts.values().filter(|it| it.credential.status == CredentialStatus::Active);
        active.map(|it| it.owner).collect()
    }

    pub(super) fn opening_context(
        &self,
        account: &AccountRef,
        session: Date,
        scopes: &[KillScope],
    ) -> OpeningContext {
        let row = self.account(account);
        let views = self.views(account);
        let kill = self.kill.iter().filter(|(scope, _)| scopes.contains(scope));
        OpeningContext {
            settings: self.settings.get(&account.user).copied().unwrap_or_default(),
            credential: row.map(|it| it.credential.clone()),
            kill: kill.map(|(_, it)| it.clone()).collect(),
            snapshot: row.and_then(|it| it.snapshots.values().next_back().copied()),
            agreed_at: row.and_then(|it| agreed_at(it, session)),
            day: books::day_risk(&views, session),
            owned_series: books::owned_series(&views),
            open_legs: books::open_legs(&views),
        }
    }

    pub(super) fn intents_of(&self, account: &AccountRef, setup: SetupId) -> Vec<IntentView> {
        let of_setup = |it: &&&IntentView| it.intent.head().origin == Origin::Setup(setup);
        let mut views: Vec<IntentView> =
            self.views(account).iter().filter(of_setup).map(|it| (*it).clone()).collect();
        views.sort_by_key(|it| it.intent.head().sequence);
        views
    }

    pub(super) fn take_lease(
        &mut self,
        account: &AccountRef,
        holder: &str,
        now: UtcNanos,
        until: UtcNanos,
    ) -> Result<Option<Fence>, LedgerError> {
        let lease = &mut self.account_mut(account, "take_lease")?.lease;
        if lease.until > now && lease.holder.as_deref().is_some_and(|it| it != holder) {
            return Ok(None);
        }
        let fence = Fence(lease.fence.0.saturating_add(1));
        *lease = Lease { holder: Some(holder.to_owned()), fence, until };
        Ok(Some(fence))
    }

    pub(super) fn release_lease(&mut self, account: &AccountRef, fence: Fence) -> Result<(), LedgerError> {
        let lease = &mut self.account_mut(account, "release_lease")?.lease;
        if lease.fence == fence {
            lease.holder = None;
        }
        Ok(())
    }

    /// The first balances of the session and the latest of all, in order of time, each once.
    pub(super) fn snapshots(&self, account: &AccountRef, session: Date) -> Vec<Snapshot> {
        let Some(row) = self.account(account) else { return Vec::new() };
        let (from, until) = books::session_span(session);
        let first = row.snapshots.range(from..until).next().map(|it| *it.1);
        let latest = row.snapshots.values().next_back().copied();
        let latest = latest.filter(|it| first.is_none_or(|first| first.at != it.at));
        first.into_iter().chain(latest).collect()
    }

    pub(super) fn change_credential(
        &mut self,
        account: &AccountRef,
        change: &CredentialChange,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        const WHAT: &str = "change_credential";
        if let CredentialChange::Stored { secret, last4 } = change
            && !self.accounts.contains_key(&account.account)
        {
            self.accounts.insert(account.account, new_account(*account, secret, last4));
        }
        let row = self.account_mut(account, WHAT)?;
        let removed = row.credential.status == CredentialStatus::Removed;
        let renewed = at < row.credential_at;
        let what = match change {
            CredentialChange::Stored { secret, last4 } => {
                row.owner = *account;
                row.credential = active(*account, secret, last4);
                "stored"
            }
            // Taken out is taken out: only a new token brings it back.
            CredentialChange::Proven if !removed => {
                row.credential.status = CredentialStatus::Active;
                row.credential.proof_at = Some(at);
                "proven"
            }
            CredentialChange::Refused if !removed && !renewed => {
                row.credential.status = CredentialStatus::Refused;
                row.credential.proof_at = None;
                "refused"
            }
            CredentialChange::Proven | CredentialChange::Refused => return Ok(()),
            CredentialChange::Removed => {
                row.credential.status = CredentialStatus::Removed;
                row.credential.proof_at = None;
                "removed"
            }
        };
        row.credential_at = at;
        self.note(at, Some(account.account), format!("credential {what}"));
        Ok(())
    }

    pub(super) fn day_book(&self, account: &AccountRef, session: Date) -> DayBook {
        let (from, until) = books::session_span(session);
        let views = self.views(account);
        let today = |it: &&&IntentView| (from..until).contains(&it.intent.head().decided_at);
        let row = self.account(account);
        let run = row.and_then(|it| it.runs.range(from..until).next_back());
        DayBook {
            account: *account,
            session,
            intents: views.iter().filter(today).map(|it| (*it).clone()).collect(),
            owned: books::owned(&views, session),
            structures: books::structures(&views, session),
            snapshots: row
                .map(|it| it.snapshots.range(from..until).map(|(_, it)| *it).collect())
                .unwrap_or_default(),
            differences: run.map(|(_, it)| it.clone()).unwrap_or_default(),
            reconciled_at: run.map(|(at, _)| *at),
            expiries: self.members.expiries(account, session, row.is_some()),
        }
    }

    pub(super) fn setups(&self, session: Date) -> Vec<SetupBook> {
        let mut rows: Vec<&SetupRow> =
            self.setups.values().filter(|it| it.setup.session == session).collect();
        rows.sort_by_key(|it| (it.setup.formed_at, it.setup.id));
        let book = |it: &SetupRow| SetupBook {
            setup: it.setup.clone(),
            transitions: it.records.iter().map(|it| it.transition.clone()).collect(),
        };
        rows.into_iter().map(book).collect()
    }
}

/// When a reconciliation of `session` first found no fault.
fn agreed_at(row: &AccountRow, session: Date) -> Option<UtcNanos> {
    let (from, until) = books::session_span(session);
    let agreed = |it: &&Vec<Difference>| !it.iter().any(|it| it.kind.is_fault());
    row.runs.range(from..until).find(|(_, it)| agreed(it)).map(|(at, _)| *at)
}

/// A new token is active and not proven yet.
fn active(account: AccountRef, secret: &str, last4: &str) -> CredentialRecord {
    CredentialRecord {
        account,
        secret: secret.to_owned(),
        last4: last4.to_owned(),
        status: CredentialStatus::Active,
        proof_at: None,
    }
}

fn new_account(account: AccountRef, secret: &str, last4: &str) -> AccountRow {
    AccountRow {
        owner: account,
        credential: active(account, secret, last4),
        credential_at: UtcNanos(i64::MIN),
        lease: Lease::default(),
        intents: Default::default(),
        snapshots: Default::default(),
        runs: Default::default(),
    }
}
