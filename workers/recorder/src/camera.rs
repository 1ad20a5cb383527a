//! The life of one camera's thread: find where to go on, read, write; on trouble begin again.
//!
//! Every begin is the same, after a start, a kill or a full disk: settle the folder, read the ring
//! from behind the last recorded packet. So nothing is held in memory for a disk that cannot be
//! written; the ring keeps it, as long as it can.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use protocol::control::Condition;
use protocol::name::{ProjectName, RingName};
use shmring::clock;

use crate::error::Error;
use crate::folder::Folder;
use crate::keeper::Keeper;
use crate::packet_id::PacketId;
use crate::recover::recover;
use crate::session::{Session, WAIT};
use crate::status::Status;

/// How long trouble is left alone. A ring holds ten seconds and more.
const RETRY: Duration = Duration::from_secs(1);

/// What one camera's recording needs to know.
#[derive(Clone, Debug)]
pub struct Job {
    pub project: ProjectName,
    pub ring: RingName,
    /// Name shown beside the ring.
    pub reader: String,
    /// The camera's own directory.
    pub folder: PathBuf,
    /// A file is cut at the first key frame after this long.
    pub segment: Duration,
    /// Of all cameras of the recorder.
    pub keeper: Arc<Keeper>,
    pub stop: Arc<AtomicBool>,
    pub status: Arc<Status>,
}

/// Records one packet ring until it is told to stop.
#[derive(Debug)]
pub struct Camera {
    job: Job,
    /// The last packet written by this process, for a folder that was emptied meanwhile.
    recorded: Option<PacketId>,
}

impl Camera {
    pub fn new(job: Job) -> Self {
        Self { job, recorded: None }
    }

    /// Returns once it has been stopped and everything read is on the disk, or cannot be.
    pub fn run(mut self) {
        loop {
            let trouble = match self.record() {
                Ok(()) => return,
                Err(Error::JointBroken) => continue,
                Err(trouble) => trouble,
            };
            let ring = &self.job.ring;
            self.job.status.set(Condition::Degraded, &format!("{ring}: {trouble}"));
            if self.stopping() {
                tracing::error!(%ring, %trouble, "stopped with packets unrecorded");
                return;
            }
            self.rest();
        }
    }

    /// From the settled folder to the stop.
    fn record(&mut self) -> Result<(), Error> {
        let folder = Folder::open(&self.job.folder)?;
        let recovered = recover(&folder, &self.job.ring)?;
        self.job.keeper.enter(folder.path(), &folder.recordings()?);
        let mut session = Session::begin(&self.job, folder, recovered, self.recorded);
        let outcome = session.run();
        self.recorded = session.recorded().or(self.recorded);
        outcome?;
        if session.is_repeating() {
            // Stopped before the old group was all in the new file: settle it as after a kill.
            drop(session);
            recover(&Folder::open(&self.job.folder)?, &self.job.ring)?;
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.job.stop.load(Ordering::Acquire)
    }

    fn rest(&self) {
        let until = clock::mono() + RETRY;
        while !self.stopping() && clock::mono() < until {
            thread::sleep(WAIT);
        }
    }
}
