//! Price levels with their sources, and the clusters they merge into. A missing level is missing, not 0.

use domain::market::{Points, PriorDay};
use serde::{Deserialize, Serialize};

use super::VwapBands;
use super::exact::bits;
use super::range::Range;
use crate::profile::ContextRules;

/// Where a level comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LevelSource {
    /// High of the session before.
    PriorHigh,
    /// Its low.
    PriorLow,
    /// Its close.
    PriorClose,
    /// High of the opening range.
    RangeHigh,
    /// Its low.
    RangeLow,
    /// VWAP of the session.
    Vwap,
    /// A round number.
    Round,
    /// The strike with the most gamma in calls.
    CallWall,
    /// The strike with the most gamma in puts.
    PutWall,
    /// Where gamma changes its sign.
    GammaFlip,
    /// High of the night.
    OvernightHigh,
    /// Its low.
    OvernightLow,
}

impl LevelSource {
    /// The name in traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PriorHigh => "prior_high",
            Self::PriorLow => "prior_low",
            Self::PriorClose => "prior_close",
            Self::RangeHigh => "range_high",
            Self::RangeLow => "range_low",
            Self::Vwap => "vwap",
            Self::Round => "round",
            Self::CallWall => "call_wall",
            Self::PutWall => "put_wall",
            Self::GammaFlip => "gamma_flip",
            Self::OvernightHigh => "overnight_high",
            Self::OvernightLow => "overnight_low",
        }
    }
}

/// Where the night's extremes come from: the cash index is not calculated then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OvernightSource {
    /// The future less its basis.
    EsLessBasis,
    /// The proxy before the open, times the ratio of index and proxy.
    ProxyTimesRatio,
}

/// High and low of the night, in points of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overnight {
    /// The highest.
    pub high: Points,
    /// The lowest.
    pub low: Points,
    /// How they were made.
    pub source: OvernightSource,
}

impl Overnight {
    /// From the future: its extremes less `basis`, what it stood above the index at the close.
    pub const fn of_future(high: Points, low: Points, basis: Points) -> Self {
        Self { high: high.minus(basis), low: low.minus(basis), source: OvernightSource::EsLessBasis }
    }

    /// From the proxy: its extremes times `ratio`, index over proxy in 1e-6.
    pub fn of_proxy(high: Points, low: Points, ratio: i64) -> Self {
        let index = |it: Points| Points::from_f64(it.to_f64() * (ratio as f64 / 1e6));
        Self { high: index(high), low: index(low), source: OvernightSource::ProxyTimesRatio }
    }
}

/// One level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// The price.
    pub price: Points,
    /// Where it comes from.
    pub source: LevelSource,
    /// What it adds to its cluster.
    #[serde(with = "bits")]
    pub strength: f64,
}

/// Levels that lie together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The lowest of them.
    pub low: Points,
    /// The highest of them.
    pub high: Points,
    /// The sum of their strengths.
    #[serde(with = "bits")]
    pub strength: f64,
    /// What it is made of, upwards.
    pub levels: Vec<Level>,
}

/// What levels are made from; what is missing adds none.
#[derive(Debug, Clone, Copy, Default)]
pub struct LevelInputs<'a> {
    /// The index's last value: round numbers are looked for around it.
    pub last: Option<Points>,
    /// The session before.
    pub prior: Option<&'a PriorDay>,
    /// The opening range.
    pub range: Option<&'a Range>,
    /// VWAP.
    pub vwap: Option<VwapBands>,
    /// Walls and flip of gamma: call wall, put wall, flip.
    pub gamma: [Option<Points>; 3],
    /// The night.
    pub overnight: Option<&'a Overnight>,
}

/// Every level that there is, upwards.
pub fn levels(inputs: &LevelInputs<'_>, rules: &ContextRules) -> Vec<Level> {
    use LevelSource as S;
    let it = &rules.strengths;
    let mut levels = Vec::with_capacity(24);
    let mut add = |price: Option<Points>, source: S, strength: f64| {
        levels.extend(price.filter(|it| it.0 > 0).map(|price| Level { price, source, strength }));
    };
    add(inputs.prior.map(|it| it.high), S::PriorHigh, it.prior_extreme);
    add(inputs.prior.map(|it| it.low), S::PriorLow, it.prior_extreme);
    add(inputs.prior.map(|it| it.close), S::PriorClose, it.prior_close);
    add(inputs.range.map(|it| it.high), S::RangeHigh, it.opening_range);
    add(inputs.range.map(|it| it.low), S::RangeLow, it.opening_range);
    add(inputs.vwap.map(|it| it.vwap), S::Vwap, it.vwap);
    let [call, put, flip] = inputs.gamma;
    add(call, S::CallWall, it.gamma_wall);
    add(put, S::PutWall, it.gamma_wall);
    add(flip, S::GammaFlip, it.gamma_flip);
    add(inputs.overnight.map(|it| it.high), S::OvernightHigh, it.overnight);
    add(inputs.overnight.map(|it| it.low), S::OvernightLow, it.overnight);
    let step = Points::whole(rules.round_step_points);
    if let Some(last) = inputs.last.filter(|_| step.0 > 0) {
        let below = last.0.div_euclid(step.0).saturating_mul(step.0);
        for n in -3..=4_i64 {
            let price = Points(below.saturating_add(n.saturating_mul(step.0)));
            let is_hundred = price.0.rem_euclid(Points::whole(100).0) == 0;
            add(Some(price), S::Round, if is_hundred { it.hundred } else { it.round });
        }
    }
    levels.sort_by_key(|it| (it.price, it.source));
    levels
}

/// Levels within `points` of their neighbour merge. `levels` stand upwards.
pub fn clusters(levels: &[Level], points: f64) -> Vec<Cluster> {
    let reach = Points::from_f64(points);
    let mut clusters: Vec<Cluster> = Vec::new();
    for level in levels {
        match clusters.last_mut() {
            Some(it) if level.price.minus(it.high) <= reach => {
                it.high = level.price;
                it.strength += level.strength;
                it.levels.push(*level);
            }
            _ => clusters.push(Cluster {
                low: level.price,
                high: level.price,
                strength: level.strength,
                levels: vec![*level],
            }),
        }
    }
    clusters
}
