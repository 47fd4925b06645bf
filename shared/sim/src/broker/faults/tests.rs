//! Scripts, where they strike, and what each fault does to the broker and to what it tells.

use std::time::Duration;

use ::broker::transport::{Method, Reply, Request};
use domain::secret::Token;
use domain::time::NANOS_PER_SEC;
use proptest::prelude::*;

use super::super::tests::{CALL, HIGHER, MARGIN, PUT, World, text};
use super::super::{Rules, Status, TranscriptEvent};
use super::*;

fn script(text: &str) -> FaultScript {
    FaultScript::parse(text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn world(faults: &str) -> World {
    let mut world = World::with(Rules::live(7));
    world.broker.set_faults(script(faults));
    world
}

fn request(method: Method, path: &str, pairs: &[(&str, &str)]) -> Request {
    let form = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Request {
        method,
        path: format!("/v1{path}"),
        query: Vec::new(),
        form,
        token: Token::new("stub-token"),
        leaves_within: None,
    }
}

fn order(series: &str, tag: &str) -> Request {
    let pairs = [
        ("class", "option"),
        ("symbol", "SPX"),
        ("option_symbol", series),
        ("side", "buy_to_open"),
        ("quantity", "1"),
        ("type", "limit"),
        ("price", "2.40"),
        ("duration", "day"),
        ("tag", tag),
    ];
    request(Method::Post, "/accounts/VA00000001/orders", &pairs)
}

fn vertical() -> Request {
    let pairs = [
        ("class", "multileg"),
        ("symbol", "SPX"),
        ("type", "debit"),
        ("price", "1.40"),
        ("duration", "day"),
        ("option_symbol[0]", CALL),
        ("side[0]", "buy_to_open"),
        ("quantity[0]", "1"),
        ("option_symbol[1]", HIGHER),
        ("side[1]", "sell_to_open"),
        ("quantity[1]", "1"),
    ];
    request(Method::Post, "/accounts/VA00000001/orders", &pairs)
}

fn dispose(world: &mut World, request: &Request) -> Disposition {
    world.broker.dispose(world.now, request)
}

fn replied(disposition: Disposition) -> Reply {
    let Disposition::Reply(reply) = disposition else { panic!("no plain answer: {disposition:?}") };
    reply
}

fn struck(world: &World) -> u64 {
    world.broker.fault_counts().struck.values().sum()
}

#[test]
fn a_script_says_what_is_wrong_with_it_and_where() {
    for (text, told) in [
        (
            "{\"rules\": [\n{\"fault\": \"answer_lots\"}]}",
            "line 2, field fault: unknown variant `answer_lots`",
        ),
        (
            "{\"rules\": [{\"fault\": \"answer_lost\",\n\"nth\": 0}]}",
            "line 2, field nth: expected a whole number",
        ),
        (
            "{\"rules\": [{\"fault\": \"answer_lost\", \"delay_ms\": 5}]}",
            "field delay_ms: answer_lost does not take",
        ),
        ("{\"rules\": [{\"fault\": \"slow_answer\", \"delay_ms\": 900001}]}", "from 0 to 900000"),
        ("{\"rules\": [{\"fault\": \"error_after_effect\", \"status\": 418}]}", "expected 500, 502"),
        ("{\"rules\": [{\"fault\": \"zero_quote\",\n \"on\": {\n\"tag\": \"x\"}}]}", "line 3, field on.tag"),
        ("{\"rules\": [{\"fault\": \"refused\", \"errors\": []}]}", "field errors: expected 1 to 16"),
        (
            "{\"rules\": [{\"fault\": \"refused\", \"from\": \"10:05\", \"until\": \"10:00\"}]}",
            "is not after",
        ),
        ("{\"rates\": {\"answer_lost\": 1.5}}", "field answer_lost: 1.5 is no share"),
        ("{\"rate\": {}}", "unknown field `rate`, expected one of `seed`, `rates`, `rules`"),
        ("7", "line 1"),
        ("", "line 1"),
    ] {
        let wrong = FaultScript::parse(text).unwrap_err().to_string();
        assert!(wrong.contains(told), "{text}: {wrong}");
    }
    let many = format!("{{\"rules\": [{}]}}", vec!["{\"fault\": \"answer_lost\"}"; RULES_MAX + 1].join(","));
    assert!(FaultScript::parse(&many).unwrap_err().to_string().contains("at most 1000"));
}

#[test]
fn a_script_is_read_back_as_it_was() {
    let written = script(
        "{\"seed\": 3, \"rates\": {\"answer_lost\": 0.25}, \"rules\": [{\"fault\": \"slow_answer\", \"nth\": 2},
          {\"fault\": \"stale_quote\", \"on\": {\"symbol\": \"SPX\"}, \"from\": \"10:00:00\"},
          {\"fault\": \"refused\", \"errors\": [\"No.\"], \"times\": 3, \"chance\": 0.5}]}",
    );
    assert_eq!(script(&serde_json::to_string(&written).unwrap()), written);
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, is) in [
        ("/v1/accounts/*/orders", "/v1/accounts/VA1/orders", true),
        ("/v1/accounts/*/orders", "/v1/accounts/VA1/orders/5", false),
        ("/v1/accounts/*", "/v1/accounts/VA1/orders/5", true),
        ("*orders*", "/v1/accounts/VA1/orders/5", true),
        ("*", "", true),
        ("a*a", "a", false),
        ("abc", "abc", true),
        ("abc", "abcd", false),
    ] {
        assert_eq!(like(pattern, text), is, "{pattern} and {text}");
    }
}

#[test]
fn a_rule_strikes_where_when_and_as_often_as_it_says() {
    let mut it = world(
        "{\"rules\": [{\"fault\": \"request_lost\", \"on\": {\"method\": \"POST\", \"tag\": \"a-*\", \"symbol\": \"SPX\"},
          \"nth\": 2, \"times\": 2, \"from\": \"10:00\", \"until\": \"10:30\"}]}",
    );
    let fates = |it: &mut World, tag: &str| dispose(it, &order(CALL, tag)) == Disposition::NoAnswer;
    assert!(!fates(&mut it, "b-1"));
    assert!(!fates(&mut it, "a-1"));
    assert!(fates(&mut it, "a-2"));
    assert!(!fates(&mut it, "b-2"));
    assert!(fates(&mut it, "a-3"));
    assert!(!fates(&mut it, "a-4"));
    let counts = it.broker.fault_counts();
    assert_eq!((counts.rules[0].matched, counts.rules[0].struck), (4, 2));
    it.broker.set_faults(it.broker.faults().clone());
    it.after(Duration::from_secs(1_800));
    assert!(!fates(&mut it, "a-5") && !fates(&mut it, "a-6"), "its time is over");
    assert_eq!(struck(&it), 2);
}

#[test]
fn a_request_that_is_lost_leaves_nothing_but_a_line_of_the_transcript() {
    let mut it = world("{\"rules\": [{\"fault\": \"request_lost\"}]}");
    it.broker.take_transcript();
    assert_eq!(dispose(&mut it, &order(CALL, "a")), Disposition::NoAnswer);
    let lines = it.broker.take_transcript();
    assert_eq!(lines.len(), 1);
    let on = "POST /v1/accounts/VA00000001/orders".to_owned();
    assert_eq!(lines[0].event, TranscriptEvent::FaultStruck { fault: Fault::RequestLost, rule: Some(1), on });
    assert_eq!(it.broker.order(141_000_001), None);
}

#[test]
fn an_answer_that_is_lost_or_turned_into_an_error_leaves_an_order() {
    for (fault, status) in [("answer_lost", None), ("error_after_effect", Some(502)), ("half_answer", None)] {
        let mut it = world(&format!("{{\"rules\": [{{\"fault\": \"{fault}\"}}]}}"));
        let seen = match dispose(&mut it, &order(CALL, "a")) {
            Disposition::Reply(reply) => Some(reply.status),
            Disposition::Cut { reply, at } => {
                assert!(at > 0 && at < reply.body.len());
                None
            }
            Disposition::NoAnswer => None,
            Disposition::Late { .. } | Disposition::Held { .. } => panic!("{fault}: held back"),
        };
        assert_eq!(seen, status, "{fault}");
        assert!(it.broker.order(141_000_001).is_some(), "{fault}");
    }
}

#[test]
fn refusals_have_no_effect_and_speak_as_the_broker_does() {
    for (rule, status, words) in [
        ("\"error_without_effect\"", 500, "communicating with the backend"),
        ("\"error_without_effect\", \"status\": 502", 502, "<html>"),
        ("\"too_many_requests\"", 429, "QuotaViolation"),
        ("\"token_refused\"", 401, "Access Token expired"),
        ("\"refused\"", 200, "InitialMargin"),
        ("\"refused\", \"errors\": [\"OmsUnavailable\"]", 200, "\"error\":\"OmsUnavailable\""),
    ] {
        let mut it = world(&format!("{{\"rules\": [{{\"fault\": {rule}}}]}}"));
        let reply = replied(dispose(&mut it, &order(CALL, "a")));
        assert_eq!(reply.status, status, "{rule}");
        assert!(text(&reply).contains(words), "{rule}: {}", text(&reply));
        assert_eq!(it.broker.order(141_000_001), None, "{rule}");
        if status == 429 {
            let expiry: i64 = reply.header("x-ratelimit-expiry").unwrap().parse().unwrap();
            assert_eq!(expiry, it.now.millis() + 60_000);
            assert_eq!(reply.header("x-ratelimit-available"), Some("0"));
        }
    }
}

#[test]
fn a_slow_acceptance_is_an_order_up_to_a_minute_later_also_when_its_caller_is_gone() {
    let mut it = world("{\"rules\": [{\"fault\": \"slow_acceptance\", \"delay_ms\": 60000}]}");
    let Disposition::Held { at, ticket } = dispose(&mut it, &order(CALL, "late")) else { panic!("answered") };
    assert_eq!(at.0 - it.now.0, 60 * NANOS_PER_SEC);
    assert_eq!(it.broker.next_due(), Some(at));
    // The broker is restarted meanwhile, and the caller has hung up.
    let bytes = it.broker.to_bytes().unwrap();
    it.broker = Sandbox::from_bytes(&bytes).unwrap();
    it.after(Duration::from_secs(59));
    assert_eq!(it.broker.order(141_000_001), None);
    it.after(Duration::from_secs(1));
    let accepted = it.broker.order(141_000_001).unwrap();
    assert_eq!((accepted.tag.as_deref(), accepted.created), (Some("late"), at));
    assert_eq!(it.broker.take_late(ticket).unwrap().status, 200);
    assert_eq!(it.broker.take_late(ticket), None);
}

#[test]
fn a_read_is_never_accepted_slowly_or_refused_by_the_oms() {
    let mut it = world("{\"rates\": {\"slow_acceptance\": 1, \"refused\": 1, \"refused_after_effect\": 1}}");
    let read = request(Method::Get, "/accounts/VA00000001/orders", &[]);
    assert_eq!(text(&replied(dispose(&mut it, &read))), "{\"orders\":\"null\"}");
}

#[test]
fn a_slow_answer_comes_late_with_its_effect_at_once() {
    let mut it = world("{\"rules\": [{\"fault\": \"slow_answer\", \"delay_ms\": 30000}]}");
    let Disposition::Late { at, reply } = dispose(&mut it, &order(CALL, "a")) else { panic!("answered") };
    assert_eq!((at.0 - it.now.0, reply.status), (30 * NANOS_PER_SEC, 200));
    assert_eq!(it.broker.order(141_000_001).unwrap().created, it.now);
}

#[test]
fn an_order_is_listed_late_and_read_by_its_number_at_once() {
    let mut it = world("{\"rules\": [{\"fault\": \"late_visibility\", \"delay_ms\": 5000}]}");
    replied(dispose(&mut it, &order(CALL, "a")));
    it.after(Duration::from_millis(4_999));
    assert_eq!(it.get("/accounts/VA00000001/orders", &[]), "{\"orders\":\"null\"}");
    assert!(it.get("/accounts/VA00000001/orders/141000001", &[]).contains("\"id\":141000001"));
    it.after(Duration::from_millis(1));
    assert!(it.get("/accounts/VA00000001/orders", &[]).contains("\"id\":141000001"));
}

#[test]
fn an_accepted_order_is_rejected_later_and_never_executes() {
    let mut it = world(
        "{\"rules\": [{\"fault\": \"reject_after_acceptance\", \"delay_ms\": 2000, \"reason\": \"No.\"}]}",
    );
    replied(dispose(&mut it, &order(CALL, "a")));
    it.after(Duration::from_millis(1_999));
    assert_eq!(it.order(141_000_001).0, Status::Pending);
    it.after(Duration::from_millis(1));
    let order = it.broker.order(141_000_001).unwrap();
    assert_eq!((order.status, order.reason.as_deref()), (Status::Rejected, Some("No.")));
    it.quote(CALL, 100, 110, 9, 9);
    assert_eq!(it.held(CALL), 0);
}

#[test]
fn a_fill_and_its_event_come_before_the_acknowledgement() {
    let mut it = world("{\"rules\": [{\"fault\": \"fill_before_acknowledgement\"}]}");
    let token = Token::new("stub-token");
    let session = it.broker.open_stream(&token, StreamKind::Account, it.now).unwrap();
    let hello = format!("{{\"events\":[\"order\"],\"sessionid\":\"{session}\"}}");
    it.broker.attach(it.now, StreamKind::Account, &hello).unwrap();
    let Disposition::Late { at, .. } = dispose(&mut it, &order(CALL, "a")) else { panic!("answered") };
    assert_eq!(it.order(141_000_001).0, Status::Filled);
    it.broker.advance(it.now);
    let frames = it.broker.take_frames();
    assert!(frames.iter().any(|frame| frame.text.contains("\"status\":\"filled\"")), "{frames:?}");
    assert!(it.now < at);
}

#[test]
fn legs_come_one_by_one_and_a_cancel_between_leaves_them_so() {
    let one = |it: &World| (it.held(CALL), it.held(HIGHER));
    let mut it = world("{\"rules\": [{\"fault\": \"partial_legs\", \"delay_ms\": 30000}]}");
    replied(dispose(&mut it, &vertical()));
    it.after(Duration::from_secs(1));
    assert_eq!((one(&it), it.order(141_000_001).0), ((1, 0), Status::PartiallyFilled));
    it.after(Duration::from_secs(29));
    it.after(Duration::from_secs(1));
    assert_eq!((one(&it), it.order(141_000_001).0), ((1, -1), Status::Filled));
    let mut it = world("{\"rules\": [{\"fault\": \"partial_legs\"}]}");
    replied(dispose(&mut it, &vertical()));
    it.after(Duration::from_secs(1));
    it.cancel(141_000_001);
    it.after(Duration::from_secs(120));
    assert_eq!((one(&it), it.order(141_000_001).0), ((1, 0), Status::Canceled));
}

#[test]
fn a_fill_shows_before_its_price() {
    let mut it = world("{\"rules\": [{\"fault\": \"late_price\", \"delay_ms\": 3000}]}");
    replied(dispose(&mut it, &order(CALL, "a")));
    it.after(Duration::from_secs(1));
    let path = "/accounts/VA00000001/orders/141000001";
    let early = it.get(path, &[]);
    assert!(early.contains("\"status\":\"filled\"") && early.contains("\"avg_fill_price\":0.0"), "{early}");
    it.after(Duration::from_secs(3));
    assert!(it.get(path, &[]).contains("\"avg_fill_price\":2.4"));
}

#[test]
fn a_cancel_that_was_answered_loses_to_a_fill_at_the_limit() {
    let mut it = world("{\"rules\": [{\"fault\": \"fill_beats_cancel\"}]}");
    it.quote(CALL, 250, 260, 9, 9);
    replied(dispose(&mut it, &order(CALL, "a")));
    it.after(Duration::from_secs(1));
    assert_eq!(it.order(141_000_001).0, Status::Open);
    assert_eq!(it.cancel(141_000_001).0, 200);
    it.after(Duration::from_secs(1));
    let (status, executed, average) = it.order(141_000_001);
    assert_eq!((status, executed, average.to_string().as_str()), (Status::Filled, 1, "2.40"));
}

#[test]
fn events_are_dropped_doubled_or_late() {
    let told = |faults: &str| {
        let mut it = world(faults);
        let token = Token::new("stub-token");
        let session = it.broker.open_stream(&token, StreamKind::Account, it.now).unwrap();
        let hello = format!("{{\"events\":[\"order\"],\"sessionid\":\"{session}\"}}");
        it.broker.attach(it.now, StreamKind::Account, &hello).unwrap();
        replied(dispose(&mut it, &order(CALL, "a")));
        for _ in 0..70 {
            it.after(Duration::from_secs(1));
        }
        let frames = it.broker.take_frames();
        let word = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            value["status"].as_str().unwrap().to_owned()
        };
        frames.iter().map(|frame| word(&frame.text)).collect::<Vec<String>>()
    };
    assert_eq!(told("{}"), ["pending", "open", "filled", "active"]);
    assert_eq!(told("{\"rules\": [{\"fault\": \"event_dropped\"}]}"), ["active"]);
    let twice = told("{\"rules\": [{\"fault\": \"event_twice\", \"nth\": 3}]}");
    assert_eq!(twice, ["pending", "open", "filled", "filled", "active"]);
    let late = told("{\"rules\": [{\"fault\": \"event_late\", \"nth\": 1}]}");
    assert_eq!(late, ["open", "filled", "pending", "active"]);
}

#[test]
fn quotes_are_told_wrongly_while_orders_meet_the_right_ones() {
    let row = |fault: &str| -> serde_json::Value {
        let mut it = world(&format!(
            "{{\"rules\": [{{\"fault\": \"{fault}\", \"on\": {{\"symbol\": \"{CALL}\"}}}}]}}"
        ));
        let told: serde_json::Value =
            serde_json::from_str(&it.get("/markets/quotes", &[("symbols", CALL)])).unwrap();
        let other = it.get("/markets/quotes", &[("symbols", PUT)]);
        assert!(other.contains("\"bid\":1.45"), "{other}");
        replied(dispose(&mut it, &order(CALL, "a")));
        it.after(Duration::from_secs(1));
        assert_eq!(it.order(141_000_001).0, Status::Filled, "{fault}");
        told["quotes"]["quote"].clone()
    };
    let right = row("event_twice");
    assert_eq!((&right["bid"], &right["ask"]), (&2.3.into(), &2.4.into()));
    let crossed = row("crossed_quote");
    assert_eq!((&crossed["bid"], &crossed["ask"]), (&2.4.into(), &2.3.into()));
    let zero = row("zero_quote");
    assert_eq!((&zero["bid"], &zero["ask"], &zero["bidsize"]), (&0.0.into(), &0.0.into(), &0.into()));
    let stale = row("stale_quote");
    let age = right["bid_date"].as_i64().unwrap() - stale["bid_date"].as_i64().unwrap();
    assert_eq!((age, &stale["bid"]), (60_000, &2.3.into()));
    let wrong = row("wrong_instrument");
    assert_eq!((&wrong["symbol"], &wrong["bid"]), (&HIGHER.into(), &1.0.into()));
    let mislabelled = row("mislabelled_quote");
    assert_eq!((&mislabelled["symbol"], &mislabelled["bid"]), (&CALL.into(), &1.0.into()));
}

#[test]
fn quotes_are_dropped_or_wrong_on_the_market_stream_and_others_go_on() {
    let mut it = world(&format!(
        "{{\"rules\": [{{\"fault\": \"quote_dropped\", \"on\": {{\"symbol\": \"{CALL}\"}}}},
          {{\"fault\": \"crossed_quote\", \"on\": {{\"symbol\": \"{PUT}\", \"stream\": \"market\"}}}}]}}"
    ));
    let token = Token::new("stub-token");
    let session = it.broker.open_stream(&token, StreamKind::Market, it.now).unwrap();
    let hello = format!(
        "{{\"symbols\":[\"{CALL}\",\"{PUT}\",\"{HIGHER}\"],\"filter\":[\"quote\"],\"sessionid\":\"{session}\"}}"
    );
    it.broker.attach(it.now, StreamKind::Market, &hello).unwrap();
    it.broker.take_frames();
    it.quote(CALL, 200, 210, 5, 5);
    it.quote(PUT, 200, 210, 5, 5);
    it.quote(HIGHER, 200, 210, 5, 5);
    let frames = it.broker.take_frames();
    let told: Vec<serde_json::Value> =
        frames.iter().map(|it| serde_json::from_str(&it.text).unwrap()).collect();
    let told: Vec<_> =
        told.iter().map(|it| (it["symbol"].as_str().unwrap(), it["bid"].as_f64().unwrap())).collect();
    assert_eq!(told, [(PUT, 2.1), (HIGHER, 2.0)]);
    assert!(it.get("/markets/quotes", &[("symbols", CALL)]).contains("\"bid\":2.0"));
    for _ in 0..121 {
        it.after(Duration::from_secs(1));
    }
    assert!(it.broker.take_frames().iter().any(|frame| frame.text.contains("heartbeat")));
}

/// A day with everything going wrong, stopped and restored after so many requests.
fn storm(seed: u64, restored_after: usize) -> Vec<super::super::TranscriptLine> {
    let rates: Vec<String> = Fault::ALL.iter().map(|it| format!("\"{}\": 0.08", it.as_str())).collect();
    let mut it = world(&format!("{{\"seed\": {seed}, \"rates\": {{{}}}}}", rates.join(",")));
    let mut lines = Vec::new();
    for n in 0..150usize {
        if n == restored_after {
            it.broker = Sandbox::from_bytes(&it.broker.to_bytes().unwrap()).unwrap();
        }
        let tag = format!("t-{n}");
        match n % 5 {
            0 | 1 => drop(dispose(&mut it, &order([CALL, PUT][n % 2], &tag))),
            2 => drop(dispose(&mut it, &vertical())),
            3 => {
                let path = format!("/accounts/VA00000001/orders/{}", 141_000_001 + n / 3);
                drop(dispose(&mut it, &request(Method::Delete, &path, &[])));
            }
            _ => drop(dispose(&mut it, &request(Method::Get, "/accounts/VA00000001/orders", &[]))),
        }
        it.after(Duration::from_millis(400));
        let (bid, size) = (200 + u32::try_from(n * 7 % 50).unwrap(), 1 + u32::try_from(n % 4).unwrap());
        it.quote(CALL, bid, bid + 10, size, size);
        lines.extend(it.broker.take_transcript());
    }
    it.after(Duration::from_secs(600));
    lines.extend(it.broker.take_transcript());
    lines
}

#[test]
fn a_storm_of_faults_is_the_same_storm_after_a_restart_in_its_middle() {
    for seed in 0..4 {
        let whole = storm(seed, usize::MAX);
        let kinds: std::collections::BTreeSet<Fault> = whole
            .iter()
            .filter_map(|it| {
                let TranscriptEvent::FaultStruck { fault, .. } = it.event else { return None };
                Some(fault)
            })
            .collect();
        assert!(kinds.len() >= 15, "{kinds:?}");
        assert_eq!(storm(seed, 75), whole, "seed {seed}");
    }
}

#[test]
fn strangers_are_refused_before_anything_goes_wrong() {
    let mut it = world("{\"rates\": {\"answer_lost\": 1}}");
    let stranger = Request { token: Token::new("nobody"), ..order(CALL, "a") };
    assert_eq!(replied(dispose(&mut it, &stranger)).status, 401);
    assert_eq!(struck(&it), 0);
}

#[test]
fn faults_go_on_after_a_restart_and_end_when_they_are_taken_away() {
    let mut it = world("{\"rules\": [{\"fault\": \"request_lost\", \"nth\": 2}]}");
    replied(dispose(&mut it, &order(CALL, "a")));
    it.broker = Sandbox::from_bytes(&it.broker.to_bytes().unwrap()).unwrap();
    assert_eq!(dispose(&mut it, &order(CALL, "b")), Disposition::NoAnswer);
    it.broker.set_faults(FaultScript::default());
    replied(dispose(&mut it, &order(CALL, "c")));
    assert_eq!(it.broker.fault_counts().struck[&Fault::RequestLost], 1);
    assert!(it.broker.account(MARGIN).is_some());
}

fn fates(seed: u64, rate: f64, noise: bool) -> Vec<bool> {
    let mut it = world(&format!("{{\"seed\": {seed}, \"rates\": {{\"request_lost\": {rate}}}}}"));
    (0..60)
        .map(|n| {
            it.after(Duration::from_millis(37));
            if noise {
                dispose(&mut it, &request(Method::Get, "/markets/clock", &[]));
            }
            let tag = format!("t-{n}");
            dispose(&mut it, &order(CALL, &tag)) == Disposition::NoAnswer
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn prop_the_same_seed_strikes_the_same_whatever_else_is_asked(seed: u64) {
        prop_assert_eq!(fates(seed, 0.3, false), fates(seed, 0.3, true));
    }

    #[test]
    fn prop_no_text_makes_a_script_panic(text in "\\PC{0,200}") {
        drop(FaultScript::parse(&text));
    }
}

#[test]
fn a_rate_strikes_about_as_often_as_it_says_and_seeds_differ() {
    let count: usize = (0..20).map(|seed| fates(seed, 0.25, false).iter().filter(|it| **it).count()).sum();
    assert!((240..=360).contains(&count), "{count} of 1200 at a quarter");
    assert_ne!(fates(1, 0.25, false), fates(2, 0.25, false));
}
