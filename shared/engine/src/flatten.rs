//! The flatten before the last trade (spec 3, "Flatten"): what to cancel, what to offer at which price, what is stuck.
//!
//! A pure function of time and of what the broker shows, so that it works without the database: what is ours comes in as
//! a list, from the books, from the notes beside them, or from today's tagged orders ([`owned_by_orders`]). While any
//! order works in a series, nothing is sent for it: it is cancelled and confirmed first.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::account::{Switches, UserSettings};
use domain::calendar::{Session, last_trade};
use domain::ids::{AccountId, AttemptNo, BrokerOrderId, OrderTag};
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
/// Series that deliver shares start at 15:15, 12:15 on short days.
const PHYSICAL_MINUTES: u32 = 45;
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

/// Contracts of ours by series, from the net executed quantity of today's orders with our tag: the last resort, with the
/// books and the notes both gone.
pub fn owned_by_orders(orders: &[BrokerOrder]) -> Vec<(OccSymbol, u32)> {
    let ours = orders.iter().filter(|it| it.tag.is_some());
    sum(ours.flat_map(|it| &it.legs).map(|leg| (leg.series, leg.side.sign() * i64::from(leg.executed))))
}

fn sum(parts: impl Iterator<Item = (OccSymbol, i64)>) -> Vec<(OccSymbol, u32)> {
    let mut by_series: BTreeMap<OccSymbol, i64> = BTreeMap::new();
    for (series, contracts) in parts {
        let total = by_series.entry(series).or_default();
        *total = total.saturating_add(contracts);
    }
    let positive = |(series, n): (OccSymbol, i64)| u32::try_from(n).ok().filter(|n| *n > 0).map(|n| (series, n));
    by_series.into_iter().filter_map(positive).collect()
}

/// What a pass reads.
#[derive(Debug, Clone, Copy)]
pub struct FlattenInputs<'a> {
    /// The account, for the tags of its closes.
    pub account: AccountId,
    /// Which pass, from 0: one attempt of each close.
    pub pass: u32,
    /// Market time.
    pub now: UtcNanos,
    /// The session whose series stop trading.
    pub session: &'a Session,
    /// Minutes before the close at which it starts.
    pub minutes: u32,
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
    /// `not_at_broker`, `short_at_broker`, `past_last_trade`.
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
            plan.flat = false;
            waits_until = Some(waits_until.map_or(starts, |it| it.min(starts)));
            continue;
        }
        plan_series(inputs, series, ours, &mut plan);
    }
    plan.next_due = next_due(inputs, &plan, waits_until);
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
    let foreign = inputs.positions.iter().filter(|it| inputs.include_foreign && it.quantity > 0);
    for position in foreign {
        found.insert(position.series, u32::try_from(position.quantity).unwrap_or(u32::MAX));
    }
    for order in inputs.orders.iter().filter(|it| is_working(it) && may_touch(inputs, it)) {
        for leg in &order.legs {
            found.entry(leg.series).or_default();
        }
    }
    found.retain(|series, _| stops_trading(series, inputs.session));
    found
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
    let stranded =
        |reason: &str| Stranded { series, ours, broker, reason: reason.to_owned() };
    if broker < 0 {
        plan.stranded.push(stranded("short_at_broker"));
        plan.flat = false;
    } else if i64::from(ours) > broker {
        plan.stranded.push(stranded("not_at_broker"));
    }
    let quantity = ours.min(u32::try_from(broker.max(0)).unwrap_or(u32::MAX));
    let quote = inputs.quotes.iter().find(|it| it.0 == series).map(|it| &it.1);
    let bid = quote.and_then(|it| it.bid).filter(|it| *it > Price::ZERO);
    let price = price(inputs, &series, quote);

    let working: Vec<&BrokerOrder> = inputs
        .orders
        .iter()
        .filter(|it| is_working(it) && may_touch(inputs, it) && it.legs.iter().any(|leg| leg.series == series))
        .collect();
    if inputs.now >= inputs.session.close {
        return after_the_close(series, quantity, bid, &working, stranded("past_last_trade"), plan);
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
        let tag = tag(inputs, &series);
        // This pass was sent already and ended: the next one is another attempt.
        if inputs.orders.iter().all(|it| it.tag != Some(tag)) {
            plan.closes.push(Close { series, quantity, price, tag, is_without_bid: bid.is_none() });
        }
    }
}

/// After the last trade nothing can be sent: what nobody bid for is left to settlement and counts as flat.
fn after_the_close(
    series: OccSymbol,
    quantity: u32,
    bid: Option<Price>,
    working: &[&BrokerOrder],
    stranded: Stranded,
    plan: &mut FlattenPlan,
) {
    plan.cancels.extend(working.iter().map(|it| it.id));
    let is_cash = series.root.settlement() != Settlement::Physical;
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
    price: Price,
) -> bool {
    let is_ours = order.tag.is_some_and(|it| it.intent == tag(inputs, &series).intent);
    let offered = order.single().filter(|leg| leg.side == Side::Sell && !leg.opens);
    let left = offered.map(|leg| leg.quantity.saturating_sub(leg.executed));
    is_ours && left == Some(quantity) && order.price.is_some_and(|it| it <= price)
}

/// The tag of this pass's close: the same with the database up or down.
fn tag(inputs: &FlattenInputs<'_>, series: &OccSymbol) -> OrderTag {
    let origin = Origin::Flatten(inputs.session.date);
    let intent = intent_id(origin, 0, inputs.account, Action::Flatten, Some(series));
    let no = u16::try_from(inputs.pass).unwrap_or(u16::MAX).saturating_add(1);
    OrderTag { intent, attempt: AttemptNo(no) }
}

/// From mid, rounded up, a tick down each rung to intrinsic value less 0.50; from seven minutes before the last trade the
/// bid, then under it by 1, 2, 4 ... ticks. Never under the bid before that, and one tick where nobody bids.
fn price(inputs: &FlattenInputs<'_>, series: &OccSymbol, quote: Option<&OptionQuote>) -> Price {
    let grid = TickGrid::single_leg(&series.root, inputs.session.date);
    let least = grid.one_tick();
    let Some(bid) = quote.and_then(|it| it.bid).map(|it| grid.floor(it)).filter(|it| *it > Price::ZERO) else {
        return least;
    };
    let late = inputs.session.before_close(LATE_MINUTES);
    if inputs.now >= late {
        return below_bid(grid, bid, rungs_between(late, inputs.now));
    }
    let starts = starts_at(series, inputs.session, inputs.minutes);
    let rungs = i32::from(rungs_between(starts, inputs.now));
    let mid = quote.and_then(OptionQuote::mid).and_then(|it| Price::from_model(it, Side::Sell, grid).ok());
    let Some(mid) = mid else { return bid };
    let floor = inputs.spot.map(|it| series.intrinsic(it.to_f64()) - UNDER_INTRINSIC);
    let floor = floor.and_then(|it| Price::from_model(it.max(0.0), Side::Sell, grid).ok()).unwrap_or(least);
    grid.step_by(mid, -rungs).max(floor).max(bid).max(least)
}

/// Whole rungs from one instant to another.
fn rungs_between(from: UtcNanos, to: UtcNanos) -> u16 {
    u16::try_from(to.since(from).as_nanos() / RUNG.as_nanos()).unwrap_or(u16::MAX)
}

fn next_due(
    inputs: &FlattenInputs<'_>,
    plan: &FlattenPlan,
    waits_until: Option<UtcNanos>,
) -> Option<UtcNanos> {
    if plan.flat || inputs.now >= inputs.session.close {
        return None;
    }
    let is_busy = !(plan.closes.is_empty() && plan.working.is_empty() && plan.stranded.is_empty());
    let pace = if plan.cancels.is_empty() { RUNG } else { CONFIRM };
    let due = match waits_until {
        Some(start) if !is_busy && plan.cancels.is_empty() => start,
        Some(_) | None => inputs.now.plus(pace),
    };
    Some(due.min(inputs.session.close))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, account};
    use domain::ids::IntentId;
    use domain::money::Usd;
    use domain::order::{BrokerLeg, BrokerStatus};
    use jiff::civil::date;
    use proptest::prelude::*;

    fn call() -> OccSymbol {
        "SPXW261120C05600000".parse().unwrap()
    }

    fn session() -> Session {
        Session::of(DAY).unwrap().unwrap()
    }

    fn quote(bid: u32, ask: u32) -> OptionQuote {
        let price = |cents: u32| (cents > 0).then(|| Price::from_cents(cents));
        OptionQuote { ts: UtcNanos(0), bid: price(bid), ask: price(ask), bid_size: 5, ask_size: 5 }
    }

    fn position(quantity: i64) -> BrokerPosition {
        BrokerPosition { series: call(), quantity, cost_basis: Usd::ZERO }
    }

    fn order(id: u64, tag: Option<OrderTag>, status: BrokerStatus, quantity: u32, cents: u32) -> BrokerOrder {
        BrokerOrder {
            id: BrokerOrderId(id),
            tag,
            status,
            price: Some(Price::from_cents(cents)),
            legs: vec![BrokerLeg {
                series: call(),
                side: Side::Sell,
                opens: false,
                quantity,
                executed: 0,
                average: None,
            }],
            created_at: None,
            changed_at: None,
            reason: None,
        }
    }

    /// One held series, asked at `minutes` and `seconds` before the close.
    struct World {
        session: Session,
        before_close: (u32, u64),
        pass: u32,
        owned: Vec<(OccSymbol, u32)>,
        positions: Vec<BrokerPosition>,
        orders: Vec<BrokerOrder>,
        quote: OptionQuote,
        spot: Option<Points>,
        include_foreign: bool,
    }

    impl World {
        fn new() -> Self {
            Self {
                session: session(),
                before_close: (15, 0),
                pass: 0,
                owned: vec![(call(), 3)],
                positions: vec![position(3)],
                orders: Vec::new(),
                quote: quote(1_000, 1_200),
                spot: Some(Points::whole(5_611)),
                include_foreign: false,
            }
        }

        fn now(&self) -> UtcNanos {
            self.session.before_close(self.before_close.0).plus(Duration::from_secs(self.before_close.1))
        }

        fn inputs<'a>(&'a self, quotes: &'a [(OccSymbol, OptionQuote)]) -> FlattenInputs<'a> {
            FlattenInputs {
                account: account().account,
                pass: self.pass,
                now: self.now(),
                session: &self.session,
                minutes: 15,
                include_foreign: self.include_foreign,
                owned: &self.owned,
                positions: &self.positions,
                orders: &self.orders,
                quotes,
                spot: self.spot,
            }
        }

        fn plan(&self) -> FlattenPlan {
            plan(&self.inputs(&[(call(), self.quote)]))
        }

        fn price(&self) -> u32 {
            self.plan().closes.first().unwrap().price.cents()
        }
    }

    #[test]
    fn it_starts_fifteen_minutes_before_the_close_also_on_short_days() {
        let early = World { before_close: (16, 0), ..World::new() };
        let plan = early.plan();
        assert!(plan.closes.is_empty() && !plan.flat);
        assert_eq!(plan.next_due, Some(session().before_close(15)));
        assert_eq!(World::new().plan().closes.len(), 1);
        let friday = Session::of(date(2026, 11, 27)).unwrap().unwrap();
        assert_eq!(starts_at(&call(), &friday, 15).new_york().to_string(), "2026-11-27T12:45:00");
        let spy: OccSymbol = "SPY261120C00560000".parse().unwrap();
        assert_eq!(starts_at(&spy, &session(), 15).new_york().to_string(), "2026-11-20T15:15:00");
    }

    #[test]
    fn the_offer_goes_from_mid_a_tick_each_rung_to_intrinsic_less_a_half_then_to_the_bid_and_under_it() {
        let table = [
            ((15, 0), 1_100),
            ((15, 9), 1_100),
            ((15, 10), 1_090),
            ((15, 40), 1_060),
            ((14, 0), 1_050),
            ((8, 0), 1_050),
            ((7, 0), 1_000),
            ((7, 10), 990),
            ((7, 30), 960),
        ];
        for (before_close, cents) in table {
            assert_eq!(World { before_close, ..World::new() }.price(), cents, "{before_close:?}");
        }
        let blind = World { spot: None, before_close: (8, 0), ..World::new() };
        assert_eq!(blind.price(), 1_000, "without the index the bid is the floor");
    }

    #[test]
    fn what_nobody_bids_for_is_offered_at_one_tick_and_left_to_settlement() {
        let dead = World { quote: quote(0, 5), ..World::new() };
        let plan = dead.plan();
        let close = plan.closes.first().unwrap();
        assert_eq!((close.price.cents(), close.is_without_bid, plan.flat), (5, true, false));
        let after = World { before_close: (0, 0), ..dead };
        let plan = after.plan();
        assert_eq!((plan.worthless_left, plan.flat, plan.next_due), (vec![(call(), 3)], true, None));
        let worth_something = World { before_close: (0, 0), ..World::new() };
        let plan = worth_something.plan();
        assert_eq!((plan.stranded.len(), plan.flat), (1, false));
    }

    #[test]
    fn it_closes_the_smaller_of_ours_and_the_brokers_and_never_what_is_foreign() {
        for (ours, broker, closes, stranded) in
            [(3, 5, Some(3), None), (3, 2, Some(2), Some("not_at_broker")), (3, 0, None, Some("not_at_broker"))]
        {
            let world =
                World { owned: vec![(call(), ours)], positions: vec![position(broker)], ..World::new() };
            let plan = world.plan();
            assert_eq!(plan.closes.first().map(|it| it.quantity), closes);
            assert_eq!(plan.stranded.first().map(|it| it.reason.as_str()), stranded);
        }
        let foreign = World { owned: Vec::new(), ..World::new() };
        assert!(foreign.plan().flat && foreign.plan().closes.is_empty());
        let handed_over = World { include_foreign: true, ..foreign };
        assert_eq!(handed_over.plan().closes.first().map(|it| it.quantity), Some(3));
        let short = World { positions: vec![position(-1)], ..World::new() };
        let plan = short.plan();
        assert!(plan.closes.is_empty() && !plan.flat && plan.stranded.iter().any(|it| it.reason == "short_at_broker"));
    }

    #[test]
    fn nothing_is_sent_while_an_order_of_ours_works_and_a_foreign_one_is_left_alone() {
        let of_setup = OrderTag { intent: IntentId::of(&[b"stop"]), attempt: AttemptNo::FIRST };
        let busy = World {
            orders: vec![order(7, Some(of_setup), BrokerStatus::PendingCancel, 3, 900)],
            ..World::new()
        };
        let plan = busy.plan();
        assert_eq!((plan.cancels, plan.closes.len()), (vec![BrokerOrderId(7)], 0));
        assert_eq!(plan.next_due, Some(busy.now().plus(CONFIRM)));
        let foreign = World { orders: vec![order(8, None, BrokerStatus::Open, 3, 900)], ..World::new() };
        assert!(foreign.plan().cancels.is_empty() && foreign.plan().closes.len() == 1);
        let ended = World { orders: vec![order(7, Some(of_setup), BrokerStatus::Canceled, 3, 900)], ..World::new() };
        assert_eq!(ended.plan().closes.len(), 1);
    }

    #[test]
    fn a_working_close_of_its_own_is_kept_at_its_rung_and_cancelled_at_the_next() {
        let mut world = World::new();
        let sent = world.plan().closes[0];
        world.orders = vec![order(9, Some(sent.tag), BrokerStatus::Open, 3, sent.price.cents())];
        world.pass = 1;
        assert_eq!(world.plan().working, vec![BrokerOrderId(9)]);
        world.before_close = (15, 10);
        assert_eq!(world.plan().cancels, vec![BrokerOrderId(9)]);
        world.orders = vec![order(9, Some(sent.tag), BrokerStatus::Canceled, 3, sent.price.cents())];
        let again = world.plan().closes[0];
        assert_eq!((again.tag.intent, again.tag.attempt), (sent.tag.intent, AttemptNo(2)));
        world.pass = 0;
        assert!(world.plan().closes.is_empty(), "the same pass is never sent twice");
    }

    #[test]
    fn series_that_trade_on_are_left_alone_and_morning_settled_ones_close_the_session_before() {
        let tomorrow: OccSymbol = "SPXW261123C05600000".parse().unwrap();
        let morning: OccSymbol = "SPX261120C05600000".parse().unwrap();
        assert!(!stops_trading(&tomorrow, &session()) && !stops_trading(&morning, &session()));
        let thursday = Session::of(date(2026, 11, 19)).unwrap().unwrap();
        assert!(stops_trading(&morning, &thursday) && stops_trading(&call(), &session()));
        let world = World { owned: vec![(tomorrow, 2)], ..World::new() };
        assert!(world.plan().flat);
    }

    #[test]
    fn flat_is_flat_and_looks_no_more() {
        let done = World { owned: Vec::new(), positions: Vec::new(), ..World::new() };
        assert_eq!(done.plan(), FlattenPlan { flat: true, ..FlattenPlan::default() });
    }

    #[test]
    fn it_is_wanted_once_execution_is_on_or_something_is_ours() {
        let (off, settings) = (Switches::default(), UserSettings::default());
        let on = Switches { execution_enabled: true, ..off };
        let no = UserSettings { force_flatten: Some(false), ..settings };
        assert!(is_wanted(&on, &no, false) && is_wanted(&off, &settings, true));
        assert!(!is_wanted(&off, &settings, false) && !is_wanted(&off, &no, true));
    }

    #[test]
    fn without_books_ours_is_the_net_of_our_tagged_orders() {
        let tag = Some(OrderTag { intent: IntentId::of(&[b"i"]), attempt: AttemptNo::FIRST });
        let mut bought = order(1, tag, BrokerStatus::Filled, 5, 900);
        bought.legs[0].side = Side::Buy;
        bought.legs[0].executed = 5;
        let mut sold = order(2, tag, BrokerStatus::Canceled, 5, 950);
        sold.legs[0].executed = 2;
        let mut by_hand = order(3, None, BrokerStatus::Filled, 9, 950);
        by_hand.legs[0].side = Side::Buy;
        by_hand.legs[0].executed = 9;
        assert_eq!(owned_by_orders(&[bought, sold, by_hand]), vec![(call(), 3)]);
    }

    proptest! {
        #[test]
        fn prop_never_more_than_ours_or_the_brokers_and_always_on_the_grid(
            ours in 0u32..10, broker in -5i64..10, bid in 0u32..2_000, width in 1u32..300,
            minute in 0u32..16, second in 0u64..60, spot in 5_500i64..5_700, pass in 0u32..200,
        ) {
            let world = World {
                before_close: (minute, second), pass, owned: vec![(call(), ours)],
                positions: vec![position(broker)], quote: quote(bid, bid + width),
                spot: Some(Points::whole(spot)), ..World::new()
            };
            let plan = world.plan();
            for close in &plan.closes {
                prop_assert!(close.quantity <= ours && i64::from(close.quantity) <= broker);
                prop_assert!(TickGrid::FIVE_TEN.holds(close.price) && close.price > Price::ZERO);
            }
            let open = broker > 0 && ours > 0;
            prop_assert!(!open || !plan.flat || !plan.worthless_left.is_empty());
            prop_assert!(plan.flat || plan.next_due.is_some() || world.now() >= world.session.close);
            prop_assert!(plan.next_due.is_none_or(|it| it > world.now() && it <= world.session.close));
        }

        #[test]
        fn prop_on_a_standing_quote_the_offer_only_falls(bid in 5u32..2_000, width in 1u32..300, spot in 5_500i64..5_700) {
            let mut before = u32::MAX;
            for rung in 0..90u64 {
                let world = World {
                    before_close: (15, rung * 10), quote: quote(bid, bid + width),
                    spot: Some(Points::whole(spot)), ..World::new()
                };
                let cents = world.price();
                prop_assert!(cents <= before, "rung {} rose from {} to {}", rung, before, cents);
                before = cents;
            }
        }
    }
}
