//! What an encoder makes: sound that MP4 lacks, exact in time and pitch, and nothing twice or passed over.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::name::RingKind;
use protocol::stream::{Codec, FrameId};
use serde_json::{Value, json};
use shmring::{FrameOptions, Next, Packet, PacketOptions, PacketReader, Start};
use tests::framecode::Run;
use tests::project::Project;
use tests::{Failure, Outcome, ensure, ffmpeg, processes, recordings, wait_for};
use worker::FrameInput;

use crate::first_light::holds;

const FPS: f64 = 25.0;
const RATE: f64 = 8_000.0;
/// Of the tone.
const PITCH_HZ: f64 = 440.0;
/// A flash and a tone, together, so often.
const EVERY_S: f64 = 2.0;
const TONE_S: f64 = 0.4;
/// Samples of the tone that are surely in it.
const TONE_SAMPLES: usize = 2_560;
/// What people see as together.
const TOGETHER_S: f64 = 0.040;

/// A film of 20 s, black and silent but for a white picture and a tone that begins with it, each two seconds.
fn film(dir: &Path, sound: &str) -> Outcome<PathBuf> {
    let path = dir.join(format!("{sound}.mkv"));
    let video = format!(
        "color=black:s=320x192:r={FPS},geq=lum='if(eq(mod(N,{}),25),235,16)':cb=128:cr=128",
        FPS * EVERY_S
    );
    let from = "mod(t,2)";
    let audio = format!(
        "aevalsrc='if(between({from},1,{}),0.5*sin(2*PI*{PITCH_HZ}*({from}-1)),0)':s={RATE}",
        1.0 + TONE_S
    );
    let name = path.display().to_string();
    ffmpeg::make(&[
        "-f",
        "lavfi",
        "-i",
        &video,
        "-f",
        "lavfi",
        "-i",
        &audio,
        "-t",
        "20",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "25",
        "-bf",
        "0",
        "-c:a",
        sound,
        "-ar",
        "8000",
        &name,
    ])?;
    Ok(path)
}

/// The newest recording of a camera once the project has recorded so many seconds of it.
fn recorded(project: &Project, camera: &str, seconds: u64) -> Outcome<PathBuf> {
    let whole = || {
        let count = recordings::packets(&project.recordings(), camera).ok()?.len();
        // Pictures and sound together are more.
        (count as f64 > FPS * seconds as f64 * 1.3).then_some(())
    };
    wait_for(120, "a recording", whole)?;
    project.down()?;
    let files = recordings::files(&project.recordings(), camera)?;
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let largest = files.into_iter().max_by_key(size);
    largest.ok_or_else(|| Failure(format!("no recording of {camera}")))
}

fn output(program: &str, arguments: &[&str]) -> Outcome<Vec<u8>> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| Failure(format!("{program}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("{program} {arguments:?}: {said}"))?;
    Ok(output.stdout)
}

fn probed(file: &str, entries: &str, stream: &str) -> Outcome<Value> {
    let words =
        ["-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", "json", file];
    serde_json::from_slice(&output("ffprobe", &words)?).map_err(Failure::new)
}

fn seconds(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// When pictures are white, on the file's clock.
fn flashes(file: &str) -> Outcome<Vec<f64>> {
    let times = probed(file, "packet=pts_time", "v:0")?;
    let times = times["packets"].as_array().cloned().unwrap_or_default();
    let words = [
        "-v",
        "error",
        "-i",
        file,
        "-map",
        "0:v",
        "-vf",
        "scale=1:1",
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-",
    ];
    let lumas = output("ffmpeg", &words)?;
    ensure(lumas.len() == times.len(), || {
        format!("{} pictures of {} packets", lumas.len(), times.len())
    })?;
    let white = lumas.iter().zip(&times).filter(|(luma, _)| **luma > 128);
    Ok(white.map(|(_, time)| seconds(&time["pts_time"])).collect())
}

/// When the tone begins, on the file's clock, and its pitch each time.
fn tones(file: &str) -> Outcome<Vec<(f64, f64)>> {
    let stream = probed(file, "stream=start_time", "a:0")?;
    let zero_s = seconds(&stream["streams"][0]["start_time"]);
    let words =
        ["-v", "error", "-i", file, "-map", "0:a", "-ac", "1", "-ar", "8000", "-f", "s16le", "-"];
    let bytes = output("ffmpeg", &words)?;
    let samples: Vec<f64> = bytes
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect();
    let (mut tones, mut quiet) = (Vec::new(), 0);
    for (at, sample) in samples.iter().enumerate() {
        // A quarter of a second without it, then it is there.
        if sample.abs() < 0.15 {
            quiet += 1;
            continue;
        }
        if f64::from(quiet) > RATE / 4.0 {
            let tone = samples.get(at..at + TONE_SAMPLES);
            tones.extend(tone.map(|tone| (zero_s + at as f64 / RATE, pitch(tone))));
        }
        quiet = 0;
    }
    Ok(tones)
}

/// By the zeros it passes upwards, between the first and the last.
fn pitch(samples: &[f64]) -> f64 {
    let rises: Vec<usize> =
        (1..samples.len()).filter(|&at| samples[at - 1] < 0.0 && samples[at] >= 0.0).collect();
    match (rises.first(), rises.last()) {
        (Some(first), Some(last)) if last > first => {
            (rises.len() - 1) as f64 * RATE / (last - first) as f64
        }
        _ => 0.0,
    }
}

/// The recorded file has this sound, at its pitch, together with the pictures.
fn sounds_right(file: &Path, codec: &str, rate: &str) -> Outcome<Value> {
    let file = file.display().to_string();
    let stream = probed(&file, "stream=codec_name,sample_rate,channels", "a:0")?;
    let expected = json!({"codec_name": codec, "sample_rate": rate, "channels": 1});
    ensure(stream["streams"][0] == expected, || format!("ffprobe: {stream}"))?;
    let complaints = ffmpeg::complaints(&["-i", &file])?;
    ensure(complaints.is_empty(), || format!("ffmpeg: {complaints}"))?;
    let (flashes, tones) = (flashes(&file)?, tones(&file)?);
    ensure(tones.len() >= 2, || format!("tones {tones:?}, flashes {flashes:?}"))?;
    let mut offsets = Vec::new();
    for (at, pitch) in &tones {
        ensure((pitch - PITCH_HZ).abs() < 5.0, || format!("{pitch} Hz at {at} s"))?;
        let nearest =
            flashes.iter().map(|flash| at - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        offsets.extend(nearest);
    }
    let together = offsets.len() == tones.len() && offsets.iter().all(|it| it.abs() <= TOGETHER_S);
    ensure(together, || format!("tones {tones:?}, flashes {flashes:?}"))?;
    Ok(json!({"offsets_s": offsets, "pitch_hz": tones[0].1}))
}

#[test]
fn sound_that_mp4_lacks_is_recorded_by_one_word_at_the_camera() {
    holds(|| {
        let project = Project::new("version: 1\nworkers: {x: {use: ingest, source: 'test:'}}\n")?;
        let film = film(project.dir(), "pcm_mulaw")?;
        project.write_topology(&format!(
            "version: 1
cameras:
  cam1: {{url: '{}', audio: aac, serve: false, record: {{dir: '{{dir}}/recordings', segment: 1h}}}}
",
            film.display()
        ))?;
        let plan = project.succeed(&["plan"])?;
        ensure(plan.contains("cam1-audio"), || format!("the plan names no encoder: {plan}"))?;
        project.up()?;
        sounds_right(&recorded(&project, "cam1", 9)?, "aac", "8000")
    });
}

#[test]
fn an_encoder_by_hand_makes_opus_and_without_one_the_recorder_says_what_to_write() {
    holds(|| {
        let project = Project::new("version: 1\nworkers: {x: {use: ingest, source: 'test:'}}\n")?;
        let film = film(project.dir(), "pcm_alaw")?;
        project.write_topology(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: '{}'}}
  cam1-opus: {{use: encoder, in: cam1.packets, audio: opus}}
  recorder: {{use: recorder, in: cam1-opus.packets, dir: '{{dir}}/recordings', segment: 1h}}
  plain: {{use: recorder, in: cam1.packets, dir: '{{dir}}/plain', segment: 1h}}
",
            film.display()
        ))?;
        project.up()?;
        let cure = "cam1-aac: {use: encoder, in: cam1.packets, audio: aac}";
        let told = || {
            let plain = project.worker("plain").ok()?;
            plain.why.contains(cure).then_some(())
        };
        wait_for(60, "the recorder without an encoder to say what to do", told)?;
        sounds_right(&recorded(&project, "cam1-opus", 9)?, "opus", "48000")
    });
}

/// Video packets of a ring as they come: what they were made from.
struct Sources {
    reader: PacketReader,
    seen: Vec<(u64, u64)>,
}

impl Sources {
    fn attach(project: &Project, ring: &str) -> Outcome<Option<Self>> {
        let options = PacketOptions { reader: "test".to_owned(), start: Start::Oldest };
        let ring = Project::ring(ring)?;
        let reader = PacketReader::attach(project.name(), &ring, &options).ok();
        Ok(reader.map(|reader| Self { reader, seen: Vec::new() }))
    }

    fn follow(&mut self) {
        while let Ok(next) = self.reader.next(Duration::ZERO) {
            match next {
                Next::Item(packet) => {
                    let track = self.reader.tracks().get(packet.meta.track as usize);
                    if track.is_some_and(|track| track.codec == Codec::H264) {
                        let own = (packet.epoch, packet.sequence);
                        let source = packet.meta.source.map(|it| (it.epoch, it.sequence));
                        self.seen.push(source.unwrap_or(own));
                    }
                }
                Next::Quiet | Next::Ended => return,
                _ => {}
            }
        }
    }
}

#[test]
fn a_killed_encoder_publishes_nothing_twice_and_passes_nothing_over() {
    holds(|| {
        let project = Project::new("version: 1\nworkers: {x: {use: ingest, source: 'test:'}}\n")?;
        let film = film(project.dir(), "pcm_mulaw")?;
        project.write_topology(&format!(
            "version: 1\ncameras:\n  cam1: {{url: '{}', audio: aac, serve: false}}\n",
            film.display()
        ))?;
        project.up()?;
        let attach = |ring| {
            let found = || Sources::attach(&project, ring).ok().flatten();
            wait_for(60, ring, found).map(|(sources, _)| sources)
        };
        let (mut sent, mut made) = (attach("cam1.source.packets")?, attach("cam1.packets")?);
        let origin = made.reader.source_ring().map(ToString::to_string);
        ensure(origin.as_deref() == Some("cam1.source.packets"), || format!("{origin:?}"))?;
        let mut follow = |count: usize| {
            let more = || {
                // What is made by now has been sent by then.
                made.follow();
                let enough = made.seen.len() >= count;
                sent.follow();
                enough.then(|| (sent.seen.clone(), made.seen.clone()))
            };
            wait_for(60, "pictures", more).map(|(seen, _)| seen)
        };
        let mut count = 30;
        for _ in 0..3 {
            follow(count)?;
            let before = project.pid("cam1-audio")?;
            processes::signal(before, Signal::SIGKILL);
            project.wait_restarted("cam1-audio", before)?;
            count += 60;
        }
        let (sent, made) = follow(count)?;
        let from = sent.iter().position(|id| Some(id) == made.first());
        let from = from.ok_or_else(|| Failure(format!("{:?} was never sent", made.first())))?;
        let expected = sent.get(from..from + made.len());
        ensure(expected == Some(&made[..]), || format!("sent {sent:?}\nmade {made:?}"))?;
        ensure(project.heads(RingKind::Packets) > 0, || "no packets".to_owned())?;
        Ok(json!({"pictures": made.len()}))
    });
}

const SIZE: (usize, usize) = (640, 480);

/// Packets of a ring's first track, as they come.
struct Taken {
    reader: PacketReader,
    packets: Vec<Packet>,
}

impl Taken {
    fn attach(project: &Project, ring: &str) -> Outcome<Self> {
        let options = PacketOptions { reader: "test".to_owned(), start: Start::Oldest };
        let name = Project::ring(ring)?;
        let attach = || PacketReader::attach(project.name(), &name, &options).ok();
        let (reader, _) = wait_for(60, ring, attach)?;
        Ok(Self { reader, packets: Vec::new() })
    }

    fn follow(&mut self) {
        while let Ok(next) = self.reader.next(Duration::ZERO) {
            match next {
                Next::Item(packet) if packet.meta.track == 0 => self.packets.push(packet),
                Next::Quiet | Next::Ended => return,
                _ => {}
            }
        }
    }

    fn until(&mut self, count: usize) -> Outcome<()> {
        let enough = || {
            self.follow();
            (self.packets.len() >= count).then_some(())
        };
        wait_for(60, "packets", enough).map(drop)
    }

    /// Their payloads, one behind the other.
    fn write(&self, path: &Path) -> Outcome<()> {
        let bytes: Vec<u8> =
            self.packets.iter().flat_map(|packet| packet.payload.clone()).collect();
        std::fs::write(path, bytes).map_err(Failure::new)
    }
}

#[test]
fn pictures_are_encoded_with_their_names_and_times_and_go_on_to_files_and_viewers() {
    holds(|| {
        let port = tests::project::free_port()?;
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}}
  dec: {{use: decoder, in: cam1.packets}}
  film: {{use: encoder, in: cam1.frames, codec: h264, bitrate: 3M, keyframe_every: 1s}}
  jpeg: {{use: encoder, in: cam1.frames, codec: mjpeg, bitrate: 20M}}
  again: {{use: decoder, in: film.packets, out: again.frames}}
  recorder: {{use: recorder, in: film.packets, dir: '{{dir}}/recordings', segment: 1h}}
  rtsp: {{use: rtsp, in: film.packets, listen: '127.0.0.1:{port}'}}
rings: {{jpeg.packets: {{max_bitrate: 40M}}}}
"
        ))?;
        project.up()?;
        let mut again = again(&project)?;
        let mut sent = Taken::attach(&project, "cam1.packets")?;
        let (mut film, mut jpeg) =
            (Taken::attach(&project, "film.packets")?, Taken::attach(&project, "jpeg.packets")?);
        film.until(100)?;
        jpeg.until(100)?;
        sent.follow();
        for made in [&film, &jpeg] {
            names_the_captured(&sent, made)?;
        }
        let keys = film.packets.iter().filter(|packet| packet.meta.key).count();
        let (first, last) = (&film.packets[0].meta, &film.packets[film.packets.len() - 1].meta);
        let seconds = usize::try_from((last.pts_ns - first.pts_ns) / 1_000_000_000).unwrap_or(0);
        let joints = film.packets.iter().filter(|packet| packet.meta.discontinuity).count();
        ensure((1..=seconds + joints + 1).contains(&keys), || {
            format!("{keys} key frames in {seconds} s, {joints} joints")
        })?;

        // The same pictures, by the numbers that the camera has painted into them.
        for (made, name, format) in [(&film, "film.h264", "h264"), (&jpeg, "film.mjpeg", "mjpeg")] {
            let path = project.dir().join(name);
            made.write(&path)?;
            let path = path.display().to_string();
            let codes = ffmpeg::codes(&["-f", format, "-i", &path], SIZE.0, SIZE.1)?;
            let run = Run::of(&codes, None);
            ensure(is_whole(&run) && codes.len() == made.packets.len(), || {
                format!("{name}: {run:?} of {} packets", made.packets.len())
            })?;
        }
        let url = format!("rtsp://127.0.0.1:{port}/film");
        let viewed = ["-rtsp_transport", "tcp", "-i", &url, "-t", "2"];
        let viewed = Run::of(&ffmpeg::codes(&viewed, SIZE.0, SIZE.1)?, None);
        ensure(is_whole(&viewed), || format!("over RTSP: {viewed:?}"))?;

        // What is found in them has the names under which they are recorded.
        let id = again()?;
        film.follow();
        let named = |packet: &Packet| (packet.epoch, packet.sequence) == (id.epoch, id.sequence);
        ensure(id.ring.as_str() == "film.packets" && film.packets.iter().any(named), || {
            format!("{id:?} is no packet of film.packets")
        })?;

        project.down()?;
        let files = recordings::files(&project.recordings(), "film")?;
        let recorded = ffmpeg::run_of_files(&files, SIZE, None)?;
        ensure(is_whole(&recorded) && recorded.pictures >= 100, || format!("{recorded:?}"))?;
        Ok(json!({"recorded": recorded.pictures, "viewed": viewed.pictures}))
    });
}

/// Every picture can be read, and they are in order. A machine that is too slow leaves some out.
fn is_whole(run: &Run) -> bool {
    run.pictures > 0 && run.torn + run.unreadable + run.doubled + run.backward == 0
}

/// Each packet has a packet of the camera as its source, and the capture time of that.
fn names_the_captured(sent: &Taken, made: &Taken) -> Outcome<()> {
    let ring = made.reader.source_ring().map(ToString::to_string);
    ensure(ring.as_deref() == Some("cam1.packets"), || format!("source {ring:?}"))?;
    let mut found = 0;
    for packet in &made.packets {
        let source = packet.meta.source;
        let original = sent.packets.iter().find(|sent| {
            source.is_some_and(|id| (id.epoch, id.sequence) == (sent.epoch, sent.sequence))
        });
        if let Some(original) = original {
            let (own, theirs) = (&packet.meta, &original.meta);
            ensure((own.capture, own.pts_ns) == (theirs.capture, theirs.pts_ns), || {
                format!("{own:?}\nof {theirs:?}")
            })?;
            found += 1;
        }
    }
    // The newest may have come after the camera's were looked at.
    ensure(found + 25 >= made.packets.len(), || {
        format!("{found} of {} packets name one of the camera", made.packets.len())
    })
}

/// Reads frames that were decoded again.
fn again(project: &Project) -> Outcome<impl FnMut() -> Outcome<FrameId>> {
    let ring = Project::ring("again.frames")?;
    let mut input = FrameInput::detached(project.name(), &ring, FrameOptions::named("test"));
    Ok(move || {
        let frame = || match input.poll(Duration::from_millis(20)) {
            Ok(Some(Next::Item(frame))) => Some(frame.frame_id()),
            _ => None,
        };
        wait_for(60, "a picture decoded again", frame).map(|(id, _)| id)
    })
}

#[test]
fn hardware_that_is_not_there_is_told_and_what_nobody_reads_rests_where_asked() {
    holds(|| {
        let port = tests::project::free_port()?;
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}}
  dec: {{use: decoder, in: cam1.packets}}
  fast: {{use: encoder, in: cam1.frames, hardware: vaapi}}
  idle: {{use: encoder, in: cam1.frames, on_demand: true, max_fps: 5}}
  web: {{use: web, in: cam1.packets, listen: '127.0.0.1:{port}'}}
"
        ))?;
        project.succeed(&["up", "-d"])?;
        // It encodes, whatever the machine has.
        let mut fast = Taken::attach(&project, "fast.packets")?;
        fast.until(25)?;
        let has_device = Path::new("/dev/dri/renderD128").exists();
        let is_told = || {
            let status = project.worker("fast").ok()?;
            (has_device || status.why.contains("the processor does it")).then_some(())
        };
        wait_for(60, "ps to tell of the missing hardware", is_told)?;
        if !has_device {
            let url = format!("http://127.0.0.1:{port}/metrics");
            let told = || {
                let page = output("curl", &["-s", &url]).ok()?;
                let page = String::from_utf8_lossy(&page).into_owned();
                page.contains("framevisor_worker_degraded{worker=\"fast\"} 1").then_some(())
            };
            wait_for(60, "the metrics to say that it is degraded", told)?;
        }

        let rests = || {
            let idle = project.worker("idle").ok()?;
            idle.why.contains("nobody reads idle.packets").then_some(())
        };
        wait_for(60, "the encoder that nobody reads to rest", rests)?;
        let mut idle = Taken::attach(&project, "idle.packets")?;
        idle.follow();
        let before = idle.packets.len();
        idle.until(before + 20)?;
        // A machine that is too slow leaves holes, but no more come than were asked for.
        let times: Vec<i64> = idle.packets[before + 1..]
            .iter()
            .map(|packet| packet.meta.pts_ns / 1_000_000)
            .collect();
        let span_ms = times[times.len() - 1] - times[0];
        let most = usize::try_from(span_ms / 200 + 3).unwrap_or(0);
        ensure(times.len() <= most, || format!("five a second: {times:?} ms"))?;
        project.down()?;
        Ok(json!({"fell_back": !has_device}))
    });
}

#[test]
fn pictures_of_another_size_are_another_stream_from_a_key_frame_on() {
    holds(|| {
        let project = Project::new("version: 1\nworkers: {x: {use: ingest, source: 'test:'}}\n")?;
        let part = |size: &str| {
            let path = project.dir().join(format!("{size}.ts"));
            let video = format!("testsrc=s={size}:r=25:d=2");
            let name = path.display().to_string();
            ffmpeg::make(&[
                "-f", "lavfi", "-i", &video, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0",
                "-g", "25", &name,
            ])?;
            std::fs::read(path).map_err(Failure::new)
        };
        let film = project.dir().join("film.ts");
        let both = [part("320x192")?, part("640x352")?].concat();
        std::fs::write(&film, both).map_err(Failure::new)?;
        project.write_topology(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: '{}'}}
  dec: {{use: decoder, in: cam1.packets}}
  film: {{use: encoder, in: cam1.frames}}
",
            film.display()
        ))?;
        project.up()?;
        let mut made = Taken::attach(&project, "film.packets")?;
        let (mut sizes, mut seen) = (Vec::new(), 0);
        let changes = || {
            // One at a time: the description is that of the packet read last.
            if let Ok(Next::Item(packet)) = made.reader.next(Duration::from_millis(5)) {
                seen += 1;
                let track = made.reader.tracks().first()?;
                let size = (track.width, track.height);
                if sizes.last().is_none_or(|(last, _)| *last != size) {
                    sizes.push((size, packet.meta.key));
                }
            }
            (sizes.len() >= 4).then(|| sizes.clone())
        };
        let (sizes, _) = wait_for(60, "both sizes, twice", changes)?;
        let alternate = sizes.windows(2).all(|pair| pair[0].0 != pair[1].0);
        let known = sizes.iter().all(|(size, _)| [(320, 192), (640, 352)].contains(size));
        // The description is told before the key frame, and the packet before it may be read with it.
        ensure(alternate && known, || format!("{sizes:?}"))?;
        project.down()?;
        Ok(json!({"packets": seen}))
    });
}
