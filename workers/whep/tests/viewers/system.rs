//! A project of its own with one camera, whose units are made up and told apart by their bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::config::{RingConfig, WebrtcConfig};
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;
use shmring::{PacketMeta, PacketWriter, census, clock};
use whep::{Answered, Caller, Door, Refusal, Service};

/// Everything here is over far sooner, or broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const FRAME: Duration = Duration::from_millis(40);

pub(crate) fn ring() -> RingName {
    "cam1.packets".parse().unwrap()
}

pub(crate) fn track(codec: Codec) -> Track {
    let is_video = codec.is_video();
    let (sample_rate_hz, channels) = if is_video { (0, 0) } else { (48_000, 2) };
    Track {
        codec,
        time_base: TimeBase::VIDEO_90K,
        width: if is_video { 640 } else { 0 },
        height: if is_video { 480 } else { 0 },
        sample_rate_hz,
        channels,
        frame_rate: (25, 1),
        extradata: Vec::new(),
    }
}

/// A project, and viewers' way to its camera.
pub(crate) struct System {
    pub(crate) project: ProjectName,
    service: Option<Service>,
}

impl System {
    pub(crate) fn new() -> Self {
        Self::with(WebrtcConfig::default())
    }

    pub(crate) fn with(config: WebrtcConfig) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let project: ProjectName = format!("whep{}-{number}", std::process::id()).parse().unwrap();
        let listen = "127.0.0.1:8080".parse().unwrap();
        let service = Service::start(&project, "web", &[ring()], config, listen).unwrap();
        Self { project, service: Some(service) }
    }

    pub(crate) fn door(&self) -> Door {
        self.service.as_ref().unwrap().door()
    }

    pub(crate) fn offer(&self, camera: &str, offer: &str) -> Result<Answered, Refusal> {
        self.offer_from("127.0.0.1", camera, offer)
    }

    pub(crate) fn offer_from(
        &self,
        origin: &str,
        camera: &str,
        offer: &str,
    ) -> Result<Answered, Refusal> {
        let caller = Caller { origin: origin.parse().unwrap(), reached: None };
        wait(self.door().offer(camera, offer.to_owned(), caller))
    }

    pub(crate) fn leave(&self, id: &str) -> bool {
        wait(self.door().leave("cam1", id))
    }

    pub(crate) fn viewers(&self) -> Vec<whep::ViewerFigures> {
        wait(self.door().viewers())
    }

    /// Waits until the figures are as they should be.
    pub(crate) fn counts(&self, expected: impl Fn(&whep::Figures) -> bool) {
        let deadline = clock::mono() + PATIENCE;
        loop {
            let figures = self.door().figures();
            if expected(&figures) {
                return;
            }
            assert!(clock::mono() < deadline, "never: {figures:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.service = None;
        census::sweep(&self.project, &[ring()]);
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

/// What a camera has published, by its bytes.
#[derive(Clone, Default)]
pub(crate) struct Published(Arc<Mutex<HashMap<Vec<u8>, usize>>>);

impl Published {
    /// The number of a unit, counted from 0 over all tracks.
    pub(crate) fn number_of(&self, data: &[u8]) -> Option<usize> {
        self.0.lock().unwrap().get(data).copied()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Makes units of one track: number and whether it is a key frame to bytes that no other unit has.
pub(crate) type Make = fn(usize, bool) -> Vec<u8>;

/// A camera that publishes a unit of each track every 40 ms, with a key frame each `group`.
pub(crate) struct Camera {
    pub(crate) published: Published,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// `first`: the number of its first unit, so that cameras after each other differ.
    pub(crate) fn start(
        project: &ProjectName,
        tracks: &[(Track, Make)],
        group: usize,
        first: usize,
    ) -> Self {
        let published = Published::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped) = (published.clone(), Arc::clone(&stop));
        let (makes, tracks): (Vec<Make>, Vec<Track>) =
            tracks.iter().map(|(track, make)| (*make, track.clone())).unzip();
        let contract = RingContract::new(ring(), RingConfig::default(), 4);
        let mut writer = PacketWriter::create(project, &contract, &tracks).unwrap();
        let run = move || {
            let begun = clock::mono();
            for number in 0u32.. {
                thread::sleep((begun + FRAME * number).saturating_since(clock::mono()));
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let number = number as usize;
                for (track, make) in (0u32..).zip(&makes) {
                    let is_video = tracks[track as usize].codec.is_video();
                    let key = !is_video || number.is_multiple_of(group);
                    let data = make(first + number, key);
                    // Before a viewer can have it.
                    seen.0.lock().unwrap().insert(data.clone(), first + number);
                    publish(&mut writer, track, number, key, &data);
                }
            }
        };
        let thread = Some(thread::spawn(run));
        Self { published, stop, thread }
    }

    pub(crate) fn h264(project: &ProjectName, group: usize) -> Self {
        Self::start(project, &[(track(Codec::H264), h264)], group, 0)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn publish(writer: &mut PacketWriter, track: u32, number: usize, key: bool, data: &[u8]) {
    let stamp = clock::now();
    let pts_ns = i64::try_from(number * 40_000_000).unwrap();
    let meta = PacketMeta {
        track,
        key,
        pts_ns,
        dts_ns: pts_ns,
        capture: stamp,
        ingest: stamp.mono,
        ..PacketMeta::default()
    };
    writer.publish(&meta, data).unwrap();
}

/// Bytes without zeros, which no start code is in, and which no other number has.
pub(crate) fn filling(number: usize, length: usize) -> Vec<u8> {
    let digits = (0..8).map(|digit| u8::try_from(number >> (4 * digit) & 0xf).unwrap() + 1);
    let rest = (0..length).map(|at| u8::try_from((number * 31 + at * 7) % 250).unwrap() + 1);
    digits.chain(rest).collect()
}

/// As an encoder makes them: a key frame is large, and has its parameter sets.
pub(crate) fn h264(number: usize, key: bool) -> Vec<u8> {
    let nals: &[&[u8]] =
        if key { &[&[0x67, 0x42, 0xe0, 0x1f, 0x11], &[0x68, 0xce, 0x3c]] } else { &[] };
    let (head, length) = if key { (0x65, 40_000) } else { (0x41, 300 + number % 7 * 400) };
    let slice = [vec![head], filling(number, length)].concat();
    annexb(nals.iter().copied().chain([&slice[..]]))
}

pub(crate) fn annexb<'a>(nals: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    bitstream::nal::stream(nals)
}
