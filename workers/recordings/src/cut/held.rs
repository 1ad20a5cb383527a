//! Recordings that are read stay until they are read: retention lets those be that somebody holds.

use std::path::PathBuf;

use crate::error::Error;
use crate::hold::{Hold, hold};

/// As long as it lives the files stay.
#[derive(Debug)]
pub(super) struct Held {
    _holds: Vec<Hold>,
    /// All of the files were there.
    pub(super) is_whole: bool,
}

impl Held {
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut holds = Vec::with_capacity(paths.len());
        for path in paths {
            holds.extend(hold(path).map_err(Error::io("open", path))?);
        }
        Ok(Self { is_whole: holds.len() == paths.len(), _holds: holds })
    }
}
