//! Orders of more than one price or leg that may be sent: combinations, brackets, resting protection, and the market
//! order of an emergency. Single legs at a limit are [`crate::order::Ticket`].
//!
//! None of them can be written by hand. A selling leg that opens exists inside a [`BoundedRisk`] alone, which only its
//! check makes; a market order takes an [`EmergencyToken`], which only an emergency makes, and never has legs.

mod bracket;
mod combo;
mod emergency;
mod leg;
mod net;
mod terms;

pub use bracket::{BracketRefused, BracketTicket, Exits, ProtectiveTicket, StopLimit};
pub use combo::{
    BoundedRisk, ComboLeg, ComboOpening, ComboPurpose, ComboRefused, ComboTicket, CoveredClose, HeldLeg,
    LegSide,
};
pub use emergency::{EmergencyEvidence, EmergencyToken, MarketTicket, NoEmergency, Reading};
pub use leg::LegClose;
pub use net::{Net, NetKind};
pub use terms::ComboTerms;
