//! The broker as the desk sees it.

use std::time::Duration;

use crate::account::{AccountRef, Balances};
use crate::ids::BrokerOrderId;
use crate::market::{OptionQuote, Points};
use crate::money::Price;
use crate::order::{BrokerOrder, Ticket};
use crate::position::BrokerPosition;
use crate::symbol::OccSymbol;
use crate::ticket::{ComboTicket, MarketTicket, ProtectiveTicket, StopLimit};
use crate::time::UtcNanos;

/// Why a call to the broker did not give an answer, sorted by what the caller does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The broker answered no. Final.
    #[error("the broker refused: {reason}")]
    Refused {
        /// In the broker's words.
        reason: String,
    },
    /// Provably never sent.
    #[error("the request was not sent: {reason}")]
    NotSent {
        /// What stopped it.
        reason: String,
    },
    /// It may have been sent, and the answer is lost or means nothing. A POST is never sent again: ask by tag.
    #[error("the outcome of the request is unknown: {reason}")]
    Unknown {
        /// What was seen instead of an answer.
        reason: String,
    },
    /// Not before this instant.
    #[error("rate limited until {until}")]
    RateLimited {
        /// When the window ends.
        until: UtcNanos,
    },
    /// The token is refused. The credential is marked and its user told.
    #[error("the broker refused the token: {reason}")]
    Authentication {
        /// In the broker's words.
        reason: String,
    },
    /// An answer arrived that cannot be read; reads may be asked again.
    #[error("the broker's answer cannot be read: {reason}")]
    Broken {
        /// What was expected, without the body.
        reason: String,
    },
}

/// A series and its index at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MarketNow {
    /// The series' NBBO; `None` when the broker does not know the series.
    pub quote: Option<OptionQuote>,
    /// The index's last value and when it was printed.
    pub index: Option<(Points, UtcNanos)>,
}

impl MarketNow {
    /// The index where its value is no older than `age_max`.
    pub fn spot(&self, now: UtcNanos, age_max: Duration) -> Option<Points> {
        self.index.filter(|it| now.since(it.1) <= age_max).map(|it| it.0)
    }
}

/// What a cancel was answered with. None of these is a verdict: read the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    /// The broker took the request.
    Requested,
    /// The order had already ended: filled, canceled, rejected or expired.
    AlreadyFinal,
}

/// One account at a broker.
///
/// Reads may be repeated. [`place`](Self::place) is sent once, whatever happens.
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller; see the module")]
pub trait BrokerPort {
    /// The account's money.
    async fn balances(&self) -> Result<Balances, BrokerError>;

    /// The account's option positions, ours and foreign.
    async fn positions(&self) -> Result<Vec<BrokerPosition>, BrokerError>;

    /// Today's orders with their tags, ours and foreign, all pages.
    async fn orders(&self) -> Result<Vec<BrokerOrder>, BrokerError>;

    /// One order. An id the broker does not know is [`BrokerError::Refused`].
    async fn order(&self, id: BrokerOrderId) -> Result<BrokerOrder, BrokerError>;

    /// The NBBO of each series, in the order asked; `None` for those the broker does not know.
    async fn quotes(&self, series: &[OccSymbol]) -> Result<Vec<Option<OptionQuote>>, BrokerError>;

    /// A series' NBBO and the index behind it, in one request. An adapter that cannot give the index leaves it out.
    async fn market(&self, series: OccSymbol) -> Result<MarketNow, BrokerError> {
        let quote = self.quotes(&[series]).await?.into_iter().next().flatten();
        Ok(MarketNow { quote, index: None })
    }

    /// Sends a ticket, once.
    async fn place(&self, ticket: &Ticket) -> Result<BrokerOrderId, BrokerError>;

    /// Sends a combination, once.
    async fn place_combo(&self, ticket: &ComboTicket) -> Result<BrokerOrderId, BrokerError>;

    /// Moves an order's limit, of a combination its net price; the order keeps its id. Repeating it is harmless. `exit` takes from the part of the rate
    /// budget that is kept for exits.
    async fn modify(&self, id: BrokerOrderId, price: Price, exit: bool) -> Result<(), BrokerError>;

    /// Sends a protection that rests there, once.
    async fn place_protection(&self, ticket: &ProtectiveTicket) -> Result<BrokerOrderId, BrokerError>;

    /// Sends an emergency's market order, once.
    async fn place_market(&self, ticket: &MarketTicket) -> Result<BrokerOrderId, BrokerError>;

    /// Moves a resting protection's stop and limit; the order keeps its id. Repeating it is harmless.
    async fn move_protection(&self, id: BrokerOrderId, terms: StopLimit) -> Result<(), BrokerError>;

    /// Asks for an order's end.
    async fn cancel(&self, id: BrokerOrderId) -> Result<CancelAnswer, BrokerError>;
}

/// Why an account could not be reached at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Its secret could not be read.
    #[error(transparent)]
    Secret(#[from] super::SecretError),
    /// The account's environment may not be reached from this deployment.
    #[error(
        "account is {environment} and this deployment is not: set TRADIER_SANDBOX=false and TRADIER_EXECUTION_PRODUCTION_ENABLED=true to reach it"
    )]
    Environment {
        /// The account's environment.
        environment: &'static str,
    },
}

/// Opens accounts at brokers: reads the secret, picks the host.
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller; see the module")]
pub trait Brokers {
    /// One account at a broker.
    type Account: BrokerPort;

    /// The account, ready to be asked.
    async fn account(&self, account: &AccountRef) -> Result<Self::Account, ConnectError>;
}
