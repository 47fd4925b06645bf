//! The rules of TRADIER.md sections 2 to 13, one table each: what the broker writes, what the client makes of it.

use broker::budget::{Group, Purpose, RateBudget};
use broker::rows::{self, MarketState, OrderClass};
use broker::transport::{Method, Reply};
use domain::account::{AccountType, Environment};
use domain::ids::BrokerOrderId;
use domain::market::Points;
use domain::money::{Price, Usd};
use domain::order::BrokerStatus;
use domain::ports::{BrokerError, BrokerPort, CancelAnswer};
use domain::symbol::{OccSymbol, Strike, Underlying};
use domain::time::UtcNanos;
use jiff::civil::date;

use crate::played::{NOW, account, answered, kind, now, reply};

const CALL: &str = "SPXW261120C05610000";

fn series() -> OccSymbol {
    CALL.parse().unwrap()
}

fn usd(text: &str) -> Usd {
    Usd::parse(text).unwrap()
}

/// An order row of ours with these fields over a plain one.
fn order(fields: &str) -> String {
    format!(
        r#"{{"order":{{"id":7,"class":"option","side":"buy_to_open","option_symbol":"{CALL}","quantity":2.0,"exec_quantity":0.0{fields}}}}}"#
    )
}

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

#[test]
fn section_5_a_profile_has_one_account_or_many_and_words_we_do_not_know() {
    let body = r#"{"profile":{"id":"id-1","name":"Jane Doe","account":[
        {"account_number":"6YA00001","classification":"corporate","option_level":0,"status":"active","type":"cash","day_trader":false},
        {"account_number":"6YB00002","classification":"a new one","option_level":6,"status":"frozen","type":"prime","day_trader":true}]}}"#;
    let profile = now(answered(200, body).profile()).unwrap();
    let [first, second] = profile.accounts.as_slice() else { panic!("two accounts") };
    assert_eq!(
        (first.account_type, first.active, first.option_level),
        (Some(AccountType::Cash), Some(true), Some(0))
    );
    assert_eq!((second.account_type, second.active, second.day_trader), (None, None, Some(true)));
    assert!(!format!("{profile:?}").contains("6YB00002"), "account numbers do not print");
    assert_eq!(
        kind(&now(answered(200, r#"{"profile":{"id":"x","account":{"status":"active"}}}"#).profile())),
        "broken"
    );
}

#[test]
fn section_6_buying_power_stands_in_the_block_named_like_the_type_and_nowhere_else() {
    let body = |kind: &str, blocks: &str| {
        format!(
            r#"{{"balances":{{"account_number":"VA12345678","account_type":"{kind}","total_equity":1,"total_cash":5000,"close_pl":0,"open_pl":0,"pending_orders_count":0,"option_buying_power":77{blocks}}}}}"#
        )
    };
    let usable =
        |kind: &str, blocks: &str| now(answered(200, &body(kind, blocks)).balances()).unwrap().usable();
    for (account_type, blocks, want) in [
        ("margin", r#","margin":{"option_buying_power":900.5}"#, Some("900.5")),
        ("pdt", r#","pdt":{"option_buying_power":900,"day_trade_buying_power":3600}"#, Some("900")),
        ("pdt", r#","pdt":{"option_buying_power":900,"day_trade_buying_power":0}"#, Some("0")),
        ("cash", r#","cash":{"cash_available":4310.0,"unsettled_funds":620.0}"#, Some("4310")),
        ("cash", r#","cash":{"cash_available":4900.0,"unsettled_funds":620.0}"#, Some("4380")),
        ("pdt", r#","margin":{"option_buying_power":900}"#, None),
        ("margin", "", None),
        ("margin", r#","margin":"null""#, None),
    ] {
        assert_eq!(usable(account_type, blocks), want.map(usd), "{account_type} {blocks}");
    }
}

#[test]
fn section_7_shorts_are_negative_and_shares_do_not_hide_options() {
    let body = format!(
        r#"{{"positions":{{"position":[{{"cost_basis":28000,"id":1,"quantity":50.5,"symbol":"SPY"}},{{"cost_basis":-150.0,"date_acquired":"2026-11-20T15:02:11.204Z","id":2,"quantity":-1.00000000,"symbol":"{CALL}"}}]}}}}"#
    );
    let it = now(answered(200, &body).positions()).unwrap();
    assert_eq!((it.len(), it[0].series, it[0].quantity, it[0].cost_basis), (1, series(), -1, usd("-150")));
    // An option that cannot be read is an error: what is not seen is not closed.
    assert!(rows::positions(&body.replace("-1.00000000", "-1.5")).is_err());
    assert!(rows::positions(&body.replace("\"cost_basis\":-150.0,", "")).is_err());
}

#[test]
fn section_8_1_the_list_is_asked_for_whole_with_tags_until_it_ends() {
    let page = |ids: std::ops::Range<u32>| {
        let rows: Vec<String> = ids
            .map(|id| format!(r#"{{"id":{id},"side":"buy_to_open","option_symbol":"{CALL}","quantity":1.0,"status":"open"}}"#))
            .collect();
        reply(200, &format!(r#"{{"orders":{{"order":[{}]}}}}"#, rows.join(",")))
    };
    let end = || reply(200, r#"{"orders":"null"}"#);
    // Pages that overlap, pages that repeat, and a server that ignores the page: each order once, and an end.
    for (what, pages, count, requests) in [
        ("two pages", vec![page(1..4), page(4..6), end()], 5, 3),
        ("one order moved between pages", vec![page(1..4), page(3..6), end()], 5, 3),
        ("the first page again and again", vec![page(1..4), page(1..4), page(1..4)], 3, 2),
        ("no orders", vec![end()], 0, 1),
    ] {
        let (broker, played) = account(pages);
        assert_eq!(now(broker.orders()).unwrap().len(), count, "{what}");
        let sent = played.sent.borrow();
        assert_eq!(sent.len(), requests, "{what}");
        let query: Vec<String> =
            sent[0].query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(query.join("&"), "page=1&limit=1500&includeTags=true");
    }
    // A page that fails in the middle is not a short list.
    let (broker, _) = account(vec![page(1..4), reply(500, "")]);
    assert_eq!(kind(&now(broker.orders())), "broken");
}

#[test]
fn section_8_5_the_legs_say_what_a_combination_cost_whatever_its_parent_says() {
    let body = |ratio: [u32; 3], averages: [&str; 3], parent: &str| {
        let sides = ["buy_to_open", "sell_to_open", "buy_to_open"];
        let legs: Vec<String> = (0..3)
            .map(|i| {
                format!(
                    r#"{{"id":{},"side":"{}","quantity":{q}.0,"exec_quantity":{q}.0,"status":"filled","avg_fill_price":{},"option_symbol":"SPXW261120P0{}0000"}}"#,
                    i + 2, sides[i], averages[i], 555 + i, q = ratio[i],
                )
            })
            .collect();
        format!(
            r#"{{"order":{{"id":1,"class":"multileg","type":"debit","status":"filled","avg_fill_price":{parent},"leg":[{}]}}}}"#,
            legs.join(",")
        )
    };
    for (ratio, averages, parent, net, agrees) in [
        ([1, 2, 1], ["9.8", "15.62", "23.04"], "1.6", Some("1.60"), Some(true)),
        ([3, 6, 3], ["9.8", "15.62", "23.04"], "1.6", Some("1.60"), Some(true)),
        ([1, 2, 1], ["9.8", "15.62", "23.04"], "1.7", Some("1.60"), Some(false)),
        ([1, 2, 1], ["9.8", "20.62", "23.04"], "-8.4", Some("-8.40"), Some(true)),
        ([1, 2, 1], ["9.8", "0.0", "23.04"], "1.6", None, None),
        ([1, 2, 1], ["9.8", "15.62", "23.04"], "0.0", Some("1.60"), None),
    ] {
        let it = rows::order_detail(&body(ratio, averages, parent)).unwrap();
        assert_eq!(
            (it.net_fill(), it.parent_agrees()),
            (net.map(usd), agrees),
            "{ratio:?} {averages:?} {parent}"
        );
    }
}

#[test]
fn section_9_2_ok_is_received_and_an_answer_without_an_id_is_unknown() {
    for (body, want) in [
        (r#"{"order":{"id":141000500,"status":"ok","partner_id":"3b0f6a0e"}}"#, "ok"),
        (r#"{"order":{"id":141000500,"status":"ok"}}"#, "ok"),
        (r#"{"order":{"id":"141000500"}}"#, "ok"),
        (r#"{"order":{"id":141000500.0,"status":"rejected"}}"#, "ok"),
        (r#"{"order":{"status":"ok"}}"#, "unknown"),
        (r#"{"order":{"id":0,"status":"ok"}}"#, "unknown"),
        (r#"{"order":"null"}"#, "unknown"),
        (r#"{"order":[{"id":1}]}"#, "unknown"),
        (r#"{"order":{"id":141000500},"errors":{"error":"InitialMargin"}}"#, "unknown"),
        (r#"{"order":{"id":1410005"#, "unknown"),
    ] {
        assert_eq!(kind(&rows::answer(200, body)), want, "{body}");
    }
}

#[test]
fn section_9_3_previews_are_signed_and_refusals_are_refusals() {
    let body = r#"{"order":{"status":"ok","commission":0.39,"cost":-1.61,"fees":0,"result":true,"order_cost":-2.0,"margin_change":500.0,"day_trades":2}}"#;
    let it = rows::preview(body).unwrap();
    assert_eq!(
        (it.order_cost, it.cost, it.margin_change, it.day_trades),
        (Some(usd("-2")), Some(usd("-1.61")), Some(usd("500")), Some(2))
    );
    assert!(rows::preview(r#"{"order":{"id":1,"status":"ok"}}"#).is_err(), "an order is no preview");
}

#[test]
fn section_10_a_change_sends_what_changes_and_takes_any_ok() {
    for body in
        [r#"{"order":{"id":7,"status":"ok"}}"#, r#"{"order":{"id":7,"status":"ok","partner_id":"x"}}"#]
    {
        let (broker, played) = account(vec![reply(200, body)]);
        let change = broker::tradier::Change { price: None, stop: Some(Price::from_cents(120)) };
        assert_eq!(now(broker.change(BrokerOrderId(7), change, true)), Ok(()));
        let sent = played.sent.borrow();
        assert_eq!(
            (sent[0].method, sent[0].form.as_slice()),
            (Method::Put, &[("stop".to_owned(), "1.20".to_owned())][..])
        );
    }
    let refused = now(answered(400, "order already in finalized state: filled").modify(
        BrokerOrderId(7),
        Price::from_cents(5),
        true,
    ));
    assert_eq!(kind(&refused), "refused", "the order is to be read, the change is over");
    let (broker, played) = account(Vec::new());
    assert_eq!(
        kind(&now(broker.change(BrokerOrderId(7), broker::tradier::Change::default(), true))),
        "not sent"
    );
    assert!(played.sent.borrow().is_empty());
}

#[test]
fn section_11_no_answer_to_a_cancel_is_a_verdict_on_the_order() {
    let of = |status, body: &str| now(answered(status, body).cancel(BrokerOrderId(7)));
    for (status, body, want) in [
        (200, r#"{"order":{"id":7,"status":"ok"}}"#, Ok(CancelAnswer::Requested)),
        (200, r#"{"order":{"id":7,"status":"pending_cancel"}}"#, Ok(CancelAnswer::Requested)),
        (400, "order already in finalized state: canceled", Ok(CancelAnswer::AlreadyFinal)),
        (400, "order already in finalized state: filled", Ok(CancelAnswer::AlreadyFinal)),
        (400, "Order already in finalized state: a word of tomorrow", Ok(CancelAnswer::AlreadyFinal)),
    ] {
        assert_eq!(of(status, body), want, "{status} {body}");
    }
    assert_eq!(kind(&of(401, "Unauthorized Account: VA12345678")), "refused");
    assert_eq!(kind(&of(200, r#"{"order":{"id":8,"status":"ok"}}"#)), "unknown", "another order's answer");
    // What was executed before the cancel is read from exec_quantity, never from what remains.
    let row = order(r#","status":"canceled","remaining_quantity":0.0"#)
        .replace(r#""exec_quantity":0.0"#, r#""exec_quantity":1.0"#);
    assert_eq!(rows::order(&row).unwrap().legs[0].executed, 1);
    let row = row.replace(r#""exec_quantity":1.0,"#, "");
    assert!(
        rows::order(&row.replace(r#","exec_quantity":1.0"#, "")).is_err(),
        "without it there is no verdict"
    );
}

#[test]
fn section_12_history_is_read_in_both_shapes_and_page_by_page() {
    let old = r#"{"history":{"event":{"amount":-235.35,"date":"2026-11-19T00:00:00Z","type":"trade","trade":{"commission":0.35,"description":"SPXW","price":2.35,"quantity":1.0,"symbol":"SPXW261119C05610000","trade_type":"Option"}}}}"#;
    let new = r#"{"history":{"page":1,"total_pages":1,"event":{"amount":-235.35,"date":"2026-11-19","type":"trade","commission":0.35,"description":"SPXW","price":2.35,"quantity":1.0,"symbol":"SPXW261119C05610000","trade_type":"Option"}}}"#;
    let day = date(2026, 11, 19);
    for body in [old, new] {
        let (broker, played) = account(vec![reply(200, body)]);
        let it = now(broker.history(day, day, Some("SPX"))).unwrap();
        assert_eq!(
            (it.len(), it[0].date, it[0].amount, it[0].price),
            (1, day, usd("-235.35"), Some(usd("2.35")))
        );
        assert_eq!(it[0].symbol.as_deref(), Some("SPXW261119C05610000"));
        let sent = played.sent.borrow();
        assert!(
            sent.len() == 1 && sent[0].path == "/v1/accounts/VA12345678/history",
            "a page that is not full ends it"
        );
    }
    assert_eq!(now(answered(200, r#"{"gainloss":"null"}"#).gain_loss(day, day)), Ok(vec![]));
}

#[test]
fn section_13_filled_may_come_before_its_price_and_its_quantity() {
    for (fields, executed, average) in [
        (r#","status":"filled""#, 0, None),
        (r#","status":"filled","avg_fill_price":null"#, 0, None),
        (r#","status":"filled","avg_fill_price":0.0"#, 0, None),
        (r#","status":"partially_filled","avg_fill_price":2.345"#, 0, Some("2.345")),
    ] {
        let leg = rows::order(&order(fields)).unwrap().legs[0];
        assert_eq!((leg.executed, leg.average), (executed, average.map(usd)), "{fields}");
    }
    let row = order(r#","status":"filled","avg_fill_price":2.35"#)
        .replace(r#""exec_quantity":0.0"#, r#""exec_quantity":2.0"#);
    let leg = rows::order(&row).unwrap().legs[0];
    assert_eq!((leg.executed, leg.average), (2, Some(usd("2.35"))));
}
