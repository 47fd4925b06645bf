//! Quotes, chains and the account's stream.

use super::*;

const QUOTE: &str = r#"{"symbol":"SPXW261120C05610000","description":"SPXW \"Nov\" 20","exch":"C","type":"option","last":null,"volume":12,"bid":2.3,"ask":2.4,"underlying":"SPX","strike":5610.0,"bidsize":41,"bid_date":1795186801000,"asksize":37,"ask_date":1795186802000,"open_interest":1204,"root_symbol":"SPXW","greeks":{"delta":0.41}}"#;

#[test]
fn quotes_come_back_in_the_order_asked_with_gaps_for_what_is_not_known() {
    let unknown: OccSymbol = "SPXW261120C09990000".parse().unwrap();
    let known: OccSymbol = SERIES.parse().unwrap();
    let read =
        |quotes: &str| now(answering(200, &format!(r#"{{"quotes":{quotes}}}"#)).quotes(&[unknown, known]));
    let both =
        read(&format!(r#"{{"quote":{QUOTE},"unmatched_symbols":{{"symbol":"SPXW261120C09990000"}}}}"#))
            .unwrap();
    let quote = both[1].unwrap();
    assert_eq!(both[0], None);
    assert_eq!(quote.two_sided(), Some((Price::from_cents(230), Price::from_cents(240))));
    assert_eq!((quote.bid_size, quote.ask_size, quote.ts), (41, 37, UtcNanos::from_secs(1_795_186_802)));
    assert_eq!(read(r#"{"unmatched_symbols":{"symbol":["A","B"]}}"#), Ok(vec![None, None]));
    assert_eq!(kind(read("{}")), "broken");
    let no_bid = QUOTE
        .replace(r#""bid":2.3"#, r#""bid":0.0"#)
        .replace("1795186801000", "0")
        .replace("1795186802000", "0");
    let quote = read(&format!(r#"{{"quote":[{no_bid}]}}"#)).unwrap()[1].unwrap();
    assert_eq!((quote.bid, quote.bid_size, quote.ts), (None, 0, UtcNanos(0)));
    assert_eq!(kind(read(&format!(r#"{{"quote":{}}}"#, QUOTE.replace("2.4", "\"n/a\"")))), "broken");
}

#[test]
fn a_row_that_tells_of_another_series_than_its_symbol_is_no_quote() {
    let series: OccSymbol = SERIES.parse().unwrap();
    let full = QUOTE.replace(
        r#""strike":5610.0"#,
        r#""strike":5610.0,"expiration_date":"2026-11-20","option_type":"call""#,
    );
    let asked = |row: &str| {
        let body = format!(r#"{{"quotes":{{"quote":{row}}}}}"#);
        let many = now(answering(200, &body).quotes(&[series])).unwrap()[0].is_some();
        let one = now(answering(200, &body).market(series)).unwrap().quote.is_some();
        (many, one)
    };
    assert_eq!(asked(&full), (true, true));
    for (right, wrong) in [
        (r#""strike":5610.0"#, r#""strike":5615.0"#),
        (r#""expiration_date":"2026-11-20""#, r#""expiration_date":"2026-11-23""#),
        (r#""option_type":"call""#, r#""option_type":"put""#),
    ] {
        assert_eq!(asked(&full.replace(right, wrong)), (false, false), "{wrong}");
    }
}

#[test]
fn a_series_and_its_index_come_in_one_request() {
    let index =
        r#"{"symbol":"SPX","type":"index","last":5611.25,"bid":null,"ask":null,"trade_date":1795186803000}"#;
    let series: OccSymbol = SERIES.parse().unwrap();
    let (broker, tape) =
        account(vec![Ok(reply(200, &format!(r#"{{"quotes":{{"quote":[{index},{QUOTE}]}}}}"#)))]);
    let market = now(broker.market(series)).unwrap();
    assert!(market.quote.unwrap().two_sided().is_some());
    let printed = UtcNanos::from_secs(1_795_186_803);
    assert_eq!(market.index, Some((Points::parse("5611.25").unwrap(), printed)));
    let at = |s| printed.plus(Duration::from_secs(s));
    let limit = Duration::from_secs(5);
    assert_eq!(
        (market.spot(at(5), limit).is_some(), market.spot(at(6), limit)),
        (true, None),
        "old is missing"
    );
    assert!(tape.sent.borrow()[0].query.iter().any(|it| it.1 == format!("{SERIES},SPX")));
    let without =
        now(answering(200, &format!(r#"{{"quotes":{{"quote":{QUOTE}}}}}"#)).market(series)).unwrap();
    assert_eq!(without.index, None);
}

#[test]
fn many_quotes_are_asked_for_in_bounded_requests_by_post_where_a_query_is_too_long() {
    let series = |n: u32| -> OccSymbol { format!("SPXW261120C{:08}", n * 5_000).parse().unwrap() };
    let empty = || Ok(reply(200, r#"{"quotes":{"unmatched_symbols":{"symbol":"A"}}}"#));
    for (count, method, requests) in
        [(0, Method::Get, 0), (200, Method::Get, 1), (201, Method::Post, 1), (2_001, Method::Post, 3)]
    {
        let (broker, tape) = account(vec![empty(), empty(), empty()]);
        let many: Vec<OccSymbol> = (1..=count).map(series).collect();
        assert_eq!(now(broker.quotes(&many)).unwrap().len(), many.len());
        let sent = tape.sent.borrow();
        assert_eq!(sent.len(), requests, "{count}");
        for it in sent.iter() {
            let fields = if method == Method::Get { &it.query } else { &it.form };
            assert_eq!(
                (it.method, fields[0].0.as_str(), it.query.len() + it.form.len()),
                (method, "symbols", 2)
            );
        }
    }
}

#[test]
fn a_chain_is_filtered_by_root_and_may_be_absent() {
    let am = QUOTE
        .replace("SPXW261120C", "SPX261120C")
        .replace(r#""root_symbol":"SPXW""#, r#""root_symbol":"SPX""#);
    let read = |options: &str, root| {
        let broker = answering(200, &format!(r#"{{"options":{options}}}"#));
        now(broker.chain(Underlying::SPX, jiff::civil::date(2026, 11, 20), root))
    };
    let both = format!(r#"{{"option":[{QUOTE},{am}]}}"#);
    let rows = read(&both, Some(Root::SPXW)).unwrap();
    assert_eq!((rows.len(), rows[0].open_interest, rows[0].volume), (1, Some(1_204), Some(12)));
    assert_eq!(rows[0].series, SERIES.parse().unwrap());
    assert_eq!(read(&both, None).unwrap().len(), 2);
    assert_eq!(read("null", None), Ok(vec![]));
    assert_eq!(kind(read("7", None)), "broken");
}

#[test]
fn a_stream_session_is_asked_for_with_an_empty_form_and_its_pass_does_not_print() {
    let body = r#"{"stream":{"url":"wss://ws.example/v1/accounts/events","sessionid":"s-77"}}"#;
    let (broker, tape) = account(vec![Ok(reply(200, body))]);
    let session = now(broker.stream_session()).unwrap();
    assert_eq!((&*session.url, &*session.session_id), ("wss://ws.example/v1/accounts/events", "s-77"));
    assert!(!format!("{session:?}").contains("s-77"));
    let sent = tape.sent.borrow();
    assert_eq!(
        (sent[0].method, &*sent[0].path, sent[0].form.len()),
        (Method::Post, "/v1/accounts/events/session", 0)
    );
    assert_eq!(
        kind(now(answering(200, r#"{"stream":{"url":"","sessionid":"s"}}"#).stream_session())),
        "broken"
    );
}
