//! The kill switch: four states, six scopes, the strictest match counts (spec 3). The system keeps one of the scopes for
//! itself: the market of an underlying, which halts and reopens without anybody's hand.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::UserId;
use crate::market::Points;
use crate::planted::{self, Bug};
use crate::symbol::Underlying;
use crate::time::UtcNanos;

/// How far trading is stopped. Ordered from free to stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillState {
    /// Everything runs.
    #[default]
    Normal,
    /// No new entries.
    NoEntries,
    /// No entries, and working entries are cancelled.
    SafeMode,
    /// That, and all we own is closed.
    HardStop,
}

impl KillState {
    /// All states, from free to stopped.
    pub const ALL: [Self; 4] = [Self::Normal, Self::NoEntries, Self::SafeMode, Self::HardStop];

    /// The name in rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::NoEntries => "no_entries",
            Self::SafeMode => "safe_mode",
            Self::HardStop => "hard_stop",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Whether an entry may be marked for sending.
    pub const fn allows_entries(self) -> bool {
        matches!(self, Self::Normal)
    }
}

/// What a row of the switch covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "scope", content = "of")]
pub enum KillScope {
    /// Everything.
    Global,
    /// One user.
    User(UserId),
    /// One strategy or setup family, by name.
    Strategy(String),
    /// One underlying.
    Symbol(Underlying),
    /// One broker, by name.
    Broker(String),
    /// The market of one underlying: stopped by a halt, released when it reopened.
    Market(Underlying),
}

impl fmt::Display for KillScope {
    /// `global`, `user:<uuid>`, `strategy:orb_breakout`, `symbol:SPX`, `broker:tradier`,
    /// `market:SPX`: the row's key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Strategy(name) => write!(f, "strategy:{name}"),
            Self::Symbol(symbol) => write!(f, "symbol:{symbol}"),
            Self::Broker(name) => write!(f, "broker:{name}"),
            Self::Market(symbol) => write!(f, "market:{symbol}"),
        }
    }
}

impl KillScope {
    /// Reads a row's key.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "global" {
            return Some(Self::Global);
        }
        let (scope, of) = text.split_once(':')?;
        let named = !of.is_empty();
        match scope {
            "user" => of.parse().ok().map(Self::User),
            "strategy" if named => Some(Self::Strategy(of.to_owned())),
            "symbol" => of.parse().ok().map(Self::Symbol),
            "broker" if named => Some(Self::Broker(of.to_owned())),
            "market" => of.parse().ok().map(Self::Market),
            _ => None,
        }
    }
}

/// One row of the switch as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KillRow {
    /// What it covers.
    pub scope: KillScope,
    /// How far it stops.
    pub state: KillState,
    /// Raised by every flip.
    pub version: i64,
    /// When it was last flipped.
    pub flipped_at: UtcNanos,
    /// Who flipped it: `operator:<user>`, `member:<user>`, `daily_loss`, `system:vix`.
    pub by: String,
    /// Why, in words for the operator.
    pub reason: String,
}

/// What the automatic trips look at, at one instant. What nobody said is `None`: it trips nothing, and releases nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reading {
    /// When it was taken, market time.
    pub at: UtcNanos,
    /// The VIX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vix: Option<f64>,
    /// The index (SPX).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Points>,
    /// VIX over VIX3M.
    pub vix_ratio: Option<f64>,
    /// Whether a release of figures that moves the market is near.
    pub macro_window: Option<bool>,
    /// Whether the regime the strategies were made for has failed.
    pub regime_failed: Option<bool>,
}

impl KillRow {
    /// The row of a scope that nobody flipped.
    pub const fn untouched(scope: KillScope) -> Self {
        Self {
            scope,
            state: KillState::Normal,
            version: 0,
            flipped_at: UtcNanos(0),
            by: String::new(),
            reason: String::new(),
        }
    }
}

/// Whether the market of `symbol` stands, and since when.
pub fn halted_since(rows: &[KillRow], symbol: Underlying) -> Option<UtcNanos> {
    let of_market = |it: &&KillRow| it.scope == KillScope::Market(symbol) && !it.state.allows_entries();
    rows.iter().find(of_market).map(|it| it.flipped_at)
}

/// The strictest state over `rows`; [`KillState::Normal`] when none matches.
pub fn strictest(rows: &[KillRow]) -> KillState {
    rows.iter().map(|it| it.state).max().unwrap_or_default()
}

/// The strictest of `rows` that stops entries, the first of them in order of scope: what the transaction that marks an entry
/// asks of the rows it read.
pub fn stopping(rows: &[KillRow]) -> Option<&KillRow> {
    if planted::is(Bug::KillSwitchOutside) {
        return None;
    }
    let stopping = rows.iter().filter(|it| !it.state.allows_entries());
    stopping.min_by(|a, b| b.state.cmp(&a.state).then_with(|| a.scope.cmp(&b.scope)))
}

/// The scopes that cover an entry of `user` by `strategy` on `symbol` at `broker`.
pub fn scopes_for(user: UserId, strategy: &str, symbol: Underlying, broker: &str) -> [KillScope; 6] {
    [
        KillScope::Global,
        KillScope::User(user),
        KillScope::Strategy(strategy.to_owned()),
        KillScope::Symbol(symbol),
        KillScope::Broker(broker.to_owned()),
        KillScope::Market(symbol),
    ]
}
