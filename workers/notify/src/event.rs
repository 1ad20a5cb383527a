//! An event as a server gets it: its id, its body, its signature. Pure.

use std::fmt::Write as _;

use protocol::name::{ProjectName, WorkerName};
use protocol::pattern;
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// SHA-256 works on blocks of this.
const BLOCK_BYTES: usize = 64;
/// Digits of an id: no two events of a site have the same.
const ID_DIGITS: usize = 32;

/// What the supervisor tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) time_utc_ns: UtcNs,
    pub(crate) worker: WorkerName,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) reason: String,
    pub(crate) events: Vec<String>,
    #[serde(default)]
    pub(crate) data: Option<Value>,
}

impl Event {
    /// The same event has the same id, whoever asks when. Of what is told of twice by its own id or its file too;
    /// what may happen again and again is another event each time.
    pub(crate) fn id(&self, project: &ProjectName) -> String {
        let names_one = |data: &&Value| {
            ["id", "path"].iter().any(|key| data.get(*key).is_some_and(Value::is_string))
        };
        let own = match self.data.as_ref().filter(names_one) {
            Some(data) => json!([project, self.worker, self.events, data]),
            None => json!([project, self]),
        };
        let mut id = hex(&Sha256::digest(own.to_string()));
        id.truncate(ID_DIGITS);
        id
    }

    pub(crate) fn body(&self, id: &str, project: &ProjectName, on: &[String]) -> String {
        let Self { time_utc_ns, worker, from, to, reason, events, data } = self;
        json!({
            "id": id,
            "event": self.name(on),
            "events": events,
            "time_utc_ns": time_utc_ns,
            "project": project,
            "worker": worker,
            "from": from,
            "to": to,
            "reason": reason,
            "data": data,
        })
        .to_string()
    }

    /// Of its names the first that is waited for.
    pub(crate) fn name(&self, on: &[String]) -> &str {
        let is_wanted = |name: &&String| on.iter().any(|pattern| pattern::matches(pattern, name));
        let wanted = self.events.iter().find(is_wanted);
        wanted.or_else(|| self.events.first()).map_or("", String::as_str)
    }
}

/// HMAC-SHA256 of `TIMESTAMP.BODY`, in hexadecimal digits: a request that somebody has recorded is of no use later.
pub(crate) fn signature(secret: &str, timestamp_s: u64, body: &str) -> String {
    hex(&hmac(secret.as_bytes(), format!("{timestamp_s}.{body}").as_bytes()))
}

/// RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event(time: u64) -> Event {
        Event {
            time_utc_ns: UtcNs(time),
            worker: "cam1".parse().unwrap(),
            from: "running".to_owned(),
            to: "degraded".to_owned(),
            reason: "away".to_owned(),
            events: vec!["worker.degraded".to_owned(), "camera.down".to_owned()],
            data: None,
        }
    }

    #[test]
    fn the_same_event_has_the_same_id_and_no_other_has_it() {
        let yard: ProjectName = "yard".parse().unwrap();
        let id = event(1).id(&yard);
        assert_eq!(id, event(1).id(&yard));
        assert_eq!(id.len(), ID_DIGITS);
        assert_ne!(id, event(2).id(&yard));
        assert_ne!(id, event(1).id(&"hall".parse().unwrap()));
        // A file that is told of again, later.
        let file = |time| Event { data: Some(json!({"path": "/r/a.mp4"})), ..event(time) };
        assert_eq!(file(1).id(&yard), file(2).id(&yard));
    }

    #[test]
    fn a_camera_that_is_covered_a_second_time_is_told_of_a_second_time() {
        let yard: ProjectName = "yard".parse().unwrap();
        let black = |time| Event {
            data: Some(json!({"camera": "front", "health": "black"})),
            events: vec!["camera.health".to_owned()],
            ..event(time)
        };
        assert_eq!(black(1).id(&yard), black(1).id(&yard));
        assert_ne!(black(1).id(&yard), black(2).id(&yard));
        // A rule's event that goes on is told of again, and has more to say each time.
        let night = |time, records: u64| Event {
            data: Some(json!({"id": "night-1-1", "rule": "night", "records": records})),
            ..event(time)
        };
        assert_eq!(night(1, 1).id(&yard), night(2, 1).id(&yard));
        assert_ne!(night(1, 1).id(&yard), night(1, 2).id(&yard));
    }

    #[test]
    fn an_event_is_called_what_was_waited_for() {
        let on = |pattern: &str| vec![pattern.to_owned()];
        assert_eq!(event(1).name(&on("camera.*")), "camera.down");
        assert_eq!(event(1).name(&on("*")), "worker.degraded");
    }

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        // Test cases 1, 2 and 6, which has a long key.
        for (key, text, expected) in [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&hmac(&key, text)), expected);
        }
        assert_eq!(signature("k", 7, "{}"), hex(&hmac(b"k", b"7.{}")));
    }
}
