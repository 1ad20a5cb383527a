//! What a broker knows: rings, their segments, their readers' pages and their writers. No sockets but
//! the one over which a writer is told of pages, which is never waited for.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::uio::pwrite;
use protocol::admin::RingStatus;
use protocol::name::{RingKind, RingName};
use protocol::time::MonoNs;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};

use super::memory;
use super::message::{self, Reply};
use crate::anchor::{self, PLACES_MAX};
use crate::census;
use crate::error::{Error, io};
use crate::layout::{self, anchor as at, lease};
use crate::lease::read_page;
use crate::lock;
use crate::segment::{self, Access, Mapping};
use crate::segments::{Epochs, Leads, Part};
use crate::sync::Ordering;
use crate::wake;

/// A writer shows an index and a log, or the slots of two sizes, for two epochs, and large packets.
pub(super) const PARTS_MAX: usize = 1024;
/// Pages of other users' readers are held back while the writer, idle, has so much of earlier ones before
/// it, some twenty: what is left of the socket is for the project's own readers.
const UNTAKEN_PAGES_MAX_BYTES: usize = 16 * 1024;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) pid: u32,
    /// The broker's own user, or root.
    pub(super) is_own: bool,
}

#[derive(Debug)]
pub(super) struct Registry {
    /// Rings this broker serves; no other can be begun.
    rings: BTreeMap<RingName, Ring>,
    project: String,
}

#[derive(Debug, Default)]
struct Ring {
    anchor: Option<Anchor>,
    parts: BTreeMap<Part, OwnedFd>,
    /// By place.
    pages: Vec<Option<Page>>,
    /// Places for readers of other users.
    spare: u32,
    writer: Option<Writer>,
}

/// Written by the broker alone, on behalf of one writer after the other.
#[derive(Debug)]
struct Anchor {
    map: Mapping,
    file: OwnedFd,
}

#[derive(Debug)]
struct Page {
    /// For reading; the reader's own description has the lock.
    file: OwnedFd,
    is_foreign: bool,
}

#[derive(Debug)]
struct Writer {
    pid: u32,
    /// Where it hears of new readers' pages. One that looks at none has closed its end.
    pages: OwnedFd,
}

/// An answer, and what goes with it.
pub(super) type Answer = (Reply, Option<OwnedFd>);

fn refused(why: impl ToString) -> Answer {
    (Reply::Refused { why: why.to_string() }, None)
}

impl Registry {
    pub(super) fn new(project: String, rings: impl IntoIterator<Item = RingName>) -> Self {
        let rings = rings.into_iter().map(|ring| (ring, Ring::default())).collect();
        Self { rings, project }
    }

    pub(super) fn serves(&self, ring: &RingName) -> bool {
        self.rings.contains_key(ring)
    }

    /// A reader gets descriptions of its own of everything but other readers' pages.
    pub(super) fn open(&self, ring: &RingName, part: Part) -> Answer {
        if matches!(part, Part::Lease { .. }) {
            return refused("a reader's page is its own");
        }
        let Some(file) = self.rings.get(ring).and_then(|ring| ring.file(part)) else {
            return (Reply::Absent, None);
        };
        match memory::reopen(file, OFlag::O_RDONLY) {
            Ok(file) => (Reply::Fd, Some(file)),
            Err(error) => refused(error),
        }
    }

    pub(super) fn leads(&self, ring: &RingName, part: Part, inode: u64) -> Answer {
        let file = self.rings.get(ring).and_then(|ring| ring.file(part));
        let leads = match file.map(memory::inode) {
            Some(found) if found == inode => Leads::Here,
            Some(_) => Leads::Elsewhere,
            None => Leads::Nowhere,
        };
        (Reply::Leads { leads }, None)
    }

    /// A page that nobody ever had, so that no reader before can still write it.
    pub(super) fn claim(&mut self, ring: &RingName, peer: Peer) -> Answer {
        let path = self.path(ring, Part::Lease { place: 0 });
        let kind = ring.kind();
        let Some(ring) = self.rings.get_mut(ring).filter(|ring| ring.anchor.is_some()) else {
            return (Reply::Absent, None);
        };
        let Some(place) = ring.free_place(peer) else {
            return (Reply::Full { holders: ring.holders() }, None);
        };
        if !peer.is_own && ring.untaken_pages_bytes() > UNTAKEN_PAGES_MAX_BYTES {
            return refused(
                "too many readers came and went while the writer was idle; try again later",
            );
        }
        match ring.grant(place, &path, kind, peer) {
            Ok(page) => (Reply::Page { place }, Some(page)),
            Err(error) => refused(error),
        }
    }

    /// The ring is the peer's from now on, until [`Self::end`].
    pub(super) fn begin(
        &mut self,
        name: &RingName,
        (places, spare): (u32, u32),
        peer: Peer,
    ) -> Answer {
        if !peer.is_own {
            return refused("only the user that runs the project may write its rings");
        }
        let path = self.path(name, Part::Anchor);
        let Some(ring) = self.rings.get_mut(name) else {
            return refused("the topology has no such brokered ring");
        };
        if ring.writer.is_some() {
            return (Reply::Taken, None);
        }
        match ring.begin(&path, name, (places, spare), peer) {
            Ok((held, pages)) => (held, pages),
            Err(error) => refused(error),
        }
    }

    pub(super) fn link(&mut self, ring: &RingName, part: Part, file: Option<OwnedFd>) -> Answer {
        let Some(ring) = self.rings.get_mut(ring) else { return refused("no such ring") };
        let Some(file) = file.filter(memory::is_sealed) else {
            return refused("a segment comes sealed against resizing and writing");
        };
        if part.epoch().is_none() || ring.parts.len() >= PARTS_MAX {
            return refused("not a segment that a writer shows, or too many of them");
        }
        ring.parts.insert(part, file);
        (Reply::Done, None)
    }

    /// The segment is to be closed where nobody waits: it may be the last to hold much memory.
    pub(super) fn unlink(&mut self, ring: &RingName, part: Part) -> Option<OwnedFd> {
        self.rings.get_mut(ring)?.parts.remove(&part)
    }

    pub(super) fn announce(&mut self, ring: &RingName, epochs: Epochs) -> Answer {
        let Some(ring) = self.rings.get(ring) else { return refused("no such ring") };
        let (Some(anchor), Some(writer)) = (&ring.anchor, &ring.writer) else {
            return refused("the ring has no writer");
        };
        let word = |at: usize| anchor.map.word(at);
        word(at::AT_PREVIOUS).store(epochs.previous, Ordering::Relaxed);
        word(at::AT_WRITER_PID).store(u64::from(writer.pid), Ordering::Relaxed);
        // PAIR epoch: everything the epoch names is linked.
        word(at::AT_EPOCH).store(epochs.live, Ordering::Release);
        wake::ring(anchor.map.half(at::AT_BELL));
        (Reply::Done, None)
    }

    pub(super) fn wake(&self, ring: &RingName) {
        if let Some(anchor) = self.rings.get(ring).and_then(|ring| ring.anchor.as_ref()) {
            wake::ring(anchor.map.half(at::AT_BELL));
        }
    }

    /// The writer is gone; what it showed stays for its readers, and for its successor to end.
    pub(super) fn end(&mut self, ring: &RingName) {
        if let Some(ring) = self.rings.get_mut(ring) {
            ring.writer = None;
        }
    }

    pub(super) fn status(&self, name: &RingName, now: MonoNs) -> RingStatus {
        let Some(ring) = self.rings.get(name) else {
            return census::absent(name);
        };
        // Descriptors of the same description, only read through.
        census::status_of(name, now, ring.bytes(), |part| ring.file(part)?.try_clone().ok())
    }

    /// What errors and maps call a segment; nothing is there.
    fn path(&self, ring: &RingName, part: Part) -> PathBuf {
        super::path_of(&self.project, ring, part)
    }
}

impl Ring {
    fn file(&self, part: Part) -> Option<&OwnedFd> {
        match part {
            Part::Anchor => Some(&self.anchor.as_ref()?.file),
            Part::Lease { place } => Some(&self.pages.get(place as usize)?.as_ref()?.file),
            part => self.parts.get(&part),
        }
    }

    fn bytes(&self) -> u64 {
        let anchor = self.anchor.iter().map(|anchor| &anchor.file);
        let pages = self.pages.iter().flatten().map(|page| &page.file);
        let sizes = anchor.chain(pages).chain(self.parts.values());
        sizes.map(|file| segment::size(Path::new(""), file).unwrap_or(0) as u64).sum()
    }

    fn begin(
        &mut self,
        path: &Path,
        name: &RingName,
        (places, spare): (u32, u32),
        peer: Peer,
    ) -> Result<(Reply, Option<OwnedFd>), Error> {
        if self.anchor.is_none() {
            self.anchor = Some(Anchor::create(path, name.kind())?);
        }
        let held =
            |page: &Option<Page>| page.as_ref().is_some_and(|page| lock::is_held(&page.file));
        self.pages.iter_mut().filter(|page| !held(page)).for_each(|page| *page = None);
        self.pages.resize_with(places.min(PLACES_MAX) as usize, || None);
        self.spare = spare;
        let (ours, theirs) = pages_socket(path)?;
        for (place, page) in (0..).zip(&self.pages) {
            let Some(page) = page else { continue };
            let file = memory::reopen(&page.file, OFlag::O_RDONLY);
            tell(&ours, place, &file.map_err(|source| io(path, source))?)
                .map_err(|source| io(path, source))?;
        }
        self.writer = Some(Writer { pid: peer.pid, pages: ours });
        let parts = self.parts.keys().copied().collect();
        let epochs = self.anchor.as_ref().map_or(Epochs { live: 0, previous: 0 }, Anchor::epochs);
        Ok((Reply::Held { epochs, parts }, Some(theirs)))
    }

    /// Readers of other users have the spare places only: they cannot keep the project's own out.
    fn free_place(&self, peer: Peer) -> Option<u32> {
        let held = |page: &&Page| lock::is_locked(&page.file);
        let foreign = self.pages.iter().flatten().filter(held).filter(|page| page.is_foreign);
        if !peer.is_own && foreign.count() >= self.spare as usize {
            return None;
        }
        let is_free = |page: &Option<Page>| !page.as_ref().is_some_and(|page| held(&page));
        let place = self.pages.iter().position(is_free)?;
        u32::try_from(place).ok()
    }

    fn untaken_pages_bytes(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| message::untaken_bytes(&writer.pages))
    }

    fn holders(&self) -> String {
        let readings = self.pages.iter().flatten().filter_map(|page| read_page(&page.file));
        let names: Vec<String> =
            readings.map(|page| format!("{} (pid {})", page.name, page.pid)).collect();
        names.join(", ")
    }

    fn grant(
        &mut self,
        place: u32,
        path: &Path,
        kind: RingKind,
        peer: Peer,
    ) -> Result<OwnedFd, Error> {
        let failed = |source| io(path, source);
        let memory = memory::create(path, lease::BYTES)?;
        pwrite(&memory, &page_header(kind), 0).map_err(failed)?;
        memory::seal_for_reader(path, &memory)?;
        let theirs = memory::reopen(&memory, OFlag::O_RDWR).map_err(failed)?;
        // Before anybody else has it: a page that is on its way to its reader is not free.
        if !lock::try_lock(&theirs).map_err(failed)? {
            return Err(failed(Errno::EAGAIN));
        }
        // The writer first: what the reader claims once it has the page, the writer finds.
        if let Some(writer) = &self.writer {
            let for_writer = memory::reopen(&memory, OFlag::O_RDONLY).map_err(failed)?;
            match tell(&writer.pages, place, &for_writer) {
                // Packets are copied: who is not known to a writer that has long been idle is not kept.
                Err(Errno::EAGAIN) if kind != RingKind::Frames => {}
                told => told.map_err(failed)?,
            }
        }
        let file = memory::reopen(&memory, OFlag::O_RDONLY).map_err(failed)?;
        self.pages[place as usize] = Some(Page { file, is_foreign: !peer.is_own });
        Ok(theirs)
    }
}

impl Anchor {
    fn create(path: &Path, kind: RingKind) -> Result<Self, Error> {
        let memory = memory::create(path, at::BYTES)?;
        let map = Mapping::open(path, &memory, at::BYTES, Access::ReadWrite)?;
        anchor::write_header(&map, at::MAGIC, kind);
        memory::seal_for_maker(path, &memory)?;
        let file = memory::reopen(&memory, OFlag::O_RDONLY).map_err(|source| io(path, source))?;
        Ok(Self { map, file })
    }

    fn epochs(&self) -> Epochs {
        let word = |at: usize| self.map.word(at).load(Ordering::Relaxed);
        Epochs { live: word(at::AT_EPOCH), previous: word(at::AT_PREVIOUS) }
    }
}

/// The broker's end, which is never waited for, and the writer's.
fn pages_socket(path: &Path) -> Result<(OwnedFd, OwnedFd), Error> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    pair.map_err(|error| io(path, Errno::from_raw(error.raw_os_error())))
}

fn tell(pages: &OwnedFd, place: u32, page: &OwnedFd) -> Result<(), Errno> {
    let sent =
        message::send(pages, &Reply::Page { place }, Some(page.as_fd()), SendFlags::DONTWAIT);
    match sent {
        // A writer that is just ending looks at no page any more, and many of packets at none ever.
        Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) | Ok(()) => Ok(()),
        Err(error) => Err(Errno::from_raw(error.raw_os_error())),
    }
}

fn page_header(kind: RingKind) -> [u8; at::AT_KIND + 4] {
    let mut bytes = [0; at::AT_KIND + 4];
    bytes[lease::AT_MAGIC..8].copy_from_slice(&lease::MAGIC.to_le_bytes());
    bytes[lease::AT_MAJOR..12].copy_from_slice(&layout::MAJOR.to_le_bytes());
    bytes[lease::AT_MINOR..16].copy_from_slice(&layout::MINOR.to_le_bytes());
    bytes[at::AT_KIND..].copy_from_slice(&anchor::kind_code(kind).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Peer = Peer { uid: 1_000, pid: 1, is_own: true };
    const STRANGER: Peer = Peer { uid: 61_001, pid: 2, is_own: false };

    #[test]
    fn a_stranger_that_comes_and_goes_while_the_writer_is_idle_keeps_no_reader_of_the_project_out()
    {
        let name: RingName = "cam.frames".parse().unwrap();
        let mut registry = Registry::new("p".to_owned(), [name.clone()]);
        let (held, _pages) = registry.begin(&name, (2, 1), OWN);
        assert!(matches!(held, Reply::Held { .. }), "{held:?}");
        let comes_and_goes = |registry: &mut Registry| registry.claim(&name, STRANGER).0;
        let last = (0..1_000).map(|_| comes_and_goes(&mut registry)).last();
        assert!(matches!(last, Some(Reply::Refused { .. })), "{last:?}");
        for _ in 0..100 {
            let (granted, _) = registry.claim(&name, OWN);
            assert!(matches!(granted, Reply::Page { .. }), "{granted:?}");
        }
    }
}
