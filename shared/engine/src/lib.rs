//! Decides: bars, setups, selection, sizing, walks, the flatten plan, reports. Same inputs, same answer.

pub mod pricing;
