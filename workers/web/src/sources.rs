//! Where the page's facts come from. The rest of the crate sees these traits only, so that its tests
//! need neither rings nor a supervisor; `live.rs` is the real thing.

use protocol::admin::{ClientStatus, RingStatus};
use protocol::name::{RingName, WorkerName};
use protocol::time::Stamp;
use recordings::UploadStatus;
use worker::Fault;

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
    /// Attaches to a frame ring; dropping the tap detaches.
    fn open(&self, ring: &RingName) -> Result<Box<dyn PictureTap>, Trouble>;
}

/// One attached frame ring.
pub trait PictureTap: Send {
    /// The newest picture if there is one not given yet. Copies the planes; does not wait.
    fn newest(&mut self) -> Result<Option<Picture>, Trouble>;
}
