//! What waits for a stream's connection: bounded, and ended rather than grown when nobody reads.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Frames that wait for a slow reader before it is ended: a few seconds of everything at fifty times real speed.
const WAITING_MAX: usize = 16_384;

/// Why a stream ends from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its user connected another one.
    Replaced,
    /// It does not read what it is sent.
    Slow,
    /// The sandbox ends.
    Shutdown,
}

impl Ended {
    /// As a WebSocket's close frame says it.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Replaced => "another stream of this user was opened",
            Self::Slow => "too slow: frames were not read",
            Self::Shutdown => "the sandbox ends",
        }
    }
}

/// Frames on their way to one connection.
#[derive(Default)]
pub(crate) struct Outlet {
    waiting: RefCell<VecDeque<Utf8Bytes>>,
    ended: Cell<Option<Ended>>,
    news: Notify,
}

impl Outlet {
    /// Puts a frame in line; false when the line is full.
    pub(crate) fn push(&self, frame: Utf8Bytes) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.push_back(frame);
        self.news.notify_one();
        true
    }

    /// Ends the stream; what waits is lost.
    pub(crate) fn end(&self, why: Ended) {
        if self.ended.get().is_none() {
            self.ended.set(Some(why));
            self.news.notify_one();
        }
    }

    /// Why it ended, if it did.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended.get()
    }

    /// Everything that waits, as soon as something does; why it ended, when it did.
    pub(crate) async fn take(&self) -> Result<VecDeque<Utf8Bytes>, Ended> {
        loop {
            if let Some(why) = self.ended.get() {
                return Err(why);
            }
            let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
            if !waiting.is_empty() {
                return Ok(waiting);
            }
            self.news.notified().await;
        }
    }

    /// Waits for the end, whatever else is put in line.
    pub(crate) async fn end_of_it(&self) -> Ended {
        loop {
            if let Some(why) = self.ended.get() {
                return why;
            }
            self.news.notified().await;
        }
    }

    /// How many frames nobody will read.
    pub(crate) fn drain(&self) -> usize {
        std::mem::take(&mut *self.waiting.borrow_mut()).len()
    }
}
