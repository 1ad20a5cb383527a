//! Segments with names in /dev/shm.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{Gid, fchown, geteuid};
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};

use super::names::{Names, Role};
use super::{Brokered, Epochs, Hold, Leads, NewPages, Part, Segments};
use crate::anchor::write_header;
use crate::clock;
use crate::error::{Error, io};
use crate::layout::{self, anchor, index, lease};
use crate::lease::holders;
use crate::lock::{self, Locked};
use crate::segment::{self, Access, Draft, Mapping};
use crate::sync::{AtomicU64, Ordering};
use crate::wake;

/// How long a new writer waits for the lock of one that is on its way out, or of a sweeper. A killed
/// process has been seen to hold its locks for 120 ms.
const LOCK_PATIENCE: Duration = Duration::from_millis(250);
const LOCK_PAUSE: Duration = Duration::from_millis(2);
const ROOT: u32 = 0;
/// How often a reader that finds the pages swept from under it tries those that follow.
const CLAIM_ATTEMPTS: u32 = 10;

/// The files of one ring.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    names: Names,
    /// Whose broker listens for the project. Without one whoever made the anchor made the ring.
    broker: Option<u32>,
}

impl Named {
    pub(crate) fn new(project: &ProjectName, ring: &RingName) -> Self {
        Self::beside(project, ring, None)
    }

    pub(super) fn beside(
        project: &ProjectName,
        ring: &RingName,
        brokered: Option<&Brokered>,
    ) -> Self {
        Self { names: Names::new(project, ring), broker: brokered.map(Brokered::owner) }
    }

    /// Whether there is a ring of this name, ours to read or not.
    pub(crate) fn is_there(&self) -> bool {
        let found = fs::symlink_metadata(self.names.path(Part::Anchor));
        found.is_ok_and(|anchor| self.may_be_of(anchor.uid()))
    }

    fn may_be_of(&self, owner: u32) -> bool {
        self.broker.is_none_or(|broker| may_make_rings(owner, broker, geteuid().as_raw()))
    }

    /// Bytes of all its files.
    pub(crate) fn bytes(&self) -> u64 {
        let sizes =
            self.names.existing().into_iter().filter_map(|(_, path)| fs::metadata(path).ok());
        sizes.map(|meta| meta.len()).sum()
    }

    /// Takes the ring and clears away what dead writers left half done; anchor and lease pages exist
    /// then.
    pub(super) fn hold(self, contract: &RingContract) -> Result<NamedHold, Error> {
        let Self { names, .. } = self;
        let lock = take_lock(&names)?;
        remove_temporaries(&names);
        let group = contract.group;
        let anchor = open_or_create_anchor(&names, group)?;
        let pages = ensure_lease_pages(&names, contract.places, group)?;
        Ok(NamedHold { names, group, anchor, pages: Mutex::new(pages), _lock: lock })
    }
}

impl Segments for Named {
    fn ring(&self) -> &RingName {
        &self.names.ring
    }

    fn absent(&self) -> Error {
        self.names.absent()
    }

    fn path(&self, part: Part) -> PathBuf {
        self.names.path(part)
    }

    fn open(&self, part: Part) -> Result<Option<OwnedFd>, Error> {
        let file = open_if_there(&self.names.path(part), OFlag::O_RDONLY)?;
        // Anybody may make files in /dev/shm: under the name of an epoch that is gone, for one, and cut
        // them off under whoever maps them.
        let anchor = self.names.path(Part::Anchor);
        let is_ours = |file: &OwnedFd| match part {
            Part::Anchor => fstat(file).is_ok_and(|stat| self.may_be_of(stat.st_uid)),
            _ => has_owner_of(&anchor, file),
        };
        Ok(file.filter(is_ours))
    }

    fn leads(&self, part: Part, file: &OwnedFd) -> Leads {
        leads(&self.names.path(part), file)
    }

    fn successor_calls(&self) -> bool {
        true
    }

    fn claim_page(&self, places: u32) -> Result<(u32, OwnedFd), Error> {
        for _ in 0..CLAIM_ATTEMPTS {
            let Some((place, file)) = lock_free_page(&self.names, places)? else {
                let holders = holders(self, places);
                return Err(Error::NoPlace { ring: self.names.ring.clone(), places, holders });
            };
            // The ring may have been swept since we opened the file. No writer looks at a page that
            // has lost its name, so a lease in it would protect nothing.
            let part = Part::Lease { place };
            if self.leads(part, &file) == Leads::Here {
                // A reader before us may have cut it off.
                segment::reserve(&self.names.path(part), &file, lease::BYTES)?;
                return Ok((place, file));
            }
        }
        Err(self.absent())
    }
}

/// `None` when every page is taken.
fn lock_free_page(names: &Names, places: u32) -> Result<Option<(u32, OwnedFd)>, Error> {
    let anchor = names.path(Part::Anchor);
    let (mut found, mut refused) = (false, None);
    for place in 0..places {
        let path = names.path(Part::Lease { place });
        match open_if_there(&path, OFlag::O_RDWR) {
            Ok(None) => continue,
            Err(error) => refused = Some(error),
            // A stranger's page, at which no writer looks.
            Ok(Some(file)) if !has_owner_of(&anchor, &file) => continue,
            Ok(Some(file)) => {
                found = true;
                if lock::try_lock(&file).map_err(|source| io(&path, source))? {
                    return Ok(Some((place, file)));
                }
            }
        }
    }
    match refused {
        Some(error) => Err(error),
        None if found || places == 0 => Ok(None),
        None => Err(names.absent()),
    }
}

/// A ring of files whose `.lock` this process has.
#[derive(Debug)]
pub(crate) struct NamedHold {
    names: Names,
    group: Option<u32>,
    anchor: Mapping,
    pages: Mutex<Vec<(u32, OwnedFd)>>,
    /// Held for its lock.
    _lock: Locked,
}

impl Hold for NamedHold {
    fn ring(&self) -> &RingName {
        &self.names.ring
    }

    fn path(&self, part: Part) -> PathBuf {
        self.names.path(part)
    }

    fn epochs(&self) -> Epochs {
        // PAIR epoch
        let live = self.anchor.word(anchor::AT_EPOCH).load(Ordering::Acquire);
        Epochs { live, previous: self.anchor.word(anchor::AT_PREVIOUS).load(Ordering::Relaxed) }
    }

    fn create(&self, _: Part, bytes: usize) -> Result<Draft, Error> {
        draft(&self.names, bytes)
    }

    fn link(&self, part: Part, draft: Draft) -> Result<(Mapping, Locked), Error> {
        link(&self.names, part, draft, self.group)
    }

    fn unlink(&self, part: Part) {
        remove(&self.names.path(part));
    }

    fn list(&self) -> Vec<Part> {
        let parts = self.names.existing().into_iter().filter_map(|(role, _)| match role {
            Role::Part(part) => Some(part),
            Role::Lock | Role::Temporary => None,
        });
        parts.collect()
    }

    fn announce(&self, epochs: Epochs) -> Result<(), Error> {
        self.anchor.word(anchor::AT_PREVIOUS).store(epochs.previous, Ordering::Relaxed);
        let pid = u64::from(std::process::id());
        self.anchor.word(anchor::AT_WRITER_PID).store(pid, Ordering::Relaxed);
        // PAIR epoch: everything the epoch names is linked.
        self.anchor.word(anchor::AT_EPOCH).store(epochs.live, Ordering::Release);
        self.ring_bell();
        Ok(())
    }

    fn ring_bell(&self) {
        wake::ring(self.anchor.half(anchor::AT_BELL));
    }

    fn index_of(&self, epoch: u64) -> Option<Mapping> {
        let path = self.path(Part::Index { epoch });
        let file = open_if_there(&path, OFlag::O_RDONLY).ok()??;
        let is_whole = segment::size(&path, &file).ok()? >= index::HEADER;
        let usable = is_whole && is_own(&path, &file).ok()?;
        usable.then(|| Mapping::open(&path, &file, index::HEADER, Access::Read).ok())?
    }

    fn take_pages(&self) -> NewPages {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        NewPages { pages: std::mem::take(&mut pages), more: false }
    }
}

/// Locks the ring for this process. A sweeper may unlink a free lock's file between our opening and
/// locking it; such a lock owns nothing, so look again.
fn take_lock(names: &Names) -> Result<Locked, Error> {
    let path = names.lock();
    let until = clock::mono() + LOCK_PATIENCE;
    loop {
        let file = Locked::new(open_lock(&path)?);
        let locked = file.try_lock().map_err(|source| io(&path, source))?;
        if locked && is_linked(&path, file.file()) {
            return Ok(file);
        }
        if clock::mono() >= until {
            return Err(Error::HasWriter { ring: names.ring.clone() });
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// A writer killed while it built a file leaves its memory under a name that nobody looks for.
fn remove_temporaries(names: &Names) {
    let existing = names.existing().into_iter();
    existing.filter(|(role, _)| *role == Role::Temporary).for_each(|(_, path)| remove(&path));
}

fn open_or_create_anchor(names: &Names, group: Option<u32>) -> Result<Mapping, Error> {
    let path = names.path(Part::Anchor);
    if let Some(file) = open_if_there(&path, OFlag::O_RDWR)? {
        if let Some(map) = map_own_anchor(&path, &file)? {
            give(&path, &file, Part::Anchor, group)?;
            return Ok(map);
        }
        // Left by another layout, user or accident: we hold the lock, so no writer of ours uses it.
        // Its readers notice that the name leads elsewhere and attach again.
        remove(&path);
    }
    let draft = draft(names, anchor::BYTES)?;
    write_header(&draft.mapping, anchor::MAGIC, names.ring.kind());
    Ok(link(names, Part::Anchor, draft, group)?.0)
}

/// `None` for an anchor that cannot be gone on with.
fn map_own_anchor(path: &Path, file: &OwnedFd) -> Result<Option<Mapping>, Error> {
    if segment::size(path, file)? < anchor::BYTES || !is_own(path, file)? {
        return Ok(None);
    }
    let map = Mapping::open(path, file, anchor::BYTES, Access::ReadWrite)?;
    let usable = map.word(anchor::AT_MAGIC).load(Ordering::Relaxed) == anchor::MAGIC
        && map.half(anchor::AT_MAJOR).load(Ordering::Relaxed) == layout::MAJOR
        // No epoch could follow: scribbled.
        && map.word(anchor::AT_EPOCH).load(Ordering::Relaxed) != u64::MAX;
    Ok(usable.then_some(map))
}

/// Lease pages outlive epochs, because readers stay attached across them.
fn ensure_lease_pages(
    names: &Names,
    places: u32,
    group: Option<u32>,
) -> Result<Vec<(u32, OwnedFd)>, Error> {
    let mut pages = Vec::new();
    for place in 0..places {
        let part = Part::Lease { place };
        let path = names.path(part);
        if !page_is_there(&path, part, group) {
            let draft = draft(names, lease::BYTES)?;
            write_header(&draft.mapping, lease::MAGIC, names.ring.kind());
            match link(names, part, draft, group) {
                // Another user has put something there and it cannot be removed: one place less, and
                // no reason not to capture.
                Err(Error::Io { source: Errno::EEXIST, .. }) => continue,
                linked => linked?,
            };
        }
        if let Some(file) = open_if_there(&path, OFlag::O_RDONLY)? {
            pages.push((place, file));
        }
    }
    Ok(pages)
}

/// What somebody else has put there is removed, as far as it can be, and so is a page that others may
/// write than before: a reader that has it mapped as its own must never see it cut off. It claims anew.
fn page_is_there(path: &Path, part: Part, group: Option<u32>) -> bool {
    let fits = match open_if_there(path, OFlag::O_RDONLY).map(|file| file.map(|file| fstat(&file)))
    {
        Ok(Some(Ok(stat))) => {
            stat.st_uid == geteuid().as_raw()
                && stat.st_mode & 0o777 == mode(part, group.is_some()).bits()
                && group.is_none_or(|group| group == stat.st_gid)
        }
        Ok(None) => return false,
        Ok(Some(Err(_))) | Err(_) => false,
    };
    if !fits {
        remove(path);
    }
    fits
}

/// For this user alone: its name can be seen while it is built, and a member of the group that took a
/// shared lock on an index before its writer locks it would stop capture.
fn draft(names: &Names, bytes: usize) -> Result<Draft, Error> {
    Draft::create(names.temporary(salt()), bytes)
}

fn link(
    names: &Names,
    part: Part,
    draft: Draft,
    group: Option<u32>,
) -> Result<(Mapping, Locked), Error> {
    let path = names.path(part);
    give(&path, draft.file.file(), part, group)?;
    draft.link(&path)
}

/// Makes temporary names differ within one process; the pid in them does it between processes.
fn salt() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    clock::mono().0 ^ (NEXT.fetch_add(1, Ordering::Relaxed) << 48)
}

/// Opens a file to those who may read it. Not at its creation, where the umask would take bits away.
fn give(path: &Path, file: &OwnedFd, part: Part, group: Option<u32>) -> Result<(), Error> {
    if let Some(group) = group {
        fchown(file, None, Some(Gid::from_raw(group)))
            .map_err(|source| Error::group_refused(path, group, source))?;
    }
    fchmod(file, mode(part, group.is_some())).map_err(|source| io(path, source))
}

/// Readers never write data; lease pages are theirs.
fn mode(part: Part, has_group: bool) -> Mode {
    let bits = match (part, has_group) {
        (_, false) => 0o600,
        (Part::Lease { .. }, true) => 0o660,
        (Part::Anchor | Part::Index { .. } | Part::Data { .. }, true) => 0o640,
    };
    Mode::from_bits_truncate(bits)
}

/// Unlinks all files of a ring whose writer is gone. Attached readers keep their mappings.
pub(crate) fn sweep(project: &ProjectName, ring: &RingName) {
    let names = Names::new(project, ring);
    // Before the lock: asking for it would make its file.
    if names.existing().is_empty() {
        return;
    }
    if let Some(sweeper) = Sweeper::take(&names) {
        sweeper.sweep();
    }
}

/// A ring without a writer, held so that none comes: only the holder of a ring's lock may unlink its
/// files (shmring's rule I9).
#[derive(Debug)]
pub(crate) struct Sweeper<'a> {
    names: &'a Names,
    /// Held for its lock.
    _lock: Locked,
}

impl<'a> Sweeper<'a> {
    /// `None` when somebody else has the ring.
    pub(crate) fn take(names: &'a Names) -> Option<Self> {
        let path = names.lock();
        let file = Locked::new(open_lock(&path).ok()?);
        let mine = file.try_lock() == Ok(true) && is_linked(&path, file.file());
        mine.then_some(Self { names, _lock: file })
    }

    /// Looks for the files now: a writer may have come and gone before the lock was taken.
    pub(crate) fn sweep(self) {
        for (_, path) in self.names.existing().iter().filter(|(role, _)| *role != Role::Lock) {
            remove(path);
        }
        remove(&self.names.lock());
    }
}

/// Opens the ownership lock's file, creating it for this user alone.
fn open_lock(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|source| io(path, source))
}

/// Never follows a link, never inherits; `None` for a name that is not there.
pub(crate) fn open_if_there(path: &Path, access: OFlag) -> Result<Option<OwnedFd>, Error> {
    // Whatever stands there, a pipe for one, opening it does not wait.
    let flags = access | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    match open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::ENOENT) => Ok(None),
        Err(source) => Err(io(path, source)),
    }
}

/// Removes a name; one that is gone already is fine.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Whether this user owns the open file. Anybody may make files in /dev/shm, under our names too.
fn is_own(path: &Path, file: &OwnedFd) -> Result<bool, Error> {
    let stat = fstat(file).map_err(|source| io(path, source))?;
    Ok(stat.st_uid == geteuid().as_raw())
}

/// Whether a reader takes the files of `owner` for a ring's where the project has a broker of that user. Its
/// own user, and root, can deceive it in simpler ways.
fn may_make_rings(owner: u32, broker: u32, reader: u32) -> bool {
    owner == broker || owner == reader || owner == ROOT
}

fn has_owner_of(path: &Path, file: &OwnedFd) -> bool {
    match (fstat(file), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => open.st_uid == named.uid(),
        // A ring that is just being swept: what is left of its files leads nowhere soon.
        _ => false,
    }
}

/// Whether `path` still leads to the open file: a lock on an orphaned inode owns nothing.
fn is_linked(path: &Path, file: &OwnedFd) -> bool {
    leads(path, file) == Leads::Here
}

fn leads(path: &Path, file: &OwnedFd) -> Leads {
    match (fstat(file), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) if (open.st_dev, open.st_ino) == (named.dev(), named.ino()) => {
            Leads::Here
        }
        (_, Ok(_)) => Leads::Elsewhere,
        (_, Err(_)) => Leads::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use protocol::config::RingConfig;

    use super::*;
    use crate::census;

    #[test]
    fn beside_a_broker_files_of_another_user_are_no_ring() {
        let (broker, reader, stranger) = (1_000, 1_001, 1_002);
        let may = |owner| may_make_rings(owner, broker, reader);
        assert_eq!([broker, reader, ROOT, stranger].map(may), [true, true, true, false]);
    }

    #[test]
    fn what_is_being_built_is_open_to_nobody_else_before_it_has_its_name() {
        let project: ProjectName = format!("named{}", std::process::id()).parse().unwrap();
        let name: RingName = "cam.packets".parse().unwrap();
        let contract = RingContract {
            group: Some(nix::unistd::getegid().as_raw()),
            ..RingContract::new(name.clone(), RingConfig::default(), 1)
        };
        let hold = Named::new(&project, &name).hold(&contract).unwrap();
        let mode = |file: &OwnedFd| fstat(file).unwrap().st_mode & 0o777;
        let part = Part::Index { epoch: 1 };
        let draft = hold.create(part, layout::PAGE).unwrap();
        let before = mode(draft.file.file());
        let (_, file) = hold.link(part, draft).unwrap();
        let after = mode(file.file());
        drop(hold);
        census::sweep_unowned(&project);
        assert_eq!((before, after), (0o600, 0o640));
    }
}
