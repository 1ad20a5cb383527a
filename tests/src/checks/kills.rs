//! Workers killed at random instants: nothing captured is lost, and each is back at once.

use std::time::Duration;
use std::{fs, thread};

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::{Value, json};

use super::{LOOP_PICTURES, RESTART_AT_ONCE, SIZE, two_cameras};
use crate::processes::{self, Pauses};
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, recordings, wait_for};

/// Pictures that a fragment may lack: a group of pictures or a second, 25 here.
const FRAGMENT_PICTURES: u64 = 25;
/// Pictures that ingest may still publish while the recorder is dead or behind: it is killed first,
/// or a busy machine lets it wait. 0.4 s; a second fragment lost would be 25.
const DYING_PICTURES: u64 = 10;
/// Kills fall anywhere within a group of pictures.
const PAUSE: Duration = Duration::from_millis(600);

/// SIGKILLs each of `victims` so many times, at instants drawn from `seed`. How soon they are back
/// is a figure of the answer, and no promise: that is the machine's speed too.
pub fn recording_survives(victims: &[(&str, u32)], seed: u64) -> Outcome<Value> {
    let running = two_cameras(RESTART_AT_ONCE)?;
    let project = &running.project;
    project.up()?;
    let rings = [Project::ring("cam1.packets")?, Project::ring("cam2.packets")?];
    let witness = Witness::start(project.name(), &rings);
    let mut pauses = Pauses::new(seed);
    let mut ready_ms = Vec::new();
    let most = victims.iter().map(|(_, kills)| *kills).max().unwrap_or(0);
    for round in 0..most {
        for (victim, _) in victims.iter().filter(|(_, kills)| round < *kills) {
            thread::sleep(pauses.below(PAUSE));
            ready_ms.push(kill_and_wait(project, victim)?);
        }
    }
    for (victim, kills) in victims {
        let status = project.worker(victim)?;
        ensure(
            status.restarts == u64::from(*kills) && status.last_exit.contains("SIGKILL"),
            || {
                format!(
                    "ps shows {victim} with {} restarts and '{}'",
                    status.restarts, status.last_exit
                )
            },
        )?;
    }
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0, || format!("packets lost (seed {seed}): {balance:?}"))?;
    for (camera, modulo) in [("cam1", None), ("cam2", Some(LOOP_PICTURES))] {
        let files = recordings::files(&project.recordings(), camera)?;
        let run = ffmpeg::run_of_files(&files, SIZE, modulo)?;
        ensure(run.is_exact(), || format!("{camera}: holes after kills (seed {seed}): {run:?}"))?;
    }
    let (median, worst) = median_and_worst(&mut ready_ms);
    Ok(json!({
        "kills": ready_ms.len(),
        "seed": seed,
        "packets_captured": balance.captured,
        "packets_lost": balance.lost,
        "kill_to_ready_ms_p50": median.round(),
        "kill_to_ready_ms_worst": worst.round(),
    }))
}

fn kill_and_wait(project: &Project, victim: &str) -> Outcome<f64> {
    let pid = project.pid(victim)?;
    processes::signal(pid, Signal::SIGKILL);
    let status = project.wait_restarted(victim, pid)?;
    status.restart_ms.ok_or_else(|| Failure(format!("ps has no restart time for {victim}")))
}

fn median_and_worst(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::INFINITY);
    (at(values.len() / 2), at(values.len().saturating_sub(1)))
}

/// The default policy: the fifth death within a minute holds the worker, and nothing else stops.
pub fn the_fifth_death_holds() -> Outcome<Value> {
    let topology = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  broken: {run: [sh, -c, 'exit 7']}
";
    let project = Project::new(topology)?;
    project.succeed(&["up", "-d"])?;
    let held = || project.worker("broken").ok().filter(|status| status.state == WorkerState::Held);
    let (status, took) = wait_for(30, "the broken worker to be held", held)?;
    ensure(status.restarts == 4, || {
        format!("held after {} restarts, expected 4 (five deaths)", status.restarts)
    })?;
    ensure(status.why.contains("exit 7"), || format!("ps says why: '{}'", status.why))?;
    let camera = project.worker("cam1")?;
    ensure(camera.restarts == 0 && camera.pid.is_some(), || "the camera was disturbed".into())?;
    project.down()?;
    Ok(json!({ "deaths": 5, "held_after_ms": took.as_millis(), "why": status.why }))
}

/// SIGKILL of the supervisor: nothing it started lives on, and the files play. How long the last of
/// them lived is a figure of the answer.
pub fn the_supervisor_takes_all_with_it(seconds: u64) -> Outcome<Value> {
    let topology = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  recorder: {use: recorder, in: cam1.packets, dir: '{dir}/recordings'}
  family: {run: [sh, -c, 'setsid sleep 1000 & echo $! > {dir}/grandchild; exec sleep 1000']}
";
    let project = Project::new(topology)?;
    project.up()?;
    let ring = Project::ring("cam1.packets")?;
    let witness = Witness::start(project.name(), std::slice::from_ref(&ring));
    let grandchild =
        || fs::read_to_string(project.dir().join("grandchild")).ok()?.trim().parse::<u32>().ok();
    let (grandchild, _) = wait_for(5, "the grandchild's pid", grandchild)?;
    thread::sleep(Duration::from_secs(seconds));
    ensure(processes::is_alive(grandchild), || "the grandchild was gone before".into())?;
    processes::signal(project.supervisor_pid()?, Signal::SIGKILL);
    let gone = || {
        let left = processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
        (left.is_empty() && !processes::is_alive(grandchild)).then_some(())
    };
    let ((), took) = wait_for(20, "every worker and grandchild to end", gone)?;
    let captured = witness.finish().packets()?[&ring].len() as u64;
    let pictures = pictures_after_kill(&project, captured)?;
    project.up().map_err(|failure| Failure(format!("the next up: {failure}")))?;
    project.down()?;
    Ok(
        json!({ "all_ended_ms": took.as_millis(), "packets_captured": captured, "pictures_in_files": pictures }),
    )
}

fn pictures_after_kill(project: &Project, captured: u64) -> Outcome<u64> {
    let files = recordings::files(&project.recordings(), "cam1")?;
    let run = ffmpeg::run_of_files(&files, SIZE, None)?;
    ensure(run.is_exact(), || format!("holes after SIGKILL of the supervisor: {run:?}"))?;
    ensure(run.pictures + FRAGMENT_PICTURES + DYING_PICTURES >= captured, || {
        format!(
            "{} pictures of {captured} captured: more than one fragment is missing",
            run.pictures
        )
    })?;
    Ok(run.pictures)
}
