//! The command line: what can be asked of `claxton`, and how it answers.
//!
//! An error is one line on stderr that says what to do, and exit code 1; a wrong use of the command line is exit code 2.
//! The environment is read here and nowhere below.

pub mod args;
mod audit;
mod bench;
mod books;
mod chaos;
mod config;
mod decide;
mod demo;
mod microbars;
mod options;
mod order;
mod sandbox;
mod setups;
mod simulate;
mod status;
mod table;
mod up;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An automated options trader that its owner runs.
///
/// Everything runs on this machine and nothing is sent anywhere else, unless the settings say so; `claxton config show`
/// tells what they say.
#[derive(Debug, Parser)]
#[command(name = "claxton", version, propagate_version = true, arg_required_else_help = true)]
struct Claxton {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole trading day, from its first tick to a flat, reconciled account.
    ///
    /// Brings up a private PostgreSQL, SQS and Secrets Manager endpoints, the broker sandbox, the ingester, every function
    /// and their schedules, with two members of a trading group. A run that was cut off goes on when the same command is
    /// given again. Exits 0 only if the day ended flat, reconciled and without an order that should not exist.
    Demo(demo::DemoArgs),
    /// Keep the whole running at the market's own pace, with its API and a status page.
    ///
    /// Brings up what the demo brings up, durably, and stays: session after session until Ctrl-C, which ends everything
    /// and keeps the books. A session that was cut off goes on when the same command is given again.
    Up(up::UpArgs),
    /// Serve Tradier's API by itself, over one session's market, for programs that are written for Tradier.
    ///
    /// Nothing else is brought up. The session stands at 10:00 New York as it starts, goes at the market's own pace and holds
    /// at the close. Token stub-token, account VA00000001; docs/sandbox.md tells the rest.
    Sandbox(sandbox::SandboxArgs),
    /// Ask a run that is up how it is.
    ///
    /// Exits 0 only if every part of it works.
    Status(status::StatusArgs),
    /// Compute a run's summary again from its transcript and books, and compare.
    Verify(demo::VerifyArgs),
    /// Look at one order.
    Order {
        #[command(subcommand)]
        command: order::OrderCommand,
    },
    /// Look at how our books compare with the broker's, and hand positions over or take them back.
    ///
    /// What was opened by hand is labelled and never touched, until its owner hands it over.
    Books {
        #[command(subcommand)]
        command: books::BooksCommand,
    },
    /// Look at setups: what was found in a session, and why each went the way it did.
    Setups {
        #[command(subcommand)]
        command: setups::SetupsCommand,
    },
    /// Check the record of everything that was decided and done.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Run whole sessions in memory under one seed each, with everything that can go wrong.
    ///
    /// The real use cases of every function, on a market, queues, books and a broker in memory: requests and answers are
    /// lost, messages repeated and reordered, processes killed and frozen at every call of a port. The invariants are checked
    /// at every step. The last line is one JSON object; of a session that breaks an invariant the shortest list of faults
    /// that still does is printed. Exits 0 only if none was broken.
    Simulate(simulate::SimulateArgs),
    /// Kill, pause and cut off the processes of a whole run, and compare its books with the broker's after each round.
    ///
    /// Starts `claxton up --processes` with a data directory of its own and trades in rounds: setups trigger while functions,
    /// ingester and PostgreSQL are killed or stand still, connections break and the broker misbehaves; now and then the power
    /// goes. Then everything is let be, and the books must agree with the broker's transcript to the contract and the cent.
    /// Exits 0 only if they did after every round.
    Chaos(chaos::ChaosArgs),
    /// Measure what the project promises of its speed, on this machine.
    Bench {
        #[command(subcommand)]
        command: bench::BenchCommand,
    },
    /// Build microbars with order flow out of prints and quotes.
    ///
    /// Prints are rows of ts_event,price,size, of equities with sale_condition_hex and suspicious; quotes rows of
    /// ts_event,bid,bid_size,ask,ask_size, or bars of ts_open,bid_close,bid_size,ask_close,ask_size that stand as their close
    /// at their end. Each print is joined with the quote strictly before it, at most five seconds old. Rows that are no ticks
    /// are left out and counted on stderr; a cell that cannot be read ends the run with its line. docs/microbars.md tells what
    /// each column is.
    #[command(after_help = microbars::EXAMPLE)]
    Microbars(microbars::MicrobarsArgs),
    /// Price options: CSV on stdin, the same rows with price, greeks and probabilities on stdout.
    ///
    /// The header names the columns kind,spot,strike,t_years,rate,div,vol in any order; other columns are kept. Added are
    /// price, delta, gamma, vega and rho per 1.00, theta per year, and risk-neutral the probabilities to end in the money
    /// (p_itm) and to trade at the strike before (p_touch). Rates, dividends and volatilities are fractions, 0.16 for 16 %;
    /// a year has 365 days. Without time or volatility the answer is the discounted intrinsic value. A row that cannot be
    /// read is left out and named by its line on stderr. Exits 0 only if every row has its answer. docs/options.md tells
    /// the formulas.
    #[command(after_help = options::PRICE_EXAMPLE)]
    Price,
    /// Find implied volatilities: CSV on stdin, the same rows with the volatility on stdout.
    ///
    /// The header names the columns kind,spot,strike,t_years,rate,div,price in any order; other columns are kept. A price
    /// that no volatility gives keeps its row, with an empty cell and the reason on stderr; a row that cannot be read is
    /// left out and named by its line. Exits 0 only if every row has its volatility.
    #[command(after_help = options::IV_EXAMPLE)]
    Iv,
    /// Compute daily indicators: CSV on stdin, one row a day on stdout.
    ///
    /// The header names the columns date,high,low,close in any order; rows are sorted by date. Written are the date and
    /// ema20, sma50, rsi14, macd, macd_signal, macd_hist, adx14, rv20, as TA-Lib has them, empty while they warm up. The
    /// table ends with an error at the first bar that cannot be, for whatever follows depends on it.
    #[command(after_help = options::INDICATORS_EXAMPLE)]
    Indicators,
    /// Decide whether a strategy enters over a stored snapshot, and explain it gate by gate.
    ///
    /// Every stage is shown with what it saw, what it required and by how much, then the structure with its figures, and the
    /// fewest readings that would have turned the answer round. The same files give the same answer to the bit: the last
    /// line names decision, snapshot and hash. docs/pipeline.md lists the stages and codes.
    #[command(after_help = decide::EXAMPLE)]
    Decide(decide::DecideArgs),
    /// Look at the settings.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show every setting with its value, where that comes from and what it does.
    ///
    /// Settings come from the environment. What is not set, or cannot be read, is its safe value. A TRADIER_* name that
    /// does not exist is an error that names the nearest one that does. Tokens are never shown.
    Show {
        /// Print one JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let claxton = Claxton::parse();
    let vars = environment();
    lambda_kit::logs::init(&lambda_kit::env::Env::of(quiet_unless_asked(&claxton.command, &vars)));
    let mut out = std::io::stdout().lock();
    match run(claxton.command, &vars, &mut out).and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read us has seen enough, as in `claxton config show | head -1`.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("claxton: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, vars: &[(String, String)], out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        Command::Demo(ask) => demo::run(&ask, out),
        Command::Up(ask) => up::run(ask, out),
        Command::Sandbox(ask) => sandbox::run(ask, out),
        Command::Status(ask) => status::run(&ask, out),
        Command::Verify(ask) => demo::verify(&ask, out),
        Command::Order { command } => order::run(&command, out),
        Command::Books { command } => books::run(&command, out),
        Command::Setups { command } => setups::run(&command, out),
        Command::Audit { command } => audit::run(&command, out),
        Command::Simulate(ask) => simulate::run(&ask, out),
        Command::Chaos(ask) => chaos::run(ask, out),
        Command::Bench { command } => bench::run(&command, out),
        Command::Microbars(ask) => microbars::microbars(&ask, out, &mut std::io::stderr()),
        Command::Price => options::price(std::io::stdin().lock(), out, &mut std::io::stderr()),
        Command::Iv => options::iv(std::io::stdin().lock(), out, &mut std::io::stderr()),
        Command::Indicators => options::indicators(std::io::stdin().lock(), out),
        Command::Decide(ask) => decide::decide(&ask, out),
        Command::Config { command: ConfigCommand::Show { json } } => config::show(vars, json, out),
    }
}

/// A terminal shows warnings alone, unless `CLAXTON_LOG` asks for more; a simulation nothing, for faults are what it is
/// made of.
fn quiet_unless_asked(command: &Command, vars: &[(String, String)]) -> Vec<(String, String)> {
    let asked = vars.iter().find(|it| it.0 == "CLAXTON_LOG" || it.0 == "RUST_LOG");
    let level = if matches!(command, Command::Simulate(_)) { "off" } else { "warn" };
    vec![asked.cloned().unwrap_or_else(|| ("CLAXTON_LOG".to_owned(), level.to_owned()))]
}

/// Runs something that listens and speaks, on this thread alone.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(work))
}

/// The environment as pairs. What is not text cannot be a setting of ours, but its name may be mistyped all the same.
fn environment() -> Vec<(String, String)> {
    let text = |it: std::ffi::OsString| it.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == ErrorKind::BrokenPipe)
}

/// The whole chain of an error on one line.
fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_explains_itself() {
        fn explained(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} says nothing about itself", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{argument} of {} is unexplained", command.get_name());
            }
            command.get_subcommands().for_each(explained);
        }
        Claxton::command().debug_assert();
        explained(&Claxton::command());
    }

    #[test]
    fn an_error_with_causes_is_one_line() {
        let error = anyhow::anyhow!("the cause\n  with a break").context("what failed");
        assert_eq!(one_line(&error), "what failed: the cause with a break");
    }
}
