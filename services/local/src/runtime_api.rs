//! A local Lambda: the runtime API that a function's bootstrap polls, and the process that polls it.
//!
//! One function, one port, one process, one invocation at a time, as in the cloud. A process that crashes or overruns
//! its time is replaced; one that cannot start is given up after a few tries, and every invocation says why.
//! Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".

mod server;
mod state;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serving::{listen, serve};
use state::{Exit, Shared};

/// How long a bootstrap may take to its first poll.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a bootstrap may take to end when asked.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait before a crashed bootstrap is started again, doubled each time.
const RESTART_WAIT: Duration = Duration::from_millis(50);

/// Why an invocation has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The handler answered with an error.
    #[error("{kind}: {message}")]
    Failed {
        /// The error's type, by the handler.
        kind: String,
        /// Its message.
        message: String,
    },
    /// It took longer than it may; the process was killed.
    #[error("the function took longer than {0:?} and was killed")]
    TimedOut(Duration),
    /// The process ended with the invocation in hand.
    #[error("the function's process ended: {0}")]
    Crashed(String),
    /// The process does not start, or the function was stopped.
    #[error("the function does not run: {0}")]
    Down(String),
}

/// What to run.
#[derive(Debug, Clone)]
pub struct FunctionProcess {
    /// The function's name.
    pub name: String,
    /// Its bootstrap.
    pub program: PathBuf,
    /// The bootstrap's arguments; a real one has none.
    pub args: Vec<String>,
    /// Its environment. Nothing of ours is passed on but what stands here.
    pub env: BTreeMap<String, String>,
    /// Where its output goes, appended; `None` is our own.
    pub log: Option<PathBuf>,
}

/// A function that runs as a process of its own. Dropping it kills the process; [`stop`](Self::stop) lets it finish.
#[derive(Debug)]
pub struct Function {
    name: String,
    shared: Arc<Shared>,
    stopping: watch::Sender<bool>,
    started_in: Duration,
    /// The API and the supervisor; dropping them ends both, and with the supervisor its process.
    tasks: JoinSet<()>,
}

impl Function {
    /// Starts the bootstrap and waits for its first poll.
    ///
    /// # Errors
    /// When the program cannot be run, or does not poll: with its own words where it had any.
    pub async fn spawn(process: FunctionProcess) -> anyhow::Result<Self> {
        let (listener, address) = listen().await?;
        let shared = Arc::new(Shared::new(&process.name));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, server::service(Arc::clone(&shared))));
        let begun = tokio::time::Instant::now();
        let child = start(&process, &address.to_string())?;
        let (stopping, stop) = watch::channel(false);
        let name = process.name.clone();
        tasks.spawn(supervise(process, address.to_string(), child, Arc::clone(&shared), stop));
        let polled = tokio::time::timeout(START_TIMEOUT, shared.first_poll()).await;
        match polled {
            Ok(Ok(())) => Ok(Self { name, shared, stopping, started_in: begun.elapsed(), tasks }),
            Ok(Err(why)) => bail!("function {name} does not start: {why}"),
            Err(_) => {
                bail!("function {name} did not poll for work in {START_TIMEOUT:?}: is it a Lambda bootstrap?")
            }
        }
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From the start of the process to its first poll.
    pub const fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Invokes the function and waits for its result; `timeout` counts from when the process takes the work.
    ///
    /// # Errors
    /// [`InvokeError`], sorted by what became of it.
    pub async fn invoke(&self, payload: Bytes, timeout: Duration) -> Result<Bytes, InvokeError> {
        self.shared.invoke(payload, timeout).await
    }

    /// Invokes with a JSON payload and reads a JSON result.
    ///
    /// # Errors
    /// [`InvokeError`]; a result that is not JSON is `Failed`.
    pub async fn invoke_json(
        &self,
        payload: &serde_json::Value,
        timeout: Duration,
    ) -> Result<serde_json::Value, InvokeError> {
        let answer = self.invoke(Bytes::from(payload.to_string()), timeout).await?;
        serde_json::from_slice(&answer)
            .map_err(|it| InvokeError::Failed { kind: "NotJson".to_owned(), message: it.to_string() })
    }

    /// Asks the process to end, waits for it, and kills it when it does not.
    pub async fn stop(mut self) {
        self.shared.close("it was stopped");
        self.stopping.send_replace(true);
        // The supervisor ends with its process; the API is then of no use.
        self.stopping.closed().await;
        self.tasks.shutdown().await;
    }
}

fn start(process: &FunctionProcess, api: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(&process.program);
    command
        .args(&process.args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TZ", "UTC")
        .env("_HANDLER", "bootstrap")
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", &process.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", process.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
        .envs(&process.env)
        .stdin(Stdio::null())
        // Ctrl-C is for the runner, which stops functions in its own order.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(path) = &process.log {
        let log = File::options().create(true).append(true).open(path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        command.stdout(log.try_clone()?).stderr(log);
    }
    command.spawn().with_context(|| format!("cannot run {}: build it first", process.program.display()))
}

/// Keeps a process running until told to stop or until it fails too often.
async fn supervise(
    process: FunctionProcess,
    api: String,
    mut child: Child,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let ended = tokio::select! {
            ended = child.wait() => ended.map_or_else(|it| it.to_string(), |it| it.to_string()),
            () = shared.overrun() => {
                child.kill().await.ok();
                "it overran its time".to_owned()
            }
            () = told(&mut stop) => return end(child, STOP_TIMEOUT).await,
        };
        let failures = match shared.ended(&ended) {
            Exit::Restart { failures } => failures,
            Exit::GiveUp => return,
        };
        tracing::warn!(function = process.name, %ended, "a function's process ended and is started again");
        tokio::select! {
            () = tokio::time::sleep(RESTART_WAIT.saturating_mul(1 << failures.min(6))) => {}
            () = told(&mut stop) => return,
        }
        child = match start(&process, &api) {
            Ok(child) => child,
            Err(error) => return shared.close(&format!("{error:#}")),
        };
    }
}

/// Waits for the word to stop; nobody being left to say it is one, too.
pub(crate) async fn told(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|it| *it).await.ok();
}

/// SIGTERM, as Lambda does, then SIGKILL to what is still there after `grace`.
pub(crate) async fn end(mut child: Child, grace: Duration) {
    if let Some(pid) = child.id().and_then(|it| i32::try_from(it).ok()) {
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        child.kill().await.ok();
    }
}
