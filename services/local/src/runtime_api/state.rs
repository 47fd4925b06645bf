//! What a function has in hand and what waits for it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, oneshot, watch};

use super::InvokeError;

/// How often in a row a process may end before it asks for work.
const FAILURES_MAX: u32 = 5;
/// How much work may wait for one process.
const WAITING_MAX: usize = 1_000;

type Reply = oneshot::Sender<Result<Bytes, InvokeError>>;

/// An invocation that waits for the process.
struct Waiting {
    payload: Bytes,
    timeout: Duration,
    reply: Reply,
    taken: oneshot::Sender<u64>,
}

/// An invocation as the process gets it.
pub(super) struct Work {
    pub(super) id: u64,
    pub(super) payload: Bytes,
    pub(super) timeout: Duration,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    in_hand: Option<(u64, Reply)>,
    last_id: u64,
    failures: u32,
    /// What the process said of its failed start.
    said: Option<String>,
    down: Option<String>,
}

/// Whether a process that ended is started again.
pub(super) enum Exit {
    /// Yes, after this many failures in a row.
    Restart { failures: u32 },
    /// No.
    GiveUp,
}

/// The state of one function, shared by the API, the supervisor and the callers.
pub(super) struct Shared {
    pub(super) name: String,
    state: Mutex<State>,
    arrived: Notify,
    overrun: Notify,
    /// `None` until the first poll; then whether the function ever came up.
    polled: watch::Sender<Option<Result<(), String>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: Mutex::default(),
            arrived: Notify::new(),
            overrun: Notify::new(),
            polled: watch::Sender::new(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn invoke(&self, payload: Bytes, timeout: Duration) -> Result<Bytes, InvokeError> {
        let (reply, result) = oneshot::channel();
        let (taken, was_taken) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(why) = &state.down {
                return Err(InvokeError::Down(why.clone()));
            }
            if state.waiting.len() >= WAITING_MAX {
                return Err(InvokeError::Down(format!("{WAITING_MAX} invocations wait already")));
            }
            state.waiting.push_back(Waiting { payload, timeout, reply, taken });
        }
        self.arrived.notify_one();
        let gone = || InvokeError::Down("it was given up".to_owned());
        let Ok(id) = was_taken.await else { return result.await.unwrap_or_else(|_| Err(gone())) };
        if let Ok(result) = tokio::time::timeout(timeout, result).await {
            return result.unwrap_or_else(|_| Err(gone()));
        }
        let mut state = self.state();
        if state.in_hand.as_ref().is_some_and(|it| it.0 == id) {
            state.in_hand = None;
            // Its process is killed for taking too long, not for failing to run.
            state.failures = 0;
            self.overrun.notify_one();
        }
        Err(InvokeError::TimedOut(timeout))
    }

    /// The next invocation, waiting for one. What the process still had in hand was never answered.
    pub(super) async fn next(&self) -> Work {
        if let Some((_, reply)) = self.state().in_hand.take() {
            let message = "the handler asked for more work before it answered".to_owned();
            reply.send(Err(InvokeError::Failed { kind: "Runtime.NoResponse".to_owned(), message })).ok();
        }
        self.polled.send_if_modified(|it| {
            let first = it.is_none();
            if first {
                *it = Some(Ok(()));
            }
            first
        });
        // Whatever asks for work had started.
        self.state().failures = 0;
        loop {
            if let Some(work) = self.take() {
                return work;
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            let next = state.waiting.pop_front()?;
            state.last_id += 1;
            let id = state.last_id;
            // A caller that has gone away needs no answer.
            if next.taken.send(id).is_ok() {
                state.in_hand = Some((id, next.reply));
                return Some(Work { id, payload: next.payload, timeout: next.timeout });
            }
        }
    }

    /// Hands a result to its caller; false when the process does not have that invocation in hand.
    pub(super) fn answer(&self, id: u64, result: Result<Bytes, InvokeError>) -> bool {
        let mut state = self.state();
        let Some((_, reply)) = state.in_hand.take_if(|it| it.0 == id) else { return false };
        state.failures = 0;
        drop(state);
        reply.send(result).ok();
        true
    }

    /// Keeps what the process said of its failed start.
    pub(super) fn init_failed(&self, said: String) {
        self.state().said = Some(said);
    }

    /// The process ended: its invocation is lost.
    pub(super) fn ended(&self, how: &str) -> Exit {
        // An overrun that was reported as the process ended by itself must not kill its successor.
        self.overrun.notified().now_or_never();
        let mut state = self.state();
        if let Some((_, reply)) = state.in_hand.take() {
            reply.send(Err(InvokeError::Crashed(how.to_owned()))).ok();
            return Exit::Restart { failures: 0 };
        }
        state.failures += 1;
        let failures = state.failures;
        let never_polled = self.polled.borrow().is_none();
        if failures < FAILURES_MAX && !never_polled {
            return Exit::Restart { failures };
        }
        let why = state.said.take().unwrap_or_else(|| how.to_owned());
        drop(state);
        self.close(&why);
        Exit::GiveUp
    }

    /// No more work: everybody who waits is told why.
    pub(super) fn close(&self, why: &str) {
        let mut state = self.state();
        state.down.get_or_insert_with(|| why.to_owned());
        let waiting = std::mem::take(&mut state.waiting);
        let in_hand = state.in_hand.take();
        drop(state);
        for reply in waiting.into_iter().map(|it| it.reply).chain(in_hand.map(|it| it.1)) {
            reply.send(Err(InvokeError::Down(why.to_owned()))).ok();
        }
        self.polled.send_if_modified(|it| {
            let first = it.is_none();
            if first {
                *it = Some(Err(why.to_owned()));
            }
            first
        });
    }

    /// Waits until the process polls for the first time, or is given up.
    pub(super) async fn first_poll(&self) -> Result<(), String> {
        let mut polled = self.polled.subscribe();
        match polled.wait_for(Option::is_some).await {
            Ok(it) => it.clone().unwrap_or(Ok(())),
            Err(_) => Err("it was given up".to_owned()),
        }
    }

    /// Waits until an invocation overruns its time.
    pub(super) async fn overrun(&self) {
        self.overrun.notified().await;
    }
}
