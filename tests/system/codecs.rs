//! Every codec on its way through the whole system: a file made by ffmpeg, ingest, recorder, export, replay. What
//! comes out is decoded by ffmpeg, and each picture is the one that went in. Other readers of MP4, who share
//! no code with either, take the recorder's files and the exports: mp4box.js and a browser's media source.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::browser::Browser;
use tests::npm::MP4BOX;
use tests::project::{Project, source_root};
use tests::{Failure, Outcome, ensure, ffmpeg, recordings, wait_for};

use crate::first_light::holds;

/// Groups of a second; four of them.
const PICTURES: usize = 100;
const INPUT: [&str; 8] =
    ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "4", "-g", "25"];

/// A source that ffmpeg makes.
struct Source {
    camera: &'static str,
    /// Its container, by the ending.
    ending: &'static str,
    /// Encoders with their options; the first that is here.
    encoders: &'static [&'static [&'static str]],
    sound: &'static [&'static str],
    in_ts: bool,
    /// For the browser, as RFC 6381 has it; `None` for what no browser plays.
    codecs: Option<&'static str>,
}

const SOURCES: [Source; 6] = [
    Source {
        camera: "mjpeg",
        ending: "mov",
        encoders: &[&["mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p"]],
        sound: &[],
        in_ts: false,
        codecs: None,
    },
    Source {
        camera: "vp9",
        ending: "webm",
        encoders: &[&["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"]],
        sound: &["libopus", "-b:a", "64k"],
        in_ts: false,
        codecs: Some("vp09.00.20.08,opus"),
    },
    Source {
        camera: "av1",
        ending: "mkv",
        encoders: &[&["libsvtav1", "-preset", "12"], &["libaom-av1", "-cpu-used", "8"]],
        sound: &[],
        in_ts: false,
        codecs: Some("av01.0.00M.08"),
    },
    Source {
        camera: "av1-mp4",
        ending: "mp4",
        encoders: &[&["libaom-av1", "-cpu-used", "8"], &["libsvtav1", "-preset", "12"]],
        sound: &["aac"],
        in_ts: false,
        codecs: Some("av01.0.00M.08,mp4a.40.2"),
    },
    // Pictures that are shown in another order than they are decoded in.
    Source {
        camera: "h264",
        ending: "mkv",
        encoders: &[&["libx264", "-preset", "ultrafast", "-bf", "3", "-sc_threshold", "0"]],
        sound: &["aac"],
        in_ts: true,
        codecs: Some("avc1.64001f,mp4a.40.2"),
    },
    Source {
        camera: "h265",
        ending: "mp4",
        encoders: &[&[
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "bframes=3:keyint=25:scenecut=0:log-level=-1",
        ]],
        sound: &[],
        in_ts: true,
        codecs: Some("hvc1.1.6.L60.90"),
    },
];

impl Source {
    /// Its file, or `None` where ffmpeg has no encoder for it.
    fn make(&self, project: &Project) -> Outcome<Option<PathBuf>> {
        let Some(encoder) = self.encoders.iter().find(|of| ffmpeg::has_encoder(of[0])) else {
            println!("skipped: {}: ffmpeg has no encoder for it", self.camera);
            return Ok(None);
        };
        let file = project.dir().join(format!("{}.{}", self.camera, self.ending));
        let name = file.display().to_string();
        let (mut sound_in, mut sound_out) = (&[][..], vec![]);
        if !self.sound.is_empty() {
            sound_in = &["-f", "lavfi", "-t", "4", "-i", "sine=sample_rate=48000"];
            sound_out = [&["-ac", "2", "-c:a"], self.sound].concat();
        }
        let (input, own) = INPUT.split_at(4);
        let video = [own, &["-c:v"], encoder].concat();
        ffmpeg::make(&[input, sound_in, &video, &sound_out, &[&name]].concat())?;
        Ok(Some(file))
    }
}

/// What was recorded of a camera, and the file that it was.
struct Stage {
    source: &'static Source,
    file: PathBuf,
    sums: Vec<String>,
}

/// A project in which all of them are recorded once to their end.
fn recorded() -> Outcome<(Project, Vec<Stage>)> {
    let project = Project::new("version: 1\n")?;
    let mut stages = Vec::new();
    for source in &SOURCES {
        let Some(file) = source.make(&project)? else { continue };
        let sums = ffmpeg::picture_sums(&file)?;
        ensure(sums.len() == PICTURES, || format!("{}: {} pictures", source.camera, sums.len()))?;
        stages.push(Stage { source, file, sums });
    }
    let cameras: Vec<&str> = stages.iter().map(|stage| stage.source.camera).collect();
    let mut topology = "version: 1\nworkers:\n".to_owned();
    for Stage { source, file, .. } in &stages {
        let (camera, file) = (source.camera, file.display());
        topology += &format!("  {camera}: {{use: ingest, source: '{file}', loop: false}}\n");
    }
    topology += &recorder(&cameras);
    project.write_topology(&topology)?;
    project.succeed(&["up", "-d"])?;
    all_recorded(&project, &stages)?;
    project.down()?;
    Ok((project, stages))
}

fn recorder(cameras: &[&str]) -> String {
    let rings: Vec<String> = cameras.iter().map(|camera| format!("{camera}.packets")).collect();
    format!("  rec: {{use: recorder, in: [{}], dir: '{{dir}}/recordings'}}\n", rings.join(", "))
}

/// Waits until every packet of the sources is in the files.
fn all_recorded(project: &Project, stages: &[Stage]) -> Outcome<()> {
    for Stage { source, file, .. } in stages {
        let expected = ffmpeg::packets(file)?;
        let there = || {
            let packets = recordings::packets(&project.recordings(), source.camera).ok()?;
            (packets.len() >= expected).then_some(())
        };
        let what = format!("{expected} packets of {} in the files", source.camera);
        wait_for(60, &what, there)?;
    }
    Ok(())
}

/// The pictures of files played one after the other; a complaint of the decoder is a failure.
fn sums_of(files: &[PathBuf]) -> Outcome<Vec<String>> {
    let mut sums = Vec::new();
    for file in files {
        let said = ffmpeg::complaints(&["-i", &file.display().to_string()])?;
        ensure(said.is_empty(), || format!("{} does not play: {said}", file.display()))?;
        sums.extend(ffmpeg::picture_sums(file)?);
    }
    Ok(sums)
}

fn same(what: &str, sums: &[String], stage: &Stage) -> Outcome<()> {
    let camera = stage.source.camera;
    ensure(sums == stage.sums, || {
        let differs = sums.iter().zip(&stage.sums).position(|(one, other)| one != other);
        format!("{camera} {what}: {} pictures, first that differs {differs:?}", sums.len())
    })
}

#[test]
fn every_codec_is_recorded_exported_and_replayed_picture_by_picture_and_other_readers_take_it() {
    holds(|| {
        let (project, stages) = recorded()?;
        let mut others = Others::find(&project)?;
        for stage in &stages {
            let camera = stage.source.camera;
            let packets = recordings::packets(&project.recordings(), camera)?.len();
            let expected = ffmpeg::packets(&stage.file)?;
            ensure(packets == expected, || format!("{camera}: {packets} of {expected} packets"))?;
            let files = recordings::files(&project.recordings(), camera)?;
            same("as recorded", &sums_of(&files)?, stage)?;
            verified(&project, camera, packets)?;
            exported(&project, stage)?;
            let clip = clip_of(&project, stage, "mp4");
            found_by_the_index(&clip, stage)?;
            for file in [files, vec![clip]].concat() {
                others.take(stage, &file)?;
            }
        }
        replayed(&project, &stages)?;
        let cameras: Vec<&str> = stages.iter().map(|stage| stage.source.camera).collect();
        Ok(json!({"cameras": cameras, "pictures": PICTURES}))
    });
}

/// Every checksum fits, and the list (from the index) has all packets.
fn verified(project: &Project, camera: &str, packets: usize) -> Outcome<()> {
    for verb in ["verify", "ls"] {
        let told = project.succeed(&["recordings", verb, camera, "-o", "json"])?;
        let told: Value = serde_json::from_str(&told).map_err(Failure::new)?;
        let files = told.as_array().cloned().unwrap_or_default();
        let counted: u64 = files.iter().filter_map(|file| file["packets"].as_u64()).sum();
        let is_whole = files.iter().all(|file| file["damage"].is_null() && file["missing"] == 0);
        ensure(counted == packets as u64 && is_whole, || format!("{camera} {verb}: {told}"))?;
    }
    Ok(())
}

fn clip_of(project: &Project, stage: &Stage, format: &str) -> PathBuf {
    project.dir().join(format!("{}-clip.{format}", stage.source.camera))
}

fn exported(project: &Project, stage: &Stage) -> Outcome<()> {
    let camera = stage.source.camera;
    for format in ["mp4", "mkv", "ts"] {
        let file = clip_of(project, stage, format);
        let name = file.display().to_string();
        let arguments = ["export", camera, "--last", "1h", "--format", format, "-o", &name];
        if format != "ts" || stage.source.in_ts {
            project.succeed(&arguments)?;
            same(format, &sums_of(&[file])?, stage)?;
            continue;
        }
        let output = project.run(&arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_told = !output.status.success() && said.contains("MPEG-TS carries no");
        ensure(is_told && !file.exists(), || format!("{camera} as ts: {}: {said}", output.status))?;
        // Encoded anew it may go there.
        project.succeed(&[&arguments[..], &["--exact"]].concat())?;
        let pictures = sums_of(&[file])?.len();
        ensure(pictures == PICTURES, || format!("{camera} as ts: {pictures} pictures"))?;
    }
    Ok(())
}

/// Replayed into rings of the same names and recorded again, they are the same once more.
fn replayed(project: &Project, stages: &[Stage]) -> Outcome<()> {
    let again = Project::new("version: 1\n")?;
    let mut topology = "version: 1\nworkers:\n".to_owned();
    for Stage { source, .. } in stages {
        let from = project.recordings().join(source.camera);
        let from = from.display();
        topology += &format!("  {}: {{use: replay, from: '{from}', speed: 2x}}\n", source.camera);
    }
    let cameras: Vec<&str> = stages.iter().map(|stage| stage.source.camera).collect();
    topology += &recorder(&cameras);
    again.write_topology(&topology)?;
    again.succeed(&["up", "-d"])?;
    all_recorded(&again, stages)?;
    again.down()?;
    for stage in stages {
        let files = recordings::files(&again.recordings(), stage.source.camera)?;
        same("replayed", &sums_of(&files)?, stage)?;
    }
    Ok(())
}

/// Readers of MP4 that share no code with us or with FFmpeg, as far as they are here.
struct Others {
    /// The folder of the package.
    mp4box: Option<PathBuf>,
    browser: Option<Browser>,
}

impl Others {
    fn find(project: &Project) -> Outcome<Self> {
        let mp4box = MP4BOX.folder()?.inspect_err(|why| println!("skipped: mp4box: {why}")).ok();
        let page = project.dir().join("empty.html");
        fs::write(&page, "<!doctype html><body></body>").map_err(Failure::new)?;
        let Some(program) = Browser::find() else {
            println!("skipped: media sources: there is no Chromium here");
            return Ok(Self { mp4box, browser: None });
        };
        let browser = Browser::open(program, &format!("file://{}", page.display()))?;
        Ok(Self { mp4box, browser: Some(browser) })
    }

    fn take(&mut self, stage: &Stage, file: &Path) -> Outcome<()> {
        if let Some(library) = &self.mp4box {
            taken_by_mp4box(library, stage, file)?;
        }
        match &mut self.browser {
            Some(browser) => taken_by_a_browser(browser, stage, file),
            None => Ok(()),
        }
    }
}

/// The same tracks with the same samples, and not a word of complaint.
fn taken_by_mp4box(library: &Path, stage: &Stage, file: &Path) -> Outcome<()> {
    let name = file.display();
    let output = Command::new("timeout")
        .args(["60", "node"])
        .arg(source_root().join("tests/system/mp4box.mjs"))
        .arg(library.join("dist/mp4box.all.mjs"))
        .arg(file)
        .output()
        .map_err(Failure::new)?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("mp4box on {name}: {}: {words}", output.status))?;
    let told: Value = serde_json::from_slice(&output.stdout).map_err(Failure::new)?;
    // That our own boxes are new to it, and that each track has an index, is all it says.
    let own: String = fmp4::FRAGMENT_UUID.iter().map(|byte| format!("{byte:02x}")).collect();
    let is_known = |said: &str| said.contains(&own) || said.contains("multiple boxes of type sidx");
    let said = told["said"].as_array().cloned().unwrap_or_default();
    let complaints: Vec<_> =
        said.iter().filter(|said| !is_known(said.as_str().unwrap_or_default())).collect();
    ensure(complaints.is_empty(), || format!("mp4box on {name}: {complaints:?}"))?;
    let mut opened = File::open(file).map_err(Failure::new)?;
    let found = fmp4::scan(&mut opened).map_err(Failure::new)?;
    let samples = || found.fragments.iter().flat_map(|fragment| &fragment.samples);
    let tracks = told["tracks"].as_array().cloned().unwrap_or_default();
    ensure(tracks.len() == found.tracks.len(), || format!("mp4box on {name}: {tracks:?}"))?;
    for (track, ours) in tracks.iter().zip(&found.tracks) {
        let own = || samples().filter(|sample| sample.track == ours.track);
        let expected = json!({
            "id": ours.track + 1,
            "timescale": ours.base.den,
            "samples": own().count(),
            "keys": own().filter(|sample| sample.key).count(),
            "bytes": own().map(|sample| u64::from(sample.bytes)).sum::<u64>(),
            "is_continuous": true,
        });
        let is_same = expected
            .as_object()
            .is_some_and(|expected| expected.iter().all(|(key, value)| track[key] == *value));
        ensure(is_same, || format!("mp4box on {name}: {track}, expected {expected}"))?;
    }
    // The names of codecs that it finds are those that browsers are asked about.
    let codecs: Vec<&str> = tracks.iter().filter_map(|track| track["codec"].as_str()).collect();
    let family = |codec: &str| codec.split('.').next().unwrap_or_default().to_lowercase();
    let expected = stage.source.codecs.unwrap_or("mp4v");
    ensure(codecs.iter().map(|it| family(it)).eq(expected.split(',').map(family)), || {
        format!("mp4box on {name}: {codecs:?}, expected {expected}")
    })
}

/// Piece by piece into a media source, and played to the end.
fn taken_by_a_browser(browser: &mut Browser, stage: &Stage, file: &Path) -> Outcome<()> {
    let Some(codecs) = stage.source.codecs else { return Ok(()) };
    let bytes = fs::read(file).map_err(Failure::new)?;
    let found = fmp4::scan(&mut std::io::Cursor::new(&bytes)).map_err(Failure::new)?;
    let ends = found.fragments.iter().map(|fragment| fragment.at_bytes + fragment.bytes);
    let mut pieces = Vec::new();
    let mut begin = 0;
    for end in [found.init_bytes].into_iter().chain(ends) {
        let end = usize::try_from(end).map_err(Failure::new)?;
        pieces.push(STANDARD.encode(&bytes[begin..end]));
        begin = end;
    }
    let kind = format!("video/mp4; codecs=\"{codecs}\"");
    let arguments = format!("{}, {}, 2.53", json!(pieces), json!(kind));
    let told = browser.evaluate(&format!("({})({arguments})", include_str!("mse.js")))?;
    let name = file.display();
    if told["unsupported"] == true {
        println!("skipped: {name}: this browser has no {codecs}");
        return Ok(());
    }
    let ranges = told["buffered"].as_array().cloned().unwrap_or_default();
    let is_whole = ranges.len() == 1
        && ranges[0][0].as_f64().is_some_and(|begin| begin < 0.1)
        && ranges[0][1].as_f64().is_some_and(|end| (3.9..4.2).contains(&end));
    // The test picture has hundreds of colours; what is not decoded has one.
    let is_shown = told["colours"].as_u64() > Some(100) && told["end"].as_f64() > Some(3.9);
    let size = (told["width"].as_u64(), told["height"].as_u64()) == (Some(320), Some(240));
    ensure(is_whole && is_shown && size, || format!("{name} in a media source: {told}"))
}

/// Players find their way by the index of an export, also where pictures are shown in another order than they
/// are decoded in.
fn found_by_the_index(clip: &Path, stage: &Stage) -> Outcome<()> {
    let begin = ffmpeg::first_picture_s(clip)?;
    for picture in [0u8, 1, 24, 25, 26, 37, 50, 74, 77, 99] {
        // FFmpeg takes the first picture at or behind a time.
        let at = begin + (f64::from(picture) - 0.5) * 0.04;
        let shown = ffmpeg::picture_sum_at(clip, at.max(0.0))?;
        ensure(shown.as_ref() == stage.sums.get(usize::from(picture)), || {
            let is = stage.sums.iter().position(|sum| Some(sum) == shown.as_ref());
            format!("{} at {at} s: picture {is:?}, expected {picture}", clip.display())
        })?;
    }
    Ok(())
}
