//! One thread a ring: reads it to its end and keeps what identifies each item.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::Track;
use protocol::time::MonoNs;
use protocol::witness::Watch;
use shmring::{FrameOptions, FrameStart, Next, PacketOptions, Policy, Start, clock};
use worker::{FrameInput, PacketInput};

use super::balance::{Packet, Picture, Pictures, Story};

const WAIT: Duration = Duration::from_millis(50);
/// A ring that has ended has no successor yet.
const REST: Duration = Duration::from_millis(5);

/// What became of a watch: what was seen, or why nothing is proven.
pub(super) type Watching = Result<Story, String>;

#[derive(Debug)]
pub(super) struct Watcher {
    attached: Arc<AtomicBool>,
    thread: JoinHandle<Watching>,
}

impl Watcher {
    pub(super) fn start(watch: &Watch, ring: &RingName, stop: &Arc<AtomicU64>) -> io::Result<Self> {
        let attached = Arc::new(AtomicBool::new(false));
        let run = Run {
            project: watch.project.clone(),
            reader: watch.reader.clone(),
            ring: ring.clone(),
            stop: Arc::clone(stop),
            attached: Arc::clone(&attached),
        };
        let thread = thread::Builder::new().spawn(move || run.read())?;
        Ok(Self { attached, thread })
    }

    pub(super) fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire) || self.thread.is_finished()
    }

    pub(super) fn finish(self) -> Watching {
        self.thread.join().unwrap_or_else(|_| Err("its reader panicked".to_owned()))
    }
}

struct Run {
    project: ProjectName,
    reader: String,
    ring: RingName,
    /// Instant of the end; 0 until then.
    stop: Arc<AtomicU64>,
    attached: Arc<AtomicBool>,
}

impl Run {
    fn read(&self) -> Watching {
        match self.ring.kind() {
            RingKind::Packets => Ok(Story::Packets(self.packets()?)),
            RingKind::Frames => Ok(Story::Pictures(self.pictures()?)),
            RingKind::Events => Err("records come when they come: none is missed".to_owned()),
        }
    }

    /// From the newest key frame on: what comes before may be undecodable, so in no file.
    fn packets(&self) -> Result<Vec<Packet>, String> {
        let options = PacketOptions { reader: self.reader.clone(), start: Start::NewestKey };
        let mut input = PacketInput::detached(&self.project, &self.ring, options);
        let mut packets = Vec::new();
        loop {
            let end = self.end();
            let next = input.poll(WAIT).map_err(|fault| fault.to_string())?;
            match self.heard(next, end.is_some())? {
                Heard::Item(packet) if is_beyond(end, packet.published) => return Ok(packets),
                Heard::Item(packet) => packets.push(Packet::of(&packet, input.tracks())),
                Heard::Nothing => {}
                Heard::Over => return Ok(packets),
            }
        }
    }

    /// Each picture is let go at once; declared is every one.
    fn pictures(&self) -> Result<Pictures, String> {
        let options = FrameOptions {
            policy: Policy::Sequential,
            start: FrameStart::Newest,
            ..FrameOptions::named(&self.reader)
        };
        let mut input = FrameInput::detached(&self.project, &self.ring, options);
        let mut pictures = Pictures::default();
        loop {
            let end = self.end();
            let next = input.poll(WAIT).map_err(|fault| fault.to_string())?;
            if let Some(Next::Overrun { missed }) = next {
                // What it did not see itself it cannot count; the packets are proven all the same. One
                // without a number is the end of a killed writer's epoch, which is lost to all.
                pictures.unread.extend((missed > 0).then(clock::mono));
                continue;
            }
            match self.heard(next, end.is_some())? {
                Heard::Item(frame) if is_beyond(end, frame.published()) => return Ok(pictures),
                Heard::Item(frame) => {
                    let id = frame.frame_id();
                    pictures.add(
                        id.ring,
                        Picture {
                            id: (id.epoch, id.sequence),
                            epoch: frame.epoch(),
                            published: frame.published(),
                        },
                    );
                }
                Heard::Nothing => {}
                Heard::Over => return Ok(pictures),
            }
        }
    }

    /// From when on nothing counts, once it is told to stop: a source that runs on has no end.
    fn end(&self) -> Option<MonoNs> {
        Some(MonoNs(self.stop.load(Ordering::Acquire))).filter(|end| end.0 > 0)
    }

    fn heard<T>(&self, next: Option<Next<T>>, stopping: bool) -> Result<Heard<T>, String> {
        if next.is_some() {
            self.attached.store(true, Ordering::Release);
        }
        match next {
            Some(Next::Item(item)) => Ok(Heard::Item(item)),
            Some(Next::Ended | Next::Quiet) | None if stopping => Ok(Heard::Over),
            Some(Next::Ended) => {
                thread::sleep(REST);
                Ok(Heard::Nothing)
            }
            Some(Next::Overrun { missed }) => {
                Err(format!("the witness itself was too slow and missed {missed} items"))
            }
            Some(Next::Evicted { .. } | Next::NewEpoch { .. } | Next::Quiet) | None => {
                Ok(Heard::Nothing)
            }
        }
    }
}

fn is_beyond(end: Option<MonoNs>, published: MonoNs) -> bool {
    end.is_some_and(|end| published > end)
}

enum Heard<T> {
    Item(T),
    Nothing,
    Over,
}

impl Packet {
    fn of(packet: &shmring::Packet, tracks: &[Track]) -> Self {
        let track = usize::try_from(packet.meta.track).ok().and_then(|number| tracks.get(number));
        let video = tracks.iter().position(|track| track.codec.is_video());
        Self {
            id: (packet.epoch, packet.sequence),
            published: packet.published,
            capture: packet.meta.capture.mono,
            dts_ns: packet.meta.dts_ns,
            video: video.is_some_and(|video| usize::try_from(packet.meta.track) == Ok(video)),
            // Of what MP4 does not carry nothing is promised (docs/recording.md).
            carried: track.is_some_and(|track| fmp4::carries(track.codec)),
        }
    }
}
