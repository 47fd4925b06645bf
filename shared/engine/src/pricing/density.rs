//! How the underlying is distributed at the settlement: the lognormal, or real returns scaled to a forecast.

use super::elementary::{exp, ln_ratio, normal_cdf};
use super::{BadInput, Inputs};

/// The fewest returns that a density is made of.
pub const RETURNS_MIN: usize = 20;

/// A distribution of the underlying at the settlement.
#[derive(Debug, Clone, PartialEq)]
pub enum Density {
    /// Lognormal around the forward, as Black-Scholes-Merton has it.
    Lognormal {
        /// The mean.
        forward: f64,
        /// Standard deviation of the logarithm.
        deviation: f64,
    },
    /// One value per return that was seen, all equally likely.
    Sampled(Sampled),
}

/// Values in rising order, with running sums, so that a segment is two look-ups however many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    values: Vec<f64>,
    /// The sum of the values before each, one more than there are values.
    sums: Vec<f64>,
}

/// The part of a distribution between two values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Its probability.
    pub mass: f64,
    /// The mean of the underlying over it, times its probability.
    pub first: f64,
}

/// Why there is no density.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoDensity {
    /// An input that none has.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// Too little history.
    #[error("{0} returns are too few: a density takes at least {RETURNS_MIN}")]
    TooFew(usize),
    /// A return that is no number, or returns that never differ.
    #[error("the returns are not finite or do not vary: check the price history they come from")]
    NoSpread,
}

impl Density {
    /// The lognormal with the drift and volatility of `inputs`; the strike is not read.
    ///
    /// # Errors
    /// [`BadInput`] names the input.
    pub fn lognormal(inputs: &Inputs) -> Result<Self, BadInput> {
        Inputs { strike: inputs.spot, ..*inputs }.check()?;
        let forward = inputs.spot * exp((inputs.rate - inputs.div) * inputs.years);
        Ok(Self::Lognormal { forward, deviation: inputs.deviation() })
    }

    /// The real-world density: log returns over the time that is left, as they were seen ([`blocks`] of daily ones; at 0
    /// to 1 DTE those from the same clock time to the close), centred and scaled to the forecast deviation of `inputs`.
    /// Its mean is the forward: a strategy's edge may come from the shape of the returns, not from a bet on their drift.
    ///
    /// # Errors
    /// Too few returns, or ones that never differ.
    pub fn real_world(returns: &[f64], inputs: &Inputs) -> Result<Self, NoDensity> {
        Inputs { strike: inputs.spot, ..*inputs }.check()?;
        if returns.len() < RETURNS_MIN {
            return Err(NoDensity::TooFew(returns.len()));
        }
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let variance = returns.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / n;
        if !(variance.is_finite() && variance > 0.0) {
            return Err(NoDensity::NoSpread);
        }
        let scale = inputs.deviation() / variance.sqrt();
        let moved: Vec<f64> = returns.iter().map(|it| exp((it - mean) * scale)).collect();
        let forward = inputs.spot * exp((inputs.rate - inputs.div) * inputs.years);
        let to_forward = forward * n / moved.iter().sum::<f64>();
        Ok(Self::Sampled(Sampled::of(moved.into_iter().map(|it| it * to_forward).collect())))
    }

    /// The part from `low` up to `high`, which may be infinite.
    pub fn between(&self, low: f64, high: f64) -> Part {
        match self {
            Self::Lognormal { forward, deviation } => lognormal_between(*forward, *deviation, low, high),
            Self::Sampled(it) => it.between(low, high),
        }
    }
}

/// Sums of every `days` daily log returns in a row: the moving-block bootstrap with every block drawn once, so that there
/// is nothing random about it. Source: Künsch, The jackknife and the bootstrap for general stationary observations, 1989.
pub fn blocks(daily: &[f64], days: usize) -> Vec<f64> {
    if days == 0 {
        return Vec::new();
    }
    // Each is the difference of two sums from the start: the cost does not grow with the days.
    let mut sum = 0.0;
    let up_to: Vec<f64> = std::iter::once(0.0)
        .chain(daily.iter().map(|it| {
            sum += it;
            sum
        }))
        .collect();
    up_to.iter().zip(up_to.iter().skip(days)).map(|(from, to)| to - from).collect()
}

impl Sampled {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let mut sums = Vec::with_capacity(values.len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for value in &values {
            sum += value;
            sums.push(sum);
        }
        Self { values, sums }
    }

    fn between(&self, low: f64, high: f64) -> Part {
        let from = self.values.partition_point(|it| *it < low);
        let to = self.values.partition_point(|it| *it < high).max(from);
        let sum = |at: usize| self.sums.get(at).copied().unwrap_or(0.0);
        let n = self.values.len() as f64;
        Part { mass: (to - from) as f64 / n, first: (sum(to) - sum(from)) / n }
    }
}

fn lognormal_between(forward: f64, deviation: f64, low: f64, high: f64) -> Part {
    if deviation < 1e-12 {
        let is_in = low <= forward && forward < high;
        return if is_in { Part { mass: 1.0, first: forward } } else { Part { mass: 0.0, first: 0.0 } };
    }
    // Standardised under the measure of cash, and of the underlying one deviation lower.
    let standard = |level: f64| {
        if level <= 0.0 {
            f64::NEG_INFINITY
        } else if level == f64::INFINITY {
            level
        } else {
            ln_ratio(level, forward) / deviation + 0.5 * deviation
        }
    };
    let (a, b) = (standard(low), standard(high));
    Part { mass: normal_between(a, b), first: forward * normal_between(a - deviation, b - deviation) }
}

/// N(b) - N(a), from the tail in which both are small.
fn normal_between(a: f64, b: f64) -> f64 {
    let between = if a > 0.0 { normal_cdf(-a) - normal_cdf(-b) } else { normal_cdf(b) - normal_cdf(a) };
    between.max(0.0)
}
