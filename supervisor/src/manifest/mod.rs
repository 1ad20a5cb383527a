//! What one supervisor tells the next, so that it goes on with the same workers: a version and a frame of
//! `protocol::codec`, in a memory file that outlives exec. docs/protocol.md describes it.
//!
//! What belongs here: the form, and how it is carried. What each part is made of stands beside its owner,
//! in `handed_on` modules.

mod left;

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};
use protocol::codec::{self, FrameError};
use protocol::control::CONTROL_VERSION;
use protocol::name::{RingName, WorkerName};
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

use crate::admin::Asker;
use crate::floors::Floor;
use crate::history::History;
use crate::worker::Handed as Worker;
use crate::{admin, adoption, questions, topology};
pub(crate) use left::{Leaving, Left};

/// Raised whenever anything in it changes its meaning or place; another one is refused by number.
pub(crate) const VERSION: u32 = 5;
/// Environment: number of the descriptor it is read from.
pub(crate) const MANIFEST_FD: &str = "FRAMEVISOR_MANIFEST_FD";
/// A thousand lines of each of 250 workers at 1 KiB each.
const MAX_BYTES: usize = 256 << 20;
/// What this program calls itself when it meets another version.
pub(crate) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("manifest of version {seen}: framevisor {PROGRAM} reads version {VERSION}")]
    Version { seen: u32 },
    #[error(
        "the running workers speak control version {seen}, framevisor {PROGRAM} speaks {CONTROL_VERSION}"
    )]
    Control { seen: u32 },
    #[error("manifest: {0}")]
    Frame(#[from] FrameError),
    #[error("manifest: {0}")]
    Inherit(#[from] spawn::InheritError),
    #[error("manifest: not what this program was left: {what}")]
    Other { what: &'static str },
    #[error("manifest: worker {name} is not in its topology")]
    Worker { name: WorkerName },
    #[error("manifest: {step}: {source}")]
    Io { step: &'static str, source: io::Error },
}

/// All that a supervisor knows, but for what it can find out again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// As the workers that run understand it.
    pub(crate) control: u32,
    pub(crate) topology: topology::Reading,
    pub(crate) runtime_dir: PathBuf,
    /// Where the program of the supervisor is found again.
    pub(crate) program: PathBuf,
    /// Version of the program that wrote it.
    pub(crate) written_by: String,
    /// Seen in use: each ring goes on above it.
    pub(crate) floors: Vec<(RingName, Floor)>,
    pub(crate) past: Past,
    /// Of this boot.
    pub(crate) boot: String,
    /// Where each worker's sockets listen.
    pub(crate) addresses: Vec<(WorkerName, SocketAddr)>,
    /// `None` where it was left for whoever follows a supervisor that is killed.
    pub(crate) open: Option<Open>,
}

/// What became of the project so far.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) workers: Vec<Worker>,
    pub(crate) history: History,
    pub(crate) questions: questions::Handed,
    /// Processes started so far.
    pub(crate) processes: u64,
    /// When the project was started.
    pub(crate) started: MonoNs,
}

/// What stays open from one program to the next.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    /// `None` when the guard is gone: then the project ends.
    pub(crate) guard: Option<Left>,
    pub(crate) lock: Left,
    pub(crate) listeners: Vec<(WorkerName, Left)>,
    pub(crate) admin: admin::Handed,
    /// Who wanted this, and waits for the answer.
    pub(crate) asked: Asker,
}

impl Manifest {
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, ManifestError> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        bytes.extend(codec::encode_within(MAX_BYTES, self)?);
        Ok(bytes)
    }

    /// Into a memory file, for the program that this one becomes.
    pub(crate) fn write(&self) -> Result<File, ManifestError> {
        let bytes = self.bytes()?;
        let file = memfd_create(c"framevisor-manifest", MFdFlags::MFD_CLOEXEC);
        let mut file = File::from(file.map_err(|errno| at("make")(errno.into()))?);
        file.write_all(&bytes).map_err(at("write"))?;
        Ok(file)
    }

    /// Refuses what another version means otherwise.
    pub(crate) fn read(file: &File) -> Result<Self, ManifestError> {
        let length = file.metadata().map_err(at("look at"))?.len();
        let length =
            usize::try_from(length).unwrap_or(usize::MAX).min(MAX_BYTES + size_of::<u32>());
        let mut bytes = vec![0; length];
        // From the beginning, wherever another process has left off.
        file.read_exact_at(&mut bytes, 0).map_err(at("read"))?;
        let (version, frame) = bytes.split_first_chunk().ok_or(FrameError::Empty)?;
        let seen = u32::from_le_bytes(*version);
        if seen != VERSION {
            return Err(ManifestError::Version { seen });
        }
        let manifest: Self = codec::decode_within(MAX_BYTES, frame)?;
        match manifest.control {
            CONTROL_VERSION => Ok(manifest),
            seen => Err(ManifestError::Control { seen }),
        }
    }

    /// What a killed supervisor left at `path`.
    pub(crate) fn of_the_dead(path: &Path) -> Result<Self, ManifestError> {
        let manifest = Self::read(&File::open(path).map_err(at("open"))?)?;
        if manifest.boot != adoption::boot_id() {
            return Err(ManifestError::Other { what: "it is of another boot" });
        }
        Ok(manifest)
    }

    /// The one this process was given.
    pub(crate) fn inherited() -> Result<Self, ManifestError> {
        Self::read(&File::from(spawn::take_inherited(MANIFEST_FD)?))
    }
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> ManifestError {
    move |source| ManifestError::Io { step, source }
}
