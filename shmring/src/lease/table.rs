//! The writer's side of lease pages: it opens every page once and reads them with pread, never by
//! mapping, because a page belongs to its reader and a truncated mapping is a SIGBUS.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::uio::pread;

use crate::error::Error;
use crate::files::{self, Files};
use crate::layout::lease;
use crate::lock;

#[derive(Debug)]
pub(crate) struct LeaseTable {
    pages: Vec<OwnedFd>,
    quota: usize,
    epoch: u64,
}

impl LeaseTable {
    pub(crate) fn open(files: &Files, places: u32, quota: u32, epoch: u64) -> Result<Self, Error> {
        let page = |place| files::open_existing(&files.lease(place), OFlag::O_RDONLY);
        let pages = (0..places).map(page).collect::<Result<_, _>>()?;
        Ok(Self { pages, quota: quota as usize, epoch })
    }

    /// Readers attached now.
    pub(crate) fn attached(&self) -> u32 {
        let held = self.pages.iter().filter(|page| lock::is_held(page)).count();
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// Whether a page claims `token`. With `only_living`, the pages of dead readers do not count.
    pub(crate) fn claims(&self, token: u64, only_living: bool) -> bool {
        self.pages
            .iter()
            .any(|page| self.page_claims(page, token) && (!only_living || lock::is_held(page)))
    }

    fn page_claims(&self, page: &OwnedFd, token: u64) -> bool {
        let mut words = [0u8; 8 + lease::HAZARDS * 8];
        let offset = i64::try_from(lease::AT_EPOCH).unwrap_or(0);
        let wanted = &mut words[..8 + self.quota * 8];
        // A short read is a page its reader has truncated: it claims nothing, and harms only itself.
        if pread(page, wanted, offset) != Ok(wanted.len()) {
            return false;
        }
        let mut values = wanted
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        values.next() == Some(self.epoch) && values.any(|hazard| hazard == token)
    }
}
