//! A camera's recording over a time in short segments on one clock, which players fetch one by one.
//!
//! A segment is some fragments of one file, from a key frame on. Only the headers of its ends are read, so
//! a day costs some ten thousand small reads; its bytes are those of the file, moved to the reel's clock
//! when somebody asks for them: see [`crate::Strip`].

use std::path::{Path, PathBuf};

use fmp4::{FoundFragment, FoundSample, FoundTrack};
use protocol::stream::Track;
use protocol::time::UtcNs;

use crate::cut::{Clock, Sighting};
use crate::error::Error;
use crate::facts::{decode_ns, duration_ns, first_sample};
use crate::file::RecordingFile;
use crate::gap::Gap;
use crate::timeline::{Range, Timeline, TimelineFragment};

/// Short enough to begin quickly, long enough that a request is worth it.
const SEGMENT_NS: u64 = 4_000_000_000;
/// One with a very long group of pictures ends inside it.
const SEGMENT_MAX_NS: u64 = 10_000_000_000;

/// What a camera recorded of a stretch of time, to be played.
#[derive(Clone, Debug)]
pub struct Reel {
    pub camera: String,
    pub range: Range,
    pub files: Vec<PathBuf>,
    pub segments: Vec<Segment>,
    /// What stands in front of segments; each is of one of the files.
    pub inits: Vec<Init>,
    pub gaps: Vec<Gap>,
}

/// What may have been told of a range before, when less of it was recorded. That stays as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// It grew until lately: nothing comes any more.
    Ended,
    /// Of the past: it was never told otherwise.
    None,
    /// It is still being recorded. The last segment is left out, which may grow.
    UnderWay,
}

/// `ftyp` and `moov`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Index into the reel's files.
    pub file: usize,
    pub streams: Vec<(u32, Track)>,
    pub bytes: Vec<u8>,
}

/// Fragments one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Index into the reel's files.
    pub file: usize,
    pub at_bytes: u64,
    pub bytes: u64,
    /// Index into the reel's inits.
    pub init: usize,
    /// From the times of the file to those of the reel.
    pub shift_ns: i64,
    /// On the reel's clock: when its first picture is shown, or its first sound.
    pub begin_ns: i64,
    /// Until the next segment begins, or until its last picture ends.
    pub lasts_ns: i64,
    /// When its first picture was captured.
    pub utc: UtcNs,
    /// Packets that are in the file.
    pub packets: u64,
    /// It begins with a key frame.
    pub key: bool,
    /// It does not go on where the one before it ends.
    pub behind_gap: bool,
}

impl Reel {
    /// Of what grows, or did, nothing that is told once changes with what comes later.
    pub fn read(folder: &Path, range: Range, growth: Growth) -> Result<Self, Error> {
        let mut timeline = Timeline::read(folder, range)?;
        let (segments, inits) = loop {
            match wound(&timeline, growth) {
                Ok(wound) => break wound,
                Err(error) if timeline.leave_out(&error) => {}
                Err(error) => return Err(error),
            }
        };
        let segments = segments.into_iter().map(|wound| wound.segment).collect();
        let Timeline { camera, files, gaps, .. } = timeline;
        Ok(Self { camera, range, files, segments, inits, gaps })
    }
}

fn wound(timeline: &Timeline, growth: Growth) -> Result<(Vec<Wound>, Vec<Init>), Error> {
    let mut groups = groups(&timeline.fragments);
    let rest = if growth == Growth::UnderWay { groups.pop() } else { None };
    let mut winder = Winder::new(timeline);
    for group in &groups {
        winder.take(group)?;
    }
    let next = rest.filter(|group| !group.behind_gap);
    let end_ns = next.map(|group| winder.begin(&group)).transpose()?.map(|begun| begun.begin_ns);
    let (mut segments, inits) = winder.finish(end_ns)?;
    tell_times(&mut segments, growth);
    Ok((segments, inits))
}

/// Fragments of a segment.
#[derive(Debug)]
struct Group<'a> {
    fragments: &'a [TimelineFragment],
    /// Index of the last one in the timeline.
    last: usize,
    behind_gap: bool,
}

impl Group<'_> {
    fn first(&self) -> &TimelineFragment {
        &self.fragments[0]
    }
}

/// What is decided for a prefix stays, whatever follows.
fn groups(fragments: &[TimelineFragment]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut begin: Option<usize> = None;
    // What a reel begins with, or goes on with behind a gap, has to be decodable.
    let (mut undecodable, mut behind_gap) = (true, true);
    for (at, place) in fragments.iter().enumerate() {
        let cut = begin.is_none_or(|begin| ends(&fragments[begin], place));
        if cut && let Some(begin) = begin.take() {
            groups.push(Group { fragments: &fragments[begin..at], last: at - 1, behind_gap });
            behind_gap = false;
        }
        if place.behind_gap {
            (undecodable, behind_gap) = (true, true);
        }
        undecodable &= place.fragment.key.is_none();
        if cut && !undecodable {
            begin = Some(at);
        }
    }
    if let Some(begin) = begin {
        let last = fragments.len() - 1;
        groups.push(Group { fragments: &fragments[begin..], last, behind_gap });
    }
    groups
}

/// Whether a segment that begins with `first` ends in front of `next`.
fn ends(first: &TimelineFragment, next: &TimelineFragment) -> bool {
    let lasts_ns = next.fragment.capture.0.saturating_sub(first.fragment.capture.0);
    let at_key = next.fragment.key.is_some() && lasts_ns >= SEGMENT_NS;
    next.behind_gap || next.file != first.file || at_key || lasts_ns >= SEGMENT_MAX_NS
}

/// A segment under way.
struct Wound {
    segment: Segment,
    sighting: Sighting,
}

/// Where a group begins.
#[derive(Clone, Copy)]
struct Begun {
    shift_ns: i64,
    begin_ns: i64,
    sighting: Sighting,
}

struct Winder<'a> {
    timeline: &'a Timeline,
    open: Option<(usize, RecordingFile)>,
    zero: Option<UtcNs>,
    /// Index of the file under way, and what its times lack.
    shift: Option<(usize, i64)>,
    /// Index of the last fragment of the group before.
    last: Option<usize>,
    wound: Vec<Wound>,
    inits: Vec<Init>,
}

impl<'a> Winder<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        let (open, zero, shift, last) = (None, None, None, None);
        Self { timeline, open, zero, shift, last, wound: Vec::new(), inits: Vec::new() }
    }

    fn take(&mut self, group: &Group<'_>) -> Result<(), Error> {
        let begun = self.begin(group)?;
        self.end_before(group, begun.begin_ns)?;
        let first = group.first();
        let fragments = group.fragments.iter().map(|place| &place.fragment);
        let segment = Segment {
            file: first.file,
            at_bytes: first.fragment.at_bytes,
            bytes: fragments.clone().map(|fragment| fragment.bytes).sum(),
            init: self.init(first.file)?,
            shift_ns: begun.shift_ns,
            begin_ns: begun.begin_ns,
            lasts_ns: 0,
            utc: first.fragment.capture,
            packets: fragments.map(|fragment| fragment.recorded).sum(),
            key: first.fragment.key.is_some(),
            behind_gap: group.behind_gap,
        };
        self.wound.push(Wound { segment, sighting: begun.sighting });
        self.last = Some(group.last);
        Ok(())
    }

    /// The last segment ends at `end_ns`, or with its last picture.
    fn finish(mut self, end_ns: Option<i64>) -> Result<(Vec<Wound>, Vec<Init>), Error> {
        if let Some(last) = self.last {
            let end_ns = match end_ns {
                Some(end_ns) => end_ns,
                None => self.end_of(last)?,
            };
            self.end_at(end_ns);
        }
        Ok((self.wound, self.inits))
    }

    fn end_before(&mut self, group: &Group<'_>, begin_ns: i64) -> Result<(), Error> {
        let Some(last) = self.last else { return Ok(()) };
        let end_ns = if group.behind_gap { self.end_of(last)? } else { begin_ns };
        self.end_at(end_ns);
        Ok(())
    }

    fn end_at(&mut self, end_ns: i64) {
        if let Some(Wound { segment, .. }) = self.wound.last_mut() {
            segment.lasts_ns = end_ns.saturating_sub(segment.begin_ns).max(0);
        }
    }

    /// Finds the place of a group on the reel's clock.
    fn begin(&mut self, group: &Group<'_>) -> Result<Begun, Error> {
        let first = *group.first();
        let (found, tracks) = self.header(&first)?;
        let sample = first_sample(&found);
        let own_ns = sample.and_then(|sample| decode_ns(sample, &tracks)).unwrap_or(0);
        let goes_on = self.shift.filter(|(file, _)| *file == first.file && !group.behind_gap);
        let shift_ns = match goes_on {
            Some((_, shift_ns)) => shift_ns,
            None => {
                let track = sample.map(|sample| sample.track);
                self.place(group, track)?.saturating_sub(own_ns)
            }
        };
        let shown = found.samples.iter().find(|it| is_video(it, &tracks)).or(sample);
        let pts = |sample: &FoundSample| pts_ns(sample, &tracks).saturating_add(shift_ns);
        let begin_ns = shown.map_or(0, pts);
        let sighting = Sighting {
            pts_ns: sample.map_or(begin_ns, pts),
            capture: first.fragment.capture,
            behind_gap: group.behind_gap,
        };
        self.shift = Some((first.file, shift_ns));
        Ok(Begun { shift_ns, begin_ns, sighting })
    }

    /// When the first packet of a group is decoded that begins a file, or stands behind a gap.
    fn place(&mut self, group: &Group<'_>, track: Option<u32>) -> Result<i64, Error> {
        let capture = group.first().fragment.capture;
        let zero = *self.zero.get_or_insert(capture);
        let Some(last) = self.last else { return Ok(0) };
        let joins = track.filter(|_| !group.behind_gap);
        if let Some(end_ns) =
            joins.map(|track| self.end_of_track(last, track)).transpose()?.flatten()
        {
            return Ok(end_ns);
        }
        // A clock that was set back does not make times run back.
        let later_ns = signed(capture).saturating_sub(signed(zero));
        Ok(later_ns.max(self.end_of(last)?))
    }

    /// Where a track ends that the group before goes on with. Its last fragment may hold none of it: pictures
    /// of a slow camera are further apart.
    fn end_of_track(&mut self, last: usize, track: u32) -> Result<Option<i64>, Error> {
        let fragments = &self.timeline.fragments;
        for place in fragments[..=last].iter().rev() {
            let own = self.end_in(place, |sample, tracks| {
                let is_of_it = sample.track == track;
                is_of_it.then(|| decode_ns(sample, tracks).unwrap_or(0))
            })?;
            if own.is_some() || place.behind_gap {
                return Ok(own);
            }
        }
        Ok(None)
    }

    /// When the group before ends: with its last picture, or with its sound where that is all there is.
    fn end_of(&mut self, last: usize) -> Result<i64, Error> {
        let place = &self.timeline.fragments[last];
        let shown = |sample: &FoundSample, tracks: &[FoundTrack]| {
            is_video(sample, tracks).then(|| pts_ns(sample, tracks))
        };
        let end_ns = match self.end_in(place, shown)? {
            Some(end_ns) => Some(end_ns),
            None => self.end_in(place, |sample, tracks| Some(pts_ns(sample, tracks)))?,
        };
        Ok(end_ns.unwrap_or(0))
    }

    /// The latest end, on the reel's clock, of those samples of a fragment for which `begin_ns` tells a begin.
    fn end_in(
        &mut self,
        place: &TimelineFragment,
        begin_ns: impl Fn(&FoundSample, &[FoundTrack]) -> Option<i64>,
    ) -> Result<Option<i64>, Error> {
        let of_file = |wound: &&Wound| wound.segment.file == place.file;
        let Some(wound) = self.wound.iter().rfind(of_file) else { return Ok(None) };
        let shift_ns = wound.segment.shift_ns;
        let (found, tracks) = self.header(place)?;
        let ends = found.samples.iter().filter_map(|sample| {
            let lasts_ns = duration_ns(sample, &tracks).unwrap_or(0);
            Some(begin_ns(sample, &tracks)?.saturating_add(lasts_ns))
        });
        Ok(ends.max().map(|end_ns| end_ns.saturating_add(shift_ns)))
    }

    fn header(
        &mut self,
        place: &TimelineFragment,
    ) -> Result<(FoundFragment, Vec<FoundTrack>), Error> {
        let file = self.file(place.file)?;
        let found = file.fragment(place.fragment.at_bytes)?;
        Ok((found, file.tracks().to_vec()))
    }

    fn file(&mut self, file: usize) -> Result<&mut RecordingFile, Error> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            self.open = Some((file, RecordingFile::open(&self.timeline.files[file])?));
        }
        let open = self.open.as_mut().map(|(_, open)| open);
        Ok(open.expect("opened above"))
    }

    /// Files of the same tracks share what stands in front of them.
    fn init(&mut self, file: usize) -> Result<usize, Error> {
        if self.wound.last().is_some_and(|wound| wound.segment.file == file) {
            return Ok(self.inits.len() - 1);
        }
        let open = self.file(file)?;
        let bytes = open.init_segment()?;
        let streams = streams(open);
        if self.inits.last().is_none_or(|init| init.bytes != bytes) {
            self.inits.push(Init { file, streams, bytes });
        }
        Ok(self.inits.len() - 1)
    }
}

fn streams(file: &RecordingFile) -> Vec<(u32, Track)> {
    let stream = |track: &FoundTrack| Some((track.track, file.stream(track.track)?.clone()));
    file.tracks().iter().filter_map(stream).collect()
}

/// When the first pictures of segments were captured. Of what grows only what was before counts, so that it does
/// not change.
fn tell_times(wound: &mut [Wound], growth: Growth) {
    let sightings: Vec<Sighting> = wound.iter().map(|wound| wound.sighting).collect();
    let whole = Clock::of(&sightings);
    // Stretches of the clock are of a minute at most.
    let far = |at: usize| at.saturating_sub(STRETCH_SEGMENTS);
    for (at, Wound { segment, .. }) in wound.iter_mut().enumerate() {
        segment.utc = match growth {
            Growth::None => whole.utc(segment.begin_ns),
            Growth::Ended | Growth::UnderWay => {
                Clock::of(&sightings[far(at)..=at]).utc(segment.begin_ns)
            }
        };
    }
}

/// Segments of a minute.
const STRETCH_SEGMENTS: usize = 15;

fn is_video(sample: &FoundSample, tracks: &[FoundTrack]) -> bool {
    tracks.iter().any(|track| track.track == sample.track && track.video)
}

/// When a sample is shown, on the clock of its file.
pub(crate) fn pts_ns(sample: &FoundSample, tracks: &[FoundTrack]) -> i64 {
    let track = tracks.iter().find(|track| track.track == sample.track);
    let composition_ns = track.map_or(0, |track| track.base.to_ns(sample.composition_ticks));
    decode_ns(sample, tracks).unwrap_or(0).saturating_add(composition_ns)
}

fn signed(time: UtcNs) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gap::tests::fragment;

    /// Fragments of a second; each `keys`-th has a key frame.
    fn seconds(count: u64, keys: u64) -> Vec<TimelineFragment> {
        let place = |second: u64| {
            let mut fragment = fragment(7, second * 10 + 1, second);
            fragment.key = second.is_multiple_of(keys).then_some(fragment.first);
            TimelineFragment { file: 0, fragment, behind_gap: false, wanted: true }
        };
        (0..count).map(place).collect()
    }

    fn lengths(fragments: &[TimelineFragment]) -> Vec<usize> {
        groups(fragments).iter().map(|group| group.fragments.len()).collect()
    }

    #[test]
    fn segments_begin_with_key_frames_and_end_when_they_last_long_enough() {
        assert_eq!(lengths(&seconds(10, 1)), [4, 4, 2]);
        assert_eq!(lengths(&seconds(12, 3)), [6, 6]);
        assert_eq!(lengths(&seconds(25, 100)), [10, 10, 5]);
    }

    #[test]
    fn a_file_and_a_gap_end_a_segment() {
        let mut fragments = seconds(8, 1);
        fragments[2..].iter_mut().for_each(|place| place.file = 1);
        fragments[5].behind_gap = true;
        assert_eq!(lengths(&fragments), [2, 3, 3]);
        let gaps: Vec<bool> = groups(&fragments).iter().map(|group| group.behind_gap).collect();
        assert_eq!(gaps, [true, false, true]);
    }

    #[test]
    fn what_nothing_decodes_is_in_no_segment() {
        let mut fragments = seconds(12, 4);
        fragments[0].fragment.key = None;
        fragments[5].behind_gap = true;
        // 0 to 3 and 5 to 7 have no key frame before them.
        assert_eq!(lengths(&fragments), [1, 4]);
        assert!(groups(&fragments)[1].behind_gap);
    }

    #[test]
    fn what_follows_changes_nothing_of_what_was() {
        let all = seconds(40, 3);
        let whole = lengths(&all);
        for length in 1..all.len() {
            let part = lengths(&all[..length]);
            assert_eq!(part[..part.len() - 1], whole[..part.len() - 1], "{length}");
        }
    }
}
