//! Processes that stand still: SIGSTOP for a worker, and for the supervisor itself.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::{Map, Value, json};
use shmring::clock;

use super::{LIVE, LOOPED, RESTART_AT_ONCE, Watched, median_and_worst, ms_since, ring_now};
use crate::project::Project;
use crate::{Outcome, ensure, processes, wait_for};

/// How long workers may need to be back at work after their supervisor was.
const SETTLE: Duration = Duration::from_secs(3);

/// Each worker stopped in turn: the supervisor sees that its heart stands still and starts it again, and
/// the writers of the rings it reads never wait for it.
pub fn workers_stand_still(victims: &[&str]) -> Outcome<Value> {
    let watched = Watched::start(RESTART_AT_ONCE)?;
    let project = watched.project();
    let ring = Project::ring("cam1.packets")?;
    let (mut seen_ms, mut ps_ms) = (Vec::new(), Vec::new());
    for victim in victims {
        let pid = project.pid(victim)?;
        let before = ring_now(project.name(), &ring);
        let start = clock::mono();
        processes::signal(pid, Signal::SIGSTOP);
        for _ in 0..5 {
            let asked = clock::mono();
            project.ps()?;
            ps_ms.push(ms_since(asked));
        }
        let status = project.wait_restarted(victim, pid)?;
        seen_ms.push(ms_since(start));
        let said = &status.last_exit;
        ensure(said == "no heartbeat", || format!("{victim} was stopped, ps says '{said}'"))?;
        let after = ring_now(project.name(), &ring);
        ensure(after.epoch == before.epoch && after.head > before.head, || {
            format!("the camera stood still while {victim} did: {before:?}, then {after:?}")
        })?;
    }
    let ended = watched.finish(&[LIVE])?;
    let (median, worst) = median_and_worst(&mut seen_ms);
    let mut figures = Map::from_iter([
        ("stopped".to_owned(), json!(victims.len())),
        ("stop_to_ready_ms_p50".to_owned(), json!(median.round())),
        ("stop_to_ready_ms_worst".to_owned(), json!(worst.round())),
        // The start of the command's process included.
        ("ps_ms_p50".to_owned(), json!(median_and_worst(&mut ps_ms).0.round())),
        ("ps_ms_worst".to_owned(), json!(median_and_worst(&mut ps_ms).1.round())),
    ]);
    ended.tell(&mut figures);
    Ok(Value::Object(figures))
}

/// The supervisor stopped for so long: packets flow on, and when it runs again it blames nobody for the
/// time it did not look.
pub fn the_supervisor_stands_still(seconds: u64) -> Outcome<Value> {
    let watched = Watched::start("")?;
    let project = watched.project();
    let before = pids(project)?;
    let supervisor = project.supervisor_pid()?;
    let seen = watched.seen();
    processes::signal(supervisor, Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(seconds));
    let meanwhile = watched.seen() - seen;
    processes::signal(supervisor, Signal::SIGCONT);
    thread::sleep(SETTLE);
    let after = pids(project)?;
    ensure(before == after, || {
        format!("after {seconds} s without a supervisor {before:?} became {after:?}")
    })?;
    wait_for(60, "every worker to be at work", || {
        let at_work = |state| matches!(state, WorkerState::Running | WorkerState::Ready);
        project.ps().ok()?.iter().all(|worker| at_work(worker.state)).then_some(())
    })?;
    let mut figures = Map::from_iter([
        ("stopped_s".to_owned(), json!(seconds)),
        ("packets_meanwhile".to_owned(), json!(meanwhile)),
        ("restarts".to_owned(), json!(0)),
    ]);
    watched.finish(&[LIVE, LOOPED])?.tell(&mut figures);
    Ok(Value::Object(figures))
}

/// Name, process and restarts of every worker.
fn pids(project: &Project) -> Outcome<Vec<(String, Option<u32>, u64)>> {
    let workers = project.ps()?.into_iter();
    Ok(workers.map(|worker| (worker.name.to_string(), worker.pid, worker.restarts)).collect())
}
