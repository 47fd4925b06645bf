//! What is refused, and how: each surface has its own status and form.

use super::*;

fn post(world: &mut World, changes: &[(&str, &str)]) -> (u16, String) {
    let form = [
        ("class", "option"),
        ("symbol", "SPX"),
        ("option_symbol", CALL),
        ("side", "buy_to_open"),
        ("quantity", "1"),
        ("type", "limit"),
        ("price", "2.00"),
        ("duration", "day"),
    ];
    let kept = form.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let form: Vec<_> = kept.chain(changes).copied().collect();
    let reply = world.ask(Method::Post, "/accounts/VA00000001/orders", &form);
    (reply.status, text(&reply))
}

#[test]
fn a_bad_parameter_is_400_plain_text_that_names_it() {
    let mut world = World::new();
    let long = "a".repeat(256);
    for (changes, expected) in [
        (("class", ""), "Invalid parameter, class: is required."),
        (("class", "future"), "Invalid parameter, class: is not valid."),
        (("symbol", "SPY"), "Invalid parameter, symbol: is not valid"),
        (("option_symbol", "SPXW26"), "Invalid parameter, option_symbol: is not valid"),
        (("option_symbol", ""), "Invalid parameter, option_symbol: is required."),
        (("side", "buy"), "Invalid parameter, side: is not valid."),
        (("quantity", "0"), "Invalid parameter, quantity: must be a whole number above 0."),
        (("quantity", "-1"), "Invalid parameter, quantity: must be a whole number above 0."),
        (("quantity", "1.5"), "Invalid parameter, quantity: must be a whole number above 0."),
        (("quantity", "NaN"), "Invalid parameter, quantity: must be a whole number above 0."),
        (("quantity", "99999999999"), "Invalid parameter, quantity: must be a whole number above 0."),
        (("type", "debit"), "Invalid parameter, type: is not valid."),
        (("price", "3.125"), "Invalid parameter, price: must use up to 2 decimal place(s)"),
        (("price", "-1"), "Invalid parameter, price: is not valid."),
        (("price", "NaN"), "Invalid parameter, price: is not valid."),
        (("price", "0"), "Invalid parameter, price: is not valid."),
        (("price", ""), "Invalid parameter, price: is required."),
        (("duration", "ioc"), "Invalid parameter, duration: is not valid."),
        (("duration", "pre"), "Invalid parameter, duration: pre/post market no longer available"),
        (("tag", "a_b"), "Invalid parameter, tag: contains invalid characters."),
        (("tag", "a "), "Invalid parameter, tag: contains invalid characters."),
        (("tag", long.as_str()), "Invalid parameter, tag: contains more than 255 characters."),
        (("preview", "maybe"), "Invalid parameter, preview: must be true or false."),
    ] {
        assert_eq!(post(&mut world, &[changes]), (400, expected.to_owned()), "{changes:?}");
        world.after(Duration::from_secs(2));
    }
    assert_eq!(world.get("/accounts/VA00000001/orders", &[]), r#"{"orders":"null"}"#);
}

#[test]
fn a_missing_leg_is_named_and_fifty_one_are_too_many() {
    let mut world = World::new();
    let multileg =
        [("class", "multileg"), ("type", "debit"), ("option_symbol", ""), ("side", ""), ("quantity", "")];
    let (status, body) = post(&mut world, &multileg);
    assert_eq!((status, body.as_str()), (400, "Invalid parameter, option_symbol[0]: is required."));
    let names: Vec<String> = (0..51).map(|i| format!("option_symbol[{i}]")).collect();
    let legs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), CALL)).collect();
    let (status, body) = post(&mut world, &[&multileg[..], &legs].concat());
    assert_eq!(
        (status, body.as_str()),
        (400, "Invalid parameter, option_symbol: must have between 2 and 4 legs.")
    );
}

#[test]
fn spxw_as_symbol_is_taken_and_stored_as_spx() {
    let mut world = World::new();
    assert_eq!(post(&mut world, &[("symbol", "SPXW")]).0, 200);
    assert!(world.get("/accounts/VA00000001/orders", &[]).contains(r#""symbol":"SPX""#));
}

#[test]
fn tokens_accounts_and_order_ids_that_are_not_yours_are_401() {
    let mut world = World::new();
    assert_eq!(world.ask(Method::Get, "/accounts/VA00000002/balances", &[]).status, 401);
    assert_eq!(world.get("/accounts/VA00000002/balances", &[]), "Unauthorized Account: VA00000002");
    assert_eq!(world.cancel(9), (401, "Unauthorized Account: VA00000001".to_owned()));
    for token in ["", "  ", "nobody"] {
        world.token = token;
        let reply = world.ask(Method::Get, "/user/profile", &[]);
        assert_eq!(reply.status, 401);
        assert_eq!(
            text(&reply),
            r#"{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"keymanagement.service.invalid_access_token"}}}"#
        );
    }
}

#[test]
fn what_the_oms_refuses_is_200_with_errors() {
    let mut world = World::new();
    let code = |code: &str| {
        (200, format!(r#"{{"errors":{{"error":["Backoffice rejected override of the order.","{code}"]}}}}"#))
    };
    assert_eq!(post(&mut world, &[("option_symbol", "SPXW261120C09990000")]), code("SecurityUndefined"));
    assert_eq!(post(&mut world, &[("side", "sell_to_open")]), code("ShortOptionTradingDeniedForAccount"));
    let broke = post(&mut world, &[("quantity", "1000")]);
    let expected = r#"{"errors":{"error":"You do not have enough buying power for this trade."}}"#;
    assert_eq!(broke, (200, expected.to_owned()));
    let sold = post(&mut world, &[("side", "sell_to_close")]);
    let expected = r#"{"errors":{"error":"Sell order is for more shares than your current long position, please review current position quantity along with open orders for security. "}}"#;
    assert_eq!(sold, (200, expected.to_owned()));
}

#[test]
fn a_working_close_claims_its_contracts_until_it_ends() {
    let mut world = World::new();
    world.placed(CALL, "buy_to_open", "2", "2.40");
    let resting = world.placed(CALL, "sell_to_close", "2", "9.00");
    let refused = world.limit(CALL, "sell_to_close", "1", "2.30");
    assert!(refused.contains("Sell order is for more shares"), "{refused}");
    world.cancel(resting);
    world.after(Duration::from_millis(1));
    let id = world.placed(CALL, "sell_to_close", "2", "2.30");
    assert_eq!(world.order(id).0, Status::Filled);
}

#[test]
fn working_orders_use_up_buying_power() {
    let mut world = World::new();
    assert_eq!(post(&mut world, &[("quantity", "490")]).0, 200);
    let (_, body) = post(&mut world, &[("quantity", "20")]);
    assert!(body.contains("enough buying power"), "{body}");
}

#[test]
fn a_cash_account_does_not_spend_todays_proceeds() {
    let mut world = World::new();
    world.token = "other-token";
    let order = |world: &mut World, side: &str, quantity: &str, price: &str| {
        let form = [
            ("class", "option"),
            ("symbol", "SPX"),
            ("option_symbol", CALL),
            ("side", side),
            ("quantity", quantity),
            ("type", "limit"),
            ("price", price),
            ("duration", "day"),
        ];
        let body = text(&world.ask(Method::Post, "/accounts/VA00000003/orders", &form));
        world.after(Duration::from_millis(1));
        body
    };
    assert!(order(&mut world, "buy_to_open", "15", "2.40").contains("ok"));
    assert!(order(&mut world, "sell_to_close", "15", "2.30").contains("ok"));
    let body = world.get("/accounts/VA00000003/balances", &[]);
    assert!(body.contains(r#""unsettled_funds":3450.0"#), "{body}");
    assert!(order(&mut world, "buy_to_open", "15", "2.40").contains("enough buying power"));
}

#[test]
fn a_wrong_tick_is_taken_and_rejected_a_moment_later() {
    let mut world = World::new();
    let (status, body) = post(&mut world, &[("price", "2.03")]);
    assert_eq!(status, 200, "{body}");
    world.after(Duration::from_millis(1));
    let row = world.get("/accounts/VA00000001/orders", &[]);
    assert!(row.contains(r#""status":"rejected""#) && row.contains(r#""remaining_quantity":1.0"#), "{row}");
    assert!(
        row.contains(r#""reason_description":"Price is not a multiple of the minimum price variation.""#)
    );
    let path = "/accounts/VA00000001/orders/141000001";
    let late = world.ask(Method::Put, path, &[("price", "2.05")]);
    assert_eq!((late.status, text(&late).as_str()), (400, "order already in finalized state: rejected"));
}

#[test]
fn selling_the_long_leg_of_a_spread_alone_is_rejected_a_moment_later() {
    let mut world = World::new();
    let spread = [
        ("class", "multileg"),
        ("type", "debit"),
        ("price", "1.40"),
        ("option_symbol[0]", CALL),
        ("side[0]", "buy_to_open"),
        ("quantity[0]", "1"),
        ("option_symbol[1]", HIGHER),
        ("side[1]", "sell_to_open"),
        ("quantity[1]", "1"),
    ];
    assert_eq!(post(&mut world, &spread).0, 200);
    world.after(Duration::from_millis(1));
    assert_eq!((world.held(CALL), world.held(HIGHER)), (1, -1));
    let id = world.placed(CALL, "sell_to_close", "1", "2.30");
    assert_eq!(world.order(id).0, Status::Rejected);
    let reason = world.broker.order(id).unwrap().reason.clone();
    assert_eq!(reason.as_deref(), Some("You do not have enough buying power for this trade."));
}

#[test]
fn short_legs_without_cover_and_index_calendars_are_refused() {
    let mut world = World::new();
    let pair = |first: &'static str, second: &'static str| {
        [
            ("class", "multileg"),
            ("type", "credit"),
            ("price", "0.50"),
            ("option_symbol[0]", first),
            ("side[0]", "sell_to_open"),
            ("quantity[0]", "1"),
            ("option_symbol[1]", second),
            ("side[1]", "buy_to_open"),
            ("quantity[1]", "1"),
        ]
    };
    assert!(post(&mut world, &pair(CALL, PUT)).1.contains("ShortOptionTradingDeniedForAccount"));
    assert!(post(&mut world, &pair(CALL, TOMORROW)).1.contains("IndexOptionsOneExparyDate"));
}

#[test]
fn a_change_keeps_the_id_ignores_what_it_does_not_know_and_sets_only_what_is_sent() {
    let mut world = World::new();
    let id = world.placed(CALL, "buy_to_open", "1", "2.00");
    let path = format!("/accounts/{MARGIN}/orders/{id}");
    let reply = world.ask(Method::Put, &path, &[("price", "2.10"), ("order_id", "1"), ("stop", "")]);
    assert!(text(&reply).starts_with(&format!(r#"{{"order":{{"id":{id},"status":"ok","#)));
    let row = world.get(&path, &[]);
    assert!(row.contains(r#""price":2.1"#) && row.contains(r#""type":"limit""#), "{row}");
    let off = text(&world.ask(Method::Put, &path, &[("price", "2.13")]));
    assert!(off.contains("OrderPriceIsInvalid"), "{off}");
    let rich = text(&world.ask(Method::Put, &path, &[("price", "5000.00")]));
    assert!(rich.contains("enough buying power"), "{rich}");
}

#[test]
fn query_and_form_are_one_and_case_does_not_matter_for_booleans() {
    let mut world = World::new();
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let request = Request {
        method: Method::Post,
        path: "/v1/accounts/VA00000001/orders".to_owned(),
        query: pairs(&[
            ("class", "option"),
            ("symbol", "SPX"),
            ("option_symbol", CALL),
            ("preview", "FALSE"),
        ]),
        form: pairs(&[("side", "buy_to_open"), ("quantity", "1.0"), ("type", "market"), ("duration", "day")]),
        token: Token::new("stub-token"),
        leaves_within: None,
    };
    assert_eq!(world.broker.answer(world.now, &request).status, 200);
    assert_eq!(world.broker.order(141_000_001).unwrap().kind, OrderType::Market);
}

#[test]
fn identical_orders_and_equal_tags_are_not_deduplicated() {
    let mut world = World::new();
    let first = world.placed(CALL, "buy_to_open", "1", "2.00");
    assert_ne!(first, world.placed(CALL, "buy_to_open", "1", "2.00"));
}

#[test]
fn the_sixty_first_trading_request_in_a_minute_is_429_and_reads_go_on() {
    let mut world = World::new();
    for _ in 0..60 {
        assert_eq!(world.cancel(9).0, 401);
    }
    let reply = world.ask(Method::Delete, "/accounts/VA00000001/orders/9", &[]);
    assert_eq!((reply.status, reply.header("x-ratelimit-available")), (429, Some("0")));
    assert!(text(&reply).contains("quota violation"));
    assert_eq!(world.ask(Method::Get, "/accounts/VA00000001/orders", &[]).status, 200);
    world.after(Duration::from_secs(60));
    assert_eq!(world.cancel(9).0, 401);
}

#[test]
fn limits_of_the_sandbox_are_sixty_and_off_is_off() {
    for (limits, refused) in [(Limits::Sandbox, true), (Limits::Off, false)] {
        let mut world = World::with(Rules { limits, latencies: Latencies::NONE, ..Rules::live(1) });
        let last = (0..=60).map(|_| world.ask(Method::Get, "/markets/clock", &[]).status).last();
        assert_eq!(last == Some(429), refused, "{limits:?}");
    }
}

#[test]
fn what_is_not_there_is_404_and_nothing_panics_on_odd_paths() {
    let mut world = World::new();
    for path in
        ["", "/", "/markets", "/accounts", "/accounts/", "/accounts/VA00000001", "/markets/options", "/user"]
    {
        let reply = world.ask(Method::Get, path, &[]);
        assert!(matches!(reply.status, 404 | 401), "{path}: {}", reply.status);
    }
}
