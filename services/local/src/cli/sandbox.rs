//! `claxton sandbox`.

use std::fmt::{Display, Write as _};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use domain::market::SourceProfile;
use domain::time::at_new_york;
use ingester::sources::open_recorded;
use jiff::civil::{Date, time};
use sandbox::market::{Feed, speed};
use sandbox::play::{Play, Setup, Start};
use sandbox::{accounts, practice};
use sim::broker::faults::FaultScript;
use sim::broker::{Latencies, Limits, Practice, Rules, UserConfig};

use super::args;
use crate::clock::wall;
use crate::run::interrupted;

/// What can be asked of a sandbox.
#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8100", value_parser = address)]
    listen: SocketAddr,
    /// Generate the session from this seed; the same seed gives the same market.
    #[arg(long, value_name = "N", value_parser = args::seed, default_value = "7", conflicts_with = "recorded")]
    seed: u64,
    /// Play a recorded session from the files in this directory.
    #[arg(long, value_name = "DIR", requires = "date")]
    recorded: Option<PathBuf>,
    /// The session's New York date; a generated session has one of its own.
    #[arg(long, value_name = "DATE", value_parser = args::session_date)]
    date: Option<Date>,
    /// Let the market go this many times as fast as it is, from 0.001 to 1000.
    #[arg(long, value_name = "X", value_parser = speed, default_value = "1")]
    speed: f64,
    /// Let go wrong what this file says; docs/sandbox.md describes it.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Know the users, tokens and accounts in this file, too; docs/sandbox.md describes it.
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// How many requests a minute are taken.
    #[arg(long, value_enum, default_value = "live")]
    limits: LimitsArg,
    /// Do what this file says where Tradier's documents leave it open; docs/sandbox.md describes it.
    #[arg(long, value_name = "FILE")]
    practice: Option<PathBuf>,
    /// Serve /_sandbox/ to this machine: transcript, state, faults and the clock, while it runs.
    #[arg(long)]
    control: bool,
    /// Keep transcript and state in this directory, written before each answer, and go on from there.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
}

/// Requests a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LimitsArg {
    /// 120 reads, 120 of market data, 60 of trading.
    Live,
    /// 60 each.
    Sandbox,
    /// As many as come.
    Off,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address: expected one such as 127.0.0.1:8100"))
}

pub(super) fn run(ask: SandboxArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let faults = ask.faults.as_deref().map(|path| read(path, FaultScript::parse)).transpose()?;
    let users = match &ask.accounts {
        Some(path) => read(path, accounts::parse)?,
        None => vec![accounts::usual()?],
    };
    let practice = match &ask.practice {
        Some(path) => read(path, practice::parse)?,
        None => Practice::USUAL,
    };
    // A taken port is told before a session is read.
    drop(TcpListener::bind(ask.listen).map_err(|error| {
        anyhow!(
            "cannot listen on {}: {error}; choose another port or end the program that holds it",
            ask.listen
        )
    })?);
    let (profile, feed) = match (&ask.recorded, ask.date) {
        (Some(dir), Some(date)) => Feed::wider(open_recorded(dir, date)?),
        (_, date) => Feed::wider_generated(ask.seed, date)?,
    };
    let seed = if ask.recorded.is_some() { 0 } else { ask.seed };
    let limits = match ask.limits {
        LimitsArg::Live => Limits::Live,
        LimitsArg::Sandbox => Limits::Sandbox,
        LimitsArg::Off => Limits::Off,
    };
    let at = at_new_york(profile.session.date, time(10, 0, 0, 0));
    let setup = Setup {
        listen: ask.listen,
        start: Start::At { at, speed: ask.speed, holds_at_close: true },
        users: users.clone(),
        rules: Rules { limits, practice, latencies: Latencies::NEAR, ..Rules::live(seed) },
        faults,
        journal: ask.journal.clone(),
        control: ask.control,
        wall,
        feed,
        profile: profile.clone(),
    };
    super::block_on(async {
        let mut ended = std::pin::pin!(interrupted());
        let play = Play::start(setup).await?;
        ready(&play, &profile, &users, &ask, out)?;
        let played = tokio::select! { played = play.run() => played, () = ended.as_mut() => Ok(()) };
        let stopped = play.stop().await;
        played.and(stopped)
    })
}

/// Says that it is up, and what it is.
fn ready(
    play: &Play,
    profile: &SourceProfile,
    users: &[UserConfig],
    ask: &SandboxArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let civil = |it: domain::time::UtcNanos| it.new_york().strftime("%H:%M:%S").to_string();
    // All of it at once: whoever reads the first line may have seen enough.
    let mut text = format!("listening on http://{}\n", play.address());
    writeln!(
        text,
        "session {} ({}), {} New York, {} times real speed, holds at {}",
        profile.session.date,
        profile.name,
        civil(play.now()),
        ask.speed,
        civil(profile.session.close)
    )?;
    for user in users {
        for it in &user.accounts {
            let (number, kind) = (it.number.as_str(), it.kind.as_str());
            writeln!(
                text,
                "account {number} of {}, {kind}, option level {}, {} dollars",
                user.name, it.option_level, it.cash
            )?;
        }
    }
    if ask.control {
        writeln!(text, "control at http://{}/_sandbox/state", play.address())?;
    }
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Reads a file that somebody wrote.
fn read<T, E: Display>(path: &Path, parse: impl Fn(&str) -> Result<T, E>) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).map_err(|wrong| anyhow!("{} {wrong}", path.display()))
}
