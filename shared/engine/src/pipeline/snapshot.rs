//! Everything a decision reads of the market, as one value that is kept by its content.
//!
//! Nothing here stands for what is missing: a figure that the source does not have is `None`, and what may be known, known
//! to be none, or not to be had is [`Facts`](Known) of three values.

use domain::chain::ChainSnapshot;
use domain::ids::{DecisionId, SnapshotId};
use domain::market::Points;
use domain::money::Usd;
use domain::symbol::{OccSymbol, Underlying};
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::macros::MacroSchedule;
use super::portfolio::Portfolio;
use super::strategy::Strategy;
use crate::indicators::Reading as Indicators;
use crate::indicators::iv_rank::{IvRank, NoRank};

/// What was known of an underlying and its options at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// All but the chain.
    pub facts: Facts,
    /// The chain; its `spot` and `ts` are those of the quotes' source and are not read here.
    pub chain: ChainSnapshot,
}

/// What a snapshot holds beside the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Facts {
    /// Whose facts.
    pub underlying: Underlying,
    /// The underlying's last value.
    pub spot: Option<SpotAt>,
    /// Earlier values, oldest first, from which its move since a quote is told.
    #[serde(default)]
    pub path: Vec<SpotAt>,
    /// Whether the quotes' connection is alive: a message or a heartbeat came within its limit.
    pub connected: Option<bool>,
    /// Daily indicators after the last whole session.
    #[serde(default)]
    pub indicators: Indicators,
    /// VIX, in its own points.
    pub vix: Option<LevelAt>,
    /// VIX3M.
    pub vix3m: Option<LevelAt>,
    /// Implied volatility of 30 days, a fraction.
    pub implied: Option<f64>,
    /// Where it stands among those of the last 52 weeks; `None` where no history was given.
    pub iv: Option<Standing>,
    /// The macro calendar.
    pub macros: Option<MacroSchedule>,
    /// Sessions on which earnings fall, in order.
    #[serde(default)]
    pub earnings: Known<Vec<Date>>,
    /// Dividends, by ex-date.
    #[serde(default)]
    pub dividends: Known<Vec<Dividend>>,
    /// The underlying's volume.
    pub volume: Option<UnderlyingVolume>,
    /// Interest and dividends that options are priced with.
    pub rates: Option<Rates>,
    /// Returns that the real-world density is made of.
    #[serde(default)]
    pub returns: Returns,
    /// Forecast of the underlying's volatility, a fraction per square root of 252 days; without one the realised
    /// volatility of 20 days stands.
    pub forecast: Option<f64>,
    /// What exits of this underlying paid so far, as a part of half the quotes' width: the realised table.
    pub exit_slippage: Option<f64>,
    /// Contracts traded on the session before, in series order, where the source has them.
    #[serde(default)]
    pub prior_volumes: Vec<(OccSymbol, u32)>,
}

/// A value of the underlying and its exchange time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotAt {
    /// The value.
    pub value: Points,
    /// When.
    pub at: UtcNanos,
}

/// An index level and its time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LevelAt {
    /// The level.
    pub value: f64,
    /// When.
    pub at: UtcNanos,
}

/// A rank, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// The rank.
    Ranked(IvRank),
    /// Why there is none.
    Unranked(NoRank),
}

impl From<Result<IvRank, NoRank>> for Standing {
    fn from(it: Result<IvRank, NoRank>) -> Self {
        it.map_or_else(Self::Unranked, Self::Ranked)
    }
}

/// Facts of three values: "none known" and "not known" are different.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Known<T> {
    /// These, and no others.
    Known(T),
    /// The source says that there are none.
    KnownNone,
    /// The source could not be asked, or does not say.
    #[default]
    Unavailable,
}

/// A dividend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dividend {
    /// The first day on which a buyer does not get it.
    pub ex_date: Date,
    /// Dollars a share, where it is declared.
    pub amount: Option<Usd>,
}

/// The underlying's volume today and on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnderlyingVolume {
    /// Shares so far today.
    pub today: u64,
    /// Shares up to this time of day, averaged over 20 sessions.
    pub average: u64,
    /// Whose they are, where a proxy stands for an index.
    pub proxy: Option<Underlying>,
}

/// Yields that options are priced with, continuously compounded fractions per year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Interest.
    pub rate: f64,
    /// The underlying's dividend yield.
    pub div: f64,
}

/// Returns that were seen, and how they were drawn.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Returns {
    /// Daily log returns from close to close, oldest first: every run of as many days as are left is one return.
    #[serde(default)]
    pub daily: Vec<f64>,
    /// Log returns from this time of day to the close of the same session.
    #[serde(default)]
    pub to_close: Vec<f64>,
    /// Log returns from this time of day to the close of the next session.
    #[serde(default)]
    pub to_next_close: Vec<f64>,
    /// The seed that they were resampled with; `None` where every one stands once.
    pub seed: Option<u64>,
}

impl Snapshot {
    /// The snapshot's name: a hash over everything in it, the same on every machine. The chain enters by its own name, so
    /// that it may be kept apart and shared.
    pub fn id(&self) -> SnapshotId {
        SnapshotId::of(&[self.chain.id().as_bytes(), &canonical(&self.facts)])
    }
}

/// The name of the decision that `strategy` makes over `snapshot` beside `portfolio` at `now`: asked again it is the same.
pub fn decision_id(
    snapshot: SnapshotId,
    strategy: &Strategy,
    portfolio: &Portfolio,
    now: UtcNanos,
) -> DecisionId {
    let at = now.0.to_le_bytes();
    DecisionId::of(&[snapshot.as_bytes(), &canonical(strategy), &canonical(portfolio), &at])
}

/// The bytes that are hashed and stored: JSON with the fields in the order of their declaration and the shortest digits
/// that give every number back.
#[expect(clippy::expect_used, reason = "structures with named fields have nothing that JSON cannot hold")]
pub(super) fn canonical(it: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(it).expect("plain values are JSON")
}
