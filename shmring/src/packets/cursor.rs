//! A place in the log of one epoch, and reading what stands there.
//!
//! Nothing in the log is believed: a header or payload counts only when floor has not passed it since
//! (pair `floor`), and what cannot be so is [`Damage`], never a loop.

use nix::fcntl::OFlag;
use protocol::time::MonoNs;

use super::floor;
use super::reader::Start;
use super::record::{self, Header};
use super::{Packet, PacketMeta};
use crate::anchor::{IndexView, damaged};
use crate::error::Error;
use crate::files::{self, Files};
use crate::layout::{index, record as layout};
use crate::segment::{Access, Mapping};
use crate::sync::{AtomicU64, Ordering};

/// How often a reader that is overtaken while it looks starts anew before it lets its caller wait.
const LAPS: u32 = 100;

/// An open epoch and the place in it.
#[derive(Debug)]
pub(super) struct EpochCursor {
    pub(super) index: IndexView,
    log: Mapping,
    /// Where the next record to read begins, or will.
    position: u64,
    /// Sequence of the last record taken or told as missed; `None` while the next may be any. So
    /// every hole there is shows in the next record's sequence, and none is told twice.
    last: Option<u64>,
}

/// What a step came to.
#[derive(Debug)]
pub(super) enum Step {
    Packet(Packet),
    /// So many records were overwritten; the one behind them is next.
    Missed(u64),
    Empty,
}

/// What the log holds that no writer leaves there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);

/// What stands at a position.
enum Found {
    Record(Record),
    /// Nothing more before this position.
    Pad(u64),
    Empty,
    Overwritten,
}

struct Record {
    sequence: u64,
    payload_bytes: usize,
    published: MonoNs,
    meta: PacketMeta,
}

impl EpochCursor {
    /// `None` when the epoch has lost its files since its index was opened.
    pub(super) fn open(files: &Files, index: IndexView) -> Result<Option<Self>, Error> {
        let name = files.data(index.epoch, 1);
        let Some(file) = files::open_if_there(&name, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let log_bytes = index.map.word(index::AT_LOG_BYTES).load(Ordering::Relaxed);
        let log_bytes = usize::try_from(log_bytes).unwrap_or(0);
        let is_sound = log_bytes >= layout::HEADER && log_bytes.is_multiple_of(layout::ALIGN);
        if !is_sound || files::size(&name, &file)? < log_bytes {
            return Err(damaged(files, &name, "its length is not the one of the index"));
        }
        let log = Mapping::open(&name, &file, log_bytes, Access::Read)?;
        Ok(Some(Self { index, log, position: 0, last: None }))
    }

    /// Places a new reader. From here on every record counts as taken or missed.
    pub(super) fn begin(&mut self, start: Start) {
        match start {
            Start::After { epoch, sequence } if epoch == self.index.epoch => {
                self.begin_after(sequence);
            }
            Start::Newest => self.begin_behind_head(),
            Start::NewestKey | Start::Oldest | Start::After { .. } => {
                self.jump(start);
                self.last = self.sequence_before();
            }
        }
    }

    fn begin_after(&mut self, sequence: u64) {
        self.last = Some(sequence.min(self.index.head()));
        for _ in 0..LAPS {
            self.jump(Start::Oldest);
            if self.pass_over(|record, _| record.sequence <= sequence) {
                return;
            }
        }
    }

    /// Only records tell their sequence, so the way to the newest leads along the last ones.
    fn begin_behind_head(&mut self) {
        for _ in 0..LAPS {
            let end = self.head_position();
            self.jump(Start::NewestKey);
            self.last = self.sequence_before();
            if self.pass_over(|_, position| position < end) {
                return;
            }
        }
        self.jump(Start::Newest);
        self.last = None;
    }

    /// Places a reader that has come here from the epoch before: what it does not find of this one, it
    /// has missed.
    pub(super) fn begin_at_first(&mut self) {
        self.jump(Start::Oldest);
        self.last = Some(0);
    }

    /// Moves to where `start` says; whatever lies between shows at the next record.
    pub(super) fn jump(&mut self, start: Start) {
        let floor = self.floor().load(Ordering::Acquire);
        self.position = match start {
            Start::Newest => self.head_position(),
            Start::NewestKey => {
                let key = self.index.map.word(index::AT_LAST_KEY).load(Ordering::Acquire);
                let is_there = (floor..=self.head_position()).contains(&key);
                if is_there { key } else { floor }
            }
            Start::Oldest | Start::After { .. } => floor,
        };
    }

    /// Behind a damage nothing is known: goes on with what is published next.
    pub(super) fn recover(&mut self) {
        self.jump(Start::Newest);
        self.last = None;
    }

    /// Sequence of the last record taken, or of the head while that is unknown: for people.
    pub(super) fn sequence(&self) -> u64 {
        self.last.unwrap_or_else(|| self.index.head())
    }

    pub(super) fn is_drained(&self) -> bool {
        self.position == self.head_position()
    }

    /// Records between the last one and the end of a drained epoch whose writer is done: a jump to the
    /// newest passed over them, and no later record will show it.
    pub(super) fn take_untold(&mut self) -> Option<u64> {
        let missed = self.index.head().checked_sub(self.last?).filter(|missed| *missed > 0)?;
        self.last = None;
        Some(missed)
    }

    /// Reads the record under the cursor, if there is one. A reader that was overtaken goes on at
    /// `restart`.
    pub(super) fn step(&mut self, restart: Start) -> Result<Step, Damage> {
        for _ in 0..LAPS {
            match self.look(self.position)? {
                Found::Empty => return Ok(Step::Empty),
                Found::Pad(behind) => self.position = behind,
                Found::Overwritten => self.jump(restart),
                Found::Record(found) => {
                    if let Some(missed) = self.hole_before(found.sequence)? {
                        self.last = Some(found.sequence - 1);
                        return Ok(Step::Missed(missed));
                    }
                    if let Some(packet) = self.take(&found) {
                        return Ok(Step::Packet(packet));
                    }
                }
            }
        }
        Ok(Step::Empty)
    }

    fn hole_before(&self, sequence: u64) -> Result<Option<u64>, Damage> {
        // The writer commits a record's position first, then its sequence.
        if sequence > self.index.head().saturating_add(1) {
            return Err(Damage("the sequence of a record is above its head"));
        }
        let Some(last) = self.last else {
            return Ok(None);
        };
        match sequence.checked_sub(last) {
            None | Some(0) => Err(Damage("the sequence of a record goes back")),
            Some(1) => Ok(None),
            Some(more) => Ok(Some(more - 1)),
        }
    }

    /// Takes records without reading them, while they are `unwanted` by their header and position.
    /// `false` when the writer overtook it.
    fn pass_over(&mut self, unwanted: impl Fn(&Record, u64) -> bool) -> bool {
        // The log holds no more, so a head that runs ahead for ever cannot lead further.
        let most_records = self.log.bytes() / layout::ALIGN;
        for _ in 0..most_records {
            match self.look(self.position) {
                Ok(Found::Pad(behind)) => self.position = behind,
                Ok(Found::Overwritten) => return false,
                Ok(Found::Record(record)) if unwanted(&record, self.position) => {
                    self.position += record::footprint(record.payload_bytes) as u64;
                    self.last = Some(record.sequence);
                }
                // The first step tells a damage.
                Ok(Found::Record(_) | Found::Empty) | Err(_) => return true,
            }
        }
        true
    }

    /// Sequence before that of the record the cursor stands at, if one is there.
    fn sequence_before(&self) -> Option<u64> {
        if self.position == 0 {
            return Some(0);
        }
        let found = match self.look(self.position) {
            Ok(Found::Pad(behind)) => self.look(behind),
            found => found,
        };
        match found {
            Ok(Found::Record(record)) => Some(record.sequence.saturating_sub(1)),
            _ => None,
        }
    }

    /// Copies the payload; `None` when it was overwritten meanwhile.
    fn take(&mut self, found: &Record) -> Option<Packet> {
        let at = self.place(self.position);
        let mut payload = vec![0; found.payload_bytes];
        self.log.copy_out(at + layout::HEADER, &mut payload);
        if floor::after_copy(self.floor()) > self.position {
            return None;
        }
        self.position += record::footprint(found.payload_bytes) as u64;
        self.last = Some(found.sequence);
        Some(Packet {
            epoch: self.index.epoch,
            sequence: found.sequence,
            meta: found.meta,
            published: found.published,
            payload,
        })
    }

    fn look(&self, position: u64) -> Result<Found, Damage> {
        let head = self.head_position();
        if position == head {
            return Ok(Found::Empty);
        }
        let found = self.read_at(position);
        let floor = floor::after_copy(self.floor());
        let capacity = self.log.bytes() as u64;
        if floor > self.head_position() || head.saturating_sub(floor) > capacity {
            return Err(Damage("its floor and its head contradict each other"));
        }
        if position < floor {
            return Ok(Found::Overwritten);
        }
        let (found, end) = found.ok_or(Damage("no record stands where one should"))?;
        if end > head {
            return Err(Damage("a record leads behind its head"));
        }
        Ok(found)
    }

    /// What stands at `position`, if it can be so, and where it ends.
    fn read_at(&self, position: u64) -> Option<(Found, u64)> {
        let at = self.place(position);
        let rest = self.log.bytes() - at;
        if !at.is_multiple_of(layout::ALIGN) {
            return None;
        }
        let mut bytes = [0; layout::HEADER];
        self.log.copy_out(at, &mut bytes);
        match record::decode(&bytes)? {
            Header::Pad => {
                let behind = position.checked_add(rest as u64)?;
                Some((Found::Pad(behind), behind))
            }
            Header::Record { sequence, payload_bytes, published, meta } => {
                let footprint = record::footprint(payload_bytes);
                let end = position.checked_add(footprint as u64)?;
                let found = Record { sequence, payload_bytes, published, meta };
                (footprint <= rest).then_some((Found::Record(found), end))
            }
        }
    }

    fn head_position(&self) -> u64 {
        // PAIR head
        self.index.map.word(index::AT_HEAD_POSITION).load(Ordering::Acquire)
    }

    fn floor(&self) -> &AtomicU64 {
        self.index.map.word(index::AT_FLOOR)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below the log's length, a usize"
    )]
    fn place(&self, position: u64) -> usize {
        (position % self.log.bytes() as u64) as usize
    }
}
