//! One request to the broker and what became of it.

use std::fmt;
use std::time::Duration;

use domain::secret::Token;

/// An HTTP method the broker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Places an order, opens a stream session, or reads many quotes. Never sent twice.
    Post,
    /// Changes an order; absolute, so repeating it is harmless.
    Put,
    /// Asks for an order's end.
    Delete,
}

impl Method {
    /// As HTTP spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// One request.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path from `/v1/` on, without a query.
    pub path: String,
    /// Query parameters, in order, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Form parameters of the body, in order, not yet encoded.
    pub form: Vec<(String, String)>,
    /// Sent as `Authorization: Bearer`.
    pub token: Token,
    /// How long after it was handed over its first byte may still leave; `None` for whenever. What would leave later,
    /// because a connection had to be opened first, is [`TransportError::NotSent`].
    pub leaves_within: Option<Duration>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The account's number stands in the path; like everywhere its end alone is shown.
        let parts: Vec<&str> = self.path.split('/').collect();
        write!(f, "{} ", self.method.as_str())?;
        for (i, part) in parts.iter().enumerate() {
            let slash = if i == 0 { "" } else { "/" };
            let of_account = i.checked_sub(1).and_then(|before| parts.get(before)) == Some(&"accounts");
            let end = part.get(part.len().saturating_sub(4)..).unwrap_or("");
            if of_account && *part != "events" {
                write!(f, "{slash}..{end}")?
            } else {
                write!(f, "{slash}{part}")?
            }
        }
        Ok(())
    }
}

/// An answer: whatever arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers with lower-case names, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Not a byte of the request left.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have left: time-out, reset, half an answer.
    #[error("no whole answer: {0}")]
    Unknown(String),
}

/// Carries one request, once. A connection that was reused and turned out closed is `Unknown` as soon as a byte of a
/// POST may have left.
#[allow(async_fn_in_trait, reason = "use cases are driven by one caller")]
pub trait Transport {
    /// Sends `request` and waits for the whole answer.
    async fn send(&self, request: &Request) -> Result<Reply, TransportError>;
}

impl<T: Transport + ?Sized> Transport for std::rc::Rc<T> {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        (**self).send(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_prints_neither_token_nor_account_nor_what_it_asks_for() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let print = |path: &str| {
            let request = Request {
                method: Method::Post,
                path: path.to_owned(),
                query: pair("secret-query", "x"),
                form: pair("secret-form", "x"),
                token: Token::new("secret-token"),
                leaves_within: None,
            };
            format!("{request:?}")
        };
        assert_eq!(print("/v1/accounts/VA00009876/orders/5"), "POST /v1/accounts/..9876/orders/5");
        assert_eq!(print("/v1/accounts/events/session"), "POST /v1/accounts/events/session");
        assert_eq!(print("/v1/markets/quotes"), "POST /v1/markets/quotes");
    }
}
