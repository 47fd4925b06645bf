//! What is held of a structure, leg by leg.

use serde::{Deserialize, Serialize};

use crate::account::Environment;
use crate::ids::IntentId;
use crate::intent::Origin;
use crate::money::{Side, Usd};
use crate::setup::Direction;
use crate::symbol::OccSymbol;
use crate::ticket::{ComboLeg, ComboTerms, HeldLeg};

/// Contracts of one leg that are held, as a unit opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegHeld {
    /// The leg of a unit, as it opens.
    pub leg: ComboLeg,
    /// Contracts.
    pub contracts: u32,
}

impl LegHeld {
    /// Contracts, negative when short.
    pub const fn quantity(&self) -> i64 {
        (self.contracts as i64).saturating_mul(self.leg.side.side().sign())
    }

    /// Whether it is a short leg.
    pub fn is_short(&self) -> bool {
        self.leg.side.side() == Side::Sell
    }
}

/// Whole units: those of which every leg is held.
pub fn whole_units(held: &[LegHeld]) -> u32 {
    held.iter().filter_map(|it| it.contracts.checked_div(it.leg.ratio)).min().unwrap_or(0)
}

/// What is held beyond whole units, the shorts first, then the longs, each in the order of a unit's legs.
pub fn excess(held: &[LegHeld]) -> Vec<LegHeld> {
    let units = whole_units(held);
    let beyond = |it: &LegHeld| it.contracts.saturating_sub(units.saturating_mul(it.leg.ratio));
    let mut over: Vec<LegHeld> = held
        .iter()
        .map(|it| LegHeld { contracts: beyond(it), ..*it })
        .filter(|it| it.contracts > 0)
        .collect();
    over.sort_by_key(|it| !it.is_short());
    over
}

/// Whether whole units are all that is held.
pub fn is_balanced(held: &[LegHeld]) -> bool {
    excess(held).is_empty()
}

/// Contracts by series, negative when short.
pub fn signed(held: &[LegHeld]) -> Vec<HeldLeg> {
    held.iter().map(|it| HeldLeg { series: it.leg.series, quantity: it.quantity() }).collect()
}

/// What of `held` the broker confirms: of each leg no more than it shows on that side.
pub fn confirmed(held: &[LegHeld], broker: &[HeldLeg]) -> Vec<LegHeld> {
    let shown = |it: &LegHeld| {
        let of_it = broker.iter().filter(|shown| shown.series == it.leg.series);
        let net = of_it.fold(0i64, |sum, shown| sum.saturating_add(shown.quantity));
        let on_side = net.saturating_mul(it.leg.side.side().sign());
        u32::try_from(on_side.max(0)).unwrap_or(u32::MAX)
    };
    held.iter().map(|it| LegHeld { contracts: it.contracts.min(shown(it)), ..*it }).collect()
}

/// What was traded of one leg of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnedLeg {
    /// The leg of a unit, as it opens.
    pub leg: ComboLeg,
    /// Contracts the entry executed.
    pub opened: u32,
    /// Contracts closed or settled since.
    pub closed: u32,
    /// What the opened contracts came to, without sign and fees.
    pub opened_for: Usd,
    /// What the closed ones came to, without sign and fees.
    pub closed_for: Usd,
}

impl OwnedLeg {
    /// Contracts still held.
    pub const fn held(&self) -> u32 {
        self.opened.saturating_sub(self.closed)
    }

    /// Realised so far on what was closed: at the average it was opened at.
    pub fn realized(&self) -> Usd {
        let cost = self.opened_for.scaled(i64::from(self.closed), i64::from(self.opened));
        (self.closed_for - cost).times(self.leg.side.side().sign())
    }
}

/// What we own of one structure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnedCombo {
    /// The entry that opened it.
    pub opening: IntentId,
    /// Why it was opened.
    pub origin: Origin,
    /// The strategy behind it.
    pub strategy: String,
    /// Which way the index should go.
    pub direction: Option<Direction>,
    /// Where it was opened; its closes go there.
    pub environment: Environment,
    /// What a unit of it is.
    pub terms: ComboTerms,
    /// Its legs, in the order of a unit's.
    pub legs: Vec<OwnedLeg>,
    /// Charges on all that was traded.
    pub fees: Usd,
    /// Whether a stretch still has no price.
    pub price_missing: bool,
}

impl OwnedCombo {
    /// What is held, leg by leg.
    pub fn held(&self) -> Vec<LegHeld> {
        self.legs.iter().map(|it| LegHeld { leg: it.leg, contracts: it.held() }).collect()
    }

    /// What the entry executed, leg by leg.
    pub fn opened(&self) -> Vec<LegHeld> {
        self.legs.iter().map(|it| LegHeld { leg: it.leg, contracts: it.opened }).collect()
    }

    /// Whether nothing of it is held.
    pub fn is_flat(&self) -> bool {
        self.legs.iter().all(|it| it.held() == 0)
    }

    /// Whether it has a leg in `series`.
    pub fn has(&self, series: &OccSymbol) -> bool {
        self.legs.iter().any(|it| it.leg.series == *series)
    }

    /// Realised so far, without fees.
    pub fn realized(&self) -> Usd {
        self.legs.iter().map(OwnedLeg::realized).sum()
    }
}
