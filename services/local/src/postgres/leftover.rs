//! The server that a killed run left behind.

use std::path::Path;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{LOOK, STOP_TIMEOUT};

/// Stops the server that still runs on `data`, if one does, and clears what a dead one left. Says whether one ran.
///
/// The caller holds the directory's lock, so nobody works with that server any more. It is stopped rather than
/// adopted: a child of ours can be waited for, has the settings of this run, and starts in a tenth of a second.
///
/// # Errors
/// When it does not stop.
pub(super) async fn stop(data: &Path, socket: &Path) -> anyhow::Result<bool> {
    let pid_file = data.join("postmaster.pid");
    let Ok(text) = std::fs::read_to_string(&pid_file) else { return Ok(false) };
    let pid = text.lines().next().and_then(|it| it.trim().parse::<i32>().ok()).filter(|it| *it > 1);
    let running = pid.filter(|it| serves(*it, data));
    if let Some(pid) = running {
        end(Pid::from_raw(pid), data).await?;
    }
    outlive(data).await?;
    // A number that meanwhile belongs to another program would keep the server from starting.
    for stale in [pid_file, socket.join(".s.PGSQL.5432.lock"), socket.join(".s.PGSQL.5432")] {
        match std::fs::remove_file(&stale) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot remove {}", stale.display())),
        }
    }
    Ok(running.is_some())
}

/// Whether process `pid` is a server on `data`: its number alone proves nothing, numbers come round.
fn serves(pid: i32, data: &Path) -> bool {
    if kill(Pid::from_raw(pid), None).is_err_and(|it| it == nix::errno::Errno::ESRCH) {
        return false;
    }
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        // Without /proc the number is all there is; a server that is there must not be started over.
        return !Path::new("/proc/self").exists();
    };
    let wanted = data.as_os_str().as_encoded_bytes();
    let mut words = line.split(|it| *it == 0);
    words.next().is_some_and(|it| it.ends_with(b"postgres")) && words.any(|it| it == wanted)
}

/// Waits until nothing works on `data` any more: what a killed server leaves ends as it notices, and two on the same
/// data would destroy it.
async fn outlive(data: &Path) -> anyhow::Result<()> {
    let gone = async {
        while !workers(data).is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(STOP_TIMEOUT, gone).await.is_ok() {
        return Ok(());
    }
    for pid in workers(data) {
        // Gone by now is as good.
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
    match workers(data).first() {
        None => Ok(()),
        Some(pid) => bail!("process {pid} still works on {}: end it by hand", data.display()),
    }
}

/// The processes whose working directory is `data`: a server and everything it started.
fn workers(data: &Path) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|it| std::fs::read_link(format!("/proc/{it}/cwd")).is_ok_and(|it| it == data)).collect()
}

async fn end(pid: Pid, data: &Path) -> anyhow::Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        match kill(pid, signal) {
            Ok(()) => {}
            Err(nix::errno::Errno::ESRCH) => return Ok(()),
            Err(error) => {
                bail!("PostgreSQL {pid} still runs on {} and cannot be stopped: {error}", data.display())
            }
        }
        let raw = pid.as_raw();
        let gone = async {
            while serves(raw, data) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, gone).await.is_ok() {
            return Ok(());
        }
    }
    bail!("PostgreSQL {pid} still runs on {} and does not stop: end it by hand", data.display())
}
