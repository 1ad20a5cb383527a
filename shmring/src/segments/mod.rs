//! Where the segments of a ring are had. A reader asks [`Segments`]; the one writer makes and shows
//! them through its [`Hold`] on the ring. What is in a segment is no business of this module.
//!
//! * [`Named`]: files in /dev/shm. Between programs of one user, or of one group, it protects against
//!   mistakes, not against malice.
//! * [`Brokered`]: sealed memory without a name, handed out by a process of the project. For readers
//!   that are not trusted.

mod brokered;
mod named;
mod names;

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::config::Access;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::lock::Locked;
use crate::segment::{Draft, Mapping};

pub(crate) use brokered::Brokered;
pub(crate) use named::{Named, Sweeper, open_if_there, sweep};
pub(crate) use names::{DIR, Names, PREFIX, Role, in_dir, list, prefix, ring_of};

/// One segment of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Anchor,
    Index { epoch: u64 },
    Data { epoch: u64, generation: u32 },
    Lease { place: u32 },
}

impl Part {
    /// The epoch it is of; the others outlive epochs.
    pub(crate) fn epoch(self) -> Option<u64> {
        match self {
            Self::Index { epoch } | Self::Data { epoch, .. } => Some(epoch),
            Self::Anchor | Self::Lease { .. } => None,
        }
    }
}

/// Where a name leads, seen from an open segment that once had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Leads {
    Here,
    Elsewhere,
    Nowhere,
}

/// A ring's segments, as its readers reach them.
pub(crate) trait Segments: Debug + Send + Sync {
    fn ring(&self) -> &RingName;

    /// That there is no such ring.
    fn absent(&self) -> Error;

    /// What errors call a segment.
    fn path(&self, part: Part) -> PathBuf;

    /// Opens it for reading; `None` when it is not there, or not any more.
    fn open(&self, part: Part) -> Result<Option<OwnedFd>, Error>;

    /// Where its name leads by now, seen from the segment that was opened as `file`.
    fn leads(&self, part: Part, file: &OwnedFd) -> Leads;

    /// Whether a new writer can call who sleeps on the bell of the epoch before ([`Hold::index_of`]).
    fn successor_calls(&self) -> bool;

    /// A lease page that was free, locked for this process and open for writing, and its place, which
    /// is below `places`.
    fn claim_page(&self, places: u32) -> Result<(u32, OwnedFd), Error>;
}

/// The live epoch and the one before it; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epochs {
    pub(crate) live: u64,
    pub(crate) previous: u64,
}

/// A ring held for writing. Nobody else can hold it while this lives.
pub(crate) trait Hold: Debug + Send + Sync {
    fn ring(&self) -> &RingName;

    /// What errors call a segment.
    fn path(&self, part: Part) -> PathBuf;

    /// What the anchor says.
    fn epochs(&self) -> Epochs;

    /// Makes a segment that nobody sees, mapped for writing and with every byte reserved.
    fn create(&self, part: Part, bytes: usize) -> Result<Draft, Error>;

    /// Shows it, finished, to readers. The file is the one that a lock was taken on before.
    fn link(&self, part: Part, draft: Draft) -> Result<(Mapping, Locked), Error>;

    /// Takes it from those who have not opened it yet. One that is gone already is fine.
    fn unlink(&self, part: Part);

    /// What is shown now.
    fn list(&self) -> Vec<Part>;

    /// Makes `epochs` what the anchor says and wakes every waiting reader.
    fn announce(&self, epochs: Epochs) -> Result<(), Error>;

    /// Wakes them without news.
    fn ring_bell(&self);

    /// The first page of that epoch's index, for reading, to call those by who sleep on its bell. `None`:
    /// it is gone, or cannot be had; whoever reads it hears the anchor's bell.
    fn index_of(&self, epoch: u64) -> Option<Mapping>;

    /// Lease pages that came since this was last asked: at first all there are. A reader has its page only
    /// after it would be among these.
    fn take_pages(&self) -> NewPages;

    /// Looks at no page from now on.
    fn forget_pages(&self) {
        drop(self.take_pages());
    }
}

/// Lease pages that a writer has not seen before, each with its place.
#[derive(Debug)]
pub(crate) struct NewPages {
    pub(crate) pages: Vec<(u32, OwnedFd)>,
    /// There are more, for which this process has no descriptor left: they wait.
    pub(crate) more: bool,
}

/// The way to a ring: one that has no names in /dev/shm is asked for at the project's broker.
pub(crate) fn find(project: &ProjectName, ring: &RingName) -> Arc<dyn Segments> {
    match ways(project, ring) {
        (_, Some(brokered)) => Arc::new(brokered),
        (named, None) => Arc::new(named),
    }
}

/// The second where the ring is to be asked for at a broker. Anybody may make files in /dev/shm, under the
/// name of a brokered ring too: beside a broker nobody's count but those of whom it serves.
pub(crate) fn ways(project: &ProjectName, ring: &RingName) -> (Named, Option<Brokered>) {
    let brokered = Brokered::find(project, ring);
    let named = Named::beside(project, ring, brokered.as_ref());
    let has_names = named.is_there();
    (named, brokered.filter(|_| !has_names))
}

/// Takes the ring for writing.
pub(crate) fn hold(project: &ProjectName, contract: &RingContract) -> Result<Arc<dyn Hold>, Error> {
    let ring = &contract.name;
    match contract.config.access {
        Access::Named => Ok(Arc::new(Named::new(project, ring).hold(contract)?)),
        Access::Brokered => match Brokered::find(project, ring) {
            Some(brokered) => Ok(Arc::new(brokered.hold(contract)?)),
            None => Err(Error::NoBroker { ring: ring.clone() }),
        },
    }
}
