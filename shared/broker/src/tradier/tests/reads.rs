//! Balances, positions and the rate budget.

use super::*;

#[test]
fn every_answer_to_a_read_is_sorted_by_what_the_caller_does_next() {
    for (status, body, want) in [
        (200, "", "broken"),
        (200, "{}", "broken"),
        (200, r#"{"orders":{"page":1}}"#, "broken"),
        (200, r#"{"orders":{"order":{"status":"open"}}}"#, "broken"),
        (200, "\u{1}", "broken"),
        (401, FAULT, "authentication"),
        (401, "Unauthorized Account: VA00009876", "refused"),
        (429, "Quota Violation", "rate limited"),
        (403, "quota violation", "rate limited"),
        (404, "", "broken"),
        (500, r#"{"fault":{"faultstring":"Datastore Error"}}"#, "broken"),
        (503, "<html></html>", "broken"),
    ] {
        assert_eq!(kind(now(answering(status, body).orders())), want, "{status} {body}");
    }
    let (broker, _) = account(vec![Err(TransportError::Unknown("time-out".into()))]);
    assert_eq!(kind(now(broker.orders())), "unknown");
}

#[test]
fn a_rate_limited_read_waits_for_the_windows_end_and_nothing_leaves_before() {
    for expiry in [NOW.millis() + 20_000, NOW.secs() + 20] {
        let limited = Reply {
            status: 429,
            headers: vec![("x-ratelimit-expiry".to_owned(), expiry.to_string())],
            body: Vec::new(),
        };
        let (broker, tape) = account(vec![Ok(limited)]);
        let until = NOW.plus(Duration::from_secs(22));
        assert_eq!(now(broker.positions()), Err(BrokerError::RateLimited { until }));
        assert_eq!(now(broker.positions()), Err(BrokerError::RateLimited { until }));
        assert_eq!(tape.sent.borrow().len(), 1);
    }
}

#[test]
fn an_entry_never_takes_the_fifth_that_is_kept_for_exits() {
    let ok = || Ok(reply(200, r#"{"order":{"id":5,"status":"ok"}}"#));
    let (broker, tape) = account(std::iter::repeat_with(ok).take(100).collect());
    let entries = (0..60).take_while(|_| now(broker.place(&entry_ticket(NOW))).is_ok()).count();
    assert_eq!((entries, kind(now(broker.place(&entry_ticket(NOW))))), (48, "rate limited"));
    assert_eq!(kind(now(broker.modify(BrokerOrderId(5), Price::from_cents(5), false))), "rate limited");
    assert!(now(broker.cancel(BrokerOrderId(5))).is_ok());
    assert!(now(broker.modify(BrokerOrderId(5), Price::from_cents(5), true)).is_ok());
    assert!(now(broker.place(&exit_ticket())).is_ok());
    assert_eq!(tape.sent.borrow().len(), 51);
}

#[test]
fn reads_for_entries_leave_the_fifth_and_reads_for_exits_take_it() {
    let empty = || Ok(reply(200, r#"{"positions":"null"}"#));
    let count = |broker: Account| (0..100).take_while(|_| now(broker.positions()).is_ok()).count();
    let (broker, _) = account(std::iter::repeat_with(empty).take(100).collect());
    assert_eq!(count(broker.reading_for(Purpose::Entry)), 48);
    let (broker, _) = account(std::iter::repeat_with(empty).take(100).collect());
    assert_eq!(count(broker), 60);
}

fn balances_body(account_type: &str, block: &str) -> String {
    format!(
        r#"{{"balances":{{"option_short_value":-310.0,"total_equity":51200.750000000000000,"account_number":"VA00009876","account_type":"{account_type}","close_pl":-42.5,"current_requirement":0,"equity":0,"long_market_value":0,"market_value":0,"open_pl":7,"option_long_value":0,"option_requirement":0,"pending_orders_count":2,"short_market_value":0,"stock_long_value":0,"total_cash":50000,"uncleared_funds":0,"pending_cash":0,{block}}}}}"#
    )
}

#[test]
fn buying_power_comes_from_the_block_named_like_the_account_type() {
    let margin = r#""margin":{"fed_call":0,"option_buying_power":49000.25,"stock_buying_power":98000.5}"#;
    let pdt = r#""pdt":{"day_trade_buying_power":196001.0,"option_buying_power":49000.25}"#;
    let cash = r#""cash":{"cash_available":3100.0,"sweep":0,"unsettled_funds":450.0}"#;
    let read = |kind: &str, block: &str| now(answering(200, &balances_body(kind, block)).balances());
    let it = read("margin", margin).unwrap();
    assert_eq!((it.account_type, it.total_equity), (AccountType::Margin, Usd::from_e4(512_007_500)));
    assert_eq!((it.close_pl, it.open_pl), (Usd::from_cents(-4_250), Usd::from_dollars(7)));
    assert_eq!((it.option_buying_power, it.cash_available), (Some(Usd::from_cents(4_900_025)), None));
    assert_eq!(it.pending_orders, 2);
    let it = read("pdt", pdt).unwrap();
    assert_eq!(it.day_trade_buying_power, Some(Usd::from_dollars(196_001)));
    assert_eq!(read("pdt", margin).unwrap().usable(), None, "a margin block is not a pdt block");
    let it = read("cash", cash).unwrap();
    assert_eq!(
        (it.usable(), it.unsettled_funds),
        (Some(Usd::from_dollars(3_100)), Some(Usd::from_dollars(450)))
    );
    for (body, why) in [
        (balances_body("offshore", margin), "an unknown account type"),
        (balances_body("margin", margin).replace("VA00009876", "VA11110000"), "another account"),
        (balances_body("margin", margin).replace("\"total_cash\":50000,", ""), "no total_cash"),
    ] {
        assert_eq!(kind(now(answering(200, &body).balances())), "broken", "{why}");
    }
}

#[test]
fn positions_are_none_one_or_many_and_shares_are_left_out() {
    let row = |symbol: &str, quantity: &str| {
        format!(
            r#"{{"cost_basis":-150.0,"date_acquired":"2026-11-20T15:02:11.204Z","id":1,"quantity":{quantity},"symbol":"{symbol}"}}"#
        )
    };
    let read = |positions: &str| now(answering(200, &format!(r#"{{"positions":{positions}}}"#)).positions());
    assert_eq!(read(r#""null""#), Ok(vec![]));
    assert_eq!(read("null"), Ok(vec![]));
    let one = read(&format!(r#"{{"position":{}}}"#, row(SERIES, "-2.00000000"))).unwrap();
    assert_eq!((one[0].quantity, one[0].cost_basis), (-2, Usd::from_dollars(-150)));
    let many =
        format!(r#"{{"position":[{},{},{}]}}"#, row(SERIES, "1.0"), row("SPY", "10.5"), row("BRK/B", "1"));
    assert_eq!(read(&many).unwrap().len(), 1);
    for (broken, why) in [
        (row(SERIES, "1.5"), "half a contract"),
        (row(SERIES, "null"), "no quantity"),
        (row(SERIES, "1.0").replace("-150.0", "\"x\""), "a cost that is no number"),
        ("{}".to_owned(), "no symbol"),
        ("7".to_owned(), "no row"),
    ] {
        assert_eq!(kind(read(&format!(r#"{{"position":{broken}}}"#))), "broken", "{why}");
    }
}
