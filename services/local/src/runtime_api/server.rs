//! The HTTP side of the runtime API, version 2018-06-01.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use domain::time::UtcNanos;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use serde::Deserialize;

use super::InvokeError;
use super::state::{Shared, Work};
use crate::clock::wall;

/// The largest answer Lambda takes, and a little for its envelope.
const BODY_MAX: usize = 6 * 1024 * 1024 + 64 * 1024;
/// What every path starts with.
const ROOT: &str = "/2018-06-01/runtime/";

/// An error as runtimes report it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Reported {
    error_type: String,
    error_message: String,
}

/// The service of one function.
pub(super) fn service(
    shared: Arc<Shared>,
) -> impl Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok(handle(&shared, request).await) }
    })
}

async fn handle(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix(ROOT) else { return plain(StatusCode::NOT_FOUND, "no such path") };
    if request.method() == Method::GET && path == "invocation/next" {
        return invocation(shared, shared.next().await);
    }
    if request.method() != Method::POST {
        return plain(StatusCode::NOT_FOUND, "no such path");
    }
    let Ok(body) = Limited::new(request.into_body(), BODY_MAX).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the answer is larger than 6 MB");
    };
    let body = body.to_bytes();
    if path == "init/error" {
        let it = reported(&body);
        shared.init_failed(format!("{}: {}", it.error_type, it.error_message));
        return plain(StatusCode::ACCEPTED, "{\"status\":\"OK\"}");
    }
    let Some((id, what)) = path.strip_prefix("invocation/").and_then(|it| it.split_once('/')) else {
        return plain(StatusCode::NOT_FOUND, "no such path");
    };
    let result = match what {
        "response" => Ok(body),
        "error" => {
            let it = reported(&body);
            Err(InvokeError::Failed { kind: it.error_type, message: it.error_message })
        }
        _ => return plain(StatusCode::NOT_FOUND, "no such path"),
    };
    // An answer that comes after its time belongs to nobody; Lambda refuses it in the same way.
    if id.parse().is_ok_and(|id| shared.answer(id, result)) {
        plain(StatusCode::ACCEPTED, "{\"status\":\"OK\"}")
    } else {
        plain(
            StatusCode::BAD_REQUEST,
            "{\"errorType\":\"InvalidRequestID\",\"errorMessage\":\"not in hand\"}",
        )
    }
}

fn invocation(shared: &Shared, work: Work) -> Response<Full<Bytes>> {
    let deadline: UtcNanos = wall().plus(work.timeout);
    let answer = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", work.id.to_string())
        .header("lambda-runtime-deadline-ms", deadline.millis().to_string())
        .header(
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:us-east-1:000000000000:function:{}", shared.name),
        )
        .header("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0")
        .body(Full::new(work.payload));
    answer.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, "the function's name is no header"))
}

fn reported(body: &[u8]) -> Reported {
    serde_json::from_slice(body).unwrap_or_else(|_| Reported {
        error_type: "Runtime.Unreadable".to_owned(),
        error_message: String::from_utf8_lossy(body).chars().take(500).collect(),
    })
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}
