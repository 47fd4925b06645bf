//! Plain reads for the API: SQL functions that answer in JSON, as the user they are read for.

use domain::ids::UserId;
use domain::ports::LedgerError;
use jiff::civil::Date;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use crate::pool::Store;
use crate::tx::Tx;
use crate::views::{json, only};

/// Kill switch, the user's accounts, queues, dead letters, age of the data.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn status(store: &Store, user: UserId) -> Result<Value, LedgerError> {
    read(store, "api_status", user, "SELECT api_status()", None).await
}

/// Setups of a session with their steps.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn setups(store: &Store, user: UserId, session: Date) -> Result<Value, LedgerError> {
    read(store, "api_setups", user, "SELECT api_setups($1::text::date)", Some(session)).await
}

/// Intents of a session with their gates and attempts.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn orders(store: &Store, user: UserId, session: Date) -> Result<Value, LedgerError> {
    read(store, "api_orders", user, "SELECT api_orders($1::text::date)", Some(session)).await
}

/// One intent with everything that happened to it: its setup's steps, gates, sizing, attempts, fills, audit lines; asked
/// for by its id or by the broker's number of one of its orders. Null where the user has none of that name.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn order(store: &Store, user: UserId, asked: &str) -> Result<Value, LedgerError> {
    let rows = Tx::read(
        store,
        "api_order",
        Some(user),
        "SELECT COALESCE((SELECT api_order($1)), 'null')",
        &[(&asked, Type::TEXT)],
    )
    .await?;
    json("api_order", only("api_order", &rows)?, 0)
}

/// The last reconciliation of each account in a session: what differed, what was handed over, what expired.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn reconciliation(store: &Store, user: UserId, session: Date) -> Result<Value, LedgerError> {
    read(store, "api_reconciliation", user, "SELECT api_reconciliation($1::text::date)", Some(session)).await
}

/// Every series traded, with what is held of it.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn positions(store: &Store, user: UserId) -> Result<Value, LedgerError> {
    read(store, "api_positions", user, "SELECT api_positions()", None).await
}

/// Fills of a session.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn fills(store: &Store, user: UserId, session: Date) -> Result<Value, LedgerError> {
    read(store, "api_fills", user, "SELECT api_fills($1::text::date)", Some(session)).await
}

/// Balances of a session.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn snapshots(store: &Store, user: UserId, session: Date) -> Result<Value, LedgerError> {
    read(store, "api_snapshots", user, "SELECT api_snapshots($1::text::date)", Some(session)).await
}

/// Reports of a session, one per account.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn report(store: &Store, user: UserId, session: Date) -> Result<Value, LedgerError> {
    read(store, "api_report", user, "SELECT api_report($1::text::date)", Some(session)).await
}

async fn read(
    store: &Store,
    what: &'static str,
    user: UserId,
    sql: &str,
    session: Option<Date>,
) -> Result<Value, LedgerError> {
    let session = session.map(|it| it.to_string());
    let params: Vec<(&(dyn ToSql + Sync), Type)> =
        session.iter().map(|it| (it as &(dyn ToSql + Sync), Type::TEXT)).collect();
    let rows = Tx::read(store, what, Some(user), sql, &params).await?;
    json(what, only(what, &rows)?, 0)
}
