//! The sandbox of a run: fed with the market, listening on a port, its account streams connected.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use broker::StreamSession;
use broker::connector::Connector;
use broker::https::Https;
use domain::account::AccountRef;
use domain::market::MarketEvent;
use domain::ports::Brokers;
use domain::time::UtcNanos;
use futures_util::{SinkExt as _, StreamExt as _};
use lambda_kit::secrets::AwsSecrets;
use sandbox::Listener;
use sim::broker::Sandbox;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message as Ws;
use world::parts::{AccountFrame, Venue};

use crate::clock::MarketClock;
use sandbox::journal::Files;

/// How long frames on their way are waited for on the wall before their stream counts as broken: the poll finds what they
/// would have told.
const FRAME_WAIT: Duration = Duration::from_secs(5);

/// Frames that arrived, and how many.
#[derive(Debug, Default)]
struct Inbox {
    frames: RefCell<VecDeque<AccountFrame>>,
    received: Cell<u64>,
    arrived: Notify,
}

/// The broker in a run.
pub(crate) struct LocalVenue {
    sandbox: Rc<RefCell<Sandbox>>,
    listener: Listener<MarketClock>,
    inbox: Rc<Inbox>,
    /// Events up to here are in its book already.
    fed_until: UtcNanos,
}

impl LocalVenue {
    /// Listens for `sandbox` and journals its changes to `files`.
    pub(crate) async fn listen(
        sandbox: Sandbox,
        address: SocketAddr,
        clock: MarketClock,
        files: Files,
        fed_until: UtcNanos,
    ) -> anyhow::Result<Self> {
        let sandbox = Rc::new(RefCell::new(sandbox));
        let journal = Box::new(move |it: &mut Sandbox| files.write(it));
        let listener = Listener::bind(address, Rc::clone(&sandbox), clock, Some(journal)).await?;
        Ok(Self { sandbox, listener, inbox: Rc::default(), fed_until })
    }

    /// Its address, as a broker's base.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    pub(crate) fn sandbox(&self) -> &Rc<RefCell<Sandbox>> {
        &self.sandbox
    }

    /// Connects an account's stream as the ingester does: a session by the API, then the WebSocket it names.
    pub(crate) async fn connect(
        &self,
        account: AccountRef,
        brokers: &Connector<AwsSecrets, Https, MarketClock>,
    ) -> anyhow::Result<()> {
        let broker = brokers.account(&account).await?;
        let before = self.listener.streams();
        let StreamSession { url, session_id } = broker.stream_session().await?;
        let (mut socket, _) = tokio_tungstenite::connect_async(&url)
            .await
            .with_context(|| format!("cannot connect to {url}"))?;
        let hello =
            format!("{{\"events\":[\"order\"],\"sessionid\":\"{session_id}\",\"excludeAccounts\":[]}}");
        socket.send(Ws::text(hello)).await?;
        let attached = async {
            while self.listener.streams() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(FRAME_WAIT, attached).await.context("the account stream did not open")?;
        let inbox = Rc::clone(&self.inbox);
        tokio::task::spawn_local(async move {
            while let Some(Ok(frame)) = socket.next().await {
                if let Ws::Text(text) = frame {
                    inbox.frames.borrow_mut().push_back(AccountFrame { account, text: text.to_string() });
                    inbox.received.set(inbox.received.get().saturating_add(1));
                    inbox.arrived.notify_waiters();
                }
            }
        });
        Ok(())
    }

    /// Waits until every frame that left has arrived.
    async fn all_arrived(&self) {
        let quiet = async {
            loop {
                let arrived = self.inbox.arrived.notified();
                let activity = self.listener.activity();
                if self.listener.in_flight() == 0 && self.inbox.received.get() >= self.listener.frames_sent()
                {
                    break;
                }
                tokio::select! { () = arrived => {}, () = activity => {} }
            }
        };
        if tokio::time::timeout(FRAME_WAIT, quiet).await.is_err() {
            tracing::warn!("an account stream broke; its orders are found by polling");
            self.inbox.received.set(self.listener.frames_sent());
        }
    }

    pub(crate) async fn stop(self) {
        self.listener.shutdown().await;
    }
}

impl Venue for LocalVenue {
    fn on_market(&self, event: &MarketEvent) {
        if event.ts() > self.fed_until {
            self.sandbox.borrow_mut().on_market(event);
        }
    }

    fn next_due(&self) -> Option<UtcNanos> {
        self.sandbox.borrow().next_due()
    }

    fn advance(&self, now: UtcNanos) {
        self.sandbox.borrow_mut().advance(now);
    }

    async fn frames(&self) -> Vec<AccountFrame> {
        if let Err(error) = self.listener.flush_frames() {
            tracing::error!("{error:#}");
        }
        self.all_arrived().await;
        let mut frames: Vec<AccountFrame> = self.inbox.frames.borrow_mut().drain(..).collect();
        // Streams are sockets of their own: which is read first is not the market's doing.
        frames.sort_by_key(|it| it.account);
        frames
    }
}
