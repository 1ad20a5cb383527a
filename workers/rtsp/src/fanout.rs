//! One thread a camera: reads its packet ring and turns packets into units of its feed.
//!
//! The ring may be absent, be lapped, and change its epoch: the feed just has nothing new
//! meanwhile. After a gap, units are held back until a key frame, since nothing before it decodes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use protocol::stream::Track;
use protocol::time::{ClockSource, MonoNs};
use shmring::{Next, Packet, PacketOptions, Start, clock};
use worker::timeline::{Timeline, Times};
use worker::{Fault, PacketInput};

use crate::capture::CaptureClock;
use crate::feed::Feed;
use crate::onvif::device::Picture;
use crate::rtp::jpeg::NotCarried;
use crate::sdp::Presentation;
use crate::unit::Unit;

/// Longest wait for a packet: a stop request is seen this soon.
const WAIT: Duration = Duration::from_millis(100);
/// How often a finished ring is looked at: `Ended` answers at once, a successor is worth no more.
const ENDED_WAIT: Duration = Duration::from_millis(20);

/// A ring that says nothing for this long is called quiet: slower cameras are not of this world.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// A camera's reader thread.
#[derive(Debug)]
pub struct Tap {
    thread: JoinHandle<Result<(), Fault>>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

/// How far a reader is, for the worker's health page. Each field stands alone.
#[derive(Debug, Default)]
pub struct Progress {
    pub epoch: AtomicU64,
    pub sequence: AtomicU64,
    pub missed: AtomicU64,
    /// Why nothing comes; empty while packets flow.
    absence: Mutex<String>,
}

impl Progress {
    /// Epoch and sequence of the last packet read.
    pub fn reached(&self) -> (u64, u64) {
        (self.epoch.load(Ordering::Relaxed), self.sequence.load(Ordering::Relaxed))
    }
}

impl Tap {
    /// Begins to read `ring` into `feed`.
    pub fn open(
        project: &ProjectName,
        ring: &RingName,
        reader: &str,
        feed: Arc<Feed>,
    ) -> Result<Self, Fault> {
        let options = PacketOptions { reader: reader.to_owned(), start: Start::NewestKey };
        let input = PacketInput::detached(project, ring, options);
        let (progress, stop) = (Arc::new(Progress::default()), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (Arc::clone(&progress), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name(format!("tap {}", feed.path()))
            .spawn(move || read(input, &feed, &seen, &stopped))
            .map_err(|error| Fault::unavailable(format!("thread for ring {ring}: {error}")))?;
        Ok(Self { thread, progress, stop })
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the thread ended by itself, which it does only with a fault.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets the thread end soon, without waiting for it.
    pub fn ask_to_end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the thread and says how it fared.
    pub fn close(self) -> Result<(), Fault> {
        self.ask_to_end();
        self.thread.join().unwrap_or_else(|_| Err(Fault::failed("a camera's reader panicked")))
    }
}

impl Progress {
    pub fn absence(&self) -> String {
        self.absence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn took(&self, epoch: u64, sequence: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.sequence.store(sequence, Ordering::Relaxed);
        self.absent(String::new());
    }

    fn absent(&self, why: String) {
        *self.absence.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

fn read(
    mut input: PacketInput,
    feed: &Feed,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<(), Fault> {
    let mut intake = Intake::default();
    let mut heard = clock::mono();
    while !stop.load(Ordering::Relaxed) {
        match input.poll(WAIT)? {
            Some(Next::Item(packet)) => {
                heard = clock::mono();
                progress.took(packet.epoch, packet.sequence);
                intake.take(packet, input.tracks(), feed, heard);
            }
            Some(Next::Overrun { missed }) => {
                tracing::warn!(
                    camera = feed.path(),
                    missed,
                    "ring overrun: viewers go on at the next key frame"
                );
                progress.missed.fetch_add(missed, Ordering::Relaxed);
                intake.gap();
            }
            // What is lost of it follows as an overrun.
            Some(Next::Evicted { .. } | Next::NewEpoch { .. }) => {}
            Some(Next::Quiet) if clock::mono().saturating_since(heard) < QUIET_AFTER => {}
            Some(Next::Quiet) => progress.absent(format!("ring {} is quiet", input.ring())),
            Some(Next::Ended) => {
                progress.absent(format!("ring {} has ended", input.ring()));
                thread::sleep(ENDED_WAIT);
            }
            None => progress.absent(input.absence()),
        }
    }
    Ok(())
}

/// Turns packets into units.
#[derive(Debug, Default)]
pub struct Intake {
    tracks: Vec<Track>,
    presentation: Option<Presentation>,
    timeline: Timeline,
    capture: CaptureClock,
    epoch: u64,
    /// Nothing decodes before the next key frame.
    needs_entry: bool,
    /// Why pictures are not carried, as it was told last.
    refused: Option<NotCarried>,
}

impl Intake {
    /// Packets were lost.
    pub fn gap(&mut self) {
        self.needs_entry = true;
    }

    /// Takes the next packet of the ring, whose tracks are `tracks` as of now.
    pub fn take(&mut self, packet: Packet, tracks: &[Track], feed: &Feed, now: MonoNs) {
        if packet.epoch != self.epoch {
            self.epoch = packet.epoch;
            self.timeline.cut();
            self.gap();
        }
        if self.presentation.is_none() || self.tracks != tracks {
            let presentation = Presentation::of(feed.path(), tracks);
            feed.present(presentation.clone());
            feed.describe(Picture::of(tracks));
            self.presentation = Some(presentation);
            self.tracks = tracks.to_vec();
            self.gap();
        }
        if let Some(unit) = self.unit(packet) {
            feed.publish(unit, now);
        }
    }

    fn unit(&mut self, packet: Packet) -> Option<Unit> {
        let meta = packet.meta;
        let times = Times { pts_ns: meta.pts_ns, dts_ns: meta.dts_ns };
        let placed = self.timeline.place(times, meta.discontinuity, packet.published);
        self.capture.learn(
            match meta.clock {
                ClockSource::Camera => placed.pts_ns,
                // Packets arrive in decoding order.
                ClockSource::Arrival => placed.dts_ns,
            },
            meta.capture.utc,
        );
        let presentation = self.presentation.as_ref()?;
        let format = &presentation.track(meta.track)?.format;
        let payload = format.wire(packet.payload);
        let pieces = format.cut(&payload);
        if pieces.is_empty() {
            if let Some(why) = format.refusal(&payload)
                && self.refused.replace(why) != Some(why)
            {
                tracing::warn!(camera = presentation.path(), %why,
                    "pictures are left out: RTP does not carry them");
            }
            return None;
        }
        let entry = presentation.is_entry(meta.track, meta.key);
        self.needs_entry &= !entry;
        if self.needs_entry {
            return None;
        }
        Some(Unit {
            track: meta.track,
            entry,
            pts_ns: placed.pts_ns,
            captured: self.capture.utc(placed.pts_ns),
            pieces,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Taken;
    use protocol::stream::Codec;
    use protocol::time::TimeBase;
    use shmring::PacketMeta;

    fn track(codec: Codec) -> Track {
        Track {
            codec,
            time_base: TimeBase::NANOSECONDS,
            width: 0,
            height: 0,
            sample_rate_hz: 48_000,
            channels: 1,
            frame_rate: (0, 1),
            extradata: Vec::new(),
        }
    }

    fn packet(epoch: u64, sequence: u64, track: u32, key: bool) -> Packet {
        let pts_ns = i64::try_from(sequence).unwrap() * 40_000_000;
        Packet {
            epoch,
            sequence,
            meta: PacketMeta { track, key, pts_ns, dts_ns: pts_ns, ..PacketMeta::default() },
            published: MonoNs(0),
            payload: vec![0, 0, 0, 1, 0x65, u8::try_from(sequence).unwrap()],
        }
    }

    /// The sequences that a viewer of everything gets of these packets; `None` is a gap.
    fn seen(tracks: &[Track], packets: impl IntoIterator<Item = Option<Packet>>) -> Vec<u8> {
        let (feed, mut intake) = (Feed::new("cam1"), Intake::default());
        feed.present(Presentation::of("cam1", tracks));
        let presentation = feed.presentation().unwrap();
        let mut viewer = feed.join(&presentation).unwrap();
        for packet in packets {
            match packet {
                Some(packet) => intake.take(packet, tracks, &feed, MonoNs(0)),
                None => intake.gap(),
            }
        }
        std::iter::from_fn(|| match feed.take(&mut viewer) {
            Some(Taken::Unit(unit)) => unit.payload.last().copied(),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn after_a_gap_or_a_restart_units_are_held_back_until_a_key_frame() {
        let video = [track(Codec::H264)];
        let of = |epoch, sequence, key| Some(packet(epoch, sequence, 0, key));
        let packets = [
            of(1, 1, false),
            of(1, 2, true),
            of(1, 3, false),
            None,
            of(1, 5, false),
            of(1, 6, true),
            of(2, 7, false),
            of(2, 8, true),
        ];
        assert_eq!(seen(&video, packets), [2, 3, 6, 8]);
    }

    #[test]
    fn key_frames_of_the_picture_count_and_not_those_of_the_sound() {
        let both = [track(Codec::Aac), track(Codec::H264)];
        let packets = [(1, 0, true), (2, 1, true), (3, 0, true), (4, 1, false)];
        let packets = packets.map(|(sequence, track, key)| Some(packet(1, sequence, track, key)));
        assert_eq!(seen(&both, packets), [2, 3, 4]);
        let sound = [Some(packet(1, 1, 0, true)), Some(packet(1, 2, 0, true))];
        assert_eq!(seen(&both[..1], sound), [1, 2]);
    }

    #[test]
    fn packets_of_a_track_that_is_not_served_are_passed_over() {
        let large = Track { width: 4096, ..track(Codec::Mjpeg) };
        let tracks = [track(Codec::H264), large];
        let packets = [packet(1, 1, 0, true), packet(1, 2, 1, true), packet(1, 3, 7, true)];
        assert_eq!(seen(&tracks, packets.map(Some)), [1]);
    }
}
