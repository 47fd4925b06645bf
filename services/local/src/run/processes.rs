//! `claxton up --processes`: ingester, sandbox and every function as processes of their own, as in the cloud.
//!
//! The runner is what the cloud's services are: PostgreSQL, SQS and Secrets Manager, the Lambda runtime API, the mappings
//! from queues to functions, and the scheduler. Market time is the wall's at an offset that every process is told.

mod mapping;
mod programs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use domain::account::Environment;
use domain::market::{Points, SourceProfile};
use domain::ports::{Clock as _, Queue};
use domain::time::UtcNanos;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lambda_kit::aws::variable;
use lambda_kit::clock::{OFFSET_VARIABLE, SystemClock};
use lambda_kit::secrets::AwsSecrets;
use sim::broker::Sandbox;
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;
use world::day::DAY_ENDS_AFTER;
use world::schedule::{self, Scheduled};
use world::simulated::{enrol, members, switches};

use self::mapping::Mapping;
use self::programs::{Input, Program, all_built};
use super::Choice;
use super::env_file::of_switches;
use super::journal::Files;
use super::place::{Place, RunKey};
use super::stage::{BEFORE_OPEN, DATABASE, Stage, interrupted};
use crate::aws::{AwsLocal, QueuePair};
use crate::clock::wall;
use crate::postgres::{Postgres, PostgresOptions};
use crate::runtime_api::{Function, FunctionProcess};

/// Every program that is run.
pub const PROGRAMS: [&str; 13] = [
    "ingester",
    "sandbox",
    "migrate",
    "transitions",
    "orders",
    "portfolio-sync",
    "reconcile",
    "flatten",
    "flat-watch",
    "report",
    "api",
    "control",
    "credentials",
];
/// Which queue wakes which function, and how many processes of it there are. Exits have their own: no entry is in their
/// way.
const MAPPINGS: [(Queue, &str, usize); 5] = [
    (Queue::Transitions, "transitions", 1),
    (Queue::Entries, "orders", 1),
    (Queue::Exits, "orders", 2),
    (Queue::BrokerEvents, "orders", 1),
    (Queue::Flatten, "flatten", 1),
];
/// Functions that something else than a queue starts.
const OTHERS: [&str; 8] =
    ["portfolio-sync", "reconcile", "flatten", "flat-watch", "report", "api", "control", "credentials"];
/// How long a scheduled function may take: the longest in `infra/template.yaml`.
const SCHEDULED_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the schema may take.
const MIGRATED_WITHIN: Duration = Duration::from_secs(60);

/// What is asked of such a run.
#[derive(Debug, Clone)]
pub struct ProcessesAsk {
    /// Which session.
    pub choice: Choice,
    /// Where the run keeps what it needs.
    pub data_dir: PathBuf,
    /// Where the programs lie; see [`beside_us`].
    pub programs: PathBuf,
    /// The market's time at the start of a run that does not go on; shortly before the open where none is given.
    pub start: Option<UtcNanos>,
}

/// The directory of this program, where cargo leaves the others, too.
///
/// # Errors
/// The system does not say where we lie.
pub fn beside_us() -> anyhow::Result<PathBuf> {
    let us = std::env::current_exe().context("cannot tell where this program lies")?;
    Ok(us.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Runs a session in processes until Ctrl-C or SIGTERM. Must run inside a `LocalSet`.
///
/// # Errors
/// One line that says what is missing or broke. What was written stays; the same command goes on from there.
pub async fn processes(ask: &ProcessesAsk) -> anyhow::Result<()> {
    let mut ended = std::pin::pin!(interrupted());
    all_built(&ask.programs, &PROGRAMS)?;
    let profile = ask.choice.open()?.profile().clone();
    let key = RunKey { command: "up --processes".to_owned(), source: profile.name.clone() };
    let place = Place::open(&ask.data_dir, key)?;
    let options = PostgresOptions { durable: true, ..PostgresOptions::fast(place.postgres()) };
    let postgres = tokio::select! {
        started = Postgres::start(&options) => started?,
        () = ended.as_mut() => return Ok(()),
    };
    let aws = AwsLocal::start().await?;
    let run = Run { ask, place: &place, postgres: &postgres, aws: &aws, profile: &profile };
    let ran = run.run(ended).await;
    aws.stop().await;
    let stopped = postgres.stop().await;
    let over = ran?;
    stopped?;
    if over {
        place.finish()?;
    }
    Ok(())
}

struct Run<'a> {
    ask: &'a ProcessesAsk,
    place: &'a Place,
    postgres: &'a Postgres,
    aws: &'a AwsLocal,
    profile: &'a SourceProfile,
}

impl Run<'_> {
    /// Brings everything up, waits, and takes it down; tells whether the session is over.
    async fn run(&self, ended: impl Future<Output = ()>) -> anyhow::Result<bool> {
        let broker_dir = self.place.run().join("broker");
        let logs = self.place.run().join("logs");
        for dir in [&broker_dir, &logs] {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let resumes = self.place.resumes && self.postgres.has_database(DATABASE).await?;
        if !resumes {
            self.postgres.drop_database(DATABASE).await?;
            self.postgres.create_database(DATABASE, None).await?;
        }
        let restored = if resumes { Files::in_dir(&broker_dir).restore()? } else { None };
        let from = restored.as_ref().map(Sandbox::now).filter(|it| it.0 > i64::MIN);
        let start = from.or(self.ask.start).unwrap_or_else(|| self.profile.session.open.minus(BEFORE_OPEN));
        let offset = start.0.saturating_sub(wall().0);
        let clock = SystemClock::shifted(offset);

        let mut sandbox = self.sandbox(&broker_dir, &logs, offset);
        let running = sandbox.start().await?;
        let base = format!("http://{}", sandbox.listen.as_deref().unwrap_or_default());
        let queues = self.aws.create_queues().await?;
        let env = self.environment(&base, &queues, offset);
        let mut kept = JoinSet::new();
        // The broker is the last to go: whatever works may still ask it.
        let (stop_sandbox, stopping_sandbox) = watch::channel(false);
        kept.spawn_local(sandbox.keep(running, stopping_sandbox));

        let ran = match self.up(&env, &logs, start, from.is_some()).await {
            Ok(functions) => {
                let work = Work { run: self, env: &env, logs: &logs, queues: &queues, clock, start };
                work.until(ended, functions, &mut kept).await
            }
            Err(error) => Err(error),
        };
        stop_sandbox.send_replace(true);
        while kept.join_next().await.is_some() {}
        ran?;
        Ok(clock.now() > self.profile.session.close.plus(DAY_ENDS_AFTER))
    }

    fn sandbox(&self, dir: &Path, logs: &Path, offset: i64) -> Program {
        let mut args = vec![
            "--lifeline".to_owned(),
            format!("--offset-ns={offset}"),
            format!("--journal={}", dir.display()),
        ];
        let input = match &self.ask.choice {
            Choice::Generated { seed, .. } => {
                args.extend([format!("--seed={seed}"), format!("--date={}", self.profile.session.date)]);
                Input::Nothing
            }
            Choice::Recorded { .. } => {
                args.push("--events".to_owned());
                Input::Session(self.ask.choice.clone())
            }
        };
        Program {
            name: "sandbox",
            path: self.ask.programs.join("sandbox"),
            args,
            env: BTreeMap::new(),
            input,
            log: logs.join("sandbox.log"),
            listen: Some("127.0.0.1:0".to_owned()),
        }
    }

    fn ingester(&self, env: &BTreeMap<String, String>, logs: &Path) -> Program {
        let date = self.profile.session.date;
        let source = match &self.ask.choice {
            Choice::Generated { seed, .. } => format!("generated:{seed}:{date}"),
            Choice::Recorded { dir, .. } => format!("recorded:{}:{date}", dir.display()),
        };
        let own = [("CLAXTON_SOURCE", source), ("CLAXTON_LIFELINE", "stdin".to_owned())];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        Program {
            name: "ingester",
            path: self.ask.programs.join("ingester"),
            args: Vec::new(),
            env: env.clone().into_iter().chain(own).collect(),
            input: Input::Nothing,
            log: logs.join("ingester.log"),
            listen: None,
        }
    }

    /// What every process is told.
    fn environment(
        &self,
        base: &str,
        queues: &BTreeMap<Queue, QueuePair>,
        offset: i64,
    ) -> BTreeMap<String, String> {
        let own = [
            ("CLAXTON_STAGE", "local".to_owned()),
            (OFFSET_VARIABLE, offset.to_string()),
            ("DATABASE_URL", self.postgres.app_url(DATABASE)),
            ("OWNED_NOTES_DIR", self.place.notes().display().to_string()),
            ("TRADIER_BASE_URL", base.to_owned()),
        ];
        let queues = queues.iter().map(|(queue, pair)| (variable(*queue), pair.url.clone()));
        let named = own.into_iter().chain(queues).chain(of_switches(&switches()));
        self.aws.environment().into_iter().chain(named.map(|(k, v)| (k.to_owned(), v))).collect()
    }

    /// The schema, the members, what was on its way, and the functions' processes.
    async fn up(
        &self,
        env: &BTreeMap<String, String>,
        logs: &Path,
        start: UtcNanos,
        resumes: bool,
    ) -> anyhow::Result<Functions> {
        let mut owner = env.clone();
        owner.insert("MIGRATE_DATABASE_URL".to_owned(), self.postgres.admin_url(DATABASE));
        let migrate = self.spawn("migrate", &owner, logs).await?;
        let migrated = migrate.invoke(Bytes::from_static(b"{}"), MIGRATED_WITHIN).await;
        migrate.stop().await;
        migrated.context("the schema")?;
        let members = members();
        let ledger = Store::connect(&self.postgres.app_url(DATABASE), 1).await?;
        let secrets = AwsSecrets::new(self.aws.secrets(), vec![Environment::Sandbox]);
        enrol(&ledger, &secrets, &members, start).await?;
        if resumes {
            let (place, postgres, aws, profile) = (self.place, self.postgres, self.aws, self.profile);
            let seed = self.ask.choice.seed();
            Stage { place, postgres, aws, profile, seed, members: &members }.send_again(start).await?;
        }
        let mut functions = Functions::default();
        for (queue, name, processes) in MAPPINGS {
            for _ in 0..processes {
                functions.mapped.push((queue, Rc::new(self.spawn(name, env, logs).await?)));
            }
        }
        for name in OTHERS {
            functions.named.insert(name, Rc::new(self.spawn(name, env, logs).await?));
        }
        Ok(functions)
    }

    async fn spawn(
        &self,
        name: &str,
        env: &BTreeMap<String, String>,
        logs: &Path,
    ) -> anyhow::Result<Function> {
        let process = FunctionProcess {
            name: name.to_owned(),
            program: self.ask.programs.join(name),
            args: Vec::new(),
            env: env.clone(),
            log: Some(logs.join(format!("{name}.log"))),
        };
        Function::spawn(process).await
    }
}

/// Everything that moves once broker and functions are up.
struct Work<'a> {
    run: &'a Run<'a>,
    env: &'a BTreeMap<String, String>,
    logs: &'a Path,
    queues: &'a BTreeMap<Queue, QueuePair>,
    clock: SystemClock,
    start: UtcNanos,
}

impl Work<'_> {
    /// Starts ingester, mappings and schedules, waits until `ended` or until a program of `kept` falls, and ends all but
    /// the broker.
    async fn until(
        &self,
        ended: impl Future<Output = ()>,
        functions: Functions,
        kept: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let (stop, stopping) = watch::channel(false);
        let mut mappings = JoinSet::new();
        for (queue, function) in &functions.mapped {
            let Some(pair) = self.queues.get(queue) else { continue };
            let (client, url, function) = (self.run.aws.sqs(), pair.url.clone(), Rc::clone(function));
            let mapping = Mapping { client, queue: *queue, url, function };
            mappings.spawn_local(mapping.run(stopping.clone()));
        }
        let (named, books) = (functions.named.clone(), self.run.postgres.admin_url(DATABASE));
        let profile = self.run.profile.clone();
        let scheduled = tokio::task::spawn_local(schedules(profile, self.clock, self.start, named, books));
        let mut ingester = self.run.ingester(self.env, self.logs);
        let ran = match ingester.start().await {
            Ok(running) => {
                kept.spawn_local(ingester.keep(running, stopping.clone()));
                tracing::info!("up");
                tokio::select! {
                    () = ended => Ok(()),
                    Some(fallen) = kept.join_next() => fallen.map_err(Into::into).and_then(|it| it),
                }
            }
            Err(error) => Err(error),
        };
        scheduled.abort();
        scheduled.await.ok();
        stop.send_replace(true);
        while mappings.join_next().await.is_some() {}
        functions.stop().await;
        ran
    }
}

/// The functions that run.
#[derive(Default)]
struct Functions {
    /// Those that a queue wakes.
    mapped: Vec<(Queue, Rc<Function>)>,
    /// Those that something else calls, by name.
    named: BTreeMap<&'static str, Rc<Function>>,
}

impl Functions {
    /// Ends every process.
    async fn stop(self) {
        let all = self.mapped.into_iter().map(|it| it.1).chain(self.named.into_values());
        // Nobody else holds one any more.
        join_all(all.filter_map(Rc::into_inner).map(Function::stop)).await;
    }
}

/// Fires what is scheduled for the session after `start` as its time comes; at once where that passed while the functions
/// came up.
async fn schedules(
    profile: SourceProfile,
    clock: SystemClock,
    start: UtcNanos,
    functions: BTreeMap<&'static str, Rc<Function>>,
    books: String,
) {
    let mut fired = FuturesUnordered::new();
    for (at, what) in schedule::of(&profile.session, &switches()) {
        if at <= start {
            continue;
        }
        let mut due = std::pin::pin!(tokio::time::sleep(at.since(clock.now())));
        loop {
            tokio::select! { () = due.as_mut() => break, Some(()) = fired.next() => {} }
        }
        let Some(function) = functions.get(what.function()).map(Rc::clone) else { continue };
        let close = match what {
            Scheduled::Reconcile if at > profile.session.close => last_index(&books, &profile).await,
            Scheduled::Reconcile
            | Scheduled::PortfolioSync
            | Scheduled::Flatten
            | Scheduled::FlatWatch
            | Scheduled::Report => None,
        };
        let event = match close {
            Some(close) => serde_json::json!({ "officialClose": close.to_string() }),
            None => serde_json::json!({}),
        };
        fired.push(async move {
            let payload = Bytes::from(event.to_string());
            if let Err(error) = function.invoke(payload, SCHEDULED_TIMEOUT).await {
                tracing::error!(function = function.name(), "{} failed at {at}: {error}", function.name());
            }
        });
    }
    while fired.next().await.is_some() {}
}

/// The index's last value of the session, which stands in for the exchange's official close.
async fn last_index(books: &str, profile: &SourceProfile) -> Option<Points> {
    const SQL: &str = "SELECT close_e4 FROM microbars WHERE symbol = $1 AND ts_ns BETWEEN $2 AND $3
        AND close_e4 IS NOT NULL ORDER BY ts_ns DESC LIMIT 1";
    let asked = async {
        let (client, connection) = tokio_postgres::connect(books, tokio_postgres::NoTls).await?;
        let connection = tokio::task::spawn_local(connection);
        let (symbol, session) = (profile.index.to_string(), profile.session);
        let row = client.query_opt(SQL, &[&symbol, &session.open.0, &session.close.0]).await?;
        drop(client);
        connection.await??;
        anyhow::Ok(row.map(|it| it.try_get(0)).transpose()?.map(Points))
    };
    asked.await.unwrap_or_else(|error| {
        tracing::warn!("the index's close is not known: {error:#}");
        None
    })
}
