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
use recordings::index::Notes;
use shmring::{Next, PacketOptions, PacketReader, Start, clock};

use crate::command;
use crate::disk::Disk;
use crate::doubt::Doubt;
use crate::error::Error;
use crate::folder::Folder;
use crate::gate::SharedGate;
use crate::keeper::Keeper;
use crate::packet_id::PacketId;
use crate::recover::recover;
use crate::remarks::Remarks;
use crate::segments::Segments;
use crate::session::{Ended, Rejoin, Session, WAIT};
use crate::status::Status;
use crate::syncer::Syncer;

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
    /// Which moments are recorded.
    pub gate: SharedGate,
    /// Comments for the camera's folder.
    pub remarks: Remarks,
    /// Where `folder` is. Of all cameras of the recorder, as the next.
    pub disk: Arc<Disk>,
    pub keeper: Arc<Keeper>,
    /// What is durable is told here.
    pub index: Notes,
    /// Complete files are told here.
    pub segments: Segments,
    pub stop: Arc<AtomicBool>,
    pub status: Arc<Status>,
}

/// Records one packet ring until it is told to stop.
#[derive(Debug)]
pub struct Camera {
    job: Job,
    /// The last packet written by this process, for a folder that was emptied meanwhile.
    recorded: Option<PacketId>,
    syncer: Option<Syncer>,
    /// What an earlier session left that may not be on the disk.
    doubt: Option<Doubt>,
    /// Commands of an earlier life are known.
    remembers: bool,
}

impl Camera {
    pub fn new(job: Job) -> Self {
        Self { job, recorded: None, syncer: None, doubt: None, remembers: false }
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
        let mut rejoin = None;
        while let Ended::Rejoin(wanted) = self.session(rejoin)? {
            rejoin = Some(wanted);
        }
        Ok(())
    }

    fn session(&mut self, rejoin: Option<Rejoin>) -> Result<Ended, Error> {
        let busy = self.job.status.writing();
        self.job.disk.check()?;
        let folder = Folder::open(&self.job.folder)?;
        if !self.remembers {
            let kept = command::load(folder.path())?;
            let mut gate = self.job.gate.lock();
            gate.remember(kept);
            gate.clock(clock::now().utc);
            self.remembers = true;
        }
        if let Some(doubt) = &mut self.doubt {
            if let Some(first) = doubt.settle(&folder, |first| ring_holds(&self.job, first))? {
                let sequence = first.sequence.saturating_sub(1);
                self.recorded = Some(PacketId { sequence, ..first });
            }
            self.doubt = None;
        }
        let recovered = recover(&folder, &self.job.ring)?;
        let recordings = folder.recordings()?;
        self.job.keeper.enter(folder.path(), &recordings);
        self.job.index.opened(folder.path(), recordings.last().map_or(0, |file| file.number));
        drop(busy);
        let syncer = match &mut self.syncer {
            Some(syncer) => syncer,
            none => {
                let started = Syncer::start(self.job.ring.camera(), &self.job.status);
                none.insert(
                    started.map_err(Error::io("start the thread that syncs", folder.path()))?,
                )
            }
        };
        let (job, recorded) = (&self.job, self.recorded);
        let mut session = Session::begin(job, folder, syncer, recovered, recorded, rejoin);
        let outcome = session.run();
        self.recorded = session.recorded().or(self.recorded);
        let is_repeating = session.is_repeating();
        self.doubt = session.into_doubt();
        let ended = outcome?;
        if is_repeating {
            // Stopped before the old group was all in the new file: settle it as after a kill.
            let folder = Folder::open(&self.job.folder)?;
            recover(&folder, &self.job.ring)?;
            self.job.index.opened(folder.path(), u64::MAX);
        }
        Ok(ended)
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

/// Whether the ring still has a packet.
fn ring_holds(job: &Job, id: PacketId) -> bool {
    let start = Start::After { epoch: id.epoch, sequence: id.sequence.saturating_sub(1) };
    let options = PacketOptions { reader: job.reader.clone(), start };
    let Ok(mut reader) = PacketReader::attach(&job.project, &job.ring, &options) else {
        return false;
    };
    loop {
        match reader.next(Duration::ZERO) {
            // Said first to who has read nothing yet.
            Ok(Next::NewEpoch { .. }) => {}
            Ok(Next::Item(packet)) => {
                return PacketId { epoch: packet.epoch, sequence: packet.sequence } == id;
            }
            _ => return false,
        }
    }
}
