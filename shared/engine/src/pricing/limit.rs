//! What is left of an option without time or volatility: the discounted intrinsic value.

use domain::symbol::Right;

use super::elementary::exp;
use super::{Greeks, Inputs, Valuation};

/// Nothing at all: what an option on nothing is worth.
const NOTHING: Valuation =
    Valuation { price: 0.0, greeks: Greeks { delta: 0.0, gamma: 0.0, vega: 0.0, theta: 0.0, rho: 0.0 } };

/// The forward less the strike, both as of today.
fn gap(it: &Inputs, years: f64) -> f64 {
    it.spot * exp(-it.div * years) - it.strike * exp(-it.rate * years)
}

/// Years that are left; none when there is no telling.
fn years(it: &Inputs) -> f64 {
    if it.years > 0.0 { it.years } else { 0.0 }
}

/// The limit of price and greeks; 0 where even that is no number.
pub(super) fn value(right: Right, it: &Inputs) -> Valuation {
    let years = years(it);
    let (spot, strike) = (it.spot * exp(-it.div * years), it.strike * exp(-it.rate * years));
    let sign = right.sign();
    let price = sign * (spot - strike);
    let theta = sign * (it.div * spot - it.rate * strike);
    let rho = sign * years * strike;
    let is_number = [price, theta, rho].iter().all(|it| it.is_finite()) && it.spot > 0.0 && it.strike > 0.0;
    if !is_number || price <= 0.0 {
        return NOTHING;
    }
    let delta = sign * exp(-it.div * years);
    Valuation { price, greeks: Greeks { delta, gamma: 0.0, vega: 0.0, theta, rho } }
}

/// Whether the option ends in the money for certain.
pub(super) fn is_itm(right: Right, it: &Inputs) -> bool {
    right.sign() * gap(it, years(it)) > 0.0
}

/// Whether the path that is left leads over the strike.
pub(super) fn touches(it: &Inputs) -> bool {
    let end = it.spot * exp((it.rate - it.div) * years(it));
    let (low, high) = if end < it.spot { (end, it.spot) } else { (it.spot, end) };
    low <= it.strike && it.strike <= high
}
