//! `recordings`: what recorders have written, and what is to become of it. The recorder's program knows
//! the files; this one knows where the topology puts them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use protocol::config::{ACCEPT_FILE, Kind, WorkerConfig};
use protocol::pattern::matches;
use protocol::time::UtcNs;
use protocol::verb::{Recording, Recordings, RecordingsWork};
use serde::Serialize;

use super::events::time_of;
use super::{CliError, Context, FileArg, groups, table, terminal};
use crate::launch;
use crate::topology::{Launch, Topology};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor recordings ls
  framevisor recordings ls cam1 -o json
  framevisor recordings du
  framevisor recordings verify --dir recordings
  framevisor recordings pin recordings/cam1/*-00000001.mp4 --why storm
  framevisor recordings unpin recordings/cam1/*-00000001.mp4
  framevisor recordings accept";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the files: when, how long, how many packets, what is missing
    Ls(Cameras),
    /// Show how much each camera takes
    Du(Cameras),
    /// Read every byte and compare checksums; exit code 1 when something is damaged
    Verify(Cameras),
    /// Keep files, whatever retention wants
    Pin(Pin),
    /// Let retention have files again
    Unpin(Files),
    /// Remove files; none of them, when one is pinned or being written
    Rm(Files),
    /// Cut off what is not whole at the end of files that nobody writes; it is kept beside them
    Repair(Cameras),
    /// Say that what is mounted now is the right disk, after a recorder has refused to write to it
    Accept(Place),
}

#[derive(Debug, clap::Args)]
struct Cameras {
    /// These cameras only, by name, pattern ('cam*') or group
    cameras: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Pin {
    #[command(flatten)]
    files: Files,
    /// Why they stay, for people
    #[arg(long, default_value = "pinned", value_name = "TEXT")]
    why: String,
}

#[derive(Debug, clap::Args)]
struct Files {
    /// The files, as `ls` shows them
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// A recorder's directory, instead of those of the topology
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    file: FileArg,
}

/// What one camera's files take.
#[derive(Debug, Default, Serialize)]
struct Usage {
    camera: String,
    files: u64,
    bytes: u64,
    pinned_bytes: u64,
    from_utc_ns: Option<UtcNs>,
    to_utc_ns: Option<UtcNs>,
}

impl Args {
    pub(super) fn take_file(&mut self) -> FileArg {
        let place = match &mut self.verb {
            Verb::Ls(c) | Verb::Du(c) | Verb::Verify(c) | Verb::Repair(c) => &mut c.place,
            Verb::Pin(pin) => &mut pin.files.place,
            Verb::Unpin(files) | Verb::Rm(files) => &mut files.place,
            Verb::Accept(place) => place,
        };
        std::mem::take(&mut place.file)
    }
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    match args.verb {
        Verb::Ls(cameras) => listed(context, ask(context, &cameras, RecordingsWork::List)?),
        Verb::Du(cameras) => used(context, ask(context, &cameras, RecordingsWork::List)?),
        Verb::Verify(cameras) => verified(context, ask(context, &cameras, RecordingsWork::Verify)?),
        Verb::Repair(cameras) => {
            changed(context, "repaired", ask(context, &cameras, RecordingsWork::Repair)?)
        }
        Verb::Pin(Pin { files, why }) => {
            let work = |files| RecordingsWork::Pin { files, why };
            changed(context, "pinned", change(context, files, work)?)
        }
        Verb::Unpin(files) => {
            let work = |files| RecordingsWork::Unpin { files };
            changed(context, "unpinned", change(context, files, work)?)
        }
        Verb::Rm(files) => {
            let work = |files| RecordingsWork::Remove { files };
            changed(context, "removed", change(context, files, work)?)
        }
        Verb::Accept(place) => accept(context, place),
    }
}

/// What the recorder's program answers, or its exit code: it has said why.
type Answered = Result<Vec<Recording>, ExitCode>;

fn ask(context: &Context, wanted: &Cameras, work: RecordingsWork) -> Result<Answered, CliError> {
    let mut folders = folders(context, wanted.place.dir.as_deref())?;
    if !wanted.cameras.is_empty() {
        let name =
            |folder: &Path| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let known: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
        let meant = groups::members(context, &wanted.cameras);
        let is_known = |pattern: &String| known.iter().any(|name| matches(pattern, name));
        if let Some(unknown) = meant.iter().find(|pattern| !is_known(pattern)) {
            let (wanted, known) = (unknown.clone(), known.join(", "));
            return Err(CliError::NoNamed { what: "recorded camera", wanted, known });
        }
        folders.retain(|folder| meant.iter().any(|pattern| matches(pattern, &name(folder))));
    }
    by_program(&Recordings { folders, work })
}

fn change(
    context: &Context,
    wanted: Files,
    work: impl FnOnce(Vec<PathBuf>) -> RecordingsWork,
) -> Result<Answered, CliError> {
    let folders = folders(context, wanted.place.dir.as_deref())?;
    let absolute = |file: &PathBuf| std::path::absolute(file);
    let files: std::io::Result<Vec<PathBuf>> = wanted.paths.iter().map(absolute).collect();
    let files = files.map_err(CliError::io("current directory"))?;
    by_program(&Recordings { folders, work: work(files) })
}

fn by_program(wanted: &Recordings) -> Result<Answered, CliError> {
    let mut command = launch::verb(Kind::Recorder, "recordings", wanted)?;
    let output = command.stderr(Stdio::inherit()).stdin(Stdio::null()).output();
    let output = output.map_err(CliError::io("start the program of the verb"))?;
    if !output.status.success() {
        let code = output.status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(Err(code.map_or(ExitCode::FAILURE, ExitCode::from)));
    }
    serde_json::from_slice(&output.stdout).map(Ok).map_err(CliError::skew("recordings"))
}

/// The directories of cameras: those below `dir`, or those the topology's recorders write.
pub(super) fn folders(context: &Context, dir: Option<&Path>) -> Result<Vec<PathBuf>, CliError> {
    let Some(dir) = dir else { return Ok(folders_of(&context.topology()?)) };
    let dir = std::path::absolute(dir).map_err(CliError::io("current directory"))?;
    let listed = dir.read_dir().map_err(|source| CliError::Folder { path: dir.clone(), source })?;
    let mut folders: Vec<PathBuf> =
        listed.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

fn folders_of(topology: &Topology) -> Vec<PathBuf> {
    let recorders = topology
        .workers
        .iter()
        .filter_map(|worker| recorded_to(&worker.launch).map(|dir| (dir, worker)));
    let folders = recorders.flat_map(|(dir, worker)| {
        worker.recorded().map(move |ring| {
            let name = ring.as_str().rsplit_once('.').map_or(ring.as_str(), |(owner, _)| owner);
            dir.join(name)
        })
    });
    folders.collect()
}

fn recorded_to(launch: &Launch) -> Option<PathBuf> {
    match launch {
        Launch::Use(WorkerConfig::Recorder(config)) => Some(config.dir.clone()),
        _ => None,
    }
}

/// The recorders see it within a second.
fn accept(context: &Context, place: Place) -> Result<ExitCode, CliError> {
    let directories: BTreeSet<PathBuf> = match place.dir {
        Some(dir) => [std::path::absolute(dir).map_err(CliError::io("current directory"))?].into(),
        None => context.topology()?.workers.iter().filter_map(|w| recorded_to(&w.launch)).collect(),
    };
    for directory in &directories {
        let word = std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(directory.join(ACCEPT_FILE), ""));
        word.map_err(|source| CliError::Folder { path: directory.clone(), source })?;
        terminal::talk(&format!("accepted {}", directory.display()));
    }
    if context.is_json() {
        terminal::json(&directories)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(context: &Context, answered: Answered) -> Result<ExitCode, CliError> {
    let recordings = match answered {
        Ok(recordings) => recordings,
        Err(code) => return Ok(code),
    };
    if context.is_json() {
        terminal::json(&recordings)?;
        return Ok(ExitCode::SUCCESS);
    }
    const HEAD: [&str; 7] = ["CAMERA", "FROM", "LASTS", "PACKETS", "BYTES", "NOTE", "FILE"];
    let rows: Vec<Vec<String>> = recordings.iter().map(row).collect();
    terminal::data(&table::render(&HEAD, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(recording: &Recording) -> Vec<String> {
    let dash = || "-".to_owned();
    let lasts = recording.from_utc_ns.zip(recording.to_utc_ns).map(|(from, to)| {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let seconds = to.0.saturating_sub(from.0) as f64 / 1e9;
        table::span(seconds)
    });
    vec![
        recording.camera.clone(),
        recording.from_utc_ns.map_or_else(dash, time_of),
        lasts.unwrap_or_else(dash),
        recording.packets.to_string(),
        recording.bytes.to_string(),
        note(recording),
        recording.file.display().to_string(),
    ]
}

fn note(recording: &Recording) -> String {
    let mut notes = Vec::new();
    if recording.open {
        notes.push("being written".to_owned());
    }
    if recording.missing > 0 {
        notes.push(format!("{} packets missing", recording.missing));
    }
    if recording.interrupted {
        notes.push("source interrupted".to_owned());
    }
    if recording.paused {
        notes.push("paused before".to_owned());
    }
    if let Some(damage) = recording.damage.as_ref().filter(|_| !recording.open) {
        notes.push(format!("damaged: {damage}"));
    }
    if let Some(why) = &recording.pinned {
        notes.push(format!("pinned: {why}"));
    }
    if !recording.uploaded.is_empty() {
        notes.push("uploaded".to_owned());
    }
    if notes.is_empty() { "-".to_owned() } else { notes.join("; ") }
}

fn used(context: &Context, answered: Answered) -> Result<ExitCode, CliError> {
    let usage = match answered {
        Ok(recordings) => usage(&recordings),
        Err(code) => return Ok(code),
    };
    if context.is_json() {
        terminal::json(&usage)?;
        return Ok(ExitCode::SUCCESS);
    }
    const HEAD: [&str; 6] = ["CAMERA", "FILES", "BYTES", "PINNED", "FROM", "TO"];
    let dash = || "-".to_owned();
    let row = |usage: &Usage| {
        vec![
            usage.camera.clone(),
            usage.files.to_string(),
            usage.bytes.to_string(),
            usage.pinned_bytes.to_string(),
            usage.from_utc_ns.map_or_else(dash, time_of),
            usage.to_utc_ns.map_or_else(dash, time_of),
        ]
    };
    let rows: Vec<Vec<String>> = usage.iter().map(row).collect();
    terminal::data(&table::render(&HEAD, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn usage(recordings: &[Recording]) -> Vec<Usage> {
    let mut cameras: BTreeMap<&str, Usage> = BTreeMap::new();
    for recording in recordings {
        let usage = cameras.entry(&recording.camera).or_default();
        usage.camera.clone_from(&recording.camera);
        usage.files += 1;
        usage.bytes += recording.bytes;
        usage.pinned_bytes += recording.pinned.as_ref().map_or(0, |_| recording.bytes);
        usage.from_utc_ns = usage.from_utc_ns.or(recording.from_utc_ns);
        usage.to_utc_ns = recording.to_utc_ns.or(usage.to_utc_ns);
    }
    cameras.into_values().collect()
}

fn verified(context: &Context, answered: Answered) -> Result<ExitCode, CliError> {
    let recordings = match answered {
        Ok(recordings) => recordings,
        Err(code) => return Ok(code),
    };
    let is_damaged = |recording: &&Recording| recording.damage.is_some() && !recording.open;
    let damaged: Vec<&Recording> = recordings.iter().filter(is_damaged).collect();
    if context.is_json() {
        terminal::json(&recordings)?;
    } else {
        for recording in &damaged {
            let damage = recording.damage.as_deref().unwrap_or_default();
            terminal::data(&format!("{}: {damage}\n", recording.file.display()))?;
        }
        let (files, missing) =
            (recordings.len(), recordings.iter().map(|r| r.missing).sum::<u64>());
        terminal::talk(&format!(
            "{files} files read, {} damaged, {missing} packets missing between them",
            damaged.len()
        ));
    }
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn changed(context: &Context, done: &str, answered: Answered) -> Result<ExitCode, CliError> {
    let recordings = match answered {
        Ok(recordings) => recordings,
        Err(code) => return Ok(code),
    };
    if context.is_json() {
        terminal::json(&recordings)?;
        return Ok(ExitCode::SUCCESS);
    }
    for recording in &recordings {
        terminal::talk(&format!("{done} {}", recording.file.display()));
    }
    Ok(ExitCode::SUCCESS)
}
