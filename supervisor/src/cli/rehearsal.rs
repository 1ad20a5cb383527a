//! A project of our own, beside whatever runs here: a topology brought up in a temporary place, with its
//! recordings, sockets and state there, free addresses and immediate restarts. It ends with its value.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use protocol::name::ProjectName;

use super::client::Client;
use super::files::DEFAULT_FILE;
use super::interrupt::Interrupt;
use super::{CliError, Context, Form, Globals, down, terminal};

/// Loop sources encode a minute first, the first time.
const UP_WITHIN: &str = "120s";
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
            // Killed, we could end nothing.
            rehearsed_by: Some(std::process::id()),
            playing: None,
        };
        let context = Context { files, form: Form::Text, globals };
        Ok(Self { context, folder, is_up: false })
    }

    /// A project of this context as it is; its state alone is in a temporary place, and goes with it.
    pub(super) fn of(context: Context, name: &str) -> Result<Self, CliError> {
        let folder = std::env::temp_dir().join(format!("framevisor-{name}-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|source| CliError::Write { path: folder.clone(), source })?;
        Ok(Self { context, folder, is_up: false })
    }

    /// Returns when everything flows, or, with an error, when the user has had enough.
    pub(super) fn up(&mut self, interrupt: &Interrupt) -> Result<(), CliError> {
        self.up_with(&["--wait", "--timeout", UP_WITHIN], interrupt)
    }

    /// Returns when its supervisor answers: what flows comes later.
    pub(super) fn up_idle(&mut self, interrupt: &Interrupt) -> Result<(), CliError> {
        self.up_with(&["--detach"], interrupt)
    }

    fn up_with(&mut self, words: &[&str], interrupt: &Interrupt) -> Result<(), CliError> {
        // A file and no pipe: the project may hold its end long after `up` has ended.
        let said = self.folder.join("said");
        let mut up = self.start(&said, words)?;
        // What does not flow may run all the same.
        self.is_up = true;
        let ended = loop {
            let ended = up.try_wait().map_err(CliError::io("start the project"))?;
            match ended {
                None if interrupt.came() && self.answers() => return self.give_up(&mut up),
                None => thread::sleep(LOOK_EVERY),
                Some(status) => break status,
            }
        };
        if ended.success() {
            return Ok(());
        }
        let said = fs::read(&said).unwrap_or_default();
        Err(CliError::Rehearsal { said: String::from_utf8_lossy(&said).into_owned() })
    }

    fn start(&self, said: &Path, words: &[&str]) -> Result<Child, CliError> {
        let program = std::env::current_exe().map_err(CliError::io("find this program"))?;
        let file = File::create(said);
        let file = file.map_err(|source| CliError::Write { path: said.to_owned(), source })?;
        let mut command = Command::new(program);
        command
            .args(self.context.arguments("up")?)
            .args(words)
            .env("XDG_STATE_HOME", self.folder.join("state"))
            // The terminal's Ctrl-C is for us, who end it in order: killed halfway, it would leave a
            // project behind that nobody can reach yet.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        command.spawn().map_err(CliError::io("start the project"))
    }

    /// Whether it can be told to end.
    fn answers(&self) -> bool {
        self.context.place().is_ok_and(|place| Client::connect(&place).is_ok())
    }

    fn give_up(&mut self, up: &mut Child) -> Result<(), CliError> {
        self.down()?;
        // It sees the end of the project, and ends with it.
        up.wait().map_err(CliError::io("start the project"))?;
        Err(CliError::Interrupted)
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
