//! How many intents a second go through gate, commit and POST, with PostgreSQL writing each commit to the disk.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::connector::Connector;
use broker::https::{Https, Patience};
use broker::transport::{Reply, Request, Transport, TransportError};
use domain::account::AccountRef;
use domain::ids::{IntentId, SetupId};
use domain::ports::{Brokers as _, Message};
use futures_util::future::try_join_all;
use futures_util::stream::{self, TryStreamExt as _};
use orders::Orders;
use serde::Serialize;
use tokio::sync::{Barrier, Mutex, mpsc};
use tokio::time::Instant;
use world::simulated::{Member, switches};

use super::percentile_ms;
use super::stage::{Stage, Template, members};
use super::{entries, stage};

/// Intents worked before the measure begins.
const WARM_UP: usize = 50;
/// Intents written at once: who decides them shares nothing with who works them.
const RECORDERS: usize = 4;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Intents a second.
    pub rate: u32,
    /// For how long.
    pub seconds: u32,
    /// Workers of `orders`.
    pub workers: u32,
}

/// What was found. Times are from the commit of the intent to the commit of the broker's answer, less the time that the
/// broker took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Intents a second that came.
    pub rate: u32,
    /// Intents that became orders.
    pub intents: usize,
    /// Intents a second that became orders.
    pub per_second: f64,
    /// Half took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 99 in a hundred took at most this long.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// What the broker took for half of them, not in the figures above.
    pub broker_p50_ms: f64,
}

/// A way to the broker that adds up how long its requests take.
#[derive(Debug, Clone)]
struct Timed {
    inner: Https,
    spent: Rc<Cell<Duration>>,
}

impl Transport for Timed {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        let begun = Instant::now();
        let reply = self.inner.send(request).await;
        self.spent.set(self.spent.get().saturating_add(begun.elapsed()));
        reply
    }
}

/// An intent that waits for a worker.
struct Due {
    account: AccountRef,
    intent: IntentId,
    committed: Instant,
}

/// Measures. Must run inside a `LocalSet`.
///
/// # Errors
/// A part that does not start; intents that did not become orders, with their reasons.
pub async fn measure(ask: Ask) -> anyhow::Result<Found> {
    let wanted = usize::try_from(ask.rate.saturating_mul(ask.seconds)).unwrap_or(usize::MAX);
    if wanted == 0 || ask.workers == 0 {
        bail!("nothing to measure: give a rate, seconds and workers of at least 1");
    }
    // The first is the one that is decided for.
    let members = members(wanted.saturating_add(WARM_UP).saturating_add(1));
    let template = Template::find().await?;
    let stage = Stage::start(&members, &template, true).await?;
    let measured = run(ask, &members, &template, &stage).await;
    stage.stop().await?;
    measured
}

async fn run(ask: Ask, members: &[Member], template: &Template, stage: &Stage) -> anyhow::Result<Found> {
    let (first, rest) = members.split_first().context("no member")?;
    stage.enrol(first).await?;
    let opening = entries::decided(stage, template, first).await?;
    for member in rest {
        stage.enrol(member).await?;
    }
    let took: RefCell<Vec<(Duration, Duration)>> = RefCell::default();
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Mutex::new(receiver);
    let ready = Barrier::new(usize::try_from(ask.workers)?.saturating_add(1));
    let workers = (0..ask.workers).map(|n| work(stage, rest, n, &ready, &receiver, &took));
    let arrive = async {
        ready.wait().await;
        let period = Duration::from_secs(1).checked_div(ask.rate).context("a rate of at least 1")?;
        let mut ticks = tokio::time::interval(period);
        let mut begun = Instant::now();
        for (second, batch) in rest.chunks(usize::try_from(ask.rate).unwrap_or(1)).enumerate() {
            let setup = SetupId::of(&[b"bench", &second.to_le_bytes()]);
            stage.tell_before(template, setup).await?;
            let trigger = stage.trigger(template, setup).await?;
            if second == 0 {
                begun = Instant::now();
                ticks.reset();
            }
            let due = stream::unfold((&mut ticks, batch.iter()), |(ticks, mut left)| async {
                let member = left.next()?;
                ticks.tick().await;
                Some((anyhow::Ok(member), (ticks, left)))
            });
            due.try_for_each_concurrent(RECORDERS, async |member| {
                let intent = entries::record(stage, &opening, member, &trigger).await?;
                let due = Due { account: member.account, intent, committed: Instant::now() };
                sender.send(due).ok();
                Ok(())
            })
            .await?;
        }
        drop(sender);
        anyhow::Ok(begun)
    };
    let (begun, _) = tokio::try_join!(arrive, try_join_all(workers))?;
    let lasted = begun.elapsed();
    found(ask, stage, rest, took.into_inner(), lasted).await
}

/// One worker: takes what is due and makes its first step, as `orders` does.
async fn work(
    stage: &Stage,
    members: &[Member],
    n: u32,
    ready: &Barrier,
    due: &Mutex<mpsc::UnboundedReceiver<Due>>,
    took: &RefCell<Vec<(Duration, Duration)>>,
) -> anyhow::Result<()> {
    let spent = Rc::new(Cell::new(Duration::ZERO));
    let transport =
        Timed { inner: Https::new(&stage.broker(), Patience::default())?, spent: Rc::clone(&spent) };
    let brokers = Connector::new(stage.secrets.clone(), stage.clock.clone(), transport, None);
    for member in members {
        // A function that runs has the credentials of whom it works for.
        brokers.account(&member.account).await?;
    }
    ready.wait().await;
    let holder = format!("worker-{n}");
    let function = Orders {
        ledger: &stage.ledger,
        brokers: &brokers,
        clock: &stage.clock,
        notes: &stage.notes,
        switches: switches(),
        holder: &holder,
    };
    loop {
        let Some(Due { account, intent, committed }) = due.lock().await.recv().await else { return Ok(()) };
        spent.set(Duration::ZERO);
        function.handle(&Message::Step { account, intent, version: stage::FIRST_VERSION, tries: 0 }).await?;
        let broker = spent.get();
        took.borrow_mut().push((committed.elapsed().saturating_sub(broker), broker));
    }
}

async fn found(
    ask: Ask,
    stage: &Stage,
    members: &[Member],
    took: Vec<(Duration, Duration)>,
    lasted: Duration,
) -> anyhow::Result<Found> {
    let orders = stage.take_orders();
    if orders < members.len() {
        bail!("{orders} of {} intents became orders: {}", members.len(), stage.why_not(members).await?);
    }
    let all = took.len();
    let (mut ours, mut brokers): (Vec<_>, Vec<_>) = took.into_iter().skip(WARM_UP).unzip();
    ours.sort_unstable();
    brokers.sort_unstable();
    Ok(Found {
        rate: ask.rate,
        intents: ours.len(),
        per_second: all as f64 / lasted.as_secs_f64(),
        p50_ms: percentile_ms(&ours, 50),
        p99_ms: percentile_ms(&ours, 99),
        max_ms: percentile_ms(&ours, 100),
        broker_p50_ms: percentile_ms(&brokers, 50),
    })
}
