//! The simulated world: a whole session of every function under one seed, with everything that can go wrong.
//!
//! A trial is a discrete-event run. Its use cases are the real ones, driven by bare polling; between them and the parts
//! stand [`sim::perils`], which kill, freeze and delay at every call of a port. A frozen use case stays pending while the
//! world goes on, so that two workers meet on one intent; a killed one is dropped where it stood. The seed decides the
//! session, its setups, the faults and the order of everything that happens at one instant.
//!
//! `laws` holds the invariants against every write into the books and every line of the broker's transcript.

mod again;
mod course;
mod ears;
mod engine;
mod incidents;
mod laws;
mod looks;
mod mail;
pub mod many;
mod parts;
mod setups;
mod shrink;
mod structures;
mod tally;
mod tape;
mod tasks;
mod thinned;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::time::UtcNanos;
use sim::conformance::block_on;
use sim::perils::{Calls, Fired, Site};

pub use course::all_classes;
pub use laws::Violation;
pub use shrink::{Shrunk, shrink};

use course::Course;
use ears::Ears;
use engine::Engine;
use parts::{second_token, traders};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The seed.
    pub seed: u64,
    /// The fault classes that may happen.
    pub classes: BTreeSet<u8>,
    /// Whether the story is written down.
    pub is_told: bool,
    /// Exactly these faults instead of the seed's.
    pub faults: Option<Faults>,
}

/// Faults of one session: at calls, and incidents by their place in the seed's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// At calls.
    pub calls: Vec<Fired>,
    /// Incidents.
    pub incidents: BTreeSet<usize>,
}

impl Faults {
    /// How many.
    pub fn len(&self) -> usize {
        self.calls.len().saturating_add(self.incidents.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a session showed.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What must never be, in order.
    pub violations: Vec<Violation>,
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
    /// The faults themselves.
    pub faults: Faults,
    /// The incidents among them, in words.
    pub incidents: Vec<String>,
    /// Calls of every site, with those that were killed.
    pub sites: BTreeMap<Site, Calls>,
    /// A number made of everything that happened: the same for the same seed.
    pub hash: u64,
    /// The story, where it was asked for.
    pub story: Vec<String>,
    /// Whether the seed has no fault at all.
    pub is_quiet: bool,
}

/// Runs one session.
pub fn run(ask: &Ask) -> Outcome {
    let Some(course) = Course::of(ask.seed, &ask.classes) else {
        return broken(ask, "its date has no session");
    };
    if !ask.seed.is_multiple_of(HEARD_ONE_IN) {
        return follow(ask, course);
    }
    let heard = Arc::new(AtomicBool::new(false));
    let members = traders();
    let tokens = members.iter().flat_map(|it| [it.token.clone(), second_token(it).reveal().to_owned()]);
    let ears = Ears::new(tokens.collect(), Arc::clone(&heard));
    let mut outcome = tracing::subscriber::with_default(ears, || follow(ask, course));
    if heard.load(Ordering::Relaxed) {
        let what = "a token in the log".to_owned();
        outcome.violations.push(Violation { invariant: 17, at: UtcNanos(0), step: outcome.events, what });
    }
    outcome
}

/// The log of one session in so many is listened to: a line that nobody hears costs nothing.
const HEARD_ONE_IN: u64 = 16;

fn follow(ask: &Ask, course: Course) -> Outcome {
    match block_on(Engine::new(ask, course)) {
        Ok(Ok(engine)) => engine.run(),
        Ok(Err(error)) => broken(ask, &error.to_string()),
        Err(_) => broken(ask, "enrolment waits for something else than its ports"),
    }
}

fn broken(ask: &Ask, what: &str) -> Outcome {
    let violation = Violation {
        invariant: 0,
        at: UtcNanos(0),
        step: 0,
        what: format!("the session could not begin: {what}"),
    };
    Outcome { seed: ask.seed, violations: vec![violation], ..Outcome::default() }
}

#[cfg(test)]
mod tests;
