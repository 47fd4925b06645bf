//! A small pool of connections, each checked alive before use and dropped when a transaction on it did not end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ports::LedgerError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connection::Connection;
use crate::error::{chain, failed};
use crate::migrate;
use crate::tx::Tx;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To get a connection, the wait for a free one included.
    pub connect: Duration,
    /// For one statement, kept by the server.
    pub statement: Duration,
    /// For one flight of statements, kept here: a silent network ends it.
    pub flight: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            statement: Duration::from_secs(4),
            flight: Duration::from_secs(5),
        }
    }
}

/// Why the store could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFailed {
    /// Not a connection string.
    #[error(
        "not a PostgreSQL URL: {0}; expected postgres://user:password@host:5432/database?sslmode=require"
    )]
    Url(String),
    /// Encryption could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
    /// The database did not answer.
    #[error("PostgreSQL did not answer: {0}; check the URL and that the server runs")]
    Unreachable(String),
}

/// The books in PostgreSQL. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    is_direct: bool,
    limits: Limits,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hosts, database) = (self.shared.config.get_hosts(), self.shared.config.get_dbname());
        f.debug_struct("Store").field("hosts", &hosts).field("database", &database).finish_non_exhaustive()
    }
}

/// What readiness asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The schema's version; `None` when nothing was migrated.
    pub schema: Option<i32>,
    /// The version this build works with.
    pub expected: i32,
    /// Whether the role is bound by row-level security.
    pub bound_by_row_security: bool,
}

impl Health {
    /// Whether this build may work on this database.
    pub fn is_ready(&self) -> bool {
        self.schema == Some(self.expected) && self.bound_by_row_security
    }
}

impl Store {
    /// A store on `url` with at most `max` connections. Connects once, so that a wrong URL shows here.
    ///
    /// # Errors
    /// [`ConnectFailed`] in one line.
    pub async fn connect(url: &str, max: usize) -> Result<Self, ConnectFailed> {
        Self::connect_with(url, max, Limits::default()).await
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// [`ConnectFailed`] in one line.
    pub async fn connect_with(url: &str, max: usize, limits: Limits) -> Result<Self, ConnectFailed> {
        let store = Self::lazy(url, max, limits)?;
        let client = open(&store.shared).await.map_err(|it| ConnectFailed::Unreachable(it.to_string()))?;
        store.shared.put_back(client);
        Ok(store)
    }

    /// A store that connects with its first statement: for functions that must also run with the database down.
    ///
    /// # Errors
    /// [`ConnectFailed`] for a URL that does not parse.
    pub fn lazy(url: &str, max: usize, limits: Limits) -> Result<Self, ConnectFailed> {
        let (url, is_direct) = direct(url);
        let (mut config, tls) = configure(&url, limits)?;
        if is_direct {
            // Every statement of ours finds its rows by key: planning it anew for each key costs more than running it.
            config.options("-c plan_cache_mode=force_generic_plan");
        }
        let permits = Arc::new(Semaphore::new(max.max(1)));
        let shared = Shared { config, tls, is_direct, limits, idle: Mutex::default(), permits };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What readiness asks: the schema's version, and that the role cannot look past row-level security.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when there is no answer.
    pub async fn health(&self) -> Result<Health, LedgerError> {
        const SQL: &str = "SELECT to_regclass('public.schema_migrations') IS NOT NULL,
            EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls))";
        const VERSION: &str = "SELECT max(version) FROM schema_migrations";
        let rows = Tx::read(self, "health", None, SQL, &[]).await?;
        let row = rows.first().ok_or_else(|| crate::error::corrupt("health", "no row"))?;
        let fail = failed("health");
        let (migrated, bypasses): (bool, bool) =
            (row.try_get(0).map_err(&fail)?, row.try_get(1).map_err(&fail)?);
        let mut schema = None;
        if migrated {
            let rows = Tx::read(self, "health", None, VERSION, &[]).await?;
            schema = rows.first().map(|it| it.try_get(0)).transpose().map_err(&fail)?.flatten();
        }
        Ok(Health { schema, expected: migrate::VERSION, bound_by_row_security: !bypasses })
    }

    pub(crate) fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// A connection that answers, with the right to use it.
    pub(crate) async fn client(&self, what: &'static str) -> Result<Held, LedgerError> {
        let unavailable = |why: String| LedgerError::Unavailable { what, why };
        let wait = Arc::clone(&self.shared.permits).acquire_owned();
        let permit = tokio::time::timeout(self.shared.limits.connect, wait)
            .await
            .map_err(|_| unavailable("every connection is in use".to_owned()))?
            .map_err(|it| unavailable(it.to_string()))?;
        let client = match self.shared.take_idle() {
            Some(client) => client,
            None => open(&self.shared).await.map_err(unavailable)?,
        };
        Ok(Held { client: Some(client), shared: Arc::clone(&self.shared), clean: false, _permit: permit })
    }
}

impl Shared {
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|it| !it.is_closed());
        idle.pop()
    }

    fn put_back(&self, client: Connection) {
        if !client.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        }
    }
}

/// A connection in use. It goes back only when its transaction ended; else it is closed, and the server rolls back.
pub(crate) struct Held {
    client: Option<Connection>,
    shared: Arc<Shared>,
    clean: bool,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    /// The connection, or an error should it be gone.
    pub(crate) fn get(&self) -> Result<&Connection, LedgerError> {
        let gone = || LedgerError::Unavailable { what: "connection", why: "it was given back".to_owned() };
        self.client.as_ref().ok_or_else(gone)
    }

    /// Notes that no transaction is open on it.
    pub(crate) const fn ended(&mut self) {
        self.clean = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(|_| self.clean) {
            self.shared.put_back(client);
        }
    }
}

/// The URL without `statements=named`, and whether it said so: the server then keeps our statements parsed and planned, less
/// than half of the work for it. Only for a connection to the server itself, or through a pooler that keeps names apart:
/// elsewhere a name may stand for another client's statement.
fn direct(url: &str) -> (String, bool) {
    const NAMED: &str = "statements=named";
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), false) };
    let others: Vec<&str> = query.split('&').filter(|it| *it != NAMED).collect();
    let is_direct = others.len() < query.split('&').count();
    let mark = if others.is_empty() { "" } else { "?" };
    (format!("{base}{mark}{}", others.join("&")), is_direct)
}

/// The driver's settings, and TLS where the URL says `sslmode=require` or `verify-full`; both check the certificate.
fn configure(url: &str, limits: Limits) -> Result<(Config, Option<MakeRustlsConnect>), ConnectFailed> {
    // The driver knows disable, prefer and require; ours always checks the certificate, as verify-full asks.
    let url = url.replace("sslmode=verify-full", "sslmode=require");
    let mut config: Config = url.parse().map_err(|it| ConnectFailed::Url(chain(&it)))?;
    config.connect_timeout(limits.connect);
    if config.get_application_name().is_none() {
        config.application_name("claxton");
    }
    let socket = config.get_hosts().iter().all(|it| matches!(it, Host::Unix(_)));
    if socket || config.get_ssl_mode() != SslMode::Require {
        config.ssl_mode(SslMode::Disable);
        return Ok((config, None));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|it| ConnectFailed::Tls(it.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((config, Some(MakeRustlsConnect::new(tls))))
}

async fn open(shared: &Shared) -> Result<Connection, String> {
    let opening = async {
        match &shared.tls {
            Some(tls) => shared.config.connect(tls.clone()).await.map(|(client, connection)| {
                drop(tokio::spawn(drive(connection)));
                client
            }),
            None => shared.config.connect(NoTls).await.map(|(client, connection)| {
                drop(tokio::spawn(drive(connection)));
                client
            }),
        }
    };
    match tokio::time::timeout(shared.limits.connect, opening).await {
        Ok(Ok(client)) => Ok(Connection::new(client, shared.is_direct)),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no connection within {:?}", shared.limits.connect)),
    }
}

/// Moves bytes until the connection ends. Its error reaches the caller through the client; here it is told once.
async fn drive<C: Future<Output = Result<(), tokio_postgres::Error>>>(connection: C) {
    if let Err(error) = connection.await {
        tracing::debug!(error = chain(&error), "a connection to PostgreSQL ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_that_the_connection_is_direct_and_the_driver_never_sees_it() {
        for (url, rest, is_direct) in [
            ("postgres://u@h/d", "postgres://u@h/d", false),
            ("postgres://u@h/d?statements=named", "postgres://u@h/d", true),
            ("postgres://u@h/d?statements=named&sslmode=require", "postgres://u@h/d?sslmode=require", true),
            ("postgres://u@h/d?sslmode=require&statements=named", "postgres://u@h/d?sslmode=require", true),
            ("postgres://u@h/d?sslmode=require", "postgres://u@h/d?sslmode=require", false),
        ] {
            assert_eq!(direct(url), (rest.to_owned(), is_direct), "{url}");
        }
        let wrong = Store::lazy("postgres://u@h/d?statements=some", 1, Limits::default());
        assert!(matches!(wrong.unwrap_err(), ConnectFailed::Url(_)), "another word is no setting");
    }
}
