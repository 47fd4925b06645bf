//! What can happen to a request on its way: a transport that does it on demand.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use broker::transport::{Method, Reply, Request, Transport, TransportError};

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives, and its sender does not know.
    RequestLost,
    /// It arrives, and the answer is lost.
    AnswerLost,
    /// It provably never leaves.
    NotSent,
    /// It arrives, and the answer is a server error.
    ErrorAfterEffect,
    /// It does not arrive, and the answer is a server error.
    ErrorWithoutEffect,
    /// The answer is cut off in the middle.
    HalfAnswer,
}

/// A transport that passes requests on, but for the next ones of a method that a fault was put up for.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    due: RefCell<Vec<(Method, VecDeque<Fault>)>>,
    posts: Cell<u64>,
}

impl<T> Faulty<T> {
    /// Over `inner`, without faults.
    pub const fn new(inner: T) -> Self {
        Self { inner, due: RefCell::new(Vec::new()), posts: Cell::new(0) }
    }

    /// Puts faults up for the next requests of `method`, one each, in order.
    pub fn next(&self, method: Method, faults: &[Fault]) {
        self.due.borrow_mut().push((method, faults.iter().copied().collect()));
    }

    /// Order requests that were sent, whatever became of them.
    pub fn posts(&self) -> u64 {
        self.posts.get()
    }

    fn take(&self, method: Method) -> Option<Fault> {
        let mut due = self.due.borrow_mut();
        let (_, faults) = due.iter_mut().find(|it| it.0 == method && !it.1.is_empty())?;
        faults.pop_front()
    }
}

impl<T: Transport> Transport for Faulty<T> {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        if request.method == Method::Post && request.path.ends_with("/orders") {
            self.posts.set(self.posts.get().saturating_add(1));
        }
        let lost = |what: &str| Err(TransportError::Unknown(what.to_owned()));
        let server_error =
            || Reply { status: 502, headers: Vec::new(), body: b"<html>Bad Gateway</html>".to_vec() };
        match self.take(request.method) {
            None => self.inner.send(request).await,
            Some(Fault::RequestLost) => lost("the request was lost"),
            Some(Fault::NotSent) => Err(TransportError::NotSent("no connection".to_owned())),
            Some(Fault::ErrorWithoutEffect) => Ok(server_error()),
            Some(Fault::AnswerLost) => {
                self.inner.send(request).await?;
                lost("the answer was lost")
            }
            Some(Fault::ErrorAfterEffect) => {
                self.inner.send(request).await?;
                Ok(server_error())
            }
            Some(Fault::HalfAnswer) => {
                let mut reply = self.inner.send(request).await?;
                reply.body.truncate(reply.body.len() / 2);
                Ok(reply)
            }
        }
    }
}
