//! Mapped memory: the only source of pointers in this crate.
//!
//! A mapping is made once, its length is proven once, and every access goes through a checked
//! offset. Memory that another process writes is never seen as a reference to plain data: shared
//! words are atomics, byte ranges are copied as relaxed atomic words and validated by the caller.

use std::fs;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, posix_fallocate};
use nix::libc;
use nix::sys::mman::{MRemapFlags, MapFlags, ProtFlags, mmap, mmap_anonymous, mremap, munmap};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;
use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::error::{Error, io};
use crate::fork::Unshared;
use crate::lock::Locked;
use crate::segments::DIR;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const WRITABLE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// A shared mapping of a file.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    /// Of a mapping for writing. Dropped before it is unmapped.
    _unshared: Option<Unshared>,
    /// What unmaps it; held for its drop only.
    _hold: Hold,
}

enum Hold {
    Created { _shmem: Shmem },
    Opened { _map: OpenedMap },
}

// SAFETY: the mapping is plain memory that stays mapped until drop; every access through it is an
// atomic or goes through a raw pointer whose user argues for itself.
unsafe impl Send for Mapping {}
// SAFETY: as above: shared access is by atomics only.
unsafe impl Sync for Mapping {}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapping").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// A segment in the making, mapped for writing and with every byte reserved. Dropping it without
/// [`Self::link`] removes it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) mapping: Mapping,
    /// A description of our own, for locks and modes.
    pub(crate) file: Locked,
    /// `None` for one that never has a name.
    name: Option<Temporary>,
}

/// A name that goes with the value.
#[derive(Debug)]
struct Temporary(String);

impl Temporary {
    fn path(&self) -> PathBuf {
        Path::new(DIR).join(&self.0)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

impl Draft {
    /// Creates `name` (temporary) with `bytes` reserved, so that a full /dev/shm is an error here
    /// and never a SIGBUS later.
    pub(crate) fn create(name: String, bytes: usize) -> Result<Self, Error> {
        let name = Temporary(name);
        let path = name.path();
        if isize::try_from(bytes).is_err() {
            return Err(no_space_or(Errno::EFBIG, &path, bytes));
        }
        let shmem = create_shmem(&name.0, &path, bytes)?;
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let file = open(&path, flags, Mode::empty()).map_err(|source| io(&path, source))?;
        reserve(&path, &file, bytes)?;
        let base = NonNull::new(shmem.as_ptr()).ok_or_else(|| io(&path, Errno::ENOMEM))?;
        let hold = Hold::Created { _shmem: shmem };
        let mapping = Mapping::new(base, bytes, Access::ReadWrite, hold);
        Ok(Self { mapping, file: Locked::new(file), name: Some(name) })
    }

    /// Shows the finished file under its public name.
    pub(crate) fn link(self, path: &Path) -> Result<(Mapping, Locked), Error> {
        let name = self.name.as_ref().ok_or_else(|| io(path, Errno::ENOENT))?;
        fs::hard_link(name.path(), path).map_err(|error| {
            io(path, Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)))
        })?;
        Ok((self.mapping, self.file))
    }

    /// One of memory without a name.
    pub(crate) fn unnamed(mapping: Mapping, file: OwnedFd) -> Self {
        Self { mapping, file: Locked::new(file), name: None }
    }

    pub(crate) fn into_parts(self) -> (Mapping, Locked) {
        (self.mapping, self.file)
    }
}

fn create_shmem(name: &str, path: &Path, bytes: usize) -> Result<Shmem, Error> {
    let created = ShmemConf::new().os_id(name).size(bytes).create();
    let mut shmem = created.map_err(|error| match error {
        ShmemError::MappingIdExists => io(path, Errno::EEXIST),
        ShmemError::MapCreateFailed(code) | ShmemError::UnknownOsError(code) => {
            let source = Errno::from_raw(i32::try_from(code).unwrap_or(libc::EIO));
            no_space_or(source, path, bytes)
        }
        _ => io(path, Errno::EIO),
    })?;
    // The crate's owner unlinks by name on drop, even a successor's file: names are ours to manage.
    shmem.set_owner(false);
    Ok(shmem)
}

/// Makes the file's first `bytes` bytes real memory.
pub(crate) fn reserve(path: &Path, file: &OwnedFd, bytes: usize) -> Result<(), Error> {
    let length = libc::off_t::try_from(bytes).map_err(|_| io(path, Errno::EFBIG))?;
    loop {
        match posix_fallocate(file, 0, length) {
            // The tmpfs of kernels before 6.18 gives up when a signal comes, and a worker gets some.
            Err(Errno::EINTR) => {}
            done => return done.map_err(|source| no_space_or(source, path, bytes)),
        }
    }
}

/// Maps a locked file for writing when only this user may write it, and so cut it off under the mapping:
/// a process of the same user can end this one in simpler ways. `None` when others may, or when the name
/// leads there no more.
///
/// By a description of its own: one that holds a lock must not be mapped (`fork`).
pub(crate) fn map_if_ours_alone(path: &Path, locked: impl AsFd, bytes: usize) -> Option<Mapping> {
    let others = Mode::S_IWGRP | Mode::S_IWOTH;
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let file = open(path, flags, Mode::empty()).ok()?;
    let (known, seen) = (fstat(locked).ok()?, fstat(&file).ok()?);
    let is_same = (known.st_dev, known.st_ino) == (seen.st_dev, seen.st_ino);
    let is_ours = seen.st_uid == geteuid().as_raw()
        && !Mode::from_bits_truncate(seen.st_mode).intersects(others);
    if !is_same || !is_ours {
        return None;
    }
    Mapping::open(path, &file, bytes, Access::ReadWrite).ok()
}

/// Bytes of an open file.
pub(crate) fn size(path: &Path, file: &OwnedFd) -> Result<usize, Error> {
    let stat = fstat(file).map_err(|source| io(path, source))?;
    Ok(usize::try_from(stat.st_size).unwrap_or(0))
}

fn no_space_or(source: Errno, path: &Path, bytes: usize) -> Error {
    match source {
        // ENOMEM: more than the address space or the control group has.
        Errno::ENOSPC | Errno::ENOMEM | Errno::EFBIG => {
            // The ring's name, not the temporary one: the same trouble is the same text each time.
            let name = path.to_string_lossy();
            let ring = name.split(".tmp-").next().unwrap_or_default();
            Error::NoSpace { file: PathBuf::from(ring), needed_bytes: bytes }
        }
        other => io(path, other),
    }
}

/// A mapping made by ourselves from a descriptor.
struct OpenedMap {
    base: NonNull<libc::c_void>,
    bytes: usize,
}

impl Drop for OpenedMap {
    fn drop(&mut self) {
        // SAFETY: base and bytes are what mmap gave, and `Mapping` hands out no pointer that
        // outlives it.
        let _ = unsafe { munmap(self.base, self.bytes) };
    }
}

/// How an existing file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

impl Mapping {
    fn new(base: NonNull<u8>, bytes: usize, access: Access, hold: Hold) -> Self {
        let unshared = (access == Access::ReadWrite).then(|| Unshared::memory(base, bytes));
        Self { base, bytes, _unshared: unshared, _hold: hold }
    }

    /// Maps an existing file whole. `at_least` is what the caller will address.
    pub(crate) fn open(
        path: &Path,
        file: impl AsFd,
        at_least: usize,
        access: Access,
    ) -> Result<Self, Error> {
        let length = NonZeroUsize::new(at_least).ok_or_else(|| io(path, Errno::EINVAL))?;
        let protection = match access {
            Access::Read => ProtFlags::PROT_READ,
            Access::ReadWrite => WRITABLE,
        };
        // SAFETY: a fresh address chosen by the kernel; nothing existing is replaced.
        let mapped = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) };
        let base = mapped.map_err(|source| io(path, source))?;
        let hold = Hold::Opened { _map: OpenedMap { base, bytes: at_least } };
        Ok(Self::new(base.cast(), at_least, access, hold))
    }

    /// Maps `bytes` bytes from `offset`, a whole page, for writing, and touches them all.
    pub(crate) fn open_part(
        path: &Path,
        file: impl AsFd,
        offset: usize,
        bytes: usize,
    ) -> Result<Self, Error> {
        let invalid = || io(path, Errno::EINVAL);
        let length = NonZeroUsize::new(bytes).ok_or_else(invalid)?;
        let offset = libc::off_t::try_from(offset).map_err(|_| invalid())?;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        // SAFETY: a fresh address chosen by the kernel; nothing existing is replaced.
        let mapped = unsafe { mmap(None, length, WRITABLE, flags, file, offset) };
        let base = mapped.map_err(|source| io(path, source))?;
        let hold = Hold::Opened { _map: OpenedMap { base, bytes } };
        Ok(Self::new(base.cast(), bytes, Access::ReadWrite, hold))
    }

    /// A second mapping of `bytes` of its bytes from `at`, a whole page, with the same rights.
    pub(crate) fn again(&self, path: &Path, at: usize, bytes: usize) -> Result<Self, Error> {
        let from = self.range(at, bytes).cast();
        // "Of length zero" is how mremap(2) is told to keep the old mapping of shared pages.
        let (old_bytes, flags) = (0, MRemapFlags::MREMAP_MAYMOVE);
        // SAFETY: the range is inside this mapping, which is shared and stays; the new one is at an
        // address of the kernel's choosing, so nothing existing is replaced.
        let mapped = unsafe { mremap(from, old_bytes, bytes, flags, None) };
        let base = mapped.map_err(|source| io(path, source))?;
        let hold = Hold::Opened { _map: OpenedMap { base, bytes } };
        Ok(Self::new(base.cast(), bytes, Access::ReadWrite, hold))
    }

    /// Puts private memory of zeros in its place, at the same address.
    pub(crate) fn become_zeros(&self) -> Result<(), Error> {
        let failed = |source| io(Path::new("a window on a slot"), source);
        let address = NonZeroUsize::new(self.base.as_ptr().expose_provenance());
        let length = NonZeroUsize::new(self.bytes).ok_or_else(|| failed(Errno::EINVAL))?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
        // SAFETY: what is replaced is exactly this mapping, which stays ours and of its length; it holds
        // no Rust object, only bytes that its users read and write through raw pointers.
        let mapped = unsafe { mmap_anonymous(address, length, WRITABLE, flags) };
        mapped.map(drop).map_err(failed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The u64 at `at`.
    #[inline(always)]
    pub(crate) fn word(&self, at: usize) -> &AtomicU64 {
        let pointer = self.range(at, 8).cast::<u64>();
        assert!(at.is_multiple_of(8), "word at {at} is not aligned");
        // SAFETY: in range by `range`, aligned by the assertion on a page-aligned base, and mapped
        // for as long as `self`; the word is only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(pointer.as_ptr()) }
    }

    /// The u32 at `at`.
    #[inline(always)]
    pub(crate) fn half(&self, at: usize) -> &AtomicU32 {
        let pointer = self.range(at, 4).cast::<u32>();
        assert!(at.is_multiple_of(4), "half word at {at} is not aligned");
        // SAFETY: as in `word`.
        unsafe { AtomicU32::from_ptr(pointer.as_ptr()) }
    }

    /// The `count` u64 from `at`, checked once: a packet is thousands of them.
    fn words(&self, at: usize, count: usize) -> &[AtomicU64] {
        let pointer = self.range(at, count.saturating_mul(8)).cast::<AtomicU64>();
        assert!(at.is_multiple_of(8), "words at {at} are not aligned");
        // SAFETY: in range by `range`, aligned by the assertion on a page-aligned base, and mapped for
        // as long as `self`; an AtomicU64 has the layout of a u64, of which every value is one, and may
        // be changed by others while it is referred to.
        unsafe { std::slice::from_raw_parts(pointer.as_ptr(), count) }
    }

    /// The `N` u64 from `at`.
    #[inline(always)]
    pub(crate) fn block<const N: usize>(&self, at: usize) -> &[AtomicU64; N] {
        let pointer = self.range(at, N * 8).cast::<[AtomicU64; N]>();
        assert!(at.is_multiple_of(8), "words at {at} are not aligned");
        // SAFETY: as in `words`.
        unsafe { pointer.as_ref() }
    }

    /// Lets the processor fetch `N` lines from `at`, if they lie in the mapping, while the caller goes on:
    /// another process has just written them, and they are needed in a moment. Changes nothing but the time
    /// that takes.
    #[inline(always)]
    pub(crate) fn fetch_lines<const N: usize>(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if at.saturating_add(N * 64) <= self.bytes {
            for line in 0..N {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                // SAFETY: below `self.bytes`, by the comparison.
                let address = unsafe { self.base.add(at + line * 64) };
                // SAFETY: a hint, which reads nothing the program sees and never faults.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(address.as_ptr().cast()) };
            }
        }
    }

    /// As [`Self::fetch_lines`], for lines that the caller is about to write: a fence behind that write then
    /// does not wait for another processor to let go of them.
    #[inline(always)]
    pub(crate) fn fetch_to_write<const N: usize>(&self, at: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if at.saturating_add(N * 64) <= self.bytes {
            for line in 0..N {
                // SAFETY: below `self.bytes`, by the comparison.
                let address = unsafe { self.base.add(at + line * 64) };
                // SAFETY: a hint, which changes nothing the program sees and never faults; processors that
                // do not know it do nothing.
                unsafe {
                    std::arch::asm!(
                        "prefetchw [{}]",
                        in(reg) address.as_ptr(),
                        options(nostack, preserves_flags, readonly)
                    );
                }
            }
        }
    }

    /// [`Self::fetch_lines`] of the line that `at` lies in.
    #[inline(always)]
    pub(crate) fn fetch_line(&self, at: usize) {
        self.fetch_lines::<1>(at / 64 * 64);
    }

    /// Copies `into.len()` bytes out, word by word. They may be torn: the caller validates.
    pub(crate) fn copy_out(&self, at: usize, into: &mut [u8]) {
        let words = self.words(at, into.len().div_ceil(8));
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed).to_le_bytes();
        let (whole, rest) = into.as_chunks_mut::<8>();
        for (chunk, word) in whole.iter_mut().zip(words) {
            *chunk = load(word);
        }
        if let Some(word) = words.get(whole.len()) {
            rest.copy_from_slice(&load(word)[..rest.len()]);
        }
    }

    /// Copies `from` in, word by word; the last word is filled up with zeros.
    pub(crate) fn copy_in(&self, at: usize, from: &[u8]) {
        let words = self.words(at, from.len().div_ceil(8));
        let store = |word: &AtomicU64, bytes| {
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        };
        let (whole, rest) = from.as_chunks::<8>();
        for (word, chunk) in words.iter().zip(whole) {
            store(word, *chunk);
        }
        if let Some(word) = words.get(whole.len()) {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            store(word, last);
        }
    }

    /// The address of `bytes` bytes from `at`; panics outside the mapping, which only a bug of this
    /// crate can cause: everything read from shared memory is checked before it gets here.
    #[inline(always)]
    pub(crate) fn range(&self, at: usize, bytes: usize) -> NonNull<u8> {
        let end = at.checked_add(bytes).filter(|end| *end <= self.bytes);
        assert!(end.is_some(), "{bytes} bytes at {at} lie outside a mapping of {}", self.bytes);
        // SAFETY: at <= self.bytes, so the result lies within the mapping or just behind it.
        unsafe { self.base.add(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_shortage_is_the_same_text_each_time() {
        let said = |name: &str| {
            no_space_or(Errno::ENOSPC, &Path::new("/dev/shm").join(name), 4096).to_string()
        };
        assert_eq!(said("fv.p.cam.frames.tmp-1-a"), said("fv.p.cam.frames.tmp-1-b"));
        assert!(said("fv.p.cam.frames.tmp-1-a").starts_with("/dev/shm/fv.p.cam.frames: no room"));
    }
}
