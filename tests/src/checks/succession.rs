//! One supervisor after another: by an upgrade, or because it was killed. What is captured and recorded
//! meanwhile has no hole, and nobody is there twice.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::{Value, json};

use super::{SIZE, two_cameras};
use crate::framecode::Run;
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, processes, recordings, wait_for};

/// Pid and restarts of each worker.
fn processes_of(project: &Project) -> Outcome<Vec<(String, Option<u32>, u64)>> {
    let row = |worker: protocol::admin::WorkerStatus| {
        (worker.name.to_string(), worker.pid, worker.restarts)
    };
    Ok(project.ps()?.into_iter().map(row).collect())
}

/// Upgrades in a row under load: no process is another, no packet is missing, and who watches over RTSP
/// sees every picture.
pub fn upgrades_are_not_noticed(upgrades: u32) -> Outcome<Value> {
    let running = two_cameras("")?;
    let project = &running.project;
    project.up()?;
    let rings = [Project::ring("cam1.packets")?, Project::ring("cam2.packets")?];
    let witness = Witness::start(project.name(), &rings);
    let before = processes_of(project)?;
    let seconds = (2 * upgrades + 2).to_string();
    let url = running.rtsp_url("cam1");
    let watcher = thread::spawn(move || {
        ffmpeg::codes(&["-rtsp_transport", "tcp", "-i", &url, "-t", &seconds], SIZE.0, SIZE.1)
    });
    let supervisor = project.supervisor_pid()?;
    for upgrade in 0..upgrades {
        thread::sleep(Duration::from_secs(1));
        project.succeed(&["upgrade"])?;
        let after = processes_of(project)?;
        ensure(after == before, || format!("after upgrade {upgrade}: {after:?}, were {before:?}"))?;
    }
    ensure(project.supervisor_pid()? == supervisor, || "the supervisor has another pid".into())?;
    let codes = watcher.join().map_err(|_| Failure::new("the watcher panicked"))??;
    let seen = Run::of(&codes, None);
    ensure(seen.is_exact(), || format!("frame numbers over RTSP: {seen:?}"))?;
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0, || format!("packets lost: {balance:?}"))?;
    Ok(json!({ "upgrades": upgrades, "restarts": 0, "pictures_watched": seen.pictures,
        "packets": balance.captured, "lost": balance.lost }))
}

fn adoptable(within: &str) -> Outcome<Project> {
    Project::new(&format!(
        "version: 1
supervisor: {{on_death: adopt, adopt_within: {within}}}
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  cam1-decoder: {{use: decoder, in: cam1.packets}}
  motion: {{use: motion, in: cam1.frames}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings'}}
  rtsp: {{use: rtsp, in: cam1.packets, listen: '127.0.0.1:0'}}
  family: {{run: [sh, -c, 'setsid sleep 1000 & exec sleep 1000']}}
"
    ))
}

/// The guard knows that they may live on.
fn wait_for_heirs(project: &Project) -> Outcome<()> {
    let heirs = || {
        let rows: Value =
            serde_json::from_str(&project.succeed(&["ps", "-o", "json"]).ok()?).ok()?;
        let outlives = |name: &str| {
            rows.as_array()?.iter().find(|row| row["name"] == name)?["outlives"].as_bool()
        };
        (outlives("cam1") == Some(true) && outlives("recorder") == Some(true)).then_some(())
    };
    wait_for(60, "ingest and recorder to be able to live on", heirs).map(drop)
}

/// A supervisor other than `before` answers, and every worker is up.
fn wait_for_next(project: &Project, before: u32) -> Outcome<Duration> {
    let is_next = || {
        let is_up = |worker: &protocol::admin::WorkerStatus| {
            matches!(worker.state, WorkerState::Ready | WorkerState::Running)
        };
        let next = project.supervisor_pid().ok().filter(|pid| *pid != before)?;
        let all_up = processes::is_alive(next) && project.ps().ok()?.iter().all(is_up);
        all_up.then_some(())
    };
    Ok(wait_for(60, "another supervisor with every worker up", is_next)?.1)
}

fn only_one_each(project: &Project) -> Outcome<()> {
    for worker in ["cam1", "recorder", "cam1-decoder", "motion", "rtsp"] {
        let named = processes::with_environment("FRAMEVISOR_WORKER", worker);
        let mut own = processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
        own.retain(|pid| named.contains(pid));
        ensure(own.len() == 1, || format!("{worker} runs as {own:?}: expected one process"))?;
    }
    Ok(())
}

/// SIGKILL of the supervisor, again and again: ingest and recorder keep their processes and record without a
/// hole, the others are started again, and the adopted can be killed, restarted and stopped as any other.
pub fn the_adopted_go_on(kills: u32) -> Outcome<Value> {
    let project = adoptable("30s")?;
    project.up()?;
    wait_for_heirs(&project)?;
    let ring = Project::ring("cam1.packets")?;
    let witness = Witness::start(project.name(), std::slice::from_ref(&ring));
    let (cam1, recorder) = (project.pid("cam1")?, project.pid("recorder")?);
    let family = project.pid("family")?;
    let mut adopted_ms = Vec::new();
    for _ in 0..kills {
        thread::sleep(Duration::from_secs(1));
        let supervisor = project.supervisor_pid()?;
        processes::signal(supervisor, Signal::SIGKILL);
        adopted_ms.push(wait_for_next(&project, supervisor)?.as_millis());
        only_one_each(&project)?;
        let now = (project.pid("cam1")?, project.pid("recorder")?);
        ensure(now == (cam1, recorder), || format!("adopted {now:?}: were {cam1}, {recorder}"))?;
        ensure(project.worker("cam1")?.restarts == 0, || "cam1 was started again".into())?;
        wait_for_heirs(&project)?;
    }
    ensure(!processes::is_alive(family), || "a command of the killed supervisor lives".into())?;
    let decoder = project.worker("cam1-decoder")?.restarts;
    ensure(decoder == u64::from(kills), || format!("the decoder has {decoder} restarts"))?;
    // An upgrade of a supervisor that has adopted keeps them too.
    project.succeed(&["upgrade"])?;
    ensure(project.pid("recorder")? == recorder, || "the recorder was started again".into())?;
    // The guard tells how an adopted one has died.
    processes::signal(recorder, Signal::SIGKILL);
    let status = project.wait_restarted("recorder", recorder)?;
    ensure(status.last_exit == "SIGKILL", || format!("its last exit is '{}'", status.last_exit))?;
    thread::sleep(Duration::from_secs(1));
    project.down()?;
    let gone = || {
        let left = processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
        left.is_empty().then_some(())
    };
    wait_for(60, "everything to end", gone)?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0, || format!("packets lost: {balance:?}"))?;
    let files = recordings::files(&project.recordings(), "cam1")?;
    let run = ffmpeg::run_of_files(&files, SIZE, None)?;
    ensure(run.is_exact(), || format!("holes in the recording: {run:?}"))?;
    Ok(json!({ "kills": kills, "all_up_again_ms": adopted_ms, "packets": balance.captured,
        "lost": balance.lost }))
}

/// Guard and supervisor killed at once: nobody is left to adopt them, and they end themselves.
pub fn who_is_not_adopted_ends() -> Outcome<Value> {
    let project = adoptable("6s")?;
    project.up()?;
    wait_for_heirs(&project)?;
    let (cam1, recorder) = (project.pid("cam1")?, project.pid("recorder")?);
    let (supervisor, guard) = (project.supervisor_pid()?, project.guard_pid()?);
    processes::signal(guard, Signal::SIGSTOP);
    processes::signal(supervisor, Signal::SIGKILL);
    processes::signal(guard, Signal::SIGKILL);
    thread::sleep(Duration::from_secs(1));
    let alive = processes::is_alive(cam1) && processes::is_alive(recorder);
    ensure(alive, || "they ended before their time".into())?;
    let gone = || (!processes::is_alive(cam1) && !processes::is_alive(recorder)).then_some(());
    let ((), took) = wait_for(60, "ingest and recorder to end themselves", gone)?;
    for pid in processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str()) {
        // What a command had put into a session of its own: docs/supervision.md says so.
        processes::signal(pid, Signal::SIGKILL);
    }
    let files = recordings::files(&project.recordings(), "cam1")?;
    let run = ffmpeg::run_of_files(&files, SIZE, None)?;
    ensure(run.is_exact() && run.pictures > 0, || format!("the recording: {run:?}"))?;
    project.up()?;
    project.down()?;
    Ok(json!({ "ended_after_ms": took.as_millis() + 1000, "pictures": run.pictures }))
}

/// The guard alone is killed, after an adoption: the supervisor ends everything, the adopted too.
pub fn the_end_of_the_guard_ends_the_adopted() -> Outcome<Value> {
    let project = adoptable("30s")?;
    project.up()?;
    wait_for_heirs(&project)?;
    let supervisor = project.supervisor_pid()?;
    processes::signal(supervisor, Signal::SIGKILL);
    wait_for_next(&project, supervisor)?;
    processes::signal(project.guard_pid()?, Signal::SIGKILL);
    let gone = || {
        let left = processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
        left.is_empty().then_some(())
    };
    let ((), took) = wait_for(60, "everything to end", gone)?;
    Ok(json!({ "all_ended_ms": took.as_millis() }))
}
