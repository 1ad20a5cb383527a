//! Sources of others, and what is in the decoded ring of each: every picture is whole and is the next one, by the
//! number that is painted into it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::admin::{WorkerState, WorkerStatus};
use serde_json::{Map, Value, json};

use super::evil;
use super::rtsp_clips::make_clip;
use crate::gateway::{Gateway, Line, Mood};
use crate::peer::{Peer, Served};
use crate::project::{Project, free_port};
use crate::watch::{Asked, DEEP, Watch, all_have_their_row};
use crate::{Failure, Outcome, ensure, ffmpeg, wait_for};

/// Of the clip that is played again and again; its group of pictures is a second, so it joins to itself.
const CLIP_S: u32 = 10;
const CLIP_PICTURES: u32 = CLIP_S * 25;
/// What a film is longer than what is looked at: a busy machine begins late, and begins anew after a loss.
const SLACK_S: u64 = 60;

/// How the clip is coded anew, and by which ways a camera sends it.
struct Coding {
    codec: &'static str,
    encoder: &'static str,
    options: &'static [&'static str],
    file: &'static str,
    transports: &'static [&'static str],
}

/// What our own RTSP client takes comes by both; the others come by FFmpeg's, over TCP. RTP carries JPEG with the
/// tables of its book alone (RFC 2435).
static CODINGS: [Coding; 4] = [
    Coding {
        codec: "h264",
        encoder: "libx264",
        options: &["-c:v", "copy"],
        file: "h264.mp4",
        transports: &["tcp", "udp"],
    },
    Coding {
        codec: "h265",
        encoder: "libx265",
        options: &[
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-crf",
            "28",
            "-x265-params",
            "log-level=error:bframes=0:keyint=25:min-keyint=25:scenecut=0",
        ],
        file: "h265.mp4",
        transports: &["tcp", "udp"],
    },
    Coding {
        codec: "mjpeg",
        encoder: "mjpeg",
        options: &[
            "-c:v",
            "mjpeg",
            "-pix_fmt",
            "yuvj420p",
            "-q:v",
            "8",
            "-huffman",
            "default",
            "-force_duplicated_matrix",
            "1",
        ],
        file: "mjpeg.mov",
        transports: &["tcp"],
    },
    Coding {
        codec: "mpeg4",
        encoder: "mpeg4",
        options: &[
            "-c:v",
            "mpeg4",
            "-bf",
            "0",
            "-g",
            "25",
            "-sc_threshold",
            "1000000000",
            "-q:v",
            "6",
        ],
        file: "mpeg4.mp4",
        transports: &["tcp"],
    },
];

/// The clip once, in this folder.
fn make_short(folder: &Path) -> Outcome<PathBuf> {
    let clip = folder.join("clip.mp4");
    make_clip(&clip, CLIP_S, 25)?;
    Ok(clip)
}

/// The clip so coded, and as often as it takes to be longer than what is looked at.
fn make_long(clip: &Path, coding: &Coding, seconds: u64) -> Outcome<PathBuf> {
    let name = |path: &Path| path.display().to_string();
    let (part, long) =
        (clip.with_file_name(format!("part-{}", coding.file)), clip.with_file_name(coding.file));
    let (from, to, all) = (name(clip), name(&part), name(&long));
    let words = [&["-i", from.as_str(), "-an"][..], coding.options, &[to.as_str()][..]].concat();
    ffmpeg::make(&words)?;
    let times = ((seconds + SLACK_S) / u64::from(CLIP_S)).to_string();
    ffmpeg::make(&["-stream_loop", &times, "-i", &to, "-c", "copy", &all])?;
    Ok(long)
}

/// I1: gst-rtsp-server is the camera, for each codec and each way.
pub fn a_camera_of_each_codec(seconds: u64) -> Outcome<Value> {
    let project = Project::new("version: 1\n")?;
    let clip = make_short(project.dir())?;
    let (mut peers, mut cameras, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for coding in &CODINGS {
        if !ffmpeg::has_encoder(coding.encoder) {
            left_out.push(coding.codec);
            continue;
        }
        let film = make_long(&clip, coding, seconds)?;
        let served = Served { file: Some(&film), codec: Some(coding.codec), ..Served::default() };
        for way in coding.transports {
            // Each has its own, for a film that two look at begins again for both when the second one comes.
            match Peer::gst(&served)? {
                Ok(peer) => {
                    cameras.push((coding.codec, *way, peer.url()));
                    peers.push(peer);
                }
                Err(why) => return Ok(json!({ "skipped": why })),
            }
        }
    }
    let workers = cameras.iter().map(|(codec, way, url)| {
        format!(
            "  {codec}-{way}: {{use: ingest, source: '{url}', transport: {way}}}
  {codec}-{way}-dec: {{use: decoder, in: {codec}-{way}.packets}}\n"
        )
    });
    let rings = cameras.iter().map(|(codec, way, _)| format!("{codec}-{way}"));
    project.write_topology(&format!(
        "version: 1\nworkers:\n{}{}",
        workers.collect::<String>(),
        deep(rings)
    ))?;
    project.succeed(&["up", "-d"])?;
    let asked = cameras.iter().map(|(codec, way, _)| (format!("{codec}-{way}"), *way == "udp"));
    let mut figures = watched(&project, asked.collect(), seconds)?;
    project.down()?;
    drop(peers);
    if !left_out.is_empty() {
        figures.insert("ffmpeg_cannot_make".into(), json!(left_out));
    }
    Ok(Value::Object(figures))
}

/// The lines that make the rings of these sources' pictures deep.
fn deep(sources: impl Iterator<Item = String>) -> String {
    let rings = sources.map(|name| format!("  {name}.frames: {DEEP}\n"));
    format!("rings:\n{}", rings.collect::<String>())
}

/// So many seconds of pictures of each source, of which those that are named so may lose some; how many, and how
/// often their row broke off.
fn watched(
    project: &Project,
    sources: Vec<(String, bool)>,
    seconds: u64,
) -> Outcome<Map<String, Value>> {
    let pictures = usize::try_from(seconds * super::FPS).map_err(Failure::new)?;
    let watch = |(name, may_lose): &(String, bool)| {
        let ring = format!("{name}.frames");
        let modulo = Some(CLIP_PICTURES);
        let may_lose = *may_lose;
        Watch::start(project, Asked { ring, modulo, may_lose, pictures, ..Asked::default() })
    };
    let watches = sources.iter().map(watch).collect::<Outcome<Vec<_>>>()?;
    all_have_their_row(&watches, seconds + SLACK_S)?;
    let told = sources.iter().zip(&watches).flat_map(|((name, may_lose), watch)| {
        let broken = may_lose.then(|| (format!("{name}_broken_off"), json!(watch.begun_anew())));
        [Some((name.clone(), json!(watch.row().len()))), broken].into_iter().flatten()
    });
    let mut figures: Map<String, Value> = told.collect();
    figures.insert("torn".into(), json!(0));
    Ok(figures)
}

/// A source that is no RTSP camera, and what sends to it.
struct Kind {
    name: &'static str,
    source: String,
    /// The film, and the options of what it is sent as.
    sent: Option<(&'static Coding, String)>,
    may_lose: bool,
}

fn kinds() -> Outcome<Vec<Kind>> {
    let [rtmp, srt, ts, http] = [free_port()?, free_port()?, free_port()?, free_port()?];
    let [h264, _, mjpeg, _] = &CODINGS;
    let sent = |name: &'static str, source: String, coding: &'static Coding, how: String| {
        let may_lose = matches!(name, "srt" | "ts");
        Kind { name, source, sent: Some((coding, how)), may_lose }
    };
    let mut kinds = vec![
        sent(
            "ts",
            format!("udp://127.0.0.1:{ts}"),
            h264,
            format!("-f, mpegts, 'udp://127.0.0.1:{ts}?pkt_size=1316'"),
        ),
        sent(
            "http",
            format!("http://127.0.0.1:{http}/cam"),
            mjpeg,
            format!(
                "-f, mpjpeg, -content_type, 'multipart/x-mixed-replace;boundary=ffmpeg', -listen, '1',
          'http://127.0.0.1:{http}/cam'"
            ),
        ),
        Kind { name: "file", source: "{dir}/clip.mp4".into(), sent: None, may_lose: false },
    ];
    if ffmpeg::has_protocol("rtmp") {
        let url = format!("rtmp://127.0.0.1:{rtmp}/live/cam");
        kinds.push(sent("rtmp", format!("{url}?mode=listener"), h264, format!("-f, flv, '{url}'")));
    }
    if ffmpeg::has_protocol("srt") {
        let url = format!("srt://127.0.0.1:{srt}");
        let how = format!("-f, mpegts, '{url}'");
        kinds.push(sent("srt", format!("{url}?mode=listener"), h264, how));
    }
    Ok(kinds)
}

/// Prints raw pictures; its ring needs no decoder.
const RAW: &str = "  raw:
    run: [ffmpeg, -nostdin, -v, error, -re, -i, '{dir}/h264.mp4', -f, rawvideo, -pix_fmt, yuv420p, '-']
    stdout: raw.frames
    raw: {format: yuv420p, size: 320x192, fps: 25}
";
/// Prints one picture of that size, and dies.
const DIES: &str = "  dies:
    run: [sh, -c, 'head -c 92160 /dev/zero; exit 7']
    stdout: dies.frames
    raw: {format: yuv420p, size: 320x192, fps: 25}
";

/// I6: RTMP, SRT, a transport stream by datagrams, JPEG over HTTP, a file again and again and a command's raw
/// pictures, all at once; then the command is stopped, and one that dies is told with its exit code.
pub fn a_source_of_each_kind(seconds: u64) -> Outcome<Value> {
    let project = Project::new("version: 1\n")?;
    let clip = make_short(project.dir())?;
    let [h264, _, mjpeg, _] = &CODINGS;
    for coding in [h264, mjpeg] {
        make_long(&clip, coding, seconds)?;
    }
    let kinds = kinds()?;
    let mut text = format!("version: 1\nworkers:\n{RAW}{DIES}");
    for Kind { name, source, sent, .. } in &kinds {
        text += &format!(
            "  {name}: {{use: ingest, source: '{source}'}}
  {name}-dec: {{use: decoder, in: {name}.packets}}\n"
        );
        if let Some((coding, how)) = sent {
            // Who connects to a source that is not there yet comes again.
            text += &format!(
                "  {name}-sender:
    run: [ffmpeg, -nostdin, -v, error, -re, -i, '{{dir}}/{}', -c, copy, {how}]
    restart: {{delay: 1s, limit: none}}\n",
                coding.file
            );
        }
    }
    let mut sources: Vec<(String, bool)> =
        kinds.iter().map(|kind| (kind.name.to_owned(), kind.may_lose)).collect();
    sources.push(("raw".to_owned(), false));
    text += &deep(sources.iter().map(|(name, _)| name.clone()));
    project.write_topology(&text)?;
    project.succeed(&["up", "-d"])?;
    let mut figures = watched(&project, sources, seconds)?;
    let told = a_death_is_told(&project)?;
    a_stop_is_clean(&project)?;
    project.down()?;
    figures.insert("command_that_died".into(), json!(told));
    let missing: Vec<_> =
        ["rtmp", "srt"].into_iter().filter(|name| !ffmpeg::has_protocol(name)).collect();
    if !missing.is_empty() {
        figures.insert("ffmpeg_has_no".into(), json!(missing));
    }
    Ok(Value::Object(figures))
}

fn a_death_is_told(project: &Project) -> Outcome<String> {
    let told = || {
        let WorkerStatus { why, last_exit, .. } = project.worker("dies/command").ok()?;
        [last_exit, why].into_iter().find(|words| words.contains("exit 7"))
    };
    Ok(wait_for(60, "the exit code of the command that died", told)?.0)
}

/// Both sides of the command end because they were asked to, and stay ended.
fn a_stop_is_clean(project: &Project) -> Outcome<()> {
    let parts = ["raw/command", "raw/pipe"];
    let rows = || parts.iter().map(|part| project.worker(part)).collect::<Outcome<Vec<_>>>();
    let before = rows()?;
    project.succeed(&["stop", "raw"])?;
    let are_stopped = || {
        let rows = rows().ok()?;
        rows.iter().all(|row| row.state == WorkerState::Stopped).then_some(rows)
    };
    let (after, _) = wait_for(60, "both sides of the command to be stopped", are_stopped)?;
    for (before, after) in before.iter().zip(&after) {
        let is_clean = after.pid.is_none() && after.restarts == before.restarts;
        ensure(is_clean, || format!("stopped: {after:?}"))?;
    }
    Ok(())
}

/// I2: a camera that refuses the password is told as such, and is left alone for a while.
pub fn a_wrong_password_is_told(seconds: u64) -> Outcome<Value> {
    // It says no by itself, with nobody behind it.
    let gateway = Gateway::open(1, Line::default(), Mood::Denies)?;
    let url = format!("rtsp://user:secret@127.0.0.1:{}/cam1", gateway.port());
    let project =
        Project::new(&format!("version: 1\nworkers:\n  cam1: {{use: ingest, source: '{url}'}}\n"))?;
    let began = shmring::clock::mono();
    project.succeed(&["up", "-d"])?;
    let told = || {
        let row = project.worker("cam1").ok()?;
        let is_told =
            row.state == WorkerState::Degraded && row.why.contains("user or password refused");
        is_told.then_some(row.why)
    };
    let (why, _) = wait_for(60, "the refused password to be told", told)?;
    let told_s = super::ms_since(began) / 1000.0;
    ensure(!why.contains("secret"), || format!("the password is shown: {why}"))?;
    std::thread::sleep(Duration::from_secs(seconds));
    let mut figures = evil::passwords(&gateway)?;
    project.down()?;
    figures.insert("told_s".into(), json!(told_s));
    Ok(Value::Object(figures))
}
