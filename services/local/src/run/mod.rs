//! One session on this machine: PostgreSQL, SQS, Secrets Manager and the broker by their real protocols, every function,
//! the schedules, on the market's own clock.

pub mod account;
pub mod demo;
mod journal;
mod mail;
mod parts;
pub mod place;
mod venue;

pub use demo::{Choice, Demo, Outcome, demo};
