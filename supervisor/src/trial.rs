//! Trying a program before this process becomes it: in a process of its own it reads the manifest that it
//! would go on with, and answers. What is no framevisor, is broken or means the manifest otherwise is
//! found out here, where it costs nothing.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use protocol::exit::ExitReason;
use protocol::name::ProjectName;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};
use spawn::{Command, FIRST_INHERITED, Input, Limits, Output, StartError};

use crate::manifest::{MANIFEST_FD, PROGRAM};
use crate::orphans;
use crate::place::Place;

/// It reads some megabytes at most; a program that does something else is not waited for.
const WITHIN: Duration = Duration::from_secs(10);
/// Of what a program says that cannot go on.
const SAID_MAX_CHARS: usize = 300;

/// A program, and what makes it a supervisor that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
}

/// What it prints when all is well: one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    framevisor: String,
}

#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) pid: u32,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    until: MonoNs,
}

impl Program {
    /// The running one, or what it becomes; the project's place is all it needs to know.
    pub(crate) fn of(path: PathBuf, project: &ProjectName, place: &Place) -> Self {
        let words: [OsString; 5] = [
            "--project".into(),
            project.as_str().into(),
            "--runtime-dir".into(),
            place.path().into(),
            "resume".into(),
        ];
        Self { path, args: words.into() }
    }

    /// Its command line as another process sees it, and its environment.
    pub(crate) fn environment(manifest: i32) -> Vec<(OsString, OsString)> {
        let others = std::env::vars_os().filter(|(name, _)| name != MANIFEST_FD);
        let manifest = (MANIFEST_FD.into(), manifest.to_string().into());
        others.chain(std::iter::once(manifest)).collect()
    }

    /// `args` are those of the supervisor that goes on, and end with the verb.
    pub(crate) fn try_it(&self, manifest: &File, now: MonoNs) -> Result<Trial, StartError> {
        let args: Vec<OsString> =
            self.args.iter().cloned().chain(std::iter::once("--check".into())).collect();
        let command = Command {
            program: &self.path,
            args: &args,
            cwd: Path::new("/"),
            env: &Self::environment(FIRST_INHERITED),
            inherit: &[manifest.as_fd()],
            input: Input::Nothing,
            output: Output::Piped,
            limits: &Limits::default(),
            cgroup: None,
            death_signal: Signal::SIGKILL,
        };
        let running = command.start()?;
        let (stdout, stderr) = (running.stdout, running.stderr);
        Ok(Trial { pid: running.pid, stdout, stderr, until: now + WITHIN })
    }
}

impl Answer {
    pub(crate) fn own() -> Self {
        Self { framevisor: PROGRAM.to_owned() }
    }
}

impl Trial {
    /// It is our child and not reaped yet. Its end follows as that of any child.
    pub(crate) fn kill(&self) {
        orphans::kill_child(self.pid);
    }

    pub(crate) fn is_late(&self, now: MonoNs) -> bool {
        now >= self.until
    }

    /// It has ended: whether it can go on, or why not.
    pub(crate) fn verdict(self, ended: &ExitReason) -> Result<(), String> {
        let said = said(self.stdout);
        let answer = serde_json::from_str::<Answer>(said.trim());
        match (ended, answer) {
            (ExitReason::Code(0), Ok(_)) => Ok(()),
            (ExitReason::Code(0), Err(_)) => {
                Err("it does not answer as framevisor does".to_owned())
            }
            (ended, _) => {
                let last = self::said(self.stderr);
                let last = last.trim().chars().take(SAID_MAX_CHARS).collect::<String>();
                let last = last.replace('\n', "; ");
                Err(if last.is_empty() { ended.to_string() } else { format!("{ended}: {last}") })
            }
        }
    }
}

/// What lies in the pipe; what a process of its own may still add is not waited for.
fn said(pipe: Option<OwnedFd>) -> String {
    let read = |pipe: OwnedFd| -> io::Result<Vec<u8>> {
        let file = File::from(pipe);
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = (&file).read(&mut part) {
            bytes.extend_from_slice(&part[..count]);
        }
        Ok(bytes)
    };
    let bytes = pipe.and_then(|pipe| read(pipe).ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control() || *c == '\n').collect()
}
