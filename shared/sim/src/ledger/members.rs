//! [`Members`] over the tables.

use std::collections::BTreeMap;

use domain::account::AccountRef;
use domain::expiry::Expiry;
use domain::ids::{AccountId, IntentId, UserId};
use domain::kill::Reading;
use domain::ports::{LedgerError, MESSAGE_COOLDOWN, Members, Recorded, StoredMessage, UserMessage};
use domain::symbol::OccSymbol;
use domain::time::UtcNanos;
use jiff::civil::Date;

use super::MemLedger;
use super::state::refused;

/// The tables of this part.
#[derive(Debug, Clone, Default)]
pub(super) struct MemberRows {
    /// When a key was last written.
    heads: BTreeMap<(UserId, String), UtcNanos>,
    messages: Vec<(UserId, StoredMessage)>,
    taken_over: BTreeMap<(AccountId, OccSymbol), u32>,
    expiries: BTreeMap<(AccountId, IntentId, OccSymbol), Expiry>,
    readings: BTreeMap<UtcNanos, Reading>,
}

impl MemberRows {
    /// What expired in `session` and what is pending of earlier ones, for the account's owner alone.
    pub(super) fn expiries(&self, account: &AccountRef, session: Date, is_theirs: bool) -> Vec<Expiry> {
        let shown = |it: &Expiry| {
            it.series.expiry == session || (it.status.is_provisional() && it.series.expiry < session)
        };
        let own = self.expiries.iter().filter(|it| is_theirs && it.0.0 == account.account);
        own.map(|it| *it.1).filter(shown).collect()
    }
}

impl Members for MemLedger {
    async fn tell_user(&self, message: &UserMessage) -> Result<Recorded, LedgerError> {
        let mut state = self.state.borrow_mut();
        let is_known = state.settings.contains_key(&message.user)
            || state.accounts.values().any(|it| it.owner.user == message.user);
        if !is_known {
            return Err(refused("tell_user", format!("there is no user {}", message.user)));
        }
        let key = (message.user, message.key.clone());
        let last = state.members.heads.get(&key).copied();
        if last.is_some_and(|it| message.at < it.plus(MESSAGE_COOLDOWN)) {
            return Ok(Recorded::Known);
        }
        state.members.heads.insert(key, message.at);
        let id = i64::try_from(state.members.messages.len()).unwrap_or(i64::MAX).saturating_add(1);
        let stored = StoredMessage {
            id,
            reason: message.reason.clone(),
            text: message.text.clone(),
            at: message.at,
            read_at: None,
        };
        state.members.messages.push((message.user, stored));
        Ok(Recorded::New)
    }

    async fn user_messages(&self, user: UserId, limit: u32) -> Result<Vec<StoredMessage>, LedgerError> {
        let state = self.state.borrow();
        let own = state.members.messages.iter().rev().filter(|it| it.0 == user);
        Ok(own.take(usize::try_from(limit).unwrap_or(usize::MAX)).map(|it| it.1.clone()).collect())
    }

    async fn read_message(&self, user: UserId, id: i64, at: UtcNanos) -> Result<bool, LedgerError> {
        let mut state = self.state.borrow_mut();
        let found = state.members.messages.iter_mut().find(|it| it.0 == user && it.1.id == id);
        let Some((_, message)) = found else { return Ok(false) };
        message.read_at = message.read_at.or(Some(at));
        Ok(true)
    }

    async fn take_over(
        &self,
        account: &AccountRef,
        series: &OccSymbol,
        contracts: u32,
        at: UtcNanos,
    ) -> Result<(), LedgerError> {
        let mut state = self.state.borrow_mut();
        state.account_mut(account, "take_over")?;
        state.members.taken_over.insert((account.account, *series), contracts);
        state.note(at, Some(account.account), format!("{contracts} {series} handed over"));
        Ok(())
    }

    async fn taken_over(&self, account: &AccountRef) -> Result<Vec<(OccSymbol, u32)>, LedgerError> {
        let state = self.state.borrow();
        let is_theirs = state.account(account).is_some();
        let own = state.members.taken_over.iter();
        let own = own.filter(|it| is_theirs && it.0.0 == account.account && *it.1 > 0);
        Ok(own.map(|((_, series), contracts)| (*series, *contracts)).collect())
    }

    async fn record_expiry(&self, account: &AccountRef, expiry: &Expiry) -> Result<Recorded, LedgerError> {
        let mut state = self.state.borrow_mut();
        state.own_intent(account, expiry.opening, "record_expiry")?;
        let key = (account.account, expiry.opening, expiry.series);
        let after = match state.members.expiries.get(&key) {
            None => Some(*expiry),
            Some(known) => known.then(expiry),
        };
        let Some(after) = after else { return Ok(Recorded::Known) };
        state.members.expiries.insert(key, after);
        let what = format!("{} {}", expiry.opening, after.status.as_str());
        state.note(expiry.at, Some(account.account), what);
        Ok(Recorded::New)
    }

    async fn record_reading(&self, reading: &Reading) -> Result<(), LedgerError> {
        self.state.borrow_mut().members.readings.entry(reading.at).or_insert(*reading);
        Ok(())
    }

    async fn readings(&self, since: UtcNanos) -> Result<Vec<Reading>, LedgerError> {
        Ok(self.state.borrow().members.readings.range(since..).map(|it| *it.1).collect())
    }

    async fn expiries(&self, account: &AccountRef, session: Date) -> Result<Vec<Expiry>, LedgerError> {
        let state = self.state.borrow();
        Ok(state.members.expiries(account, session, state.account(account).is_some()))
    }
}
