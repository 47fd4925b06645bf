//! What an answer's body is: whole, cut off, or a stream that goes on.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

/// The connection ends without an answer, or within one.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed on purpose")]
pub(crate) struct Closed;

impl From<Infallible> for Closed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Whether the connection had its chance to write: a body that waits is flushed, an error throws away what is not.
#[derive(Debug)]
pub(crate) struct Flushed(bool);

/// A body.
pub(crate) enum Body {
    /// All of it at once.
    Whole(Option<Bytes>),
    /// Its beginning, of so many bytes in all; then the connection breaks.
    Cut(Option<Bytes>, u64, Flushed),
    /// Whatever comes, until the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
}

impl Body {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|it| !it.is_empty()))
    }

    /// Lets the connection break after `at` bytes.
    pub(crate) fn cut(&mut self, at: usize) {
        if let Self::Whole(bytes) = self {
            let mut bytes = bytes.take().unwrap_or_default();
            let whole = bytes.len() as u64;
            bytes.truncate(at);
            *self = Self::Cut(Some(bytes).filter(|it| !it.is_empty()), whole, Flushed(false));
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
            Self::Cut(bytes, _, flushed) => match bytes.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None if flushed.0 => Poll::Ready(Some(Err(Closed))),
                None => {
                    flushed.0 = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            Self::Stream(receiver) => receiver.poll_recv(context).map(|it| it.map(|it| Ok(Frame::data(it)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |it| it.len() as u64)),
            Self::Cut(_, whole, _) => SizeHint::with_exact(*whole),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
