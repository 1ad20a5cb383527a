//! Why a camera cannot be recorded at the moment. None of it ends the recorder: it is shown as the
//! worker's condition, and tried again.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::disk::Stranger;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}cannot {doing} {}: {source}; {}", state(source), path.display(), cure(source))]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// The ring lost packets in the middle of a joint; the files are settled and joined anew.
    #[error("the ring moved on while the last group of pictures was recorded again")]
    JointBroken,
    #[error(transparent)]
    Movie(#[from] fmp4::Error),
    #[error("{}: removed or moved while it was being written; recording goes on in another file", .0.display())]
    Removed(PathBuf),
    #[error(transparent)]
    Ring(#[from] worker::Fault),
    #[error(transparent)]
    Stranger(#[from] Stranger),
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

/// What state of the disk shows in this, for who looks for a word.
fn state(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "disk full: "
        }
        ErrorKind::NotFound => "directory missing: ",
        ErrorKind::ReadOnlyFilesystem => "disk read-only: ",
        _ if is_of_disk(source) => "disk failing: ",
        _ => "",
    }
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free space there; recording then goes on by itself"
        }
        ErrorKind::FileTooLarge => "let its files be larger (RLIMIT_FSIZE, or the file system)",
        ErrorKind::PermissionDenied => "let the recorder's user write there",
        ErrorKind::ReadOnlyFilesystem => {
            "mount it writable; one that was is made read-only by the kernel when its disk fails: see `dmesg`"
        }
        _ if is_of_disk(source) => "see `dmesg`; tried again each second",
        _ => "tried again each second",
    }
}

/// The device itself says no.
fn is_of_disk(source: &io::Error) -> bool {
    let errno = source.raw_os_error().map(Errno::from_raw);
    let of_disk = [Errno::EIO, Errno::ENXIO, Errno::ENODEV, Errno::EUCLEAN, Errno::ENOMEDIUM];
    errno.is_some_and(|errno| of_disk.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(errno: Errno) -> String {
        Error::io("write", Path::new("/r/a.mp4"))(errno.into()).to_string()
    }

    #[test]
    fn trouble_begins_with_the_state_of_the_disk_and_ends_with_what_to_do() {
        for (errno, state, cure) in [
            (Errno::ENOSPC, "disk full: cannot write /r/a.mp4: No space left", "free space there"),
            (Errno::EDQUOT, "disk full: ", "free space there"),
            (Errno::EIO, "disk failing: ", "see `dmesg`"),
            (Errno::EROFS, "disk read-only: ", "mount it writable"),
            (Errno::ENOENT, "directory missing: ", "tried again each second"),
            (Errno::EACCES, "cannot write /r/a.mp4: ", "let the recorder's user write there"),
        ] {
            let told = told(errno);
            assert!(told.starts_with(state) && told.contains(cure), "{told}");
        }
    }
}
