//! Behaviour of the whole, one module per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod conformance;
mod days;
mod events;
mod failures;
mod postgresql;
mod proof;
mod tidy;
