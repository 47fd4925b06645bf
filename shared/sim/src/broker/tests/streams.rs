//! Stream sessions, order events and heartbeats.

use domain::market::{Quote, QuoteSide};

use super::*;

fn session(world: &mut World, path: &str) -> String {
    let body = text(&world.ask(Method::Post, path, &[]));
    body.split('"').nth(9).unwrap().to_owned()
}

fn subscribe(id: &str) -> String {
    format!(r#"{{"events":["order"],"sessionid":"{id}","excludeAccounts":[]}}"#)
}

#[test]
fn a_session_names_its_url_and_its_id() {
    let mut world = World::new();
    world.broker.set_stream_base("ws://127.0.0.1:9");
    let body = text(&world.ask(Method::Post, "/accounts/events/session", &[]));
    assert!(
        body.starts_with(r#"{"stream":{"url":"ws://127.0.0.1:9/v1/accounts/events","sessionid":""#),
        "{body}"
    );
}

#[test]
fn order_events_reach_their_owner_alone_a_moment_later() {
    let latencies = Latencies { notice: Duration::from_millis(180), ..Latencies::NONE };
    let mut world = World::with(Rules { latencies, ..Rules::live(7) });
    let mine = session(&mut world, "/accounts/events/session");
    world.token = "other-token";
    let theirs = session(&mut world, "/accounts/events/session");
    world.token = "stub-token";
    for id in [&mine, &theirs] {
        world.broker.attach(world.now, StreamKind::Account, &subscribe(id)).unwrap();
    }
    world.placed(CALL, "buy_to_open", "1", "2.40");
    assert_eq!(world.broker.take_frames(), Vec::new());
    world.after(Duration::from_millis(180));
    let frames = world.broker.take_frames();
    assert!(frames.iter().all(|it| *it.session == *mine), "{frames:?}");
    let last = &*frames.last().unwrap().text;
    assert_eq!(
        last,
        r#"{"id":141000001,"event":"order","status":"filled","type":"limit","price":2.4,"stop_price":0.0,"avg_fill_price":2.4,"executed_quantity":1.0,"last_fill_quantity":1.0,"remaining_quantity":0.0,"transaction_date":"2026-11-20T15:00:00.004Z","create_date":"2026-11-20T15:00:00.004Z","account":"VA00000001"}"#
    );
    assert_eq!(frames.len(), 3, "pending, open, filled");
}

#[test]
fn heartbeats_come_each_minute_while_a_stream_is_connected() {
    let mut world = World::new();
    let id = session(&mut world, "/accounts/events/session");
    world.after(Duration::from_secs(200));
    assert_eq!(world.broker.take_frames(), Vec::new());
    world.broker.attach(world.now, StreamKind::Account, &subscribe(&id)).unwrap();
    world.after(Duration::from_secs(125));
    let frames = world.broker.take_frames();
    assert_eq!(frames.len(), 2);
    assert_eq!(
        &*frames[0].text,
        r#"{"event":"heartbeat","status":"active","timestamp":"2026-11-20T15:04:20.004000000Z"}"#
    );
    world.broker.detach(&id);
    world.after(Duration::from_secs(300));
    assert_eq!(world.broker.take_frames(), Vec::new());
}

#[test]
fn a_session_lives_five_minutes_unused_and_one_stream_of_a_kind_per_user() {
    let mut world = World::new();
    let first = session(&mut world, "/accounts/events/session");
    let second = session(&mut world, "/accounts/events/session");
    world.broker.attach(world.now, StreamKind::Account, &subscribe(&first)).unwrap();
    world.broker.attach(world.now, StreamKind::Account, &subscribe(&second)).unwrap();
    assert!(!world.broker.is_attached(&first) && world.broker.is_attached(&second));
    let market = session(&mut world, "/markets/events/session");
    assert!(world.broker.attach(world.now, StreamKind::Account, &subscribe(&market)).is_err());
    world.broker.attach(world.now, StreamKind::Market, &subscribe(&market)).unwrap();
    assert!(world.broker.is_attached(&second), "one of each kind");
    let late = session(&mut world, "/accounts/events/session");
    world.after(Duration::from_secs(301));
    let refused = world.broker.attach(world.now, StreamKind::Account, &subscribe(&late)).unwrap_err();
    assert_eq!(refused.to_string(), r#"{"error":"session not found"}"#);
    // Connected once, it goes on, and its subscription can be changed.
    assert!(world.broker.attach(world.now, StreamKind::Account, &subscribe(&second)).is_ok());
}

#[test]
fn a_lost_connection_may_come_back_with_its_session_while_that_is_young() {
    let mut world = World::new();
    let id = session(&mut world, "/accounts/events/session");
    for minutes in [0, 4] {
        world.after(Duration::from_secs(minutes * 60));
        assert!(world.broker.attach(world.now, StreamKind::Account, &subscribe(&id)).is_ok());
        world.broker.detach(&id);
    }
    world.after(Duration::from_secs(120));
    let refused = world.broker.attach(world.now, StreamKind::Account, &subscribe(&id)).unwrap_err();
    assert_eq!(refused, AttachError::Session);
}

#[test]
fn messages_that_are_no_subscription_are_told_apart() {
    let mut world = World::new();
    let id = session(&mut world, "/markets/events/session");
    let mut refused = |message: &str| {
        let message = message.replace("ID", &id);
        world.broker.attach(world.now, StreamKind::Market, &message).unwrap_err().to_string()
    };
    for message in ["", "{", "7", r#"{"symbols":[7],"sessionid":"ID"}"#, r#"{"sessionid":7}"#] {
        assert_eq!(refused(message), r#"{"error":"invalid subscription"}"#, "{message}");
    }
    assert_eq!(refused(r#"{"symbols":["SPX"]}"#), r#"{"error":"session not found"}"#);
    let bids = r#"{"symbols":["SPX"],"sessionid":"ID","filter":["bids"]}"#;
    assert_eq!(refused(bids), r#"{"error":"invalid filter"}"#);
    let many = format!(r#"{{"symbols":"{}","sessionid":"ID"}}"#, "A,".repeat(10_001));
    assert_eq!(refused(&many), r#"{"error":"too many symbols"}"#);
    let fills = r#"{"events":["fill"],"sessionid":"ID"}"#
        .replace("ID", &session(&mut world, "/accounts/events/session"));
    assert_eq!(world.broker.attach(world.now, StreamKind::Account, &fills), Err(AttachError::Message));
}

/// What the market stream told since the last time.
fn told(world: &mut World) -> Vec<String> {
    world.broker.take_frames().into_iter().map(|it| it.text.to_string()).collect()
}

fn listen(world: &mut World, rest: &str) -> String {
    let id = session(world, "/markets/events/session");
    let ask = format!(r#"{{"sessionid":"{id}",{rest}}}"#);
    world.broker.attach(world.now, StreamKind::Market, &ask).unwrap();
    id
}

fn print(world: &mut World, underlying: Underlying, dollars: f64, size: u32, counts: PrintCounts) {
    world.after(Duration::from_millis(1));
    let trade = Trade { ts: world.now, sequence: None, price: Points::from_f64(dollars), size, counts };
    world.broker.on_market(&MarketEvent::Trade(underlying, trade));
}

fn spy_quote(world: &mut World, bid: f64, ask: f64) {
    world.after(Duration::from_millis(1));
    let side = |dollars: f64| Some(QuoteSide { price: Points::from_f64(dollars), size: Some(300) });
    let quote = Quote { ts: world.now, bid: side(bid), ask: side(ask) };
    world.broker.on_market(&MarketEvent::Quote(Underlying::SPY, quote));
}

#[test]
fn the_market_stream_tells_of_what_was_subscribed() {
    let mut world = World::new();
    listen(&mut world, &format!(r#""symbols":["{CALL}","SPX"],"filter":["quote","trade"]"#));
    // The standing quote comes at once; the index has none.
    assert_eq!(told(&mut world).len(), 1);
    world.quote(CALL, 230, 240, 41, 37);
    world.quote(PUT, 230, 240, 41, 37);
    world.index(5_612.0);
    assert_eq!(
        told(&mut world),
        [
            r#"{"type":"quote","symbol":"SPXW261120C05610000","bid":2.3,"bidsz":41,"bidexch":"C","biddate":"1795186800005","ask":2.4,"asksz":37,"askexch":"C","askdate":"1795186800005"}"#,
            r#"{"type":"trade","symbol":"SPX","exch":"C","price":"5612.0","size":"0","cvol":"0","date":"1795186800006","last":"5612.0"}"#,
        ]
    );
}

#[test]
fn a_print_is_a_trade_a_summary_a_timesale_and_a_tradex() {
    let mut world = World::new();
    spy_quote(&mut world, 560.99, 561.0);
    listen(&mut world, r#""symbols":["SPY"]"#);
    assert_eq!(told(&mut world).len(), 1, "the standing quote");
    print(&mut world, Underlying::SPY, 561.0, 100, PrintCounts::Everywhere);
    assert_eq!(
        told(&mut world),
        [
            r#"{"type":"trade","symbol":"SPY","exch":"Q","price":"561.0","size":"100","cvol":"100","date":"1795186800006","last":"561.0"}"#,
            r#"{"type":"summary","symbol":"SPY","open":"561.0","high":"561.0","low":"561.0"}"#,
            r#"{"type":"timesale","symbol":"SPY","exch":"Q","bid":"560.99","ask":"561.0","last":"561.0","size":"100","date":"1795186800006","seq":1,"flag":"","cancel":false,"correction":false,"session":"normal"}"#,
            r#"{"type":"tradex","symbol":"SPY","exch":"Q","price":"561.0","size":"100","cvol":"100","date":"1795186800006","last":"561.0"}"#,
        ]
    );
    // Nothing new to sum up, and a print that counts for nothing is not told of.
    print(&mut world, Underlying::SPY, 561.0, 100, PrintCounts::Everywhere);
    print(&mut world, Underlying::SPY, 555.0, 100, PrintCounts::VolumeOnly);
    assert_eq!(told(&mut world).len(), 3);
}

#[test]
fn prints_that_do_not_count_come_to_whoever_asks_for_them() {
    let mut world = World::new();
    listen(&mut world, r#""symbols":["SPY"],"filter":["timesale"],"validOnly":"false""#);
    print(&mut world, Underlying::SPY, 555.0, 100, PrintCounts::VolumeOnly);
    let frames = told(&mut world);
    assert!(frames.len() == 1 && frames[0].contains(r#""flag":"W""#), "{frames:?}");
}

#[test]
fn a_later_message_replaces_the_subscription_and_greets_what_is_new() {
    let mut world = World::new();
    let id = listen(&mut world, &format!(r#""symbols":["{CALL}"]"#));
    told(&mut world);
    let ask = format!(r#"{{"sessionid":"{id}","symbols":"{PUT},spx","linebreak":"true"}}"#);
    world.broker.attach(world.now, StreamKind::Market, &ask).unwrap();
    let greeting = told(&mut world);
    assert_eq!(greeting.len(), 2);
    assert_eq!(
        greeting[0],
        "{\"type\":\"summary\",\"symbol\":\"SPX\",\"open\":\"5611.25\",\"high\":\"5611.25\",\"low\":\"5611.25\"}\n"
    );
    world.quote(CALL, 230, 240, 41, 37);
    world.quote(PUT, 230, 240, 41, 37);
    let frames = told(&mut world);
    assert!(frames.len() == 1 && frames[0].contains(PUT) && frames[0].ends_with("}\n"), "{frames:?}");
}

#[test]
fn frames_of_one_event_share_their_text() {
    let mut world = World::new();
    listen(&mut world, &format!(r#""symbols":["{CALL}"]"#));
    world.token = "other-token";
    listen(&mut world, &format!(r#""symbols":["{CALL}"]"#));
    told(&mut world);
    world.quote(CALL, 230, 240, 41, 37);
    let frames = world.broker.take_frames();
    assert_eq!(frames.len(), 2);
    assert!(std::sync::Arc::ptr_eq(&frames[0].text, &frames[1].text));
    assert_ne!(frames[0].session, frames[1].session);
}

#[test]
fn a_quiet_market_stream_says_each_minute_that_it_lives() {
    let mut world = World::new();
    listen(&mut world, &format!(r#""symbols":["{CALL}"]"#));
    told(&mut world);
    world.after(Duration::from_secs(60));
    assert_eq!(
        told(&mut world),
        [r#"{"type":"heartbeat","status":"active","timestamp":"2026-11-20T15:01:00.004000000Z"}"#]
    );
    world.quote(CALL, 230, 240, 41, 37);
    told(&mut world);
    world.after(Duration::from_secs(60));
    assert_eq!(told(&mut world), Vec::<String>::new(), "it spoke within the minute");
    world.after(Duration::from_secs(60));
    assert_eq!(told(&mut world).len(), 1);
}

#[test]
fn streams_over_http_take_their_subscription_from_parameters() {
    let mut world = World::new();
    let id = session(&mut world, "/markets/events/session");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let params = [
        pair("sessionid", &id),
        pair("symbols", &format!("{CALL}, SPX")),
        pair("filter", "quote,trade"),
        pair("linebreak", "True"),
    ];
    assert_eq!(world.broker.attach_http(world.now, StreamKind::Market, &params), Ok(id));
    told(&mut world);
    world.index(5_612.0);
    assert!(told(&mut world)[0].ends_with("\n"));
}

#[test]
fn an_account_may_be_left_out() {
    let mut world = World::new();
    let id = session(&mut world, "/accounts/events/session");
    let ask = format!(r#"{{"events":["order"],"sessionid":"{id}","excludeAccounts":["{MARGIN}"]}}"#);
    world.broker.attach(world.now, StreamKind::Account, &ask).unwrap();
    world.placed(CALL, "buy_to_open", "1", "2.40");
    assert_eq!(world.broker.take_frames(), Vec::new());
}
