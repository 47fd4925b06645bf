//! The flatten, pass by pass.

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
    is_all: bool,
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
            is_all: false,
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
            is_all: self.is_all,
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
    assert_eq!(starts_at(&spy, &friday, 15).new_york().to_string(), "2026-11-27T12:15:00");
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
        let world = World { owned: vec![(call(), ours)], positions: vec![position(broker)], ..World::new() };
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
    assert!(
        plan.closes.is_empty() && !plan.flat && plan.stranded.iter().any(|it| it.reason == "short_at_broker")
    );
}

#[test]
fn without_a_quote_a_patient_pass_waits_and_a_late_one_offers_at_one_tick() {
    let early = World { before_close: (14, 0), ..World::new() };
    let blind = plan(&early.inputs(&[]));
    assert_eq!((blind.closes.len(), blind.flat, blind.next_due), (0, false, Some(early.now().plus(RUNG))));
    let late = World { before_close: (7, 0), ..World::new() };
    assert_eq!(plan(&late.inputs(&[])).closes[0].price.cents(), 5);
}

#[test]
fn what_the_broker_does_not_show_is_looked_for_until_the_close() {
    let lagging = World { positions: Vec::new(), ..World::new() };
    let plan = lagging.plan();
    assert_eq!((plan.flat, plan.next_due), (false, Some(lagging.now().plus(RUNG))));
    let after = World { before_close: (0, 0), ..lagging };
    assert_eq!((after.plan().flat, after.plan().stranded.len()), (true, 1));
}

#[test]
fn nothing_is_sent_while_an_order_of_ours_works_and_a_foreign_one_is_left_alone() {
    let of_setup = OrderTag { intent: IntentId::of(&[b"stop"]), attempt: AttemptNo::FIRST };
    let busy =
        World { orders: vec![order(7, Some(of_setup), BrokerStatus::PendingCancel, 3, 900)], ..World::new() };
    let plan = busy.plan();
    assert_eq!((plan.cancels, plan.closes.len()), (vec![BrokerOrderId(7)], 0));
    assert_eq!(plan.next_due, Some(busy.now().plus(CONFIRM)));
    let foreign = World { orders: vec![order(8, None, BrokerStatus::Open, 3, 900)], ..World::new() };
    assert!(foreign.plan().cancels.is_empty() && foreign.plan().closes.len() == 1);
    let ended =
        World { orders: vec![order(7, Some(of_setup), BrokerStatus::Canceled, 3, 900)], ..World::new() };
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

#[test]
fn what_was_handed_over_is_closed_whole_with_ours_and_never_more_than_the_broker_shows() {
    let series: OccSymbol = "SPXW261120C05605000".parse().unwrap();
    let shown = |quantity| vec![BrokerPosition { series, quantity, cost_basis: Usd::ZERO }];
    for (ours, taken, broker, closed) in [
        (0, 2, 2, 2),
        (0, 5, 2, 2),
        (3, 2, 5, 5),
        (3, 2, 3, 3),
        (0, 2, 0, 0),
        (0, 2, -2, 0),
        (1, u32::MAX, 4, 4),
    ] {
        let owned = if ours > 0 { vec![(series, ours)] } else { Vec::new() };
        let all = with_taken_over(owned, &[(series, taken)], &shown(broker));
        let sum: u32 = all.iter().map(|it| it.1).sum();
        assert_eq!(sum, closed, "{ours} ours, {taken} handed over, {broker} at the broker");
    }
}

#[test]
fn what_delivers_shares_starts_at_a_quarter_past_three_and_takes_the_bid_before_half_past() {
    let spy: OccSymbol = "SPY261120C00560000".parse().unwrap();
    let quote = quote(500, 520);
    let offered = |minute: u32, second: u64| {
        let world = World {
            before_close: (minute, second),
            owned: vec![(spy, 3)],
            positions: vec![BrokerPosition { series: spy, ..position(3) }],
            spot: None,
            ..World::new()
        };
        world_plan(&world, &[(spy, quote)])
    };
    assert!(offered(46, 0).closes.is_empty());
    assert_eq!(offered(45, 0).closes[0].price.cents(), 510, "from mid");
    assert_eq!(offered(38, 0).closes[0].price.cents(), 500);
    assert_eq!(offered(37, 10).closes[0].price.cents(), 499, "and under the bid from then on");
}

fn world_plan(world: &World, quotes: &[(OccSymbol, OptionQuote)]) -> FlattenPlan {
    plan(&world.inputs(quotes))
}

#[test]
fn a_short_opened_by_hand_is_told_and_its_cover_is_not_sold() {
    let short: OccSymbol = "SPXW261120C05620000".parse().unwrap();
    let far: OccSymbol = "SPXW261120C05630000".parse().unwrap();
    let put: OccSymbol = "SPXW261120P05600000".parse().unwrap();
    let of = |series, quantity| BrokerPosition { series, ..position(quantity) };
    let world = World {
        include_foreign: true,
        owned: vec![(call(), 1)],
        positions: vec![of(call(), 3), of(short, -2), of(far, 2), of(put, 1)],
        ..World::new()
    };
    let quotes = [call(), short, far, put].map(|it| (it, quote(1_000, 1_200)));
    let plan = world_plan(&world, &quotes);
    let closes: Vec<_> = plan.closes.iter().map(|it| (it.series, it.quantity)).collect();
    assert_eq!(closes, [(call(), 1), (put, 1)], "ours alone beside a short, and what covers nothing");
    let told: Vec<_> = plan.stranded.iter().map(|it| (it.series, it.reason.as_str())).collect();
    let want = [(call(), "covers_foreign_short"), (short, "foreign_short"), (far, "covers_foreign_short")];
    assert_eq!(told, want);
    let plan = world_plan(&World { include_foreign: false, ..world }, &quotes);
    assert!(plan.stranded.is_empty(), "nobody asked");
}

#[test]
fn a_hard_stop_closes_series_that_trade_on_too() {
    let later: OccSymbol = "SPXW261123C05605000".parse().unwrap();
    let world = World {
        is_all: true,
        owned: vec![(later, 3)],
        positions: vec![BrokerPosition { series: later, ..position(3) }],
        ..World::new()
    };
    let quotes = [(later, quote(1_000, 1_200))];
    assert_eq!(world_plan(&world, &quotes).closes.len(), 1);
    let over = World { before_close: (0, 0), ..world };
    let plan = world_plan(&over, &quotes);
    assert!(plan.worthless_left.is_empty() && !plan.flat, "it is not settled tonight");
}

#[test]
fn a_close_around_the_note_counts_by_what_the_broker_still_shows() {
    let names = intents_of(account().account, &session(), &call());
    let noted_at = session().before_close(14);
    let sold = |seconds: i64| {
        let tag = OrderTag { intent: names[0], attempt: AttemptNo(7) };
        let mut sold = order(1, Some(tag), BrokerStatus::Filled, 2, 500);
        sold.legs[0].executed = 2;
        sold.created_at = Some(UtcNanos(noted_at.0 + seconds * 1_000_000_000));
        sold.changed_at = sold.created_at;
        sold
    };
    let left = |seconds, shown| {
        let positions = [position(shown)];
        left_of_note(&call(), 3, (&names, noted_at), &[sold(seconds)], &positions)
    };
    // Surely after the note, and surely in it.
    assert_eq!((left(3, 1), left(-3, 3)), (1, 3));
    // Within what clocks may differ: all the broker shows, up to the note, is ours.
    for seconds in [-1, 0, 1] {
        assert_eq!((left(seconds, 1), left(seconds, 3)), (3, 3), "{seconds}");
        // More than the note knows was opened by hand: what is surely left counts.
        assert_eq!(left(seconds, 4), 1, "{seconds}");
    }
}
