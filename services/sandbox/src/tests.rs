//! The listener over real sockets: HTTP, streams, the journal, malformed input.

mod http;
mod streams;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::listener::Timeouts;
use crate::{Journal, Listener};
use domain::account::AccountType;
use domain::calendar::Session;
use domain::market::{MarketEvent, OptionQuote};
use domain::money::{Price, Usd};
use domain::ports::Clock;
use domain::time::UtcNanos;
use futures_util::{SinkExt, StreamExt};
use sim::broker::{AccountConfig, Config, Latencies, Rules, Sandbox, UserConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

#[derive(Clone)]
struct Hand(Rc<Cell<UtcNanos>>);

impl Clock for Hand {
    fn now(&self) -> UtcNanos {
        self.0.get()
    }
}

fn broker() -> (Rc<RefCell<Sandbox>>, Hand) {
    let session = Session::of("2026-11-20".parse().unwrap()).unwrap().unwrap();
    let account =
        AccountConfig::full("VA00000001".parse().unwrap(), AccountType::Margin, Usd::from_dollars(100_000));
    let user = UserConfig::with_account("id-one", "stub-token", account);
    let rules = Rules { latencies: Latencies::NONE, ..Rules::live(1) };
    let mut broker = Sandbox::new(Config { session, users: vec![user], series: Vec::new(), rules });
    let now = session.open.plus(Duration::from_secs(1_800));
    let price = |cents| Some(Price::from_cents(cents));
    let quote = OptionQuote { ts: now, bid: price(230), ask: price(240), bid_size: 9, ask_size: 9 };
    broker.on_market(&MarketEvent::OptionQuote("SPXW261120C05610000".parse().unwrap(), quote));
    (Rc::new(RefCell::new(broker)), Hand(Rc::new(Cell::new(now))))
}

/// Runs `test` beside a listener, then shuts it down.
fn listening<F>(journal: Option<Journal>, test: impl FnOnce(Rc<Listener<Hand>>, Rc<RefCell<Sandbox>>) -> F)
where
    F: Future<Output = ()>,
{
    listening_with(journal, Timeouts::USUAL, test);
}

fn listening_with<F>(
    journal: Option<Journal>,
    timeouts: Timeouts,
    test: impl FnOnce(Rc<Listener<Hand>>, Rc<RefCell<Sandbox>>) -> F,
) where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (broker, clock) = broker();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind_with(any, Rc::clone(&broker), clock, journal, timeouts).await;
        let listener = listener.unwrap();
        let listener = Rc::new(listener);
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, test(Rc::clone(&listener), broker)).await.expect("in time");
        Rc::into_inner(listener).expect("only ours").shutdown().await;
    });
}

/// Writes `bytes`, ends the writing half, and reads until the other side ends too.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // A refused body may end the connection while we still write.
    drop(socket.write_all(bytes).await);
    drop(socket.shutdown().await);
    let mut answer = Vec::new();
    drop(socket.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

fn http(method: &str, path: &str, content: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: sandbox.test:8100\r\nAuthorization: Bearer stub-token\r\nAccept: application/json\r\n\
         Connection: close\r\n{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const ORDER: &str = "class=option&symbol=SPX&option_symbol=SPXW261120C05610000&side=buy_to_open&quantity=1&type=limit&price=2.40&duration=day&tag=a-1";

#[test]
fn an_order_goes_in_by_form_or_query_and_comes_back_in_the_list() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let orders = "/v1/accounts/VA00000001/orders";
        let placed = raw(address, &http("POST", orders, FORM, ORDER)).await;
        assert!(placed.starts_with("HTTP/1.1 200") && placed.contains("\"status\":\"ok\""), "{placed}");
        let second = raw(address, &http("POST", &format!("{orders}?{ORDER}"), "", "")).await;
        assert!(second.contains("\"id\":141000002"), "{second}");
        let list = raw(address, &http("GET", &format!("{orders}?includeTags=True"), "", "")).await;
        let lower = list.to_ascii_lowercase();
        assert!(lower.contains("content-type: application/json"), "{list}");
        assert!(lower.contains("x-ratelimit-available: 119"), "{list}");
        assert!(list.contains("\"tag\":\"a-1\""), "{list}");
        assert_eq!(listener.in_flight(), 0);
    });
}

#[test]
fn an_empty_json_object_is_no_parameters() {
    listening(None, |listener, _| async move {
        let request = http("POST", "/v1/accounts/events/session", "Content-Type: application/json\r\n", "{}");
        let answer = raw(listener.address(), &request).await;
        assert!(answer.contains("ws://sandbox.test:8100/v1/accounts/events"), "{answer}");
    });
}

#[test]
fn tokens_are_needed() {
    listening(None, |listener, _| async move {
        let answer =
            raw(listener.address(), b"GET /v1/user/profile HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("Invalid Access Token"), "{answer}");
    });
}

#[test]
fn changes_are_journaled_before_the_answer_and_reads_are_not() {
    let saved: Rc<RefCell<Vec<u64>>> = Rc::default();
    let seen = Rc::clone(&saved);
    let journal: Journal = Box::new(move |broker| {
        let orders = broker
            .take_transcript()
            .iter()
            .filter(|it| format!("{:?}", it.event).contains("Accepted"))
            .count();
        seen.borrow_mut().push(orders as u64);
        assert!(!broker.to_bytes()?.is_empty());
        Ok(())
    });
    listening(Some(journal), |listener, _| async move {
        raw(listener.address(), &http("POST", "/v1/accounts/VA00000001/orders", FORM, ORDER)).await;
        assert_eq!(saved.borrow().last(), Some(&1));
        // The first read finds the order opened and executed meanwhile; after it there is nothing new.
        raw(listener.address(), &http("GET", "/v1/markets/clock", "", "")).await;
        let before = saved.borrow().len();
        raw(listener.address(), &http("GET", "/v1/markets/clock", "", "")).await;
        assert_eq!(saved.borrow().len(), before);
    });
}

#[test]
fn an_answer_that_could_not_be_journaled_does_not_leave() {
    let journal: Journal = Box::new(|_| anyhow::bail!("disk full"));
    listening(Some(journal), |listener, _| async move {
        let answer =
            raw(listener.address(), &http("POST", "/v1/accounts/VA00000001/orders", FORM, ORDER)).await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    });
}

#[test]
fn order_events_arrive_on_the_account_stream_and_are_counted() {
    listening(None, |listener, broker| async move {
        let address = listener.address();
        let answer = raw(address, &http("POST", "/v1/accounts/events/session", "", "")).await;
        let session = answer.split("\"sessionid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let url = format!("ws://{address}/v1/accounts/events");
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        let ask = format!(r#"{{"events":["order"],"sessionid":"{session}","excludeAccounts":[]}}"#);
        socket.send(Message::text(ask)).await.unwrap();
        while listener.streams() == 0 {
            tokio::task::yield_now().await;
        }
        raw(address, &http("POST", "/v1/accounts/VA00000001/orders", FORM, ORDER)).await;
        let now = broker.borrow().now().plus(Duration::from_secs(1));
        broker.borrow_mut().advance(now);
        listener.flush_frames().unwrap();
        let mut texts = Vec::new();
        while texts.len() < 3 {
            let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("the stream ended") };
            texts.push(text.to_string());
        }
        for (text, status) in texts.iter().zip(["pending", "open", "filled"]) {
            assert!(text.contains(&format!("\"status\":\"{status}\"")), "{text}");
        }
        assert_eq!((listener.frames_sent(), listener.in_flight()), (3, 0));
    });
}

#[test]
fn an_unknown_session_is_told_and_ended() {
    listening(None, |listener, _| async move {
        let url = format!("ws://{}/v1/accounts/events", listener.address());
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        socket.send(Message::text(r#"{"events":["order"],"sessionid":"nobody"}"#)).await.unwrap();
        let first = socket.next().await.unwrap().unwrap();
        assert_eq!(first.to_text().unwrap(), r#"{"error":"session not found"}"#);
        assert!(matches!(socket.next().await, Some(Ok(Message::Close(_))) | Some(Err(_)) | None));
    });
}

#[test]
fn a_taken_port_is_named() {
    listening(None, |listener, _| async move {
        let (broker, clock) = broker();
        let taken = listener.address();
        let Err(error) = Listener::bind(taken, broker, clock, None).await else { panic!("bound twice") };
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    });
}
