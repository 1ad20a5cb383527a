//! Another server to compare with: gst-rtsp-server, or whatever `PEER_CMD` starts.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::Signal;

use crate::checks::python::python;
use crate::project::{free_port, source_root};
use crate::viewer::Client;
use crate::{Failure, Outcome, ensure, processes, wait_for};

/// What gst-rtsp-server exits with where it is not installed.
const NOT_INSTALLED: i32 = 3;
/// Names the command of a further peer (`docs/bench.md`).
const PEER_CMD: &str = "PEER_CMD";

/// A server of a process of its own, at `rtsp://127.0.0.1:PORT/cam`. It ends with this value.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    host: String,
    port: u16,
    stdin: Option<ChildStdin>,
}

/// Loopback.
const HERE: &str = "127.0.0.1";
/// A process in another network, and the address it has there: gst-rtsp-server and a
/// player cannot both have the port of a group in one network. `scripts/verify rtsp` sets it.
const OTHER_NETWORK: &str = "PEER_NETWORK";

/// What gst-rtsp-server serves, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served<'a> {
    /// An MP4 file; without one, what comes by [`Peer::feed`].
    pub file: Option<&'a Path>,
    /// Of the file's picture: `h264` (default), `h265`, `mjpeg` or `mpeg4`.
    pub codec: Option<&'a str>,
    /// The AAC of the file as well.
    pub sound: bool,
    /// A user's name, and the file with the password.
    pub user: Option<(&'a str, &'a Path)>,
    /// A certificate and its key.
    pub tls: Option<(&'a Path, &'a Path)>,
    /// A group for those who ask for multicast.
    pub multicast: Option<&'a str>,
}

impl Served<'_> {
    fn arguments(&self) -> Vec<String> {
        let name = |path: &Path| path.display().to_string();
        let mut words = Vec::new();
        match self.file {
            Some(file) => words.extend(["--file".into(), name(file)]),
            None => words.push("--stdin".into()),
        }
        words.extend(self.codec.into_iter().flat_map(|codec| ["--codec".into(), codec.into()]));
        if self.sound {
            words.push("--sound".into());
        }
        if let Some((user, file)) = self.user {
            words.extend(["--user".into(), user.into(), "--password-file".into(), name(file)]);
        }
        if let Some((certificate, key)) = self.tls {
            words.extend(["--certificate".into(), name(certificate), name(key)]);
        }
        words.extend(
            self.multicast.into_iter().flat_map(|group| ["--multicast".into(), group.into()]),
        );
        words
    }
}

impl Peer {
    /// `Ok(Err(why))` where it is not installed, or has not the network it needs.
    pub fn gst(served: &Served<'_>) -> Outcome<Result<Self, String>> {
        let port = free_port()?;
        let stdin = if served.file.is_some() { Stdio::null() } else { Stdio::piped() };
        let (mut command, host) = match served.multicast.map(|_| elsewhere()) {
            None => (Command::new(python()), HERE.to_owned()),
            Some(Some(found)) => found,
            Some(None) => return Ok(Err("no other network for its multicast".to_owned())),
        };
        let mut child = command
            .arg(source_root().join("tests/python/rtsp_peer.py"))
            .arg(port.to_string())
            .args(served.arguments())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Failure(format!("{}: {error}", python())))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("the peer has no output"))?;
        // Nothing more is said on it.
        let _ = BufReader::new(stdout).read_line(&mut line);
        if line.trim() == "ready" {
            let stdin = child.stdin.take();
            drain(&mut child);
            return Ok(Ok(Self { child, host, port, stdin }));
        }
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        let status = child.wait().map_err(Failure::new)?;
        ensure(status.code() == Some(NOT_INSTALLED), || {
            format!("gst-rtsp-server: {status}: {said}")
        })?;
        let why = said.lines().last().unwrap_or_default();
        Ok(Err(format!("gst-rtsp-server is not installed: {why}")))
    }

    /// What `PEER_CMD` says, run by `sh`, with what it is to do in its environment: `PEER_PORT`, where it serves
    /// the path `cam`, and either `PEER_FILE` or `PEER_SOURCE` and `PEER_DIR`. `None` without `PEER_CMD`.
    pub fn given(environment: &[(&str, String)]) -> Outcome<Option<Self>> {
        let Ok(command) = std::env::var(PEER_CMD) else { return Ok(None) };
        let port = free_port()?;
        let child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .env("PEER_PORT", port.to_string())
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Failure(format!("{PEER_CMD} {command:?}: {error}")))?;
        let mut peer = Self { child, host: HERE.to_owned(), port, stdin: None };
        let url = peer.url();
        let serves = || {
            let ended = peer.child.try_wait().ok().flatten();
            if let Some(status) = ended {
                return Some(Err(Failure(format!("{PEER_CMD} {command:?} ended: {status}"))));
            }
            let answer = Client::connect(port).ok()?.ask("DESCRIBE", &url, "").ok()?;
            (answer.status == 200).then_some(Ok(()))
        };
        wait_for(60, &format!("{PEER_CMD} to serve {url}"), serves)?.0?;
        Ok(Some(peer))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("rtsp://{}:{}/cam", self.host, self.port)
    }

    /// The end of it that takes access units.
    pub fn feed(&mut self) -> Option<Feed> {
        self.stdin.take().map(Feed)
    }
}

/// A command in the other network, and its address there.
fn elsewhere() -> Option<(Command, String)> {
    let told = std::env::var(OTHER_NETWORK).ok()?;
    let (pid, host) = told.split_once(' ')?;
    let mut command = Command::new("nsenter");
    command.args(["-n", "-t", pid, &python()]);
    Some((command, host.to_owned()))
}

/// Where access units for gst-rtsp-server go.
#[derive(Debug)]
pub struct Feed(ChildStdin);

impl Feed {
    pub fn push(&mut self, unit: &[u8], key: bool) -> Outcome<()> {
        let length = u32::try_from(unit.len()).map_err(Failure::new)?;
        let head = [&length.to_le_bytes()[..], &[u8::from(key)]].concat();
        let written = self.0.write_all(&[&head, unit].concat());
        written.map_err(|error| Failure(format!("gst-rtsp-server takes no more units: {error}")))
    }
}

/// What it complains about must not fill its pipe.
fn drain(child: &mut Child) {
    if let Some(mut stderr) = child.stderr.take() {
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        processes::signal(self.child.id(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
