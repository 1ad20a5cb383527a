//! A section's keys into a typed configuration: a `serde` deserializer over the located tree.
//!
//! It says which key was wrong as well as why, so that the caller can drop that key and go on to
//! the next mistake.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::tree::{Entry, Node, Value};

/// Reads `entries` as one `T`.
pub(super) fn read<T: DeserializeOwned>(entries: &[&Entry]) -> Result<T, Wrong> {
    T::deserialize(Entries { entries })
}

/// Why the entries are no `T`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wrong {
    /// Index of the entry that is wrong; `None` when one is missing.
    pub(super) entry: Option<usize>,
    pub(super) why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Complained about already.
    Known,
    Missing(&'static str),
    NotA {
        seen: String,
        expected: String,
    },
    /// In the section itself or in one below it.
    UnknownKey {
        key: String,
        known: Vec<String>,
    },
    /// Said by the value's own type.
    Value(String),
}

impl From<Why> for Wrong {
    fn from(why: Why) -> Self {
        Self { entry: None, why }
    }
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.why)
    }
}

impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Why::Value(text.to_string()).into()
    }

    fn invalid_type(seen: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Why::NotA { seen: seen.to_string(), expected: in_words(expected) }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        Why::Missing(field).into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let known = known.iter().map(|key| (*key).to_owned()).collect();
        Why::UnknownKey { key: key.to_owned(), known }.into()
    }
}

/// serde names Rust types; people write values.
fn in_words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "a string" => "a text".to_owned(),
        "path string" => "a path".to_owned(),
        "IP address" => "an IP address".to_owned(),
        "socket address" => "an IP address and a port".to_owned(),
        other => other.to_owned(),
    }
}

struct Entries<'a> {
    entries: &'a [&'a Entry],
}

impl<'de> Deserializer<'de> for Entries<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(Pairs { entries: self.entries, next: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Pairs<'a> {
    entries: &'a [&'a Entry],
    next: usize,
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some(entry) = self.entries.get(self.next) else { return Ok(None) };
        let key = seed.deserialize(entry.key.text.as_str().into_deserializer());
        key.map(Some).map_err(|wrong: Wrong| Wrong { entry: Some(self.next), ..wrong })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let at = self.next;
        self.next += 1;
        let entry = self.entries.get(at).ok_or_else(|| Wrong::custom("a value without its key"))?;
        // The outermost key is the one the caller can drop: it overwrites what a nested one said.
        seed.deserialize(Item(&entry.value)).map_err(|wrong| Wrong { entry: Some(at), ..wrong })
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        self.0.next().map(|node| seed.deserialize(Item(node))).transpose()
    }
}

struct Item<'a>(&'a Node);

impl<'a> Item<'a> {
    fn text(&self, expected: impl Into<String>) -> Result<&'a str, Wrong> {
        match &self.0.value {
            Value::Broken => Err(Why::Known.into()),
            Value::Text(text) => Ok(&text.value),
            Value::List(_) | Value::Map(_) | Value::Null => Err(self.not_a(expected)),
        }
    }

    fn not_a(&self, expected: impl Into<String>) -> Wrong {
        Why::NotA { seen: self.0.shape(), expected: expected.into() }.into()
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let text = self.text("a whole number")?;
            // The type's own limits mean nothing to people: `ranges` says which numbers make sense.
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let expected = if digits { "a smaller number" } else { "a whole number" };
            visitor.$visit(text.parse::<$type>().map_err(|_| self.not_a(expected))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Item<'_> {
    type Error = Wrong;

    whole_numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Broken => Err(Why::Known.into()),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => {
                visitor.visit_map(Pairs { entries: &entries.iter().collect::<Vec<_>>(), next: 0 })
            }
            Value::Null => visitor.visit_unit(),
            Value::Text(text) => visitor.visit_str(&text.value),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.text("true or false")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(self.not_a("true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let number = self.text("a number")?.parse().ok().filter(|number: &f64| number.is_finite());
        visitor.visit_f64(number.ok_or_else(|| self.not_a("a number"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let expected = in_words(&visitor);
        let text = self.text(&*expected)?;
        visitor.visit_str(text).map_err(|wrong: Wrong| match wrong.why {
            // std's own texts ("invalid socket address syntax") do not say what was seen.
            Why::Value(why) if why.starts_with("invalid ") => self.not_a(expected),
            _ => wrong,
        })
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let text = self.text(variants.join(" or "))?;
        visitor.visit_enum(text.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use protocol::config::{DecoderConfig, IngestConfig, RecorderConfig, RtspConfig};

    use super::super::yaml;
    use super::*;

    fn read_text<T: DeserializeOwned>(text: &str) -> Result<T, Wrong> {
        let Some(Node { value: Value::Map(map), .. }) = yaml::parse(text).0 else {
            panic!("no section: {text}")
        };
        read(&map.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_section_becomes_its_type_with_defaults() {
        let ingest: IngestConfig = read_text("source: a.mp4\nloop: false").unwrap();
        assert!(!ingest.repeat);
        assert_eq!(read_text::<DecoderConfig>("threads: 4").unwrap().threads, 4);
    }

    #[test]
    fn a_number_may_stand_where_a_text_is_wanted() {
        assert_eq!(read_text::<RecorderConfig>("dir: 2026").unwrap().dir.as_os_str(), "2026");
    }

    #[test]
    fn a_wrong_value_names_its_entry_and_both_sides() {
        let wrong = read_text::<DecoderConfig>("max_pixels: 100\nthreads: many").unwrap_err();
        let why = Why::NotA { seen: "'many'".into(), expected: "a whole number".into() };
        assert_eq!(wrong, Wrong { entry: Some(1), why });
    }

    #[test]
    fn an_unknown_key_names_the_keys_there_are() {
        let wrong = read_text::<DecoderConfig>("thread: 2").unwrap_err();
        let known = ["threads", "max_pixels", "health", "hardware", "outputs"];
        let known = known.map(str::to_owned).to_vec();
        let why = Why::UnknownKey { key: "thread".to_owned(), known };
        assert_eq!(wrong, Wrong { entry: Some(0), why });
    }

    #[test]
    fn a_missing_key_is_named() {
        assert_eq!(read_text::<IngestConfig>("loop: true"), Err(Why::Missing("source").into()));
    }

    #[test]
    fn an_address_without_a_port_says_what_was_seen() {
        let wrong = read_text::<RtspConfig>("listen: localhost").unwrap_err();
        let expected = "an IP address and a port".into();
        assert_eq!(wrong.why, Why::NotA { seen: "'localhost'".into(), expected });
    }
}
