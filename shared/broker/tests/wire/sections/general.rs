//! Sections 1 to 4: requests, rate limits, JSON, errors.

use crate::played::{NOW, account, answered, kind, now, reply};
use broker::budget::{Group, Purpose, RateBudget};
use broker::rows::{self, MarketState, OrderClass};
use broker::transport::Reply;
use domain::account::Environment;
use domain::ids::BrokerOrderId;
use domain::market::Points;
use domain::money::Price;
use domain::order::BrokerStatus;
use domain::ports::{BrokerError, BrokerPort};
use domain::symbol::{Strike, Underlying};
use domain::time::UtcNanos;

use super::{CALL, order, usd};

#[test]
fn section_1_every_request_names_its_account_and_carries_the_token_and_no_post_has_a_query() {
    let (broker, played) = account(vec![reply(200, r#"{"order":{"id":7,"status":"ok"}}"#); 3]);
    now(broker.cancel(BrokerOrderId(7))).unwrap();
    now(broker.modify(BrokerOrderId(7), Price::from_cents(205), true)).unwrap();
    drop(now(broker.session(broker::stream::StreamKind::Market)));
    for it in played.sent.borrow().iter() {
        assert_eq!(it.token.reveal(), "token-in-test");
        assert!(it.query.is_empty() && it.path.starts_with("/v1/"), "{it:?}");
    }
    assert_eq!(played.sent.borrow()[1].form, [("price".to_owned(), "2.05".to_owned())], "only what changes");
}

#[test]
fn section_2_each_group_counts_alone_and_a_fifth_stays_for_exits() {
    for (environment, group, allowed) in [
        (Environment::Live, Group::Standard, 120),
        (Environment::Live, Group::Market, 120),
        (Environment::Live, Group::Trading, 60),
        (Environment::Sandbox, Group::Standard, 60),
        (Environment::Sandbox, Group::Market, 60),
        (Environment::Sandbox, Group::Trading, 60),
    ] {
        let budget = RateBudget::new(environment);
        let taken = |purpose| (0..500).filter(|_| budget.take(group, purpose, NOW).is_ok()).count();
        assert_eq!(
            (taken(Purpose::Entry), taken(Purpose::Exit)),
            (allowed * 4 / 5, allowed / 5),
            "{environment:?} {group:?}"
        );
    }
}

#[test]
fn section_2_a_429_and_the_gateways_words_mean_wait_until_expiry_and_a_post_stays_unknown() {
    let expiry = NOW.millis() + 21_000;
    for (status, body) in [
        (429, ""),
        (429, r#"{"fault":{"faultstring":"Rate limit quota violation. Quota limit exceeded."}}"#),
        (500, "Quota Violation"),
        (200, "Quota Violation"),
        (403, r#"{"fault":{"faultstring":"QUOTA VIOLATION"}}"#),
    ] {
        for expiry_said in [expiry, expiry / 1_000] {
            let headers = vec![("x-ratelimit-expiry".to_owned(), expiry_said.to_string())];
            let answer = Reply { headers, ..reply(status, body) };
            let (broker, played) = account(vec![answer]);
            // Two seconds later than it says: its clock and ours may be that far apart.
            let until = UtcNanos::from_millis(expiry + 2_000);
            assert_eq!(now(broker.positions()), Err(BrokerError::RateLimited { until }), "{status} {body}");
            // Nothing else leaves before, not even an exit's read.
            assert_eq!(now(broker.positions()), Err(BrokerError::RateLimited { until }));
            assert_eq!(played.sent.borrow().len(), 1);
        }
        assert_eq!(kind(&rows::answer(status, body).map(|_| ())), "unknown", "{status} {body}");
    }
    // The words alone are no violation: a rejected order may quote them.
    let row = order(r#","status":"rejected","reason_description":"quota violation""#);
    assert_eq!(rows::order(&row).unwrap().status, BrokerStatus::Rejected);
    assert_eq!(kind(&now(answered(200, &row).order(BrokerOrderId(7)))), "ok");
}

#[test]
fn section_3_1_the_text_null_is_an_empty_collection_everywhere() {
    for null in ["\"null\"", "null"] {
        let body = |name: &str| format!(r#"{{"{name}":{null}}}"#);
        assert!(rows::orders(&body("orders")).unwrap().is_empty());
        assert!(rows::order_details(&body("orders")).unwrap().is_empty());
        assert!(rows::positions(&body("positions")).unwrap().is_empty());
        assert!(rows::history(&body("history")).unwrap().is_empty());
        assert!(rows::gain_loss(&body("gainloss")).unwrap().is_empty());
        assert!(rows::chain(&body("options"), None).unwrap().is_empty());
        assert!(rows::chain_with_greeks(&body("options"), None).unwrap().is_empty());
        assert!(rows::expirations(&body("expirations")).unwrap().is_empty());
        assert!(rows::strikes(&body("strikes")).unwrap().is_empty());
        assert!(rows::lookup(&body("symbols")).unwrap().is_empty());
        assert!(rows::bars(&body("history")).unwrap().is_empty());
        assert!(rows::sales(&body("series")).unwrap().is_empty());
        assert!(rows::quotes(&body("quotes")).unwrap().is_empty());
        assert!(rows::symbol_quotes(&body("quotes")).unwrap().found.is_empty());
    }
    for other in ["\"\"", "{}", "0", "\"nothing\"", "true"] {
        let body = |name: &str| format!(r#"{{"{name}":{other}}}"#);
        assert!(rows::orders(&body("orders")).is_err(), "{other} says nothing about orders");
        assert!(rows::positions(&body("positions")).is_err(), "{other} says nothing about positions");
        assert!(rows::chain(&body("options"), None).is_err(), "{other} says nothing about a chain");
        assert!(rows::expirations(&body("expirations")).is_err(), "{other}");
        assert!(rows::quotes(&body("quotes")).is_err(), "{other}");
    }
    for body in ["", "{}", "null", "[]", "<html>"] {
        assert!(
            rows::orders(body).is_err() && rows::positions(body).is_err() && rows::chain(body, None).is_err(),
            "{body}"
        );
    }
}

#[test]
fn section_3_3_one_element_stands_without_its_list() {
    let both = |row: &str, outer: &str, inner: &str, count: &dyn Fn(&str) -> usize| {
        let one = count(&format!(r#"{{"{outer}":{{"{inner}":{row}}}}}"#));
        let list = count(&format!(r#"{{"{outer}":{{"{inner}":[{row}]}}}}"#));
        let two = count(&format!(r#"{{"{outer}":{{"{inner}":[{row},{row}]}}}}"#));
        assert_eq!((one, list, two), (1, 1, 2), "{inner}");
    };
    let order =
        format!(r#"{{"id":1,"side":"buy_to_open","option_symbol":"{CALL}","quantity":1.0,"status":"open"}}"#);
    both(&order, "orders", "order", &|it| rows::orders(it).unwrap().len());
    let leg = order.clone();
    both(&leg, "order", "leg", &|it| {
        rows::order_detail(&it.replacen(r#"{"leg""#, r#"{"id":9,"class":"multileg","leg""#, 1))
            .unwrap()
            .order
            .legs
            .len()
    });
    let position = format!(r#"{{"symbol":"{CALL}","quantity":1,"cost_basis":1}}"#);
    both(&position, "positions", "position", &|it| rows::positions(it).unwrap().len());
    both(r#"{"account_number":"VA1"}"#, "profile", "account", &|it| {
        rows::profile(&it.replacen("{\"account\"", "{\"id\":\"x\",\"account\"", 1)).unwrap().accounts.len()
    });
    let quote = format!(r#"{{"symbol":"{CALL}","bid":1,"ask":2}}"#);
    both(&quote, "quotes", "quote", &|it| rows::quotes(it).unwrap().len());
    both(&quote, "options", "option", &|it| rows::chain(it, None).unwrap().len());
    both(&quote, "options", "option", &|it| rows::chain_with_greeks(it, None).unwrap().len());
    both(r#"{"amount":1,"date":"2026-11-19","type":"fee"}"#, "history", "event", &|it| {
        rows::history(it).unwrap().len()
    });
    both(
        r#"{"symbol":"SPY","quantity":1,"cost":1,"proceeds":1,"gain_loss":0}"#,
        "gainloss",
        "closed_position",
        &|it| rows::gain_loss(it).unwrap().len(),
    );
    both(r#"{"date":"2026-11-19"}"#, "history", "day", &|it| rows::bars(it).unwrap().len());
    both(r#"{"timestamp":1795185000}"#, "series", "data", &|it| rows::sales(it).unwrap().len());
    both(r#""2026-11-20""#, "expirations", "date", &|it| rows::expirations(it).unwrap().len());
    both(r#"{"date":"2026-11-20"}"#, "expirations", "expiration", &|it| rows::expirations(it).unwrap().len());
    assert_eq!(rows::strikes(r#"{"strikes":{"strike":5600.0}}"#).unwrap(), [Strike::from_points(5_600)]);
    let none = r#"{"quotes":{"unmatched_symbols":{"symbol":"A"}}}"#;
    assert_eq!(rows::symbol_quotes(none).unwrap().unmatched, ["A"]);
}

#[test]
fn section_3_4_what_is_absent_on_an_order_is_nothing_and_never_zero() {
    let it = rows::order_detail(&order(r#","status":"open","type":"market""#)).unwrap();
    assert_eq!((it.order.price, it.stop, it.order.tag, it.order.reason), (None, None, None, None));
    assert_eq!((it.order.legs[0].average, it.order.created_at, it.strategy), (None, None, None));
}

#[test]
fn section_3_5_numbers_are_decimal_text_with_tails_exponents_and_quotes() {
    let balances = |total: &str| {
        let body = format!(
            r#"{{"balances":{{"account_type":"margin","total_equity":{total},"total_cash":0,"close_pl":-0.0,"open_pl":0,"pending_orders_count":1.000000,"margin":{{"option_buying_power":{total}}}}}}}"#
        );
        rows::balances(&body, &"VA12345678".parse().unwrap()).map(|it| it.total_equity)
    };
    for (written, want) in [
        ("17798.360000000000000000000000", Some("17798.36")),
        ("0", Some("0")),
        ("1.0E7", Some("10000000")),
        ("\"99650.25\"", Some("99650.25")),
        ("-0.00005", Some("-0.0001")),
        ("1e400", None),
        ("\"NaN\"", None),
        ("{}", None),
    ] {
        assert_eq!(balances(written).ok(), want.map(usd), "{written}");
    }
    for (written, want) in [("4.0", Some(4)), ("4.000000000000", Some(4)), ("4.5", None), ("-1", None)] {
        let row = order(r#","status":"open""#).replace("2.0", written);
        assert_eq!(rows::order(&row).ok().map(|it| it.legs[0].quantity), want, "{written} contracts");
    }
}

#[test]
fn section_3_6_every_time_is_read_in_its_own_format() {
    let it = rows::order(&order(r#","status":"open","create_date":"2026-11-20T14:31:05.118Z""#)).unwrap();
    assert_eq!(it.created_at, UtcNanos::parse("2026-11-20T14:31:05.118Z"));
    let quote = |date: &str| {
        let body = format!(
            r#"{{"quotes":{{"quote":{{"symbol":"{CALL}","bid":1,"ask":2,"bid_date":{date},"ask_date":0}}}}}}"#
        );
        rows::quotes(&body).unwrap()[0].1.ts
    };
    for written in ["1795187001000", "\"1795187001000\"", "1795187001", "1.795187001E12"] {
        assert_eq!(quote(written), UtcNanos::from_secs(1_795_187_001), "{written}");
    }
    assert_eq!(quote("0"), UtcNanos(0), "a quote that was never made is as old as can be");
}

#[test]
fn section_3_7_new_fields_and_new_words_change_nothing() {
    for (status, want) in [
        ("pending", BrokerStatus::Pending),
        ("open", BrokerStatus::Open),
        ("partially_filled", BrokerStatus::PartiallyFilled),
        ("pending_cancel", BrokerStatus::PendingCancel),
        ("filled", BrokerStatus::Filled),
        ("canceled", BrokerStatus::Canceled),
        ("expired", BrokerStatus::Expired),
        ("rejected", BrokerStatus::Rejected),
        ("held", BrokerStatus::Other),
        ("accepted_for_bidding", BrokerStatus::Other),
        ("calculated", BrokerStatus::Other),
        ("submitted", BrokerStatus::Other),
        ("error", BrokerStatus::Other),
        ("Filled", BrokerStatus::Other),
        ("cancelled", BrokerStatus::Other),
        ("a_word_of_tomorrow", BrokerStatus::Other),
    ] {
        let it =
            rows::order(&order(&format!(r#","status":"{status}","lot_size":[1,{{}}],"new":null"#))).unwrap();
        assert_eq!((it.status, it.status.is_final()), (want, want.is_final()), "{status}");
    }
    let row = order(r#","status":"open","type":"trailing","duration":"moc""#)
        .replace(r#""class":"option""#, r#""class":"exotic""#);
    let it = rows::order_detail(&row).unwrap();
    assert_eq!(it.class, OrderClass::Other);
    let clock = r#"{"clock":{"date":"2026-11-20","state":"lunch","timestamp":1795187010}}"#;
    assert_eq!(rows::clock(clock).unwrap().state, MarketState::Other);
}

#[test]
fn section_3_8_class_shares_are_spelt_with_a_slash() {
    let body =
        r#"{"quotes":{"quote":{"symbol":"BRK/B","type":"stock","last":480.5,"trade_date":1795187001000}}}"#;
    let it = &rows::symbol_quotes(body).unwrap().found[0];
    assert_eq!((it.symbol.as_str(), it.last.unwrap().0), ("BRK/B", Points(4_805_000)));
    assert!("BRK/B".parse::<Underlying>().is_ok());
}

#[test]
fn section_4_1_errors_are_sorted_by_what_the_caller_does_next() {
    // Status, body, what a read gives, what a placement gives, what a cancel gives.
    let rows = [
        (
            401,
            r#"{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"keymanagement.service.invalid_access_token"}}}"#,
            "authentication",
            "authentication",
            "authentication",
        ),
        (
            401,
            r#"{"fault":{"faultstring":"Access Token expired","detail":{"errorcode":"keymanagement.service.access_token_expired"}}}"#,
            "authentication",
            "authentication",
            "authentication",
        ),
        (500, r#"{"fault":{"faultstring":"Datastore Error"}}"#, "broken", "unknown", "unknown"),
        (401, "Unauthorized Account: VA12345678", "refused", "refused", "refused"),
        (400, "Invalid parameter, price: must use up to 2 decimal place(s)", "refused", "refused", "refused"),
        (400, "order already in finalized state: filled", "refused", "refused", "ok"),
        (400, "order already in finalized state: canceled", "refused", "refused", "ok"),
        (200, "order already in finalized state: filled", "refused", "refused", "ok"),
        (
            200,
            r#"{"errors":{"error":"You do not have enough buying power for this trade."}}"#,
            "refused",
            "refused",
            "refused",
        ),
        (
            400,
            r#"{"errors":{"error":["Backoffice rejected override of the order.","InitialMargin"]}}"#,
            "refused",
            "refused",
            "refused",
        ),
        (200, r#"{"errors":{"error":"OmsInternalError"}}"#, "broken", "unknown", "unknown"),
        (200, r#"{"errors":{"error":["x","OmsUnavailable"]}}"#, "broken", "unknown", "unknown"),
        (500, "An error occurred while communicating with the backend.", "broken", "unknown", "unknown"),
        (400, "Unexpected server error", "broken", "unknown", "unknown"),
        (404, "", "broken", "unknown", "unknown"),
        (502, "<html><body>Bad Gateway</body></html>", "broken", "unknown", "unknown"),
        (503, "", "broken", "unknown", "unknown"),
        (504, "upstream timed out", "broken", "unknown", "unknown"),
        (200, "", "broken", "unknown", "unknown"),
        (200, "<html>maintenance</html>", "broken", "unknown", "unknown"),
        (200, "\u{0}", "broken", "unknown", "unknown"),
        (204, "", "broken", "unknown", "unknown"),
    ];
    for (status, body, read, placed, cancelled) in rows {
        assert_eq!(kind(&now(answered(status, body).positions())), read, "{status} {body}: a read");
        assert_eq!(kind(&rows::answer(status, body)), placed, "{status} {body}: a placement");
        let cancel = now(answered(status, body).cancel(BrokerOrderId(7)));
        assert_eq!(kind(&cancel), cancelled, "{status} {body}: a cancel");
    }
}

#[test]
fn section_4_2_a_401_on_an_order_is_no_word_about_the_token_or_the_order() {
    for (body, want) in
        [("Unauthorized Account: VA12345678", "refused"), ("", "broken"), ("Unauthorized", "broken")]
    {
        assert_eq!(kind(&now(answered(401, body).order(BrokerOrderId(7)))), want, "{body}");
    }
}

#[test]
fn section_4_2_every_text_seen_on_the_wire_means_what_it_meant_there() {
    let fault =
        |said: &str| format!(r#"{{"fault":{{"faultstring":"{said}","detail":{{"errorcode":"x"}}}}}}"#);
    let errors = |said: &str| format!(r#"{{"errors":{{"error":"{said}"}}}}"#);
    for (status, body, want) in [
        (401, fault("Invalid Access Token"), "authentication"),
        (401, fault("Access Token expired"), "authentication"),
        (401, "Invalid Access Token".to_owned(), "authentication"),
        (503, fault("Datastore Error"), "unknown"),
        (401, "Unauthorized Account: VA12345678".to_owned(), "refused"),
        (400, "Invalid parameter, tag: contains invalid characters.".to_owned(), "refused"),
        (400, "Invalid parameter, tag: contains more than 255 characters.".to_owned(), "refused"),
        (400, "Invalid parameter, price: must use up to 2 decimal place(s)".to_owned(), "refused"),
        (400, "Invalid parameter, duration: is not valid.".to_owned(), "refused"),
        (400, "Invalid parameter, duration: pre/post market no longer available".to_owned(), "refused"),
        (400, "Invalid parameter, symbol: is not valid".to_owned(), "refused"),
        (400, "Invalid parameter, start: must be on or after 2026-10-31.".to_owned(), "refused"),
        (400, "order already in finalized state: filled".to_owned(), "refused"),
        (200, "order already in finalized state: canceled".to_owned(), "refused"),
        (200, errors("You do not have enough buying power for this trade."), "refused"),
        (
            200,
            errors(
                "Sell order is for more shares than your current long position, please review current position quantity along with open orders for security. ",
            ),
            "refused",
        ),
        (200, errors("Backoffice rejected override of the order."), "refused"),
        (500, "An error occurred while communicating with the backend.".to_owned(), "unknown"),
        (400, "Unexpected server error".to_owned(), "unknown"),
    ] {
        assert_eq!(kind(&rows::answer(status, &body)), want, "{status} {body}");
    }
}

#[test]
fn section_4_3_every_code_is_final_but_the_two_of_the_back_end() {
    for (code, want) in [
        ("OptionLevelRestriction", "refused"),
        ("InitialMargin", "refused"),
        ("DayTraderPatternRestriction", "refused"),
        ("LongPositionCrossZero", "refused"),
        ("UnexpectedSellShortOrderOption", "refused"),
        ("OrderPriceIsInvalid", "refused"),
        ("IndexOptionsOneExparyDate", "refused"),
        ("a code of tomorrow", "refused"),
        ("OmsInternalError", "unknown"),
        ("OmsUnavailable", "unknown"),
    ] {
        let body =
            format!(r#"{{"errors":{{"error":["Backoffice rejected override of the order.","{code}"]}}}}"#);
        assert_eq!(kind(&rows::answer(200, &body)), want, "{code}");
    }
}
