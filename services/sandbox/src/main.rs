//! The sandbox as a program of its own: one session's market at the wall's pace behind Tradier's API.

mod market;
mod play;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use jiff::civil::Date;
use lambda_kit::env::Env;

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
    #[arg(long, value_name = "N", default_value = "7", conflicts_with = "events")]
    seed: u64,
    /// The session's New York date; a generated session has one of its own.
    #[arg(long, value_name = "DATE", conflicts_with = "events")]
    date: Option<Date>,
    /// Read the session from standard input, as JSON lines: its profile, then its events in order of time. `claxton` plays
    /// recorded days so. The sandbox ends with its input.
    #[arg(long)]
    events: bool,
    /// Market time less wall time in nanoseconds; without it the session opens as the sandbox starts.
    #[arg(long, value_name = "NS", allow_negative_numbers = true)]
    offset_ns: Option<i64>,
    /// How many times real speed market time goes, from 0.001 to 1000.
    #[arg(long, value_name = "X", default_value = "1", conflicts_with = "offset_ns", value_parser = market::speed)]
    speed: f64,
    /// Keep transcript and state in this directory, and go on from there.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// End when standard input ends: with the program that started this one.
    #[arg(long)]
    lifeline: bool,
}

fn main() -> ExitCode {
    let ask = Ask::parse();
    lambda_kit::logs::init(&Env::of_process());
    match lambda_kit::block_on(async { play::run(&ask).await.map_err(|it| format!("{it:#}").into()) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::FAILURE
        }
    }
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
