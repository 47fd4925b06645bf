//! A setup that has not ended, with what only the engine needs, and the arithmetic of its distances.

use std::cell::OnceCell;
use std::time::Duration;

use domain::gate::GateCheck;
use domain::ids::SetupId;
use domain::market::{Ohlc, Points};
use domain::setup::{Direction, Setup, SetupKind, SetupLevels, SetupState, Transition, TriggerFacts};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::{Step, families};
use crate::context::{Context, Exact, MicroFigures};

/// Which of a family's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The break of the opening range, or of a strike.
    Break,
    /// The first pullback to the edge after a break, or a pullback in a trend.
    Pullback,
    /// A rejection at a cluster of levels.
    Rejection,
    /// VWAP from below.
    Reclaim,
    /// VWAP from above.
    Loss,
    /// Back from a band.
    Fade,
    /// After a climax.
    Exhaustion,
}

impl Entry {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Break => "break",
            Self::Pullback => "pullback",
            Self::Rejection => "rejection",
            Self::Reclaim => "reclaim",
            Self::Loss => "loss",
            Self::Fade => "fade",
            Self::Exhaustion => "exhaustion",
        }
    }
}

/// What a family remembers of how its setup formed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Marks {
    /// The far edge of the cluster, or the extreme of the move.
    pub(super) far: Option<Points>,
    /// The last minute looked at, since the open.
    pub(super) minute: Option<i64>,
    /// Volume of the climax.
    pub(super) volume: Option<u64>,
    /// Mean spread before it.
    pub(super) spread: Option<Exact>,
}

/// A setup that has not ended, with what only the engine needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Planned {
    pub(super) setup: Setup,
    pub(super) entry: Entry,
    /// The edge of the opening range it is about, or the price its family is anchored to.
    pub(super) edge: Points,
    /// ATR when it became ready; its distances stay fixed from then on.
    pub(super) atr: Points,
    /// Since when every close was beyond the edge.
    pub(super) beyond_since: Option<UtcNanos>,
    /// A pullback's extreme against the direction.
    pub(super) extreme: Option<Points>,
    /// The index value at the trigger.
    pub(super) trigger: Option<Points>,
    /// The gates as they stood at the last look.
    pub(super) gates: Vec<GateCheck>,
    /// How long its timers stood still, in halts.
    #[serde(default)]
    pub(super) paused: Duration,
    /// What its family remembers.
    #[serde(default)]
    pub(super) marks: Marks,
}

/// What one second shows the setups.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    /// Start of the second.
    pub(super) bar: UtcNanos,
    /// Its end: when what happened in it is known.
    pub(super) at: UtcNanos,
    pub(super) ohlc: Ohlc,
    pub(super) ctx: &'a Context,
    pub(super) implied: Option<Points>,
    /// The proxy's window, summed once however many gates ask.
    pub(super) micro: &'a OnceCell<MicroFigures>,
}

impl Look<'_> {
    /// The proxy over its window.
    pub(super) fn micro(&self) -> MicroFigures {
        *self.micro.get_or_init(|| self.ctx.micro())
    }
}

/// When a setup ends for want of time, and why. In a halt its own timers stand; the session ends all the same.
pub(super) fn deadline(it: &Planned, ctx: &Context, is_halted: bool) -> (UtcNanos, &'static str) {
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

pub(super) fn minutes(n: u32) -> Duration {
    Duration::from_secs(u64::from(n) * 60)
}

/// `part` of a distance, rounded to 1/10,000 point.
pub(super) fn part_of(distance: Points, part: f64) -> Points {
    Points((distance.0 as f64 * part).round() as i64)
}

/// `from` moved by `distance` in the direction.
pub(super) fn ahead(direction: Direction, from: Points, distance: Points) -> Points {
    from.plus(Points(distance.0.saturating_mul(direction.sign())))
}

/// `from` moved by `distance` against the direction.
pub(super) fn behind(direction: Direction, from: Points, distance: Points) -> Points {
    from.minus(Points(distance.0.saturating_mul(direction.sign())))
}

/// The bar's extremes, first the one in the direction, then the one against it.
pub(super) fn extremes(direction: Direction, bar: &Ohlc) -> (Points, Points) {
    match direction {
        Direction::Long => (bar.high, bar.low),
        Direction::Short => (bar.low, bar.high),
    }
}

/// The zone's edge in the direction.
pub(super) fn outer_edge(levels: &SetupLevels, direction: Direction) -> Points {
    match direction {
        Direction::Long => levels.zone_high,
        Direction::Short => levels.zone_low,
    }
}

pub(super) fn beyond(direction: Direction, a: Points, b: Points) -> bool {
    a != b && direction.reached(a, b)
}

/// The first instant of an entry.
pub(super) fn entry_from(ctx: &Context) -> UtcNanos {
    ctx.session().open.plus(minutes(ctx.profile().entry_from_minutes))
}

/// No entry from here on.
pub(super) fn entry_until(ctx: &Context) -> UtcNanos {
    let profile = ctx.profile();
    let by_hours = ctx.session().open.plus(minutes(profile.entry_until_minutes));
    by_hours.min(ctx.session().before_close(profile.entry_stop_before_close_minutes))
}

/// A setup that forms with this second, named by what every ingester sees alike.
pub(super) fn new_setup(
    look: &Look<'_>,
    kind: SetupKind,
    direction: Direction,
    anchor: Points,
    levels: SetupLevels,
) -> Setup {
    let ctx = look.ctx;
    let session = ctx.session().date;
    let id = SetupId::of(&[
        session.to_string().as_bytes(),
        ctx.symbol().as_str().as_bytes(),
        kind.as_str().as_bytes(),
        direction.as_str().as_bytes(),
        &look.bar.0.to_le_bytes(),
        &anchor.0.to_le_bytes(),
    ]);
    Setup {
        id,
        session,
        symbol: ctx.symbol(),
        kind,
        profile: ctx.profile().version.clone(),
        direction,
        state: SetupState::Forming,
        sequence: 0,
        levels,
        valid_until: entry_until(ctx),
        formed_at: look.at,
        triggered_at: None,
        facts: TriggerFacts::default(),
        trailing_stop_path: Vec::new(),
    }
}

impl Planned {
    pub(super) fn new(setup: Setup, entry: Entry, edge: Points, atr: Points) -> Self {
        Self {
            setup,
            entry,
            edge,
            atr,
            beyond_since: None,
            extreme: None,
            trigger: None,
            gates: Vec::new(),
            paused: Duration::ZERO,
            marks: Marks::default(),
        }
    }

    /// Keeps how long price has been beyond the edge and how far it went against the direction.
    pub(super) fn note_progress(&mut self, look: &Look<'_>) {
        let direction = self.setup.direction;
        let is_beyond = direction.reached(look.ohlc.close, self.edge);
        self.beyond_since = if is_beyond { self.beyond_since.or(Some(look.bar)) } else { None };
        let (_, worst) = extremes(direction, &look.ohlc);
        self.extreme = Some(match self.extreme {
            Some(old) if direction.reached(worst, old) => old,
            _ => worst,
        });
    }

    /// Enters, with what is kept of the instant.
    pub(super) fn trigger(&mut self, look: &Look<'_>, steps: &mut Vec<Step>) {
        let (micro, direction, price) = (look.micro(), self.setup.direction, look.ohlc.close);
        let rules = look.ctx.profile().families.as_ref();
        let alignment = rules.zip(look.ctx.wider());
        let alignment = alignment.and_then(|(rules, it)| it.alignment().score(direction, &rules.context));
        self.setup.triggered_at = Some(look.at);
        self.setup.facts = TriggerFacts {
            bid_ask_imbalance_at_trigger: micro.imbalance,
            aggressor_skew_at_trigger: micro.skew,
            macro_alignment_score: alignment,
            family: families::status(self.setup.kind, look.ctx),
        };
        self.trigger = Some(price);
        self.step(SetupState::Triggered, look.at, price, self.entry.as_str(), look.bar, steps);
    }

    pub(super) fn is_of(&self, kind: SetupKind, direction: Direction) -> bool {
        (self.setup.kind, self.setup.direction) == (kind, direction)
    }

    /// Takes a step: the setup changes and the step is told, with the gates as they stood.
    pub(super) fn step(
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

    pub(super) fn tell(
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
