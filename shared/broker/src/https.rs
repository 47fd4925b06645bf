//! The transport of a real host: HTTP/1.1 over TLS, no request sent twice.
//!
//! Connections are kept by ourselves and used by one request at a time. A request leaves on a connection that is open
//! and in time for [`Request::leaves_within`], or it does not leave: the check stands between connecting and writing.

mod kept;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::{Instant, timeout_at};
use tower_service::Service as _;

use self::kept::Kept;
use crate::transport::{Method, Reply, Request, Transport, TransportError};

/// The live host.
pub const LIVE_BASE: &str = "https://api.tradier.com";
/// The broker's sandbox host.
pub const SANDBOX_BASE: &str = "https://sandbox.tradier.com";

/// The largest answer read: a whole chain with greeks is under a megabyte.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// How patient the transport is. Connecting must fail long before reading does: what failed to connect never left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// For the whole exchange, connecting included. At least ten seconds: the sandbox is slow.
    pub answer: Duration,
    /// How long an idle connection is kept. Shorter than the server keeps it, so that a request rarely meets one
    /// that was just closed.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(12),
            idle: Duration::from_secs(20),
        }
    }
}

/// Why a transport could not be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The base is not an address.
    #[error("{0:?} is not a base address: expected https://host, or http://127.0.0.1:port for a local run")]
    Base(String),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[source] rustls::Error),
}

/// One HTTP client for one host. Cloning shares its connections.
#[derive(Debug, Clone)]
pub struct Https(Arc<Host>);

#[derive(Debug)]
struct Host {
    connector: HttpsConnector<HttpConnector>,
    base: http::Uri,
    /// The `host` header.
    authority: http::HeaderValue,
    patience: Patience,
    kept: Kept,
}

impl Https {
    /// A client for `base`, without `/v1`: [`LIVE_BASE`], [`SANDBOX_BASE`], or the address of a local sandbox.
    /// Plain HTTP is for this machine alone: a token never crosses a network in the clear.
    ///
    /// # Errors
    /// [`HttpsError`] for a base that is no such address, and when TLS cannot be set up.
    pub fn new(base: &str, patience: Patience) -> Result<Self, HttpsError> {
        let fail = || HttpsError::Base(base.to_owned());
        let uri: http::Uri = base.trim_end_matches('/').parse().map_err(|_| fail())?;
        let local = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let scheme_is_right = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => local,
            _ => false,
        };
        if !scheme_is_right || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(fail());
        }
        let authority = uri.authority().ok_or_else(fail)?;
        let authority = http::HeaderValue::try_from(authority.as_str()).map_err(|_| fail())?;
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(patience.connect));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(HttpsError::Tls)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let kept = Kept::new(patience.idle);
        Ok(Self(Arc::new(Host { connector, base: uri, authority, patience, kept })))
    }

    fn http(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, TransportError> {
        let uri = match encoded(&request.query) {
            query if query.is_empty() => request.path.clone(),
            query => format!("{}?{query}", request.path),
        };
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Delete => http::Method::DELETE,
        };
        let mut bearer =
            http::HeaderValue::try_from(format!("Bearer {}", request.token.reveal())).map_err(|_| {
                TransportError::NotSent("the token holds characters no header may carry".to_owned())
            })?;
        bearer.set_sensitive(true);
        let mut builder = http::Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::HOST, self.0.authority.clone())
            .header(http::header::AUTHORIZATION, bearer)
            .header(http::header::ACCEPT, "application/json");
        if matches!(request.method, Method::Post | Method::Put) {
            builder = builder.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            if request.form.is_empty() {
                // The gateway refuses a POST that does not say how long it is, an empty one too.
                builder = builder.header(http::header::CONTENT_LENGTH, "0");
            }
        }
        let body = Full::new(Bytes::from(encoded(&request.form)));
        builder.body(body).map_err(|error| TransportError::NotSent(error.to_string()))
    }

    /// A connection nothing is in flight on: a kept one, else a new one that is up before `until`. Nothing of any
    /// request leaves here, so every failure is `NotSent`.
    async fn connection(&self, until: Instant) -> Result<SendRequest<Full<Bytes>>, TransportError> {
        if let Some(open) = self.0.kept.take().await {
            return Ok(open);
        }
        let connecting = async {
            let mut connector = self.0.connector.clone();
            std::future::poll_fn(|it| connector.poll_ready(it)).await.map_err(|error| chain(&*error))?;
            let stream = connector.call(self.0.base.clone()).await.map_err(|error| chain(&*error))?;
            let (open, driver) = handshake(stream).await.map_err(|error| chain(&error))?;
            // It ends when the server closes or nobody holds the other half; its errors come back with the request.
            tokio::spawn(async move { driver.await.ok() });
            Ok(open)
        };
        match timeout_at(until, connecting).await {
            Ok(connected) => connected.map_err(TransportError::NotSent),
            Err(_) => Err(TransportError::NotSent("no connection in time".to_owned())),
        }
    }

    /// Writes the request and reads the whole answer.
    async fn exchange(
        &self,
        mut open: SendRequest<Full<Bytes>>,
        http: http::Request<Full<Bytes>>,
    ) -> Result<Reply, TransportError> {
        let response = open.try_send_request(http).await.map_err(|mut refused| {
            // A message that comes back whole was never begun: the connection had closed before.
            match refused.take_message() {
                Some(_) => TransportError::NotSent("the kept connection had closed".to_owned()),
                None => TransportError::Unknown(chain(refused.error())),
            }
        })?;
        let (head, body) = response.into_parts();
        let whole = Limited::new(body, BODY_MAX).collect().await;
        let whole = whole.map_err(|error| TransportError::Unknown(format!("half an answer: {error}")))?;
        self.0.kept.put(open);
        let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers.iter().filter_map(text).collect(),
            body: whole.to_bytes().into(),
        })
    }
}

/// Parameters as `application/x-www-form-urlencoded`.
fn encoded(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// An error with its causes on one line. Hyper's errors carry no header and no body.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        line = format!("{line}: {it}");
        cause = it.source();
    }
    line
}

impl Transport for Https {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        let handed_over = Instant::now();
        let http = self.http(request)?;
        let patience = self.0.patience;
        let latest = request.leaves_within.map(|it| handed_over + it);
        let connected_by = handed_over + patience.connect;
        let open = self.connection(latest.map_or(connected_by, |it| it.min(connected_by))).await?;
        if latest.is_some_and(|it| Instant::now() > it) {
            // The connection is good for the next one.
            self.0.kept.put(open);
            return Err(TransportError::NotSent("the connection was open too late for it".to_owned()));
        }
        match timeout_at(handed_over + patience.answer, self.exchange(open, http)).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(TransportError::Unknown(format!("no whole answer in {} ms", patience.answer.as_millis())))
            }
        }
    }
}

#[cfg(test)]
mod tests;
