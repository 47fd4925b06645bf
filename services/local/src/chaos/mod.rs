//! Chaos: a whole run in real processes, in which they are killed, paused and cut off round after round, and its books
//! compared with the broker's own transcript after each.
//!
//! The run is `claxton up --processes`, started and treated from outside like anybody else's. A round trades: setups trigger
//! and end within seconds, for both members. Meanwhile things go wrong by the seed's draw; which instant they hit is the
//! machine's affair, so a round cannot be repeated exactly, as in the simulated world, but nothing in it is simulated but
//! the broker. At the end of a round everything is let be, and what the books hold must come to what the broker did.

mod agreement;
mod perils;
mod processes;
mod standing;
mod trading;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::Instant;

use agreement::Agreement;
use perils::Plan;
use standing::Standing;
use trading::Trading;

/// How long books and broker may take to agree once everything is let be: as long as every follow-up that clears up.
const AGREE_WITHIN: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Rounds.
    pub rounds: u32,
    /// Draws what goes wrong, and the market.
    pub seed: u64,
    /// Where the run keeps its books; an earlier one there is replaced.
    pub data_dir: PathBuf,
    /// This program.
    pub claxton: PathBuf,
}

/// One round, as it is told.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// Which one, from 1.
    pub round: u32,
    /// What went wrong, in words.
    pub perils: Vec<String>,
    /// Orders at the broker so far.
    pub orders: usize,
    /// Contracts executed so far.
    pub executed: u64,
    /// Seconds from letting be to agreement.
    pub agreed_after: f64,
    /// What differs still; empty when books and broker agree.
    pub differences: Vec<String>,
}

/// A run, as the last line tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Rounds.
    pub rounds: u32,
    /// Rounds after which the books agreed with the broker.
    pub agreed: u32,
    /// Rounds in which no order reached the broker: they prove little.
    pub idle: u32,
    /// Whether nothing was held after the last flatten.
    pub flat_at_end: bool,
    /// Intents decided.
    pub intents: usize,
    /// Orders at the broker.
    pub orders: usize,
    /// Contracts executed.
    pub executed: u64,
    /// Entries that were not sent, by the reason.
    pub refused: BTreeMap<String, u32>,
    /// What went wrong, by kind.
    pub perils: BTreeMap<String, u32>,
    /// Faults that struck at the broker, by kind.
    pub broker_faults: BTreeMap<String, u32>,
    /// The slowest agreement, in seconds.
    pub slowest_agreement: f64,
    /// On the wall.
    pub seconds: f64,
}

/// Runs all rounds, each told as it ends. Must run inside a `LocalSet`.
///
/// # Errors
/// What keeps the run from starting, or from being looked at. A disagreement is no error: it is told.
pub async fn run(ask: &Ask, mut tell: impl FnMut(&Round)) -> anyhow::Result<Told> {
    let begun = Instant::now();
    let mut standing = Standing::up(ask).await?;
    let mut told = Told {
        rounds: ask.rounds,
        agreed: 0,
        idle: 0,
        flat_at_end: false,
        intents: 0,
        orders: 0,
        executed: 0,
        refused: BTreeMap::new(),
        perils: BTreeMap::new(),
        broker_faults: BTreeMap::new(),
        slowest_agreement: 0.0,
        seconds: 0.0,
    };
    let mut orders = 0;
    for n in 1..=ask.rounds {
        let round = one(&mut standing, ask.seed, n, &mut told).await.with_context(|| format!("round {n}"))?;
        tell(&round);
        told.agreed += u32::from(round.differences.is_empty());
        told.idle += u32::from(round.orders == orders);
        orders = round.orders;
        if !round.differences.is_empty() {
            break;
        }
    }
    standing.flatten().await?;
    let end = settle(&standing, &[], true).await?;
    told.flat_at_end = end.agreement.differences.is_empty() && end.agreement.is_flat;
    (told.intents, told.orders) = (end.agreement.intents, end.agreement.orders);
    (told.executed, told.broker_faults) = (end.agreement.executed, end.agreement.faults);
    told.refused = end.agreement.refused;
    told.seconds = begun.elapsed().as_secs_f64();
    standing.down().await?;
    Ok(told)
}

/// One round: trading under perils, then peace, then the comparison.
async fn one(standing: &mut Standing, seed: u64, n: u32, told: &mut Told) -> anyhow::Result<Round> {
    let plan = Plan::draw(seed, n);
    standing.prove_credentials().await?;
    let trading = Trading::draw(seed, n);
    let (setups, harmed) = tokio::join!(trading.run(standing), plan.run(standing));
    let (setups, mut harmed) = (setups?, harmed?);
    if plan.power_goes {
        standing.lose_power().await?;
        harmed.push("power_cut".to_owned());
    }
    for peril in &harmed {
        let kind = peril.split(' ').next().unwrap_or(peril).to_owned();
        *told.perils.entry(kind).or_default() += 1;
    }
    let settled = settle(standing, &setups, false).await?;
    told.slowest_agreement = told.slowest_agreement.max(settled.after.as_secs_f64());
    let agreement = settled.agreement;
    Ok(Round {
        round: n,
        perils: harmed,
        orders: agreement.orders,
        executed: agreement.executed,
        agreed_after: settled.after.as_secs_f64(),
        differences: agreement.differences,
    })
}

struct Settled {
    agreement: Agreement,
    after: Duration,
}

/// Looks until books and broker agree about everything, `setups` are at their end, and, where asked for, nothing is held.
async fn settle(standing: &Standing, setups: &[domain::ids::SetupId], flat: bool) -> anyhow::Result<Settled> {
    let begun = Instant::now();
    loop {
        let looked = agreement::look(standing, setups).await;
        let after = begun.elapsed();
        match looked {
            Ok(agreement) => {
                let done = agreement.differences.is_empty() && (agreement.is_flat || !flat);
                // What must never be does not get better.
                if done || agreement.is_hopeless || after >= AGREE_WITHIN {
                    return Ok(Settled { agreement, after });
                }
            }
            // The database may be coming back.
            Err(error) if after >= AGREE_WITHIN => return Err(error),
            Err(error) => tracing::info!("not to be compared yet: {error:#}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
