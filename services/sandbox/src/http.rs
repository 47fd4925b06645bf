//! HTTP requests to the broker's own and back. Whatever is malformed is a 400 that says what is wrong.

use std::rc::Rc;

use broker::transport::{Method, Reply, Request};
use bytes::Bytes;
use domain::ports::Clock;
use domain::secret::Token;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Response, StatusCode};
use sim::broker::faults::Disposition;
use sim::broker::{StreamKind, read_pairs, read_path};

use crate::answer::{Body, Closed};
use crate::control;
use crate::listener::Shared;
use crate::{stream, xml};

/// A form of four legs has a few hundred bytes; quotes by POST some kilobytes.
const BODY_MAX: usize = 1 << 20;
/// More than this of a body that is too large is not even read away.
const DRAINED_MAX: usize = 64 << 20;
/// What may be asked of a path.
const METHODS: &str = "GET, POST, PUT, DELETE, HEAD, OPTIONS";

pub(crate) type Answer = Response<Body>;

pub(crate) async fn handle<C: Clock + 'static>(
    shared: Rc<Shared<C>>,
    request: hyper::Request<Incoming>,
) -> Result<Answer, Closed> {
    let handling = shared.handling();
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(control::handle(&shared, request).await);
    }
    let kind =
        [StreamKind::Account, StreamKind::Market].into_iter().find(|it| it.path() == request.uri().path());
    match kind {
        Some(kind) if stream::is_upgrade(request.headers()) => {
            return Ok(stream::upgrade(&shared, kind, request));
        }
        _ if request.method() == hyper::Method::OPTIONS => return Ok(options()),
        Some(_) | None => {}
    }
    let json = kind.is_some() || accepts_json(request.headers());
    let host = authority(request.headers());
    let request = match read(&shared, request).await {
        Ok(request) => request,
        Err(why) => return Ok(closing(&why)),
    };
    if let Some(kind) = kind {
        return Ok(stream::over_http(&shared, kind, &request));
    }
    if let Some(host) = host.filter(|_| request.path.ends_with("/session")) {
        // Streams are reached where this request was: by name, through a forwarded port, from another machine.
        shared.sandbox.borrow_mut().set_stream_base(format!("ws://{host}"));
    }
    let now = shared.clock.now();
    let disposition = shared.sandbox.borrow_mut().dispose(now, &request);
    if !shared.journal() {
        // The change stands but is not safe: the outcome is unknown to the caller, as with the real one.
        return Ok(text(500, "An error occurred while communicating with the backend."));
    }
    shared.flush_frames();
    match disposition {
        Disposition::Reply(reply) => Ok(response(reply, json)),
        Disposition::Late { at, reply } => {
            drop(handling);
            let _handling = shared.reached(at).await;
            Ok(response(reply, json))
        }
        Disposition::Held { at, ticket } => {
            drop(handling);
            let _handling = shared.reached(at).await;
            let reply = shared.sandbox.borrow_mut().take_late(ticket);
            reply.map(|it| response(it, json)).ok_or(Closed)
        }
        Disposition::NoAnswer => Err(Closed),
        Disposition::Cut { reply, at } => {
            let mut response = response(reply, true);
            response.body_mut().cut(at);
            Ok(response)
        }
    }
}

/// A request, or why it is none.
async fn read<C>(shared: &Shared<C>, request: hyper::Request<Incoming>) -> Result<Request, String> {
    let method = match request.method().as_str() {
        // HEAD is GET without the body, which hyper leaves out.
        "GET" | "HEAD" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        other => return Err(format!("Invalid parameter, method: {other} is not one of {METHODS}.")),
    };
    let token = Token::new(bearer(request.headers()));
    let path = read_path(request.uri().path())?;
    let query = read_pairs(request.uri().query().unwrap_or("").as_bytes())?;
    let content =
        request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("").to_owned();
    let body = match tokio::time::timeout(shared.timeouts.body, whole(request.into_body())).await {
        Ok(body) => body?,
        Err(_) => return Err("Invalid parameter, body: did not arrive in time.".to_owned()),
    };
    let form = form(&content, &body)?;
    Ok(Request { method, path, query, form, token, leaves_within: None })
}

/// The whole body. One that is too large is read to its end all the same, so that its sender gets to read the answer.
async fn whole(mut body: Incoming) -> Result<Vec<u8>, String> {
    let (mut bytes, mut seen) = (Vec::new(), 0usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| "Invalid parameter, body: is broken.".to_owned())?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= BODY_MAX {
            bytes.extend_from_slice(&data);
        } else {
            bytes.clear();
        }
        if seen > DRAINED_MAX {
            break;
        }
    }
    if seen > BODY_MAX {
        return Err(format!("Invalid parameter, body: is larger than {BODY_MAX} bytes."));
    }
    Ok(bytes)
}

fn form(content: &str, body: &[u8]) -> Result<Vec<(String, String)>, String> {
    let kind = content.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match kind.as_str() {
        _ if body.iter().all(u8::is_ascii_whitespace) => Ok(Vec::new()),
        "" | "application/x-www-form-urlencoded" => read_pairs(body),
        // One client sends `{}` where nothing is asked for.
        "application/json" if is_empty_object(body) => Ok(Vec::new()),
        other => Err(format!(
            "Invalid parameter, content-type: expected application/x-www-form-urlencoded, not {other}."
        )),
    }
}

fn is_empty_object(body: &[u8]) -> bool {
    let text: Vec<u8> = body.iter().copied().filter(|it| !it.is_ascii_whitespace()).collect();
    text == b"{}"
}

fn bearer(headers: &HeaderMap) -> &str {
    let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or("");
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

/// JSON is for those who name it anywhere; everybody else gets XML, as at Tradier.
fn accepts_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    accepted.flat_map(|it| it.split(',')).any(|it| {
        let kind = it.split(';').next().unwrap_or("").trim();
        kind.eq_ignore_ascii_case("application/json")
    })
}

/// Where the caller reached us, if that is an address and nothing else.
fn authority(headers: &HeaderMap) -> Option<Authority> {
    let host = headers.get(HOST)?.to_str().ok()?;
    host.parse::<Authority>().ok().filter(|it| !it.as_str().contains('@') && !it.host().is_empty())
}

pub(crate) fn response(reply: Reply, json: bool) -> Answer {
    let Reply { status, mut headers, mut body } = reply;
    let is_json =
        |(name, value): &(String, String)| name == "content-type" && value.starts_with("application/json");
    // What the gateway says is JSON whatever was asked for.
    if !json && status < 400 && headers.iter().any(is_json) {
        body = xml::of_json(&body);
        for (_, value) in headers.iter_mut().filter(|it| it.0 == "content-type") {
            "application/xml;charset=UTF-8".clone_into(value);
        }
    }
    let mut response = Response::new(Body::whole(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn options() -> Answer {
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    response
}

pub(crate) fn text(status: u16, text: &str) -> Answer {
    let headers = vec![("content-type".to_owned(), "text/plain;charset=UTF-8".to_owned())];
    response(Reply { status, headers, body: text.as_bytes().to_vec() }, true)
}

/// A 400 after which the connection ends: what follows on it may be the rest of a refused body.
fn closing(why: &str) -> Answer {
    let mut answer = text(400, why);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
