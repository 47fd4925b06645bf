//! Orders of two to four options at one net price, and the proof that what they open can lose only so much.

use serde::{Deserialize, Serialize};

use crate::ids::OrderTag;
use crate::intent::Approved;
use crate::money::{CONTRACT_MULTIPLIER, Side, Usd};
use crate::order::Mark;
use crate::symbol::{OccSymbol, Right, Strike};
use crate::time::UtcNanos;

use super::net::Net;

/// What a leg does, in the broker's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegSide {
    /// Opens a long.
    BuyToOpen,
    /// Ends a short.
    BuyToClose,
    /// Opens a short: inside a combination of bounded risk alone.
    SellToOpen,
    /// Ends a long.
    SellToClose,
}

impl LegSide {
    /// Buy or sell.
    pub const fn side(self) -> Side {
        match self {
            Self::BuyToOpen | Self::BuyToClose => Side::Buy,
            Self::SellToOpen | Self::SellToClose => Side::Sell,
        }
    }

    /// Whether it opens.
    pub const fn opens(self) -> bool {
        matches!(self, Self::BuyToOpen | Self::SellToOpen)
    }

    /// What ends a leg that was opened so, and the other way round.
    pub const fn opposite(self) -> Self {
        match self {
            Self::BuyToOpen => Self::SellToClose,
            Self::SellToClose => Self::BuyToOpen,
            Self::SellToOpen => Self::BuyToClose,
            Self::BuyToClose => Self::SellToOpen,
        }
    }

    /// As the broker spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuyToOpen => "buy_to_open",
            Self::BuyToClose => "buy_to_close",
            Self::SellToOpen => "sell_to_open",
            Self::SellToClose => "sell_to_close",
        }
    }
}

/// One leg. On its own it is a wish: nothing sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComboLeg {
    /// The series.
    pub series: OccSymbol,
    /// What it does.
    pub side: LegSide,
    /// Contracts in one unit.
    pub ratio: u32,
}

/// Why legs do not make an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComboRefused {
    /// The broker takes two to four.
    #[error("a combination has two to four legs, not {0}")]
    Legs(usize),
    /// A leg of nothing, or legs that are a multiple of a smaller unit.
    #[error("the legs' ratios are not those of the smallest unit")]
    Ratios,
    /// One order cannot trade a series twice.
    #[error("{0} is in it twice")]
    Twice(OccSymbol),
    /// Opening and closing are different orders.
    #[error("the legs do not all open, or all close")]
    Mixed,
    /// They would settle or end at different instants.
    #[error("the legs do not share root and expiration")]
    Series,
    /// A short without its own long has no bound.
    #[error("{short} short {right:?}s stand against {long} long ones: the loss has no bound")]
    Naked {
        /// Calls or puts.
        right: Right,
        /// Short contracts in a unit.
        short: u32,
        /// Long contracts in a unit.
        long: u32,
    },
    /// A net price that no outcome loses on was misread, most likely its sign.
    #[error("at {0} it cannot lose: the price or its sign is wrong")]
    CannotLose(Net),
    /// More is paid than it can ever be worth.
    #[error("at {0} it cannot gain: the price or its sign is wrong")]
    CannotGain(Net),
    /// Nothing is ordered.
    #[error("no units")]
    NoUnits,
    /// More would be closed than is held.
    #[error("{series}: {asked} to close, {held} held")]
    MoreThanHeld {
        /// The series.
        series: OccSymbol,
        /// Contracts to close.
        asked: u64,
        /// Contracts held on that side.
        held: u64,
    },
    /// What is left would be less covered than before.
    #[error(
        "closing these legs would leave a short {0:?} without its long: close the short first, or the whole"
    )]
    Uncovers(Right),
}

/// Proof that a combination which opens can lose no more than a known amount. Made by [`BoundedRisk::check`] alone.
///
/// # Examples
/// ```
/// use domain::money::{Price, Usd};
/// use domain::ticket::{BoundedRisk, ComboLeg, LegSide, Net};
/// let leg = |symbol: &str, side| Ok::<_, domain::symbol::SymbolError>(ComboLeg { series: symbol.parse()?, side, ratio: 1 });
/// let short = leg("SPXW261120P05560000", LegSide::SellToOpen)?;
/// let wing = leg("SPXW261120P05550000", LegSide::BuyToOpen)?;
/// let credit = Net::credit(Price::from_cents(150));
/// // Ten points wide for 1.50: 850 dollars a unit.
/// assert_eq!(BoundedRisk::check(&[short, wing], credit).map(|it| it.max_loss()), Ok(Usd::from_dollars(850)));
/// assert!(BoundedRisk::check(&[short], credit).is_err());
/// # Ok::<(), domain::symbol::SymbolError>(())
/// ```
#[derive(Debug)]
pub struct BoundedRisk {
    legs: Vec<ComboLeg>,
    worst: Net,
    max_loss: Usd,
}

impl BoundedRisk {
    /// Checks `legs` at the worst net price a unit may get.
    ///
    /// Each short call must have a long call, each short put a long put, of the same root and expiration; then the value
    /// at expiry is piecewise linear with its least at zero or at a strike.
    ///
    /// # Errors
    /// [`ComboRefused`] says which rule is broken.
    pub fn check(legs: &[ComboLeg], worst: Net) -> Result<Self, ComboRefused> {
        shape(legs, true)?;
        for right in [Right::Call, Right::Put] {
            let count = |side: Side| {
                let of = legs.iter().filter(|it| it.series.right == right && it.side.side() == side);
                of.fold(0u32, |sum, it| sum.saturating_add(it.ratio))
            };
            let (long, short) = (count(Side::Buy), count(Side::Sell));
            if short > long {
                return Err(ComboRefused::Naked { right, short, long });
            }
        }
        let values = || std::iter::once(Strike(0)).chain(legs.iter().map(|it| it.series.strike));
        // In thousandths of a dollar per share; the price in cents.
        let paid = i128::from(worst.cents()).saturating_mul(10);
        let least = values().map(|at| value(legs, at)).min().unwrap_or(0).saturating_sub(paid);
        let most = values().map(|at| value(legs, at)).max().unwrap_or(0).saturating_sub(paid);
        if least >= 0 {
            return Err(ComboRefused::CannotLose(worst));
        }
        if most <= 0 && !rises_for_ever(legs) {
            return Err(ComboRefused::CannotGain(worst));
        }
        let per_share =
            Usd::from_e4(i64::try_from(least.saturating_neg().saturating_mul(10)).unwrap_or(i64::MAX));
        Ok(Self { legs: legs.to_vec(), worst, max_loss: per_share.times(CONTRACT_MULTIPLIER) })
    }

    /// The legs.
    pub fn legs(&self) -> &[ComboLeg] {
        &self.legs
    }

    /// The worst net price a unit may get.
    pub const fn worst(&self) -> Net {
        self.worst
    }

    /// What one unit loses at most at that price, fees excluded.
    pub const fn max_loss(&self) -> Usd {
        self.max_loss
    }
}

/// Two to four legs of one root and expiration, each series once, in their smallest ratio, all opening or all closing.
fn shape(legs: &[ComboLeg], opens: bool) -> Result<(), ComboRefused> {
    if !(2..=4).contains(&legs.len()) {
        return Err(ComboRefused::Legs(legs.len()));
    }
    let Some(first) = legs.first() else { return Err(ComboRefused::Legs(0)) };
    if legs.iter().any(|it| it.side.opens() != opens) {
        return Err(ComboRefused::Mixed);
    }
    if legs.iter().any(|it| it.series.root != first.series.root || it.series.expiry != first.series.expiry) {
        return Err(ComboRefused::Series);
    }
    for (i, leg) in legs.iter().enumerate() {
        if legs.iter().take(i).any(|it| it.series == leg.series) {
            return Err(ComboRefused::Twice(leg.series));
        }
    }
    let unit = legs.iter().fold(0, |unit, leg| gcd(unit, leg.ratio));
    if unit != 1 || legs.iter().any(|it| it.ratio == 0 || it.ratio > RATIO_MAX) {
        return Err(ComboRefused::Ratios);
    }
    Ok(())
}

/// The largest ratio of a leg: beyond it exchanges take no combination.
const RATIO_MAX: u32 = 100;

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What one unit is worth at expiry with the underlying at `at`, in thousandths of a dollar per share.
pub(super) fn value(legs: &[ComboLeg], at: Strike) -> i128 {
    let of = |leg: &ComboLeg| {
        let above = i128::from(at.0).saturating_sub(i128::from(leg.series.strike.0));
        let intrinsic = match leg.series.right {
            Right::Call => above.max(0),
            Right::Put => above.saturating_neg().max(0),
        };
        intrinsic.saturating_mul(i128::from(leg.ratio)).saturating_mul(i128::from(leg.side.side().sign()))
    };
    legs.iter().map(of).fold(0, i128::saturating_add)
}

/// Whether more calls are bought than sold.
fn rises_for_ever(legs: &[ComboLeg]) -> bool {
    let calls = legs.iter().filter(|it| it.series.right == Right::Call);
    calls.map(|it| i64::from(it.ratio).saturating_mul(it.side.side().sign())).sum::<i64>() > 0
}

/// A combination to open: what it may lose, and how many units of it. Approved by the gates before it is sent.
#[derive(Debug)]
pub struct ComboOpening {
    /// The proof.
    pub risk: BoundedRisk,
    /// Units.
    pub units: u32,
}

/// Contracts of ours in one series, negative when short: as our books and the broker agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldLeg {
    /// The series.
    pub series: OccSymbol,
    /// Contracts.
    pub quantity: i64,
}

/// Proof that a combination which closes takes no more than is held and leaves no short without its long. Made by
/// [`CoveredClose::check`] alone.
#[derive(Debug)]
pub struct CoveredClose {
    legs: Vec<ComboLeg>,
    units: u32,
}

impl CoveredClose {
    /// Checks that `units` of `legs` close what is in `held`, and that what is left of that expiration is covered no
    /// worse than before.
    ///
    /// # Errors
    /// [`ComboRefused`] says which rule is broken.
    pub fn check(legs: &[ComboLeg], units: u32, held: &[HeldLeg]) -> Result<Self, ComboRefused> {
        shape(legs, false)?;
        if units == 0 {
            return Err(ComboRefused::NoUnits);
        }
        covered(legs, units, held)?;
        Ok(Self { legs: legs.to_vec(), units })
    }

    /// The legs.
    pub fn legs(&self) -> &[ComboLeg] {
        &self.legs
    }

    /// Units.
    pub const fn units(&self) -> u32 {
        self.units
    }
}

/// Checks that `units` of `legs`, all of which close, take no more than is in `held`, and that what is left of each
/// expiration is covered no worse than before.
pub(super) fn covered(legs: &[ComboLeg], units: u32, held: &[HeldLeg]) -> Result<(), ComboRefused> {
    let mut left = held.to_vec();
    for leg in legs {
        let asked = u64::from(leg.ratio).saturating_mul(u64::from(units));
        let sign = leg.side.side().sign();
        let Some(position) = left.iter_mut().find(|it| it.series == leg.series) else {
            return Err(ComboRefused::MoreThanHeld { series: leg.series, asked, held: 0 });
        };
        // Selling closes longs, buying closes shorts.
        let on_that_side =
            u64::try_from(position.quantity.saturating_mul(sign.saturating_neg())).unwrap_or(0);
        if asked > on_that_side {
            return Err(ComboRefused::MoreThanHeld { series: leg.series, asked, held: on_that_side });
        }
        let change = i64::try_from(asked).unwrap_or(i64::MAX).saturating_mul(sign);
        position.quantity = position.quantity.saturating_add(change);
    }
    let of_it = |all: &[HeldLeg], right| {
        let same = all.iter().filter(|it| {
            legs.iter().any(|leg| leg.series.root == it.series.root && leg.series.expiry == it.series.expiry)
                && it.series.right == right
        });
        same.fold(0i64, |net, it| net.saturating_add(it.quantity)).min(0)
    };
    for right in [Right::Call, Right::Put] {
        if of_it(&left, right) < of_it(held, right) {
            return Err(ComboRefused::Uncovers(right));
        }
    }
    Ok(())
}

/// What a combination does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComboPurpose {
    /// Opens; refused by the adapter more than two seconds after its mark.
    Open {
        /// When its row was committed.
        marked_at: UtcNanos,
    },
    /// Closes.
    Close,
}

/// A combination at a net limit that may be sent. There is no market order of several legs.
#[derive(Debug)]
pub struct ComboTicket {
    tag: OrderTag,
    legs: Vec<ComboLeg>,
    units: u32,
    net: Net,
    purpose: ComboPurpose,
}

impl ComboTicket {
    /// A ticket to open what was approved, never at a worse price than was checked.
    pub fn open(approved: &Approved<ComboOpening>, mark: &Mark, units: u32, net: Net) -> Self {
        let ComboOpening { risk, units: approved_units } = approved.get();
        Self {
            tag: mark.tag,
            legs: risk.legs.clone(),
            units: units.min(*approved_units),
            net: net.min(risk.worst),
            purpose: ComboPurpose::Open { marked_at: mark.at },
        }
    }

    /// A ticket to close what is held.
    pub fn close(covered: &CoveredClose, mark: &Mark, net: Net) -> Self {
        let legs = covered.legs.clone();
        Self { tag: mark.tag, legs, units: covered.units, net, purpose: ComboPurpose::Close }
    }

    /// The tag it carries.
    pub const fn tag(&self) -> OrderTag {
        self.tag
    }

    /// The legs, in the order they are sent.
    pub fn legs(&self) -> &[ComboLeg] {
        &self.legs
    }

    /// Units.
    pub const fn units(&self) -> u32 {
        self.units
    }

    /// The net limit of one unit.
    pub const fn net(&self) -> Net {
        self.net
    }

    /// What it does.
    pub const fn purpose(&self) -> ComboPurpose {
        self.purpose
    }
}

#[cfg(test)]
#[path = "combo_tests.rs"]
mod tests;
