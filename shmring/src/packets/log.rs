//! The log of one epoch as a reader sees it: what stands at a position.
//!
//! Nothing in it is believed: a header or payload counts only when floor has not passed it since
//! (pair `floor`), and what cannot be so is [`Damage`], never a loop.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use protocol::time::MonoNs;

use super::PacketMeta;
use super::floor;
use super::record::{self, Header, Payload};
use crate::anchor::{IndexView, damaged};
use crate::error::Error;
use crate::layout::{index, record as layout};
use crate::segment::{self, Access, Mapping};
use crate::segments::{Part, Segments};
use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Log {
    pub(super) index: Arc<IndexView>,
    bytes: Mapping,
    /// Where packets lie that are too large for the log.
    segments: Arc<dyn Segments>,
}

/// What the log holds that no writer leaves there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);

/// What stands at a position.
pub(super) enum Found {
    Record(Record),
    /// Nothing more before this position.
    Pad(u64),
    Empty,
    Overwritten,
}

/// A record's header.
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) published: MonoNs,
    pub(super) meta: PacketMeta,
    /// Position of the record, and behind it: within the log, and not above its head.
    begin: u64,
    pub(super) end: u64,
    payload: Payload,
}

/// What came of copying a record's payload.
pub(super) enum Copied {
    Whole(Vec<u8>),
    Overwritten,
    /// The record stands, but its segment is gone: its ring was swept.
    Gone,
    /// The record stands, and so may its segment, but this process could not open it now: for want of
    /// descriptors, say.
    Refused(Error),
}

impl Log {
    /// `None` when the epoch has lost its files since its index was opened.
    pub(super) fn open(
        segments: &Arc<dyn Segments>,
        index: IndexView,
    ) -> Result<Option<Self>, Error> {
        let part = Part::Data { epoch: index.epoch, generation: 1 };
        let Some(file) = segments.open(part)? else {
            return Ok(None);
        };
        let length = index.map.word(index::AT_LOG_BYTES).load(Ordering::Relaxed);
        let length = usize::try_from(length).unwrap_or(0);
        let path = segments.path(part);
        let is_sound = length >= layout::HEADER && length.is_multiple_of(layout::ALIGN);
        if !is_sound || segment::size(&path, &file)? < length {
            return Err(damaged(&**segments, part, "its length is not the one of the index"));
        }
        let bytes = Mapping::open(&path, &file, length, Access::Read)?;
        Ok(Some(Self { index: Arc::new(index), bytes, segments: Arc::clone(segments) }))
    }

    /// More records than it can hold at once.
    pub(super) fn most_records(&self) -> usize {
        self.bytes.bytes() / layout::ALIGN
    }

    pub(super) fn look(&self, position: u64) -> Result<Found, Damage> {
        let head = self.head_position();
        if position == head {
            return Ok(Found::Empty);
        }
        let found = self.read_at(position);
        let floor = floor::after_copy(self.floor_word());
        let capacity = self.bytes.bytes() as u64;
        if floor > self.head_position() || head.saturating_sub(floor) > capacity {
            return Err(Damage("its floor and its head contradict each other"));
        }
        if position < floor {
            return Ok(Found::Overwritten);
        }
        let found = found.ok_or(Damage("no record stands where one should"))?;
        let (Found::Pad(end) | Found::Record(Record { end, .. })) = found else {
            return Ok(found);
        };
        if end > head { Err(Damage("a record leads behind its head")) } else { Ok(found) }
    }

    /// What stands at `position`, if it can be so.
    fn read_at(&self, position: u64) -> Option<Found> {
        let at = self.place(position);
        let rest = self.bytes.bytes() - at;
        if !at.is_multiple_of(layout::ALIGN) {
            return None;
        }
        let mut bytes = [0; layout::HEADER];
        self.bytes.copy_out(at, &mut bytes);
        match record::decode(&bytes)? {
            Header::Pad => position.checked_add(rest as u64).map(Found::Pad),
            Header::Record { sequence, payload, published, meta } => {
                let footprint = payload.footprint();
                let (begin, end) = (position, position.checked_add(footprint as u64)?);
                let record = Record { sequence, published, meta, begin, end, payload };
                (footprint <= rest).then_some(Found::Record(record))
            }
        }
    }

    /// Copies a record's payload.
    pub(super) fn payload(&self, record: &Record) -> Result<Copied, Damage> {
        let copied = match record.payload {
            Payload::Inside { bytes } => {
                let mut payload = vec![0; bytes as usize];
                self.bytes.copy_out(self.place(record.begin) + layout::HEADER, &mut payload);
                Copied::Whole(payload)
            }
            Payload::Apart { segment, bytes } => self.read_apart(segment, bytes)?,
        };
        // Raised before a segment is unlinked, as before bytes are overwritten.
        let is_overwritten = floor::after_copy(self.floor_word()) > record.begin;
        Ok(if is_overwritten { Copied::Overwritten } else { copied })
    }

    fn read_apart(&self, segment: u32, bytes: u64) -> Result<Copied, Damage> {
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= self.bytes.bytes());
        let bytes = bytes.ok_or(Damage("a packet that lies apart is longer than the log"))?;
        let part = Part::Data { epoch: self.index.epoch, generation: segment };
        let file = match self.segments.open(part) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Copied::Gone),
            // A project that is down hands out nothing any more.
            Err(error) if error.is_absent() => return Ok(Copied::Gone),
            Err(error) => return Ok(Copied::Refused(error)),
        };
        // Not mapped: a writer may cut it off at any time.
        let mut payload = vec![0; bytes];
        let read = File::from(file).read_exact_at(&mut payload, 0);
        read.map_err(|_| Damage("a packet's own segment is shorter than the packet"))?;
        Ok(Copied::Whole(payload))
    }

    pub(super) fn head_position(&self) -> u64 {
        // PAIR head
        self.index.map.word(index::AT_HEAD_POSITION).load(Ordering::Acquire)
    }

    /// Position of the oldest record, a moment ago.
    pub(super) fn floor(&self) -> u64 {
        self.floor_word().load(Ordering::Acquire)
    }

    /// Position of the newest key record, if it is still there.
    pub(super) fn newest_key(&self) -> Option<u64> {
        let floor = self.floor();
        let key = self.index.map.word(index::AT_LAST_KEY).load(Ordering::Acquire);
        (floor..=self.head_position()).contains(&key).then_some(key)
    }

    fn floor_word(&self) -> &AtomicU64 {
        self.index.map.word(index::AT_FLOOR)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below the log's length, a usize"
    )]
    fn place(&self, position: u64) -> usize {
        (position % self.bytes.bytes() as u64) as usize
    }
}
