//! What a leg trades: a series of options or shares.

use std::fmt;

use domain::money::{CONTRACT_MULTIPLIER, Price, Usd};
use domain::symbol::{OccSymbol, Underlying};
use serde::{Deserialize, Serialize};

/// Contracts of a series or shares. As text it is Tradier's symbol: `SPXW261120C05610000` or `SPY`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Instrument {
    /// An option series.
    Option(OccSymbol),
    /// Shares of a company or a fund.
    Share(Underlying),
}

impl Instrument {
    /// What it is written on, or itself.
    pub fn underlying(&self) -> Underlying {
        match self {
            Self::Option(series) => series.underlying(),
            Self::Share(share) => *share,
        }
    }

    /// The series, of options alone.
    pub const fn series(&self) -> Option<&OccSymbol> {
        match self {
            Self::Option(series) => Some(series),
            Self::Share(_) => None,
        }
    }

    /// Whether it is shares.
    pub const fn is_share(&self) -> bool {
        matches!(self, Self::Share(_))
    }

    /// Shares one unit of it stands for.
    pub const fn multiplier(&self) -> i64 {
        match self {
            Self::Option(_) => CONTRACT_MULTIPLIER,
            Self::Share(_) => 1,
        }
    }

    /// What `quantity` of it cost at `price`.
    pub fn notional(&self, price: Price, quantity: u32) -> Usd {
        per_share(price).times(self.multiplier()).times(i64::from(quantity))
    }
}

/// A price as dollars per share.
pub(super) fn per_share(price: Price) -> Usd {
    Usd::from_cents(i64::from(price.cents()))
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(series) => fmt::Display::fmt(series, f),
            Self::Share(share) => fmt::Display::fmt(share, f),
        }
    }
}

impl fmt::Debug for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<OccSymbol> for Instrument {
    fn from(series: OccSymbol) -> Self {
        Self::Option(series)
    }
}

impl TryFrom<String> for Instrument {
    type Error = domain::symbol::SymbolError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        // A share's symbol is at most eight characters, a series' at least sixteen.
        if text.len() > 8 { text.parse().map(Self::Option) } else { text.parse().map(Self::Share) }
    }
}

impl From<Instrument> for String {
    fn from(it: Instrument) -> Self {
        it.to_string()
    }
}
