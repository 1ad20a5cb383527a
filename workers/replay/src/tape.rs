//! A recording as the packets it holds, read ahead by a thread of its own: the disk's pauses are not the
//! ring's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use protocol::name::RingName;
use protocol::stream::{TRACKS_MAX, Track};
use protocol::time::{ClockSource, UtcNs};
use recordings::{Range, Sample, Samples, Timeline};
use shmring::SourceId;
use worker::Fault;

/// Packets read ahead: a second of most cameras, and a few MB.
const AHEAD: usize = 32;

/// What a tape has next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reel {
    /// Before anything else: where it begins and ends.
    Found(Found),
    /// What flows from here on; always before the first packet.
    Tracks(Vec<Track>),
    Packet(Packet),
    /// A part of it cannot be read and is passed over.
    Unreadable(String),
    End,
    /// Its thread panicked, which the log tells: nothing more comes, and it is not the end.
    Broken,
}

/// What there is to play.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The ring that was recorded; `None` when nothing was.
    pub(crate) ring: Option<RingName>,
    pub(crate) from: UtcNs,
    pub(crate) to: UtcNs,
    pub(crate) packets: u64,
    pub(crate) gaps: u64,
}

/// A recorded packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// What it was called in its ring.
    pub(crate) id: SourceId,
    /// Index into the tracks told last.
    pub(crate) track: u32,
    pub(crate) is_video: bool,
    pub(crate) key: bool,
    /// It does not continue what stands before it.
    pub(crate) discontinuity: bool,
    /// On one line over all rounds, from zero.
    pub(crate) pts_ns: i64,
    pub(crate) dts_ns: i64,
    pub(crate) duration_ns: i64,
    /// As recorded, in each round.
    pub(crate) capture: UtcNs,
    /// Whose clock `capture` is of.
    pub(crate) clock: ClockSource,
    pub(crate) payload: Vec<u8>,
}

/// The receiving end. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Tape {
    reel: Receiver<Reel>,
    stop: Arc<AtomicBool>,
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Tape {
    pub(crate) fn open(folder: PathBuf, range: Range, repeat: bool) -> Result<Self, Fault> {
        let (reel, receiver) = sync_channel(AHEAD);
        let stop = Arc::new(AtomicBool::new(false));
        let mut spool = Spool { folder, range, reel, stop: Arc::clone(&stop), base_ns: 0 };
        let thread = thread::Builder::new().name("tape".into());
        thread.spawn(move || spool.run(repeat)).map_err(Fault::failed)?;
        Ok(Self { reel: receiver, stop })
    }

    /// What comes within `wait`.
    pub(crate) fn next(&self, wait: Duration) -> Option<Reel> {
        match self.reel.recv_timeout(wait) {
            Ok(reel) => Some(reel),
            Err(RecvTimeoutError::Timeout) => None,
            // It says that it ends.
            Err(RecvTimeoutError::Disconnected) => Some(Reel::Broken),
        }
    }
}

/// The sending end, in its thread.
struct Spool {
    folder: PathBuf,
    range: Range,
    reel: SyncSender<Reel>,
    stop: Arc<AtomicBool>,
    /// Where this round begins on the line of all.
    base_ns: i64,
}

/// Nobody listens any more.
struct Unheard;

impl Spool {
    fn run(&mut self, repeat: bool) {
        // An error here is the receiver's end, which is ours too.
        let _ = self.play(repeat);
    }

    fn play(&mut self, repeat: bool) -> Result<(), Unheard> {
        let timeline = match Timeline::read(&self.folder, self.range) {
            Ok(timeline) => timeline,
            Err(error) => {
                self.tell(Reel::Unreadable(error.to_string()))?;
                return self.tell(Reel::End);
            }
        };
        self.tell(Reel::Found(found(&timeline)))?;
        for unread in &timeline.unread {
            self.tell(Reel::Unreadable(unread.why.clone()))?;
        }
        loop {
            let end_ns = self.round(&timeline)?;
            // A round without an end would be followed by as many as the processor can do.
            if !repeat || end_ns <= self.base_ns {
                return self.tell(Reel::End);
            }
            self.base_ns = end_ns;
        }
    }

    /// Once through it; where it ends.
    fn round(&self, timeline: &Timeline) -> Result<i64, Unheard> {
        let mut samples = timeline.samples();
        let mut channels = Channels::default();
        let mut end_ns = self.base_ns;
        let mut discontinuity = true;
        while let Some(next) = samples.next() {
            let sample = match next {
                Ok(sample) => sample,
                Err(error) => {
                    discontinuity = true;
                    self.tell(Reel::Unreadable(error.to_string()))?;
                    continue;
                }
            };
            if sample.capture >= self.range.to {
                continue; // the rest of the last fragment
            }
            discontinuity |= sample.behind_gap;
            if let Some(tracks) = channels.follow(&mut samples, &sample) {
                self.tell(Reel::Tracks(tracks))?;
            }
            match self.packet(&mut samples, &channels, &sample, discontinuity) {
                Ok(packet) => {
                    discontinuity = false;
                    end_ns = end_ns.max(packet.dts_ns.saturating_add(packet.duration_ns));
                    self.tell(Reel::Packet(packet))?;
                }
                Err(why) => {
                    discontinuity = true;
                    self.tell(Reel::Unreadable(why))?;
                }
            }
        }
        Ok(end_ns)
    }

    fn packet(
        &self,
        samples: &mut Samples<'_>,
        channels: &Channels,
        sample: &Sample,
        discontinuity: bool,
    ) -> Result<Packet, String> {
        let payload = samples.packet(sample).map_err(|error| error.to_string())?;
        let Some((track, is_video)) = channels.of(sample.track) else {
            return Err(format!("packet {}: its file has no track of it", sample.id));
        };
        Ok(Packet {
            id: SourceId { epoch: sample.id.epoch, sequence: sample.id.sequence },
            track,
            is_video,
            key: sample.key,
            discontinuity,
            pts_ns: sample.pts_ns.saturating_add(self.base_ns),
            dts_ns: sample.dts_ns.saturating_add(self.base_ns),
            duration_ns: sample.duration_ns,
            capture: sample.capture,
            clock: if sample.camera_clock { ClockSource::Camera } else { ClockSource::Arrival },
            payload,
        })
    }

    fn tell(&self, reel: Reel) -> Result<(), Unheard> {
        if self.stop.load(Ordering::Acquire) {
            return Err(Unheard);
        }
        self.reel.send(reel).map_err(|_| Unheard)
    }
}

pub(crate) fn found(timeline: &Timeline) -> Found {
    let first = timeline.fragments.first().map(|fragment| fragment.fragment.capture);
    let last = timeline.spans.iter().map(|span| span.to).max();
    Found {
        ring: timeline.ring.clone(),
        from: first.unwrap_or_default(),
        to: last.unwrap_or_default().min(timeline.range.to),
        packets: timeline.spans.iter().map(|span| span.packets).sum(),
        gaps: timeline.gaps.len() as u64,
    }
}

/// Tracks of the file under way, in the order they have in the ring. What MP4 could not carry is missing
/// in it, so a track's place here may be another than it was.
#[derive(Debug, Default)]
struct Channels {
    file: Option<usize>,
    /// Index in the recorded ring, and what flows there.
    tracks: Vec<(u32, Track)>,
}

impl Channels {
    /// The tracks, when this sample is of a file that has others than the one before.
    fn follow(&mut self, samples: &mut Samples<'_>, sample: &Sample) -> Option<Vec<Track>> {
        if self.file == Some(sample.file) {
            return None;
        }
        let file = samples.file(sample.file).ok()?;
        let found = file.tracks().iter().map(|track| track.track);
        let mut tracks: Vec<(u32, Track)> =
            found.filter_map(|index| Some((index, file.stream(index)?.clone()))).collect();
        tracks.sort_by_key(|(index, _)| *index);
        tracks.truncate(TRACKS_MAX);
        let is_first = self.file.replace(sample.file).is_none();
        if self.tracks == tracks && !is_first {
            return None;
        }
        self.tracks = tracks;
        Some(self.tracks.iter().map(|(_, track)| track.clone()).collect())
    }

    /// Where the ring's track is here, and whether it is one of pictures.
    fn of(&self, index: u32) -> Option<(u32, bool)> {
        let place = self.tracks.iter().position(|(recorded, _)| *recorded == index)?;
        Some((u32::try_from(place).ok()?, self.tracks[place].1.codec.is_video()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_went_without_a_word_is_no_end() {
        let (reel, receiver) = sync_channel(AHEAD);
        let tape = Tape { reel: receiver, stop: Arc::default() };
        reel.send(Reel::End).unwrap();
        assert_eq!(tape.next(Duration::ZERO), Some(Reel::End));
        drop(reel);
        assert_eq!(tape.next(Duration::ZERO), Some(Reel::Broken));
    }
}
