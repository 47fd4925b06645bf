//! Answers that end in their middle.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The connection is to close without a word, or in the middle of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub(crate) struct Severed;

/// A body whose length is announced in full and of which only the beginning leaves.
#[derive(Debug)]
pub(crate) struct Cut {
    piece: Option<Bytes>,
    announced: u64,
    /// Whether what there is had its chance to be written.
    flushed: bool,
}

impl Cut {
    /// The first `at` bytes of `body`.
    pub(crate) fn new(body: &[u8], at: usize) -> Self {
        let piece = body.get(..at).map(Bytes::copy_from_slice).filter(|it| !it.is_empty());
        Self { piece, announced: body.len() as u64, flushed: false }
    }
}

impl Body for Cut {
    type Data = Bytes;
    type Error = Severed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Severed>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if !self.flushed {
            // A body that waits lets the connection write what it has; an error would throw it away.
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Severed)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
