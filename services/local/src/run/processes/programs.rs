//! Programs that run on beside the runner: started, watched, started again, ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::market::MarketSource;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::run::Choice;
use crate::runtime_api::{end, told};

/// How long a program has to end when asked: it writes what it has in hand.
const GRACE: Duration = Duration::from_secs(20);
/// How long a program may take until it says that it listens.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// A program that ran this long had started well: earlier failures are forgotten.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How often in a row a program may end by itself.
const FAILURES_MAX: u32 = 5;
/// The wait before it is started again, doubled each time.
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// What goes to a program's standard input. It stays open as long as we live: the program ends with us.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// Nothing.
    Nothing,
    /// A recorded session, as lines.
    Session(Choice),
}

/// A program to keep running.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) input: Input,
    pub(super) log: PathBuf,
    /// Where it should listen, for a program that tells where it does.
    pub(super) listen: Option<String>,
}

/// A started program with what holds its input open.
pub(super) struct Running {
    child: Child,
    _input: Held,
}

enum Held {
    Open { _pipe: Option<ChildStdin> },
    Fed(JoinHandle<()>),
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Fed(task) = self {
            task.abort();
        }
    }
}

impl Program {
    /// Starts it; one that listens is waited for, and its address kept for the next start.
    pub(super) async fn start(&mut self) -> anyhow::Result<Running> {
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
        let pipe = child.stdin.take();
        let _input = match (&self.input, pipe) {
            (Input::Session(choice), Some(pipe)) => {
                Held::Fed(tokio::task::spawn_local(feed(choice.open()?, pipe)))
            }
            (Input::Session(_) | Input::Nothing, pipe) => Held::Open { _pipe: pipe },
        };
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

    /// Keeps it running until told to stop.
    ///
    /// # Errors
    /// It ended by itself too often.
    pub(super) async fn keep(
        mut self,
        mut running: Running,
        mut stop: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut failures: u32 = 0;
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                ended = running.child.wait() => ended.map_or_else(|it| it.to_string(), |it| it.to_string()),
                () = told(&mut stop) => {
                    end(running.child, GRACE).await;
                    return Ok(());
                }
            };
            failures = if begun.elapsed() >= WELL_AFTER { 1 } else { failures.saturating_add(1) };
            if failures > FAILURES_MAX {
                bail!(
                    "{} ends again and again ({ended}): its last words are in {}",
                    self.name,
                    self.log.display()
                );
            }
            tracing::warn!(program = self.name, %ended, "a program ended and is started again");
            tokio::select! {
                () = tokio::time::sleep(RESTART_WAIT.saturating_mul(1 << failures)) => {}
                () = told(&mut stop) => return Ok(()),
            }
            running = self.start().await?;
        }
    }
}

async fn first_line(out: ChildStdout) -> Option<String> {
    BufReader::new(out).lines().next_line().await.ok().flatten()
}

/// Writes a session as lines, its profile first, as fast as they are read; then holds the pipe open.
async fn feed(mut source: Box<dyn MarketSource>, pipe: ChildStdin) {
    let mut pipe = BufWriter::new(pipe);
    let fed = async {
        line(&mut pipe, source.profile()).await?;
        pipe.flush().await?;
        while let Some(event) = source.next_event()? {
            line(&mut pipe, &event).await?;
        }
        pipe.flush().await?;
        anyhow::Ok(())
    };
    match fed.await {
        Ok(()) => std::future::pending().await,
        // The reader is gone: whoever watches it sees that.
        Err(error) => tracing::warn!("the session was not fed to its end: {error:#}"),
    }
}

async fn line(pipe: &mut BufWriter<ChildStdin>, it: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec(it)?;
    text.push(b'\n');
    Ok(pipe.write_all(&text).await?)
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
