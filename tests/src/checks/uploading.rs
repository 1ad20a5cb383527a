//! Recordings in a store: it may be away, slow or in trouble, the uploader may be killed at any moment, and each
//! file is there once, byte for byte, while recording notices nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::{Value, json};

use crate::processes::{self, Pauses};
use crate::project::Project;
use crate::store::{Mood, Store};
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, recordings, wait_for};

/// A file that goes in parts: more than two of 8 MiB.
const LARGE_BYTES: usize = 20 << 20;

/// A camera whose recordings are uploaded; `more` are further keys of the uploader.
pub fn project(store: &Store, more: &str) -> Outcome<Project> {
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings', segment: 2s}}
  upload:
    {{use: uploader, dir: '{{dir}}/recordings', {keys}, restart: {{delay: 0s, limit: none}}{more}}}
",
        keys = store.keys(),
    ))?;
    give_credential(&project)?;
    Ok(project)
}

/// What `${cred:store}` names.
pub fn give_credential(project: &Project) -> Outcome<()> {
    let folder = project.dir().join("credentials");
    fs::create_dir(&folder).map_err(Failure::new)?;
    let path = folder.join("store");
    fs::write(&path, Store::credential()).map_err(Failure::new)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(Failure::new)
}

/// What the uploader says of itself.
pub fn status(project: &Project) -> Outcome<Value> {
    let text = project.succeed(&["send", "upload", "\"status\""])?;
    serde_json::from_str(&text).map_err(|error| Failure(format!("{text}: {error}")))
}

/// Until this uploader says that; all that it says.
pub fn wait_degraded(project: &Project, worker: &str, words: &str) -> Outcome<String> {
    let told = || {
        let status = project.worker(worker).ok()?;
        let is_told = status.state == WorkerState::Degraded && status.why.contains(words);
        is_told.then_some(status.why)
    };
    Ok(wait_for(120, &format!("{worker} to say '{words}'"), told)?.0)
}

/// Until so many files are in the store.
fn wait_stored(store: &Store, files: usize) -> Outcome<()> {
    wait_for(120, &format!("{files} files in the store"), || (store.count() >= files).then_some(()))
        .map(drop)
}

/// Each object is what its file is, was written once, and nothing was begun and left, or refused. How many.
fn every_object_is_its_file(project: &Project, store: &Store) -> Outcome<usize> {
    let objects = store.objects();
    for (key, object) in &objects {
        let path = key.strip_prefix("site1/").ok_or_else(|| Failure(format!("a key {key}")))?;
        let file = fs::read(project.recordings().join(path)).map_err(Failure::new)?;
        ensure(file == object.bytes, || format!("{key} is not its file"))?;
        ensure(object.writes == 1, || format!("{key} was written {} times", object.writes))?;
    }
    let refused = store.refused();
    ensure(refused.is_empty(), || format!("the store refused {refused:?}"))?;
    wait_for(60, "parts that were begun to be given up", || {
        (store.unfinished() == 0).then_some(())
    })?;
    Ok(objects.len())
}

/// The store is away for a while, and then in trouble of other kinds: that is told, recording is exact, and what
/// has piled up goes out by itself. Its key may not list.
pub fn the_store_is_away(seconds: u64) -> Outcome<Value> {
    let store = Store::start()?;
    store.set(Mood::Discreet)?;
    let project = project(&store, "")?;
    project.up()?;
    let witness = Witness::start(project.name(), &[Project::ring("cam1.packets")?]);
    wait_stored(&store, 1)?;
    store.set(Mood::Away)?;
    let told = wait_degraded(&project, "upload", "connection refused")?;
    thread::sleep(Duration::from_secs(seconds));
    let behind = status(&project)?;
    // A recorder that waits for a busy disk says so for a while.
    let runs = || (project.worker("recorder").ok()?.state == WorkerState::Running).then_some(());
    wait_for(60, "the recorder to run", runs)?;
    for (mood, words) in [(Mood::Busy, "503"), (Mood::Cutting, "the connection broke")] {
        store.set(mood)?;
        wait_degraded(&project, "upload", words)?;
    }
    store.set(Mood::Well)?;
    let waiting = behind["backlog"]["files"].as_u64().unwrap_or(0);
    let drained = || {
        let now = status(&project).ok()?;
        let is_well = now["trouble"].is_null() && now["backlog"]["files"] == 0;
        (is_well && now["files_sent"].as_u64()? >= waiting).then_some(now)
    };
    let (after, took) = wait_for(180, "the backlog to drain", drained)?;
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
    let stored = every_object_is_its_file(&project, &store)?;
    Ok(json!({ "seconds_away": seconds, "ps_said": told, "backlog_then": behind["backlog"],
        "files_sent": after["files_sent"], "objects": stored, "drained_s": took.as_secs_f64(),
        "packets_captured": balance.captured, "packets_lost": balance.lost }))
}

/// The uploader is killed again and again while it works off small and large files: none is missing and none is
/// there twice.
pub fn the_uploader_is_killed_again_and_again(kills: u32, seed: u64) -> Outcome<Value> {
    let store = Store::start()?;
    let project = project(&store, ", parallel: 2")?;
    let files = old_recordings(&project.recordings(), 30, 4)?;
    store.set(Mood::Slow(Duration::from_millis(60)))?;
    project.up()?;
    let mut pauses = Pauses::new(seed);
    for _ in 0..kills {
        let pid = project.pid("upload")?;
        thread::sleep(pauses.below(Duration::from_millis(2500)));
        processes::signal(pid, Signal::SIGKILL);
        project.wait_restarted("upload", pid)?;
    }
    let at_the_last_kill = store.count();
    store.set(Mood::Well)?;
    let old =
        |store: &Store| store.objects().keys().filter(|key| key.starts_with("site1/old/")).count();
    wait_for(180, "all files in the store", || (old(&store) == files).then_some(()))?;
    let stored = every_object_is_its_file(&project, &store)?;
    let noted = recordings_noted(&project.recordings().join("old"))?;
    ensure(noted == files, || format!("{noted} of {files} files are noted as uploaded"))?;
    project.down()?;
    Ok(json!({ "kills": kills, "seed": seed, "files": files, "objects": stored,
        "objects_at_the_last_kill": at_the_last_kill }))
}

fn recordings_noted(folder: &Path) -> Outcome<usize> {
    Ok(::recordings::uploads(folder).map_err(Failure::new)?.len())
}

/// A camera's folder of an earlier day; how many files. What is in them is nothing to the uploader.
fn old_recordings(recordings: &Path, small: usize, large: usize) -> Outcome<usize> {
    let folder = recordings.join("old");
    fs::create_dir_all(&folder).map_err(Failure::new)?;
    for number in 1..=small + large {
        // Large ones among the small ones.
        let is_large = number % ((small + large) / large.max(1)) == 1;
        let bytes = if is_large { LARGE_BYTES } else { 10_000 + number };
        let mut random = number as u64;
        let content: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        })
        .take(bytes)
        .collect();
        let name = format!("20261120T13{:02}00.000Z-{number:08}.mp4", number % 60);
        let path = folder.join(name);
        fs::write(&path, content).map_err(Failure::new)?;
        // No recorder comes back to what is so old.
        let file = fs::File::options().write(true).open(path).map_err(Failure::new)?;
        file.set_modified(UNIX_EPOCH).map_err(Failure::new)?;
    }
    Ok(small + large)
}
