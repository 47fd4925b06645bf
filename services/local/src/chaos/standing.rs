//! The run under chaos, from outside: its process, its books, its broker.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use broker::connector::Connector;
use broker::https::{Https, Patience};
use domain::account::{BrokerCredential, RiskLimits, UserSettings};
use domain::money::Usd;
use domain::ports::{Clock as _, CredentialChange, Ledger as _, Secrets as _};
use domain::secret::Token;
use http::Method;
use lambda_kit::clock::{OFFSET_VARIABLE, SystemClock};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::journal::Files;
use sim::broker::TranscriptLine;
use sim::vault::MemSecrets;
use store::Store;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use world::simulated::{Member, members};

use super::Ask;
use super::processes::{self, Found};
use crate::asking;

/// From the command to its address; recovery after a power cut counts in.
const UP_WITHIN: Duration = Duration::from_secs(180);
/// From SIGTERM to the end.
const DOWN_WITHIN: Duration = Duration::from_secs(60);
/// How long a write of ours is repeated while the database is away.
const WRITTEN_WITHIN: Duration = Duration::from_secs(120);
/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// When the session begins for us: the market is open, and entries are for hours.
const START: &str = "10:00";

/// How the driver reads the market: as one of the members would.
pub(super) type Brokers = Connector<MemSecrets, Https, SystemClock>;

/// A run that is up.
pub(super) struct Standing {
    ask: Ask,
    runner: Child,
    /// Where its API is.
    api: String,
    /// Where its broker is.
    broker: String,
    pub(super) store: Store,
    pub(super) brokers: Brokers,
    pub(super) clock: SystemClock,
    pub(super) members: [Member; 2],
}

impl Standing {
    /// Starts a run of its own.
    ///
    /// # Errors
    /// The run's own last words.
    pub(super) async fn up(ask: &Ask) -> anyhow::Result<Self> {
        let run = ask.data_dir.join("run.json");
        if ask.data_dir.exists() {
            if !run.is_file() {
                bail!("{} is no data directory of a run: name another one", ask.data_dir.display());
            }
            std::fs::remove_dir_all(&ask.data_dir)
                .with_context(|| format!("cannot replace {}", ask.data_dir.display()))?;
        }
        std::fs::create_dir_all(&ask.data_dir)
            .with_context(|| format!("cannot make {}", ask.data_dir.display()))?;
        Self::open(ask).await
    }

    /// Gives the command, and finds books and broker.
    async fn open(ask: &Ask) -> anyhow::Result<Self> {
        let members = members();
        let (runner, api) = start(ask).await?;
        let site = Site::read(ask)?;
        let secrets = MemSecrets::default();
        for it in &members {
            let (account, number) = (it.account, it.number.clone());
            let token = Token::new(it.token.as_str());
            secrets.put(&BrokerCredential { account, token, number, flatten_foreign: false }).await?;
        }
        let transport = Https::new(&site.broker, Patience::default())?;
        let store = Store::connect(&site.database, 2).await?;
        for member in &members {
            store.store_settings(member.account.user, &without_limits(member)).await?;
        }
        let (ask, clock, broker) = (ask.clone(), site.clock, site.broker);
        let brokers = Connector::new(secrets, clock, transport, None);
        Ok(Self { ask, runner, api, broker, store, brokers, clock, members })
    }

    /// Notes that every credential is proven: the proof is a day's, and a fault may have had one refused.
    pub(super) async fn prove_credentials(&self) -> anyhow::Result<()> {
        for member in &self.members {
            let (account, now) = (member.account, self.clock.now());
            self.written(async || {
                Ok(self.store.change_credential(&account, &CredentialChange::Proven, now).await?)
            })
            .await?;
        }
        Ok(())
    }

    /// Repeats a write until it is written: each has one effect, however often it is made.
    pub(super) async fn written<T>(&self, write: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let tries = async {
            loop {
                match write().await {
                    Ok(done) => return done,
                    Err(error) => tracing::info!("written again: {error:#}"),
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
        };
        tokio::time::timeout(WRITTEN_WITHIN, tries).await.context("the database stays away")
    }

    /// The programs of the run.
    pub(super) fn processes(&self) -> Vec<Found> {
        self.runner.id().map(processes::of).unwrap_or_default()
    }

    /// Sets what goes wrong at the broker; nothing where `script` is empty.
    pub(super) async fn faults(&self, script: &str) -> anyhow::Result<()> {
        let method = if script.is_empty() { Method::DELETE } else { Method::PUT };
        let (status, body) =
            asking::ask(&self.broker, method, "/_sandbox/faults", None, script.to_owned()).await?;
        if !status.is_success() {
            bail!("the sandbox refuses its faults ({status}): {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    /// What really happened at the broker.
    pub(super) fn transcript(&self) -> anyhow::Result<Vec<TranscriptLine>> {
        Files::in_dir(&self.ask.data_dir.join("run/broker")).transcript()
    }

    /// Kills the runner and everything it started, all at once, and gives the same command again.
    pub(super) async fn lose_power(&mut self) -> anyhow::Result<()> {
        let mut all: Vec<i32> = self.processes().iter().map(|it| it.pid).collect();
        all.extend(self.runner.id().and_then(|it| i32::try_from(it).ok()));
        for pid in all.into_iter().rev() {
            // Gone by now is as good.
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
        self.runner.wait().await?;
        *self = Self::open(&self.ask).await?;
        Ok(())
    }

    /// Stops entries and closes everything that is ours, as the operator.
    pub(super) async fn flatten(&self) -> anyhow::Result<()> {
        let stop = r#"{"scope": "global", "state": "safe_mode", "reason": "the end of the run"}"#;
        for (method, path, body) in
            [(Method::PUT, "/v1/kill-switch", stop), (Method::POST, "/v1/flatten", r#"{"all": true}"#)]
        {
            self.written(async || {
                let name = Some("local-operator");
                let (status, answer) =
                    asking::ask(&self.api, method.clone(), path, name, body.to_owned()).await?;
                if status.is_success() {
                    return Ok(());
                }
                bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer))
            })
            .await?;
        }
        Ok(())
    }

    /// Ends the run.
    pub(super) async fn down(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.runner.id().and_then(|it| i32::try_from(it).ok()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        let ended = tokio::time::timeout(DOWN_WITHIN, self.runner.wait()).await;
        let ended = ended
            .map_err(|_| anyhow!("the run does not end: its logs are in {}", self.logs().display()))??;
        if !ended.success() {
            bail!("the run ended with {ended}: its words are in {}", self.logs().display());
        }
        Ok(())
    }

    fn logs(&self) -> PathBuf {
        log(&self.ask)
    }
}

fn log(ask: &Ask) -> PathBuf {
    ask.data_dir.with_extension("log")
}

fn env_file(ask: &Ask) -> PathBuf {
    ask.data_dir.with_extension("env")
}

/// Where the run's parts are, as it tells its functions.
struct Site {
    database: String,
    broker: String,
    clock: SystemClock,
}

impl Site {
    fn read(ask: &Ask) -> anyhow::Result<Self> {
        let path = env_file(ask);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let vars: BTreeMap<&str, &str> = text.lines().filter_map(|it| it.split_once('=')).collect();
        let get = |name: &str| {
            vars.get(name).copied().with_context(|| format!("{name} is not in {}", path.display()))
        };
        let offset = get(OFFSET_VARIABLE)?.parse().context("the run's clock")?;
        Ok(Self {
            database: get("DATABASE_URL")?.to_owned(),
            broker: get("TRADIER_BASE_URL")?.to_owned(),
            clock: SystemClock::shifted(offset),
        })
    }
}

/// Gives the command and waits for the address.
async fn start(ask: &Ask) -> anyhow::Result<(Child, String)> {
    // One that was killed could not take its file away.
    std::fs::remove_file(env_file(ask)).ok();
    let words = std::fs::File::options().create(true).append(true).open(log(ask))?;
    let mut command = Command::new(&ask.claxton);
    command.args(["up", "--processes", "--listen", "127.0.0.1:0", "--start", START]);
    command.arg("--seed").arg(ask.seed.to_string()).arg("--data-dir").arg(&ask.data_dir);
    command.arg("--env").arg(env_file(ask));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(words).process_group(0).kill_on_drop(true);
    let mut runner = command.spawn().with_context(|| format!("cannot run {}", ask.claxton.display()))?;
    let out = runner.stdout.take().context("no output of the run")?;
    let mut lines = BufReader::new(out).lines();
    let said = async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, url)) = line.split_once("claxton is up: ") {
                return Ok(url.trim_end_matches('/').to_owned());
            }
        }
        bail!("the run did not come up: its words are in {}", log(ask).display())
    };
    let api = tokio::time::timeout(UP_WITHIN, said).await;
    let api =
        api.map_err(|_| anyhow!("the run is not up after {UP_WITHIN:?}: see {}", log(ask).display()))??;
    // What it says later must find a reader.
    tokio::task::spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((runner, api))
}

/// Both members trade, and no limit keeps a round from trading like the one before.
fn without_limits(member: &Member) -> UserSettings {
    let limits = RiskLimits {
        max_risk_per_trade: Usd::from_dollars(900),
        daily_loss_limit: Usd::from_dollars(1_000_000),
        max_trades_per_day: 100_000,
        max_contracts: 3,
        pause_after_losses: 100_000,
        max_direction_contracts: 100_000,
        ..member.settings.limits
    };
    UserSettings { spx_auto_execute: true, limits, ..member.settings }
}
