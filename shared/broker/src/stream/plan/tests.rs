use super::*;

const fn s(seconds: u64) -> At {
    Duration::from_secs(seconds)
}

fn session(id: &str) -> StreamSession {
    StreamSession {
        url: "wss://sandbox-ws.tradier.com/v1/accounts/events".to_owned(),
        session_id: id.to_owned(),
    }
}

fn symbols(list: &[&str]) -> Subscription {
    Subscription::Symbols(list.iter().map(|it| (*it).to_owned()).collect())
}

/// A plan with a connection that is up since `now`.
fn live(subscription: Subscription, now: At) -> StreamPlan {
    let mut plan = StreamPlan::new(subscription, StreamLimits::default());
    assert_eq!(plan.next(now), Next::OpenSession);
    assert_eq!(plan.opened(now, Ok(session("first"))), None);
    up(&mut plan, now);
    plan
}

/// From a session to listening.
fn up(plan: &mut StreamPlan, now: At) {
    assert!(matches!(plan.next(now), Next::Connect(..)));
    plan.connected(now);
    assert!(matches!(plan.next(now), Next::Send(_)));
    plan.sent(now);
    assert!(matches!(plan.next(now), Next::Tell(_)));
    plan.told(now);
    assert!(matches!(plan.next(now), Next::Listen(_)));
}

#[test]
fn a_stream_is_opened_connected_subscribed_caught_up_with_and_listened_to() {
    let mut plan = StreamPlan::new(Subscription::Orders, StreamLimits::default());
    assert_eq!((plan.next(s(0)), plan.is_connected()), (Next::OpenSession, false));
    assert_eq!(plan.opened(s(1), Ok(session("a"))), None);
    assert_eq!(plan.next(s(1)), Next::Connect(session("a").url, s(11)));
    plan.connected(s(2));
    let hello = r#"{"events":["order"],"excludeAccounts":[],"sessionid":"a"}"#;
    assert_eq!((plan.next(s(2)), plan.is_connected()), (Next::Send(hello.to_owned()), true));
    plan.sent(s(2));
    assert_eq!(plan.next(s(2)), Next::Tell(Gap { since: None, until: s(2) }));
    plan.told(s(3));
    assert_eq!(plan.next(s(3)), Next::Listen(s(153)));
    assert_eq!(plan.heard(s(60), true, None), None);
    assert_eq!(plan.next(s(60)), Next::Listen(s(210)));
}

#[test]
fn after_every_end_the_gap_begins_where_the_stream_was_last_heard() {
    for (what, end) in [
        ("closed", Ended::Closed),
        ("broken", Ended::Broke("reset".to_owned())),
        ("unread", Ended::Unread("the ledger is down".to_owned())),
    ] {
        let mut plan = live(Subscription::Orders, s(0));
        plan.heard(s(40), true, None);
        assert_eq!(plan.ended(s(50), end.clone()), end);
        assert_eq!(plan.next(s(50)), Next::Wait(s(50) + Duration::from_millis(500)), "{what}");
        assert_eq!(plan.next(s(51)), Next::OpenSession);
        plan.opened(s(51), Ok(session("second")));
        plan.connected(s(51));
        plan.sent(s(52));
        assert_eq!(plan.next(s(52)), Next::Tell(Gap { since: Some(s(40)), until: s(52) }), "{what}");
    }
}

#[test]
fn a_silent_stream_is_dead_after_two_heartbeats_and_a_half() {
    let mut plan = live(Subscription::Orders, s(0));
    plan.heard(s(60), true, None);
    assert_eq!(plan.on_time(s(209)), None);
    assert_eq!(plan.on_time(s(210)), Some(Ended::Silent(s(150))));
    assert!(!plan.is_connected());
}

#[test]
fn the_brokers_error_ends_the_connection_and_a_new_session_is_asked_for() {
    let mut plan = live(Subscription::Orders, s(0));
    let told = plan.heard(s(1), false, Some("session not found"));
    assert_eq!(told, Some(Ended::Told("session not found".to_owned())));
    assert_eq!(plan.next(s(2)), Next::OpenSession);
}

#[test]
fn waits_grow_with_failures_and_begin_anew_after_a_stable_stream() {
    let mut plan = StreamPlan::new(Subscription::Orders, StreamLimits::default());
    let mut now = s(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(plan.next(now), Next::OpenSession);
        plan.opened(now, Err("down".to_owned()));
        let Next::Wait(until) = plan.next(now) else { panic!("it waits") };
        waits.push((until - now).as_millis());
        now = until;
    }
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    // Up, but nothing good for long enough: a server that accepts and closes is not stable.
    let fails_after = |good: bool, life: u64| {
        let mut plan = plan.clone();
        assert_eq!(plan.next(now), Next::OpenSession);
        plan.opened(now, Ok(session("x")));
        up(&mut plan, now);
        plan.heard(now, good, None);
        let end = now + s(life);
        plan.ended(end, Ended::Closed);
        let Next::Wait(until) = plan.next(end) else { panic!("it waits") };
        (until - end).as_millis()
    };
    assert_eq!(fails_after(false, 40), 60_000);
    assert_eq!(fails_after(true, 29), 60_000);
    assert_eq!(fails_after(true, 30), 500);
}

#[test]
fn a_session_that_grew_old_before_it_was_used_is_renewed_not_used() {
    let mut plan = StreamPlan::new(Subscription::Orders, StreamLimits::default());
    assert_eq!(plan.next(s(0)), Next::OpenSession);
    // The answer took long: the five minutes count from the question.
    plan.opened(s(289), Ok(session("old")));
    assert!(matches!(plan.next(s(289)), Next::Connect(..)));
    assert_eq!(plan.next(s(290)), Next::OpenSession);
    plan.opened(s(291), Ok(session("new")));
    plan.connected(s(292));
    assert!(matches!(plan.next(s(292)), Next::Send(text) if text.contains("\"new\"")));
}

#[test]
fn a_change_of_symbols_is_sent_whole_on_the_connection_with_a_session_that_is_still_good() {
    let mut plan = live(symbols(&["SPX"]), s(0));
    plan.subscribe(symbols(&["SPX"]));
    assert!(matches!(plan.next(s(1)), Next::Listen(_)), "nothing changed");
    plan.subscribe(symbols(&["SPX", "SPY"]));
    let Next::Send(text) = plan.next(s(1)) else { panic!("it sends") };
    assert!(text.contains(r#""symbols":["SPX","SPY"]"#) && text.contains("\"first\""), "{text}");
    plan.sent(s(1));
    assert!(matches!(plan.next(s(1)), Next::Listen(_)), "and tells of no gap");
}

#[test]
fn a_change_with_an_old_session_opens_a_new_one_and_goes_on_listening_where_that_fails() {
    let mut plan = live(symbols(&["SPX"]), s(0));
    plan.heard(s(400), true, None);
    plan.subscribe(symbols(&["SPY"]));
    assert_eq!((plan.next(s(400)), plan.is_connected()), (Next::OpenSession, true));
    assert_eq!(plan.opened(s(401), Err("busy".to_owned())), None, "the connection stays");
    assert_eq!(plan.next(s(401)), Next::Listen(s(401) + Duration::from_millis(500)));
    assert_eq!(plan.on_time(s(402)), None, "that was no silence");
    assert_eq!(plan.next(s(402)), Next::OpenSession);
    plan.opened(s(402), Ok(session("second")));
    let Next::Send(text) = plan.next(s(402)) else { panic!("it sends") };
    assert!(text.contains("\"second\"") && text.contains("SPY") && !text.contains("SPX"), "{text}");
}

#[test]
fn an_empty_list_of_symbols_asks_for_nothing_in_the_brokers_way() {
    let mut plan = live(symbols(&["SPX"]), s(0));
    plan.subscribe(symbols(&[]));
    assert!(matches!(plan.next(s(1)), Next::Send(text) if text.contains("$empty$")));
}

#[test]
fn symbols_that_change_before_the_first_listening_are_sent_again() {
    let mut plan = StreamPlan::new(symbols(&["SPX"]), StreamLimits::default());
    plan.next(s(0));
    plan.opened(s(0), Ok(session("a")));
    plan.connected(s(0));
    plan.sent(s(0));
    plan.subscribe(symbols(&["SPY"]));
    assert!(matches!(plan.next(s(0)), Next::Send(text) if text.contains("SPY")));
    plan.subscribe(Subscription::Orders);
    assert!(matches!(plan.next(s(0)), Next::Send(text) if text.contains("SPY")), "a market stream stays one");
}

#[test]
fn a_pass_does_not_print() {
    let plan = live(Subscription::Orders, s(0));
    assert!(!format!("{plan:?}").contains("\"first\""));
}
