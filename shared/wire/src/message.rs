//! Queue messages: a version, a type, and the fields in camelCase.
//!
//! ```json
//! {"version":1,"type":"transition","setup":"…","sequence":2,"tries":0}
//! ```
//! Readers take every version they know and refuse the rest by name; unknown fields of a known version are ignored,
//! because fields are only ever added.

use std::borrow::Cow;

use domain::account::AccountRef;
use domain::ids::IntentId;
use domain::ports::Message;
use serde::{Deserialize, Serialize};

/// The version we write.
pub const VERSION: u32 = 1;

/// Why a body is not a message of ours.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not JSON, or not an object with a version.
    #[error("not a message: {0}")]
    Malformed(String),
    /// A version we do not read.
    #[error("message version {found} is unknown; this build reads version {VERSION}")]
    UnknownVersion {
        /// What it said.
        found: u32,
    },
}

#[derive(Deserialize)]
struct Head<'a> {
    version: u32,
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
}

/// A step, read without the copy of every field that a tag inside an object costs: most messages are steps.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    account: AccountRef,
    intent: IntentId,
    intent_version: i64,
    tries: u16,
}

#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    #[serde(flatten)]
    message: &'a Message,
}

/// The message as a queue carries it.
pub fn encode(message: &Message) -> String {
    // A message is plain data with text keys: there is nothing in it that JSON cannot say.
    serde_json::to_string(&Body { version: VERSION, message }).unwrap_or_default()
}

/// Reads a body.
///
/// # Errors
/// [`WireError`] with what was found instead; the body belongs in the dead-letter queue.
pub fn decode(body: &str) -> Result<Message, WireError> {
    let malformed = |it: serde_json::Error| WireError::Malformed(it.to_string());
    let head: Head<'_> = serde_json::from_str(body).map_err(malformed)?;
    if head.version != VERSION {
        return Err(WireError::UnknownVersion { found: head.version });
    }
    if head.kind.as_deref() == Some("step") {
        let Step { account, intent, intent_version, tries } =
            serde_json::from_str(body).map_err(malformed)?;
        return Ok(Message::Step { account, intent, version: intent_version, tries });
    }
    serde_json::from_str(body).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::{AccountRef, Environment};
    use domain::ids::{AccountId, BrokerOrderId, IntentId, SetupId, UserId};
    use domain::time::UtcNanos;

    #[test]
    fn a_transition_is_spelled_in_camel_case_with_its_version() {
        let message = Message::Transition { setup: SetupId::from_bytes([0; 16]), sequence: 2, tries: 0 };
        let text = encode(&message);
        insta::assert_snapshot!(text, @r#"{"version":1,"type":"transition","setup":"00000000000000000000000000","sequence":2,"tries":0}"#);
        assert_eq!(decode(&text).unwrap(), message);
    }

    #[test]
    fn every_message_reads_back_as_it_was_written() {
        let account = AccountRef {
            user: "00000000-0000-0000-0000-000000000001".parse::<UserId>().unwrap(),
            account: "00000000-0000-0000-0000-000000000002".parse::<AccountId>().unwrap(),
            environment: Environment::Sandbox,
        };
        let intent = IntentId::from_bytes([1; 16]);
        for message in [
            Message::Transition { setup: SetupId::from_bytes([2; 16]), sequence: 2, tries: 1 },
            Message::Step { account, intent, version: 7, tries: 2 },
            Message::BrokerOrder { account, order: BrokerOrderId(9_000_000_000) },
            Message::Flatten { account, session: UtcNanos(0).new_york_date(), at_once: true },
            Message::Alert { key: "k".into(), level: "info".into(), text: "t".into() },
        ] {
            assert_eq!(decode(&encode(&message)).unwrap(), message);
        }
    }

    #[test]
    fn what_we_do_not_know_is_named() {
        assert!(matches!(decode("{}"), Err(WireError::Malformed(_))));
        assert!(matches!(decode(r#"{"version":2}"#), Err(WireError::UnknownVersion { found: 2 })));
        assert!(matches!(decode(r#"{"version":1,"type":"parade"}"#), Err(WireError::Malformed(_))));
    }
}
