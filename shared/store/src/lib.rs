//! PostgreSQL: the ledger in SQL. Each method of [`domain::ports::Ledger`] is one transaction; none leaves this crate.
//!
//! Rules that every statement keeps:
//! - No session state, no LISTEN, no session locks, and unnamed statements unless the URL says that the connection is
//!   direct: a transaction pooler may stand between.
//! - A read is one flight: `BEGIN`, the user, the query and `COMMIT` travel together. A write that must look first is
//!   two: locks and rows come back, [`domain::books`] decides, rows and `COMMIT` go out.
//! - The user is set per transaction; the role cannot bypass row-level security.
//! - Locks are taken in one order: kill switch, lease, intents by id, audit head.
//! - SQLSTATE is what errors are sorted by.

#![forbid(unsafe_code)]

pub mod audit;
mod connection;
mod control;
mod entry;
mod error;
mod ingest;
mod intents;
mod ledger;
mod members;
pub mod migrate;
mod money;
mod outbox;
mod pool;
mod positions;
pub mod reads;
mod tx;
mod views;

pub use pool::{ConnectFailed, Health, Limits, Store};
