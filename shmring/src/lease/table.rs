//! The writer's side of lease pages: it has every page once and reads them with pread, never by
//! mapping, because a page belongs to its reader and a truncated mapping is a SIGBUS.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::uio::pread;

use crate::layout::lease;
use crate::lock;
use crate::segments::Hold;

#[derive(Debug)]
pub(crate) struct LeaseTable {
    hold: Arc<dyn Hold>,
    /// By place.
    pages: Mutex<Vec<Option<OwnedFd>>>,
    quota: usize,
    epoch: u64,
}

impl LeaseTable {
    pub(crate) fn new(hold: Arc<dyn Hold>, places: u32, quota: u32, epoch: u64) -> Self {
        let pages = Mutex::new((0..places).map(|_| None).collect());
        Self { hold, pages, quota: quota as usize, epoch }
    }

    /// Readers attached now.
    pub(crate) fn attached(&self) -> u32 {
        let held = self.pages().iter().flatten().filter(|page| lock::is_held(page)).count();
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// Whether a page claims `token`. With `only_living`, the pages of dead readers do not count.
    pub(crate) fn claims(&self, token: u64, only_living: bool) -> bool {
        self.pages()
            .iter()
            .flatten()
            .any(|page| self.page_claims(page, token) && (!only_living || lock::is_held(page)))
    }

    /// With those that have come since: a reader that had its page before we asked is among them.
    fn pages(&self) -> MutexGuard<'_, Vec<Option<OwnedFd>>> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, page) in self.hold.take_pages() {
            if let Some(known) = pages.get_mut(place as usize) {
                *known = Some(page);
            }
        }
        pages
    }

    fn page_claims(&self, page: &OwnedFd, token: u64) -> bool {
        let mut words = [0u8; 8 + lease::HAZARDS * 8];
        let offset = i64::try_from(lease::AT_EPOCH).unwrap_or(0);
        let wanted = &mut words[..8 + self.quota * 8];
        // A short read is a page that somebody has cut off: it claims nothing.
        if pread(page, wanted, offset) != Ok(wanted.len()) {
            return false;
        }
        let mut values = wanted
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        values.next() == Some(self.epoch) && values.any(|hazard| hazard == token)
    }
}
