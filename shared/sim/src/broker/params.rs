//! Parameters of a request: query and form merged, empty means absent, what is wrong is named.

use broker::transport::Request;
use domain::money::Price;

/// A parameter that cannot be used: the text of the 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

impl Invalid {
    pub(crate) fn new(name: &str, why: &str) -> Self {
        Self(format!("Invalid parameter, {name}: {why}"))
    }
}

/// Parameters of one request at most: four legs have a dozen, and each is looked for by its name.
const PARAMS_MAX: usize = 512;

/// The parameters of one request.
pub(crate) struct Params<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Params<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        let all = request.query.iter().chain(&request.form);
        Self(all.map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    /// Parameters that are already in one list.
    pub(crate) fn over(pairs: &'a [(String, String)]) -> Self {
        Self(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    /// Refuses what nobody sends who means it well.
    pub(crate) fn bounded(&self) -> Result<(), Invalid> {
        if self.0.len() <= PARAMS_MAX {
            return Ok(());
        }
        Err(Invalid::new("body", &format!("has more than {PARAMS_MAX} parameters.")))
    }

    /// The first value of that name that is not blank: of the query first, then of the form.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let named = self.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim()).find(|value| !value.is_empty())
    }

    pub(crate) fn need(&self, name: &str) -> Result<&'a str, Invalid> {
        self.get(name).ok_or_else(|| Invalid::new(name, "is required."))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Invalid> {
        match self.get(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Invalid::new(name, "must be true or false.")),
        }
    }

    pub(crate) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, Invalid> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse::<usize>().ok().filter(|it| (1..=max).contains(it));
        number.ok_or_else(|| Invalid::new(name, &format!("must be between 1 and {max}.")))
    }

    /// A price with at most two decimals; zero and below are not prices.
    pub(crate) fn price(&self, name: &str) -> Result<Option<Price>, Invalid> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |it: &str| it.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || text == "." {
            return Err(Invalid::new(name, "is not valid."));
        }
        if decimals.trim_end_matches('0').len() > 2 {
            return Err(Invalid::new(name, "must use up to 2 decimal place(s)"));
        }
        match Price::parse(text) {
            Ok(price) if price > Price::ZERO => Ok(Some(price)),
            _ => Err(Invalid::new(name, "is not valid.")),
        }
    }

    /// Whole contracts, 1 to ten million; `1.0` is whole.
    pub(crate) fn quantity(&self, name: &str) -> Result<u32, Invalid> {
        let text = self.need(name)?;
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let good = !whole.is_empty()
            && whole.bytes().all(|b| b.is_ascii_digit())
            && decimals.bytes().all(|b| b == b'0');
        let number = whole.parse::<u32>().ok().filter(|it| good && (1..=10_000_000).contains(it));
        number.ok_or_else(|| Invalid::new(name, "must be a whole number above 0."))
    }

    /// A tag, exactly as sent.
    pub(crate) fn tag(&self) -> Result<Option<String>, Invalid> {
        // Not trimmed: a blank inside or around a tag is refused, never repaired.
        let raw = self.0.iter().find(|(key, value)| *key == "tag" && !value.is_empty());
        let Some((_, text)) = raw else { return Ok(None) };
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Invalid::new("tag", "contains invalid characters."));
        }
        if text.len() > 255 {
            return Err(Invalid::new("tag", "contains more than 255 characters."));
        }
        Ok(Some((*text).to_owned()))
    }

    /// How many legs were numbered: one more than the largest index of `name[i]`.
    pub(crate) fn indices(&self, name: &str) -> Result<usize, Invalid> {
        let mut count = 0usize;
        for (key, _) in &self.0 {
            let inner = key
                .strip_prefix(name)
                .and_then(|it| it.strip_prefix('['))
                .and_then(|it| it.strip_suffix(']'));
            let Some(inner) = inner else { continue };
            let index: usize = inner.parse().map_err(|_| Invalid::new(key, "is not valid."))?;
            count = count.max(index.saturating_add(1));
        }
        Ok(count)
    }
}

/// Reads a query or a form: names and values, decoded, in order.
///
/// # Errors
/// The text of a 400 that names what is not percent-encoded or not UTF-8.
pub fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut all = Vec::new();
    for part in text.split(|it| *it == b'&').filter(|it| !it.is_empty()) {
        let mut halves = part.splitn(2, |it| *it == b'=');
        let (name, value) = (halves.next().unwrap_or(&[]), halves.next().unwrap_or(&[]));
        let name = decoded(name, true).ok_or_else(|| Invalid::new("body", "is not percent-encoded.").0)?;
        let wrong = || Invalid::new(&shown(&name), "is not percent-encoded.").0;
        let value = decoded(value, true).ok_or_else(wrong)?;
        all.push((name, value));
    }
    Ok(all)
}

/// Reads a path.
///
/// # Errors
/// The text of a 400.
pub fn path(text: &str) -> Result<String, String> {
    let wrong = || Invalid::new("path", "is not percent-encoded.").0;
    decoded(text.as_bytes(), false).ok_or_else(wrong)
}

/// `None` for a `%` without two hexadecimal digits and for what is not UTF-8. A plus is a blank where forms are encoded.
fn decoded(text: &[u8], plus: bool) -> Option<String> {
    let digit =
        |it: Option<&u8>| it.and_then(|it| char::from(*it).to_digit(16)).and_then(|it| u8::try_from(it).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                high << 4 | low
            }
            b'+' if plus => b' ',
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A name as an answer shows it: of a readable length, without line breaks.
fn shown(name: &str) -> String {
    name.chars().take(64).map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_and_what_is_not_percent_encoded_is_named() {
        let read = |text: &str| pairs(text.as_bytes());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("a=1&&side%5B0%5D=buy+to%2Fopen&b&=x&c=1=2").unwrap(),
            [pair("a", "1"), pair("side[0]", "buy to/open"), pair("b", ""), pair("", "x"), pair("c", "1=2")]
        );
        for text in ["price=%", "price=%4", "price=%zz", "price=%ff", "price=1%"] {
            assert_eq!(
                read(text).unwrap_err(),
                "Invalid parameter, price: is not percent-encoded.",
                "{text}"
            );
        }
        assert_eq!(read("%zz=1").unwrap_err(), "Invalid parameter, body: is not percent-encoded.");
        assert_eq!(pairs(b"\xff=1").unwrap_err(), "Invalid parameter, body: is not percent-encoded.");
    }

    #[test]
    fn a_plus_is_a_blank_in_a_form_and_itself_in_a_path() {
        assert_eq!(path("/v1/a+b%2Bc").unwrap(), "/v1/a+b+c");
        assert!(path("/v1/%").unwrap_err().contains("path"));
    }

    #[test]
    fn of_two_values_the_first_that_is_not_blank_counts() {
        let given = pairs(b"price=&price=1.00&price=2.00").unwrap();
        assert_eq!(Params::over(&given).get("price"), Some("1.00"));
    }
}
