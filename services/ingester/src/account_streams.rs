//! Account event streams of every active account: a session by the API, the WebSocket it names, frames into the ledger.
//!
//! [`broker::stream`] decides about sessions, gaps and waits. Here is whose streams are followed, what is asked for after
//! a gap, and where frames go.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use broker::StreamSession;
use broker::connector::Connector;
use broker::stream::socket::{Follower, Heard, follow};
use broker::stream::{Ended, Gap, StreamLimits, StreamPlan, Subscription};
use broker::transport::Transport;
use domain::account::AccountRef;
use domain::ports::{Brokers as _, Clock, Ledger, LedgerError, Secrets};
use ingester::account_stream::on_broker_frame;
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) use broker::stream::socket::tls;

/// How often the list of active accounts is read.
const ROLL_CALL: Duration = Duration::from_secs(15);

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
        let plan = StreamPlan::new(Subscription::Orders, StreamLimits::default());
        follow(plan, &OneAccount { streams: &self, account }, Arc::clone(&self.tls)).await;
    }
}

/// One account's stream.
struct OneAccount<'a, L, B, C> {
    streams: &'a AccountStreams<L, B, C>,
    account: AccountRef,
}

impl<L: Ledger, B: Sessions, C: Clock> OneAccount<'_, L, B, C> {
    /// Has every order of an open intent asked for: the broker does not repeat what it told while nobody listened.
    async fn ask_for_all(&self) -> Result<(), LedgerError> {
        let now = self.streams.clock.now();
        for view in self.streams.ledger.open_intents(&self.account).await? {
            for order in view.attempts.iter().filter_map(|it| it.broker_order) {
                self.streams.ledger.record_broker_event(&self.account, order, now).await?;
            }
        }
        self.streams.written.notify_one();
        Ok(())
    }
}

impl<L: Ledger, B: Sessions, C: Clock> Follower for OneAccount<'_, L, B, C> {
    async fn open(&self) -> Result<StreamSession, String> {
        self.streams.brokers.open(&self.account).await.map_err(|it| format!("{it:#}"))
    }

    async fn on_gap(&self, gap: Gap) -> Result<(), String> {
        self.ask_for_all().await.map_err(|it| it.to_string())?;
        tracing::info!(account = %self.account.account, again = gap.since.is_some(), "account stream connected");
        Ok(())
    }

    async fn on_text(&self, text: &str) -> Result<Heard, String> {
        let AccountStreams { ledger, clock, written, .. } = self.streams;
        let frame =
            on_broker_frame(ledger, &self.account, text, clock.now()).await.map_err(|it| it.to_string())?;
        if !frame.orders.is_empty() {
            written.notify_one();
        }
        Ok(Heard { good: frame.is_good(), error: frame.error })
    }

    fn on_end(&self, why: &Ended, wait: Duration) {
        tracing::warn!(account = %self.account.account, ?wait, "account stream ended: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::Environment;
    use domain::ids::{AccountId, BrokerOrderId, UserId};
    use domain::ports::{CredentialChange, Message as Outgoing};
    use domain::time::UtcNanos;
    use futures_util::{SinkExt as _, StreamExt as _};
    use sim::ledger::MemLedger;
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;
    use tokio_tungstenite::tungstenite::Message;

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
