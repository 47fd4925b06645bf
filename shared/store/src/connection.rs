//! One connection, and the statements that the server keeps parsed and planned for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

/// Parameters with their types, so that the server need not be asked for them.
pub(crate) type Params<'p> = &'p [(&'p (dyn ToSql + Sync), Type)];

/// A connection to PostgreSQL.
pub(crate) struct Connection {
    client: Client,
    kept: Option<Mutex<HashMap<String, Statement>>>,
}

/// A statement that can go out without another question.
pub(crate) enum Ready<'q> {
    /// The server has it under a name.
    Kept(Statement),
    /// It goes out as text.
    Once(&'q str),
}

impl Connection {
    /// A connection whose server keeps statements, or one behind a pooler, where a name may be another client's.
    pub(crate) fn new(client: Client, is_direct: bool) -> Self {
        Self { client, kept: is_direct.then(Mutex::default) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Statements without parameters, such as `BEGIN` and `COMMIT`.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    /// Makes statements ready: one flight for those the server does not have yet, none once it has them.
    pub(crate) async fn ready<'q>(&self, asked: &[(&'q str, Params<'_>)]) -> Result<Vec<Ready<'q>>, Error> {
        try_join_all(asked.iter().map(|(sql, params)| self.one_ready(sql, params))).await
    }

    /// Makes one statement ready.
    pub(crate) async fn one_ready<'q>(&self, sql: &'q str, params: Params<'_>) -> Result<Ready<'q>, Error> {
        let Some(kept) = &self.kept else { return Ok(Ready::Once(sql)) };
        let known = kept.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(Ready::Kept(statement));
        }
        let types: Vec<Type> = params.iter().map(|it| it.1.clone()).collect();
        let statement = self.client.prepare_typed(sql, &types).await?;
        kept.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned(), statement.clone());
        Ok(Ready::Kept(statement))
    }

    /// Asks what is ready. It is sent when first polled.
    pub(crate) async fn ask(&self, ready: &Ready<'_>, params: Params<'_>) -> Result<Vec<Row>, Error> {
        match ready {
            Ready::Kept(statement) => {
                let rows = self.client.query_raw(statement, params.iter().map(|it| it.0)).await?;
                rows.try_collect().await
            }
            Ready::Once(sql) => self.client.query_typed(sql, params).await,
        }
    }
}
