//! The writer's side of lease pages: it has every page once and reads them with pread, never by
//! mapping, because a page belongs to its reader and a truncated mapping is a SIGBUS.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::uio::pread;

use super::book::Seen;
use super::demand::{Demand, Wish};
use crate::layout::lease;
use crate::lock;
use crate::segments::Hold;

/// What the writer wants to know of an essential reader.
struct PageSays {
    epoch: u64,
    /// Behind it is the next item it wants.
    cursor: u64,
    name: String,
}

/// `None` for a page that somebody has cut off.
fn read(page: &OwnedFd) -> Option<PageSays> {
    const BYTES: usize = lease::AT_EVERY + 4 - lease::AT_EPOCH;
    let mut bytes = [0u8; BYTES];
    let offset = i64::try_from(lease::AT_EPOCH).ok()?;
    if pread(page, &mut bytes, offset) != Ok(BYTES) {
        return None;
    }
    let part = |at: usize, length: usize| &bytes[at - lease::AT_EPOCH..][..length];
    let word = |at: usize| u64::from_le_bytes(part(at, 8).try_into().unwrap_or_default());
    let half = |at: usize| u32::from_le_bytes(part(at, 4).try_into().unwrap_or_default());
    let length = half(lease::AT_NAME_BYTES);
    let every = u64::from(half(lease::AT_EVERY).max(1));
    // What it does not want is as good as taken.
    let wanted = (word(lease::AT_CURSOR) / every).saturating_add(1).saturating_mul(every);
    let name = part(lease::AT_NAME, (length as usize).min(lease::NAME_MAX));
    Some(PageSays {
        epoch: word(lease::AT_EPOCH),
        cursor: wanted - 1,
        name: String::from_utf8_lossy(name).into_owned(),
    })
}

/// Of a page that says nothing, or that somebody has cut off: all pictures.
fn wish(page: &OwnedFd) -> Wish {
    const BYTES: usize = lease::AT_KEY_ONLY + 4 - lease::AT_MAX_FPS;
    let mut bytes = [0u8; BYTES];
    let offset = i64::try_from(lease::AT_MAX_FPS).unwrap_or(0);
    if pread(page, &mut bytes, offset) != Ok(BYTES) {
        return Wish::default();
    }
    let half = |at: usize| {
        let part = &bytes[at - lease::AT_MAX_FPS..][..4];
        u32::from_le_bytes(part.try_into().unwrap_or_default())
    };
    Wish {
        max_fps: half(lease::AT_MAX_FPS),
        every: half(lease::AT_EVERY),
        key_only: half(lease::AT_KEY_ONLY) == 1,
    }
}

#[derive(Debug)]
pub(crate) struct LeaseTable {
    hold: Arc<dyn Hold>,
    pages: Mutex<Pages>,
    quota: usize,
    epoch: u64,
}

#[derive(Debug)]
struct Pages {
    /// By place.
    known: Vec<Option<OwnedFd>>,
    /// Readers have others, for which this process had no descriptor left.
    unseen: bool,
}

impl LeaseTable {
    pub(crate) fn new(hold: Arc<dyn Hold>, places: u32, quota: u32, epoch: u64) -> Self {
        let known = (0..places).map(|_| None).collect();
        let pages = Mutex::new(Pages { known, unseen: false });
        Self { hold, pages, quota: quota as usize, epoch }
    }

    /// Readers attached now.
    pub(crate) fn attached(&self) -> u32 {
        let held = self.pages().known.iter().flatten().filter(|page| lock::is_held(page)).count();
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// What the readers attached now want altogether.
    pub(crate) fn demand(&self) -> Demand {
        let pages = self.pages();
        let attached = pages.known.iter().flatten().filter(|page| lock::is_held(page));
        attached.map(wish).collect()
    }

    /// Whether a page claims `token`. With `only_living`, the pages of dead readers do not count.
    pub(crate) fn claims(&self, token: u64, only_living: bool) -> bool {
        let pages = self.pages();
        let claims = |page| self.page_claims(page, token) && (!only_living || lock::is_held(page));
        // What a page says that cannot be looked at yet may be anything.
        pages.unseen || pages.known.iter().flatten().any(claims)
    }

    /// Where those attached readers are whose name `entry_of` knows.
    pub(crate) fn readings(&self, entry_of: impl Fn(&str) -> Option<usize>) -> Vec<Seen> {
        let pages = self.pages();
        let attached = (0..).zip(&pages.known).filter_map(|(place, page)| {
            let page = page.as_ref()?;
            let PageSays { epoch, cursor, name } = read(page)?;
            let entry = entry_of(&name).filter(|_| epoch == self.epoch)?;
            lock::is_held(page).then_some(Seen { place, entry, cursor })
        });
        attached.collect()
    }

    /// With those that have come since: a reader that had its page before we asked is among them.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.hold.take_pages();
        for (place, page) in new.pages {
            if let Some(known) = pages.known.get_mut(place as usize) {
                *known = Some(page);
            }
        }
        pages.unseen = new.more;
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
