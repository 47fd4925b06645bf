//! The API on one port: each request becomes the event API Gateway would make of it, and goes to the function that the
//! deployment routes it to. `/` is the dashboard, `/local/day` what only a local run can tell.
//!
//! Who calls is said by one of three local names in place of a token; nothing of the kind exists in the cloud. Without a
//! name a GET reads as the operator and anything else is nobody's.

mod in_process;

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use bytes::Bytes;
use domain::ids::UserId;
use domain::time::UtcNanos;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lambda_kit::http::{BODY_MAX, Problem};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use world::simulated::members;

pub(crate) use in_process::InProcess;

/// The dashboard.
const PAGE: &str = include_str!("../../../../dashboard/index.html");
/// Connections open at once; more wait until one ends.
const CONNECTIONS_MAX: usize = 256;
/// A client that has not sent its request's head or body by then is dropped.
const SLOW: Duration = Duration::from_secs(30);
/// What is served.
const PATHS: &str = "/, /local/day and /v1/...";

type Answer = Response<Full<Bytes>>;

/// The function a route belongs to: as `infra/template.yaml` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// Reads.
    Api,
    /// The kill switch and the flatten by hand.
    Control,
    /// Brokers' tokens.
    Credentials,
}

impl Function {
    /// The package it is.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Control => "control",
            Self::Credentials => "credentials",
        }
    }

    fn of(method: &Method, path: &str) -> Option<Self> {
        match (method.as_str(), path) {
            ("GET" | "PUT" | "DELETE", "/v1/credentials") | ("POST", "/v1/credentials/test") => {
                Some(Self::Credentials)
            }
            ("PUT", "/v1/kill-switch" | "/v1/consent")
            | (
                "POST",
                "/v1/flatten"
                | "/v1/kill-switch/readings"
                | "/v1/positions/take-over"
                | "/v1/positions/mine-now",
            ) => Some(Self::Control),
            ("POST", _) if path.starts_with("/v1/messages/") => Some(Self::Control),
            // It knows its routes and says which methods they take.
            _ if path.starts_with("/v1/") => Some(Self::Api),
            _ => None,
        }
    }
}

/// What stands behind the port: the functions, in this process or in their own.
pub(crate) trait Functions {
    /// The market's time.
    fn now(&self) -> UtcNanos;

    /// Where the day stands, and the marks of what may be held.
    async fn day(&self) -> Value;

    /// What a function answers.
    async fn call(&self, function: Function, event: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse;
}

/// What answers.
pub(crate) struct Front<F> {
    /// Who is asked.
    pub(crate) functions: F,
}

/// Listens on `address`.
///
/// # Errors
/// One line that names the port and the cure.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "cannot listen on {address}: {error}; end the program that holds port {} or choose another with --listen",
            address.port()
        )
    })
}

/// Tells where the API is, once everything answers: a line to `out`, and what to do with it.
///
/// # Errors
/// The listener has no address.
pub(crate) fn say_where(listener: &TcpListener, out: &mut impl Write) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    // Whoever started us may have stopped reading: that is no reason to stop.
    writeln!(out, "claxton is up: http://{address}/").and_then(|()| out.flush()).ok();
    eprintln!("open it in a browser, or ask `claxton status --url http://{address}`; Ctrl-C ends it");
    Ok(())
}

impl<F: Functions> Front<F> {
    /// Answers until dropped, and every connection ends with it.
    pub(crate) async fn serve(&self, listener: TcpListener) -> Infallible {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => connections.push(self.connection(stream)),
                    Err(error) => {
                        tracing::warn!(%error, "a connection to the API could not be accepted");
                        tokio::task::yield_now().await;
                    }
                },
                Some(()) = connections.next() => {}
            }
        }
    }

    async fn connection(&self, stream: TcpStream) {
        stream.set_nodelay(true).ok();
        let service = service_fn(async |request| Ok::<_, Infallible>(self.answer(request).await));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(SLOW)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the API ended early");
        }
    }

    async fn answer(&self, request: http::Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        if let Err(problem) = own_host(&head.headers) {
            return refused(&problem);
        }
        let path = head.uri.path();
        match (head.method.as_str(), path) {
            ("GET", "/") => return text(StatusCode::OK, "text/html; charset=utf-8", PAGE.into()),
            ("GET", "/local/day") => {
                return text(
                    StatusCode::OK,
                    "application/json",
                    self.functions.day().await.to_string().into(),
                );
            }
            _ => {}
        }
        let Some(function) = Function::of(&head.method, path) else {
            return refused(&Problem::not_found(&format!("no {path} here; there is {PATHS}")));
        };
        let body = Limited::new(body, BODY_MAX.saturating_add(1)).collect();
        let body = match tokio::time::timeout(SLOW, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => {
                let detail = format!("the body is broken or larger than {BODY_MAX} bytes");
                return refused(&Problem::new(413, "too-large", "Too large", &detail));
            }
            Err(_) => return refused(&Problem::new(408, "too-slow", "Too slow", "the body did not arrive")),
        };
        match event(&head, &body, self.functions.now()) {
            Ok(event) => reply(self.functions.call(function, &event).await),
            Err(problem) => refused(&problem),
        }
    }
}

/// A page of another site whose name was pointed at this machine must not read the books: the host is an address or ours.
fn own_host(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|it| it.to_str().ok()).unwrap_or("");
    let name = host.parse::<http::uri::Authority>();
    let is_own = name.is_ok_and(|it| {
        let name = it.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
    });
    let detail = "the host of the request is not this machine: ask for it by address or as localhost";
    if is_own { Ok(()) } else { Err(Problem::new(421, "other-host", "Another host", detail)) }
}

/// The claims behind a local name; `None` for nobody.
fn claims(headers: &HeaderMap, method: &Method) -> Option<Value> {
    let [first, second] = members().map(|it| it.account.user);
    let of = |user: UserId, role: &str| {
        let meta = format!("map[provider:local role:{role}]");
        json!({ "sub": user.to_string(), "role": "authenticated", "app_metadata": meta })
    };
    let Some(header) = headers.get(AUTHORIZATION) else {
        return (method == Method::GET).then(|| of(first, "operator"));
    };
    let (scheme, name) = header.to_str().ok()?.split_once(' ')?;
    match name.trim() {
        _ if !scheme.eq_ignore_ascii_case("bearer") => None,
        "local-operator" => Some(of(first, "operator")),
        "local-member-1" => Some(of(first, "member")),
        "local-member-2" => Some(of(second, "member")),
        _ => None,
    }
}

/// The request as API Gateway hands it over.
fn event(
    head: &http::request::Parts,
    body: &Bytes,
    now: UtcNanos,
) -> Result<ApiGatewayV2httpRequest, Problem> {
    let not_text =
        || Problem::new(400, "invalid-body", "The body cannot be read", "the body is not UTF-8 text");
    let text = std::str::from_utf8(body).map_err(|_| not_text())?;
    let (method, path) = (head.method.as_str(), head.uri.path());
    let raw_query = head.uri.query().unwrap_or("");
    let mut query = serde_json::Map::new();
    for (name, value) in form_urlencoded::parse(raw_query.as_bytes()) {
        query.entry(name.into_owned()).or_insert_with(|| Value::String(value.into_owned()));
    }
    let header = |name: &http::HeaderName| head.headers.get(name).and_then(|it| it.to_str().ok());
    let authorizer = claims(&head.headers, &head.method).map(|it| json!({ "jwt": { "claims": it } }));
    let mut context = json!({
        "apiId": "local",
        "stage": "$default",
        "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1" },
        "timeEpoch": now.millis(),
    });
    if let (Some(authorizer), Value::Object(fields)) = (authorizer, &mut context) {
        fields.insert("authorizer".to_owned(), authorizer);
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": raw_query,
        "queryStringParameters": query,
        "headers": { "content-type": header(&CONTENT_TYPE).unwrap_or("application/json") },
        "requestContext": context,
        "isBase64Encoded": false,
    });
    if let (false, Value::Object(fields)) = (text.is_empty(), &mut event) {
        fields.insert("body".to_owned(), text.into());
    }
    let broken = |it: serde_json::Error| Problem::new(400, "not-a-request", "Not a request", &it.to_string());
    serde_json::from_value(event).map_err(broken)
}

/// What the gateway makes of a function's answer.
fn reply(response: ApiGatewayV2httpResponse) -> Answer {
    let body = match response.body {
        Some(Body::Text(text)) => text.into(),
        Some(Body::Binary(bytes)) => bytes.into(),
        Some(_) | None => Bytes::new(),
    };
    let mut answer = Response::new(Full::new(body));
    let status = u16::try_from(response.status_code).ok().and_then(|it| StatusCode::from_u16(it).ok());
    *answer.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    *answer.headers_mut() = response.headers;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn refused(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    // Plain data with text keys: there is nothing in it that JSON cannot say.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    text(status, "application/problem+json", body.into())
}

fn text(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_kit::http::{Call, Role};

    fn call(method: &str, uri: &str, name: Option<&str>, body: &'static str) -> Call {
        let mut request = http::Request::builder().method(method).uri(uri);
        if let Some(name) = name {
            request = request.header(AUTHORIZATION, format!("Bearer {name}"));
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Call::of(&event(&head, &Bytes::from_static(body.as_bytes()), UtcNanos(0)).unwrap()).unwrap()
    }

    #[test]
    fn local_names_are_the_members_and_their_operator() {
        let [first, second] = members().map(|it| it.account.user);
        for (name, user, role) in [
            ("local-operator", first, Role::Operator),
            ("local-member-1", first, Role::Member),
            ("local-member-2", second, Role::Member),
        ] {
            let caller = call("PUT", "/v1/kill-switch", Some(name), "{}").caller.unwrap();
            assert_eq!((caller.user, caller.role), (user, role), "{name}");
        }
    }

    #[test]
    fn without_a_name_one_reads_as_the_operator_and_changes_nothing() {
        assert_eq!(call("GET", "/v1/status", None, "").caller.unwrap().role, Role::Operator);
        assert_eq!(call("POST", "/v1/flatten", None, "{}").caller, None);
        assert_eq!(call("GET", "/v1/status", Some("eyJhbGciOi"), "").caller, None);
    }

    #[test]
    fn a_request_keeps_its_path_query_and_body() {
        let call = call("GET", "/v1/orders?session=2026-11-20&session=x&note=a%20b", None, "{\"a\":1}");
        assert_eq!(call.path, ["v1", "orders"]);
        assert_eq!(call.query.get("session").map(String::as_str), Some("2026-11-20"));
        assert_eq!(call.query.get("note").map(String::as_str), Some("a b"));
        assert_eq!(call.body.as_deref(), Some("{\"a\":1}"));
    }

    #[test]
    fn routes_go_to_the_function_that_the_template_gives_them_to() {
        let of = |method: &str, path| Function::of(&Method::from_bytes(method.as_bytes()).unwrap(), path);
        assert_eq!(of("PUT", "/v1/kill-switch"), Some(Function::Control));
        assert_eq!(of("GET", "/v1/kill-switch"), Some(Function::Api));
        assert_eq!(of("POST", "/v1/kill-switch/readings"), Some(Function::Control));
        assert_eq!(of("POST", "/v1/positions/mine-now"), Some(Function::Control));
        assert_eq!(of("GET", "/v1/positions"), Some(Function::Api));
        assert_eq!(of("POST", "/v1/messages/17/read"), Some(Function::Control));
        assert_eq!(of("GET", "/v1/messages"), Some(Function::Api));
        assert_eq!(of("POST", "/v1/credentials/test"), Some(Function::Credentials));
        assert_eq!(of("POST", "/v1/contract-selection"), Some(Function::Api));
        assert_eq!(of("GET", "/metrics"), None);
    }

    #[test]
    fn another_sites_name_for_this_machine_is_refused() {
        let host = |name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(name));
            own_host(&headers).is_ok()
        };
        assert!(host("127.0.0.1:7380") && host("localhost:7380") && host("[::1]:7380") && host("localhost"));
        assert!(!host("rebound.example:7380") && !host("localhost.example") && !host(""));
    }
}
