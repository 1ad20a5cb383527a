//! One stretch of reading and writing without trouble: from the last recorded packet to the stop.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use protocol::control::Condition;
use protocol::time::{MonoNs, Stamp, UtcNs};
use shmring::{Next, Packet, PacketOptions, Start, clock};
use worker::PacketInput;

use crate::assembler::{Assembler, Piece, Taken};
use crate::camera::Job;
use crate::command;
use crate::doubt::Doubt;
use crate::error::Error;
use crate::folder::Folder;
use crate::gate::Moment;
use crate::join::{Join, Step};
use crate::marker::Marker;
use crate::open_file::{is_entry, is_lead};
use crate::packet_id::PacketId;
use crate::recover::Recovered;
use crate::syncer::Syncer;
use crate::turnstile::{Again, Mark, Pass, Turnstile};
use crate::writer::{Joint, Writer};

/// How often recordings that have to go are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(2);

/// How often the ring is looked into; also how soon a stop is seen, and a stalled fragment written.
pub(crate) const WAIT: Duration = Duration::from_millis(200);

/// How a session ended without trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is to go on behind the last recorded packet as after a restart.
    Rejoin(Rejoin),
    Stopped,
}

/// All up to this packet is wanted, because of this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejoin {
    through: PacketId,
    wanted: Moment,
}

/// Reads the ring and writes the files.
pub(crate) struct Session<'a> {
    job: &'a Job,
    input: PacketInput,
    assembler: Assembler,
    writer: Writer<'a>,
    join: Option<Join>,
    joint: Option<Joint>,
    /// The ring was asked for what follows this packet. A reader that is overtaken while it looks
    /// for the place may begin before it.
    behind: Option<PacketId>,
    /// The epoch the reader said it goes on to, having read all of the one before.
    announced_epoch: u64,
    /// The reader said that it could not read all of the epochs before.
    epochs_lost: bool,
    recorded: Option<PacketId>,
    /// As `recorded` when the file was last seen to be there.
    confirmed: Option<PacketId>,
    /// Which packets are recorded.
    turnstile: Turnstile,
    rejoin: Option<Rejoin>,
    /// The ring was asked for this packet, which was in it a moment ago.
    asked: Option<PacketId>,
    /// What the ring no longer held of a pre-roll; empty when it held all.
    short: String,
    /// That commands could not be kept was told.
    unkept_told: bool,
    /// When it was last looked for recordings that have to go.
    tidied: Option<MonoNs>,
    marker: Marker,
}

impl<'a> Session<'a> {
    pub(crate) fn begin(
        job: &'a Job,
        folder: Folder,
        syncer: &'a mut Syncer,
        recovered: Option<Recovered>,
        recorded: Option<PacketId>,
        rejoin: Option<Rejoin>,
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
            writer: writer(job, folder, syncer),
            join: tail.map(Join::Probing),
            joint,
            behind: last,
            announced_epoch: last.map_or(0, |last| last.epoch),
            epochs_lost: false,
            recorded: None,
            confirmed: None,
            turnstile: match rejoin {
                Some(Rejoin { through, wanted }) => Turnstile::rejoining(last, through, wanted),
                None => Turnstile::new(last),
            },
            rejoin: None,
            asked: None,
            short: String::new(),
            unkept_told: false,
            tidied: None,
            marker: Marker::default(),
        }
    }

    /// The last packet this session wrote.
    pub(crate) fn recorded(&self) -> Option<PacketId> {
        self.recorded
    }

    /// Whether the last group of an old file is not yet all in the new one.
    pub(crate) fn is_repeating(&self) -> bool {
        self.writer.is_repeating()
    }

    /// What may not be on the disk, when it has not ended in order.
    pub(crate) fn into_doubt(self) -> Option<Doubt> {
        self.writer.into_doubt()
    }

    /// Until the stop, and then until the ring is drained.
    pub(crate) fn run(&mut self) -> Result<Ended, Error> {
        loop {
            let stopping = self.job.stop.load(Ordering::Acquire);
            let drained = self.turn()?;
            if drained && !stopping {
                // Not woken by each packet: files are none the better for it, and what waits, waits in the ring.
                thread::sleep(WAIT);
            }
            self.keep_commands();
            self.job.remarks.write(self.writer.folder().path(), clock::mono());
            if let Some(rejoin) = self.rejoin {
                self.settle()?;
                return Ok(Ended::Rejoin(rejoin));
            }
            if drained && stopping {
                self.settle()?;
                if !self.is_repeating() {
                    self.writer.end_file();
                }
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Takes what the ring has; whether that was nothing.
    fn turn(&mut self) -> Result<bool, Error> {
        match self.input.poll(Duration::ZERO)? {
            Some(Next::Item(packet)) => self.packet(packet)?,
            // The packet behind a hole tells its size; 0 is a hole of whole epochs.
            Some(Next::Overrun { missed }) => self.epochs_lost |= missed == 0,
            // Said by the input; what is lost of it shows as a hole.
            Some(Next::Evicted { .. }) => {}
            Some(Next::NewEpoch { epoch }) => {
                self.announced_epoch = epoch;
                self.flush()?;
            }
            Some(Next::Quiet) => {
                self.idle()?;
                return Ok(!self.has_looked_again());
            }
            Some(Next::Ended) => {
                self.absent(&format!("the writer of {} has ended", self.job.ring))?;
                return Ok(!self.has_looked_again());
            }
            None => {
                self.absent(&self.input.absence())?;
                return Ok(!self.has_looked_again());
            }
        }
        Ok(false)
    }

    fn packet(&mut self, packet: Packet) -> Result<(), Error> {
        let id = PacketId { epoch: packet.epoch, sequence: packet.sequence };
        let had = |behind: PacketId| behind.epoch == id.epoch && id <= behind;
        if self.behind.is_some_and(had) {
            return Ok(());
        }
        self.behind = Some(id);
        self.job.status.set_read(id);
        let entry = is_entry(self.input.tracks(), &packet.meta);
        if !self.wanted(&packet, id, entry)? {
            return Ok(());
        }
        self.tell_of_short_pre_roll(id);
        if !self.joined(id, entry) {
            return Ok(());
        }
        let before = self.assembler.last();
        if self.writer.is_repeating() && !before.is_some_and(|before| id.follows(before)) {
            return Err(Error::JointBroken);
        }
        self.job.status.set_newest(id, packet.meta.capture.utc);
        self.tell_of_lost_epoch(before, id);
        let taken = self.assembler.take(packet, self.input.tracks())?;
        self.tell_of_losses(&taken, id);
        if let Some(piece) = taken.piece {
            self.write(&piece)?;
        }
        self.show_condition();
        Ok(())
    }

    /// Whether it is to be recorded. When others before it are, the ring is read from there.
    fn wanted(&mut self, packet: &Packet, id: PacketId, entry: bool) -> Result<bool, Error> {
        let lead = is_lead(self.input.tracks(), &packet.meta);
        let mark = Mark { id, entry, lead, at: moment(packet, clock::now()) };
        let passed = self.turnstile.passed();
        let pass = self.turnstile.take(mark, &self.job.gate.lock());
        match pass {
            Pass::Begin => self.begin_anew(id, passed),
            Pass::Record => {}
            Pass::Close => self.pause()?,
            Pass::Skip => self.show_idle(),
            Pass::Again(again) => self.go_back(again, passed),
        }
        Ok(matches!(pass, Pass::Begin | Pass::Record))
    }

    /// Whether what was skipped is wanted now, because of an event or a command.
    fn has_looked_again(&mut self) -> bool {
        let passed = self.turnstile.passed();
        let again = self.turnstile.look(&self.job.gate.lock());
        if let Some(again) = again {
            self.go_back(again, passed);
        }
        again.is_some()
    }

    fn go_back(&mut self, again: Again, passed: Option<PacketId>) {
        match again {
            Again::Rejoin { through } => {
                self.rejoin = Some(Rejoin { through, wanted: self.turnstile.wanted() });
            }
            Again::From { begin, .. } => {
                self.begin_anew(begin, passed);
                let before = PacketId { sequence: begin.sequence.saturating_sub(1), ..begin };
                self.input = input(self.job, Some(before));
                self.behind = Some(before);
                self.asked = Some(begin);
            }
        }
    }

    /// A file that begins with `begin`; what lies between `passed` and it nobody wanted.
    fn begin_anew(&mut self, begin: PacketId, passed: Option<PacketId>) {
        let (ring, segment) = (&self.job.ring, self.job.segment);
        let paused = passed.is_some_and(|passed| !begin.follows(passed));
        self.assembler = if paused {
            Assembler::behind_a_pause(ring, segment)
        } else {
            Assembler::new(ring, segment, passed)
        };
        // The old file stays as it is: it is not gone on with.
        (self.join, self.joint) = (None, None);
    }

    /// Nothing more is wanted for now.
    fn pause(&mut self) -> Result<(), Error> {
        self.short.clear();
        self.flush()?;
        self.writer.end_file();
        // Who hears that it has stopped finds all of it in the file.
        self.show_idle();
        self.writer.sync(clock::mono())?;
        self.tell_what_is_safe();
        Ok(())
    }

    /// All that was read and wanted is on the disk.
    fn settle(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.mark_events();
        self.finish()
    }

    /// Commands hold from when they are given; kept, they hold for later lives too.
    fn keep_commands(&mut self) {
        let unkept = {
            let mut gate = self.job.gate.lock();
            gate.clock(clock::now().utc);
            gate.unkept()
        };
        let Some(commands) = unkept else { return };
        match command::save(self.writer.folder().path(), &commands) {
            Ok(()) => {
                self.job.gate.lock().kept(&commands);
                self.unkept_told = false;
            }
            Err(error) if !std::mem::replace(&mut self.unkept_told, true) => {
                tracing::error!(ring = %self.job.ring, %error, "a command holds until the recorder ends");
            }
            Err(_) => {}
        }
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
                self.behind = Some(last);
                self.join = Some(next);
                return false;
            }
        }
        true
    }

    /// Nothing new: what has waited long enough is written.
    fn idle(&mut self) -> Result<(), Error> {
        let now = clock::mono();
        self.look_after_disk(now)?;
        if self.turnstile.is_idle() {
            self.show_idle();
        }
        if let Some(piece) = self.assembler.flush_stalled(now)? {
            self.write(&piece)?;
        }
        self.writer.sync_when_due(now)?;
        self.tell_what_is_safe();
        Ok(())
    }

    /// Nobody writes the ring: what there was is made durable.
    fn absent(&mut self, why: &str) -> Result<(), Error> {
        self.job.status.set(Condition::Waiting, why);
        self.flush()?;
        let now = clock::mono();
        self.look_after_disk(now)?;
        self.writer.sync(now)?;
        self.tell_what_is_safe();
        Ok(())
    }

    /// All that is written is on the disk.
    fn finish(&mut self) -> Result<(), Error> {
        let _busy = self.job.status.writing();
        self.writer.finish(clock::mono())?;
        self.tell_what_is_safe();
        Ok(())
    }

    fn tell_what_is_safe(&self) {
        if let Some(id) = self.writer.safe() {
            self.job.status.set_safe(id);
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self.assembler.flush()? {
            Some(piece) => self.write(&piece),
            None => Ok(()),
        }
    }

    fn write(&mut self, piece: &Piece) -> Result<(), Error> {
        let now = clock::mono();
        let _busy = self.job.status.writing();
        if piece.begins.is_some() || self.is_tidy_due(now) {
            self.tidy(now)?;
        }
        self.writer.write(piece, now)?;
        if piece.begins.is_some() {
            let folder = self.writer.folder();
            self.job.keeper.enter(folder.path(), &folder.recordings()?);
        }
        self.recorded = Some(piece.last);
        self.job.status.set_written(piece.last);
        self.tell_what_is_safe();
        Ok(())
    }

    /// While nothing is written.
    fn look_after_disk(&mut self, now: MonoNs) -> Result<(), Error> {
        if !self.is_tidy_due(now) {
            return Ok(());
        }
        let _busy = self.job.status.writing();
        self.tidy(now)
    }

    fn is_tidy_due(&self, now: MonoNs) -> bool {
        self.tidied.is_none_or(|last| now.saturating_since(last) >= TIDY_EVERY)
    }

    /// Removes what has to go, before more is written; nothing on a disk that is another one.
    fn tidy(&mut self, now: MonoNs) -> Result<(), Error> {
        self.tidied = Some(now);
        // In this order: a file that is missed on another disk was not removed.
        let there = self.writer.look_for_file();
        self.job.disk.check()?;
        if let Err(removed) = there {
            self.recorded = self.confirmed;
            return Err(removed);
        }
        self.confirmed = self.recorded;
        self.mark_events();
        let folder = self.writer.folder().path();
        let shortage = self.job.keeper.make_room(folder, self.writer.bytes(), clock::now().utc);
        self.job.status.set_shortage(shortage.map(|shortage| shortage.to_string()));
        Ok(())
    }

    /// Recordings that an event asked for may be kept longer.
    fn mark_events(&mut self) {
        if !self.job.keeper.marks() {
            return;
        }
        let latest = self.turnstile.latest();
        let spans = self.job.gate.lock().spans(latest);
        if spans.is_empty() {
            return;
        }
        let folder = self.writer.folder();
        let marked = folder
            .recordings()
            .map(|files| self.marker.mark(folder.path(), &files, &spans, latest.capture));
        match marked {
            Ok(Ok(numbers)) => self.job.keeper.mark(folder.path(), &numbers),
            Ok(Err(error)) => tracing::warn!(%error, "a recording is not marked as asked for"),
            // Whatever it is, it is told where files are written.
            Err(_) => {}
        }
    }

    fn show_condition(&self) {
        let refused = self.assembler.refused();
        let ring = &self.job.ring;
        if !refused.is_empty() {
            self.job.status.set(Condition::Degraded, &format!("{ring}: {refused}"));
        } else if !self.short.is_empty() {
            self.job.status.set(Condition::Degraded, &format!("{ring}: {}", self.short));
        } else {
            self.job.status.set(Condition::Flowing, "");
        }
        if !self.job.status.is_recording() {
            let verdict = self.job.gate.lock().verdict(self.turnstile.wanted());
            self.job.status.started(&verdict.to_string());
        }
    }

    /// Nothing of what comes is recorded, as it is to be.
    fn show_idle(&self) {
        let gate = self.job.gate.lock();
        let why = gate.waits_for(clock::now().utc);
        self.job.status.set(Condition::Flowing, &format!("{}: {why}", self.job.ring.owner()));
        // An event that is not heard of yet may want what was skipped just now.
        let is_sure = gate.is_caught_up() && self.turnstile.is_settled(&gate);
        if is_sure && self.job.status.is_recording() {
            let verdict = gate.verdict(self.turnstile.latest());
            self.job.status.stopped(&verdict.to_string());
        }
    }

    fn tell_of_short_pre_roll(&mut self, first: PacketId) {
        let asked = self.asked.take().filter(|asked| *asked < first);
        if let Some(asked) = asked {
            let ring = &self.job.ring;
            self.short = match asked.missing_before(first) {
                Some(packets) => format!(
                    "the ring no longer held {} packets of the pre-roll; raise its max_bitrate",
                    packets + 1
                ),
                None => {
                    "the ring no longer held all of the pre-roll; raise its max_bitrate".to_owned()
                }
            };
            tracing::warn!(%ring, %asked, got = %first, "{}", self.short);
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
        if unread && (self.epochs_lost || self.announced_epoch != id.epoch) {
            let last = before.map(|before| before.to_string());
            tracing::warn!(ring = %self.job.ring, last, next = %id, "the rest of an older epoch, if there was any, is gone");
        }
        self.announced_epoch = id.epoch;
        self.epochs_lost = false;
    }
}

fn writer<'a>(job: &Job, folder: Folder, syncer: &'a mut Syncer) -> Writer<'a> {
    // A kill soon after a file began leaves the one before untold as well.
    let recordings = folder.recordings().unwrap_or_default();
    let newest = recordings.len().saturating_sub(2);
    let before = recordings.into_iter().skip(newest).map(|recording| recording.path).collect();
    let writer = Writer::new(folder, syncer).telling(job.index.clone());
    writer.completing(job.segments.clone(), before)
}

fn input(job: &Job, last: Option<PacketId>) -> PacketInput {
    let start = last
        .map_or(Start::Oldest, |last| Start::After { epoch: last.epoch, sequence: last.sequence });
    let reader = job.reader.clone();
    PacketInput::detached(&job.project, &job.ring, PacketOptions { reader, start })
}

/// Media may carry its camera's time; when it came here is this machine's.
fn moment(packet: &Packet, now: Stamp) -> Moment {
    let age = now.mono.saturating_since(packet.published);
    let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
    Moment { capture: packet.meta.capture.utc, arrival: UtcNs(now.utc.0.saturating_sub(age_ns)) }
}
