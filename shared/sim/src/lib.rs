//! A deterministic broker, market, queue and ledger in memory, and their faults.

pub mod conformance;
pub mod fixtures;
pub mod ledger;
pub mod market;
pub mod queue;

pub mod broker;
pub mod faults;
pub mod perils;
pub mod shown;
pub mod vault;
