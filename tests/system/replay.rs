//! What was recorded is found again: the same program, the same pictures by their frame ids, the same
//! results, however fast it is played.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use protocol::record::Record;
use protocol::stream::FrameId;
use serde_json::{Value, json};
use shmring::{Next, PacketOptions, RecordReader, Start};
use tests::checks::python;
use tests::project::Project;
use tests::{Failure, Outcome, ensure, recordings, wait_for};

use crate::first_light::holds;

/// Pictures of a group.
const GROUP: usize = 10;
/// Results that the program has told when the camera is taken away.
const ENOUGH: usize = 60;

/// A program as users write it: it knows nothing of replays.
const ANALYZER: &str = "import zlib, shmring
ring = shmring.attach('cam1.frames')
for frame in ring:
    shmring.emit(ring, 'luma', {'crc': zlib.crc32(frame.numpy().tobytes())}, at=frame)
";

fn topology() -> Outcome<String> {
    let (python, path) = (python::python(), python::python_path()?);
    Ok(format!(
        "version: 1
workers:
  cam1:
    use: ingest
    source: 'test:?size=320x192&fps=10&gop={GROUP}&mode=live'
    after: [decode1, motion1, luma]
  decode1: {{use: decoder, in: cam1.packets}}
  motion1: {{use: motion, in: cam1.frames, fps: 240, after: decode1}}
  luma:
    run: ['{python}', '{{dir}}/luma.py']
    in: cam1.frames
    after: decode1
    out: luma.events
    policy: {{essential: 10s}}
    env: {{PYTHONPATH: '{path}'}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings'}}
"
    ))
}

#[test]
fn an_analyzers_results_on_replay_equal_its_live_results_by_frame_id() {
    holds(|| {
        let stage = Stage::recorded()?;
        let whole = stage.replay(&["--speed", "max"])?;
        let found = lumas(&whole)?;
        stage.holds_all(&found)?;
        let recorded = recordings::packets(&stage.project.recordings(), "cam1")?.len();
        ensure(found.len() == recorded, || format!("{} of {recorded} pictures", found.len()))?;

        let mut compared = what_moved_is_the_same(&stage)?;
        for _ in 0..3 {
            if compared.is_none() {
                compared = what_moved_is_the_same(&Stage::recorded()?)?;
            }
        }
        let motion = compared.ok_or_else(|| Failure::new("motion never saw the same pictures"))?;
        Ok(json!({"pictures": recorded, "live": stage.live.len(), "motion": motion}))
    });
}

/// How much moved; `None` where the worker, which takes the newest picture, came too late for one of them once, and so
/// compared others.
fn what_moved_is_the_same(stage: &Stage) -> Outcome<Option<usize>> {
    let paced = stage.replay(&["--speed", "1x"])?;
    stage.holds_all(&lumas(&paced)?)?;
    let (live, again) = (motion(&stage.live), motion(&paced));
    ensure(!live.is_empty() && !again.is_empty(), || "nothing moved".to_owned())?;
    let same = again.get(..live.len()).is_some_and(|again| again == live);
    let of_the_same = live.iter().zip(&again).all(|((_, live, _), (_, again, _))| live == again);
    ensure(same || !of_the_same, || format!("live {live:?}\nreplayed {again:?}"))?;
    Ok(same.then_some(live.len()))
}

#[test]
fn a_replay_lets_pictures_through_one_by_one() {
    holds(|| {
        let stage = Stage::recorded()?;
        // Two pictures, and the rest of their group.
        let found = lumas(&stage.stepped("\n\ng\nq\n")?)?;
        ensure(found.len() == GROUP, || format!("{} pictures, expected {GROUP}", found.len()))?;
        let found: Vec<u64> = found.keys().map(|id| id.sequence).collect();
        let first = found.first().copied().unwrap_or_default();
        let expected: Vec<u64> = (first..).take(GROUP).collect();
        ensure(found == expected, || format!("{found:?}"))?;
        Ok(json!({"pictures": found.len()}))
    });
}

/// A camera that was recorded and is gone, and what was told of it live.
struct Stage {
    project: Project,
    live: Vec<Record>,
}

impl Stage {
    fn recorded() -> Outcome<Self> {
        let project = Project::new(&topology()?)?;
        fs::write(project.dir().join("luma.py"), ANALYZER).map_err(Failure::new)?;
        project.up()?;
        let told = || {
            let told = records(&project, "luma.events").ok()?;
            (told.len() >= ENOUGH).then_some(told)
        };
        let (mut live, _) = wait_for(60, "results of the program", told)?;
        live.extend(records(&project, "motion1.events")?);
        project.down()?;
        Ok(Self { project, live })
    }

    fn arguments(&self, words: &[&str]) -> Vec<String> {
        let name = format!("{}-again", self.project.name());
        let records = self.records_file();
        let own = ["-p", &name, "replay", "cam1", "--records", &records];
        own.iter().chain(words).map(|word| (*word).to_owned()).collect()
    }

    fn records_file(&self) -> String {
        self.project.dir().join("records.jsonl").display().to_string()
    }

    fn replay(&self, words: &[&str]) -> Outcome<Vec<Record>> {
        let arguments = self.arguments(words);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.project.succeed(&arguments)?;
        self.told()
    }

    fn stepped(&self, typed: &str) -> Outcome<Vec<Record>> {
        let arguments = self.arguments(&["--step"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.project.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(Failure::new)?;
        let mut stdin = child.stdin.take().ok_or_else(|| Failure::new("no stdin"))?;
        stdin.write_all(typed.as_bytes()).map_err(Failure::new)?;
        let status = child.wait().map_err(Failure::new)?;
        ensure(status.success(), || format!("replay --step: {status}"))?;
        self.told()
    }

    fn told(&self) -> Outcome<Vec<Record>> {
        let text = fs::read_to_string(self.records_file()).map_err(Failure::new)?;
        text.lines().map(|line| serde_json::from_str(line).map_err(Failure::new)).collect()
    }

    /// Every live result is there again, at the same frame id.
    fn holds_all(&self, found: &BTreeMap<FrameId, Value>) -> Outcome<()> {
        let live = lumas(&self.live)?;
        let differs = live.iter().find(|(id, result)| found.get(id) != Some(result));
        ensure(differs.is_none(), || {
            let (id, result) = differs.map_or((None, None), |(id, it)| (Some(id), Some(it)));
            let again = id.and_then(|id| found.get(id));
            format!("{id:?}: live {result:?}, replayed {again:?}; first {:?}", found.keys().next())
        })
    }
}

/// All that a ring of events still has.
fn records(project: &Project, ring: &str) -> Outcome<Vec<Record>> {
    let options = PacketOptions { reader: "test".to_owned(), start: Start::Oldest };
    let mut reader = RecordReader::attach(project.name(), &Project::ring(ring)?, &options)
        .map_err(Failure::new)?;
    let mut found = Vec::new();
    while let Next::Item(record) = reader.next(Duration::ZERO).map_err(Failure::new)? {
        found.push(record);
    }
    Ok(found)
}

/// What the program told of each picture; twice of one is a failure.
fn lumas(records: &[Record]) -> Outcome<BTreeMap<FrameId, Value>> {
    let mut found = BTreeMap::new();
    for record in records.iter().filter(|record| record.kind == "luma") {
        let id = record.frame.clone().ok_or_else(|| Failure::new("a result without a frame"))?;
        let before = found.insert(id.clone(), record.data.clone());
        ensure(before.is_none(), || format!("{id:?} was seen twice"))?;
    }
    Ok(found)
}

fn motion(records: &[Record]) -> Vec<(String, Option<FrameId>, Value)> {
    let of_motion = records.iter().filter(|record| record.kind.starts_with("motion."));
    of_motion.map(|it| (it.kind.clone(), it.frame.clone(), it.data.clone())).collect()
}
