//! The representation for callers who do not ask for JSON: the same names and values as elements.
//!
//! Lists repeat their element, `null` is an empty element, and order is kept.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The XML of a JSON text; an empty document for what is none.
pub(crate) fn of_json(json: &[u8]) -> Vec<u8> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let mut reader = serde_json::Deserializer::from_slice(json);
    // A list at the top has no name of its own.
    if (Element { name: None, out: &mut out }).deserialize(&mut reader).is_err() {
        out.push_str("<error/>");
    }
    out.into_bytes()
}

/// Writes a value between the tags of its name; a list writes them once for each.
struct Element<'a> {
    name: Option<&'a str>,
    out: &'a mut String,
}

impl Element<'_> {
    fn open(&mut self) {
        if let Some(name) = self.name {
            self.out.push('<');
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    fn close(&mut self) {
        if let Some(name) = self.name {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    fn text(mut self, text: &str) {
        self.open();
        for it in text.chars() {
            match it {
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '&' => self.out.push_str("&amp;"),
                '"' => self.out.push_str("&quot;"),
                other => self.out.push(other),
            }
        }
        self.close();
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, it: bool) -> Result<(), E> {
        self.text(if it { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, it: i64) -> Result<(), E> {
        self.text(&it.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, it: u64) -> Result<(), E> {
        self.text(&it.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, it: f64) -> Result<(), E> {
        self.text(&format!("{it:?}"));
        Ok(())
    }

    fn visit_str<E>(self, it: &str) -> Result<(), E> {
        self.text(it);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        if let Some(name) = self.name {
            self.out.push('<');
            self.out.push_str(name);
            self.out.push_str("/>");
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { name, out } = self;
        while items.next_element_seed(Element { name: name.or(Some("item")), out: &mut *out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        self.open();
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value_seed(Element { name: Some(&name), out: &mut *self.out })?;
        }
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::of_json;

    fn check(json: &str, xml: &str) {
        let written = String::from_utf8(of_json(json.as_bytes())).unwrap();
        assert_eq!(written, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{xml}"));
    }

    #[test]
    fn names_become_elements_lists_repeat_them_and_null_is_empty() {
        check(r#"{"orders":"null"}"#, "<orders>null</orders>");
        check(r#"{"options":null}"#, "<options/>");
        check(
            r#"{"quotes":{"quote":[{"symbol":"S&P","last":2.0,"size":3,"ok":true},{"close":null}]}}"#,
            "<quotes><quote><symbol>S&amp;P</symbol><last>2.0</last><size>3</size><ok>true</ok></quote>\
             <quote><close/></quote></quotes>",
        );
    }

    #[test]
    fn what_is_no_json_is_an_error_and_no_panic() {
        check("nonsense", "<error/>");
    }
}
