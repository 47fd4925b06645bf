//! Tradier, behind the broker port: its spelling of things stops here.
//!
//! Everything goes through [`transport::Transport`]: request to reply, or not sent, or unknown. Nothing in this
//! crate sends a request twice.

#![forbid(unsafe_code)]

pub mod transport;
