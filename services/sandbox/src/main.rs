//! The sandbox as a program of its own: one session's market at the wall's pace behind Tradier's API.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use domain::ports::Clock as _;
use domain::time::UtcNanos;
use jiff::civil::Date;
use lambda_kit::clock::SystemClock;
use lambda_kit::env::Env;
use sandbox::accounts;
use sandbox::market::{Feed, speed};
use sandbox::play::{Play, Setup, Start};
use sim::broker::Rules;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Tradier's API for one session, on this machine.
///
/// Two members of a group may call it: `stub-token` (VA00000001, margin, 100,000 dollars) and `stub-token-2` (VA00000002,
/// cash, 10,000 dollars). It prints its address on one line and runs until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version)]
struct Ask {
    /// Where to listen; port 0 is a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Generate the session from this seed.
    #[arg(long, value_name = "N", default_value = "7")]
    seed: u64,
    /// The session's New York date; a generated session has one of its own.
    #[arg(long, value_name = "DATE")]
    date: Option<Date>,
    /// Market time less wall time in nanoseconds; without it the session opens as the sandbox starts.
    #[arg(long, value_name = "NS", allow_negative_numbers = true)]
    offset_ns: Option<i64>,
    /// How many times real speed market time goes, from 0.001 to 1000.
    #[arg(long, value_name = "X", default_value = "1", conflicts_with = "offset_ns", value_parser = speed)]
    speed: f64,
    /// Keep transcript and state in this directory, and go on from there.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Let this machine steer it under `/_sandbox/`.
    #[arg(long)]
    control: bool,
    /// End when standard input ends: with the program that started this one.
    #[arg(long)]
    lifeline: bool,
}

fn main() -> ExitCode {
    let ask = Ask::parse();
    lambda_kit::logs::init(&Env::of_process());
    match lambda_kit::block_on(async { run(ask).await.map_err(|it| format!("{it:#}").into()) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wall() -> UtcNanos {
    SystemClock::default().now()
}

/// Runs until asked to stop.
async fn run(ask: Ask) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let (ended, end) = oneshot::channel();
    // Without a lifeline nobody lets go of it, and the end of input means nothing.
    let mut held = Some(ended);
    if let Some(ended) = held.take_if(|_| ask.lifeline) {
        watch_input(ended);
    }
    let (profile, feed) = Feed::generated(ask.seed, ask.date)?;
    let start = match ask.offset_ns {
        Some(offset) => Start::Offset(offset),
        None => Start::At { at: profile.session.open, speed: ask.speed, holds_at_close: false },
    };
    let play = Play::start(Setup {
        listen: ask.listen,
        profile,
        feed,
        start,
        users: accounts::group()?,
        rules: Rules::live(ask.seed),
        faults: None,
        journal: ask.journal,
        control: ask.control,
        wall,
    })
    .await?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "listening on {}", play.address()).and_then(|()| out.flush())?;
    }
    let played = tokio::select! {
        played = play.run() => played,
        _ = term.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = end => Ok(()),
    };
    let stopped = play.stop().await;
    played.and(stopped)
}

/// Tells when standard input ends.
fn watch_input(ended: oneshot::Sender<()>) {
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
        ended.send(()).ok();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed_and_every_argument_explains_itself() {
        Ask::command().debug_assert();
        for argument in Ask::command().get_arguments() {
            assert!(argument.get_help().is_some(), "{} is unexplained", argument.get_id());
        }
    }
}
