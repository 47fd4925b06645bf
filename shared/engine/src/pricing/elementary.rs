//! Exponential, logarithm and the tail of the normal distribution, written out in additions, multiplications and
//! divisions.
//!
//! IEEE 754 fixes the result of each of these operations, and Rust neither reorders nor fuses them: the same inputs give
//! the same bits on every machine, optimised or not. There is no branch in any of them, so that a loop over rows runs in
//! vector registers. Each is within a few units in the last place of the exact value; the coefficients come from
//! `tests/reference/coefficients.py`.

/// 1.5 x 2^52: adding it rounds to a whole number, which then stands in the lowest bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts, the first with zeros at its end, so that a whole number of them is exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Where e^x leaves the normal numbers.
const EXP_BOUNDS: (f64, f64) = (-708.0, 709.0);
/// 1/sqrt(2 pi).
const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
/// Where [`mills`] may be read from, and where it is as small as it gets.
const MILLS_BOUNDS: (f64, f64) = (-0.5, 40.0);

/// (e^x - 1 - x)/x^2 for |x| up to ln(2)/2: a Chebyshev fit, relative error of e^x 1.3e-17.
const EXP: [f64; 10] = [
    0.500_000_000_000_000_1,
    0.166_666_666_666_666_69,
    0.041_666_666_666_624_13,
    0.008_333_333_333_330_062,
    0.001_388_888_891_721_371_7,
    0.000_198_412_698_630_536_18,
    2.480_152_129_595_437_6e-5,
    2.755_726_845_999_706_4e-6,
    2.762_008_844_540_974_6e-7,
    2.510_038_549_551_032e-8,
];

/// (2 artanh(z)/z - 2)/z^2 as a polynomial of z^2 for |z| up to 0.205, relative error of the logarithm 8e-19.
const ARTANH: [f64; 8] = [
    0.666_666_666_666_666_6,
    0.400_000_000_000_111_04,
    0.285_714_285_658_876,
    0.222_222_232_739_121_9,
    0.181_817_203_515_082_63,
    0.153_895_413_256_309_43,
    0.131_967_770_034_326_64,
    0.137_059_950_061_196_98,
];

/// Mills' ratio as a quotient of polynomials, fitted on [-0.55, 12]: relative error 1.7e-17 there, 1e-11 at 30. All
/// coefficients are positive, so that nothing cancels.
const MILLS_ABOVE: [f64; 10] = [
    1.253_314_137_315_500_3,
    1.785_278_466_840_226_5,
    1.269_992_981_260_498,
    0.573_859_996_064_777,
    0.179_146_873_312_994_92,
    0.039_804_696_490_020_074,
    0.006_278_541_192_588_175,
    0.000_678_125_790_808_702_6,
    4.563_873_940_875_062e-5,
    1.466_684_156_589_830_7e-6,
];
const MILLS_BELOW: [f64; 11] = [
    1.0,
    2.222_330_686_228_493,
    2.286_471_135_615_907,
    1.437_010_225_905_180_7,
    0.612_325_677_336_870_5,
    0.185_333_951_505_907_76,
    0.040_479_899_518_624_976,
    0.006_324_179_470_937_07,
    0.000_679_592_489_245_180_3,
    4.563_873_912_894_04e-5,
    1.466_684_159_188_419_2e-6,
];

/// e^x as a power of two and what is left of it: e^x = `scale` (1 + `rest`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Exp {
    scale: f64,
    rest: f64,
}

impl Exp {
    /// Beyond the bounds of [`exp`] the value at the bound.
    #[inline(always)]
    pub(super) fn of(x: f64) -> Self {
        let x = if x > EXP_BOUNDS.0 { x } else { EXP_BOUNDS.0 };
        let x = if x < EXP_BOUNDS.1 { x } else { EXP_BOUNDS.1 };
        let shifted = x * std::f64::consts::LOG2_E + ROUNDER;
        let k = shifted - ROUNDER;
        let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
        let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9] = EXP;
        let r2 = r * r;
        let r4 = r2 * r2;
        let low = (c0 + c1 * r) + (c2 + c3 * r) * r2;
        let high = (c4 + c5 * r) + (c6 + c7 * r) * r2 + (c8 + c9 * r) * r4;
        let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
        Self { scale, rest: r + r2 * (low + high * r4) }
    }

    /// e^x.
    #[inline(always)]
    pub(super) fn value(self) -> f64 {
        self.scale + self.scale * self.rest
    }

    /// e^x - 1, exact for small x too.
    #[inline(always)]
    pub(super) fn less_one(self) -> f64 {
        (self.scale - 1.0) + self.scale * self.rest
    }
}

/// e^x; 0 below -708, where it would leave the normal numbers, and e^709 above 709.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let value = Exp::of(x).value();
    if x < EXP_BOUNDS.0 { 0.0 } else { value }
}

/// ln(a/b) for normal positive numbers, without the rounding of the quotient: exact relative to itself even where a and
/// b all but agree.
#[inline(always)]
pub(crate) fn ln_ratio(a: f64, b: f64) -> f64 {
    const BIAS: u64 = 1024;
    // The power of two between them, from the exponents and the mantissas' difference; it leaves a quotient in [2/3, 3/2].
    let apart = a.to_bits().wrapping_sub(b.to_bits());
    let biased = apart.wrapping_add((BIAS << 52) + (1 << 51)) >> 52;
    let k = f64::from_bits(0x4330_0000_0000_0000 | biased) - (4_503_599_627_370_496.0 + 1024.0);
    let near = f64::from_bits(b.to_bits().wrapping_add((biased << 52).wrapping_sub(BIAS << 52)));
    let z = (a - near) / (a + near);
    let w = z * z;
    let [c0, c1, c2, c3, c4, c5, c6, c7] = ARTANH;
    let w2 = w * w;
    let w4 = w2 * w2;
    let p = ((c0 + c1 * w) + (c2 + c3 * w) * w2) + ((c4 + c5 * w) + (c6 + c7 * w) * w2) * w4;
    k * LN_2_HIGH + (2.0 * z + (z * w * p + k * LN_2_LOW))
}

/// ln(x) for normal positive numbers.
#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    ln_ratio(x, 1.0)
}

/// Mills' ratio N(-x)/n(x) from -0.5 on: the tail of the normal distribution without its exponential factor.
#[inline(always)]
pub(super) fn mills(x: f64) -> f64 {
    let x = if x < MILLS_BOUNDS.1 { x } else { MILLS_BOUNDS.1 };
    let x2 = x * x;
    let [a0, a1, a2, a3, a4, a5, a6, a7, a8, a9] = MILLS_ABOVE;
    let above = ((((a8 * x2 + a6) * x2 + a4) * x2 + a2) * x2 + a0)
        + x * ((((a9 * x2 + a7) * x2 + a5) * x2 + a3) * x2 + a1);
    let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10] = MILLS_BELOW;
    let below = (((((b10 * x2 + b8) * x2 + b6) * x2 + b4) * x2 + b2) * x2 + b0)
        + x * ((((b9 * x2 + b7) * x2 + b5) * x2 + b3) * x2 + b1);
    above / below
}

/// The normal density.
#[inline(always)]
pub fn normal_pdf(x: f64) -> f64 {
    DENSITY_AT_ZERO * exp(-0.5 * x * x)
}

/// The normal distribution function, exact relative to itself in both tails.
#[inline(always)]
pub fn normal_cdf(x: f64) -> f64 {
    let tail = normal_pdf(x) * mills(x.abs());
    if x > 0.0 { 1.0 - tail } else { tail }
}
