//! Secrets and notes in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;

use domain::account::{AccountRef, BrokerCredential};
use domain::ids::{AccountId, UserId};
use domain::ports::{NoteError, OwnedNote, OwnedNotes, SecretError, Secrets};

/// Broker credentials in memory.
#[derive(Debug, Default)]
pub struct MemSecrets(RefCell<BTreeMap<(UserId, AccountId), BrokerCredential>>);

impl Secrets for MemSecrets {
    async fn credential(&self, user: UserId, account: AccountId) -> Result<BrokerCredential, SecretError> {
        let found = self.0.borrow().get(&(user, account)).cloned();
        found.ok_or_else(|| SecretError::Missing(name(user, account)))
    }

    async fn all_credentials(&self) -> Result<Vec<BrokerCredential>, SecretError> {
        Ok(self.0.borrow().values().cloned().collect())
    }

    async fn put(&self, credential: &BrokerCredential) -> Result<String, SecretError> {
        let AccountRef { user, account, .. } = credential.account;
        self.0.borrow_mut().insert((user, account), credential.clone());
        Ok(name(user, account))
    }

    async fn remove(&self, user: UserId, account: AccountId) -> Result<(), SecretError> {
        let removed = self.0.borrow_mut().remove(&(user, account));
        removed.map(drop).ok_or_else(|| SecretError::Missing(name(user, account)))
    }
}

fn name(user: UserId, account: AccountId) -> String {
    format!("{user}/{account}")
}

/// Notes of what is owned, in memory.
#[derive(Debug, Default)]
pub struct MemNotes {
    notes: RefCell<BTreeMap<AccountId, OwnedNote>>,
    /// Who claimed what: whether with the books.
    claims: RefCell<BTreeMap<(AccountId, String), bool>>,
}

impl OwnedNotes for MemNotes {
    async fn put(&self, note: &OwnedNote) -> Result<(), NoteError> {
        self.notes.borrow_mut().insert(note.account.account, note.clone());
        Ok(())
    }

    async fn get(&self, account: &AccountRef) -> Result<Option<OwnedNote>, NoteError> {
        Ok(self.notes.borrow().get(&account.account).cloned())
    }

    async fn claim(&self, account: &AccountRef, what: &str, with_books: bool) -> Result<bool, NoteError> {
        let mut claims = self.claims.borrow_mut();
        match claims.get(&(account.account, what.to_owned())) {
            Some(by_books) => Ok(*by_books && with_books),
            None => {
                claims.insert((account.account, what.to_owned()), with_books);
                Ok(true)
            }
        }
    }
}
