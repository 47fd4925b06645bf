//! How long a step of a setup takes to become an order on its way: from the transition's commit to the POST leaving, at
//! real speed, every part by its real protocol.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::https::Https;
use broker::transport::{Method, Reply, Request, Transport, TransportError};
use domain::ids::SetupId;
use domain::ports::{Clock as _, CredentialChange, Ledger as _, Queue};
use lambda_kit::wiring::relay_after;
use serde::Serialize;
use tokio::time::Instant;
use world::simulated::Member;

use super::percentile_ms;
use super::stage::{Stage, Template, members};
use crate::clock::MarketClock;

/// Orders that are sent before the measure begins: connections are opened and statements prepared by them.
const WARM_UP: usize = 10;
/// How long after the last transition a missing order is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Orders a second.
    pub rate: u32,
    /// For how long.
    pub seconds: u32,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Orders a second that were asked for.
    pub rate: u32,
    /// Orders that left.
    pub orders: usize,
    /// Half took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 99 in a hundred took at most this long.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// A way to the broker that notes when each account's first order leaves, and the first cancel of one.
#[derive(Debug, Clone)]
pub(super) struct Stamped {
    inner: Https,
    left: Rc<RefCell<BTreeMap<String, Instant>>>,
    canceled: Rc<RefCell<BTreeMap<String, Instant>>>,
}

impl Stamped {
    pub(super) fn new(inner: Https) -> Self {
        Self { inner, left: Rc::default(), canceled: Rc::default() }
    }

    pub(super) fn left(&self, member: &Member) -> Option<Instant> {
        self.left.borrow().get(member.number.as_str()).copied()
    }

    pub(super) fn canceled(&self, member: &Member) -> Option<Instant> {
        self.canceled.borrow().get(member.number.as_str()).copied()
    }
}

impl Transport for Stamped {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        if let (Method::Post, Some((number, None))) = (request.method, order_of(&request.path)) {
            self.left.borrow_mut().entry(number.to_owned()).or_insert_with(Instant::now);
        }
        if let (Method::Delete, Some((number, Some(_)))) = (request.method, order_of(&request.path)) {
            self.canceled.borrow_mut().entry(number.to_owned()).or_insert_with(Instant::now);
        }
        self.inner.send(request).await
    }
}

/// The account's number, and the order's where there is one, of `/v1/accounts/{number}/orders/{order}`.
fn order_of(path: &str) -> Option<(&str, Option<&str>)> {
    let (number, rest) = path.strip_prefix("/v1/accounts/")?.split_once('/')?;
    match rest.split_once('/') {
        None => (rest == "orders").then_some((number, None)),
        Some((what, order)) => (what == "orders").then_some((number, Some(order))),
    }
}

/// Measures. Must run inside a `LocalSet`.
///
/// # Errors
/// A part that does not start, a queue that does not answer, orders that never left.
pub async fn measure(ask: Ask) -> anyhow::Result<Latency> {
    let wanted = usize::try_from(ask.rate.saturating_mul(ask.seconds)).unwrap_or(usize::MAX);
    if wanted == 0 {
        bail!("nothing to measure: give a rate and seconds of at least 1");
    }
    let members = members(wanted.saturating_add(WARM_UP));
    let template = Template::find().await?;
    let stage = Stage::start(&members, &template, false).await?;
    let measured = tokio::select! {
        measured = run(ask, &members, &template, &stage) => measured,
        ended = workers(&stage) => ended.and_then(|()| bail!("a worker ended")),
    };
    stage.stop().await?;
    measured
}

/// The functions, each polling its queue as the platform's poller does.
async fn workers(stage: &Stage) -> anyhow::Result<()> {
    tokio::try_join!(
        stage.work(Queue::Transitions, "transitions"),
        stage.work(Queue::Entries, "orders-1"),
        stage.work(Queue::Entries, "orders-2"),
    )?;
    Ok(())
}

async fn run(ask: Ask, members: &[Member], template: &Template, stage: &Stage) -> anyhow::Result<Latency> {
    for (n, member) in members.iter().enumerate() {
        stage.prepare(member, template, setup_of(n)).await?;
    }
    let period = Duration::from_secs(1).checked_div(ask.rate).context("a rate of at least 1")?;
    let mut ticks = tokio::time::interval(period);
    let mut committed: Vec<Instant> = Vec::with_capacity(members.len());
    for (n, member) in members.iter().enumerate() {
        ticks.tick().await;
        committed.push(trigger(stage, template, n, member).await?);
    }
    let deadline = Instant::now().checked_add(PATIENCE).context("no such time")?;
    while members.iter().any(|it| stage.stamped.left(it).is_none()) && Instant::now() < deadline {
        ticks.tick().await;
    }
    let pairs = members.iter().zip(&committed).skip(WARM_UP);
    let took: Vec<Duration> =
        pairs.filter_map(|(it, at)| Some(stage.stamped.left(it)?.saturating_duration_since(*at))).collect();
    let missing = members.len().saturating_sub(WARM_UP).saturating_sub(took.len());
    if missing > 0 {
        bail!("{missing} of {} orders never left: {}", members.len(), stage.why_not(members).await?);
    }
    Ok(summary(ask.rate, took))
}

/// Switches one member on, the others being off, and commits the step that makes its order.
async fn trigger(stage: &Stage, template: &Template, n: usize, member: &Member) -> anyhow::Result<Instant> {
    let clock: &MarketClock = &stage.clock;
    stage.switch_on(member).await?;
    stage.trigger(template, setup_of(n)).await?;
    let committed = Instant::now();
    relay_after(&stage.ledger, &stage.sender, clock).await;
    let (stamped, ledger, account) = (stage.stamped.clone(), stage.ledger.clone(), member.account);
    let (member, clock) = (member.clone(), clock.clone());
    // Only one member follows a step: the others' turn comes with their own.
    tokio::task::spawn_local(async move {
        while stamped.left(&member).is_none() && committed.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if let Err(error) = ledger.change_credential(&account, &CredentialChange::Removed, clock.now()).await
        {
            tracing::warn!("{error}");
        }
    });
    Ok(committed)
}

fn setup_of(n: usize) -> SetupId {
    SetupId::of(&[b"bench", &n.to_le_bytes()])
}

fn summary(rate: u32, mut took: Vec<Duration>) -> Latency {
    took.sort_unstable();
    let at = |percent| percentile_ms(&took, percent);
    Latency { rate, orders: took.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stamped_is_told_by_its_path() {
        assert_eq!(order_of("/v1/accounts/VA1/orders"), Some(("VA1", None)));
        assert_eq!(order_of("/v1/accounts/VA1/orders/7"), Some(("VA1", Some("7"))));
        assert_eq!(order_of("/v1/accounts/VA1/balances"), None);
        assert_eq!(order_of("/v1/accounts/events/session"), None);
    }
}
