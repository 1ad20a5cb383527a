//! What a built-in worker may say when. Pure.
//!
//! ```text
//! Silent --Hello--> Greeted --Ready--> Ready      everything else: any time after Hello
//! ```

use protocol::control::{CONTROL_VERSION, ToSupervisor};
use serde::{Deserialize, Serialize};

use super::{Heard, Told, Violation};
use crate::facts::Facts;

/// Longer reasons are cut: they are for one line of a table.
const WHY_MAX_CHARS: usize = 300;

/// A thousand of them are kept, and a hook gets them in one write to its pipe.
const FACTS_MAX_BYTES: usize = 4096;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Conversation {
    #[default]
    Silent,
    Greeted,
    Ready,
}

impl Conversation {
    pub(super) fn hear(&mut self, message: ToSupervisor) -> Result<Heard, Violation> {
        if *self == Self::Silent && !matches!(message, ToSupervisor::Hello { .. }) {
            let said = name_of(&message);
            return Err(out_of_order(said, "before Hello"));
        }
        match message {
            ToSupervisor::Hello { version, hand_over } => self.hello(version, hand_over),
            ToSupervisor::Ready if *self == Self::Ready => Err(out_of_order("Ready", "twice")),
            ToSupervisor::Ready => {
                *self = Self::Ready;
                Ok(Heard::Ready)
            }
            ToSupervisor::Condition { condition, why } => {
                Ok(Heard::Condition(condition, one_line(&why)))
            }
            ToSupervisor::Ask { id, query } => Ok(Heard::Ask { id, query }),
            ToSupervisor::Yielded { to } => Ok(Heard::Yielded(to)),
            ToSupervisor::Stopped => Ok(Heard::Stopped),
            ToSupervisor::Reply { to, result } => reply(to, result),
            ToSupervisor::Happened { what, subject, why, data } => {
                let (subject, why, data) = (one_line(&subject), one_line(&why), facts(&data)?);
                Ok(Heard::Happened(Told { what, subject, why, data }))
            }
        }
    }

    /// Whether the worker works, so that it reads what it is sent.
    pub(super) fn is_ready(self) -> bool {
        self == Self::Ready
    }

    fn hello(&mut self, version: u32, hand_over: String) -> Result<Heard, Violation> {
        if *self != Self::Silent {
            return Err(out_of_order("Hello", "twice"));
        }
        if version != CONTROL_VERSION {
            return Err(Violation::Version { seen: version, expected: CONTROL_VERSION });
        }
        *self = Self::Greeted;
        Ok(Heard::HandOver(hand_over))
    }
}

fn reply(to: u64, result: Result<String, String>) -> Result<Heard, Violation> {
    let result = match result {
        Ok(body) => Ok(serde_json::from_str(&body)
            .map_err(|error| Violation::Frame(format!("reply: {error}")))?),
        Err(text) => Err(one_line(&text)),
    };
    Ok(Heard::Reply { to, result })
}

/// Text of a JSON object, or none.
fn facts(text: &str) -> Result<Option<Facts>, Violation> {
    if text.len() > FACTS_MAX_BYTES {
        let (seen, most) = (text.len(), FACTS_MAX_BYTES);
        return Err(Violation::Frame(format!("facts of an event: {seen} bytes, at most {most}")));
    }
    let facts = (!text.is_empty()).then(|| Facts::parse(text)).transpose();
    facts.map_err(|error| Violation::Frame(format!("facts of an event: {error}")))
}

fn out_of_order(said: &'static str, when: &'static str) -> Violation {
    Violation::Order { said, when }
}

fn name_of(message: &ToSupervisor) -> &'static str {
    match message {
        ToSupervisor::Hello { .. } => "Hello",
        ToSupervisor::Ready => "Ready",
        ToSupervisor::Condition { .. } => "Condition",
        ToSupervisor::Ask { .. } => "Ask",
        ToSupervisor::Yielded { .. } => "Yielded",
        ToSupervisor::Stopped => "Stopped",
        ToSupervisor::Reply { .. } => "Reply",
        ToSupervisor::Happened { .. } => "Happened",
    }
}

/// A worker's text as it may be shown on a terminal.
pub(super) fn one_line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(WHY_MAX_CHARS).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::Condition;

    fn hello() -> ToSupervisor {
        ToSupervisor::Hello { version: CONTROL_VERSION, hand_over: "/x".into() }
    }

    #[test]
    fn nothing_comes_before_hello_and_nothing_but_news_comes_twice() {
        let mut talk = Conversation::default();
        assert!(talk.hear(ToSupervisor::Ready).is_err());
        assert!(talk.hear(hello()).is_ok());
        assert!(talk.hear(hello()).is_err());
        assert!(talk.hear(ToSupervisor::Ready).is_ok());
        assert!(talk.hear(ToSupervisor::Ready).is_err());
        let news =
            ToSupervisor::Condition { condition: Condition::Degraded, why: "a\nb\x1b[2J".into() };
        let shown = Heard::Condition(Condition::Degraded, "a b [2J".into());
        assert_eq!(talk.hear(news.clone()), Ok(shown.clone()));
        assert_eq!(talk.hear(news), Ok(shown));
    }

    #[test]
    fn another_control_version_is_refused_by_number() {
        let message =
            ToSupervisor::Hello { version: CONTROL_VERSION + 1, hand_over: String::new() };
        let refused = Conversation::default().hear(message).unwrap_err();
        let (theirs, ours) = (CONTROL_VERSION + 1, CONTROL_VERSION);
        let expected = format!("speaks control version {theirs}: this supervisor speaks {ours}");
        assert_eq!(refused.to_string(), expected);
    }
}
