//! Lease pages: a reader's claim on slots, in a file only it writes.
//!
//! A lease is an owner-attributed fact, not a shared count: a page whose lock nobody holds belongs
//! to nobody, and whatever it says is ignored. So a reader killed at any instruction leaks nothing.

mod book;
mod demand;
mod eviction;
mod keeper;
mod page;
mod table;
mod told;

pub use demand::Demand;
pub(crate) use demand::Wish;
pub(crate) use eviction::{EvictionWatch, table_bytes};
pub(crate) use keeper::{Keeper, Way, WhileWaiting, longest_deadline};
pub(crate) use page::{LeasePage, further_signature};
pub(crate) use table::LeaseTable;

use std::os::fd::OwnedFd;

use nix::sys::uio::pread;

use crate::layout::lease;
use crate::lock;
use crate::segments::{Part, Segments};

/// Bytes of a page that anybody but its reader looks at.
const READ_BYTES: usize = lease::AT_REFUSED + 8;

/// What a page says of its reader. Everything in it is the reader's own word.
#[derive(Clone, Debug)]
pub(crate) struct PageReading {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) cursor: u64,
    pub(crate) missed: u64,
    pub(crate) epoch: u64,
    pub(crate) leases: u32,
    /// Of the pictures it wants each so manyth; 0 and 1 are all.
    pub(crate) every: u32,
    pub(crate) held_since_ns: u64,
    pub(crate) evicted: u64,
    pub(crate) refused: u64,
}

/// Reads a page whose lock is held; `None` for a free or unreadable one.
pub(crate) fn read_page(file: &OwnedFd) -> Option<PageReading> {
    if !lock::is_held(file) {
        return None;
    }
    let mut page = [0u8; READ_BYTES];
    if pread(file, &mut page, 0).ok()? != page.len() {
        return None;
    }
    let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap_or_default());
    let half = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap_or_default());
    let name_bytes = (half(lease::AT_NAME_BYTES) as usize).min(lease::NAME_MAX);
    let name = String::from_utf8_lossy(&page[lease::AT_NAME..lease::AT_NAME + name_bytes]);
    let held = (0..lease::HAZARDS).filter(|i| word(lease::AT_HAZARDS + i * 8) != 0).count();
    Some(PageReading {
        name: name.chars().filter(|c| !c.is_control()).collect(),
        pid: u32::try_from(word(lease::AT_PID)).unwrap_or(0),
        cursor: word(lease::AT_CURSOR),
        missed: word(lease::AT_MISSED),
        epoch: word(lease::AT_EPOCH),
        leases: u32::try_from(held).unwrap_or(0),
        every: half(lease::AT_EVERY),
        held_since_ns: word(lease::AT_HELD_SINCE_NS),
        evicted: word(lease::AT_EVICTED),
        refused: word(lease::AT_REFUSED),
    })
}

/// Who has the places, as far as their pages say it.
pub(crate) fn holders(segments: &dyn Segments, places: u32) -> String {
    let pages = (0..places).filter_map(|place| segments.open(Part::Lease { place }).ok()?);
    let (mut names, mut silent) = (Vec::new(), 0u32);
    for page in pages.filter(lock::is_locked) {
        match read_page(&page).filter(|reading| !reading.name.is_empty()) {
            Some(reading) => names.push(format!("{} (pid {})", reading.name, reading.pid)),
            None => silent += 1,
        }
    }
    if silent > 0 {
        names.push(format!("{silent} that do not say who they are"));
    }
    if names.is_empty() { "readers that have just left".to_owned() } else { names.join(", ") }
}
