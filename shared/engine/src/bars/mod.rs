//! From ticks to microbars (spec 1): the tick join, the fold, the merge, and the tape that keeps time order.
//!
//! - [`fold`] turns prints and quotes in time order into bars of one symbol.
//! - [`merge`] adds second bars up to 5 s, 15 s and minute bars, equal bit for bit to a build from ticks.
//! - [`tape`] takes the events of an index and its proxy as they arrive, sorts what is late by no more than the lateness
//!   window, drops and counts what is bad, and hands on each second's bars of both symbols together.

pub mod fold;
pub mod merge;
pub mod tape;

#[cfg(test)]
pub(crate) mod tests;
