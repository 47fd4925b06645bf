//! Averages over the last so many values.

use crate::pricing::elementary::ln_ratio;

/// Trading days of a year.
const DAYS: f64 = 252.0;
/// A variance under this is none, as TA-Lib has it.
const NOTHING: f64 = 1e-14;

/// The last N values with their sum.
#[derive(Debug, Clone, PartialEq)]
struct Window<const N: usize> {
    values: [f64; N],
    at: usize,
    full: bool,
    sum: f64,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self { values: [0.0; N], at: 0, full: false, sum: 0.0 }
    }
}

impl<const N: usize> Window<N> {
    /// Takes in a value in place of the oldest; whether the window is full.
    #[inline]
    fn push(&mut self, value: f64) -> bool {
        if let Some(oldest) = self.values.get_mut(self.at) {
            self.sum += value - *oldest;
            *oldest = value;
        }
        self.at += 1;
        if self.at == N {
            self.at = 0;
            self.full = true;
            // Summed afresh once a turn: what rounding left behind goes, and a bar costs one addition more in the mean.
            self.sum = self.values.iter().sum();
        }
        self.full
    }
}

/// A simple average of N values.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sma<const N: usize>(Window<N>);

impl<const N: usize> Sma<N> {
    #[inline]
    pub(super) fn push(&mut self, value: f64) -> Option<f64> {
        self.0.push(value).then(|| self.0.sum * (1.0 / N as f64))
    }
}

/// The deviation of 20 daily log returns, per square root of a year. The variance is the population's, divided by 20, as
/// TA-Lib's STDDEV has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RealisedVol {
    returns: Window<20>,
    squares: Window<20>,
}

impl RealisedVol {
    #[inline]
    pub(super) fn push(&mut self, last: f64, close: f64) -> Option<f64> {
        let moved = ln_ratio(close, last);
        self.squares.push(moved * moved);
        if !self.returns.push(moved) {
            return None;
        }
        let mean = self.returns.sum * (1.0 / 20.0);
        let variance = self.squares.sum * (1.0 / 20.0) - mean * mean;
        Some(if variance < NOTHING { 0.0 } else { (variance * DAYS).sqrt() })
    }
}
