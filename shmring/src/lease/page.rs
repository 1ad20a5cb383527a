//! The reader's side of lease pages: one that it has locked and mapped.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use protocol::name::RingName;

use super::holders;
use crate::anchor::IndexView;
use crate::error::Error;
use crate::files::{self, Files};
use crate::layout::{self, lease};
use crate::lock;
use crate::pin;
use crate::segment::{self, Access, Mapping};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// How often a claim that meets a slot being taken back looks again: the writer may put it back.
const LOOKS: u32 = 200;
/// How often a reader that finds the pages swept from under it tries those that follow.
const ATTEMPTS: u32 = 10;

#[derive(Debug)]
pub(crate) struct LeasePage {
    map: Mapping,
    place: u32,
    /// Hazards the writer of the present epoch looks at, or fewer when this reader wants fewer.
    quota: AtomicU32,
    /// Bit i: hazard i is taken by this process.
    taken: AtomicU32,
    ring: RingName,
    /// The process that claimed the page. A forked child has the mapping too, but no lease.
    owner_pid: u32,
    /// Held for its lock.
    file: OwnedFd,
}

impl LeasePage {
    /// Claims the first free page of the ring and signs it as `reader`.
    pub(crate) fn claim(files: &Files, places: u32, reader: &str) -> Result<Self, Error> {
        for _ in 0..ATTEMPTS {
            let Some((place, file)) = lock_free_page(files, places)? else {
                let holders = holders(files, places);
                return Err(Error::NoPlace { ring: files.ring().clone(), places, holders });
            };
            // The ring may have been swept since we opened the file. No writer looks at a page that
            // has lost its name, so a lease in it would protect nothing.
            if files::is_linked(&files.lease(place), &file) {
                let page = Self::map(files, place, file)?;
                page.sign(reader);
                return Ok(page);
            }
        }
        Err(Error::NoSuchRing { ring: files.ring().clone() })
    }

    fn map(files: &Files, place: u32, file: OwnedFd) -> Result<Self, Error> {
        let name = files.lease(place);
        // A reader before us may have truncated it.
        segment::reserve(&name, &file, lease::BYTES)?;
        Ok(Self {
            map: Mapping::open(&name, &file, lease::BYTES, Access::ReadWrite)?,
            place,
            quota: AtomicU32::new(0),
            taken: AtomicU32::new(0),
            ring: files.ring().clone(),
            owner_pid: std::process::id(),
            file,
        })
    }

    /// Wipes what the reader before left. Its claims count no more since it lost the lock.
    fn sign(&self, reader: &str) {
        let word = |at: usize, value: u64| self.map.word(at).store(value, Ordering::Relaxed);
        let half = |at: usize, value: u32| self.map.half(at).store(value, Ordering::Relaxed);
        word(lease::AT_EPOCH, 0);
        for hazard in 0..lease::HAZARDS {
            word(lease::AT_HAZARDS + hazard * 8, 0);
        }
        word(lease::AT_MAGIC, lease::MAGIC);
        half(lease::AT_MAJOR, layout::MAJOR);
        half(lease::AT_MINOR, layout::MINOR);
        word(lease::AT_CURSOR, 0);
        word(lease::AT_MISSED, 0);
        word(lease::AT_PID, u64::from(std::process::id()));
        half(lease::AT_MAX_FPS, 0);
        let text = clip(reader, lease::NAME_MAX);
        self.map.copy_in(lease::AT_NAME, text.as_bytes());
        half(lease::AT_NAME_BYTES, u32::try_from(text.len()).unwrap_or(0));
    }

    /// Whether the writer of `index` looks at this page: its place is one of those, and the name still
    /// leads here. After `down` and `up` it leads to another page.
    pub(crate) fn serves(&self, files: &Files, index: &IndexView) -> bool {
        self.place < index.places && files::is_linked(&files.lease(self.place), &self.file)
    }

    /// From now on the hazards are about `epoch`, whose writer looks at `quota` of them. Those of
    /// earlier frames may stay: memory of an old epoch is never reused, so at worst a stale token
    /// holds back a slot of the same number.
    pub(crate) fn enter(&self, epoch: u64, quota: u32) {
        self.quota.store(quota, Ordering::Relaxed);
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
        // A figure for people; somebody else's scribbling must not end this process.
        self.map.word(lease::AT_MISSED).fetch_add(missed, Ordering::Relaxed);
    }

    /// Claims the slot of `version` under `token`. `None` when it is no longer that picture's.
    pub(crate) fn pin(&self, version: &AtomicU64, token: u64) -> Result<Option<u32>, Error> {
        let hazard = self.reserve()?;
        if pin::claim(self.hazard(hazard), version, token, LOOKS) {
            return Ok(Some(hazard));
        }
        self.unpin(hazard);
        Ok(None)
    }

    /// Ends a claim and gives its hazard back. In a forked child this does nothing: the claim is its
    /// parent's, who may still be looking at the picture.
    pub(crate) fn unpin(&self, hazard: u32) {
        if std::process::id() != self.owner_pid {
            return;
        }
        pin::unclaim(self.hazard(hazard));
        self.taken.fetch_and(!(1 << hazard), Ordering::Release);
    }

    fn reserve(&self) -> Result<u32, Error> {
        let quota = self.quota.load(Ordering::Relaxed);
        let take_lowest = |taken: u32| {
            let free = (!taken).trailing_zeros();
            (free < quota).then(|| taken | 1 << free)
        };
        match self.taken.fetch_update(Ordering::Acquire, Ordering::Relaxed, take_lowest) {
            Ok(before) => Ok((!before).trailing_zeros()),
            Err(_) => Err(Error::NoLease { ring: self.ring.clone(), quota }),
        }
    }

    fn hazard(&self, number: u32) -> &AtomicU64 {
        self.map.word(lease::AT_HAZARDS + number as usize * 8)
    }
}

/// `None` when every page is taken.
fn lock_free_page(files: &Files, places: u32) -> Result<Option<(u32, OwnedFd)>, Error> {
    let (mut found, mut refused) = (false, None);
    for place in 0..places {
        let name = files.lease(place);
        match files::open_if_there(&name, OFlag::O_RDWR) {
            Ok(None) => continue,
            Err(error) => refused = Some(error),
            Ok(Some(file)) => {
                found = true;
                if lock::try_lock(&file).map_err(|source| files::io(&name, source))? {
                    return Ok(Some((place, file)));
                }
            }
        }
    }
    match refused {
        Some(error) => Err(error),
        None if found || places == 0 => Ok(None),
        None => Err(Error::NoSuchRing { ring: files.ring().clone() }),
    }
}

fn clip(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use protocol::config::RingConfig;
    use protocol::control::RingContract;
    use protocol::name::ProjectName;

    use super::*;
    use crate::census;
    use crate::packets::PacketWriter;

    #[test]
    fn a_forked_child_that_lets_go_of_a_frame_leaves_its_parents_lease_alone() {
        let project: ProjectName = format!("page{}", std::process::id()).parse().unwrap();
        let name: RingName = "cam.packets".parse().unwrap();
        let config = RingConfig::default();
        let contract = RingContract::new(name.clone(), config, 1);
        let writer = PacketWriter::create(&project, &contract, &[]).unwrap();
        let files = Files::new(&project, &name);
        let mut page = LeasePage::claim(&files, 1, "parent").unwrap();
        page.enter(writer.epoch(), 1);
        let version = AtomicU64::new(6);
        let hazard = page.pin(&version, 6).unwrap().unwrap();
        page.owner_pid += 1;
        page.unpin(hazard);
        let held = page.hazard(hazard).load(Ordering::Relaxed);
        drop((page, writer));
        census::sweep_unowned(&project);
        assert_eq!(held, 6);
    }
}
