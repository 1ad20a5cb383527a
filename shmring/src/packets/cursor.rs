//! A place in the log of one epoch: taking records in turn, and accounting for those that are gone.

use std::sync::Arc;

use super::Packet;
use super::log::{Copied, Damage, Found, Log, Record};
use super::reader::Start;
use crate::anchor::IndexView;
use crate::error::Error;
use crate::segments::Segments;
use crate::signal::Progress;

/// How often a reader that is overtaken while it looks starts anew before it lets its caller wait.
const LAPS: u32 = 100;

/// An open epoch and the place in it.
#[derive(Debug)]
pub(super) struct EpochCursor {
    log: Log,
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
    /// The record is still next; the next step may get it.
    Refused(Error),
}

impl EpochCursor {
    /// `None` when the epoch has lost its files since its index was opened.
    pub(super) fn open(
        segments: &Arc<dyn Segments>,
        index: IndexView,
    ) -> Result<Option<Self>, Error> {
        let log = Log::open(segments, index)?;
        Ok(log.map(|log| Self { log, position: 0, last: None }))
    }

    pub(super) fn index(&self) -> &Arc<IndexView> {
        &self.log.index
    }

    /// Places a new reader. From here on every record counts as taken or missed.
    pub(super) fn begin(&mut self, start: Start) {
        match start {
            Start::After { epoch, sequence } if epoch == self.index().epoch => {
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
        self.last = Some(sequence.min(self.index().head()));
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
            let end = self.log.head_position();
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
        self.position = match start {
            Start::Newest => self.log.head_position(),
            Start::NewestKey => self.log.newest_key().unwrap_or_else(|| self.log.floor()),
            Start::Oldest | Start::After { .. } => self.log.floor(),
        };
    }

    /// Behind a damage nothing is known: goes on with what is published next.
    pub(super) fn recover(&mut self) {
        self.jump(Start::Newest);
        self.last = None;
    }

    /// Sequence of the last record taken, or of the head while that is unknown: for people.
    pub(super) fn sequence(&self) -> u64 {
        self.last.unwrap_or_else(|| self.index().head())
    }

    /// For those who wait on this reader's behalf.
    pub(super) fn progress(&self) -> Progress {
        Progress { sequence: self.sequence(), position: self.position, every: 1 }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.position == self.log.head_position()
    }

    /// Records between the last one and the end of a drained epoch whose writer is done: a jump to the
    /// newest passed over them, and no later record will show it.
    pub(super) fn take_untold(&mut self) -> Option<u64> {
        let missed = self.index().head().checked_sub(self.last?).filter(|missed| *missed > 0)?;
        self.last = None;
        Some(missed)
    }

    /// Reads the record under the cursor, if there is one. A reader that was overtaken goes on at
    /// `restart`.
    pub(super) fn step(&mut self, restart: Start) -> Result<Step, Damage> {
        for _ in 0..LAPS {
            match self.log.look(self.position)? {
                Found::Empty => return Ok(Step::Empty),
                Found::Pad(behind) => self.position = behind,
                Found::Overwritten => self.jump(restart),
                Found::Record(record) => {
                    if let Some(missed) = self.hole_before(record.sequence)? {
                        self.last = Some(record.sequence - 1);
                        return Ok(Step::Missed(missed));
                    }
                    if let Some(step) = self.take(&record)? {
                        return Ok(step);
                    }
                }
            }
        }
        Ok(Step::Empty)
    }

    fn hole_before(&self, sequence: u64) -> Result<Option<u64>, Damage> {
        // The writer commits a record's position first, then its sequence.
        if sequence > self.index().head().saturating_add(1) {
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
        for _ in 0..self.log.most_records() {
            match self.log.look(self.position) {
                Ok(Found::Pad(behind)) => self.position = behind,
                Ok(Found::Overwritten) => return false,
                Ok(Found::Record(record)) if unwanted(&record, self.position) => {
                    self.position = record.end;
                    // Never back: a walk that is overtaken half way must not forget how far it was.
                    self.last = self.last.max(Some(record.sequence));
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
        let found = match self.log.look(self.position) {
            Ok(Found::Pad(behind)) => self.log.look(behind),
            found => found,
        };
        match found {
            Ok(Found::Record(record)) => Some(record.sequence.saturating_sub(1)),
            _ => None,
        }
    }

    /// `None` when the record was overwritten before its payload was copied.
    fn take(&mut self, record: &Record) -> Result<Option<Step>, Damage> {
        let payload = match self.log.payload(record)? {
            Copied::Overwritten => return Ok(None),
            Copied::Refused(error) => return Ok(Some(Step::Refused(error))),
            Copied::Whole(payload) => Some(payload),
            Copied::Gone => None,
        };
        self.position = record.end;
        self.last = Some(record.sequence);
        let packet = |payload| Packet {
            epoch: self.index().epoch,
            sequence: record.sequence,
            meta: record.meta,
            published: record.published,
            payload,
        };
        Ok(Some(payload.map(packet).map_or(Step::Missed(1), Step::Packet)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PacketWriter;
    use crate::census;
    use crate::packets::PacketMeta;
    use crate::segments;
    use protocol::config::RingConfig;
    use protocol::control::RingContract;
    use protocol::name::ProjectName;

    /// A project whose files go with it.
    struct Project(ProjectName);

    impl Drop for Project {
        fn drop(&mut self) {
            census::sweep_unowned(&self.0);
        }
    }

    #[test]
    fn a_reader_overtaken_on_the_way_to_its_place_does_not_forget_how_far_it_was() {
        let project = Project(format!("t{}-cursor", std::process::id()).parse().unwrap());
        // An events ring: its log is short.
        let name = "cam.events".parse().unwrap();
        let config = RingConfig::default();
        let contract = RingContract::new(name, config, 1);
        let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
        let mut publish = |packets: usize| {
            for _ in 0..packets {
                writer.publish(&PacketMeta::default(), b"x").unwrap();
            }
            writer.epoch()
        };
        let epoch = publish(100);
        let segments = segments::find(&project.0, &contract.name);
        let index = IndexView::open(&*segments, epoch).unwrap().unwrap();
        let mut cursor = EpochCursor::open(&segments, index).unwrap().unwrap();
        cursor.last = Some(90);
        let publish = std::cell::RefCell::new(publish);
        let overtaken = !cursor.pass_over(|record, _| {
            // The whole log, while the reader stands at the fifth record.
            record.sequence != 5 || (publish.borrow_mut()(5_000) != 0)
        });
        assert!(overtaken);
        assert_eq!(cursor.last, Some(90));
    }
}
