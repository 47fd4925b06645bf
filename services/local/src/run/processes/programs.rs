//! Programs that run on beside the runner: started, watched, started again, ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::restarts::{Restarts, words};
use crate::runtime_api::{end, told};

/// How long a program has to end when asked: it writes what it has in hand.
const GRACE: Duration = Duration::from_secs(20);
/// How long a program may take until it says that it listens.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// A program to keep running.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) log: PathBuf,
    /// Where it should listen, for a program that tells where it does.
    pub(super) listen: Option<String>,
}

/// A started program. Its input stays open as long as we live: it ends with us.
struct Running {
    child: Child,
    _input: Option<ChildStdin>,
}

/// A program that is kept running.
pub(super) struct Kept {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Error>,
    address: String,
}

impl Kept {
    /// Starts it; one that listens is waited for.
    pub(super) async fn start(mut program: Program) -> anyhow::Result<Self> {
        let running = program.start().await?;
        let address = program.listen.clone().unwrap_or_default();
        let (stop, stopping) = watch::channel(false);
        let task = tokio::task::spawn_local(program.keep(running, stopping));
        Ok(Self { stop, task, address })
    }

    /// Where it listens; empty for one that does not.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until it ended by itself too often, and tells why.
    pub(super) async fn fallen(&mut self) -> anyhow::Error {
        (&mut self.task).await.unwrap_or_else(Into::into)
    }

    /// Asks it to end and waits for it.
    pub(super) async fn stop(&mut self) {
        self.stop.send_replace(true);
        if !self.task.is_finished() {
            // Stopped is all it can say now.
            (&mut self.task).await.ok();
        }
    }
}

impl Program {
    /// Starts it; one that listens is waited for, and its address kept for the next start.
    async fn start(&mut self) -> anyhow::Result<Running> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = Command::new(&self.path);
        command.args(&self.args).env_clear().env("PATH", "/usr/bin:/bin").env("TZ", "UTC").envs(&self.env);
        if let Some(listen) = &self.listen {
            command.args(["--listen", listen.as_str()]).stdout(Stdio::piped());
        } else {
            command.stdout(log.try_clone()?);
        }
        // Ctrl-C is for the runner, which ends programs in its own order.
        command.stdin(Stdio::piped()).stderr(log).process_group(0).kill_on_drop(true);
        let mut child =
            command.spawn().with_context(|| format!("cannot run {}: build it first", self.path.display()))?;
        let _input = child.stdin.take();
        if let Some(out) = child.stdout.take() {
            let said = tokio::time::timeout(UP_WITHIN, first_line(out)).await;
            let address =
                said.ok().flatten().and_then(|it| Some(it.strip_prefix("listening on ")?.to_owned()));
            let Some(address) = address else {
                bail!("{} did not start: its last words are in {}", self.name, self.log.display());
            };
            self.listen = Some(address);
        }
        Ok(Running { child, _input })
    }

    /// Keeps it running until told to stop or until it has ended by itself too often; tells which.
    async fn keep(mut self, mut running: Running, mut stop: watch::Receiver<bool>) -> anyhow::Error {
        let mut restarts = Restarts::default();
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                ended = running.child.wait() => ended,
                () = told(&mut stop) => {
                    end(running.child, GRACE).await;
                    return anyhow!("{} was stopped", self.name);
                }
            };
            let Some(wait) = restarts.after(begun.elapsed(), &ended) else {
                let (ended, log) = (words(&ended), self.log.display());
                return anyhow!("{} ends again and again ({ended}): its last words are in {log}", self.name);
            };
            tracing::warn!(
                program = self.name,
                ended = words(&ended),
                "a program ended and is started again"
            );
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = told(&mut stop) => return anyhow!("{} was stopped", self.name),
            }
            running = match self.start().await {
                Ok(running) => running,
                Err(error) => return error,
            };
        }
    }
}

async fn first_line(out: ChildStdout) -> Option<String> {
    BufReader::new(out).lines().next_line().await.ok().flatten()
}

/// The first of `names` that is no file in `dir`, with the command that builds it.
pub(super) fn all_built(dir: &Path, names: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = names.iter().copied().filter(|it| !dir.join(it).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "{} not in {}: build {} by `cargo build --profile fast --workspace --bins`",
        missing.join(", "),
        dir.display(),
        if missing.len() == 1 { "it" } else { "them" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_is_not_built_is_named_with_the_command_that_builds_it() {
        let scratch = Scratch::new("built");
        std::fs::write(scratch.path().join("orders"), "").unwrap();
        all_built(scratch.path(), &["orders"]).unwrap();
        let error = all_built(scratch.path(), &["orders", "ingester", "sandbox"]).unwrap_err().to_string();
        assert!(error.starts_with("ingester, sandbox not in"), "{error}");
        assert!(error.contains("cargo build --profile fast --workspace --bins"), "{error}");
    }
}
