//! What writes make of orders on structures, and what is held of them.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use jiff::civil::Date;

use super::apply::average_of;
use super::derive::{session_span, within, worth};
use super::{Refusal, SETTLEMENT};
use crate::combo::{ComboEntry, OwnedCombo, OwnedLeg, whole_units};
use crate::fees::FeeSchedule;
use crate::ids::{AttemptNo, IntentId};
use crate::intent::{IntentHead, IntentState, OrderIntent};
use crate::money::{CONTRACT_MULTIPLIER, Price, Side, Usd};
use crate::order::{Attempt, ComboAttempt, LegExecution};
use crate::ports::{IntentView, MarkRequest};
use crate::position::{Fill, FillSource};
use crate::symbol::OccSymbol;
use crate::ticket::{ComboLeg, HeldLeg};
use crate::time::UtcNanos;

/// Whether the legs of a mark are those of its intent: an entry sends whole units and no more than it has left, an exit
/// nothing but legs that close.
pub(super) fn marked(view: &IntentView, request: &MarkRequest) -> Result<(), Refusal> {
    let legs: Vec<ComboLeg> = match &request.combo {
        Some(combo) => combo.legs.iter().map(LegExecution::leg).collect(),
        None if view.intent.is_combo() => return Err("an order on a structure names its legs".to_owned()),
        None => return Ok(()),
    };
    match &view.intent {
        OrderIntent::Opening(_) | OrderIntent::Closing(_) => {
            Err(format!("intent {} is about a single series", request.intent))
        }
        OrderIntent::OpeningCombo(entry) => {
            if legs != entry.terms.legs() {
                return Err(format!("the legs are not those of entry {}", request.intent));
            }
            let sent = view.attempts.iter().filter_map(|it| it.combo.as_ref());
            let sent = sent.flat_map(|it| &it.legs);
            let most = sent.map(|it| it.executed.div_ceil(it.ratio.max(1))).max().unwrap_or(0);
            if most.saturating_add(request.quantity) > entry.units {
                let (asked, of) = (request.quantity, entry.units);
                return Err(format!("{asked} units on top of {most} executed exceed the entry's {of}"));
            }
            Ok(())
        }
        OrderIntent::ClosingCombo(exit) => {
            let closing = exit.terms.closing();
            let is_known =
                |leg: &ComboLeg| closing.iter().any(|it| it.series == leg.series && it.side == leg.side);
            match legs.iter().find(|leg| !is_known(leg)) {
                Some(leg) => Err(format!("{:?} {} does not close {}", leg.side, leg.series, exit.opening)),
                None => Ok(()),
            }
        }
    }
}

/// What is recorded of an order's legs and what is known of them now, as one.
pub(super) fn merged(
    attempt: &Attempt,
    was: &ComboAttempt,
    now: &ComboAttempt,
) -> Result<ComboAttempt, Refusal> {
    let mut legs = Vec::with_capacity(was.legs.len());
    for leg in &was.legs {
        let Some(seen) = now.legs.iter().find(|it| it.leg() == leg.leg()) else {
            return Err(format!("attempt {} has no leg {:?} {}", attempt.no, leg.side, leg.series));
        };
        within_order(attempt, leg, seen.executed)?;
        let average = average_of((leg.executed, leg.average), seen.executed, seen.average);
        legs.push(LegExecution { executed: leg.executed.max(seen.executed), average, ..*leg });
    }
    if now.legs.len() != legs.len() {
        return Err(format!("attempt {} has {} legs, not {}", attempt.no, legs.len(), now.legs.len()));
    }
    Ok(ComboAttempt { net: now.net, legs })
}

fn within_order(attempt: &Attempt, leg: &LegExecution, executed: u32) -> Result<(), Refusal> {
    let ordered = attempt.quantity.saturating_mul(leg.ratio);
    if executed > ordered {
        let (no, series) = (attempt.no, leg.series);
        return Err(format!("{executed} executed of {ordered} {series} ordered by attempt {no}"));
    }
    Ok(())
}

/// Takes an observation of one leg into its attempt.
pub(super) fn take_fill(attempt: &mut Attempt, seen: &Fill) -> Result<(), Refusal> {
    let mut combo = attempt.combo.clone().unwrap_or_else(|| ComboAttempt::of(&[], Default::default()));
    let leg = combo.legs.iter_mut().find(|it| it.series == seen.series && it.side.side() == seen.side);
    let Some(leg) = leg else {
        return Err(format!("attempt {} does not {:?} {}", seen.attempt, seen.side, seen.series));
    };
    within_order(attempt, leg, seen.to)?;
    leg.average = average_of((leg.executed, leg.average), seen.to, seen.price);
    leg.executed = leg.executed.max(seen.to);
    attempt.executed = combo.whole_units();
    attempt.combo = Some(combo);
    Ok(())
}

/// What executed of an order's legs so far, as observations.
pub(super) fn observed(
    head: &IntentHead,
    attempt: AttemptNo,
    combo: &ComboAttempt,
    at: UtcNanos,
    source: FillSource,
) -> Vec<Fill> {
    /// A leg has no limit of its own: until its price is known it is charged as the dearer premiums are.
    const UNTIL_PRICED: Price = Price::from_cents(100);
    let fees = FeeSchedule::as_of(at.new_york_date());
    let fill = |leg: &LegExecution| {
        let average = leg.average.and_then(|it| Price::parse(&it.to_string()).ok());
        Fill {
            intent: head.id,
            attempt,
            series: leg.series,
            side: leg.side.side(),
            from: 0,
            to: leg.executed,
            price: leg.average,
            fees: fees.charge(&leg.series.root, average.unwrap_or(UNTIL_PRICED), 1),
            at,
            source,
        }
    };
    combo.legs.iter().filter(|it| it.executed > 0).map(fill).collect()
}

/// A structure's entry with every fill that opened or closed it.
pub(super) struct Structure<'a> {
    pub(super) view: &'a IntentView,
    pub(super) entry: &'a ComboEntry,
    fills: Vec<&'a Fill>,
}

/// Every entry into a structure of one account, in order of opening, with the fills of its exits.
pub(super) fn entries<V: Borrow<IntentView>>(views: &[V]) -> Vec<Structure<'_>> {
    let mut found: Vec<Structure<'_>> = Vec::new();
    for view in views.iter().map(Borrow::borrow) {
        if let OrderIntent::OpeningCombo(entry) = &view.intent {
            found.push(Structure { view, entry, fills: view.fills.iter().collect() });
        }
    }
    for view in views.iter().map(Borrow::borrow) {
        if let OrderIntent::ClosingCombo(exit) = &view.intent
            && let Some(of) = found.iter_mut().find(|it| it.entry.head.id == exit.opening)
        {
            of.fills.extend(&view.fills);
        }
    }
    found.sort_by_key(|it| (it.entry.head.decided_at, it.entry.head.id));
    found
}

impl Structure<'_> {
    /// Whether a fill opened, and did not close or settle.
    fn opens(&self, fill: &Fill) -> bool {
        fill.intent == self.entry.head.id && fill.attempt != SETTLEMENT
    }

    pub(super) fn closings(&self) -> impl Iterator<Item = &Fill> {
        self.fills.iter().copied().filter(|it| !self.opens(it))
    }

    pub(super) fn openings(&self) -> impl Iterator<Item = &Fill> {
        self.fills.iter().copied().filter(|it| self.opens(it))
    }

    fn leg(&self, leg: &ComboLeg) -> OwnedLeg {
        let mut owned =
            OwnedLeg { leg: *leg, opened: 0, closed: 0, opened_for: Usd::ZERO, closed_for: Usd::ZERO };
        for fill in self.fills.iter().filter(|it| it.series == leg.series) {
            let price = fill.price.unwrap_or(Usd::ZERO);
            if self.opens(fill) {
                owned.opened = owned.opened.saturating_add(fill.contracts());
                owned.opened_for += worth(price, fill.contracts());
            } else {
                owned.closed = owned.closed.saturating_add(fill.contracts());
                owned.closed_for += if fill.attempt == SETTLEMENT {
                    price.times(CONTRACT_MULTIPLIER).times(i64::from(fill.contracts()))
                } else {
                    worth(price, fill.contracts())
                };
            }
        }
        owned
    }

    pub(super) fn owned(&self) -> OwnedCombo {
        let entry = self.entry;
        OwnedCombo {
            opening: entry.head.id,
            origin: entry.head.origin,
            strategy: entry.strategy.clone(),
            direction: entry.direction,
            environment: entry.head.account.environment,
            terms: entry.terms.clone(),
            legs: entry.terms.legs().iter().map(|it| self.leg(it)).collect(),
            fees: self.fills.iter().map(|it| it.fees).sum(),
            price_missing: self.fills.iter().any(|it| it.price.is_none()),
        }
    }

    /// Units that may still be opened by what was sent. An entry that is only ready does not count, so that its second
    /// pass through the gate does not meet itself.
    pub(super) fn working(&self) -> u32 {
        if self.view.state != IntentState::Working {
            return 0;
        }
        self.entry.units.saturating_sub(whole_units(&self.owned().opened()))
    }

    /// Realised within a span of time, without fees: what was closed in it, at the average it was opened at.
    pub(super) fn realized_in(&self, span: (UtcNanos, UtcNanos)) -> Usd {
        let of_leg = |leg: &ComboLeg| {
            let all = self.leg(leg);
            let in_span = self.closings().filter(|it| it.series == leg.series && within(it.at, span));
            let mut result = Usd::ZERO;
            for fill in in_span {
                let price = fill.price.unwrap_or(Usd::ZERO);
                let closed = if fill.attempt == SETTLEMENT {
                    price.times(CONTRACT_MULTIPLIER).times(i64::from(fill.contracts()))
                } else {
                    worth(price, fill.contracts())
                };
                let cost = all.opened_for.scaled(i64::from(fill.contracts()), i64::from(all.opened));
                result += (closed - cost).times(leg.side.side().sign());
            }
            result
        };
        self.entry.terms.legs().iter().map(of_leg).sum()
    }
}

/// Structures of one account that are held now, belong to `session`, or closed a part in it, in order of opening.
/// `views` are the account's intents of every session, in any order.
pub fn structures<V: Borrow<IntentView>>(views: &[V], session: Date) -> Vec<OwnedCombo> {
    let span = session_span(session);
    let shown = |it: &&Structure<'_>| {
        let is_of_session = within(it.entry.head.decided_at, span);
        !it.fills.is_empty()
            && (is_of_session || !it.owned().is_flat() || it.closings().any(|fill| within(fill.at, span)))
    };
    entries(views).iter().filter(shown).map(Structure::owned).collect()
}

/// Every leg the account holds or works an entry in, by series, negative when short; `(series, contracts)` of `singles`
/// are the single longs.
pub(super) fn open_legs<V: Borrow<IntentView>>(views: &[V], singles: &[(OccSymbol, u32)]) -> Vec<HeldLeg> {
    let mut open: BTreeMap<OccSymbol, i64> = BTreeMap::new();
    let mut add = |series: OccSymbol, contracts: i64| {
        let held = open.entry(series).or_default();
        *held = held.saturating_add(contracts);
    };
    for (series, contracts) in singles {
        add(*series, i64::from(*contracts));
    }
    for structure in entries(views) {
        let working = i64::from(structure.working());
        for leg in structure.owned().legs {
            let ordered = working.saturating_mul(i64::from(leg.leg.ratio));
            let contracts = i64::from(leg.held()).saturating_add(ordered);
            add(leg.leg.series, contracts.saturating_mul(leg.leg.side.side().sign()));
        }
    }
    open.retain(|_, contracts| *contracts != 0);
    open.into_iter().map(|(series, quantity)| HeldLeg { series, quantity }).collect()
}

/// The fills that settle what is held of a structure; empty when nothing is held.
///
/// # Errors
/// A [`Refusal`] when a held leg has no price, or the structure is not there.
pub fn combo_settled<V: Borrow<IntentView>>(
    views: &[V],
    opening: IntentId,
    prices: &[(OccSymbol, Usd)],
    at: UtcNanos,
    source: FillSource,
) -> Result<Vec<Fill>, Refusal> {
    let all = entries(views);
    let Some(structure) = all.iter().find(|it| it.entry.head.id == opening) else {
        return Err(format!("{opening} opened no structure"));
    };
    let settled =
        |leg: &ComboLeg| structure.fills.iter().any(|it| it.attempt == SETTLEMENT && it.series == leg.series);
    let mut fills = Vec::new();
    for leg in structure.owned().legs.iter().filter(|it| it.held() > 0 && !settled(&it.leg)) {
        let series = leg.leg.series;
        let Some((_, price)) = prices.iter().find(|it| it.0 == series) else {
            return Err(format!("{series} is held and has no settlement price"));
        };
        let side = match leg.leg.side.side() {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        fills.push(Fill {
            intent: opening,
            attempt: SETTLEMENT,
            series,
            side,
            from: 0,
            to: leg.held(),
            price: Some(*price),
            fees: Usd::ZERO,
            at,
            source,
        });
    }
    Ok(fills)
}
