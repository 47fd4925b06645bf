//! Decides: bars, setups, selection, sizing, walks, the flatten plan, reports. Same inputs, same answer.

pub mod bars;
pub mod behaviour;
pub mod blind;
pub mod combo;
pub mod context;
pub mod daytrade;
pub mod emergency;
pub mod fidelity;
pub mod flatten;
pub mod gates;
pub mod halt;
pub mod indicators;
pub mod macros;
pub mod pipeline;
pub mod pricing;
pub mod profile;
pub mod protect;
pub mod reconcile;
pub mod release;
pub mod report;
pub mod selection;
pub mod setups;
pub mod sizing;
#[cfg(test)]
mod testing;
pub mod trips;
pub mod walk;
