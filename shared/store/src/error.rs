//! SQLSTATE to what the caller does next.

use domain::ports::LedgerError;
use tokio_postgres::error::SqlState;

/// Sorts a driver error for the method `what`.
///
/// Integrity, data and privilege errors are refusals: repeating will not help. Two writers that met, a canceled
/// statement, a closed connection and whatever has no SQLSTATE may be asked again. The rest is a statement the schema
/// does not know: the database is at another version.
pub(crate) fn failed(what: &'static str) -> impl Fn(tokio_postgres::Error) -> LedgerError {
    move |error| {
        let Some(db) = error.as_db_error() else {
            return LedgerError::Unavailable { what, why: chain(&error) };
        };
        let why = format!("{}: {}", db.code().code(), db.message());
        // Two transactions wrote the same key at once: the second finds the first one's row when it asks again.
        if *db.code() == SqlState::UNIQUE_VIOLATION
            && db.constraint() != Some("order_attempts_by_broker_order")
        {
            return LedgerError::Unavailable { what, why };
        }
        match db.code().code().get(..2) {
            Some("22" | "23") => LedgerError::Refused { what, why },
            Some("42") if *db.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
                LedgerError::Refused { what, why }
            }
            Some("42") => LedgerError::Corrupt { what, why: format!("{why} (is the schema migrated?)") },
            _ => LedgerError::Unavailable { what, why },
        }
    }
}

/// A row that does not read as what it should be.
pub(crate) fn corrupt(what: &'static str, why: impl ToString) -> LedgerError {
    LedgerError::Corrupt { what, why: why.to_string() }
}

/// A write that contradicts what is recorded.
pub(crate) fn refused(what: &'static str, why: impl ToString) -> LedgerError {
    LedgerError::Refused { what, why: why.to_string() }
}

/// An error and its sources, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(it) = source {
        let more = it.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = it.source();
    }
    text
}
