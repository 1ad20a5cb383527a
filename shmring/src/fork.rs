//! What fork(2) does to handles: they belong to the parent.
//!
//! A child shares the parent's lease page and its locks. If it used its copy of a handle it would end
//! leases the parent still holds; if it merely kept what it inherited, the locks would outlive the
//! parent, and with them its places, its leases, or a ring it writes. So every handle keeps a [`Birth`]:
//! in a child it refuses to work, and the faces for languages in which programs fork forget it there
//! instead of dropping it. [`let_go`] gives up all that holds a lock at once.

use std::fs;
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Once;

use nix::libc;

use crate::error::Error;
use crate::segments;
use crate::sync::{AtomicU32, Ordering};

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

    pub fn is_here(self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// [`Error::Forked`] in another process.
    pub fn check(self) -> Result<(), Error> {
        if self.is_here() {
            return Ok(());
        }
        Err(Error::Forked { parent: self.pid, child: std::process::id() })
    }
}

/// Fails only for want of memory; forked children are then not told from their parents.
fn watch() {
    // SAFETY: the handler is a function of this program without captures. It does what a handler of a
    // forked child may (signal-safety(7)): an atomic addition.
    let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Gives up a forked child's share of every lock; to be called there, before anything else of this
/// crate: in any other process it ends all that the process has of rings.
///
/// A lock belongs to an open file, which lives on in descriptors and in mappings alike: descriptors of
/// ring files are pointed at /dev/null, and what is mapped for writing, the rings that the parent writes,
/// becomes empty memory of the child's own. Pictures that are read stay mapped.
pub fn let_go() {
    for range in writable_ranges() {
        replace_by_zeros(range);
    }
    let Ok(nothing) = OpenOptions::new().read(true).open("/dev/null") else {
        return;
    };
    for descriptor in ring_descriptors() {
        redirect(descriptor, &nothing);
    }
}

/// Empty, as [`writable_ranges`], where /proc is not mounted: the child then keeps its share until it ends.
fn ring_descriptors() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            ring_file(fs::read_link(entry.path()).ok()?.to_str()?)?;
            entry.file_name().to_str()?.parse().ok()
        })
        .collect()
}

fn writable_ranges() -> Vec<Range<usize>> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(writable_range).collect()
}

/// The addresses of a line of proc_pid_maps(5) that shows a ring's file mapped for writing.
fn writable_range(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    fields.next().filter(|rights| *rights == "rw-s")?;
    ring_file(fields.nth(3)?)?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

/// The name of a ring's file.
fn ring_file(path: &str) -> Option<&str> {
    let name = path.strip_prefix(segments::DIR)?.strip_prefix('/')?;
    name.starts_with(segments::PREFIX).then_some(name)
}

/// Makes `descriptor` another name of `target`, as dup2(2), and again closed on exec.
fn redirect(descriptor: RawFd, target: &impl AsRawFd) {
    let flags = libc::O_CLOEXEC;
    // SAFETY: no memory is involved. The owner of `descriptor` is a ring handle of the parent process
    // that this child forgets or refuses, so nobody relies on what it led to; its number stays open,
    // so a late close hits no descriptor of anybody else.
    let _ = unsafe { libc::dup3(target.as_raw_fd(), descriptor, flags) };
}

/// Puts private memory of zeros where `range` was, so that nothing done to it reaches its file.
fn replace_by_zeros(range: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the caller names a whole writable mapping of a ring's file. It stays mapped with the rights
    // it had; its content is bytes that are accessed atomically or through raw pointers only, by handles
    // that refuse to work in this process.
    let _ = unsafe { libc::mmap(start, range.len(), protection, flags, -1, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_for_writing_is_told_from_the_other_lines_of_maps() {
        let line = |rights: &str, file: &str| {
            format!("7f0000001000-7f0000002000 {rights} 00000000 00:1a 77   {file}")
        };
        let range = |rights: &str, file: &str| writable_range(&line(rights, file));
        let whole = Some(0x7f00_0000_1000..0x7f00_0000_2000);
        assert_eq!(range("rw-s", "/dev/shm/fv.demo.cam1.frames.e1"), whole);
        assert_eq!(range("rw-s", "/dev/shm/fv.demo.cam1.frames.e1.g1 (deleted)"), whole);
        assert_eq!(range("r--s", "/dev/shm/fv.demo.cam1.frames.e1.g1"), None);
        for other in ["/dev/shm/other", "/x.l3", ""] {
            assert_eq!(range("rw-s", other), None, "{other}");
        }
    }

    #[test]
    fn a_handle_of_another_process_says_so() {
        assert!(Birth::here().check().is_ok());
        let elsewhere = Birth { pid: 1, forks: Birth::here().forks + 1 };
        let error = elsewhere.check().unwrap_err().to_string();
        assert!(error.contains("process 1,") && error.contains("attach again"), "{error}");
    }
}
