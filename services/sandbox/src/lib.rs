//! Tradier's API over sim's broker: HTTP and WebSocket listener.
//!
//! [`Listener`] only listens: every answer is [`sim::broker::Sandbox::answer`] at the time of the runner's clock. It runs
//! on a current-thread runtime inside a `LocalSet`. What changed is journaled before its answer leaves.

#![forbid(unsafe_code)]

mod http;
pub mod journal;
mod listener;
mod stream;
#[cfg(test)]
mod tests;

pub use listener::{BindError, Journal, Listener};
