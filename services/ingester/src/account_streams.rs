//! Account event streams of every active account: a session by the API, the WebSocket it names, frames into the ledger.
//!
//! A stream only wakes the poller, and what happened while none was connected is not told again. So after each connect
//! every order of an open intent is asked for.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::StreamSession;
use broker::connector::Connector;
use broker::transport::Transport;
use domain::account::AccountRef;
use domain::ports::{Brokers as _, Clock, Ledger, Secrets};
use futures_util::{SinkExt as _, StreamExt as _};
use ingester::account_stream::on_broker_frame;
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{Connector as Tls, connect_async_tls_with_config};

use crate::backoff::Backoff;

/// How often the list of active accounts is read.
const ROLL_CALL: Duration = Duration::from_secs(15);
/// A connection is up by then or not at all.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// Heartbeats come each minute: a stream silent for longer than two of them is dead.
const SILENCE_MAX: Duration = Duration::from_secs(150);
/// A stream that brought data and lived this long is stable: the next failure starts the waits anew.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// The wait before a new connection: the first and the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Opens sessions of account streams.
pub(crate) trait Sessions {
    /// A session of an account's stream.
    async fn open(&self, account: &AccountRef) -> anyhow::Result<StreamSession>;
}

impl<S: Secrets, T: Transport + Clone, C: Clock + Clone> Sessions for Connector<S, T, C> {
    async fn open(&self, account: &AccountRef) -> anyhow::Result<StreamSession> {
        Ok(self.account(account).await?.stream_session().await?)
    }
}

/// TLS that trusts the web's roots.
pub(crate) fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What following streams takes.
#[derive(Debug)]
pub(crate) struct AccountStreams<L, B, C> {
    /// Where frames go.
    pub(crate) ledger: L,
    /// Where sessions come from.
    pub(crate) brokers: Rc<B>,
    /// Market time.
    pub(crate) clock: C,
    /// For streams over TLS.
    pub(crate) tls: Arc<ClientConfig>,
    /// Told when something was written.
    pub(crate) written: Rc<Notify>,
}

/// A stream's task; it ends with its owner.
struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<L, B, C> AccountStreams<L, B, C>
where
    L: Ledger + 'static,
    B: Sessions + 'static,
    C: Clock + 'static,
{
    /// Follows every active account, as they come and go. Must run inside a `LocalSet`.
    pub(crate) async fn follow_all(self) {
        let this = Rc::new(self);
        let mut followed: BTreeMap<AccountRef, Following> = BTreeMap::new();
        loop {
            match this.ledger.active_accounts().await {
                Ok(active) => {
                    followed.retain(|it, _| active.contains(it));
                    for account in active {
                        let this = &this;
                        let start = || Following(tokio::task::spawn_local(Rc::clone(this).follow(account)));
                        followed.entry(account).or_insert_with(start);
                    }
                }
                // Those known are followed on.
                Err(error) => tracing::warn!("active accounts are not known: {error}"),
            }
            tokio::time::sleep(ROLL_CALL).await;
        }
    }

    /// Follows one account, connecting again whenever its stream ends.
    async fn follow(self: Rc<Self>, account: AccountRef) {
        let mut backoff = Backoff::new(WAIT.0, WAIT.1);
        loop {
            let mut heard: Option<Instant> = None;
            let ended = self.listen(&account, &mut heard).await;
            if heard.is_some_and(|since| since.elapsed() >= STABLE_AFTER) {
                backoff.worked();
            }
            let wait = backoff.failed();
            let why = ended.err().map_or_else(|| "the broker closed it".to_owned(), |it| format!("{it:#}"));
            tracing::warn!(account = %account.account, ?wait, "account stream ended: {why}");
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection, until it ends. `heard` is when its first good frame came.
    async fn listen(&self, account: &AccountRef, heard: &mut Option<Instant>) -> anyhow::Result<()> {
        let StreamSession { url, session_id } = self.brokers.open(account).await.context("no session")?;
        let connector = Some(Tls::Rustls(Arc::clone(&self.tls)));
        let connecting = connect_async_tls_with_config(&url, None, true, connector);
        let connected = tokio::time::timeout(CONNECTED_WITHIN, connecting).await;
        let (mut socket, _) = connected.context("no connection in time")?.context("no connection")?;
        let hello =
            serde_json::json!({ "events": ["order"], "sessionid": session_id, "excludeAccounts": [] });
        socket.send(Message::text(hello.to_string())).await.context("no subscription")?;
        self.ask_for_all(account).await?;
        tracing::info!(account = %account.account, "account stream connected");
        loop {
            let Ok(next) = tokio::time::timeout(SILENCE_MAX, socket.next()).await else {
                bail!("silent for {SILENCE_MAX:?}");
            };
            let text = match next {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {
                    continue;
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Err(error)) => return Err(error.into()),
            };
            let frame = on_broker_frame(&self.ledger, account, &text, self.clock.now()).await?;
            if !frame.orders.is_empty() {
                self.written.notify_one();
            }
            if frame.heartbeats > 0 || !frame.orders.is_empty() {
                heard.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Has every order of an open intent asked for: the broker does not repeat what it told while nobody listened.
    async fn ask_for_all(&self, account: &AccountRef) -> anyhow::Result<()> {
        let now = self.clock.now();
        for view in self.ledger.open_intents(account).await? {
            for order in view.attempts.iter().filter_map(|it| it.broker_order) {
                self.ledger.record_broker_event(account, order, now).await?;
            }
        }
        self.written.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::Environment;
    use domain::ids::{AccountId, BrokerOrderId, UserId};
    use domain::ports::{CredentialChange, Message as Outgoing};
    use domain::time::UtcNanos;
    use sim::ledger::MemLedger;
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    struct Always(UtcNanos);

    impl Clock for Always {
        fn now(&self) -> UtcNanos {
            self.0
        }
    }

    struct At(String);

    impl Sessions for At {
        async fn open(&self, _: &AccountRef) -> anyhow::Result<StreamSession> {
            Ok(StreamSession { url: self.0.clone(), session_id: "a-session".to_owned() })
        }
    }

    /// Breaks the first stream after its subscription and tells of an order on the second.
    async fn broker(listener: TcpListener) {
        for told in [None, Some("{\"event\":\"order\",\"id\":77,\"status\":\"filled\"}")] {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            let hello = socket.next().await.unwrap().unwrap();
            assert!(hello.to_text().unwrap().contains("\"sessionid\":\"a-session\""), "{hello}");
            let Some(text) = told else { continue };
            socket.send(Message::text(text)).await.unwrap();
            // Open until the other side goes.
            drop(socket.next().await);
        }
    }

    #[tokio::test]
    async fn a_broken_stream_is_connected_again_and_its_orders_are_asked_for() {
        let account = AccountRef {
            user: UserId(uuid(1)),
            account: AccountId(uuid(2)),
            environment: Environment::Sandbox,
        };
        let ledger = MemLedger::new();
        let stored = CredentialChange::Stored { secret: "s".to_owned(), last4: "0001".to_owned() };
        let now = UtcNanos::from_secs(1_795_187_000);
        ledger.change_credential(&account, &stored, now).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let streams = Rc::new(AccountStreams {
            ledger,
            brokers: Rc::new(At(url)),
            clock: Always(now),
            tls: Arc::new(tls().unwrap()),
            written: Rc::new(Notify::new()),
        });
        let told = async {
            loop {
                streams.written.notified().await;
                let rows = streams.ledger.due_outbox(now, 10).await.unwrap();
                if let Some(row) = rows.first() {
                    return row.message.clone();
                }
            }
        };
        let message = tokio::select! {
            message = tokio::time::timeout(Duration::from_secs(20), told) => message.expect("in time"),
            () = Rc::clone(&streams).follow(account) => unreachable!("it follows for ever"),
            () = async { broker(listener).await; std::future::pending().await } => unreachable!("it waits"),
        };
        assert_eq!(message, Outgoing::BrokerOrder { account, order: BrokerOrderId(77) });
    }

    fn uuid(n: u8) -> uuid::Uuid {
        uuid::Uuid::from_bytes([n; 16])
    }
}
