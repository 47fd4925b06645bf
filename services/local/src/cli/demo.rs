//! `claxton demo` and `claxton verify`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use jiff::civil::Date;

use super::args;
use crate::clock::Speed;
use crate::run::account::{self, Summary};
use crate::run::{Choice, Demo, demo};

/// Where a demo keeps its PostgreSQL and its unfinished runs.
const DATA_DIR: &str = ".claxton/demo";

/// What can be asked of a demo.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Generate the session from this seed; the same seed gives the same orders.
    #[arg(long, value_name = "N", value_parser = args::seed, default_value = "7", conflicts_with = "recorded")]
    seed: u64,
    /// Play a recorded session from the files in this directory.
    #[arg(long, value_name = "DIR", requires = "date")]
    recorded: Option<PathBuf>,
    /// The session's New York date; a generated session has one of its own.
    #[arg(long, value_name = "DATE", value_parser = args::session_date)]
    date: Option<Date>,
    /// Hold market time back to this many times real speed; without it the day takes as long as its work.
    #[arg(long, value_name = "X", value_parser = Speed::parse)]
    speed: Option<Speed>,
    /// Leave the broker's transcript, the books and the summary in this directory, for `claxton verify`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the run keeps its PostgreSQL and what it needs to continue after a crash.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Print the summary as one JSON object on the last line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(ask: &DemoArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let choice = match (&ask.recorded, ask.date) {
        (Some(dir), Some(date)) => Choice::Recorded { dir: dir.clone(), date },
        (_, date) => Choice::Generated { seed: ask.seed, date },
    };
    let demo_ask = Demo {
        choice,
        speed: ask.speed,
        data_dir: std::path::absolute(&ask.data_dir)?,
        out: ask.out.clone(),
        progress: true,
    };
    let outcome = super::block_on(demo(&demo_ask))?;
    if let Some(report) = outcome.report.as_ref().filter(|_| !ask.json) {
        writeln!(out, "{}", report.to_text())?;
    }
    if ask.json {
        writeln!(out, "{}", serde_json::to_string(&outcome.summary)?)?;
    } else {
        show(&outcome.summary, out)?;
    }
    let faults = outcome.summary.faults();
    if !faults.is_empty() {
        bail!("the day did not end as it must: {}", faults.join(", "));
    }
    Ok(())
}

/// The summary in a few lines.
fn show(sum: &Summary, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "session {} ({}) in {:.1} s", sum.session, sum.source, sum.wall_seconds)?;
    writeln!(
        out,
        "  market   {} ticks, {} microbars, {} setups, {} steps",
        sum.ticks, sum.microbars, sum.setups, sum.transitions
    )?;
    writeln!(
        out,
        "  orders   {} intents, {} orders at the broker, {} fills",
        sum.intents, sum.broker_orders, sum.fills
    )?;
    writeln!(
        out,
        "  proof    {} duplicates, {} naked shorts, flat {}, reconciled {}",
        sum.duplicate_orders,
        sum.naked_shorts,
        yes(sum.flat_at_close),
        yes(sum.reconciled)
    )?;
    writeln!(
        out,
        "  result   {:.2} dollars at the broker, {:.2} in our books, fees taken",
        sum.realized_pnl, sum.books_pnl
    )?;
    Ok(())
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "NO" }
}

/// What is verified.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The directory that `claxton demo --out` left.
    dir: PathBuf,
    /// Print the recomputed summary as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(ask: &VerifyArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let summary = account::verify(&ask.dir)?;
    if ask.json {
        writeln!(out, "{}", serde_json::to_string(&summary)?)?;
    } else {
        writeln!(out, "every field of the summary follows from the transcript and the books")?;
        show(&summary, out)?;
    }
    let faults = summary.faults();
    if !faults.is_empty() {
        bail!("the run did not end as it must: {}", faults.join(", "));
    }
    Ok(())
}
