//! Lease pages: a reader's claim on slots, in a file only it writes.
//!
//! A lease is an owner-attributed fact, not a shared count: a page whose lock nobody holds belongs
//! to nobody, and whatever it says is ignored. So a reader killed at any instruction leaks nothing.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::uio::pread;
use protocol::name::RingName;

use crate::error::Error;
use crate::files::{self, Files};
use crate::layout::lease;
use crate::lock;
use crate::segment::{Access, Mapping};
use crate::sync::{AtomicU32, Ordering, fence};

/// The reader's side: a page it has locked and mapped.
#[derive(Debug)]
pub(crate) struct LeasePage {
    map: Mapping,
    pub(crate) place: u32,
    quota: u32,
    /// Bit i: hazard i is taken by this process.
    taken: AtomicU32,
    ring: RingName,
    /// Held for its lock.
    _file: OwnedFd,
}

impl LeasePage {
    /// Claims the first free page of `places`.
    pub(crate) fn claim(
        files: &Files,
        places: u32,
        quota: u32,
        reader: &str,
    ) -> Result<Self, Error> {
        let mut denied = None;
        for place in 0..places {
            let name = files.lease(place);
            let file = match files::open_if_there(&name, OFlag::O_RDWR) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(error) => {
                    denied = Some(error);
                    continue;
                }
            };
            if lock::try_lock(&file).map_err(|source| files::io(&name, source))? {
                return Self::wipe_and_sign(files, &name, place, quota, reader, file);
            }
        }
        Err(denied.unwrap_or_else(|| Error::NoPlace {
            ring: files.ring().clone(),
            places,
            holders: holders(files, places),
        }))
    }

    fn wipe_and_sign(
        files: &Files,
        name: &str,
        place: u32,
        quota: u32,
        reader: &str,
        file: OwnedFd,
    ) -> Result<Self, Error> {
        let bytes = files::size(name, &file)?;
        if bytes < lease::BYTES {
            return Err(crate::anchor::damaged(files, name, "it is too short"));
        }
        let map = Mapping::open(name, &file, lease::BYTES, Access::ReadWrite)?;
        map.word(lease::AT_EPOCH).store(0, Ordering::Relaxed);
        for hazard in 0..lease::HAZARDS {
            map.word(lease::AT_HAZARDS + hazard * 8).store(0, Ordering::Relaxed);
        }
        map.word(lease::AT_CURSOR).store(0, Ordering::Relaxed);
        map.word(lease::AT_MISSED).store(0, Ordering::Relaxed);
        map.word(lease::AT_PID).store(u64::from(std::process::id()), Ordering::Relaxed);
        let text = clip(reader, lease::NAME_MAX);
        map.copy_in(lease::AT_NAME, text.as_bytes());
        let length = u32::try_from(text.len()).unwrap_or(0);
        map.half(lease::AT_NAME_BYTES).store(length, Ordering::Relaxed);
        let ring = files.ring().clone();
        Ok(Self { map, place, quota, taken: AtomicU32::new(0), ring, _file: file })
    }

    /// From now on the hazards are about `epoch`. Those of earlier frames may stay: memory of an
    /// old epoch is never reused, so at worst a stale token holds back a slot of the same number.
    pub(crate) fn enter(&self, epoch: u64) {
        self.map.word(lease::AT_EPOCH).store(epoch, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn set_max_fps(&self, fps: u32) {
        self.map.half(lease::AT_MAX_FPS).store(fps, Ordering::Relaxed);
    }

    pub(crate) fn set_cursor(&self, sequence: u64) {
        self.map.word(lease::AT_CURSOR).store(sequence, Ordering::Relaxed);
    }

    pub(crate) fn add_missed(&self, missed: u64) {
        let word = self.map.word(lease::AT_MISSED);
        // This process is the word's only writer.
        word.store(word.load(Ordering::Relaxed) + missed, Ordering::Relaxed);
    }

    /// Reserves a hazard of this page for one lease.
    pub(crate) fn reserve(&self) -> Result<u32, Error> {
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let free = (!taken).trailing_zeros();
            if free >= self.quota {
                return Err(Error::NoLease { ring: self.ring.clone(), quota: self.quota });
            }
            let claimed = taken | (1 << free);
            match self.taken.compare_exchange_weak(
                taken,
                claimed,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(free),
                Err(now) => taken = now,
            }
        }
    }

    /// Claims `token` and orders the claim before whatever is read next.
    pub(crate) fn pin(&self, hazard: u32, token: u64) {
        self.map.word(hazard_at(hazard)).store(token, Ordering::Release);
        // PAIR pin: the writer fences between marking the version and reading hazards.
        fence(Ordering::SeqCst);
    }

    /// Ends a claim and gives its hazard back.
    pub(crate) fn unpin(&self, hazard: u32) {
        // PAIR unpin: no read of the slot moves behind this.
        self.map.word(hazard_at(hazard)).store(0, Ordering::Release);
        self.taken.fetch_and(!(1 << hazard), Ordering::Release);
    }
}

fn hazard_at(hazard: u32) -> usize {
    lease::AT_HAZARDS + hazard as usize * 8
}

fn clip(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The writer's side: it opens every page once and reads them with pread, never by mapping, because
/// a page belongs to its reader and a truncated mapping is a SIGBUS.
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

/// What a page says of its reader. Everything in it is the reader's own word.
#[derive(Clone, Debug)]
pub(crate) struct PageReading {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) cursor: u64,
    pub(crate) missed: u64,
    pub(crate) epoch: u64,
    pub(crate) leases: u32,
}

/// Reads a page whose lock is held; `None` for a free or unreadable one.
pub(crate) fn read_page(files: &Files, place: u32) -> Option<PageReading> {
    let file = files::open_if_there(&files.lease(place), OFlag::O_RDONLY).ok()??;
    if !lock::is_held(&file) {
        return None;
    }
    let mut page = [0u8; lease::AT_NAME + lease::NAME_MAX];
    if pread(&file, &mut page, 0).ok()? != page.len() {
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
    })
}

fn holders(files: &Files, places: u32) -> String {
    let names: Vec<String> = (0..places)
        .filter_map(|place| read_page(files, place))
        .map(|page| format!("{} (pid {})", page.name, page.pid))
        .collect();
    if names.is_empty() { "readers that have just left".to_owned() } else { names.join(", ") }
}
