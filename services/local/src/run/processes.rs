//! `claxton up --processes`: ingester, sandbox and every function as processes of their own, as in the cloud.
//!
//! The runner is what the cloud's services are: PostgreSQL, SQS and Secrets Manager, the Lambda runtime API, the mappings
//! from queues to functions, the scheduler and the gateway before the API. Market time is the wall's at an offset that
//! every process is told.

mod books;
mod front;
mod mapping;
mod programs;
mod sessions;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use domain::account::Environment;
use domain::market::{MarketSource as _, SourceProfile};
use domain::ports::Queue;
use domain::time::{UtcNanos, at_new_york};
use futures_util::future::join_all;
use jiff::civil::Time;
use lambda_kit::aws::variable;
use lambda_kit::clock::{OFFSET_VARIABLE, SystemClock};
use lambda_kit::secrets::AwsSecrets;
use sim::broker::Sandbox;
use store::Store;
use tokio::net::TcpListener;
use world::simulated::{enrol, members, switches};

use self::books::Books;
use self::programs::{Kept, Program, all_built};
use self::sessions::Work;
use super::env_file::{EnvFile, of_switches};
use super::ground::Ground;
use super::http;
use super::place::Place;
use super::stage::{BEFORE_OPEN, DATABASE, Stage, interrupted};
use super::turn::Turn;
use crate::aws::{AwsLocal, QueuePair};
use crate::clock::wall;
use crate::postgres::Postgres;
use crate::runtime_api::{Function, FunctionProcess};
use sandbox::journal::Files;

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
/// How long the schema may take.
const MIGRATED_WITHIN: Duration = Duration::from_secs(60);

/// What is asked of such a run.
#[derive(Debug, Clone)]
pub struct ProcessesAsk {
    /// The first session's seed.
    pub seed: u64,
    /// Where the run keeps what it needs.
    pub data_dir: PathBuf,
    /// Where the programs lie; see [`beside_us`].
    pub programs: PathBuf,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The New York time at which a run begins that does not go on; shortly before the open where none is given.
    pub start: Option<Time>,
    /// Where to write what every process is told; with it the sandbox can be steered, too.
    pub env: Option<PathBuf>,
}

/// The directory of this program, where cargo leaves the others, too.
///
/// # Errors
/// The system does not say where we lie.
pub fn beside_us() -> anyhow::Result<PathBuf> {
    let us = std::env::current_exe().context("cannot tell where this program lies")?;
    Ok(us.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Runs session after session in processes until Ctrl-C or SIGTERM. Its address goes to `out`, a line, once everything
/// answers. Must run inside a `LocalSet`.
///
/// # Errors
/// One line that says what is missing or broke. What was written stays; the same command goes on from there.
pub async fn processes(ask: &ProcessesAsk, out: &mut impl Write) -> anyhow::Result<()> {
    let mut ended = std::pin::pin!(interrupted());
    all_built(&ask.programs, &PROGRAMS)?;
    if let Some(path) = &ask.env {
        EnvFile::check(path)?;
    }
    let listener = http::bind(ask.listen).await?;
    let ground = Ground::open(&ask.data_dir, "up --processes", ask.seed, ended.as_mut()).await?;
    let Some(ground) = ground else { return Ok(()) };
    let Ground { place, postgres, aws } = &ground;
    let ran = ground.under(Run { ask, place, postgres, aws }.run(listener, out, ended)).await;
    ground.close(ran).await
}

struct Run<'a> {
    ask: &'a ProcessesAsk,
    place: &'a Place,
    postgres: &'a Postgres,
    aws: &'a AwsLocal,
}

/// Where all the processes find each other, and what time it is for them.
struct Site {
    /// What every process is told.
    env: BTreeMap<String, String>,
    broker_dir: PathBuf,
    logs: PathBuf,
    queues: BTreeMap<Queue, QueuePair>,
    /// The market's time when the run started.
    start: UtcNanos,
    /// Market time less wall time.
    offset: i64,
    clock: SystemClock,
}

impl Run<'_> {
    /// Brings everything up, waits, and takes it down.
    async fn run(
        &self,
        listener: TcpListener,
        out: &mut impl Write,
        ended: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
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
        let turn = Turn::of(self.place, self.ask.seed)?;
        let seen = Rc::default();
        let profile = turn.open(&seen)?.profile().clone();
        let restored = if resumes { Files::in_dir(&broker_dir).restore()? } else { None };
        let from = restored.as_ref().map(Sandbox::now).filter(|it| it.0 > i64::MIN);
        let asked = self.ask.start.map(|it| at_new_york(profile.session.date, it));
        let start = from.or(asked).unwrap_or_else(|| profile.session.open.minus(BEFORE_OPEN));
        let offset = start.0.saturating_sub(wall().0);
        let queues = self.aws.create_queues().await?;
        let clock = SystemClock::shifted(offset);
        let mut site = Site { env: BTreeMap::new(), broker_dir, logs, queues, start, offset, clock };

        // The broker is the last to go: whatever works may still ask it.
        let mut broker = Kept::start(sandbox(self.ask, &site, &turn, None)).await?;
        site.env = self.environment(&site, broker.address());
        let ran = match self.up(&site, &profile, from.is_some()).await {
            Ok(functions) => {
                let _env = self.ask.env.as_ref().map(|path| EnvFile::write(path, &site.env)).transpose()?;
                let books = Books { url: self.postgres.admin_url(DATABASE) };
                let work = Work { ask: self.ask, place: self.place, aws: self.aws, site: &site, books, seen };
                work.until(ended, turn, functions, &mut broker, listener, out).await
            }
            Err(error) => Err(error),
        };
        broker.stop().await;
        ran
    }

    /// What every process is told.
    fn environment(&self, site: &Site, broker: &str) -> BTreeMap<String, String> {
        let own = [
            ("CLAXTON_STAGE", "local".to_owned()),
            (OFFSET_VARIABLE, site.offset.to_string()),
            ("DATABASE_URL", self.postgres.store_url(DATABASE)),
            ("OWNED_NOTES_DIR", self.place.notes().display().to_string()),
            ("TRADIER_BASE_URL", format!("http://{broker}")),
        ];
        let queues = site.queues.iter().map(|(queue, pair)| (variable(*queue), pair.url.clone()));
        let named = own.into_iter().chain(queues).chain(of_switches(&switches()));
        self.aws.environment().into_iter().chain(named.map(|(k, v)| (k.to_owned(), v))).collect()
    }

    /// The schema, the members, what was on its way, and the functions' processes.
    async fn up(&self, site: &Site, profile: &SourceProfile, resumes: bool) -> anyhow::Result<Functions> {
        let mut owner = site.env.clone();
        owner.insert("MIGRATE_DATABASE_URL".to_owned(), self.postgres.admin_url(DATABASE));
        let migrate = self.spawn("migrate", &owner, &site.logs).await?;
        let migrated = migrate.invoke(Bytes::from_static(b"{}"), MIGRATED_WITHIN).await;
        migrate.stop().await;
        migrated.context("the schema")?;
        let members = members();
        let ledger = Store::connect(&self.postgres.store_url(DATABASE), 1).await?;
        let secrets = AwsSecrets::new(self.aws.secrets(), vec![Environment::Sandbox]);
        enrol(&ledger, &secrets, &members, site.start).await?;
        if resumes {
            let (place, postgres, aws, seed) = (self.place, self.postgres, self.aws, self.ask.seed);
            Stage { place, postgres, aws, profile, seed, members: &members }.send_again(site.start).await?;
        }
        let mut functions = Functions::default();
        for (queue, name, processes) in MAPPINGS {
            for _ in 0..processes {
                functions.mapped.push((queue, Rc::new(self.spawn(name, &site.env, &site.logs).await?)));
            }
        }
        for name in OTHERS {
            functions.named.insert(name, Rc::new(self.spawn(name, &site.env, &site.logs).await?));
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

/// The broker of a session; at `address` where it had one.
fn sandbox(ask: &ProcessesAsk, site: &Site, turn: &Turn, address: Option<&str>) -> Program {
    let steered = ask.env.as_ref().map(|_| "--control".to_owned());
    let own = [
        "--lifeline".to_owned(),
        format!("--offset-ns={}", site.offset),
        format!("--journal={}", site.broker_dir.display()),
        format!("--seed={}", turn.seed),
        format!("--date={}", turn.date),
    ];
    Program {
        name: "sandbox",
        path: ask.programs.join("sandbox"),
        args: own.into_iter().chain(steered).collect(),
        env: BTreeMap::new(),
        log: site.logs.join("sandbox.log"),
        listen: Some(address.unwrap_or("127.0.0.1:0").to_owned()),
    }
}

/// The ingester of a session.
fn ingester(ask: &ProcessesAsk, site: &Site, turn: &Turn) -> Program {
    let source = format!("generated:{}:{}", turn.seed, turn.date);
    let own = [("CLAXTON_SOURCE", source), ("CLAXTON_LIFELINE", "stdin".to_owned())];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    Program {
        name: "ingester",
        path: ask.programs.join("ingester"),
        args: Vec::new(),
        env: site.env.clone().into_iter().chain(own).collect(),
        log: site.logs.join("ingester.log"),
        listen: None,
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
