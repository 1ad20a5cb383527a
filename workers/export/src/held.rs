//! Recordings that are read stay until they are read: retention lets those be that somebody holds.

use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use recordings::{Hold, hold};

use crate::error::ExportError;

/// As long as it lives the files stay.
#[derive(Debug)]
pub(crate) struct Held {
    _holds: Vec<Hold>,
    /// All of the files were there.
    pub(crate) is_whole: bool,
}

impl Held {
    pub(crate) fn of(paths: &[PathBuf]) -> Result<Self, ExportError> {
        let mut holds = Vec::with_capacity(paths.len());
        for path in paths {
            holds.extend(hold(path).map_err(ExportError::io("open", path))?);
        }
        Ok(Self { is_whole: holds.len() == paths.len(), _holds: holds })
    }
}

/// A file for each minute and camera may be open at once: as many as the system allows.
pub(crate) fn allow_many_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it, long exports say that too many files are open.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
