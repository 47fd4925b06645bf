//! What every ledger must do, as named cases: PostgreSQL and memory pass the same ones.
//!
//! A case starts from an empty ledger and is a sentence about it. To run them all, hand [`run_all`] a closure that
//! gives a fresh ledger each time; what comes back are the cases that failed, each with its name and what it saw.
//!
//! ```
//! use sim::conformance::{block_on, run_all};
//! use sim::ledger::MemLedger;
//! let failures = block_on(run_all(async || Ok(MemLedger::new())))?;
//! assert!(failures.is_empty(), "{failures:#?}");
//! # Ok::<(), sim::conformance::Stuck>(())
//! ```
//!
//! A ledger that needs a runtime awaits [`run_all`] there instead. All instants are whole seconds, so that a database
//! that keeps microseconds gives them back unchanged. Two callers are interleaved by hand: one reads, the other
//! writes, the first writes.

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err($crate::conformance::Broken(format!($($why)+)));
        }
    };
}

/// Fails the case unless both are equal.
macro_rules! same {
    ($left:expr, $right:expr $(,)?) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    let what = stringify!($left);
                    return Err($crate::conformance::Broken(format!(
                        "{what} is {left:?}, expected {right:?} (line {})",
                        line!()
                    )));
                }
            }
        }
    };
}

/// Fails the case unless the ledger refuses.
macro_rules! refuses {
    ($answer:expr) => {
        match $answer {
            Err(domain::ports::LedgerError::Refused { .. }) => {}
            other => {
                let what = stringify!($answer);
                return Err($crate::conformance::Broken(format!(
                    "{what} is {other:?}, expected a refusal (line {})",
                    line!()
                )));
            }
        }
    };
}

/// The cases of a module: async functions over a fresh ledger, named as they are.
macro_rules! cases {
    ($($name:ident,)+) => {
        /// The cases of this module.
        pub(super) fn cases<L: domain::ports::Ledger>() -> Vec<$crate::conformance::Case<L>> {
            vec![$($crate::conformance::Case { name: stringify!($name), run: |it| Box::pin($name(it)) },)+]
        }
    };
}

mod accounts;
mod attempts;
mod combos;
mod control;
mod fills;
mod intents;
mod members;
mod outbox;
mod positions;
mod protect;
mod risk;
mod setups;
mod stage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use domain::ports::{Ledger, LedgerError};

/// What a case saw instead of what it expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<LedgerError> for Broken {
    fn from(error: LedgerError) -> Self {
        Self(error.to_string())
    }
}

/// What a case ends with.
pub type Outcome = Result<(), Broken>;

/// A running case.
pub type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One sentence about a ledger.
pub struct Case<L> {
    /// The sentence.
    pub name: &'static str,
    /// Holds it against an empty ledger.
    pub run: for<'a> fn(&'a L) -> Running<'a>,
}

/// A case that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The sentence.
    pub name: &'static str,
    /// What was seen instead.
    pub why: Broken,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// Every case.
pub fn cases<L: Ledger>() -> Vec<Case<L>> {
    let parts = [
        setups::cases(),
        accounts::cases(),
        intents::cases(),
        attempts::cases(),
        fills::cases(),
        positions::cases(),
        protect::cases(),
        combos::cases(),
        risk::cases(),
        outbox::cases(),
        control::cases(),
        members::cases(),
    ];
    parts.into_iter().flatten().collect()
}

/// Runs every case, each on a ledger of its own from `fresh`, and returns those that failed. A ledger that cannot be
/// had fails its case.
pub async fn run_all<L: Ledger>(fresh: impl AsyncFn() -> Result<L, String>) -> Vec<Failure> {
    let mut failures = Vec::new();
    for case in cases::<L>() {
        let outcome = match fresh().await {
            Ok(ledger) => (case.run)(&ledger).await,
            Err(why) => Err(Broken(format!("no fresh ledger: {why}"))),
        };
        failures.extend(outcome.err().map(|why| Failure { name: case.name, why }));
    }
    failures
}

/// A future waited for something that nobody here will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck;

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the future still waits after 10000 polls without a runtime: await it in a runtime instead",
        )
    }
}

impl std::error::Error for Stuck {}

/// Polls until the future is ready or plainly never will be.
const MAX_POLLS: usize = 10_000;

/// Drives a future by bare polling: no runtime, no thread, no time.
///
/// # Errors
/// [`Stuck`] when it is still pending after ten thousand polls.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, Stuck> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..MAX_POLLS {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
    }
    Err(Stuck)
}
