//! Why a camera cannot be recorded at the moment. None of it ends the recorder: it is shown as the
//! worker's condition, and tried again.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {doing} {}: {source}; {}", path.display(), cure(source))]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// The ring lost packets in the middle of a joint; the files are settled and joined anew.
    #[error("the ring moved on while the last group of pictures was recorded again")]
    JointBroken,
    #[error(transparent)]
    Movie(#[from] fmp4::Error),
    #[error(transparent)]
    Ring(#[from] worker::Fault),
    #[error(
        "{}: another recorder writes here ({holder}); end it, or give this one another `dir`",
        folder.display()
    )]
    Taken { folder: PathBuf, holder: String },
}

impl Error {
    /// For `map_err`: names what was tried and on what.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free space there; recording then goes on by itself"
        }
        io::ErrorKind::PermissionDenied => "let the recorder's user write there",
        io::ErrorKind::ReadOnlyFilesystem => "mount it writable",
        _ => "tried again each second",
    }
}
