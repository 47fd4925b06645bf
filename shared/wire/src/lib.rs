//! What crosses a process boundary: our messages, their versions and their spelling.

#![forbid(unsafe_code)]

pub mod message;
