//! Option levels, buying power, day trades as of the date, unsettled money, and the switches of what sources do not
//! agree on.

use super::*;

const PUT_SPY: &str = "SPY261120P00550000";
const CALL_SPY: &str = "SPY261120C00565000";

fn of(kind: AccountType, option_level: u8, dollars: i64, rules: Rules) -> World {
    let mut config = config(rules);
    let account = &mut config.users[0].accounts[0];
    (account.kind, account.option_level, account.cash) = (kind, option_level, Usd::from_dollars(dollars));
    let now = at_new_york(date(2026, 11, 20), time(10, 0, 0, 0));
    let mut world = World { broker: Sandbox::new(config), now, token: "stub-token" };
    world.index(5_611.25);
    world.quote(CALL, 230, 240, 41, 37);
    world.quote(HIGHER, 100, 110, 20, 20);
    world.quote(PUT_SPY, 100, 105, 50, 50);
    world.quote(CALL_SPY, 120, 125, 50, 50);
    world.stock(561.00, 561.02, 500);
    world.print(561.00);
    world
}

fn quick() -> Rules {
    Rules { latencies: Latencies::NONE, limits: Limits::Off, ..Rules::live(7) }
}

fn single(symbol: &str, series: &str, side: &str, price: &str) -> String {
    format!(
        "class=option symbol={symbol} option_symbol={series} side={side} quantity=1 type=limit price={price} duration=day"
    )
}

const SPREAD: &str = "class=multileg symbol=SPX type=credit price=1.20 duration=day option_symbol[0]=SPXW261120C05610000 side[0]=sell_to_open quantity[0]=1 option_symbol[1]=SPXW261120C05620000 side[1]=buy_to_open quantity[1]=1";

#[test]
fn each_option_level_says_by_its_code_what_it_does_not_trade() {
    let ok = |body: &str| if number(body).is_some() { "taken".to_owned() } else { body.to_owned() };
    let table = [
        (0, ["OptionLevelRestriction", "OptionLevelRestriction", "OptionLevelRestriction"]),
        (1, ["LongOptionTradingDeniedForAccount", "SpreadTradingDeniedForAccount", "taken"]),
        (2, ["taken", "SpreadTradingDeniedForAccount", "taken"]),
        (3, ["taken", "taken", "taken"]),
        (6, ["taken", "taken", "taken"]),
    ];
    for (level, expected) in table {
        let mut world = of(AccountType::Margin, level, 100_000, quick());
        let forms = [
            single("SPX", TOMORROW, "buy_to_open", "2.00"),
            SPREAD.to_owned(),
            single("SPY", PUT_SPY, "sell_to_open", "1.20"),
        ];
        for (form, expected) in forms.iter().zip(expected) {
            let expected = if expected == "taken" { expected.to_owned() } else { refusal(expected) };
            assert_eq!(ok(&world.post(MARGIN, form)), expected, "level {level}: {form}");
        }
        let naked = world.post(MARGIN, &single("SPX", HIGHER, "sell_to_open", "1.20"));
        let expected =
            if level == 0 { "OptionLevelRestriction" } else { "ShortOptionTradingDeniedForAccount" };
        assert_eq!(naked, refusal(expected), "level {level}");
    }
}

#[test]
fn a_cash_account_buys_and_writes_against_cash_but_trades_no_spread() {
    let mut world = of(AccountType::Cash, 6, 60_000, quick());
    assert_eq!(world.post(MARGIN, SPREAD), refusal("SpreadTradingDeniedForAccount"));
    world.taken(&single("SPY", PUT_SPY, "sell_to_open", "1.00"));
    assert_eq!(world.held(PUT_SPY), -1);
    let body = world.get("/accounts/VA00000001/balances", &[]);
    // 60,000 and 100 of premium that has not settled less charges; the strike is set aside.
    assert!(body.contains(r#""option_requirement":55000.0"#), "{body}");
    assert!(body.contains(r#""cash_available":4999.61,"sweep":0,"unsettled_funds":100.0"#), "{body}");
    assert_eq!(
        world.post(MARGIN, &single("SPY", PUT_SPY, "sell_to_open", "1.00")),
        sentence("You do not have enough buying power for this trade.")
    );
}

#[test]
fn calls_are_written_against_shares_and_the_shares_stay() {
    let mut world = of(AccountType::Margin, 1, 100_000, quick());
    assert_eq!(
        world.post(MARGIN, &single("SPY", CALL_SPY, "sell_to_open", "1.20")),
        refusal("ShortOptionTradingDeniedForAccount")
    );
    world.taken("class=equity symbol=SPY side=buy quantity=100 type=market duration=day");
    let resting = world.taken(&single("SPY", CALL_SPY, "sell_to_open", "1.80"));
    assert_eq!(
        world.post(MARGIN, &single("SPY", CALL_SPY, "sell_to_open", "1.80")),
        refusal("ShortOptionTradingDeniedForAccount"),
        "the shares cover one of them"
    );
    let id = world.taken("class=equity symbol=SPY side=sell quantity=100 type=market duration=day");
    assert_eq!(world.status(id), Status::Rejected, "the order at the market relies on them");
    world.cancel(resting);
    world.after(Duration::from_millis(1));
    let id = world.taken("class=equity symbol=SPY side=sell quantity=100 type=market duration=day");
    assert_eq!((world.status(id), world.shares()), (Status::Filled, 0));
}

#[test]
fn a_short_leg_may_rely_on_a_long_one_that_is_held_and_nobody_sells_that() {
    let mut world = of(AccountType::Margin, 3, 100_000, quick());
    world.taken(&single("SPX", CALL, "buy_to_open", "2.40"));
    world.taken(&single("SPX", HIGHER, "sell_to_open", "1.00"));
    assert_eq!((world.held(CALL), world.held(HIGHER), world.account().required), (1, -1, Usd::ZERO));
    let id = world.taken(&single("SPX", CALL, "sell_to_close", "2.30"));
    assert_eq!(world.status(id), Status::Rejected);
    let mut lower = of(AccountType::Margin, 2, 100_000, quick());
    lower.taken(&single("SPX", CALL, "buy_to_open", "2.40"));
    assert_eq!(
        lower.post(MARGIN, &single("SPX", HIGHER, "sell_to_open", "1.00")),
        refusal("SpreadTradingDeniedForAccount")
    );
}

#[test]
fn naked_shorts_are_margined_from_level_five_on_where_the_practice_has_them() {
    let practice = Practice { naked_shorts: true, ..Practice::USUAL };
    let rules = Rules { practice, ..quick() };
    let mut world = of(AccountType::Margin, 5, 100_000, rules.clone());
    world.taken(&single("SPX", HIGHER, "sell_to_open", "1.00"));
    // 15 % of 5,611.25 less 8.75 out of the money, and the mark of 1.05.
    assert_eq!(world.broker.option_requirement(world.account()), Some(Usd::from_e4(8_339_875).times(100)));
    assert!(
        world.post(MARGIN, &single("SPX", HIGHER, "sell_to_open", "1.00")).contains("enough buying power")
    );
    let mut lower = of(AccountType::Margin, 4, 100_000, rules);
    assert_eq!(
        lower.post(MARGIN, &single("SPX", HIGHER, "sell_to_open", "1.00")),
        refusal("ShortOptionTradingDeniedForAccount")
    );
}

#[test]
fn closing_a_spread_needs_no_more_money_than_it_sets_free() {
    let mut world = of(AccountType::Margin, 3, 1_010, quick());
    world.taken(SPREAD);
    assert_eq!((world.held(CALL), world.account().required), (-1, Usd::from_dollars(1_000)));
    world.quote(CALL, 590, 600, 9, 9);
    let close = SPREAD.replace("sell_to_open", "buy_to_close").replace("buy_to_open", "sell_to_close");
    let id = world.taken(&close.replace("credit price=1.20", "debit price=5.00"));
    assert_eq!((world.status(id), world.account().required), (Status::Filled, Usd::ZERO));
}

/// A round trip in [`CALL`], a day trade.
fn round_trip(world: &mut World) -> String {
    world.quote(CALL, 230, 240, 41, 37);
    let body = world.post(MARGIN, &single("SPX", CALL, "buy_to_open", "2.40"));
    if number(&body).is_some() {
        world.taken(&single("SPX", CALL, "sell_to_close", "2.30"));
    }
    body
}

#[test]
fn until_the_change_four_day_trades_make_a_pattern_and_a_small_account_stops_opening() {
    let practice = Practice { intraday_margin_from: date(2027, 10, 20), ..Practice::USUAL };
    let mut world = of(AccountType::Margin, 6, 24_000, Rules { practice, ..quick() });
    for _ in 0..4 {
        assert!(number(&round_trip(&mut world)).is_some());
    }
    assert_eq!(round_trip(&mut world), refusal("DayTraderPatternRestriction"));
    let profile = world.get("/user/profile", &[]);
    assert!(profile.contains(r#""day_trader":true"#) && profile.contains(r#""type":"margin""#), "{profile}");
    assert!(world.get("/accounts/VA00000001/balances", &[]).contains(r#""account_type":"pdt""#));
    let next = world.broker.session().next().unwrap();
    world
        .broker
        .start_session(next, &[ListedSeries { series: TOMORROW.parse().unwrap(), open_interest: None }]);
    world.now = next.open;
    world.quote(TOMORROW, 230, 240, 9, 9);
    let form = single("SPX", TOMORROW, "buy_to_open", "2.40");
    assert_eq!(world.post(MARGIN, &form), refusal("TooSmallEquityForDayTrading"));
}

#[test]
fn until_the_change_a_pattern_day_trader_opens_for_four_times_what_the_morning_had() {
    let practice = Practice { intraday_margin_from: date(2027, 10, 20), ..Practice::USUAL };
    let mut world = of(AccountType::Pdt, 6, 26_000, Rules { practice, ..quick() });
    world.quote(CALL, 9_990, 10_000, 900, 900);
    let mut last = String::new();
    let mut trips = 0;
    while trips < 20 {
        let buy = "class=option symbol=SPX option_symbol=SPXW261120C05610000 side=buy_to_open quantity=2 type=limit price=100.00 duration=day";
        last = world.post(MARGIN, buy);
        if number(&last).is_none() {
            break;
        }
        world.taken("class=option symbol=SPX option_symbol=SPXW261120C05610000 side=sell_to_close quantity=2 type=limit price=99.90 duration=day");
        trips += 1;
    }
    // 104,000 of day-trading buying power, 20,000 a trip.
    assert_eq!((trips, last), (5, refusal("DayTradingBuyingPowerExceeded")));
}

#[test]
fn since_the_change_there_is_no_count_no_minimum_and_no_designation() {
    let mut world = of(AccountType::Margin, 6, 3_000, quick());
    for _ in 0..6 {
        assert!(number(&round_trip(&mut world)).is_some());
    }
    assert!(world.get("/user/profile", &[]).contains(r#""day_trader":false"#));
    let preview = world.post(MARGIN, &format!("{} preview=true", single("SPX", CALL, "buy_to_open", "2.40")));
    assert!(preview.contains(r#""day_trades":6"#), "previews still tell them: {preview}");
    world.taken(&single("SPX", CALL, "buy_to_open", "2.40"));
    let preview =
        world.post(MARGIN, &format!("{} preview=true", single("SPX", CALL, "sell_to_close", "2.30")));
    assert!(preview.contains(r#""day_trades":7"#), "with the one this would be: {preview}");
    assert!(preview.contains(r#""cost":-"#) && preview.contains(r#""order_cost":-230.0"#), "{preview}");
}

#[test]
fn what_was_sold_settles_with_the_next_session() {
    let mut world = of(AccountType::Cash, 2, 1_000, quick());
    world.taken("class=option symbol=SPX option_symbol=SPXW261120C05610000 side=buy_to_open quantity=4 type=limit price=2.40 duration=day");
    world.taken("class=option symbol=SPX option_symbol=SPXW261120C05610000 side=sell_to_close quantity=4 type=limit price=2.30 duration=day");
    assert!(round_trip(&mut world).contains("enough buying power"));
    let next = world.broker.session().next().unwrap();
    world
        .broker
        .start_session(next, &[ListedSeries { series: TOMORROW.parse().unwrap(), open_interest: None }]);
    world.now = next.open;
    world.quote(TOMORROW, 230, 240, 9, 9);
    assert!(number(&world.post(MARGIN, &single("SPX", TOMORROW, "buy_to_open", "2.40"))).is_some());
}

#[test]
fn switches_turn_what_sources_do_not_agree_on() {
    let with = |practice: Practice| of(AccountType::Margin, 6, 100_000, Rules { practice, ..quick() });
    let usual = Practice::USUAL;
    let off_grid = single("SPX", CALL, "buy_to_open", "2.03");
    assert_eq!(
        with(Practice { ticks_at_once: true, ..usual }).post(MARGIN, &off_grid),
        refusal("OrderPriceIsInvalid")
    );
    let by_root = single("SPXW", CALL, "buy_to_open", "2.00");
    assert_eq!(
        with(Practice { strict_symbol: true, ..usual }).post(MARGIN, &by_root),
        "Invalid parameter, symbol: is not valid"
    );
    let mut paged = with(Practice { page_rows: 25, ..usual });
    for _ in 0..30 {
        paged.taken(&single("SPX", CALL, "buy_to_open", "2.00"));
    }
    let list = paged.get("/accounts/VA00000001/orders", &[]);
    assert_eq!(list.matches(r#""id":"#).count(), 25);
    let mut world = with(Practice { averages_missing: true, equity_frozen: true, ..usual });
    world.taken("class=option symbol=SPX option_symbol=SPXW261120C05610000 side=buy_to_open quantity=1 type=market duration=day");
    assert!(world.row(141_000_001).contains(r#""status":"filled","duration":"day","avg_fill_price":null"#));
    assert!(world.get("/accounts/VA00000001/balances", &[]).contains(r#""total_equity":100000.0"#));
    let latencies = Latencies { cancel: Duration::from_millis(40), ..Latencies::NONE };
    let practice = Practice { pending_cancel: true, ..usual };
    let mut world = of(AccountType::Margin, 6, 100_000, Rules { practice, latencies, ..quick() });
    let id = world.taken(&single("SPX", CALL, "buy_to_open", "2.00"));
    assert!(world.cancel(id).1.contains(r#""status":"pending_cancel""#));
    assert!(world.row(id).contains(r#""status":"pending_cancel""#));
    world.after(Duration::from_millis(40));
    assert_eq!(world.status(id), Status::Canceled);
}

#[test]
fn what_nobody_offers_is_not_bought_at_the_market() {
    let mut world = World::new();
    world.quote(CALL, 230, 0, 5, 0);
    let form = format!(
        "class=option symbol=SPX option_symbol={CALL} side=buy_to_open quantity=1 type=market duration=day"
    );
    assert_eq!(world.post(MARGIN, &form), refusal("QuotePriceIsInvalid"));
    assert!(number(&world.post(MARGIN, &single("SPX", CALL, "buy_to_open", "2.40"))).is_some());
}

#[test]
fn net_prices_on_an_index_are_on_the_nickel_but_for_boxes() {
    let mut world = World::new();
    let lower = "SPXW261120P05610000";
    let higher = "SPXW261120P05620000";
    world.quote(lower, 100, 110, 5, 5);
    world.quote(higher, 900, 910, 5, 5);
    let legs = |list: &[(&str, &str)]| {
        let leg = |(n, (series, side)): (usize, &(&str, &str))| {
            format!(" option_symbol[{n}]={series} side[{n}]={side} quantity[{n}]=1")
        };
        list.iter().enumerate().map(leg).collect::<String>()
    };
    let (buy, sell) = ("buy_to_open", "sell_to_open");
    let spread = legs(&[(CALL, buy), (HIGHER, sell)]);
    let four = legs(&[(CALL, buy), (HIGHER, sell), (lower, sell), (higher, buy)]);
    let condor = legs(&[(CALL, buy), (HIGHER, sell), (lower, buy), (higher, sell)]);
    for (legs, status) in [(spread, Status::Rejected), (four, Status::Open), (condor, Status::Rejected)] {
        let id = world.taken(&format!("class=multileg symbol=SPX type=debit price=0.51 duration=day{legs}"));
        assert_eq!(world.status(id), status, "{legs}");
        world.cancel(id);
        world.after(Duration::from_millis(1));
    }
}

#[test]
fn the_curb_session_is_an_hour_for_what_does_not_expire() {
    for (curb_session, expected) in [(false, Status::Open), (true, Status::Filled)] {
        let practice = Practice { curb_session, ..Practice::USUAL };
        let mut world = World::with(Rules { practice, latencies: Latencies::NONE, ..Rules::live(7) });
        let id = world.placed(TOMORROW, "buy_to_open", "1", "8.00");
        world.now = world.broker.session().close.plus(Duration::from_secs(15 * 60 + 30));
        world.quote(TOMORROW, 790, 800, 9, 9);
        assert_eq!(world.status(id), expected);
    }
}

#[test]
fn each_leg_has_its_event_where_the_practice_says_so() {
    let practice = Practice { leg_events: true, ..Practice::USUAL };
    let mut world = of(AccountType::Margin, 6, 100_000, Rules { practice, ..quick() });
    let session = text(&world.ask(Method::Post, "/accounts/events/session", &[]));
    let session = session.split('"').nth(9).unwrap().to_owned();
    let message = format!(r#"{{"events":["order"],"sessionid":"{session}"}}"#);
    world.broker.attach(world.now, StreamKind::Account, &message).unwrap();
    world.taken(SPREAD);
    let frames = world.broker.take_frames();
    assert_eq!(frames.len(), 9, "pending, open and filled, of the order and of two legs");
    let last = &frames[8].text;
    assert!(last.contains(r#""id":141000003,"#) && last.contains(r#""parent_id":141000001"#), "{last}");
    assert!(last.contains(r#""avg_fill_price":1.1,"executed_quantity":1.0"#), "{last}");
}

#[test]
fn a_change_that_takes_time_leaves_the_old_terms_working_until_then() {
    let latencies = Latencies { change: Duration::from_millis(50), ..Latencies::NONE };
    let mut world = of(AccountType::Margin, 6, 100_000, Rules { latencies, ..quick() });
    let id = world.taken(&single("SPX", CALL, "buy_to_open", "2.30"));
    let path = format!("/accounts/{MARGIN}/orders/{id}");
    assert_eq!(world.ask(Method::Put, &path, &[("price", "2.00")]).status, 200);
    assert!(world.row(id).contains(r#""price":2.3"#));
    world.quote(CALL, 220, 230, 9, 9);
    assert_eq!(world.status(id), Status::Filled, "the fill was first");
    world.after(Duration::from_millis(60));
    assert!(world.row(id).contains(r#""price":2.3"#));
    let late = world.ask(Method::Put, &path, &[("price", "2.00")]);
    assert_eq!((late.status, text(&late).as_str()), (400, "order already in finalized state: filled"));
    let id = world.taken(&single("SPX", CALL, "buy_to_open", "2.00"));
    world.change(id, "price", "2.10");
    world.after(Duration::from_millis(60));
    assert!(world.row(id).contains(r#""price":2.1"#));
}

#[test]
fn each_user_sees_their_own_accounts_and_orders() {
    let mut world = World::new();
    let mine = world.placed(CALL, "buy_to_open", "1", "2.00");
    world.token = "other-token";
    let body = text(&world.ask(Method::Get, &format!("/accounts/{PDT}/orders/{mine}"), &[]));
    assert_eq!(body, format!("Unauthorized Account: {PDT}"));
    assert_eq!(world.get(&format!("/accounts/{PDT}/orders"), &[]), r#"{"orders":"null"}"#);
    assert!(number(&world.post(PDT, &single("SPX", CALL, "buy_to_open", "2.00"))).is_some());
    assert_eq!(
        world.get(&format!("/accounts/{MARGIN}/orders"), &[]),
        format!("Unauthorized Account: {MARGIN}")
    );
}
