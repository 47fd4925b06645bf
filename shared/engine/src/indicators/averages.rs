//! Exponential averages and what is made of them.

use super::MacdReading;

/// An exponential average with weight 2/(N + 1), which starts as the simple average of the first N values.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ema<const N: u32> {
    seen: u32,
    /// The sum of what was seen, until there is an average.
    value: f64,
}

impl<const N: u32> Ema<N> {
    const WEIGHT: f64 = 2.0 / (N as f64 + 1.0);

    #[inline]
    pub(super) fn push(&mut self, value: f64) -> Option<f64> {
        if self.seen < N {
            self.seen += 1;
            self.value += value;
            if self.seen < N {
                return None;
            }
            self.value /= f64::from(N);
        } else {
            self.value += (value - self.value) * Self::WEIGHT;
        }
        Some(self.value)
    }
}

/// Bars that the fast average leaves out, so that its first value falls on the slow one's.
const FAST_SKIPS: u32 = 26 - 12;

/// Moving average convergence and divergence: 12, 26 and 9.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Macd {
    skipped: u32,
    fast: Ema<12>,
    slow: Ema<26>,
    signal: Ema<9>,
}

impl Macd {
    #[inline]
    pub(super) fn push(&mut self, close: f64) -> Option<MacdReading> {
        let slow = self.slow.push(close);
        if self.skipped < FAST_SKIPS {
            self.skipped += 1;
            return None;
        }
        let line = self.fast.push(close)? - slow?;
        let signal = self.signal.push(line)?;
        Some(MacdReading { line, signal, histogram: line - signal })
    }
}
