//! Tradier, behind the broker port: its spelling of things stops here.
//!
//! Everything goes through [`transport::Transport`]: request to reply, or not sent, or unknown. Nothing in this
//! crate sends a request twice. [`tradier::Tradier`] is one account, [`connector::Connector`] opens accounts,
//! [`budget::RateBudget`] keeps a fifth of every rate window for exits. [`rows`] reads what the broker writes,
//! [`stream`] decides about event streams. The real host is reached by `https`, event streams by `stream::socket`,
//! behind the features `https` and `streams`.

#![forbid(unsafe_code)]

pub mod budget;
pub mod connector;
#[cfg(feature = "https")]
pub mod deployment;
#[cfg(feature = "https")]
pub mod https;
mod json;
mod reply;
pub mod rows;
mod scan;
pub mod stream;
pub mod tradier;
pub mod transport;

pub use rows::StreamSession;
