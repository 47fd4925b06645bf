//! Setups: found by detectors, led through their life by the lifecycle engine (spec 2).
//!
//! Pure: state, a second's bars and the context in; steps out. [`SetupEngine`] is a value: saved after any second and
//! restored, the rest of the day is identical. Time enters as the seconds' own times and by [`SetupEngine::pass_time`].

mod climax;
pub mod families;
mod gates;
mod level_test;
mod life;
mod orb;
mod plan;
mod planned;
mod reversion;
mod squeeze;
mod trend;
mod vwap;

#[cfg(test)]
mod day_tests;
#[cfg(test)]
mod family_tests;
#[cfg(test)]
mod lifecycle_tests;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;

use domain::market::{Ohlc, Points};
use domain::setup::{Direction, Setup, SetupKind, SetupState, Transition};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use crate::bars::tape::Second;
use crate::context::Context;
use planned::{
    Entry, Look, Marks, Planned, ahead, behind, beyond, deadline, entry_from, entry_until, extremes, minutes,
    new_setup, outer_edge, part_of,
};

/// A step of a setup, with the setup after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// After the step.
    pub setup: Setup,
    /// The step.
    pub transition: Transition,
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

/// What a family beside the breakout remembers of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    kind: SetupKind,
    direction: Direction,
    /// Price was where the next setup may form from.
    armed: bool,
    /// Price was inside the bands since the last fade.
    inside: bool,
    /// The last minute looked at, since the open.
    minute: Option<i64>,
    /// Setups triggered this session.
    triggered: u32,
}

/// The lifecycle engine with its detectors.
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
    /// By family and direction, in the order of [`plan::DETECTORS`].
    #[serde(default)]
    memory: Vec<Memory>,
    /// Setups of families that trade, triggered this session.
    #[serde(default)]
    entries: u32,
}

/// What counts against the caps of a family and direction.
#[derive(Clone, Copy)]
struct Caps {
    /// Triggered and not ended.
    live: u32,
    /// Triggered this session.
    triggered: u32,
    /// The most of these there may be.
    session_cap: u32,
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
        let (bar, at, micro) = (second.ts_open, second.end(), OnceCell::new());
        let look = Look { bar, at, ohlc, ctx, implied: self.implied, micro: &micro };
        orb::form(self, &look, &mut steps);
        plan::form(self, &look, &mut steps);
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
        let micro = OnceCell::new();
        let look = Look { bar, at, ohlc, ctx, implied: None, micro: &micro };
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
        let Some((kind, direction)) = self.planned.get(i).map(|it| (it.setup.kind, it.setup.direction))
        else {
            return;
        };
        let live = |it: &&Planned| it.is_of(kind, direction) && it.setup.state.is_live();
        let live = u32::try_from(self.planned.iter().filter(live).count()).unwrap_or(u32::MAX);
        let triggered = self.triggered(kind, direction);
        let caps = Caps { live, triggered, session_cap: self.session_cap(look.ctx) };
        let Some(it) = self.planned.get_mut(i) else { return };
        match it.setup.state {
            SetupState::Forming | SetupState::Ready => {
                match plan::detector(kind) {
                    None => orb::work(caps, it, look, steps),
                    Some(detector) => plan::work(detector, caps, it, look, steps),
                }
                if it.setup.state == SetupState::Triggered {
                    let trades = it.setup.facts.family.trades();
                    self.entries = self.entries.saturating_add(u32::from(trades));
                    self.count_trigger(kind, direction);
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

    /// The most setups of a family and direction in a session: the profile's cap, or its share of all entries, the next one
    /// included, where that is more.
    fn session_cap(&self, ctx: &Context) -> u32 {
        let profile = ctx.profile();
        let share = profile.families.as_ref().map_or(0.0, |it| it.session_share);
        let entries = f64::from(self.entries.saturating_add(1));
        profile.session_cap_per_direction.max((share * entries).floor() as u32)
    }

    /// Setups of a family and direction triggered this session.
    fn triggered(&self, kind: SetupKind, direction: Direction) -> u32 {
        match plan::detector(kind) {
            None => self.side(direction).triggered,
            Some(_) => self.remembered(kind, direction).map_or(0, |it| it.triggered),
        }
    }

    fn count_trigger(&mut self, kind: SetupKind, direction: Direction) {
        if plan::detector(kind).is_none() {
            let side = self.side_mut(direction);
            side.triggered = side.triggered.saturating_add(1);
        } else if let Some(it) =
            self.memory.iter_mut().find(|it| (it.kind, it.direction) == (kind, direction))
        {
            it.triggered = it.triggered.saturating_add(1);
        }
    }

    fn remembered(&self, kind: SetupKind, direction: Direction) -> Option<&Memory> {
        self.memory.iter().find(|it| (it.kind, it.direction) == (kind, direction))
    }

    /// Whether a setup of a family and direction that has not ended is such.
    fn holds(&self, kind: SetupKind, direction: Direction, such: impl Fn(&Planned) -> bool) -> bool {
        self.planned.iter().any(|it| it.is_of(kind, direction) && such(it))
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
