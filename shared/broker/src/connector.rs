//! Opens accounts: reads the secret, picks the host, shares the token's rate budget.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use domain::account::{AccountRef, BrokerCredential, Environment};
use domain::ids::AccountId;
use domain::ports::{Brokers, Clock, ConnectError, SecretError, Secrets};
use domain::secret::Token;
use domain::time::UtcNanos;

use crate::budget::{Purpose, RateBudget};
use crate::tradier::Tradier;
use crate::transport::Transport;

/// How long a credential is used before its secret is read again, market time.
pub const CREDENTIAL_AGE_MAX: Duration = Duration::from_secs(60);

/// Credentials and budgets kept at most; beyond it the oldest make room.
const KEPT_MAX: usize = 1_024;

/// A credential as read, until it is old or refused.
#[derive(Debug)]
struct Kept {
    credential: BrokerCredential,
    read_at: UtcNanos,
    refused: Rc<Cell<bool>>,
}

/// Rate budgets by token: one for everybody who uses it, over all connectors of a process. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Budgets(Rc<RefCell<Vec<TokenBudget>>>);

/// A token and what is left of its rate.
type TokenBudget = (Token, Rc<RateBudget>);

impl Budgets {
    /// The budget of a token, the same one for everybody who asks. Live and sandbox tokens are never the same.
    pub fn of(&self, token: &Token, environment: Environment) -> Rc<RateBudget> {
        let mut budgets = self.0.borrow_mut();
        if let Some((_, budget)) = budgets.iter().find(|(known, _)| known.reveal() == token.reveal()) {
            return Rc::clone(budget);
        }
        if budgets.len() >= KEPT_MAX {
            budgets.remove(0);
        }
        let budget = Rc::new(RateBudget::new(environment));
        budgets.push((token.clone(), Rc::clone(&budget)));
        budget
    }
}

/// Opens accounts at Tradier. The sandbox can always be reached; the live host only where a transport for it was
/// handed in, which a sandbox deployment does not have.
#[derive(Debug)]
pub struct Connector<S, T, C> {
    secrets: S,
    clock: C,
    sandbox: T,
    live: Option<T>,
    reads: Purpose,
    kept: RefCell<BTreeMap<AccountId, Kept>>,
    budgets: Budgets,
}

impl<S: Secrets, T: Transport + Clone, C: Clock + Clone> Connector<S, T, C> {
    /// Opens accounts with credentials from `secrets`. `live` is `None` unless the deployment's switches
    /// (`TRADIER_SANDBOX=false` and the production flag) allow the live host.
    pub fn new(secrets: S, clock: C, sandbox: T, live: Option<T>) -> Self {
        Self {
            secrets,
            clock,
            sandbox,
            live,
            reads: Purpose::Exit,
            kept: RefCell::new(BTreeMap::new()),
            budgets: Budgets::default(),
        }
    }

    /// Says what its accounts are read for; see [`Tradier::reading_for`].
    pub fn reading_for(self, reads: Purpose) -> Self {
        Self { reads, ..self }
    }

    /// Counts requests in `budgets`, which other connectors of the process count in too.
    pub fn counting_in(self, budgets: &Budgets) -> Self {
        Self { budgets: budgets.clone(), ..self }
    }

    /// The way to the account's environment.
    fn transport(&self, environment: Environment) -> Result<T, ConnectError> {
        let way = match environment {
            Environment::Sandbox => Some(self.sandbox.clone()),
            Environment::Live => self.live.clone(),
            // Paper has fills of its own and no broker behind it.
            Environment::Paper => None,
        };
        way.ok_or(ConnectError::Environment { environment: environment.as_str() })
    }

    /// The credential, from memory while it is young and was not refused.
    async fn credential(
        &self,
        account: &AccountRef,
    ) -> Result<(BrokerCredential, Rc<Cell<bool>>), SecretError> {
        let now = self.clock.now();
        if let Some(kept) = self.kept.borrow().get(&account.account)
            && !kept.refused.get()
            && now.since(kept.read_at) < CREDENTIAL_AGE_MAX
            && kept.credential.account == *account
        {
            return Ok((kept.credential.clone(), Rc::clone(&kept.refused)));
        }
        let credential = self.secrets.credential(account.user, account.account).await?;
        check(&credential, account)?;
        let refused = Rc::new(Cell::new(false));
        let fresh = Kept { credential: credential.clone(), read_at: now, refused: Rc::clone(&refused) };
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, it| now.since(it.read_at) < CREDENTIAL_AGE_MAX);
        }
        if kept.len() < KEPT_MAX || kept.contains_key(&account.account) {
            kept.insert(account.account, fresh);
        }
        Ok((credential, refused))
    }
}

/// Whether the secret is what was asked for: a live token must never be used because a name was mixed up.
fn check(credential: &BrokerCredential, account: &AccountRef) -> Result<(), SecretError> {
    let malformed = |why: &str| SecretError::Malformed {
        name: format!("of account {}", account.account),
        why: why.to_owned(),
    };
    if credential.account != *account {
        return Err(malformed("it names another user, account or environment: store the credential again"));
    }
    if credential.token.is_empty() {
        return Err(malformed("its token is empty: store the credential again"));
    }
    Ok(())
}

impl<S: Secrets, T: Transport + Clone, C: Clock + Clone> Brokers for Connector<S, T, C> {
    type Account = Tradier<T, C>;

    async fn account(&self, account: &AccountRef) -> Result<Self::Account, ConnectError> {
        // The environment first: a secret that may not be used is not read.
        let transport = self.transport(account.environment)?;
        let (credential, refused) = self.credential(account).await?;
        let budget = self.budgets.of(&credential.token, account.environment);
        let opened = Tradier::new(transport, self.clock.clone(), credential.token, credential.number, budget);
        Ok(opened.reading_for(self.reads).with_refused_flag(refused))
    }
}

#[cfg(test)]
mod tests;
