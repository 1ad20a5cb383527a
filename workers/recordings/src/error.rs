//! Why a recording cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use fmp4::Damage;
use nix::libc;

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

    /// The file, when it is there and the disk or what it holds does not let it be read.
    pub(crate) fn damaged(&self) -> Option<&Path> {
        match self {
            Self::Damaged { path, .. } => Some(path),
            Self::File { path, source, .. } => is_damage(source).then_some(path),
            Self::LongComment { .. } => None,
        }
    }

    /// Whether the file is not there: retention may take one at any time.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What a disk or a file system says of bytes that it cannot give back. The others, as too many open files or no
/// permission, are no matter of one file.
fn is_damage(error: &io::Error) -> bool {
    let codes = [libc::EIO, libc::EBADMSG, libc::EUCLEAN, libc::ENODATA];
    let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
    is_short || error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_cannot_read_is_damage_of_the_file_and_what_the_process_may_not_do_is_none() {
        let of =
            |code| Error::io("read", Path::new("/r/x.mp4"))(io::Error::from_raw_os_error(code));
        assert_eq!(of(libc::EIO).damaged(), Some(Path::new("/r/x.mp4")));
        assert_eq!(of(libc::EMFILE).damaged(), None);
        assert_eq!(of(libc::EACCES).damaged(), None);
        assert_eq!(of(libc::ENOENT).damaged(), None);
    }
}
