//! What an answer means: Tradier says no in five different ways, some of which prove nothing (TRADIER.md section 4).

use std::borrow::Cow;

use domain::ids::BrokerOrderId;
use domain::ports::BrokerError;
use serde::Deserialize;

use crate::json::{self, Raw};
use crate::transport::Reply;

/// An answer, sorted by who gave it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// 2xx with a body that is not a refusal.
    Body(&'a str),
    /// The gateway counted too many requests.
    TooMany,
    /// The gateway refused the token.
    Token(String),
    /// `Unauthorized Account`: not ours, or an order id the broker does not know.
    NotOurs(String),
    /// The order had ended.
    Final(String),
    /// The broker read the request and said no.
    No(String),
    /// The broker's back end said that it does not know.
    InDoubt(String),
    /// Nothing follows from it.
    Nothing(String),
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Surface<'a> {
    errors: Raw<'a>,
    fault: Raw<'a>,
    order: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Fault<'a> {
    faultstring: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct OrderRef<'a> {
    id: Raw<'a>,
}

/// Back-end codes that do not prove an order was not accepted.
const DOUBTFUL: [&str; 2] = ["OmsInternalError", "OmsUnavailable"];

/// The most of the broker's words that is kept.
const WORDS_MAX: usize = 300;

/// Sorts an answer. `secrets` never appear in the reasons.
pub(crate) fn verdict<'a>(reply: &'a Reply, secrets: &[&str]) -> Verdict<'a> {
    let status = reply.status;
    let Ok(body) = std::str::from_utf8(&reply.body) else {
        return Verdict::Nothing(format!("HTTP {status} with a body that is not text"));
    };
    let good = (200..300).contains(&status);
    if good && is_plain(body) {
        return Verdict::Body(body);
    }
    let words = |text: &str| clean(text, secrets);
    let surface: Option<Surface<'_>> = serde_json::from_str(body).ok();
    // Whatever the status: but not where the words stand in a good answer, as an order's reason say.
    let is_answer = good && surface.as_ref().is_some_and(|it| it.fault.is_none());
    if status == 429 || (!is_answer && contains(body, "quota violation")) {
        return Verdict::TooMany;
    }
    if let Some(surface) = &surface {
        if let Some(fault) = surface.fault {
            let said =
                serde_json::from_str::<Fault<'_>>(fault.get()).ok().and_then(|it| json::text(it.faultstring));
            let said = words(said.as_deref().unwrap_or("a fault without a text"));
            return match status {
                401 | 403 => Verdict::Token(said),
                _ => Verdict::Nothing(format!("HTTP {status}: {said}")),
            };
        }
        if let Some(errors) = surface.errors.filter(|it| !json::is_null(it)) {
            let said = words(&error_texts(errors.get()).join(" "));
            let doubtful = DOUBTFUL.iter().any(|code| contains(&said, code));
            // An order beside the errors, or a failing server, leaves it open whether something was accepted.
            return if doubtful || surface.order.is_some() || status >= 500 {
                Verdict::InDoubt(said)
            } else if contains(&said, FINAL) {
                Verdict::Final(said)
            } else {
                Verdict::No(said)
            };
        }
    }
    if surface.is_none() && (good || status == 400) && contains(body, FINAL) {
        return Verdict::Final(words(body));
    }
    match status {
        200..300 => Verdict::Body(body),
        400 if contains(body, "invalid parameter") => Verdict::No(words(body)),
        401 if contains(body, "unauthorized account") => Verdict::NotOurs(words(body)),
        401 if contains(body, "access token") => Verdict::Token(words(body)),
        _ => Verdict::Nothing(format!("HTTP {status}: {}", words(body))),
    }
}

/// Whether a body is an object in which nothing can be a fault or an error, without reading it: most answers are, and some
/// are long. The names could only be spelled otherwise with escapes.
fn is_plain(body: &str) -> bool {
    let inner = body.trim();
    let is_object = inner.starts_with('{') && inner.ends_with('}');
    is_object && !["\"errors\"", "\"fault\"", "\\", "inalized"].iter().any(|it| inner.contains(it))
}

/// The text of an order that ended, without the status it ended in.
const FINAL: &str = "already in finalized state";

/// Whether `text` holds `what`, whatever the case. `what` is ASCII.
fn contains(text: &str, what: &str) -> bool {
    text.as_bytes().windows(what.len()).any(|it| it.eq_ignore_ascii_case(what.as_bytes()))
}

/// The texts in `{"error": "..."}` or `{"error": ["...", "..."]}`; of any other shape, the whole as it stands.
fn error_texts(errors: &str) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Errors<'a> {
        error: Raw<'a>,
    }
    let inner = serde_json::from_str::<Errors<'_>>(errors).ok().and_then(|it| it.error);
    let texts: Vec<String> = inner
        .and_then(|it| json::elements(it).ok())
        .into_iter()
        .flatten()
        .filter_map(|it| json::text(Some(it)).map(Cow::into_owned))
        .collect();
    if texts.is_empty() { vec![errors.to_owned()] } else { texts }
}

/// The broker's words on one line, cut, without the account's number or the token: reasons are logged and stored.
fn clean(text: &str, secrets: &[&str]) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|it| !it.is_empty()) {
        line = line.replace(secret, "[hidden]");
    }
    line.chars().take(WORDS_MAX).collect()
}

/// The order's id in an answer to placing, changing or cancelling.
pub(crate) fn order_id(body: &str) -> Option<BrokerOrderId> {
    let surface: Surface<'_> = serde_json::from_str(body).ok()?;
    let order: OrderRef<'_> = serde_json::from_str(surface.order?.get()).ok()?;
    json::id(order.id).map(BrokerOrderId)
}

/// What an answer to placing an order says, on its own: the order's id, or what the caller does next.
///
/// # Errors
/// [`BrokerError`] as [`domain::ports::BrokerPort::place`].
pub fn answer(status: u16, body: &str) -> Result<BrokerOrderId, BrokerError> {
    let reply = Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
    placed(verdict(&reply, &[]))
}

/// The id in a verdict on placing. `ok` means received, whatever the word: the id binds, polling tells the rest.
pub(crate) fn placed(verdict: Verdict<'_>) -> Result<BrokerOrderId, BrokerError> {
    match verdict {
        Verdict::Body(body) => order_id(body).ok_or_else(|| write_error(Verdict::Body(body))),
        other @ (Verdict::TooMany
        | Verdict::Token(_)
        | Verdict::NotOurs(_)
        | Verdict::Final(_)
        | Verdict::No(_)
        | Verdict::InDoubt(_)
        | Verdict::Nothing(_)) => Err(write_error(other)),
    }
}

/// A verdict on a request that may have changed something, without an order's id in it.
pub(crate) fn write_error(verdict: Verdict<'_>) -> BrokerError {
    match verdict {
        Verdict::Token(reason) => BrokerError::Authentication { reason },
        Verdict::NotOurs(reason) | Verdict::Final(reason) | Verdict::No(reason) => {
            BrokerError::Refused { reason }
        }
        Verdict::InDoubt(reason) | Verdict::Nothing(reason) => BrokerError::Unknown { reason },
        Verdict::TooMany => BrokerError::Unknown { reason: "rate limited by the gateway".to_owned() },
        Verdict::Body(_) => BrokerError::Unknown { reason: "an answer that names no order".to_owned() },
    }
}

/// A verdict on a read that brought no body.
pub(crate) fn read_error(verdict: Verdict<'_>) -> BrokerError {
    match verdict {
        Verdict::Token(reason) => BrokerError::Authentication { reason },
        Verdict::NotOurs(reason) | Verdict::Final(reason) | Verdict::No(reason) => {
            BrokerError::Refused { reason }
        }
        Verdict::InDoubt(reason) | Verdict::Nothing(reason) => BrokerError::Broken { reason },
        Verdict::TooMany => BrokerError::Broken { reason: "rate limited by the gateway".to_owned() },
        Verdict::Body(_) => BrokerError::Broken { reason: "an answer of another shape".to_owned() },
    }
}
