//! Segments without a name: memory files, sealed once they are finished.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fchmod, fstat};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use crate::error::{Error, io};
use crate::segment;

/// Nobody can make it longer or shorter, or take a seal off.
fn of_its_reader() -> SealFlags {
    SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL
}

/// And nobody can write it but through the mapping its maker has.
fn of_its_maker() -> SealFlags {
    of_its_reader() | SealFlags::FUTURE_WRITE
}

/// An unsealed file of `bytes` reserved bytes. `path` is what errors call it.
pub(crate) fn create(path: &Path, bytes: usize) -> Result<OwnedFd, Error> {
    let failed = |source| io(path, source);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("ring");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create(name, flags).map_err(|error| failed(errno(error)))?;
    // Others cannot open it anew through /proc with more rights than they were given.
    fchmod(&file, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
    segment::reserve(path, &file, bytes)?;
    Ok(file)
}

pub(crate) fn seal_for_maker(path: &Path, file: &OwnedFd) -> Result<(), Error> {
    fcntl_add_seals(file, of_its_maker()).map_err(|error| io(path, errno(error)))
}

pub(crate) fn seal_for_reader(path: &Path, file: &OwnedFd) -> Result<(), Error> {
    fcntl_add_seals(file, of_its_reader()).map_err(|error| io(path, errno(error)))
}

/// Whether readers are safe with it: no access to it can fail, and only its maker writes it.
pub(crate) fn is_sealed(file: &OwnedFd) -> bool {
    fcntl_get_seals(file).is_ok_and(|seals| seals.contains(of_its_maker()))
}

/// A description of its own: locks and rights are not shared with `file`'s.
pub(crate) fn reopen(file: impl AsFd, access: OFlag) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    open(path.as_str(), access | OFlag::O_CLOEXEC, Mode::empty())
}

pub(crate) fn inode(file: &OwnedFd) -> u64 {
    fstat(file).map_or(0, |stat| stat.st_ino)
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}
