//! The ingester as a program: events as time comes, commits, the sweep of the outbox, account streams, a clean end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::BehaviorVersion;
use broker::deployment::Ways;
use domain::account::Environment;
use domain::market::{MarketEvent, MarketSource, SourceError, SourceProfile};
use domain::ports::{Clock as _, Ledger as _, Queue};
use domain::time::UtcNanos;
use engine::profile::Profile;
use ingester::{Ingester, Replay};
use lambda_kit::aws::variable;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use lambda_kit::queue::SqsSender;
use lambda_kit::relay::{DELAY_MAX, relay};
use lambda_kit::secrets::AwsSecrets;
use store::{Limits, Store};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::account_streams::{AccountStreams, tls};
use crate::backoff::Backoff;
use crate::settings::Settings;
use crate::stop::Stop;

/// One for the market, one for the sweep, two for what account streams tell.
const CONNECTIONS: usize = 4;
/// Events taken before others get their turn.
const BURST: usize = 2_000;
/// The longest nap: whatever was missed is seen then.
const NAP: Duration = Duration::from_secs(1);
/// How often the outbox is swept.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the health line is written.
const HEALTH: Duration = Duration::from_secs(60);
/// The wait after a ledger that did not answer: the first and the longest.
const LEDGER_WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// How long the last commit may take: well within the time the platform leaves us after SIGTERM.
const GRACE: Duration = Duration::from_secs(15);

/// Runs until asked to stop.
pub(crate) async fn run(env: &Env) -> anyhow::Result<()> {
    let settings = Settings::of(env)?;
    let mut stop = Stop::listen(settings.lifeline).context("cannot listen for signals")?;
    let source = settings.source.open()?;
    let profile = source.profile().clone();
    let ledger = Store::lazy(&settings.database_url, CONNECTIONS, Limits::default())?;
    let ways = Ways::open(&settings.switches, settings.broker_base.as_deref())?;
    // Credentials come from variables on a laptop and from the task's role in the cloud: the SDK knows both.
    let aws = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let urls = Queue::ALL.into_iter().filter_map(|it| env.get(variable(it)).map(|url| (it, url.to_owned())));
    let sender = SqsSender::new(aws_sdk_sqs::Client::new(&aws), urls.collect());
    let environments = vec![Environment::Sandbox, Environment::Live];
    let secrets = AwsSecrets::new(aws_sdk_secretsmanager::Client::new(&aws), environments);
    let brokers = Rc::new(ways.connector(secrets, settings.clock));

    let written = Rc::new(Notify::new());
    let sweep = tokio::task::spawn_local(sweep(ledger.clone(), sender, settings.clock, Rc::clone(&written)));
    let streams = AccountStreams {
        ledger: ledger.clone(),
        brokers,
        clock: settings.clock,
        tls: Arc::new(tls()?),
        written: Rc::clone(&written),
    };
    let streams = tokio::task::spawn_local(streams.follow_all());

    let ran = match restore(&ledger, &profile, &settings.profile, settings.quotes, &mut stop).await? {
        Some(ingester) => {
            tracing::info!(source = profile.name, session = %profile.session.date, events = ingester.events(), "ready");
            let feed = Feed { source, peeked: None, over: false };
            let backoff = Backoff::new(LEDGER_WAIT.0, LEDGER_WAIT.1);
            Service { ingester, feed, ledger, clock: settings.clock, written, backoff }.run(&mut stop).await
        }
        None => Ok(()),
    };
    streams.abort();
    sweep.abort();
    ran
}

/// The ingester as its checkpoint left it, as soon as the ledger answers; `None` when it was asked to stop before.
async fn restore(
    ledger: &Store,
    profile: &SourceProfile,
    thresholds: &Profile,
    quotes: bool,
    stop: &mut Stop,
) -> anyhow::Result<Option<Ingester>> {
    let mut backoff = Backoff::new(LEDGER_WAIT.0, LEDGER_WAIT.1);
    loop {
        match ledger.checkpoint(profile.session.date).await {
            Ok(None) => return Ok(Some(Ingester::new(profile, thresholds, quotes))),
            Ok(Some(bytes)) => {
                // Generated and recorded sessions begin with their first event again.
                let replay = Replay::FromStart;
                return Ok(Some(Ingester::restore(&bytes, profile, thresholds, quotes, replay)?));
            }
            Err(error) => {
                let wait = backoff.failed();
                tracing::warn!(?wait, "no checkpoint yet: {error}");
                tokio::select! { () = stop.asked() => return Ok(None), () = tokio::time::sleep(wait) => {} }
            }
        }
    }
}

/// The market with its next event in hand.
struct Feed {
    source: Box<dyn MarketSource>,
    peeked: Option<MarketEvent>,
    over: bool,
}

impl Feed {
    fn next_at(&mut self) -> Result<Option<UtcNanos>, SourceError> {
        if self.peeked.is_none() && !self.over {
            self.peeked = self.source.next_event()?;
            self.over = self.peeked.is_none();
        }
        Ok(self.peeked.map(|it| it.ts()))
    }
}

struct Service {
    ingester: Ingester,
    feed: Feed,
    ledger: Store,
    clock: SystemClock,
    /// Told after each commit: the outbox may hold something new.
    written: Rc<Notify>,
    backoff: Backoff,
}

impl Service {
    async fn run(mut self, stop: &mut Stop) -> anyhow::Result<()> {
        let mut health = Instant::now();
        loop {
            let more = self.take_due()?;
            if self.ingester.wants_commit() && self.backoff.left().is_zero() {
                self.commit().await;
            }
            if health.elapsed() >= HEALTH {
                health = Instant::now();
                self.tell_health();
            }
            let nap = if more { Duration::ZERO } else { self.nap()? };
            tokio::select! {
                biased;
                () = stop.asked() => break,
                () = tokio::time::sleep(nap) => {}
            }
        }
        self.tell_health();
        let kept = tokio::time::timeout(GRACE, self.ingester.put_down(&self.ledger)).await;
        kept.context("the ledger did not answer in time; the next start goes on from the last checkpoint")?
            .context("the last commit; the next start goes on from the last checkpoint")?;
        tracing::info!(events = self.ingester.events(), "stopped; a later start goes on from here");
        Ok(())
    }

    /// Takes what market time has reached; true when more is due already. Stops early at a step of a setup: it is to be
    /// written before anything else.
    fn take_due(&mut self) -> Result<bool, SourceError> {
        let was_over = self.feed.over;
        for _ in 0..BURST {
            let now = self.clock.now();
            let event_at = self.feed.next_at()?.filter(|it| *it <= now);
            let due = self.ingester.next_due().filter(|it| *it <= now);
            match (event_at, due) {
                (Some(at), Some(due)) if due < at => self.ingester.on_time(due),
                (Some(_), _) => {
                    if let Some(event) = self.feed.peeked.take() {
                        self.ingester.on_received(&event, now);
                    }
                }
                (None, Some(due)) => self.ingester.on_time(due),
                (None, None) => {
                    if self.feed.over && !was_over {
                        self.ingester.finish();
                        tracing::info!(events = self.ingester.events(), "the session's last event is taken");
                    }
                    return Ok(false);
                }
            }
            if self.ingester.emissions().next().is_some() && self.backoff.left().is_zero() {
                break;
            }
        }
        Ok(true)
    }

    /// Writes what is to be written. What a ledger that does not answer leaves stays in hand: as much as the market brings
    /// in that time, while it goes on being read.
    async fn commit(&mut self) {
        match self.ingester.commit(&self.ledger).await {
            Ok(()) => {
                self.backoff.worked();
                self.written.notify_one();
            }
            Err(error) => {
                let wait = self.backoff.failed();
                let (steps, bars) =
                    (self.ingester.emissions().count(), self.ingester.bars().map(|it| it.1.len()));
                tracing::warn!(?wait, steps, bars = bars.sum::<usize>(), "not committed: {error}");
            }
        }
    }

    /// Until something is due.
    fn nap(&mut self) -> Result<Duration, SourceError> {
        let now = self.clock.now();
        let due = [self.feed.next_at()?, self.ingester.next_due()].into_iter().flatten().min();
        let market = due.map_or(NAP, |it| it.since(now)).min(NAP);
        let retry = if self.ingester.wants_commit() { self.backoff.left() } else { NAP };
        Ok(market.min(retry))
    }

    fn tell_health(&self) {
        let it = self.ingester.metrics();
        tracing::info!(
            lag_p50_ms = it.lag.quantile_ms(0.5),
            lag_p99_ms = it.lag.quantile_ms(0.99),
            ticks = it.ticks,
            gaps = it.tape.gaps,
            dropped = it.tape.dropped.total(),
            bars = it.bars_out,
            steps = it.transitions_out,
            refused = it.transitions_refused,
            unwritten_steps = self.ingester.emissions().count(),
            "health"
        );
    }
}

/// Hands outbox rows to their queues: after each commit, and each second for what others left.
async fn sweep(ledger: Store, sender: SqsSender, clock: SystemClock, written: Rc<Notify>) {
    let mut backoff = Backoff::new(LEDGER_WAIT.0, LEDGER_WAIT.1);
    loop {
        match relay(&ledger, &sender, clock.now(), DELAY_MAX).await {
            Ok(0) => {
                backoff.worked();
                tokio::select! { () = written.notified() => {}, () = tokio::time::sleep(SWEEP) => {} }
            }
            // There may be more than one go takes.
            Ok(_) => backoff.worked(),
            Err(error) => {
                let wait = backoff.failed();
                tracing::warn!(?wait, "the outbox is not swept: {error}");
                tokio::time::sleep(wait).await;
            }
        }
    }
}
