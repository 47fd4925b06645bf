//! Whatever arrives, nothing panics and nothing is believed without a 2xx.

use proptest::prelude::*;

use super::*;

/// Fragments of the broker's JSON in no particular order: deeper than random bytes get.
fn json_like() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "\"null\"",
        "1e309",
        "-0",
        "1.5",
        "99999999999999999999",
        "\\u12",
        "\"orders\":",
        "\"order\":",
        "\"id\":",
        "\"leg\":",
        "\"errors\":",
        "\"error\":",
        "\"fault\":",
        "\"quotes\":",
        "\"quote\":",
        "\"symbol\":",
        "\"SPXW261120C05610000\"",
        "\"options\":",
        "\"option\":",
        "\"balances\":",
        "\"positions\":",
        "\"position\":",
        "\"stream\":",
        "\"option_symbol\":",
        "\"quantity\":",
        "é",
        " ",
    ]);
    prop::collection::vec(part, 0..40).prop_map(|it| it.concat())
}

/// Asks for everything and holds that only a 2xx is an answer; a cancel's 400 may say that the order ended.
fn ask_everything(reply: &Reply) {
    let fresh = || account(vec![Ok(reply.clone())]).0;
    let series = [SERIES.parse().unwrap()];
    let id = BrokerOrderId(5);
    let answers = [
        kind(now(fresh().balances())),
        kind(now(fresh().positions())),
        kind(now(fresh().orders())),
        kind(now(fresh().order(id))),
        kind(now(fresh().quotes(&series))),
        kind(now(fresh().stream_session())),
        kind(now(fresh().chain(Underlying::SPX, jiff::civil::date(2026, 11, 20), None))),
        kind(now(fresh().modify(id, Price::from_cents(5), true))),
        kind(now(fresh().place(&exit_ticket()))),
    ];
    let answered = answers.contains(&"ok");
    assert!(!answered || reply.status / 100 == 2, "{answers:?} for {reply:?}");
    assert!(now(fresh().cancel(id)).is_err() || matches!(reply.status, 200..300 | 400), "{reply:?}");
}

proptest! {
    #[test]
    fn prop_no_body_makes_us_panic(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        ask_everything(&Reply { status, headers: Vec::new(), body });
    }

    #[test]
    fn prop_no_mangled_json_makes_us_panic(good in any::<bool>(), text in json_like()) {
        ask_everything(&reply(if good { 200 } else { 400 }, &text));
    }

    #[test]
    fn prop_a_truncated_order_is_never_read_as_something_else(cut in 0usize..400) {
        let whole = format!(r#"{{"order":{}}}"#, order_row(""));
        let cut = cut.min(whole.len() - 1);
        prop_assert_eq!(kind(now(answering(200, &whole[..cut]).order(BrokerOrderId(88_120_001)))), "broken");
    }
}
