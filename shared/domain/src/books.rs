//! What follows from recorded fills: positions by entry and what counts against a user's limits.
//!
//! Both ledgers call these over the rows they hold, so that what is derived is decided in one place.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::account::AccountRef;
use crate::calendar::previous_session;
use crate::ids::{AttemptNo, IntentId, SetupId};
use crate::intent::{IntentState, OpeningIntent, OrderIntent, Origin};
use crate::money::{Side, Usd};
use crate::order::Attempt;
use crate::ports::{DayRisk, IntentView};
use crate::position::{Fill, FillStep, Owned, fill_step};
use crate::setup::Direction;
use crate::symbol::OccSymbol;
use crate::time::UtcNanos;

/// The attempt that a settlement is booked under: no order stands behind it. Its fill lies with the opening intent,
/// sells from 0 to what was held, and carries no charges.
pub const SETTLEMENT: AttemptNo = AttemptNo(0);

/// Contracts executed by orders: settlements are not executions.
pub fn filled(fills: &[Fill]) -> u32 {
    fills.iter().filter(|it| it.attempt != SETTLEMENT).map(Fill::contracts).sum()
}

/// What an observation of an order leg does to the recorded fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booking {
    /// Nothing: it says no more than the record.
    Nothing,
    /// This row is new.
    Add(Fill),
    /// The row with this end gets the price it lacked.
    Complete(Fill),
}

/// Takes in one execution seen. `seen` is an observation: its `to` is the cumulative quantity of the leg, its `price`
/// the average over all of that, its `fees` the charges of `from..to` as the caller reckons them (with `from` 0, of
/// everything); a stretch carries its share. `recorded` holds the rows of the same intent, attempt and series in order.
pub fn book(recorded: &[Fill], seen: &Fill) -> Booking {
    let share = |n: u32| seen.fees.scaled(i64::from(n), i64::from(seen.contracts()));
    match fill_step(recorded, seen.to, seen.price) {
        FillStep::Nothing => Booking::Nothing,
        FillStep::Add { from, to, price } => {
            Booking::Add(Fill { from, to, price, fees: share(to.saturating_sub(from)), ..*seen })
        }
        FillStep::Complete { to, price } => match recorded.iter().find(|it| it.to == to) {
            Some(row) => Booking::Complete(Fill { price: Some(price), fees: share(row.contracts()), ..*row }),
            None => Booking::Nothing,
        },
    }
}

/// The attempt to be kept when `seen` is written over `recorded`: a final state and its reason stay, the executed
/// quantity never shrinks, an order once bound stays bound, an average is kept once known.
pub fn merge_attempt(recorded: &Attempt, seen: &Attempt) -> Attempt {
    let ended = recorded.state.is_final();
    Attempt {
        state: if ended { recorded.state } else { seen.state },
        reason: if ended { recorded.reason.clone() } else { seen.reason.clone() },
        broker_order: recorded.broker_order.or(seen.broker_order),
        executed: recorded.executed.max(seen.executed),
        average: seen.average.or(recorded.average),
        cancel_at: seen.cancel_at.or(recorded.cancel_at),
        marked_at: recorded.marked_at,
        ..seen.clone()
    }
}

/// A part of an entry that was closed.
#[derive(Debug, Clone, Copy)]
struct Closed {
    contracts: u32,
    cash: Option<Usd>,
    fees: Usd,
    at: UtcNanos,
    settled: bool,
}

/// An entry with what became of it.
struct Entry<'a> {
    intent: &'a OpeningIntent,
    bought: Vec<&'a Fill>,
    closed: Vec<Closed>,
    state: IntentState,
    marked: bool,
}

impl Entry<'_> {
    fn contracts(&self) -> u32 {
        self.bought.iter().map(|it| it.contracts()).sum()
    }

    fn held(&self) -> u32 {
        self.contracts().saturating_sub(self.closed.iter().map(|it| it.contracts).sum())
    }

    /// Contracts still to be bought, and sent at least once.
    fn working(&self) -> u32 {
        let working = self.state == IntentState::Working;
        if working { self.intent.quantity.saturating_sub(self.contracts()) } else { 0 }
    }

    fn paid(&self) -> Usd {
        self.bought.iter().map(|it| -it.cash().unwrap_or(Usd::ZERO)).sum()
    }

    fn touched_on(&self, session: Date) -> bool {
        let bought = self.bought.iter().map(|it| it.at);
        bought.chain(self.closed.iter().map(|it| it.at)).any(|at| at.new_york_date() == session)
    }

    fn owned(&self) -> Owned {
        let head = &self.intent.head;
        let bought_fees: Usd = self.bought.iter().map(|it| it.fees).sum();
        let closed_fees: Usd = self.closed.iter().map(|it| it.fees).sum();
        Owned {
            opening: head.id,
            setup: setup_of(&head.origin),
            series: head.series,
            environment: head.account.environment,
            bought: self.contracts(),
            sold: self.closed.iter().map(|it| it.contracts).sum(),
            paid: self.paid(),
            received: self.closed.iter().filter_map(|it| it.cash).sum(),
            fees: bought_fees + closed_fees,
            price_missing: self.bought.iter().any(|it| it.price.is_none())
                || self.closed.iter().any(|it| it.cash.is_none()),
        }
    }
}

const fn setup_of(origin: &Origin) -> Option<SetupId> {
    match origin {
        Origin::Setup(id) => Some(*id),
        Origin::Flatten(_) => None,
    }
}

/// Joins entries with their closes. A close that names no entry (a flatten's) takes from the entries of its account
/// and series in their order, each up to what it still holds.
fn entries(views: &[IntentView]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut index: BTreeMap<IntentId, usize> = BTreeMap::new();
    for view in views {
        if let OrderIntent::Opening(intent) = &view.intent {
            let (bought, settled): (Vec<&Fill>, Vec<&Fill>) =
                view.fills.iter().partition(|it| it.side == Side::Buy);
            index.insert(intent.head.id, entries.len());
            entries.push(Entry {
                intent,
                bought,
                closed: settled.into_iter().map(|it| part(it, it.contracts())).collect(),
                state: view.state,
                marked: !view.attempts.is_empty(),
            });
        }
    }
    for view in views {
        let OrderIntent::Closing(intent) = &view.intent else { continue };
        for fill in &view.fills {
            match intent.opening {
                Some(opening) => {
                    if let Some(entry) = index.get(&opening).and_then(|at| entries.get_mut(*at)) {
                        entry.closed.push(part(fill, fill.contracts()));
                    }
                }
                None => spread(&mut entries, &intent.head.account, fill),
            }
        }
    }
    entries
}

/// Gives a flatten's fill to the entries it closed. What no entry holds goes to the last one: it shows as oversold.
fn spread(entries: &mut [Entry<'_>], account: &AccountRef, fill: &Fill) {
    let mut left = fill.contracts();
    let ours = |it: &&mut Entry<'_>| {
        it.intent.head.series == fill.series && it.intent.head.account.account == account.account
    };
    for entry in entries.iter_mut().filter(ours) {
        let take = left.min(entry.held());
        if take > 0 {
            entry.closed.push(part(fill, take));
            left = left.saturating_sub(take);
        }
    }
    if left > 0
        && let Some(last) = entries.iter_mut().rev().find(ours)
    {
        last.closed.push(part(fill, left));
    }
}

/// `contracts` of a closing fill, with their share of cash and charges.
fn part(fill: &Fill, contracts: u32) -> Closed {
    let of = |it: Usd| it.scaled(i64::from(contracts), i64::from(fill.contracts()));
    Closed {
        contracts,
        cash: fill.cash().map(of),
        fees: of(fill.fees),
        at: fill.at,
        settled: fill.attempt == SETTLEMENT,
    }
}

/// What is held or was held in `session`, by entry. `views` are intents with their fills in order of recording:
/// all of every series concerned, the caller need not leave others out.
pub fn owned(views: &[IntentView], session: Date) -> Vec<Owned> {
    let all = entries(views);
    let shown = all.iter().filter(|it| it.contracts() > 0 && (it.held() > 0 || it.touched_on(session)));
    shown.map(Entry::owned).collect()
}

/// Contracts of one entry that are still held.
pub fn held(views: &[IntentView], opening: IntentId) -> u32 {
    entries(views).iter().find(|it| it.intent.head.id == opening).map_or(0, Entry::held)
}

/// Series held, or worked by an entry that is not final, with the setup behind each, sorted, each once.
pub fn owned_series(views: &[IntentView]) -> Vec<(OccSymbol, Option<SetupId>)> {
    let all = entries(views);
    let live = all.iter().filter(|it| it.held() > 0 || !it.state.is_final());
    let series: BTreeMap<_, _> =
        live.map(|it| (it.intent.head.series, setup_of(&it.intent.head.origin))).collect();
    series.into_iter().collect()
}

/// What counts against a user's limits on `session`, over all intents of theirs in one environment. Entries count as
/// working once an attempt was marked: one that is only ready is not counted, so it does not block itself.
pub fn day_risk(views: &[IntentView], session: Date) -> DayRisk {
    let all = entries(views);
    let today = |at: UtcNanos| at.new_york_date() == session;
    let mut risk = DayRisk::default();
    let mut ended: Vec<(UtcNanos, Usd)> = Vec::new();
    let first = first_of_five(session);
    for entry in &all {
        let (bought, held, paid) = (i64::from(entry.contracts()), entry.held(), entry.paid());
        let working = entry.intent.worst.notional(entry.working());
        risk.working_debits += working;
        risk.open_premium += working + paid.scaled(i64::from(held), bought);
        let counted = held.saturating_add(entry.working());
        match entry.intent.direction {
            Direction::Long => risk.long_contracts = risk.long_contracts.saturating_add(counted),
            Direction::Short => risk.short_contracts = risk.short_contracts.saturating_add(counted),
        }
        if entry.marked && today(entry.intent.head.decided_at) {
            risk.entries = risk.entries.saturating_add(1);
        }
        for fill in entry.bought.iter().filter(|it| today(it.at)) {
            risk.realized -= fill.fees;
        }
        for closed in entry.closed.iter().filter(|it| today(it.at)) {
            let cost = paid.scaled(i64::from(closed.contracts), bought);
            risk.realized += closed.cash.unwrap_or(Usd::ZERO) - cost - closed.fees;
        }
        let last = entry.closed.iter().map(|it| it.at).max();
        if let Some(last) = last.filter(|at| bought > 0 && held == 0 && today(*at)) {
            let owned = entry.owned();
            ended.push((last, owned.realized() - owned.fees));
        }
        if day_traded(entry, first, session) {
            risk.day_trades = risk.day_trades.saturating_add(1);
        }
    }
    ended.sort_by_key(|it| it.0);
    let losses = ended.iter().rev().take_while(|it| it.1 < Usd::ZERO).count();
    risk.losses_in_a_row = u32::try_from(losses).unwrap_or(u32::MAX);
    risk
}

/// Whether an entry was opened and closed by an order on one day of the window. Closed in parts it is one; a
/// settlement is none.
fn day_traded(entry: &Entry<'_>, first: Date, session: Date) -> bool {
    let window = first..=session;
    entry
        .bought
        .iter()
        .map(|it| it.at.new_york_date())
        .filter(|day| window.contains(day))
        .any(|day| entry.closed.iter().any(|it| !it.settled && it.at.new_york_date() == day))
}

/// The first of the five sessions that end with `session`. Outside the calendar only `session` itself counts.
pub fn first_of_five(session: Date) -> Date {
    (0..4).try_fold(session, |day, _| previous_session(day).map(|it| it.date)).unwrap_or(session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Environment;
    use crate::ids::{AccountId, UserId};
    use crate::intent::{Action, CloseAmount, ClosingIntent, DecisionMarket, IntentHead};
    use crate::market::Points;
    use crate::money::Price;
    use crate::position::FillSource;
    use crate::setup::{SetupKind, SetupLevels};
    use crate::time::at_new_york;
    use jiff::civil::{date, time};
    use uuid::Uuid;

    const DAY: Date = date(2026, 11, 20);

    fn head(name: &str, action: Action) -> IntentHead {
        IntentHead {
            id: IntentId::of(&[name.as_bytes()]),
            account: AccountRef {
                user: UserId(Uuid::from_u128(1)),
                account: AccountId(Uuid::from_u128(2)),
                environment: Environment::Sandbox,
            },
            origin: Origin::Setup(SetupId::of(&[name.as_bytes()])),
            sequence: 2,
            action,
            series: "SPXW261120C05610000".parse().unwrap(),
            decided_at: at(10),
        }
    }

    fn at(hour: i8) -> UtcNanos {
        at_new_york(DAY, time(hour, 0, 0, 0))
    }

    fn fill(view: &IntentView, side: Side, from: u32, to: u32, cents: i64, hour: i8) -> Fill {
        Fill {
            intent: view.intent.head().id,
            attempt: AttemptNo::FIRST,
            series: view.intent.head().series,
            side,
            from,
            to,
            price: Some(Usd::from_cents(cents)),
            fees: Usd::from_dollars(i64::from(to - from)),
            at: at(hour),
            source: FillSource::Poll,
        }
    }

    fn view(intent: OrderIntent, state: IntentState) -> IntentView {
        IntentView {
            intent,
            state,
            reason: String::new(),
            attempts: Vec::new(),
            fills: Vec::new(),
            filled: 0,
            stop_requested: false,
            version: 1,
        }
    }

    fn entry(name: &str, contracts: u32, cents: i64) -> IntentView {
        let levels = SetupLevels {
            zone_low: Points(0),
            zone_high: Points(0),
            stop: Points(0),
            t1: Points(0),
            t2: Points(0),
            r_index: Points(0),
        };
        let intent = OpeningIntent {
            head: head(name, Action::Enter),
            kind: SetupKind::OrbBreakout,
            direction: Direction::Long,
            quantity: contracts,
            worst: Price::from_cents(300),
            market: DecisionMarket { spot: Points(0), bid: Price::ZERO, ask: Price::ZERO },
            levels,
            risk_per_contract: Usd::ZERO,
        };
        let mut it = view(OrderIntent::Opening(intent), IntentState::Done);
        it.fills.push(fill(&it, Side::Buy, 0, contracts, cents, 10));
        it
    }

    fn close(name: &str, opening: Option<&IntentView>, contracts: u32, cents: i64, hour: i8) -> IntentView {
        let intent = ClosingIntent {
            head: head(name, Action::Flatten),
            opening: opening.map(|it| it.intent.head().id),
            amount: CloseAmount::All,
            reason: "session_end".into(),
        };
        let mut it = view(OrderIntent::Closing(intent), IntentState::Done);
        it.fills.push(fill(&it, Side::Sell, 0, contracts, cents, hour));
        it
    }

    #[test]
    fn an_observation_is_cumulative_and_a_stretch_gets_its_share_of_the_charges() {
        let it = entry("a", 2, 200);
        let seen = Fill {
            from: 0,
            to: 5,
            price: Some(Usd::from_cents(230)),
            fees: Usd::from_dollars(5),
            ..it.fills[0]
        };
        let Booking::Add(row) = book(&it.fills, &seen) else { panic!("a higher quantity adds") };
        let expected = (2, 5, Some(Usd::from_cents(250)), Usd::from_dollars(3));
        assert_eq!((row.from, row.to, row.price, row.fees), expected);
        let unpriced = Fill { price: None, ..row };
        assert_eq!(book(&[it.fills[0], unpriced], &seen), Booking::Complete(row));
        assert_eq!(book(&[it.fills[0], row], &seen), Booking::Nothing);
    }

    #[test]
    fn a_flatten_closes_what_entries_still_hold_in_their_order() {
        let (first, second) = (entry("a", 3, 200), entry("b", 2, 100));
        let t1 = close("t1", Some(&first), 2, 300, 11);
        let flatten = close("f", None, 3, 150, 15);
        let books = owned(&[first, second, t1, flatten], DAY);
        let figures: Vec<_> = books.iter().map(|it| (it.bought, it.sold, it.received)).collect();
        assert_eq!(figures, [(3, 3, Usd::from_dollars(750)), (2, 2, Usd::from_dollars(300))]);
    }

    #[test]
    fn the_day_counts_fees_losses_and_one_day_trade_for_a_close_in_parts() {
        let it = entry("a", 2, 200);
        let parts = [close("t1", Some(&it), 1, 150, 11), close("st", Some(&it), 1, 100, 12)];
        let [one, two] = parts;
        let risk = day_risk(&[it, one, two], DAY);
        assert_eq!(risk.realized, Usd::from_dollars(250 - 400 - 4));
        assert_eq!((risk.losses_in_a_row, risk.day_trades, risk.open_premium), (1, 1, Usd::ZERO));
    }

    #[test]
    fn what_is_held_and_what_is_sent_count_and_what_is_only_ready_does_not() {
        let held = entry("a", 2, 200);
        let mut sent = entry("b", 3, 100);
        sent.fills.clear();
        let mut ready = sent.clone();
        (sent.state, ready.state) = (IntentState::Working, IntentState::Ready);
        let risk = day_risk(&[held, sent, ready], DAY);
        assert_eq!(risk.open_premium, Usd::from_dollars(400 + 900));
        assert_eq!((risk.working_debits, risk.long_contracts), (Usd::from_dollars(900), 5));
    }

    #[test]
    fn a_settlement_closes_and_is_no_day_trade() {
        let mut it = entry("a", 2, 200);
        let settled = Fill { attempt: SETTLEMENT, fees: Usd::ZERO, ..fill(&it, Side::Sell, 0, 2, 0, 16) };
        it.fills.push(settled);
        assert_eq!((filled(&it.fills), held(std::slice::from_ref(&it), it.intent.head().id)), (2, 0));
        let risk = day_risk(std::slice::from_ref(&it), DAY);
        assert_eq!((risk.day_trades, risk.losses_in_a_row), (0, 1));
        assert_eq!(risk.realized, Usd::from_dollars(-402));
    }
}
