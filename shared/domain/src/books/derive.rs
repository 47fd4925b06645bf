//! What follows from the fills: entries, risk, series.

use std::borrow::Borrow;

use jiff::civil::{Date, Time};

use super::{SETTLEMENT, combos};
use crate::calendar::previous_session;
use crate::ids::{IntentId, SetupId};
use crate::intent::{IntentState, OpeningIntent, OrderIntent, Origin};
use crate::money::{CONTRACT_MULTIPLIER, Side, Usd};
use crate::ports::{DayRisk, IntentView};
use crate::position::{Fill, Owned, premium};
use crate::setup::Direction;
use crate::symbol::OccSymbol;
use crate::time::{UtcNanos, at_new_york};

/// Sessions over which day trades are counted, today included.
const DAY_TRADE_SESSIONS: usize = 5;

/// The New York day `session`: its first instant, and the first of the day after.
pub fn session_span(session: Date) -> (UtcNanos, UtcNanos) {
    let next = session.tomorrow().unwrap_or(session);
    (at_new_york(session, Time::midnight()), at_new_york(next, Time::midnight()))
}

/// A part of a sell that closes one entry.
#[derive(Debug, Clone, Copy)]
struct Sale {
    contracts: u32,
    price: Option<Usd>,
    brought: Usd,
    fees: Usd,
    at: UtcNanos,
    settlement: bool,
}

/// An entry with everything that closed it.
#[derive(Debug)]
struct Entry<'a> {
    view: &'a IntentView,
    opening: &'a OpeningIntent,
    sales: Vec<Sale>,
}

impl Entry<'_> {
    fn buys(&self) -> impl Iterator<Item = &Fill> {
        self.view.fills.iter().filter(|it| it.side == Side::Buy)
    }

    fn bought(&self) -> u32 {
        self.view.filled
    }

    fn sold(&self) -> u32 {
        self.sales.iter().map(|it| it.contracts).sum()
    }

    fn held(&self) -> u32 {
        self.bought().saturating_sub(self.sold())
    }

    fn owned(&self) -> Owned {
        let value = |price: Option<Usd>, contracts: u32| worth(price.unwrap_or(Usd::ZERO), contracts);
        let paid = self.buys().map(|it| value(it.price, it.contracts())).sum();
        let received = self.sales.iter().map(|it| it.brought).sum();
        let fees = self.buys().map(|it| it.fees).chain(self.sales.iter().map(|it| it.fees)).sum();
        Owned {
            opening: self.opening.head.id,
            setup: setup_of(self.opening),
            series: self.opening.head.series,
            environment: self.opening.head.account.environment,
            bought: self.bought(),
            sold: self.sold(),
            paid,
            received,
            fees,
            price_missing: self.buys().any(|it| it.price.is_none())
                || self.sales.iter().any(|it| it.price.is_none()),
        }
    }

    /// What is held cost, at the limit where the price is not known yet: missing is not free.
    fn held_cost(&self) -> Usd {
        let limit = |fill: &Fill| {
            let attempt = self.view.attempts.iter().find(|it| it.no == fill.attempt);
            Usd::from_cents(i64::from(attempt.map_or(self.opening.worst, |it| it.price).cents()))
        };
        let paid: Usd =
            self.buys().map(|it| worth(it.price.unwrap_or_else(|| limit(it)), it.contracts())).sum();
        paid.scaled(i64::from(self.held()), i64::from(self.bought()))
    }

    /// Contracts that may still be bought by what was sent. An entry that is only ready does not count, so that its
    /// second pass through the gate does not meet itself.
    fn working(&self) -> u32 {
        let working = self.view.state == IntentState::Working;
        if working { self.opening.quantity.saturating_sub(self.bought()) } else { 0 }
    }

    fn sold_in(&self, span: (UtcNanos, UtcNanos)) -> impl Iterator<Item = &Sale> {
        self.sales.iter().filter(move |it| within(it.at, span))
    }
}

pub(super) fn worth(price: Usd, contracts: u32) -> Usd {
    premium(price, contracts).times(CONTRACT_MULTIPLIER)
}

/// What a sell brought. An execution is priced in cents, a settlement on the index to its last digit.
fn brought(fill: &Fill) -> Usd {
    let price = fill.price.unwrap_or(Usd::ZERO);
    if fill.attempt == SETTLEMENT {
        return price.times(CONTRACT_MULTIPLIER).times(i64::from(fill.contracts()));
    }
    worth(price, fill.contracts())
}

pub(super) fn within(at: UtcNanos, (from, until): (UtcNanos, UtcNanos)) -> bool {
    from <= at && at < until
}

const fn setup_of(opening: &OpeningIntent) -> Option<SetupId> {
    match opening.head.origin {
        Origin::Setup(setup) => Some(setup),
        Origin::Flatten(_) | Origin::Decision(_) => None,
    }
}

/// Every opening intent of one account in order of opening, with the sells that closed it.
fn entries<V: Borrow<IntentView>>(views: &[V]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for view in views.iter().map(Borrow::borrow) {
        if let OrderIntent::Opening(opening) = &view.intent {
            let settled = view.fills.iter().filter(|it| it.attempt == SETTLEMENT).map(whole);
            entries.push(Entry { view, opening, sales: settled.collect() });
        }
    }
    entries.sort_by_key(|it| (it.opening.head.decided_at, it.opening.head.id));
    let mut named: Vec<(usize, &Fill)> = Vec::new();
    let mut pooled: Vec<Sold<'_>> = Vec::new();
    for view in views.iter().map(Borrow::borrow) {
        let OrderIntent::Closing(closing) = &view.intent else { continue };
        match closing.opening {
            None => pooled.extend(view.fills.iter().map(|it| Sold::whole(it, None))),
            Some(opening) => {
                if let Some(index) = entries.iter().position(|it| it.opening.head.id == opening) {
                    named.extend(view.fills.iter().map(|it| (index, it)));
                }
            }
        }
    }
    named.sort_by_key(|(_, it)| (it.at, it.intent, it.attempt, it.to));
    for (index, fill) in named {
        let mut sold = Sold::whole(fill, Some(index));
        if let Some(entry) = entries.get_mut(index) {
            // While an entry works, what it bought may not be known yet; once it ended, a close that came late sold what
            // others hold.
            let part = if entry.view.state.is_final() { entry.held() } else { sold.contracts };
            entry.sales.extend(sold.take(part));
        }
        if sold.contracts > 0 {
            pooled.push(sold);
        }
    }
    pooled.sort_by_key(|it| (it.fill.at, it.fill.intent, it.fill.attempt, it.fill.to));
    for sold in pooled {
        spread(&mut entries, sold);
    }
    for entry in &mut entries {
        entry.sales.sort_by_key(|it| it.at);
    }
    entries
}

fn whole(fill: &Fill) -> Sale {
    sale(fill, fill.contracts(), brought(fill), fill.fees)
}

const fn sale(fill: &Fill, contracts: u32, brought: Usd, fees: Usd) -> Sale {
    let settlement = fill.attempt.0 == SETTLEMENT.0;
    Sale { contracts, price: fill.price, brought, fees, at: fill.at, settlement }
}

/// What of a sell has no entry yet.
struct Sold<'a> {
    fill: &'a Fill,
    contracts: u32,
    brought: Usd,
    fees: Usd,
    /// The entry it was meant to close.
    named: Option<usize>,
}

impl<'a> Sold<'a> {
    fn whole(fill: &'a Fill, named: Option<usize>) -> Self {
        Self { fill, contracts: fill.contracts(), brought: brought(fill), fees: fill.fees, named }
    }

    /// At most `most` contracts of it, with their share of the money.
    fn take(&mut self, most: u32) -> Option<Sale> {
        let part = self.contracts.min(most);
        let share = |of: Usd| of.scaled(i64::from(part), i64::from(self.contracts));
        let (brought, fees) = (share(self.brought), share(self.fees));
        if part == 0 {
            return None;
        }
        self.contracts = self.contracts.saturating_sub(part);
        self.brought -= brought;
        self.fees -= fees;
        Some(sale(self.fill, part, brought, fees))
    }
}

/// Gives a sell that no entry has to the entries of its series, the oldest first.
fn spread(entries: &mut [Entry<'_>], mut sold: Sold<'_>) {
    let mut last = sold.named;
    let series = sold.fill.series;
    for (index, entry) in entries.iter_mut().enumerate().filter(|(_, it)| it.opening.head.series == series) {
        if entry.bought() > 0 && sold.named.is_none() {
            last = Some(index);
        }
        let held = entry.held();
        entry.sales.extend(sold.take(held));
    }
    // Sold more than was ours: the money is real, and somebody has to carry it.
    if let Some(entry) = last.and_then(|it| entries.get_mut(it)) {
        let left = sold.contracts;
        entry.sales.extend(sold.take(left));
    }
}

/// Entries of one account that are held now, belong to `session`, or closed a part in it, in order of opening.
/// `views` are the account's intents of every session, in any order.
pub fn owned<V: Borrow<IntentView>>(views: &[V], session: Date) -> Vec<Owned> {
    let span = session_span(session);
    let shown = |it: &&Entry<'_>| {
        it.bought() > 0
            && (it.held() > 0
                || within(it.opening.head.decided_at, span)
                || it.sold_in(span).next().is_some())
    };
    entries(views).iter().filter(shown).map(Entry::owned).collect()
}

/// Contracts of one entry that are still held.
pub fn held<V: Borrow<IntentView>>(views: &[V], opening: IntentId) -> u32 {
    entries(views).iter().find(|it| it.opening.head.id == opening).map_or(0, Entry::held)
}

/// The openings of which something is held or may still be bought.
pub(super) fn in_use<V: Borrow<IntentView>>(views: &[V]) -> Vec<&OrderIntent> {
    let singles = entries(views).into_iter().filter(|it| it.held() > 0 || !it.view.state.is_final());
    let mut used: Vec<&OrderIntent> = singles.map(|it| &it.view.intent).collect();
    let structures = combos::entries(views);
    let is_used = |it: &&combos::Structure<'_>| !it.owned().is_flat() || !it.view.state.is_final();
    used.extend(structures.iter().filter(is_used).map(|it| &it.view.intent));
    used
}

/// Series the account holds or works an entry in, with the setup behind each, sorted.
pub fn owned_series<V: Borrow<IntentView>>(views: &[V]) -> Vec<(OccSymbol, Option<SetupId>)> {
    let entries = entries(views);
    let used = entries.iter().filter(|it| it.held() > 0 || !it.view.state.is_final());
    let mut series: Vec<_> = used.map(|it| (it.opening.head.series, setup_of(it.opening))).collect();
    for structure in combos::entries(views) {
        let is_used = !structure.owned().is_flat() || !structure.view.state.is_final();
        let legs = structure.entry.terms.legs().iter().filter(|_| is_used);
        series.extend(legs.map(|it| (it.series, None)));
    }
    series.sort();
    series.dedup();
    series
}

/// Contracts of each series that single longs hold or still buy.
fn singles<V: Borrow<IntentView>>(views: &[V]) -> Vec<(OccSymbol, u32)> {
    let open = |it: &Entry<'_>| (it.opening.head.series, it.held().saturating_add(it.working()));
    entries(views).iter().map(open).collect()
}

/// Every leg the account holds or works an entry in, by series, negative when short.
pub fn open_legs<V: Borrow<IntentView>>(views: &[V]) -> Vec<crate::ticket::HeldLeg> {
    combos::open_legs(views, &singles(views))
}

/// What counts against the limits in `session`. `views` are the account's intents of every session.
///
/// - `realized`: what sells of the session brought less the average cost of what they sold, less the charges of
///   every fill of the session.
/// - `working_debits`: worst price times the contracts that working entries may still buy. An entry that is only
///   ready is not counted anywhere: no attempt of it was marked.
/// - `open_premium`: average cost of what is held, at the limit where a price is missing, plus `working_debits`.
/// - `entries`: openings whose first attempt was marked in the session.
/// - `losses_in_a_row`: closed entries whose last sell fell in the session, the latest first, until one that did not
///   lose after charges; a missing price counts as a loss.
/// - `long_contracts`, `short_contracts`: held, plus what working entries may still buy, by direction.
/// - `day_trades`: entries of this and the four sessions before that were bought and sold on one New York day.
///   Settlement is no trade; an entry closed in parts counts once.
pub fn day_risk<V: Borrow<IntentView>>(views: &[V], session: Date) -> DayRisk {
    let span = session_span(session);
    let since = session_span(first_of_window(session)).0;
    let mut risk = DayRisk::default();
    let mut closed: Vec<(UtcNanos, IntentId, bool)> = Vec::new();
    for entry in entries(views) {
        add_open(&mut risk, &entry);
        let first_mark = entry.view.attempts.first().map(|it| it.marked_at);
        risk.entries = risk.entries.saturating_add(u32::from(first_mark.is_some_and(|it| within(it, span))));
        let owned = entry.owned();
        risk.realized += realized_in(&entry, &owned, span);
        if let Some(last) = entry.sales.last().filter(|it| within(it.at, span))
            && owned.bought > 0
            && owned.held() == 0
            && entry.view.state.is_final()
        {
            let lost = owned.price_missing || owned.realized() < owned.fees;
            closed.push((last.at, owned.opening, lost));
        }
        risk.day_trades = risk.day_trades.saturating_add(u32::from(is_day_trade(&entry, since, span.1)));
    }
    for structure in combos::entries(views) {
        closed.extend(add_structure(&mut risk, &structure, span, since));
    }
    closed.sort();
    let losses = closed.iter().rev().take_while(|(_, _, lost)| *lost).count();
    risk.losses_in_a_row = u32::try_from(losses).unwrap_or(u32::MAX);
    risk
}

/// Counts a structure as an entry is counted, its largest loss for the premium; what it lost where it was closed today.
fn add_structure(
    risk: &mut DayRisk,
    structure: &combos::Structure<'_>,
    span: (UtcNanos, UtcNanos),
    since: UtcNanos,
) -> Option<(UtcNanos, IntentId, bool)> {
    let (owned, entry) = (structure.owned(), structure.entry);
    let working = structure.working();
    // Held is counted by its largest leg: what is out of balance counts like the whole.
    let held = owned.legs.iter().map(|it| it.held().div_ceil(it.leg.ratio.max(1))).max().unwrap_or(0);
    let units = held.saturating_add(working);
    risk.working_debits += entry.terms.requirement().times(i64::from(working));
    risk.open_premium += entry.terms.max_loss().times(i64::from(units));
    match entry.direction {
        Some(Direction::Long) => risk.long_contracts = risk.long_contracts.saturating_add(units),
        Some(Direction::Short) => risk.short_contracts = risk.short_contracts.saturating_add(units),
        None => {}
    }
    let first_mark = structure.view.attempts.first().map(|it| it.marked_at);
    risk.entries = risk.entries.saturating_add(u32::from(first_mark.is_some_and(|it| within(it, span))));
    let fills = || structure.openings().chain(structure.closings());
    let fees: Usd = fills().filter(|it| within(it.at, span)).map(|it| it.fees).sum();
    risk.realized += structure.realized_in(span) - fees;
    let is_day_trade = structure.openings().filter(|it| within(it.at, (since, span.1))).any(|opened| {
        let day = session_span(opened.at.new_york_date());
        structure.closings().any(|it| it.attempt != SETTLEMENT && within(it.at, day))
    });
    risk.day_trades = risk.day_trades.saturating_add(u32::from(is_day_trade));
    let last = structure.closings().map(|it| it.at).max().filter(|it| within(*it, span))?;
    let is_closed = owned.is_flat() && structure.view.state.is_final();
    is_closed.then(|| (last, owned.opening, owned.price_missing || owned.realized() < owned.fees))
}

fn add_open(risk: &mut DayRisk, entry: &Entry<'_>) {
    let working = entry.opening.worst.notional(entry.working());
    risk.working_debits += working;
    risk.open_premium += working + entry.held_cost();
    let contracts = entry.held().saturating_add(entry.working());
    let side = match entry.opening.direction {
        Direction::Long => &mut risk.long_contracts,
        Direction::Short => &mut risk.short_contracts,
    };
    *side = side.saturating_add(contracts);
}

fn realized_in(entry: &Entry<'_>, owned: &Owned, span: (UtcNanos, UtcNanos)) -> Usd {
    let mut sold = 0u32;
    let mut result = Usd::ZERO;
    for sale in entry.sold_in(span) {
        sold = sold.saturating_add(sale.contracts);
        result += sale.brought - sale.fees;
    }
    let bought_fees: Usd = entry.buys().filter(|it| within(it.at, span)).map(|it| it.fees).sum();
    result - owned.paid.scaled(i64::from(sold), i64::from(owned.bought)) - bought_fees
}

fn is_day_trade(entry: &Entry<'_>, since: UtcNanos, until: UtcNanos) -> bool {
    entry.buys().filter(|buy| within(buy.at, (since, until))).any(|buy| {
        let day = session_span(buy.at.new_york_date());
        entry.sold_in(day).any(|it| !it.settlement)
    })
}

/// The first of the sessions over which day trades are counted.
fn first_of_window(session: Date) -> Date {
    let mut day = session;
    for _ in 1..DAY_TRADE_SESSIONS {
        day = previous_session(day).map_or(day, |it| it.date);
    }
    day
}
