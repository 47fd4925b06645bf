//! The WebSocket that follows a [`StreamPlan`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::{Ended, Gap, Next, StreamPlan, Subscription};
use crate::rows::StreamSession;

/// The largest frame read: market frames hold a few dozen quotes.
const FRAME_MAX: usize = 1024 * 1024;

/// What a frame was worth, as its reader says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// It held an event or a heartbeat.
    pub good: bool,
    /// The broker's word for why it ends the stream.
    pub error: Option<String>,
}

/// Whoever follows a stream: where sessions come from and where frames go.
#[allow(async_fn_in_trait, reason = "each is driven by one task")]
pub trait Follower {
    /// Asks the broker for a session.
    async fn open(&self) -> Result<StreamSession, String>;

    /// Reads what was missed while nobody was connected.
    async fn on_gap(&self, gap: Gap) -> Result<(), String>;

    /// Takes a frame.
    async fn on_text(&self, text: &str) -> Result<Heard, String>;

    /// Is told why a connection ended and how long the next one waits.
    fn on_end(&self, why: &Ended, wait: Duration);

    /// Waits until something else is to be listened to. Without a word, never.
    async fn changed(&self) -> Subscription {
        std::future::pending().await
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Follows a stream for ever. Frames are taken one after the other, in order. It ends when its future is dropped.
pub async fn follow(mut plan: StreamPlan, follower: &impl Follower, tls: Arc<ClientConfig>) {
    let began = Instant::now();
    let mut socket: Option<Socket> = None;
    loop {
        let now = began.elapsed();
        let ended = match plan.next(now) {
            Next::Wait(until) => {
                tokio::time::sleep_until(began + until).await;
                None
            }
            Next::OpenSession => {
                let opened = follower.open().await;
                plan.opened(began.elapsed(), opened)
            }
            Next::Connect(url, until) => match connect(&url, began + until, &tls).await {
                Ok(open) => {
                    socket = Some(open);
                    plan.connected(began.elapsed());
                    None
                }
                Err(why) => Some(plan.ended(began.elapsed(), Ended::Connect(why))),
            },
            Next::Send(text) => match send(&mut socket, text).await {
                Ok(()) => {
                    plan.sent(began.elapsed());
                    None
                }
                Err(why) => Some(plan.ended(began.elapsed(), Ended::Broke(why))),
            },
            Next::Tell(gap) => match follower.on_gap(gap).await {
                Ok(()) => {
                    plan.told(began.elapsed());
                    None
                }
                Err(why) => Some(plan.ended(began.elapsed(), Ended::Unread(why))),
            },
            Next::Listen(until) => {
                let came = tokio::select! {
                    came = listen(&mut socket, began + until) => came,
                    subscription = follower.changed() => {
                        plan.subscribe(subscription);
                        continue;
                    }
                };
                take(&mut plan, follower, came, began).await
            }
        };
        if let Some(why) = ended {
            socket = None;
            let wait = match plan.next(began.elapsed()) {
                Next::Wait(until) => until.saturating_sub(began.elapsed()),
                Next::OpenSession | Next::Connect(..) | Next::Send(_) | Next::Tell(_) | Next::Listen(_) => {
                    Duration::ZERO
                }
            };
            follower.on_end(&why, wait);
        }
    }
}

/// What listening brought.
enum Came {
    Text(String),
    /// A sign of life without content.
    Sign,
    Nothing,
    Closed,
    Broke(String),
}

async fn take(plan: &mut StreamPlan, follower: &impl Follower, came: Came, began: Instant) -> Option<Ended> {
    match came {
        Came::Text(text) => match follower.on_text(&text).await {
            Ok(heard) => plan.heard(began.elapsed(), heard.good, heard.error.as_deref()),
            Err(why) => Some(plan.ended(began.elapsed(), Ended::Unread(why))),
        },
        Came::Sign => plan.heard(began.elapsed(), false, None),
        Came::Nothing => plan.on_time(began.elapsed()),
        Came::Closed => Some(plan.ended(began.elapsed(), Ended::Closed)),
        Came::Broke(why) => Some(plan.ended(began.elapsed(), Ended::Broke(why))),
    }
}

async fn connect(url: &str, until: Instant, tls: &Arc<ClientConfig>) -> Result<Socket, String> {
    let config = WebSocketConfig::default().max_message_size(Some(FRAME_MAX)).max_frame_size(Some(FRAME_MAX));
    let connector = Some(Connector::Rustls(Arc::clone(tls)));
    let connecting = connect_async_tls_with_config(url, Some(config), true, connector);
    match timeout_at(until, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("not in time".to_owned()),
    }
}

async fn send(socket: &mut Option<Socket>, text: String) -> Result<(), String> {
    match socket {
        Some(socket) => socket.send(Message::text(text)).await.map_err(|it| it.to_string()),
        None => Err("no connection".to_owned()),
    }
}

async fn listen(socket: &mut Option<Socket>, until: Instant) -> Came {
    let Some(socket) = socket else { return Came::Closed };
    match timeout_at(until, socket.next()).await {
        Err(_) => Came::Nothing,
        Ok(Some(Ok(Message::Text(text)))) => Came::Text(text.as_str().to_owned()),
        Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_)))) => {
            Came::Sign
        }
        Ok(Some(Ok(Message::Close(_))) | None) => Came::Closed,
        Ok(Some(Err(error))) => Came::Broke(error.to_string()),
    }
}

/// TLS that trusts the web's roots.
///
/// # Errors
/// [`rustls::Error`] where the provider lacks a protocol version.
pub fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests;
