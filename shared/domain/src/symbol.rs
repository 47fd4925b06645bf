//! Underlyings, roots and option series.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::time::digits;

/// Why a text is not a symbol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct SymbolError {
    text: String,
    expected: &'static str,
}

/// One to eight characters kept in place: `A-Z`, `0-9`, `/`, `.`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Short([u8; 8]);

impl Short {
    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated at compile time; both indices are bounded by the loop"
    )]
    const fn from_static(text: &str) -> Self {
        let (mut bytes, source, mut i) = ([0u8; 8], text.as_bytes(), 0);
        while i < source.len() && i < 8 {
            bytes[i] = source[i];
            i += 1;
        }
        Self(bytes)
    }

    fn parse(text: &str, max: usize) -> Option<Self> {
        let good = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'/' || b == b'.';
        if text.is_empty() || text.len() > max || !text.bytes().all(good) {
            return None;
        }
        let mut bytes = [0u8; 8];
        bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Some(Self(bytes))
    }

    fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(8);
        std::str::from_utf8(self.0.get(..len).unwrap_or(&[])).unwrap_or("")
    }
}

macro_rules! short_symbol {
    ($name:ident, $max:expr, $expected:expr) => {
        impl $name {
            /// The symbol as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = SymbolError;
            fn from_str(text: &str) -> Result<Self, SymbolError> {
                let short = Short::parse(text, $max);
                short.map(Self).ok_or_else(|| SymbolError { text: text.to_owned(), expected: $expected })
            }
        }
        impl TryFrom<String> for $name {
            type Error = SymbolError;
            fn try_from(text: String) -> Result<Self, SymbolError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(it: $name) -> String {
                it.as_str().to_owned()
            }
        }
    };
}

/// What options are written on: `SPX`, `SPY`, `BRK/B`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Underlying(Short);
short_symbol!(Underlying, 8, "an underlying: 1 to 8 of A-Z, 0-9, / and .");

impl Underlying {
    /// The S&P 500 index.
    pub const SPX: Self = Self(Short::from_static("SPX"));
    /// The S&P 500 ETF, our proxy for the index's volume and quotes.
    pub const SPY: Self = Self(Short::from_static("SPY"));
    /// The mini S&P 500 index.
    pub const XSP: Self = Self(Short::from_static("XSP"));
    /// The Nasdaq-100 ETF.
    pub const QQQ: Self = Self(Short::from_static("QQQ"));
    /// The Russell 2000 ETF.
    pub const IWM: Self = Self(Short::from_static("IWM"));

    /// Cash-settled indexes have no shares behind them.
    pub fn is_index(&self) -> bool {
        matches!(self.as_str(), "SPX" | "XSP" | "NDX" | "RUT" | "VIX")
    }
}

/// The prefix of an option symbol: `SPX` settles in the morning, `SPXW` in the afternoon, both on [`Underlying::SPX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Root(Short);
short_symbol!(Root, 6, "an option root: 1 to 6 of A-Z and 0-9");

impl Root {
    /// AM-settled monthly options on the S&P 500.
    pub const SPX: Self = Self(Short::from_static("SPX"));
    /// PM-settled daily, weekly and month-end options on the S&P 500.
    pub const SPXW: Self = Self(Short::from_static("SPXW"));

    /// What the root's options are written on. Unknown roots are their own underlying.
    pub fn underlying(&self) -> Underlying {
        match self.as_str() {
            "SPXW" => Underlying::SPX,
            "NDXP" => Underlying(Short::from_static("NDX")),
            "RUTW" => Underlying(Short::from_static("RUT")),
            "VIXW" => Underlying(Short::from_static("VIX")),
            _ => Underlying(self.0),
        }
    }

    /// When and how a series of this root settles.
    pub fn settlement(&self) -> Settlement {
        match self.as_str() {
            "SPX" | "NDX" | "RUT" | "VIX" | "VIXW" => Settlement::CashAm,
            _ if self.underlying().is_index() => Settlement::CashPm,
            _ => Settlement::Physical,
        }
    }
}

/// How a series turns into cash or shares at expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// Cash on the special opening quotation; last traded the session before.
    CashAm,
    /// Cash on the closing value of expiry day.
    CashPm,
    /// Shares.
    Physical,
}

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// The right to buy.
    Call,
    /// The right to sell.
    Put,
}

impl Right {
    /// `C` or `P`, as OCC symbols spell it.
    pub const fn letter(self) -> char {
        match self {
            Self::Call => 'C',
            Self::Put => 'P',
        }
    }

    /// +1 for calls, -1 for puts: the sign of delta.
    pub const fn sign(self) -> f64 {
        match self {
            Self::Call => 1.0,
            Self::Put => -1.0,
        }
    }
}

/// A strike in thousandths of a dollar, as OCC symbols carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Strike(pub u32);

impl Strike {
    /// From whole points.
    pub const fn from_points(points: u32) -> Self {
        Self(points.saturating_mul(1_000))
    }

    /// In points (dollars), a measurement.
    pub fn points(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 {
            write!(f, "{whole}")
        } else {
            write!(f, "{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
        }
    }
}

/// One listed option series, e.g. `SPXW261120C05610000`: parsed once at the edge, printed without padding.
///
/// Source: OCC, Options Symbology Initiative: root, `yymmdd`, `C` or `P`, strike x 1000 in eight digits. The
/// padded form and Massive's `O:` prefix are read too. Integers only.
///
/// # Examples
/// ```
/// use domain::symbol::OccSymbol;
/// let series: OccSymbol = "SPXW  261120C05610000".parse()?;
/// assert_eq!(series.to_string(), "SPXW261120C05610000");
/// assert_eq!("O:SPXW261120C05610000".parse(), Ok(series));
/// assert_eq!(series.padded(), "SPXW  261120C05610000");
/// # Ok::<(), domain::symbol::SymbolError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OccSymbol {
    /// The symbol prefix.
    pub root: Root,
    /// The expiration date.
    pub expiry: Date,
    /// Call or put.
    pub right: Right,
    /// The strike.
    pub strike: Strike,
}

impl OccSymbol {
    /// The 21-character form with the root padded to six.
    pub fn padded(&self) -> String {
        format!("{:<6}{}", self.root, self.tail())
    }

    fn tail(&self) -> String {
        let e = self.expiry;
        if self.strike.0 > 99_999_999 {
            let year = e.year().rem_euclid(100);
            return format!(
                "{year:02}{:02}{:02}{}{}",
                e.month(),
                e.day(),
                self.right.letter(),
                self.strike.0
            );
        }
        let mut text = [0; 15];
        for (from, to, value) in [
            (0, 2, i64::from(e.year().rem_euclid(100))),
            (2, 4, e.month().into()),
            (4, 6, e.day().into()),
            (7, 15, self.strike.0.into()),
        ] {
            if let Some(part) = text.get_mut(from..to) {
                digits(part, value);
            }
        }
        if let Some(right) = text.get_mut(6) {
            *right = u8::try_from(self.right.letter()).unwrap_or(b'?');
        }
        std::str::from_utf8(&text).unwrap_or_default().to_owned()
    }

    /// What the option is written on.
    pub fn underlying(&self) -> Underlying {
        self.root.underlying()
    }

    /// What one share of the option is worth at the settlement value `spot`, in points.
    pub fn intrinsic(&self, spot: f64) -> f64 {
        (self.right.sign() * (spot - self.strike.points())).max(0.0)
    }
}

impl FromStr for OccSymbol {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, SymbolError> {
        let fail = || SymbolError {
            text: text.to_owned(),
            expected: "an OCC option symbol such as SPXW261120C05610000",
        };
        let bare = text.strip_prefix("O:").unwrap_or(text);
        let split = bare.len().checked_sub(15).filter(|&it| bare.is_ascii() && it > 0).ok_or_else(fail)?;
        let (root, tail) = bare.split_at(split);
        let root: Root = root.trim_end().parse().map_err(|_| fail())?;
        let number = |from: usize, to: usize| -> Option<u32> {
            let digits = tail.get(from..to)?;
            if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        let part = |from, to| number(from, to).and_then(|it| i8::try_from(it).ok()).ok_or_else(fail);
        let year = 2000 + i16::from(part(0, 2)?);
        let expiry = Date::new(year, part(2, 4)?, part(4, 6)?).map_err(|_| fail())?;
        let right = match tail.get(6..7) {
            Some("C") => Right::Call,
            Some("P") => Right::Put,
            _ => return Err(fail()),
        };
        let strike = number(7, 15).filter(|&it| it > 0).map(Strike).ok_or_else(fail)?;
        Ok(Self { root, expiry, right, strike })
    }
}

impl fmt::Display for OccSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(24);
        text.push_str(self.root.as_str());
        text.push_str(&self.tail());
        f.pad(&text)
    }
}

impl fmt::Debug for OccSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for OccSymbol {
    type Error = SymbolError;
    fn try_from(text: String) -> Result<Self, SymbolError> {
        text.parse()
    }
}

impl From<OccSymbol> for String {
    fn from(it: OccSymbol) -> String {
        it.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spx_and_spxw_share_the_index_but_not_the_settlement() {
        assert_eq!((Root::SPX.underlying(), Root::SPX.settlement()), (Underlying::SPX, Settlement::CashAm));
        assert_eq!((Root::SPXW.underlying(), Root::SPXW.settlement()), (Underlying::SPX, Settlement::CashPm));
        assert_eq!("SPY".parse::<Root>().unwrap().settlement(), Settlement::Physical);
    }

    #[test]
    fn what_is_not_a_series_is_refused() {
        for text in [
            "",
            "SPX",
            "SPXW261320C05610000",
            "SPXW261120X05610000",
            "SPXW261120C0561000",
            "261120C05610000",
            "SPXW261120C00000000",
            "spxw261120C05610000",
            "SPXW26+120C05610000",
            "SPXW261120C+5610000",
            "ÄPXW261120C05610000",
        ] {
            assert!(text.parse::<OccSymbol>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn prop_symbols_round_trip_in_all_three_spellings(
            root in "[A-Z]{1,5}[0-9]?", y in 20i16..60, m in 1i8..=12, d in 1i8..=28, put: bool, mills in 1u32..99_999_999,
        ) {
            let right = if put { Right::Put } else { Right::Call };
            let series = OccSymbol { root: root.parse().unwrap(), expiry: Date::new(2000 + y, m, d).unwrap(), right, strike: Strike(mills) };
            prop_assert_eq!(series.to_string().parse::<OccSymbol>(), Ok(series));
            prop_assert_eq!(series.padded().parse::<OccSymbol>(), Ok(series));
            prop_assert_eq!(format!("O:{series}").parse::<OccSymbol>(), Ok(series));
        }
    }
}
