//! `claxton bench`.

use std::io::Write;

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::bench::orders::{Ask, measure};

/// What may be measured.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Measure how long a setup's step takes to become an order on its way.
    ///
    /// From the commit of the transition to the POST leaving, at real speed, with PostgreSQL, queues and broker sandbox of
    /// this machine by their real protocols. Fails when half of the orders take longer than 15 ms or one in a hundred
    /// longer than 60 ms.
    Orders(OrdersArgs),
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

pub(super) fn run(command: &BenchCommand, out: &mut impl Write) -> anyhow::Result<()> {
    let BenchCommand::Orders(ask) = command;
    let found = super::block_on(measure(Ask { rate: ask.rate, seconds: ask.seconds }))?;
    if ask.json {
        writeln!(out, "{}", serde_json::to_string(&found)?)?;
    } else {
        writeln!(
            out,
            "{} orders at {} a second: p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
            found.orders, found.rate, found.p50_ms, found.p99_ms, found.max_ms
        )?;
    }
    if found.p50_ms >= P50_MAX || found.p99_ms >= P99_MAX {
        bail!("too slow: p50 must stay below {P50_MAX} ms and p99 below {P99_MAX} ms");
    }
    Ok(())
}
