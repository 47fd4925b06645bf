//! Probabilities under the risk-neutral measure: drift rate - div.

use domain::symbol::Right;

use super::elementary::{exp, ln_ratio, mills, normal_cdf, normal_pdf};
use super::{BadInput, Inputs, limit};

/// The probability that the option ends in the money: N(d2) for calls, N(-d2) for puts. Without time or volatility 1 or
/// 0, and 0 at the money.
///
/// # Errors
/// [`BadInput`] names the field that is not a number or out of its range.
pub fn p_itm(right: Right, inputs: &Inputs) -> Result<f64, BadInput> {
    inputs.check()?;
    if !inputs.is_uncertain() {
        return Ok(f64::from(u8::from(limit::is_itm(right, inputs))));
    }
    Ok(normal_cdf(right.sign() * d2(inputs)))
}

/// The probability that the option ends out of the money or at its strike.
///
/// # Errors
/// As [`p_itm`].
pub fn p_otm(right: Right, inputs: &Inputs) -> Result<f64, BadInput> {
    inputs.check()?;
    if !inputs.is_uncertain() {
        return Ok(f64::from(u8::from(!limit::is_itm(right, inputs))));
    }
    Ok(normal_cdf(-right.sign() * d2(inputs)))
}

fn d2(it: &Inputs) -> f64 {
    let sd = it.deviation();
    (ln_ratio(it.spot, it.strike) + (it.rate - it.div) * it.years) / sd - 0.5 * sd
}

/// The probability that the underlying trades at the strike at some time before the settlement, whichever side it comes
/// from; 1 at the strike.
///
/// With b = |ln(K/S)|, m the drift of the logarithm towards the strike and s = v sqrt T:
/// N((m - b)/s) + e^(2 m b/s^2) N(-(m + b)/s), by the reflection principle. Source: Shreve, Stochastic Calculus for
/// Finance II, section 7.2 (distribution of the maximum of a Brownian motion with drift).
///
/// # Errors
/// As [`p_itm`].
pub fn p_touch(inputs: &Inputs) -> Result<f64, BadInput> {
    inputs.check()?;
    if !inputs.is_uncertain() {
        return Ok(f64::from(u8::from(limit::touches(inputs))));
    }
    let away = ln_ratio(inputs.strike, inputs.spot);
    let sd = inputs.deviation();
    let upwards = (inputs.rate - inputs.div) * inputs.years - 0.5 * sd * sd;
    let (b, m) = if away < 0.0 { (-away, -upwards) } else { (away, upwards) };
    let (short, over) = ((b - m) / sd, (b + m) / sd);
    // Where the drift leads to the strike the exponential grows as the tail shrinks; their product is the density at
    // `short` times Mills' ratio.
    let reflected = if over >= 0.0 {
        normal_pdf(short) * mills(over)
    } else {
        exp(2.0 * m * b / (sd * sd)) * normal_cdf(-over)
    };
    Ok((normal_cdf(-short) + reflected).min(1.0))
}

/// How far the underlying moves within one standard deviation until the settlement, in its own unit: S v sqrt T.
///
/// # Errors
/// As [`p_itm`]; the strike is not read.
pub fn expected_move(inputs: &Inputs) -> Result<f64, BadInput> {
    Inputs { strike: inputs.spot, ..*inputs }.check()?;
    Ok(inputs.spot * inputs.deviation())
}
