//! Brings the schema up to date: invoked by a deployment, before traffic.

#![forbid(unsafe_code)]

use serde::Serialize;
use store::migrate::{MIGRATIONS, MigrateError};

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migrated {
    /// The version found.
    pub from: i32,
    /// The version now.
    pub to: i32,
    /// The migrations applied, in order; empty when there was nothing to do.
    pub applied: Vec<&'static str>,
}

/// Brings the database at `url` up to date. The URL's role must own the schema. Run again, it does nothing.
///
/// # Errors
/// [`MigrateError`] with the migration and the database's words; what was applied before it stays.
pub async fn run(url: &str) -> Result<Migrated, MigrateError> {
    let done = store::migrate::migrate(url).await?;
    Ok(Migrated { from: done.from, to: done.to, applied: applied(done.from, done.to) })
}

/// The names of the migrations after `from` up to `to`.
fn applied(from: i32, to: i32) -> Vec<&'static str> {
    let new = MIGRATIONS.iter().filter(|it| from < it.version && it.version <= to);
    new.map(|it| it.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_is_named_in_order_and_nothing_when_there_was_nothing_to_do() {
        let last = MIGRATIONS.last().unwrap();
        assert_eq!(applied(0, last.version).len(), MIGRATIONS.len());
        assert_eq!(applied(last.version - 1, last.version), [last.name]);
        assert!(applied(last.version, last.version).is_empty());
    }
}
