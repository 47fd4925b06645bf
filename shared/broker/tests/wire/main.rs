//! What the broker writes and what the client makes of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so at once"
)]

#[path = "../fuzz/mod.rs"]
mod fuzz;
mod golden;
mod parsers;
mod played;
mod sections;
