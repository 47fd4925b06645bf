//! The shortest list of faults that still breaks a session.

use super::{Ask, Faults, Outcome, run};

/// Sessions run at most while a list is made shorter.
const RUNS_MAX: u32 = 400;

/// A failing session with as few faults as could be found.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// What is left.
    pub faults: Faults,
    /// The session with these faults alone.
    pub outcome: Outcome,
    /// Sessions run to find it.
    pub runs: u32,
}

/// Leaves out what is not needed to break the same invariant. `None` where `failed` broke none, or the faults alone do
/// not break it.
pub fn shrink(ask: &Ask, failed: &Outcome) -> Option<Shrunk> {
    let invariant = failed.violations.first()?.invariant;
    let mut runs = 0;
    let mut breaks = |faults: &Faults| {
        runs += 1;
        let outcome = run(&Ask { faults: Some(faults.clone()), is_told: false, ..ask.clone() });
        outcome.violations.iter().any(|it| it.invariant == invariant).then_some(outcome)
    };
    let mut best = (failed.faults.clone(), breaks(&failed.faults)?);
    let mut part = best.0.len().div_ceil(2);
    let mut tried = 0;
    while part > 0 && tried < RUNS_MAX {
        let mut from = 0;
        let mut is_shorter = false;
        while from < best.0.len() && tried < RUNS_MAX {
            tried += 1;
            let without = without(&best.0, from, part);
            match breaks(&without) {
                Some(outcome) => {
                    best = (without, outcome);
                    is_shorter = true;
                }
                None => from = from.saturating_add(part),
            }
        }
        part = match part {
            1 if is_shorter => 1,
            1 => 0,
            more => more.div_ceil(2),
        };
    }
    Some(Shrunk { faults: best.0, outcome: best.1, runs })
}

/// The list without `count` faults from place `from` on: calls first, then incidents.
fn without(faults: &Faults, from: usize, count: usize) -> Faults {
    let stays = |place: usize| place < from || place >= from.saturating_add(count);
    let calls = faults.calls.iter().enumerate().filter(|(place, _)| stays(*place)).map(|it| *it.1);
    let after = faults.calls.len();
    let incidents = faults.incidents.iter().enumerate();
    let incidents = incidents.filter(|(place, _)| stays(after.saturating_add(*place))).map(|it| *it.1);
    Faults { calls: calls.collect(), incidents: incidents.collect() }
}
