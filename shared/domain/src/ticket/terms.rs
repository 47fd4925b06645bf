//! What a combination is and the worst it may cost, as it is kept: read back, it is proven anew.

use serde::{Deserialize, Serialize};

use super::combo::{BoundedRisk, ComboLeg, ComboRefused, value};
use super::net::Net;
use crate::money::{CONTRACT_MULTIPLIER, Price, Usd};
use crate::symbol::Strike;

/// The legs of a combination that opens, the worst net price a unit may get, and with them the bound of its loss. There
/// is no way to have one that [`BoundedRisk::check`] does not prove: what is read back from a row goes through it too.
///
/// # Examples
/// ```
/// use domain::ticket::ComboTerms;
/// let naked = r#"{"legs":[{"series":"SPXW261120P05560000","side":"sell_to_open","ratio":1}],"worst":-150}"#;
/// assert!(serde_json::from_str::<ComboTerms>(naked).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ComboTerms {
    legs: Vec<ComboLeg>,
    worst: Net,
    max_loss: Usd,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    legs: Vec<ComboLeg>,
    worst: Net,
}

impl TryFrom<Written> for ComboTerms {
    type Error = ComboRefused;
    fn try_from(it: Written) -> Result<Self, ComboRefused> {
        Self::check(it.legs, it.worst)
    }
}

impl From<ComboTerms> for Written {
    fn from(it: ComboTerms) -> Self {
        Self { legs: it.legs, worst: it.worst }
    }
}

impl ComboTerms {
    /// Proves the bound of `legs` at the worst net price of a unit.
    ///
    /// # Errors
    /// [`ComboRefused`] says which rule is broken.
    pub fn check(legs: Vec<ComboLeg>, worst: Net) -> Result<Self, ComboRefused> {
        let max_loss = BoundedRisk::check(&legs, worst)?.max_loss();
        Ok(Self { legs, worst, max_loss })
    }

    /// The proof an order to open needs.
    ///
    /// # Errors
    /// None that [`ComboTerms::check`] let through.
    pub fn risk(&self) -> Result<BoundedRisk, ComboRefused> {
        BoundedRisk::check(&self.legs, self.worst)
    }

    /// The legs, as they open.
    pub fn legs(&self) -> &[ComboLeg] {
        &self.legs
    }

    /// The legs, as they close.
    pub fn closing(&self) -> Vec<ComboLeg> {
        self.legs.iter().map(|it| ComboLeg { side: it.side.opposite(), ..*it }).collect()
    }

    /// The worst net price a unit may get.
    pub const fn worst(&self) -> Net {
        self.worst
    }

    /// What one unit loses at most at that price, fees excluded.
    pub const fn max_loss(&self) -> Usd {
        self.max_loss
    }

    /// What opening one unit takes of the account's money, fees excluded: a debit, or the width of a credit.
    pub fn requirement(&self) -> Usd {
        let received = (-self.worst.usd()).max(Usd::ZERO).times(CONTRACT_MULTIPLIER);
        self.max_loss + received
    }

    /// The most that closing one unit may cost: what it can owe at expiry, which for a credit spread is its width.
    ///
    /// # Examples
    /// ```
    /// use domain::ticket::{ComboLeg, ComboTerms, LegSide, Net};
    /// use domain::money::Price;
    /// let leg = |symbol: &str, side| Ok::<_, domain::symbol::SymbolError>(ComboLeg { series: symbol.parse()?, side, ratio: 1 });
    /// let short = leg("SPXW261120P05560000", LegSide::SellToOpen)?;
    /// let wing = leg("SPXW261120P05550000", LegSide::BuyToOpen)?;
    /// let spread = ComboTerms::check(vec![short, wing], Net::credit(Price::from_cents(150)));
    /// assert_eq!(spread.map(|it| it.width()), Ok(Price::from_cents(1_000)));
    /// # Ok::<(), domain::symbol::SymbolError>(())
    /// ```
    pub fn width(&self) -> Price {
        let strikes = self.legs.iter().map(|it| it.series.strike);
        let least = std::iter::once(Strike(0)).chain(strikes).map(|at| value(&self.legs, at)).min();
        // Thousandths of a dollar; never under a cent too much.
        let owed = least.unwrap_or(0).min(0).saturating_neg() / 10;
        Price::from_cents(u32::try_from(owed).unwrap_or(u32::MAX))
    }
}
