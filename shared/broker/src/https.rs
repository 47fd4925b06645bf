//! The transport of a real host: HTTP/1.1 over TLS, one client, no request sent twice.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

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
    /// For the TCP connection.
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
pub struct Https {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    patience: Patience,
}

impl Https {
    /// A client for `base`, without `/v1`: [`LIVE_BASE`], [`SANDBOX_BASE`], or the address of a local sandbox.
    /// Plain HTTP is for this machine alone: a token never crosses a network in the clear.
    ///
    /// # Errors
    /// [`HttpsError`] for a base that is no such address, and when TLS cannot be set up.
    pub fn new(base: &str, patience: Patience) -> Result<Self, HttpsError> {
        let fail = || HttpsError::Base(base.to_owned());
        let base = base.trim_end_matches('/');
        let uri: http::Uri = base.parse().map_err(|_| fail())?;
        let local = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let scheme_is_right = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => local,
            _ => false,
        };
        if !scheme_is_right
            || uri.host().is_none()
            || !matches!(uri.path(), "" | "/")
            || uri.query().is_some()
        {
            return Err(fail());
        }
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
        // Without this a request whose kept connection turns out closed would be sent again, POSTs included.
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(patience.idle)
            .build(connector);
        Ok(Self { client, base: base.to_owned(), patience })
    }

    fn http(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, TransportError> {
        let uri = match encoded(&request.query) {
            query if query.is_empty() => format!("{}{}", self.base, request.path),
            query => format!("{}{}?{query}", self.base, request.path),
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
            .header(http::header::AUTHORIZATION, bearer)
            .header(http::header::ACCEPT, "application/json");
        if matches!(request.method, Method::Post | Method::Put) {
            builder = builder.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(encoded(&request.form)));
        builder.body(body).map_err(|error| TransportError::NotSent(error.to_string()))
    }
}

/// Parameters as `application/x-www-form-urlencoded`.
fn encoded(pairs: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// An error with its causes on one line. Hyper's errors carry no header and no body.
fn chain(error: &dyn std::error::Error) -> String {
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
        let http = self.http(request)?;
        let exchange = async {
            let response = self.client.request(http).await.map_err(|error| {
                // Only a connection that never came about proves that nothing left.
                if error.is_connect() {
                    TransportError::NotSent(chain(&error))
                } else {
                    TransportError::Unknown(chain(&error))
                }
            })?;
            let (head, body) = response.into_parts();
            let whole = Limited::new(body, BODY_MAX).collect().await;
            let whole = whole.map_err(|error| TransportError::Unknown(format!("half an answer: {error}")))?;
            let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            };
            Ok(Reply {
                status: head.status.as_u16(),
                headers: head.headers.iter().filter_map(text).collect(),
                body: whole.to_bytes().into(),
            })
        };
        match tokio::time::timeout(self.patience.answer, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::Unknown(format!(
                "no whole answer in {} ms",
                self.patience.answer.as_millis()
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
