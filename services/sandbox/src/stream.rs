//! Streams: over WebSockets, where the first message subscribes and later ones change it, and over HTTP, where the
//! request does.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use broker::transport::Request;
use bytes::{Bytes, BytesMut};
use domain::ports::Clock;
use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use hyper::upgrade::Upgraded;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use sim::broker::StreamKind;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::answer::Body;
use crate::http::{self, Answer};
use crate::listener::Shared;
use crate::outlet::{Ended, Outlet};

/// A subscription of a whole chain has some tens of kilobytes.
const MESSAGE_MAX: usize = 1 << 20;
/// So many waiting payloads travel one by one, as most clients read them; a longer line of them is behind, and goes
/// together.
const ONE_BY_ONE: usize = 64;
/// Bytes that one message carries at most when payloads are separated by line breaks.
const MERGED_MAX: usize = 64 << 10;
/// How long a closing handshake may take.
const CLOSING: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Whether a request asks for a WebSocket.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    let names = |name: HeaderName, word: &str| {
        let values = headers.get_all(name);
        let mut words = values.iter().filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
        words.any(|it| it.trim().eq_ignore_ascii_case(word))
    };
    names(UPGRADE, "websocket") && names(CONNECTION, "upgrade")
}

/// Answers the upgrade and serves the stream beside it.
pub(crate) fn upgrade<C: Clock + 'static>(
    shared: &Rc<Shared<C>>,
    kind: StreamKind,
    mut request: hyper::Request<Incoming>,
) -> Answer {
    let headers = request.headers();
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|it| it.as_bytes() != b"13") {
        let mut answer = http::text(426, "Invalid parameter, sec-websocket-version: must be 13.");
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return answer;
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(|it| derive_accept_key(it.as_bytes()));
    let Some(key) = key.and_then(|it| HeaderValue::try_from(it).ok()) else {
        return http::text(400, "Invalid parameter, sec-websocket-key: is required.");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let shared = Rc::clone(shared);
    let open = shared.open();
    tokio::task::spawn_local(async move {
        let _open = open;
        match upgraded.await {
            Ok(upgraded) => {
                let config = WebSocketConfig::default()
                    .max_message_size(Some(MESSAGE_MAX))
                    .max_frame_size(Some(MESSAGE_MAX));
                let io = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                Connection { shared, kind, socket, outlet: Rc::default(), session: None }.serve().await;
            }
            Err(error) => tracing::debug!(%error, "a stream ended before it began"),
        }
    });
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    response
}

/// One stream over a WebSocket.
struct Connection<C: Clock> {
    shared: Rc<Shared<C>>,
    kind: StreamKind,
    socket: Socket,
    outlet: Rc<Outlet>,
    /// Set by the first subscription; from then on the table of streams holds the outlet too.
    session: Option<String>,
}

/// Why a connection ends.
enum Over {
    /// We end it.
    Ours(Ended),
    /// The other side is gone, or was told why it is.
    Theirs,
}

impl<C: Clock> Connection<C> {
    async fn serve(mut self) {
        let over = self.run().await;
        let shared = Rc::clone(&self.shared);
        if let Some(session) = &self.session {
            leave(&shared, session, &self.outlet);
        }
        let frame = match over {
            Over::Ours(why) => Some(CloseFrame { code: CloseCode::Policy, reason: why.reason().into() }),
            Over::Theirs => None,
        };
        if tokio::time::timeout(CLOSING, self.socket.close(frame)).await.is_err() {
            tracing::debug!("a stream did not finish its closing handshake");
        }
    }

    async fn run(&mut self) -> Over {
        let mut ending = self.shared.ending.clone();
        let subscription = tokio::time::sleep(self.shared.timeouts.subscription);
        let mut subscription = std::pin::pin!(subscription);
        loop {
            tokio::select! {
                biased;
                _ = ending.wait_for(|it| *it) => return Over::Ours(Ended::Shutdown),
                waiting = self.outlet.take() => match waiting {
                    Ok(waiting) => {
                        let outlet = Rc::clone(&self.outlet);
                        tokio::select! {
                            biased;
                            written = self.write(waiting) => if !written { return Over::Theirs },
                            why = outlet.end_of_it() => return Over::Ours(why),
                        }
                    }
                    Err(why) => return Over::Ours(why),
                },
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => if !self.subscribe(&text).await { return Over::Theirs },
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Over::Theirs,
                },
                () = subscription.as_mut(), if self.session.is_none() => {
                    self.say(r#"{"error":"no subscription in time"}"#).await;
                    return Over::Theirs;
                }
            }
        }
    }

    /// Writes frames and flushes once. Frames that are not written count as done all the same when this is dropped.
    async fn write(&mut self, waiting: VecDeque<Utf8Bytes>) -> bool {
        let together = self.kind == StreamKind::Market && waiting.len() > ONE_BY_ONE;
        let mut waiting = Waiting { shared: Rc::clone(&self.shared), frames: waiting, together };
        while let Some((message, count)) = waiting.next() {
            if self.socket.feed(message).await.is_err() {
                return false;
            }
            (0..count).for_each(|_| self.shared.frame_done(true));
        }
        self.socket.flush().await.is_ok()
    }

    /// Attaches the stream, or says why not. False ends it.
    async fn subscribe(&mut self, message: &str) -> bool {
        let now = self.shared.clock.now();
        let attached = self.shared.sandbox.borrow_mut().attach(now, self.kind, message);
        match attached {
            Ok(id) => {
                if self.session.as_ref().is_some_and(|it| *it != id) {
                    // One connection, one session: the one before it ends.
                    let before = self.session.take().unwrap_or_default();
                    self.shared.streams.borrow_mut().remove(&before);
                    self.shared.sandbox.borrow_mut().detach(&before);
                }
                join(&self.shared, &id, &self.outlet);
                self.session = Some(id);
                true
            }
            Err(error) => {
                self.say(&error.to_string()).await;
                false
            }
        }
    }

    async fn say(&mut self, text: &str) {
        if self.socket.send(Message::text(text)).await.is_err() {
            tracing::debug!("a refused stream was gone already");
        }
    }
}

/// Frames being written.
struct Waiting<C: Clock> {
    shared: Rc<Shared<C>>,
    frames: VecDeque<Utf8Bytes>,
    /// Whether payloads that end with a line break travel together.
    together: bool,
}

impl<C: Clock> Waiting<C> {
    /// The next message, and how many frames it carries.
    fn next(&mut self) -> Option<(Message, usize)> {
        let first = self.frames.pop_front()?;
        let together = self.together;
        let merges = |it: &Utf8Bytes| together && it.as_str().ends_with('\n');
        if !merges(&first) || !self.frames.front().is_some_and(merges) {
            return Some((Message::Text(first), 1));
        }
        let (mut text, mut count) = (first.as_str().to_owned(), 1);
        while let Some(next) = self.frames.pop_front_if(|it| merges(it) && text.len() < MERGED_MAX) {
            text.push_str(next.as_str());
            count += 1;
        }
        Some((Message::text(text), count))
    }
}

impl<C: Clock> Drop for Waiting<C> {
    fn drop(&mut self) {
        self.frames.iter().for_each(|_| self.shared.frame_done(false));
    }
}

/// Puts a stream where frames are handed out.
fn join<C: Clock>(shared: &Rc<Shared<C>>, session: &str, outlet: &Rc<Outlet>) {
    let before = shared.streams.borrow_mut().insert(session.to_owned(), Rc::clone(outlet));
    // The same session on another connection: the older one ends, and must not take this one with it.
    if let Some(before) = before.filter(|it| !Rc::ptr_eq(it, outlet)) {
        before.end(Ended::Replaced);
    }
    shared.drop_replaced();
    shared.flush_frames();
}

/// Takes a stream away again, unless another connection has its session by now.
fn leave<C: Clock>(shared: &Rc<Shared<C>>, session: &str, outlet: &Rc<Outlet>) {
    let ours = shared.streams.borrow().get(session).is_some_and(|it| Rc::ptr_eq(it, outlet));
    if ours {
        shared.streams.borrow_mut().remove(session);
        shared.sandbox.borrow_mut().detach(session);
    }
    (0..outlet.drain()).for_each(|_| shared.frame_done(false));
}

/// A stream whose subscription came with its request: chunks of JSON objects, until one side ends it.
pub(crate) fn over_http<C: Clock + 'static>(
    shared: &Rc<Shared<C>>,
    kind: StreamKind,
    request: &Request,
) -> Answer {
    let params: Vec<(String, String)> = request.query.iter().chain(&request.form).cloned().collect();
    let now = shared.clock.now();
    let attached = shared.sandbox.borrow_mut().attach_http(now, kind, &params);
    let session = match attached {
        Ok(session) => session,
        Err(error) => {
            let mut answer = http::text(400, &error.to_string());
            let json = HeaderValue::from_static("application/json;charset=UTF-8");
            answer.headers_mut().insert(CONTENT_TYPE, json);
            return answer;
        }
    };
    let (sender, receiver) = mpsc::channel(1);
    let outlet: Rc<Outlet> = Rc::default();
    join(shared, &session, &outlet);
    tokio::task::spawn_local(pump(Rc::clone(shared), session, outlet, sender));
    let mut response = Response::new(Body::Stream(receiver));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Carries frames into a body until nobody reads it.
async fn pump<C: Clock>(
    shared: Rc<Shared<C>>,
    session: String,
    outlet: Rc<Outlet>,
    sender: mpsc::Sender<Bytes>,
) {
    let _open = shared.open();
    let mut ending = shared.ending.clone();
    loop {
        let waiting = tokio::select! {
            biased;
            _ = ending.wait_for(|it| *it) => break,
            () = sender.closed() => break,
            waiting = outlet.take() => match waiting {
                Ok(waiting) => waiting,
                Err(_) => break,
            },
        };
        let count = waiting.len();
        let mut chunk = BytesMut::new();
        for frame in waiting {
            chunk.extend_from_slice(frame.as_str().as_bytes());
        }
        let written = tokio::select! {
            biased;
            written = sender.send(chunk.freeze()) => written.is_ok(),
            _ = outlet.end_of_it() => false,
        };
        (0..count).for_each(|_| shared.frame_done(written));
        if !written {
            break;
        }
    }
    leave(&shared, &session, &outlet);
}
