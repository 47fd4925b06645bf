//! Basis: how far the index stands from k times its proxy, in deviations. k is the median ratio of the last 30 minutes; it
//! starts anew each session. Sums are whole numbers, so that a restart adds nothing up differently.

use std::collections::VecDeque;

use domain::market::Points;
use domain::time::{NANOS_PER_SEC, UtcNanos};
use serde::{Deserialize, Serialize};

use super::exact::{bits, six_decimals};
use crate::profile::ContextRules;

/// Seconds kept at most: half an hour of them.
const KEPT_MAX: usize = 1_800;

/// One second in which index and proxy stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    at: UtcNanos,
    /// Index over proxy in 1e-6.
    ratio: i64,
    /// Index less k x proxy.
    rest: i64,
}

/// The basis with what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BasisReading {
    /// k: the median of index over proxy, in 1e-6.
    pub ratio: i64,
    /// Index less k x proxy.
    pub rest: Points,
    /// Its mean over the window.
    pub mean: Points,
    /// Its deviation over the window.
    pub sigma: Points,
    /// Seconds in the window.
    pub samples: u32,
    /// (rest - mean)/sigma.
    #[serde(with = "bits")]
    pub z: f64,
}

/// The basis as the session goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Basis {
    samples: VecDeque<Sample>,
    /// The ratios of `samples`, upwards.
    sorted: Vec<i64>,
}

impl Basis {
    /// Notes where both stood at the end of a second.
    pub fn add(&mut self, at: UtcNanos, index: Points, proxy: Points, rules: &ContextRules) {
        if proxy.0 <= 0 || index.0 <= 0 {
            return;
        }
        let window = i64::from(rules.basis_window_minutes).saturating_mul(60 * NANOS_PER_SEC);
        while let Some(first) = self.samples.front().copied()
            && (first.at.0 <= at.0.saturating_sub(window) || self.samples.len() >= KEPT_MAX)
        {
            self.samples.pop_front();
            if let Ok(i) = self.sorted.binary_search(&first.ratio) {
                self.sorted.remove(i);
            }
        }
        let ratio = index.0.saturating_mul(1_000_000) / proxy.0.max(1);
        let i = self.sorted.partition_point(|it| *it < ratio);
        self.sorted.insert(i, ratio);
        let rest = index.0.saturating_sub(times(proxy, self.ratio().unwrap_or(ratio)));
        self.samples.push_back(Sample { at, ratio, rest });
    }

    /// k: the middle ratio, the lower one of two.
    pub fn ratio(&self) -> Option<i64> {
        self.sorted.get(self.sorted.len().saturating_sub(1) / 2).copied()
    }

    /// The basis now; `None` before there are enough seconds, or where it never moved.
    pub fn reading(&self, rules: &ContextRules) -> Option<BasisReading> {
        let (ratio, last) = (self.ratio()?, self.samples.back()?);
        let n = i128::try_from(self.samples.len()).ok()?;
        if n < i128::from(rules.basis_samples_min.max(2)) {
            return None;
        }
        let (sum, square) = self.samples.iter().fold((0_i128, 0_i128), |(sum, square), it| {
            let rest = i128::from(it.rest);
            (sum.saturating_add(rest), square.saturating_add(rest.saturating_mul(rest)))
        });
        let spread = n.saturating_mul(square).saturating_sub(sum.saturating_mul(sum));
        let (mean, sigma) = (sum as f64 / n as f64, (spread.max(0) as f64).sqrt() / n as f64);
        if sigma <= 0.0 {
            return None;
        }
        Some(BasisReading {
            ratio,
            rest: Points(last.rest),
            mean: Points(mean.round() as i64),
            sigma: Points(sigma.round() as i64),
            samples: u32::try_from(self.samples.len()).unwrap_or(u32::MAX),
            z: six_decimals((last.rest as f64 - mean) / sigma),
        })
    }
}

/// A price times a ratio in 1e-6.
fn times(price: Points, ratio: i64) -> i64 {
    let product = i128::from(price.0).saturating_mul(i128::from(ratio)) / 1_000_000;
    i64::try_from(product).unwrap_or(i64::MAX)
}
