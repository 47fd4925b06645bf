//! Transactions, in as few flights as can be: statements that need no answer in between travel together.

use std::future::Future;

use domain::ids::UserId;
use domain::ports::LedgerError;
use futures_util::future::{join, join_all, join3};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::error::failed;
use crate::pool::{Held, Store};

/// Parameters with their types: nothing is prepared, so nothing is asked of the server beforehand.
pub(crate) type Params<'p> = &'p [(&'p (dyn ToSql + Sync), Type)];

/// A transaction that looked and has not written yet. Dropped, its connection closes and the server rolls back.
pub(crate) struct Tx {
    held: Held,
    what: &'static str,
    limit: std::time::Duration,
}

impl Tx {
    /// One query in a transaction of its own: one flight. Also for single statements that write.
    pub(crate) async fn read(
        store: &Store,
        what: &'static str,
        user: Option<UserId>,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, LedgerError> {
        let mut held = store.client(what).await?;
        let start = begin(store, user);
        let client = held.get()?;
        let flight = join3(
            client.batch_execute(&start),
            client.query_typed(sql, params),
            client.batch_execute("COMMIT"),
        );
        let (begun, rows, ended) = within(what, store.limits().flight, flight).await?;
        begun.map_err(failed(what))?;
        if ended.is_ok() {
            held.ended();
        }
        let rows = rows.map_err(failed(what))?;
        ended.map_err(failed(what))?;
        Ok(rows)
    }

    /// Opens a transaction with statements that travel in the flight that begins it: locks first, then the reads of
    /// what they hold still. They are separate statements, because what a statement read before it waited is old.
    pub(crate) async fn open(
        store: &Store,
        what: &'static str,
        user: Option<UserId>,
        statements: &[(&str, Params<'_>)],
    ) -> Result<(Self, Vec<Vec<Row>>), LedgerError> {
        let held = store.client(what).await?;
        let start = begin(store, user);
        let client = held.get()?;
        // Both futures poll their parts in order at first, and a statement is sent when first polled.
        let all = join_all(statements.iter().map(|(sql, params)| client.query_typed(sql, params)));
        let (begun, answers) =
            within(what, store.limits().flight, join(client.batch_execute(&start), all)).await?;
        begun.map_err(failed(what))?;
        let rows = answers.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed(what))?;
        Ok((Self { held, what, limit: store.limits().flight }, rows))
    }

    /// The connection itself, for a migration's text.
    pub(crate) fn raw(&self) -> Result<&Client, LedgerError> {
        self.held.get()
    }

    /// A further query.
    pub(crate) async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, LedgerError> {
        let client: &Client = self.held.get()?;
        within(self.what, self.limit, client.query_typed(sql, params)).await?.map_err(failed(self.what))
    }

    /// Goes on as another user.
    pub(crate) async fn become_user(&self, user: UserId) -> Result<(), LedgerError> {
        let name = user.to_string();
        let sql = "SELECT set_config('claxton.user_id', $1, true)";
        self.query(sql, &[(&name, Type::TEXT)]).await.map(drop)
    }

    /// The last statement and the commit, in one flight.
    pub(crate) async fn finish(mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, LedgerError> {
        let client = self.held.get()?;
        let flight = join(client.query_typed(sql, params), client.batch_execute("COMMIT"));
        let (rows, ended) = within(self.what, self.limit, flight).await?;
        if ended.is_ok() {
            self.held.ended();
        }
        let rows = rows.map_err(failed(self.what))?;
        ended.map_err(failed(self.what))?;
        Ok(rows)
    }

    /// Ends it with everything written so far.
    pub(crate) async fn commit(self) -> Result<(), LedgerError> {
        self.end("COMMIT").await
    }

    /// Ends it without a trace.
    pub(crate) async fn rollback(self) -> Result<(), LedgerError> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &str) -> Result<(), LedgerError> {
        let client = self.held.get()?;
        within(self.what, self.limit, client.batch_execute(how)).await?.map_err(failed(self.what))?;
        self.held.ended();
        Ok(())
    }
}

/// Begins a transaction as `user` with its statement timeout; both last as long as it does.
fn begin(store: &Store, user: Option<UserId>) -> String {
    let user = user.map(|it| it.to_string()).unwrap_or_default();
    let limit = store.limits().statement.as_millis();
    format!(
        "BEGIN; SELECT set_config('claxton.user_id', '{user}', true), set_config('statement_timeout', '{limit}', true)"
    )
}

/// A flight that does not land in time is one without an answer: what it wrote may or may not be there.
async fn within<F: Future>(
    what: &'static str,
    limit: std::time::Duration,
    flight: F,
) -> Result<F::Output, LedgerError> {
    let late = |_| LedgerError::Unavailable { what, why: format!("no answer within {limit:?}") };
    tokio::time::timeout(limit, flight).await.map_err(late)
}
