//! Asking what runs on this machine over HTTP: the API of a run, the steering of a sandbox.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any answer has.
const ANSWER_MAX: usize = 16 << 20;

/// One JSON answer of a run's API, asked for under a local name or none.
pub(crate) async fn get(url: &str, path: &str, name: Option<&str>) -> anyhow::Result<Value> {
    let nothing = || format!("nothing answers at {url}: start it with `claxton up`");
    let (status, body) = ask(url, Method::GET, path, name, String::new()).await.with_context(nothing)?;
    let body: Value = serde_json::from_slice(&body)
        .with_context(|| format!("what answers at {url}{path} is not claxton ({status}): give its --url"))?;
    // A deep health that finds something broken answers 503 and says what.
    if status.is_success() || body.get("database").is_some() {
        return Ok(body);
    }
    let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
    bail!("{url}{path} answered {status}: {detail}")
}

/// Sends one request on a connection of its own.
pub(crate) async fn ask(
    url: &str,
    method: Method,
    path: &str,
    name: Option<&str>,
    body: String,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let wrong = || anyhow!("{url:?} is no address of an API: expected one such as http://127.0.0.1:7380");
    let uri: http::Uri = url.trim_end_matches('/').parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let target = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(target).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        let mut request = http::Request::builder().method(method).uri(path);
        request = request.header(http::header::HOST, authority.as_str());
        if let Some(name) = name {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {name}"));
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        anyhow::Ok((status, body.map_err(|it| anyhow!("{it}"))?.to_bytes()))
    };
    tokio::time::timeout(PATIENCE, exchange).await.with_context(|| format!("{url} does not answer"))?
}
