//! What a worker tells of an event beside its name and reason: a JSON object, kept as its text, since the form
//! between supervisors cannot hold what has no schema.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

/// A JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts(String);

impl Facts {
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let object: Map<String, Value> = serde_json::from_str(text)?;
        Self::of(&object)
    }

    fn of(object: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        serde_json::to_string(object).map(Self)
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// One of them, if it is a text.
    pub(crate) fn word(&self, key: &str) -> Option<String> {
        let object: Map<String, Value> = serde_json::from_str(&self.0).ok()?;
        object.get(key)?.as_str().map(str::to_owned)
    }

    /// Those that are one word or number, for who reads no JSON.
    pub(crate) fn plain(&self) -> Vec<(String, String)> {
        let object: Map<String, Value> = serde_json::from_str(&self.0).unwrap_or_default();
        let plain = object.into_iter().filter_map(|(key, value)| match value {
            Value::String(text) => Some((key, text)),
            Value::Number(number) => Some((key, number.to_string())),
            Value::Bool(is) => Some((key, is.to_string())),
            Value::Array(_) | Value::Null | Value::Object(_) => None,
        });
        plain.collect()
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let object: Map<String, Value> = serde_json::from_str(&self.0).unwrap_or_default();
            object.serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let facts = if deserializer.is_human_readable() {
            Self::of(&Map::deserialize(deserializer)?)
        } else {
            Self::parse(&String::deserialize(deserializer)?)
        };
        facts.map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use protocol::codec;

    use super::*;

    #[test]
    fn facts_are_an_object_for_programs_and_survive_an_upgrade() {
        let facts =
            Facts::parse(r#"{"bytes": 7, "path": "/r/a.mp4", "first": {"epoch": 1}}"#).unwrap();
        let shown = serde_json::to_value(&facts).unwrap();
        assert_eq!(shown["first"]["epoch"], 1);
        assert_eq!(serde_json::from_value::<Facts>(shown).unwrap(), facts);
        let frame = codec::encode(&facts).unwrap();
        assert_eq!(codec::decode::<Facts>(&frame).unwrap(), facts);
        let plain =
            [("bytes", "7"), ("path", "/r/a.mp4")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(facts.plain(), plain);
        assert_eq!((facts.word("path").as_deref(), facts.word("bytes")), (Some("/r/a.mp4"), None));
        assert!(Facts::parse("[1]").is_err() && Facts::parse("{").is_err());
    }
}
