//! What expires, settles, is delivered, and what is told of it the day after.

use super::*;

const MORNING: &str = "SPX261120C05600000";
const SPY_CALL: &str = "SPY261120C00560000";
const SPY_PUT: &str = "SPY261120P00560000";

/// With series of every settlement, held as given, at the close of their day.
fn expired(list: &[(&str, &str, u32)], spot: f64) -> World {
    let mut world = World::with(Rules { latencies: Latencies::NONE, limits: Limits::Off, ..Rules::live(7) });
    world.stock(561.00, 561.02, 1_000);
    world.print(561.0);
    for (series, side, count) in list {
        world.quote(series, 200, 210, 50, 50);
        let order = ForeignOrder {
            account: MARGIN.to_owned(),
            series: series.parse().unwrap(),
            side: LegSide::parse(side).unwrap(),
            quantity: *count,
            price: None,
            tag: None,
        };
        world.broker.place_foreign(world.now, order).unwrap();
        world.after(Duration::from_millis(1));
    }
    world.now = world.broker.session().close.minus(Duration::from_secs(1));
    world.index(spot * 10.0);
    world.print(spot);
    world.after(Duration::from_secs(300));
    world
}

/// The session after, with nothing listed.
fn next_day(world: &mut World) {
    let next = world.broker.session().next().unwrap();
    world.broker.start_session(next, &[]);
    world.now = next.open;
    world.broker.advance(world.now);
}

#[test]
fn calls_on_shares_are_exercised_a_cent_in_the_money_and_the_shares_cost_the_strike() {
    let mut world = expired(&[(SPY_CALL, "buy_to_open", 2)], 560.01);
    assert_eq!((world.held(SPY_CALL), world.shares()), (0, 200));
    assert_eq!(world.account().shares[&Underlying::SPY].cost, Usd::from_dollars(112_000));
    let lines = world.broker.take_transcript();
    let delivered = lines.iter().find(|it| matches!(it.event, TranscriptEvent::Delivered { .. })).unwrap();
    assert!(
        serde_json::to_string(delivered).unwrap().contains(r#""quantity":2,"shares":200,"cash":-1120000000"#)
    );
    let facts = Facts::from_transcript(&lines).accounts[MARGIN].clone();
    assert_eq!(facts.realized_pnl, -Usd::from_dollars(420) - facts.fees, "the premium is gone");
}

#[test]
fn at_the_strike_nothing_is_exercised() {
    let world = expired(&[(SPY_CALL, "buy_to_open", 1), (SPY_PUT, "buy_to_open", 1)], 560.0);
    assert_eq!((world.held(SPY_CALL), world.held(SPY_PUT), world.shares()), (0, 0, 0));
}

#[test]
fn short_puts_are_assigned_and_shares_come_at_the_strike() {
    let mut world = expired(&[(SPY_PUT, "sell_to_open", 1)], 550.0);
    let before = world.account().cash;
    assert_eq!(world.shares(), 100);
    world.stock(550.0, 550.02, 500);
    next_day(&mut world);
    world.stock(551.0, 551.02, 500);
    let sold = world.taken("class=equity symbol=SPY side=sell quantity=100 type=market duration=day");
    assert_eq!(world.status(sold), Status::Filled);
    assert_eq!(world.account().cash - before, Usd::from_dollars(55_100));
}

#[test]
fn a_long_put_sells_the_shares_that_are_held() {
    let mut world = World::with(Rules { latencies: Latencies::NONE, ..Rules::live(7) });
    world.stock(561.00, 561.00, 1_000);
    world.quote(SPY_PUT, 200, 210, 50, 50);
    world.taken("class=combo symbol=SPY type=debit price=563.10 duration=day side[0]=buy quantity[0]=100 option_symbol[1]=SPY261120P00560000 side[1]=buy_to_open quantity[1]=1");
    assert_eq!((world.shares(), world.held(SPY_PUT)), (100, 1));
    world.now = world.broker.session().close.minus(Duration::from_secs(1));
    world.print(540.0);
    world.after(Duration::from_secs(300));
    assert_eq!((world.shares(), world.held(SPY_PUT)), (0, 0));
    assert_eq!(world.account().realized, Usd::from_dollars(-100 - 210), "a dollar a share and the premium");
}

#[test]
fn series_that_settle_in_the_morning_do_so_on_the_first_value_and_trade_no_more_that_day() {
    let mut world = expired(&[(CALL, "buy_to_open", 1)], 565.0);
    // The index opened at 5,611.25 and closed at 5,650.
    assert_eq!(world.account().realized, Usd::from_dollars(100 * 40 - 210));
    let mut morning = World::new();
    morning.quote(MORNING, 1_000, 1_010, 9, 9);
    let refused = morning.limit(MORNING, "buy_to_open", "1", "10.10");
    assert!(refused.contains("TradingDeniedForSecurity"), "{refused}");
    let thursday = Session::of(date(2026, 11, 19)).unwrap().unwrap();
    let friday = thursday.next().unwrap();
    let mut config = config(Rules { latencies: Latencies::NONE, ..Rules::live(7) });
    config.session = thursday;
    config.series.push(ListedSeries { series: MORNING.parse().unwrap(), open_interest: None });
    let mut eve = World { broker: Sandbox::new(config), now: thursday.open, token: "stub-token" };
    eve.index(5_600.0);
    eve.quote(MORNING, 1_000, 1_010, 9, 9);
    eve.now = thursday.close.plus(Duration::from_secs(60));
    eve.quote(MORNING, 1_000, 1_010, 9, 9);
    eve.placed(MORNING, "buy_to_open", "1", "10.10");
    assert_eq!(eve.held(MORNING), 1, "on the eve it trades to a quarter past four");
    eve.broker
        .start_session(friday, &[ListedSeries { series: MORNING.parse().unwrap(), open_interest: None }]);
    eve.now = friday.open;
    eve.index(5_630.0);
    eve.now = friday.close;
    eve.index(5_700.0);
    eve.after(Duration::from_secs(300));
    assert_eq!(eve.account().realized, Usd::from_dollars(30 * 100 - 1_010));
    world.broker.take_transcript();
}

#[test]
fn without_a_value_a_position_stays() {
    let mut world = World::with(Rules { latencies: Latencies::NONE, ..Rules::live(7) });
    world.quote(SPY_CALL, 200, 210, 50, 50);
    world.taken("class=option symbol=SPY option_symbol=SPY261120C00560000 side=buy_to_open quantity=1 type=market duration=day");
    world.now = world.broker.session().close;
    world.after(Duration::from_secs(300));
    assert_eq!(world.held(SPY_CALL), 1);
}

#[test]
fn an_order_good_till_canceled_outlives_the_session_but_not_its_series() {
    let mut world = World::new();
    let form = |series: &str, price: &str| {
        format!(
            "class=option symbol=SPX option_symbol={series} side=buy_to_open quantity=1 type=limit price={price} duration=gtc"
        )
    };
    let dies = world.taken(&form(CALL, "2.00"));
    let lives = world.taken(&form(TOMORROW, "8.00"));
    world.now = world.broker.session().close;
    world.after(Duration::from_secs(3_600));
    assert_eq!((world.status(dies), world.status(lives)), (Status::Canceled, Status::Open));
    let next = world.broker.session().next().unwrap();
    world
        .broker
        .start_session(next, &[ListedSeries { series: TOMORROW.parse().unwrap(), open_interest: None }]);
    world.now = next.open;
    assert!(world.get("/accounts/VA00000001/orders", &[]).contains(&format!(r#""id":{lives},"#)));
    world.quote(TOMORROW, 790, 800, 5, 5);
    assert_eq!(world.status(lives), Status::Filled);
    let practice = Practice { earlier_listed: false, ..Practice::USUAL };
    let mut forgetful = World::with(Rules { practice, latencies: Latencies::NONE, ..Rules::live(7) });
    let id = forgetful.taken(&form(TOMORROW, "8.00"));
    forgetful
        .broker
        .start_session(next, &[ListedSeries { series: TOMORROW.parse().unwrap(), open_interest: None }]);
    forgetful.now = next.open;
    assert_eq!(forgetful.get("/accounts/VA00000001/orders", &[]), r#"{"orders":"null"}"#);
    assert_eq!(forgetful.status(id), Status::Open);
}

#[test]
fn a_new_session_lets_the_old_one_end_first() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "1", "2.40");
    let day = world.placed(CALL, "buy_to_open", "1", "2.00");
    let next = world.broker.session().next().unwrap();
    world.broker.start_session(next, &[]);
    assert_eq!(world.held(CALL), 0, "it settled");
    assert!(world.broker.order(day).is_none());
    let closed = world
        .broker
        .take_transcript()
        .iter()
        .filter(|it| matches!(it.event, TranscriptEvent::SessionClosed { .. }))
        .count();
    assert_eq!(closed, 1);
}

#[test]
fn gain_and_loss_shows_the_day_after_by_position_and_date() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "2", "2.40");
    world.placed(CALL, "sell_to_close", "1", "2.30");
    world.placed(CALL, "sell_to_close", "1", "2.30");
    world.placed(PUT, "buy_to_open", "1", "1.55");
    let path = "/accounts/VA00000001/gainloss";
    assert_eq!(world.get(path, &[]), r#"{"gainloss":"null"}"#);
    next_day(&mut world);
    assert_eq!(
        world.get(path, &[("sortBy", "openDate"), ("sort", "asc")]),
        r#"{"gainloss":{"closed_position":[{"close_date":"2026-11-20T00:00:00.000Z","cost":480.0,"gain_loss":-20.0,"gain_loss_percent":-4.17,"open_date":"2026-11-20T00:00:00.000Z","proceeds":460.0,"quantity":2.0,"symbol":"SPXW261120C05610000","term":0},{"close_date":"2026-11-20T00:00:00.000Z","cost":155.0,"gain_loss":-155.0,"gain_loss_percent":-100.0,"open_date":"2026-11-20T00:00:00.000Z","proceeds":0.0,"quantity":1.0,"symbol":"SPXW261120P05600000","term":0}]}}"#
    );
    let one = world.get(path, &[("symbol", PUT)]);
    assert!(one.starts_with(r#"{"gainloss":{"closed_position":{"close_date""#), "one is an object: {one}");
    for (query, expected) in [
        (("page", "2"), r#"{"gainloss":"null"}"#),
        (("start", "2026-11-21"), r#"{"gainloss":"null"}"#),
        (("start", "yesterday"), "Invalid parameter, start: must be a date such as 2026-11-20."),
        (("sortBy", "size"), "Invalid parameter, sortBy: is not valid."),
        (("sort", "up"), "Invalid parameter, sort: is not valid."),
        (("limit", "0"), "Invalid parameter, limit: must be between 1 and 10000."),
    ] {
        assert_eq!(world.get(path, &[query]), expected, "{query:?}");
    }
}

#[test]
fn history_shows_trades_fees_and_ends_of_options_the_day_after() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "2", "2.40");
    let path = "/accounts/VA00000001/history";
    assert_eq!(world.get(path, &[]), r#"{"history":"null"}"#);
    next_day(&mut world);
    assert_eq!(
        world.get(path, &[]),
        r#"{"history":{"event":[{"amount":250.0,"date":"2026-11-20T00:00:00.000Z","type":"option","option":{"option_type":"exercise","description":"SPXW Nov 20 2026 $5610.00 Call","quantity":2.0}},{"amount":-1.4,"date":"2026-11-20T00:00:00.000Z","type":"fee","fee":{"description":"Exchange and regulatory fees","quantity":0.0}},{"amount":-480.7,"date":"2026-11-20T00:00:00.000Z","type":"trade","trade":{"commission":0.7,"description":"SPXW Nov 20 2026 $5610.00 Call","price":2.4,"quantity":2.0,"symbol":"SPXW261120C05610000","trade_type":"Option"}}]}}"#
    );
    assert_eq!(world.account().reports.moved(), world.account().cash - Usd::from_dollars(100_000));
    assert!(world.get(path, &[("type", "trade,option")]).matches("\"type\":").count() == 2);
    for (query, rows) in
        [(("symbol", "SPX"), 2), (("symbol", CALL), 2), (("symbol", "SPY"), 0), (("limit", "1"), 1)]
    {
        assert_eq!(world.get(path, &[query]).matches("\"type\":").count(), rows, "{query:?}");
    }
    assert_eq!(world.get(path, &[("symbol", "SPX"), ("exactMatch", "true")]), r#"{"history":"null"}"#);
    assert_eq!(world.get(path, &[("type", "gift")]), "Invalid parameter, type: is not valid.");
}
