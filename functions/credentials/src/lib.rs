//! Stores, tests, lists and removes broker credentials. Nothing else writes secrets.
//!
//! A token comes in and never goes out again: no answer, error, log or row repeats it. What is shown of an account number
//! are its last four characters.

#![forbid(unsafe_code)]

pub mod http;

use domain::account::{AccountRef, BrokerCredential, CredentialRecord, CredentialStatus, Environment};
use domain::ids::{AccountId, AccountNumber, UserId};
use domain::money::Usd;
use domain::ports::{
    BrokerError, BrokerPort, Brokers, Clock, ConnectError, CredentialChange, HandleError, Ledger,
    SecretError, Secrets,
};
use domain::secret::Token;

/// What the function works with.
#[derive(Debug)]
pub struct Credentials<'a, L, S, B, C> {
    /// The books: references, never tokens.
    pub ledger: &'a L,
    /// Where tokens live.
    pub secrets: &'a S,
    /// The brokers, opened anew for each request, so that a rotated token is the one tested.
    pub brokers: &'a B,
    /// Market time.
    pub clock: &'a C,
}

/// What is to be stored.
#[derive(Debug)]
pub struct NewCredential {
    /// The bearer token.
    pub token: Token,
    /// The broker's number of the account.
    pub number: AccountNumber,
    /// Where its orders go.
    pub environment: Environment,
    /// Whether the flatten may close what its owner opened by hand.
    pub flatten_foreign: bool,
    /// An account of the user whose credential is renewed; absent for a new one.
    pub account: Option<AccountId>,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tested {
    /// Balances were read with it.
    Proven {
        /// The account's equity.
        equity: Usd,
    },
    /// The broker refuses the token.
    Refused,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The user has no such account.
    #[error("no account {0} of yours has a credential: GET /v1/credentials lists them")]
    Unknown(AccountId),
    /// Something of ours is held or worked there.
    #[error("{what} of ours in account {account}: flatten it first (POST /v1/flatten)")]
    InUse {
        /// The account.
        account: AccountId,
        /// How much of what.
        what: String,
    },
    /// An account stays in the environment it was opened in.
    #[error("account {0} is {1}: leave accountId out to store the credential of another account")]
    OtherEnvironment(AccountId, &'static str),
    /// The broker did not answer.
    #[error("the broker did not answer: {0}; try again")]
    Broker(String),
    /// The ledger or the secret store.
    #[error(transparent)]
    Port(#[from] HandleError),
}

impl From<domain::ports::LedgerError> for CredentialError {
    fn from(error: domain::ports::LedgerError) -> Self {
        Self::Port(error.into())
    }
}

impl From<SecretError> for CredentialError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unavailable(_) => Self::Port(HandleError::Again(error.to_string())),
            SecretError::Missing(_) | SecretError::Malformed { .. } => {
                Self::Port(HandleError::Poison(error.to_string()))
            }
        }
    }
}

impl<L: Ledger, S: Secrets, B: Brokers, C: Clock> Credentials<'_, L, S, B, C> {
    /// Stores a credential, a new one or the next version of one. Stored again, it changes nothing.
    ///
    /// # Errors
    /// [`CredentialError`]; when the ledger did not answer after the secret was written, storing it again completes it.
    pub async fn store(&self, user: UserId, new: NewCredential) -> Result<CredentialRecord, CredentialError> {
        let account = match new.account {
            Some(id) => self.renewed(user, id, &new).await?,
            None => {
                let account = account_id(user, new.environment, &new.number);
                AccountRef { user, account, environment: new.environment }
            }
        };
        let last4 = new.number.last4().to_owned();
        let credential = BrokerCredential {
            account,
            token: new.token,
            number: new.number,
            flatten_foreign: new.flatten_foreign,
        };
        let secret = self.secrets.put(&credential).await?;
        let change = CredentialChange::Stored { secret, last4 };
        self.ledger.change_credential(&account, &change, self.clock.now()).await?;
        self.record(user, account.account).await
    }

    /// The account whose credential is renewed. Its number may change only while nothing of ours is there.
    async fn renewed(
        &self,
        user: UserId,
        id: AccountId,
        new: &NewCredential,
    ) -> Result<AccountRef, CredentialError> {
        let record = self.record(user, id).await?;
        if record.account.environment != new.environment {
            let environment = record.account.environment.as_str();
            return Err(CredentialError::OtherEnvironment(id, environment));
        }
        if record.last4 != new.number.last4() {
            self.unused(&record.account).await?;
        }
        Ok(record.account)
    }

    /// Tests a credential by reading balances, and records how that ended.
    ///
    /// # Errors
    /// [`CredentialError`]; an answer that says nothing about the token records nothing.
    pub async fn test(&self, user: UserId, id: AccountId) -> Result<Tested, CredentialError> {
        let record = self.record(user, id).await?;
        let account = record.account;
        let broker = self.brokers.account(&account).await.map_err(|error| match error {
            ConnectError::Secret(error) => error.into(),
            ConnectError::Environment { .. } => CredentialError::Port(HandleError::Poison(error.to_string())),
        })?;
        let (tested, change) = match broker.balances().await {
            Ok(balances) => (Tested::Proven { equity: balances.total_equity }, CredentialChange::Proven),
            Err(BrokerError::Authentication { .. }) => (Tested::Refused, CredentialChange::Refused),
            Err(error) => return Err(CredentialError::Broker(error.to_string())),
        };
        self.ledger.change_credential(&account, &change, self.clock.now()).await?;
        Ok(tested)
    }

    /// Removes a credential. Refused while something of ours is held or worked there: nobody could close it any more.
    ///
    /// # Errors
    /// [`CredentialError`]; broken off half-way, removing it again completes it.
    pub async fn remove(&self, user: UserId, id: AccountId) -> Result<(), CredentialError> {
        let account = self.record(user, id).await?.account;
        self.unused(&account).await?;
        match self.secrets.remove(user, id).await {
            Ok(()) | Err(SecretError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.ledger.change_credential(&account, &CredentialChange::Removed, self.clock.now()).await?)
    }

    /// The user's credentials, removed ones left out.
    ///
    /// # Errors
    /// [`CredentialError`] when the ledger did not answer.
    pub async fn list(&self, user: UserId) -> Result<Vec<CredentialRecord>, CredentialError> {
        let mut records = self.ledger.credentials(user).await?;
        records.retain(|it| it.status != CredentialStatus::Removed);
        Ok(records)
    }

    async fn record(&self, user: UserId, id: AccountId) -> Result<CredentialRecord, CredentialError> {
        let records = self.list(user).await?;
        let record = records.into_iter().find(|it| it.account.account == id);
        record.ok_or(CredentialError::Unknown(id))
    }

    async fn unused(&self, account: &AccountRef) -> Result<(), CredentialError> {
        let in_use = |what: String| CredentialError::InUse { account: account.account, what };
        let owned = self.ledger.owned(account, self.clock.now().new_york_date()).await?;
        let held: u32 = owned.iter().map(domain::position::Owned::held).fold(0, u32::saturating_add);
        if held > 0 {
            return Err(in_use(format!("there are {held} contracts")));
        }
        match self.ledger.open_intents(account).await?.len() {
            0 => Ok(()),
            open => Err(in_use(format!("there are {open} intents at work"))),
        }
    }
}

/// The id of an account: the same for the same user, environment and number, so that storing twice is one account.
pub fn account_id(user: UserId, environment: Environment, number: &AccountNumber) -> AccountId {
    let mut hasher = blake3::Hasher::new_derive_key("claxton account id 1");
    hasher.update(user.0.as_bytes());
    hasher.update(environment.as_str().as_bytes());
    hasher.update(b":");
    hasher.update(number.as_str().as_bytes());
    let mut bytes = [0u8; 16];
    hasher.finalize_xof().fill(&mut bytes);
    AccountId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests;
