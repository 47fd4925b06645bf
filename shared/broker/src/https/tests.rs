//! Against a server of a few lines that does one wrong thing at a time and counts what it saw.

use std::cell::RefCell;
use std::rc::Rc;

use domain::secret::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the server does with the next request on a connection.
#[derive(Clone, Copy)]
enum Act {
    Answer(&'static str),
    AnswerAndClose(&'static str),
    /// Reads the request, then closes without a byte.
    Close,
    /// Reads the request, then never answers.
    Silence,
    /// Sends this and closes.
    Raw(&'static str),
}

/// The requests the server read, whole, in order.
type Seen = Rc<RefCell<Vec<String>>>;

/// Reads one request: head and as much body as `content-length` says. `None` when the client closed.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0u8; 4096];
        let n = stream.read(&mut chunk).await.ok().filter(|&n| n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|it| it.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0usize) {
            return Some(text);
        }
    }
}

async fn serve(listener: TcpListener, acts: Vec<Act>, seen: Seen) {
    let mut acts = acts.into_iter();
    while let Ok((mut stream, _)) = listener.accept().await {
        while let Some(request) = read_request(&mut stream).await {
            seen.borrow_mut().push(request);
            let whole = |body: &str| {
                format!(
                    "HTTP/1.1 200 OK\r\nX-Ratelimit-Available: 59\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            };
            let (bytes, close) = match acts.next() {
                Some(Act::Answer(body)) => (whole(body), false),
                Some(Act::AnswerAndClose(body)) => (whole(body), true),
                Some(Act::Raw(raw)) => (raw.to_owned(), true),
                Some(Act::Close) | None => (String::new(), true),
                Some(Act::Silence) => {
                    // Holds the connection open until the client gives up.
                    read_request(&mut stream).await;
                    break;
                }
            };
            stream.write_all(bytes.as_bytes()).await.unwrap();
            if close {
                break;
            }
        }
    }
}

fn request(method: Method) -> Request {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let form =
        if method == Method::Post { vec![pair("price", "2.05"), pair("tag", "a b")] } else { Vec::new() };
    let query = vec![pair("symbols", "A,B")];
    Request {
        method,
        path: "/v1/x".to_owned(),
        query,
        form,
        token: Token::new("token-in-test"),
        leaves_within: None,
    }
}

/// Sends `methods` one after the other to a server that acts as told.
fn exchange(acts: &[Act], methods: &[Method]) -> (Vec<Result<Reply, TransportError>>, Vec<String>) {
    let seen = Seen::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers = tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::task::spawn_local(serve(listener, acts.to_vec(), Rc::clone(&seen)));
        let patience = Patience { answer: Duration::from_millis(300), ..Patience::default() };
        let transport = Https::new(&base, patience).unwrap();
        let mut answers = Vec::new();
        for method in methods {
            answers.push(transport.send(&request(*method)).await);
        }
        answers
    });
    (answers, seen.take())
}

#[test]
fn a_request_carries_token_form_and_query_and_its_answer_arrives_whole() {
    let (answers, seen) = exchange(&[Act::Answer("{}"), Act::Answer("[]")], &[Method::Post, Method::Get]);
    let reply = answers[0].as_ref().unwrap();
    assert_eq!(
        (reply.status, reply.header("x-ratelimit-available"), &*reply.body),
        (200, Some("59"), &b"{}"[..])
    );
    assert!(seen[0].starts_with("POST /v1/x?symbols=A%2CB HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].ends_with("\r\n\r\nprice=2.05&tag=a+b"), "{}", seen[0]);
    assert!(
        seen[0].contains("authorization: Bearer token-in-test\r\naccept: application/json\r\n"),
        "{}",
        seen[0]
    );
    assert!(seen[1].starts_with("GET /v1/x?symbols=A%2CB HTTP/1.1\r\n"), "{}", seen[1]);
    assert_eq!(answers[1].as_ref().unwrap().body, b"[]");
}

#[test]
fn an_answer_that_is_not_whole_is_unknown_and_the_post_left_once() {
    for act in [
        Act::Close,
        Act::Silence,
        Act::Raw("HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n{\"order\":{\"id\":1"),
        Act::Raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"ord\r\n"),
        Act::Raw("HTTP/1.1 200"),
        Act::Raw("garbage, not HTTP\r\n\r\n"),
    ] {
        let (answers, seen) = exchange(&[act], &[Method::Post]);
        assert!(matches!(answers[0], Err(TransportError::Unknown(_))), "{:?}", answers[0]);
        assert_eq!(seen.len(), 1, "the server saw {seen:?}");
    }
}

#[test]
fn a_post_that_follows_a_closed_connection_is_never_sent_twice() {
    let (answers, seen) = exchange(
        &[Act::AnswerAndClose("{}"), Act::Answer("{}"), Act::Close, Act::Answer("{}")],
        &[Method::Get, Method::Post, Method::Post],
    );
    assert!(answers[0].is_ok());
    // The second request goes over a new connection, or is lost with the old one; the third is read and dropped.
    // Either way the server sees each POST at most once, and none that was answered as lost comes again.
    let posts = seen.iter().filter(|it| it.starts_with("POST")).count();
    assert!(posts <= 2, "the server saw {seen:?}");
    let answered = answers[1..].iter().filter(|it| it.is_ok()).count();
    assert!(answered <= posts && answers[1..].iter().any(|it| matches!(it, Err(TransportError::Unknown(_)))));
}

#[test]
fn a_kept_connection_that_dies_under_a_post_is_unknown_and_not_repeated() {
    // The first answer keeps the connection; the POST arrives on it and the server drops it unanswered.
    let (answers, seen) =
        exchange(&[Act::Answer("{}"), Act::Close, Act::Answer("{}")], &[Method::Get, Method::Post]);
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(TransportError::Unknown(_))), "{:?}", answers[1]);
    assert_eq!(seen.iter().filter(|it| it.starts_with("POST")).count(), 1, "the server saw {seen:?}");
}

#[test]
fn a_refused_connection_was_not_sent() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        // A port that was free a moment ago and has no listener now.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let transport = Https::new(&format!("http://127.0.0.1:{port}/"), Patience::default()).unwrap();
        transport.send(&request(Method::Post)).await
    });
    assert!(matches!(answer, Err(TransportError::NotSent(_))), "{answer:?}");
}

#[test]
fn a_server_that_is_no_tls_server_was_not_sent_anything() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 not what you expected\r\n").await.unwrap();
        });
        Https::new(&base, Patience::default()).unwrap().send(&request(Method::Post)).await
    });
    assert!(matches!(answer, Err(TransportError::NotSent(_))), "{answer:?}");
}

#[test]
fn a_base_is_https_or_this_machine() {
    for good in [LIVE_BASE, SANDBOX_BASE, "http://127.0.0.1:8080", "http://localhost:1/"] {
        assert!(Https::new(good, Patience::default()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "api.tradier.com",
        "http://api.tradier.com",
        "ftp://127.0.0.1",
        "https://host/v1",
        "https://h?x=1",
    ] {
        assert!(Https::new(bad, Patience::default()).is_err(), "{bad}");
    }
}

/// A listener that accepts and then lets its client wait `late` before the TLS or HTTP side is served at all: the
/// backlog takes the connection at once, so what is slow is whatever the client waits for after it.
fn sent_within(
    within: Option<Duration>,
    scheme: &str,
    kept_first: bool,
) -> (Result<Reply, TransportError>, Vec<String>) {
    let seen = Seen::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("{scheme}://{}", listener.local_addr().unwrap());
        if scheme == "http" {
            tokio::task::spawn_local(serve(listener, vec![Act::Answer("{}"); 3], Rc::clone(&seen)));
        } else {
            let seen = Rc::clone(&seen);
            tokio::task::spawn_local(async move {
                // Accepts, reads the client's hello, and never says anything: the handshake hangs.
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = [0u8; 4096];
                while let Ok(1..) = stream.read(&mut hello).await {
                    let clear = String::from_utf8_lossy(&hello).into_owned();
                    if clear.contains("/v1/x") {
                        seen.borrow_mut().push(clear);
                    }
                }
            });
        }
        let patience = Patience { connect: Duration::from_secs(5), ..Patience::default() };
        let transport = Https::new(&base, patience).unwrap();
        if kept_first {
            transport.send(&request(Method::Get)).await.unwrap();
        }
        transport.send(&Request { leaves_within: within, ..request(Method::Post) }).await
    });
    (answer, seen.take())
}

#[test]
fn an_entry_does_not_leave_when_its_connection_is_open_too_late() {
    let started = tokio::time::Instant::now();
    let (answer, seen) = sent_within(Some(Duration::from_millis(60)), "https", false);
    assert!(matches!(answer, Err(TransportError::NotSent(_))), "{answer:?}");
    assert!(seen.is_empty(), "the server saw {seen:?}");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "it gave up at its own limit, not at the connection's"
    );
}

#[test]
fn an_entry_whose_time_is_over_leaves_neither_on_a_new_connection_nor_on_a_kept_one() {
    for kept_first in [false, true] {
        let (answer, seen) = sent_within(Some(Duration::ZERO), "http", kept_first);
        assert!(matches!(answer, Err(TransportError::NotSent(_))), "{answer:?}");
        assert!(!seen.iter().any(|it| it.starts_with("POST")), "the server saw {seen:?}");
    }
}

#[test]
fn an_entry_in_time_leaves_once() {
    for kept_first in [false, true] {
        let (answer, seen) = sent_within(Some(Duration::from_secs(2)), "http", kept_first);
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(seen.iter().filter(|it| it.starts_with("POST")).count(), 1, "{seen:?}");
    }
}

#[test]
fn a_post_without_a_body_says_so_and_connections_are_kept() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = Seen::default();
    let accepted = tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        // It takes one connection alone: a second one would wait for ever.
        let served = Rc::clone(&seen);
        let accepted = Rc::new(std::cell::Cell::new(0));
        let count = Rc::clone(&accepted);
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            while let Some(request) = read_request(&mut stream).await {
                served.borrow_mut().push(request);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
        });
        let transport = Https::new(&base, Patience::default()).unwrap();
        let empty = Request { form: Vec::new(), ..request(Method::Post) };
        for _ in 0..3 {
            transport.clone().send(&empty).await.unwrap();
        }
        accepted.get()
    });
    let seen = seen.take();
    assert_eq!((seen.len(), accepted), (3, 1));
    assert!(seen.iter().all(|it| it.to_lowercase().contains("\r\ncontent-length: 0\r\n")), "{seen:?}");
    assert!(seen.iter().all(|it| it.to_lowercase().contains("\r\nhost: 127.0.0.1:")), "{seen:?}");
}

#[test]
fn a_server_that_closes_an_idle_connection_costs_no_request() {
    // Each answer is followed by a close that the client has not read when the next request comes.
    let acts = [Act::AnswerAndClose("{}"), Act::AnswerAndClose("{}"), Act::Answer("{}")];
    let (answers, seen) = exchange(&acts, &[Method::Post, Method::Post, Method::Post]);
    assert!(answers.iter().all(Result::is_ok) && seen.len() == 3, "{answers:?} {seen:?}");
}
