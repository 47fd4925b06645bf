//! Implied volatility: the normalised Black function turned round.
//!
//! The out-of-the-money side of the premium over X (the lesser of spot and strike as of today) is c(s) =
//! n(u) (M(u) - M(w)), with x = |ln(S'/K')|, u, w = x/s -+ s/2 and Mills' ratio M. Below the bend the root of ln c is
//! looked for, above it the root of ln (1 - c): both are nearly straight, and neither needs an exponential. The start
//! inverts Bachelier's formula, which is close wherever s is small; one or two of Householder's steps of fourth order
//! remain. Source of the objectives and the steps: Jäckel, Let's Be Rational, Wilmott 2015; of Bachelier's inverse:
//! Jäckel, Implied Normal Volatility, 2017 (own fits, `tests/reference/coefficients.py`).

use domain::symbol::Right;

use super::elementary::{ln, ln_ratio, mills};
use super::kernel::{Present, mills_drop};
use super::{BadInput, Inputs};

/// Volatilities the implied one is looked for between.
const VOLS: [f64; 2] = [1e-6, 20.0];
/// A step this small, relative, was the last: the error after it is of its fourth power.
const LAST_STEP: f64 = 4e-4;
/// One or two steps do; bisections from the widest bracket need 60.
const STEPS_MAX: u32 = 100;
/// A volatility is not determined when the rounding of the premium alone moves it by this much, relative.
const UNDETERMINED: f64 = 1e-2;
/// ln sqrt(2 pi).
const LN_ROOT_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// s over (b + x/2), of x/(b + x/2): Bachelier's inverse near the money, to 8e-4.
const NEAR: [f64; 6] = [2.508_667, -1.622_510_3, 0.055_360_7, 0.069_262_3, -0.638_923_03, 0.079_827_06];
/// x/s of sqrt(-ln(b/x)): Bachelier's inverse away from it, to 2e-4.
const FAR: [f64; 6] = [2.152_425_8, -1.794_935_8, -0.200_117_94, 1.008_872_27, -0.004_991_143, 0.710_798_31];
/// The x/(b + x/2) at which the second takes over.
const NEAR_UNDER: f64 = 1.9;

/// Why there is no volatility.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoVol {
    /// An input that no option has.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// The premium is NaN or infinite.
    #[error("price is {0}: expected a finite number")]
    NotFinite(f64),
    /// Nothing is left of the premium, or of the time, for volatility to explain.
    #[error("price is not above {0:?}, the discounted intrinsic value: no volatility gives it")]
    BelowIntrinsic(f64),
    /// Worth more than the underlying, for a call, or than the strike, for a put.
    #[error("price is not below {0:?}, the most that this option can be worth: no volatility gives it")]
    AboveBound(f64),
    /// The premium hardly depends on the volatility: its last digit stands for a percent of it.
    #[error("price hardly depends on the volatility this far from the money: its digits do not tell it")]
    NoVega,
    /// A volatility that cannot be meant.
    #[error("the volatility would be {0:?}: expected 1e-6 to 20, where 1 is 100 %")]
    OutOfRange(f64),
}

/// The volatility at which the option is worth `premium`; [`Inputs::vol`] is not read.
///
/// # Errors
/// [`NoVol`] says which bound the premium is beyond, or which input is none.
pub fn implied_vol(right: Right, premium: f64, inputs: &Inputs) -> Result<f64, NoVol> {
    inputs.check_but_vol()?;
    if !premium.is_finite() {
        return Err(NoVol::NotFinite(premium));
    }
    let present = Present::of(inputs);
    // The out-of-the-money side carries the same time value without the intrinsic part that would drown it.
    let intrinsic = (right.sign() * present.gap).max(0.0);
    let target = premium - intrinsic;
    let ceiling = present.spot.min(present.strike);
    let room = match right {
        Right::Call => present.spot - premium,
        Right::Put => present.strike - premium,
    };
    if !(target >= f64::MIN_POSITIVE && inputs.years > 0.0) {
        return Err(NoVol::BelowIntrinsic(intrinsic));
    }
    if !(room > 0.0 && target < ceiling) {
        return Err(NoVol::AboveBound(intrinsic + ceiling));
    }
    let root = Normalised::of(target / ceiling, room / ceiling, present.log.abs()).root();
    let noise = f64::EPSILON * (premium + intrinsic) / ceiling;
    let is_determined = root.per_price * noise < UNDETERMINED;
    if !is_determined {
        return Err(NoVol::NoVega);
    }
    let vol = root.sd / inputs.years.sqrt();
    if (VOLS[0]..=VOLS[1]).contains(&vol) { Ok(vol) } else { Err(NoVol::OutOfRange(vol)) }
}

/// The price as a fraction of what it can at most be.
struct Normalised {
    /// c: the price.
    price: f64,
    /// 1 - c.
    room: f64,
    /// x: how far the forward is from the strike.
    x: f64,
    /// The s at which u = -0.5: the bend.
    bend: f64,
    /// Whether the root is below the bend.
    is_below: bool,
}

/// What was found.
struct Root {
    sd: f64,
    /// How much `sd` moves, relative, per unit of the price.
    per_price: f64,
}

/// The objective at one s.
struct At {
    /// ln of the value, less ln of the target.
    miss: f64,
    /// Its slope.
    slope: f64,
    /// u w/s.
    bow: f64,
}

impl Normalised {
    fn of(price: f64, room: f64, x: f64) -> Self {
        // n(1/2) M(-1/2) and n(1/2): the value at the bend is N(1/2) - n(1/2) M(w).
        const UPPER: f64 = 0.691_462_461_274_013_1;
        const DENSITY: f64 = 0.352_065_326_764_299_5;
        let bend = 0.5 + (0.25 + 2.0 * x).sqrt();
        let at_bend = UPPER - DENSITY * mills(bend - 0.5);
        Self { price, room, x, bend, is_below: price <= at_bend }
    }

    fn start(&self) -> f64 {
        if !self.is_below {
            let z = (-1.2 * ln(self.room)).max(0.25).sqrt();
            return z + (z * z + 2.0 * self.x).sqrt();
        }
        let b = self.price * super::elementary::exp(-0.5 * self.x);
        let base = b + 0.5 * self.x;
        let z = self.x / base;
        let start = if z < NEAR_UNDER {
            base * quotient(NEAR, z)
        } else {
            self.x / quotient(FAR, (ln_ratio(self.x, b)).sqrt())
        };
        start.min(self.bend)
    }

    /// `None` where the value is too small for a double.
    fn at(&self, sd: f64) -> Option<At> {
        let u = self.x / sd - 0.5 * sd;
        let w = u + sd;
        let at_w = mills(w);
        let (value, target, sign) = if self.is_below {
            let at_u = mills(u);
            (mills_drop(u, sd, at_u, at_w), self.price, 1.0)
        } else {
            (mills(-u) + at_w, self.room, -1.0)
        };
        let is_normal = value >= f64::MIN_POSITIVE;
        if !is_normal {
            return None;
        }
        let miss = ln_ratio(value, target) - 0.5 * u * u - LN_ROOT_TWO_PI;
        Some(At { miss, slope: sign / value, bow: u * w / sd })
    }

    fn root(&self) -> Root {
        // Where u = 40 the value is no double any more.
        let (mut low, mut high) =
            if self.is_below { (self.x / 40.0, self.bend) } else { (self.bend, f64::INFINITY) };
        let mut sd = self.start();
        let mut slope = f64::NAN;
        for _ in 0..STEPS_MAX {
            let step = match self.at(sd) {
                Some(at) => {
                    slope = at.slope;
                    if (at.miss > 0.0) == self.is_below {
                        high = sd
                    } else {
                        low = sd
                    }
                    householder(&at, self.x, sd)
                }
                None => {
                    low = sd;
                    f64::NAN
                }
            };
            if step.abs() < LAST_STEP * sd {
                sd += step;
                break;
            }
            let next = sd + step;
            let middle = if high < f64::INFINITY { 0.5 * (low + high) } else { 2.0 * sd };
            sd = if next > low && next < high { next } else { middle };
        }
        let target = if self.is_below { self.price } else { self.room };
        Root { sd, per_price: 1.0 / (target * slope.abs() * sd) }
    }
}

/// The step of fourth order towards the root of the objective.
fn householder(at: &At, x: f64, sd: f64) -> f64 {
    let newton = -at.miss / at.slope;
    let second = at.bow - at.slope;
    let per_square = x / (sd * sd);
    let third = at.bow * at.bow - 3.0 * per_square * per_square - 0.25 - 3.0 * at.bow * at.slope
        + 2.0 * at.slope * at.slope;
    newton * (1.0 + 0.5 * second * newton) / (1.0 + newton * (second + third * newton * (1.0 / 6.0)))
}

fn quotient([a0, a1, a2, a3, b1, b2]: [f64; 6], z: f64) -> f64 {
    (((a3 * z + a2) * z + a1) * z + a0) / ((b2 * z + b1) * z + 1.0)
}
