//! What a seed decides before anything runs: the session, its setups, and what may go wrong how often.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::calendar::Session;
use domain::kill::KillState;
use domain::setup::{Direction, SetupState};
use domain::time::UtcNanos;
use jiff::civil::{Date, date, time};
use sim::broker::Latencies;
use sim::perils::{Chances, Peril, mixed};

use super::structures::PlannedCombo;

/// Sessions to choose from: ordinary ones, those after the clocks changed, and short ones (FLT21).
const DATES: [Date; 6] = [
    date(2026, 11, 20),
    date(2026, 7, 17),
    date(2026, 3, 9),
    date(2026, 11, 2),
    date(2026, 11, 27),
    date(2026, 12, 24),
];
/// How long setups trigger.
const ACTIVE: Duration = Duration::from_secs(18 * 60);
/// Setups of a session, at least: with what follows from them some fifty intents.
const SETUPS_MIN: u64 = 11;
/// How long a session is followed past its close: the report, the broker's clean-up and what follows from them.
const AFTER_CLOSE: Duration = Duration::from_secs(20 * 60);

/// How long a session is followed at least once nothing goes wrong any more.
const CALM_FOR: Duration = Duration::from_secs(12 * 60);

/// A stream of draws of one seed.
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) const fn new(seed: u64, stream: u64) -> Self {
        Self(mixed(seed ^ mixed(stream)))
    }

    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.bits().checked_rem(n).unwrap_or(0)
    }

    pub(crate) fn percent(&mut self, of: u64) -> bool {
        self.below(100) < of
    }

    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(0);
        low.saturating_add(Duration::from_millis(self.below(span.saturating_add(1))))
    }

    fn seconds(&mut self, low: u64, high: u64) -> Duration {
        self.between(Duration::from_secs(low), Duration::from_secs(high))
    }
}

/// A setup and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// When it triggers.
    pub(crate) at: UtcNanos,
    pub(crate) direction: Direction,
    /// R in whole points.
    pub(crate) r: i64,
    /// Its later steps, with how long after the step before.
    pub(crate) steps: Vec<(Duration, SetupState, &'static str)>,
}

/// Something that happens at an instant, to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incident {
    pub(crate) at: UtcNanos,
    pub(crate) what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The database does not answer (FLT12).
    DatabaseDown(Duration),
    /// The database answers reads alone (FLT13).
    DatabaseReadOnly(Duration),
    /// The broker does not answer (FLT14).
    BrokerAway(Duration),
    /// Alerts cannot be sent (FLT29).
    AlertsDown(Duration),
    /// No quote moves and nothing executes (FLT31).
    Halt(Duration),
    /// Options trade and the index is silent (FLT32).
    IndexSilent(Duration),
    /// Wide markets into the close (FLT33).
    WideClose,
    /// Nobody bids into the close (FLT33, FLT26).
    NoBids,
    /// The operator flips the switch, for one member or for all, and releases it (FLT28).
    Flip { state: KillState, of: Option<usize>, held: Duration },
    /// A member's token is revoked, and another stored later (FLT25).
    Revoked { member: usize, rotated: Duration },
    /// A member trades by hand beside us (FLT20).
    ByHand { member: usize, closes: bool },
    /// Somebody puts a body into a queue that is not ours to work (FLT11, FLT27).
    Poison(usize),
    /// The dead letters are put back into their queues (FLT11).
    Redrive,
}

impl What {
    /// Its number in the fault catalogue.
    pub(crate) const fn class(self) -> u8 {
        match self {
            Self::DatabaseDown(_) => 12,
            Self::DatabaseReadOnly(_) => 13,
            Self::BrokerAway(_) => 14,
            Self::AlertsDown(_) => 29,
            Self::Halt(_) => 31,
            Self::IndexSilent(_) => 32,
            Self::WideClose => 33,
            Self::NoBids => 26,
            Self::Flip { .. } => 28,
            Self::Revoked { .. } => 25,
            Self::ByHand { .. } => 20,
            Self::Poison(kind) => {
                if kind == 0 {
                    27
                } else {
                    11
                }
            }
            Self::Redrive => 11,
        }
    }
}

/// A session as its seed draws it.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    pub(crate) seed: u64,
    pub(crate) session: Session,
    pub(crate) start: UtcNanos,
    /// When everything that can be stopped going wrong stops.
    pub(crate) calm_at: UtcNanos,
    pub(crate) end: UtcNanos,
    pub(crate) setups: Vec<Planned>,
    pub(crate) structures: Vec<PlannedCombo>,
    pub(crate) chances: Chances,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) latencies: Latencies,
    /// How far the clocks of processes may be off (FLT21).
    pub(crate) skew_max_ns: i64,
    /// Quoted sizes are below this: orders fill in parts where it is small (FLT18).
    pub(crate) size_max: u32,
    /// Classes that may happen.
    pub(crate) classes: BTreeSet<u8>,
    /// Whether the first calls of every place die, those that page among them.
    pub(crate) is_reaping: bool,
}

/// Classes that are one thing at one call.
const AT_CALLS: [u8; 17] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 17, 22, 23, 30];
/// Classes that are something else: incidents, and the way the session is made.
const ELSEWHERE: [u8; 15] = [11, 13, 14, 18, 19, 20, 21, 24, 25, 26, 27, 28, 29, 31, 32];
/// The rest of the latter.
const MARKET: [u8; 2] = [33, 34];

/// One seed in eight kills at the first calls of every place, among what brings the rarest of them about.
const REAPING: u64 = 5;
const REAPED: [u8; 8] = [3, 9, 11, 12, 14, 17, 20, 25];

/// Every class of the catalogue that a session knows.
pub fn all_classes() -> BTreeSet<u8> {
    AT_CALLS.into_iter().chain(ELSEWHERE).chain(MARKET).collect()
}

impl Course {
    /// What `seed` decides; of the fault classes those in `allowed` alone.
    pub(crate) fn of(seed: u64, allowed: &BTreeSet<u8>) -> Option<Self> {
        let mut draws = Draws::new(seed, 1);
        let (mut classes, mut heavy) = classes(&mut draws, allowed);
        let is_reaping = seed % 8 == REAPING && allowed.is_superset(&BTreeSet::from(REAPED));
        if is_reaping {
            (classes, heavy) = (BTreeSet::from(REAPED), false);
        }
        let day = draws.below(if classes.contains(&21) { 6 } else { 2 });
        let date = DATES.get(usize::try_from(day).unwrap_or(0)).copied()?;
        let session = Session::of(date).ok().flatten()?;
        let last_entry = session.wall(time(15, 0, 0, 0)).min(session.before_close(20));
        let start = last_entry.minus(ACTIVE).minus(Duration::from_secs(90));
        let setups = setups(&mut draws, start.plus(Duration::from_secs(90)), last_entry);
        // A stream of their own: what else a seed decides does not depend on them.
        let structures = super::structures::drawn(
            &mut Draws::new(seed, 3),
            start.plus(Duration::from_secs(90)),
            last_entry,
        );
        // Before the flatten, within it, or after the close.
        let calm_at = match draws.below(8) {
            0 | 1 => session.before_close(17),
            2 | 3 => session.before_close(10),
            4 | 5 => session.before_close(3),
            6 => session.close.plus(Duration::from_secs(180)),
            _ => session.close.plus(Duration::from_secs(16 * 60)),
        };
        let calm_at = if is_reaping { session.close.plus(Duration::from_secs(16 * 60)) } else { calm_at };
        let mut incidents = incidents(&mut draws, &classes, &session, start, calm_at);
        if is_reaping {
            // The flatten goes on without its database for a while.
            let at = session.before_close(15).plus(draws.between(Duration::ZERO, Duration::from_secs(240)));
            incidents.push(Incident { at, what: What::DatabaseDown(draws.seconds(60, 200)) });
        }
        let lag = |draws: &mut Draws, is: bool, usual: Duration, most: u64| {
            if is { draws.between(usual, Duration::from_millis(most)) } else { usual }
        };
        let usual = Latencies::USUAL;
        let latencies = Latencies {
            list: lag(&mut draws, classes.contains(&19), usual.list, 5_000),
            cancel: lag(&mut draws, classes.contains(&17), usual.cancel, 2_000),
            average: lag(&mut draws, classes.contains(&19), usual.average, 3_000),
            ..usual
        };
        let chances = Chances::new(mixed(seed ^ 0x5eed), chances(&mut draws, &classes, heavy));
        let chances = if is_reaping { chances.reaping() } else { chances };
        Some(Self {
            seed,
            session,
            start,
            calm_at,
            end: session.close.plus(AFTER_CLOSE).max(calm_at.plus(CALM_FOR)),
            setups,
            structures,
            chances,
            incidents,
            latencies,
            skew_max_ns: if classes.contains(&21) { 2_000_000_000 } else { 0 },
            size_max: if classes.contains(&18) { 4 } else { 60 },
            classes,
            is_reaping,
        })
    }
}

/// Which classes a seed has: one in sixteen has none, one in eight a single heavy one, the others at least five.
fn classes(draws: &mut Draws, allowed: &BTreeSet<u8>) -> (BTreeSet<u8>, bool) {
    let all: Vec<u8> = allowed.iter().copied().collect();
    let kind = draws.below(16);
    let count = u64::try_from(all.len()).unwrap_or(1);
    let one = |draws: &mut Draws| {
        let index = usize::try_from(draws.below(count)).unwrap_or(0);
        all.get(index).copied()
    };
    match kind {
        0 => (BTreeSet::new(), false),
        1 | 2 => (one(draws).into_iter().collect(), true),
        _ => {
            let mut chosen: BTreeSet<u8> = all.iter().copied().filter(|_| draws.percent(40)).collect();
            while chosen.len() < 5.min(all.len()) {
                chosen.extend(one(draws));
            }
            (chosen, false)
        }
    }
}

fn chances(draws: &mut Draws, classes: &BTreeSet<u8>, heavy: bool) -> BTreeMap<Peril, u32> {
    let mut ppm = BTreeMap::new();
    for peril in Peril::ALL.into_iter().filter(|it| classes.contains(&it.class())) {
        // From one in a thousand to one in twenty, each power of two as likely as the next.
        let usual = 1_000u64 << draws.below(6);
        let usual = usual.saturating_add(draws.below(usual));
        // What ends or stops a process happens to few calls of a session of thousands, or nothing would ever be done.
        let is_rough = matches!(peril.class(), 7 | 9 | 10 | 12 | 25 | 28);
        let drawn = match (heavy, is_rough) {
            (true, true) => 100_000,
            (true, false) => 500_000 / siblings(peril),
            (false, true) => usual / 4,
            (false, false) => usual,
        };
        ppm.insert(peril, u32::try_from(drawn).unwrap_or(u32::MAX));
    }
    ppm
}

/// How many perils share a class.
fn siblings(peril: Peril) -> u64 {
    let same = Peril::ALL.into_iter().filter(|it| it.class() == peril.class()).count();
    u64::try_from(same).unwrap_or(1).max(1)
}

fn setups(draws: &mut Draws, from: UtcNanos, until: UtcNanos) -> Vec<Planned> {
    let count = SETUPS_MIN.saturating_add(draws.below(3));
    let span = until.since(from).saturating_sub(Duration::from_secs(45));
    let mut planned: Vec<Planned> = (0..count)
        .map(|_| Planned {
            at: from.plus(draws.between(Duration::ZERO, span)),
            direction: if draws.percent(50) { Direction::Long } else { Direction::Short },
            r: i64::try_from(draws.below(7)).unwrap_or(0).saturating_add(9),
            steps: steps(draws),
        })
        .collect();
    planned.sort_by_key(|it| it.at);
    planned
}

/// What becomes of a setup after its trigger. One without a later step is left to the flatten.
fn steps(draws: &mut Draws) -> Vec<(Duration, SetupState, &'static str)> {
    let first = draws.seconds(4, 100);
    match draws.below(100) {
        0..45 => {
            let second = draws.seconds(5, 120);
            let last = match draws.below(4) {
                0 => (SetupState::T2Hit, "t2"),
                1 => (SetupState::Stopped, "trailed_stop"),
                2 => (SetupState::Expired, "max_hold"),
                _ => return vec![(first, SetupState::T1Hit, "t1")],
            };
            vec![(first, SetupState::T1Hit, "t1"), (second, last.0, last.1)]
        }
        45..75 => vec![(first, SetupState::Stopped, "stop")],
        75..88 => vec![(first, SetupState::Expired, "max_hold")],
        _ => Vec::new(),
    }
}

fn incidents(
    draws: &mut Draws,
    classes: &BTreeSet<u8>,
    session: &Session,
    start: UtcNanos,
    calm_at: UtcNanos,
) -> Vec<Incident> {
    let mut found = Vec::new();
    // Half of them while setups trigger, half at any time.
    let at = |draws: &mut Draws| {
        let until = if draws.percent(50) { start.plus(ACTIVE) } else { calm_at };
        start.plus(draws.between(Duration::from_secs(60), until.since(start)))
    };
    let flatten = session.before_close(16);
    for class in classes {
        for _ in 0..=draws.below(2) {
            let what = match class {
                11 if draws.percent(50) => What::Redrive,
                11 => What::Poison(usize::try_from(draws.below(5)).unwrap_or(0).saturating_add(1)),
                12 if draws.percent(50) => What::DatabaseDown(draws.seconds(2, 300)),
                13 => What::DatabaseReadOnly(draws.seconds(2, 90)),
                14 => {
                    let most = [30, 120, 600, 1_800];
                    let most = most.get(usize::try_from(draws.below(4)).unwrap_or(0)).copied();
                    What::BrokerAway(draws.seconds(10, most.unwrap_or(30)))
                }
                20 => What::ByHand {
                    member: usize::try_from(draws.below(2)).unwrap_or(0),
                    closes: draws.percent(50),
                },
                25 => What::Revoked {
                    member: usize::try_from(draws.below(2)).unwrap_or(0),
                    rotated: draws.seconds(20, 400),
                },
                26 => {
                    found.push(Incident { at: flatten, what: What::NoBids });
                    continue;
                }
                27 => What::Poison(0),
                28 => What::Flip {
                    state: match draws.below(4) {
                        0 => KillState::NoEntries,
                        1 | 2 => KillState::SafeMode,
                        _ => KillState::HardStop,
                    },
                    of: draws.percent(50).then(|| usize::try_from(draws.below(2)).unwrap_or(0)),
                    held: draws.seconds(5, 120),
                },
                29 => What::AlertsDown(draws.seconds(5, 600)),
                31 => What::Halt(draws.seconds(60, 900)),
                32 => What::IndexSilent(draws.seconds(5, 300)),
                33 => {
                    found.push(Incident { at: flatten, what: What::WideClose });
                    continue;
                }
                _ => continue,
            };
            found.push(Incident { at: at(draws), what });
        }
    }
    found.sort_by_key(|it| it.at);
    found
}
