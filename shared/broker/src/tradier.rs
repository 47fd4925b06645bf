//! One account at Tradier.

mod account;
mod forms;
mod market;
mod orders;
mod sessions;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use domain::ids::AccountNumber;
use domain::ports::{BrokerError, Clock};
use domain::secret::Token;

use crate::budget::{Group, Purpose, RateBudget};
use crate::json::Unreadable;
use crate::reply::{self, Verdict};
use crate::transport::{Method, Reply, Request, Transport, TransportError};

pub use self::market::{BarLength, SaleLength};
pub use self::orders::Change;

/// How long after its mark an entry may still leave.
pub const ENTRY_AGE_MAX: Duration = Duration::from_secs(2);

/// One account at Tradier. Every request leaves at most once; what became of it is in the answer.
#[derive(Debug)]
pub struct Tradier<T, C> {
    transport: T,
    clock: C,
    token: Token,
    number: AccountNumber,
    budget: Rc<RateBudget>,
    /// What reads are for; they say nothing of it themselves.
    reads: Purpose,
    /// Raised when the broker refuses the token, for whoever keeps the credential.
    refused: Rc<Cell<bool>>,
}

impl<T: Transport, C: Clock> Tradier<T, C> {
    /// The account `number` behind `token`. `budget` is shared by all accounts with the same token.
    pub fn new(transport: T, clock: C, token: Token, number: AccountNumber, budget: Rc<RateBudget>) -> Self {
        Self { transport, clock, token, number, budget, reads: Purpose::Exit, refused: Rc::default() }
    }

    /// Says what the account is read for. Without a word the reads may take the whole budget: an account is read to
    /// get out as well as in. A worker of entries alone leaves the fifth kept for exits.
    pub fn reading_for(self, reads: Purpose) -> Self {
        Self { reads, ..self }
    }

    /// Raises `flag` when the broker refuses the token.
    pub(crate) fn with_refused_flag(self, flag: Rc<Cell<bool>>) -> Self {
        Self { refused: flag, ..self }
    }

    /// The token's rate budget.
    pub fn budget(&self) -> &Rc<RateBudget> {
        &self.budget
    }

    fn request(&self, method: Method, path: String) -> Request {
        Request {
            method,
            path,
            query: Vec::new(),
            form: Vec::new(),
            token: self.token.clone(),
            leaves_within: None,
        }
    }

    /// A path under this account.
    fn path(&self, tail: &str) -> String {
        format!("/v1/accounts/{}/{tail}", self.number.as_str())
    }

    /// Takes from the budget, sends once, learns from the headers.
    async fn send(&self, group: Group, purpose: Purpose, request: &Request) -> Result<Reply, BrokerError> {
        let taken = self.budget.take(group, purpose, self.clock.now());
        taken.map_err(|until| BrokerError::RateLimited { until })?;
        let sent = self.transport.send(request).await;
        let reply = sent.map_err(|error| match error {
            TransportError::NotSent(reason) => BrokerError::NotSent { reason },
            TransportError::Unknown(reason) => BrokerError::Unknown { reason },
        })?;
        self.budget.observe(group, &reply, self.clock.now());
        Ok(reply)
    }

    /// What the answer means. Notes a refused token and a used-up window on the way.
    fn verdict<'a>(&self, reply: &'a Reply) -> Verdict<'a> {
        let verdict = reply::verdict(reply, &[self.number.as_str(), self.token.reveal()]);
        if matches!(verdict, Verdict::Token(_)) {
            self.refused.set(true);
        }
        verdict
    }

    /// The window's end, after the gateway refused a request for coming too often.
    fn wait(&self, group: Group, reply: &Reply) -> BrokerError {
        BrokerError::RateLimited { until: self.budget.exhaust(group, reply, self.clock.now()) }
    }

    /// The answer to a read.
    fn body<R>(
        &self,
        group: Group,
        reply: &Reply,
        parse: impl FnOnce(&str) -> Result<R, Unreadable>,
    ) -> Result<R, BrokerError> {
        match self.verdict(reply) {
            Verdict::Body(body) => {
                parse(body).map_err(|error| BrokerError::Broken { reason: error.to_string() })
            }
            Verdict::TooMany => Err(self.wait(group, reply)),
            other @ (Verdict::Token(_)
            | Verdict::NotOurs(_)
            | Verdict::Final(_)
            | Verdict::No(_)
            | Verdict::InDoubt(_)
            | Verdict::Nothing(_)) => Err(reply::read_error(other)),
        }
    }

    /// A GET.
    async fn read<R>(
        &self,
        group: Group,
        path: String,
        query: &[(&str, String)],
        parse: impl FnOnce(&str) -> Result<R, Unreadable>,
    ) -> Result<R, BrokerError> {
        let mut request = self.request(Method::Get, path);
        request.query = owned(query);
        let reply = self.send(group, self.reads, &request).await?;
        self.body(group, &reply, parse)
    }
}

/// Parameters of our own.
fn owned(pairs: &[(&str, String)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

#[cfg(test)]
pub(crate) mod tests;
