//! What somebody may ask of a replay: JSON messages (`framevisor send`). Pure.

use protocol::time::{MonoNs, UtcNs};
use serde_json::Value;

use crate::player::Steps;

const EXPECTED: &str = r#"expected "play", "pause", "status", {"step": 1} or {"step": "group"}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Pause,
    Play,
    /// Several cameras in step: what was captured at `zero` is due at `start`.
    PlayTogether {
        zero: UtcNs,
        start: MonoNs,
    },
    Status,
    Step(Steps),
}

/// The error is for who sent it.
pub(crate) fn read(message: &Value) -> Result<Command, String> {
    let wrong = || format!("{message}: {EXPECTED}");
    match message.as_str() {
        Some("pause") => return Ok(Command::Pause),
        Some("play") => return Ok(Command::Play),
        Some("status") => return Ok(Command::Status),
        Some(_) => return Err(wrong()),
        None => {}
    }
    let section = message.as_object().filter(|section| section.len() == 1).ok_or_else(wrong)?;
    let (key, value) = section.iter().next().ok_or_else(wrong)?;
    match key.as_str() {
        "play" => together(value).ok_or_else(wrong),
        "step" if value.as_str() == Some("group") => Ok(Command::Step(Steps::Group)),
        "step" => {
            let pictures = value.as_u64().filter(|pictures| *pictures > 0).ok_or_else(wrong)?;
            Ok(Command::Step(Steps::Pictures(pictures)))
        }
        _ => Err(wrong()),
    }
}

fn together(value: &Value) -> Option<Command> {
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let (zero, start) = (number("zero_utc_ns")?, number("start_mono_ns")?);
    Some(Command::PlayTogether { zero: UtcNs(zero), start: MonoNs(start) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_words_or_one_key() {
        let zero = UtcNs(1);
        let start = MonoNs(2);
        for (message, command) in [
            (json!("play"), Command::Play),
            (json!("pause"), Command::Pause),
            (json!("status"), Command::Status),
            (json!({"step": 3}), Command::Step(Steps::Pictures(3))),
            (json!({"step": "group"}), Command::Step(Steps::Group)),
            (
                json!({"play": {"zero_utc_ns": 1, "start_mono_ns": 2}}),
                Command::PlayTogether { zero, start },
            ),
        ] {
            assert_eq!(read(&message), Ok(command), "{message}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_could_be_said() {
        for message in [
            json!("stop"),
            json!({"step": 0}),
            json!({"step": -1}),
            json!({"step": "two"}),
            json!({"step": 1, "play": {}}),
            json!({"play": {}}),
            json!({}),
            json!([]),
            json!(null),
        ] {
            let refused = read(&message).unwrap_err();
            assert!(refused.contains("\"step\": 1"), "{refused}");
        }
    }
}
