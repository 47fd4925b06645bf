//! Plain reads, as a port: SQL functions that answer in JSON.

use domain::ids::UserId;
use domain::ports::LedgerError;
use jiff::civil::Date;
use serde_json::Value;
use store::Store;

/// What is read for somebody, as JSON that can be answered.
#[allow(async_fn_in_trait, reason = "driven by one caller, as the ports are")]
pub trait Reads {
    /// Kill switch, the user's accounts, queues, dead letters, age of the data.
    async fn status(&self, user: UserId) -> Result<Value, LedgerError>;
    /// Setups of a session with their steps.
    async fn setups(&self, user: UserId, session: Date) -> Result<Value, LedgerError>;
    /// Intents of a session with gates and attempts.
    async fn orders(&self, user: UserId, session: Date) -> Result<Value, LedgerError>;
    /// One intent's whole story, by its id or its broker's number; null where the user has none of that name.
    async fn order(&self, user: UserId, asked: &str) -> Result<Value, LedgerError>;
    /// What was traded and is held, by series.
    async fn positions(&self, user: UserId) -> Result<Value, LedgerError>;
    /// Fills of a session.
    async fn fills(&self, user: UserId, session: Date) -> Result<Value, LedgerError>;
    /// Balances of a session.
    async fn snapshots(&self, user: UserId, session: Date) -> Result<Value, LedgerError>;
    /// Reports of a session.
    async fn report(&self, user: UserId, session: Date) -> Result<Value, LedgerError>;
    /// The last reconciliation of each account in a session: what differed, what was handed over, what expired.
    async fn reconciliation(&self, user: UserId, session: Date) -> Result<Value, LedgerError>;
    /// The schema's version, the version this build works with, and whether the role is bound by row-level security.
    async fn schema(&self) -> Result<Schema, LedgerError>;
}

/// What the database is to this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The version found; `None` when nothing was migrated.
    pub found: Option<i32>,
    /// The version this build works with.
    pub expected: i32,
    /// Whether the role is bound by row-level security.
    pub is_bound: bool,
}

impl Reads for Store {
    async fn status(&self, user: UserId) -> Result<Value, LedgerError> {
        store::reads::status(self, user).await
    }

    async fn setups(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        store::reads::setups(self, user, session).await
    }

    async fn orders(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        store::reads::orders(self, user, session).await
    }

    async fn order(&self, user: UserId, asked: &str) -> Result<Value, LedgerError> {
        store::reads::order(self, user, asked).await
    }

    async fn positions(&self, user: UserId) -> Result<Value, LedgerError> {
        store::reads::positions(self, user).await
    }

    async fn fills(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        store::reads::fills(self, user, session).await
    }

    async fn snapshots(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        store::reads::snapshots(self, user, session).await
    }

    async fn report(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        store::reads::report(self, user, session).await
    }

    async fn reconciliation(&self, user: UserId, session: Date) -> Result<Value, LedgerError> {
        store::reads::reconciliation(self, user, session).await
    }

    async fn schema(&self) -> Result<Schema, LedgerError> {
        let health = self.health().await?;
        let (found, expected) = (health.schema, health.expected);
        Ok(Schema { found, expected, is_bound: health.bound_by_row_security })
    }
}
