//! What of a structure is closed next. One order works at a time; after each the question is asked again.

use super::held::{LegHeld, excess, whole_units};
use crate::planted::{self, Bug};
use crate::symbol::{OccSymbol, Right};

/// What one closing order takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// So many whole units, as one combination.
    Whole(u32),
    /// Contracts of one leg on its own.
    Leg(LegHeld),
}

/// What comes first where both whole units and single legs are to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// An imbalance of our own making: the excess is closed at once, shorts before longs.
    ExcessFirst,
    /// The broker confirms other legs than our books: whole structures first, then shorts, then longs.
    WholeFirst,
}

/// The next piece of `held` to be closed, with `units` whole ones still to go; `None` when nothing is left to do.
///
/// A long leg is closed on its own only when no short is in excess, so that no short is ever left without it. Where
/// nobody bids for a long leg of a unit (`unbid`) the unit's shorts are bought back alone and its wing is left: what
/// remains of it is excess then, and offered by itself, after the wings that somebody bids for.
pub fn next(held: &[LegHeld], units: u32, order: Order, unbid: &[OccSymbol]) -> Option<Piece> {
    let whole = whole_units(held).min(units);
    let is_unbid = |it: &LegHeld| !it.is_short() && unbid.contains(&it.leg.series);
    let over = excess(held).into_iter().min_by_key(|it| (!it.is_short(), is_unbid(it))).map(Piece::Leg);
    let is_first = |it: &&LegHeld| it.is_short() != planted::is(Bug::WingFirst) && !unbid.is_empty();
    let unit = match held.iter().find(is_first) {
        Some(short) if whole > 0 => {
            let contracts = whole.saturating_mul(short.leg.ratio);
            Some(Piece::Leg(LegHeld { contracts, ..*short }))
        }
        Some(_) | None => (whole > 0).then_some(Piece::Whole(whole)),
    };
    match order {
        Order::ExcessFirst => over.or(unit),
        // A unit with more longs than shorts may be what covers an excess short: then the short goes first.
        Order::WholeFirst if uncovers(held, whole) => over.or(unit),
        Order::WholeFirst => unit.or(over),
    }
}

/// Whether closing so many units leaves more shorts without a long than there are.
fn uncovers(held: &[LegHeld], units: u32) -> bool {
    let left = |it: &LegHeld| {
        let contracts = it.contracts.saturating_sub(units.saturating_mul(it.leg.ratio));
        LegHeld { contracts, ..*it }
    };
    let after: Vec<LegHeld> = held.iter().map(left).collect();
    let naked = |all: &[LegHeld], right: Right| {
        let of_right = all.iter().filter(|it| it.leg.series.right == right);
        of_right.fold(0i64, |net, it| net.saturating_add(it.quantity())).min(0)
    };
    [Right::Call, Right::Put].into_iter().any(|it| naked(&after, it) < naked(held, it))
}
