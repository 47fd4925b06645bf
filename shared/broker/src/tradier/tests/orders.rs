//! Orders in every shape the broker shows them.

use super::*;

fn read_order(body: &str) -> Result<BrokerOrder, BrokerError> {
    now(answering(200, &format!(r#"{{"order":{body}}}"#)).order(BrokerOrderId(88_120_001)))
}

#[test]
fn orders_are_read_page_by_page_until_one_brings_nothing_new() {
    let page = |ids: &[u64]| {
        let rows: Vec<String> =
            ids.iter().map(|id| order_row("").replace("88120001", &id.to_string())).collect();
        Ok(reply(200, &format!(r#"{{"orders":{{"order":[{}]}}}}"#, rows.join(","))))
    };
    let empty = || Ok(reply(200, r#"{"orders":"null"}"#));
    let ids = |orders: Vec<BrokerOrder>| orders.iter().map(|it| it.id.0).collect::<Vec<_>>();
    let (broker, tape) = account(vec![page(&[1, 2]), page(&[2, 3]), empty()]);
    assert_eq!(ids(now(broker.orders()).unwrap()), [1, 2, 3]);
    let query: Vec<String> =
        tape.sent.borrow()[1].query.iter().map(|it| format!("{}={}", it.0, it.1)).collect();
    assert_eq!(query, ["page=2", "limit=1500", "includeTags=true"]);
    let (broker, tape) = account(vec![page(&[1]), page(&[1])]);
    assert_eq!(ids(now(broker.orders()).unwrap()), [1], "a server that ignores the page does not hang us");
    assert_eq!(tape.sent.borrow().len(), 2);
    let (broker, _) = account(vec![page(&[1]), Ok(reply(502, ""))]);
    assert_eq!(kind(now(broker.orders())), "broken", "half a list is no list");
    assert_eq!(now(account(vec![empty()]).0.orders()), Ok(vec![]));
}

#[test]
fn a_list_of_one_order_is_an_object_and_our_tag_is_read_back() {
    let body = format!(r#"{{"orders":{{"order":{}}}}}"#, order_row(&format!(r#","tag":"{}""#, tag())));
    let (broker, _) = account(vec![Ok(reply(200, &body)), Ok(reply(200, r#"{"orders":"null"}"#))]);
    let orders = now(broker.orders()).unwrap();
    let leg = orders[0].single().unwrap();
    assert_eq!(
        (orders[0].tag, orders[0].status, orders[0].price),
        (Some(tag()), BrokerStatus::Open, Some(Price::from_cents(235)))
    );
    assert_eq!((leg.side, leg.opens, leg.quantity, leg.executed, leg.average), (Side::Buy, true, 3, 0, None));
    assert_eq!(orders[0].created_at, UtcNanos::parse("2026-11-20T14:31:05.118Z"));
}

#[test]
fn a_status_we_do_not_know_is_not_final() {
    for (word, want) in [
        (r#""pending""#, BrokerStatus::Pending),
        (r#""partially_filled""#, BrokerStatus::PartiallyFilled),
        (r#""pending_cancel""#, BrokerStatus::PendingCancel),
        (r#""filled""#, BrokerStatus::Filled),
        (r#""canceled""#, BrokerStatus::Canceled),
        (r#""expired""#, BrokerStatus::Expired),
        (r#""rejected""#, BrokerStatus::Rejected),
        (r#""error""#, BrokerStatus::Other),
        (r#""held""#, BrokerStatus::Other),
        (r#""calculated""#, BrokerStatus::Other),
        ("null", BrokerStatus::Other),
        ("3", BrokerStatus::Other),
    ] {
        let order = read_order(&order_row("").replace(r#""open""#, word)).unwrap();
        assert_eq!(order.status, want, "{word}");
        assert_eq!(order.status.is_final(), !matches!(want, BrokerStatus::Other) && want.is_final());
    }
}

#[test]
fn a_fill_may_show_before_its_price_and_its_quantity() {
    let filled = order_row("").replace(r#""open""#, r#""filled""#);
    let leg = |body: &str| *read_order(body).unwrap().single().unwrap();
    assert_eq!((leg(&filled).executed, leg(&filled).average), (0, None));
    let bare = filled.replace(r#""avg_fill_price":0.0,"exec_quantity":0.0,"#, "");
    assert_eq!((leg(&bare).executed, leg(&bare).average), (0, None));
    let whole = filled.replace(
        r#""avg_fill_price":0.0,"exec_quantity":0.0"#,
        r#""avg_fill_price":2.3166666666,"exec_quantity":3.0"#,
    );
    assert_eq!((leg(&whole).executed, leg(&whole).average), (3, Some(Usd::from_e4(23_167))));
}

#[test]
fn what_a_canceled_order_executed_is_read_and_never_derived() {
    let canceled = order_row("")
        .replace(r#""open""#, r#""canceled""#)
        .replace(r#""remaining_quantity":3.0"#, r#""remaining_quantity":0.0"#);
    let part = canceled.replace(r#""exec_quantity":0.0"#, r#""exec_quantity":1.0"#);
    assert_eq!(read_order(&canceled).unwrap().single().unwrap().executed, 0);
    assert_eq!(read_order(&part).unwrap().single().unwrap().executed, 1);
    assert_eq!(kind(read_order(&canceled.replace(r#""exec_quantity":0.0,"#, ""))), "broken");
}

#[test]
fn a_rejection_keeps_the_brokers_words() {
    let body = order_row(r#","reason_description":"You do not have enough buying power for this trade.""#);
    let order = read_order(&body.replace(r#""open""#, r#""rejected""#)).unwrap();
    assert_eq!(order.reason.as_deref(), Some("You do not have enough buying power for this trade."));
}

#[test]
fn a_multi_leg_order_is_its_legs_and_a_market_order_has_no_price() {
    let leg = |id: u32, side: &str, symbol: &str, average: &str| {
        format!(
            r#"{{"id":{id},"type":"credit","symbol":"SPX","side":"{side}","quantity":2.0,"status":"filled","price":1.05,"avg_fill_price":{average},"exec_quantity":2.0,"class":"option","option_symbol":"{symbol}"}}"#
        )
    };
    let legs = format!(
        "[{},{}]",
        leg(88_120_002, "sell_to_close", "SPXW261120P05550000", "4.77"),
        leg(88_120_003, "buy_to_close", "SPXW261120P05540000", "3.72")
    );
    let parent = |kind: &str, legs: &str| {
        format!(
            r#"{{"id":88120001,"type":"{kind}","symbol":"SPX","side":"buy","quantity":4.0,"status":"filled","price":1.05,"avg_fill_price":-1.05,"exec_quantity":4.0,"class":"multileg","num_legs":2,"strategy":"spread","leg":{legs}}}"#
        )
    };
    let order = read_order(&parent("credit", &legs)).unwrap();
    let seen: Vec<_> = order.legs.iter().map(|it| (it.side, it.opens, it.quantity, it.average)).collect();
    assert_eq!(
        seen,
        [
            (Side::Sell, false, 2, Some(Usd::from_cents(477))),
            (Side::Buy, false, 2, Some(Usd::from_cents(372)))
        ]
    );
    assert_eq!(order.single(), None);
    let one = read_order(&parent("market", &leg(88_120_002, "sell_to_close", SERIES, "1.0"))).unwrap();
    assert_eq!((one.legs.len(), one.price), (1, None), "a single leg collapses to an object");
    assert_eq!(kind(read_order(&parent("credit", r#""null""#))), "broken");
}

#[test]
fn foreign_orders_of_any_class_do_not_hide_ours() {
    let oco = format!(
        r#"{{"id":4,"status":"open","duration":"gtc","class":"oco","num_legs":2,"leg":[{},{{"id":6,"type":"stop","side":"sell_to_close","stop_price":1.2}}]}}"#,
        order_row("")
    );
    let rows = [
        r#"{"id":1,"type":"market","symbol":"SPY","side":"buy","quantity":1.25,"status":"filled","class":"equity"}"#.to_owned(),
        oco,
        order_row("").replace("88120001", "7").replace("3.0,\"status\"", "1.5,\"status\""),
        order_row("").replace("88120001", "8").replace("buy_to_open", "sideways"),
        order_row("").replace("88120001", "9").replace(r#""tag""#, "").replace(SERIES, "ADJ1 weird"),
        order_row(&format!(r#","tag":"{}""#, tag())),
    ];
    let list = |rows: &[String]| format!(r#"{{"orders":{{"order":[{}]}}}}"#, rows.join(","));
    let (broker, _) = account(vec![Ok(reply(200, &list(&rows))), Ok(reply(200, r#"{"orders":"null"}"#))]);
    let legs: Vec<(u64, usize)> =
        now(broker.orders()).unwrap().iter().map(|it| (it.id.0, it.legs.len())).collect();
    assert_eq!(legs, [(1, 0), (4, 1), (7, 0), (8, 0), (9, 0), (88_120_001, 1)]);
    let ours = order_row(&format!(r#","tag":"{}""#, tag())).replace("buy_to_open", "sideways");
    assert_eq!(kind(now(answering(200, &list(&[ours])).orders())), "broken", "our own must be readable");
}

#[test]
fn the_order_asked_for_is_the_order_read() {
    let other = order_row("").replace("88120001", "88120009");
    assert_eq!(kind(read_order(&other)), "broken");
    assert_eq!(
        kind(now(answering(401, "Unauthorized Account: VA00009876").order(BrokerOrderId(1)))),
        "refused"
    );
}
