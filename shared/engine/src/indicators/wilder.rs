//! Wilder's indicators: averages that keep 13 parts of 14. Source: Wilder, New Concepts in Technical Trading Systems, 1978.

use super::Bar;

const PERIOD: u32 = 14;
const N: f64 = PERIOD as f64;
/// What a new value weighs; a product of it costs a fifth of a quotient.
const SHARE: f64 = 1.0 / N;
/// What TA-Lib takes for nothing.
const NOTHING: f64 = 1e-14;

fn is_nothing(value: f64) -> bool {
    value.abs() < NOTHING
}

/// Relative strength index of 14 changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Rsi {
    seen: u32,
    gain: f64,
    loss: f64,
}

impl Rsi {
    #[inline]
    pub(super) fn push(&mut self, change: f64) -> Option<f64> {
        let (gain, loss) = if change < 0.0 { (0.0, -change) } else { (change, 0.0) };
        if self.seen < PERIOD {
            self.seen += 1;
            self.gain += gain;
            self.loss += loss;
            if self.seen < PERIOD {
                return None;
            }
            self.gain /= N;
            self.loss /= N;
        } else {
            self.gain += (gain - self.gain) * SHARE;
            self.loss += (loss - self.loss) * SHARE;
        }
        let moved = self.gain + self.loss;
        Some(if is_nothing(moved) { 0.0 } else { 100.0 * (self.gain / moved) })
    }
}

/// Average directional index of 14 bars.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Adx {
    /// Moves from bar to bar.
    seen: u32,
    plus: f64,
    minus: f64,
    range: f64,
    /// The sum of what was seen, until there is an average.
    index: f64,
    is_warm: bool,
}

/// Moves that only fill the sums.
const SUMMED: u32 = PERIOD - 1;
/// Moves until the first average.
const WARM: u32 = SUMMED + PERIOD;

impl Adx {
    #[inline]
    pub(super) fn push(&mut self, last: &Bar, bar: &Bar) -> Option<f64> {
        let (up, down) = (bar.high - last.high, last.low - bar.low);
        let plus = if up > 0.0 && up > down { up } else { 0.0 };
        let minus = if down > 0.0 && down > up { down } else { 0.0 };
        let range = (bar.high - bar.low).max((bar.high - last.close).abs()).max((bar.low - last.close).abs());
        if self.seen < WARM {
            self.seen += 1;
        }
        let keeps = if self.seen <= SUMMED { 1.0 } else { 1.0 - SHARE };
        self.plus = self.plus * keeps + plus;
        self.minus = self.minus * keeps + minus;
        self.range = self.range * keeps + range;
        if self.seen <= SUMMED {
            return None;
        }
        let directed = self.directed();
        if self.is_warm {
            if let Some(directed) = directed {
                self.index += (directed - self.index) * SHARE;
            }
            return Some(self.index);
        }
        self.index += directed.unwrap_or(0.0);
        if self.seen < WARM {
            return None;
        }
        self.is_warm = true;
        self.index /= N;
        Some(self.index)
    }

    /// How one-sided the moves are, 0 to 100; `None` where nothing moved.
    #[inline]
    fn directed(&self) -> Option<f64> {
        // Per cent of the range they are in TA-Lib; the range cancels, but for what counts as nothing.
        let both = self.plus + self.minus;
        let is_still = is_nothing(self.range) || 100.0 * both < NOTHING * self.range;
        (!is_still).then(|| 100.0 * ((self.minus - self.plus).abs() / both))
    }
}
