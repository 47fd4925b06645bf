//! Scaffolding for the behaviour tests of the whole.

use anyhow::Context as _;
use local::postgres::{Postgres, PostgresOptions};
use local::scratch::Scratch;
use store::Store;
use tokio_postgres::{Client, NoTls};

/// The books in a private PostgreSQL of this test: a cluster in a directory of its own, both gone when it is dropped.
#[derive(Debug)]
pub struct Books {
    postgres: Postgres,
    // After the server: the directory goes when nobody writes into it any more.
    _dir: Scratch,
}

/// The database of the tests.
const DATABASE: &str = "books";

/// Empties every table but the schema's own. Triggers and foreign keys are off for it: they guard the product's
/// writes, and these are none.
const EMPTY: &str = "SET session_replication_role = replica;
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations' LOOP
            EXECUTE format('DELETE FROM %I', name);
        END LOOP;
    END $$";

impl Books {
    /// A cluster with a migrated, empty database.
    ///
    /// # Errors
    /// The launcher's or the migration's words.
    pub async fn start(name: &str) -> anyhow::Result<Self> {
        let dir = Scratch::new(name);
        let postgres = Postgres::start(&PostgresOptions::fast(dir.path().join("postgres"))).await?;
        postgres.create_database(DATABASE, None).await?;
        let books = Self { postgres, _dir: dir };
        store::migrate::migrate(&books.admin_url()).await?;
        Ok(books)
    }

    /// The address of the database for its owner.
    pub fn admin_url(&self) -> String {
        self.postgres.admin_url(DATABASE)
    }

    /// The address of the database for the functions' role.
    pub fn app_url(&self) -> String {
        self.postgres.app_url(DATABASE)
    }

    /// A store as the functions have it.
    ///
    /// # Errors
    /// When it does not connect.
    pub async fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::connect(&self.app_url(), 4).await?)
    }

    /// A store on tables without a row; one that `is_direct` has the server keep its statements.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fresh(&self, is_direct: bool) -> anyhow::Result<Store> {
        self.client(&self.admin_url()).await?.batch_execute(EMPTY).await?;
        let url = if is_direct { self.postgres.store_url(DATABASE) } else { self.app_url() };
        Ok(Store::connect(&url, 4).await?)
    }

    /// A bare connection, to look behind the store.
    ///
    /// # Errors
    /// When it does not connect.
    pub async fn client(&self, url: &str) -> anyhow::Result<Client> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("cannot connect")?;
        drop(tokio::spawn(connection));
        Ok(client)
    }

    /// Stops the server and waits for it.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.postgres.stop().await
    }
}
