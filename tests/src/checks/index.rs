//! The index of recordings is lost in every way, while it is written and while nobody writes it.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use recordings::index::{INDEX_FILE, Index, Indexer, Notes};
use serde_json::{Value, json};
use shmring::clock;

use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, processes, recordings as recorded};

/// Longest wait for the index: it is two seconds behind.
const DEADLINE: Duration = Duration::from_secs(60);

const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop'}
  recorder: {use: recorder, in: cam1.packets, dir: '{dir}/recordings', segment: 2s, restart: {delay: 0s, limit: none}}
";

/// What befalls the file.
type Harm = (&'static str, fn(&Path) -> std::io::Result<()>);

const HARMS: [Harm; 5] = [
    ("deleted", |file| fs::remove_file(file)),
    ("emptied", |file| File::create(file).map(drop)),
    ("cut short", |file| OpenOptions::new().write(true).open(file)?.set_len(5000)),
    ("written over", |file| fs::write(file, vec![0x55; 30_000])),
    ("given a journal of nobody", |file| {
        fs::write(file.with_file_name("index.sqlite-journal"), vec![0x55; 9000])?;
        fs::remove_file(file)
    }),
];

/// Each harm under a recorder that runs and under one that is killed meanwhile: the index comes back, and is in the
/// end what the files alone make it. Nothing is lost for it.
pub fn an_index_that_is_lost_comes_back() -> Outcome<Value> {
    let project = Project::new(TOPOLOGY)?;
    project.up()?;
    let witness = Witness::start(project.name(), &[Project::ring("cam1.packets")?]);
    let root = project.recordings();
    let file = root.join(INDEX_FILE);
    wait_for_rows(&root, "made")?;
    for (what, harm) in HARMS {
        harm(&file).map_err(|error| Failure(format!("{what}: {error}")))?;
        wait_for_rows(&root, what)?;
        let pid = project.pid("recorder")?;
        processes::signal(pid, Signal::SIGKILL);
        harm(&file).map_err(|error| Failure(format!("{what}: {error}")))?;
        project.wait_restarted("recorder", pid)?;
        wait_for_rows(&root, what)?;
    }
    let restarts = project.worker("recorder")?.restarts;
    project.down()?;
    let balance = recorded::balance(&root, &witness.finish())?;
    let kept = rows(&root).unwrap_or_default();
    let rebuilt = rebuilt(&root)?;
    ensure(kept == rebuilt, || format!("kept {kept:#?}\nof the files {rebuilt:#?}"))?;
    ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
    ensure(restarts == HARMS.len() as u64, || format!("{restarts} restarts"))?;
    Ok(json!({ "harms": 2 * HARMS.len(), "rows": kept.len(), "equal": true,
        "packets_captured": balance.captured, "packets_lost": balance.lost }))
}

fn rows(root: &Path) -> Option<Vec<String>> {
    Index::read(root)?.dump().ok()
}

/// Until the index has a file again.
fn wait_for_rows(root: &Path, what: &str) -> Outcome<()> {
    let deadline = clock::mono() + DEADLINE;
    while rows(root).is_none_or(|rows| !rows.iter().any(|row| row.starts_with("fragments"))) {
        ensure(clock::mono() < deadline, || format!("{what}: no index within {DEADLINE:?}"))?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The rows of an index that is made of the files alone, while nobody records.
fn rebuilt(root: &Path) -> Outcome<Vec<String>> {
    fs::remove_file(root.join(INDEX_FILE)).map_err(Failure::new)?;
    let notes = Notes::new();
    notes.opened(&root.join("cam1"), u64::MAX);
    let mut indexer = Indexer::new(root);
    while indexer.turn(notes.take(), clock::mono()).map_err(Failure::new)?.more {}
    rows(root).ok_or_else(|| Failure("the index made of the files cannot be read".to_owned()))
}
