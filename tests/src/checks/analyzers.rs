//! Analyzers that do harm, all at once beside a camera that is recorded: what it costs, and what `why` says of each.

use std::thread;
use std::time::Duration;

use protocol::admin::WorkerState;
use serde_json::{Map, Value, json};

use super::python::{python, python_path};
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, processes, recordings, wait_for};

/// A program for all of them, by what it is told to do.
const HARM: &str = "import ctypes, subprocess, sys, time
import shmring

mode, held = sys.argv[1], []
with shmring.attach() as ring:
    for count, f in enumerate(ring, 1):
        if mode == 'segfaults' and count == 50:
            ctypes.string_at(0)
        elif mode == 'leaks':
            held.append(bytearray(8 << 20))
        elif mode == 'scribbles' and count == 25:
            ctypes.memset(f.numpy().ctypes.data, 0, 64)
        elif mode == 'sleeps':
            time.sleep(1e6)
        elif mode == 'slow':
            time.sleep(0.3)
        elif mode == 'forks':
            subprocess.Popen(['sleep', '1000000'], start_new_session=True)
            if count == 50:
                sys.exit('enough of them')
";

/// What each does, with which limits, and what `why` says of it: of its death, if it dies.
const HARMS: [(&str, &str, &str); 6] = [
    ("segfaults", "policy: latest", "SIGSEGV"),
    ("leaks", "limits: {memory: 256MiB}", "oom"),
    ("scribbles", "policy: latest", "SIGSEGV"),
    ("sleeps", "policy: {essential: 1s}", "items behind cam1.frames: it hangs"),
    ("slow", "policy: sequential", "slower than they come"),
    ("forks", "policy: latest", "enough of them"),
];
/// Those of them that nothing kills.
const LIVE: [&str; 2] = ["sleeps", "slow"];

/// For so long none of them costs capture or recording a packet, nor outlives the project.
pub fn that_do_harm(span: Duration) -> Outcome<Value> {
    let project = Project::new(&topology()?)?;
    std::fs::write(project.dir().join("harm.py"), HARM).map_err(Failure::new)?;
    project.up()?;
    let witness = Witness::start(project.name(), &[Project::ring("cam1.packets")?]);
    let ingest = project.pid("cam1")?;
    thread::sleep(span);
    let mut figures = Map::new();
    for (name, _, word) in HARMS {
        let told = || told(&project, name, word);
        let (restarts, _) = wait_for(120, &format!("{name} to be told of"), told)?;
        figures.insert(format!("{name}_restarts"), json!(restarts));
    }
    let behind = behind(&project)?;
    figures.insert("behind".to_owned(), json!(behind));
    ensure(project.pid("cam1")? == ingest, || "ingest was started again".to_owned())?;
    // A camera that is held up by a busy machine says so for a while.
    let runs = || (project.worker("cam1").ok()?.state == WorkerState::Running).then_some(());
    wait_for(60, "cam1 to run", runs)?;
    let name = project.name().to_string();
    project.down()?;
    let left = processes::with_environment("FRAMEVISOR_PROJECT", &name);
    ensure(left.is_empty(), || format!("processes are left behind: {left:?}"))?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0 && balance.captured > 0, || format!("{balance:?}"))?;
    figures.insert("packets_captured".to_owned(), json!(balance.captured));
    figures.insert("packets_missing".to_owned(), json!(balance.lost));
    Ok(Value::Object(figures))
}

fn topology() -> Outcome<String> {
    let (python, path) = (python(), python_path()?);
    let worker = |(name, keys, _): (&str, &str, &str)| {
        format!(
            "  {name}: {{run: [{python}, harm.py, {name}], in: cam1.frames, {keys}, \
             env: {{PYTHONPATH: '{path}'}}, restart: {{delay: 1s, limit: none}}}}\n"
        )
    };
    let workers: String = HARMS.into_iter().map(worker).collect();
    Ok(format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  dec: {{use: decoder, in: cam1.packets}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings', segment: 10s}}
{workers}"
    ))
}

/// How often it was started again, once `why` says `word` of it: what it died of, or what is the matter while it lives.
fn told(project: &Project, name: &str, word: &str) -> Option<u64> {
    let lives = LIVE.contains(&name);
    let status = project.worker(name).ok()?;
    let why = project.succeed(&["why", name]).ok()?;
    if !why.contains(word) {
        return None;
    }
    (lives == (status.restarts == 0)).then_some(status.restarts)
}

/// How many pictures those who hang and are slow have not taken: data, and nobody's trouble.
fn behind(project: &Project) -> Outcome<Value> {
    let rings = project.rings()?;
    let frames = rings.iter().find(|ring| ring.name.as_str() == "cam1.frames");
    let readers = frames.map(|ring| &ring.readers).into_iter().flatten();
    let found: Map<String, Value> = readers
        .filter(|reader| LIVE.contains(&reader.name.as_str()))
        .map(|reader| (reader.name.clone(), json!({"lag": reader.lag, "missed": reader.missed})))
        .collect();
    ensure(found.len() == LIVE.len(), || format!("who reads cam1.frames: {frames:?}"))?;
    ensure(found["sleeps"]["lag"].as_u64() > Some(0), || format!("who sleeps: {found:?}"))?;
    Ok(Value::Object(found))
}
