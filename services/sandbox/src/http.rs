//! HTTP requests to the broker's own and back. Whatever is malformed is a 400 that says what is wrong.

use std::rc::Rc;
use std::time::Duration;

use broker::transport::{Method, Reply, Request};
use bytes::Bytes;
use domain::ports::Clock;
use domain::secret::Token;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use sim::broker::StreamKind;
use sim::broker::faults::Disposition;

use crate::control;
use crate::cut::{Cut, Severed};
use crate::listener::Shared;
use crate::stream;

/// A form of four legs has a few hundred bytes; quotes by POST some kilobytes.
const BODY_MAX: usize = 1 << 20;
/// A body that has not arrived by then does not.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Severed>>;

pub(crate) async fn handle<C: Clock + 'static>(
    shared: Rc<Shared<C>>,
    request: hyper::Request<Incoming>,
) -> Result<Answer, Severed> {
    let handling = shared.handling();
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(control::handle(&shared, request).await);
    }
    let kind =
        [StreamKind::Account, StreamKind::Market].into_iter().find(|it| it.path() == request.uri().path());
    if let Some(kind) = kind {
        return Ok(stream::upgrade(&shared, kind, request));
    }
    let request = match read(request).await {
        Ok(request) => request,
        Err(why) => return Ok(closing(&why)),
    };
    let now = shared.clock.now();
    let disposition = shared.sandbox.borrow_mut().dispose(now, &request);
    if !shared.journal() {
        // The change stands but is not safe: the outcome is unknown to the caller, as with the real one.
        return Ok(text(500, "An error occurred while communicating with the backend."));
    }
    shared.flush_frames();
    match disposition {
        Disposition::Reply(reply) => Ok(response(reply)),
        Disposition::NoAnswer => Err(Severed),
        Disposition::Cut { reply, at } => {
            let body = Cut::new(&reply.body, at);
            Ok(response(Reply { body: Vec::new(), ..reply }).map(|_| body.boxed_unsync()))
        }
        Disposition::Late { at, reply } => {
            // Market time must be free to move on: nothing is in flight while this waits.
            drop(handling);
            shared.until(at).await.then(|| response(reply)).ok_or(Severed)
        }
        Disposition::Held { at, ticket } => {
            drop(handling);
            let reached = shared.until(at).await;
            shared.settle();
            let reply = shared.sandbox.borrow_mut().take_late(ticket).filter(|_| reached);
            reply.map(response).ok_or(Severed)
        }
    }
}

/// A request, or why it is none.
async fn read(request: hyper::Request<Incoming>) -> Result<Request, String> {
    let method = match request.method().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        other => {
            return Err(format!("Invalid parameter, method: {other} is not one of GET, POST, PUT, DELETE."));
        }
    };
    let token = Token::new(bearer(request.headers()));
    let path = request.uri().path().to_owned();
    let query = pairs(request.uri().query().unwrap_or("").as_bytes());
    let content =
        request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("").to_owned();
    let body = Limited::new(request.into_body(), BODY_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Err(format!("Invalid parameter, body: is broken or larger than {BODY_MAX} bytes."));
        }
        Err(_) => return Err("Invalid parameter, body: did not arrive in time.".to_owned()),
    };
    let form = form(&content, &body)?;
    Ok(Request { method, path, query, form, token, leaves_within: None })
}

fn form(content: &str, body: &Bytes) -> Result<Vec<(String, String)>, String> {
    let kind = content.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match kind.as_str() {
        _ if body.iter().all(u8::is_ascii_whitespace) => Ok(Vec::new()),
        "" | "application/x-www-form-urlencoded" => Ok(pairs(body)),
        // One client sends `{}` where nothing is asked for.
        "application/json"
            if serde_json::from_slice::<serde_json::Value>(body)
                .is_ok_and(|it| it == serde_json::json!({})) =>
        {
            Ok(Vec::new())
        }
        other => Err(format!(
            "Invalid parameter, content-type: expected application/x-www-form-urlencoded, not {other}."
        )),
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn bearer(headers: &HeaderMap) -> &str {
    let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or("");
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

pub(crate) fn response(reply: Reply) -> Answer {
    let mut response = Response::new(whole(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A body that arrives whole.
pub(crate) fn whole(body: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, Severed> {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn text(status: u16, text: &str) -> Answer {
    let headers = vec![("content-type".to_owned(), "text/plain;charset=UTF-8".to_owned())];
    response(Reply { status, headers, body: text.as_bytes().to_vec() })
}

/// A 400 after which the connection ends: what follows on it may be the rest of a refused body.
fn closing(why: &str) -> Answer {
    let mut answer = text(400, why);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
