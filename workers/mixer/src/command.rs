//! What somebody may ask of a mixer: JSON messages (`framevisor send`). Pure.
//!
//! `"status"`, or what `sources` of the topology says, of those that are to change: `{"mic": {"gain": "-6dB"}}`.
//! It holds until the worker is started again.

use protocol::config::MixSource;
use protocol::config::mixer::names;
use protocol::name::RingName;
use protocol::units::Decibels;
use serde_json::{Map, Value};

const EXPECTED: &str = r#"expected "status", or sources with what is to change, {"mic": {"gain": "-6dB", "mute": false}}"#;
/// One source is to be mixed otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Index of its ring.
    pub(crate) source: usize,
    pub(crate) gain: Option<Decibels>,
    pub(crate) mute: Option<bool>,
}

/// Nothing of a message that is wrong in any part is done. The error is for who sent it.
pub(crate) fn read(message: &Value, rings: &[RingName]) -> Result<Vec<Change>, String> {
    if message.as_str() == Some("status") {
        return Ok(Vec::new());
    }
    let sources = message.as_object().filter(|sources| !sources.is_empty());
    let sources = sources.ok_or_else(|| format!("{message}: {EXPECTED}"))?;
    sources.iter().map(|(name, change)| of_source(name, change, rings)).collect()
}

fn of_source(name: &str, change: &Value, rings: &[RingName]) -> Result<Change, String> {
    let source = rings.iter().position(|ring| names(name, ring)).ok_or_else(|| {
        let known: Vec<&str> = rings.iter().map(RingName::as_str).collect();
        format!("'{name}' is no source of this mix: expected one of {}", known.join(", "))
    })?;
    let keys = change.as_object().filter(|keys| is_known(keys));
    let keys = keys.ok_or_else(|| format!("{name}: {change}: {EXPECTED}"))?;
    let gain = match keys.get("gain") {
        None => None,
        Some(value) => Some(gain(value).map_err(|why| format!("{name}: gain: {why}"))?),
    };
    let mute = match keys.get("mute") {
        None => None,
        Some(Value::Bool(mute)) => Some(*mute),
        Some(other) => return Err(format!("{name}: mute: {other}: expected true or false")),
    };
    Ok(Change { source, gain, mute })
}

fn is_known(keys: &Map<String, Value>) -> bool {
    !keys.is_empty() && keys.keys().all(|key| matches!(key.as_str(), "gain" | "mute"))
}

fn gain(value: &Value) -> Result<Decibels, String> {
    let text =
        value.as_str().ok_or_else(|| format!("{value}: expected a text such as \"-6dB\""))?;
    let gain: Decibels =
        text.parse().map_err(|error: protocol::units::UnitError| error.to_string())?;
    let (lowest, highest) = (MixSource::GAIN_MIN, MixSource::GAIN_MAX);
    if (lowest..=highest).contains(&gain) {
        Ok(gain)
    } else {
        Err(format!("{gain}: expected {lowest} to {highest}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rings() -> Vec<RingName> {
        ["mic.packets", "cam.sub.packets"].map(|ring| ring.parse().unwrap()).to_vec()
    }

    #[test]
    fn a_message_is_status_or_what_sources_say() {
        let read = |message: Value| read(&message, &rings());
        assert_eq!(read(json!("status")), Ok(Vec::new()));
        let gain = Change { source: 0, gain: Some(Decibels(-60)), mute: None };
        assert_eq!(read(json!({"mic": {"gain": "-6dB"}})), Ok(vec![gain]));
        let both =
            read(json!({"cam.sub": {"mute": true}, "mic.packets": {"gain": "0dB"}})).unwrap();
        let mute = Change { source: 1, gain: None, mute: Some(true) };
        assert_eq!(both, [mute, Change { source: 0, gain: Some(Decibels(0)), mute: None }]);
    }

    #[test]
    fn anything_else_is_refused_with_what_could_be_said() {
        for (message, expected) in [
            (json!("stop"), "\"status\""),
            (json!({}), "\"status\""),
            (json!({"tv": {"mute": true}}), "mic.packets, cam.sub.packets"),
            (json!({"mic": {}}), "\"gain\""),
            (json!({"mic": {"volume": 3}}), "\"gain\""),
            (json!({"mic": {"gain": -6}}), "-6dB"),
            (json!({"mic": {"gain": "-6"}}), "decibels"),
            (json!({"mic": {"gain": "31dB"}}), "-90dB to 30dB"),
            (json!({"mic": {"mute": "yes"}}), "true or false"),
        ] {
            let refused = read(&message, &rings()).unwrap_err();
            assert!(refused.contains(expected), "{message}: {refused}");
        }
    }
}
