//! What the runner itself reads from the books: as the operator's eye, never to decide an order.

use std::collections::BTreeSet;

use domain::market::{Points, SourceProfile};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The books of a run, asked over a connection per question: the database may be restarted meanwhile.
pub(super) struct Books {
    /// Where they are.
    pub(super) url: String,
}

/// How far a session has come.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Bars written.
    pub(super) microbars: u64,
    /// Steps of setups.
    pub(super) transitions: u64,
    /// Messages that went to queues.
    pub(super) messages: u64,
    /// The series that were traded.
    pub(super) traded: BTreeSet<String>,
}

impl Books {
    /// The index's last value of the session, which stands in for the exchange's official close.
    pub(super) async fn last_index(&self, profile: &SourceProfile) -> Option<Points> {
        const SQL: &str = "SELECT close_e4 FROM microbars WHERE symbol = $1 AND ts_ns BETWEEN $2 AND $3
            AND close_e4 IS NOT NULL ORDER BY ts_ns DESC LIMIT 1";
        let (symbol, session) = (profile.index.to_string(), profile.session);
        let row = self.row(SQL, &[&symbol, &session.open.0, &session.close.0]).await;
        let found = row.and_then(|it| Ok(it.map(|it| it.try_get(0)).transpose()?.map(Points)));
        found.unwrap_or_else(|error| {
            tracing::warn!("the index's close is not known: {error:#}");
            None
        })
    }

    /// How far the session has come; nothing while the books do not answer.
    pub(super) async fn standing(&self, profile: &SourceProfile) -> Standing {
        const SQL: &str = "SELECT (SELECT count(*) FROM microbars WHERE ts_ns BETWEEN $1 AND $2),
            (SELECT count(*) FROM setup_transitions WHERE ts_ns BETWEEN $1 AND $2),
            (SELECT count(*) FROM outbox WHERE sent_ns BETWEEN $1 AND $2),
            (SELECT array_agg(DISTINCT series) FROM fills WHERE at_ns BETWEEN $1 AND $2)";
        let session = profile.session;
        let asked = async {
            let Some(row) = self.row(SQL, &[&session.open.0, &session.close.0]).await? else {
                return anyhow::Ok(Standing::default());
            };
            let count = |n| anyhow::Ok(u64::try_from(row.try_get::<_, i64>(n)?)?);
            let traded: Option<Vec<String>> = row.try_get(3)?;
            Ok(Standing {
                microbars: count(0)?,
                transitions: count(1)?,
                messages: count(2)?,
                traded: traded.unwrap_or_default().into_iter().collect(),
            })
        };
        asked.await.unwrap_or_else(|error| {
            tracing::warn!("the session's standing is not known: {error:#}");
            Standing::default()
        })
    }

    async fn row(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> anyhow::Result<Option<Row>> {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await?;
        let connection = tokio::task::spawn_local(connection);
        let row = client.query_opt(sql, values).await?;
        drop(client);
        connection.await??;
        Ok(row)
    }
}
