//! Workers that end when nobody asked, do not end when asked, or leave others behind.

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::{Map, Value, json};
use shmring::clock;

use super::ms_since;
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, processes, recordings, wait_for};

/// A camera and its recorder, beside which others misbehave.
const CAMERA: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  recorder: {use: recorder, in: cam1.packets, dir: '{dir}/recordings'}
";

/// A project with [`CAMERA`] and more workers, and what the camera publishes.
struct Beside {
    project: Project,
    witness: Witness,
}

impl Beside {
    fn start(workers: &str) -> Outcome<Self> {
        let project = Project::new(&format!("{CAMERA}{workers}"))?;
        Self::up(project)
    }

    fn up(project: Project) -> Outcome<Self> {
        project.succeed(&["up", "-d"])?;
        let ring = Project::ring("cam1.packets")?;
        let witness = Witness::start(project.name(), &[ring]);
        Ok(Self { project, witness })
    }

    /// Stops it: the camera and its recorder were never disturbed, and nothing is lost. The answer is how
    /// long the stop took, in ms.
    fn finish(self, figures: &mut Map<String, Value>) -> Outcome<f64> {
        wait_for(60, "a second of packets", || (self.witness.seen() >= 25).then_some(()))?;
        for name in ["cam1", "recorder"] {
            let worker = self.project.worker(name)?;
            ensure(worker.restarts == 0 && worker.pid.is_some(), || {
                format!("{name} was disturbed: {worker:?}")
            })?;
        }
        let start = clock::mono();
        self.project.down()?;
        let took = ms_since(start).round();
        let left = processes::with_environment("FRAMEVISOR_PROJECT", self.project.name().as_str());
        ensure(left.is_empty(), || format!("after down these live on: {left:?}"))?;
        let balance = recordings::balance(&self.project.recordings(), &self.witness.finish())?;
        ensure(balance.lost == 0, || format!("packets lost: {balance:?}"))?;
        figures.insert("packets_captured".into(), json!(balance.captured));
        figures.insert("packets_lost".into(), json!(balance.lost));
        Ok(took)
    }
}

/// Who fails at once or ends without a reason is started again with growing pauses, and held at the fifth
/// death; a file that has been played to its end just stops. Nobody else notices.
pub fn who_ends_again_and_again_is_held() -> Outcome<Value> {
    let project = Project::new(&format!(
        "{CAMERA}  fails: {{run: [sh, -c, 'exit 7']}}
  quits: {{run: ['true']}}
"
    ))?;
    let beside = Beside::up(project)?;
    let project = &beside.project;
    // Its own start is over: what it takes from here on are their deaths.
    let (start, supervisor) = (clock::mono(), project.supervisor_pid()?);
    let before = processes::cpu_ticks(supervisor);
    let mut figures = Map::new();
    for (name, why) in [("fails", "exit 7"), ("quits", "exit 0")] {
        let held = || project.worker(name).ok().filter(|status| status.state == WorkerState::Held);
        let (status, _) = wait_for(60, &format!("{name} to be held"), held)?;
        ensure(status.restarts == 4, || {
            format!("{name} held after {} restarts, expected 4 (five deaths)", status.restarts)
        })?;
        ensure(status.why.contains(why), || format!("ps says why of {name}: '{}'", status.why))?;
        figures.insert(format!("{name}_why"), json!(status.why));
    }
    let elapsed_ms = ms_since(start);
    let supervisor_ms = (processes::cpu_ticks(supervisor) - before) as f64 * 10.0;
    figures.insert("held_within_ms".into(), json!(elapsed_ms.round()));
    // Of the supervisor and all that died meanwhile.
    let percent = 100.0 * supervisor_ms / elapsed_ms;
    figures.insert("crash_loop_cpu_percent".into(), json!((percent * 10.0).round() / 10.0));
    play_a_clip(project)?;
    let stopped =
        || project.worker("clip").ok().filter(|status| status.state == WorkerState::Stopped);
    let (clip, _) = wait_for(60, "the clip to have ended", stopped)?;
    ensure(clip.restarts == 0, || format!("a file that ended was started again: {clip:?}"))?;
    beside.finish(&mut figures)?;
    Ok(Value::Object(figures))
}

/// Adds an ingest of a file that is played once.
fn play_a_clip(project: &Project) -> Outcome<()> {
    let source = project.dir().join("f.mp4").display().to_string();
    ffmpeg::make(&["-f", "lavfi", "-i", "testsrc2=r=25", "-t", "1", "-c:v", "libx264", &source])?;
    let clip = project.dir().join("clip.yml");
    let text = format!("workers: {{clip: {{use: ingest, source: '{source}', loop: false}}}}\n");
    fs::write(&clip, text).map_err(Failure::new)?;
    project.succeed(&["add", &clip.display().to_string()]).map(drop)
}

/// One that ignores every polite request and one that cannot hear it: `down` ends both.
pub fn who_does_not_want_to_end_is_killed() -> Outcome<Value> {
    let beside = Beside::start(
        "  deaf: {run: [sh, -c, 'trap \"\" TERM INT HUP; echo $$ > {dir}/deaf; while :; do sleep 1; done']}
  cam1-decoder: {use: decoder, in: cam1.packets}
  motion: {use: motion, in: cam1.frames}
",
    )?;
    let deaf = number_in(&beside.project, "deaf")?;
    let running =
        || beside.project.worker("motion").ok().filter(|one| one.state == WorkerState::Running);
    wait_for(60, "motion to run", running)?;
    let mut figures = Map::new();
    let stopped = beside.project.pid("motion")?;
    // Later than the last look at the others, sooner than its silence would be noticed.
    let project_down = {
        wait_for(60, "a second of packets", || (beside.witness.seen() >= 25).then_some(()))?;
        processes::signal(stopped, Signal::SIGSTOP);
        beside.finish(&mut figures)?
    };
    ensure(!processes::is_alive(deaf) && !processes::is_alive(stopped), || {
        "a worker outlived down".into()
    })?;
    figures.insert("down_ms".into(), json!(project_down));
    Ok(Value::Object(figures))
}

/// A shell that starts a daemon of its own session which ignores SIGTERM and has a child itself. Whether
/// the worker is stopped, killed or goes down with all: nothing it started is left.
pub fn who_has_a_family_takes_it_along() -> Outcome<Value> {
    let beside = Beside::start(
        "  family:
    run:
      - sh
      - -c
      - |
        setsid sh -c 'trap \"\" TERM; echo $$ > {dir}/daemon; sleep 1000 & while :; do sleep 1; done' &
        (setsid sleep 1000 &)
        exec sleep 1000
    restart: {delay: 0s, limit: none}
",
    )?;
    let project = &beside.project;
    let mut figures = Map::new();
    let mut ended = 0;
    for verb in ["stop", "kill"] {
        let daemon = number_in(project, "daemon")?;
        let (family, _) = wait_for(60, "the whole family", || {
            let family = family_of(project);
            (family.len() >= 5).then_some(family)
        })?;
        ensure(family.contains(&daemon), || format!("{daemon} is none of {family:?}"))?;
        fs::remove_file(project.dir().join("daemon")).map_err(Failure::new)?;
        match verb {
            "stop" => drop(project.succeed(&["stop", "family"])?),
            _ => processes::signal(project.pid("family")?, Signal::SIGKILL),
        }
        let gone = || family.iter().all(|pid| !processes::is_alive(*pid)).then_some(());
        wait_for(60, &format!("the end of {family:?} after {verb}"), gone)?;
        ended += family.len();
        if verb == "stop" {
            project.succeed(&["start", "family"])?;
        }
    }
    // Started again after its death; `finish` looks that nobody of it is left.
    number_in(project, "daemon")?;
    thread::sleep(Duration::from_millis(100));
    beside.finish(&mut figures)?;
    figures.insert("processes_ended".into(), json!(ended));
    Ok(Value::Object(figures))
}

fn family_of(project: &Project) -> Vec<u32> {
    let workers = processes::with_environment("FRAMEVISOR_WORKER", "family");
    let ours = processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
    workers.into_iter().filter(|pid| ours.contains(pid)).collect()
}

/// A pid that a worker wrote into a file of the project's folder.
fn number_in(project: &Project, file: &str) -> Outcome<u32> {
    let path = project.dir().join(file);
    let number = || fs::read_to_string(&path).ok()?.strip_suffix('\n')?.parse().ok();
    Ok(wait_for(60, &format!("a number in {file}"), number)?.0)
}
