//! The local runner and CLI: the binary `claxton`.
//!
//! Its parts stand on their own, so that tests use them too: a private PostgreSQL, queue and secret endpoints, the
//! market's clock with its agenda, and a runtime API for functions as processes.

#![forbid(unsafe_code)]

pub mod agenda;
mod asking;
pub mod aws;
pub mod bench;
pub mod chaos;
pub mod cli;
pub mod clock;
pub mod postgres;
mod restarts;
pub mod run;
pub mod runtime_api;
pub use world::schedule;
pub mod scratch;
mod serving;
