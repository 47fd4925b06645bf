//! The sandbox without a network between.

use std::cell::RefCell;
use std::rc::Rc;

use broker::transport::{Reply, Request, Transport, TransportError};
use domain::ports::Clock;

use super::Sandbox;

/// Carries requests to a [`Sandbox`] in the same process, at the clock's time, without loss.
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
            Ok(mut sandbox) => Ok(sandbox.answer(self.clock.now(), request)),
            Err(_) => Err(TransportError::NotSent("the sandbox is answering somebody else".to_owned())),
        }
    }
}
