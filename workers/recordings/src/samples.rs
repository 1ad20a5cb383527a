//! The packets of a timeline, one after the other, on one clock: files count from zero each.
//!
//! Where a file goes on without a gap, its first packet is decoded exactly when the last one of that
//! track in the file before ends: the recorder wrote that duration from the times of the ring. Behind a
//! gap the capture times tell how much later it is.

use std::collections::{HashMap, VecDeque};

use fmp4::{FoundFragment, FoundSample, FoundTrack};
use protocol::stream::Track;
use protocol::time::UtcNs;

use crate::error::Error;
use crate::facts::{decode_ns, duration_ns, first_sample};
use crate::file::RecordingFile;
use crate::packet_id::PacketId;
use crate::timeline::{Timeline, TimelineFragment};

/// A packet of the ring as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub id: PacketId,
    /// Index into the ring's tracks.
    pub track: u32,
    pub key: bool,
    /// On the clock of the timeline, whose zero is [`Samples::zero`].
    pub pts_ns: i64,
    /// As `pts_ns`. Never smaller than that of the sample before it on the same track.
    pub dts_ns: i64,
    pub duration_ns: i64,
    /// Of its fragment's first packet, and from there on by decode times.
    pub capture: UtcNs,
    /// Its fragment was captured by the camera's own clock, not at its arrival.
    pub camera_clock: bool,
    /// Index into [`Timeline::files`].
    pub file: usize,
    pub at_bytes: u64,
    pub bytes: u32,
    /// It was captured inside the range; else it is there because decoding has to start with it.
    pub wanted: bool,
    /// It is the first behind a gap.
    pub behind_gap: bool,
}

/// Goes through a timeline once. A file that went meanwhile is an error, after which the next file
/// follows.
#[derive(Debug)]
pub struct Samples<'a> {
    timeline: &'a Timeline,
    /// Index of the next fragment.
    next: usize,
    open: Option<(usize, RecordingFile)>,
    ready: VecDeque<Sample>,
    clock: Clock,
}

/// From the clocks of files to the one of the timeline.
#[derive(Debug, Default)]
struct Clock {
    /// Capture time of the first packet; set with it.
    zero: Option<UtcNs>,
    /// Of the file under way: what its times lack.
    shift_ns: i64,
    file: Option<usize>,
    /// Where the last sample of each track ends.
    ends_ns: HashMap<u32, i64>,
}

impl<'a> Samples<'a> {
    pub(crate) fn new(timeline: &'a Timeline) -> Self {
        let (open, ready) = (None, VecDeque::new());
        Self { timeline, next: 0, open, ready, clock: Clock::default() }
    }

    /// Capture time of the first sample: time zero of all. `None` before there was one.
    pub fn zero(&self) -> Option<UtcNs> {
        self.clock.zero
    }

    /// How the ring described a track when the file of this sample was begun. `None` when the file
    /// does not say.
    pub fn stream(&mut self, sample: &Sample) -> Result<Option<&Track>, Error> {
        Ok(self.file(sample.file)?.stream(sample.track))
    }

    /// The file of this sample, for what else it says.
    pub fn file(&mut self, file: usize) -> Result<&mut RecordingFile, Error> {
        let is_open = self.open.as_ref().is_some_and(|(open, _)| *open == file);
        if !is_open {
            self.open = Some((file, RecordingFile::open(&self.timeline.files[file])?));
        }
        let open = self.open.as_mut().map(|(_, open)| open);
        Ok(open.expect("opened above"))
    }

    /// Puts the bytes of a sample in place of what `into` holds, as they stand in the file: NAL units
    /// behind their lengths, sound as it is.
    pub fn payload(&mut self, sample: &Sample, into: &mut Vec<u8>) -> Result<(), Error> {
        self.file(sample.file)?.read(sample.at_bytes, sample.bytes.into(), into)
    }

    /// The packet that a sample was in its ring: Annex B, with the parameter sets before key frames.
    pub fn packet(&mut self, sample: &Sample) -> Result<Vec<u8>, Error> {
        self.file(sample.file)?.packet(&FoundSample {
            track: sample.track,
            key: sample.key,
            decode_ticks: 0,
            duration_ticks: 0,
            composition_ticks: 0,
            at_bytes: sample.at_bytes,
            bytes: sample.bytes,
        })
    }

    fn take(&mut self, place: TimelineFragment) -> Result<(), Error> {
        let file = self.file(place.file)?;
        let found = file.fragment(place.fragment.at_bytes)?;
        let tracks = file.tracks().to_vec();
        self.clock.enter(&place, &found, &tracks);
        let range = self.timeline.range;
        let mut behind_gap = place.behind_gap;
        for (sequence, sample) in in_ring_order(&found) {
            let Some((dts_ns, duration_ns)) = times(sample, &tracks) else { continue };
            let track = tracks.iter().find(|track| track.track == sample.track);
            let composition_ns =
                track.map_or(0, |track| track.base.to_ns(sample.composition_ticks));
            let capture = capture_of(&found, sample, &tracks);
            let dts_ns = self.clock.place(sample.track, dts_ns, duration_ns);
            self.ready.push_back(Sample {
                id: PacketId { epoch: found.origin.epoch, sequence },
                track: sample.track,
                key: sample.key,
                pts_ns: dts_ns.saturating_add(composition_ns),
                dts_ns,
                duration_ns,
                capture,
                camera_clock: place.fragment.camera_clock,
                file: place.file,
                at_bytes: sample.at_bytes,
                bytes: sample.bytes,
                wanted: range.from <= capture && capture < range.to,
                behind_gap: std::mem::take(&mut behind_gap),
            });
        }
        Ok(())
    }

    /// Goes on with the next file.
    fn pass_over(&mut self, file: usize) {
        let fragments = &self.timeline.fragments;
        while fragments.get(self.next).is_some_and(|fragment| fragment.file == file) {
            self.next += 1;
        }
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Sample, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(sample) = self.ready.pop_front() {
                return Some(Ok(sample));
            }
            let place = *self.timeline.fragments.get(self.next)?;
            self.next += 1;
            if let Err(error) = self.take(place) {
                self.pass_over(place.file);
                return Some(Err(error));
            }
        }
    }
}

impl Clock {
    /// Finds the place of a file's, or a gap's, first fragment.
    fn enter(&mut self, place: &TimelineFragment, found: &FoundFragment, tracks: &[FoundTrack]) {
        let goes_on = self.file.replace(place.file) == Some(place.file);
        if goes_on && !place.behind_gap {
            return;
        }
        let Some(first) = first_sample(found) else { return };
        let own_ns = decode_ns(first, tracks).unwrap_or(0);
        let zero = *self.zero.get_or_insert(found.origin.capture);
        let joined_ns = self.ends_ns.get(&first.track).copied().filter(|_| !place.behind_gap);
        let at_ns = joined_ns.unwrap_or_else(|| {
            // A clock that was set back does not make times run back.
            let later = signed(found.origin.capture).saturating_sub(signed(zero));
            later.max(self.ends_ns.values().copied().max().unwrap_or(0))
        });
        self.shift_ns = at_ns.saturating_sub(own_ns);
    }

    /// The decode time of the track's next sample.
    fn place(&mut self, track: u32, dts_ns: i64, duration_ns: i64) -> i64 {
        let dts_ns = dts_ns.saturating_add(self.shift_ns);
        self.ends_ns.insert(track, dts_ns.saturating_add(duration_ns));
        dts_ns
    }
}

/// Each packet that is in the file with its sequence: the n-th packet of a track in the origin's table is
/// the n-th sample of that track.
fn in_ring_order(found: &FoundFragment) -> impl Iterator<Item = (u64, &FoundSample)> {
    let mut of_tracks: HashMap<u32, VecDeque<&FoundSample>> = HashMap::new();
    for sample in &found.samples {
        of_tracks.entry(sample.track).or_default().push_back(sample);
    }
    let numbered = (found.origin.first..).zip(&found.origin.packets);
    numbered.filter_map(move |(sequence, track)| {
        let own = of_tracks.get_mut(&u32::from((*track)?))?;
        Some((sequence, own.pop_front()?))
    })
}

fn times(sample: &FoundSample, tracks: &[FoundTrack]) -> Option<(i64, i64)> {
    Some((decode_ns(sample, tracks)?, duration_ns(sample, tracks)?))
}

fn capture_of(found: &FoundFragment, sample: &FoundSample, tracks: &[FoundTrack]) -> UtcNs {
    let first = first_sample(found).and_then(|first| decode_ns(first, tracks));
    let own = decode_ns(sample, tracks);
    let later_ns = own.zip(first).map_or(0, |(own, first)| own.saturating_sub(first));
    UtcNs(found.origin.capture.0.saturating_add_signed(later_ns))
}

fn signed(time: UtcNs) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}
