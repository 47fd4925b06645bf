//! The real-world density at an expiration: returns over the time that is left, scaled to the forecast.

use super::chain::Smile;
use super::snapshot::Facts;
use crate::pricing::Inputs;
use crate::pricing::density::{Density, RETURNS_MIN, blocks};

/// Sessions of a year, on whose root volatilities of daily returns are quoted.
const SESSIONS: f64 = 252.0;

/// Returns over one horizon, with the deviation that is forecast for them.
#[derive(Debug, Clone)]
pub(super) struct Horizon {
    returns: Vec<f64>,
    inputs: Inputs,
}

impl Horizon {
    /// The returns until `smile` settles, `sessions` after today's. Those of the same time of day to the close stand for
    /// today's close and the next one, runs of daily ones for later. The forecast scales them as it stands to the
    /// volatility of all daily returns, so that the clock's own pattern stays. `None` where too little is known.
    pub(super) fn of(facts: &Facts, smile: &Smile<'_>, sessions: usize) -> Option<Self> {
        let forecast = facts.forecast.or(facts.indicators.rv20).filter(|it| *it > 0.0 && it.is_finite())?;
        let all = &facts.returns;
        let usual = deviation(&all.daily)? * SESSIONS.sqrt();
        let returns = match sessions {
            0 => all.to_close.clone(),
            1 => all.to_next_close.clone(),
            more => blocks(&all.daily, more),
        };
        let scaled = deviation(&returns)? * forecast / usual;
        let inputs = Inputs { vol: scaled / smile.base.years.sqrt(), ..smile.base };
        Some(Self { returns, inputs })
    }

    /// The density at `times` the forecast.
    pub(super) fn density(&self, times: f64) -> Option<Density> {
        let inputs = Inputs { vol: self.inputs.vol * times, ..self.inputs };
        Density::real_world(&self.returns, &inputs).ok()
    }
}

/// The standard deviation of enough returns that differ.
fn deviation(returns: &[f64]) -> Option<f64> {
    if returns.len() < RETURNS_MIN {
        return None;
    }
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let variance = returns.iter().map(|it| (it - mean) * (it - mean)).sum::<f64>() / n;
    (variance > 0.0 && variance.is_finite()).then(|| variance.sqrt())
}
