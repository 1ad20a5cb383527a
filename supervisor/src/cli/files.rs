//! Which files are meant, and what they mean together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{CliError, Context};
use crate::topology::{self, Overrides, Topology};

pub(super) const DEFAULT_FILE: &str = "framevisor.yml";
/// Looked for in this order where no file is named.
const DEFAULT_FILES: [&str; 4] =
    [DEFAULT_FILE, "framevisor.yaml", "framevisor.toml", "framevisor.json"];

impl Context {
    /// What `-f` says, else the one that is here.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        if self.files.is_empty() { vec![default_file().into()] } else { self.files.clone() }
    }

    /// Whether there is a file to read, or one is at least named.
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty() || Path::new(default_file()).exists()
    }

    pub(super) fn reads_stdin(&self) -> bool {
        self.files.iter().any(|file| file == Path::new("-"))
    }

    pub(super) fn topology(&self) -> Result<Topology, CliError> {
        let read = topology::load(&self.files(), &self.overrides());
        let mut topology = read.map_err(CliError::Topology)?;
        if let Some(folder) = &self.globals.rehearsal {
            topology.rehearse(folder);
        }
        if let Some(playing) = &self.globals.playing {
            topology.replay(playing);
        }
        Ok(topology)
    }

    pub(super) fn overrides(&self) -> Overrides {
        Overrides { project: self.globals.project.clone(), ..Overrides::from_environment() }
    }

    /// Whether the command line names any.
    pub(super) fn names_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// The files as another process can read them while this one lives.
    pub(super) fn readable_files(&self) -> Result<Vec<PathBuf>, CliError> {
        let readable = |file: PathBuf| match file == Path::new("-") {
            true => Ok(topology::stdin_path()),
            false => std::path::absolute(&file).map_err(CliError::io("current directory")),
        };
        self.files().into_iter().map(readable).collect()
    }

    /// `-f FILE` for another process of this command, which may run elsewhere and see no stdin of
    /// ours: `keeps_stdin` if it does.
    pub(super) fn file_arguments(&self, keeps_stdin: bool) -> Result<Vec<OsString>, CliError> {
        let mut arguments = Vec::new();
        for file in self.files() {
            let is_stdin = file == Path::new("-");
            let file = match (is_stdin, keeps_stdin) {
                (true, true) => file,
                (true, false) => topology::stdin_path(),
                (false, _) if topology::is_stream(&file) => file,
                (false, _) => {
                    std::path::absolute(&file).map_err(CliError::io("current directory"))?
                }
            };
            arguments.extend(["--file".into(), file.into()]);
        }
        Ok(arguments)
    }
}

fn default_file() -> &'static str {
    let there = DEFAULT_FILES.into_iter().find(|file| Path::new(file).exists());
    there.unwrap_or(DEFAULT_FILE)
}
