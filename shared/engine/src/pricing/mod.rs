//! Black-Scholes-Merton: prices, greeks, implied volatilities and probabilities of European options.
//!
//! C = S e^(-qT) N(d1) - K e^(-rT) N(d2), P = K e^(-rT) N(-d2) - S e^(-qT) N(-d1), with
//! d1 = (ln(S/K) + (r - q + v^2/2) T)/(v sqrt T) and d2 = d1 - v sqrt T. Source: Hull, Options, Futures and Other
//! Derivatives, chapter 17 (Merton's continuous dividend yield). `elementary` holds the functions they are made of, so
//! that the same inputs give the same bits on every machine; `kernel` arranges the formulas so that nothing cancels.
//! Against fifty-digit references (`tests/reference/`) prices, greeks and probabilities agree to 1e-10 relative where
//! they exceed 1e-8, implied volatilities to 1e-12 as far as the premium's own sixteen digits tell them apart.

pub mod density;
pub(crate) mod elementary;
mod implied;
mod inputs;
mod kernel;
mod limit;
pub mod payoff;
mod probability;
mod rows;
mod settlement;

pub use elementary::{normal_cdf, normal_pdf};
pub use implied::{NoVol, implied_vol};
pub use inputs::{BadInput, Inputs};
pub use kernel::Valuation;
pub use probability::{expected_move, p_itm, p_otm, p_touch};
pub use rows::{Rows, Values};
pub use settlement::{settlement_instant, years_between, years_to_settlement};

use domain::symbol::Right;

/// Sensitivities per unit: nothing is scaled to a day, a percent or a contract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Greeks {
    /// Per point of the underlying.
    pub delta: f64,
    /// Change of delta per point of the underlying.
    pub gamma: f64,
    /// Per 1.00 of volatility: a hundred volatility points.
    pub vega: f64,
    /// Per year that passes; negative for most long options.
    pub theta: f64,
    /// Per 1.00 of interest.
    pub rho: f64,
}

/// Price and greeks of inputs from outside, checked first.
///
/// Without time or volatility they are the limits: the discounted intrinsic value, its delta, theta and rho, no gamma
/// and no vega.
///
/// # Errors
/// [`BadInput`] names the field that is not a number or out of its range.
pub fn evaluate(right: Right, inputs: &Inputs) -> Result<Valuation, BadInput> {
    inputs.check()?;
    Ok(value(right, inputs))
}

/// Price and greeks of inputs that are known to be good. For others the answer is a limit, never NaN: the discounted
/// intrinsic value without time or volatility and where an input is absurd, 0 where spot or strike is no positive number.
pub fn value(right: Right, inputs: &Inputs) -> Valuation {
    if inputs.is_uncertain() { kernel::value(right.sign(), inputs) } else { limit::value(right, inputs) }
}

/// The option's value, in the unit of spot and strike; see [`value`].
///
/// # Examples
/// ```
/// use domain::symbol::Right;
/// use engine::pricing::{Inputs, price};
/// let hull = Inputs { spot: 42.0, strike: 40.0, years: 0.5, rate: 0.10, div: 0.0, vol: 0.20 };
/// assert!((price(Right::Call, &hull) - 4.76).abs() < 0.005);
/// assert!((price(Right::Put, &hull) - 0.81).abs() < 0.005);
/// ```
pub fn price(right: Right, inputs: &Inputs) -> f64 {
    value(right, inputs).price
}

/// The option's sensitivities; see [`value`].
pub fn greeks(right: Right, inputs: &Inputs) -> Greeks {
    value(right, inputs).greeks
}

#[cfg(test)]
mod payoff_tests;
#[cfg(test)]
mod tests;
