//! The reader's side of lease pages: one that it has locked.
//!
//! A page that only this user may write is mapped. One that others may write too, of a ring that has a
//! group, is written with pwrite(2): who may write a page may also cut it off, and a mapping of what is
//! cut off is a SIGBUS. A write makes it longer again, but what was cut off is zeros then: the writer finds no
//! claim in it, and the reader may see torn pictures. It costs a system call for each change of a claim, which
//! is as much as all else that taking a picture does.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::uio::pwrite;

use protocol::time::MonoNs;

use super::demand::Wish;
use crate::anchor::IndexView;
use crate::error::{Error, io};
use crate::fork::{Birth, Stretch};
use crate::layout::{self, lease};
use crate::lock::Locked;
use crate::pin;
use crate::segment::{self, Mapping};
use crate::segments::{Leads, Part, Segments};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// How often a claim that meets a slot being taken back looks again: the writer may put it back.
const LOOKS: u32 = 200;

#[derive(Debug)]
pub(crate) struct LeasePage {
    place: u32,
    /// Hazards the writer of the present epoch looks at, or fewer when this reader wants fewer.
    quota: AtomicU32,
    missed: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
    /// When each hazard was taken; 0: it is free. Only the reader takes; frames, in whichever thread they
    /// are, give back.
    since_ns: [AtomicU64; lease::HAZARDS],
    path: PathBuf,
    /// The process that claimed the page. A forked child has the file too, but no lease.
    birth: Birth,
    file: Locked,
    /// `None` for a page that is written with pwrite.
    map: Option<Mapping>,
}

impl LeasePage {
    /// Claims the first free page of the ring and signs it as `reader`.
    pub(crate) fn claim(segments: &dyn Segments, places: u32, reader: &str) -> Result<Self, Error> {
        let Claimed { place, path, map, file } = claim_for_this_process(segments, places)?;
        let page = Self {
            place,
            quota: AtomicU32::new(0),
            missed: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            since_ns: Default::default(),
            path,
            birth: Birth::here(),
            file,
            map,
        };
        page.sign(reader)?;
        Ok(page)
    }

    /// Wipes what the reader before left. Its claims count no more since it lost the lock.
    fn sign(&self, reader: &str) -> Result<(), Error> {
        let mut bytes = vec![0; lease::BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let text = signature(reader);
        let length = u32::try_from(text.len()).unwrap_or(0);
        put(lease::AT_MAGIC, &lease::MAGIC.to_le_bytes());
        put(lease::AT_MAJOR, &layout::MAJOR.to_le_bytes());
        put(lease::AT_MINOR, &layout::MINOR.to_le_bytes());
        put(lease::AT_PID, &u64::from(std::process::id()).to_le_bytes());
        put(lease::AT_NAME, text.as_bytes());
        put(lease::AT_NAME_BYTES, &length.to_le_bytes());
        self.write(0, &bytes).map_err(|source| io(&self.path, source))
    }

    pub(crate) fn place(&self) -> u32 {
        self.place
    }

    /// Whether the writer of `index` looks at this page: its place is one of those, and the name still
    /// leads here. After `down` and `up` it leads to another page.
    pub(crate) fn serves(&self, segments: &dyn Segments, index: &IndexView) -> bool {
        let part = Part::Lease { place: self.place };
        self.place < index.places && segments.leads(part, self.file.file()) == Leads::Here
    }

    /// From now on the hazards are about `epoch`, whose writer looks at `quota` of them. Those of
    /// earlier frames may stay: memory of an old epoch is never reused, so at worst a stale token
    /// holds back a slot of the same number.
    pub(crate) fn enter(&self, epoch: u64, quota: u32) -> Result<(), Error> {
        self.quota.store(quota, Ordering::Relaxed);
        let entered = self.write_word(lease::AT_EPOCH, epoch);
        entered.map_err(|source| io(&self.path, source))?;
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Says which pictures this reader wants.
    pub(crate) fn set_wish(&self, wish: Wish) {
        self.tell_half(lease::AT_MAX_FPS, wish.max_fps);
        self.tell_half(lease::AT_EVERY, wish.every);
        self.tell_half(lease::AT_KEY_ONLY, u32::from(wish.key_only));
    }

    #[inline(always)]
    pub(crate) fn set_cursor(&self, sequence: u64) {
        self.tell(lease::AT_CURSOR, sequence);
    }

    pub(crate) fn add_missed(&self, missed: u64) {
        let missed = self.missed.fetch_add(missed, Ordering::Relaxed).wrapping_add(missed);
        self.tell(lease::AT_MISSED, missed);
    }

    /// The reader was told that it is let go of.
    pub(crate) fn add_eviction(&self) {
        let evicted = self.evicted.fetch_add(1, Ordering::Relaxed) + 1;
        self.tell(lease::AT_EVICTED, evicted);
    }

    /// A hazard that may be claimed with; `None` when this page holds all it may.
    #[inline(always)]
    pub(crate) fn free(&self) -> Option<u32> {
        let is_free = |(_, since): &(u32, &AtomicU64)| since.load(Ordering::Acquire) == 0;
        (0..).zip(self.counted()).find(is_free).map(|(hazard, _)| hazard)
    }

    /// Lets the processor make ready for a claim: the writer has looked at this page since the last one.
    #[inline(always)]
    pub(crate) fn fetch(&self) {
        if let Some(map) = &self.map {
            map.fetch_to_write::<1>(lease::AT_EPOCH);
        }
    }

    /// How many slots it may hold.
    pub(crate) fn quota(&self) -> u32 {
        self.quota.load(Ordering::Relaxed)
    }

    /// The reader wanted more than it may hold.
    pub(crate) fn add_refusal(&self) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        self.tell(lease::AT_REFUSED, refused);
    }

    /// Claims the slot of `version` under `token` with a free hazard. `false` when it is no longer that
    /// picture's.
    #[inline(always)]
    pub(crate) fn pin(&self, hazard: u32, version: &AtomicU64, token: u64) -> Result<bool, Error> {
        let mut written = Ok(());
        let write = |token| written = self.write_hazard(hazard, token);
        let claimed = pin::claim(write, version, token, LOOKS);
        if claimed && written.is_ok() {
            return Ok(true);
        }
        self.give_up(hazard, written)
    }

    #[cold]
    fn give_up(&self, hazard: u32, written: Result<(), Errno>) -> Result<bool, Error> {
        self.unpin(hazard);
        written.map(|()| false).map_err(|source| io(&self.path, source))
    }

    /// Ends a claim and gives its hazard back. In a forked child this does nothing: the claim is its
    /// parent's, who may still be looking at the picture.
    pub(crate) fn unpin(&self, hazard: u32) {
        if !self.birth.is_here() {
            return;
        }
        // It fails only for a page that cannot be written: then nothing is claimed in it either.
        pin::unclaim(|nothing| {
            let _ = self.write_hazard(hazard, nothing);
        });
        self.since_ns[hazard as usize].store(0, Ordering::Release);
        if let Some(oldest) = self.oldest() {
            self.tell(lease::AT_HELD_SINCE_NS, oldest);
        }
    }

    /// The claim with this hazard was granted then. Until this is said, the hazard counts as free.
    #[inline(always)]
    pub(crate) fn note_since(&self, hazard: u32, now: MonoNs) {
        let now_ns = now.0.max(1);
        if self.counted().iter().all(|since| since.load(Ordering::Relaxed) == 0) {
            self.tell(lease::AT_HELD_SINCE_NS, now_ns);
        }
        self.since_ns[hazard as usize].store(now_ns, Ordering::Relaxed);
    }

    /// Since when the oldest claim is held.
    fn oldest(&self) -> Option<u64> {
        let since = self.counted().iter().map(|since| since.load(Ordering::Relaxed));
        since.filter(|since| *since != 0).min()
    }

    /// Of the hazards that the writer looks at.
    #[inline(always)]
    fn counted(&self) -> &[AtomicU64] {
        let quota = self.quota.load(Ordering::Relaxed) as usize;
        self.since_ns.get(..quota).unwrap_or(&self.since_ns)
    }

    #[inline(always)]
    fn write_hazard(&self, number: u32, token: u64) -> Result<(), Errno> {
        self.write_word(lease::AT_HAZARDS + number as usize * 8, token)
    }

    /// A hazard is ordered by the fences of `pin`, whichever way it is written.
    #[inline(always)]
    fn write_word(&self, at: usize, word: u64) -> Result<(), Errno> {
        match &self.map {
            Some(map) => {
                map.word(at).store(word, Ordering::Relaxed);
                Ok(())
            }
            None => self.write(at, &word.to_le_bytes()),
        }
    }

    /// A figure for people: it may fail.
    #[inline(always)]
    fn tell(&self, at: usize, word: u64) {
        let _ = self.write_word(at, word);
    }

    fn tell_half(&self, at: usize, half: u32) {
        let _ = match &self.map {
            Some(map) => {
                map.half(at).store(half, Ordering::Relaxed);
                Ok(())
            }
            None => self.write(at, &half.to_le_bytes()),
        };
    }

    #[cold]
    fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Errno> {
        let offset = i64::try_from(at).unwrap_or(i64::MAX);
        let count = pwrite(&self.file, bytes, offset)?;
        if count == bytes.len() { Ok(()) } else { Err(Errno::ENOSPC) }
    }
}

/// A claimed page that no forked child shares. Children forked between its locking and its listing do, so
/// it is then let go of and claimed anew.
fn claim_for_this_process(segments: &dyn Segments, places: u32) -> Result<Claimed, Error> {
    loop {
        let stretch = Stretch::begin();
        let (place, file) = segments.claim_page(places)?;
        let file = Locked::new(file);
        let path = segments.path(Part::Lease { place });
        let map = segment::map_if_ours_alone(&path, &file, lease::BYTES);
        if !stretch.saw_a_fork() {
            return Ok(Claimed { place, path, map, file });
        }
        std::thread::yield_now();
    }
}

struct Claimed {
    place: u32,
    path: PathBuf,
    map: Option<Mapping>,
    file: Locked,
}

/// How a reader of this name signs its page.
pub(crate) fn signature(reader: &str) -> &str {
    clip(reader, lease::NAME_MAX)
}

/// How it signs the further pages of one reader: another name, however long its own is.
pub(crate) fn further_signature(reader: &str) -> String {
    const SUFFIX: &str = " (more)";
    format!("{}{SUFFIX}", clip(reader, lease::NAME_MAX - SUFFIX.len()))
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
    use nix::sys::uio::pread;
    use protocol::config::RingConfig;
    use protocol::control::RingContract;
    use protocol::name::{ProjectName, RingName};

    use super::*;
    use crate::census;
    use crate::clock;
    use crate::packets::PacketWriter;
    use crate::segments;

    #[test]
    fn a_forked_child_that_lets_go_of_a_frame_leaves_its_parents_lease_alone() {
        let project: ProjectName = format!("page{}", std::process::id()).parse().unwrap();
        let name: RingName = "cam.packets".parse().unwrap();
        let config = RingConfig::default();
        let contract = RingContract::new(name.clone(), config, 1);
        let writer = PacketWriter::create(&project, &contract, &[]).unwrap();
        let segments = segments::find(&project, &name);
        let mut page = LeasePage::claim(&*segments, 1, "parent").unwrap();
        page.enter(writer.epoch(), 1).unwrap();
        let version = AtomicU64::new(6);
        let hazard = page.free().unwrap();
        assert!(page.pin(hazard, &version, 6).unwrap());
        page.birth = Birth::elsewhere();
        page.unpin(hazard);
        let mut held = [0; 8];
        pread(&page.file, &mut held, i64::try_from(lease::AT_HAZARDS).unwrap()).unwrap();
        assert_eq!(hazard, 0);
        drop((page, writer));
        census::sweep_unowned(&project);
        assert_eq!(u64::from_le_bytes(held), 6);
    }
    #[test]
    fn who_has_a_place_but_has_not_begun_is_not_shown_as_a_reader() {
        let project: ProjectName = format!("begun{}", std::process::id()).parse().unwrap();
        let name: RingName = "cam.packets".parse().unwrap();
        let contract = RingContract::new(name.clone(), RingConfig::default(), 1);
        let writer = PacketWriter::create(&project, &contract, &[]).unwrap();
        let page = LeasePage::claim(&*segments::find(&project, &name), 1, "early").unwrap();
        let shown = || census::status(&project, &name, clock::mono()).readers;
        let before = shown();
        page.enter(writer.epoch(), 0).unwrap();
        let after = shown();
        drop((page, writer));
        census::sweep_unowned(&project);
        assert!(before.is_empty(), "{before:?}");
        assert_eq!(after.len(), 1);
    }
}
