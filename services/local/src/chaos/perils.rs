//! What goes wrong in a round, and the dice that say so.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, json};
use sim::broker::faults::Fault;
use sim::perils::mixed;

use super::processes::Found;
use super::standing::Standing;

/// How long a round is treated badly.
pub(super) const HARMED_FOR: Duration = Duration::from_secs(20);
/// Programs that may be killed or stand still: every function on the order path and what feeds it.
const PROGRAMS: [&str; 7] =
    ["orders", "orders", "transitions", "flatten", "reconcile", "portfolio-sync", "ingester"];
/// The longest pause of a program: past the visibility time-out of its message.
const PAUSE_MAX_MS: u64 = 18_000;
/// The longest pause of the broker: past the time-out of a request.
const BROKER_PAUSE_MAX_MS: u64 = 9_000;

/// Numbers that a seed and a round decide.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn of(seed: u64, round: u32, what: u64) -> Self {
        Self(mixed(seed ^ mixed(what) ^ mixed(round as u64)))
    }

    /// A number below `end`.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        self.0 = mixed(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15));
        match self.0.checked_rem(end) {
            Some(it) => it,
            None => 0,
        }
    }

    /// One of `all`.
    pub(super) fn one<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let index = self.below(u64::try_from(all.len()).unwrap_or(0));
        all.get(usize::try_from(index).unwrap_or(0)).copied()
    }
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Peril {
    /// SIGKILL to a program.
    Kill(&'static str),
    /// SIGKILL to one of PostgreSQL's own: it drops every connection and recovers.
    KillConnection,
    /// SIGKILL to PostgreSQL's first process.
    KillPostgres,
    /// A program stands still for so many milliseconds.
    Pause(&'static str, u64),
    /// PostgreSQL stands still, all of it.
    PausePostgres(u64),
    /// Every connection to PostgreSQL breaks.
    BreakConnections,
}

impl fmt::Display for Peril {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(program) => write!(f, "kill {program}"),
            Self::KillConnection => f.write_str("kill_connection"),
            Self::KillPostgres => f.write_str("kill_postgres"),
            Self::Pause(program, ms) => write!(f, "pause {program} {ms} ms"),
            Self::PausePostgres(ms) => write!(f, "pause_postgres {ms} ms"),
            Self::BreakConnections => f.write_str("break_connections"),
        }
    }
}

/// What goes wrong in a round, and when.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    perils: Vec<(Duration, Peril)>,
    /// A script for the sandbox.
    faults: String,
    /// Whether everything is killed at the end, while closes still work.
    pub(super) power_goes: bool,
}

impl Plan {
    /// What `seed` holds for `round`.
    pub(super) fn draw(seed: u64, round: u32) -> Self {
        let mut dice = Dice::of(seed, round, 1);
        let count = dice.below(5) + 3;
        let mut perils: Vec<(Duration, Peril)> = (0..count)
            .filter_map(|_| {
                let at = Duration::from_millis(500 + dice.below(18_000));
                Some((at, peril(&mut dice)?))
            })
            .collect();
        perils.sort_by_key(|it| it.0);
        Self { perils, faults: faults(&mut dice), power_goes: dice.below(8) == 0 }
    }

    /// Does it all, then lets everything be; tells what was done.
    pub(super) async fn run(&self, standing: &Standing) -> anyhow::Result<Vec<String>> {
        standing.faults(&self.faults).await?;
        let begun = tokio::time::Instant::now();
        let mut done = vec![format!("broker_faults {}", self.faults)];
        let mut paused: Vec<(Duration, i32)> = Vec::new();
        let mut planned = self.perils.iter().peekable();
        while begun.elapsed() < HARMED_FOR {
            let now = begun.elapsed();
            paused.retain(|(until, pid)| {
                let goes_on = *until <= now;
                if goes_on {
                    send(*pid, Signal::SIGCONT);
                }
                !goes_on
            });
            while let Some((_, peril)) = planned.next_if(|it| it.0 <= now) {
                let struck = peril.strike(&standing.processes());
                if let Some(until) = peril.lasts() {
                    paused.extend(struck.iter().map(|pid| (now + until, *pid)));
                }
                if !struck.is_empty() {
                    done.push(peril.to_string());
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (_, pid) in paused {
            send(pid, Signal::SIGCONT);
        }
        standing.faults("").await?;
        Ok(done)
    }
}

fn peril(dice: &mut Dice) -> Option<Peril> {
    let pause = |dice: &mut Dice, most: u64| 500 + dice.below(most - 500);
    Some(match dice.below(16) {
        0..=5 => Peril::Kill(dice.one(&PROGRAMS)?),
        6 | 7 => Peril::KillConnection,
        8 => Peril::KillPostgres,
        9..=11 => Peril::Pause(dice.one(&PROGRAMS)?, pause(dice, PAUSE_MAX_MS)),
        12 => Peril::PausePostgres(pause(dice, PAUSE_MAX_MS)),
        13 | 14 => Peril::BreakConnections,
        _ => Peril::Pause("sandbox", pause(dice, BROKER_PAUSE_MAX_MS)),
    })
}

/// A script of a few faults, each at a few in a hundred of what it can strike.
fn faults(dice: &mut Dice) -> String {
    let mut rates = Map::new();
    for _ in 0..=dice.below(4) {
        if let Some(fault) = dice.one(Fault::ALL) {
            rates.insert(fault.as_str().to_owned(), json!((dice.below(15) + 1) as f64 / 100.0));
        }
    }
    json!({ "seed": dice.below(1 << 32), "rates": rates }).to_string()
}

impl Peril {
    /// How long it lasts; `None` for a blow.
    const fn lasts(&self) -> Option<Duration> {
        match self {
            Self::Pause(_, ms) | Self::PausePostgres(ms) => Some(Duration::from_millis(*ms)),
            Self::Kill(_) | Self::KillConnection | Self::KillPostgres | Self::BreakConnections => None,
        }
    }

    /// Does it to the processes it is for; tells which.
    fn strike(&self, all: &[Found]) -> Vec<i32> {
        let postgres = |it: &&Found| it.name == "postgres";
        // Its first process is the only one that another program started.
        let first = all
            .iter()
            .filter(postgres)
            .find(|it| !all.iter().any(|of| of.name == "postgres" && of.pid == it.parent));
        let (struck, signal): (Vec<i32>, Signal) = match self {
            Self::Kill(name) => (one(all, name), Signal::SIGKILL),
            Self::Pause(name, _) => (one(all, name), Signal::SIGSTOP),
            Self::KillConnection => (
                all.iter().filter(|it| it.is_connection()).map(|it| it.pid).take(1).collect(),
                Signal::SIGKILL,
            ),
            Self::KillPostgres => (first.map(|it| it.pid).into_iter().collect(), Signal::SIGKILL),
            Self::PausePostgres(_) => {
                (all.iter().filter(postgres).map(|it| it.pid).collect(), Signal::SIGSTOP)
            }
            Self::BreakConnections => {
                (all.iter().filter(|it| it.is_connection()).map(|it| it.pid).collect(), Signal::SIGTERM)
            }
        };
        for pid in &struck {
            send(*pid, signal);
        }
        struck
    }
}

/// A process of that program; of several the youngest, which is another one after each blow.
fn one(all: &[Found], name: &str) -> Vec<i32> {
    all.iter().filter(|it| it.name == name).map(|it| it.pid).max().into_iter().collect()
}

fn send(pid: i32, signal: Signal) {
    // It may have ended by itself.
    kill(Pid::from_raw(pid), signal).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::broker::faults::FaultScript;

    #[test]
    fn fifty_rounds_have_every_kind_of_peril_and_scripts_that_the_sandbox_reads() {
        let plans: Vec<Plan> = (1..=50).map(|round| Plan::draw(1, round)).collect();
        for word in
            ["kill ", "kill_connection", "kill_postgres", "pause ", "pause_postgres", "break_connections"]
        {
            let is = |plan: &Plan| plan.perils.iter().any(|it| it.1.to_string().starts_with(word));
            assert!(plans.iter().any(is), "{word} never happens");
        }
        assert!(plans.iter().any(|it| it.power_goes) && plans.iter().any(|it| !it.power_goes));
        for plan in &plans {
            FaultScript::parse(&plan.faults).unwrap();
        }
    }
}
