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
use shmring::{Next, Packet, PacketOptions, Start, clock};
use worker::PacketInput;

use crate::assembler::{Assembler, Piece, Taken, is_entry};
use crate::error::Error;
use crate::folder::Folder;
use crate::join::{Join, Step};
use crate::packet_id::PacketId;
use crate::recover::{Recovered, recover};
use crate::status::Status;
use crate::writer::{Joint, Writer};

/// How soon a stop is seen, and a stalled fragment written.
const WAIT: Duration = Duration::from_millis(100);
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
        let mut session = Session::begin(&self.job, folder, recovered, self.recorded);
        let outcome = session.run();
        self.recorded = session.recorded.or(self.recorded);
        outcome?;
        if session.writer.is_repeating() {
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

/// One stretch of reading and writing without trouble.
struct Session<'a> {
    job: &'a Job,
    input: PacketInput,
    assembler: Assembler,
    writer: Writer,
    join: Option<Join>,
    joint: Option<Joint>,
    /// The epoch the reader said it goes on to, having read all of the one before.
    announced_epoch: u64,
    recorded: Option<PacketId>,
}

impl<'a> Session<'a> {
    fn begin(
        job: &'a Job,
        folder: Folder,
        recovered: Option<Recovered>,
        recorded: Option<PacketId>,
    ) -> Self {
        let (tail, joint) = recovered.map_or((None, None), |r| (Some(r.tail), r.joint));
        let last = tail.map(|tail| tail.last).or(recorded);
        match last {
            Some(last) => tracing::info!(ring = %job.ring, %last, "recording goes on"),
            None => tracing::info!(ring = %job.ring, "recording begins"),
        }
        Self {
            job,
            input: input(job, last),
            assembler: Assembler::new(&job.ring, job.segment, last),
            writer: Writer::new(folder),
            join: tail.map(Join::Probing),
            joint,
            announced_epoch: last.map_or(0, |last| last.epoch),
            recorded: None,
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        loop {
            let stopping = self.job.stop.load(Ordering::Acquire);
            let wait = if stopping { Duration::ZERO } else { WAIT };
            let drained = match self.input.poll(wait)? {
                Some(Next::Item(packet)) => {
                    self.packet(packet)?;
                    false
                }
                // The packet behind the hole tells its size.
                Some(Next::Overrun { .. }) => false,
                Some(Next::NewEpoch { epoch }) => {
                    self.announced_epoch = epoch;
                    self.flush()?;
                    false
                }
                Some(Next::Quiet) => self.idle()?,
                Some(Next::Ended) => {
                    let why = format!("the writer of {} has ended", self.job.ring);
                    self.absent(&why)?;
                    thread::sleep(wait);
                    true
                }
                None => {
                    self.absent(&self.input.absence())?;
                    true
                }
            };
            if drained && stopping {
                self.flush()?;
                return self.writer.sync(clock::mono());
            }
        }
    }

    fn packet(&mut self, packet: Packet) -> Result<(), Error> {
        let id = PacketId { epoch: packet.epoch, sequence: packet.sequence };
        if !self.joined(id, is_entry(self.input.tracks(), &packet.meta)) {
            return Ok(());
        }
        let before = self.assembler.last();
        if self.writer.is_repeating() && !before.is_some_and(|before| id.follows(before)) {
            return Err(Error::JointBroken);
        }
        self.job.status.set_read(id);
        self.tell_of_lost_epoch(before, id);
        let taken = self.assembler.take(packet, self.input.tracks())?;
        self.tell_of_losses(&taken, id);
        if let Some(piece) = taken.piece {
            self.write(&piece)?;
        }
        self.show_condition();
        Ok(())
    }

    /// Whether the packet is to be recorded; else the ring is read from elsewhere.
    fn joined(&mut self, id: PacketId, entry: bool) -> bool {
        let Some(join) = self.join.take() else {
            return true;
        };
        match join.step(id, entry) {
            Step::Record => {}
            Step::RecordAgain => {
                let before = PacketId { sequence: id.sequence - 1, ..id };
                let (ring, segment) = (&self.job.ring, self.job.segment);
                self.assembler = Assembler::new(ring, segment, Some(before));
                if let Some(joint) = self.joint.take() {
                    self.writer.repeat_until(joint);
                }
            }
            Step::RecordInside => {
                tracing::warn!(ring = %self.job.ring, first = %id, "file begins inside a group of pictures");
            }
            Step::ReadBehind(last, next) => {
                self.input = input(self.job, Some(last));
                self.join = Some(next);
                return false;
            }
        }
        true
    }

    /// Nothing new: what waits is written. True, since the ring is drained.
    fn idle(&mut self) -> Result<bool, Error> {
        let now = clock::mono();
        if let Some(piece) = self.assembler.flush_stalled(now)? {
            self.write(&piece)?;
        }
        self.writer.sync_when_due(now)?;
        Ok(true)
    }

    /// Nobody writes the ring: what there was is made durable.
    fn absent(&mut self, why: &str) -> Result<(), Error> {
        self.job.status.set(Condition::Waiting, why);
        self.flush()?;
        self.writer.sync(clock::mono())
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self.assembler.flush()? {
            Some(piece) => self.write(&piece),
            None => Ok(()),
        }
    }

    fn write(&mut self, piece: &Piece) -> Result<(), Error> {
        self.writer.write(piece, clock::mono())?;
        self.recorded = Some(piece.last);
        self.job.status.set_written(piece.last);
        Ok(())
    }

    fn show_condition(&self) {
        let refused = self.assembler.refused();
        if refused.is_empty() {
            self.job.status.set(Condition::Flowing, "");
        } else {
            self.job.status.set(Condition::Degraded, &format!("{}: {refused}", self.job.ring));
        }
    }

    fn tell_of_losses(&self, taken: &Taken, next: PacketId) {
        let ring = &self.job.ring;
        if taken.missing > 0 {
            let packets = taken.missing;
            tracing::error!(%ring, packets, %next, "lost: overwritten before they were recorded");
            self.job.status.add_missed(packets);
        }
        if taken.left_out > 0 {
            let packets = taken.left_out;
            tracing::warn!(%ring, packets, %next, "pictures without a key frame left out");
        }
    }

    /// After a long absence the ring has gone on to other epochs; what was in between is unknown.
    fn tell_of_lost_epoch(&mut self, before: Option<PacketId>, id: PacketId) {
        let unread = before.is_some_and(|before| before.epoch != id.epoch);
        if unread && self.announced_epoch != id.epoch {
            let last = before.map(|before| before.to_string());
            tracing::warn!(ring = %self.job.ring, last, next = %id, "the rest of an older epoch, if there was any, is gone");
        }
        self.announced_epoch = id.epoch;
    }
}

fn input(job: &Job, last: Option<PacketId>) -> PacketInput {
    let start = last
        .map_or(Start::Oldest, |last| Start::After { epoch: last.epoch, sequence: last.sequence });
    let reader = job.reader.clone();
    PacketInput::detached(&job.project, &job.ring, PacketOptions { reader, start })
}
