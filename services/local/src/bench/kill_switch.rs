//! How long after a flip of the kill switch the working entries' cancels leave, and that no entry is marked after it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use control::Control;
use domain::ids::SetupId;
use domain::kill::{KillScope, KillState};
use domain::ports::{Clock as _, Ledger as _, Queue};
use domain::time::UtcNanos;
use futures_util::future::try_join_all;
use lambda_kit::wiring::relay_after;
use serde::Serialize;
use tokio::time::Instant;
use world::simulated::Member;

use super::entries;
use super::percentile_ms;
use super::stage::{Stage, Template, members};

/// Entries that are decided for one flip: half of them before it, the others while it happens and after.
const ENTRIES: usize = 24;
/// Between two of them.
const PERIOD: Duration = Duration::from_millis(15);
/// How long what was asked to stop is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// How often the switch is flipped.
    pub flips: u32,
    /// Workers of `orders`.
    pub workers: u32,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Flips.
    pub flips: u32,
    /// Entries that were at the broker when the switch was flipped.
    pub working: usize,
    /// Entries that the switch kept from leaving.
    pub refused: usize,
    /// Entries marked after a flip was committed.
    pub marked_after: usize,
    /// From the flip's commit to the cancel's leaving: half took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 99 in a hundred took at most this long.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

#[derive(Debug, Default)]
struct Seen {
    cancels: Vec<Duration>,
    refused: usize,
    marked_after: usize,
}

/// Measures. Must run inside a `LocalSet`.
///
/// # Errors
/// A part that does not start; an entry that was neither refused nor canceled.
pub async fn measure(ask: Ask) -> anyhow::Result<Found> {
    let wanted = usize::try_from(ask.flips).unwrap_or(usize::MAX).saturating_mul(ENTRIES);
    if wanted == 0 || ask.workers == 0 {
        bail!("nothing to measure: give flips and workers of at least 1");
    }
    let members = members(wanted.saturating_add(1));
    let template = Template::find().await?;
    let stage = Stage::start(&members, &template, false).await?;
    let names: Vec<String> = (0..ask.workers).map(|n| format!("orders-{n}")).collect();
    let workers = try_join_all(names.iter().map(|it| stage.work(Queue::Entries, it)));
    let measured = tokio::select! {
        measured = run(ask, &members, &template, &stage) => measured,
        ended = workers => ended.and_then(|_| bail!("a worker ended")),
    };
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
    let control = Control { ledger: &stage.ledger, clock: &stage.clock };
    let mut seen = Seen::default();
    for (n, batch) in rest.chunks(ENTRIES).enumerate() {
        let setup = SetupId::of(&[b"bench", &n.to_le_bytes()]);
        stage.tell_before(template, setup).await?;
        let trigger = stage.trigger(template, setup).await?;
        let enter = async {
            let mut ticks = tokio::time::interval(PERIOD);
            for member in batch {
                ticks.tick().await;
                entries::record(stage, &opening, member, &trigger).await?;
                relay_after(&stage.ledger, &stage.sender, &stage.clock).await;
            }
            anyhow::Ok(())
        };
        let flip = async {
            // Another instant of the entries' arrival each time.
            let half = PERIOD.saturating_mul(u32::try_from(ENTRIES / 2).unwrap_or(1));
            tokio::time::sleep(half.saturating_add(Duration::from_millis(u64::try_from(n * 7 % 60)?))).await;
            control.flip(KillScope::Global, KillState::SafeMode, "operator:bench", "measured").await?;
            let committed = (Instant::now(), stage.clock.now());
            relay_after(&stage.ledger, &stage.sender, &stage.clock).await;
            anyhow::Ok(committed)
        };
        let ((), committed) = tokio::try_join!(enter, flip)?;
        settle(stage, batch, committed, &mut seen).await?;
        control.flip(KillScope::Global, KillState::Normal, "operator:bench", "measured").await?;
    }
    seen.cancels.sort_unstable();
    let at = |percent| percentile_ms(&seen.cancels, percent);
    Ok(Found {
        flips: ask.flips,
        working: seen.cancels.len(),
        refused: seen.refused,
        marked_after: seen.marked_after,
        p50_ms: at(50),
        p99_ms: at(99),
        max_ms: at(100),
    })
}

/// Waits until every entry of a flip is refused or canceled, and notes which.
async fn settle(
    stage: &Stage,
    batch: &[Member],
    (flipped, at): (Instant, UtcNanos),
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let session = at.new_york_date();
    for member in batch {
        loop {
            let book = stage.ledger.day_book(&member.account, session).await?;
            let view = book.intents.first().context("an intent is not in the books")?;
            if view.attempts.is_empty() && view.state.is_final() {
                seen.refused = seen.refused.saturating_add(1);
                break;
            }
            if let Some(left) = stage.stamped.canceled(member) {
                seen.cancels.push(left.saturating_duration_since(flipped));
                let late = view.attempts.iter().any(|it| it.marked_at > at);
                seen.marked_after = seen.marked_after.saturating_add(usize::from(late));
                break;
            }
            if flipped.elapsed() > PATIENCE {
                bail!("an entry is {} ({}) long after the flip", view.state.as_str(), view.reason);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}
