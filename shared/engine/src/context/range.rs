//! The opening range, from the instant the index can be trusted.

use std::time::Duration;

use domain::market::{Ohlc, Points};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use crate::profile::Profile;

/// Ratios kept while waiting for the start: half an hour of seconds.
const RATIOS_MAX: usize = 1_800;

/// A finished opening range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// When it started.
    pub from: UtcNanos,
    /// When it ended.
    pub until: UtcNanos,
    /// The highest value in it.
    pub high: Points,
    /// The lowest value in it.
    pub low: Points,
    /// Whether index and proxy x ratio agreed at its start; without a proxy nobody could tell.
    pub verified: bool,
}

impl Range {
    /// Its height.
    pub fn height(&self) -> Points {
        self.high.minus(self.low)
    }

    fn widen(&mut self, bar: &Ohlc) {
        self.high = self.high.max(bar.high);
        self.low = self.low.min(bar.low);
    }
}

/// The opening range as it grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpeningRange {
    /// At the open the index still holds yesterday's prints.
    Waiting {
        /// Index over proxy, in 1e-6, one per second in which both moved.
        ratios: Vec<i64>,
    },
    /// Under way.
    Building(Range),
    /// Complete.
    Done(Range),
}

/// Where index and proxy stand at the end of a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) ts_open: UtcNanos,
    pub(super) end: UtcNanos,
    pub(super) session_open: UtcNanos,
    /// The index's bar of this second.
    pub(super) index: Option<&'a Ohlc>,
    /// The proxy's last close; outer `None` where the source has no proxy.
    pub(super) proxy: Option<Option<Points>>,
}

impl OpeningRange {
    /// The finished range.
    pub fn done(&self) -> Option<&Range> {
        match self {
            Self::Done(range) => Some(range),
            Self::Waiting { .. } | Self::Building(_) => None,
        }
    }

    pub(super) fn add(&mut self, at: &Standing<'_>, profile: &Profile, minutes: u32) {
        if let Self::Waiting { ratios } = self
            && let Some(range) = started(ratios, at, profile, minutes)
        {
            *self = Self::Building(range);
        }
        if let Self::Building(range) = self {
            if let Some(bar) = at.index.filter(|_| at.ts_open < range.until) {
                range.widen(bar);
            }
            if at.end >= range.until {
                *self = Self::Done(*range);
            }
        }
    }
}

/// Whether the range starts with this second.
fn started(ratios: &mut Vec<i64>, at: &Standing<'_>, profile: &Profile, minutes: u32) -> Option<Range> {
    let earliest = at.session_open.plus(Duration::from_secs(u64::from(profile.range_delay_secs)));
    let bar = at.index?;
    let length = Duration::from_secs(u64::from(minutes) * 60);
    let range = |from: UtcNanos, verified| Range {
        from,
        until: from.plus(length),
        high: bar.high,
        low: bar.low,
        verified,
    };
    let Some(proxy) = at.proxy else {
        return (at.ts_open >= earliest).then(|| range(earliest, false));
    };
    let proxy = proxy.filter(|it| it.0 > 0)?;
    let ratio = bar.close.0.saturating_mul(1_000_000) / proxy.0.max(1);
    if ratios.len() >= RATIOS_MAX {
        ratios.remove(0);
    }
    ratios.push(ratio);
    if at.ts_open < earliest {
        return None;
    }
    let implied = i128::from(proxy.0) * i128::from(median(ratios)?) / 1_000_000;
    let implied = Points(i64::try_from(implied).ok()?);
    let agree = bar.close.distance(implied) <= Points::from_f64(profile.agreement_points);
    agree.then(|| range(at.ts_open, true))
}

/// The middle value, the lower one of two.
fn median(values: &[i64]) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}
