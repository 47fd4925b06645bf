//! An account whose answers are given beforehand.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use broker::budget::RateBudget;
use broker::tradier::Tradier;
use broker::transport::{Reply, Request, Transport, TransportError};
use domain::account::Environment;
use domain::ports::{BrokerError, Clock};
use domain::secret::Token;
use domain::time::UtcNanos;

/// 2026-11-20, 10:03:20 in New York.
pub(crate) const NOW: UtcNanos = UtcNanos::from_secs(1_795_187_000);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UtcNanos {
        NOW
    }
}

/// Plays answers, keeps requests.
#[derive(Debug, Default)]
pub(crate) struct Played {
    answers: RefCell<VecDeque<Reply>>,
    pub(crate) sent: RefCell<Vec<Request>>,
}

impl Transport for Played {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        self.sent.borrow_mut().push(request.clone());
        let next = self.answers.borrow_mut().pop_front();
        next.ok_or_else(|| TransportError::Unknown("no more answers".to_owned()))
    }
}

pub(crate) type Account = Tradier<Rc<Played>, Fixed>;

pub(crate) fn reply(status: u16, body: &str) -> Reply {
    Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

/// An account that is answered with `replies`, in order.
pub(crate) fn account(replies: Vec<Reply>) -> (Account, Rc<Played>) {
    let played = Rc::new(Played { answers: RefCell::new(replies.into()), sent: RefCell::default() });
    let budget = Rc::new(RateBudget::new(Environment::Sandbox));
    let number = "VA12345678".parse().unwrap();
    (Tradier::new(Rc::clone(&played), Fixed, Token::new("token-in-test"), number, budget), played)
}

pub(crate) fn answered(status: u16, body: &str) -> Account {
    account(vec![reply(status, body)]).0
}

/// Drives a future that never waits.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits for something no port gave"),
    }
}

/// What the caller goes by.
pub(crate) fn kind<T>(result: &Result<T, BrokerError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(BrokerError::Refused { .. }) => "refused",
        Err(BrokerError::NotSent { .. }) => "not sent",
        Err(BrokerError::Unknown { .. }) => "unknown",
        Err(BrokerError::RateLimited { .. }) => "rate limited",
        Err(BrokerError::Authentication { .. }) => "authentication",
        Err(BrokerError::Broken { .. }) => "broken",
    }
}
