//! Broken streams through the real decoder: it lives, answers and stays small. What breaks them is drawn
//! from a seed, so that a run can be repeated.

mod breaking;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::Track;
use serde_json::{Value, json};
use shmring::{
    FrameOptions, FrameReader, Next, PacketMeta, PacketOptions, PacketReader, PacketWriter, Start,
    census, clock,
};

use crate::project::Project;
use crate::{Failure, Outcome, ensure, ffmpeg, processes, wait_for};
use breaking::{Kind, Sample, broken};

/// Codec, FFmpeg's encoder, and what it is told.
const CODECS: [(&str, &str, &str); 6] = [
    ("h264", "libx264", "-preset veryfast -bf 2 -pix_fmt yuv420p"),
    (
        "hevc",
        "libx265",
        "-preset ultrafast -x265-params bframes=2:log-level=error -pix_fmt yuv420p",
    ),
    ("vp8", "libvpx", "-deadline realtime -cpu-used 8 -b:v 400k -pix_fmt yuv420p"),
    ("vp9", "libvpx-vp9", "-deadline realtime -cpu-used 8 -b:v 400k -pix_fmt yuv420p"),
    ("av1", "libaom-av1", "-usage realtime -cpu-used 8 -b:v 400k -pix_fmt yuv420p"),
    ("mjpeg", "mjpeg", "-q:v 6 -pix_fmt yuvj420p"),
];
/// Pictures of each stream, ten a group.
const PICTURES: usize = 40;
/// A broken header may announce anything: what is larger must be refused before there is memory for it.
const MAX_PIXELS: u32 = 1280 * 720;
const PEAK_MAX_MIB: f64 = 256.0;
/// A picture of the intact stream behind a broken one comes long before this.
const ANSWER_S: u64 = 60;
/// So long without an answer, the intact stream is played once more.
const AGAIN_EVERY: Duration = Duration::from_secs(5);
/// A packet that kills is passed over the second time.
const DEATHS_A_PACKET: u64 = 2;

/// `each`: broken streams of each codec.
pub fn streams(each: u64, seed: u64) -> Outcome<Value> {
    let clips = clips()?;
    let project = Project::new(&topology())?;
    project.succeed(&["up", "-d"])?;
    let mut seen = Vec::new();
    thread::scope(|scope| {
        let (project, clips) = (&project, &clips);
        let begin = |clip| scope.spawn(move || through(project.name(), clip, each, seed));
        let all: Vec<_> = clips.iter().map(begin).collect();
        for one in all {
            let ended = one.join().map_err(|_| Failure::new("a feeder panicked"));
            seen.push(ended.and_then(|outcome| outcome));
        }
    });
    let seen = seen.into_iter().collect::<Outcome<Vec<Seen>>>()?;
    let decoders = project.ps()?.into_iter().filter(|worker| worker.kind == "decoder");
    let deaths: u64 = decoders.map(|worker| worker.restarts).sum();
    let kept = quarantined(&project.dir().join("state"));
    project.down()?;
    let peak_mib = seen.iter().map(|seen| seen.peak_kib).max().unwrap_or(0) as f64 / 1024.0;
    ensure(deaths <= DEATHS_A_PACKET * kept, || {
        format!("{deaths} deaths, {kept} packets passed over (seed {seed})")
    })?;
    ensure(peak_mib <= PEAK_MAX_MIB, || {
        format!("a decoder took {peak_mib:.0} MiB, at most {PEAK_MAX_MIB} expected (seed {seed})")
    })?;
    Ok(json!({
        "streams": each * CODECS.len() as u64,
        "codecs": CODECS.len(),
        "pictures_of_broken_streams": seen.iter().map(|seen| seen.pictures).sum::<u64>(),
        "hangs": 0,
        "deaths": deaths,
        "packets_passed_over": kept,
        "peak_mib": (peak_mib * 10.0).round() / 10.0,
        "seed": seed,
    }))
}

/// A command stands for the cameras: this process writes their rings.
fn topology() -> String {
    let workers = CODECS.map(|(codec, ..)| {
        format!(
            "  {codec}: {{run: [sleep, '100000'], out: {codec}.packets}}
  {codec}-decode: {{use: decoder, in: {codec}.packets, max_pixels: {MAX_PIXELS}, restart: {{delay: 0s, limit: none}}}}
"
        )
    });
    format!("version: 1\nworkers:\n{}", workers.concat())
}

struct Clip {
    codec: &'static str,
    tracks: Vec<Track>,
    samples: Vec<Sample>,
}

/// Encoded by the system's encoders, and in the form that ingest gives them.
fn clips() -> Outcome<Vec<Clip>> {
    let folder = std::env::temp_dir().join("framevisor-test-cache").join("intact-1");
    fs::create_dir_all(&folder).map_err(Failure::new)?;
    let files = CODECS.iter().map(|codec| encoded(&folder, codec)).collect::<Outcome<Vec<_>>>()?;
    let ingest = CODECS.iter().zip(&files).map(|((codec, ..), file)| {
        format!("  {codec}: {{use: ingest, source: '{}', loop: false}}\n", file.display())
    });
    let project = Project::new(&format!("version: 1\nworkers:\n{}", ingest.collect::<String>()))?;
    project.succeed(&["up", "-d"])?;
    CODECS.iter().map(|(codec, ..)| read(project.name(), codec)).collect()
}

fn encoded(folder: &Path, (codec, encoder, told): &(&str, &str, &str)) -> Outcome<PathBuf> {
    let path = folder.join(format!("{codec}.mkv"));
    if path.exists() {
        return Ok(path);
    }
    // Whole, or not there: another test may be at it too.
    let own = folder.join(format!("{codec}-{}.mkv", std::process::id()));
    let seconds = PICTURES as f64 / 25.0;
    let picture = format!("testsrc2=size=176x144:rate=25:duration={seconds}");
    let name = own.display().to_string();
    let mut arguments =
        vec!["-f", "lavfi", "-i", &picture, "-g", "10", "-threads", "1", "-c:v", encoder];
    arguments.extend(told.split(' '));
    arguments.push(&name);
    ffmpeg::make(&arguments)?;
    fs::rename(&own, &path).map_err(Failure::new)?;
    Ok(path)
}

fn read(project: &ProjectName, codec: &'static str) -> Outcome<Clip> {
    let ring = Project::ring(&format!("{codec}.packets"))?;
    let options = PacketOptions { reader: "mutations".to_owned(), start: Start::Oldest };
    let attach = || PacketReader::attach(project, &ring, &options).ok();
    let (mut reader, _) = wait_for(60, &format!("{ring}"), attach)?;
    let mut samples = Vec::new();
    let more = || {
        match reader.next(Duration::from_millis(100)) {
            Ok(Next::Item(packet)) => {
                samples.push(Sample { meta: packet.meta, payload: packet.payload });
            }
            Ok(Next::Ended) => return Some(()),
            Ok(_) => {}
            Err(_) => return Some(()),
        }
        (samples.len() == PICTURES).then_some(())
    };
    wait_for(60, &format!("the packets of {ring}"), more)?;
    ensure(samples.len() >= PICTURES / 2 && samples[0].meta.key, || {
        format!("{} packets of {codec}, {PICTURES} expected", samples.len())
    })?;
    Ok(Clip { codec, tracks: reader.tracks().to_vec(), samples })
}

#[derive(Debug, Default)]
struct Seen {
    /// That were shown of what was broken.
    pictures: u64,
    peak_kib: u64,
}

/// Broken streams of one codec, each with the intact one behind it.
fn through(project: &ProjectName, clip: &Clip, each: u64, seed: u64) -> Outcome<Seen> {
    let ring = Project::ring(&format!("{}.packets", clip.codec))?;
    let contract = RingContract::new(ring, RingConfig::default(), 4);
    let writer = PacketWriter::create(project, &contract, &clip.tracks).map_err(Failure::new)?;
    let frames = Project::ring(&format!("{}.frames", clip.codec))?;
    let mut feed = Feed { writer, played: 0 };
    let mut reader = attach(project, &frames)?;
    let mut seen = Seen::default();
    for number in 0..each {
        let kind = Kind::of(number);
        let first = feed.play(&broken(&clip.samples, kind, number, seed))?;
        let intact = feed.play(&clip.samples)?;
        let what = || format!("stream {number} of {} ({kind:?}, seed {seed})", clip.codec);
        let epoch = feed.writer.epoch();
        let mut fed = clock::mono();
        let came = || {
            // A decoder that was started again may have begun behind it all; a camera would go on.
            if clock::mono().saturating_since(fed) > AGAIN_EVERY {
                feed.play(&clip.samples).ok()?;
                fed = clock::mono();
            }
            match reader.next(Duration::from_millis(20)) {
                Ok(Next::Item(frame)) => {
                    let source = frame.meta().source.filter(|source| source.epoch == epoch)?;
                    seen.pictures += u64::from((first..intact).contains(&source.sequence));
                    return (source.sequence >= intact).then_some(());
                }
                Ok(_) => {}
                // Its writer has just died, and left nothing.
                Err(_) => reader = attach(project, &frames).ok()?,
            }
            None
        };
        wait_for(ANSWER_S, &format!("a picture behind {}", what()), came)?;
        let status = census::named(project, &frames, clock::mono());
        let peak = status.writer_pid.and_then(processes::peak_kib);
        seen.peak_kib = seen.peak_kib.max(peak.unwrap_or(0));
    }
    Ok(seen)
}

fn attach(project: &ProjectName, ring: &RingName) -> Outcome<FrameReader> {
    let options = FrameOptions::named("mutations");
    Ok(wait_for(60, &format!("{ring}"), || FrameReader::attach(project, ring, &options).ok())?.0)
}

/// The camera.
struct Feed {
    writer: PacketWriter,
    /// Streams.
    played: i64,
}

impl Feed {
    /// Sequence of the first packet.
    fn play(&mut self, samples: &[Sample]) -> Outcome<u64> {
        let mut first = None;
        // Far behind whatever came before.
        let behind_ns = self.played * 3_600_000_000_000;
        self.played += 1;
        for sample in samples {
            let meta = PacketMeta {
                track: 0,
                discontinuity: first.is_none(),
                pts_ns: sample.meta.pts_ns.saturating_add(behind_ns),
                dts_ns: sample.meta.dts_ns.saturating_add(behind_ns),
                source: None,
                ..sample.meta
            };
            let sequence = self.writer.publish(&meta, &sample.payload).map_err(Failure::new)?;
            first.get_or_insert(sequence);
            // A camera that is quick, and no flood: what is overrun is not decoded.
            thread::sleep(Duration::from_millis(1));
        }
        first.ok_or_else(|| Failure::new("a stream without packets"))
    }
}

/// Packets that were kept because they killed.
fn quarantined(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).fold(0, |sum, path| {
        let is_one = path.extension().is_some_and(|it| it == "json")
            && path.components().any(|part| part.as_os_str() == "quarantine");
        sum + u64::from(is_one) + if path.is_dir() { quarantined(&path) } else { 0 }
    })
}
