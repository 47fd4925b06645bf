//! Transactions, in as few flights as can be: statements that need no answer in between travel together.

use std::future::Future;

use domain::ids::UserId;
use domain::ports::LedgerError;
use futures_util::future::{join, join_all, join3};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::connection::Connection;
pub(crate) use crate::connection::Params;
use crate::error::failed;
use crate::pool::{Held, Store};

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
        let (start, limit) = (begin(store, user), store.limits().flight);
        let client = held.get()?;
        let ready = within(what, limit, client.one_ready(sql, params)).await?.map_err(failed(what))?;
        let flight = join3(client.batch(&start), client.ask(&ready, params), client.batch("COMMIT"));
        let (begun, rows, ended) = within(what, limit, flight).await?;
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
        let (start, limit) = (begin(store, user), store.limits().flight);
        let client = held.get()?;
        let ready = within(what, limit, client.ready(statements)).await?.map_err(failed(what))?;
        // Both futures poll their parts in order at first, and a statement is sent when first polled.
        let asked = ready.iter().zip(statements).map(|(ready, (_, params))| client.ask(ready, params));
        let (begun, answers) = within(what, limit, join(client.batch(&start), join_all(asked))).await?;
        begun.map_err(failed(what))?;
        let rows = answers.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed(what))?;
        Ok((Self { held, what, limit }, rows))
    }

    /// The connection itself, for a migration's text.
    pub(crate) fn raw(&self) -> Result<&Connection, LedgerError> {
        self.held.get()
    }

    /// A further query.
    pub(crate) async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, LedgerError> {
        let client = self.held.get()?;
        let answer = async {
            let ready = client.one_ready(sql, params).await?;
            client.ask(&ready, params).await
        };
        within(self.what, self.limit, answer).await?.map_err(failed(self.what))
    }

    /// Goes on as another user.
    pub(crate) async fn become_user(&self, user: UserId) -> Result<(), LedgerError> {
        let name = user.to_string();
        let sql = "SELECT set_config('claxton.user_id', $1, true)";
        self.query(sql, &[(&name, Type::TEXT)]).await.map(drop)
    }

    /// The last statement and the commit, in one flight.
    pub(crate) async fn finish(mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, LedgerError> {
        let (client, what) = (self.held.get()?, self.what);
        let ready = within(what, self.limit, client.one_ready(sql, params)).await?.map_err(failed(what))?;
        let flight = join(client.ask(&ready, params), client.batch("COMMIT"));
        let (rows, ended) = within(what, self.limit, flight).await?;
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
        within(self.what, self.limit, client.batch(how)).await?.map_err(failed(self.what))?;
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
