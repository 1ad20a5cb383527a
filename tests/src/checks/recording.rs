//! What is recorded, while the recorder dies at any instant, with the ingest of a camera beside it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use super::kills::told_with;
use super::rings::tests_with;
use super::{LIVE, SIZE};
use crate::processes::{self, Pauses};
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, recordings};

/// Kills fall anywhere within a group of pictures.
const PAUSE: Duration = Duration::from_millis(600);
/// From a restart to a second death that comes at once: into whatever a start does.
const SOON: Duration = Duration::from_millis(60);

/// Two cameras; `cam2` is the one whose ingest is killed too. The recorder stays away for a moment, in which
/// an ingest can come back before it.
const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}
  cam2: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop', restart: {delay: 0s, limit: none}}
  recorder:
    use: recorder
    in: [cam1.packets, cam2.packets]
    dir: '{dir}/recordings'
    segment: 10s
    restart: {delay: 0.2s, limit: none}
";

/// SIGKILLs the recorder so many times, at instants drawn from `seed`: each third time the ingest of a
/// camera with it, and each fourth time again as soon as it is back. Everything that was captured is in the
/// files, once, and nothing else; every file plays by itself.
pub fn the_recorder_is_killed_again_and_again(kills: u32, seed: u64) -> Outcome<Value> {
    let project = Project::new(TOPOLOGY)?;
    project.up()?;
    let rings = [Project::ring("cam1.packets")?, Project::ring("cam2.packets")?];
    let witness = Witness::start(project.name(), &rings);
    let mut pauses = Pauses::new(seed);
    let (mut done, mut with_ingest) = (0, 0);
    while done < kills {
        thread::sleep(pauses.below(PAUSE));
        if done % 3 == 2 {
            with_ingest += 1;
            let ingest = project.pid("cam2")?;
            kill(&project)?;
            processes::signal(ingest, Signal::SIGKILL);
            project.wait_restarted("cam2", ingest)?;
        } else {
            kill(&project)?;
        }
        done += 1;
        if done % 4 == 0 && done < kills {
            thread::sleep(pauses.below(SOON));
            kill(&project)?;
            done += 1;
        }
    }
    let restarts = project.worker("recorder")?.restarts;
    project.down()?;
    let published = witness.finish();
    let mut figures = Map::from_iter([
        ("kills".to_owned(), json!(done)),
        ("seed".to_owned(), json!(seed)),
        ("ingest_killed_too".to_owned(), json!(with_ingest)),
    ]);
    ensure(restarts == u64::from(done), || format!("{done} kills, {restarts} restarts"))?;
    let balance = told_with(seed, recordings::balance(&project.recordings(), &published))?;
    let (mut foreign, mut files, mut pictures) = (0, 0, 0);
    for (ring, captured) in published.packets()? {
        let recorded = recordings::packets(&project.recordings(), ring.camera())?;
        // What the recorder had seen before the witness came is no stranger.
        let first = captured.first().copied().unwrap_or_default();
        foreign += recorded.iter().filter(|id| **id >= first && !captured.contains(id)).count();
        let (own_files, own_pictures) =
            told_with(seed, every_file_plays(&project.recordings(), ring.camera()))?;
        files += own_files;
        pictures += own_pictures;
    }
    ensure(balance.lost == 0 && balance.captured > 0 && foreign == 0, || {
        format!("{balance:?}, {foreign} that nobody captured (seed {seed})")
    })?;
    let (camera, modulo) = LIVE;
    let run =
        ffmpeg::run_of_files(&recordings::files(&project.recordings(), camera)?, SIZE, modulo)?;
    ensure(run.is_exact(), || format!("{camera}: frame numbers: {run:?} (seed {seed})"))?;
    figures.extend([
        ("packets_captured".to_owned(), json!(balance.captured)),
        ("packets_missing".to_owned(), json!(balance.lost)),
        // Reading fails at the first one.
        ("packets_doubled".to_owned(), json!(0)),
        ("files".to_owned(), json!(files)),
        ("pictures_decoded".to_owned(), json!(pictures)),
        ("frame_numbers".to_owned(), json!([run.first, run.last])),
    ]);
    Ok(Value::Object(figures))
}

/// Kills the recorder that runs, and waits until the next one does.
fn kill(project: &Project) -> Outcome<()> {
    let pid = project.pid("recorder")?;
    processes::signal(pid, Signal::SIGKILL);
    project.wait_restarted("recorder", pid).map(drop)
}

/// Each file by itself: ffmpeg has nothing to complain of and decodes as many pictures as the file says it
/// has. How many files and pictures there were.
pub fn every_file_plays(recordings: &Path, camera: &str) -> Outcome<(usize, usize)> {
    let files = recordings::files(recordings, camera)?;
    let mut pictures = 0;
    for path in &files {
        let name = path.display().to_string();
        let said = ffmpeg::complaints(&["-i", &name])?;
        ensure(said.is_empty(), || format!("{name}: {said}"))?;
        let decoded = ffmpeg::codes(&["-i", &name], SIZE.0, SIZE.1)?.len();
        let recorded: usize =
            scanned(path)?.fragments.iter().map(|f| f.origin.recorded().count()).sum();
        ensure(decoded == recorded, || format!("{name}: {decoded} pictures of {recorded}"))?;
        pictures += decoded;
    }
    Ok((files.len(), pictures))
}

fn scanned(path: &Path) -> Outcome<fmp4::Scan> {
    let mut file = File::open(path).map_err(Failure::new)?;
    fmp4::scan(&mut file).map_err(|error| Failure(format!("{}: {error}", path.display())))
}

/// Recorded in files of `segment`: decoded one after the other they have every picture once, each begins with
/// a key frame, and with the packet behind the last of the one before.
pub fn files_follow_on(seconds: u64, segment: u64) -> Outcome<Value> {
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings', segment: {segment}s}}
"
    ))?;
    project.up()?;
    let ring = Project::ring("cam1.packets")?;
    let witness = Witness::start(project.name(), std::slice::from_ref(&ring));
    thread::sleep(Duration::from_secs(seconds));
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
    let files = recordings::files(&project.recordings(), "cam1")?;
    // One more at most on either side: cut by the clock, at any phase.
    ensure(files.len() as u64 >= seconds / segment, || {
        format!("{} files of {segment} s in {seconds} s", files.len())
    })?;
    let mut before: Option<(PathBuf, u64)> = None;
    for path in &files {
        let scan = scanned(path)?;
        let (Some(first), Some(last)) = (scan.fragments.first(), scan.fragments.last()) else {
            return Err(Failure(format!("{} holds nothing", path.display())));
        };
        ensure(scan.damage.is_none(), || format!("{}: {:?}", path.display(), scan.damage))?;
        ensure(first.begins_with_key(&scan.tracks), || {
            format!("{} begins without a key frame", path.display())
        })?;
        if let Some((other, end)) = &before {
            ensure(first.origin.first == end + 1, || {
                let (path, other) = (path.display(), other.display());
                format!("{path} begins with {}, {other} ends with {end}", first.origin.first)
            })?;
        }
        before = Some((path.clone(), last.origin.last()));
    }
    let run = ffmpeg::run_of_files(&files, SIZE, None)?;
    ensure(run.is_exact(), || format!("frame numbers: {run:?}"))?;
    Ok(json!({ "seconds": seconds, "files": files.len(), "pictures": run.pictures,
        "packets_captured": balance.captured, "packets_lost": balance.lost }))
}

/// So many power cuts of a disk that is recorded to: see `power_cuts.rs` among the recorder's tests.
pub fn power_cuts(cuts: u32) -> Outcome<Value> {
    let count = cuts.to_string();
    let environment = [("FRAMEVISOR_POWER_CUTS", count.as_str())];
    let said = tests_with("recorder", "recording", &["power_cuts::"], &environment)?;
    if let Some(why) = said.lines().find_map(|line| line.split("skipped: ").nth(1)) {
        return Ok(json!({ "skipped": why }));
    }
    let words = said.split_ascii_whitespace();
    let figures = words.filter_map(|word| {
        let (name, figure) = word.split_once('=')?;
        let figure: u64 = figure.parse().ok()?;
        ["power_cuts", "worst_lost_packets", "allowed_packets"]
            .contains(&name)
            .then(|| (name.to_owned(), json!(figure)))
    });
    let figures: Map<String, Value> = figures.collect();
    ensure(figures.len() == 3, || format!("the test of power cuts said {said}"))?;
    Ok(Value::Object(figures))
}
