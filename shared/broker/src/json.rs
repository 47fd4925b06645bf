//! Reading JSON as Tradier writes it: collections that are the text `"null"`, lists of one that collapse to an
//! object, numbers with tails, fields that come and go.
//!
//! Values stay text until they become money, a count or an instant; no number passes through a float.

mod rows;

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::market::Points;
use domain::money::{Price, Usd};
use domain::symbol::Strike;
use domain::time::UtcNanos;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(crate) use rows::rows;

/// A JSON value not yet looked into. `None` stands for an absent field and for `null`.
pub(crate) type Raw<'a> = Option<&'a RawValue>;

/// What a body should have held. Never quotes the body: it may name an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Unreadable(pub(crate) &'static str);

/// Parses `text` as `T`, or says what was expected.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a str, expected: &'static str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|_| Unreadable(expected))
}

/// Whether the value is JSON `null` or the text `"null"`, Tradier's two ways to write an empty collection.
pub(crate) fn is_null(raw: &RawValue) -> bool {
    matches!(raw.get().trim(), "null" | "\"null\"")
}

/// The elements of a list, of a list of one that collapsed to its element, or of none.
pub(crate) fn elements(raw: &RawValue) -> Result<Vec<&RawValue>, Unreadable> {
    if is_null(raw) {
        return Ok(Vec::new());
    }
    if raw.get().trim_start().starts_with('[') {
        return parse(raw.get(), "a list");
    }
    Ok(vec![raw])
}

/// The elements under `key` of a collection such as `{"order": [..]}`. An object without the key is not an empty
/// collection: nothing is concluded from it.
pub(crate) fn collection<'a>(
    raw: &'a RawValue,
    key: &'static str,
    expected: &'static str,
) -> Result<Vec<&'a RawValue>, Unreadable> {
    if is_null(raw) {
        return Ok(Vec::new());
    }
    let fields: BTreeMap<Cow<'a, str>, &'a RawValue> = parse(raw.get(), expected)?;
    elements(fields.get(key).ok_or(Unreadable(expected))?)
}

/// The fields of a body's one outer object by name, or the one named `key`. Where the field is there it may still be
/// null; where it is not, nothing is concluded.
pub(crate) fn field<'a>(
    body: &'a str,
    key: &'static str,
    expected: &'static str,
) -> Result<&'a RawValue, Unreadable> {
    let fields: BTreeMap<Cow<'a, str>, &'a RawValue> = parse(body, expected)?;
    fields.get(key).copied().ok_or(Unreadable(expected))
}

/// The texts of a list of scalars, of one that collapsed to its element, or of none. Nested values are an error.
pub(crate) fn texts<'a>(raw: Raw<'a>, expected: &'static str) -> Result<Vec<Cow<'a, str>>, Unreadable> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    elements(raw)?.into_iter().map(|it| text(Some(it)).ok_or(Unreadable(expected))).collect()
}

/// The value as text: a string's content, or a number or word as written.
pub(crate) fn text<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    text_of(raw?.get().trim())
}

/// The same of a value as it is written, without spaces around it.
pub(crate) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    if raw == "null" || raw.starts_with(['{', '[']) {
        return None;
    }
    match raw.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        Some(_) => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(raw)),
    }
}

/// The largest power of ten read: more is not a price, a count or an instant.
const EXPONENT_MAX: i32 = 18;

/// A number as plain decimal text, also where it was written with an exponent (`1.0E7`).
pub(crate) fn decimal<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    decimal_of(text(raw)?)
}

/// The same of a number's text.
pub(crate) fn decimal_of(number: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else {
        return Some(number);
    };
    let exponent: i32 = exponent.parse().ok().filter(|it: &i32| it.abs() <= EXPONENT_MAX)?;
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Enough zeros on both sides for the point to move by any exponent read.
    let pad = "0".repeat(EXPONENT_MAX.unsigned_abs() as usize);
    let all = format!("{pad}{whole}{fraction}{pad}");
    let point = i64::try_from(pad.len() + whole.len()).ok()?.checked_add(i64::from(exponent))?;
    let (left, right) = all.split_at_checked(usize::try_from(point).ok()?)?;
    let left = left.trim_start_matches('0');
    Some(Cow::Owned(format!(
        "{sign}{}.{}",
        if left.is_empty() { "0" } else { left },
        right.trim_end_matches('0')
    )))
}

/// An amount of money; `None` where it is absent or no number.
pub(crate) fn usd(raw: Raw<'_>) -> Option<Usd> {
    Usd::parse(&decimal(raw)?).ok()
}

/// A premium; `None` where it is absent, negative or no number.
pub(crate) fn price(raw: Raw<'_>) -> Option<Price> {
    Price::parse(&decimal(raw)?).ok()
}

/// A whole number, also where it was written as a float (`4.0`). A fraction is not a count.
pub(crate) fn whole(raw: Raw<'_>) -> Option<i64> {
    whole_of(&decimal(raw)?)
}

/// The same of decimal text.
pub(crate) fn whole_of(number: &str) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !fraction.bytes().all(|b| b == b'0') {
        return None;
    }
    whole.parse().ok()
}

/// An index value or a share price; `None` where it is absent, `NaN` or no number.
pub(crate) fn points(raw: Raw<'_>) -> Option<Points> {
    usd(raw).map(|it| Points(it.e4()))
}

/// A strike in thousandths of a dollar; `None` where it is absent, not positive, or finer than that.
pub(crate) fn strike(raw: Raw<'_>) -> Option<Strike> {
    strike_of(&decimal(raw)?)
}

/// A strike from decimal text.
pub(crate) fn strike_of(text: &str) -> Option<Strike> {
    let e4 = Usd::parse(text).ok()?.e4();
    let mills = u32::try_from(e4 / 10).ok()?;
    (e4 % 10 == 0 && mills > 0).then_some(Strike(mills))
}

/// A day, also where a time of day follows it.
pub(crate) fn date(raw: Raw<'_>) -> Option<Date> {
    text(raw)?.get(..10)?.parse().ok()
}

/// `true` or `false`, also as text.
pub(crate) fn flag(raw: Raw<'_>) -> Option<bool> {
    match text(raw)?.as_ref() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Text of our own.
pub(crate) fn owned(raw: Raw<'_>) -> Option<String> {
    text(raw).filter(|it| !it.is_empty()).map(Cow::into_owned)
}

/// A count: a whole number from 0 to 4,294,967,295.
pub(crate) fn count(raw: Raw<'_>) -> Option<u32> {
    whole(raw).and_then(|it| u32::try_from(it).ok())
}

/// A volume: a whole number from 0, of any size; fractions of shares are cut off.
pub(crate) fn volume(raw: Raw<'_>) -> Option<u64> {
    let number = decimal(raw)?;
    number.split_once('.').map_or(&*number, |it| it.0).parse().ok()
}

/// An id: a whole number above 0, beyond what a float holds.
pub(crate) fn id(raw: Raw<'_>) -> Option<u64> {
    let number = decimal(raw)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    whole.parse().ok().filter(|&it| it > 0 && fraction.bytes().all(|b| b == b'0'))
}

/// Epoch instants above this are milliseconds, below it seconds: the year 5138 in one, March 1973 in the other.
const SECONDS_BELOW: i64 = 100_000_000_000;

/// An instant from epoch milliseconds or seconds; `None` for absent, and for 0, which means never.
pub(crate) fn epoch(number: i64) -> Option<UtcNanos> {
    match number {
        ..=0 => None,
        1..SECONDS_BELOW => Some(UtcNanos::from_secs(number)),
        _ => Some(UtcNanos::from_millis(number)),
    }
}

/// An instant from RFC 3339 text.
pub(crate) fn instant(raw: Raw<'_>) -> Option<UtcNanos> {
    UtcNanos::parse(&text(raw)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn numbers_are_read_as_text_whatever_their_shape() {
        for (written, e4) in [
            ("17798.360000000000000000000000", Some(177_983_600)),
            ("0", Some(0)),
            ("-1.05", Some(-10_500)),
            ("1.0E7", Some(100_000_000_000)),
            ("2.5e-3", Some(25)),
            ("-4e0", Some(-40_000)),
            ("\"2.35\"", Some(23_500)),
            ("1e400", None),
            ("null", None),
            ("true", None),
            ("{}", None),
            ("\"NaN\"", None),
        ] {
            assert_eq!(usd(Some(&raw(written))).map(Usd::e4), e4, "{written}");
        }
    }

    #[test]
    fn counts_are_whole_or_nothing() {
        for (written, want) in [
            ("4.0", Some(4)),
            ("4", Some(4)),
            ("4.000", Some(4)),
            ("4.5", None),
            ("-1.0", None),
            ("1e1", Some(10)),
        ] {
            assert_eq!(count(Some(&raw(written))), want, "{written}");
        }
        assert_eq!(whole(Some(&raw("-2.0"))), Some(-2));
        assert_eq!(id(Some(&raw("9007199254740993"))), Some(9_007_199_254_740_993));
        assert_eq!(id(Some(&raw("0"))), None);
    }

    #[test]
    fn a_collection_is_empty_only_where_the_broker_says_so() {
        let length = |written: &str| collection(&raw(written), "order", "orders").map(|it| it.len());
        for (written, want) in [
            ("\"null\"", Ok(0)),
            ("null", Ok(0)),
            (r#"{"order":"null"}"#, Ok(0)),
            (r#"{"order":{"id":1}}"#, Ok(1)),
            (r#"{"order":[{"id":1},{"id":2}]}"#, Ok(2)),
            (r#"{"order":[]}"#, Ok(0)),
            ("{}", Err(Unreadable("orders"))),
            ("[]", Err(Unreadable("orders"))),
            ("\"\"", Err(Unreadable("orders"))),
            ("7", Err(Unreadable("orders"))),
        ] {
            assert_eq!(length(written), want, "{written}");
        }
    }

    #[test]
    fn epochs_are_milliseconds_or_seconds_and_zero_is_never() {
        assert_eq!(epoch(1_795_187_001_000), Some(UtcNanos::from_secs(1_795_187_001)));
        assert_eq!(epoch(1_795_187_001), Some(UtcNanos::from_secs(1_795_187_001)));
        assert_eq!(epoch(0), None);
    }
}
