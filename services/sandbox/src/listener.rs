//! One port: accepts connections, counts what is in flight, sends frames, ends cleanly.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use domain::ports::Clock;
use domain::time::UtcNanos;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sim::broker::{Frame, Sandbox};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::control::Control;
use crate::http;
use crate::outlet::{Ended, Outlet};

/// Connections open at once; more are closed at once.
const CONNECTIONS_MAX: usize = 1_024;
/// How long an end waits for answers that are being written.
const GRACE: Duration = Duration::from_secs(2);

/// How long slow clients are waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// A request's head that has not arrived by then does not.
    pub(crate) head: Duration,
    /// Nor does its body.
    pub(crate) body: Duration,
    /// A stream that has not subscribed by then is ended.
    pub(crate) subscription: Duration,
}

impl Timeouts {
    pub(crate) const USUAL: Self = Self {
        head: Duration::from_secs(30),
        body: Duration::from_secs(30),
        subscription: Duration::from_secs(60),
    };
}

/// Writes what changed to the data directory: called before an answer leaves, whenever [`Sandbox::revision`] moved.
pub type Journal = Box<dyn FnMut(&mut Sandbox) -> anyhow::Result<()>>;

/// The port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another port or end the program that holds it")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
}

/// What connections share.
pub(crate) struct Shared<C> {
    pub(crate) sandbox: Rc<RefCell<Sandbox>>,
    pub(crate) clock: C,
    pub(crate) timeouts: Timeouts,
    journal: RefCell<Option<Journal>>,
    journaled: Cell<u64>,
    handlers: Cell<usize>,
    connections: Cell<usize>,
    frames_waiting: Cell<usize>,
    frames_sent: Cell<u64>,
    activity: Notify,
    /// Who may steer the run from outside, where that is allowed.
    pub(crate) control: RefCell<Option<Rc<Control>>>,
    pub(crate) streams: RefCell<BTreeMap<String, Rc<Outlet>>>,
    /// Answers that wait for market time, in order of it.
    parked: RefCell<Vec<Parked<C>>>,
    pub(crate) ending: watch::Receiver<bool>,
}

/// An answer that leaves when market time reaches `at`.
struct Parked<C> {
    at: UtcNanos,
    wake: oneshot::Sender<Handling<C>>,
}

impl<C: Clock> Shared<C> {
    /// Journals what changed since the last time. False when that failed: the answer must not leave.
    pub(crate) fn journal(&self) -> bool {
        let mut sandbox = self.sandbox.borrow_mut();
        if sandbox.revision() == self.journaled.get() {
            return true;
        }
        if let Some(journal) = self.journal.borrow_mut().as_mut()
            && let Err(error) = journal(&mut sandbox)
        {
            tracing::error!(error = format!("{error:#}"), "the sandbox could not journal a change");
            return false;
        }
        self.journaled.set(sandbox.revision());
        true
    }

    /// Hands every frame that is due to its connection. A connection that does not read is ended.
    pub(crate) fn flush_frames(&self) {
        let frames = self.sandbox.borrow_mut().take_frames();
        let mut shown = Shown::default();
        let mut slow: Vec<Frame> = Vec::new();
        for frame in frames {
            let streams = self.streams.borrow();
            let Some(outlet) = streams.get(&*frame.session) else { continue };
            if outlet.ended().is_some() {
                continue;
            }
            if outlet.push(shown.bytes(&frame)) {
                self.frames_waiting.set(self.frames_waiting.get().saturating_add(1));
            } else {
                tracing::warn!(
                    session = &*frame.session,
                    "a stream does not read what it is sent and is ended"
                );
                outlet.end(Ended::Slow);
                slow.push(frame);
            }
        }
        for frame in slow {
            self.sandbox.borrow_mut().detach(&frame.session);
        }
    }

    /// Lets answers leave for which market time has come. They count as being handled from here on.
    fn wake_parked(self: &Rc<Self>) {
        let now = self.sandbox.borrow().now();
        let due: Vec<Parked<C>> = self.parked.borrow_mut().extract_if(.., |it| it.at <= now).collect();
        for parked in due {
            // Nobody waits for it any more when the connection is gone.
            parked.wake.send(self.handling()).ok();
        }
    }

    /// Waits until market time reaches `at`, without counting as being handled meanwhile.
    pub(crate) async fn reached(self: &Rc<Self>, at: UtcNanos) -> Option<Handling<C>> {
        let (wake, woken) = oneshot::channel();
        self.parked.borrow_mut().push(Parked { at, wake });
        self.activity.notify_waiters();
        self.wake_parked();
        woken.await.ok()
    }

    /// Brings the broker to the clock's time and tells everybody: what fell due, frames, that time moved on.
    pub(crate) fn settle(self: &Rc<Self>) -> bool {
        let now = self.clock.now();
        self.sandbox.borrow_mut().advance(now);
        let journaled = self.journal();
        self.flush_frames();
        self.wake_parked();
        journaled
    }

    /// Lets the runner look at the clock again.
    pub(crate) fn wake(&self) {
        self.activity.notify_waiters();
    }

    pub(crate) fn frame_done(&self, written: bool) {
        self.frames_waiting.set(self.frames_waiting.get().saturating_sub(1));
        if written {
            self.frames_sent.set(self.frames_sent.get().saturating_add(1));
        }
        self.activity.notify_waiters();
    }

    /// Ends connections whose stream was replaced by a newer one.
    pub(crate) fn drop_replaced(&self) {
        let sandbox = self.sandbox.borrow();
        for (session, outlet) in &*self.streams.borrow() {
            if !sandbox.is_attached(session) {
                outlet.end(Ended::Replaced);
            }
        }
    }

    /// Counts a connection as open.
    pub(crate) fn open(self: &Rc<Self>) -> Open<C> {
        self.connections.set(self.connections.get().saturating_add(1));
        Open(Rc::clone(self))
    }

    pub(crate) fn handling(self: &Rc<Self>) -> Handling<C> {
        self.handlers.set(self.handlers.get().saturating_add(1));
        Handling(Rc::clone(self))
    }
}

/// The text of the last frames as it goes out: frames of one event come in a row and share it.
#[derive(Default)]
struct Shown(VecDeque<(std::sync::Arc<str>, Utf8Bytes)>);

impl Shown {
    fn bytes(&mut self, frame: &Frame) -> Utf8Bytes {
        // With a line break and without: two texts in turn.
        if let Some((_, bytes)) = self.0.iter().find(|it| std::sync::Arc::ptr_eq(&it.0, &frame.text)) {
            return bytes.clone();
        }
        if self.0.len() >= 2 {
            self.0.pop_front();
        }
        let bytes = Utf8Bytes::from(&*frame.text);
        self.0.push_back((std::sync::Arc::clone(&frame.text), bytes.clone()));
        bytes
    }
}

/// An open connection.
pub(crate) struct Open<C>(Rc<Shared<C>>);

impl<C> Drop for Open<C> {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get().saturating_sub(1));
        self.0.activity.notify_waiters();
    }
}

/// A request being handled.
pub(crate) struct Handling<C>(Rc<Shared<C>>);

impl<C> Drop for Handling<C> {
    fn drop(&mut self) {
        self.0.handlers.set(self.0.handlers.get().saturating_sub(1));
        self.0.activity.notify_waiters();
    }
}

/// The sandbox behind a port on this machine.
pub struct Listener<C> {
    shared: Rc<Shared<C>>,
    address: SocketAddr,
    end: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl<C: Clock + 'static> Listener<C> {
    /// Listens on `address` for `sandbox`, at `clock`'s time. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub async fn bind(
        address: SocketAddr,
        sandbox: Rc<RefCell<Sandbox>>,
        clock: C,
        journal: Option<Journal>,
    ) -> Result<Self, BindError> {
        Self::bind_with(address, sandbox, clock, journal, Timeouts::USUAL).await
    }

    pub(crate) async fn bind_with(
        address: SocketAddr,
        sandbox: Rc<RefCell<Sandbox>>,
        clock: C,
        journal: Option<Journal>,
        timeouts: Timeouts,
    ) -> Result<Self, BindError> {
        let refused = |source| BindError { address, source };
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        sandbox.borrow_mut().set_stream_base(format!("ws://{address}"));
        let (end, ending) = watch::channel(false);
        let shared = Rc::new(Shared {
            sandbox,
            clock,
            timeouts,
            journal: RefCell::new(journal),
            journaled: Cell::new(0),
            handlers: Cell::new(0),
            connections: Cell::new(0),
            frames_waiting: Cell::new(0),
            frames_sent: Cell::new(0),
            activity: Notify::new(),
            control: RefCell::new(None),
            streams: RefCell::new(BTreeMap::new()),
            parked: RefCell::new(Vec::new()),
            ending,
        });
        let accepting = tokio::task::spawn_local(accept(Rc::clone(&shared), socket));
        Ok(Self { shared, address, end, accepting })
    }

    /// Where it listens; the port is real even when 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests being handled and frames handed to connections but not yet written.
    pub fn in_flight(&self) -> usize {
        self.shared.handlers.get().saturating_add(self.shared.frames_waiting.get())
    }

    /// Frames written to connections since the start, for comparison with what the other side received.
    pub fn frames_sent(&self) -> u64 {
        self.shared.frames_sent.get()
    }

    /// Connected streams.
    pub fn streams(&self) -> usize {
        self.shared.streams.borrow().len()
    }

    /// Wakes whenever a request or a frame is done.
    pub async fn activity(&self) {
        self.shared.activity.notified().await;
    }

    /// Journals what changed without a request (executions, the close) and sends the frames that are due. The runner
    /// calls it after every advance of the sandbox.
    ///
    /// # Errors
    /// The journal's own, already logged.
    pub fn flush_frames(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.shared.journal(), "the sandbox could not journal a change");
        self.shared.flush_frames();
        self.shared.wake_parked();
        Ok(())
    }

    /// Lets whoever reaches the port from this machine steer the run under `/_sandbox/`.
    pub fn control(&self, control: Control) {
        self.shared.control.replace(Some(Rc::new(control)));
    }

    /// Stops accepting, lets answers finish for at most two seconds, ends every stream.
    pub async fn shutdown(self) {
        self.end.send_replace(true);
        for outlet in self.shared.streams.borrow().values() {
            outlet.end(Ended::Shutdown);
        }
        // Whoever waits for market time is let go without an answer.
        self.shared.parked.borrow_mut().clear();
        let finished = async {
            while self.shared.connections.get() > 0 {
                self.shared.activity.notified().await;
            }
        };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            tracing::warn!("some connections to the sandbox did not end in time");
        }
        self.accepting.abort();
    }
}

async fn accept<C: Clock + 'static>(shared: Rc<Shared<C>>, socket: TcpListener) {
    let mut ending = shared.ending.clone();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = ending.wait_for(|it| *it) => return,
        };
        match accepted {
            Ok((stream, _)) if shared.connections.get() < CONNECTIONS_MAX => {
                let open = shared.open();
                tokio::task::spawn_local(serve(Rc::clone(&shared), stream, open));
            }
            Ok(_) => tracing::warn!("the sandbox has {CONNECTIONS_MAX} connections and closes another"),
            // Out of file descriptors or the like: others may be closing theirs.
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn serve<C: Clock + 'static>(shared: Rc<Shared<C>>, stream: TcpStream, _open: Open<C>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let service = service_fn(|request| http::handle(Rc::clone(&shared), request));
    let connection = http1::Builder::new()
        .half_close(true)
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .header_read_timeout(shared.timeouts.head)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut ending = shared.ending.clone();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = ending.wait_for(|it| *it) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the sandbox ended early");
    }
}
