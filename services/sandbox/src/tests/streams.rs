//! Streams over real sockets.

use domain::symbol::OccSymbol;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;

const CALL: &str = "SPXW261120C05610000";

type Client = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

async fn session(address: SocketAddr, kind: &str) -> String {
    let answer = raw(address, &http("POST", &format!("/v1/{kind}/events/session"), "", "")).await;
    answer.split("\"sessionid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

async fn connect(address: SocketAddr, kind: &str) -> Client {
    tokio_tungstenite::connect_async(format!("ws://{address}/v1/{kind}/events")).await.unwrap().0
}

/// A market stream that subscribed with `rest`.
async fn market(address: SocketAddr, rest: &str) -> (Client, String) {
    let id = session(address, "markets").await;
    let mut socket = connect(address, "markets").await;
    socket.send(Message::text(format!("{{\"sessionid\":\"{id}\",{rest}}}"))).await.unwrap();
    (socket, id)
}

fn quote(broker: &Rc<RefCell<Sandbox>>, bid: u32) {
    let mut broker = broker.borrow_mut();
    let (ts, price) = (broker.now().plus(Duration::from_millis(1)), |cents| Some(Price::from_cents(cents)));
    let quote = OptionQuote { ts, bid: price(bid), ask: price(bid + 10), bid_size: 9, ask_size: 9 };
    broker.on_market(&MarketEvent::OptionQuote(CALL.parse::<OccSymbol>().unwrap(), quote));
}

async fn text(socket: &mut Client) -> String {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no text but {other:?}"),
    }
}

async fn close_reason(socket: &mut Client) -> (CloseCode, String) {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code, frame.reason.to_string()),
            Some(Ok(Message::Text(_))) => {}
            other => panic!("no close but {other:?}"),
        }
    }
}

#[test]
fn a_market_stream_hears_its_symbols_and_changes_them_on_the_same_connection() {
    listening(None, |listener, broker| async move {
        let rest = format!("\"symbols\":[\"{CALL}\"],\"filter\":[\"quote\"]");
        let (mut socket, id) = market(listener.address(), &rest).await;
        assert!(text(&mut socket).await.contains("\"bid\":2.3,"), "the standing quote");
        quote(&broker, 240);
        listener.flush_frames().unwrap();
        assert!(text(&mut socket).await.contains("\"bid\":2.4,"));
        let none = format!("{{\"sessionid\":\"{id}\",\"symbols\":[\"$empty$\"]}}");
        socket.send(Message::text(none)).await.unwrap();
        socket.send(Message::Ping("still there".into())).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Pong(_)))));
        quote(&broker, 250);
        listener.flush_frames().unwrap();
        assert_eq!(listener.in_flight(), 0, "nobody hears of it");
    });
}

#[test]
fn with_line_breaks_a_long_line_of_payloads_travels_together_and_a_short_one_does_not() {
    listening(None, |listener, broker| async move {
        let rest = format!("\"symbols\":[\"{CALL}\"],\"linebreak\":true");
        let (mut socket, _) = market(listener.address(), &rest).await;
        assert!(text(&mut socket).await.ends_with("}\n"));
        for (count, together) in [(20, false), (200, true)] {
            (0..count).for_each(|n| quote(&broker, 300 + n));
            listener.flush_frames().unwrap();
            let (mut lines, mut messages) = (Vec::new(), 0);
            while lines.len() < count as usize {
                lines.extend(text(&mut socket).await.lines().map(str::to_owned));
                messages += 1;
            }
            assert_eq!(messages < lines.len(), together, "{messages} messages of {} lines", lines.len());
            for (n, line) in lines.iter().enumerate() {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(row["bid"], (300 + n) as f64 / 100.0);
            }
        }
        while listener.frames_sent() < 221 {
            listener.activity().await;
        }
    });
}

#[test]
fn a_second_stream_of_a_user_ends_the_first_and_says_so() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let rest = format!("\"symbols\":[\"{CALL}\"]");
        let (mut first, _) = market(address, &rest).await;
        text(&mut first).await;
        let (mut second, _) = market(address, &rest).await;
        text(&mut second).await;
        let ended = close_reason(&mut first).await;
        assert_eq!(ended, (CloseCode::Policy, "another stream of this user was opened".to_owned()));
        while listener.streams() != 1 {
            listener.activity().await;
        }
    });
}

#[test]
fn a_session_on_a_second_connection_moves_there() {
    listening(None, |listener, broker| async move {
        let address = listener.address();
        let (mut first, id) = market(address, &format!("\"symbols\":[\"{CALL}\"]")).await;
        text(&mut first).await;
        let mut second = connect(address, "markets").await;
        let ask = format!("{{\"sessionid\":\"{id}\",\"symbols\":[\"{CALL}\"]}}");
        second.send(Message::text(ask)).await.unwrap();
        close_reason(&mut first).await;
        quote(&broker, 260);
        listener.flush_frames().unwrap();
        assert!(text(&mut second).await.contains("\"bid\":2.6,"));
    });
}

#[test]
fn a_stream_that_does_not_read_is_ended_and_the_others_go_on() {
    listening(None, |listener, broker| async move {
        let (mut socket, id) = market(listener.address(), &format!("\"symbols\":[\"{CALL}\"]")).await;
        text(&mut socket).await;
        // Nobody lets the connection write between these: its line grows beyond its bound.
        for _ in 0..17 {
            (0..1_000).for_each(|n| quote(&broker, 300 + n));
            listener.flush_frames().unwrap();
        }
        assert!(!broker.borrow().is_attached(&id));
        let ended = close_reason(&mut socket).await;
        assert_eq!(ended, (CloseCode::Policy, "too slow: frames were not read".to_owned()));
        while listener.streams() > 0 || listener.in_flight() > 0 {
            listener.activity().await;
        }
        lives_on(&listener).await;
    });
}

async fn lives_on(listener: &Listener<Hand>) {
    let answer = raw(listener.address(), &http("GET", "/v1/markets/clock", "", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn unknown_sessions_and_messages_that_are_none_are_told_and_ended() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let wrong = session(address, "accounts").await;
        for (message, told) in [
            ("hello".to_owned(), "invalid subscription"),
            ("{\"symbols\":[\"SPX\"],\"sessionid\":\"nobody\"}".to_owned(), "session not found"),
            (format!("{{\"symbols\":[\"SPX\"],\"sessionid\":\"{wrong}\"}}"), "session not found"),
        ] {
            let mut socket = connect(address, "markets").await;
            socket.send(Message::text(message)).await.unwrap();
            assert_eq!(text(&mut socket).await, format!("{{\"error\":\"{told}\"}}"));
            assert!(matches!(socket.next().await, Some(Ok(Message::Close(_))) | Some(Err(_)) | None));
        }
        let mut large = connect(address, "markets").await;
        large.send(Message::text("x".repeat(2 << 20))).await.ok();
        while matches!(large.next().await, Some(Ok(_))) {}
        lives_on(&listener).await;
    });
}

#[test]
fn a_connection_that_never_subscribes_is_ended() {
    let timeouts = Timeouts { subscription: Duration::from_millis(50), ..Timeouts::USUAL };
    listening_with(None, timeouts, |listener, _| async move {
        let mut socket = connect(listener.address(), "accounts").await;
        assert_eq!(text(&mut socket).await, "{\"error\":\"no subscription in time\"}");
        assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    });
}

#[test]
fn an_upgrade_needs_a_version_and_a_key() {
    listening(None, |listener, _| async move {
        let upgrade = |more: &str| {
            format!("GET /v1/markets/events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n{more}\r\n").into_bytes()
        };
        let old = raw(listener.address(), &upgrade("Sec-WebSocket-Version: 8\r\n")).await;
        assert!(old.starts_with("HTTP/1.1 426") && old.contains("Sec-Websocket-Version: 13"), "{old}");
        let keyless = raw(listener.address(), &upgrade("Sec-WebSocket-Version: 13\r\n")).await;
        assert!(keyless.starts_with("HTTP/1.1 400") && keyless.contains("sec-websocket-key"), "{keyless}");
    });
}

/// Reads until `wanted` is there.
async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let (mut seen, mut piece) = (String::new(), [0u8; 4_096]);
    while !seen.contains(wanted) {
        let n = socket.read(&mut piece).await.unwrap();
        assert!(n > 0, "the stream ended after {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    seen
}

#[test]
fn streams_go_over_http_by_query_and_by_form() {
    listening(None, |listener, broker| async move {
        let address = listener.address();
        for method in ["GET", "POST"] {
            let id = session(address, "markets").await;
            let params = format!("sessionid={id}&symbols=SPX%2C{CALL}&filter=quote&linebreak=true");
            let request = match method {
                "GET" => http("GET", &format!("/v1/markets/events?{params}"), "", ""),
                _ => http("POST", "/v1/markets/events", FORM, &params),
            };
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(&request).await.unwrap();
            let begun = read_until(&mut socket, "}\n").await;
            assert!(
                begun.starts_with("HTTP/1.1 200") && begun.contains("Transfer-Encoding: chunked"),
                "{begun}"
            );
            quote(&broker, 270);
            listener.flush_frames().unwrap();
            read_until(&mut socket, "\"bid\":2.7,").await;
            drop(socket);
            // It notices with what it writes next.
            while listener.streams() > 0 {
                quote(&broker, 280);
                listener.flush_frames().unwrap();
                tokio::task::yield_now().await;
            }
        }
        let refused =
            raw(address, &http("GET", "/v1/markets/events?symbols=SPX&sessionid=nobody", "", "")).await;
        assert!(
            refused.starts_with("HTTP/1.1 400") && refused.ends_with("{\"error\":\"session not found\"}"),
            "{refused}"
        );
    });
}

#[test]
fn order_events_go_over_http_too_with_heartbeats() {
    listening(None, |listener, broker| async move {
        let address = listener.address();
        let id = session(address, "accounts").await;
        let mut socket = TcpStream::connect(address).await.unwrap();
        let path = format!("/v1/accounts/events?sessionid={id}&events=order&linebreak=true");
        socket.write_all(&http("GET", &path, "", "")).await.unwrap();
        while listener.streams() == 0 {
            listener.activity().await;
        }
        raw(address, &http("POST", "/v1/accounts/VA00000001/orders", FORM, ORDER)).await;
        let now = broker.borrow().now().plus(Duration::from_secs(61));
        broker.borrow_mut().advance(now);
        listener.flush_frames().unwrap();
        let seen = read_until(&mut socket, "\"heartbeat\"").await;
        for status in ["pending", "open", "filled"] {
            assert!(seen.contains(&format!("\"status\":\"{status}\"")), "{seen}");
        }
    });
}
