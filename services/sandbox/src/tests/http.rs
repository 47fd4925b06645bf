//! Whatever may arrive on a socket: the answer, and that the listener lives on.

use super::*;

/// Writes pieces with the other side's answer in between, on one connection that is kept open.
async fn exchange(socket: &mut TcpStream, bytes: &[u8]) -> String {
    socket.write_all(bytes).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0u8; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|it| it.strip_prefix("Content-Length: "));
            if length.is_some_and(|it| it.parse() == Ok(body.len())) {
                return text;
            }
        }
        let n = socket.read(&mut piece).await.unwrap();
        assert!(n > 0, "the connection ended after {text}");
        answer.extend_from_slice(&piece[..n]);
    }
}

fn clock(version: &str, more: &str) -> Vec<u8> {
    format!(
        "GET /v1/markets/clock {version}\r\nHost: x\r\nAuthorization: Bearer stub-token\r\n\
         Accept: application/json\r\n{more}\r\n"
    )
    .into_bytes()
}

async fn lives(address: SocketAddr) {
    let alive = raw(address, &http("GET", "/v1/markets/clock", "", "")).await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
}

#[test]
fn malformed_requests_get_a_400_that_names_the_trouble() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let orders = "/v1/accounts/VA00000001/orders";
        let huge = format!("symbols={}", "A".repeat(10 << 20));
        let many = "a=1&".repeat(600);
        let cases = [
            (http("POST", "/v1/markets/quotes", FORM, &huge), "body: is larger than 1048576 bytes."),
            (http("POST", "/v1/markets/quotes", FORM, &many), "body: has more than 512 parameters."),
            (
                http("POST", orders, "Content-Type: text/xml\r\n", "<order/>"),
                "content-type: expected application/x-www-form-urlencoded, not text/xml.",
            ),
            (http("POST", orders, "Content-Type: application/json\r\n", "{\"class\":1}"), "content-type: "),
            (
                http("POST", orders, "Content-Type: multipart/form-data; boundary=x\r\n", "--x--"),
                "content-type: ",
            ),
            (http("PATCH", orders, "", ""), "method: PATCH is not one of "),
            (http("BREW", orders, "", ""), "method: BREW is not one of "),
            (http("POST", orders, FORM, "class=option&symbol=SPX"), "option_symbol"),
            (http("POST", orders, FORM, "class=option&price=%zz"), "price: is not percent-encoded."),
            (http("POST", orders, FORM, "class=option&tag=%ff"), "tag: is not percent-encoded."),
            (http("GET", "/v1/markets/quotes?symbols=%", "", ""), "symbols: is not percent-encoded."),
            (http("GET", "/v1/accounts/%4/orders", "", ""), "path: is not percent-encoded."),
            (http("GET", "/v1/markets/calendar?month=%FF", "", ""), "month: is not percent-encoded."),
        ];
        for (bytes, trouble) in cases {
            let answer = raw(address, &bytes).await;
            let named = format!("\r\n\r\nInvalid parameter, {trouble}");
            assert!(answer.starts_with("HTTP/1.1 400") && answer.contains(&named), "{trouble}: {answer}");
        }
        lives(address).await;
    });
}

#[test]
fn bytes_that_are_no_request_end_their_connection_alone() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let header =
            format!("GET /v1/markets/clock HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
        for bytes in [
            &b"\0\xff\xfe garbage\r\n\r\n"[..],
            b"GET /v1",
            b"",
            b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /v1/markets/clock HTTP/9.9\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab",
            b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nab",
            b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            header.as_bytes(),
        ] {
            let answer = raw(address, bytes).await;
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
            lives(address).await;
        }
    });
}

#[test]
fn unknown_paths_are_not_found_and_foreign_ids_are_not_told_apart_from_unknown_ones() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/v2/markets/clock"),
            ("GET", "/v1/markets/nothing"),
            ("DELETE", "/v1/markets/clock"),
            ("PUT", "/v1/accounts/VA00000001/orders"),
            ("GET", "/v1/accounts/VA00000001/orders/1/legs"),
        ] {
            let answer = raw(address, &http(method, path, "", "")).await;
            assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("Not found: "), "{path}: {answer}");
        }
        for path in ["/v1/accounts/VA00000001/orders/1", "/v1/accounts/VA00000001/orders/not%20a%20number"] {
            let answer = raw(address, &http("GET", path, "", "")).await;
            let told = answer.ends_with("\r\n\r\nUnauthorized Account: VA00000001");
            assert!(answer.starts_with("HTTP/1.1 401") && told, "{path}: {answer}");
        }
    });
}

#[test]
fn head_is_get_without_its_body_and_options_tells_the_methods() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let head = raw(address, &http("HEAD", "/v1/markets/clock", "", "")).await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: "), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
        let options =
            raw(address, b"OPTIONS /v1/markets/clock HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(options.starts_with("HTTP/1.1 204"), "{options}");
        assert!(options.contains("Allow: GET, POST, PUT, DELETE, HEAD, OPTIONS"), "{options}");
    });
}

#[test]
fn a_connection_is_kept_requests_may_come_in_a_row_and_the_old_protocol_is_spoken() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let mut socket = TcpStream::connect(address).await.unwrap();
        for used in 1..=3 {
            let answer = exchange(&mut socket, &clock("HTTP/1.1", "")).await;
            assert!(answer.contains(&format!("X-Ratelimit-Used: {used}\r\n")), "{answer}");
        }
        let row = [clock("HTTP/1.1", ""), clock("HTTP/1.1", ""), clock("HTTP/1.1", "Connection: close\r\n")]
            .concat();
        let answers = raw(address, &row).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
        let used: Vec<usize> =
            [4, 5, 6].iter().filter_map(|n| answers.find(&format!("Used: {n}\r\n"))).collect();
        assert!(used.len() == 3 && used.is_sorted(), "in order: {answers}");
        let old = raw(address, &clock("HTTP/1.0", "")).await;
        assert!(old.starts_with("HTTP/1.0 200") && old.contains("\"clock\""), "{old}");
    });
}

#[test]
fn a_half_closed_socket_still_gets_its_answer() {
    listening(None, |listener, _| async move {
        let mut socket = TcpStream::connect(listener.address()).await.unwrap();
        socket.write_all(&clock("HTTP/1.1", "")).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"clock\""), "{answer}");
    });
}

#[test]
fn slow_heads_and_bodies_are_not_waited_for() {
    let quick = Duration::from_millis(50);
    let timeouts = Timeouts { head: quick, body: quick, subscription: quick };
    listening_with(None, timeouts, |listener, _| async move {
        let address = listener.address();
        let mut head = TcpStream::connect(address).await.unwrap();
        head.write_all(b"GET /v1/markets/clock HTTP/1.1\r\nHost:").await.unwrap();
        let mut answer = String::new();
        head.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.contains("200"), "{answer}");
        let mut body = TcpStream::connect(address).await.unwrap();
        let begun = http("POST", "/v1/markets/quotes", FORM, "symbols=SPX");
        body.write_all(&begun[..begun.len() - 3]).await.unwrap();
        let mut answer = String::new();
        body.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("Invalid parameter, body: did not arrive in time."), "{answer}");
        lives(address).await;
    });
}

#[test]
fn query_and_form_are_one_and_the_query_comes_first() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let (orders, form) = ("/v1/accounts/VA00000001/orders", ORDER.replace("price=2.40", "price=1.10"));
        let (query, rest) = ("price=2.00&duration=", form.as_str());
        let placed = raw(address, &http("POST", &format!("{orders}?{query}"), FORM, rest)).await;
        assert!(placed.contains("\"id\":141000001"), "{placed}");
        let row = raw(address, &http("GET", &format!("{orders}/141000001"), "", "")).await;
        assert!(row.contains("\"duration\":\"day\",\"price\":2.0,"), "{row}");
        let twice = raw(
            address,
            &http("GET", "/v1/markets/quotes?symbols=&symbols=SPXW261120C05610000&symbols=NO", "", ""),
        )
        .await;
        assert!(
            twice.contains("\"symbol\":\"SPXW261120C05610000\"") && !twice.contains("unmatched"),
            "{twice}"
        );
    });
}

#[test]
fn who_does_not_ask_for_json_gets_xml_but_errors_are_as_they_are() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let get = |path: &str, accept: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer stub-token\r\nConnection: close\r\n{accept}\r\n").into_bytes()
        };
        for accept in ["", "Accept: */*\r\n", "Accept: text/html, application/xml;q=0.9\r\n"] {
            let answer = raw(address, &get("/v1/accounts/VA00000001/positions", accept)).await;
            assert!(answer.contains("Content-Type: application/xml;charset=UTF-8"), "{answer}");
            assert!(
                answer.ends_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><positions>null</positions>"),
                "{answer}"
            );
        }
        for accept in [
            "Accept: application/json, text/plain, */*\r\n",
            "Accept: text/xml\r\nAccept: Application/JSON;q=0.5\r\n",
        ] {
            let answer = raw(address, &get("/v1/accounts/VA00000001/positions", accept)).await;
            assert!(answer.ends_with("{\"positions\":\"null\"}"), "{answer}");
        }
        let refused = raw(address, &get("/v1/accounts/VA9/positions", "")).await;
        assert!(refused.ends_with("\r\n\r\nUnauthorized Account: VA9"), "{refused}");
    });
}

#[test]
fn a_hundred_broken_connections_at_once_leave_the_listener_alone() {
    listening(None, |listener, _| async move {
        let address = listener.address();
        let mut open = Vec::new();
        for n in 0..100 {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let bytes = clock("HTTP/1.1", "");
            socket.write_all(&bytes[..bytes.len() * n / 100]).await.unwrap();
            open.push(socket);
        }
        lives(address).await;
        drop(open);
        lives(address).await;
        assert_eq!(listener.in_flight(), 0);
    });
}
