//! Market data: what a session knows, and how it says what it does not know.

use domain::market::{Quote, QuoteSide};

use super::*;

impl World {
    fn spy(&mut self, dollars: f64, size: u32) {
        let price = Points::from_f64(dollars);
        let trade = Trade { ts: self.now, sequence: None, price, size, counts: PrintCounts::Everywhere };
        self.broker.on_market(&MarketEvent::Trade(Underlying::SPY, trade));
        let side = |tick: f64| Some(QuoteSide { price: Points::from_f64(dollars + tick), size: Some(400) });
        let quote = Quote { ts: self.now, bid: side(-0.01), ask: side(0.01) };
        self.broker.on_market(&MarketEvent::Quote(Underlying::SPY, quote));
    }

    /// Half past nine and the minutes after it: four prints of SPY.
    fn morning() -> Self {
        let mut world = Self::new();
        world.broker = Sandbox::new(config(Rules { latencies: Latencies::NONE, ..Rules::live(7) }));
        world.now = world.broker.session().open;
        for (seconds, dollars, size) in
            [(0, 560.0, 100), (30, 562.0, 300), (30, 561.0, 200), (240, 563.5, 50)]
        {
            world.after(Duration::from_secs(seconds));
            world.spy(dollars, size);
        }
        world
    }
}

fn day(on: &str, close: f64) -> DayBar {
    let at = |value: f64| Points::from_f64(value);
    let (open, high, low) = (at(close - 1.0), at(close + 2.0), at(close - 3.0));
    DayBar { date: on.parse().unwrap(), open, high, low, close: at(close), volume: 1_000 }
}

#[test]
fn an_index_row_has_every_key_in_order_and_an_etf_its_lot() {
    let mut world = World::new();
    world.broker.learn_close(Underlying::SPX, Points::from_f64(5_607.15));
    let index = world.get("/markets/quotes", &[("symbols", "spx")]);
    assert_eq!(
        index,
        r#"{"quotes":{"quote":{"symbol":"SPX","description":"S&P 500 Index","exch":"C","type":"index","last":5611.25,"change":4.1,"volume":0,"open":5611.25,"high":5611.25,"low":5611.25,"close":null,"bid":0.0,"ask":0.0,"change_percentage":0.07,"average_volume":0,"last_volume":0,"trade_date":1795186800000,"prevclose":5607.15,"week_52_high":5611.25,"week_52_low":5611.25,"bidsize":0,"bidexch":"C","bid_date":0,"asksize":0,"askexch":"C","ask_date":0,"root_symbols":"SPXW"}}}"#
    );
    world.spy(561.0, 100);
    let both = [("symbols", "SPY,SPX"), ("includeLotSize", "True"), ("greeks", "False")];
    let rows = text(&world.ask(Method::Post, "/markets/quotes", &both));
    assert!(rows.contains(r#""description":"SPDR S&P 500 ETF Trust","exch":"Q","type":"etf""#), "{rows}");
    assert!(rows.contains(r#""bid":560.99,"ask":561.01"#) && rows.contains(r#","lot_size":100}"#), "{rows}");
}

#[test]
fn greeks_stay_for_an_hour_while_quotes_go_on() {
    let mut world = World::new();
    let greeks = |world: &mut World| {
        let body = world.get("/markets/quotes", &[("symbols", CALL), ("greeks", "true")]);
        body.split(r#""greeks":"#).nth(1).unwrap().to_owned()
    };
    let first = greeks(&mut world);
    world.after(Duration::from_secs(3));
    world.quote(CALL, 300, 310, 5, 5);
    let second = greeks(&mut world);
    assert!(second.contains("15:00:03") && first != second, "the next run: {second}");
    world.after(Duration::from_secs(3_500));
    world.quote(CALL, 700, 710, 5, 5);
    assert_eq!(greeks(&mut world), second);
    world.after(Duration::from_secs(120));
    world.quote(CALL, 700, 710, 5, 5);
    assert_ne!(greeks(&mut world), second);
    let unquoted = world.get("/markets/quotes", &[("symbols", "SPXW261123C05610000"), ("greeks", "true")]);
    assert!(unquoted.contains(r#""greeks":{"delta""#), "{unquoted}");
}

#[test]
fn minutes_fold_into_slices_and_are_told_in_new_york_time() {
    let mut world = World::morning();
    let path = "/markets/timesales";
    assert_eq!(
        world.get(
            path,
            &[
                ("symbol", "SPY"),
                ("interval", "1min"),
                ("start", "2026-11-20 09:30"),
                ("end", "2026-11-20 09:30")
            ]
        ),
        r#"{"series":{"data":{"time":"2026-11-20T09:30:00","timestamp":1795185000,"price":561.0,"open":560.0,"high":562.0,"low":560.0,"close":562.0,"volume":400,"vwap":561.5}}}"#
    );
    let five = world.get(path, &[("symbol", "SPY"), ("interval", "5min"), ("session_filter", "open")]);
    assert_eq!(
        five,
        r#"{"series":{"data":[{"time":"2026-11-20T09:30:00","timestamp":1795185000,"price":561.0,"open":560.0,"high":562.0,"low":560.0,"close":561.0,"volume":600,"vwap":561.33333},{"time":"2026-11-20T09:35:00","timestamp":1795185300,"price":563.5,"open":563.5,"high":563.5,"low":563.5,"close":563.5,"volume":50,"vwap":563.5}]}}"#
    );
    for nothing in ["SPXW261120C05610000", "NOSUCH", "$weird"] {
        assert_eq!(world.get(path, &[("symbol", nothing), ("interval", "1min")]), r#"{"series":null}"#);
    }
    assert_eq!(world.get(path, &[("symbol", "SPY")]), r#"{"series":null}"#, "no single prints");
}

#[test]
fn time_and_sales_say_what_they_cannot_answer() {
    let mut world = World::morning();
    let mut asked = |params: &[(&str, &str)]| {
        let all: Vec<_> = [&[("symbol", "SPY")], params].concat();
        let reply = world.ask(Method::Get, "/markets/timesales", &all);
        (reply.status, text(&reply))
    };
    let old = asked(&[("interval", "1min"), ("start", "2026-11-09 09:30")]);
    assert_eq!(old, (400, "Invalid parameter, start: must be on or after 2026-11-10.".to_owned()));
    let open = [("interval", "1min"), ("start", "2026-11-09 09:30"), ("session_filter", "open")];
    assert_eq!(asked(&open).0, 200);
    for (name, value) in
        [("interval", "2min"), ("start", "yesterday"), ("end", "2026-11-20 9"), ("session_filter", "night")]
    {
        let (status, body) = asked(&[(name, value), ("interval", "5min")]);
        assert!(status == 400 && body.starts_with(&format!("Invalid parameter, {name}: ")), "{body}");
    }
}

#[test]
fn history_holds_the_days_it_knows_and_today_so_far() {
    let mut world = World::morning();
    let path = "/markets/history";
    assert_eq!(
        world.get(path, &[("symbol", "SPY")]),
        r#"{"history":{"day":{"date":"2026-11-20","open":560.0,"high":563.5,"low":560.0,"close":563.5,"volume":650}}}"#
    );
    let days = vec![day("2026-11-19", 558.0), day("2026-11-13", 555.0), day("2026-11-16", 557.0)];
    world.broker.learn_days(Underlying::SPY, days);
    let count = |body: String| body.matches("\"date\"").count();
    assert_eq!(count(world.get(path, &[("symbol", "SPY"), ("interval", "daily")])), 4);
    let week = world.get(path, &[("symbol", "SPY"), ("interval", "weekly"), ("start", "2026-11-16")]);
    assert_eq!(
        week,
        r#"{"history":{"day":{"date":"2026-11-16","open":556.0,"high":563.5,"low":554.0,"close":563.5,"volume":2650}}}"#
    );
    assert_eq!(count(world.get(path, &[("symbol", "SPY"), ("interval", "monthly")])), 1);
    assert_eq!(world.get(path, &[("symbol", "SPY"), ("end", "2026-11-01")]), r#"{"history":null}"#);
    assert_eq!(world.get(path, &[("symbol", "NOSUCH")]), r#"{"history":null}"#);
    let quote = world.get("/markets/quotes", &[("symbols", "SPY")]);
    assert!(
        quote.contains(r#""change":5.5,"#)
            && quote.contains(r#""prevclose":558.0,"week_52_high":563.5,"week_52_low":552.0"#),
        "{quote}"
    );
}

#[test]
fn a_session_that_ended_is_a_day_of_the_past() {
    let mut world = World::morning();
    let next = world.broker.session().next().unwrap();
    world.now = next.open;
    world.broker.start_session(next, &[]);
    let history = world.get("/markets/history", &[("symbol", "SPY")]);
    assert!(history.contains(r#""day":{"date":"2026-11-20","open":560.0"#), "{history}");
    assert_eq!(
        world.get("/markets/timesales", &[("symbol", "SPY"), ("interval", "1min")]),
        r#"{"series":null}"#
    );
}

#[test]
fn securities_are_found_by_name_and_by_symbol() {
    let mut world = World::morning();
    let row = |symbol: &str, exchange: &str, kind: &str, description: &str| {
        format!(
            r#"{{"symbol":"{symbol}","exchange":"{exchange}","type":"{kind}","description":"{description}"}}"#
        )
    };
    let apple = row("AAPL", "Q", "stock", "Apple Inc");
    let spx = row("SPX", "C", "index", "S&P 500 Index");
    let one = |row: &str| format!(r#"{{"securities":{{"security":{row}}}}}"#);
    let search = |world: &mut World, params: &[(&str, &str)]| world.get("/markets/search", params);
    assert_eq!(search(&mut world, &[("q", "apple")]), one(&apple));
    let funds = search(&mut world, &[("q", "s&p")]);
    assert!(
        funds.starts_with(r#"{"securities":{"security":[{"symbol":"SPY","exchange":"Q","type":"etf","#),
        "{funds}"
    );
    assert!(
        !funds.contains("SPX") && search(&mut world, &[("q", "s&p"), ("indexes", "true")]).contains(&spx)
    );
    assert_eq!(search(&mut world, &[("q", "zzz")]), r#"{"securities":null}"#);
    let lookup = |world: &mut World, params: &[(&str, &str)]| world.get("/markets/lookup", params);
    assert_eq!(lookup(&mut world, &[("q", "SP")]).matches("symbol").count(), 5);
    assert_eq!(lookup(&mut world, &[("q", "SP"), ("types", "option, index")]), one(&spx));
    assert_eq!(lookup(&mut world, &[("q", "SP"), ("exchanges", "C")]), one(&spx));
    let easy = world.get("/markets/etb", &[]);
    assert!(easy.contains(&apple) && !easy.contains("index"), "{easy}");
    let missing = world.ask(Method::Get, "/markets/search", &[]);
    assert_eq!((missing.status, text(&missing).as_str()), (400, "Invalid parameter, q: is required."));
}

#[test]
fn fundamentals_answer_each_symbol_with_nothing_about_it() {
    let mut world = World::new();
    let request = Request {
        method: Method::Get,
        path: "/beta/markets/fundamentals/company".to_owned(),
        query: vec![("symbols".to_owned(), "SPY,QQQ".to_owned())],
        form: Vec::new(),
        token: Token::new("stub-token"),
        leaves_within: None,
    };
    let reply = world.broker.answer(world.now, &request);
    assert_eq!(
        text(&reply),
        r#"[{"request":"SPY","type":"Symbol","results":[]},{"request":"QQQ","type":"Symbol","results":[]}]"#
    );
    let elsewhere = Request { path: "/beta/markets/quotes".to_owned(), ..request };
    assert_eq!(world.broker.answer(world.now, &elsewhere).status, 404);
}

#[test]
fn the_clock_goes_through_its_four_states() {
    let mut world = World::new();
    let session = *world.broker.session();
    for (hour, minute, state) in [
        (6, 59, r#""state":"closed""#),
        (7, 0, r#""state":"premarket""#),
        (9, 30, r#""state":"open""#),
        (16, 0, r#""state":"postmarket","timestamp":1795208400,"next_change":"19:55","next_state":"closed""#),
        (19, 55, r#""state":"closed""#),
    ] {
        world.broker = Sandbox::new(config(Rules::live(7)));
        world.now = session.wall(time(hour, minute, 0, 0));
        let clock = world.get("/markets/clock", &[("delayed", "true")]);
        assert!(clock.contains(state), "{hour}:{minute}: {clock}");
    }
}

#[test]
fn the_calendar_names_holidays_and_refuses_months_that_are_none() {
    let mut world = World::new();
    let year = |world: &mut World, month: &str| {
        world.get("/markets/calendar", &[("year", "2027"), ("month", month)])
    };
    for (month, part) in [
        (
            "1",
            r#""2027-01-18","status":"closed","description":"Market is closed for Martin Luther King, Jr. Day""#,
        ),
        ("3", r#""2027-03-26","status":"closed","description":"Market is closed for Good Friday""#),
        ("7", r#""2027-07-05","status":"closed","description":"Market is closed for Independence Day""#),
    ] {
        let body = year(&mut world, month);
        assert!(body.contains(part), "{body}");
    }
    for month in ["0", "13", "x", "-1"] {
        assert!(year(&mut world, month).starts_with("Invalid parameter, month: "));
    }
    assert_eq!(
        world.get("/markets/calendar", &[("year", "2040"), ("month", "1")]),
        r#"{"calendar":{"month":1,"year":2040,"days":null}}"#
    );
}

#[test]
fn watchlists_are_kept_for_each_user() {
    let mut world = World::new();
    let public =
        |body: &str| body.split("\"public_id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let all = world.get("/watchlists", &[]);
    let id = public(&all);
    assert_eq!(
        all,
        format!(r#"{{"watchlists":{{"watchlist":{{"name":"default","id":"default","public_id":"{id}"}}}}}}"#)
    );
    let made = text(&world.ask(Method::Post, "/watchlists", &[("name", "My List"), ("symbols", "spy, SPX")]));
    assert!(
        made.starts_with(r#"{"watchlist":{"name":"My List","id":"my-list","public_id":"public-"#),
        "{made}"
    );
    assert!(
        made.ends_with(r#""items":{"item":[{"symbol":"SPY","id":"spy"},{"symbol":"SPX","id":"spx"}]}}}"#),
        "{made}"
    );
    let again = world.ask(Method::Post, "/watchlists", &[("name", "my list")]);
    assert_eq!(text(&again), "Invalid parameter, name: is taken.");
    world.ask(Method::Delete, "/watchlists/my-list/symbols/SPX", &[]);
    world.ask(Method::Post, "/watchlists/my-list/symbols", &[("symbols", "QQQ,SPY")]);
    assert!(
        world
            .get("/watchlists/my-list", &[])
            .contains(r#"{"item":[{"symbol":"SPY","id":"spy"},{"symbol":"QQQ","id":"qqq"}]}"#)
    );
    world.token = "other-token";
    assert_eq!(world.ask(Method::Get, "/watchlists/my-list", &[]).status, 404);
    world.token = "stub-token";
    let renamed = text(&world.ask(Method::Put, "/watchlists/my-list", &[("name", "Mine")]));
    assert!(renamed.starts_with(r#"{"watchlist":{"name":"Mine","id":"my-list""#), "{renamed}");
    assert_eq!(text(&world.ask(Method::Delete, "/watchlists/my-list", &[])), all);
}

#[test]
fn the_deprecated_lists_of_all_accounts_carry_each_accounts_number() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "1", "2.00");
    let one = world.get("/user/orders", &[]);
    assert!(
        one.starts_with(
            r#"{"accounts":{"account":{"account_number":"VA00000001","orders":{"order":{"id":141000001,"#
        ),
        "{one}"
    );
    world.token = "other-token";
    assert_eq!(
        world.get("/user/positions", &[]),
        r#"{"accounts":{"account":[{"account_number":"VA00000002","positions":"null"},{"account_number":"VA00000003","positions":"null"}]}}"#
    );
}

#[test]
fn a_request_of_a_thousand_parameters_is_refused() {
    let mut world = World::new();
    let many = vec![("symbols", "SPX"); 1_000];
    let reply = world.ask(Method::Get, "/markets/quotes", &many);
    assert_eq!(
        (reply.status, text(&reply).as_str()),
        (400, "Invalid parameter, body: has more than 512 parameters.")
    );
}

#[test]
fn groups_have_budgets_of_their_own_and_a_full_one_is_refused_until_its_minute_is_over() {
    let mut world = World::new();
    let left = |reply: &Reply| reply.header("x-ratelimit-available").unwrap().to_owned();
    for n in 1..=120 {
        let reply = world.ask(Method::Get, "/markets/clock", &[]);
        assert_eq!((reply.status, left(&reply)), (200, (120 - n).to_string()));
    }
    let refused = world.ask(Method::Post, "/markets/events/session", &[]);
    assert_eq!((refused.status, left(&refused).as_str()), (429, "0"));
    assert_eq!(
        text(&refused),
        r#"{"fault":{"faultstring":"Rate limit quota violation. Quota limit exceeded. Identifier : market","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}"#
    );
    for (method, path) in [
        (Method::Get, "/accounts/VA00000001/orders"),
        (Method::Post, "/accounts/events/session"),
        (Method::Delete, "/accounts/VA00000001/orders/7"),
    ] {
        let reply = world.ask(method, path, &[]);
        assert_ne!(reply.status, 429, "{path}");
    }
    let trading = world.ask(Method::Post, "/accounts/VA00000001/orders", &[]);
    assert_eq!((trading.header("x-ratelimit-allowed"), left(&trading).as_str()), (Some("60"), "58"));
    world.after(Duration::from_secs(60));
    assert_eq!(world.ask(Method::Get, "/markets/clock", &[]).status, 200);
}

#[test]
fn the_paper_limits_are_sixty_and_limits_can_be_off() {
    for (limits, allowed) in [(Limits::Sandbox, "60"), (Limits::Off, "1000000")] {
        let mut world = World::with(Rules { limits, ..Rules::live(7) });
        let reply = world.ask(Method::Get, "/markets/clock", &[]);
        assert_eq!(reply.header("x-ratelimit-allowed"), Some(allowed));
    }
    let mut world = World::with(Rules { limits: Limits::Off, ..Rules::live(7) });
    assert!((0..500).all(|_| world.ask(Method::Get, "/markets/clock", &[]).status == 200));
}
