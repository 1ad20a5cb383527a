//! What os.fork() does to handles: they belong to the parent.
//!
//! A child shares the parent's lease page and its locks. If it used its copy of a handle it would end
//! leases the parent still holds; if it merely kept what it inherited, the locks would outlive the
//! parent, and with them its places, its leases, or a ring it writes. So in a child every handle
//! refuses to work and is forgotten instead of dropped, and all that holds a lock is let go at once.

use std::fs;
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::fd::RawFd;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Forked;
use crate::project::{FOLDER, PREFIX};
use crate::raw;

/// The process a handle was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(u32);

impl Birth {
    pub(crate) fn here() -> Self {
        Self(std::process::id())
    }

    pub(crate) fn is_here(self) -> bool {
        self == Self::here()
    }

    pub(crate) fn check(self) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(Forked::new_err(format!(
            "this handle belongs to process {}, this is its forked child {}; attach again here",
            self.0,
            std::process::id()
        )))
    }
}

/// Asks the interpreter to call [`let_go`] in every child.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(let_go, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}

/// Gives up the child's share of every lock. A lock belongs to an open file, which lives on in
/// descriptors and in mappings alike: descriptors of ring files are pointed at /dev/null, and lease
/// pages, the only files both locked and mapped, become empty memory of the child's own. Pictures stay
/// mapped.
#[pyfunction]
#[pyo3(name = "_let_go")]
fn let_go() {
    for page in lease_pages() {
        raw::replace_by_zeros(page);
    }
    let Ok(nothing) = OpenOptions::new().read(true).open("/dev/null") else {
        return;
    };
    for descriptor in ring_descriptors() {
        raw::redirect(descriptor, &nothing);
    }
}

/// Empty, as [`lease_pages`], where /proc is not mounted: the child then keeps its share until it ends.
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

fn lease_pages() -> Vec<Range<usize>> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(lease_page).collect()
}

/// The addresses of a line of proc_pid_maps(5) that shows a lease page.
fn lease_page(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    // An unlinked file is followed by the word "(deleted)".
    let (_, suffix) = ring_file(fields.nth(4)?)?.rsplit_once('.')?;
    suffix.strip_prefix('l')?.parse::<u32>().ok()?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

/// The name of a ring's file.
fn ring_file(path: &str) -> Option<&str> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    name.starts_with(PREFIX).then_some(name)
}
