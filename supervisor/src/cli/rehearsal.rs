//! A project of our own, beside whatever runs here: a topology brought up in a temporary place, with its
//! recordings, sockets and state there, free addresses and immediate restarts. It ends with its value.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use protocol::name::ProjectName;

use super::files::DEFAULT_FILE;
use super::{CliError, Context, Form, Globals, down, terminal};

/// Loop sources encode a minute first, the first time.
const UP_WITHIN: &str = "120s";

#[derive(Debug)]
pub(super) struct Rehearsal {
    context: Context,
    folder: PathBuf,
    is_up: bool,
}

impl Rehearsal {
    /// A place for it, under this name; nothing runs yet.
    pub(super) fn new(name: &str, topology: &Source<'_>) -> Result<Self, CliError> {
        let folder = std::env::temp_dir().join(format!("framevisor-{name}"));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|source| CliError::Write { path: folder.clone(), source })?;
        let files = match topology {
            Source::Files(files) => files.clone(),
            Source::Text(text) => vec![written(&folder, text)?],
        };
        let globals = Globals {
            project: name.parse::<ProjectName>().ok(),
            runtime_dir: Some(folder.join("run")),
            rehearsal: Some(folder.clone()),
        };
        let context = Context { files, form: Form::Text, globals };
        Ok(Self { context, folder, is_up: false })
    }

    /// Returns when everything flows.
    pub(super) fn up(&mut self) -> Result<(), CliError> {
        let program = std::env::current_exe().map_err(CliError::io("find this program"))?;
        let mut command = Command::new(program);
        command
            .args(self.context.arguments("up")?)
            .args(["--wait", "--timeout", UP_WITHIN])
            .env("XDG_STATE_HOME", self.folder.join("state"))
            .stdin(Stdio::null());
        // What does not flow may run all the same.
        self.is_up = true;
        let output = command.output().map_err(CliError::io("start the project"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(CliError::Rehearsal { said: String::from_utf8_lossy(&output.stderr).into_owned() })
    }

    pub(super) fn down(&mut self) -> Result<(), CliError> {
        self.is_up = false;
        down::run(&self.context).map(drop)
    }

    /// For verbs about it.
    pub(super) fn context(&self) -> &Context {
        &self.context
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        if self.is_up {
            match self.down() {
                // It never came up.
                Ok(()) | Err(CliError::Client(framevisor_client::Error::NotRunning { .. })) => {}
                Err(error) => terminal::talk(&error.to_string()),
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            terminal::talk(&format!("{} is left behind: {error}", self.folder.display()));
        }
    }
}

fn written(folder: &Path, text: &str) -> Result<PathBuf, CliError> {
    let path = folder.join(DEFAULT_FILE);
    match fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(CliError::Write { path, source }),
    }
}

/// Where its topology comes from.
pub(super) enum Source<'a> {
    Files(Vec<PathBuf>),
    Text(&'a str),
}
