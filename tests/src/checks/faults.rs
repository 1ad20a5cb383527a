//! Faults a pipeline must survive, put into a real one.

use std::fs;
use std::thread;
use std::time::Duration;

use protocol::control::env;
use protocol::name::RingKind;
use serde_json::{Value, json};

use super::{RESTART_AT_ONCE, SIZE};
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, recordings, wait_for};

/// The packet that kills: behind some others in its group, and long before the next one.
const POISON: u64 = 40;

/// A packet that aborts the decoder whenever it takes it is passed over after the second death, and kept
/// with its group of pictures as a file that another decoder opens.
pub fn a_packet_that_kills_is_passed_over_and_kept() -> Outcome<Value> {
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=250&mode=live'}}
  cam1-decoder: {{use: decoder, in: cam1.packets{RESTART_AT_ONCE}}}
  motion: {{use: motion, in: cam1.frames}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings'}}
"
    ))?;
    let mut up = project.command(&["up", "-d"]);
    let status = up.env(env::DRILL_ABORT, format!("cam1-decoder:{POISON}")).status();
    ensure(status.as_ref().is_ok_and(|status| status.success()), || format!("up: {status:?}"))?;
    let packets = Project::ring("cam1.packets")?;
    let witness = Witness::start(project.name(), std::slice::from_ref(&packets));
    let passed_over = || {
        let why = project.succeed(&["why", "cam1-decoder", "-o", "json"]).ok()?;
        let why: Value = serde_json::from_str(&why).ok()?;
        let list = why["passed_over"].as_array()?.clone();
        (!list.is_empty()).then_some(list)
    };
    let (list, _) = wait_for(60, "the packet to be passed over", passed_over)?;
    ensure(list.len() == 1 && list[0]["sequence"] == POISON, || format!("passed over: {list:?}"))?;
    let deaths = project.worker("cam1-decoder")?.restarts;
    ensure(deaths == 2, || format!("{deaths} deaths, expected 2"))?;
    let file = kept_file(&project)?;
    let kept = ffmpeg::codes(&["-f", "h264", "-i", &file], SIZE.0, SIZE.1)?.len() as u64;
    ensure(kept == POISON, || format!("{file} holds {kept} pictures, expected {POISON}"))?;
    let before = project.heads(RingKind::Frames);
    wait_for(60, "pictures behind it", || {
        (project.heads(RingKind::Frames) != before).then_some(())
    })?;
    thread::sleep(Duration::from_secs(1));
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0, || format!("packets lost: {balance:?}"))?;
    Ok(json!({ "deaths": deaths, "passed_over": list.len(), "pictures_kept": kept,
        "packets": balance.captured, "lost": balance.lost }))
}

/// The packet's file; it is written once the decoder comes to the packet for the third time.
fn kept_file(project: &Project) -> Outcome<String> {
    let folder =
        project.dir().join(format!("state/framevisor/{}/quarantine/cam1-decoder", project.name()));
    let find = || {
        let entries = fs::read_dir(&folder).ok()?.filter_map(Result::ok);
        let paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        // The facts are written last.
        paths.iter().find(|path| path.extension().is_some_and(|end| end == "json"))?;
        paths.iter().find(|path| path.extension().is_some_and(|end| end == "h264")).cloned()
    };
    let (path, _) = wait_for(60, "the packet's file", find)?;
    path.to_str().map(str::to_owned).ok_or_else(|| Failure::new("a path that is no text"))
}
