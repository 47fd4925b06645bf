//! What an entry may do at most.

use domain::ids::IntentId;
use domain::intent::{IntentHead, IntentState, OrderIntent};
use domain::money::{Price, Side};
use domain::ports::{MarkRequest, NewIntent};
use domain::symbol::OccSymbol;
use domain::ticket::{ComboLeg, Net};

/// What an entry was decided as.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) head: IntentHead,
    /// The strategy behind it, as the kill switch names it.
    pub(super) strategy: String,
    pub(super) state: IntentState,
    /// Whether it waits for its turn among the accounts of one signal.
    pub(super) is_in_turn: bool,
    pub(super) bound: Bound,
}

/// How much an entry may execute, and at which price.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    Single { worst: Price, quantity: u32 },
    Structure { worst: Net, units: u32, legs: Vec<ComboLeg> },
}

impl Entry {
    /// The entry that was written, if it is one.
    pub(super) fn of(new: &NewIntent) -> Option<(IntentId, Self)> {
        let (bound, is_in_turn) = match &new.intent {
            OrderIntent::Opening(it) => {
                (Bound::Single { worst: it.worst, quantity: it.quantity }, it.release_at.is_some())
            }
            OrderIntent::OpeningCombo(it) => {
                let (worst, legs) = (it.terms.worst(), it.terms.legs().to_vec());
                (Bound::Structure { worst, units: it.units, legs }, false)
            }
            OrderIntent::Closing(_) | OrderIntent::ClosingCombo(_) => return None,
        };
        let (head, state) = (*new.intent.head(), new.state);
        let strategy = new.intent.strategy().unwrap_or_default().to_owned();
        Some((head.id, Self { head, strategy, state, is_in_turn, bound }))
    }

    /// Whether it is an entry into one series.
    pub(super) const fn is_single(&self) -> bool {
        matches!(self.bound, Bound::Single { .. })
    }

    /// Contracts of `series` that may execute.
    pub(super) fn most(&self, series: &OccSymbol) -> u32 {
        match &self.bound {
            Bound::Single { quantity, .. } => *quantity,
            Bound::Structure { units, legs, .. } => {
                legs.iter().find(|it| it.series == *series).map_or(0, |it| it.ratio.saturating_mul(*units))
            }
        }
    }

    /// Its series.
    pub(super) fn series(&self) -> Vec<OccSymbol> {
        match &self.bound {
            Bound::Single { .. } => vec![self.head.series],
            Bound::Structure { legs, .. } => legs.iter().map(|it| it.series).collect(),
        }
    }

    /// Whether a mark stays within the bound.
    pub(super) fn holds(&self, request: &MarkRequest) -> bool {
        match &self.bound {
            Bound::Single { worst, quantity } => {
                request.price <= *worst && request.quantity <= *quantity && request.side == Side::Buy
            }
            Bound::Structure { worst, units, .. } => {
                let net = request.combo.as_ref().map(|it| it.net.cents());
                net.is_some_and(|it| it <= worst.cents()) && request.quantity <= *units
            }
        }
    }
}
