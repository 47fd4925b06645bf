//! What a stream's client asks for: read from a WebSocket's message or from the parameters of a request.

use std::collections::BTreeSet;
use std::str::FromStr;

use domain::symbol::{OccSymbol, Underlying};
use serde::Deserialize;

use super::stream::{AttachError, StreamKind};

/// Symbols of one subscription at most: two whole SPX chains.
const SYMBOLS_MAX: usize = 10_000;

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wants {
    pub(super) excluded: BTreeSet<String>,
    pub(super) subjects: BTreeSet<Subject>,
    pub(super) payloads: Payloads,
    pub(super) linebreak: bool,
    pub(super) valid_only: bool,
}

/// What a market event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// An index or a share.
    Underlying(Underlying),
    /// An option series.
    Series(OccSymbol),
}

impl Subject {
    fn parse(text: &str) -> Option<Self> {
        match OccSymbol::from_str(text) {
            Ok(series) => Some(Self::Series(series)),
            Err(_) => Underlying::from_str(text).ok().map(Self::Underlying),
        }
    }
}

/// Which payloads of the market stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Payloads(u8);

impl Payloads {
    pub(super) const QUOTE: Self = Self(1);
    pub(super) const TRADE: Self = Self(2);
    pub(super) const SUMMARY: Self = Self(4);
    pub(super) const TIMESALE: Self = Self(8);
    pub(super) const TRADEX: Self = Self(16);
    const ALL: Self = Self(31);

    fn named(name: &str) -> Option<Self> {
        match name {
            "quote" => Some(Self::QUOTE),
            "trade" => Some(Self::TRADE),
            "summary" => Some(Self::SUMMARY),
            "timesale" => Some(Self::TIMESALE),
            "tradex" => Some(Self::TRADEX),
            _ => None,
        }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn holds(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }
}

/// What a client asks for, in JSON on a WebSocket. Some send lists as one text with commas, some booleans as text.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Subscription {
    pub(super) sessionid: String,
    events: Names,
    #[serde(rename = "excludeAccounts")]
    excluded: Names,
    symbols: Names,
    filter: Names,
    linebreak: Flag,
    #[serde(rename = "validOnly")]
    valid_only: Flag,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
    #[default]
    Missing,
}

impl Names {
    fn each(&self) -> impl Iterator<Item = &str> {
        let list = match self {
            Self::List(list) => list.as_slice(),
            Self::Text(text) => std::slice::from_ref(text),
            Self::Missing => &[],
        };
        list.iter().flat_map(|it| it.split(',')).map(str::trim).filter(|it| !it.is_empty())
    }
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Text(String),
    #[default]
    Missing,
}

impl Flag {
    fn or(&self, default: bool) -> bool {
        match self {
            Self::Bool(it) => *it,
            Self::Text(text) if text.eq_ignore_ascii_case("true") => true,
            Self::Text(text) if text.eq_ignore_ascii_case("false") => false,
            Self::Text(_) | Self::Missing => default,
        }
    }
}

impl Subscription {
    /// The same as query or form parameters, for streams over HTTP.
    pub(super) fn of_params(params: &[(String, String)]) -> Self {
        let mut ask = Self::default();
        for (name, value) in params {
            let value = || value.clone();
            match name.as_str() {
                "sessionid" => ask.sessionid = value(),
                "events" => ask.events = Names::Text(value()),
                "excludeAccounts" => ask.excluded = Names::Text(value()),
                "symbols" => ask.symbols = Names::Text(value()),
                "filter" => ask.filter = Names::Text(value()),
                "linebreak" => ask.linebreak = Flag::Text(value()),
                "validOnly" => ask.valid_only = Flag::Text(value()),
                _ => {}
            }
        }
        ask
    }

    pub(super) fn wants(&self, kind: StreamKind) -> Result<Wants, AttachError> {
        let mut wants = Wants {
            linebreak: self.linebreak.or(false),
            valid_only: self.valid_only.or(true),
            payloads: Payloads::ALL,
            ..Wants::default()
        };
        match kind {
            StreamKind::Account => {
                let (mut asked, mut order) = (false, false);
                for event in self.events.each() {
                    asked = true;
                    order |= event == "order";
                }
                if asked && !order {
                    return Err(AttachError::Message);
                }
                wants.excluded = self.excluded.each().map(str::to_owned).collect();
            }
            StreamKind::Market => {
                let mut named: Option<Payloads> = None;
                for name in self.filter.each() {
                    let payload = Payloads::named(name).ok_or(AttachError::Filter)?;
                    named = Some(named.unwrap_or_default().and(payload));
                }
                wants.payloads = named.unwrap_or(Payloads::ALL);
                for (n, symbol) in self.symbols.each().enumerate() {
                    if n >= SYMBOLS_MAX {
                        return Err(AttachError::Symbols);
                    }
                    // A symbol that is none, such as `$empty$`, is heard of as often as one that never trades.
                    wants.subjects.extend(Subject::parse(&symbol.to_ascii_uppercase()));
                }
            }
        }
        Ok(wants)
    }
}
