//! Money and prices.
//!
//! [`Usd`] is an amount in 1/10,000 dollar, signed. [`Price`] is an option premium per share in whole cents,
//! never negative, and becomes an order price only on a [`TickGrid`]. Neither is ever a float; the one crossing
//! from a measurement names its rounding ([`Price::from_model`]).

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::symbol::{Root, Underlying};

/// Shares an option contract stands for.
pub const CONTRACT_MULTIPLIER: i64 = 100;

/// Why a number is not money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// NaN, infinite, negative or beyond a million dollars a share.
    #[error("not a price: expected 0.00 to 1000000.00 dollars a share")]
    NotAPrice,
    /// Not decimal text, or more decimals than the unit has.
    #[error("not a decimal amount: expected digits with at most four decimals")]
    NotDecimal,
}

/// An amount of money in 1/10,000 dollar, signed. Arithmetic saturates; the range is +-922 trillion dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(i64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From 1/10,000 dollars.
    pub const fn from_e4(e4: i64) -> Self {
        Self(e4)
    }

    /// From whole cents.
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents.saturating_mul(100))
    }

    /// From whole dollars.
    pub const fn from_dollars(dollars: i64) -> Self {
        Self(dollars.saturating_mul(10_000))
    }

    /// In 1/10,000 dollars.
    pub const fn e4(self) -> i64 {
        self.0
    }

    /// As a measurement in dollars, for analytics only.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 10_000.0
    }

    /// This amount `n` times.
    pub const fn times(self, n: i64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// `self * numerator / denominator`, rounded half away from zero; zero for a zero denominator.
    pub fn scaled(self, numerator: i64, denominator: i64) -> Self {
        if denominator == 0 {
            return Self::ZERO;
        }
        let (n, d) = (i128::from(self.0) * i128::from(numerator), i128::from(denominator));
        let half = d.abs() / 2;
        let rounded =
            if (n < 0) == (d < 0) { (n.abs() + half) / d.abs() } else { -((n.abs() + half) / d.abs()) };
        Self(i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX }))
    }

    /// How many whole times `unit` goes into this amount; 0 when either is not positive.
    pub fn whole_units_of(self, unit: Self) -> u32 {
        if self.0 <= 0 || unit.0 <= 0 { 0 } else { u32::try_from(self.0 / unit.0).unwrap_or(u32::MAX) }
    }

    /// The distance from zero.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// Parses decimal dollars, at most four decimals kept exactly; further decimals are rounded half away from zero.
    ///
    /// Tradier prints balances with long tails (`17798.360000000000000000000000`), so any number of digits is read.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        parse_scaled(text.trim(), 4).map(Self)
    }
}

/// Reads decimal text into an integer scaled by 10^`decimals`, rounding half away from zero.
fn parse_scaled(text: &str, decimals: u32) -> Result<i64, MoneyError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(MoneyError::NotDecimal);
    }
    let mut value: i64 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| MoneyError::NotDecimal)? };
    let mut places = fraction.bytes();
    for _ in 0..decimals {
        let digit = places.next().map_or(0, |b| i64::from(b - b'0'));
        value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(MoneyError::NotDecimal)?;
    }
    if places.next().is_some_and(|b| b >= b'5') {
        value = value.checked_add(1).ok_or(MoneyError::NotDecimal)?;
    }
    Ok(if negative { -value } else { value })
}

impl fmt::Display for Usd {
    /// Dollars with two decimals, four where cents do not tell all: `-12.50`, `0.1234`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let abs = self.0.unsigned_abs();
        let (whole, rest) = (abs / 10_000, abs % 10_000);
        if rest % 100 == 0 {
            write!(f, "{sign}{whole}.{:02}", rest / 100)
        } else {
            write!(f, "{sign}{whole}.{rest:04}")
        }
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Usd {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Usd {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Which way an order trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Pays premium.
    Buy,
    /// Receives premium.
    Sell,
}

impl Side {
    /// +1 for a buy, -1 for a sell.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
}

/// Option premium **per share** in whole cents, never negative. Not yet checked against a tick grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(u32);

/// The largest price: a million dollars a share.
const PRICE_MAX_CENTS: u32 = 100_000_000;

impl Price {
    /// No premium.
    pub const ZERO: Self = Self(0);

    /// From whole cents, saturating at a million dollars.
    pub const fn from_cents(cents: u32) -> Self {
        Self(if cents > PRICE_MAX_CENTS { PRICE_MAX_CENTS } else { cents })
    }

    /// In cents per share.
    pub const fn cents(self) -> u32 {
        self.0
    }

    /// As a measurement in dollars per share.
    pub fn to_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Parses decimal dollars with at most two significant decimals; further decimals are rounded half up.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let cents = parse_scaled(text.trim(), 2)?;
        match u32::try_from(cents) {
            Ok(cents) if cents <= PRICE_MAX_CENTS => Ok(Self(cents)),
            _ => Err(MoneyError::NotAPrice),
        }
    }

    /// A model value in dollars per share, put on `grid`: a buyer rounds down, a seller rounds up, so rounding
    /// never costs us.
    ///
    /// # Errors
    /// [`MoneyError::NotAPrice`] for NaN, infinities and values outside 0 to a million.
    ///
    /// # Examples
    /// ```
    /// use domain::money::{Price, Side, TickGrid};
    /// let grid = TickGrid::FIVE_TEN;
    /// assert_eq!(Price::from_model(2.97, Side::Buy, grid)?.cents(), 295);
    /// assert_eq!(Price::from_model(2.97, Side::Sell, grid)?.cents(), 300);
    /// assert_eq!(Price::from_model(3.01, Side::Sell, grid)?.cents(), 310);
    /// # Ok::<(), domain::money::MoneyError>(())
    /// ```
    pub fn from_model(dollars: f64, side: Side, grid: TickGrid) -> Result<Self, MoneyError> {
        if !dollars.is_finite() || !(0.0..=1_000_000.0).contains(&dollars) {
            return Err(MoneyError::NotAPrice);
        }
        // A hair of tolerance keeps 2.95, stored as 2.9500000000000002, on its own tick.
        let e6 = dollars * 1e6;
        let cents = match side {
            Side::Buy => ((e6 + 1.0) / 1e4).floor(),
            Side::Sell => ((e6 - 1.0) / 1e4).ceil(),
        };
        let cents = Self(cents.max(0.0) as u32);
        Ok(match side {
            Side::Buy => grid.floor(cents),
            Side::Sell => grid.ceil(cents),
        })
    }

    /// The midpoint of `self` and `other` in dollars per share.
    pub fn mid(self, other: Self) -> f64 {
        (f64::from(self.0) + f64::from(other.0)) / 200.0
    }

    /// Premium times the multiplier times `contracts`.
    pub fn notional(self, contracts: u32) -> Usd {
        Usd::from_cents(i64::from(self.0)).times(CONTRACT_MULTIPLIER).times(i64::from(contracts))
    }
}

impl fmt::Display for Price {
    /// Always two decimals, as Tradier wants them: `2.05`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The prices a class of options may be quoted at: one step below a threshold, another from it on.
///
/// As of the date and product. Source: Cboe SPX option specification ("Minimum Tick"); DEC18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickGrid {
    below_cents: u32,
    threshold_cents: u32,
    from_cents: u32,
}

impl TickGrid {
    /// 0.05 below 3.00, 0.10 from 3.00: SPX, SPXW and other classes outside the penny programme.
    pub const FIVE_TEN: Self = Self { below_cents: 5, threshold_cents: 300, from_cents: 10 };
    /// 0.01 throughout: SPY, QQQ, IWM, XSP.
    pub const PENNY: Self = Self { below_cents: 1, threshold_cents: 0, from_cents: 1 };
    /// 0.01 below 3.00, 0.05 from 3.00: penny classes.
    pub const PENNY_FIVE: Self = Self { below_cents: 1, threshold_cents: 300, from_cents: 5 };
    /// 0.05 throughout: net price of a multi-leg order in SPX and SPXW.
    pub const NET_FIVE: Self = Self { below_cents: 5, threshold_cents: 0, from_cents: 5 };

    /// The grid of single-leg orders in `root` on `date`. The table holds since 2010; it takes the date so that a
    /// change of the rules is a row here, not a change of every caller.
    pub fn single_leg(root: &Root, _date: Date) -> Self {
        match root.underlying() {
            Underlying::SPX => Self::FIVE_TEN,
            u if u == Underlying::XSP
                || u == Underlying::SPY
                || u == Underlying::QQQ
                || u == Underlying::IWM =>
            {
                Self::PENNY
            }
            _ => Self::FIVE_TEN,
        }
    }

    /// The grid of net prices of combinations in `root` on `date`: 0.05 in SPX and SPXW, where a box spread, which is a
    /// loan, may be quoted in pennies; 0.01 elsewhere, where the legs' own grids do not bind the net.
    ///
    /// Source: Cboe SPX option specification, "Minimum Tick" of complex orders; TRADIER.md section 17.2.
    pub fn net(root: &Root, is_box: bool, _date: Date) -> Self {
        if root.underlying() == Underlying::SPX && !is_box { Self::NET_FIVE } else { Self::PENNY }
    }

    /// The next quotable price that costs us nothing: a buyer rounds down, a seller up.
    pub const fn passive(self, price: Price, side: Side) -> Price {
        match side {
            Side::Buy => self.floor(price),
            Side::Sell => self.ceil(price),
        }
    }

    /// The next quotable price that fills no later: a buyer rounds up, a seller down, but never to nothing.
    pub const fn toward_fill(self, price: Price, side: Side) -> Price {
        let on = match side {
            Side::Buy => self.ceil(price),
            Side::Sell => self.floor(price),
        };
        if on.0 == 0 { self.one_tick() } else { on }
    }

    const fn step(self, price: Price) -> u32 {
        if price.0 < self.threshold_cents { self.below_cents } else { self.from_cents }
    }

    /// Whether `price` may be quoted.
    pub const fn holds(self, price: Price) -> bool {
        price.0.is_multiple_of(self.step(price))
    }

    /// The highest quotable price at or below `price`.
    pub const fn floor(self, price: Price) -> Price {
        Price(price.0 - price.0 % self.step(price))
    }

    /// The lowest quotable price at or above `price`.
    pub const fn ceil(self, price: Price) -> Price {
        let rest = price.0 % self.step(price);
        if rest == 0 { price } else { Price::from_cents(price.0 - rest + self.step(price)) }
    }

    /// The next quotable price above `price`.
    pub const fn up(self, price: Price) -> Price {
        let on = self.floor(price);
        Price::from_cents(on.0 + self.step(on))
    }

    /// The next quotable price below `price`; zero at the bottom.
    pub const fn down(self, price: Price) -> Price {
        let on = self.ceil(price);
        if on.0 == 0 {
            return Price::ZERO;
        }
        let step = if on.0 <= self.threshold_cents { self.below_cents } else { self.from_cents };
        Price(on.0.saturating_sub(step))
    }

    /// `price` moved `ticks` steps up (or down when negative), at most 10,000 of them.
    pub fn step_by(self, price: Price, ticks: i32) -> Price {
        let n = ticks.unsigned_abs().min(10_000);
        (0..n).fold(price, |p, _| if ticks >= 0 { self.up(p) } else { self.down(p) })
    }

    /// The smallest quotable price above zero.
    pub const fn one_tick(self) -> Price {
        self.up(Price::ZERO)
    }

    /// Ticks from `from` up to `to` (negative downwards), exact on the grid, for slippage. Off-grid ends round
    /// down first.
    pub fn ticks_between(self, from: Price, to: Price) -> i64 {
        let index = |p: Price| -> i64 {
            let p = self.floor(p);
            let low = i64::from(p.0.min(self.threshold_cents)) / i64::from(self.below_cents.max(1));
            low + i64::from(p.0.saturating_sub(self.threshold_cents)) / i64::from(self.from_cents.max(1))
        };
        index(to) - index(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn balances_with_long_tails_are_read_exactly() {
        for (text, e4) in [
            ("17798.360000000000000000000000", 177_983_600),
            ("0", 0),
            ("-0.00005", -1),
            ("-0.00004", 0),
            (".5", 5_000),
            ("12.", 120_000),
        ] {
            assert_eq!(Usd::parse(text), Ok(Usd::from_e4(e4)), "{text}");
        }
        for text in ["", ".", "1e3", "NaN", "1,000", "--1", "99999999999999999999"] {
            assert!(Usd::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_print_cents_and_more_only_where_there_is_more() {
        assert_eq!(Usd::from_e4(-125_000).to_string(), "-12.50");
        assert_eq!(Usd::from_e4(1_234).to_string(), "0.1234");
        assert_eq!(Price::from_cents(205).to_string(), "2.05");
    }

    #[test]
    fn the_grid_changes_step_at_three_dollars() {
        let grid = TickGrid::FIVE_TEN;
        for (from, up, down) in [(295, 300, 290), (300, 310, 295), (310, 320, 300), (0, 5, 0), (5, 10, 0)] {
            let p = Price::from_cents(from);
            assert_eq!((grid.up(p).cents(), grid.down(p).cents()), (up, down), "from {from}");
        }
        assert_eq!(grid.ticks_between(Price::from_cents(290), Price::from_cents(320)), 4);
    }

    #[test]
    fn model_prices_snap_to_the_tick_in_our_favour() {
        for (dollars, buy, sell) in [(0.04, 0, 5), (2.95, 295, 295), (2.97, 295, 300), (3.01, 300, 310)] {
            let cents = |side| Price::from_model(dollars, side, TickGrid::FIVE_TEN).map(Price::cents);
            assert_eq!((cents(Side::Buy), cents(Side::Sell)), (Ok(buy), Ok(sell)), "model price {dollars}");
        }
        assert!(Price::from_model(f64::NAN, Side::Buy, TickGrid::PENNY).is_err());
    }

    proptest! {
        #[test]
        fn prop_rounding_brackets_the_price_and_lands_on_the_grid(cents in 0u32..100_000) {
            for grid in [TickGrid::FIVE_TEN, TickGrid::PENNY, TickGrid::PENNY_FIVE, TickGrid::NET_FIVE] {
                let p = Price::from_cents(cents);
                let (lo, hi) = (grid.floor(p), grid.ceil(p));
                prop_assert!(lo <= p && p <= hi && grid.holds(lo) && grid.holds(hi));
                prop_assert!(grid.down(grid.up(lo)) == lo && grid.ticks_between(lo, grid.up(lo)) == 1);
            }
        }

        #[test]
        fn prop_each_product_rounds_to_its_own_grid_with_at_most_two_decimals(
            cents in 0u32..200_000, root in prop::sample::select(vec!["SPX", "SPXW", "XSP", "SPY"]), buys: bool,
            day in 0i32..4_000,
        ) {
            let date = jiff::civil::date(2023, 1, 2).checked_add(jiff::Span::new().days(day)).unwrap();
            let grid = TickGrid::single_leg(&root.parse().unwrap(), date);
            let (price, side) = (Price::from_cents(cents), if buys { Side::Buy } else { Side::Sell });
            let (calm, keen) = (grid.passive(price, side), grid.toward_fill(price, side));
            for it in [calm, keen] {
                let step = match root { "SPX" | "SPXW" if it.cents() < 300 => 5, "SPX" | "SPXW" => 10, _ => 1 };
                prop_assert!(it.cents() % step == 0 && grid.holds(it), "{root} {it}");
                let text = it.to_string();
                let (_, decimals) = text.split_once('.').unwrap();
                prop_assert!(decimals.len() == 2 && Price::parse(&text) == Ok(it), "{text}");
            }
            prop_assert!(keen > Price::ZERO);
            if price > grid.one_tick() {
                let (low, high) = if buys { (calm, keen) } else { (keen, calm) };
                prop_assert!(low <= price && price <= high);
            }
        }

        #[test]
        fn prop_model_prices_land_on_the_products_grid(dollars in 0.0f64..5_000.0, root in prop::sample::select(vec!["SPX", "SPXW", "XSP", "SPY"])) {
            let grid = TickGrid::single_leg(&root.parse().unwrap(), jiff::civil::date(2026, 11, 20));
            let bid = Price::from_model(dollars, Side::Buy, grid).unwrap();
            let ask = Price::from_model(dollars, Side::Sell, grid).unwrap();
            prop_assert!(grid.holds(bid) && grid.holds(ask) && bid <= ask && bid.to_f64() <= dollars + 1e-6 && ask.to_f64() >= dollars - 1e-6);
        }

        #[test]
        fn prop_scaling_by_a_whole_and_back_is_exact(e4 in -1_000_000_000i64..1_000_000_000, n in 1i64..1_000) {
            prop_assert_eq!(Usd::from_e4(e4).scaled(n, 1).scaled(1, n), Usd::from_e4(e4));
        }
    }
}
