//! What os.fork() does to handles: they belong to the parent.
//!
//! A child shares the parent's lease page and its locks. If it used its copy of a handle it would end
//! leases the parent still holds; if it merely kept the descriptors, the locks would outlive the
//! parent, and with them its places, its leases, or a ring it writes. So in a child every handle
//! refuses to work and is forgotten instead of dropped, and every ring descriptor is let go at once.

use std::fs;
use std::fs::OpenOptions;
use std::os::fd::RawFd;
use std::path::Path;

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

/// Points every descriptor of a ring file at /dev/null, which gives up the child's share of its lock.
/// Pictures stay mapped: a mapping needs no descriptor.
#[pyfunction]
#[pyo3(name = "_let_go")]
fn let_go() {
    let Ok(nothing) = OpenOptions::new().read(true).open("/dev/null") else {
        return;
    };
    for descriptor in ring_descriptors() {
        raw::redirect(descriptor, &nothing);
    }
}

/// Empty where /proc is not mounted: the child then keeps its share of the locks until it ends.
fn ring_descriptors() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let is_ring = is_ring_file(&fs::read_link(entry.path()).ok()?);
            is_ring.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
        })
        .collect()
}

fn is_ring_file(target: &Path) -> bool {
    let name = target.strip_prefix(FOLDER).ok().and_then(Path::to_str);
    name.is_some_and(|name| name.starts_with(PREFIX))
}
