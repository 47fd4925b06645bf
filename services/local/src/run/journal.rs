//! The broker's side of a run on disk, as the sandbox keeps it.

pub(crate) use sandbox::journal::{Files, TRANSCRIPT};
