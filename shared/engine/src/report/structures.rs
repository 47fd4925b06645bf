//! Structures in the report of a session, leg by leg.

use domain::combo::{OwnedCombo, OwnedLeg};
use domain::ids::IntentId;
use domain::money::{CONTRACT_MULTIPLIER, Usd};
use domain::setup::Direction;
use domain::symbol::OccSymbol;
use domain::ticket::LegSide;
use serde::Serialize;

use super::{line, money};

/// A structure with its legs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StructureLine {
    /// The entry's intent.
    pub opening: IntentId,
    /// The strategy behind it.
    pub strategy: String,
    /// Which way the index should go; `None` for a structure without a direction.
    pub direction: Option<Direction>,
    /// Its legs, in the order of a unit's.
    pub legs: Vec<LegLine>,
    /// Charges on all that was traded.
    pub fees: Usd,
    /// Realised so far, without charges; `None` while a price is missing.
    pub realized_gross: Option<Usd>,
    /// That less charges.
    pub realized_net: Option<Usd>,
}

/// One leg.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegLine {
    /// The series.
    pub series: OccSymbol,
    /// What the entry did.
    pub side: LegSide,
    /// Contracts the entry executed.
    pub opened: u32,
    /// Contracts still held.
    pub held: u32,
    /// Average price per share it was opened at; `None` until the broker says.
    pub opened_at: Option<Usd>,
    /// Average price per share it was closed or settled at; `None` where nothing was.
    pub closed_at: Option<Usd>,
}

impl StructureLine {
    /// The line of a structure.
    pub(super) fn of(owned: &OwnedCombo) -> Self {
        let realized_gross = (!owned.price_missing).then(|| owned.realized());
        Self {
            opening: owned.opening,
            strategy: owned.strategy.clone(),
            direction: owned.direction,
            legs: owned.legs.iter().map(|it| LegLine::of(it, owned.price_missing)).collect(),
            fees: owned.fees,
            realized_gross,
            realized_net: realized_gross.map(|it| it - owned.fees),
        }
    }

    /// For a terminal.
    pub(super) fn write(&self, text: &mut String) {
        let direction = self.direction.map_or("neutral", Direction::as_str);
        line(text, format_args!("  {} {direction}, intent {}", self.strategy, self.opening));
        for leg in &self.legs {
            let held = if leg.held > 0 { format!(", {} STILL HELD", leg.held) } else { String::new() };
            let closed = leg.closed_at.map_or_else(String::new, |it| format!(", closed at {it}"));
            let side = match leg.side {
                LegSide::BuyToOpen => "bought",
                LegSide::SellToOpen => "sold",
                LegSide::BuyToClose => "bought back",
                LegSide::SellToClose => "sold out",
            };
            line(
                text,
                format_args!(
                    "      {side} {} {} at {}{closed}{held}",
                    leg.opened,
                    leg.series,
                    money(leg.opened_at)
                ),
            );
        }
        line(text, format_args!("            net {} after {} fees", money(self.realized_net), self.fees));
    }
}

impl LegLine {
    fn of(leg: &OwnedLeg, price_missing: bool) -> Self {
        let per_share = |amount: Usd, contracts: u32| {
            let shares = i64::from(contracts).saturating_mul(CONTRACT_MULTIPLIER);
            (contracts > 0 && !price_missing).then(|| amount.scaled(1, shares))
        };
        Self {
            series: leg.leg.series,
            side: leg.leg.side,
            opened: leg.opened,
            held: leg.held(),
            opened_at: per_share(leg.opened_for, leg.opened),
            closed_at: per_share(leg.closed_for, leg.closed),
        }
    }
}
