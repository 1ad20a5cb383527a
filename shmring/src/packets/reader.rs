//! The reading end of a packet ring.

use std::time::Duration;

use nix::fcntl::OFlag;
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::Track;
use protocol::time::MonoNs;

use super::record::{self, Header};
use super::{Packet, PacketMeta};
use crate::Next;
use crate::anchor::{AnchorView, IndexView, damaged};
use crate::clock;
use crate::error::Error;
use crate::files::{self, Files};
use crate::layout::{index, record as layout_record};
use crate::lease::LeasePage;
use crate::segment::{Access, Mapping};
use crate::stream;
use crate::sync::{Ordering, fence};
use crate::wake::{self, Heard};

/// Where a new reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind a packet already had: the next thing read is its successor, in this epoch or the
    /// previous one while that is still there.
    After { epoch: u64, sequence: u64 },
    /// With the next packet published.
    Newest,
    /// With the newest key packet, or the oldest packet when there is none.
    NewestKey,
    /// With the oldest packet still there.
    Oldest,
}

/// How to attach.
#[derive(Clone, Debug)]
pub struct PacketOptions {
    /// Shown by `framevisor rings`.
    pub reader: String,
    pub start: Start,
}

/// A reader with its own cursor. It cannot slow the writer; when it is too slow, it is told.
#[derive(Debug)]
pub struct PacketReader {
    files: Files,
    anchor: AnchorView,
    page: LeasePage,
    at: EpochCursor,
    start: Start,
    tracks: Vec<Track>,
    stream_version: u64,
    reader: String,
}

/// An open epoch and the place in it.
#[derive(Debug)]
struct EpochCursor {
    index: IndexView,
    log: Mapping,
    /// Byte position of the next record to read.
    position: u64,
    /// Sequence of the last record taken, or jumped behind.
    sequence: u64,
}

impl PacketReader {
    /// Attaches by name; shape and codecs come from the ring.
    pub fn attach(
        project: &ProjectName,
        ring: &RingName,
        options: &PacketOptions,
    ) -> Result<Self, Error> {
        if ring.kind() == RingKind::Frames {
            return Err(Error::WrongKind {
                ring: ring.clone(),
                seen: "frames",
                expected: "packets or events",
            });
        }
        let files = Files::new(project, ring);
        let anchor = AnchorView::open(&files)?;
        let mut at = open_start_epoch(&files, &anchor, options.start)?;
        let page = LeasePage::claim(&files, at.index.places, 0, &options.reader)?;
        at.begin(options.start);
        page.enter(at.index.epoch);
        page.set_cursor(at.sequence);
        let mut reader = Self {
            files,
            anchor,
            page,
            at,
            start: options.start,
            tracks: Vec::new(),
            stream_version: 0,
            reader: options.reader.clone(),
        };
        reader.refresh_tracks();
        Ok(reader)
    }

    /// What flows in the ring, as of the last packet read.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    pub fn epoch(&self) -> u64 {
        self.at.index.epoch
    }

    /// Packets published and not yet read: the count of the ring's semaphore for this reader.
    pub fn lag(&self) -> u64 {
        self.at.index.head().saturating_sub(self.at.sequence)
    }

    /// Whether the writer of the epoch being read lives.
    pub fn writer_lives(&self) -> bool {
        self.at.index.is_live()
    }

    /// The next packet, or what there is instead; sleeps at most `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Next<Packet>, Error> {
        let deadline = clock::mono() + wait;
        loop {
            let heard = Heard::now(self.at.index.bell(), self.anchor.bell());
            match self.at.step() {
                Step::Packet(packet) => return Ok(self.took(packet)),
                Step::Lapped => return Ok(self.overrun()),
                Step::Empty => {}
            }
            if let Some(next) = self.follow_epoch()? {
                return Ok(next);
            }
            let now = clock::mono();
            if self.at.index.has_ended() && self.at.is_drained() {
                return Ok(Next::Ended);
            }
            if now >= deadline {
                return Ok(Next::Quiet);
            }
            wake::wait(
                self.at.index.bell(),
                self.anchor.bell(),
                heard,
                deadline.saturating_since(now),
            );
        }
    }

    fn took(&mut self, packet: Packet) -> Next<Packet> {
        if stream::version(&self.at.index.map) != self.stream_version {
            self.refresh_tracks();
        }
        self.page.set_cursor(packet.sequence);
        Next::Item(packet)
    }

    /// Jumps to where this reader's contract says, and counts what was passed over.
    fn overrun(&mut self) -> Next<Packet> {
        let had = self.at.sequence;
        let target = match self.start {
            Start::After { .. } | Start::Oldest => Start::Oldest,
            other => other,
        };
        self.at.begin(target);
        let missed = self.at.sequence.saturating_sub(had);
        self.page.add_missed(missed);
        self.page.set_cursor(self.at.sequence);
        Next::Overrun { missed }
    }

    /// Goes on to the live epoch once this one is drained.
    fn follow_epoch(&mut self) -> Result<Option<Next<Packet>>, Error> {
        let live = self.anchor.epoch();
        if live == self.epoch() {
            // The name leads to another anchor after `down` and `up`: attach to that one.
            if !self.at.index.is_live() && !self.anchor.is_current() {
                self.anchor = AnchorView::open(&self.files)?;
            }
            return Ok(None);
        }
        // The writer may have published between our look at the log and at the anchor.
        if !self.at.is_drained() {
            return Ok(None);
        }
        let Some(index) = IndexView::open(&self.files, live)? else {
            return Ok(None);
        };
        let mut at = EpochCursor::open(&self.files, index)?;
        at.begin(Start::Oldest);
        if self.page.place >= at.index.places {
            self.page = LeasePage::claim(&self.files, at.index.places, 0, &self.reader)?;
        }
        self.at = at;
        self.page.enter(self.epoch());
        self.page.set_cursor(self.at.sequence);
        self.refresh_tracks();
        Ok(Some(Next::NewEpoch { epoch: self.epoch() }))
    }

    fn refresh_tracks(&mut self) {
        self.stream_version = stream::version(&self.at.index.map);
        if let Some(block) = stream::read(&self.at.index.map) {
            self.tracks = block.tracks;
        }
    }
}

/// The epoch a reader begins in: the live one, or the one it was reading before it died.
fn open_start_epoch(
    files: &Files,
    anchor: &AnchorView,
    start: Start,
) -> Result<EpochCursor, Error> {
    if let Start::After { epoch, .. } = start
        && epoch == anchor.previous()
        && let Some(index) = IndexView::open(files, epoch)?
    {
        return EpochCursor::open(files, index);
    }
    // The epoch may change between reading its number and opening its files.
    for _ in 0..100 {
        let epoch = anchor.epoch();
        if epoch == 0 {
            break;
        }
        if let Some(index) = IndexView::open(files, epoch)? {
            return EpochCursor::open(files, index);
        }
        std::thread::yield_now();
    }
    Err(Error::NoSuchRing { ring: files.ring().clone() })
}

enum Step {
    Packet(Packet),
    Lapped,
    Empty,
}

impl EpochCursor {
    fn open(files: &Files, index: IndexView) -> Result<Self, Error> {
        let name = files.data(index.epoch, 1);
        let file = files::open_existing(&name, OFlag::O_RDONLY)?;
        let log_bytes =
            usize::try_from(index.map.word(index::AT_LOG_BYTES).load(Ordering::Relaxed))
                .unwrap_or(0);
        let sound =
            log_bytes >= layout_record::HEADER && log_bytes.is_multiple_of(layout_record::ALIGN);
        if !sound || files::size(&name, &file)? < log_bytes {
            return Err(damaged(files, &name, "its length is not the one of the index"));
        }
        let log = Mapping::open(&name, &file, log_bytes, Access::Read)?;
        Ok(Self { index, log, position: 0, sequence: 0 })
    }

    fn is_drained(&self) -> bool {
        self.position == self.head_position()
    }

    fn head_position(&self) -> u64 {
        // PAIR head
        self.index.map.word(index::AT_HEAD_POSITION).load(Ordering::Acquire)
    }

    fn floor(&self) -> u64 {
        self.index.map.word(index::AT_FLOOR).load(Ordering::Relaxed)
    }

    /// Places the cursor. What was published first is kept when there is a choice.
    fn begin(&mut self, start: Start) {
        match start {
            Start::Newest => {
                self.sequence = self.index.head();
                self.position = self.head_position();
            }
            Start::Oldest => self.begin_at(self.floor()),
            Start::NewestKey => {
                let key = self.index.map.word(index::AT_LAST_KEY).load(Ordering::Acquire);
                let there = key != index::NO_POSITION && key >= self.floor();
                self.begin_at(if there { key } else { self.floor() });
            }
            Start::After { epoch, sequence } => {
                self.begin_at(self.floor());
                if epoch == self.index.epoch {
                    self.skip_through(sequence);
                }
            }
        }
    }

    /// Stands before the record at `position`, whose predecessor is then the last one "taken".
    fn begin_at(&mut self, position: u64) {
        self.position = position;
        self.sequence = match self.header_at(position) {
            Some(Header::Record { sequence, .. }) => sequence.saturating_sub(1),
            // A pad stands before the record that counts; the first real record tells.
            Some(Header::Pad) => {
                let next = position + (self.log.bytes() - self.place(position)) as u64;
                match self.header_at(next) {
                    Some(Header::Record { sequence, .. }) => sequence.saturating_sub(1),
                    _ => self.index.head(),
                }
            }
            None => self.index.head(),
        };
    }

    /// Passes over records up to and with `last`. When the oldest record is already later, the
    /// cursor says `last`, so that the first step reports the hole as an overrun.
    fn skip_through(&mut self, last: u64) {
        while self.position < self.head_position() {
            match self.header_at(self.position) {
                Some(Header::Record { sequence, .. }) if sequence > last => break,
                Some(Header::Record { sequence, payload_bytes, .. }) => {
                    self.sequence = sequence;
                    self.position += record::footprint(payload_bytes) as u64;
                }
                Some(Header::Pad) => {
                    self.position += (self.log.bytes() - self.place(self.position)) as u64
                }
                None => break,
            }
        }
        self.sequence = last.min(self.index.head());
    }

    /// Reads the record under the cursor, if there is one.
    fn step(&mut self) -> Step {
        loop {
            if self.position == self.head_position() {
                return Step::Empty;
            }
            if self.position < self.floor() {
                return Step::Lapped;
            }
            match self.header_at(self.position) {
                Some(Header::Pad) => {
                    self.position += (self.log.bytes() - self.place(self.position)) as u64
                }
                Some(Header::Record { sequence, payload_bytes, published, meta }) => {
                    if sequence > self.sequence + 1 {
                        return Step::Lapped;
                    }
                    return self.take(sequence, payload_bytes, published, meta);
                }
                // Overwritten between the two looks, or scribbled: either way not ours to read.
                None => return Step::Lapped,
            }
        }
    }

    fn take(
        &mut self,
        sequence: u64,
        payload_bytes: usize,
        published: MonoNs,
        meta: PacketMeta,
    ) -> Step {
        let at = self.place(self.position);
        let mut payload = vec![0; payload_bytes];
        self.log.copy_out(at + layout_record::HEADER, &mut payload);
        if self.was_lapped() {
            return Step::Lapped;
        }
        self.position += record::footprint(payload_bytes) as u64;
        self.sequence = sequence;
        Step::Packet(Packet { epoch: self.index.epoch, sequence, meta, published, payload })
    }

    /// The header at `position`, proven whole and inside the log; `None` when it was overwritten.
    fn header_at(&self, position: u64) -> Option<Header> {
        if position >= self.head_position() {
            return None;
        }
        let at = self.place(position);
        let mut bytes = [0; layout_record::HEADER];
        if !at.is_multiple_of(layout_record::ALIGN) {
            return None;
        }
        self.log.copy_out(at, &mut bytes);
        let header = record::decode(&bytes)?;
        let fits = match header {
            Header::Record { payload_bytes, .. } => {
                record::footprint(payload_bytes) <= self.log.bytes() - at
            }
            Header::Pad => true,
        };
        fence(Ordering::Acquire);
        (fits && self.floor() <= position).then_some(header)
    }

    fn was_lapped(&self) -> bool {
        // PAIR floor
        fence(Ordering::Acquire);
        self.floor() > self.position
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below the log's length, a usize"
    )]
    fn place(&self, position: u64) -> usize {
        (position % self.log.bytes() as u64) as usize
    }
}
