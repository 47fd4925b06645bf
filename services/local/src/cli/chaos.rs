//! `claxton chaos`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::args;
use crate::chaos::{self, Ask, Round};

/// No more than one round in so many may pass without an order.
const IDLE_ONE_IN: u32 = 5;

/// What can be asked of a chaos run.
#[derive(Debug, Args)]
pub(super) struct ChaosArgs {
    /// How many rounds; each takes from half a minute to a few.
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=300))]
    rounds: u32,
    /// Draws the market and what goes wrong in which round.
    #[arg(long, value_name = "N", value_parser = args::seed, default_value = "1")]
    seed: u64,
    /// Where the run keeps its books; an earlier run's are replaced.
    #[arg(long, value_name = "DIR", default_value = ".claxton/chaos")]
    data_dir: PathBuf,
    /// Print each round, and the whole, as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(ask: ChaosArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let claxton = std::env::current_exe().context("cannot tell where this program lies")?;
    let data_dir = std::path::absolute(&ask.data_dir)?;
    let of = Ask { rounds: ask.rounds, seed: ask.seed, data_dir, claxton };
    let told = super::block_on(chaos::run(&of, |round| {
        // Whoever does not listen any more does not end the run.
        show(round, ask.json, out).ok();
    }))?;
    if ask.json {
        writeln!(out, "{}", serde_json::to_string(&told)?)?;
    } else {
        writeln!(
            out,
            "{} of {} rounds agree, {} of them without an order, {} at the end; {} intents, {} orders, {} contracts executed in {:.0} s",
            told.agreed,
            told.rounds,
            told.idle,
            if told.flat_at_end { "flat" } else { "not flat" },
            told.intents,
            told.orders,
            told.executed,
            told.seconds
        )?;
    }
    if told.idle.saturating_mul(IDLE_ONE_IN) > told.rounds {
        bail!(
            "{} of {} rounds sent no order: this machine is too busy for a proof, run it alone",
            told.idle,
            told.rounds
        );
    }
    if told.agreed < told.rounds || !told.flat_at_end {
        bail!("books and broker do not agree: the run's books and logs stay in {}", of.data_dir.display());
    }
    Ok(())
}

fn show(round: &Round, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", serde_json::to_string(round)?)?;
        return Ok(out.flush()?);
    }
    let verdict = if round.differences.is_empty() { "agree" } else { "DIFFER" };
    let (n, after, orders) = (round.round, round.agreed_after, round.orders);
    writeln!(
        out,
        "round {n:3}  {verdict} after {after:.0} s, {orders} orders so far: {}",
        round.perils.join(", ")
    )?;
    for difference in &round.differences {
        writeln!(out, "           {difference}")?;
    }
    Ok(out.flush()?)
}
