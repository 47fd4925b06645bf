//! Setups and their lifecycle (spec 2).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::gate::GateCheck;
use crate::ids::{ChainId, SetupId};
use crate::market::Points;
use crate::symbol::{Right, Underlying};
use crate::time::UtcNanos;

/// Which detector found the setup: its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupKind {
    /// Break of the opening range, or the first pullback to it after a break.
    OrbBreakout,
    /// Touch and rejection of a strong cluster of levels.
    LevelTest,
    /// Reclaim, loss or fade at VWAP and its bands.
    Vwap,
    /// An extreme of volume and range, then exhaustion.
    VolumeClimax,
    /// Dealers short of gamma at spot and at the strikes ahead.
    GammaSqueeze,
    /// Continuation of a trend from a pullback.
    TrendPullback,
    /// Fade of a band of two deviations in a range.
    MeanReversion,
}

impl SetupKind {
    /// Every family.
    pub const ALL: [Self; 7] = [
        Self::OrbBreakout,
        Self::LevelTest,
        Self::Vwap,
        Self::VolumeClimax,
        Self::GammaSqueeze,
        Self::TrendPullback,
        Self::MeanReversion,
    ];

    /// The name in messages, rows and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrbBreakout => "orb_breakout",
            Self::LevelTest => "level_test",
            Self::Vwap => "vwap",
            Self::VolumeClimax => "volume_climax",
            Self::GammaSqueeze => "gamma_squeeze",
            Self::TrendPullback => "trend_pullback",
            Self::MeanReversion => "mean_reversion",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// Whether a family's setups may become intents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FamilyStatus {
    /// They do.
    #[default]
    Active,
    /// Its rolling figures are under the floor: its setups are led to their end, so that it can recover, but none
    /// becomes an intent.
    Quarantined,
    /// It is on trial: its setups are led to their end and none becomes an intent.
    Shadow,
}

impl FamilyStatus {
    /// Whether intents may follow.
    pub const fn trades(self) -> bool {
        matches!(self, Self::Active)
    }

    /// The name in rows and traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Quarantined => "quarantined",
            Self::Shadow => "shadow",
        }
    }

    const fn is_active(&self) -> bool {
        self.trades()
    }
}

/// Which way the setup expects the index to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Up: calls are bought.
    Long,
    /// Down: puts are bought.
    Short,
}

impl Direction {
    /// +1 up, -1 down.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Long => 1,
            Self::Short => -1,
        }
    }

    /// The option bought for it.
    pub const fn right(self) -> Right {
        match self {
            Self::Long => Right::Call,
            Self::Short => Right::Put,
        }
    }

    /// The name in messages and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Short => "short",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "long" => Some(Self::Long),
            "short" => Some(Self::Short),
            _ => None,
        }
    }

    /// Whether `a` is at or beyond `b` in this direction.
    pub const fn reached(self, a: Points, b: Points) -> bool {
        match self {
            Self::Long => a.0 >= b.0,
            Self::Short => a.0 <= b.0,
        }
    }
}

/// Where a setup stands. Terminal states never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupState {
    /// Being built; levels may still move.
    Forming,
    /// Complete: zone, stop and targets are fixed.
    Ready,
    /// Entered.
    Triggered,
    /// First target reached; the runner is on.
    T1Hit,
    /// Second target reached. Terminal.
    T2Hit,
    /// Stopped out, at the initial or the trailed stop. Terminal.
    Stopped,
    /// The idea broke before it triggered. Terminal.
    Invalidated,
    /// Its time ran out, or the session did. Terminal.
    Expired,
    /// Price left without an entry. Terminal.
    Missed,
}

impl SetupState {
    /// Every state, in the order of life.
    pub const ALL: [Self; 9] = [
        Self::Forming,
        Self::Ready,
        Self::Triggered,
        Self::T1Hit,
        Self::T2Hit,
        Self::Stopped,
        Self::Invalidated,
        Self::Expired,
        Self::Missed,
    ];

    /// Whether nothing follows.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::T2Hit | Self::Stopped | Self::Invalidated | Self::Expired | Self::Missed)
    }

    /// Whether a position may stand behind it.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Triggered | Self::T1Hit)
    }

    /// Whether `self -> to` is a step of the lifecycle. A live state may follow itself: the trail moved.
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            Self::Forming => matches!(to, Self::Ready | Self::Invalidated | Self::Expired),
            Self::Ready => matches!(to, Self::Triggered | Self::Invalidated | Self::Expired | Self::Missed),
            Self::Triggered => matches!(to, Self::Triggered | Self::T1Hit | Self::Stopped | Self::Expired),
            Self::T1Hit => matches!(to, Self::T1Hit | Self::T2Hit | Self::Stopped | Self::Expired),
            Self::T2Hit | Self::Stopped | Self::Invalidated | Self::Expired | Self::Missed => false,
        }
    }

    /// The name in messages and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forming => "forming",
            Self::Ready => "ready",
            Self::Triggered => "triggered",
            Self::T1Hit => "t1_hit",
            Self::T2Hit => "t2_hit",
            Self::Stopped => "stopped",
            Self::Invalidated => "invalidated",
            Self::Expired => "expired",
            Self::Missed => "missed",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// Where to enter, where to be wrong, where to take profit. Index points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetupLevels {
    /// Lower edge of the entry zone.
    pub zone_low: Points,
    /// Upper edge of the entry zone.
    pub zone_high: Points,
    /// The stop now; trails after T1, never loosened.
    pub stop: Points,
    /// First target, 1 R from the middle of the zone.
    pub t1: Points,
    /// Second target, 2 R.
    pub t2: Points,
    /// |middle of the entry zone - initial stop|, fixed at `ready`.
    pub r_index: Points,
}

/// One move of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailStep {
    /// Exchange time of the bar that moved it.
    pub ts: UtcNanos,
    /// The new stop.
    pub stop: Points,
    /// Why: `break_even`, `pivot_low`, `pivot_high`.
    pub reason: String,
}

/// What was kept at the trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerFacts {
    /// Size imbalance of the proxy over the last 60 s.
    pub bid_ask_imbalance_at_trigger: Option<f64>,
    /// Aggressor skew of the proxy over the last 60 s.
    pub aggressor_skew_at_trigger: Option<f64>,
    /// 0 to 100; absent while its inputs are.
    pub macro_alignment_score: Option<f64>,
    /// What its family was then: of any other than an active one no intent follows.
    #[serde(default, skip_serializing_if = "FamilyStatus::is_active")]
    pub family: FamilyStatus,
}

/// A planned trade on an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// The same for every ingester that sees the same day.
    pub id: SetupId,
    /// The New York date of its session.
    pub session: Date,
    /// The index.
    pub symbol: Underlying,
    /// Its detector.
    pub kind: SetupKind,
    /// The version of the thresholds it was found with.
    pub profile: String,
    /// Up or down.
    pub direction: Direction,
    /// Where it stands.
    pub state: SetupState,
    /// The sequence of its last transition.
    pub sequence: u32,
    /// Zone, stop, targets.
    pub levels: SetupLevels,
    /// When it stops being valid without a trigger.
    pub valid_until: UtcNanos,
    /// When it was first seen.
    pub formed_at: UtcNanos,
    /// When it triggered.
    pub triggered_at: Option<UtcNanos>,
    /// Kept at the trigger.
    pub facts: TriggerFacts,
    /// Each move of the stop.
    pub trailing_stop_path: Vec<TrailStep>,
}

/// One step of a setup's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// The setup.
    pub setup: SetupId,
    /// From 0, without a gap.
    pub sequence: u32,
    /// The state before; `None` for the first.
    pub from: Option<SetupState>,
    /// The state after.
    pub to: SetupState,
    /// Exchange time.
    pub ts: UtcNanos,
    /// The index value that caused it.
    pub price: Points,
    /// A code: `break`, `pullback`, `t1`, `trail`, `session_end`.
    pub reason: String,
    /// Start of the bar that caused it.
    pub bar: UtcNanos,
    /// The gates as they stood.
    pub gates: Vec<GateCheck>,
}

/// What the ingester hands on: the setup after the step, the step, and the chain that stood then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransitionRecord {
    /// The setup after the step.
    pub setup: Setup,
    /// The step.
    pub transition: Transition,
    /// The chain within 3 % of spot, stored before; absent where no intent can follow.
    pub chain: Option<ChainId>,
    /// The source's name, kept with every decision.
    pub source: String,
    /// One step of the source in nanoseconds: freshness limits are at least as long.
    pub resolution_ns: i64,
}
