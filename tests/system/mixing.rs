//! What a mixer makes: every source as loud as asked, and no hole in time whoever dies.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use shmring::{Next, PacketOptions, PacketReader, Start};
use tests::project::{Project, free_port};
use tests::tones::{level_db, samples};
use tests::{Failure, Outcome, ensure, processes, recordings, wait_for};

use crate::first_light::holds;

const RATE_HZ: f64 = 48_000.0;
/// What is looked at: a second, whole periods of every tone here.
const WINDOW: usize = 48_000;
/// How near a level is to what was asked, in dB.
const NEAR_DB: f64 = 1.0;
/// A tone that is not there, in dB; what a codec makes of others is far below.
const GONE_DB: f64 = -60.0;

/// Hears a ring of PCM without missing a sample.
struct Ear {
    reader: PacketReader,
    heard: Vec<f32>,
    end_ns: Option<i64>,
    epoch: u64,
}

impl Ear {
    fn attach(project: &Project, ring: &str) -> Outcome<Self> {
        let ring = Project::ring(ring)?;
        let attach = || {
            let options = PacketOptions { reader: "test".to_owned(), start: Start::Oldest };
            PacketReader::attach(project.name(), &ring, &options).ok()
        };
        let (reader, _) = wait_for(60, "the mix's ring", attach)?;
        Ok(Self { reader, heard: Vec::new(), end_ns: None, epoch: 0 })
    }

    /// Takes what there is. Whatever happens to its sources, a packet begins where the last one ended.
    fn listen(&mut self) -> Outcome<()> {
        loop {
            match self.reader.next(Duration::ZERO).map_err(Failure::new)? {
                Next::Item(packet) => {
                    let meta = &packet.meta;
                    let off_ns = self.end_ns.map_or(0, |end_ns| meta.pts_ns - end_ns);
                    ensure(off_ns.abs() <= 2 && !meta.discontinuity, || {
                        format!("a packet {off_ns} ns off the end of the one before it")
                    })?;
                    ensure(self.epoch == 0 || self.epoch == packet.epoch, || {
                        format!("epoch {} behind {}", packet.epoch, self.epoch)
                    })?;
                    self.epoch = packet.epoch;
                    self.end_ns = Some(meta.pts_ns + meta.duration_ns);
                    self.heard.extend(samples(&packet.payload));
                }
                Next::Quiet => return Ok(()),
                // This program was too slow, which says nothing of the mix; no level is taken over the joint.
                Next::Overrun { .. } => {
                    self.end_ns = None;
                    self.heard.clear();
                }
                other => return Err(Failure(format!("the mix broke off: {other:?}"))),
            }
        }
    }

    /// Waits for a second in which the tones are as loud as asked.
    fn wait_for_levels(&mut self, what: &str, wanted: [(f64, f64); 2]) -> Outcome<[f64; 2]> {
        let mut looked = 0;
        let mut last = [f64::NAN; 2];
        let mut failure = None;
        let heard = wait_for(60, what, || {
            if let Err(broken) = self.listen() {
                failure = Some(broken);
                return Some(());
            }
            // Each fifth of a second is often enough.
            let heard = self.heard.len();
            looked = looked.min(heard);
            let from = heard.checked_sub(WINDOW).filter(|_| heard >= looked + WINDOW / 5)?;
            looked = heard;
            last = wanted.map(|(hz, _)| level_db(&self.heard[from..], hz, RATE_HZ));
            let fits = |(seen, (_, wanted)): (&f64, &(f64, f64))| match *wanted {
                gone if gone <= GONE_DB => *seen < GONE_DB,
                wanted => (seen - wanted).abs() <= NEAR_DB,
            };
            last.iter().zip(&wanted).all(fits).then_some(())
        });
        match (failure, heard) {
            (Some(broken), _) => Err(broken),
            (None, Err(failure)) => Err(Failure(format!("{failure}; levels were {last:?}"))),
            (None, Ok(_)) => Ok(last),
        }
    }
}

#[test]
fn tones_are_as_loud_as_asked_and_a_source_that_dies_leaves_no_hole() {
    holds(|| {
        let port = free_port()?;
        let project = Project::new(&format!(
            "version: 1
workers:
  one: {{use: ingest, source: 'test:?tone=1000&sound=aac'}}
  two: {{use: ingest, source: 'test:?tone=2000&sound=pcma', restart: {{limit: 1 in 1h}}}}
  quiet: {{use: ingest, source: 'test:?tone=0&sound=opus'}}
  mix: {{use: mixer, in: [one.packets, two.packets, quiet.packets], codec: pcm,
         sources: {{one: {{gain: -6dB}}, two: {{gain: 3dB}}}}}}
  radio: {{use: mixer, in: one.packets, codec: aac, channels: 2}}
  recorder: {{use: recorder, in: [radio.packets, mix.packets], dir: '{{dir}}/recordings', segment: 1h}}
  rtsp: {{use: rtsp, in: [radio.packets, mix.packets], listen: '127.0.0.1:{port}'}}
"
        ))?;
        project.up()?;
        let mut ear = Ear::attach(&project, "mix.packets")?;
        // The sources are tones of -20 dB.
        let both = ear.wait_for_levels("both tones", [(1_000.0, -26.0), (2_000.0, -17.0)])?;
        processes::signal(project.pid("two")?, Signal::SIGKILL);
        let gone = (2_000.0, f64::NEG_INFINITY);
        let one = ear.wait_for_levels("one tone", [(1_000.0, -26.0), gone])?;
        let told = || {
            let mix = project.worker("mix").ok()?;
            mix.why.contains("without two").then_some(mix.why)
        };
        let (why, _) = wait_for(60, "the mixer to name who is missing", told)?;
        project.succeed(&["send", "mix", r#"{"one": {"gain": "-12dB"}}"#])?;
        let quieter = ear.wait_for_levels("a gain of -12 dB", [(1_000.0, -32.0), gone])?;
        // L16 and AAC.
        let of_mix = wait_for_level_over_rtsp(port, "mix", -32.0)?;
        let of_radio = wait_for_level_over_rtsp(port, "radio", -20.0)?;
        let says = || {
            let recorder = project.worker("recorder").ok()?;
            recorder.why.contains("audio: aac").then_some(())
        };
        wait_for(60, "the recorder to say 'audio: aac' of PCM", says)?;
        ear.listen()?;
        project.down()?;
        let recorded = sound_alone(&project, "radio")?;
        Ok(json!({
            "both_db": both, "after_kill_db": one, "after_send_db": quieter, "why": why,
            "rtsp_db": [of_mix, of_radio], "recorded": recorded,
        }))
    });
}

/// A source that a slow machine holds up is silence in the mix: that second is not the one to look at.
fn wait_for_level_over_rtsp(port: u16, name: &str, wanted: f64) -> Outcome<f64> {
    let mut last = None;
    let heard = wait_for(120, &format!("{name} at {wanted} dB over RTSP"), || {
        let level = over_rtsp(port, name);
        let fits = level.as_ref().is_ok_and(|level| (level - wanted).abs() <= NEAR_DB);
        last = Some(level.clone());
        level.ok().filter(|_| fits)
    });
    heard.map(|(level, _)| level).map_err(|failure| Failure(format!("{failure}: {last:?}")))
}

/// How loud the tone of 1 kHz is in the second second of a stream.
fn over_rtsp(port: u16, name: &str) -> Outcome<f64> {
    let url = format!("rtsp://127.0.0.1:{port}/{name}");
    let output = Command::new("timeout")
        .args([
            "60",
            "ffmpeg",
            "-nostdin",
            "-v",
            "error",
            "-rtsp_transport",
            "tcp",
            "-i",
            &url,
            "-t",
            "2",
        ])
        .args(["-ac", "1", "-ar", "48000", "-f", "s16le", "-"])
        .output()
        .map_err(|error| Failure(format!("ffmpeg: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let heard = samples(&output.stdout);
    let second = heard.get(WINDOW / 2..WINDOW / 2 + WINDOW);
    let second =
        second.ok_or_else(|| Failure(format!("{url}: {} samples: {said}", heard.len())))?;
    Ok(level_db(second, 1_000.0, RATE_HZ))
}

/// A recording without pictures: fragments by time, and a file that others play.
fn sound_alone(project: &Project, camera: &str) -> Outcome<serde_json::Value> {
    let files = recordings::files(&project.recordings(), camera)?;
    let path = files.first().ok_or_else(|| Failure(format!("no recording of {camera}")))?;
    let mut file = std::fs::File::open(path).map_err(Failure::new)?;
    let found = fmp4::scan(&mut file).map_err(Failure::new)?;
    ensure(found.damage.is_none(), || format!("{}: {:?}", path.display(), found.damage))?;
    let longest = found.fragments.iter().map(|fragment| fragment.samples.len()).max().unwrap_or(0);
    // A second is 47 frames of AAC.
    ensure(found.fragments.len() >= 2 && longest <= 48, || {
        format!("{} fragments, the longest of {longest} frames", found.fragments.len())
    })?;
    let name = path.display().to_string();
    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "stream=codec_name,channels",
            "-of",
            "csv=p=0",
            &name,
        ])
        .output()
        .map_err(Failure::new)?;
    let streams = String::from_utf8_lossy(&probe.stdout).trim().to_owned();
    ensure(streams == "aac,2", || format!("{name}: {streams}"))?;
    Ok(json!({"fragments": found.fragments.len(), "longest_frames": longest}))
}
