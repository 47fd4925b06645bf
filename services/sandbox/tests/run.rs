//! A sandbox that runs by itself: its session, its clock, its control path, faults on the socket, its journal.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: what fails here fails the test"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::time::{UtcNanos, at_new_york};
use jiff::civil::time;
use sandbox::accounts;
use sandbox::market::Feed;
use sandbox::play::{Play, Setup, Start};
use serde_json::Value;
use sim::broker::Rules;
use sim::broker::faults::FaultScript;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The wall's time: the tests' own, where clocks are banned everywhere else.
#[expect(clippy::disallowed_methods, reason = "the runner's edge: here wall time comes in")]
fn wall() -> UtcNanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UtcNanos::default().plus(since.unwrap_or_default())
}

fn setup(faults: &str) -> Setup {
    let (profile, feed) = Feed::generated(7, None).unwrap();
    let at = at_new_york(profile.session.date, time(10, 0, 0, 0));
    Setup {
        listen: "127.0.0.1:0".parse().unwrap(),
        start: Start::At { at, speed: 1.0, holds_at_close: true },
        profile,
        feed,
        users: accounts::group().unwrap(),
        rules: Rules::live(7),
        faults: Some(FaultScript::parse(faults).unwrap()),
        journal: None,
        control: true,
        wall,
    }
}

fn playing<F: Future<Output = ()>>(setup: Setup, test: impl FnOnce(SocketAddr) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let play = Play::start(setup).await.unwrap();
        let address = play.address();
        tokio::select! {
            ended = play.run() => panic!("the market broke: {ended:?}"),
            done = tokio::time::timeout(Duration::from_secs(30), test(address)) => done.expect("in time"),
        }
        play.stop().await.unwrap();
    });
}

/// Head and body of whatever comes until the connection ends.
async fn raw(address: SocketAddr, method: &str, path: &str, more: &str, body: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer stub-token\r\nAccept: application/json\r\n\
         Connection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(socket.read_to_end(&mut answer).await);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

async fn json(address: SocketAddr, method: &str, path: &str, body: &str) -> Value {
    let (head, body) = raw(address, method, path, "", body).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {head}\n{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// A quoted call near the index, and its ask.
async fn a_call(address: SocketAddr) -> (String, f64) {
    let dates =
        json(address, "GET", "/v1/markets/options/expirations?symbol=SPX&includeAllRoots=true", "").await;
    let first = &dates["expirations"]["date"];
    let date = first.as_str().or_else(|| first[0].as_str()).unwrap().to_owned();
    let path = format!("/v1/markets/options/chains?symbol=SPX&expiration={date}");
    let chain = json(address, "GET", &path, "").await;
    let rows = chain["options"]["option"].as_array().unwrap();
    let call = rows.iter().find(|it| {
        it["option_type"] == "call" && it["ask"].as_f64().is_some_and(|ask| (1.0..8.0).contains(&ask))
    });
    let call = call.expect("a call near the index");
    (call["symbol"].as_str().unwrap().to_owned(), call["ask"].as_f64().unwrap())
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const ORDERS: &str = "/v1/accounts/VA00000001/orders";

async fn buy(address: SocketAddr, tag: &str) -> (String, String) {
    let (symbol, ask) = a_call(address).await;
    let form = format!(
        "class=option&symbol=SPX&option_symbol={symbol}&side=buy_to_open&quantity=1&type=limit&price={ask:.2}&duration=day&tag={tag}"
    );
    raw(address, "POST", ORDERS, FORM, &form).await
}

fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&dir));
    dir
}

#[test]
fn the_session_stands_at_ten_and_the_clock_is_held_moved_and_let_go() {
    playing(setup("{}"), |address| async move {
        let state = json(address, "GET", "/_sandbox/state", "").await;
        assert!(state["clock"]["newYork"].as_str().unwrap().contains(" 10:00:0"), "{state}");
        assert_eq!(state["clock"]["held"], false);
        let held = json(address, "POST", "/_sandbox/clock/hold", "").await;
        let again = json(address, "GET", "/_sandbox/state", "").await;
        assert_eq!(held["clock"]["time"], again["clock"]["time"]);
        let clock = json(address, "GET", "/v1/markets/clock", "").await;
        assert_eq!(clock["clock"]["state"], "open");
        let noon = json(address, "POST", "/_sandbox/clock/step?to=12:00", "").await;
        assert!(noon["clock"]["newYork"].as_str().unwrap().ends_with(" 12:00:00.000"), "{noon}");
        let spx = json(address, "GET", "/v1/markets/quotes?symbols=SPX", "").await;
        let date = spx["quotes"]["quote"]["trade_date"].as_i64().unwrap();
        let seconds = UtcNanos::parse(noon["clock"]["time"].as_str().unwrap()).unwrap().millis() - date;
        assert!((0..5_000).contains(&seconds), "the market was played up to noon: {seconds} ms");
        let minute = json(address, "POST", "/_sandbox/clock/step", "seconds=60").await;
        assert!(minute["clock"]["newYork"].as_str().unwrap().ends_with(" 12:01:00.000"), "{minute}");
        let fast = json(address, "POST", "/_sandbox/clock/speed", "x=10").await;
        assert_eq!(fast["clock"]["speed"], 10.0);
        let going = json(address, "POST", "/_sandbox/clock/resume", "").await;
        assert_eq!(going["clock"]["held"], false);
        for (path, told) in [
            ("clock/step", "Expected seconds"),
            ("clock/step?to=noon", "New York time"),
            ("clock/step?seconds=-1", "no number"),
            ("clock/speed?x=0", "no speed"),
            ("clock/jump", "hold, resume, step, speed"),
        ] {
            let (head, body) = raw(address, "POST", &format!("/_sandbox/{path}"), "", "").await;
            assert!(head.starts_with("HTTP/1.1 400") && body.contains(told), "{path}: {head} {body}");
        }
    });
}

#[test]
fn the_market_holds_at_the_close() {
    playing(setup("{}"), |address| async move {
        json(address, "POST", "/_sandbox/clock/step?to=15:59:59", "").await;
        json(address, "POST", "/_sandbox/clock/speed?x=1000", "").await;
        loop {
            let state = json(address, "GET", "/_sandbox/state", "").await;
            if state["clock"]["held"] == true {
                assert!(state["clock"]["newYork"].as_str().unwrap().ends_with(" 16:00:00.000"), "{state}");
                break;
            }
        }
        let clock = json(address, "GET", "/v1/markets/clock", "").await;
        assert_eq!(clock["clock"]["state"], "postmarket");
    });
}

#[test]
fn a_request_or_its_answer_is_lost_on_the_socket() {
    let script = "{\"rules\": [
        {\"fault\": \"request_lost\", \"on\": {\"tag\": \"lost\"}},
        {\"fault\": \"answer_lost\", \"on\": {\"tag\": \"unheard\"}},
        {\"fault\": \"half_answer\", \"on\": {\"tag\": \"half\"}}]}";
    playing(setup(script), |address| async move {
        assert_eq!(buy(address, "lost").await, (String::new(), String::new()));
        assert_eq!(buy(address, "unheard").await, (String::new(), String::new()));
        let (head, body) = buy(address, "half").await;
        let lower = head.to_lowercase();
        let announced = lower.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        let announced: usize = announced.parse().unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && !body.is_empty(), "{head}\n{body}");
        assert_eq!(body.len(), announced / 2, "{head}\n{body}");
        json(address, "POST", "/_sandbox/clock/step?seconds=1", "").await;
        let list = json(address, "GET", &format!("{ORDERS}?includeTags=true"), "").await;
        let tags: Vec<&str> = list["orders"]["order"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["tag"].as_str().unwrap())
            .collect();
        assert_eq!(tags, ["unheard", "half"]);
    });
}

#[test]
fn a_slow_acceptance_is_answered_when_market_time_reaches_it() {
    let script = "{\"rules\": [{\"fault\": \"slow_acceptance\", \"delay_ms\": 60000, \"nth\": 1}]}";
    playing(setup(script), |address| async move {
        json(address, "POST", "/_sandbox/clock/hold", "").await;
        let waiting = tokio::task::spawn_local(async move { buy(address, "slow").await });
        loop {
            let state = json(address, "GET", "/_sandbox/state", "").await;
            if state["faults"]["struck"]["slow_acceptance"] == 1 {
                assert_eq!(state["orders"]["known"], 0);
                break;
            }
        }
        json(address, "POST", "/_sandbox/clock/step?seconds=59", "").await;
        assert!(!waiting.is_finished());
        json(address, "POST", "/_sandbox/clock/step?seconds=1", "").await;
        let (head, body) = waiting.await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && body.contains("\"status\":\"ok\""), "{head}\n{body}");
    });
}

#[test]
fn a_slow_answer_waits_in_market_time_and_a_stop_does_not_wait_for_it() {
    let script =
        "{\"rules\": [{\"fault\": \"slow_answer\", \"delay_ms\": 60000, \"on\": {\"method\": \"POST\"}}]}";
    let mut setup = setup(script);
    setup.start = match setup.start {
        Start::At { at, holds_at_close, .. } => Start::At { at, speed: 1_000.0, holds_at_close },
        other => other,
    };
    playing(setup, |address| async move {
        let (head, _) = buy(address, "slow").await;
        assert!(head.starts_with("HTTP/1.1 200"), "sixty seconds at a thousandfold speed: {head}");
        json(address, "POST", "/_sandbox/clock/hold", "").await;
        tokio::task::spawn_local(async move { buy(address, "never").await });
        while json(address, "GET", "/_sandbox/state", "").await["orders"]["known"] != 2 {}
    });
}

#[test]
fn faults_are_put_read_counted_and_taken_away_while_it_runs() {
    playing(setup("{}"), |address| async move {
        let none = json(address, "GET", "/_sandbox/faults", "").await;
        assert_eq!(none["counts"]["rules"], Value::Array(Vec::new()));
        let script =
            r#"{"rules": [{"fault": "error_after_effect", "status": 504, "on": {"method": "POST"}}]}"#;
        let put = json(address, "PUT", "/_sandbox/faults", script).await;
        assert_eq!(put["script"]["rules"][0]["status"], 504);
        let (head, _) = buy(address, "a").await;
        assert!(head.starts_with("HTTP/1.1 504"), "{head}");
        let counts = json(address, "GET", "/_sandbox/faults", "").await;
        assert_eq!(counts["counts"]["rules"][0]["struck"], 1);
        json(address, "DELETE", "/_sandbox/faults", "").await;
        assert!(buy(address, "b").await.0.starts_with("HTTP/1.1 200"));
        let (head, body) =
            raw(address, "PUT", "/_sandbox/faults", "", "{\"rules\": [\n{\"fault\": \"x\"}]}").await;
        assert!(head.starts_with("HTTP/1.1 400") && body.contains("line 2, field fault"), "{head}\n{body}");
    });
}

#[test]
fn the_transcript_is_read_from_any_line_on() {
    playing(setup("{}"), |address| async move {
        buy(address, "a").await;
        let (head, all) = raw(address, "GET", "/_sandbox/transcript", "", "").await;
        assert!(head.contains("application/x-ndjson"), "{head}");
        let lines: Vec<Value> = all.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        assert_eq!((lines[0]["seq"].as_u64(), lines[0]["event"].as_str()), (Some(1), Some("session_opened")));
        assert!(lines.iter().any(|it| it["event"] == "accepted" && it["tag"] == "a"));
        let last = lines.last().unwrap()["seq"].as_u64().unwrap();
        let (_, one) =
            raw(address, "GET", &format!("/_sandbox/transcript?from={last}&limit=1"), "", "").await;
        assert_eq!(serde_json::from_str::<Value>(&one).unwrap()["seq"], last);
        let (head, _) = raw(address, "GET", "/_sandbox/transcript?from=x", "", "").await;
        assert!(head.starts_with("HTTP/1.1 400"));
    });
}

#[test]
fn an_order_comes_from_elsewhere() {
    playing(setup("{}"), |address| async move {
        let (symbol, _) = a_call(address).await;
        let form = format!("account=VA00000001&option_symbol={symbol}&side=buy_to_open&quantity=2");
        let placed = json(address, "POST", "/_sandbox/foreign-order", &form).await;
        assert_eq!(placed["order"]["id"], 141_000_001);
        json(address, "POST", "/_sandbox/clock/step?seconds=1", "").await;
        let state = json(address, "GET", "/_sandbox/state", "").await;
        assert_eq!(state["accounts"]["VA00000001"]["positions"][&symbol], 2);
        let list = json(address, "GET", &format!("{ORDERS}?includeTags=true"), "").await;
        assert_eq!(
            (&list["orders"]["order"]["status"], &list["orders"]["order"]["tag"]),
            (&"filled".into(), &Value::Null)
        );
        for (from, to, told) in [
            ("VA00000001", "VA9", "account: VA9 is not known"),
            ("quantity=2", "quantity=0", "quantity: expected whole contracts"),
            ("side=buy_to_open", "side=buy", "side: expected buy_to_open"),
            ("&quantity=2", "", "quantity: is required"),
            ("&quantity=2", "&quantity=2&price=two", "price: expected dollars"),
        ] {
            let (head, body) =
                raw(address, "POST", "/_sandbox/foreign-order", "", &form.replace(from, to)).await;
            assert!(head.starts_with("HTTP/1.1 400") && body.contains(told), "{told}: {head} {body}");
        }
    });
}

#[test]
fn the_control_path_is_off_unless_asked_for_and_for_this_machine_alone() {
    playing(Setup { control: false, ..setup("{}") }, |address| async move {
        let (head, body) = raw(address, "GET", "/_sandbox/state", "", "").await;
        assert!(head.starts_with("HTTP/1.1 404") && body.contains("--control"), "{head} {body}");
    });
    playing(setup("{}"), |address| async move {
        let (head, _) = raw(address, "GET", "/_sandbox/state", "Origin: http://evil.example\r\n", "").await;
        assert!(head.starts_with("HTTP/1.1 403"), "{head}");
        let (head, body) = raw(address, "GET", "/_sandbox/nothing", "", "").await;
        assert!(head.starts_with("HTTP/1.1 404") && body.contains("clock/step"), "{head} {body}");
    });
}

#[test]
fn a_journaled_run_goes_on_where_it_was_with_its_orders_faults_and_time() {
    let dir = scratch("goes-on");
    let with = |faults: &str| Setup { journal: Some(dir.clone()), ..setup(faults) };
    playing(
        with("{\"rules\": [{\"fault\": \"answer_lost\", \"on\": {\"tag\": \"b\"}}]}"),
        |address| async move {
            json(address, "POST", "/_sandbox/clock/step?to=11:00", "").await;
            buy(address, "a").await;
        },
    );
    playing(Setup { faults: None, ..with("{}") }, |address| async move {
        let state = json(address, "GET", "/_sandbox/state", "").await;
        assert!(state["clock"]["newYork"].as_str().unwrap().contains(" 11:00:0"), "{state}");
        assert_eq!(state["orders"]["known"], 1);
        assert_eq!(buy(address, "b").await.0, "", "the script is still there");
        let (_, all) = raw(address, "GET", "/_sandbox/transcript", "", "").await;
        let seqs: Vec<u64> = all
            .lines()
            .map(|it| serde_json::from_str::<Value>(it).unwrap()["seq"].as_u64().unwrap())
            .collect();
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "no gap over the restart: {seqs:?}");
    });
    let (profile, feed) = Feed::generated(8, Some("2026-11-20".parse().unwrap())).unwrap();
    let other = Setup { profile, feed, ..with("{}") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = tokio::task::LocalSet::new().block_on(&runtime, Play::start(other)).err().unwrap();
    assert!(refused.to_string().contains("name another directory"), "{refused}");
}

#[test]
fn the_same_requests_at_the_same_market_times_leave_the_same_transcript() {
    let run = || {
        let lines = std::rc::Rc::new(std::cell::RefCell::new(String::new()));
        let kept = std::rc::Rc::clone(&lines);
        playing(
            setup("{\"seed\": 4, \"rates\": {\"answer_lost\": 0.3, \"request_lost\": 0.2}}"),
            |address| async move {
                // The run reaches ten at once and is stopped at a time of its own, which the same step passes in both.
                json(address, "POST", "/_sandbox/clock/hold", "").await;
                json(address, "POST", "/_sandbox/clock/step?to=10:30", "").await;
                for n in 0..10 {
                    json(address, "POST", &format!("/_sandbox/clock/step?to=10:31:{n:02}"), "").await;
                    raw(address, "GET", "/v1/accounts/VA00000001/balances", "", "").await;
                    raw(address, "GET", "/v1/markets/quotes?symbols=SPX,SPY", "", "").await;
                }
                let (_, all) = raw(address, "GET", "/_sandbox/transcript", "", "").await;
                kept.replace(all);
            },
        );
        lines.take()
    };
    let (one, other) = (run(), run());
    assert!(one.contains("fault_struck"), "{one}");
    assert_eq!(one, other);
}
