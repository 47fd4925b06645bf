//! Many seeds, on several threads, and what they showed together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::perils::{Calls, Site, mixed};

use super::{Ask, Outcome, Violation, run};

/// What many sessions showed.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Sessions.
    pub seeds: u64,
    /// Sessions without any fault.
    pub quiet: u64,
    /// What must never be, with the seed, in order of seeds.
    pub violations: Vec<(u64, Violation)>,
    /// Intents of any kind.
    pub intents: u64,
    /// Openings that the first pass of the gates let through.
    pub ready: u64,
    /// Of these, those that were sent.
    pub posted: u64,
    /// Of these, those that executed.
    pub filled: u64,
    /// Structures that were decided on.
    pub structures: u64,
    /// Of these, those of which something executed.
    pub opened: u64,
    /// Order requests that left.
    pub posts: u64,
    /// Executions at the broker.
    pub fills: u64,
    /// Alerts that were delivered.
    pub alerts: u64,
    /// Of these, those that took more than five seconds.
    pub alerts_late: u64,
    /// Events worked.
    pub events: u64,
    /// Faults that happened, by class.
    pub fired: BTreeMap<u8, u64>,
    /// Calls of every site, with those that were killed.
    pub sites: BTreeMap<Site, Calls>,
    /// Made of the hashes of all seeds, whatever their order.
    pub hash: u64,
}

impl Totals {
    /// Adds a session.
    pub fn add(&mut self, outcome: &Outcome) {
        let sum = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        sum(&mut self.seeds, 1);
        sum(&mut self.quiet, u64::from(outcome.is_quiet));
        sum(&mut self.intents, outcome.intents);
        sum(&mut self.ready, outcome.ready);
        sum(&mut self.posted, outcome.posted);
        sum(&mut self.filled, outcome.filled);
        sum(&mut self.structures, outcome.structures);
        sum(&mut self.opened, outcome.opened);
        sum(&mut self.posts, outcome.posts);
        sum(&mut self.fills, outcome.fills);
        sum(&mut self.alerts, outcome.alerts);
        sum(&mut self.alerts_late, outcome.alerts_late);
        sum(&mut self.events, outcome.events);
        self.violations.extend(outcome.violations.iter().map(|it| (outcome.seed, it.clone())));
        for (class, count) in &outcome.fired {
            sum(self.fired.entry(*class).or_default(), *count);
        }
        for (site, calls) in &outcome.sites {
            let known = self.sites.entry(*site).or_default();
            known.made = known.made.saturating_add(calls.made);
            known.killed_before = known.killed_before.saturating_add(calls.killed_before);
            known.killed_after = known.killed_after.saturating_add(calls.killed_after);
        }
        self.hash = self.hash.wrapping_add(mixed(outcome.hash ^ mixed(outcome.seed)));
    }

    /// Adds other sessions.
    pub fn merge(&mut self, other: Self) {
        let Self {
            seeds,
            quiet,
            intents,
            ready,
            posted,
            filled,
            structures,
            opened,
            posts,
            fills,
            events,
            alerts,
            alerts_late,
            hash,
            ..
        } = other;
        let sum = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        for (to, more) in [
            (&mut self.seeds, seeds),
            (&mut self.quiet, quiet),
            (&mut self.intents, intents),
            (&mut self.ready, ready),
            (&mut self.posted, posted),
            (&mut self.filled, filled),
            (&mut self.structures, structures),
            (&mut self.opened, opened),
            (&mut self.posts, posts),
            (&mut self.fills, fills),
            (&mut self.events, events),
            (&mut self.alerts, alerts),
            (&mut self.alerts_late, alerts_late),
        ] {
            sum(to, more);
        }
        self.hash = self.hash.wrapping_add(hash);
        self.violations.extend(other.violations);
        for (class, count) in other.fired {
            sum(self.fired.entry(class).or_default(), count);
        }
        for (site, calls) in other.sites {
            let known = self.sites.entry(site).or_default();
            known.made = known.made.saturating_add(calls.made);
            known.killed_before = known.killed_before.saturating_add(calls.killed_before);
            known.killed_after = known.killed_after.saturating_add(calls.killed_after);
        }
    }

    /// Sites of ports that were called but never killed before their effect, or never after it.
    pub fn uncovered(&self) -> Vec<(Site, Calls)> {
        let calls = self.sites.iter().filter(|(site, _)| is_port(site));
        calls
            .filter(|(_, it)| it.killed_before == 0 || it.killed_after == 0)
            .map(|(site, it)| (*site, *it))
            .collect()
    }

    /// Sites of ports.
    pub fn port_sites(&self) -> usize {
        self.sites.keys().filter(|it| is_port(it)).count()
    }
}

/// Queues, streams, schedules and listings are no calls of anybody.
fn is_port(site: &Site) -> bool {
    !["queue", "stream", "schedule", "chain"].contains(&site.actor)
}

/// Plants `bug` and runs seeds until it is found: how many it took, and what gave it away. `None` after `seeds_max`.
#[cfg(feature = "planted")]
pub fn hunt(bug: domain::planted::Bug, seeds_max: u64) -> Option<(u64, Violation)> {
    domain::planted::plant(Some(bug));
    let classes = super::all_classes();
    let found = (0..seeds_max).find_map(|seed| {
        let outcome = run(&Ask { seed, classes: classes.clone(), is_told: false, faults: None });
        outcome.violations.first().map(|it| (seed.saturating_add(1), it.clone()))
    });
    domain::planted::plant(None);
    found
}

/// Hunts every bug that can be planted, on `jobs` threads, each in at most `seeds_max` sessions. `found` is told of each as
/// it is done.
#[cfg(feature = "planted")]
pub fn hunt_all(
    seeds_max: u64,
    jobs: usize,
    found: impl Fn(domain::planted::Bug, Option<(u64, Violation)>) + Sync,
) {
    let next = AtomicU64::new(0);
    let worker = || {
        loop {
            let place = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
            let Some(bug) = domain::planted::Bug::ALL.get(place) else { break };
            found(*bug, hunt(*bug, seeds_max));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.max(1) {
            scope.spawn(worker);
        }
        worker();
    });
}

/// Runs the seeds from `start` on, on `jobs` threads. `progress` is told how many are done, now and then.
pub fn run_many(
    start: u64,
    seeds: u64,
    jobs: usize,
    classes: &BTreeSet<u8>,
    progress: impl Fn(u64, usize) + Sync,
) -> Totals {
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let totals = Mutex::new(Totals::default());
    let worker = || {
        let mut own = Totals::default();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= seeds {
                break;
            }
            let seed = start.saturating_add(place);
            own.add(&run(&Ask { seed, classes: classes.clone(), is_told: false, faults: None }));
            let done = done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            progress(done, own.violations.len());
        }
        if let Ok(mut all) = totals.lock() {
            all.merge(own);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.max(1) {
            scope.spawn(worker);
        }
        worker();
    });
    let mut totals = totals.into_inner().unwrap_or_default();
    totals.violations.sort_by_key(|it| it.0);
    totals
}
