//! What a recorder can be asked while it runs: messages of `send`, as JSON, and their replies.

use serde::{Deserialize, Serialize};

use crate::stream::FrameId;
use crate::time::UtcNs;
use crate::units::Span;

/// A message to a recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// Replied to with a [`Told`] for each camera meant.
    Record(Record),
    /// Replied to with a [`Told`] for each camera meant; nothing changes.
    Show(Show),
    /// Replied to with a [`Noted`].
    Comment(Comment),
}

/// Whether recording follows the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// It does.
    Auto,
    /// It records, whatever the topology says.
    Start,
    /// It records nothing, whatever the topology says.
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// As the folders of the recordings are called; patterns too. Empty: all.
    #[serde(default)]
    pub cameras: Vec<String>,
    pub order: Order,
    /// Then the topology decides again.
    #[serde(default, rename = "for")]
    pub span: Option<Span>,
    /// Of a start: from so long ago, as far as the ring holds it.
    #[serde(default)]
    pub pre: Option<Span>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Show {
    pub cameras: Vec<String>,
}

/// A camera, and whether it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Told {
    pub camera: String,
    pub recording: bool,
    /// What is in force.
    pub order: Order,
    /// Until then; `null` without an end.
    pub until_utc_ns: Option<UtcNs>,
    /// What it waits for, or why it records; for people.
    pub why: String,
    /// The order holds over a restart of the recorder.
    pub kept: bool,
}

/// What a person, or a program, says of the moment or of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    pub camera: String,
    pub text: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who says it; empty when nobody does.
    #[serde(default)]
    pub author: String,
}

/// Where a comment went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Noted {
    pub camera: String,
    /// The capture time it is about.
    pub utc_ns: UtcNs,
    /// The newest recorded packet; `null` when nothing is recorded.
    pub frame: Option<FrameId>,
    /// It is in the camera's folder; else it will be as soon as that can be written.
    pub kept: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_people_write() {
        let read = |text: &str| serde_json::from_str::<Message>(text).unwrap();
        let all = read(r#"{"record": {"order": "stop", "for": "5m"}}"#);
        let span = Some(Span::from_millis(300_000));
        let order = Order::Stop;
        assert_eq!(all, Message::Record(Record { cameras: Vec::new(), order, span, pre: None }));
        assert_eq!(read(r#"{"show": {}}"#), Message::Show(Show::default()));
        assert!(serde_json::from_str::<Message>(r#"{"record": {"order": "pause"}}"#).is_err());
    }
}
