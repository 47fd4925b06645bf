//! VWAP with its bands, ATR, pivots and the rolling window of the proxy.

use std::collections::VecDeque;

use domain::market::{Microbar, Ohlc, Points};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use super::exact::{Exact, six_decimals};
use crate::bars::merge::absorb;

/// Volume-weighted average price of the session: the proxy's volume on the index's price.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Vwap {
    /// Prices are summed as distances from the first one, which keeps the sums of squares small.
    anchor: Option<Points>,
    volume: Exact,
    moment: Exact,
    square: Exact,
}

/// VWAP and its bands at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VwapBands {
    /// The average.
    pub vwap: Points,
    /// One standard deviation.
    pub sigma: Points,
}

impl VwapBands {
    /// The band `n` deviations above (below when negative).
    pub fn band(&self, n: i64) -> Points {
        self.vwap.plus(Points(self.sigma.0.saturating_mul(n)))
    }
}

impl Vwap {
    pub(super) fn add(&mut self, price: Points, volume: u64) {
        let anchor = *self.anchor.get_or_insert(price);
        let (d, v) = (price.minus(anchor).0 as f64, volume as f64);
        self.volume.0 += v;
        self.moment.0 += v * d;
        self.square.0 += v * d * d;
    }

    /// The bands now; `None` before the first volume.
    pub fn bands(&self) -> Option<VwapBands> {
        let (anchor, v) = (self.anchor?, self.volume.0);
        if v <= 0.0 {
            return None;
        }
        let mean = self.moment.0 / v;
        let variance = (self.square.0 / v - mean * mean).max(0.0);
        Some(VwapBands {
            vwap: anchor.plus(Points(mean.round() as i64)),
            sigma: Points(variance.sqrt().round() as i64),
        })
    }
}

/// Bars that seed the average, and its memory.
const ATR_BARS: u32 = 14;

/// Average true range over 14 bars of 1 min, after Wilder: the mean of the first 14, then 13 parts old and one new.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Atr {
    bars: u32,
    /// The sum while seeding, the average after.
    value: Exact,
    close: Option<Points>,
}

impl Atr {
    pub(super) fn add(&mut self, bar: &Ohlc) {
        let range = match self.close {
            Some(close) => bar.high.max(close).minus(bar.low.min(close)),
            None => bar.high.minus(bar.low),
        };
        self.close = Some(bar.close);
        let (range, n) = (range.0 as f64, f64::from(ATR_BARS));
        self.bars = self.bars.saturating_add(1);
        self.value.0 = match self.bars {
            bars if bars < ATR_BARS => self.value.0 + range,
            ATR_BARS => (self.value.0 + range) / n,
            _ => (self.value.0 * (n - 1.0) + range) / n,
        };
    }

    /// The average; `None` before 14 bars, or where nothing moved.
    pub fn value(&self) -> Option<Points> {
        let value = Points(self.value.0.round() as i64);
        if self.bars >= ATR_BARS && value.0 > 0 { Some(value) } else { None }
    }
}

/// A pivot of 1-min bars, confirmed just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pivot {
    /// Start of the pivot's own minute.
    pub minute: UtcNanos,
    /// Start of the second that confirmed it.
    pub confirmed_in: UtcNanos,
    /// The low, where `k` bars on both sides have higher lows.
    pub low: Option<Points>,
    /// The high, where `k` bars on both sides have lower highs.
    pub high: Option<Points>,
}

/// Looks for pivots.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Pivots {
    minutes: VecDeque<(UtcNanos, Ohlc)>,
}

impl Pivots {
    pub(super) fn add(&mut self, minute: UtcNanos, bar: Ohlc, k: usize, now: UtcNanos) -> Option<Pivot> {
        self.minutes.push_back((minute, bar));
        while self.minutes.len() > 2 * k + 1 {
            self.minutes.pop_front();
        }
        if self.minutes.len() <= 2 * k {
            return None;
        }
        let &(at, middle) = self.minutes.get(k)?;
        let others = || self.minutes.iter().enumerate().filter(|(i, _)| *i != k).map(|(_, (_, it))| it);
        let low = others().all(|it| it.low > middle.low).then_some(middle.low);
        let high = others().all(|it| it.high < middle.high).then_some(middle.high);
        (low.is_some() || high.is_some()).then_some(Pivot { minute: at, confirmed_in: now, low, high })
    }
}

/// The proxy's last seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct MicroWindow {
    seconds: VecDeque<Microbar>,
}

/// What the proxy's window shows. Missing is missing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MicroFigures {
    /// Second bars with prints that count.
    pub seconds: u32,
    /// Size imbalance, bid against ask.
    pub imbalance: Option<f64>,
    /// Buyers against sellers.
    pub skew: Option<f64>,
    /// Part of the prints on a valid, fresh quote, in percent.
    pub coverage_pct: Option<f64>,
    /// Mean spread in basis points.
    pub spread_bps: Option<f64>,
    /// Ask over bid size as the last second with prints left it.
    pub size_ratio: Option<f64>,
}

impl MicroWindow {
    pub(super) fn add(&mut self, bar: &Microbar) {
        self.seconds.push_back(*bar);
    }

    pub(super) fn forget_before(&mut self, from: UtcNanos) {
        while self.seconds.front().is_some_and(|it| it.ts_open < from) {
            self.seconds.pop_front();
        }
    }

    pub(super) fn figures(&self, from: UtcNanos) -> MicroFigures {
        let mut sum = Microbar::empty(UtcNanos::default());
        let seconds = || self.seconds.iter().filter(|it| it.ts_open >= from);
        seconds().for_each(|it| absorb(&mut sum, it));
        MicroFigures {
            seconds: seconds().fold(0, |n, it| n + u32::from(it.ticks > 0)),
            imbalance: sum.bid_ask_imbalance().map(six_decimals),
            skew: sum.aggressor_skew().map(six_decimals),
            coverage_pct: sum.quote_coverage_pct().map(six_decimals),
            spread_bps: sum.avg_spread_bps().map(six_decimals),
            size_ratio: sum.ask_bid_size_ratio().map(six_decimals),
        }
    }
}
