//! `claxton bench`.

use std::io::Write;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::bench::{intents, kill_switch, orders};

/// What may be measured.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Measure how long a setup's step takes to become an order on its way.
    ///
    /// From the commit of the transition to the POST leaving, at real speed, with PostgreSQL, queues and broker sandbox of
    /// this machine by their real protocols. Fails when half of the orders take longer than 15 ms or one in a hundred
    /// longer than 60 ms.
    Orders(OrdersArgs),
    /// Measure how many intents a second go through gate, commit and POST.
    ///
    /// With PostgreSQL writing each commit to the disk, from the commit of the intent to the commit of the broker's answer,
    /// less the time that the broker took. Fails when fewer become orders than came, or one in a hundred takes longer
    /// than 50 ms.
    Intents(IntentsArgs),
    /// Measure how long after a flip of the kill switch the cancels of working entries leave.
    ///
    /// Entries are decided while the switch is flipped. Fails when one is marked after the flip, or one cancel in a hundred
    /// leaves more than a second after it.
    KillSwitch(KillSwitchArgs),
}

/// How intents are measured.
#[derive(Debug, Args)]
pub(super) struct IntentsArgs {
    /// Intents a second.
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// For how many seconds.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Workers that share the work.
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// How the kill switch is measured.
#[derive(Debug, Args)]
pub(super) struct KillSwitchArgs {
    /// How often it is flipped; each flip meets 24 entries.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=200))]
    flips: u32,
    /// Workers of the queue of entries.
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// How it is measured.
#[derive(Debug, Args)]
pub(super) struct OrdersArgs {
    /// Orders a second.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// For how many seconds.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Print the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Half of the orders leave sooner, in milliseconds.
const P50_MAX: f64 = 15.0;
/// All but one in a hundred leave sooner.
const P99_MAX: f64 = 60.0;

/// Intents of which more leave within this, in milliseconds.
const INTENT_P99_MAX: f64 = 50.0;
/// Cancels of which more leave within this, in milliseconds.
const CANCEL_P99_MAX: f64 = 1_000.0;

pub(super) fn run(command: &BenchCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        BenchCommand::Orders(ask) => orders(ask, out),
        BenchCommand::Intents(ask) => intents(ask, out),
        BenchCommand::KillSwitch(ask) => kill_switch(ask, out),
    }
}

/// The figures as JSON, or in words.
fn tell<T: Serialize>(found: &T, json: bool, words: String, out: &mut impl Write) -> anyhow::Result<()> {
    let line = if json { serde_json::to_string(found)? } else { words };
    Ok(writeln!(out, "{line}")?)
}

fn orders(ask: &OrdersArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let found = super::block_on(orders::measure(orders::Ask { rate: ask.rate, seconds: ask.seconds }))?;
    let words = format!(
        "{} orders at {} a second: p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        found.orders, found.rate, found.p50_ms, found.p99_ms, found.max_ms
    );
    tell(&found, ask.json, words, out)?;
    if found.p50_ms >= P50_MAX || found.p99_ms >= P99_MAX {
        bail!("too slow: p50 must stay below {P50_MAX} ms and p99 below {P99_MAX} ms");
    }
    Ok(())
}

fn intents(ask: &IntentsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let of = intents::Ask { rate: ask.rate, seconds: ask.seconds, workers: ask.workers };
    let found = super::block_on(intents::measure(of))?;
    let words = format!(
        "{} intents at {} a second, {:.0} a second done: p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms; the broker took {:.1} ms",
        found.intents,
        found.rate,
        found.per_second,
        found.p50_ms,
        found.p99_ms,
        found.max_ms,
        found.broker_p50_ms
    );
    tell(&found, ask.json, words, out)?;
    if found.per_second < f64::from(found.rate) * 0.95 || found.p99_ms >= INTENT_P99_MAX {
        bail!("too slow: {} a second must be done, with p99 below {INTENT_P99_MAX} ms", found.rate);
    }
    Ok(())
}

fn kill_switch(ask: &KillSwitchArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let of = kill_switch::Ask { flips: ask.flips, workers: ask.workers };
    let found = super::block_on(kill_switch::measure(of))?;
    let words = format!(
        "{} flips: {} entries refused, {} marked after it; {} cancels left after p50 {:.0} ms, p99 {:.0} ms, slowest {:.0} ms",
        found.flips,
        found.refused,
        found.marked_after,
        found.working,
        found.p50_ms,
        found.p99_ms,
        found.max_ms
    );
    tell(&found, ask.json, words, out)?;
    if found.marked_after > 0 {
        bail!("{} entries were marked after a flip", found.marked_after);
    }
    if found.p99_ms >= CANCEL_P99_MAX {
        bail!("too slow: the p99 of cancels must stay below {CANCEL_P99_MAX} ms");
    }
    Ok(())
}
