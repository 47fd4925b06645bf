//! Closing one leg of a structure on its own: what is in excess after a partial fill, a short whose wing nobody bids for.

use super::combo::{ComboLeg, ComboRefused, HeldLeg, LegSide, covered};
use crate::symbol::OccSymbol;

/// Proof that closing contracts of one leg takes no more than is held and leaves no short without its long. Made by
/// [`LegClose::check`] alone.
///
/// # Examples
/// ```
/// use domain::ticket::{HeldLeg, LegClose, LegSide};
/// let short = "SPXW261120P05560000".parse()?;
/// let wing = "SPXW261120P05550000".parse()?;
/// let held = [HeldLeg { series: short, quantity: -2 }, HeldLeg { series: wing, quantity: 2 }];
/// assert_eq!(LegClose::check(short, 2, &held).map(|it| it.side()), Ok(LegSide::BuyToClose));
/// // The wing stays as long as the short does.
/// assert!(LegClose::check(wing, 1, &held).is_err());
/// # Ok::<(), domain::symbol::SymbolError>(())
/// ```
#[derive(Debug)]
pub struct LegClose {
    series: OccSymbol,
    side: LegSide,
    contracts: u32,
}

impl LegClose {
    /// Checks that `contracts` of `series` are in `held`, and that what is left of its expiration is covered no worse
    /// than before. The side follows from what is held.
    ///
    /// # Errors
    /// [`ComboRefused`] says which rule is broken.
    pub fn check(series: OccSymbol, contracts: u32, held: &[HeldLeg]) -> Result<Self, ComboRefused> {
        if contracts == 0 {
            return Err(ComboRefused::NoUnits);
        }
        let quantity = held.iter().find(|it| it.series == series).map_or(0, |it| it.quantity);
        let side = if quantity < 0 { LegSide::BuyToClose } else { LegSide::SellToClose };
        covered(&[ComboLeg { series, side, ratio: 1 }], contracts, held)?;
        Ok(Self { series, side, contracts })
    }

    /// The series.
    pub const fn series(&self) -> OccSymbol {
        self.series
    }

    /// Sells a long, or buys a short back.
    pub const fn side(&self) -> LegSide {
        self.side
    }

    /// Contracts.
    pub const fn contracts(&self) -> u32 {
        self.contracts
    }
}
