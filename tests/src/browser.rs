//! Headless Chromium, spoken to over its debugging pipe (descriptors 3 and 4, JSON ended by NUL:
//! `--remote-debugging-pipe`), so no driver and no port are needed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::{Failure, Outcome, wait_for};

/// Far longer than a browser takes to start on a busy machine.
const ANSWER_WAIT_MS: u16 = 60_000;

/// A page in whatever browser.
pub trait Page: std::fmt::Debug {
    /// Runs an expression in the page, awaiting it when it is a promise.
    fn evaluate(&mut self, expression: &str) -> Outcome<Value>;
}

/// A running browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    folder: PathBuf,
    to: File,
    from: File,
    unread: Vec<u8>,
    next_id: u64,
    session: String,
}

impl Browser {
    /// `None` where there is no Chromium.
    pub fn find() -> Option<&'static str> {
        ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find(|name| crate::ffmpeg::has(name))
    }

    pub fn open(program: &str, url: &str) -> Outcome<Self> {
        let folder =
            std::env::temp_dir().join(format!("framevisor-browser-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(Failure::new)?;
        let (to_path, from_path) = (folder.join("to"), folder.join("from"));
        for path in [&to_path, &from_path] {
            let _ = fs::remove_file(path);
            mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(Failure::new)?;
        }
        let child = start(program, &folder, &to_path, &from_path)?;
        // Opening a FIFO for reading and writing does not wait for the other side.
        let open = |path: &Path| {
            OpenOptions::new().read(true).write(true).open(path).map_err(Failure::new)
        };
        let (to, from) = (open(&to_path)?, open(&from_path)?);
        let mut browser = Self {
            child,
            folder,
            to,
            from,
            unread: Vec::new(),
            next_id: 1,
            session: String::new(),
        };
        browser.attach(url)?;
        browser.wait_until_loaded(url)?;
        Ok(browser)
    }

    /// While the page is on its way there is nothing to run an expression in.
    fn wait_until_loaded(&mut self, url: &str) -> Outcome<()> {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        let expected = format!("complete{scheme}:");
        let loaded = || {
            let state = self.evaluate("document.readyState + location.protocol").ok()?;
            (state == expected).then_some(())
        };
        wait_for(60, "the page to load", loaded).map(drop)
    }

    fn attach(&mut self, url: &str) -> Outcome<()> {
        let target = self.call("Target.createTarget", json!({ "url": url }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", attach)?;
        session["sessionId"].as_str().unwrap_or_default().clone_into(&mut self.session);
        Ok(())
    }

    /// Runs an expression in the page, awaiting it when it is a promise.
    pub fn evaluate(&mut self, expression: &str) -> Outcome<Value> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", params)?;
        match result.get("exceptionDetails") {
            Some(details) => Err(Failure(format!("the page threw: {details}"))),
            None => Ok(result["result"]["value"].clone()),
        }
    }

    /// The page on a telephone of that many points.
    pub fn as_telephone(&mut self, width: u32, height: u32) -> Outcome<()> {
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", screen).map(drop)
    }

    /// Another page in the same browser.
    pub fn go(&mut self, url: &str) -> Outcome<()> {
        self.call("Page.navigate", json!({ "url": url }))?;
        // A page may take its fragment out of its address.
        let without = |url: &str| url.split('#').next().unwrap_or_default().to_owned();
        let expected = format!("complete {}", without(url));
        let loaded = || {
            let state = self.evaluate("`${document.readyState} ${location.href}`").ok()?;
            (without(state.as_str()?) == expected).then_some(())
        };
        wait_for(60, "the page to load", loaded).map(drop)
    }

    /// As on a machine whose user likes pages light, or dark.
    pub fn prefers_dark(&mut self, dark: bool) -> Outcome<()> {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).map(drop)
    }

    /// The page in a window of that many points.
    pub fn sized(&mut self, width: u32, height: u32) -> Outcome<()> {
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", screen).map(drop)
    }

    /// A PNG of the page.
    pub fn screenshot(&mut self, file: &Path) -> Outcome<()> {
        let name = file.display().to_string();
        let result = self.call("Page.captureScreenshot", json!({ "format": "png" }))?;
        let data =
            result["data"].as_str().ok_or_else(|| Failure::new("no screenshot came back"))?;
        let png = STANDARD.decode(data).map_err(Failure::new)?;
        fs::write(file, png).map_err(|error| Failure(format!("{name}: {error}")))
    }

    fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).map_err(Failure::new)?;
        loop {
            let reply = self.receive()?;
            if reply["id"] == json!(id) {
                return match reply.get("error") {
                    Some(error) => Err(Failure(format!("{method}: {error}"))),
                    None => Ok(reply["result"].clone()),
                };
            }
        }
    }

    fn receive(&mut self) -> Outcome<Value> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.unread.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).map_err(Failure::new);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Failure(format!("the browser ended: {status}")));
            }
            self.wait_for_bytes()?;
            let mut chunk = [0; 65536];
            let length = self.from.read(&mut chunk).map_err(Failure::new)?;
            self.unread.extend(&chunk[..length]);
        }
    }
}

impl Browser {
    fn wait_for_bytes(&self) -> Outcome<()> {
        let mut fds = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, ANSWER_WAIT_MS).map_err(Failure::new)? {
            0 => Err(Failure(format!("the browser said nothing for {ANSWER_WAIT_MS} ms"))),
            _ => Ok(()),
        }
    }
}

impl Page for Browser {
    fn evaluate(&mut self, expression: &str) -> Outcome<Value> {
        Self::evaluate(self, expression)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start(program: &str, folder: &Path, to: &Path, from: &Path) -> Outcome<Child> {
    // The shell gives the two FIFOs their numbers; exec keeps its pid for the browser.
    let script = r#"exec "$0" "$@" 3<>"$FV_TO" 4<>"$FV_FROM""#;
    Command::new("sh")
        .args(["-c", script, program])
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        // WebRTC of this machine with itself, and no gesture before a video plays.
        .args(["--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required"])
        .arg("--remote-debugging-pipe")
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .env("FV_TO", to)
        .env("FV_FROM", from)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Failure(format!("{program}: {error}")))
}
