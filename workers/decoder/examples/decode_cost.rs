//! What decoding into a ring costs beside decoding on the heap, for `scripts/bench rings`, and into several
//! rings with several readers, for `scripts/bench decode`:
//!
//! ```text
//! decode_cost ring|heap CLIP                       prints {"cpu_ms", "pictures", "copied", "process_cpu_ms"}
//! decode_cost rings CLIP READERS OUTPUT...         the same; OUTPUT is own or 640x360:rgb24
//! ```
//!
//! `ring` is the worker's own decoding, with one reader attached in a process of its own; `heap` is the
//! same decoder with the same options, drawing in FFmpeg's own buffers. Reading the clip is not counted.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

/// The worker is a program, not a library: its files, not copies of them.
#[path = "../src"]
mod worker_files {
    pub(crate) mod choice;
    #[expect(dead_code, reason = "what only a running worker needs")]
    pub(crate) mod decoding;
    #[expect(dead_code, reason = "what only a running worker needs")]
    pub(crate) mod engines;
    #[expect(dead_code, reason = "what only a running worker needs")]
    pub(crate) mod health;
    pub(crate) mod notes;
    #[expect(dead_code, reason = "what only a running worker needs")]
    pub(crate) mod on_device;
    #[expect(dead_code, reason = "what only a running worker needs")]
    pub(crate) mod outputs;
    pub(crate) mod resync;
    pub(crate) mod slots;
    pub(crate) mod tensors_of;
}

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use media::{
    Decoder, DecoderOptions, Demuxer, Input, PictureAllocator, PictureMemory, PictureNeed,
};
use protocol::config::decoder::{DecodeHardware, OutputConfig};
use protocol::config::{PictureLimits, RingConfig};
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{PixelFormat, Track};
use protocol::time::{MonoNs, NS_PER_S};
use rustix::time::{ClockId, clock_gettime};
use shmring::{FrameOptions, FrameReader, FrameWriter, Next, Packet, PacketMeta, census, clock};

use worker_files::decoding::{Decoding, Tally};
use worker_files::engines::Engines;
use worker_files::health::Judge;
use worker_files::outputs::{Output, Outputs};
// As its files know each other.
use worker_files::{choice, engines, health, notes, on_device, outputs, resync, slots, tensors_of};

const USAGE: &str =
    "usage: decode_cost ring|heap CLIP, or rings CLIP READERS own|WIDTHxHEIGHT:FORMAT...";
/// One thread, so that both ways do the same work in the same order.
const OPTIONS: DecoderOptions = DecoderOptions { threads: 1, max_pixels: 3840 * 2160 };
/// Readers the ring has room for: what a camera's topology usually names, and two spare ones.
const PLACES: u32 = 4;
/// The decoder's own pictures.
const OWN: &str = "own";
/// The clip is decoded so often: a second of work or more.
const LAPS: u32 = 3;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What one way came to.
#[derive(Debug, Default)]
struct Cost {
    cpu_ms: f64,
    pictures: u64,
    copied: u64,
}

impl Cost {
    fn note(&mut self, tally: Tally) -> Outcome<()> {
        // The ring counts its pictures from one.
        self.pictures = tally.made.unwrap_or(self.pictures);
        tally.trouble.map_or(Ok(()), |trouble| Err(trouble.into()))
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let cost = match words.as_slice() {
        ["ring", clip] => in_rings(&read_clip(clip)?, 1, &[OWN])?,
        ["rings", clip, readers, outputs @ ..] => {
            in_rings(&read_clip(clip)?, readers.parse()?, outputs)?
        }
        ["heap", clip] => on_the_heap(&read_clip(clip)?)?,
        ["watch", project, ring] => return watch(&project.parse()?, &ring.parse()?),
        _ => return Err(USAGE.into()),
    };
    let Cost { cpu_ms, pictures, copied } = cost;
    let process_cpu_ms = cpu_ns() as f64 / 1e6;
    println!(
        r#"{{"cpu_ms":{cpu_ms},"pictures":{pictures},"copied":{copied},"process_cpu_ms":{process_cpu_ms}}}"#
    );
    Ok(())
}

/// The clip's video, read before any clock runs.
fn read_clip(path: &str) -> Outcome<(Track, Vec<Packet>)> {
    let mut demuxer = Demuxer::open(&Input::File(PathBuf::from(path)), Box::new(|| false))?;
    let mut packets = Vec::new();
    while let Some(unit) = demuxer.read()? {
        if unit.track != 0 {
            continue;
        }
        let meta = PacketMeta {
            key: unit.key,
            corrupt: unit.corrupt,
            pts_ns: unit.pts_ns,
            dts_ns: unit.dts_ns,
            duration_ns: unit.duration_ns,
            ..PacketMeta::default()
        };
        let sequence = packets.len() as u64 + 1;
        let (epoch, published, payload) = (1, MonoNs(0), unit.payload);
        packets.push(Packet { epoch, sequence, meta, published, payload });
    }
    let track = demuxer.tracks().first().ok_or("the clip has no track")?;
    Ok((track.clone(), packets))
}

/// One ring for each output, each with so many readers.
fn in_rings(
    (track, packets): &(Track, Vec<Packet>),
    readers: u32,
    outputs: &[&str],
) -> Outcome<Cost> {
    let project: ProjectName = format!("decode{}", std::process::id()).parse()?;
    // The decoder's own ring is there also when nobody reads it, as in the worker.
    let names = std::iter::once(OWN).chain(outputs.iter().copied().filter(|output| *output != OWN));
    let mut rings = Vec::new();
    for (number, output) in names.enumerate() {
        let name: RingName = format!("clip.o{number}.frames").parse()?;
        let contract = RingContract::new(name.clone(), RingConfig::default(), PLACES.max(readers));
        let ring = FrameWriter::create(&project, &contract, None)?;
        rings.push((name, form_of(output)?, ring, outputs.contains(&output)));
    }
    let mut watchers = Vec::new();
    for (name, _, _, _) in rings.iter().filter(|(_, _, _, is_read)| *is_read) {
        for _ in 0..readers {
            watchers.push(Watcher::start(&project, name)?);
        }
    }
    let make = || {
        let output = |(_, form, ring, is_read): &(_, Option<OutputConfig>, FrameWriter, bool)| {
            Output::new(ring.clone(), form.as_ref(), *is_read)
        };
        let outputs = Outputs::new(rings.iter().map(output).collect());
        Decoding::new(
            outputs,
            Engines::new(DecodeHardware::Off, OPTIONS),
            Judge::new(PictureLimits::default()),
        )
    };
    let mut cost = Cost::default();
    let mut decoding = make();
    let begin_ns = cpu_ns();
    for _ in 0..LAPS {
        for packet in packets {
            let now = clock::mono();
            decoding.look(now);
            cost.note(decoding.take(packet, track, now))?;
        }
        cost.note(decoding.drain())?;
        // The next lap repeats the packets; the worker would not show them twice.
        decoding = make();
    }
    cost.cpu_ms = (cpu_ns() - begin_ns) as f64 / 1e6;
    cost.copied = rings.iter().map(|(_, _, ring, _)| ring.copied()).sum();
    drop((watchers, decoding));
    let names: Vec<RingName> = rings.into_iter().map(|(name, ..)| name).collect();
    census::sweep(&project, &names);
    Ok(cost)
}

/// `None` for the decoder's own pictures.
fn form_of(output: &str) -> Outcome<Option<OutputConfig>> {
    if output == OWN {
        return Ok(None);
    }
    let (size, format) = output.split_once(':').ok_or(USAGE)?;
    let is_it = |it: &PixelFormat| it.as_str() == format;
    let format = PixelFormat::ALL.into_iter().find(is_it).ok_or(USAGE)?;
    let size = Some(size.parse()?);
    Ok(Some(OutputConfig { size, format: Some(format), ..OutputConfig::default() }))
}

/// A reader in a process of its own, which goes with the value.
struct Watcher(Child);

impl Watcher {
    fn start(project: &ProjectName, ring: &RingName) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["watch", project.as_str(), ring.as_str()])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no pipe")?;
        let watcher = Self(child);
        BufReader::new(stdout).read_line(&mut String::new())?;
        Ok(watcher)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn watch(project: &ProjectName, ring: &RingName) -> Outcome<()> {
    let mut reader = FrameReader::attach(project, ring, &FrameOptions::named("watcher"))?;
    println!("attached");
    // A director that is killed leaves its ring without a writer.
    while reader.writer_lives() {
        if let Next::Item(frame) = reader.next(Duration::from_secs(1))? {
            let plane = frame.plane(0).ok_or("no plane")?;
            plane.copy_row(plane.rows() - 1, &mut [0; 64]);
        }
    }
    Ok(())
}

/// Lends nothing.
struct Heap;

impl PictureAllocator for Heap {
    fn allocate(&self, _: &PictureNeed) -> Option<Box<dyn PictureMemory>> {
        None
    }
}

fn on_the_heap((track, packets): &(Track, Vec<Packet>)) -> Outcome<Cost> {
    let mut cost = Cost::default();
    let begin_ns = cpu_ns();
    for _ in 0..LAPS {
        let mut decoder = Decoder::open(track, &OPTIONS, Arc::new(Heap))?;
        for packet in packets {
            decoder.send(&packet.payload, packet.sequence)?;
            cost.pictures += take_all(&mut decoder)?;
        }
        decoder.finish()?;
        cost.pictures += take_all(&mut decoder)?;
    }
    cost.cpu_ms = (cpu_ns() - begin_ns) as f64 / 1e6;
    Ok(cost)
}

fn take_all(decoder: &mut Decoder) -> Outcome<u64> {
    let mut pictures = 0;
    while decoder.receive()?.is_some() {
        pictures += 1;
    }
    Ok(pictures)
}

/// Processor time of this process.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec.cast_unsigned() * NS_PER_S + time.tv_nsec.cast_unsigned()
}
