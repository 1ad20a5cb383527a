//! Workers killed at random instants: nothing captured is lost, and each is back at once.

use std::time::Duration;
use std::{fs, thread};

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use super::{LIVE, LOOPED, RESTART_AT_ONCE, SIZE, Watched, median_and_worst, ring_now};
use crate::processes::{self, Pauses};
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, recordings, wait_for};

/// Pictures that a fragment may lack: a group of pictures or a second, 25 here.
const FRAGMENT_PICTURES: u64 = 25;
/// Pictures that ingest may still publish while the recorder is dead or behind: it is killed first,
/// or a busy machine lets it wait. 0.96 s; a second fragment lost would be 25.
const DYING_PICTURES: u64 = 24;
/// Kills fall anywhere within a group of pictures.
const PAUSE: Duration = Duration::from_millis(600);

/// SIGKILLs each of `victims` so many times, at instants drawn from `seed`. How soon they are back
/// is a figure of the answer, and no promise: that is the machine's speed too.
pub fn recording_survives(victims: &[(&str, u32)], seed: u64) -> Outcome<Value> {
    let watched = Watched::start(RESTART_AT_ONCE)?;
    let mut figures = kill_all(watched.project(), victims, seed, |_, _| Ok(()))?;
    told_with(seed, watched.finish(&[LIVE, LOOPED]))?.tell(&mut figures);
    Ok(Value::Object(figures))
}

/// A failure can be tried again with the seed it came from.
pub(super) fn told_with<T>(seed: u64, outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|failure| Failure(format!("{failure} (seed {seed})")))
}

/// Kills in turn and waits until each is back. `after_kill` is told the victim and the pid it had.
pub(super) fn kill_all(
    project: &Project,
    victims: &[(&str, u32)],
    seed: u64,
    mut after_kill: impl FnMut(&str, u32) -> Outcome<()>,
) -> Outcome<Map<String, Value>> {
    let mut pauses = Pauses::new(seed);
    let mut ready_ms = Vec::new();
    let most = victims.iter().map(|(_, kills)| *kills).max().unwrap_or(0);
    for round in 0..most {
        for (victim, _) in victims.iter().filter(|(_, kills)| round < *kills) {
            thread::sleep(pauses.below(PAUSE));
            let pid = project.pid(victim)?;
            processes::signal(pid, Signal::SIGKILL);
            after_kill(victim, pid)?;
            let status = project.wait_restarted(victim, pid)?;
            let took = status.restart_ms;
            ready_ms
                .push(took.ok_or_else(|| Failure(format!("ps has no restart time for {victim}")))?);
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
    let kills = ready_ms.len();
    let (median, worst) = median_and_worst(&mut ready_ms);
    Ok(Map::from_iter([
        ("kills".to_owned(), json!(kills)),
        ("seed".to_owned(), json!(seed)),
        ("kill_to_ready_ms_p50".to_owned(), json!(median.round())),
        ("kill_to_ready_ms_worst".to_owned(), json!(worst.round())),
    ]))
}

/// SIGKILL of the supervisor: nothing it started lives on, and the files play. How long the last of
/// them lived is a figure of the answer.
pub fn the_supervisor_takes_all_with_it(seconds: u64) -> Outcome<Value> {
    let topology = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  recorder: {use: recorder, in: cam1.packets, dir: '{dir}/recordings'}
  family: {run: [sh, -c, 'setsid sleep 1000 & echo $! > {dir}/grandchild; exec sleep 1000']}
  stopped: {run: [sleep, '1000']}
";
    let project = Project::new(topology)?;
    project.up()?;
    let ring = Project::ring("cam1.packets")?;
    let witness = Witness::start(project.name(), std::slice::from_ref(&ring));
    let grandchild =
        || fs::read_to_string(project.dir().join("grandchild")).ok()?.trim().parse::<u32>().ok();
    let (grandchild, _) = wait_for(60, "the grandchild's pid", grandchild)?;
    thread::sleep(Duration::from_secs(seconds));
    ensure(processes::is_alive(grandchild), || "the grandchild was gone before".into())?;
    let (stopped, supervisor) = (project.pid("stopped")?, project.supervisor_pid()?);
    // One that a busy machine has let wait for seconds would miss more than it has in hand.
    let keeps_up = || {
        let readers = ring_now(project.name(), &ring).readers;
        readers.iter().any(|reader| reader.name == "recorder" && reader.lag <= 1).then_some(())
    };
    wait_for(60, "the recorder to keep up", keeps_up)?;
    processes::signal(stopped, Signal::SIGSTOP);
    processes::signal(supervisor, Signal::SIGKILL);
    let gone = || {
        let left = processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
        (left.is_empty() && !processes::is_alive(grandchild)).then_some(())
    };
    let ((), took) = wait_for(60, "every worker and grandchild to end", gone)?;
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
