//! Every codec on its way through the whole system: a file made by ffmpeg, ingest, recorder, export, replay. What
//! comes out is decoded by ffmpeg, and each picture is the one that went in.

use std::path::PathBuf;

use serde_json::{Value, json};
use tests::project::Project;
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
}

const SOURCES: [Source; 6] = [
    Source {
        camera: "mjpeg",
        ending: "mov",
        encoders: &[&["mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p"]],
        sound: &[],
        in_ts: false,
    },
    Source {
        camera: "vp9",
        ending: "webm",
        encoders: &[&["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"]],
        sound: &["libopus", "-b:a", "64k"],
        in_ts: false,
    },
    Source {
        camera: "av1",
        ending: "mkv",
        encoders: &[&["libsvtav1", "-preset", "12"], &["libaom-av1", "-cpu-used", "8"]],
        sound: &[],
        in_ts: false,
    },
    Source {
        camera: "av1-mp4",
        ending: "mp4",
        encoders: &[&["libaom-av1", "-cpu-used", "8"], &["libsvtav1", "-preset", "12"]],
        sound: &["aac"],
        in_ts: false,
    },
    // Pictures that are shown in another order than they are decoded in.
    Source {
        camera: "h264",
        ending: "mp4",
        encoders: &[&["libx264", "-preset", "ultrafast", "-bf", "3", "-sc_threshold", "0"]],
        sound: &["aac"],
        in_ts: true,
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
    },
];

impl Source {
    /// Its file, or `None` where ffmpeg has no encoder for it.
    fn make(&self, project: &Project) -> Outcome<Option<PathBuf>> {
        let Some(encoder) = self.encoders.iter().find(|of| ffmpeg::has_encoder(of[0])) else {
            println!("skipped {}: ffmpeg has no encoder for it", self.camera);
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
fn every_codec_is_recorded_exported_and_replayed_picture_by_picture() {
    holds(|| {
        let (project, stages) = recorded()?;
        for stage in &stages {
            let camera = stage.source.camera;
            let packets = recordings::packets(&project.recordings(), camera)?.len();
            let expected = ffmpeg::packets(&stage.file)?;
            ensure(packets == expected, || format!("{camera}: {packets} of {expected} packets"))?;
            let files = recordings::files(&project.recordings(), camera)?;
            same("as recorded", &sums_of(&files)?, stage)?;
            verified(&project, camera, packets)?;
            exported(&project, stage)?;
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

fn exported(project: &Project, stage: &Stage) -> Outcome<()> {
    let camera = stage.source.camera;
    for format in ["mp4", "mkv", "ts"] {
        let file = project.dir().join(format!("{camera}-clip.{format}"));
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
