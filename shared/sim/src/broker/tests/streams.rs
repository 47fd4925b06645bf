//! Stream sessions, order events and heartbeats.

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
    assert!(frames.iter().all(|it| it.session == mine), "{frames:?}");
    let last = &frames.last().unwrap().text;
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
        frames[0].text,
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
    let late = session(&mut world, "/accounts/events/session");
    world.after(Duration::from_secs(301));
    let refused = world.broker.attach(world.now, StreamKind::Account, &subscribe(&late)).unwrap_err();
    assert_eq!(refused.to_string(), r#"{"error":"session not found"}"#);
    let odd = world.broker.attach(world.now, StreamKind::Account, "[]").unwrap_err();
    assert_eq!(odd, AttachError::Message);
}

#[test]
fn the_market_stream_tells_of_what_was_subscribed() {
    let mut world = World::new();
    let id = session(&mut world, "/markets/events/session");
    let ask = format!(
        r#"{{"symbols":["{CALL}","SPX"],"sessionid":"{id}","filter":["quote","trade"],"linebreak":true}}"#
    );
    world.broker.attach(world.now, StreamKind::Market, &ask).unwrap();
    world.quote(CALL, 230, 240, 41, 37);
    world.quote(PUT, 230, 240, 41, 37);
    world.index(5_612.0);
    let texts: Vec<String> = world.broker.take_frames().into_iter().map(|it| it.text).collect();
    assert_eq!(
        texts,
        [
            r#"{"type":"quote","symbol":"SPXW261120C05610000","bid":2.3,"bidsz":41,"bidexch":"C","biddate":"1795186800005","ask":2.4,"asksz":37,"askexch":"C","askdate":"1795186800005"}"#,
            r#"{"type":"trade","symbol":"SPX","exch":"Q","price":"5612.00","size":"0","cvol":"0","date":"1795186800006","last":"5612.00"}"#,
        ]
    );
}
