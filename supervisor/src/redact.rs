//! Taking secrets out of what leaves the machine. Rather too much is hidden than a part shown. Pure.

use std::borrow::Cow;

use protocol::config::push::{Place, PushUrl};
use protocol::config::uploader::Login;
use protocol::config::{Users, WorkerConfig};
use regex_lite::Regex;
use serde_json::Value;

use crate::topology::{EnvText, Launch, Topology};

/// What stands where a secret was.
pub(crate) const HIDDEN: &str = "***";
/// Shorter values are words of everyday texts, which would be riddled with holes.
const SECRET_MIN_CHARS: usize = 3;

const NAMES: &str =
    "password|passwd|passphrase|secret|token|api_?key|private_?key|credential|authorization";
/// As [`NAMES`], for those who look at many.
const NAMES_PLAIN: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "privatekey",
    "private_key",
    "credential",
    "authorization",
];

/// Whether what has this name is nobody's business.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES_PLAIN.iter().any(|secret| name.contains(secret))
}

/// Hides what has the form of a secret, and each of the `known` ones wherever it stands.
#[derive(Debug)]
pub(crate) struct Redactor {
    known: Vec<String>,
    /// Everything between a scheme and the last `@` of a word.
    url: Regex,
    /// A value behind a name that tells what it is.
    named: Regex,
}

impl Redactor {
    pub(crate) fn new(mut known: Vec<String>) -> Self {
        known.retain(|secret| secret.chars().count() >= SECRET_MIN_CHARS);
        // A secret that holds another is hidden whole.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.dedup();
        let value = r#"("(\\.|[^"\\])*"|'[^']*'|[^\s,}]+)"#;
        let named = format!(r#"(?i)((\w|-)*({NAMES})(\w|-)*\\?["']?\s*[:=]\s*){value}"#);
        let expect = |pattern: &str| Regex::new(pattern).expect("a pattern of ours");
        Self {
            known,
            url: expect(r#"([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@"#),
            named: expect(&named),
        }
    }

    /// Knows the passwords of the cameras and the secret variables of the commands.
    pub(crate) fn of(topology: &Topology) -> Self {
        let mut known = Vec::new();
        for worker in &topology.workers {
            match &worker.launch {
                Launch::Run { env, .. } => {
                    let is_secret = |name: &str, text: &EnvText| {
                        is_secret_name(name) || text.to_string() != text.value()
                    };
                    let secret = env.iter().filter(|(name, text)| is_secret(name, text));
                    known.extend(secret.map(|(_, text)| text.value().to_owned()));
                }
                Launch::Use(WorkerConfig::Ingest(ingest)) => {
                    if let Some(url) = ingest.source.url() {
                        known.extend(credentials(url.url()));
                        known.extend(url.secrets().into_iter().map(str::to_owned));
                        known.extend(url.secrets().into_iter().map(decoded));
                        // A credential that holds the whole of it.
                        known.extend(url.to_string().contains("${").then(|| url.url().to_owned()));
                    }
                }
                Launch::Use(WorkerConfig::Uploader(uploader)) => {
                    let login = uploader.credentials.as_ref().and_then(|it| Login::of(it).ok());
                    known.extend(login.into_iter().flat_map(|login| {
                        [Some(login.key), Some(login.secret), login.token].into_iter().flatten()
                    }));
                }
                Launch::Use(WorkerConfig::Rtsp(rtsp)) => {
                    known.extend(passwords(&rtsp.section.users))
                }
                Launch::Use(WorkerConfig::Web(web)) => {
                    known.extend(passwords(&web.section.users));
                    let tokens = web.section.tokens.values();
                    known.extend(tokens.map(|token| token.token.reveal().to_owned()));
                }
                Launch::Use(WorkerConfig::RtspPush(push)) => known.extend(keys(&push.to)),
                Launch::Use(WorkerConfig::Notify(notify)) => {
                    known.push(notify.url.url().to_owned());
                    let password = notify.url.broker().and_then(|broker| broker.password);
                    known.extend(password.map(|password| password.reveal().to_owned()));
                    known.extend(notify.secret.iter().map(|secret| secret.reveal().to_owned()));
                }
                Launch::Use(_) => {}
            }
        }
        Self::new(known)
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for secret in self.known.iter().filter(|secret| !secret.is_empty()) {
            if text.contains(secret) {
                text = Cow::Owned(text.replace(secret, HIDDEN));
            }
        }
        let text = self.url.replace_all(&text, format!("${{1}}{HIDDEN}@"));
        self.named.replace_all(&text, format!("${{1}}\"{HIDDEN}\"")).into_owned()
    }

    /// As [`Self::text`] each text by itself: what comes out is JSON again.
    pub(crate) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(entries) => {
                let entry = |(name, value): (&String, &Value)| {
                    let is_secret = is_secret_name(name) && value.is_string();
                    (name.clone(), if is_secret { HIDDEN.into() } else { self.value(value) })
                };
                Value::Object(entries.iter().map(entry).collect())
            }
            Value::Bool(_) | Value::Null | Value::Number(_) => value.clone(),
        }
    }
}

fn passwords(users: &Users) -> impl Iterator<Item = String> {
    let secrets = users.values().filter_map(|user| user.password.as_ref());
    secrets.map(|secret| secret.reveal().to_owned())
}

/// What lets in to a server that is pushed to: all but what people see of it.
fn keys(to: &PushUrl) -> Vec<String> {
    let mut keys = match to.place() {
        Place::Rtsp { url } => credentials(&url),
        Place::Rtmp { url } => {
            // A query may have slashes, too.
            let (path, query) = url.split_once('?').unwrap_or((url.as_str(), ""));
            let stream = path.rsplit('/').next().unwrap_or_default();
            let words = [stream, query].map(str::to_owned);
            credentials(&url).into_iter().chain(words).collect()
        }
        Place::Srt(srt) => [srt.passphrase, srt.stream_id].into_iter().flatten().collect(),
        Place::Udp { .. } | Place::Rtp { .. } => Vec::new(),
    };
    // What is shown as it is is no secret.
    keys.extend((to.url() != to.to_string()).then(|| to.url().to_owned()));
    keys
}

/// `user:pw` of a URL: both together, and the password alone; written and decoded alike.
fn credentials(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("//") else { return Vec::new() };
    let Some((user_info, _)) = rest.rsplit_once('@') else { return Vec::new() };
    let password = user_info.split_once(':').map(|(_, password)| password.to_owned());
    let decoded = password.as_deref().map(decoded);
    [Some(user_info.to_owned()), password, decoded].into_iter().flatten().collect()
}

/// `%2F` as `/`: programs print either form.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%');
        let byte =
            digits.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    #[test]
    fn what_looks_like_a_secret_is_hidden_and_the_rest_stays() {
        let plain = Redactor::new(Vec::new());
        let hides = |text: &str| plain.text(text);
        assert_eq!(
            hides("to rtsp://a:b@10.0.0.5:554/main: 401"),
            "to rtsp://***@10.0.0.5:554/main: 401"
        );
        assert_eq!(hides("MQTT_PASSWORD=hunter2 next"), "MQTT_PASSWORD=\"***\" next");
        assert_eq!(hides("  api_key: 'k e y'\n  fps: 5"), "  api_key: \"***\"\n  fps: 5");
        assert_eq!(hides(r#"{"token":"a\"b","pid":7}"#), r#"{"token":"***","pid":7}"#);
        let harmless = r#"{"name":"cam1","why":"SIGKILL","url":"rtsp://10.0.0.5/x"}"#;
        assert_eq!(hides(harmless), harmless);
    }

    #[test]
    fn of_json_the_texts_are_hidden_and_it_stays_json() {
        let plain = Redactor::new(Vec::new());
        let value = serde_json::json!({"token": "abc", "n": 7, "line": ["the password=x", "a"]});
        let hidden =
            serde_json::json!({"token": "***", "n": 7, "line": ["the password=\"***\"", "a"]});
        assert_eq!(plain.value(&value), hidden);
    }

    #[test]
    fn names_of_secrets_are_known_one_by_one_and_in_texts_alike() {
        let in_texts = Regex::new(&format!("(?i)^({NAMES})$")).unwrap();
        assert!(NAMES_PLAIN.iter().all(|name| in_texts.is_match(name)));
        assert!(is_secret_name("MQTT_PASSWORD") && is_secret_name("apiKey"));
        assert!(!is_secret_name("URL") && !is_secret_name("pass_through"));
    }

    #[test]
    fn what_lets_in_to_a_server_that_is_pushed_to_is_hidden() {
        let text = "version: 1\nworkers:
  cam: {use: ingest, source: 'rtsp://10.0.0.5/main'}
  push: {use: rtsp-push, in: cam.packets, to: 'rtmp://h/live/k3y-of-mine?token=a/b'}\n";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let said = Redactor::of(&topology).text("stream k3y-of-mine of token=a/b is busy");
        assert!(!said.contains("k3y") && !said.contains("a/b"), "{said}");
    }

    #[test]
    fn the_passwords_of_a_topology_are_hidden_wherever_they_stand() {
        let text = "version: 1\nworkers:
  cam: {use: ingest, source: 'rtsp://admin:s%40cret@10.0.0.5/main'}
  door: {use: ingest, source: 'http://10.0.0.6/v.cgi?pwd=d%2Foor'}
  mine: {run: [x], env: {MY_TOKEN: abcdef, PLAIN: visible}}\n";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let redactor = Redactor::of(&topology);
        let said = redactor.text("login s@cret failed, s%40cret, d/oor, d%2Foor, abcdef; visible");
        assert_eq!(said, "login *** failed, ***, ***, ***, ***; visible");
    }
}
