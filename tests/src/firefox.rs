//! Headless Firefox, spoken to by WebDriver BiDi: JSON over a WebSocket on a port of its own choice, so no driver is
//! needed. The same surface as [`crate::browser`], as far as checks of video need it.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::browser::Page;
use crate::{Failure, Outcome, wait_for};

/// Far longer than a browser takes to answer on a busy machine.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// WebRTC of this machine with itself.
const PREFERENCES: &str = "user_pref(\"media.peerconnection.ice.loopback\", true);\n";

/// A running browser with one page.
#[derive(Debug)]
pub struct Firefox {
    // The first, as it is to end before its socket does.
    _process: Process,
    socket: WebSocket<TcpStream>,
    next_id: u64,
    /// The page.
    context: Value,
}

impl Firefox {
    /// `None` where there is no Firefox.
    pub fn find() -> Option<&'static str> {
        ["firefox-esr", "firefox"].into_iter().find(|name| crate::ffmpeg::has(name))
    }

    pub fn open(program: &str, url: &str) -> Outcome<Self> {
        let mut process = Process::start(program)?;
        let socket = connect(process.port()?)?;
        let mut browser = Self { _process: process, socket, next_id: 1, context: Value::Null };
        browser.call("session.new", &json!({ "capabilities": {} }))?;
        let page = browser.call("browsingContext.create", &json!({ "type": "tab" }))?;
        browser.context = page["context"].clone();
        let there = json!({ "context": browser.context, "url": url, "wait": "complete" });
        browser.call("browsingContext.navigate", &there)?;
        Ok(browser)
    }

    fn call(&mut self, method: &str, params: &Value) -> Outcome<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let message = json!({ "id": id, "method": method, "params": params }).to_string();
        let unanswered = |error| Failure(format!("Firefox does not answer {method}: {error}"));
        self.socket.send(Message::text(message)).map_err(unanswered)?;
        loop {
            let Message::Text(text) = self.socket.read().map_err(unanswered)? else { continue };
            let reply: Value = serde_json::from_str(&text).map_err(Failure::new)?;
            // What is no answer is an event.
            if reply["id"] == json!(id) {
                return match reply.get("error") {
                    Some(error) => Err(Failure(format!("{method}: {error}: {}", reply["message"]))),
                    None => Ok(reply["result"].clone()),
                };
            }
        }
    }
}

impl Page for Firefox {
    fn evaluate(&mut self, expression: &str) -> Outcome<Value> {
        let target = json!({ "context": self.context });
        let params = json!({ "expression": expression, "target": target, "awaitPromise": true });
        let said = self.call("script.evaluate", &params)?;
        match said.get("exceptionDetails") {
            Some(details) => Err(Failure(format!("the page threw: {}", details["text"]))),
            None => Ok(plain(&said["result"])),
        }
    }
}

/// The browser's process and the folder that is its home and profile.
#[derive(Debug)]
struct Process {
    child: Child,
    folder: PathBuf,
}

impl Process {
    fn start(program: &str) -> Outcome<Self> {
        let name = format!("framevisor-firefox-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        // Another process of this number may have left one, and in it the port of its browser.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(Failure::new)?;
        fs::write(folder.join("user.js"), PREFERENCES).map_err(Failure::new)?;
        let child = spawn(program, &folder)?;
        Ok(Self { child, folder })
    }

    /// Where it listens, which it writes into its profile.
    fn port(&mut self) -> Outcome<u16> {
        let file = self.folder.join("WebDriverBiDiServer.json");
        let told = || match self.child.try_wait() {
            Ok(Some(status)) => Some(Err(status)),
            _ => port_in(&fs::read_to_string(&file).ok()?).map(Ok),
        };
        let (port, _) = wait_for(60, "Firefox to listen", told)?;
        port.map_err(|status| Failure(format!("Firefox ended: {status}: {}", self.said())))
    }

    fn said(&self) -> String {
        fs::read_to_string(said_file(&self.folder)).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn said_file(folder: &Path) -> PathBuf {
    folder.join("said")
}

fn spawn(program: &str, folder: &Path) -> Outcome<Child> {
    let said = File::create(said_file(folder)).map_err(Failure::new)?;
    Command::new(program)
        .args(["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile"])
        .arg(folder)
        // It does not start as root in somebody else's home.
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .map_err(|error| Failure(format!("{program}: {error}")))
}

/// `None` while it is being written.
fn port_in(text: &str) -> Option<u16> {
    let told: Value = serde_json::from_str(text).ok()?;
    told["ws_port"].as_u64()?.try_into().ok()
}

fn connect(port: u16) -> Outcome<WebSocket<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(Failure::new)?;
    stream.set_read_timeout(Some(ANSWER_WAIT)).map_err(Failure::new)?;
    let url = format!("ws://127.0.0.1:{port}/session");
    let (socket, _) = client(url, stream)
        .map_err(|error| Failure(format!("no WebSocket to Firefox: {error}")))?;
    Ok(socket)
}

/// What JSON has for a value as BiDi describes it: `{"type": "array", "value": [{"type": "number", "value": 1}]}`.
fn plain(told: &Value) -> Value {
    let value = &told["value"];
    let items = value.as_array().into_iter().flatten();
    match told["type"].as_str().unwrap_or_default() {
        "array" => items.map(plain).collect(),
        "object" => items.map(|pair| (text(&pair[0]), plain(&pair[1]))).collect(),
        "string" | "boolean" => value.clone(),
        // Those that JSON has not come as words.
        "number" if value.is_number() => value.clone(),
        _ => Value::Null,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_answers_is_as_json_has_it() {
        let number = |number: f64| json!({ "type": "number", "value": number });
        let row = json!({ "type": "array", "value": [number(1.5), { "type": "null" }] });
        let told = json!({ "type": "object", "value": [
            ["row", row],
            ["name", { "type": "string", "value": "ws-mse" }],
            ["none", { "type": "undefined" }],
            ["endless", { "type": "number", "value": "Infinity" }],
        ] });
        let expected =
            json!({ "row": [1.5, null], "name": "ws-mse", "none": null, "endless": null });
        assert_eq!(plain(&told), expected);
    }

    #[test]
    fn a_browser_that_ends_before_it_listens_says_how() {
        let failure = Firefox::open("false", "about:blank").unwrap_err();
        assert_eq!(failure, Failure::new("Firefox ended: exit status: 1: "));
    }

    #[test]
    fn a_file_that_is_half_written_has_no_port() {
        let whole = r#"{ "ws_host": "127.0.0.1", "ws_port": 38419 }"#;
        assert_eq!(port_in(whole), Some(38419));
        assert_eq!(port_in(&whole[..38]), None);
        assert_eq!(port_in(""), None);
    }
}
