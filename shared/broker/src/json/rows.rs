//! Whole lists in one pass.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::Unreadable;

/// The rows under two names, such as `{"orders": {"order": [..]}}`, of a whole body in one pass: what
/// [`super::collection`] finds under [`super::field`], every row a `T`. The day's orders are read more often than everything
/// else together.
pub(crate) fn rows<'a, T: Deserialize<'a>>(
    body: &'a str,
    outer: &'static str,
    inner: &'static str,
) -> Result<Vec<T>, Unreadable> {
    let mut reader = serde_json::Deserializer::from_str(body);
    // The body itself is an object, never null.
    let found = reader.deserialize_map(Under(outer, Under(inner, Few(PhantomData))));
    let found = found.and_then(|it| reader.end().map(|()| it));
    found.map_err(|_| Unreadable(outer))
}

/// What stands under one name of an object, or nothing where the object is null. An object without the name is an error.
struct Under<S>(&'static str, S);

/// A list, its only element, or nothing.
struct Few<T>(PhantomData<T>);

/// Whether a key is the one that is sought.
struct Key(&'static str);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for Under<S>
where
    S::Value: Default,
{
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for Under<S>
where
    S::Value: Default,
{
    type Value = S::Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "an object with {}", self.0)
    }

    fn visit_unit<E>(self) -> Result<S::Value, E> {
        Ok(S::Value::default())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<S::Value, E> {
        if text == "null" { Ok(S::Value::default()) } else { Err(E::custom("a text")) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Value, A::Error> {
        let mut found = None;
        while let Some(is_sought) = map.next_key_seed(Key(self.0))? {
            if is_sought {
                found = Some(map.next_value_seed(self.1)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| de::Error::missing_field(self.0))
    }
}

impl<T> Clone for Few<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Few<T> {}

impl<S: Clone> Clone for Under<S> {
    fn clone(&self) -> Self {
        Self(self.0, self.1.clone())
    }
}

impl<S: Copy> Copy for Under<S> {}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Few<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
    type Value = Vec<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        if text == "null" { Ok(Vec::new()) } else { Err(E::custom("a text")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut found = Vec::new();
        while let Some(row) = list.next_element()? {
            found.push(row);
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, only: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(only)).map(|it| vec![it])
    }
}
