//! The pass to a stream (TRADIER.md section 16.1).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Raw, Unreadable};

/// Where to listen to the account's events, and the pass for it.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamSession {
    /// The WebSocket's address, as the broker gave it.
    pub url: String,
    /// Good for one connection within five minutes. A secret, while it lasts.
    pub session_id: String,
}

impl std::fmt::Debug for StreamSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamSession").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct StreamBody<'a> {
    #[serde(borrow)]
    stream: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct StreamRow<'a> {
    url: Raw<'a>,
    sessionid: Raw<'a>,
}

/// The answer to a request for a stream session.
///
/// # Errors
/// [`Unreadable`] without an address and a pass.
pub fn stream_session(body: &str) -> Result<StreamSession, Unreadable> {
    let outer: StreamBody<'_> = json::parse(body, "a stream session")?;
    let row: StreamRow<'_> = json::parse(outer.stream.get(), "a stream session")?;
    let part = |raw| json::text(raw).filter(|it| !it.is_empty()).map(Cow::into_owned);
    match (part(row.url), part(row.sessionid)) {
        (Some(url), Some(session_id)) => Ok(StreamSession { url, session_id }),
        _ => Err(Unreadable("a stream session's url and sessionid")),
    }
}
