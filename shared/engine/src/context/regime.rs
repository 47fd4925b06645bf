//! The regime: how the session moves, against the same minute of the sessions before.
//!
//! With a = ATR14 over its 20-day median of the same minute, r = the range of the last 15 minutes over its own median of the
//! same minute, s = (VWAP now - VWAP 15 minutes ago)/ATR, in this order:
//! compression where a and r are low, breakout where both are high, a trend where |s| is large, else a range. Without the
//! history of both, or without s, it is unknown.

use std::collections::VecDeque;

use domain::market::{Microbar, Ohlc, Points};
use domain::time::{NANOS_PER_SEC, UtcNanos};
use serde::{Deserialize, Serialize};

use super::exact::{bits_or_none, six_decimals};
use super::measures::Atr;
use crate::bars::merge::Merge;
use crate::profile::RegimeRules;

/// Sessions that the history looks back.
pub const HISTORY_DAYS: usize = 20;
/// A median of fewer says nothing: short days have no afternoon.
const HISTORY_DAYS_MIN: usize = 15;
/// Minutes of the range and of VWAP's move.
const BACK: i64 = 15;
const MINUTE: i64 = 60 * NANOS_PER_SEC;

/// How the session moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// VWAP rises.
    TrendingUp,
    /// VWAP falls.
    TrendingDown,
    /// None of the others.
    Ranging,
    /// Narrower than usual.
    Compression,
    /// Wider than usual.
    Breakout,
    /// There is no history to compare with.
    #[default]
    Unknown,
}

impl Regime {
    /// The name in traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrendingUp => "trending_up",
            Self::TrendingDown => "trending_down",
            Self::Ranging => "ranging",
            Self::Compression => "compression",
            Self::Breakout => "breakout",
            Self::Unknown => "unknown",
        }
    }
}

/// What one minute of one session measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MinuteFigures {
    /// ATR14 at its end.
    pub atr: Option<Points>,
    /// Range of the 15 minutes up to its end.
    pub range: Option<Points>,
}

/// Medians by minute after the open, over the sessions before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// Sessions it was made from.
    pub days: u32,
    minutes: Vec<MinuteFigures>,
}

impl History {
    /// From the sessions before, the latest last; more than 20 are passed over.
    pub fn of(days: &[Vec<MinuteFigures>]) -> Self {
        let days = days.get(days.len().saturating_sub(HISTORY_DAYS)..).unwrap_or_default();
        let minutes = days.iter().map(Vec::len).max().unwrap_or(0);
        let median = |n: usize, of: fn(&MinuteFigures) -> Option<Points>| {
            let mut all: Vec<_> = days.iter().filter_map(|it| it.get(n).and_then(of)).collect();
            all.sort_unstable();
            // The lower one of two.
            all.get(all.len().saturating_sub(1) / 2).copied().filter(|_| all.len() >= HISTORY_DAYS_MIN)
        };
        Self {
            days: u32::try_from(days.len()).unwrap_or(u32::MAX),
            minutes: (0..minutes)
                .map(|n| MinuteFigures { atr: median(n, |it| it.atr), range: median(n, |it| it.range) })
                .collect(),
        }
    }

    fn at(&self, minute: i64) -> MinuteFigures {
        usize::try_from(minute).ok().and_then(|it| self.minutes.get(it)).copied().unwrap_or_default()
    }
}

/// One session's figures from its stored second bars of the index, for the history of sessions to come.
pub fn figures_of_session(bars: &[Microbar], open: UtcNanos) -> Vec<MinuteFigures> {
    let (mut merge, mut atr, mut trail, mut out) =
        (Merge::secs(60), Atr::default(), Trail::default(), Vec::new());
    let mut take = |minute: Microbar| {
        let (Some(ohlc), n) = (minute.ohlc, minutes_since(open, minute.ts_open)) else { return };
        atr.add(&ohlc);
        trail.add(Mark { minute: n, ohlc, vwap: None, volume: 0, spread: None });
        let Ok(n) = usize::try_from(n) else { return };
        if out.len() <= n {
            out.resize(n.saturating_add(1), MinuteFigures::default());
        }
        if let Some(it) = out.get_mut(n) {
            *it = MinuteFigures { atr: atr.value(), range: trail.range() };
        }
    };
    bars.iter().filter_map(|it| merge.push(it)).for_each(&mut take);
    merge.finish().into_iter().for_each(take);
    out
}

/// Whole minutes from the open to the start of a bar.
pub(super) fn minutes_since(open: UtcNanos, ts: UtcNanos) -> i64 {
    ts.0.saturating_sub(open.0).div_euclid(MINUTE)
}

/// A minute that ended, as the wider context keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Since the open.
    pub minute: i64,
    /// The index.
    pub ohlc: Ohlc,
    /// VWAP at its end.
    pub vwap: Option<Points>,
    /// The proxy's volume.
    pub volume: u64,
    /// The proxy's mean spread in basis points.
    #[serde(with = "bits_or_none")]
    pub spread: Option<f64>,
}

/// The last minutes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trail {
    marks: VecDeque<Mark>,
}

impl Trail {
    const KEPT: usize = 64;

    pub(super) fn add(&mut self, mark: Mark) {
        if self.marks.len() >= Self::KEPT {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// The minutes kept, the latest first.
    pub fn latest(&self) -> impl Iterator<Item = &Mark> {
        self.marks.iter().rev()
    }

    /// The range of the last 15 minutes; `None` unless each of them had a value.
    fn range(&self) -> Option<Points> {
        let last = self.marks.back()?.minute;
        let mut window = self.latest().take_while(|it| it.minute > last - BACK);
        let first = window.next()?;
        let (mut n, mut high, mut low) = (1, first.ohlc.high, first.ohlc.low);
        for it in window {
            (n, high, low) = (n + 1, high.max(it.ohlc.high), low.min(it.ohlc.low));
        }
        (n == BACK).then(|| high.minus(low))
    }

    /// VWAP now and 15 minutes ago.
    fn vwaps(&self) -> Option<(Points, Points)> {
        let last = self.marks.back()?;
        let before = self.latest().find(|it| it.minute == last.minute - BACK)?;
        Some((last.vwap?, before.vwap?))
    }
}

/// The regime with what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegimeReading {
    /// The regime.
    pub regime: Regime,
    /// ATR14 now.
    pub atr: Option<Points>,
    /// Its median at this minute.
    pub atr_median: Option<Points>,
    /// The range of the last 15 minutes.
    pub range: Option<Points>,
    /// Its median at this minute.
    pub range_median: Option<Points>,
    /// VWAP's move in 15 minutes, in ATR.
    #[serde(with = "bits_or_none")]
    pub slope: Option<f64>,
}

impl RegimeReading {
    /// At the end of the last minute of `trail`.
    pub fn of(trail: &Trail, atr: Option<Points>, history: Option<&History>, rules: &RegimeRules) -> Self {
        let then = trail.latest().next().and_then(|it| history.map(|h| h.at(it.minute))).unwrap_or_default();
        let slope = trail.vwaps().zip(atr).filter(|(_, atr)| atr.0 > 0);
        let slope = slope.map(|((now, then), atr)| six_decimals(now.minus(then).0 as f64 / atr.0 as f64));
        let reading = Self {
            regime: Regime::Unknown,
            atr,
            atr_median: then.atr,
            range: trail.range(),
            range_median: then.range,
            slope,
        };
        Self { regime: reading.judged(rules), ..reading }
    }

    fn judged(&self, rules: &RegimeRules) -> Regime {
        let over = |a: Option<Points>, b: Option<Points>| {
            a.zip(b.filter(|it| it.0 > 0)).map(|(a, b)| a.0 as f64 / b.0 as f64)
        };
        let (atr, range) = (over(self.atr, self.atr_median), over(self.range, self.range_median));
        let (Some(atr), Some(range), Some(slope)) = (atr, range, self.slope) else { return Regime::Unknown };
        if atr <= rules.compression_atr && range <= rules.compression_range {
            Regime::Compression
        } else if atr >= rules.breakout_atr && range >= rules.breakout_range {
            Regime::Breakout
        } else if slope >= rules.trend_slope {
            Regime::TrendingUp
        } else if slope <= -rules.trend_slope {
            Regime::TrendingDown
        } else {
            Regime::Ranging
        }
    }
}
