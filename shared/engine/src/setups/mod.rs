//! Setups: found by detectors, led through their life by the lifecycle engine (spec 2).
//!
//! Pure: state, a second's bars and the context in; steps out. [`SetupEngine`] is a value: saved after any second and
//! restored, the rest of the day is identical. Time enters as the seconds' own times and by [`SetupEngine::pass_time`].

mod gates;
mod life;
mod orb;

#[cfg(test)]
mod tests;

use std::time::Duration;

use domain::gate::GateCheck;
use domain::market::{Ohlc, Points};
use domain::setup::{Direction, Setup, SetupState, Transition};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use crate::bars::tape::Second;
use crate::context::Context;

/// A step of a setup, with the setup after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// After the step.
    pub setup: Setup,
    /// The step.
    pub transition: Transition,
}

/// Which of the family's two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// The break of the opening range.
    Break,
    /// The first pullback to the edge after a break.
    Pullback,
}

impl Entry {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Break => "break",
            Self::Pullback => "pullback",
        }
    }
}

/// A setup that has not ended, with what only the engine needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Planned {
    setup: Setup,
    entry: Entry,
    /// The edge of the opening range it is about.
    edge: Points,
    /// ATR when it became ready; its distances stay fixed from then on.
    atr: Points,
    /// Since when every close was beyond the edge.
    beyond_since: Option<UtcNanos>,
    /// A pullback's extreme against the direction.
    extreme: Option<Points>,
    /// The index value at the trigger.
    trigger: Option<Points>,
    /// The gates as they stood at the last look.
    gates: Vec<GateCheck>,
    /// How long its timers stood still, in halts.
    #[serde(default)]
    paused: Duration,
}

/// What one direction remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Side {
    /// Price was inside the range since the last break setup formed.
    break_armed: bool,
    /// Price was inside the range since the last pullback setup formed.
    pullback_armed: bool,
    /// Setups triggered this session.
    triggered: u32,
}

/// The lifecycle engine with its detector.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SetupEngine {
    planned: Vec<Planned>,
    long: Side,
    short: Side,
    formed: u32,
    /// The start of the last second with an index value.
    bar: UtcNanos,
    /// The spot that options imply; stops use it where it is worse by more than three points.
    #[serde(default)]
    implied: Option<Points>,
    /// Since when the market stands, and timers with it.
    #[serde(default)]
    halted_since: Option<UtcNanos>,
}

/// What one second shows the setups.
#[derive(Clone, Copy)]
struct Look<'a> {
    /// Start of the second.
    bar: UtcNanos,
    /// Its end: when what happened in it is known.
    at: UtcNanos,
    ohlc: Ohlc,
    ctx: &'a Context,
    implied: Option<Points>,
}

/// What counts against a direction's caps.
#[derive(Clone, Copy)]
struct Caps {
    /// Triggered and not ended.
    live: u32,
    /// Triggered this session.
    triggered: u32,
}

const DIRECTIONS: [Direction; 2] = [Direction::Long, Direction::Short];

impl SetupEngine {
    /// Nothing found yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Setups that have not ended.
    pub fn open(&self) -> impl Iterator<Item = &Setup> {
        self.planned.iter().map(|it| &it.setup)
    }

    /// Setups formed this session.
    pub fn formed(&self) -> u32 {
        self.formed
    }

    /// Looks at a second. `ctx` has taken it already.
    pub fn on_second(&mut self, second: &Second, ctx: &Context) -> Vec<Step> {
        let mut steps = self.pass_time(second.ts_open, ctx);
        let Some(ohlc) = second.index.as_ref().and_then(|it| it.ohlc).filter(|_| second.in_session) else {
            return steps;
        };
        self.bar = second.ts_open;
        let look = Look { bar: second.ts_open, at: second.end(), ohlc, ctx, implied: self.implied };
        orb::form(self, &look, &mut steps);
        for i in 0..self.planned.len() {
            self.work(i, &look, &mut steps);
        }
        self.forget_ended();
        steps
    }

    /// Whether a setup is live: a position may stand behind it.
    pub fn has_live(&self) -> bool {
        self.planned.iter().any(|it| it.setup.state.is_live())
    }

    /// Notes the spot that options imply just now.
    pub const fn set_implied(&mut self, implied: Option<Points>) {
        self.implied = implied;
    }

    /// Leads live setups by a value that stands for the silent index. Nothing triggers on it.
    pub fn on_substitute(&mut self, at: UtcNanos, value: Points, ctx: &Context) -> Vec<Step> {
        let mut steps = self.pass_time(at, ctx);
        let ohlc = Ohlc { open: value, high: value, low: value, close: value };
        let bar = at.floor_to(domain::time::NANOS_PER_SEC);
        let look = Look { bar, at, ohlc, ctx, implied: None };
        for it in self.planned.iter_mut().filter(|it| it.setup.state.is_live()) {
            life::lead(it, &look, &mut steps);
        }
        self.forget_ended();
        steps
    }

    /// Ends live setups: nobody has seen the index for too long.
    pub fn end_live(&mut self, at: UtcNanos, reason: &str, ctx: &Context) -> Vec<Step> {
        let (bar, mut steps) = (self.bar, Vec::new());
        for it in self.planned.iter_mut().filter(|it| it.setup.state.is_live()) {
            let price = ctx.last().map_or(it.edge, |last| last.close);
            it.step(SetupState::Expired, at, price, reason, bar, &mut steps);
        }
        self.forget_ended();
        steps
    }

    /// The market stands: timers stand with it.
    pub fn halt(&mut self, at: UtcNanos) {
        self.halted_since.get_or_insert(at);
    }

    /// It trades again: timers go on where they stood.
    pub fn resume(&mut self, at: UtcNanos) {
        let Some(since) = self.halted_since.take() else { return };
        for it in &mut self.planned {
            it.paused = it.paused.saturating_add(at.since(since));
        }
    }

    /// Ends what has run out of time at `now` or before, in order of time. `now` counts in whole seconds, so that a
    /// second is always looked at before a deadline inside it.
    pub fn pass_time(&mut self, now: UtcNanos, ctx: &Context) -> Vec<Step> {
        let now = now.floor_to(domain::time::NANOS_PER_SEC);
        let mut due: Vec<(UtcNanos, usize, &'static str)> = self
            .planned
            .iter()
            .enumerate()
            .map(|(i, it)| {
                let (at, reason) = deadline(it, ctx, self.halted_since.is_some());
                (at, i, reason)
            })
            .filter(|(at, ..)| *at <= now)
            .collect();
        due.sort_unstable();
        let (bar, mut steps) = (self.bar, Vec::new());
        for (at, i, reason) in due {
            let Some(it) = self.planned.get_mut(i) else { continue };
            let price = ctx.last().map_or(it.edge, |last| last.close);
            it.step(SetupState::Expired, at, price, reason, bar, &mut steps);
        }
        self.forget_ended();
        steps
    }

    /// When the next setup runs out of time, for whoever moves the clock.
    pub fn next_deadline(&self, ctx: &Context) -> Option<UtcNanos> {
        let halted = self.halted_since.is_some();
        self.planned.iter().map(|it| deadline(it, ctx, halted).0).min()
    }

    /// Takes the setup at `i` through the second.
    fn work(&mut self, i: usize, look: &Look<'_>, steps: &mut Vec<Step>) {
        let Some(direction) = self.planned.get(i).map(|it| it.setup.direction) else { return };
        let live = |it: &&Planned| it.setup.direction == direction && it.setup.state.is_live();
        let live = u32::try_from(self.planned.iter().filter(live).count()).unwrap_or(u32::MAX);
        let caps = Caps { live, triggered: self.side(direction).triggered };
        let Some(it) = self.planned.get_mut(i) else { return };
        match it.setup.state {
            SetupState::Forming | SetupState::Ready => {
                orb::work(caps, it, look, steps);
                if it.setup.state == SetupState::Triggered {
                    let side = self.side_mut(direction);
                    side.triggered = side.triggered.saturating_add(1);
                }
            }
            SetupState::Triggered | SetupState::T1Hit => life::lead(it, look, steps),
            SetupState::T2Hit
            | SetupState::Stopped
            | SetupState::Invalidated
            | SetupState::Expired
            | SetupState::Missed => {}
        }
    }

    /// Whether a setup of a direction that has not ended is such.
    fn holds(&self, direction: Direction, such: impl Fn(&Planned) -> bool) -> bool {
        self.planned.iter().any(|it| it.setup.direction == direction && such(it))
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Long => &self.long,
            Direction::Short => &self.short,
        }
    }

    fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Long => &mut self.long,
            Direction::Short => &mut self.short,
        }
    }

    fn forget_ended(&mut self) {
        self.planned.retain(|it| !it.setup.state.is_terminal());
    }
}

/// When a setup ends for want of time, and why. In a halt its own timers stand; the session ends all the same.
fn deadline(it: &Planned, ctx: &Context, is_halted: bool) -> (UtcNanos, &'static str) {
    let (setup, profile) = (&it.setup, ctx.profile());
    let session_end = (ctx.session().before_close(profile.session_end_minutes), "session_end");
    let own = match (setup.state, setup.triggered_at) {
        (SetupState::Forming | SetupState::Ready, _) => (setup.valid_until, "valid_until"),
        (SetupState::Triggered, Some(at)) => (at.plus(minutes(profile.hold_max_minutes)), "hold_max"),
        _ => session_end,
    };
    let own = (own.0.plus(it.paused), own.1);
    // At the same instant the session's end is the reason: it writes no intent.
    if is_halted || session_end.0 <= own.0 { session_end } else { own }
}

fn minutes(n: u32) -> Duration {
    Duration::from_secs(u64::from(n) * 60)
}

/// `part` of a distance, rounded to 1/10,000 point.
fn part_of(distance: Points, part: f64) -> Points {
    Points((distance.0 as f64 * part).round() as i64)
}

/// `from` moved by `distance` in the direction.
fn ahead(direction: Direction, from: Points, distance: Points) -> Points {
    from.plus(Points(distance.0.saturating_mul(direction.sign())))
}

/// `from` moved by `distance` against the direction.
fn behind(direction: Direction, from: Points, distance: Points) -> Points {
    from.minus(Points(distance.0.saturating_mul(direction.sign())))
}

/// The bar's extremes, first the one in the direction, then the one against it.
fn extremes(direction: Direction, bar: &Ohlc) -> (Points, Points) {
    match direction {
        Direction::Long => (bar.high, bar.low),
        Direction::Short => (bar.low, bar.high),
    }
}

impl Planned {
    /// Takes a step: the setup changes and the step is told, with the gates as they stood.
    fn step(
        &mut self,
        to: SetupState,
        at: UtcNanos,
        price: Points,
        reason: &str,
        bar: UtcNanos,
        steps: &mut Vec<Step>,
    ) {
        let from = self.setup.state;
        self.setup.state = to;
        self.setup.sequence = self.setup.sequence.saturating_add(1);
        self.tell(Some(from), at, price, reason, bar, steps);
    }

    fn tell(
        &self,
        from: Option<SetupState>,
        ts: UtcNanos,
        price: Points,
        reason: &str,
        bar: UtcNanos,
        steps: &mut Vec<Step>,
    ) {
        let setup = self.setup.clone();
        let transition = Transition {
            setup: setup.id,
            sequence: setup.sequence,
            from,
            to: setup.state,
            ts,
            price,
            reason: reason.to_owned(),
            bar,
            gates: self.gates.clone(),
        };
        steps.push(Step { setup, transition });
    }
}
