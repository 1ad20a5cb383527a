//! Pictures of several cameras that belong together.

use std::time::Duration;

use protocol::name::RingName;
use protocol::time::MonoNs;

use super::matching::{Cadence, Candidate, Decision, Thinning, decide};
use super::{Frame, FrameReader};
use crate::Next;
use crate::clock;
use crate::error::Error;
use crate::signal::{Waitable, wait_any};

/// How long a group waits for a camera's picture beyond the tolerance, unless
/// [`FrameSet::with_patience`] says otherwise: cameras differ by so much in network and decoding.
const PATIENCE: Duration = Duration::from_millis(200);

/// Reads several frame rings together and gives out groups of pictures that were taken at about the same
/// time, each picture in exactly one group, in the order of time.
///
/// A group begins with the oldest picture and has those of the other cameras that were taken within the
/// tolerance after it. A tolerance of half a picture's time pairs cameras of one rate without fail; with
/// a larger one two cameras may be paired the wrong way round. Times are `capture.mono` of each picture.
///
/// A camera that has nothing holds up a group for tolerance plus patience (200 ms, see
/// [`Self::with_patience`]) at most, counted from when the group's first picture was here and the group
/// before it was given out; and it does so once: until it delivers again it is named as missing at once.
/// One without a writer, and one whose
/// next picture is not due yet, is not waited for at all.
///
/// **Leases.** The set holds one picture of each ring, and the caller holds those of the groups it keeps.
/// So readers need a quota of 2 when each group is let go of before the next but one is asked for, which is
/// what [`super::FrameOptions::named`] has, and one more for each further group that is kept; with fewer,
/// [`Self::next`] says [`Error::NoLease`]. Readers of policy `Sequential` lose no picture to the set; with
/// `Latest` a slow caller gets the newest ones.
#[derive(Debug)]
pub struct FrameSet {
    members: Vec<Member>,
    tolerance: Duration,
    patience: Duration,
    /// When the group before was given out.
    given: MonoNs,
    told_by: Option<usize>,
    thinning: Thinning,
}

/// Pictures taken at about the same time.
#[derive(Debug)]
pub struct FrameGroup {
    /// In the order of the set's readers.
    pub frames: Vec<Option<Frame>>,
    /// Between the oldest picture of the group and the newest.
    pub skew: Duration,
    /// Rings that have no picture in this group.
    pub missing: Vec<RingName>,
}

#[derive(Debug)]
struct Member {
    reader: FrameReader,
    /// Its next picture, and when that was here.
    next: Option<(Frame, MonoNs)>,
    cadence: Cadence,
    /// A group was given out without it because it had nothing; nobody waits for it again before it has.
    is_silent: bool,
    has_ended: bool,
}

impl FrameSet {
    pub fn new(readers: Vec<FrameReader>, tolerance: Duration) -> Self {
        let members = readers.into_iter().map(Member::new).collect();
        let (given, thinning) = (MonoNs(0), Thinning::new(1));
        Self { members, tolerance, patience: PATIENCE, given, told_by: None, thinning }
    }

    /// How long beyond the tolerance a group waits for a camera that has nothing.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Gives out each so manyth group alone. Not to be asked of the readers: each would count its own pictures, and those
    /// of two cameras would never meet. One that lacks a camera is left for the next whole one, for as many groups again.
    #[must_use]
    pub fn with_every(self, every: u32) -> Self {
        Self { thinning: Thinning::new(every), ..self }
    }

    /// The next group, or what there is instead; sleeps at most `wait`. An overrun, an eviction or a new epoch
    /// is that of one ring, see [`Self::told_by`]; the end is that of all.
    pub fn next(&mut self, wait: Duration) -> Result<Next<FrameGroup>, Error> {
        let deadline = clock::mono() + wait;
        loop {
            if let Some(told) = self.collect()? {
                return Ok(told);
            }
            let now = clock::mono();
            let overdue = self.overdue();
            match decide(&self.candidates(), self.tolerance, overdue.is_some_and(|at| now >= at)) {
                Decision::Group { members, skew } => {
                    let group = self.give(&members, skew);
                    if self.thinning.takes(group.missing.is_empty()) {
                        return Ok(Next::Item(group));
                    }
                    continue;
                }
                Decision::Nothing if self.members.iter().all(|member| member.has_ended) => {
                    return Ok(Next::Ended);
                }
                Decision::Wait | Decision::Nothing if now >= deadline => return Ok(Next::Quiet),
                Decision::Wait | Decision::Nothing => {}
            }
            let until = overdue.map_or(deadline, |at| at.min(deadline));
            self.wait(until.saturating_since(now));
        }
    }

    /// Place of the reader whose overrun, eviction or new epoch [`Self::next`] told last.
    pub fn told_by(&self) -> Option<usize> {
        self.told_by
    }

    /// Sees to it that every ring that has a picture has it here.
    fn collect(&mut self) -> Result<Option<Next<FrameGroup>>, Error> {
        for (number, member) in self.members.iter_mut().enumerate() {
            if let Some(told) = member.collect()? {
                self.told_by = Some(number);
                return Ok(Some(told));
            }
        }
        Ok(None)
    }

    fn candidates(&self) -> Vec<Candidate> {
        self.members.iter().map(|member| member.candidate(self.tolerance)).collect()
    }

    /// When the oldest picture is given out, whoever is missing.
    fn overdue(&self) -> Option<MonoNs> {
        let here = self.members.iter().filter_map(|member| member.next.as_ref());
        let (_, since) = here.min_by_key(|(frame, _)| frame.meta().capture.mono)?;
        Some((*since).max(self.given) + self.tolerance + self.patience)
    }

    fn give(&mut self, is_member: &[bool], skew: Duration) -> FrameGroup {
        self.given = clock::mono();
        let last = self.last_of_group();
        let tolerance = self.tolerance;
        let mut group = FrameGroup { frames: Vec::new(), skew, missing: Vec::new() };
        for (member, is_member) in self.members.iter_mut().zip(is_member) {
            member.is_silent |= last.is_some_and(|last| member.is_awaited(last, tolerance));
            let frame = if *is_member { member.next.take() } else { None };
            if frame.is_none() {
                group.missing.push(member.reader.ring().clone());
            }
            group.frames.push(frame.map(|(frame, _)| frame));
        }
        group
    }

    fn last_of_group(&self) -> Option<MonoNs> {
        let oldest = self.members.iter().filter_map(Member::taken).min()?;
        Some(oldest + self.tolerance)
    }

    fn wait(&self, wait: Duration) {
        let without = self.members.iter().filter(|member| member.next.is_none());
        let without: Vec<&dyn Waitable> = without.map(|member| &member.reader as _).collect();
        wait_any(&without, wait);
    }
}

impl Member {
    fn new(reader: FrameReader) -> Self {
        Self { reader, next: None, cadence: Cadence::default(), is_silent: false, has_ended: false }
    }

    /// Takes the next picture, unless it is here. What else the reader says is for the set's caller.
    fn collect(&mut self) -> Result<Option<Next<FrameGroup>>, Error> {
        if self.next.is_some() {
            return Ok(None);
        }
        match self.reader.next(Duration::ZERO) {
            Ok(Next::Item(frame)) => self.took(frame),
            Ok(Next::Overrun { missed }) => return Ok(Some(Next::Overrun { missed })),
            Ok(Next::NewEpoch { epoch }) => {
                self.has_ended = false;
                self.cadence = Cadence::default();
                return Ok(Some(Next::NewEpoch { epoch }));
            }
            Ok(Next::Evicted { reason }) => return Ok(Some(Next::Evicted { reason })),
            Ok(Next::Quiet) => {}
            Ok(Next::Ended) => self.has_ended = true,
            // Taken down; perhaps brought up again.
            Err(error) if error.is_absent() => self.is_silent = true,
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn took(&mut self, frame: Frame) {
        self.cadence.took(frame.meta().capture.mono);
        self.is_silent = false;
        self.next = Some((frame, clock::mono()));
    }

    fn taken(&self) -> Option<MonoNs> {
        self.next.as_ref().map(|(frame, _)| frame.meta().capture.mono)
    }

    fn candidate(&self, jitter: Duration) -> Candidate {
        match self.taken() {
            Some(taken) => Candidate::Taken(taken),
            None if self.is_silent || self.has_ended || !self.reader.writer_lives() => {
                Candidate::Absent
            }
            None => Candidate::Awaited { from: self.cadence.next_from(jitter) },
        }
    }

    /// Whether it could have had a picture up to `last`, and has none.
    fn is_awaited(&self, last: MonoNs, jitter: Duration) -> bool {
        matches!(self.candidate(jitter), Candidate::Awaited { from } if from <= last)
    }
}
