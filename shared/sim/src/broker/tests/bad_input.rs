//! Bad input: the answer names the parameter, nothing is accepted, and the broker lives on.

use super::*;

const ORDERS: &str = "/accounts/VA00000001/orders";

fn world() -> World {
    let mut world = World::with(Rules { latencies: Latencies::NONE, limits: Limits::Off, ..Rules::live(7) });
    world.stock(561.00, 561.02, 300);
    world
}

/// A sound order of each class.
const OPTION: &str = "class=option symbol=SPX option_symbol=SPXW261120C05610000 side=buy_to_open quantity=1 type=limit price=2.00 duration=day";
const SPREAD: &str = "class=multileg symbol=SPX type=debit price=1.00 duration=day option_symbol[0]=SPXW261120C05610000 side[0]=buy_to_open quantity[0]=1 option_symbol[1]=SPXW261120C05620000 side[1]=sell_to_open quantity[1]=1";
const SHARES: &str = "class=equity symbol=SPY side=buy quantity=1 type=limit price=500 duration=day";
const COMBO: &str = "class=combo symbol=SPY type=debit price=500 duration=day side[0]=buy quantity[0]=100 option_symbol[1]=SPY261120C00565000 side[1]=sell_to_open quantity[1]=1";
const OCO: &str = "class=oco duration=day option_symbol[0]=SPXW261120C05610000 symbol[0]=SPX side[0]=buy_to_open quantity[0]=1 type[0]=limit price[0]=2.00 option_symbol[1]=SPXW261120C05610000 symbol[1]=SPX side[1]=buy_to_open quantity[1]=1 type[1]=stop stop[1]=4.00";

/// `form` with one parameter set, or left out when the value is `-`.
fn with(form: &str, name: &str, value: &str) -> Vec<(String, String)> {
    let pairs = form.split_whitespace().map(|it| it.split_once('=').unwrap());
    let mut pairs: Vec<(String, String)> =
        pairs.filter(|(it, _)| *it != name).map(|(it, value)| (it.to_owned(), value.to_owned())).collect();
    if value != "-" {
        pairs.push((name.to_owned(), value.to_owned()));
    }
    pairs
}

fn send(world: &mut World, pairs: &[(String, String)]) -> (u16, String) {
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let reply = world.ask(Method::Post, ORDERS, &pairs);
    (reply.status, text(&reply))
}

#[test]
fn a_bad_parameter_of_a_placement_is_named_and_nothing_is_accepted() {
    let long = "a".repeat(256);
    let whole = "must be a whole number above 0.";
    let table: &[(&str, &str, &str, &str)] = &[
        (OPTION, "class", "-", "is required."),
        (OPTION, "class", "CALENDAR", "is not valid."),
        (OPTION, "symbol", "-", "is required."),
        (OPTION, "symbol", "SPY", "is not valid"),
        (OPTION, "symbol", "$SPX.X", "is not valid"),
        (OPTION, "option_symbol", "-", "is required."),
        (OPTION, "option_symbol", "SPXW261120C0561", "is not valid"),
        (OPTION, "option_symbol", "SPXW261320C05610000", "is not valid"),
        (OPTION, "side", "-", "is required."),
        (OPTION, "side", "buy", "is not valid."),
        (OPTION, "side", "BUY_TO_OPEN", "is not valid."),
        (OPTION, "quantity", "-", "is required."),
        (OPTION, "quantity", "0", whole),
        (OPTION, "quantity", "-1", whole),
        (OPTION, "quantity", "1.5", whole),
        (OPTION, "quantity", "NaN", whole),
        (OPTION, "quantity", "1e3", whole),
        (OPTION, "quantity", "10000001", whole),
        (OPTION, "quantity", "99999999999999999999", whole),
        (OPTION, "type", "-", "is required."),
        (OPTION, "type", "debit", "is not valid."),
        (OPTION, "type", "trailing_stop", "is not valid."),
        (OPTION, "price", "-", "is required."),
        (OPTION, "price", "0", "is not valid."),
        (OPTION, "price", "-2.00", "is not valid."),
        (OPTION, "price", "NaN", "is not valid."),
        (OPTION, "price", "inf", "is not valid."),
        (OPTION, "price", "1e2", "is not valid."),
        (OPTION, "price", "2,00", "is not valid."),
        (OPTION, "price", "1000000.01", "is not valid."),
        (OPTION, "price", "3.125", "must use up to 2 decimal place(s)"),
        (OPTION, "stop", "two", "is not valid."),
        (OPTION, "duration", "-", "is required."),
        (OPTION, "duration", "ioc", "is not valid."),
        (OPTION, "duration", "pre", "pre/post market no longer available"),
        (OPTION, "tag", "with_underscore", "contains invalid characters."),
        (OPTION, "tag", "with space", "contains invalid characters."),
        (OPTION, "tag", " ", "contains invalid characters."),
        (OPTION, "tag", "a:b", "contains invalid characters."),
        (OPTION, "tag", "ümlaut", "contains invalid characters."),
        (OPTION, "tag", &long, "contains more than 255 characters."),
        (OPTION, "preview", "perhaps", "must be true or false."),
        (SPREAD, "option_symbol[0]", "-", "is required."),
        (SPREAD, "option_symbol[1]", "-", "is required."),
        (SPREAD, "option_symbol[1]", "SPXW261120C05610000", "is used twice."),
        (SPREAD, "side[0]", "-", "is required."),
        (SPREAD, "quantity[1]", "0.5", whole),
        (SPREAD, "quantity[1]", "-3", whole),
        (SPREAD, "side[x]", "buy_to_open", "is not valid."),
        (SPREAD, "type", "limit", "is not valid."),
        (SPREAD, "price", "-", "is required."),
        (SHARES, "symbol", "SPX", "is not valid"),
        (SHARES, "side", "buy_to_open", "is not valid."),
        (SHARES, "quantity", "1.5", whole),
        (SHARES, "type", "credit", "is not valid."),
        (COMBO, "quantity[0]", "50", "must be whole hundreds of shares."),
        (COMBO, "option_symbol[1]", "-", "is not valid."),
        (OCO, "type[1]", "-", "is required."),
        (OCO, "stop[1]", "-", "is required."),
        (OCO, "price[0]", "2.345", "must use up to 2 decimal place(s)"),
        (OCO, "symbol[0]", "SPY", "is not valid"),
        (OCO, "duration", "-", "is required."),
        (OCO, "duration", "week", "is not valid."),
    ];
    let mut world = world();
    for (form, name, value, why) in table {
        // Without its option symbol a leg is one of shares, which these sides are not for.
        let named = if *form == COMBO && *value == "-" { "side[1]" } else { name };
        let expected = format!("Invalid parameter, {named}: {why}");
        assert_eq!(send(&mut world, &with(form, name, value)), (400, expected), "{name}={value}");
    }
    assert_eq!(world.get(ORDERS, &[]), r#"{"orders":"null"}"#);
    for form in [OPTION, SPREAD, SHARES, OCO] {
        let (status, body) = send(&mut world, &with(form, "preview", "true"));
        assert!(status == 200 && body.contains(r#""status":"ok""#), "{form}: {body}");
    }
}

#[test]
fn fifty_one_legs_are_too_many_and_one_is_too_few() {
    let mut world = world();
    let legs = (0..51).map(|i| (format!("option_symbol[{i}]"), CALL.to_owned()));
    let many: Vec<_> = with(SPREAD, "option_symbol[0]", "-").into_iter().chain(legs).collect();
    let expected = "Invalid parameter, option_symbol: must have between 2 and 4 legs.";
    assert_eq!(send(&mut world, &many), (400, expected.to_owned()));
    let huge = with(SPREAD, "option_symbol[18446744073709551615]", CALL);
    assert_eq!(send(&mut world, &huge), (400, expected.to_owned()));
    let one: Vec<_> = with(SPREAD, "", "-").into_iter().filter(|(name, _)| !name.contains("[1]")).collect();
    assert_eq!(send(&mut world, &one), (400, "Invalid parameter, option_symbol[1]: is required.".to_owned()));
}

#[test]
fn the_first_offending_parameter_is_the_one_that_is_named() {
    let mut world = world();
    let mut form = with(OPTION, "duration", "ioc");
    form.retain(|(name, _)| name != "price");
    assert_eq!(send(&mut world, &form).1, "Invalid parameter, price: is required.");
    form.retain(|(name, _)| name != "side");
    assert_eq!(send(&mut world, &form).1, "Invalid parameter, side: is required.");
}

#[test]
fn what_is_unknown_is_ignored_and_what_is_empty_is_absent() {
    let mut world = world();
    let mut form = with(OPTION, "stop", "");
    form.extend([("order_id".to_owned(), "7".to_owned()), ("price[9]".to_owned(), "x".to_owned())]);
    assert_eq!(send(&mut world, &form).0, 200);
    form.push(("tag".to_owned(), String::new()));
    assert_eq!(send(&mut world, &form).0, 200);
}

#[test]
fn accounts_and_orders_that_are_not_yours_are_401_whatever_is_asked() {
    let mut world = world();
    let mine = world.placed(CALL, "buy_to_open", "1", "2.00");
    for account in ["VA00000002", "VA99999999", "va00000001", "..", "%00", "VA00000001 "] {
        for path in ["balances", "positions", "orders", "history", "gainloss", "orders/1", "nothing"] {
            let reply = world.ask(Method::Get, &format!("/accounts/{account}/{path}"), &[]);
            assert_eq!(
                (reply.status, text(&reply)),
                (401, format!("Unauthorized Account: {account}")),
                "{path}"
            );
        }
    }
    let long = "9".repeat(400);
    for id in ["0", "-1", "1.5", "abc", "18446744073709551616", "141000001x", long.as_str()] {
        for method in [Method::Get, Method::Put, Method::Delete] {
            let reply = world.ask(method, &format!("{ORDERS}/{id}"), &[]);
            assert_eq!(
                (reply.status, text(&reply).as_str()),
                (401, "Unauthorized Account: VA00000001"),
                "{id}"
            );
        }
    }
    assert_eq!(world.status(mine), Status::Open);
}

#[test]
fn a_bad_change_leaves_the_order_as_it_is() {
    let mut world = world();
    let id = world.placed(CALL, "buy_to_open", "1", "2.00");
    let before = world.row(id);
    for (name, value, status, expected) in [
        ("price", "2.005", 400, "Invalid parameter, price: must use up to 2 decimal place(s)"),
        ("price", "-1", 400, "Invalid parameter, price: is not valid."),
        ("price", "NaN", 400, "Invalid parameter, price: is not valid."),
        ("stop", "x", 400, "Invalid parameter, stop: is not valid."),
        ("type", "debit", 400, "Invalid parameter, type: is not valid."),
        ("type", "better", 400, "Invalid parameter, type: is not valid."),
        ("type", "stop", 400, "Invalid parameter, stop: is required."),
        ("duration", "post", 400, "Invalid parameter, duration: pre/post market no longer available"),
        ("duration", "never", 400, "Invalid parameter, duration: is not valid."),
        ("tag", "a b", 400, "Invalid parameter, tag: contains invalid characters."),
    ] {
        assert_eq!(world.change(id, name, value), (status, expected.to_owned()), "{name}={value}");
    }
    let both = [("type", "market"), ("duration", "gtc")];
    let reply = world.ask(Method::Put, &format!("{ORDERS}/{id}"), &both);
    assert_eq!((reply.status, text(&reply)), (200, refusal("MarketOrderIsGtc")));
    assert_eq!(world.row(id), before);
    // What cannot be changed is not known here, and so ignored.
    assert_eq!(world.change(id, "quantity", "5").0, 200);
    assert!(world.row(id).contains(r#""quantity":1.0"#));
}

#[test]
fn a_bad_question_about_orders_is_named() {
    let mut world = world();
    for (name, value, expected) in [
        ("page", "0", "Invalid parameter, page: must be between 1 and 1000000."),
        ("page", "-1", "Invalid parameter, page: must be between 1 and 1000000."),
        ("page", "one", "Invalid parameter, page: must be between 1 and 1000000."),
        ("limit", "1501", "Invalid parameter, limit: must be between 1 and 1500."),
        ("limit", "0", "Invalid parameter, limit: must be between 1 and 1500."),
        ("includeTags", "yes", "Invalid parameter, includeTags: must be true or false."),
        ("status", "openish", "Invalid parameter, status: is not valid."),
    ] {
        let reply = world.ask(Method::Get, ORDERS, &[(name, value)]);
        assert_eq!((reply.status, text(&reply).as_str()), (400, expected), "{name}={value}");
    }
    assert_eq!(
        world.get(ORDERS, &[("filter", "all"), ("date", "x"), ("page", "1000000")]),
        r#"{"orders":"null"}"#
    );
}
