//! `framevisor-recorder witness`: proves from outside what was recorded. It reads every ring as any reader
//! may, knows nothing of the recorder at work, and in the end looks into the files.
//!
//! ```text
//! ring ── a thread each: watch ──> packets, pictures ──┐
//! DIR/CAMERA/*.mp4 ── files ──> (epoch, sequence) ─────┴─ balance (pure) ──> Seen
//! ```

mod balance;
mod files;
mod watch;

use std::collections::HashSet;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use protocol::name::RingName;
use protocol::time::MonoNs;
use protocol::witness::{Seen, Watch, Watched};
use shmring::clock;
use worker::verb::{VerbError, answer, arguments};

use balance::Story;
use watch::{Watcher, Watching};

/// How often files are looked at again for what they do not hold yet.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// File systems keep times coarsely; a clock may be set a little.
const BEFORE: Duration = Duration::from_secs(5);

/// (epoch, sequence).
type Id = (u64, u64);

pub fn witness_verb(text: &str) -> Result<(), VerbError> {
    let watch: Watch = arguments(text)?;
    let stop = Arc::new(AtomicU64::new(0));
    let began = clock::now().utc;
    let watchers = watch.rings.iter().map(|watched| Watcher::start(&watch, &watched.ring, &stop));
    let watchers: Vec<Watcher> = watchers.collect::<io::Result<_>>().map_err(VerbError::failed)?;
    wait_attached(&watchers);
    answer(&watch.rings.iter().map(|watched| &watched.ring).collect::<Vec<&RingName>>())?;
    let marks = instants()?;
    stop.store(clock::mono().0, Ordering::Release);
    let stories: Vec<Watching> = watchers.into_iter().map(Watcher::finish).collect();
    let since = SystemTime::UNIX_EPOCH + Duration::from_nanos(began.0);
    let since = since.checked_sub(BEFORE).unwrap_or(SystemTime::UNIX_EPOCH);
    answer(&balanced(&watch, &stories, &marks, since))
}

/// Until every thread has its ring, or has trouble; a ring that never comes is waited for until the end.
fn wait_attached(watchers: &[Watcher]) {
    let deadline = clock::mono() + Duration::from_secs(5);
    while clock::mono() < deadline && !watchers.iter().all(Watcher::is_attached) {
        thread::sleep(Duration::from_millis(5));
    }
}

/// The command says when the time is over; one that is gone says so by the end of the line.
fn instants() -> Result<Vec<MonoNs>, VerbError> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|error| VerbError::failed(format!("stdin: {error}")))?;
    if line.is_empty() {
        return Err(VerbError::failed("the command that asked is gone"));
    }
    serde_json::from_str(&line)
        .map_err(|error| VerbError::usage(format!("expected a list of instants: {error}")))
}

fn balanced(watch: &Watch, stories: &[Watching], marks: &[MonoNs], since: SystemTime) -> Vec<Seen> {
    let deadline = clock::mono() + watch.patience.duration();
    let told = watch.rings.iter().zip(stories).map(|(watched, story)| {
        let Watched { ring, folders } = watched;
        let windows = story.clone().map(|story| match story {
            Story::Packets(packets) => {
                let recorded = recorded(ring, folders, &packets, since, deadline);
                balance::packets(&packets, recorded.as_ref(), marks)
            }
            Story::Pictures(pictures) => {
                let source = pictures.source.as_ref();
                let source = watch.rings.iter().position(|other| Some(&other.ring) == source);
                let source = source.and_then(|at| stories[at].as_ref().ok());
                balance::pictures(&pictures, source, marks)
            }
        });
        let (trouble, windows) = match windows {
            Ok(windows) => (String::new(), windows),
            Err(trouble) => (trouble, Vec::new()),
        };
        Seen { ring: ring.clone(), trouble, windows }
    });
    told.collect()
}

/// What of `packets` is in the files, as soon as that is all or the patience is over; `None` when
/// nobody records them.
fn recorded(
    ring: &RingName,
    folders: &[PathBuf],
    packets: &[balance::Packet],
    since: SystemTime,
    deadline: MonoNs,
) -> Option<HashSet<Id>> {
    if folders.is_empty() {
        return None;
    }
    loop {
        let found = files::recorded(ring, folders, since);
        let all = packets.iter().all(|packet| !packet.carried || found.contains(&packet.id));
        if all || clock::mono() >= deadline {
            return Some(found);
        }
        thread::sleep(LOOK_AGAIN);
    }
}
