//! Texts that nobody may read: passwords, tokens, URLs with one in them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is shown of a secret that nobody has named.
pub(crate) const HIDDEN: &str = "***";

/// A secret with what people may see of it, which alone is in `Display`, `Debug` and every text form. Between
/// processes, in a binary form, both go.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    shown: String,
}

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), shown: HIDDEN.to_owned() }
    }

    /// Shown as `text`: the name it has in a topology, or what is no secret of it.
    pub fn shown_as(self, text: impl Into<String>) -> Self {
        Self { shown: text.into(), ..self }
    }

    /// Not for people.
    pub fn reveal(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.shown).finish()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.shown)
        } else {
            (&self.value, &self.shown).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer).map(Self::new);
        }
        let (value, shown) = <(String, String)>::deserialize(deserializer)?;
        Ok(Self { value, shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn nothing_that_people_read_has_it_and_the_next_process_does() {
        let secret = Secret::new("hunter2").shown_as("${cred:store}");
        let texts = [
            secret.to_string(),
            format!("{secret:?}"),
            serde_json::to_string(&secret).unwrap(),
            Secret::new("hunter2").to_string(),
        ];
        assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
        let sent = codec::encode(&secret).unwrap();
        assert_eq!(codec::decode::<Secret>(&sent).unwrap(), secret);
        assert_eq!(secret.reveal(), "hunter2");
    }
}
