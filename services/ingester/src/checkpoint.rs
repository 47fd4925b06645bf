//! The ingester's state between two lives.

use domain::market::OptionQuote;
use domain::symbol::OccSymbol;
use serde::{Deserialize, Serialize};

use crate::market::Market;
use crate::metrics::Metrics;
use crate::watch::Watch;

/// The version this program writes and reads.
pub const VERSION: u32 = 1;

/// What a checkpoint holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checkpoint {
    pub(crate) version: u32,
    /// The source's name, the profile's version and the switch: of another run it is no use.
    pub(crate) run: Run,
    /// Events taken so far.
    pub(crate) events: u64,
    pub(crate) market: Market,
    pub(crate) options: Vec<(OccSymbol, OptionQuote)>,
    pub(crate) metrics: Metrics,
    /// Absent in checkpoints of builds that did not watch.
    #[serde(default)]
    pub(crate) watch: Option<Watch>,
}

/// What a checkpoint belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The source's name.
    pub source: String,
    /// The profile's version.
    pub profile: String,
    /// Whether quotes are switched on.
    pub quotes: bool,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not what this program writes.
    #[error("the checkpoint cannot be read ({0}): remove it to start the session from its first event")]
    Unreadable(String),
    /// Of another run.
    #[error(
        "the checkpoint belongs to {found:?}, this run is {expected:?}: start with the same source and profile, or remove it"
    )]
    OtherRun {
        /// This run.
        expected: Box<Run>,
        /// The checkpoint's.
        found: Box<Run>,
    },
}

/// How the source goes on after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// It starts with the session's first event again: as many events as the checkpoint has seen are passed over.
    FromStart,
    /// It goes on with what happens now; the time between is a gap where it is long enough.
    Live,
}

impl Checkpoint {
    pub(crate) fn read(bytes: &[u8], expected: &Run) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
            run: Run,
        }
        let unreadable = |why: serde_json::Error| CheckpointError::Unreadable(why.to_string());
        // The head first, so that another version or run is told as such and not as a missing field.
        let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
        if head.version != VERSION {
            let why = format!("its version is {}, this program reads {VERSION}", head.version);
            return Err(CheckpointError::Unreadable(why));
        }
        if head.run != *expected {
            let (expected, found) = (Box::new(expected.clone()), Box::new(head.run));
            return Err(CheckpointError::OtherRun { expected, found });
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    pub(crate) fn write(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|why| why.to_string())
    }
}
