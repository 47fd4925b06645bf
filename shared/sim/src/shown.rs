//! Ports for tests of use cases that only look: a broker that shows what it is given and takes nothing.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use domain::account::{AccountRef, Balances};
use domain::ids::{AccountId, BrokerOrderId};
use domain::market::{OptionQuote, Points};
use domain::money::Price;
use domain::order::{BrokerOrder, Ticket};
use domain::ports::{BrokerError, BrokerPort, Brokers, CancelAnswer, Clock, ConnectError, MarketNow};
use domain::position::BrokerPosition;
use domain::symbol::OccSymbol;
use domain::ticket::{ComboTicket, MarketTicket, ProtectiveTicket, StopLimit};
use domain::time::UtcNanos;

/// A broker that shows what it is given.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Its positions.
    pub positions: Vec<BrokerPosition>,
    /// Its orders.
    pub orders: Vec<BrokerOrder>,
    /// Its balances, or how it refuses them; asked without any, the test ends.
    pub balances: Option<Result<Balances, BrokerError>>,
    /// The last value of what its series are written on, and when it was printed.
    pub index: Option<(Points, UtcNanos)>,
    /// Whether it keeps silent.
    pub is_down: bool,
}

impl Shown {
    fn answer<T>(&self, value: T) -> Result<T, BrokerError> {
        if self.is_down { Err(BrokerError::Unknown { reason: "silence".to_owned() }) } else { Ok(value) }
    }
}

/// What nobody here may do.
#[expect(clippy::panic, reason = "scaffolding of tests: a use case that sends has failed its test")]
fn never<T>() -> Result<T, BrokerError> {
    panic!("nothing is sent to the broker here")
}

impl BrokerPort for Shown {
    async fn balances(&self) -> Result<Balances, BrokerError> {
        self.balances.clone().unwrap_or_else(never)
    }
    async fn positions(&self) -> Result<Vec<BrokerPosition>, BrokerError> {
        self.answer(self.positions.clone())
    }
    async fn orders(&self) -> Result<Vec<BrokerOrder>, BrokerError> {
        self.answer(self.orders.clone())
    }
    async fn order(&self, _: BrokerOrderId) -> Result<BrokerOrder, BrokerError> {
        never()
    }
    async fn quotes(&self, _: &[OccSymbol]) -> Result<Vec<Option<OptionQuote>>, BrokerError> {
        never()
    }
    async fn market(&self, _: OccSymbol) -> Result<MarketNow, BrokerError> {
        self.answer(MarketNow { quote: None, index: self.index })
    }
    async fn place(&self, _: &Ticket) -> Result<BrokerOrderId, BrokerError> {
        never()
    }
    async fn place_combo(&self, _: &ComboTicket) -> Result<BrokerOrderId, BrokerError> {
        never()
    }
    async fn modify(&self, _: BrokerOrderId, _: Price, _: bool) -> Result<(), BrokerError> {
        never()
    }
    async fn place_protection(&self, _: &ProtectiveTicket) -> Result<BrokerOrderId, BrokerError> {
        never()
    }
    async fn place_market(&self, _: &MarketTicket) -> Result<BrokerOrderId, BrokerError> {
        never()
    }
    async fn move_protection(&self, _: BrokerOrderId, _: StopLimit) -> Result<(), BrokerError> {
        never()
    }
    async fn cancel(&self, _: BrokerOrderId) -> Result<CancelAnswer, BrokerError> {
        never()
    }
}

/// Accounts by their id; one that is not named is empty.
#[derive(Debug, Default)]
pub struct Accounts(pub BTreeMap<AccountId, Shown>);

impl Brokers for Accounts {
    type Account = Shown;
    async fn account(&self, account: &AccountRef) -> Result<Shown, ConnectError> {
        Ok(self.0.get(&account.account).cloned().unwrap_or_default())
    }
}

/// A clock that stands.
#[derive(Debug)]
pub struct Stands(pub UtcNanos);

impl Clock for Stands {
    fn now(&self) -> UtcNanos {
        self.0
    }
}

/// Drives a use case by one bare poll: its ports answer at once, so that waiting for anything else shows.
///
/// # Panics
/// When the use case waits.
#[expect(clippy::panic, reason = "scaffolding of tests")]
pub fn run<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the use case waits for something else than its ports"),
    }
}
