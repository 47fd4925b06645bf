//! A reader of JSON for bodies of megabytes: one pass, no tree, no copy. It looks at each byte once, gives values as the
//! text they stand in, and checks only what it has to walk over; what is taken from it is checked by whoever reads the
//! text.

use crate::json::Unreadable;

/// How deep values may nest. Nothing the broker writes comes near.
const DEPTH_MAX: u32 = 64;

/// A place in a text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// What a body should have been, where it is not even JSON.
const JSON: Unreadable = Unreadable("JSON");

impl<'a> Scanner<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no space; stays before it.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at = self.at.saturating_add(1);
        }
        None
    }

    /// Takes `byte` where it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        if comes {
            self.at = self.at.saturating_add(1);
        }
        comes
    }

    fn need(&mut self, byte: u8) -> Result<(), Unreadable> {
        if self.take(byte) { Ok(()) } else { Err(JSON) }
    }

    /// Whether nothing is left.
    pub(crate) fn ended(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Whether an object comes next.
    pub(crate) fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// The string that comes next, as it is written, without its quotes.
    fn string(&mut self) -> Result<&'a str, Unreadable> {
        self.need(b'"')?;
        let from = self.at;
        let mut bytes = self.text.as_bytes().get(from..).unwrap_or(&[]).iter();
        loop {
            let rest = bytes.as_slice().len();
            match bytes.next() {
                Some(b'"') => {
                    let to = self.text.len().saturating_sub(rest);
                    self.at = to.saturating_add(1);
                    return self.text.get(from..to).ok_or(JSON);
                }
                Some(b'\\') => {
                    bytes.next();
                }
                Some(_) => {}
                None => return Err(JSON),
            }
        }
    }

    /// The value that comes next, as it is written: strings with their quotes, lists and objects whole.
    pub(crate) fn value(&mut self) -> Result<&'a str, Unreadable> {
        match self.peek().ok_or(JSON)? {
            b'"' => {
                let from = self.at;
                self.string()?;
                self.text.get(from..self.at).ok_or(JSON)
            }
            b'{' | b'[' => {
                let from = self.at;
                self.skip_nested()?;
                self.text.get(from..self.at).ok_or(JSON)
            }
            _ => self.word(),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<&'a str, Unreadable> {
        let rest = self.text.get(self.at..).ok_or(JSON)?;
        let is_word = |it: &u8| matches!(it, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-' | b'+');
        let length = rest.as_bytes().iter().take_while(|it| is_word(it)).count();
        let word = rest.get(..length).ok_or(JSON)?;
        let good = match word.as_bytes().first() {
            Some(b'0'..=b'9' | b'-') => true,
            _ => matches!(word, "null" | "true" | "false"),
        };
        self.at = self.at.saturating_add(length);
        if good { Ok(word) } else { Err(JSON) }
    }

    /// Walks over a list or an object by its brackets.
    fn skip_nested(&mut self) -> Result<(), Unreadable> {
        let bytes = self.text.as_bytes();
        let mut depth = 0u32;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.at = self.at.saturating_add(1);
                        return Ok(());
                    }
                }
                _ => {}
            }
            if depth > DEPTH_MAX {
                return Err(JSON);
            }
            self.at = self.at.saturating_add(1);
        }
        Err(JSON)
    }

    /// Reads an object: `each` is called with every key and must take its value. Keys with escapes are none of ours.
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a str) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.need(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.peek();
            let key = self.string()?;
            self.need(b':')?;
            each(self, key)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.need(b',')?;
        }
    }

    /// Reads a list: `each` must take an element.
    pub(crate) fn list(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.need(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.need(b',')?;
        }
    }

    /// Reads the rows of a collection such as `{"option": [..]}`: `"null"` and null are none, one row may stand without
    /// its list. An object without the key is not an empty collection.
    pub(crate) fn collection(
        &mut self,
        key: &'static str,
        mut each: impl FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        if self.peek() != Some(b'{') {
            return if is_null(self.value()?) { Ok(()) } else { Err(Unreadable("a collection")) };
        }
        let mut found = false;
        self.object(|it, name| {
            if name != key || found {
                return it.value().map(|_| ());
            }
            found = true;
            match it.peek() {
                Some(b'[') => it.list(&mut each),
                Some(b'{') => each(it),
                _ if is_null(it.value()?) => Ok(()),
                _ => Err(Unreadable("a list")),
            }
        })?;
        if found { Ok(()) } else { Err(Unreadable("a collection")) }
    }
}

/// The broker's two ways to write nothing.
pub(crate) fn is_null(value: &str) -> bool {
    matches!(value, "null" | "\"null\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// The whole text as one value.
    fn whole(text: &str) -> Option<&str> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value().ok()?;
        scanner.ended().then_some(value)
    }

    #[test]
    fn values_are_given_as_they_are_written() {
        for text in ["null", "-1.5e3", "\"a \\\" b\"", "[1,[2,{\"a\":\"]\"}]]", "{\"a\":{}}", "\"\""] {
            assert_eq!(whole(&format!(" {text}\n")), Some(text));
        }
        for text in ["", "nul", "\"a", "[1", "{\"a\":1", "]", "{}}", "1 2", "\"a\\\"", "é", "'a'"] {
            assert_eq!(whole(text), None, "{text}");
        }
        assert_eq!(
            whole(&format!("{}{}", "[".repeat(1_000), "]".repeat(1_000))),
            None,
            "deeper than anything is"
        );
    }

    #[test]
    fn a_collection_is_read_as_the_broker_writes_them() {
        let read = |text: &str| {
            let mut rows = Vec::new();
            let mut scanner = Scanner::new(text);
            let read = scanner.collection("option", |it| {
                rows.push(it.value()?.to_owned());
                Ok(())
            });
            read.is_ok().then_some(rows.len())
        };
        for (text, want) in [
            ("null", Some(0)),
            ("\"null\"", Some(0)),
            (r#"{"option":null}"#, Some(0)),
            (r#"{"option":{"a":1}}"#, Some(1)),
            (r#"{"page":1,"option":[{"a":1},{"a":2}],"option":[]}"#, Some(2)),
            (r#"{"option":[]}"#, Some(0)),
            ("{}", None),
            ("7", None),
            (r#"{"option":7}"#, None),
            (r#"{"option":[{"a":1}"#, None),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn prop_every_json_value_is_taken_whole(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(whole(&text), Some(text.as_str()));
        }

        #[test]
        fn prop_a_cut_list_or_object_is_never_whole(value in json(), cut in 0usize..200) {
            let text = Value::from(vec![value]).to_string();
            let cut = cut % text.len();
            if text.is_char_boundary(cut) {
                prop_assert_eq!(whole(&text[..cut]), None);
            }
        }
    }
}
