//! The verbs that look into rings, on a running pipeline; ffmpeg judges what they write.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::time::MonoNs;
use protocol::verb::Dumped;
use serde_json::Value;
use shmring::{Next, PacketOptions, PacketReader, Start};
use tests::framecode::Run;
use tests::project::Project;
use tests::{Failure, Outcome, ensure, ffmpeg, wait_for};

const SIZE: (usize, usize) = (640, 480);
/// A reader that wants all pictures keeps the decoder at work; the motion worker's records are the third kind of ring.
const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}
  dec: {use: decoder, in: cam1.packets}
  motion: {use: motion, in: cam1.frames, fps: 240}
rings:
  cam1.frames: {history: 6}
";

fn up() -> Outcome<Project> {
    let project = Project::new(TOPOLOGY)?;
    project.up()?;
    Ok(project)
}

fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

pub(crate) fn dump(project: &Project, ring: &str, last: &str, file: &Path) -> Outcome<Dumped> {
    let file = file.display().to_string();
    let told = project.succeed(&["-o", "json", "dump", ring, "--last", last, "-o", &file])?;
    serde_json::from_str(&told).map_err(|error| tests::Failure(format!("{told}: {error}")))
}

/// How many packets of a ring were published within so long before this one, itself among them: fewer come while a
/// busy machine lets the camera wait.
pub(crate) fn published_within(
    project: &Project,
    ring: &str,
    span: Duration,
    last: u64,
) -> Outcome<u64> {
    let options = PacketOptions { reader: "test".to_owned(), start: Start::Oldest };
    let mut reader = PacketReader::attach(project.name(), &Project::ring(ring)?, &options)
        .map_err(Failure::new)?;
    let mut published = Vec::new();
    while published.last().is_none_or(|(sequence, _)| *sequence < last) {
        match reader.next(Duration::ZERO).map_err(Failure::new)? {
            Next::Item(packet) => published.push((packet.sequence, packet.published)),
            other => return Err(Failure(format!("{ring} has no packet {last}: {other:?}"))),
        }
    }
    let newest = published.last().map_or(MonoNs(0), |(_, at)| *at);
    let is_within = |(_, at): &&(u64, MonoNs)| newest.saturating_since(*at) < span;
    Ok(published.iter().filter(is_within).count() as u64)
}

fn items(dumped: &Dumped) -> u64 {
    dumped.files.iter().map(|file| file.items).sum()
}

/// The frame codes of a file, which rise by one and are as many as said.
fn is_exact(file: &Path, items: u64) -> Outcome<()> {
    let name = file.display().to_string();
    ensure(ffmpeg::complaints(&["-i", &name])?.is_empty(), || format!("{name} does not play"))?;
    let run = Run::of(&ffmpeg::codes(&["-i", &name], SIZE.0, SIZE.1)?, None);
    ensure(run.is_exact() && run.pictures == items, || format!("{name}: {items} items, {run:?}"))
}

#[test]
fn a_tap_writes_a_whole_picture_of_frames_and_of_packets() {
    holds(|| {
        let project = up()?;
        for ring in ["cam1.packets", "cam1.frames"] {
            let png = project.dir().join(format!("{ring}.png"));
            let name = png.display().to_string();
            project.succeed(&["tap", ring, "--png", &name])?;
            is_exact(&png, 1)?;
        }
        let folder = fs::read_dir(project.dir()).unwrap().map(|entry| entry.unwrap().file_name());
        let parts: Vec<_> =
            folder.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
        ensure(parts.is_empty(), || format!("left behind: {parts:?}"))?;
        let shown = project.succeed(&["tap", "cam1.frames", "--term", "--frames", "2"])?;
        let words = shown.contains("cam1.frames 640x480 yuv420p");
        ensure(words && shown.contains('▀'), || format!("on the terminal: {shown:?}"))?;
        let record = project.succeed(&["tap", "motion.events", "--frames", "1"])?;
        let record: Value = serde_json::from_str(&record).unwrap();
        ensure(record["camera"] == "cam1", || format!("the record is {record}"))
    });
}

#[test]
fn a_tap_without_a_terminal_asks_for_a_file() {
    holds(|| {
        let project = up()?;
        let refused = project.run(&["tap", "cam1.frames"])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure(refused.status.code() == Some(2) && said.contains("--png FILE"), || said)
    });
}

#[test]
fn the_last_seconds_of_a_packet_ring_play_and_are_the_packets_named() {
    holds(|| {
        let project = up()?;
        wait_for(60, "three seconds of packets", || {
            (project.heads(protocol::name::RingKind::Packets) > 75).then_some(())
        })?;
        let clip = project.dir().join("clip.mp4");
        let dumped = dump(&project, "cam1.packets", "2s", &clip)?;
        let file = &dumped.files[0];
        ensure(dumped.files.len() == 1 && dumped.gaps.is_empty(), || format!("{dumped:?}"))?;
        // Two seconds and the way to the key frame before.
        let least = published_within(&project, "cam1.packets", Duration::from_secs(2), file.last)?;
        ensure(file.items >= least && file.span_ns >= 1_960_000_000, || {
            format!("{least} at least: {dumped:?}")
        })?;
        ensure(file.last - file.first + 1 == file.items, || format!("{dumped:?}"))?;
        ensure(file.first % 25 == 1, || format!("no key frame at its begin: {dumped:?}"))?;
        is_exact(&clip, file.items)?;
        let stream = project.dir().join("clip.h264");
        is_exact(&stream, items(&dump(&project, "cam1.packets", "2s", &stream)?))
    });
}

#[test]
fn the_history_of_a_frame_ring_is_the_same_as_y4m_and_as_png_and_its_colours_are_ffmpegs() {
    holds(|| {
        let project = up()?;
        wait_for(60, "a history", || {
            (project.heads(protocol::name::RingKind::Frames) > 20).then_some(())
        })?;
        // What follows would be another history each time.
        project.succeed(&["stop", "cam1"])?;
        let file = project.dir().join("history.y4m");
        let folder = project.dir().join("history/");
        // Both are of one history: what the decoder still had in hand makes another one.
        let newest = || project.heads(protocol::name::RingKind::Frames);
        let of_one = || {
            let before = newest();
            let as_y4m = dump(&project, "cam1.frames", "10s", &file);
            let both = as_y4m.and_then(|one| {
                let as_png = dump(&project, "cam1.frames", "10s", &folder)?;
                Ok((one, as_png))
            });
            if newest() == before {
                return Some(both);
            }
            // Those of a history that has gone on.
            let _ = fs::remove_file(&file);
            let _ = fs::remove_dir_all(&folder);
            None
        };
        let (dumped, pictures) = wait_for(60, "a history that stays", of_one)?.0?;
        let count = items(&dumped);
        ensure(count >= 6, || format!("of a history of 6: {dumped:?}"))?;
        is_exact(&file, count)?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        ensure(files.len() as u64 == items(&pictures), || format!("{files:?}, {pictures:?}"))?;
        ensure(pictures.files[0].first == dumped.files[0].first, || format!("{pictures:?}"))?;
        let difference = difference(&file, &files[0])?;
        ensure(difference < 2.0, || format!("colours differ by {difference} on average"))
    });
}

/// Mean difference of a channel between the first picture of a file as ffmpeg shows it, and a PNG.
fn difference(file: &Path, png: &Path) -> Outcome<f64> {
    let rgb = |arguments: &[&str]| {
        let all = [arguments, &["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24"]].concat();
        let out = png.with_extension("rgb").display().to_string();
        ffmpeg::make(&[&all[..], &[&out]].concat())?;
        fs::read(out).map_err(tests::Failure::new)
    };
    let (file, png) = (file.display().to_string(), png.display().to_string());
    let theirs = rgb(&["-i", &file, "-sws_flags", "accurate_rnd+full_chroma_int"])?;
    let ours = rgb(&["-i", &png])?;
    ensure(ours.len() == SIZE.0 * SIZE.1 * 3 && ours.len() == theirs.len(), || "sizes".into())?;
    let sum: u64 = ours.iter().zip(&theirs).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    #[expect(clippy::cast_precision_loss, reason = "a mean for a bound")]
    Ok(sum as f64 / ours.len() as f64)
}

#[test]
fn a_measurement_of_a_pipeline_has_the_latency_of_each_stage() {
    holds(|| {
        let project = up()?;
        let told = project.succeed(&[
            "hz",
            "cam1.packets",
            "cam1.frames",
            "--seconds",
            // Ten of a hundred and fifty: a busy machine lets them wait for a second or two.
            "6",
            "-o",
            "json",
        ])?;
        let rows: Value = serde_json::from_str(&told).unwrap();
        for row in rows.as_array().unwrap() {
            let items = row["items"].as_u64().unwrap();
            ensure(items > 10 && row["restarts"] == 0, || told.clone())?;
            let hop = |name: &str| row["latency_ms"][name]["median"].as_f64();
            ensure(hop("published_to_here").is_some(), || told.clone())?;
            ensure(hop("ingest_to_decoded").is_some() == (row["ring"] == "cam1.frames"), || {
                told.clone()
            })?;
        }
        Ok(())
    });
}

/// Of the files that a dossier says it has, those of this ring.
fn saved_of<'a>(saved: &'a Value, what: &str, ring: &str) -> Vec<&'a Value> {
    let files = saved["files"].as_array().into_iter().flatten();
    files.filter(|file| file["what"] == what && file["of"]["ring"] == ring).collect()
}

#[test]
fn a_death_is_saved_with_the_packet_in_hand_its_last_picture_and_the_last_of_its_rings() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        let up = project
            .command(&["up", "-d"])
            .env("FRAMEVISOR_DRILL_ABORT", "dec:60")
            .status()
            .map_err(tests::Failure::new)?;
        ensure(up.success(), || format!("up: {up}"))?;
        let died = || (project.worker("dec").ok()?.restarts > 0).then_some(());
        wait_for(60, "the decoder to die of its packet", died)?;
        let flows = || {
            project
                .rings()
                .ok()?
                .iter()
                .any(|it| it.name.as_str() == "cam1.frames" && it.head > 0)
                .then_some(())
        };
        wait_for(60, "pictures", flows)?;
        let folder = project.dir().join("died");
        let name = folder.display().to_string();
        let saved = project.succeed(&["why", "dec", "--save", &name, "-o", "json"])?;
        let saved: Value = serde_json::from_str(&saved).map_err(tests::Failure::new)?;
        ensure(saved["left_out"] == serde_json::json!([]), || format!("left out: {saved:#}"))?;
        let item = saved_of(&saved, "the item in hand", "cam1.packets");
        ensure(item.len() == 2 && item[0]["of"]["first"] == 60, || format!("{saved:#}"))?;
        // The group of pictures up to the packet: it began with packet 51.
        let group = folder.join(item[0]["file"].as_str().unwrap_or_default());
        is_exact(&group, 10)?;
        let picture = saved_of(&saved, "the last picture", "cam1.frames");
        ensure(picture.len() == 1, || format!("{saved:#}"))?;
        is_exact(&folder.join("cam1.frames.png"), 1)?;
        let clip = saved_of(&saved, "the last 10s of cam1.packets", "cam1.packets");
        let part = &clip[0]["of"];
        let items = part["last"].as_u64().unwrap_or(0) - part["first"].as_u64().unwrap_or(0) + 1;
        is_exact(&folder.join("cam1.packets.mp4"), items)
    });
}
