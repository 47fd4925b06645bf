//! Identities. Each is a type of its own, so a wrong one does not compile.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $expected:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let id = Uuid::parse_str(text).map(Self);
                id.map_err(|_| IdError { text: text.to_owned(), expected: $expected })
            }
        }
    };
}

uuid_id!(
    /// A member of the trading group: the subject of their token.
    UserId,
    "a user id: a UUID"
);
uuid_id!(
    /// One account at one broker, owned by one user. Ours, not the broker's number.
    AccountId,
    "an account id: a UUID"
);

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $expected:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id's 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// From 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The hash of the named parts, each length-prefixed so that no two lists of parts collide by
            /// concatenation.
            pub fn of(parts: &[&[u8]]) -> Self {
                Self(content_hash(stringify!($name), parts))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&data_encoding::BASE32_DNSCURVE.encode(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let fail = || IdError { text: text.to_owned(), expected: $expected };
                let bytes = data_encoding::BASE32_DNSCURVE.decode(text.as_bytes()).map_err(|_| fail())?;
                bytes.try_into().map(Self).map_err(|_| fail())
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(it: $name) -> String {
                it.to_string()
            }
        }
    };
}

/// BLAKE3 over a kind and length-prefixed parts, cut to 128 bits.
fn content_hash(kind: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut id = [0u8; 16];
    hasher.finalize_xof().fill(&mut id);
    id
}

hash_id!(
    /// A setup: the hash of session date, symbol, type, direction, forming bar and anchor price.
    SetupId,
    "a setup id: 26 characters of base32"
);
hash_id!(
    /// An order intent: the hash of its origin, sequence, account and action.
    IntentId,
    "an intent id: 26 characters of base32"
);
hash_id!(
    /// A strategy's decision: the hash of whatever names it there.
    DecisionId,
    "a decision id: 26 characters of base32"
);
hash_id!(
    /// What a strategy's decision says, by content: asked again it must be the same.
    DecisionHash,
    "a decision hash: 26 characters of base32"
);
hash_id!(
    /// Everything a strategy's decision read of the market, by content.
    SnapshotId,
    "a snapshot id: 26 characters of base32"
);
hash_id!(
    /// An option chain snapshot, by content.
    ChainId,
    "a chain id: 26 characters of base32"
);

/// Which POST of an intent, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptNo(pub u16);

impl AttemptNo {
    /// The first attempt.
    pub const FIRST: Self = Self(1);

    /// The attempt after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for AttemptNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The mark our orders carry at the broker: `cx-`, base32 of the intent, `-`, the attempt's number.
///
/// Tradier accepts `[A-Za-z0-9-]{1,255}`, stores it exactly and never checks that it is unique, so uniqueness is
/// ours: one attempt, one tag.
///
/// # Examples
/// ```
/// use domain::ids::{AttemptNo, IntentId, OrderTag};
/// let tag = OrderTag { intent: IntentId::of(&[b"example"]), attempt: AttemptNo::FIRST };
/// assert_eq!(OrderTag::parse(&tag.to_string()), Some(tag));
/// assert_eq!(OrderTag::parse("my-own-tag"), None); // a foreign order
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderTag {
    /// What we wanted.
    pub intent: IntentId,
    /// Which POST of it.
    pub attempt: AttemptNo,
}

/// What every tag of ours starts with.
pub const TAG_PREFIX: &str = "cx-";

impl OrderTag {
    /// Reads a tag of ours; `None` for anybody else's.
    pub fn parse(text: &str) -> Option<Self> {
        let (intent, attempt) = text.strip_prefix(TAG_PREFIX)?.split_once('-')?;
        if attempt.starts_with('+') || attempt.starts_with('0') {
            return None;
        }
        Some(Self { intent: intent.parse().ok()?, attempt: AttemptNo(attempt.parse().ok()?) })
    }
}

impl fmt::Display for OrderTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TAG_PREFIX}{}-{}", self.intent, self.attempt)
    }
}

/// The broker's name for an order. Grows beyond 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerOrderId(pub u64);

impl fmt::Display for BrokerOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The broker's number of an account. Shown to nobody but its owner; logs and rows carry [`Self::last4`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountNumber(String);

impl AccountNumber {
    /// The number as the broker writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last four characters.
    pub fn last4(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or("")
    }
}

impl TryFrom<String> for AccountNumber {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        let good = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if good {
            Ok(Self(text))
        } else {
            Err(IdError { text, expected: "an account number: 1 to 32 letters and digits" })
        }
    }
}

impl FromStr for AccountNumber {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::try_from(text.to_owned())
    }
}

impl From<AccountNumber> for String {
    fn from(it: AccountNumber) -> String {
        it.0
    }
}

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "..{}", self.last4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(SetupId::of(&[b"ab", b"c"]), SetupId::of(&[b"a", b"bc"]));
        assert_ne!(SetupId::of(&[b"a"]).as_bytes(), IntentId::of(&[b"a"]).as_bytes());
    }

    #[test]
    fn a_tag_is_what_tradier_accepts_and_reads_back() {
        let tag = OrderTag { intent: IntentId::of(&[b"x"]), attempt: AttemptNo(12) };
        let text = tag.to_string();
        assert!(text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{text}");
        assert_eq!(OrderTag::parse(&text), Some(tag));
        for foreign in [
            "",
            "cx-",
            "cx-abc-1",
            &text.replace("-12", "-012"),
            &text.replace("cx-", "CX-"),
            &format!("{text}-1"),
        ] {
            assert_eq!(OrderTag::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn account_numbers_do_not_print_whole() {
        let number: AccountNumber = "VA00000001".parse().unwrap();
        assert_eq!(format!("{number:?}"), "..0001");
        assert!("VA 1".parse::<AccountNumber>().is_err());
    }
}
