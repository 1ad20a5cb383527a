//! The language of `run:` workers: requests, replies and events of the control socket, one JSON
//! object a datagram without newline. Every key and verb is in docs/protocol.md.

use protocol::admin::{ADMIN_VERSION, Reply, ReplyError, Request};
use protocol::control::{Condition, Query, ToWorker};
use serde_json::{Value, json};

use super::conversation::one_line;
use super::{Heard, Violation};

/// A datagram that is a request.
pub(super) enum Said {
    Heard {
        id: u64,
        heard: Heard,
    },
    /// Well-formed, but nothing we know: it is told so.
    Unknown {
        id: u64,
        error: ReplyError,
    },
}

#[derive(serde::Deserialize)]
struct ConditionArgs {
    condition: Condition,
    #[serde(default)]
    why: String,
}

#[derive(serde::Deserialize)]
struct PsArgs {
    #[serde(default)]
    from: Option<u32>,
}

#[derive(serde::Deserialize)]
struct ReplyArgs {
    to: u64,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    error: Option<String>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Said, Violation> {
    let request: Request =
        serde_json::from_slice(bytes).map_err(|error| Violation::Frame(error.to_string()))?;
    let id = request.id;
    if request.v != ADMIN_VERSION {
        let text = format!("request version {}: expected {ADMIN_VERSION}", request.v);
        return Ok(unknown(id, "version", text));
    }
    let heard = match request.verb.as_str() {
        "hello" => Heard::Greeted,
        "ready" => Heard::Ready,
        "stopped" => Heard::Stopped,
        "ps" => match serde_json::from_value::<PsArgs>(request.args) {
            Ok(PsArgs { from: Some(first) }) => Heard::Ask { id, query: Query::WorkersFrom(first) },
            // Whoever sends something else here has always had the list.
            Ok(PsArgs { from: None }) | Err(_) => Heard::Ask { id, query: Query::Workers },
        },
        "condition" => match serde_json::from_value::<ConditionArgs>(request.args) {
            Ok(args) => Heard::Condition(args.condition, one_line(&args.why)),
            Err(error) => return Ok(unknown(id, "args", format!("condition: {error}"))),
        },
        "reply" => match serde_json::from_value::<ReplyArgs>(request.args) {
            Ok(ReplyArgs { to, error: Some(text), .. }) => {
                Heard::Reply { to, result: Err(one_line(&text)) }
            }
            Ok(ReplyArgs { to, data, .. }) => Heard::Reply { to, result: Ok(data) },
            Err(error) => return Ok(unknown(id, "args", format!("reply: {error}"))),
        },
        other => return Ok(unknown(id, "verb", format!("unknown verb '{}'", one_line(other)))),
    };
    Ok(Said::Heard { id, heard })
}

fn unknown(id: u64, code: &str, text: String) -> Said {
    let error = ReplyError {
        code: code.to_owned(),
        text,
        hint: "a worker may say hello, ready, condition, ps, reply and stopped".to_owned(),
    };
    Said::Unknown { id, error }
}

pub(super) fn too_many(per_second: u32) -> ReplyError {
    ReplyError {
        code: "busy".to_owned(),
        text: format!("more than {per_second} questions a second"),
        hint: "ask again in a second".to_owned(),
    }
}

pub(super) fn acknowledgement(id: u64) -> Vec<u8> {
    reply(id, Some(Value::Bool(true)), None)
}

pub(super) fn refusal(id: u64, error: ReplyError) -> Vec<u8> {
    reply(id, None, Some(error))
}

pub(super) fn render(message: &ToWorker) -> Vec<u8> {
    match message {
        ToWorker::Hang => json!({"event": {"hang": {}}}).to_string().into_bytes(),
        ToWorker::Stop { grace_ms } => {
            json!({"event": {"stop": {"grace_ms": grace_ms}}}).to_string().into_bytes()
        }
        // Only built-in workers are told these.
        ToWorker::Drain | ToWorker::Message { .. } | ToWorker::TakeOver { .. } => {
            json!({"event": {}}).to_string().into_bytes()
        }
        ToWorker::Answer { id, body } => {
            let body = serde_json::from_str(body).unwrap_or(Value::Null);
            reply(*id, Some(body), None)
        }
    }
}

/// Somebody's message, to be replied to under this number.
pub(super) fn message(number: u64, message: &Value) -> Vec<u8> {
    json!({"event": {"message": {"id": number, "data": message}}}).to_string().into_bytes()
}

fn reply(id: u64, ok: Option<Value>, error: Option<ReplyError>) -> Vec<u8> {
    // Plain data of our own: it always has a JSON form.
    serde_json::to_vec(&Reply { id, ok, error }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Heard {
        match parse(text.as_bytes()).unwrap() {
            Said::Heard { heard, .. } => heard,
            Said::Unknown { error, .. } => panic!("{}", error.text),
        }
    }

    #[test]
    fn a_command_can_tell_its_condition_and_ask_for_the_workers() {
        let text =
            r#"{"v":1,"id":1,"verb":"condition","args":{"condition":"degraded","why":"no GPU"}}"#;
        let degraded = Heard::Condition(Condition::Degraded, "no GPU".into());
        assert_eq!(heard(text), degraded);
        let query = Query::Workers;
        assert_eq!(heard(r#"{"v":1,"id":9,"verb":"ps"}"#), Heard::Ask { id: 9, query });
        let query = Query::WorkersFrom(250);
        let text = r#"{"v":1,"id":9,"verb":"ps","args":{"from":250}}"#;
        assert_eq!(heard(text), Heard::Ask { id: 9, query });
    }

    #[test]
    fn what_is_no_request_is_a_violation_and_what_is_unknown_is_answered() {
        assert!(parse(b"hello").is_err());
        assert!(parse(b"{}").is_err());
        for unknown in [
            r#"{"v":2,"id":1,"verb":"ready"}"#,
            r#"{"v":1,"id":1,"verb":"exec"}"#,
            r#"{"v":1,"id":1,"verb":"condition","args":{"condition":"fine"}}"#,
        ] {
            let said = parse(unknown.as_bytes()).unwrap();
            assert!(matches!(said, Said::Unknown { id: 1, .. }), "{unknown}");
        }
    }
}
