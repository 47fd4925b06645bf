//! Sessions on this machine: PostgreSQL, SQS, Secrets Manager and the broker by their real protocols, every function,
//! the schedules, on the market's own clock.

pub mod account;
pub mod demo;
mod env_file;
mod ground;
mod http;
mod mail;
mod parts;
pub mod place;
pub mod processes;
mod stage;
mod turn;
pub mod up;
mod venue;

pub use demo::{Choice, Demo, Outcome, demo};
pub(crate) use stage::{DATABASE, interrupted};
pub use up::{Up, up};
