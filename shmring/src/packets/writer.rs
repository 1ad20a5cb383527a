//! The writing end of a packet ring.

use std::sync::Arc;

use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::Track;
use protocol::time::MonoNs;

use super::PacketMeta;
use super::apart::Apart;
use super::floor;
use super::record::{self, Header, Payload};
use crate::clock;
use crate::error::Error;
use crate::layout::{self, index, record as layout_record};
use crate::lease::{Keeper, LeaseTable, Way, WhileWaiting};
use crate::owner::{IndexShape, Owner};
use crate::segment::Mapping;
use crate::segments::Part;
use crate::size;
use crate::stream::{self, StreamBlock};
use crate::sync::Ordering;

/// The one writer of a packet ring's epoch. Dropping it without [`Self::finish`] leaves the ring as
/// a crash would: readers drain it and wait for a successor.
#[derive(Debug)]
pub struct PacketWriter {
    owner: Owner,
    /// Whose packets these are made from.
    source: Option<RingName>,
    log: Mapping,
    /// Free-running byte counts: `floor <= head`, `head - floor <= log.bytes()`.
    head: u64,
    floor: u64,
    sequence: u64,
    /// Position of the newest key record of track 0, while it is still there.
    newest_key: Option<u64>,
    apart: Apart,
    /// `None` in a ring without essential readers.
    kept: Option<Box<Kept>>,
    while_waiting: Option<WhileWaiting>,
}

/// Essential readers and the pages they are seen by.
#[derive(Debug)]
struct Kept {
    keeper: Keeper,
    pages: LeaseTable,
}

impl PacketWriter {
    /// Takes the ring and begins a new epoch.
    pub fn create(
        project: &ProjectName,
        contract: &RingContract,
        tracks: &[Track],
    ) -> Result<Self, Error> {
        Self::create_from(project, contract, tracks, None)
    }

    /// As [`Self::create`], of packets that are made from those of the ring `source`: a
    /// [`PacketMeta::source`] is a place in that one.
    pub fn create_from(
        project: &ProjectName,
        contract: &RingContract,
        tracks: &[Track],
        source: Option<&RingName>,
    ) -> Result<Self, Error> {
        let log_bytes = size::log_bytes(contract);
        // Readers of packets hold no leases, so quota and slots are nothing.
        let shape = IndexShape {
            bytes: index::AT_VERSIONS,
            quota: 0,
            slots: 0,
            descriptors: 0,
            log_bytes,
            memory: 0,
        };
        let mut owner = Owner::begin(project, contract, shape)?;
        let bytes = usize::try_from(log_bytes).unwrap_or(usize::MAX);
        let part = Part::Data { epoch: owner.epoch, generation: 1 };
        let draft = owner.hold.create(part, bytes)?;
        let (log, _) = owner.hold.link(part, draft)?;
        let kept = Keeper::of(contract).map(|keeper| {
            let leases = 0;
            let hold = Arc::clone(&owner.hold);
            let pages = LeaseTable::new(hold, owner.places, leases, owner.epoch);
            Box::new(Kept { keeper, pages })
        });
        if kept.is_none() {
            // Packets are copied, not leased: nobody's page is looked at.
            owner.hold.forget_pages();
        }
        owner.index.word(index::AT_DATA_BYTES).store(log_bytes, Ordering::Relaxed);
        describe(&owner, tracks, source)?;
        owner.announce()?;
        let apart = Apart::new(log_bytes);
        let (head, floor, sequence, newest_key) = (0, 0, 0, None);
        let (while_waiting, source) = (None, source.cloned());
        Ok(Self {
            owner,
            source,
            log,
            head,
            floor,
            sequence,
            newest_key,
            apart,
            kept,
            while_waiting,
        })
    }

    pub fn epoch(&self) -> u64 {
        self.owner.epoch
    }

    pub fn ring(&self) -> &RingName {
        self.owner.ring()
    }

    /// Largest payload that travels in the log. A larger one gets a segment of its own, which costs its
    /// writer some system calls and its readers some more; none is larger than the log.
    pub fn payload_max_bytes(&self) -> usize {
        // A quarter: two of the largest records and their pads always fit beside each other.
        self.log.bytes() / 4
    }

    /// Describes the stream anew; readers see it before the next packet.
    pub fn set_tracks(&mut self, tracks: &[Track]) -> Result<(), Error> {
        self.owner.check_process()?;
        describe(&self.owner, tracks, self.source.as_ref())
    }

    /// Asks `go_on` each millisecond that it waits for an essential reader, where the contract lets it
    /// wait; `false` ends the wait, and the reader is let go of.
    pub fn while_waiting(&mut self, go_on: impl FnMut() -> bool + Send + 'static) {
        self.while_waiting = Some(WhileWaiting::new(go_on));
    }

    /// Appends a packet, overwriting the oldest, and wakes readers. Waits for nobody but an essential
    /// reader, within its deadline, and only where the contract says that it may.
    pub fn publish(&mut self, meta: &PacketMeta, payload: &[u8]) -> Result<u64, Error> {
        self.owner.check_process()?;
        let inside = u32::try_from(payload.len());
        let inside = inside.ok().filter(|_| payload.len() <= self.payload_max_bytes());
        let now = match inside {
            Some(bytes) => self.append(meta, Payload::Inside { bytes }, payload),
            None => {
                let apart = self.set_apart(payload).inspect_err(|error| self.count(error))?;
                self.append(meta, apart, &[])
            }
        };
        self.owner.index.word(index::AT_PUBLISHED_NS).store(now.0, Ordering::Relaxed);
        if let Some(Kept { keeper, pages }) = self.kept.as_deref_mut() {
            keeper.published(pages, &self.owner.index, self.sequence, now);
        }
        self.owner.ring_bell();
        self.owner.tidy(now);
        Ok(self.sequence)
    }

    /// Says that nothing follows: readers get [`crate::Next::Ended`] once they have drained it.
    pub fn finish(&mut self) {
        self.owner.end();
    }

    /// Makes a segment of its own for a payload, which the next record names.
    fn set_apart(&mut self, payload: &[u8]) -> Result<Payload, Error> {
        let too_large = || Error::PacketTooLarge {
            ring: self.owner.ring().clone(),
            bytes: payload.len(),
            limit: self.log.bytes(),
        };
        let file_bytes = payload.len().checked_next_multiple_of(layout::PAGE);
        let file_bytes = file_bytes.filter(|bytes| *bytes as u64 <= self.apart.bytes_max());
        let (Some(file_bytes), Some(segment)) = (file_bytes, self.apart.number()) else {
            return Err(too_large());
        };
        while let Some(position) = self.apart.in_the_way(file_bytes as u64) {
            self.raise_floor(position + 1);
        }
        let part = Part::Data { epoch: self.owner.epoch, generation: segment };
        let draft = self.owner.hold.create(part, file_bytes)?;
        draft.mapping.copy_in(0, payload);
        self.owner.hold.link(part, draft)?;
        let payload = Payload::Apart { segment, bytes: payload.len() as u64 };
        // Now, so that the record will begin at the head.
        self.pad_to_fit(payload.footprint());
        self.apart.add(segment, file_bytes as u64, self.head);
        Ok(payload)
    }

    fn count(&self, error: &Error) {
        if matches!(error, Error::PacketTooLarge { .. }) {
            self.owner.index.word(index::AT_TOO_LARGE).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives the time of its publication.
    fn append(&mut self, meta: &PacketMeta, payload: Payload, inside: &[u8]) -> MonoNs {
        let footprint = payload.footprint();
        self.pad_to_fit(footprint);
        self.free(footprint);
        // Not before: it may have waited.
        let now = clock::mono();
        self.sequence += 1;
        let at = self.place(self.head);
        self.log.copy_in(at, &record::encode(self.sequence, payload, now, meta));
        self.log.copy_in(at + layout_record::HEADER, inside);
        let tail = at + layout_record::HEADER + inside.len().next_multiple_of(8);
        self.log.copy_in(tail, &[0; layout_record::TAIL]);
        self.commit(footprint, meta);
        now
    }

    fn commit(&mut self, footprint: usize, meta: &PacketMeta) {
        let index_map = &self.owner.index;
        if meta.key && meta.track == 0 {
            self.newest_key = Some(self.head);
            index_map.word(index::AT_LAST_KEY).store(self.head, Ordering::Release);
            index_map.word(index::AT_GOP).store(meta.gop_index, Ordering::Relaxed);
        }
        self.head += footprint as u64;
        index_map.word(index::AT_HEAD_POSITION).store(self.head, Ordering::Release);
        // PAIR head
        index_map.word(index::AT_HEAD).store(self.sequence, Ordering::Release);
    }

    /// Fills the rest of the log when a record would not fit before its end.
    fn pad_to_fit(&mut self, footprint: usize) {
        let rest = self.log.bytes() - self.place(self.head);
        if rest >= footprint {
            return;
        }
        self.free(rest);
        self.log.copy_in(self.place(self.head), &record::pad());
        self.head += rest as u64;
    }

    /// Moves the floor so far that `bytes` may be overwritten, before any of them is.
    fn free(&mut self, bytes: usize) {
        let capacity = self.log.bytes() as u64;
        self.raise_floor((self.head + bytes as u64).saturating_sub(capacity));
    }

    /// Moves the floor to `wanted`, or behind the record that reaches over it.
    fn raise_floor(&mut self, wanted: u64) {
        while self.floor < wanted {
            let (bytes, sequence) = self.oldest();
            self.make_way(sequence);
            self.floor += bytes;
        }
        floor::raise(self.owner.index.word(index::AT_FLOOR), self.floor);
        let epoch = self.owner.epoch;
        while let Some(generation) = self.apart.passed(self.floor) {
            self.owner.hold.unlink(Part::Data { epoch, generation });
        }
        if self.newest_key.is_some_and(|key| key < self.floor) {
            self.newest_key = None;
            self.owner.index.word(index::AT_GOP_OVERFLOW).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Bytes and sequence of the oldest record; a pad counts for sequence 0.
    fn oldest(&self) -> (u64, u64) {
        let at = self.place(self.floor);
        let mut bytes = [0; layout_record::HEADER];
        self.log.copy_out(at, &mut bytes);
        match record::decode(&bytes) {
            Some(Header::Record { payload, sequence, .. }) => {
                (payload.footprint() as u64, sequence)
            }
            // A pad; and this process alone writes the log, so there is nothing else.
            Some(Header::Pad) | None => ((self.log.bytes() - at) as u64, 0),
        }
    }

    /// Returns once no essential reader needs the record of `sequence` any more.
    fn make_way(&mut self, sequence: u64) {
        let Some(Kept { keeper, pages }) = self.kept.as_deref_mut() else { return };
        let (map, head) = (&self.owner.index, self.sequence);
        let mut patient = true;
        while keeper.make_way(pages, map, (sequence, head), patient) == Way::Wait {
            patient = WhileWaiting::pause(self.while_waiting.as_mut());
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below the log's length, a usize"
    )]
    fn place(&self, position: u64) -> usize {
        (position % self.log.bytes() as u64) as usize
    }
}

fn describe(owner: &Owner, tracks: &[Track], source: Option<&RingName>) -> Result<(), Error> {
    let block = StreamBlock { tracks: tracks.to_vec(), source: source.cloned() };
    stream::write(&owner.index, owner.ring(), &block)?;
    if let Some(video) = tracks.iter().find(|track| track.codec.is_video()) {
        owner.index.half(index::AT_WIDTH).store(video.width, Ordering::Relaxed);
        owner.index.half(index::AT_HEIGHT).store(video.height, Ordering::Relaxed);
    }
    Ok(())
}
