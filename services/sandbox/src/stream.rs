//! WebSocket streams: the first message subscribes, frames follow.

use std::rc::Rc;
use std::time::Duration;

use domain::ports::Clock;
use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use sim::broker::StreamKind;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::http;
use crate::listener::Shared;

/// Frames that wait for a slow reader before it is ended.
const WAITING_MAX: usize = 4_096;
/// A subscription of a whole chain has some tens of kilobytes.
const MESSAGE_MAX: usize = 1 << 20;
/// How long a closing handshake may take.
const CLOSING: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers the upgrade and serves the stream beside it.
pub(crate) fn upgrade<C: Clock + 'static>(
    shared: &Rc<Shared<C>>,
    kind: StreamKind,
    mut request: hyper::Request<Incoming>,
) -> http::Answer {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).map(|it| derive_accept_key(it.as_bytes()))
    else {
        return http::text(400, "Invalid parameter, upgrade: this path is a WebSocket.");
    };
    let Ok(key) = HeaderValue::try_from(key) else {
        return http::text(400, "Invalid parameter, sec-websocket-key: is not valid.");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move {
        match upgraded.await {
            Ok(upgraded) => {
                let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX));
                let io = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                serve(shared, kind, socket).await;
            }
            Err(error) => tracing::debug!(%error, "a stream ended before it began"),
        }
    });
    let mut response = Response::new(http::whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    response
}

async fn serve<C: Clock>(shared: Rc<Shared<C>>, kind: StreamKind, mut socket: Socket) {
    let (sender, mut frames) = mpsc::channel(WAITING_MAX);
    // Kept until the first subscription, then owned by the table: the stream ends when the table drops it.
    let mut spare = Some(sender);
    let mut session: Option<String> = None;
    let mut ending = shared.ending.clone();
    loop {
        tokio::select! {
            biased;
            _ = ending.wait_for(|it| *it) => break,
            frame = frames.recv() => {
                let Some(text) = frame else {
                    // Replaced, too slow or shut down: whoever did that told the broker.
                    session = None;
                    break;
                };
                let written = socket.send(Message::text(text)).await.is_ok();
                shared.frame_done(written);
                if !written {
                    break;
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if !subscribe(&shared, kind, &text, &mut session, &mut spare, &mut socket).await {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
        }
    }
    if let Some(session) = session {
        shared.streams.borrow_mut().remove(&session);
        shared.sandbox.borrow_mut().detach(&session);
    }
    frames.close();
    while frames.try_recv().is_ok() {
        shared.frame_done(false);
    }
    if tokio::time::timeout(CLOSING, socket.close(None)).await.is_err() {
        tracing::debug!("a stream did not finish its closing handshake");
    }
}

/// Attaches the stream, or says why not. False ends it.
async fn subscribe<C: Clock>(
    shared: &Rc<Shared<C>>,
    kind: StreamKind,
    message: &str,
    session: &mut Option<String>,
    spare: &mut Option<mpsc::Sender<String>>,
    socket: &mut Socket,
) -> bool {
    let now = shared.clock.now();
    let attached = shared.sandbox.borrow_mut().attach(now, kind, message);
    match attached {
        Ok(id) => {
            if let Some(sender) = spare.take() {
                shared.streams.borrow_mut().insert(id.clone(), sender);
                *session = Some(id);
            }
            shared.drop_replaced();
            shared.flush_frames();
            true
        }
        Err(error) => {
            if socket.send(Message::text(error.to_string())).await.is_err() {
                tracing::debug!("a refused stream was gone already");
            }
            false
        }
    }
}
