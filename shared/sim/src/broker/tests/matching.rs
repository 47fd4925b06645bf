//! How orders execute.

use super::*;

fn cents(cents: i64) -> Usd {
    Usd::from_cents(cents)
}

#[test]
fn a_buy_at_the_ask_takes_what_is_shown_and_the_rest_waits_for_the_next_quote() {
    let mut world = World::new();
    world.quote(CALL, 230, 240, 41, 3);
    let id = world.placed(CALL, "buy_to_open", "5", "2.40");
    assert_eq!(world.order(id), (Status::PartiallyFilled, 3, cents(240)));
    world.quote(CALL, 230, 240, 41, 1);
    assert_eq!(world.order(id), (Status::PartiallyFilled, 4, cents(240)));
    world.quote(CALL, 225, 235, 41, 9);
    assert_eq!(world.order(id), (Status::Filled, 5, cents(239)));
    assert_eq!(world.held(CALL), 5);
}

#[test]
fn two_orders_share_what_one_quote_shows() {
    let mut world = World::new();
    world.quote(CALL, 230, 240, 41, 3);
    let first = world.placed(CALL, "buy_to_open", "2", "2.40");
    let second = world.placed(CALL, "buy_to_open", "2", "2.40");
    assert_eq!((world.order(first).1, world.order(second).1), (2, 1));
}

#[test]
fn the_better_price_goes_first_then_the_older_order_and_a_reprice_goes_to_the_back() {
    let mut world = World::new();
    world.quote(CALL, 230, 240, 41, 0);
    let old = world.placed(CALL, "buy_to_open", "1", "2.45");
    let young = world.placed(CALL, "buy_to_open", "1", "2.45");
    let better = world.placed(CALL, "buy_to_open", "1", "2.50");
    let change = |world: &mut World, id: u64, price| {
        let path = format!("/accounts/{MARGIN}/orders/{id}");
        assert_eq!(world.ask(Method::Put, &path, &[("price", price)]).status, 200);
    };
    change(&mut world, old, "2.40");
    change(&mut world, old, "2.45");
    world.after(Duration::from_millis(1));
    world.quote(CALL, 230, 240, 41, 1);
    assert_eq!(world.order(better).0, Status::Filled);
    world.quote(CALL, 230, 240, 41, 1);
    assert_eq!((world.order(young).0, world.order(old).0), (Status::Filled, Status::Open));
}

#[test]
fn a_limit_at_its_own_touch_waits_until_the_far_touch_comes() {
    let mut world = World::new();
    let id = world.placed(CALL, "buy_to_open", "1", "2.30");
    for _ in 0..500 {
        world.quote(CALL, 230, 240, 41, 37);
    }
    assert_eq!(world.order(id).0, Status::Open);
    world.quote(CALL, 220, 230, 41, 37);
    assert_eq!(world.order(id), (Status::Filled, 1, cents(230)));
}

#[test]
fn a_limit_inside_the_spread_fills_at_its_price_sooner_the_further_through_it_is() {
    let updates = |price: &str| {
        let mut world = World::new();
        world.quote(CALL, 200, 300, 41, 37);
        let id = world.placed(CALL, "buy_to_open", "1", price);
        (0..2_000).find(|_| {
            world.quote(CALL, 200, 300, 41, 37);
            world.order(id).0 == Status::Filled
        })
    };
    let (deep, mid, shy) = (updates("2.95"), updates("2.50"), updates("2.05"));
    assert!(deep.unwrap() < 40, "{deep:?}");
    assert!(mid.unwrap() < 200, "{mid:?}");
    assert!(shy.is_none_or(|it| it > mid.unwrap()), "{shy:?} after {mid:?}");
    assert_eq!(mid, updates("2.50"), "the same seed draws the same");
}

#[test]
fn a_sell_takes_the_bid_and_nothing_sells_to_nobody() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "2", "2.40");
    world.quote(CALL, 0, 5, 0, 10);
    let id = world.placed(CALL, "sell_to_close", "2", "0.05");
    assert_eq!(world.order(id).0, Status::Open);
    world.quote(CALL, 15, 20, 10, 10);
    assert_eq!(world.order(id), (Status::Filled, 2, cents(15)));
    assert_eq!(world.held(CALL), 0);
    let account = world.broker.account(MARGIN).unwrap();
    assert_eq!(account.realized, Usd::from_dollars(2 * (15 - 240)));
    // 0.35 + 0.66 + 0.04 a contract to open, 0.57 below a dollar to close.
    assert_eq!(account.cash, Usd::from_dollars(100_000 - 450) - cents(2 * 105 + 2 * 96));
}

#[test]
fn nothing_executes_on_a_crossed_quote() {
    let mut world = World::new();
    world.quote(CALL, 250, 240, 10, 10);
    let id = world.placed(CALL, "buy_to_open", "1", "2.60");
    assert_eq!(world.order(id).0, Status::Open);
    world.quote(CALL, 230, 240, 10, 10);
    assert_eq!(world.order(id).0, Status::Filled);
}

fn single(world: &mut World, kind: &str, side: &str, extra: &[(&str, &str)]) -> String {
    let form = [
        ("class", "option"),
        ("symbol", "SPX"),
        ("option_symbol", CALL),
        ("side", side),
        ("quantity", "1"),
        ("type", kind),
        ("duration", "day"),
    ];
    let form = [&form[..], extra].concat();
    let body = text(&world.ask(Method::Post, "/accounts/VA00000001/orders", &form));
    world.after(Duration::from_millis(1));
    body
}

#[test]
fn a_market_order_takes_the_touch_and_a_stop_waits_for_the_quote() {
    let mut world = World::new();
    single(&mut world, "market", "buy_to_open", &[("price", ""), ("stop", "")]);
    assert_eq!(world.order(141_000_001), (Status::Filled, 1, cents(240)));
    single(&mut world, "stop", "sell_to_close", &[("stop", "1.50")]);
    assert_eq!(world.order(141_000_002).0, Status::Open);
    world.quote(CALL, 150, 160, 5, 5);
    assert_eq!(world.order(141_000_002), (Status::Filled, 1, cents(150)));
}

#[test]
fn a_stop_limit_rests_at_its_limit_once_triggered() {
    let mut world = World::new();
    single(&mut world, "market", "buy_to_open", &[]);
    single(&mut world, "stop_limit", "sell_to_close", &[("stop", "1.50"), ("price", "1.45")]);
    world.quote(CALL, 120, 130, 5, 5);
    assert_eq!(world.order(141_000_002).0, Status::Open, "the bid fell through the limit");
    world.quote(CALL, 155, 165, 5, 5);
    assert_eq!(world.order(141_000_002), (Status::Filled, 1, cents(155)), "it stays triggered");
}

#[test]
fn several_legs_fill_in_ratio_by_the_smallest_size_or_not_at_all() {
    let mut world = World::new();
    world.quote(CALL, 230, 240, 41, 3);
    let form = [
        ("class", "multileg"),
        ("symbol", "SPX"),
        ("type", "debit"),
        ("price", "1.40"),
        ("duration", "day"),
        ("option_symbol[0]", CALL),
        ("side[0]", "buy_to_open"),
        ("quantity[0]", "2"),
        ("option_symbol[1]", HIGHER),
        ("side[1]", "sell_to_open"),
        ("quantity[1]", "2"),
    ];
    world.quote(HIGHER, 95, 110, 1, 20);
    assert_eq!(world.ask(Method::Post, "/accounts/VA00000001/orders", &form).status, 200);
    world.after(Duration::from_millis(1));
    assert_eq!(world.order(141_000_001).0, Status::Open, "the net is 1.45");
    world.quote(HIGHER, 100, 110, 1, 20);
    assert_eq!((world.held(CALL), world.held(HIGHER)), (1, -1));
    world.quote(HIGHER, 105, 110, 9, 20);
    let order = world.broker.order(141_000_001).unwrap();
    assert_eq!((order.status, order.average()), (Status::Filled, Usd::from_e4(13_750)));
}

#[test]
fn a_fill_between_the_cancel_and_its_effect_wins() {
    let latencies = Latencies { cancel: Duration::from_millis(40), ..Latencies::NONE };
    let mut world = World::with(Rules { latencies, ..Rules::live(7) });
    let id = world.placed(CALL, "buy_to_open", "1", "2.30");
    assert_eq!(world.cancel(id), (200, format!(r#"{{"order":{{"id":{id},"status":"ok"}}}}"#)));
    world.quote(CALL, 220, 230, 10, 10);
    world.after(Duration::from_secs(1));
    assert_eq!(world.order(id).0, Status::Filled);
    assert_eq!(world.cancel(id), (400, "order already in finalized state: filled".to_owned()));
}

#[test]
fn a_cancel_after_a_part_keeps_the_part() {
    let mut world = World::new();
    world.quote(CALL, 230, 240, 41, 1);
    let id = world.placed(CALL, "buy_to_open", "3", "2.40");
    world.cancel(id);
    world.after(Duration::from_millis(1));
    assert_eq!(world.order(id), (Status::Canceled, 1, cents(240)));
    let row = world.get(&format!("/accounts/{MARGIN}/orders/{id}"), &[]);
    assert!(row.contains(r#""exec_quantity":1.0"#) && row.contains(r#""remaining_quantity":0.0"#), "{row}");
    assert_eq!(world.cancel(id), (400, "order already in finalized state: canceled".to_owned()));
}

#[test]
fn a_fill_may_show_its_status_before_its_price() {
    let latencies = Latencies { average: Duration::from_millis(500), ..Latencies::NONE };
    let mut world = World::with(Rules { latencies, ..Rules::live(7) });
    let id = world.placed(CALL, "buy_to_open", "1", "2.40");
    let path = format!("/accounts/{MARGIN}/orders/{id}");
    let early = world.get(&path, &[]);
    assert!(early.contains(r#""status":"filled""#) && early.contains(r#""avg_fill_price":0.0"#), "{early}");
    world.after(Duration::from_secs(1));
    assert!(world.get(&path, &[]).contains(r#""avg_fill_price":2.4"#));
}

#[test]
fn latencies_hold_acceptance_execution_and_the_list_back() {
    let mut world = World::with(Rules::live(7));
    world.limit(CALL, "buy_to_open", "1", "2.40");
    assert_eq!(world.get("/accounts/VA00000001/orders", &[]), r#"{"orders":"null"}"#);
    assert_eq!(world.broker.next_due(), Some(world.now.plus(Duration::from_millis(60))));
    world.after(Duration::from_millis(59));
    assert_eq!(world.order(141_000_001).0, Status::Pending);
    world.after(Duration::from_millis(1));
    assert_eq!(world.order(141_000_001).0, Status::Open);
    world.after(Duration::from_millis(40));
    assert_eq!(world.order(141_000_001).0, Status::Filled);
}
