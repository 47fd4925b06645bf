//! The flatten before the last trade (spec 3, "Flatten"): what to cancel, what to offer at which price, what is stuck.
//!
//! A pure function of time and of what the broker shows, so that it works without the database: what is ours comes in as
//! a list, from the books, from the notes beside them, or from today's tagged orders ([`owned_by_orders`]). While any
//! order works in a series, nothing is sent for it: it is cancelled and confirmed first.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::account::{Switches, UserSettings};
use domain::books::CLOCKS_APART;
use domain::calendar::{Session, last_trade};
use domain::ids::{AccountId, AttemptNo, BrokerOrderId, IntentId, OrderTag};
use domain::intent::{Action, Origin, intent_id};
use domain::market::{OptionQuote, Points};
use domain::money::{Price, Side, TickGrid};
use domain::order::BrokerOrder;
use domain::position::{BrokerPosition, Owned};
use domain::symbol::{OccSymbol, Settlement};
use domain::time::UtcNanos;
use serde::{Deserialize, Serialize};

use crate::walk::below_bid;

/// Time between two rungs.
pub const RUNG: Duration = Duration::from_secs(10);
/// A pass that only cancelled looks again this soon.
pub const CONFIRM: Duration = Duration::from_secs(1);
/// From then on the bid is taken.
pub const LATE_MINUTES: u32 = 7;
/// The reason of a close that a flatten at once sends, which is never patient.
pub const AT_ONCE: &str = "flatten_now";
/// Series that deliver shares start at 15:15, 12:15 on short days.
const PHYSICAL_MINUTES: u32 = 45;
/// They are closed by 15:30, 12:30 on short days.
const PHYSICAL_ENDS_MINUTES: u32 = 30;
/// How far under intrinsic value a patient offer goes, in dollars a share.
const UNDER_INTRINSIC: f64 = 0.50;

/// Whether an account is flattened: always once execution is on; else by the user's own choice, or the deployment's; and
/// where nobody chose, as soon as there is something of ours to close.
pub fn is_wanted(switches: &Switches, settings: &UserSettings, owns: bool) -> bool {
    switches.execution_enabled || settings.force_flatten.unwrap_or(switches.force_flatten || owns)
}

/// Contracts of ours by series, from the books.
pub fn held(owned: &[Owned]) -> Vec<(OccSymbol, u32)> {
    sum(owned.iter().map(|it| (it.series, i64::from(it.held()))))
}

/// What is ours, with what was opened by hand and handed over: a position is handed over whole, so that in its series
/// everything the broker shows is closed.
pub fn with_taken_over(
    mut owned: Vec<(OccSymbol, u32)>,
    taken_over: &[(OccSymbol, u32)],
    positions: &[BrokerPosition],
) -> Vec<(OccSymbol, u32)> {
    for (series, _) in taken_over {
        let long: i64 = positions.iter().filter(|it| it.series == *series).map(|it| it.quantity).sum();
        let ours: u32 = owned.iter().filter(|it| it.0 == *series).map(|it| it.1).sum();
        let foreign = u32::try_from(long.saturating_sub(i64::from(ours))).unwrap_or(0);
        if foreign > 0 {
            owned.push((*series, foreign));
        }
    }
    owned
}

/// Contracts of ours by series, from the net executed quantity of today's orders with our tag: the last resort, with the
/// books and the notes both gone.
pub fn owned_by_orders(orders: &[BrokerOrder]) -> Vec<(OccSymbol, u32)> {
    let ours = orders.iter().filter(|it| it.tag.is_some());
    sum(ours.flat_map(|it| &it.legs).map(|leg| (leg.series, leg.side.sign() * i64::from(leg.executed))))
}

/// What is left of `noted` contracts of a series: less what this session's flatten, which goes by `names`, closed since the
/// note of `at`, as its own closes are not noted.
///
/// Whether a close of the seconds around the note is in it, clocks that differ do not tell. The broker does: as long as it
/// shows no more than may be left, all it shows is ours; beyond that something was opened by hand, and what is surely left
/// counts.
pub fn left_of_note(
    series: &OccSymbol,
    noted: u32,
    (names, at): (&[IntentId], UtcNanos),
    orders: &[BrokerOrder],
    positions: &[BrokerPosition],
) -> u32 {
    let closes = || orders.iter().filter(|it| it.tag.is_some_and(|tag| names.contains(&tag.intent)));
    let less = |is_since: &dyn Fn(&BrokerOrder) -> bool| {
        let legs = closes().filter(|it| is_since(it)).flat_map(|it| &it.legs);
        let closed = legs.filter(|it| it.series == *series && !it.opens);
        closed.fold(noted, |left, it| left.saturating_sub(it.executed))
    };
    let (surely_after, not_before) = (at.plus(CLOCKS_APART), at.minus(CLOCKS_APART));
    let most = less(&|it| it.created_at.is_none_or(|it| it > surely_after));
    let shown: u64 =
        positions.iter().filter(|it| it.series == *series).map(|it| it.quantity.unsigned_abs()).sum();
    if shown <= u64::from(most) {
        most
    } else {
        less(&|it| it.changed_at.or(it.created_at).is_none_or(|it| it > not_before))
    }
}

/// What is left of `owned` without `sold`.
pub fn less(owned: Vec<(OccSymbol, u32)>, sold: &[(OccSymbol, u32)]) -> Vec<(OccSymbol, u32)> {
    let left = |(series, contracts): (OccSymbol, u32)| {
        let of_it = sold.iter().filter(|it| it.0 == series);
        (series, of_it.fold(contracts, |left, it| left.saturating_sub(it.1)))
    };
    owned.into_iter().map(left).filter(|it| it.1 > 0).collect()
}

/// A series is flattened at most so often in one session: each time but the first it was opened again after a hard stop.
pub const ROUNDS: u32 = 16;

/// The name of a session's closes of one series in an account, whoever sends them: of its first flatten, and of later ones
/// where the earlier `rounds` have ended. Without the books the first name serves them all.
pub fn intent_of(account: AccountId, session: &Session, series: &OccSymbol, rounds: u32) -> IntentId {
    intent_id(Origin::Flatten(session.date), rounds, account, Action::Flatten, Some(series))
}

/// Every name that a session's closes of one series may go by.
pub fn intents_of(account: AccountId, session: &Session, series: &OccSymbol) -> Vec<IntentId> {
    (0..ROUNDS).map(|round| intent_of(account, session, series, round)).collect()
}

fn sum(parts: impl Iterator<Item = (OccSymbol, i64)>) -> Vec<(OccSymbol, u32)> {
    let mut by_series: BTreeMap<OccSymbol, i64> = BTreeMap::new();
    for (series, contracts) in parts {
        let total = by_series.entry(series).or_default();
        *total = total.saturating_add(contracts);
    }
    let positive =
        |(series, n): (OccSymbol, i64)| u32::try_from(n).ok().filter(|n| *n > 0).map(|n| (series, n));
    by_series.into_iter().filter_map(positive).collect()
}

/// What a pass reads.
#[derive(Debug, Clone, Copy)]
pub struct FlattenInputs<'a> {
    /// The account, for the tags of its closes.
    pub account: AccountId,
    /// Which pass, rising over the day: one attempt of each close.
    pub pass: u32,
    /// Market time.
    pub now: UtcNanos,
    /// The session whose series stop trading.
    pub session: &'a Session,
    /// Minutes before the close at which it starts.
    pub minutes: u32,
    /// Whether every series is closed, and not only those that stop trading in the session: a hard stop.
    pub is_all: bool,
    /// Whether what was opened by hand is closed too.
    pub include_foreign: bool,
    /// What is ours, by series.
    pub owned: &'a [(OccSymbol, u32)],
    /// What the broker shows.
    pub positions: &'a [BrokerPosition],
    /// Today's orders at the broker.
    pub orders: &'a [BrokerOrder],
    /// Quotes of what is held, where there are any.
    pub quotes: &'a [(OccSymbol, OptionQuote)],
    /// The index, for intrinsic values.
    pub spot: Option<Points>,
}

/// One offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Close {
    /// The series.
    pub series: OccSymbol,
    /// Contracts: the smaller of ours and the broker's long.
    pub quantity: u32,
    /// The limit.
    pub price: Price,
    /// Its tag, from account, series, session and pass. Looked up before it is sent.
    pub tag: OrderTag,
    /// Whether nobody bids: it is offered at one tick.
    pub is_without_bid: bool,
}

/// Something the flatten cannot close, told to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stranded {
    /// The series.
    pub series: OccSymbol,
    /// Contracts our books show.
    pub ours: u32,
    /// Contracts the broker shows.
    pub broker: i64,
    /// `not_at_broker`, `short_at_broker`, `past_last_trade`; of what was opened by hand `foreign_short`, which nothing of ours
    /// buys back, and `covers_foreign_short`, which is not sold before that.
    pub reason: String,
}

/// What one pass does, in this order: cancel, then close.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlattenPlan {
    /// Orders to cancel and confirm.
    pub cancels: Vec<BrokerOrderId>,
    /// Closes of ours that work at this rung's price already.
    pub working: Vec<BrokerOrderId>,
    /// Offers to send, in series order.
    pub closes: Vec<Close>,
    /// What it cannot close.
    pub stranded: Vec<Stranded>,
    /// Longs nobody bid for until the last trade: booked by settlement, they count as flat.
    pub worthless_left: Vec<(OccSymbol, u32)>,
    /// Whether nothing of ours is left open in the series that stop trading.
    pub flat: bool,
    /// When to look again; `None` when flat, or after the close.
    pub next_due: Option<UtcNanos>,
}

/// When the flatten of `series` starts.
pub fn starts_at(series: &OccSymbol, session: &Session, minutes: u32) -> UtcNanos {
    match series.root.settlement() {
        Settlement::CashAm | Settlement::CashPm => session.before_close(minutes),
        Settlement::Physical => session.before_close(minutes.max(PHYSICAL_MINUTES)),
    }
}

/// When the bid of `series` is taken: some minutes before it has to be closed.
fn late_at(series: &OccSymbol, session: &Session) -> UtcNanos {
    match series.root.settlement() {
        Settlement::CashAm | Settlement::CashPm => session.before_close(LATE_MINUTES),
        Settlement::Physical => session.before_close(PHYSICAL_ENDS_MINUTES.saturating_add(LATE_MINUTES)),
    }
}

/// Whether the last trade of `series` is in this session.
pub fn stops_trading(series: &OccSymbol, session: &Session) -> bool {
    last_trade(series).is_ok_and(|it| it == session.close)
}

/// Plans one pass.
pub fn plan(inputs: &FlattenInputs<'_>) -> FlattenPlan {
    let mut plan = FlattenPlan { flat: true, ..FlattenPlan::default() };
    let mut waits_until: Option<UtcNanos> = None;
    for (series, ours) in expiring(inputs) {
        let starts = starts_at(&series, inputs.session, inputs.minutes);
        if inputs.now < starts {
            waits_until = Some(waits_until.map_or(starts, |it| it.min(starts)));
            continue;
        }
        plan_series(inputs, series, ours, &mut plan);
    }
    if inputs.include_foreign {
        foreign_shorts(inputs, &mut plan);
    }
    plan.next_due = next_due(inputs, &plan, waits_until);
    plan.flat = plan.flat && waits_until.is_none();
    plan
}

/// The series of this session's last trade that are ours, hold a foreign position to be closed, or have an order of ours
/// working, with the contracts that are ours. Sorted.
fn expiring(inputs: &FlattenInputs<'_>) -> BTreeMap<OccSymbol, u32> {
    let mut found: BTreeMap<OccSymbol, u32> = BTreeMap::new();
    for (series, ours) in inputs.owned {
        let total = found.entry(*series).or_default();
        *total = total.saturating_add(*ours);
    }
    let is_closed = |it: &&BrokerPosition| it.quantity > 0 && !covers_a_short(&it.series, inputs.positions);
    let foreign = inputs.positions.iter().filter(|it| inputs.include_foreign && is_closed(it));
    for position in foreign {
        found.insert(position.series, u32::try_from(position.quantity).unwrap_or(u32::MAX));
    }
    for order in inputs.orders.iter().filter(|it| is_working(it) && may_touch(inputs, it)) {
        for leg in &order.legs {
            found.entry(leg.series).or_default();
        }
    }
    found.retain(|series, _| is_due(inputs, series));
    found
}

/// Whether a series is this flatten's to close.
fn is_due(inputs: &FlattenInputs<'_>, series: &OccSymbol) -> bool {
    inputs.is_all || stops_trading(series, inputs.session)
}

/// Whether the broker shows a short that a long of `series` may cover: one of its root, side and expiry.
pub fn covers_a_short(series: &OccSymbol, positions: &[BrokerPosition]) -> bool {
    let kind = |it: &OccSymbol| (it.root, it.right, it.expiry);
    positions.iter().any(|it| it.quantity < 0 && kind(&it.series) == kind(series))
}

/// Nothing of ours buys a short back that was opened by hand: who sold it knows why, and an order that buys opens where we are
/// wrong. It is told, and so is every long of its kind that was opened by hand, which stays as its cover.
fn foreign_shorts(inputs: &FlattenInputs<'_>, plan: &mut FlattenPlan) {
    for position in inputs.positions.iter().filter(|it| is_due(inputs, &it.series)) {
        let (series, broker) = (position.series, position.quantity);
        let ours: u32 = inputs.owned.iter().filter(|it| it.0 == series).map(|it| it.1).sum();
        let reason = if broker < 0 && ours == 0 {
            "foreign_short"
        } else if broker > i64::from(ours) && covers_a_short(&series, inputs.positions) {
            "covers_foreign_short"
        } else {
            continue;
        };
        plan.stranded.push(Stranded { series, ours, broker, reason: reason.to_owned() });
    }
}

fn is_working(order: &BrokerOrder) -> bool {
    !order.status.is_final()
}

/// Foreign orders are nobody's business but their owner's, who may hand them over.
fn may_touch(inputs: &FlattenInputs<'_>, order: &BrokerOrder) -> bool {
    order.tag.is_some() || inputs.include_foreign
}

fn plan_series(inputs: &FlattenInputs<'_>, series: OccSymbol, ours: u32, plan: &mut FlattenPlan) {
    let broker: i64 = inputs.positions.iter().filter(|it| it.series == series).map(|it| it.quantity).sum();
    let stranded = |reason: &str| Stranded { series, ours, broker, reason: reason.to_owned() };
    if broker < 0 {
        plan.stranded.push(stranded("short_at_broker"));
        plan.flat = false;
    } else if i64::from(ours) > broker {
        // The broker is right about what exists, but its list may lag a fill: it is looked at again until the close.
        plan.stranded.push(stranded("not_at_broker"));
        plan.flat = plan.flat && inputs.now >= inputs.session.close;
    }
    let quantity = ours.min(u32::try_from(broker.max(0)).unwrap_or(u32::MAX));
    let quote = inputs.quotes.iter().find(|it| it.0 == series).map(|it| &it.1);
    let bid = quote.and_then(|it| it.bid).filter(|it| *it > Price::ZERO);
    let price = price(inputs, &series, quote);

    let working: Vec<&BrokerOrder> = inputs
        .orders
        .iter()
        .filter(|it| {
            is_working(it) && may_touch(inputs, it) && it.legs.iter().any(|leg| leg.series == series)
        })
        .collect();
    if inputs.now >= inputs.session.close {
        return after_the_close(
            series,
            quantity,
            bid,
            &working,
            stranded("past_last_trade"),
            stops_trading(&series, inputs.session),
            plan,
        );
    }
    if !working.is_empty() {
        plan.flat = false;
        // One close of this flatten, for all that is left and no dearer than this rung, already does what a new
        // order would: it keeps its place.
        match working.as_slice() {
            [only] if does_the_work(inputs, only, series, quantity, price) => plan.working.push(only.id),
            _ => plan.cancels.extend(working.iter().map(|it| it.id)),
        }
        return;
    }
    if quantity > 0 {
        plan.flat = false;
        let Some(price) = price else { return };
        let tag = tag(inputs, &series);
        // This pass was sent already and ended: the next one is another attempt.
        let names = intents_of(inputs.account, inputs.session, &series);
        let is_this = |it: OrderTag| it.attempt == tag.attempt && names.contains(&it.intent);
        if !inputs.orders.iter().any(|it| it.tag.is_some_and(is_this)) {
            plan.closes.push(Close { series, quantity, price, tag, is_without_bid: bid.is_none() });
        }
    }
}

/// After the last trade nothing can be sent: what nobody bid for is left to settlement where the series ends, and counts as
/// flat.
fn after_the_close(
    series: OccSymbol,
    quantity: u32,
    bid: Option<Price>,
    working: &[&BrokerOrder],
    stranded: Stranded,
    ends: bool,
    plan: &mut FlattenPlan,
) {
    plan.cancels.extend(working.iter().map(|it| it.id));
    let is_cash = series.root.settlement() != Settlement::Physical && ends;
    if quantity > 0 && bid.is_none() && is_cash {
        plan.worthless_left.push((series, quantity));
    } else if quantity > 0 {
        plan.stranded.push(stranded);
        plan.flat = false;
    }
}

fn does_the_work(
    inputs: &FlattenInputs<'_>,
    order: &BrokerOrder,
    series: OccSymbol,
    quantity: u32,
    price: Option<Price>,
) -> bool {
    let names = intents_of(inputs.account, inputs.session, &series);
    let is_ours = order.tag.is_some_and(|it| names.contains(&it.intent));
    let offered = order.single().filter(|leg| leg.side == Side::Sell && !leg.opens);
    let left = offered.map(|leg| leg.quantity.saturating_sub(leg.executed));
    is_ours && left == Some(quantity) && price.is_none_or(|price| order.price.is_some_and(|it| it <= price))
}

/// The tag of this pass's close in the first flatten of its series: the same with the database up or down.
fn tag(inputs: &FlattenInputs<'_>, series: &OccSymbol) -> OrderTag {
    let intent = intent_of(inputs.account, inputs.session, series, 0);
    let no = u16::try_from(inputs.pass).unwrap_or(u16::MAX).saturating_add(1);
    OrderTag { intent, attempt: AttemptNo(no) }
}

/// From mid, rounded up, a tick down each rung to intrinsic value less 0.50; from seven minutes before the last trade the
/// bid, then under it by 1, 2, 4 ... ticks. Never under the bid before that, and one tick where nobody bids. Without any
/// quote a patient pass offers nothing, `None`: the next one asks again, and a late one offers at one tick.
fn price(inputs: &FlattenInputs<'_>, series: &OccSymbol, quote: Option<&OptionQuote>) -> Option<Price> {
    let grid = TickGrid::single_leg(&series.root, inputs.session.date);
    let least = grid.one_tick();
    let late = late_at(series, inputs.session);
    if quote.is_none() && inputs.now < late {
        return None;
    }
    let Some(bid) = quote.and_then(|it| it.bid).map(|it| grid.floor(it)).filter(|it| *it > Price::ZERO)
    else {
        return Some(least);
    };
    if inputs.now >= late {
        return Some(below_bid(grid, bid, rungs_between(late, inputs.now)));
    }
    let starts = starts_at(series, inputs.session, inputs.minutes);
    let rungs = i32::from(rungs_between(starts, inputs.now));
    let mid = quote.and_then(OptionQuote::mid).and_then(|it| Price::from_model(it, Side::Sell, grid).ok());
    let Some(mid) = mid else { return Some(bid) };
    let floor = inputs.spot.map(|it| series.intrinsic(it.to_f64()) - UNDER_INTRINSIC);
    let floor = floor.and_then(|it| Price::from_model(it.max(0.0), Side::Sell, grid).ok()).unwrap_or(least);
    Some(grid.step_by(mid, -rungs).max(floor).max(bid).max(least))
}

/// Whole rungs from one instant to another.
fn rungs_between(from: UtcNanos, to: UtcNanos) -> u16 {
    u16::try_from(to.since(from).as_nanos() / RUNG.as_nanos()).unwrap_or(u16::MAX)
}

/// A rung later while something is open, a moment later where it was only cancelled; else when a series that has not
/// started does.
fn next_due(
    inputs: &FlattenInputs<'_>,
    plan: &FlattenPlan,
    waits_until: Option<UtcNanos>,
) -> Option<UtcNanos> {
    let close = inputs.session.close;
    if inputs.now >= close {
        return None;
    }
    if plan.flat {
        return waits_until;
    }
    let pace = if plan.cancels.is_empty() { RUNG } else { CONFIRM };
    Some(inputs.now.plus(pace).min(close))
}

#[cfg(test)]
mod tests;
