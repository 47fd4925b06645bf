//! The sandbox without a network between.

use std::cell::RefCell;
use std::rc::Rc;

use broker::transport::{Reply, Request, Transport, TransportError};
use domain::ports::Clock;
use domain::time::UtcNanos;

use super::Sandbox;
use super::faults::Disposition;

/// The longest a caller waits for an answer: what takes longer is unknown to it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Carries requests to a [`Sandbox`] in the same process, at the clock's time, without loss but for what the sandbox's
/// [faults](super::faults) take. Nothing waits here: an answer that comes late within ten seconds is there at once, and
/// one that comes later, or with an effect that is put off, is unknown.
#[derive(Debug)]
pub struct InMemoryTransport<C> {
    sandbox: Rc<RefCell<Sandbox>>,
    clock: C,
}

impl<C: Clock> InMemoryTransport<C> {
    /// Over `sandbox`, at `clock`'s time.
    pub const fn new(sandbox: Rc<RefCell<Sandbox>>, clock: C) -> Self {
        Self { sandbox, clock }
    }
}

impl<C: Clock> Transport for InMemoryTransport<C> {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        match self.sandbox.try_borrow_mut() {
            Ok(mut sandbox) => {
                let now = self.clock.now();
                told(now, sandbox.dispose(now, request))
            }
            Err(_) => Err(TransportError::NotSent("the sandbox is answering somebody else".to_owned())),
        }
    }
}

/// What the caller sees.
fn told(now: UtcNanos, disposition: Disposition) -> Result<Reply, TransportError> {
    let unknown = |what: &str| Err(TransportError::Unknown(what.to_owned()));
    match disposition {
        Disposition::Reply(reply) => Ok(reply),
        Disposition::Late { at, reply } if at.since(now) < PATIENCE => Ok(reply),
        Disposition::Late { .. } | Disposition::Held { .. } => unknown("no answer in time"),
        Disposition::NoAnswer => unknown("the connection closed without an answer"),
        Disposition::Cut { .. } => unknown("the connection closed within the answer"),
    }
}
