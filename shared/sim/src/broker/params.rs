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

    /// The first value of that name that is not blank.
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
