//! A trading day as a discrete-event run: every use case of every function, one at a time, on a clock that the day owns.
//!
//! [`day::Day`] is the engine of it. It knows no ledger, broker or queue but through [`parts::Parts`]: the local run
//! gives it PostgreSQL, SQS and the sandbox over HTTP, [`simulated`] gives it all of them in memory. Market time moves to
//! the next due event only when every message is worked and nothing is in flight, and messages are worked in an order
//! that depends on nothing but themselves: the same seed gives the same broker transcript.

#![forbid(unsafe_code)]

pub mod day;
pub mod parts;
pub mod schedule;
pub mod simulated;
pub mod trial;
mod work;
