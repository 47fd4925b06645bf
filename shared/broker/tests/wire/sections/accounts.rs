//! Sections 5 to 13: profile, balances, positions, orders, reports.

use crate::played::{account, answered, kind, now, reply};
use broker::rows::{self};
use broker::transport::Method;
use domain::account::AccountType;
use domain::ids::BrokerOrderId;
use domain::money::Price;
use domain::ports::{BrokerPort, CancelAnswer};
use jiff::civil::date;

use super::{CALL, order, series, usd};

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
