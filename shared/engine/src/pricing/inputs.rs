//! What an option is priced from, and what of it makes sense.

/// What a European option is priced from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    /// The underlying's value.
    pub spot: f64,
    /// The strike, in the same unit.
    pub strike: f64,
    /// Time to the settlement in years, see [`years_to_settlement`](super::years_to_settlement).
    pub years: f64,
    /// Continuously compounded interest, a fraction per year.
    pub rate: f64,
    /// Continuous dividend yield, a fraction per year.
    pub div: f64,
    /// Volatility, a fraction per square root of a year.
    pub vol: f64,
}

/// An input that no option has.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BadInput {
    /// NaN or infinite.
    #[error("{field} is {value}: expected a finite number")]
    NotFinite {
        /// Which input.
        field: &'static str,
        /// What it was.
        value: f64,
    },
    /// A number that cannot be meant.
    #[error("{field} is {value:?}: expected {low:?} to {high:?}")]
    OutOfRange {
        /// Which input.
        field: &'static str,
        /// What it was.
        value: f64,
        /// The least that is taken.
        low: f64,
        /// The most that is taken.
        high: f64,
    },
}

/// Spots and strikes.
const LEVELS: [f64; 2] = [1e-6, 1e12];
/// A century.
const YEARS: [f64; 2] = [0.0, 100.0];
/// Interest and dividends of up to 200 %: beyond, a percentage was written as a whole number.
const YIELDS: [f64; 2] = [-2.0, 2.0];
/// Volatilities of up to 10,000 %.
const VOLS: [f64; 2] = [0.0, 100.0];
/// Standard deviations under this are none: a millionth of a millionth of the spot.
const LEAST_SD: f64 = 1e-12;

/// Refuses `value` outside of `range`.
fn check(field: &'static str, value: f64, [low, high]: [f64; 2]) -> Result<(), BadInput> {
    if !value.is_finite() {
        return Err(BadInput::NotFinite { field, value });
    }
    if !(low..=high).contains(&value) {
        return Err(BadInput::OutOfRange { field, value, low, high });
    }
    Ok(())
}

impl Inputs {
    /// Whether every input is one that an option can have. Time and volatility may be 0.
    ///
    /// # Errors
    /// The first that is not, with what was expected.
    pub fn check(&self) -> Result<(), BadInput> {
        self.check_but_vol()?;
        check("vol", self.vol, VOLS)
    }

    /// The same for whoever looks for the volatility.
    pub(super) fn check_but_vol(&self) -> Result<(), BadInput> {
        check("spot", self.spot, LEVELS)?;
        check("strike", self.strike, LEVELS)?;
        check("t_years", self.years, YEARS)?;
        check("rate", self.rate, YIELDS)?;
        check("div", self.div, YIELDS)
    }

    /// The standard deviation of the logarithm of the spot at the settlement.
    #[inline(always)]
    pub fn deviation(&self) -> f64 {
        self.vol * self.years.sqrt()
    }

    /// Whether there is anything to be uncertain about, so that the formulas hold: no input is absurd, and neither time
    /// nor volatility is 0.
    #[inline(always)]
    pub(super) fn is_uncertain(&self) -> bool {
        let level = |it: f64| (LEVELS[0]..=LEVELS[1]).contains(&it);
        let yields = |it: f64| (YIELDS[0]..=YIELDS[1]).contains(&it);
        level(self.spot)
            && level(self.strike)
            && self.years > 0.0
            && self.years <= YEARS[1]
            && yields(self.rate)
            && yields(self.div)
            && self.vol > 0.0
            && self.vol <= VOLS[1]
            && self.deviation() >= LEAST_SD
    }
}
