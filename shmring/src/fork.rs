//! What fork(2) does to handles: they belong to the parent.
//!
//! A child shares the parent's lease page, locks and eventfds, and the memory of rings that the parent
//! writes; it has none of the parent's threads. If it used its copy of a handle it would end leases the
//! parent still holds; if it merely kept what it inherited, the locks would outlive the parent, and with
//! them its places, its leases, or a ring it writes. So every handle keeps a [`Birth`]: in a child it
//! refuses to work. And what a child must not share is listed in this module while it exists, and a
//! handler of pthread_atfork(3) takes it from every child: descriptors lead nowhere there, writable memory
//! becomes zeros of the child's own. Their numbers and addresses stay taken, so that a handle which the
//! child drops late frees nothing of anybody else; MADV_DONTFORK would leave holes for others to move
//! into. What is mapped read-only, pictures above all, stays.
//!
//! A lock belongs to an open file, which lives on in descriptors and mappings alike: of a lease page that
//! is mapped, a child loses both.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Once;

use nix::errno::Errno;
use nix::libc;

use crate::error::Error;
use crate::sync::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// How many forks lie between this process and the first one of this program that had a handle.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process a handle was made in. Asking is one load, not a system call, for readers ask at every
/// item; it takes that children are made by fork(3), not by a bare clone(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    pid: u32,
    forks: u32,
}

impl Birth {
    pub fn here() -> Self {
        static WATCHED: Once = Once::new();
        WATCHED.call_once(watch);
        Self { pid: std::process::id(), forks: FORKS.load(Ordering::Relaxed) }
    }

    /// That of a forked child.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> Self {
        let here = Self::here();
        Self { pid: 1, forks: here.forks + 1 }
    }

    #[inline]
    pub fn is_here(self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// [`Error::Forked`] in another process.
    #[inline]
    pub fn check(self) -> Result<(), Error> {
        if self.is_here() {
            return Ok(());
        }
        Err(Error::Forked { parent: self.pid, child: std::process::id() })
    }
}

/// Fails only for want of memory; forked children are then not told from their parents.
fn watch() {
    // SAFETY: the handlers are functions of this program without captures. They do what such handlers
    // may (signal-safety(7)): atomic operations, and in the child system calls.
    let _ = unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) };
}

/// Forks begun and forks over, seen from the process that forks.
static BEGUN: AtomicU32 = AtomicU32::new(0);
static OVER: AtomicU32 = AtomicU32::new(0);

extern "C" fn before_fork() {
    BEGUN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn after_fork() {
    OVER.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn in_child() {
    // Also those that other threads of the parent had begun, which are over in the parent only.
    OVER.store(BEGUN.load(Ordering::SeqCst), Ordering::SeqCst);
    FORKS.fetch_add(1, Ordering::Relaxed);
    let_go();
}

/// A stretch of time in which this process may have forked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    over_before: u32,
}

impl Stretch {
    pub(crate) fn begin() -> Self {
        // From here on forks are counted.
        Birth::here();
        Self { over_before: OVER.load(Ordering::SeqCst) }
    }

    /// Whether a fork went on at any moment since: a child may then share what was made meanwhile.
    pub(crate) fn saw_a_fork(self) -> bool {
        BEGUN.load(Ordering::SeqCst) != self.over_before
    }
}

/// A descriptor or memory that a forked child must not share, while this value exists. It is made before
/// the descriptor's lock is taken and dropped before the descriptor is closed.
#[derive(Debug)]
pub(crate) struct Unshared {
    entry: &'static Entry,
    birth: Birth,
}

impl Unshared {
    pub(crate) fn descriptor(descriptor: &impl AsFd) -> Self {
        let birth = Birth::here();
        let entry = Entry::take();
        entry.descriptor.store(descriptor.as_fd().as_raw_fd(), Ordering::Relaxed);
        entry.kind.store(DESCRIPTOR, Ordering::Release);
        Self { entry, birth }
    }

    /// Whole pages, mapped for writing.
    pub(crate) fn memory(start: NonNull<u8>, bytes: usize) -> Self {
        let birth = Birth::here();
        let entry = Entry::take();
        entry.start.store(start.as_ptr().expose_provenance(), Ordering::Relaxed);
        entry.bytes.store(bytes, Ordering::Relaxed);
        entry.kind.store(MEMORY, Ordering::Release);
        Self { entry, birth }
    }
}

impl Drop for Unshared {
    fn drop(&mut self) {
        // In a child the handler has freed it, and it may be another's by now.
        if self.birth.is_here() {
            self.entry.kind.store(FREE, Ordering::Release);
        }
    }
}

/// Of a list that only grows, to the most there ever was at once: so the handler walks it without locks
/// or memory.
#[derive(Debug)]
struct Entry {
    next: *const Self,
    kind: AtomicU32,
    descriptor: AtomicI32,
    start: AtomicUsize,
    bytes: AtomicUsize,
}

// SAFETY: `next` is written before the entry is shown to other threads, and never again; what it leads to
// is never freed. All else is atomic.
unsafe impl Sync for Entry {}

/// Values of [`Entry::kind`]. One that is taken says nothing yet.
const FREE: u32 = 0;
const TAKEN: u32 = 1;
const DESCRIPTOR: u32 = 2;
const MEMORY: u32 = 3;

static FIRST: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());

impl Entry {
    fn all() -> impl Iterator<Item = &'static Self> {
        // SAFETY: null, or an entry that was leaked by `add` after it was written.
        let first = unsafe { FIRST.load(Ordering::Acquire).as_ref() };
        // SAFETY: as above; `add` makes `next` of what it found in `FIRST`.
        std::iter::successors(first, |entry| unsafe { entry.next.as_ref() })
    }

    /// One that is nobody else's.
    fn take() -> &'static Self {
        let take = |entry: &&'static Self| {
            let taken =
                entry.kind.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
            taken.is_ok()
        };
        Self::all().find(take).unwrap_or_else(Self::add)
    }

    fn add() -> &'static Self {
        let entry = Box::leak(Box::new(Self {
            next: std::ptr::null(),
            kind: AtomicU32::new(TAKEN),
            descriptor: AtomicI32::new(-1),
            start: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }));
        let mut first = FIRST.load(Ordering::Acquire);
        loop {
            entry.next = first;
            let new: *mut Self = entry;
            match FIRST.compare_exchange(first, new, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: it was leaked above, and nobody writes to it but through its atomics.
                Ok(_) => return unsafe { &*new },
                Err(other) => first = other,
            }
        }
    }
}

/// Takes from a forked child what it must not share, before fork(3) returns there.
fn let_go() {
    let nowhere = lead_nowhere();
    // What the others are made names of; in a process that has no descriptor left, one of theirs.
    let mut target = nowhere;
    for entry in Entry::all() {
        match entry.kind.swap(FREE, Ordering::Acquire) {
            DESCRIPTOR => target = redirect(entry.descriptor.load(Ordering::Relaxed), target),
            MEMORY => replace_by_zeros(
                entry.start.load(Ordering::Relaxed),
                entry.bytes.load(Ordering::Relaxed),
            ),
            // Half made by another thread of the parent: it holds no lock yet.
            _ => {}
        }
    }
    // SAFETY: made above, and known to nobody else. -1 is refused.
    let _ = unsafe { libc::close(nowhere) };
}

/// An eventfd: made without a path, and without memory. -1 for want of a descriptor.
fn lead_nowhere() -> RawFd {
    // SAFETY: no memory is involved.
    unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }
}

/// Makes `descriptor` another name of `target`, as dup2(2), and again closed on exec; or, where `target`
/// is none, a target itself. Gives the target.
fn redirect(descriptor: RawFd, target: RawFd) -> RawFd {
    // Where the machine has no file left, what the child shares stays shared: its number would be free.
    if target < 0 && Errno::last() == Errno::EMFILE {
        let_go_of(descriptor);
        return lead_nowhere();
    }
    // SAFETY: no memory is involved. The owner of `descriptor` is a handle of the parent process that
    // refuses to work here, so nobody relies on what it led to; its number stays open, so a late close
    // hits no descriptor of anybody else.
    let made = unsafe { libc::dup3(target, descriptor, libc::O_CLOEXEC) };
    // Of a number that RLIMIT_NOFILE has since been lowered beneath (dup2(2)).
    if made < 0 && target >= 0 {
        let_go_of(descriptor);
    }
    target
}

/// Closes one whose number nobody takes before its owner is dropped: it is the only one free, for the
/// next target, or above what the process may have.
fn let_go_of(descriptor: RawFd) {
    // SAFETY: no memory is involved; the child has no other thread, and the descriptor's owner is a
    // handle that refuses to work here.
    let _ = unsafe { libc::close(descriptor) };
}

/// Puts private memory of zeros there, so that nothing done to it reaches its file.
fn replace_by_zeros(start: usize, bytes: usize) {
    let start = std::ptr::with_exposed_provenance_mut(start);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: a whole writable mapping of a ring's file, as its owner in the parent has listed it. It
    // stays mapped with the rights it had; its content is bytes that are accessed atomically or through
    // raw pointers only, by handles that refuse to work in this process.
    let _ = unsafe { libc::mmap(start, bytes, protection, flags, -1, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_unlisted_when_it_is_dropped_and_its_entry_is_used_again() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let listed = || {
            Entry::all().filter(|entry| {
                entry.kind.load(Ordering::Relaxed) == DESCRIPTOR
                    && entry.descriptor.load(Ordering::Relaxed) == file.as_raw_fd()
            })
        };
        let unshared: Vec<_> = (0..5).map(|_| Unshared::descriptor(&file)).collect();
        assert_eq!(listed().count(), 5);
        drop(unshared);
        assert_eq!(listed().count(), 0);
        let entries = Entry::all().count();
        for _ in 0..100 {
            drop(Unshared::descriptor(&file));
        }
        // Other tests list things of their own meanwhile.
        assert!(Entry::all().count() < entries + 50);
    }

    #[test]
    fn a_stretch_without_a_fork_is_told_from_one_with_a_fork_at_any_moment_of_it() {
        let at = |over_before| Stretch { over_before };
        let begun = BEGUN.load(Ordering::SeqCst);
        assert!(!at(begun).saw_a_fork());
        assert!(at(begun.wrapping_sub(1)).saw_a_fork(), "begun before or since");
    }

    #[test]
    fn a_handle_of_another_process_says_so() {
        assert!(Birth::here().check().is_ok());
        let error = Birth::elsewhere().check().unwrap_err().to_string();
        assert!(error.contains("process 1,") && error.contains("attach again"), "{error}");
    }
}
