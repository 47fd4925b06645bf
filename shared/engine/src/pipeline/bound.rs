//! Values, what is required of them, and where the answer turns round.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Something observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A measurement; always finite.
    Number(f64),
    /// Something that is counted.
    Count(i64),
    /// One of a few names.
    Word(Cow<'static, str>),
}

impl Value {
    /// A measurement; none where it is not finite.
    pub(super) fn number(it: impl Into<Option<f64>>) -> Option<Self> {
        it.into().filter(|it| it.is_finite()).map(Self::Number)
    }

    /// A count.
    pub(super) fn count(it: impl Into<i64>) -> Option<Self> {
        Some(Self::Count(it.into()))
    }

    /// A name.
    pub(super) const fn word(it: &'static str) -> Option<Self> {
        Some(Self::Word(Cow::Borrowed(it)))
    }

    /// As a measurement; `None` for a name.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(it) => Some(*it),
            Self::Count(it) => Some(*it as f64),
            Self::Word(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(it) => f.pad(&short(*it)),
            Self::Count(it) => f.pad(&it.to_string()),
            Self::Word(it) => f.pad(it),
        }
    }
}

/// Four significant decimals and no more zeros than needed.
fn short(it: f64) -> String {
    let text = if it.abs() >= 1_000.0 { format!("{it:.2}") } else { format!("{it:.4}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// What is required of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// More than.
    Above(f64),
    /// No less than.
    AtLeast(f64),
    /// Less than.
    Below(f64),
    /// No more than.
    AtMost(f64),
    /// Neither less nor more than.
    Within {
        /// The least.
        low: f64,
        /// The most.
        high: f64,
    },
    /// This name; `other` is the nearest that is not.
    Is {
        /// The name.
        word: Cow<'static, str>,
        /// Another.
        other: Cow<'static, str>,
    },
    /// Any name but this one; `other` is such.
    IsNot {
        /// The name.
        word: Cow<'static, str>,
        /// Another.
        other: Cow<'static, str>,
    },
}

impl Bound {
    /// This name, and what stands there when it does not.
    pub(super) const fn is(word: &'static str, other: &'static str) -> Self {
        Self::Is { word: Cow::Borrowed(word), other: Cow::Borrowed(other) }
    }

    /// Not this name.
    pub(super) const fn is_not(word: &'static str, other: &'static str) -> Self {
        Self::IsNot { word: Cow::Borrowed(word), other: Cow::Borrowed(other) }
    }

    /// Whether its ends are numbers.
    pub(super) fn is_finite(&self) -> bool {
        match self {
            Self::Above(at) | Self::AtLeast(at) | Self::Below(at) | Self::AtMost(at) => at.is_finite(),
            Self::Within { low, high } => low.is_finite() && high.is_finite(),
            Self::Is { .. } | Self::IsNot { .. } => true,
        }
    }

    /// Whether `value` is as required. A name does not meet a number.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Is { word, .. }, Value::Word(it)) => it == word,
            (Self::IsNot { word, .. }, Value::Word(it)) => it != word,
            (Self::Is { .. } | Self::IsNot { .. }, Value::Number(_) | Value::Count(_)) => false,
            (bound, value) => value.as_f64().is_some_and(|it| match bound {
                Self::Above(at) => it > *at,
                Self::AtLeast(at) => it >= *at,
                Self::Below(at) => it < *at,
                Self::AtMost(at) => it <= *at,
                Self::Within { low, high } => *low <= it && it <= *high,
                Self::Is { .. } | Self::IsNot { .. } => false,
            }),
        }
    }

    /// How far `value` is inside, in its own unit, negative outside; `None` for names.
    pub fn margin(&self, value: &Value) -> Option<f64> {
        let it = value.as_f64()?;
        match self {
            Self::Above(at) | Self::AtLeast(at) => Some(it - at),
            Self::Below(at) | Self::AtMost(at) => Some(at - it),
            Self::Within { low, high } => Some((it - low).min(high - it)),
            Self::Is { .. } | Self::IsNot { .. } => None,
        }
    }

    /// The value next to `value` at which the answer is the other one; of what is missing, the least that would do.
    pub fn flips_at(&self, value: Option<&Value>) -> Value {
        let held = value.is_some_and(|it| self.holds(it));
        let is_count = matches!(value, Some(Value::Count(_)));
        let edge = |edge: Edge| edge.other_side(held, is_count);
        match self {
            Self::Above(at) => edge(Edge { at: *at, is_floor: true, is_in: false }),
            Self::AtLeast(at) => edge(Edge { at: *at, is_floor: true, is_in: true }),
            Self::Below(at) => edge(Edge { at: *at, is_floor: false, is_in: false }),
            Self::AtMost(at) => edge(Edge { at: *at, is_floor: false, is_in: true }),
            Self::Within { low, high } => {
                let it = value.and_then(Value::as_f64).unwrap_or(*low);
                let is_low = (it - low).abs() <= (high - it).abs();
                edge(Edge { at: if is_low { *low } else { *high }, is_floor: is_low, is_in: true })
            }
            Self::Is { word, other } | Self::IsNot { word: other, other: word } => {
                Value::Word(if held { other.clone() } else { word.clone() })
            }
        }
    }
}

/// One end of what is allowed.
struct Edge {
    at: f64,
    /// Whether what is above is allowed.
    is_floor: bool,
    /// Whether the end itself is.
    is_in: bool,
}

impl Edge {
    /// The first value on the side where `held` is not so.
    fn other_side(&self, held: bool, is_count: bool) -> Value {
        // The end itself is the first value of the side it belongs to.
        let wants_in = !held;
        let goes_up = wants_in == self.is_floor;
        if is_count {
            let (floor, ceil) = (self.at.floor() as i64, self.at.ceil() as i64);
            let own = wants_in == self.is_in;
            return Value::Count(match (goes_up, own) {
                (true, true) => ceil,
                (true, false) => floor.saturating_add(1),
                (false, true) => floor,
                (false, false) => ceil.saturating_sub(1),
            });
        }
        Value::Number(match (wants_in == self.is_in, goes_up) {
            (true, _) => self.at,
            (false, true) => self.at.next_up(),
            (false, false) => self.at.next_down(),
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(at) => write!(f, "> {}", short(*at)),
            Self::AtLeast(at) => write!(f, ">= {}", short(*at)),
            Self::Below(at) => write!(f, "< {}", short(*at)),
            Self::AtMost(at) => write!(f, "<= {}", short(*at)),
            Self::Within { low, high } => write!(f, "{} to {}", short(*low), short(*high)),
            Self::Is { word, .. } => f.write_str(word),
            Self::IsNot { word, .. } => write!(f, "not {word}"),
        }
    }
}
