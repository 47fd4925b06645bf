//! The rules of the books, once for every ledger: what a mark, an answer and an observation make of an intent, and
//! which entries, risks and series follow from the fills. Pure functions over [`IntentView`]; a ledger reads the
//! rows, asks here, and writes what comes back.
//!
//! **Executions.** A [`Progress`] carries observations. Each is the cumulative executed quantity `to` of an order
//! leg and the average `price` so far, where the broker said one; `from` is ignored. The stretch is computed by
//! [`fill_step`] against what is recorded for (intent, attempt, series). `fees` on an observation is the charge for
//! **one** contract; a stretch is charged that times its contracts, and charged anew when its price is completed,
//! because charges depend on the premium. An average that arrives after several unpriced stretches prices all of
//! them alike.
//!
//! **Finality.** An attempt in a final state keeps state and reason, an intent in a final state keeps both too; the
//! executed quantity, the average and the broker's order id may still arrive. Executed quantities never shrink. One
//! attempt has one broker order. A cancel once requested stays requested.
//!
//! **Entries.** An entry is an opening intent with a fill. Sells of a closing intent that names its `opening` reduce
//! that entry; a settlement is a fill of the entry itself under [`SETTLEMENT`]; sells of a closing intent without an
//! `opening` reduce the entries of its series in order of opening, that is by (decided at, intent id), each by
//! what is left of it after its own closes and settlement. What exceeds them all counts for the last. An entry
//! belongs to the session of the New York date it was decided on.

//!
//! **Structures.** An attempt on a structure is kept leg by leg, and each leg is held to the same rules: observations
//! name (intent, attempt, series). Its `executed` counts the whole units that all legs have. Fills of an exit reduce the
//! structure its `opening` names; what is held of it follows leg by leg.

mod apply;
mod combos;
mod derive;
mod stop;
#[cfg(test)]
mod tests;

pub use apply::{After, answered, begins, filled, late, marked, observed, progressed, settled, stopped};
pub use combos::{combo_settled, structures};
pub use derive::{day_risk, held, open_legs, owned, owned_series, session_span};
pub use stop::{CLOCKS_APART, closes_in, flatten_at_once, is_covered};

use crate::ids::AttemptNo;
use crate::position::FillStep;

#[allow(unused_imports, reason = "linked from the module's documentation")]
use crate::{
    ports::{IntentView, Progress},
    position::fill_step,
};

/// The attempt number under which the settlement of an entry is a fill: no order stands behind it.
pub const SETTLEMENT: AttemptNo = AttemptNo(0);

/// Why a write contradicts the books, in words for [`LedgerError::Refused`](crate::ports::LedgerError::Refused).
pub type Refusal = String;

/// Steps until an observation adds nothing: a stretch, then its price.
const MAX_STEPS: usize = 2;

/// Whether a step changes something.
const fn changes(step: &FillStep) -> bool {
    !matches!(step, FillStep::Nothing)
}
