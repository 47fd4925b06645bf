//! Sessions of the simulated world without the rest of the command line: what `claxton simulate` runs, built in a fraction
//! of the time.
//!
//! ```text
//! cargo run --profile fast -p world --example hunt -- 0 1000 2       # seeds 0 to 999 on two threads
//! cargo run --profile fast -p world --example hunt -- 0 1000 2 sites # with the places at which ports are called
//! cargo run --profile fast -p world --example hunt -- story 137      # what happened to one
//! cargo run --profile fast -p world --example hunt -- short 137      # with the fewest faults that break it
//! cargo run --profile fast -p world --example hunt -- story 137 3,9  # of these classes alone
//! ```

use std::io;
use std::time::Instant;

use world::trial::many::run_many;
use world::trial::{Ask, Violation, all_classes, run, shrink};

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| words.get(place).and_then(|it| it.parse::<u64>().ok());
    let mut out = io::stdout().lock();
    match words.first().map(String::as_str) {
        Some("story") => story(&mut out, number(1).unwrap_or(0), words.get(2), false),
        #[cfg(feature = "planted")]
        Some("planted") => planted(&mut out, number(1).unwrap_or(3_000)),
        Some("short") => story(&mut out, number(1).unwrap_or(0), words.get(2), true),
        Some(_) | None => {
            let is_listing = words.iter().any(|it| it == "sites");
            many(
                &mut out,
                number(0).unwrap_or(0),
                number(1).unwrap_or(1_000),
                number(2).unwrap_or(2),
                is_listing,
            )
        }
    }
}

/// Every bug that can be planted, with the sessions it took to find it.
#[cfg(feature = "planted")]
fn planted(out: &mut impl io::Write, seeds: u64) -> io::Result<()> {
    let found = std::sync::Mutex::new(Vec::new());
    world::trial::many::hunt_all(seeds, 2, |bug, it| {
        if let Ok(mut found) = found.lock() {
            found.push((bug, it));
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|it| it.0);
    for (bug, it) in found {
        match it {
            Some((count, it)) => writeln!(out, "{bug:?}: {count}, INV{}: {}", it.invariant, it.what)?,
            None => writeln!(out, "{bug:?}: not found")?,
        }
    }
    Ok(())
}

fn told(out: &mut impl io::Write, seed: u64, it: &Violation) -> io::Result<()> {
    let at = it.at.new_york().strftime("%H:%M:%S").to_string();
    writeln!(out, "seed {seed} INV{} step {} {at}: {}", it.invariant, it.step, it.what)
}

fn story(out: &mut impl io::Write, seed: u64, list: Option<&String>, is_short: bool) -> io::Result<()> {
    let some = |it: &String| it.split(',').filter_map(|it| it.parse().ok()).collect();
    let mut ask =
        Ask { seed, classes: list.map_or_else(all_classes, some), is_told: !is_short, faults: None };
    let mut outcome = run(&ask);
    if let Some(short) = is_short.then(|| shrink(&ask, &outcome)).flatten() {
        ask = Ask { is_told: true, faults: Some(short.faults), ..ask };
        outcome = run(&ask);
    }
    for line in &outcome.story {
        writeln!(out, "{line}")?;
    }
    for it in outcome.faults.calls.iter().filter(|_| is_short) {
        writeln!(out, "FLT{} {} at {}, call {}", it.peril.class(), it.peril.as_str(), it.site, it.call)?;
    }
    for it in &outcome.incidents {
        writeln!(out, "{it}")?;
    }
    outcome.violations.iter().try_for_each(|it| told(out, seed, it))
}

#[expect(clippy::disallowed_methods, reason = "a measure of this machine: sessions a second on the wall")]
fn many(out: &mut impl io::Write, start: u64, seeds: u64, jobs: u64, is_listing: bool) -> io::Result<()> {
    let began = Instant::now();
    let jobs = usize::try_from(jobs).unwrap_or(1);
    let totals = run_many(start, seeds, jobs, &all_classes(), |_, _| {});
    for (seed, it) in &totals.violations {
        told(out, *seed, it)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = seeds as f64 / seconds;
    writeln!(out, "{seeds} in {seconds:.1} s, {rate:.1} a second, hash {:016x}", totals.hash)?;
    let (intents, ready, posted, filled) = (totals.intents, totals.ready, totals.posted, totals.filled);
    writeln!(
        out,
        "{intents} intents, {ready} approved, {posted} sent, {filled} filled, {} structures, {} opened, {} events",
        totals.structures, totals.opened, totals.events
    )?;
    let never: Vec<String> = totals.uncovered().iter().map(|it| it.0.to_string()).collect();
    writeln!(out, "{} places, never killed: {never:?}", totals.port_sites())?;
    let mut sites: Vec<_> = totals.sites.iter().filter(|_| is_listing).collect();
    sites.sort_by_key(|it| std::cmp::Reverse(it.1.made));
    for (site, it) in sites {
        writeln!(out, "{site} {} killed {} {}", it.made, it.killed_before, it.killed_after)?;
    }
    out.flush()
}
