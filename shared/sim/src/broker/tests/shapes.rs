//! Wire shapes: what other people's clients parse.

use super::*;

#[test]
fn the_profile_shows_one_account_as_an_object_and_two_as_a_list() {
    let mut world = World::new();
    assert_eq!(
        world.get("/user/profile", &[]),
        r#"{"profile":{"id":"id-one","name":"Jane Doe","account":{"account_number":"VA00000001","classification":"individual","date_created":"2024-05-02T18:11:09.000Z","day_trader":false,"option_level":6,"status":"active","type":"margin","last_update_date":"2024-05-02T18:11:09.000Z"}}}"#
    );
    world.token = "other-token";
    assert!(world.get("/user/profile", &[]).contains(r#""account":[{"account_number":"VA00000002""#));
}

#[test]
fn balances_nest_buying_power_under_the_account_type() {
    let mut world = World::new();
    assert_eq!(
        world.get("/accounts/VA00000001/balances", &[]),
        r#"{"balances":{"option_short_value":0,"total_equity":100000.0,"account_number":"VA00000001","account_type":"margin","close_pl":0,"current_requirement":0,"equity":0,"long_market_value":0,"market_value":0,"open_pl":0,"option_long_value":0,"option_requirement":0,"pending_orders_count":0,"short_market_value":0,"stock_long_value":0,"total_cash":100000.0,"uncleared_funds":0,"pending_cash":0,"margin":{"fed_call":0,"maintenance_call":0,"option_buying_power":100000.0,"stock_buying_power":200000.0,"stock_short_value":0,"sweep":0}}}"#
    );
    world.token = "other-token";
    let pdt = world.get("/accounts/VA00000002/balances", &[]);
    let block = r#""pdt":{"day_trade_buying_power":200000.0,"fed_call":0,"maintenance_call":0,"option_buying_power":50000.0,"stock_buying_power":100000.0,"stock_short_value":0}}}"#;
    assert!(pdt.ends_with(block), "{pdt}");
    let cash = world.get("/accounts/VA00000003/balances", &[]);
    assert!(cash.ends_with(r#""cash":{"cash_available":5000.0,"sweep":0,"unsettled_funds":0}}}"#), "{cash}");
}

#[test]
fn working_orders_and_positions_show_in_the_balances() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "1", "2.40");
    world.placed(CALL, "buy_to_open", "2", "2.00");
    let body = world.get("/accounts/VA00000001/balances", &[]);
    // Paid 240 and 1.05 of charges; 2 x (200 + 1.05) wait.
    for part in [
        r#""total_cash":99758.95"#,
        r#""option_long_value":235.0"#,
        r#""open_pl":-5.0"#,
        r#""pending_cash":402.1"#,
        r#""pending_orders_count":1"#,
        r#""option_buying_power":99356.85"#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[test]
fn no_order_is_the_string_null_one_an_object_and_several_a_list() {
    let mut world = World::new();
    let (path, tags) = ("/accounts/VA00000001/orders", [("includeTags", "True")]);
    assert_eq!(world.get(path, &tags), r#"{"orders":"null"}"#);
    world.placed(CALL, "buy_to_open", "1", "2.00");
    assert_eq!(
        world.get(path, &tags),
        r#"{"orders":{"order":{"id":141000001,"type":"limit","symbol":"SPX","side":"buy_to_open","quantity":1.0,"status":"open","duration":"day","price":2.0,"avg_fill_price":0.0,"exec_quantity":0.0,"last_fill_price":0.0,"last_fill_quantity":0.0,"remaining_quantity":1.0,"create_date":"2026-11-20T15:00:00.004Z","transaction_date":"2026-11-20T15:00:00.004Z","class":"option","option_symbol":"SPXW261120C05610000","tag":"q7-01k9x"}}}"#
    );
    assert!(!world.get(path, &[]).contains("tag"), "tags only when asked for");
    world.placed(PUT, "buy_to_open", "1", "1.00");
    assert!(world.get(path, &[]).starts_with(r#"{"orders":{"order":[{"id":141000001,"#));
}

#[test]
fn a_page_past_the_end_is_null() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "1", "2.00");
    world.placed(CALL, "buy_to_open", "1", "2.00");
    let path = "/accounts/VA00000001/orders";
    assert!(world.get(path, &[("page", "2"), ("limit", "1")]).contains("141000002"));
    assert_eq!(world.get(path, &[("page", "3"), ("limit", "1")]), r#"{"orders":"null"}"#);
    assert_eq!(world.get(path, &[("status", "filled,canceled")]), r#"{"orders":"null"}"#);
}

#[test]
fn positions_carry_cost_without_charges() {
    let mut world = World::new();
    assert_eq!(world.get("/accounts/VA00000001/positions", &[]), r#"{"positions":"null"}"#);
    world.placed(CALL, "buy_to_open", "1", "2.40");
    assert_eq!(
        world.get("/accounts/VA00000001/positions", &[]),
        r#"{"positions":{"position":{"cost_basis":240.0,"date_acquired":"2026-11-20T15:00:00.004Z","id":990001,"quantity":1.0,"symbol":"SPXW261120C05610000"}}}"#
    );
}

#[test]
fn a_placement_is_received_not_judged() {
    let mut world = World::new();
    let body = world.limit(CALL, "buy_to_open", "1", "2.00");
    assert!(body.starts_with(r#"{"order":{"id":141000001,"status":"ok","partner_id":""#), "{body}");
    let uuid = body.split('"').nth(11).unwrap();
    assert_eq!((uuid.len(), uuid.matches('-').count()), (36, 4), "{uuid}");
    let row = world.get("/accounts/VA00000001/orders/141000001", &[]);
    assert!(row.starts_with(r#"{"order":{"id":141000001,"type":"limit""#), "{row}");
}

#[test]
fn several_legs_sum_their_quantities_and_sign_their_average() {
    let mut world = World::new();
    let form = [
        ("class", "multileg"),
        ("symbol", "SPX"),
        ("type", "credit"),
        ("price", "1.20"),
        ("duration", "day"),
        ("option_symbol[0]", CALL),
        ("side[0]", "sell_to_open"),
        ("quantity[0]", "2"),
        ("option_symbol[1]", HIGHER),
        ("side[1]", "buy_to_open"),
        ("quantity[1]", "2"),
    ];
    let placed = world.ask(Method::Post, "/accounts/VA00000001/orders", &form);
    assert_eq!(placed.status, 200, "{}", text(&placed));
    world.after(Duration::from_millis(1));
    let row = world.get("/accounts/VA00000001/orders/141000001", &[]);
    assert_eq!(
        row,
        r#"{"order":{"id":141000001,"type":"credit","symbol":"SPX","side":"buy","quantity":4.0,"status":"filled","duration":"day","price":1.2,"avg_fill_price":-1.2,"exec_quantity":4.0,"last_fill_price":0.0,"last_fill_quantity":2.0,"remaining_quantity":0.0,"create_date":"2026-11-20T15:00:00.004Z","transaction_date":"2026-11-20T15:00:00.004Z","class":"multileg","num_legs":2,"strategy":"spread","leg":[{"id":141000002,"type":"credit","symbol":"SPX","side":"sell_to_open","quantity":2.0,"status":"filled","duration":"day","price":1.2,"avg_fill_price":2.3,"exec_quantity":2.0,"last_fill_price":2.3,"last_fill_quantity":2.0,"remaining_quantity":0.0,"create_date":"2026-11-20T15:00:00.004Z","transaction_date":"2026-11-20T15:00:00.004Z","class":"option","option_symbol":"SPXW261120C05610000"},{"id":141000003,"type":"credit","symbol":"SPX","side":"buy_to_open","quantity":2.0,"status":"filled","duration":"day","price":1.2,"avg_fill_price":1.1,"exec_quantity":2.0,"last_fill_price":1.1,"last_fill_quantity":2.0,"remaining_quantity":0.0,"create_date":"2026-11-20T15:00:00.004Z","transaction_date":"2026-11-20T15:00:00.004Z","class":"option","option_symbol":"SPXW261120C05620000"}]}}"#
    );
    let balances = world.get("/accounts/VA00000001/balances", &[]);
    assert!(balances.contains(r#""option_requirement":2000.0"#), "full width twice: {balances}");
}

#[test]
fn a_preview_costs_what_the_order_would_and_leaves_nothing() {
    let mut world = World::new();
    let form = [
        ("class", "option"),
        ("symbol", "SPX"),
        ("option_symbol", CALL),
        ("side", "buy_to_open"),
        ("quantity", "2"),
        ("type", "limit"),
        ("price", "2.30"),
        ("duration", "day"),
        ("preview", "True"),
    ];
    assert_eq!(
        text(&world.ask(Method::Post, "/accounts/VA00000001/orders", &form)),
        r#"{"order":{"status":"ok","commission":0.7,"cost":462.1,"fees":1.4,"symbol":"SPX","quantity":2,"side":"buy_to_open","type":"limit","duration":"day","result":true,"price":2.3,"order_cost":460.0,"margin_change":0.0,"option_requirement":0.0,"request_date":"2026-11-20T15:00:00.004","extended_hours":false,"option_symbol":"SPXW261120C05610000","class":"option","strategy":"option","day_trades":0}}"#
    );
    assert_eq!(world.get("/accounts/VA00000001/orders", &[]), r#"{"orders":"null"}"#);
}

#[test]
fn quotes_come_by_get_and_by_post_and_name_what_they_do_not_know() {
    let mut world = World::new();
    let one = world.get("/markets/quotes", &[("symbols", "SPXW261120C05610000,NOSUCH")]);
    assert_eq!(
        one,
        r#"{"quotes":{"quote":{"symbol":"SPXW261120C05610000","description":"SPXW Nov 20 2026 $5610.00 Call","exch":"C","type":"option","last":null,"change":null,"volume":0,"open":null,"high":null,"low":null,"close":null,"bid":2.3,"ask":2.4,"underlying":"SPX","strike":5610.0,"change_percentage":null,"average_volume":0,"last_volume":0,"trade_date":0,"prevclose":null,"week_52_high":0.0,"week_52_low":0.0,"bidsize":41,"bidexch":"C","bid_date":1795186800001,"asksize":37,"askexch":"C","ask_date":1795186800001,"open_interest":1204,"contract_size":100,"expiration_date":"2026-11-20","expiration_type":"weeklys","option_type":"call","root_symbol":"SPXW"},"unmatched_symbols":{"symbol":"NOSUCH"}}}"#
    );
    let none = text(&world.ask(Method::Post, "/markets/quotes", &[("symbols", "NOSUCH,ZZZZQ")]));
    assert_eq!(none, r#"{"quotes":{"unmatched_symbols":{"symbol":["NOSUCH","ZZZZQ"]}}}"#);
    let index = world.get("/markets/quotes", &[("symbols", "SPX")]);
    assert!(index.contains(r#""type":"index","last":5611.25,"#), "{index}");
}

#[test]
fn chains_expirations_and_strikes_come_in_their_two_shapes() {
    let mut world = World::new();
    let day = ("expiration", "2026-11-20 ");
    let chain = world.get("/markets/options/chains", &[("symbol", "SPX"), day, ("greeks", "true")]);
    assert!(chain.starts_with(r#"{"options":{"option":[{"symbol":"SPXW261120C05610000""#), "{chain}");
    let greeks = r#""root_symbol":"SPXW","greeks":{"delta":0.618886,"gamma":0.09212,"theta":-3.153135,"vega":0.559649,"rho":0.02377,"phi":-0.023786,"bid_iv":0.027276,"mid_iv":0.028171,"ask_iv":0.029063,"smv_vol":0.028171,"updated_at":"2026-11-20 15:00:00"}}"#;
    assert!(chain.contains(greeks), "{chain}");
    let empty = world.get("/markets/options/chains", &[("symbol", "SPX"), ("expiration", "2026-11-21")]);
    assert_eq!(empty, r#"{"options":null}"#);
    let path = "/markets/options/expirations";
    let all = ("includeAllRoots", "True");
    let dates = world.get(path, &[("symbol", "SPX"), all]);
    assert_eq!(dates, r#"{"expirations":{"date":["2026-11-20","2026-11-23"]}}"#);
    assert_eq!(world.get(path, &[("symbol", "SPX")]), r#"{"expirations":null}"#);
    let long = world.get(path, &[("symbol", "SPX"), all, ("strikes", "true"), ("contractSize", "true")]);
    assert_eq!(
        long,
        r#"{"expirations":{"expiration":[{"date":"2026-11-20","contract_size":100,"strikes":{"strike":[5600.0,5610.0,5620.0]}},{"date":"2026-11-23","contract_size":100,"strikes":{"strike":5610.0}}]}}"#
    );
    let strikes = world.get("/markets/options/strikes", &[("symbol", "SPX"), ("expiration", "2026-11-20")]);
    assert_eq!(strikes, r#"{"strikes":{"strike":[5600.0,5610.0,5620.0]}}"#);
    let lookup = world.get("/markets/options/lookup", &[("underlying", "SPX")]);
    assert!(
        lookup.starts_with(r#"{"symbols":[{"rootSymbol":"SPXW","options":["SPXW261120C05610000","#),
        "{lookup}"
    );
}

#[test]
fn the_clock_and_the_calendar_know_equity_hours() {
    let mut world = World::new();
    assert_eq!(
        world.get("/markets/clock", &[]),
        r#"{"clock":{"date":"2026-11-20","description":"Market is open from 09:30 to 16:00","state":"open","timestamp":1795186800,"next_change":"16:00","next_state":"postmarket"}}"#
    );
    let month = world.get("/markets/calendar", &[("month", "11"), ("year", "2026")]);
    for part in [
        r#"{"date":"2026-11-26","status":"closed","description":"Market is closed for Thanksgiving Day"}"#,
        r#"{"date":"2026-11-27","status":"open","description":"Market is open","premarket":{"start":"07:00","end":"09:24"},"open":{"start":"09:30","end":"13:00"},"postmarket":{"start":"13:00","end":"17:00"}}"#,
    ] {
        assert!(month.contains(part), "{part} in {month}");
    }
}

#[test]
fn every_reply_tells_the_rate_budget_and_its_content_type() {
    let mut world = World::new();
    let reply = world.ask(Method::Get, "/user/profile", &[]);
    assert_eq!(reply.header("content-type"), Some("application/json;charset=UTF-8"));
    let names = ["allowed", "used", "available", "expiry"];
    let values = names.map(|it| reply.header(&format!("x-ratelimit-{it}")).unwrap().to_owned());
    assert_eq!(values, ["120", "1", "119", "1795186860004"]);
}
