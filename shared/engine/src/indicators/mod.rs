//! Daily indicators, one bar at a time at a constant cost: EMA 20, SMA 50, RSI 14, MACD 12/26/9, ADX 14 and the realised
//! volatility of 20 days.
//!
//! They are TA-Lib's, with its seeds: an exponential average starts as the simple average of its first period, MACD's
//! fast average starts so late that both are ready on the same bar, Wilder's averages start as sums, and all three
//! columns of MACD wait for the signal. `tests/reference/indicators.csv` holds them to 1e-9.

mod averages;
pub mod iv_rank;
mod wilder;
mod window;

use averages::{Ema, Macd};
use serde::{Deserialize, Serialize};
use wilder::{Adx, Rsi};
use window::{RealisedVol, Sma};

/// Highest price and index that is taken for one.
const LEVEL_MAX: f64 = 1e12;

/// What a day's indicators are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
}

/// A bar that no day has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BadBar {
    /// Not a price.
    #[error("{field} is {value:?}: expected a number above 0, up to 1e12")]
    NotAPrice {
        /// Which field.
        field: &'static str,
        /// What it was.
        value: f64,
    },
    /// The close is outside of the day's range, or the range is upside down.
    #[error("close is {close:?}, outside of low {low:?} to high {high:?}: check the columns' order")]
    OutsideRange {
        /// The close.
        close: f64,
        /// The low.
        low: f64,
        /// The high.
        high: f64,
    },
}

impl Bar {
    /// Whether a day can have been like this.
    ///
    /// # Errors
    /// [`BadBar`] names the field.
    pub fn check(&self) -> Result<(), BadBar> {
        for (field, value) in [("high", self.high), ("low", self.low), ("close", self.close)] {
            if !(value > 0.0 && value <= LEVEL_MAX) {
                return Err(BadBar::NotAPrice { field, value });
            }
        }
        if !(self.low..=self.high).contains(&self.close) {
            return Err(BadBar::OutsideRange { close: self.close, low: self.low, high: self.high });
        }
        Ok(())
    }
}

/// The indicators after a bar; `None` while they warm up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Exponential average of 20 closes, from the 20th bar.
    pub ema20: Option<f64>,
    /// Simple average of 50 closes, from the 50th bar.
    pub sma50: Option<f64>,
    /// Relative strength index of 14 changes, 0 to 100, from the 15th bar; 0 where nothing moved.
    pub rsi14: Option<f64>,
    /// MACD and its signal, from the 34th bar.
    pub macd: Option<MacdReading>,
    /// Average directional index of 14 bars, 0 to 100, from the 28th bar.
    pub adx14: Option<f64>,
    /// Realised volatility of 20 log returns, a fraction per square root of a year of 252 days, from the 21st bar.
    pub rv20: Option<f64>,
}

/// The three columns of MACD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MacdReading {
    /// Exponential average of 12 closes less the one of 26.
    pub line: f64,
    /// Exponential average of 9 lines.
    pub signal: f64,
    /// Line less signal.
    pub histogram: f64,
}

/// The indicators of one underlying, as they stand after the bars so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Indicators {
    ema: Ema<20>,
    sma: Sma<50>,
    rsi: Rsi,
    macd: Macd,
    adx: Adx,
    realised: RealisedVol,
    last: Option<Bar>,
}

impl Indicators {
    /// Takes in the next bar.
    ///
    /// # Errors
    /// [`BadBar`] for one that no day has; the state is as before it.
    pub fn push(&mut self, bar: &Bar) -> Result<Reading, BadBar> {
        bar.check()?;
        let (mut rsi14, mut adx14, mut rv20) = (None, None, None);
        if let Some(last) = self.last.replace(*bar) {
            rsi14 = self.rsi.push(bar.close - last.close);
            adx14 = self.adx.push(&last, bar);
            rv20 = self.realised.push(last.close, bar.close);
        }
        let macd = self.macd.push(bar.close);
        Ok(Reading {
            ema20: self.ema.push(bar.close),
            sma50: self.sma.push(bar.close),
            rsi14,
            macd,
            adx14,
            rv20,
        })
    }
}

#[cfg(test)]
mod tests;
