//! `when:` of a recorder: always, by command alone, around events, or several of these together.
//!
//! People write a word, a section or a list of them; between processes it is a plain structure, since
//! that form does not tell what comes.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pattern;
use crate::units::Span;

const ALWAYS: &str = "always";
const COMMAND: &str = "command";
const EVENTS: &str = "events";
const EXPECTED: &str = "always, command, events, a section such as {events: motion1.events, pre: 10s}, or a list of these";

/// What is recorded: all that any part of it asks for. Without any part, only what a command begins.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    pub always: bool,
    pub events: Vec<EventRule>,
}

/// Which records begin a recording, and how much around them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventRule {
    /// Record rings, by names or patterns.
    #[serde(rename = "events")]
    pub rings: Patterns,
    /// Types of records; `motion` stands for `motion.begin` and all others of it.
    #[serde(rename = "type")]
    pub kinds: Patterns,
    /// Cameras that the records name. Empty: the camera that is recorded.
    pub camera: Patterns,
    /// The record's `data.score` is at least this.
    pub min_score: Option<f64>,
    /// Keys of the record's `data` that have one of these values.
    pub data: BTreeMap<String, Patterns>,
    /// Recorded before the event.
    pub pre: Span,
    /// Recorded after its end.
    pub post: Span,
}

impl Default for EventRule {
    fn default() -> Self {
        Self {
            rings: Patterns(vec!["*.events".to_owned()]),
            kinds: Patterns(vec!["*".to_owned()]),
            camera: Patterns::default(),
            min_score: None,
            data: BTreeMap::new(),
            // What shows why it began, and what came of it.
            pre: Span::from_millis(5_000),
            post: Span::from_millis(10_000),
        }
    }
}

impl Default for When {
    fn default() -> Self {
        Self { always: true, events: Vec::new() }
    }
}

impl When {
    /// Nothing but what a command begins.
    pub fn by_command() -> Self {
        Self { always: false, events: Vec::new() }
    }

    pub fn on(rule: EventRule) -> Self {
        Self { always: false, events: vec![rule] }
    }

    /// The longest that is recorded before an event: what rings must hold for it.
    pub fn pre_roll(&self) -> Span {
        self.events.iter().map(|rule| rule.pre).max().unwrap_or_default()
    }

    fn add(&mut self, part: Part) {
        match part {
            Part::Always => self.always = true,
            Part::Command => {}
            Part::Events(rule) => self.events.push(rule),
        }
    }

    fn parts(&self) -> Vec<Part> {
        let always = self.always.then_some(Part::Always);
        always.into_iter().chain(self.events.iter().cloned().map(Part::Events)).collect()
    }
}

/// Texts, each of which may have stars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(pub Vec<String>);

impl Patterns {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|one| pattern::matches(one, text))
    }
}

impl From<&str> for Patterns {
    fn from(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }
}

/// One of what `when` lists.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Always,
    Command,
    Events(EventRule),
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Always => serializer.serialize_str(ALWAYS),
            Self::Command => serializer.serialize_str(COMMAND),
            Self::Events(rule) => rule.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("always, command, events or a section with events")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Part, E> {
        match text {
            ALWAYS => Ok(Part::Always),
            COMMAND => Ok(Part::Command),
            EVENTS => Ok(Part::Events(EventRule::default())),
            other => Err(E::custom(format!("'{other}': expected {EXPECTED}"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
        EventRule::deserialize(MapAccessDeserializer::new(map)).map(Part::Events)
    }
}

/// The form between processes.
#[derive(Serialize, Deserialize)]
struct Plain {
    always: bool,
    events: Vec<EventRule>,
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            let Self { always, events } = self.clone();
            return Plain { always, events }.serialize(serializer);
        }
        match self.parts().as_slice() {
            [] => Part::Command.serialize(serializer),
            [part] => part.serialize(serializer),
            parts => serializer.collect_seq(parts),
        }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(WhenVisitor);
        }
        let Plain { always, events } = Plain::deserialize(deserializer)?;
        Ok(Self { always, events })
    }
}

struct WhenVisitor;

impl<'de> Visitor<'de> for WhenVisitor {
    type Value = When;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<When, E> {
        PartVisitor.visit_str(text).map(when)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<When, A::Error> {
        PartVisitor.visit_map(map).map(when)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<When, A::Error> {
        let mut all = When::by_command();
        while let Some(part) = parts.next_element()? {
            all.add(part);
        }
        Ok(all)
    }
}

fn when(part: Part) -> When {
    let mut when = When::by_command();
    when.add(part);
    when
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] if serializer.is_human_readable() => serializer.serialize_str(one),
            all => {
                let mut list = serializer.serialize_seq(Some(all.len()))?;
                all.iter().try_for_each(|one| list.serialize_element(one))?;
                list.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(PatternsVisitor);
        }
        Vec::deserialize(deserializer).map(Self)
    }
}

struct PatternsVisitor;

impl<'de> Visitor<'de> for PatternsVisitor {
    type Value = Patterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Patterns, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, texts: A) -> Result<Patterns, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(texts)).map(Patterns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn read(text: &str) -> When {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_word_a_section_and_a_list_say_when() {
        assert_eq!(read(r#""always""#), When::default());
        assert_eq!(read(r#""command""#), When::by_command());
        assert_eq!(read(r#""events""#), When::on(EventRule::default()));
        let both = read(r#"["always", {"events": ["a.events", "b.events"], "pre": "30s"}]"#);
        assert!(both.always);
        assert_eq!(both.pre_roll(), Span::from_millis(30_000));
        assert_eq!(both.events[0].rings.0, ["a.events", "b.events"]);
        assert_eq!(both.events[0].post, EventRule::default().post);
    }

    #[test]
    fn what_it_is_not_is_refused_with_what_it_may_be() {
        for bad in [r#""sometimes""#, r#"{"event": "x.events"}"#, r#"{"min_score": "much"}"#, "7"] {
            assert!(serde_json::from_str::<When>(bad).is_err(), "{bad}");
        }
        let refused = serde_json::from_str::<When>(r#""sometimes""#).unwrap_err().to_string();
        assert!(refused.contains("'sometimes': expected always, command"), "{refused}");
    }

    #[test]
    fn it_survives_both_forms() {
        let rule = EventRule {
            kinds: Patterns(vec!["motion".to_owned(), "person.*".to_owned()]),
            min_score: Some(0.25),
            data: BTreeMap::from([("label".to_owned(), "cat".into())]),
            ..EventRule::default()
        };
        for when in [
            When::default(),
            When::by_command(),
            When::on(rule.clone()),
            When { always: true, events: vec![rule, EventRule::default()] },
        ] {
            let text = serde_json::to_string(&when).unwrap();
            assert_eq!(read(&text), when, "{text}");
            let frame = codec::encode(&when).unwrap();
            assert_eq!(codec::decode::<When>(&frame).unwrap(), when);
        }
    }
}
