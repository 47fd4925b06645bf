//! Tradier's API over sim's broker: HTTP and WebSocket listener, and a run of it.
//!
//! [`Listener`] only listens: every answer is [`sim::broker::Sandbox::dispose`] at the time of the runner's clock. It runs
//! on a current-thread runtime inside a `LocalSet`. What changed is journaled before its answer leaves. [`play::Play`] is
//! a sandbox by itself: a session's market, played to the broker as time comes, behind a listener.

#![forbid(unsafe_code)]

pub mod accounts;
mod answer;
mod control;
mod http;
pub mod journal;
mod listener;
pub mod market;
mod outlet;
pub mod play;
pub mod practice;
mod stream;
#[cfg(test)]
mod tests;
mod xml;

pub use control::Control;
pub use listener::{BindError, Journal, Listener};
