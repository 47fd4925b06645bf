//! What moves once broker and functions are up: mappings, the API's port, and one session after the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use domain::market::{MarketSource as _, SourceProfile};
use domain::ports::Clock as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lambda_kit::clock::SystemClock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use world::day::DAY_ENDS_AFTER;
use world::schedule::{self, Scheduled};
use world::simulated::switches;

use super::books::Books;
use super::front::InProcesses;
use super::mapping::Mapping;
use super::programs::Kept;
use super::{Functions, ProcessesAsk, Site, ingester, sandbox};
use crate::aws::AwsLocal;
use crate::run::http::{self, Front};
use crate::run::place::Place;
use crate::run::stage::BEFORE_OPEN;
use crate::run::turn::{Seen, Turn, Watched};
use crate::runtime_api::Function;

/// How long a scheduled function may take: the longest in `infra/template.yaml`.
const SCHEDULED_TIMEOUT: Duration = Duration::from_secs(60);
/// Events shown before others get their turn.
const BURST: u32 = 2_000;

/// A run with broker and functions up.
pub(super) struct Work<'a> {
    pub(super) ask: &'a ProcessesAsk,
    pub(super) place: &'a Place,
    pub(super) aws: &'a AwsLocal,
    pub(super) site: &'a Site,
    pub(super) books: Books,
    /// What the market shows, for the status page.
    pub(super) seen: Rc<RefCell<Seen>>,
}

impl Work<'_> {
    /// Serves the API and goes through sessions until `ended` or until a program falls; then ends all but the broker.
    pub(super) async fn until(
        &self,
        ended: impl Future<Output = ()>,
        turn: Turn,
        functions: Functions,
        broker: &mut Kept,
        listener: TcpListener,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let (stop, stopping) = watch::channel(false);
        let mut mappings = JoinSet::new();
        for (queue, function) in &functions.mapped {
            let Some(pair) = self.site.queues.get(queue) else { continue };
            let (client, url, function) = (self.aws.sqs(), pair.url.clone(), Rc::clone(function));
            let mapping = Mapping { client, queue: *queue, url, function };
            mappings.spawn_local(mapping.run(stopping.clone()));
        }
        let mut feeding = None;
        let ran = self.serve(ended, turn, &functions, broker, &mut feeding, listener, out).await;
        if let Some(mut ingester) = feeding {
            ingester.stop().await;
        }
        stop.send_replace(true);
        while mappings.join_next().await.is_some() {}
        functions.stop().await;
        ran
    }

    #[expect(clippy::too_many_arguments, reason = "what was brought up, and where it is told")]
    async fn serve(
        &self,
        ended: impl Future<Output = ()>,
        turn: Turn,
        functions: &Functions,
        broker: &mut Kept,
        feeding: &mut Option<Kept>,
        listener: TcpListener,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let profile = RefCell::new(turn.open(&self.seen)?.profile().clone());
        let (seen, books, clock) = (&*self.seen, &self.books, self.site.clock);
        let named = functions.named.clone();
        let front =
            Front { functions: InProcesses { functions: named, books, seen, profile: &profile, clock } };
        http::say_where(&listener, out)?;
        tokio::select! {
            ran = self.sessions(turn, &profile, &functions.named, broker, feeding) => ran,
            never = front.serve(listener) => match never {},
            () = ended => Ok(()),
        }
    }

    /// One session after the other; ends only with an error.
    async fn sessions(
        &self,
        mut turn: Turn,
        shown: &RefCell<SourceProfile>,
        functions: &BTreeMap<&'static str, Rc<Function>>,
        broker: &mut Kept,
        feeding: &mut Option<Kept>,
    ) -> anyhow::Result<()> {
        let clock = self.site.clock;
        let mut listed = turn.date;
        loop {
            turn.note(self.place)?;
            let source = turn.open(&self.seen)?;
            let profile = source.profile().clone();
            shown.replace(profile.clone());
            let session = profile.session;
            eprintln!("session {}, {}", session.date, profile.name);
            let begins = session.open.minus(BEFORE_OPEN);
            tokio::select! {
                () = tokio::time::sleep(begins.since(clock.now())) => {}
                why = broker.fallen() => return Err(why),
            }
            if listed != turn.date {
                let address = broker.address().to_owned();
                broker.stop().await;
                *broker = Kept::start(sandbox(self.ask, self.site, &turn, Some(&address))).await?;
                listed = turn.date;
            }
            let ends = session.close.plus(DAY_ENDS_AFTER);
            if clock.now() < ends {
                let ingester = feeding.insert(Kept::start(ingester(self.ask, self.site, &turn)).await?);
                let day = async {
                    schedules(&profile, self.site, functions, &self.books).await;
                    tokio::time::sleep(ends.since(clock.now())).await;
                };
                tokio::select! {
                    () = day => {}
                    why = watch_market(source, clock) => return Err(why),
                    why = broker.fallen() => return Err(why),
                    why = ingester.fallen() => return Err(why),
                }
            }
            if let Some(mut ingester) = feeding.take() {
                ingester.stop().await;
            }
            turn = turn.next()?;
        }
    }
}

/// Plays the session for whoever looks at it, as time comes; ends only with an error.
async fn watch_market(mut source: Watched, clock: SystemClock) -> anyhow::Error {
    let mut behind: u32 = 0;
    loop {
        let event = match source.next_event() {
            Ok(Some(event)) => event,
            // The last was shown.
            Ok(None) => return std::future::pending().await,
            Err(error) => return error.into(),
        };
        let wait = event.ts().since(clock.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            continue;
        }
        behind = behind.wrapping_add(1);
        if behind.is_multiple_of(BURST) {
            tokio::task::yield_now().await;
        }
    }
}

/// Fires what is scheduled for the session after `start` as its time comes; at once where that passed while the functions
/// came up. Ends with the last answer.
async fn schedules(
    profile: &SourceProfile,
    site: &Site,
    functions: &BTreeMap<&'static str, Rc<Function>>,
    books: &Books,
) {
    let mut fired = FuturesUnordered::new();
    for (at, what) in schedule::of(&profile.session, &switches()) {
        if at <= site.start {
            continue;
        }
        let mut due = std::pin::pin!(tokio::time::sleep(at.since(site.clock.now())));
        loop {
            tokio::select! { () = due.as_mut() => break, Some(()) = fired.next() => {} }
        }
        let Some(function) = functions.get(what.function()) else { continue };
        let close = match what {
            Scheduled::Reconcile if at > profile.session.close => books.last_index(profile).await,
            Scheduled::Reconcile
            | Scheduled::PortfolioSync
            | Scheduled::Flatten
            | Scheduled::FlatWatch
            | Scheduled::Report => None,
        };
        let event = match close {
            Some(close) => serde_json::json!({ "officialClose": close.to_string() }),
            None => serde_json::json!({}),
        };
        fired.push(async move {
            let payload = Bytes::from(event.to_string());
            if let Err(error) = function.invoke(payload, SCHEDULED_TIMEOUT).await {
                tracing::error!(function = function.name(), "{} failed at {at}: {error}", function.name());
            }
        });
    }
    while fired.next().await.is_some() {}
}
