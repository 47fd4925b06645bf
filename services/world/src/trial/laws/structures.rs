//! Structures: no short leg without the long that bounds it (INV10), and none alone for long (INV7).

use std::time::Duration;

use domain::combo::{ComboEntry, combo_flatten_id};
use domain::ids::{IntentId, OrderTag};
use domain::money::Side;
use domain::ports::Clock as _;
use domain::symbol::{OccSymbol, Right};
use domain::ticket::ComboLeg;
use domain::time::UtcNanos;
use sim::broker::{AcceptedLeg, FilledLeg, LegSide};

use super::Laws;

/// A leg that executed alone is put right within this while the broker answers.
const ALONE_AT_MOST: Duration = Duration::from_secs(60);

/// A structure as the broker executed it.
#[derive(Debug, Clone)]
pub(super) struct Structure {
    account: usize,
    legs: Vec<ComboLeg>,
    /// Contracts of each leg that are held, in their order.
    held: Vec<i64>,
    /// Since when a short leg has no long.
    alone_since: Option<UtcNanos>,
}

impl Structure {
    /// Contracts sold beyond those bought, of calls or of puts.
    fn uncovered(&self, right: Right) -> i64 {
        let of_right = self.legs.iter().zip(&self.held).filter(|it| it.0.series.right == right);
        of_right.map(|(leg, held)| held.saturating_mul(leg.side.side().sign()).saturating_neg()).sum()
    }

    fn is_alone(&self) -> bool {
        self.uncovered(Right::Call) > 0 || self.uncovered(Right::Put) > 0
    }

    fn leg(&self, series: &OccSymbol) -> Option<(usize, &ComboLeg)> {
        self.legs.iter().enumerate().find(|it| it.1.series == *series)
    }
}

impl Laws {
    /// A structure was decided on.
    pub(super) fn structured(&self, entry: &ComboEntry) {
        let account = self.members.iter().position(|it| it.account == entry.head.account);
        let legs = entry.terms.legs().to_vec();
        let structure = Structure {
            account: account.unwrap_or(usize::MAX),
            held: vec![0; legs.len()],
            legs,
            alone_since: None,
        };
        self.seen.borrow_mut().structures.insert(entry.head.id, structure);
    }

    /// The structure that an order of ours opens or closes.
    pub(super) fn structure_of(&self, tag: OrderTag) -> Option<IntentId> {
        if self.seen.borrow().structures.contains_key(&tag.intent) {
            return Some(tag.intent);
        }
        if let Some(view) =
            self.books.look(tag.intent, |it| it.intent.is_combo().then(|| it.intent.opening()))
        {
            return view.flatten();
        }
        self.flattened_structure(tag.intent)
    }

    /// The structure whose flatten without the books goes by this name.
    pub(super) fn flattened_structure(&self, intent: IntentId) -> Option<IntentId> {
        let date = self.tape.session().date;
        let seen = self.seen.borrow();
        let found = seen.structures.iter().find(|(opening, it)| {
            let account = self.members.get(it.account).map(|it| it.account.account);
            account.is_some_and(|it| intent == combo_flatten_id(date, it, **opening))
        });
        found.map(|it| *it.0)
    }

    /// INV10: an order on a structure is of whole units, or of a leg whose going leaves no short alone.
    pub(super) fn ordered(&self, tag: OrderTag, order: u64, legs: &[AcceptedLeg]) {
        let Some(opening) = self.structure_of(tag) else { return };
        let wrong = {
            let seen = self.seen.borrow();
            let Some(structure) = seen.structures.get(&opening) else { return };
            match legs {
                [lone] => lone.instrument.series().and_then(|series| {
                    let (_, leg) = structure.leg(series)?;
                    let rest = structure.uncovered(series.right).saturating_add(i64::from(lone.quantity));
                    let is_wing = leg.side.side() == Side::Buy && lone.side == LegSide::SellToClose;
                    (is_wing && rest > 0).then(|| {
                        format!(
                            "order {order} sells {} {series} and leaves {rest} short alone",
                            lone.quantity
                        )
                    })
                }),
                all => {
                    let units = |leg: &AcceptedLeg| {
                        let (_, own) = structure.leg(leg.instrument.series()?)?;
                        leg.quantity.is_multiple_of(own.ratio).then(|| leg.quantity / own.ratio)
                    };
                    let all_units: Vec<_> = all.iter().map(units).collect();
                    let is_whole = all.len() == structure.legs.len()
                        && all_units
                            .iter()
                            .all(|it| it.is_some() && *it == all_units.first().copied().flatten());
                    (!is_whole).then(|| format!("order {order} is of {all_units:?} units of its legs"))
                }
            }
        };
        if let Some(wrong) = wrong {
            self.violated(10, wrong);
        }
    }

    /// What executed of a structure.
    pub(super) fn executed_of(&self, tag: OrderTag, legs: &[FilledLeg]) {
        let Some(opening) = self.structure_of(tag) else { return };
        let now = self.time.now();
        let mut seen = self.seen.borrow_mut();
        let Some(structure) = seen.structures.get_mut(&opening) else { return };
        for leg in legs {
            let place = leg.instrument.series().and_then(|it| structure.leg(it)).map(|it| it.0);
            let sign = match leg.side {
                LegSide::BuyToOpen | LegSide::SellToOpen => 1,
                LegSide::BuyToClose | LegSide::SellToClose => -1,
                LegSide::Buy | LegSide::Sell | LegSide::SellShort | LegSide::BuyToCover => 0,
            };
            if let Some(held) = place.and_then(|it| structure.held.get_mut(it)) {
                *held = held.saturating_add(i64::from(leg.quantity).saturating_mul(sign));
            }
        }
        structure.alone_since = structure.is_alone().then(|| structure.alone_since.unwrap_or(now));
    }

    /// Since when a short leg of one of the structures has no long, longest first.
    pub(crate) fn alone_since(&self) -> Option<UtcNanos> {
        self.seen.borrow().structures.values().filter_map(|it| it.alone_since).min()
    }

    /// INV7: a short leg stood alone for too long.
    pub(crate) fn stood_alone(&self, since: UtcNanos) {
        let now = self.time.now();
        if now.since(since) > ALONE_AT_MOST {
            self.violated(
                7,
                format!("a short leg stands without its long for {} s", now.since(since).as_secs()),
            );
        }
    }
}
