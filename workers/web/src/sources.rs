//! Where the page's facts come from. The rest of the crate sees these traits only, so that its tests
//! need neither rings nor a supervisor; `live.rs` is the real thing.

use std::time::Duration;

use protocol::admin::{ClientStatus, RingStatus};
use protocol::name::{RingName, WorkerName};
use protocol::stream::Track;
use protocol::time::Stamp;
use recordings::UploadStatus;
use shmring::Packet;
use worker::Fault;

use crate::insight::passage::Passage;
use crate::picture::Picture;

/// Why a source has nothing to say now. Never the end of the worker: rings and supervisors come back.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("the supervisor's answer is no list of workers: {0}")]
    Answer(#[from] serde_json::Error),
    #[error("this worker failed while asking; its log says how")]
    Gone,
    #[error("ring {ring}: holds {seen}; only pictures can be shown")]
    NoPicture { ring: RingName, seen: shmring::Content },
    #[error(transparent)]
    Ring(#[from] shmring::Error),
    #[error(transparent)]
    Supervisor(#[from] Fault),
}

/// Of `/dev/shm`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedMemory {
    pub all: u64,
    pub free: u64,
}

/// Everything outside this process. All but `now` may block for a while and run off the event loop.
pub trait Sources: Send + Sync + 'static {
    fn now(&self) -> Stamp;
    /// The JSON text of `ps -o json`.
    fn workers(&self) -> Result<String, Trouble>;
    fn rings(&self) -> Vec<RingStatus>;
    /// What the uploader of this name last said; `None` when it never did.
    fn upload(&self, _worker: &WorkerName) -> Option<UploadStatus> {
        None
    }
    /// Who is connected to the server of this name.
    fn clients(&self, _worker: &WorkerName) -> Vec<ClientStatus> {
        Vec::new()
    }
    /// What this machine has for rings; `None` where the system does not tell.
    fn shared_memory(&self) -> Option<SharedMemory> {
        None
    }
    /// The last lines that a worker printed, as `framevisor logs -o json` has them; `None` where nobody keeps them.
    fn logs(&self, _worker: &WorkerName, _lines: u32) -> Result<Option<String>, Trouble> {
        Ok(None)
    }
    /// Attaches to a frame ring; dropping the tap detaches.
    fn open(&self, ring: &RingName) -> Result<Box<dyn PictureTap>, Trouble>;
    /// A packet ring, there or not, to be read from its oldest packet on; dropping the tap detaches. Does not block.
    fn packets(&self, ring: &RingName) -> Box<dyn PacketTap>;
    /// Attaches to a packet ring, for its times alone; `None` where they cannot be read.
    fn open_times(&self, _ring: &RingName) -> Result<Option<Box<dyn TimesTap>>, Trouble> {
        Ok(None)
    }
}

/// One attached frame ring.
pub trait PictureTap: Send {
    /// The newest picture if there is one not given yet. Copies the planes; does not wait.
    fn newest(&mut self) -> Result<Option<Picture>, Trouble>;
}

/// One packet ring.
pub trait PacketTap: Send {
    /// What it has next; waits at most so long.
    fn next(&mut self, wait: Duration) -> Result<Told, Trouble>;
    /// What flows in it, as of the last packet; empty while it is absent.
    fn tracks(&self) -> &[Track];
}

/// What a packet ring says.
#[derive(Debug)]
pub enum Told {
    /// It is not there, for this reason; it may come.
    Absent(String),
    /// Its writer finished and everything was read. Another may come.
    Ended,
    /// Packets were overwritten before they were read; 0 when their number is unknown.
    Missed(u64),
    Packet(Packet),
    /// Nothing new within the wait.
    Quiet,
}

/// One attached packet ring, of which the times alone are wanted.
pub trait TimesTap: Send {
    /// Gives the times of the packets that came since the last call; does not wait.
    fn drain(&mut self, take: &mut dyn FnMut(Passage)) -> Result<(), Trouble>;
}
