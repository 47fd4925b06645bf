//! Placing, changing and cancelling: what each answer proves.

use super::*;

#[test]
fn an_entry_is_a_day_limit_order_under_the_underlying_with_two_decimals_and_its_tag() {
    let (broker, tape) =
        account(vec![Ok(reply(200, r#"{"order":{"id":88120001,"status":"ok","partner_id":"p"}}"#))]);
    assert_eq!(now(broker.place(&entry_ticket(NOW))), Ok(BrokerOrderId(88_120_001)));
    let sent = tape.sent.borrow();
    let form: Vec<String> = sent[0].form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        (sent.len(), sent[0].method, &*sent[0].path),
        (1, Method::Post, "/v1/accounts/VA00009876/orders")
    );
    assert_eq!(
        form.join("&"),
        format!(
            "class=option&symbol=SPX&option_symbol={SERIES}&side=buy_to_open&quantity=2&type=limit&duration=day&price=2.05&tag={}",
            tag()
        )
    );
}

#[test]
fn a_close_sells_to_close_however_old_its_mark() {
    let (broker, tape) = account(vec![Ok(reply(200, r#"{"order":{"id":5,"status":"ok"}}"#))]);
    assert_eq!(now(broker.place(&exit_ticket())), Ok(BrokerOrderId(5)));
    let form = tape.sent.borrow()[0].form.clone();
    let value = |name: &str| form.iter().find(|it| it.0 == name).map(|it| it.1.clone());
    assert_eq!(
        (value("side").as_deref(), value("quantity").as_deref(), value("price").as_deref()),
        (Some("sell_to_close"), Some("3"), Some("3.10"))
    );
}

#[test]
fn an_entry_leaves_up_to_two_seconds_after_its_mark_and_not_a_nanosecond_later() {
    let at = |age_ns: i64| UtcNanos(NOW.0 - age_ns);
    let (broker, tape) = account(vec![Ok(reply(200, r#"{"order":{"id":5,"status":"ok"}}"#))]);
    assert_eq!(kind(now(broker.place(&entry_ticket(at(2_000_000_001))))), "not sent");
    assert_eq!(tape.sent.borrow().len(), 0);
    assert_eq!(kind(now(broker.place(&entry_ticket(at(2_000_000_000))))), "ok");
}

#[test]
fn every_answer_to_a_post_is_final_only_where_it_proves_something() {
    let errors = |text: &str| format!(r#"{{"errors":{{"error":{text}}}}}"#);
    for (status, body, want) in [
        (200, r#"{"order":{"id":7,"status":"ok"}}"#.to_owned(), "ok"),
        (200, r#"{"order":{"id":7.0,"status":"new_word"}}"#.to_owned(), "ok"),
        (200, errors(r#""You do not have enough buying power for this trade.""#), "refused"),
        (200, errors(r#"["Backoffice rejected override of the order.","InitialMargin"]"#), "refused"),
        (400, errors(r#""InitialMargin""#), "refused"),
        (200, r#"{"errors":"plain"}"#.to_owned(), "refused"),
        (200, errors(r#""OmsInternalError""#), "unknown"),
        (200, errors(r#"["OMS trouble","OmsUnavailable: try later"]"#), "unknown"),
        (500, errors(r#""InitialMargin""#), "unknown"),
        (200, r#"{"order":{"id":7},"errors":{"error":"x"}}"#.to_owned(), "unknown"),
        (200, r#"{"order":{"status":"ok"}}"#.to_owned(), "unknown"),
        (200, r#"{"order":"null"}"#.to_owned(), "unknown"),
        (200, String::new(), "unknown"),
        (200, r#"{"order":{"id":7,"#.to_owned(), "unknown"),
        (200, "<html>welcome</html>".to_owned(), "unknown"),
        (302, String::new(), "unknown"),
        (400, "Invalid parameter, tag: contains invalid characters.".to_owned(), "refused"),
        (400, "Unexpected server error".to_owned(), "unknown"),
        (401, FAULT.to_owned(), "authentication"),
        (401, "Access Token expired".to_owned(), "authentication"),
        (401, "Unauthorized Account: VA00009876".to_owned(), "refused"),
        (401, String::new(), "unknown"),
        (404, String::new(), "unknown"),
        (429, String::new(), "unknown"),
        (429, QUOTA.to_owned(), "unknown"),
        (500, QUOTA.to_owned(), "unknown"),
        (500, "An error occurred while communicating with the backend.".to_owned(), "unknown"),
        (500, r#"{"fault":{"faultstring":"Datastore Error"}}"#.to_owned(), "unknown"),
        (502, "<html>Bad Gateway</html>".to_owned(), "unknown"),
        (503, String::new(), "unknown"),
        (504, String::new(), "unknown"),
    ] {
        let (broker, tape) = account(vec![Ok(reply(status, &body))]);
        assert_eq!(kind(now(broker.place(&exit_ticket()))), want, "{status} {body}");
        assert_eq!(tape.sent.borrow().len(), 1, "a POST leaves once: {status} {body}");
    }
}

#[test]
fn a_post_without_an_answer_is_unknown_unless_it_never_left() {
    for (error, want) in [
        (TransportError::NotSent("refused".into()), "not sent"),
        (TransportError::Unknown("time-out".into()), "unknown"),
    ] {
        let (broker, tape) = account(vec![Err(error)]);
        assert_eq!(kind(now(broker.place(&entry_ticket(NOW)))), want);
        assert_eq!(tape.sent.borrow().len(), 1);
    }
}

#[test]
fn reasons_are_the_brokers_words_without_the_account_number_or_the_token() {
    let body = r#"{"errors":{"error":["First. ","VA00009876 and tok-3n"]}}"#;
    assert_eq!(now(answering(200, body).place(&exit_ticket())), Err(refused("First. [hidden] and [hidden]")));
    let text = "Unauthorized Account: VA00009876";
    assert_eq!(now(answering(401, text).balances()), Err(refused("Unauthorized Account: [hidden]")));
    let long = format!("<html>{}</html>", "x".repeat(10_000));
    let Err(BrokerError::Broken { reason }) = now(answering(502, &long).balances()) else {
        panic!("a 502 is broken")
    };
    assert!(reason.len() < 400, "{} bytes", reason.len());
}

#[test]
fn every_answer_to_a_cancel_says_no_more_than_it_knows() {
    for (status, body, want) in [
        (200, r#"{"order":{"id":9,"status":"ok"}}"#, Ok("requested")),
        (200, r#"{"order":{"id":9,"status":"pending_cancel"}}"#, Ok("requested")),
        (200, r#"{"order":{"id":8,"status":"ok"}}"#, Err("unknown")),
        (400, "order already in finalized state: canceled", Ok("final")),
        (400, "order already in finalized state: filled", Ok("final")),
        (200, "order already in finalized state: filled", Ok("final")),
        (200, r#"{"errors":{"error":"order already in finalized state: expired"}}"#, Ok("final")),
        (200, r#"{"errors":{"error":"OmsUnavailable"}}"#, Err("unknown")),
        (401, "Unauthorized Account: VA00009876", Err("refused")),
        (401, FAULT, Err("authentication")),
        (429, QUOTA, Err("rate limited")),
        (500, "An error occurred while communicating with the backend.", Err("unknown")),
        (200, "", Err("unknown")),
        (404, "", Err("unknown")),
    ] {
        let (broker, tape) = account(vec![Ok(reply(status, body))]);
        let got = match now(broker.cancel(BrokerOrderId(9))) {
            Ok(CancelAnswer::Requested) => Ok("requested"),
            Ok(CancelAnswer::AlreadyFinal) => Ok("final"),
            Err(error) => Err(kind(Err::<(), _>(error))),
        };
        assert_eq!(got, want, "{status} {body}");
        let sent = tape.sent.borrow();
        assert_eq!((sent[0].method, &*sent[0].path), (Method::Delete, "/v1/accounts/VA00009876/orders/9"));
    }
}

#[test]
fn a_change_sends_the_price_alone_and_is_confirmed_by_the_orders_id() {
    for (status, body, want) in [
        (200, r#"{"order":{"id":9,"status":"ok","partner_id":"p"}}"#, "ok"),
        (200, r#"{"order":{"id":9,"status":"ok"}}"#, "ok"),
        (200, r#"{"order":{"id":10,"status":"ok"}}"#, "unknown"),
        (400, "order already in finalized state: filled", "refused"),
        (400, "Invalid parameter, price: must use up to 2 decimal place(s)", "refused"),
        (200, r#"{"errors":{"error":"OrderContingentChangeNotAllowed"}}"#, "refused"),
        (429, "", "rate limited"),
        (502, "", "unknown"),
    ] {
        let (broker, tape) = account(vec![Ok(reply(status, body))]);
        assert_eq!(
            kind(now(broker.modify(BrokerOrderId(9), Price::from_cents(300), true))),
            want,
            "{status} {body}"
        );
        let sent = tape.sent.borrow();
        assert_eq!(
            (sent[0].method, &sent[0].form),
            (Method::Put, &vec![("price".to_owned(), "3.00".to_owned())])
        );
    }
}
