//! The way to the broker, with everything that can happen on it.

use std::rc::Rc;
use std::time::Duration;

use broker::transport::{Method, Reply, Request, Transport, TransportError};

use super::{Peril, Perils, Port, Stop};

/// After this long an adapter gives a request up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

/// A transport whose every request may meet a peril.
#[derive(Debug)]
pub struct PerilousTransport<T> {
    inner: T,
    perils: Rc<Perils>,
}

impl<T> PerilousTransport<T> {
    /// Over `inner`.
    pub const fn new(inner: T, perils: Rc<Perils>) -> Self {
        Self { inner, perils }
    }

    /// The way without perils, for requests that arrive late.
    pub const fn inner(&self) -> &T {
        &self.inner
    }
}

/// What a request does, as its site is named.
pub fn operation(request: &Request) -> (&'static str, Port) {
    let path = request.path.as_str();
    match request.method {
        Method::Post => ("POST orders", Port::Place),
        Method::Put => ("PUT order", Port::Change),
        Method::Delete => ("DELETE order", Port::Change),
        Method::Get if path.contains("/markets/") => ("GET quotes", Port::Quotes),
        Method::Get if path.ends_with("/orders") => ("GET orders", Port::Read),
        Method::Get if path.ends_with("/positions") => ("GET positions", Port::Read),
        Method::Get if path.ends_with("/balances") => ("GET balances", Port::Read),
        Method::Get => ("GET order", Port::Read),
    }
}

impl<T: Transport> Transport for PerilousTransport<T> {
    async fn send(&self, request: &Request) -> Result<Reply, TransportError> {
        let (name, port) = operation(request);
        self.perils.told(|it| it.leaves(request, &self.perils));
        let drawn = self.perils.enter(name, port).await;
        if self.perils.is_broker_away() {
            return self.away(drawn.map_or(0, |it| it.1)).await;
        }
        if self.perils.is_revoked(&request.token) {
            return Ok(refused_token());
        }
        let Some((peril, amount)) = drawn else { return self.inner.send(request).await };
        let lost = |what: &str| Err(TransportError::Unknown(what.to_owned()));
        let is_patient = amount % 2 == 0;
        match peril {
            Peril::RequestLost => {
                self.wait(is_patient).await;
                lost("the request was lost")
            }
            Peril::AnswerLost => {
                self.inner.send(request).await?;
                self.wait(is_patient).await;
                lost("the answer was lost")
            }
            Peril::LateArrival => {
                let late = Duration::from_millis(u64::from(500 + amount % 59_500));
                self.perils.late.borrow_mut().push((late, request.clone()));
                self.wait(true).await;
                lost("no answer in time")
            }
            Peril::HalfAnswer => {
                let mut reply = self.inner.send(request).await?;
                reply.body.truncate(reply.body.len() / 2);
                Ok(reply)
            }
            Peril::ErrorAfterEffect => {
                self.inner.send(request).await?;
                Ok(server_error())
            }
            Peril::ErrorWithoutEffect => Ok(server_error()),
            Peril::BodyErrors => Ok(body_errors()),
            Peril::TooMany => Ok(too_many()),
            Peril::SlowAnswer => {
                let reply = self.inner.send(request).await;
                self.perils.halt(Stop::For(Duration::from_millis(u64::from(100 + amount % 7_900)))).await;
                reply
            }
            Peril::Race => {
                self.perils.told(|it| it.races(request));
                self.inner.send(request).await
            }
            Peril::TokenRefused if self.perils.revoke_in_passing(&request.token) => Ok(refused_token()),
            Peril::BadQuote => Ok(spoiled(self.inner.send(request).await?, amount)),
            Peril::KillBefore
            | Peril::FreezeBefore
            | Peril::Yield
            | Peril::LostBefore
            | Peril::KillAfter
            | Peril::FreezeAfter
            | Peril::LostAfter
            | Peril::LetterLost
            | Peril::LetterTwice
            | Peril::LetterLate
            | Peril::FrameLost
            | Peril::FrameTwice
            | Peril::TimerLost
            | Peril::TimerTwice
            | Peril::TimerLate
            | Peril::TokenRefused
            | Peril::SwitchFlips
            | Peril::StrikesMissing
            | Peril::OtherRoots => {
                let reply = self.inner.send(request).await;
                self.perils.leave(drawn).await;
                reply
            }
        }
    }
}

impl<T> PerilousTransport<T> {
    /// An outage: no connection, no answer, or a gateway without anything behind it.
    async fn away(&self, amount: u32) -> Result<Reply, TransportError> {
        match amount % 3 {
            0 => Err(TransportError::NotSent("no connection".to_owned())),
            1 => {
                self.wait(true).await;
                Err(TransportError::Unknown("no answer in time".to_owned()))
            }
            _ => Ok(server_error()),
        }
    }

    async fn wait(&self, is_patient: bool) {
        if is_patient {
            self.perils.halt(Stop::For(GIVEN_UP_AFTER)).await;
        }
    }
}

fn server_error() -> Reply {
    Reply { status: 502, headers: Vec::new(), body: b"<html>Bad Gateway</html>".to_vec() }
}

fn body_errors() -> Reply {
    let body = br#"{"errors":{"error":"Backoffice rejected override of the order."}}"#;
    Reply { status: 200, headers: Vec::new(), body: body.to_vec() }
}

fn refused_token() -> Reply {
    let body = br#"{"fault":{"faultstring":"Invalid Access Token","detail":{"errorcode":"keymanagement.service.invalid_access_token"}}}"#;
    Reply { status: 401, headers: Vec::new(), body: body.to_vec() }
}

fn too_many() -> Reply {
    let body = br#"{"fault":{"faultstring":"Rate limit quota violation. Quota limit exceeded.","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}"#;
    Reply { status: 429, headers: Vec::new(), body: body.to_vec() }
}

/// Quotes as no market makes them: crossed, zero, from long ago, another instrument's, or no number at all.
fn spoiled(reply: Reply, amount: u32) -> Reply {
    let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(&reply.body) else { return reply };
    let quote = match body.pointer_mut("/quotes/quote") {
        Some(serde_json::Value::Array(all)) => all.first_mut(),
        Some(one) => Some(one),
        None => None,
    };
    let Some(serde_json::Value::Object(quote)) = quote else { return reply };
    let number = serde_json::Value::from;
    match amount % 5 {
        0 => {
            let (bid, ask) = (quote.get("bid").cloned(), quote.get("ask").cloned());
            quote.insert("bid".to_owned(), ask.unwrap_or_default());
            quote.insert("ask".to_owned(), bid.unwrap_or_default());
        }
        1 => {
            quote.insert("bid".to_owned(), number(0));
            quote.insert("ask".to_owned(), number(0));
        }
        2 => {
            quote.insert("bid_date".to_owned(), number(1_000_000_000_000_i64));
            quote.insert("ask_date".to_owned(), number(1_000_000_000_000_i64));
        }
        3 => {
            quote.insert("symbol".to_owned(), serde_json::Value::from("SPXW301220C09990000"));
        }
        _ => {
            quote.insert("bid".to_owned(), serde_json::Value::from("NaN"));
        }
    }
    match serde_json::to_vec(&body) {
        Ok(body) => Reply { body, ..reply },
        Err(_) => reply,
    }
}
