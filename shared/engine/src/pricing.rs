//! Black-Scholes-Merton prices, greeks and implied volatility of European options.
//!
//! C = S e^(-qT) N(d1) - K e^(-rT) N(d2), P = K e^(-rT) N(-d2) - S e^(-qT) N(-d1), with
//! d1 = (ln(S/K) + (r - q + v^2/2) T)/(v sqrt T) and d2 = d1 - v sqrt T. Source: Hull, Options, Futures and Other
//! Derivatives, chapter 17 (Merton's continuous dividend yield). Transcendental functions are `libm`'s, so that the
//! same inputs give the same bits on every machine. Against fifty-digit references prices and greeks agree to
//! 1e-10 relative where they exceed 1e-8.

use domain::symbol::Right;
use domain::time::UtcNanos;

/// Seconds in the year of ACT/365.
const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;
/// An option about to stop trading is priced as if this much time were left, so that gamma stays finite.
const LEAST_SECONDS: f64 = 60.0;
/// Volatilities the implied one is looked for between.
const VOL_BOUNDS: (f64, f64) = (1e-6, 20.0);
/// Newton steps and bisections together; bisection alone needs 60 from the widest bracket.
const MAX_STEPS: u32 = 200;

/// What a European option is priced from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    /// The underlying's value.
    pub spot: f64,
    /// The strike, in the same unit.
    pub strike: f64,
    /// Time to the last trade in years, see [`years_between`].
    pub years: f64,
    /// Continuously compounded interest, a fraction per year.
    pub rate: f64,
    /// Continuous dividend yield, a fraction per year.
    pub div: f64,
    /// Volatility, a fraction per square root of a year.
    pub vol: f64,
}

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

/// The terms that price and greeks share.
struct Terms {
    d1: f64,
    d2: f64,
    sd: f64,
    root_t: f64,
    /// e^(-qT).
    carry: f64,
    /// e^(-rT).
    discount: f64,
}

impl Inputs {
    /// `None` where there is nothing to be uncertain about: no time, no volatility, or no underlying.
    fn terms(&self) -> Option<Terms> {
        let years = self.years.max(0.0);
        let root_t = libm::sqrt(years);
        let sd = self.vol * root_t;
        if !(sd > 0.0 && self.spot > 0.0 && self.strike > 0.0) {
            return None;
        }
        let drift = (self.rate - self.div) * years;
        let d1 = (libm::log(self.spot / self.strike) + drift) / sd + 0.5 * sd;
        Some(Terms {
            d1,
            d2: d1 - sd,
            sd,
            root_t,
            carry: libm::exp(-self.div * years),
            discount: libm::exp(-self.rate * years),
        })
    }

    /// What exercise at the end is worth today if nothing moved: the lower bound of the price.
    fn intrinsic(&self, right: Right) -> f64 {
        let years = self.years.max(0.0);
        let (carry, discount) = (libm::exp(-self.div * years), libm::exp(-self.rate * years));
        (right.sign() * (self.spot * carry - self.strike * discount)).max(0.0)
    }
}

/// The normal distribution function.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// The normal density.
pub fn normal_pdf(x: f64) -> f64 {
    const ROOT_TWO_PI: f64 = 2.506_628_274_631_000_7;
    libm::exp(-0.5 * x * x) / ROOT_TWO_PI
}

/// The option's value, in the unit of spot and strike; discounted intrinsic value without time or volatility.
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
    let Some(t) = inputs.terms() else { return inputs.intrinsic(right) };
    let w = right.sign();
    let value = w
        * (inputs.spot * t.carry * normal_cdf(w * t.d1) - inputs.strike * t.discount * normal_cdf(w * t.d2));
    // Rounding may leave -1e-13 where the value is nothing.
    value.max(0.0)
}

/// The option's sensitivities. Without time or volatility: delta and rho of the discounted intrinsic value, the
/// others 0.
pub fn greeks(right: Right, inputs: &Inputs) -> Greeks {
    let w = right.sign();
    let years = inputs.years.max(0.0);
    let Some(t) = inputs.terms() else {
        let discount = libm::exp(-inputs.rate * years);
        let (delta, strike_held) = if inputs.intrinsic(right) > 0.0 {
            (w * libm::exp(-inputs.div * years), inputs.strike * discount)
        } else {
            (0.0, 0.0)
        };
        return Greeks { delta, gamma: 0.0, vega: 0.0, theta: 0.0, rho: w * years * strike_held };
    };
    let (nd1, nd2) = (normal_cdf(w * t.d1), normal_cdf(w * t.d2));
    let density = normal_pdf(t.d1);
    let spot_held = inputs.spot * t.carry;
    let strike_held = inputs.strike * t.discount;
    Greeks {
        delta: w * t.carry * nd1,
        gamma: t.carry * density / (inputs.spot * t.sd),
        vega: spot_held * density * t.root_t,
        theta: -spot_held * density * inputs.vol / (2.0 * t.root_t) - w * inputs.rate * strike_held * nd2
            + w * inputs.div * spot_held * nd1,
        rho: w * years * strike_held * nd2,
    }
}

/// The volatility at which the option is worth `premium`; [`Inputs::vol`] is not read. `None` where no
/// volatility gives that price: at or below the discounted intrinsic value, at or above the upper bound, or for
/// inputs that are not numbers.
///
/// Newton steps inside a bracket that bisection keeps shrinking, so that it ends from any start; the answer is
/// exact to 1e-8 wherever the premium itself still tells volatilities apart.
pub fn implied_vol(right: Right, premium: f64, inputs: &Inputs) -> Option<f64> {
    // The out-of-the-money side carries the same time value without the intrinsic part that would drown it.
    let years = inputs.years.max(0.0);
    let forward_gap =
        inputs.spot * libm::exp(-inputs.div * years) - inputs.strike * libm::exp(-inputs.rate * years);
    let (side, target) = if right.sign() * forward_gap > 0.0 {
        (opposite(right), premium - right.sign() * forward_gap)
    } else {
        (right, premium)
    };
    let at = |vol: f64| price(side, &Inputs { vol, ..*inputs });
    let (mut low, mut high) = VOL_BOUNDS;
    let possible = target.is_finite() && target > 0.0 && at(low) < target && target < at(high);
    if !possible {
        return None;
    }
    let mut vol = start(target, inputs.spot, years).clamp(low, high);
    for _ in 0..MAX_STEPS {
        let miss = at(vol) - target;
        if miss > 0.0 {
            high = vol;
        } else {
            low = vol;
        }
        let slope = greeks(side, &Inputs { vol, ..*inputs }).vega;
        let newton = vol - miss / slope;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        let step = (next - vol).abs();
        vol = next;
        if step < 1e-12 || high - low < 1e-12 {
            break;
        }
    }
    Some(vol)
}

/// Brenner and Subrahmanyam: at the money, volatility is about premium/spot x sqrt(2 pi/T).
fn start(premium: f64, spot: f64, years: f64) -> f64 {
    let guess = premium / spot * libm::sqrt(2.0 * std::f64::consts::PI / years);
    if guess.is_finite() { guess.max(0.05) } else { 0.2 }
}

const fn opposite(right: Right) -> Right {
    match right {
        Right::Call => Right::Put,
        Right::Put => Right::Call,
    }
}

/// Years from `now` to `last_trade`, ACT/365 counted in seconds so that 0DTE is right, at least 60 s.
pub fn years_between(now: UtcNanos, last_trade: UtcNanos) -> f64 {
    let seconds = last_trade.0.saturating_sub(now.0) as f64 / 1e9;
    seconds.max(LEAST_SECONDS) / SECONDS_PER_YEAR
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inputs([spot, strike, years, rate, div, vol]: [f64; 6]) -> Inputs {
        Inputs { spot, strike, years, rate, div, vol }
    }

    fn near(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance
    }

    #[test]
    fn textbook_examples_come_out_as_printed() {
        // Hull, example 15.6.
        let stock = inputs([42.0, 40.0, 0.5, 0.1, 0.0, 0.2]);
        assert!(
            near(price(Right::Call, &stock), 4.76, 0.005) && near(price(Right::Put, &stock), 0.81, 0.005)
        );
        // Hull, example 17.1: an index with a dividend yield of 3 %.
        let index = inputs([930.0, 900.0, 2.0 / 12.0, 0.08, 0.03, 0.2]);
        assert!(near(price(Right::Call, &index), 51.83, 0.005));
        // Hull, chapter 19: the running example of the greeks.
        let g = greeks(Right::Call, &inputs([49.0, 50.0, 0.3846, 0.05, 0.0, 0.2]));
        for (name, value, printed, tolerance) in [
            ("delta", g.delta, 0.522, 0.0005),
            ("gamma", g.gamma, 0.066, 0.0005),
            ("vega", g.vega, 12.1, 0.05),
            ("theta", g.theta, -4.31, 0.005),
            ("rho", g.rho, 8.91, 0.005),
        ] {
            assert!(near(value, printed, tolerance), "{name} {value}, printed {printed}");
        }
    }

    /// References computed with fifty decimal digits from the binary inputs.
    #[test]
    fn prices_and_greeks_agree_with_high_precision_to_ten_digits() {
        #[expect(
            clippy::excessive_precision,
            reason = "the references keep the digits they were computed with"
        )]
        let table: [(Right, [f64; 6], [f64; 6]); 7] = [
            (
                Right::Call,
                [42.0, 40.0, 0.5, 0.1, 0.0, 0.2],
                [
                    4.7594223928715333e+00,
                    7.7913129094266897e-01,
                    4.9962670405911853e-02,
                    8.8134150596028515e+00,
                    -4.5590921945926270e+00,
                    1.3982045913360281e+01,
                ],
            ),
            (
                Right::Put,
                [5611.25, 5500.0, 0.0007420091324200913, 0.0, 0.0, 0.16],
                [
                    1.0529988460589360e-05,
                    -2.1443479335008257e-06,
                    4.2065503055614699e-07,
                    1.5724417160379995e-03,
                    -1.6953340839991232e-01,
                    -8.9360177108517269e-06,
                ],
            ),
            (
                Right::Call,
                [5611.25, 5700.0, 0.0007420091324200913, 0.043, 0.013, 0.16],
                [
                    9.8193276232574466e-04,
                    1.6326284422848680e-04,
                    2.5631526002557685e-05,
                    9.5812667873835924e-02,
                    -1.0357520673775259e+01,
                    6.7903237014223857e-04,
                ],
            ),
            (
                Right::Put,
                [5611.25, 5560.0, 1.902587519025875e-06, 0.043, 0.013, 0.25],
                [
                    1.9691150074355844e-157,
                    -2.7153874321536624e-156,
                    3.7392924783467223e-155,
                    5.6000683137095319e-154,
                    -3.6791991711072569e-149,
                    -2.8989563622855748e-158,
                ],
            ),
            (
                Right::Call,
                [5611.25, 5615.0, 0.00011415525114155251, 0.043, 0.013, 0.12],
                [
                    1.3830496718541812e+00,
                    3.0231261822956923e-01,
                    4.8496333187079757e-02,
                    2.0917283349939208e+01,
                    -1.1044955207963378e+04,
                    1.9348956956265023e-01,
                ],
            ),
            (
                Right::Put,
                [100.0, 250.0, 2.0, 0.03, 0.02, 0.4],
                [
                    1.4135396228857613e+02,
                    -8.6804614709222605e-01,
                    2.9045976728676076e-03,
                    2.3236781382940862e+01,
                    2.7849868774554229e+00,
                    -4.5631715399559744e+02,
                ],
            ),
            (
                Right::Call,
                [100.0, 250.0, 0.25, 0.03, 0.02, 0.4],
                [
                    1.5461091672516488e-05,
                    3.9105560493525364e-06,
                    9.1399182333030975e-07,
                    9.1399182333030981e-04,
                    -7.3464018196342496e-04,
                    9.3898628315684300e-05,
                ],
            ),
        ];
        for (right, given, expected) in table {
            let it = inputs(given);
            let g = greeks(right, &it);
            let got = [price(right, &it), g.delta, g.gamma, g.vega, g.theta, g.rho];
            for (got, expected) in got.into_iter().zip(expected) {
                let tolerance = if expected.abs() > 1e-8 { 1e-10 * expected.abs() } else { 1e-14 };
                assert!(
                    near(got, expected, tolerance),
                    "{right:?} {given:?}: {got:e}, expected {expected:e}"
                );
            }
        }
    }

    #[test]
    fn without_time_or_volatility_only_intrinsic_value_is_left() {
        let still = inputs([110.0, 100.0, 0.0, 0.05, 0.0, 0.2]);
        assert_eq!((price(Right::Call, &still), price(Right::Put, &still)), (10.0, 0.0));
        assert!(near(greeks(Right::Call, &still).delta, 1.0, 0.0));
        let calm = inputs([90.0, 100.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!((price(Right::Put, &calm), greeks(Right::Put, &calm).delta), (10.0, -1.0));
    }

    #[test]
    fn no_volatility_is_implied_outside_the_bounds_of_arbitrage() {
        let it = inputs([100.0, 90.0, 0.25, 0.0, 0.0, 0.0]);
        for premium in [9.0, 10.0, 100.0, 150.0, f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(implied_vol(Right::Call, premium, &it), None, "premium {premium}");
        }
        assert!(implied_vol(Right::Call, 10.01, &it).is_some());
    }

    #[test]
    fn time_is_counted_in_seconds_and_never_under_a_minute() {
        let close = UtcNanos::from_secs(1_000_000);
        let an_hour = years_between(UtcNanos::from_secs(1_000_000 - 3_600), close);
        assert!(near(an_hour * 365.0 * 24.0, 1.0, 1e-12));
        let minute = years_between(UtcNanos::from_secs(1_000_000 - 60), close);
        for late in [999_941, 1_000_000, 1_000_500] {
            assert!(near(years_between(UtcNanos::from_secs(late), close), minute, 0.0), "at {late}");
        }
    }

    proptest! {
        #[test]
        fn prop_put_call_parity_holds(
            spot in 50.0..6_000.0f64, moneyness in 0.7..1.4f64, years in 2e-6..2.0f64,
            rate in -0.01..0.08f64, div in 0.0..0.04f64, vol in 0.03..1.5f64,
        ) {
            let it = inputs([spot, spot * moneyness, years, rate, div, vol]);
            let gap = price(Right::Call, &it) - price(Right::Put, &it);
            let forward = it.spot * libm::exp(-div * years) - it.strike * libm::exp(-rate * years);
            prop_assert!(near(gap, forward, 1e-11 * spot), "{gap} against {forward}");
        }

        #[test]
        fn prop_greeks_are_the_slopes_of_the_price(
            moneyness in 0.9..1.1f64, years in 0.01..2.0f64, rate in 0.0..0.08f64, div in 0.0..0.04f64,
            vol in 0.1..0.8f64, put: bool,
        ) {
            let right = if put { Right::Put } else { Right::Call };
            let it = inputs([100.0, 100.0 * moneyness, years, rate, div, vol]);
            let slope = |up: Inputs, down: Inputs, h: f64| (price(right, &up) - price(right, &down)) / (2.0 * h);
            let h = 1e-4;
            let g = greeks(right, &it);
            let delta = slope(Inputs { spot: 100.0 + h, ..it }, Inputs { spot: 100.0 - h, ..it }, h);
            let vega = slope(Inputs { vol: vol + h, ..it }, Inputs { vol: vol - h, ..it }, h);
            let rho = slope(Inputs { rate: rate + h, ..it }, Inputs { rate: rate - h, ..it }, h);
            let theta = -slope(Inputs { years: years + 1e-5, ..it }, Inputs { years: years - 1e-5, ..it }, 1e-5);
            let up = greeks(right, &Inputs { spot: 100.0 + h, ..it }).delta;
            let down = greeks(right, &Inputs { spot: 100.0 - h, ..it }).delta;
            prop_assert!(near(g.delta, delta, 1e-6) && near(g.gamma, (up - down) / (2.0 * h), 1e-6));
            prop_assert!(near(g.vega, vega, 1e-3) && near(g.rho, rho, 1e-3) && near(g.theta, theta, 1e-2));
        }

        #[test]
        fn prop_the_implied_volatility_gives_the_premium_back(
            spot in 50.0..6_000.0f64, offset in -2.5..2.5f64, years in 2e-6..1.0f64, vol in 0.05..2.0f64, put: bool,
        ) {
            let right = if put { Right::Put } else { Right::Call };
            // Strikes within 2.5 standard deviations, where the premium still tells volatilities apart.
            let strike = spot * libm::exp(offset * vol * libm::sqrt(years));
            let it = inputs([spot, strike, years, 0.04, 0.01, vol]);
            let found = implied_vol(right, price(right, &it), &it);
            prop_assert!(found.is_some_and(|found| near(found, vol, 1e-8)), "{found:?} for {vol}");
        }
    }
}
