//! The schema: migrations compiled in, applied in order, never changed once applied.

use tokio_postgres::types::Type;

use crate::error::{chain, failed};
use crate::pool::{ConnectFailed, Store};
use crate::tx::Tx;
use domain::ports::LedgerError;

/// A migration: its number, its name and its text.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// From 1, without a gap.
    pub version: i32,
    /// The file's name.
    pub name: &'static str,
    /// What it does.
    pub sql: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/", $name, ".sql")),
        }
    };
}

/// Every migration, in order.
pub const MIGRATIONS: [Migration; 11] = [
    migration!(1, "0001_ledger"),
    migration!(2, "0002_api"),
    migration!(3, "0003_audit"),
    migration!(4, "0004_protection"),
    migration!(5, "0005_structures"),
    migration!(6, "0006_books"),
    migration!(7, "0007_members"),
    migration!(8, "0008_fidelity"),
    migration!(9, "0009_readings"),
    migration!(10, "0010_halts"),
    migration!(11, "0011_legs"),
];

/// The version this build works with.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The version found.
    pub from: i32,
    /// The version now.
    pub to: i32,
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectFailed),
    /// The database did not answer, or refused a statement.
    #[error("migration {name}: {error}")]
    Failed {
        /// Which.
        name: &'static str,
        /// What it said.
        error: String,
    },
    /// A file was changed after it was applied.
    #[error("migration {name} was changed after it was applied: restore the file and write a new migration")]
    Changed {
        /// Which.
        name: String,
    },
    /// The database is ahead of this build.
    #[error("the database has schema version {found}, this build knows {VERSION}: deploy a newer build")]
    Ahead {
        /// What it has.
        found: i32,
    },
}

/// Brings the database at `url` up to date. The URL's role must own the schema; runs beside each other wait.
///
/// # Errors
/// [`MigrateError`]; what was applied before the failing migration stays.
pub async fn migrate(url: &str) -> Result<Applied, MigrateError> {
    let limits = crate::Limits {
        connect: std::time::Duration::from_secs(10),
        statement: std::time::Duration::from_secs(300),
        flight: std::time::Duration::from_secs(310),
    };
    let store = Store::connect_with(url, 1, limits).await?;
    let mut from = None;
    for migration in &MIGRATIONS {
        let found = apply(&store, migration).await?;
        from.get_or_insert(found);
    }
    Ok(Applied { from: from.unwrap_or(VERSION), to: VERSION })
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

/// Applies one migration if it is not there, in one transaction, and says which version it found.
async fn apply(store: &Store, migration: &Migration) -> Result<i32, MigrateError> {
    let fail = |error: LedgerError| MigrateError::Failed { name: migration.name, error: error.to_string() };
    const LOCK: &str = "SELECT pg_advisory_xact_lock(7215362841)";
    let (tx, _) = Tx::open(store, "migrate", None, &[(LOCK, &[])]).await.map_err(fail)?;
    tx.batch(TABLE).await.map_err(fail)?;
    const APPLIED: &str = "SELECT version, name, checksum, encode(sha256(convert_to($1, 'UTF8')), 'hex')
        FROM (SELECT) one LEFT JOIN schema_migrations ON true ORDER BY version";
    let rows = tx.query(APPLIED, &[(&migration.sql, Type::TEXT)]).await.map_err(fail)?;
    let wrong = |it: tokio_postgres::Error| MigrateError::Failed { name: migration.name, error: chain(&it) };
    let mut found = 0;
    let mut known = false;
    for row in &rows {
        let version: Option<i32> = row.try_get(0).map_err(wrong)?;
        let Some(version) = version else { continue };
        found = found.max(version);
        let (checksum, ours): (String, String) =
            (row.try_get(2).map_err(wrong)?, row.try_get(3).map_err(wrong)?);
        if version == migration.version {
            known = true;
            if checksum != ours {
                return Err(MigrateError::Changed { name: row.try_get(1).map_err(wrong)? });
            }
        }
    }
    if found > VERSION {
        return Err(MigrateError::Ahead { found });
    }
    if known {
        tx.rollback().await.map_err(fail)?;
        return Ok(found);
    }
    tx.batch(migration.sql).await.map_err(fail)?;
    const NOTE: &str = "INSERT INTO schema_migrations (version, name, checksum)
        VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))";
    let note: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
        [(&migration.version, Type::INT4), (&migration.name, Type::TEXT), (&migration.sql, Type::TEXT)];
    tx.finish(NOTE, &note).await.map_err(fail)?;
    Ok(found)
}

impl Tx {
    /// Several statements without parameters.
    async fn batch(&self, sql: &str) -> Result<(), LedgerError> {
        self.raw()?.batch(sql).await.map_err(failed("migrate"))
    }
}
