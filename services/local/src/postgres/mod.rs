//! A private PostgreSQL: one cluster in a directory of ours, reached over a unix socket and by nobody else.
//!
//! The launcher finds the programs, makes the cluster, takes over from a server that a killed run left behind, waits
//! until it answers, and stops it. Two runs never share a cluster: the lock file says who holds it.

mod binaries;
mod leftover;
mod owner;

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::NoTls;

pub use binaries::Places;

use crate::restarts::{Restarts, words};
use owner::{Owner, Place};

/// The superuser of the cluster: migrations and the launcher use it.
pub const ADMIN_ROLE: &str = "claxton";
/// The role of the functions. It owns nothing and cannot pass row-level security.
pub const APP_ROLE: &str = "claxton_app";

/// How long a start may take; recovery after a kill counts in.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a stop may take before it is forced.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often we look whether something happened that no event tells.
const LOOK: Duration = Duration::from_millis(10);

/// What cluster to start.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where the cluster lies; created when missing, kept when there.
    pub dir: PathBuf,
    /// Whether a commit survives a power cut. Off for demo and tests: commits then survive kill -9, which is all that
    /// they promise, and are an order of magnitude faster.
    pub durable: bool,
    /// Where the programs are looked for.
    pub places: Places,
}

impl PostgresOptions {
    /// A cluster in `dir`, fast rather than durable, with the programs of this machine.
    pub fn fast(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), durable: false, places: Places::of_this_process() }
    }
}

/// A running private PostgreSQL. Dropping it asks the server to stop; [`stop`](Self::stop) also waits.
#[derive(Debug)]
pub struct Postgres {
    server: Mutex<Child>,
    /// The server's number, 0 while none runs: whoever waits for the server holds it.
    pid: AtomicU32,
    launch: Launch,
    took_over: bool,
    version: u32,
    /// Held while we live; the kernel lets go of it when we die in any way.
    _lock: File,
}

/// How a server is started.
#[derive(Debug)]
struct Launch {
    bin: PathBuf,
    owner: Owner,
    place: Place,
    durable: bool,
}

fn url(socket: &Path, role: &str, database: &str) -> String {
    let host = percent(&socket.to_string_lossy());
    format!("postgresql://{role}@{host}:5432/{database}")
}

/// The address of a database for the functions' role, in the cluster that another process of ours runs in `dir`.
///
/// # Errors
/// None runs there.
pub fn running_url(dir: &Path, database: &str) -> anyhow::Result<String> {
    match owner::socket_of(dir) {
        Some(socket) => Ok(url(&socket, APP_ROLE, database)),
        None => bail!("no database runs in {}: start it with `claxton up`", dir.display()),
    }
}

impl Postgres {
    /// Starts the cluster and waits until it answers.
    ///
    /// # Errors
    /// One line that says what to do: nothing installed, another run holds the directory, it is of another major
    /// version, or the server's own last words.
    pub async fn start(options: &PostgresOptions) -> anyhow::Result<Self> {
        let bin = options.places.find().await?;
        let owner = Owner::of(&options.dir)?;
        let place = Place::prepare(&options.dir, &owner)?;
        let lock = lock(&place.base)?;
        let version = binaries::major_version(&bin, &owner).await?;
        let data = place.base.join("data");
        let took_over = leftover::stop(&data, &place.socket).await?;
        check_version(&data, version, &bin)?;
        if !data.join("PG_VERSION").is_file() {
            init(&bin, &owner, &data, options.durable).await?;
        }
        let launch = Launch { bin, owner, place, durable: options.durable };
        let mut server = launch.spawn()?;
        launch.wait_until_ready(&mut server).await?;
        let pid = AtomicU32::new(server.id().unwrap_or(0));
        let it = Self { server: Mutex::new(server), pid, launch, took_over, version, _lock: lock };
        it.create_app_role().await?;
        Ok(it)
    }

    /// Starts the server again whenever it ends by itself, as a database that is looked after would be. Returns when it
    /// ends again and again; it is to be dropped before [`stop`](Self::stop).
    pub async fn keep(&self) -> anyhow::Error {
        let mut server = self.server.lock().await;
        let mut restarts = Restarts::default();
        loop {
            let begun = Instant::now();
            let ended = server.wait().await;
            self.pid.store(0, Ordering::Relaxed);
            let log = self.launch.log();
            let Some(wait) = restarts.after(begun.elapsed(), &ended) else {
                return anyhow!("PostgreSQL ends again and again ({}): {}", words(&ended), last_words(&log));
            };
            tracing::warn!(ended = words(&ended), "PostgreSQL ended and is started again");
            tokio::time::sleep(wait).await;
            *server = match self.launch.again().await {
                Ok(server) => server,
                Err(error) => return error,
            };
            self.pid.store(server.id().unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// The address of a database for the superuser.
    pub fn admin_url(&self, database: &str) -> String {
        self.url(ADMIN_ROLE, database)
    }

    /// The address of a database for the functions' role.
    pub fn app_url(&self, database: &str) -> String {
        self.url(APP_ROLE, database)
    }

    /// The same for a [`store::Store`], which is told that nothing stands between.
    pub fn store_url(&self, database: &str) -> String {
        format!("{}?statements=named", self.app_url(database))
    }

    fn url(&self, role: &str, database: &str) -> String {
        url(&self.launch.place.socket, role, database)
    }

    /// What the user should know: the cluster lies elsewhere than asked.
    pub fn note(&self) -> Option<&str> {
        self.launch.place.note.as_deref()
    }

    /// Whether a server was left over by a killed run and stopped first.
    pub const fn took_over(&self) -> bool {
        self.took_over
    }

    /// The server's major version.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The server's process.
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|it| *it > 0)
    }

    /// Creates a database, empty or as a copy of `template`, to which nobody may be connected.
    ///
    /// # Errors
    /// The server's words: it exists already, or the template is in use.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> anyhow::Result<()> {
        let name = identifier(name)?;
        let template = identifier(template.unwrap_or("template0"))?;
        // The copy by log is spread over the write-ahead log; by file it is quick, and a template is at rest.
        let strategy = if self.version >= 15 { " STRATEGY file_copy" } else { "" };
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {template}{strategy}")).await
    }

    /// Whether there is a database of that name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn has_database(&self, name: &str) -> anyhow::Result<bool> {
        let name = identifier(name)?;
        let client = connect(&self.admin_url("postgres")).await?;
        let row = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await;
        Ok(row.context("cannot list the databases")?.is_some())
    }

    /// Drops a database if it exists, whoever is connected.
    ///
    /// # Errors
    /// The server's words.
    pub async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        let name = identifier(name)?;
        self.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Stops the server and waits until it is gone: connections are cut, nothing committed is lost.
    ///
    /// # Errors
    /// When it neither stops nor can be made to.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut server = self.server.lock().await;
        self.signal(Signal::SIGINT);
        if tokio::time::timeout(STOP_TIMEOUT, server.wait()).await.is_err() {
            self.signal(Signal::SIGQUIT);
            let forced = tokio::time::timeout(STOP_TIMEOUT, server.wait()).await;
            forced.context("PostgreSQL does not stop, even when forced: end it by hand")??;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(|it| i32::try_from(it).ok()) {
            // The server may have ended in between; then there is nothing to tell it.
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    async fn create_app_role(&self) -> anyhow::Result<()> {
        self.execute(&format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN \
             CREATE ROLE {APP_ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS; END IF; END $$"
        ))
        .await
    }

    async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let client = connect(&self.admin_url("postgres")).await?;
        client.batch_execute(sql).await.with_context(|| format!("PostgreSQL refused {sql:?}"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Fast shutdown: the server finishes alone, also after we are gone.
        self.signal(Signal::SIGINT);
    }
}

/// Connects and drives the connection until the client is dropped.
async fn connect(url: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.context("cannot connect to PostgreSQL")?;
    drop(tokio::spawn(connection));
    Ok(client)
}

/// Takes the directory's lock or says who has it.
fn lock(base: &Path) -> anyhow::Result<File> {
    let path = base.join("claxton.lock");
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).ok();
            bail!(
                "{} is in use by claxton (process {}): end that run or choose another data directory",
                base.display(),
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()))?;
    Ok(file)
}

/// A cluster is readable by its own major version alone.
fn check_version(data: &Path, version: u32, bin: &Path) -> anyhow::Result<()> {
    let Ok(text) = std::fs::read_to_string(data.join("PG_VERSION")) else { return Ok(()) };
    let found = text.trim();
    if found != version.to_string() {
        bail!(
            "{} was made by PostgreSQL {found} and {} is version {version}: set CLAXTON_PG_BIN to a bin directory of version {found}, or remove the data directory",
            data.display(),
            bin.display()
        );
    }
    Ok(())
}

/// Makes the cluster beside its place and moves it there whole, so that no half-made one is ever found.
async fn init(bin: &Path, owner: &Owner, data: &Path, durable: bool) -> anyhow::Result<()> {
    let fresh = data.with_extension("new");
    std::fs::remove_dir_all(&fresh).ok();
    let mut command = owner.command(&bin.join("initdb"));
    command.arg("-D").arg(&fresh).args(["-U", ADMIN_ROLE, "--auth=trust", "--encoding=UTF8", "--no-locale"]);
    if !durable {
        command.arg("--no-sync");
    }
    let output = command.kill_on_drop(true).output().await.context("cannot run initdb")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "initdb failed: {}",
            said.lines().rfind(|it| it.contains("error")).unwrap_or("no reason given")
        );
    }
    std::fs::rename(&fresh, data)
        .with_context(|| format!("cannot move the new cluster to {}", data.display()))
}

impl Launch {
    fn log(&self) -> PathBuf {
        self.place.base.join("postgres.log")
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log_path = self.log();
        let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut command = self.owner.command(&self.bin.join("postgres"));
        command.arg("-D").arg(self.place.base.join("data"));
        let socket = self.place.socket.to_string_lossy();
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("listen_addresses", "");
        set("unix_socket_directories", &socket);
        set("unix_socket_permissions", "0700");
        set("port", "5432");
        set("max_connections", "100");
        set("wal_level", "minimal");
        set("max_wal_senders", "0");
        set("timezone", "UTC");
        set("jit", "off");
        if !self.durable {
            set("fsync", "off");
            set("synchronous_commit", "off");
            set("full_page_writes", "off");
        }
        command.stdout(log.try_clone()?).stderr(Stdio::from(log));
        // Not killed on drop: a kill of the postmaster alone would orphan its backends. `Drop` asks it to stop.
        command.spawn().with_context(|| format!("cannot start {}", self.bin.join("postgres").display()))
    }

    /// Starts a server where one was, once nothing of the old one is left.
    async fn again(&self) -> anyhow::Result<Child> {
        leftover::stop(&self.place.base.join("data"), &self.place.socket).await?;
        let mut server = self.spawn()?;
        self.wait_until_ready(&mut server).await?;
        Ok(server)
    }

    async fn wait_until_ready(&self, server: &mut Child) -> anyhow::Result<()> {
        let (url, log) = (url(&self.place.socket, ADMIN_ROLE, "postgres"), self.log());
        let ready = async {
            loop {
                tokio::select! {
                    biased;
                    ended = server.wait() => bail!("PostgreSQL ended ({}): {}", ended?, last_words(&log)),
                    answer = connect(&url) => if answer.is_ok() { return Ok(()) },
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(START_TIMEOUT, ready).await {
            Ok(answer) => answer,
            Err(_) => bail!("PostgreSQL did not answer in {START_TIMEOUT:?}: {}", last_words(&log)),
        }
    }
}

/// The line of the server's log that says why it ended.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line =
        text.lines().rfind(|it| it.contains("FATAL") || it.contains("PANIC")).or_else(|| text.lines().last());
    format!("{} (see {})", line.unwrap_or("it said nothing"), log.display())
}

/// A name that needs no quoting.
fn identifier(name: &str) -> anyhow::Result<&str> {
    let first = name.starts_with(|it: char| it.is_ascii_lowercase() || it == '_');
    let rest = name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
    if first && rest && name.len() <= 63 {
        return Ok(name);
    }
    bail!("{name:?} is no database name: use lower-case letters, digits and _")
}

/// Percent-encodes everything but the unreserved characters, as an address wants it.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
