//! Why a recording cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use fmp4::Damage;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {damage}; `framevisor recordings verify` tells how much of it is whole", path.display())]
    Damaged { path: PathBuf, damage: Damage },
    #[error(
        "a comment of {bytes} bytes with its tags: at most {max_bytes} are kept; say it in several"
    )]
    LongComment { bytes: usize, max_bytes: usize },
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    /// For `map_err`: names what was tried and on what.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// Whether the file is not there: retention may take one at any time.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
