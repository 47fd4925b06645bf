//! Market data in; microbars, setups and broker account events out.
//!
//! - [`Ingester`] folds events, detects setups and writes what follows: synchronous where it thinks, awaiting the
//!   ledger alone where it writes. It starts no task and reads no clock.
//! - [`account_stream`] takes frames of the broker's account streams.

pub mod account_stream;
mod checkpoint;
mod ingester;
mod market;
mod metrics;
pub mod sources;
mod watch;

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod tests;

pub use checkpoint::{CheckpointError, Replay, Run, VERSION as CHECKPOINT_VERSION};
pub use ingester::{BATCH, Emission, Ingester};
pub use market::{Completed, Market};
pub use metrics::{Lag, Metrics};
pub use watch::Signal;
