//! `claxton simulate`: sessions of the simulated world, many or one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use world::trial::many::{Totals, run_many};
use world::trial::{Ask, Outcome, all_classes, run as run_one, shrink};

use crate::clock::wall;

/// What is simulated.
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// How many sessions: one for each seed from the first on.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = super::args::seed)]
    start: u64,
    /// This seed alone.
    #[arg(long, value_name = "SEED", value_parser = super::args::seed, conflicts_with_all = ["seeds", "start"])]
    seed: Option<u64>,
    /// Write down everything that happens to the seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Sessions at a time; as many as there are processors when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    jobs: Option<u16>,
    /// Fault classes that may happen: `all`, `none`, or numbers of the catalogue such as `1,2,9`.
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = classes)]
    faults: Classes,
    /// Plant bugs one after another, and run sessions until each is found.
    ///
    /// Only a build with the feature `planted` has bugs to plant; no package is built with it.
    #[arg(long, conflicts_with_all = ["seed", "trace", "json"])]
    planted: bool,
    /// Print the last line alone: one JSON object.
    #[arg(long)]
    json: bool,
}

/// Fault classes by their number in the catalogue.
#[derive(Debug, Clone)]
struct Classes(BTreeSet<u8>);

fn classes(text: &str) -> Result<Classes, String> {
    let known = all_classes();
    match text {
        "all" => return Ok(Classes(known)),
        "none" => return Ok(Classes(BTreeSet::new())),
        _ => {}
    }
    let one = |word: &str| {
        let digits = word.trim().trim_start_matches("FLT");
        let class = digits.parse().ok().filter(|it| known.contains(it));
        class.ok_or_else(|| format!("{word:?} is no fault class: expected all, none or some of {known:?}"))
    };
    text.split(',').map(one).collect::<Result<_, _>>().map(Classes)
}

/// The last line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    seeds: u64,
    violations: usize,
    seconds: f64,
    sessions_per_second: f64,
    intents: u64,
    approved: u64,
    posted: u64,
    filled: u64,
    posts: u64,
    fills: u64,
    events: u64,
    faults_fired: BTreeMap<String, u64>,
    port_calls: usize,
    never_killed: Vec<String>,
    trace_hash: String,
}

impl Summary {
    fn of(totals: &Totals, seconds: f64) -> Self {
        let sessions = f64::from(u32::try_from(totals.seeds).unwrap_or(u32::MAX));
        Self {
            seeds: totals.seeds,
            violations: totals.violations.len(),
            seconds: (seconds * 1_000.0).round() / 1_000.0,
            sessions_per_second: (sessions / seconds.max(1e-9) * 10.0).round() / 10.0,
            intents: totals.intents,
            approved: totals.ready,
            posted: totals.posted,
            filled: totals.filled,
            posts: totals.posts,
            fills: totals.fills,
            events: totals.events,
            faults_fired: totals.fired.iter().map(|(class, count)| (format!("FLT{class}"), *count)).collect(),
            port_calls: totals.port_sites(),
            never_killed: totals.uncovered().iter().map(|it| it.0.to_string()).collect(),
            trace_hash: format!("{:016x}", totals.hash),
        }
    }
}

pub(super) fn run(ask: &SimulateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    if ask.planted {
        return planted(ask.seeds, out);
    }
    let began = wall();
    let totals = match ask.seed {
        Some(seed) => {
            let outcome =
                run_one(&Ask { seed, classes: ask.faults.0.clone(), is_told: ask.trace, faults: None });
            for line in &outcome.story {
                writeln!(out, "{line}")?;
            }
            let mut totals = Totals::default();
            totals.add(&outcome);
            totals
        }
        None => many(ask)?,
    };
    let summary = Summary::of(&totals, wall().since(began).as_secs_f64());
    if !ask.json {
        told(ask, &totals, &summary, out)?;
    }
    writeln!(out, "{}", serde_json::to_string(&summary)?)?;
    if let Some((seed, violation)) = totals.violations.first() {
        bail!("seed {seed} breaks INV{}: {}", violation.invariant, violation.what);
    }
    Ok(())
}

fn many(ask: &SimulateArgs) -> anyhow::Result<Totals> {
    let processors = std::thread::available_parallelism().context("how many processors are there")?;
    let jobs = ask.jobs.map_or(processors.get(), usize::from);
    let step = (ask.seeds / 20).max(100);
    let began = wall();
    let progress = |done: u64, broken: usize| {
        if !ask.json && done.is_multiple_of(step) {
            eprintln!(
                "{done} of {} sessions, {broken} violations, {:.0} s",
                ask.seeds,
                wall().since(began).as_secs_f64()
            );
        }
    };
    Ok(run_many(ask.start, ask.seeds, jobs, &ask.faults.0, progress))
}

/// Hunts every bug that can be planted, in at most `seeds` sessions each.
#[cfg(feature = "planted")]
fn planted(seeds: u64, out: &mut impl Write) -> anyhow::Result<()> {
    use domain::planted::Bug;
    let jobs = std::thread::available_parallelism().context("how many processors are there")?.get();
    let found = std::sync::Mutex::new(BTreeMap::new());
    world::trial::many::hunt_all(seeds, jobs, |bug, it| {
        if let Ok(mut found) = found.lock() {
            found.insert(bug, it);
        }
    });
    let mut took = Vec::new();
    for (bug, it) in found.into_inner().unwrap_or_default() {
        let name = format!("{bug:?}");
        match it {
            Some((count, it)) => {
                writeln!(out, "{name:20} {count:5} sessions, INV{}", it.invariant)?;
                took.push(count);
            }
            None => writeln!(out, "{name:20} not found in {seeds} sessions")?,
        }
    }
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or(0);
    writeln!(out, "{} of {} found, half of them within {median} sessions", took.len(), Bug::ALL.len())?;
    if took.len() < Bug::ALL.len() {
        bail!(
            "{} planted bugs were not found: allow more sessions with --seeds",
            Bug::ALL.len() - took.len()
        );
    }
    Ok(())
}

#[cfg(not(feature = "planted"))]
fn planted(_: u64, _: &mut impl Write) -> anyhow::Result<()> {
    bail!(
        "this build has no bugs to plant: cargo run --profile fast --features planted -p local --bin claxton -- simulate --planted"
    )
}

/// The figures in words, and of the first session that broke an invariant the shortest list of faults that still does.
fn told(ask: &SimulateArgs, totals: &Totals, summary: &Summary, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{} sessions in {:.1} s, {:.1} a second: {} intents, {} requests for orders, {} executions",
        totals.seeds,
        summary.seconds,
        summary.sessions_per_second,
        totals.intents,
        totals.posts,
        totals.fills
    )?;
    writeln!(
        out,
        "entries: {} approved, {} of them sent, {} of them filled",
        totals.ready, totals.posted, totals.filled
    )?;
    let fired: Vec<String> =
        summary.faults_fired.iter().map(|(class, count)| format!("{class} {count}")).collect();
    writeln!(out, "faults: {}", if fired.is_empty() { "none".to_owned() } else { fired.join(", ") })?;
    writeln!(
        out,
        "killed before and after: {} of {} places at which a use case calls a port",
        summary.port_calls.saturating_sub(summary.never_killed.len()),
        summary.port_calls
    )?;
    for (seed, violation) in totals.violations.iter().take(20) {
        let at = violation.at.new_york().strftime("%H:%M:%S").to_string();
        writeln!(
            out,
            "seed {seed}, INV{}, step {} at {at}: {}",
            violation.invariant, violation.step, violation.what
        )?;
    }
    if let Some((seed, _)) = totals.violations.first() {
        shortest(&Ask { seed: *seed, classes: ask.faults.0.clone(), is_told: false, faults: None }, out)?;
    }
    Ok(())
}

fn shortest(ask: &Ask, out: &mut impl Write) -> anyhow::Result<()> {
    let failed: Outcome = run_one(ask);
    let Some(short) = shrink(ask, &failed) else {
        writeln!(out, "seed {} does not break without its other faults", ask.seed)?;
        return Ok(());
    };
    let (all, left) = (failed.faults.len(), short.faults.len());
    writeln!(
        out,
        "seed {}: {left} of its {all} faults are enough, found in {} sessions:",
        ask.seed, short.runs
    )?;
    for fault in &short.faults.calls {
        writeln!(
            out,
            "  FLT{} {} at {}, call {}",
            fault.peril.class(),
            fault.peril.as_str(),
            fault.site,
            fault.call
        )?;
    }
    for what in &short.outcome.incidents {
        writeln!(out, "  {what}")?;
    }
    Ok(())
}
