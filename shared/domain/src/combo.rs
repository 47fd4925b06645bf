//! Structures: positions of two to four legs that are opened and closed as one.
//!
//! A structure is opened by one [`ComboEntry`] and closed by any number of [`ComboExit`]s. What is held of it is counted
//! leg by leg ([`OwnedCombo`]); whole units are kept, and only what executed out of ratio is closed on its own
//! (`pieces`).

mod held;
#[cfg(test)]
mod model;
mod pieces;

pub use held::{LegHeld, OwnedCombo, OwnedLeg, confirmed, excess, is_balanced, signed, whole_units};
pub use pieces::{Order, Piece, next};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, IntentId};
use crate::intent::{Action, CloseAmount, IntentHead, Origin, intent_id};
use crate::setup::Direction;
use crate::ticket::{ComboRefused, ComboTerms};

/// Opens a structure. Its terms carry the proof that its loss is bounded, also when it is read back.
///
/// Who decides writes one with [`ComboEntry::decided`] and hands it to
/// [`Ledger::record_intent`](crate::ports::Ledger::record_intent); the order router works it from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComboEntry {
    /// Who, why, what.
    pub head: IntentHead,
    /// The strategy behind it, as the kill switch names it.
    pub strategy: String,
    /// Which way the index should go; `None` for neither.
    pub direction: Option<Direction>,
    /// Units.
    pub units: u32,
    /// The legs and the worst net price of a unit.
    pub terms: ComboTerms,
}

impl ComboEntry {
    /// An entry as its origin decided it: named by origin, sequence, account and action, and by nothing else, so that a
    /// decision that is recorded twice is one intent.
    ///
    /// # Errors
    /// [`ComboRefused::NoUnits`] for an entry of nothing.
    pub fn decided(
        by: Decided,
        strategy: &str,
        direction: Option<Direction>,
        units: u32,
        terms: ComboTerms,
    ) -> Result<Self, ComboRefused> {
        let Decided { account, origin, sequence, at } = by;
        let first = terms.legs().first().filter(|_| units > 0).ok_or(ComboRefused::NoUnits)?;
        let head = IntentHead {
            id: intent_id(origin, sequence, account.account, Action::Enter, None),
            account,
            origin,
            sequence,
            action: Action::Enter,
            series: first.series,
            decided_at: at,
        };
        Ok(Self { head, strategy: strategy.to_owned(), direction, units, terms })
    }

    /// A close of this structure as its origin decided it.
    pub fn exit(&self, by: Decided, action: Action, amount: CloseAmount, reason: &str) -> ComboExit {
        let Decided { account, origin, sequence, at } = by;
        let id = match origin {
            Origin::Flatten(session) => combo_flatten_id(session, account.account, self.head.id),
            Origin::Setup(_) | Origin::Decision(_) => {
                intent_id(origin, sequence, account.account, action, None)
            }
        };
        let head = IntentHead { id, account, origin, sequence, action, decided_at: at, ..self.head };
        let (opening, terms) = (self.head.id, self.terms.clone());
        ComboExit { head, opening, terms, amount, reason: reason.to_owned() }
    }
}

/// For whom, why, and when a structure's intent was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// For whom and where.
    pub account: crate::account::AccountRef,
    /// Why.
    pub origin: Origin,
    /// The origin's sequence number.
    pub sequence: u32,
    /// When, market time.
    pub at: crate::time::UtcNanos,
}

/// The name of the flatten of one structure: by account, entry and session, so that every pass of the day shares it.
pub fn combo_flatten_id(session: Date, account: AccountId, opening: IntentId) -> IntentId {
    IntentId::of(&[
        b"flatten_combo",
        session.to_string().as_bytes(),
        account.0.as_bytes(),
        opening.as_bytes(),
    ])
}

/// Closes a structure we hold. Nothing about the market or a switch may refuse it. With [`Action::Balance`] it closes
/// what executed out of ratio and leaves whole units alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComboExit {
    /// Who, why, what.
    pub head: IntentHead,
    /// The entry that opened the structure.
    pub opening: IntentId,
    /// What it opened.
    pub terms: ComboTerms,
    /// How many of the units that the entry filled.
    pub amount: CloseAmount,
    /// A code: `target`, `stop`, `session_end`, `leg_imbalance`.
    pub reason: String,
}
