//! A camera's fragments as HLS sees them: groups of pictures are segments, a fifth of a second of them is a part. Pure.
//!
//! A segment has the number of its group of pictures in the ring, so that every web worker, and one that was restarted,
//! numbers alike. What is listed depends on the segments alone, too.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::time::UtcNs;

use super::pace::interval_ns;
use super::unit::{Run, Unit};

const SECOND_NS: i64 = 1_000_000_000;
/// What a part should last: players of LL-HLS are three of them behind.
const PART_NS: i64 = SECOND_NS / 5;
/// A group that lasts this much longer than its pictures has a hole, which is not played.
const HOLE_NS: i64 = SECOND_NS;
/// Pictures a second when nothing tells.
const UNKNOWN_INTERVAL_NS: i64 = 40_000_000;
/// Listed are at least so many target durations (RFC 8216bis 6.2.2 wants three) ...
const LISTED_TARGETS: i64 = 4;
/// ... and this long, which the ring of a camera holds, so that a web worker which just began lists the same.
const LISTED_NS: i64 = 10 * SECOND_NS;
/// Memory of one camera: ten seconds at 38 Mbit/s.
const MOST_BYTES: usize = 48 << 20;
/// Some players have 31 bits for a segment's number.
const NUMBER_WRAPS: u64 = 1 << 31;

/// The newest segments, the last of them under way.
#[derive(Debug, Default)]
pub struct Segments {
    list: VecDeque<Segment>,
    /// Rounded up from the longest segment so far; it never shrinks.
    target_s: i64,
}

/// A group of pictures.
#[derive(Debug)]
pub struct Segment {
    pub number: u64,
    pub run: Arc<Run>,
    /// What stands before it is of another run.
    pub discontinuity: bool,
    /// When its first picture was captured.
    pub begins: UtcNs,
    pub parts: Vec<Part>,
    /// `None` while it is under way.
    pub lasts_ns: Option<i64>,
    pub cadence: Cadence,
    group: u64,
    begin_ns: i64,
    /// Of the part under way.
    open: Vec<Arc<Unit>>,
    pictures: i64,
    /// What its pictures last together, and where the last of them ends.
    media_ns: i64,
    end_ns: i64,
}

/// Some pictures of a segment, with their sounds.
#[derive(Debug)]
pub struct Part {
    pub units: Vec<Arc<Unit>>,
    pub lasts_ns: i64,
    /// It begins with a key frame.
    pub independent: bool,
}

/// How pictures are put into parts, so that all parts are of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    pub pictures: usize,
    /// No part lasts longer. A tenth above what the pictures should last: times of cameras jitter, and parts below
    /// 85 % of it would break the rule.
    pub target_ns: i64,
}

impl Cadence {
    fn of(interval_ns: i64) -> Self {
        let interval_ns = settled(interval_ns.max(1));
        let pictures = ((PART_NS + interval_ns / 2) / interval_ns).max(1);
        let target_ns = pictures * interval_ns + pictures * interval_ns / 10;
        Self { pictures: usize::try_from(pictures).unwrap_or(1), target_ns }
    }
}

impl Segments {
    /// Takes the next fragment. `all`: somebody plays the list, so what is listed no more stays for those who still
    /// fetch it (6.2.2).
    pub fn push(&mut self, unit: Arc<Unit>, all: bool) {
        if unit.run.init.video.is_none() {
            return; // Sound alone has no groups.
        }
        if unit.entry {
            self.begin(unit);
        } else if let Some(last) = self.list.back_mut().filter(|last| is_of(last, &unit)) {
            last.push(unit);
        }
        self.forget(all);
    }

    /// What players are told of, the oldest first.
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.list.range(self.first_listed()..)
    }

    /// The last one that is complete.
    pub fn last_complete(&self) -> Option<&Segment> {
        self.list.iter().rev().find(|segment| segment.lasts_ns.is_some())
    }

    pub fn last(&self) -> Option<&Segment> {
        self.list.back()
    }

    pub fn find(&self, number: u64) -> Option<&Segment> {
        self.list.iter().rev().find(|segment| segment.number == number)
    }

    /// Runs that have segments here.
    pub fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.list.iter().map(|segment| &segment.run)
    }

    /// `EXT-X-TARGETDURATION`.
    pub fn target_s(&self) -> i64 {
        self.target_s.max(1)
    }

    fn begin(&mut self, unit: Arc<Unit>) {
        let mut next = Segment::new(
            &unit,
            Cadence::of(interval_ns(unit.run.init.frame_rate).unwrap_or(UNKNOWN_INTERVAL_NS)),
        );
        if let Some(last) = self.list.back_mut() {
            let same_run = Arc::ptr_eq(&last.run, &unit.run);
            let sounds = last.complete(same_run.then_some(unit.dts_ns));
            self.target_s = self.target_s.max(rounded_s(last.lasts_ns.unwrap_or(0)));
            if same_run {
                next.open = sounds;
                next.cadence = last.measured().unwrap_or(next.cadence);
            }
            next.discontinuity = !same_run;
            if unit.group <= last.group {
                // Its writer does not count.
                next.number = (last.number + 1) % NUMBER_WRAPS;
            }
            // A list has no holes: it begins anew.
            if next.number != (last.number + 1) % NUMBER_WRAPS {
                self.list.clear();
                next.discontinuity = false;
            }
        }
        next.push(unit);
        self.list.push_back(next);
    }

    fn first_listed(&self) -> usize {
        let wanted_ns = (LISTED_TARGETS * self.target_s() * SECOND_NS).max(LISTED_NS);
        self.first_within(wanted_ns)
    }

    /// Index of the first of the segments that together last so long, or of the very first.
    fn first_within(&self, wanted_ns: i64) -> usize {
        let mut lasts_ns = 0;
        for (index, segment) in self.list.iter().enumerate().rev() {
            lasts_ns += segment.lasts_ns.unwrap_or(0);
            if lasts_ns >= wanted_ns {
                return index;
            }
        }
        0
    }

    fn forget(&mut self, all: bool) {
        let listed = self.first_listed();
        let kept = if all {
            // As long again as the list, and the segment itself.
            let list_ns: i64 = self.listed().filter_map(|segment| segment.lasts_ns).sum();
            self.first_within(2 * list_ns + self.target_s() * SECOND_NS)
        } else {
            listed
        };
        self.list.drain(..kept);
        while self.list.len() > 1 && self.bytes() > MOST_BYTES {
            self.list.pop_front();
        }
    }

    fn bytes(&self) -> usize {
        self.list.iter().map(Segment::bytes).sum()
    }
}

impl Segment {
    fn new(unit: &Unit, cadence: Cadence) -> Self {
        Self {
            number: unit.group % NUMBER_WRAPS,
            run: Arc::clone(&unit.run),
            discontinuity: false,
            begins: unit.captured,
            parts: Vec::new(),
            lasts_ns: None,
            cadence,
            group: unit.group,
            begin_ns: unit.dts_ns,
            open: Vec::new(),
            pictures: 0,
            media_ns: 0,
            end_ns: unit.end_ns(),
        }
    }

    /// Of the whole segment, in the order they are played.
    pub fn units(&self) -> impl Iterator<Item = &Arc<Unit>> {
        self.parts.iter().flat_map(|part| &part.units).chain(&self.open)
    }

    pub fn bytes(&self) -> usize {
        self.units().map(|unit| unit.bytes.len()).sum()
    }

    /// What it lasts, as far as it is there.
    pub fn so_far_ns(&self) -> i64 {
        self.lasts_ns.unwrap_or(self.media_ns)
    }

    fn push(&mut self, unit: Arc<Unit>) {
        if unit.has_picture {
            let too_long =
                |first_ns: i64| unit.end_ns().saturating_sub(first_ns) > self.cadence.target_ns;
            if self.first_picture_ns().is_some_and(too_long) {
                self.end_part();
            }
            self.pictures += 1;
            self.media_ns = self.media_ns.saturating_add(unit.lasts_ns);
            self.end_ns = unit.end_ns();
        }
        self.open.push(unit);
        let pictures = self.open.iter().filter(|unit| unit.has_picture).count();
        if pictures >= self.cadence.pictures {
            self.end_part();
        }
    }

    /// Ends it where the next one begins, if that is of the same run. Gives the sounds that no picture of it followed.
    fn complete(&mut self, next_dts_ns: Option<i64>) -> Vec<Arc<Unit>> {
        let span_ns = next_dts_ns.map(|next_ns| next_ns.saturating_sub(self.begin_ns));
        let is_whole = |span_ns: &i64| span_ns.saturating_sub(self.media_ns) <= HOLE_NS;
        let lasts_ns = span_ns.filter(is_whole).unwrap_or(self.media_ns);
        // Players want to get on.
        self.lasts_ns = Some(lasts_ns.max(1_000_000));
        if self.first_picture_ns().is_some() {
            self.end_part();
        }
        std::mem::take(&mut self.open)
    }

    fn end_part(&mut self) {
        let begin_ns = self.first_picture_ns().unwrap_or(self.end_ns);
        let units = std::mem::take(&mut self.open);
        let independent = units.iter().any(|unit| unit.entry);
        let lasts_ns = self.end_ns.saturating_sub(begin_ns).max(1_000_000);
        self.parts.push(Part { units, lasts_ns, independent });
    }

    fn first_picture_ns(&self) -> Option<i64> {
        self.open.iter().find(|unit| unit.has_picture).map(|unit| unit.dts_ns)
    }

    /// As its pictures came.
    fn measured(&self) -> Option<Cadence> {
        let interval_ns = self.lasts_ns?.checked_div(self.pictures)?;
        (self.pictures > 1 && interval_ns > 0).then(|| Cadence::of(interval_ns))
    }
}

impl Part {
    pub fn bytes(&self) -> usize {
        self.units.iter().map(|unit| unit.bytes.len()).sum()
    }
}

fn is_of(segment: &Segment, unit: &Unit) -> bool {
    Arc::ptr_eq(&segment.run, &unit.run)
}

/// That of a whole number of pictures a second when it is within 2 % of one: what is measured differs a little from
/// segment to segment, and what is promised of parts should not.
fn settled(interval_ns: i64) -> i64 {
    let rate = (SECOND_NS + interval_ns / 2) / interval_ns;
    let exact_ns = SECOND_NS.checked_div(rate).unwrap_or(interval_ns);
    if (interval_ns - exact_ns).abs() <= exact_ns / 50 { exact_ns } else { interval_ns }
}

/// To the nearest, as players compare `EXTINF` with the target (RFC 8216 4.3.3.1).
fn rounded_s(ns: i64) -> i64 {
    (ns + SECOND_NS / 2) / SECOND_NS
}

#[cfg(test)]
mod tests;
