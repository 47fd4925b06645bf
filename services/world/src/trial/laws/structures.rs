//! Structures: no short leg without the long that bounds it (INV10), and nothing out of ratio for long (INV7).

use std::collections::BTreeMap;
use std::time::Duration;

use domain::combo::{ComboEntry, combo_flatten_id};
use domain::ids::{IntentId, OrderTag};
use domain::money::Side;
use domain::ports::Clock as _;
use domain::symbol::{OccSymbol, Right};
use domain::ticket::ComboLeg;
use domain::time::UtcNanos;
use sim::broker::{AcceptedLeg, FilledLeg, LegSide};

use super::{Held, Laws, Order, Seen, meets};

/// What executed apart is put right within this: a short leg without its long, and legs out of ratio that no order works on.
pub(crate) const APART_AT_MOST: Duration = Duration::from_secs(60);

/// A structure as the broker executed it.
#[derive(Debug, Clone)]
pub(super) struct Structure {
    account: usize,
    legs: Vec<ComboLeg>,
    /// Contracts of each leg that are held, in their order.
    held: Vec<i64>,
    /// Since when a short leg has no long.
    alone_since: Option<UtcNanos>,
    /// Since when its legs are out of ratio.
    uneven_since: Option<UtcNanos>,
}

impl Structure {
    /// Contracts sold beyond those bought, of calls or of puts. A short that its owner bought back by hand needs no cover:
    /// `shown` is what the account holds at the broker.
    fn uncovered(&self, right: Right, shown: &impl Fn(&OccSymbol) -> i64) -> i64 {
        let of_right = self.legs.iter().zip(&self.held).filter(|it| it.0.series.right == right);
        let short = of_right.map(|(leg, held)| match leg.side.side() {
            Side::Buy => held.saturating_neg(),
            Side::Sell => (*held).min(shown(&leg.series).saturating_neg().max(0)),
        });
        short.sum()
    }

    fn is_alone(&self, shown: &impl Fn(&OccSymbol) -> i64) -> bool {
        self.uncovered(Right::Call, shown) > 0 || self.uncovered(Right::Put, shown) > 0
    }

    /// Whether more of a leg is held than belongs to whole units.
    fn is_uneven(&self) -> bool {
        let units = |(leg, held): (&ComboLeg, &i64)| held.checked_div(i64::from(leg.ratio)).unwrap_or(0);
        let whole = self.legs.iter().zip(&self.held).map(units).min().unwrap_or(0);
        self.legs.iter().zip(&self.held).any(|(leg, held)| *held > whole.saturating_mul(i64::from(leg.ratio)))
    }

    /// Whether some of `series` is held as a leg of it.
    pub(super) fn holds(&self, series: &OccSymbol) -> bool {
        self.leg(series).and_then(|it| self.held.get(it.0)).is_some_and(|it| *it != 0)
    }

    pub(super) const fn account(&self) -> usize {
        self.account
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
            uneven_since: None,
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
                    let shown = |it: &OccSymbol| shown(&seen.held, structure.account, it);
                    let rest = structure.uncovered(series.right, &shown);
                    let rest = rest.saturating_add(i64::from(lone.quantity));
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
        let Seen { structures, held, .. } = &mut *seen;
        let Some(structure) = structures.get_mut(&opening) else { return };
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
        let shown = |it: &OccSymbol| shown(held, structure.account, it);
        structure.alone_since = structure.is_alone(&shown).then(|| structure.alone_since.unwrap_or(now));
        structure.uneven_since = structure.is_uneven().then(|| structure.uneven_since.unwrap_or(now));
    }

    /// Since when something of one of the structures stands apart, longest first.
    pub(crate) fn apart_since(&self) -> Option<UtcNanos> {
        let seen = self.seen.borrow();
        let since = |it: &Structure| [it.alone_since, it.uneven_since].into_iter().flatten().min();
        seen.structures.values().filter_map(since).min()
    }

    /// INV7: what stood apart for too long, though no fault was in anybody's way.
    pub(crate) fn stands_apart(&self) {
        let now = self.time.now();
        let late = |since: Option<UtcNanos>| since.is_some_and(|it| now.since(it) > APART_AT_MOST);
        let mut wrong = Vec::new();
        {
            let mut seen = self.seen.borrow_mut();
            let Seen { structures, hits, by_hand, orders, .. } = &mut *seen;
            for (opening, structure) in structures {
                let account = structure.account;
                let since = if late(structure.alone_since) {
                    structure.alone_since
                } else {
                    structure.uneven_since.filter(|it| late(Some(*it)))
                };
                let Some(since) = since else { continue };
                // What an owner trades by hand, and what nobody bids for, is nobody's fault.
                let is_unbid = structure.legs.iter().any(|it| self.tape.quote(&it.series, now).bid.is_none());
                let is_hit = meets(hits, since, now);
                if is_unbid || is_hit || by_hand.iter().any(|it| it.0 == account) {
                    continue;
                }
                if late(structure.alone_since) {
                    let since = now.since(since).as_secs();
                    wrong.push(format!("a short leg of {opening} stands without its long for {since} s"));
                } else if self.is_worked_on(orders, structure) {
                    structure.uneven_since = Some(now);
                } else {
                    let held = &structure.held;
                    wrong.push(format!("{opening} stands out of ratio, {held:?}, and nobody works on it"));
                }
            }
        }
        for wrong in wrong {
            self.violated(7, wrong);
        }
    }

    /// Whether an order of ours in a series of the structure lives at the broker.
    fn is_worked_on(&self, orders: &BTreeMap<u64, Order>, structure: &Structure) -> bool {
        let number = self.members.get(structure.account).map(|it| &it.number);
        let sandbox = self.sandbox.borrow();
        let Some(account) = number.and_then(|it| sandbox.account(it.as_str())) else { return false };
        let live = account.live.iter().filter_map(|id| orders.get(id)).filter(|it| it.tag.is_some());
        live.flat_map(|it| &it.legs).any(|it| structure.leg(&it.series).is_some())
    }
}

/// What an account shows of `series` at the broker, below zero when short.
fn shown(held: &BTreeMap<(usize, OccSymbol), Held>, account: usize, series: &OccSymbol) -> i64 {
    held.get(&(account, *series)).map_or(0, |it| it.all)
}
