//! `claxton up`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use jiff::civil::Time;

use super::args;
use crate::clock::Speed;
use crate::run::processes::{ProcessesAsk, beside_us, processes};
use crate::run::{Up, up};

/// Where a run that stays up keeps its books.
const DATA_DIR: &str = ".claxton/up";
/// The same for one in processes.
const PROCESSES_DIR: &str = ".claxton/processes";

/// What can be asked of a run that stays up.
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    /// Generate the first session from this seed; each following session takes the next seed and the next date.
    #[arg(long, value_name = "N", value_parser = args::seed, default_value = "7")]
    seed: u64,
    /// Where the books lie; an unfinished session in it goes on.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, default_value_if("processes", "true", PROCESSES_DIR))]
    data_dir: PathBuf,
    /// Where the API and the status page are served; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7380", value_parser = address)]
    listen: SocketAddr,
    /// Let the market go this many times as fast as it is.
    #[arg(long, value_name = "X", value_parser = Speed::parse, default_value = "1")]
    speed: Speed,
    /// Write the environment of the functions into this file, which is removed at the end: for `cargo lambda watch`, with
    /// the rows that `events/` names. With --processes the sandbox can then be steered, too.
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// Run ingester, sandbox and every function as processes of their own on a local Lambda runtime API, at real speed;
    /// `cargo build --profile fast --workspace --bins` builds them.
    #[arg(long, conflicts_with = "speed")]
    processes: bool,
    /// Begin the first session at this New York time, such as 10:00, and not before the open.
    #[arg(long, value_name = "TIME", requires = "processes")]
    start: Option<Time>,
}

/// An address of this machine alone: whoever reaches the API may stop the trading.
fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = || format!("{text:?} is no address: expected one such as 127.0.0.1:7380");
    let address: SocketAddr = text.parse().map_err(|_| expected())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "{address} can be reached by others, and local names are no passwords: use 127.0.0.1 with a tunnel"
    ))
}

pub(super) fn run(ask: UpArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let UpArgs { seed, data_dir, listen, speed, env, processes: in_processes, start } = ask;
    let data_dir = std::path::absolute(data_dir)?;
    if in_processes {
        let ask = ProcessesAsk { seed, data_dir, programs: beside_us()?, listen, start, env };
        return super::block_on(processes(&ask, out));
    }
    super::block_on(up(&Up { seed, data_dir, listen, speed, env }, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_listened_to() {
        assert!(address("127.0.0.1:0").is_ok() && address("[::1]:7380").is_ok());
        assert!(address("0.0.0.0:7380").unwrap_err().contains("use 127.0.0.1"));
        assert!(address("7380").unwrap_err().contains("such as 127.0.0.1:7380"));
    }
}
