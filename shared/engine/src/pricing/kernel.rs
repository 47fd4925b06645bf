//! The formulas of one row, without a branch: one option, or a loop over many of them.
//!
//! With S' = S e^(-qT), K' = K e^(-rT), s = v sqrt T and y = ln(S'/K'), both d1 and d2 are of size |y|/s -+ s/2 = u, w.
//! The side that is out of the money, worth X N(-u) - Y N(-w) with X the lesser of S' and K', is computed; the other side
//! follows by parity. S' n(d1) = K' n(d2) is the same number G for all of them, so that one exponential serves price and
//! greeks, and N(-u) = n(u) M(u) with Mills' ratio M turns the price into G (M(u) - M(w)): no difference of nearly equal
//! probabilities is left, which would cost five of the sixteen digits an hour before expiry.

use super::elementary::{Exp, ln_ratio, mills, normal_pdf};
use super::{Greeks, Inputs};

/// Under this deviation the difference of two Mills' ratios is taken from its series.
const SERIES_UNDER: f64 = 1e-3;

/// A price with its sensitivities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Valuation {
    /// The option's value in the unit of spot and strike.
    pub price: f64,
    /// Its sensitivities.
    pub greeks: Greeks,
}

/// Spot and strike as of today, and the distance between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    /// S e^(-qT).
    pub(super) spot: f64,
    /// K e^(-rT).
    pub(super) strike: f64,
    /// Their difference, exact relative to itself while the spot is near the strike.
    pub(super) gap: f64,
    /// ln of their quotient.
    pub(super) log: f64,
}

impl Present {
    #[inline(always)]
    pub(super) fn of(it: &Inputs) -> Self {
        let carry = Exp::of(-it.div * it.years);
        let discount = Exp::of(-it.rate * it.years);
        Self {
            spot: it.spot * carry.value(),
            strike: it.strike * discount.value(),
            gap: (it.spot - it.strike) + (it.spot * carry.less_one() - it.strike * discount.less_one()),
            log: ln_ratio(it.spot, it.strike) + (it.rate - it.div) * it.years,
        }
    }
}

/// M(u) - M(u + `sd`) over the density: what an out-of-the-money option is worth per unit of G. `at_u` is M(u).
#[inline(always)]
pub(super) fn mills_drop(u: f64, sd: f64, at_u: f64, at_w: f64) -> f64 {
    // Derivatives of Mills' ratio: M' = u M - 1, and from there each by the two before it.
    let first = u * at_u - 1.0;
    let second = at_u + u * first;
    let third = 2.0 * first + u * second;
    let fourth = 3.0 * second + u * third;
    let series = -sd * (first + sd * 0.5 * (second + sd * (1.0 / 3.0) * (third + sd * 0.25 * fourth)));
    if sd < SERIES_UNDER { series } else { at_u - at_w }
}

/// How far the strike is, in deviations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) root_t: f64,
    pub(super) sd: f64,
    pub(super) per_sd: f64,
    /// |y|/s.
    pub(super) far: f64,
    /// G: S' n(d1).
    pub(super) density: f64,
}

impl Reach {
    #[inline(always)]
    pub(super) fn of(it: &Inputs, present: &Present) -> Self {
        let root_t = it.years.sqrt();
        let sd = it.vol * root_t;
        let per_sd = 1.0 / sd;
        let h = present.log * per_sd;
        Self { root_t, sd, per_sd, far: h.abs(), density: present.spot * normal_pdf(h + 0.5 * sd) }
    }

    /// u, and whether it is below what [`mills`] is read from.
    #[inline(always)]
    fn near(&self) -> (f64, bool) {
        let u = self.far - 0.5 * self.sd;
        (u, u < -0.5)
    }

    /// M(|u|) or M(u), and M(w).
    #[inline(always)]
    pub(super) fn mills(&self) -> (f64, f64) {
        let (u, is_near) = self.near();
        (mills(if is_near { -u } else { u }), mills(self.far + 0.5 * self.sd))
    }
}

/// Price and greeks of a call (`sign` 1) or a put (-1) from what was computed of it.
#[inline(always)]
pub(super) fn put_together(
    sign: f64,
    it: &Inputs,
    present: &Present,
    reach: &Reach,
    (at_u, at_w): (f64, f64),
) -> Valuation {
    let Reach { root_t, sd, per_sd, density, .. } = *reach;
    let (u, is_near) = reach.near();
    let is_call_out = present.log <= 0.0;
    let lesser = if is_call_out { present.spot } else { present.strike };
    // X N(-u) and Y N(-w).
    let near = if is_near { lesser - density * at_u } else { density * at_u };
    let far = density * at_w;
    let drop = density * mills_drop(u, sd, at_u, at_w);
    let out = if is_near { near - far } else { drop };

    let asks_out = is_call_out == (sign > 0.0);
    let (spot_out, strike_out) = if is_call_out { (near, far) } else { (far, near) };
    let spot_held = if asks_out { spot_out } else { present.spot - spot_out };
    let strike_held = if asks_out { strike_out } else { present.strike - strike_out };
    let per_spot = 1.0 / it.spot;
    Valuation {
        price: if asks_out { out } else { out + sign * present.gap },
        greeks: Greeks {
            delta: sign * spot_held * per_spot,
            gamma: density * per_sd * per_spot * per_spot,
            vega: density * root_t,
            theta: sign * (it.div * spot_held - it.rate * strike_held)
                - 0.5 * density * (it.vol * per_sd * it.vol),
            rho: sign * it.years * strike_held,
        },
    }
}

/// The value of a call (`sign` 1) or a put (-1) for inputs that [`Inputs::is_uncertain`].
#[inline(always)]
pub(super) fn value(sign: f64, it: &Inputs) -> Valuation {
    let present = Present::of(it);
    let reach = Reach::of(it, &present);
    put_together(sign, it, &present, &reach, reach.mills())
}
