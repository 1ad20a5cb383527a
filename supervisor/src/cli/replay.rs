//! `replay`: the topology on what was recorded, in a project of its own beside the real one. The replay
//! program reads the recordings; this one conducts: everybody is there before the first picture goes out.

mod conduct;
mod records;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use protocol::config::Kind;
use protocol::config::replay::{Speed, Utc};
use protocol::name::{ProjectName, RingName, WorkerName};
use protocol::time::UtcNs;
use protocol::units::Span;
use protocol::verb::{Replayable, ReplayableTape};
use serde::Deserialize;

use super::client::Client;
use super::events::time_of;
use super::interrupt::Interrupt;
use super::rehearsal::Rehearsal;
use super::when::{Here, When};
use super::{CliError, Context, FileArg, Form, Globals, groups, terminal};
use crate::launch;
use crate::place::Place;
use crate::topology::{Playing, matches};
use conduct::Conductor;
use records::Records;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor replay cam1 --from 10s --speed 2
  framevisor replay --from 5s --speed max --records found.jsonl
  framevisor -p rerun replay cam1 --from 3s

While it plays, other verbs work with `-p replay`: `framevisor -p replay ps`. With --runtime-dir DIR its
own is DIR/replay.

With --step, Enter lets a picture through, g a group of them, p plays on and q ends.";

/// The project's name unless -p gives it another.
const PROJECT: &str = "replay";
/// Longest that is waited where one camera recorded nothing; several stay in step, whatever it takes.
const PAUSE: Span = Span::from_millis(1_000);
const PAUSE_OF_SEVERAL: Span = Span::from_millis(86_400_000);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Cameras, patterns of them or groups [default: all that were recorded]
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,
    /// Where it begins: 10:00, 2026-11-20T10:00, 2026-11-20T10:00:00Z or 5m (ago); the key frame before
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<When>,
    /// Where it ends; +5m is behind its begin
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<When>,
    /// 0.01 to 100 times the recorded speed, or max: as fast as the readers take it, and none is lost
    #[arg(long, default_value = "1x", value_name = "SPEED")]
    speed: Speed,
    /// Let the pictures through one by one
    #[arg(long, conflicts_with = "speed")]
    step: bool,
    /// Longest wait where nothing was recorded [default: 1s; of several cameras as long as it was]
    #[arg(long, value_name = "SPAN")]
    pause: Option<Span>,
    /// Write the records of all event rings here, a line each
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// A recorder's directory, instead of those of the topology
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

/// The hidden argument that the project's own processes are given.
pub(super) fn playing(text: &str) -> Result<Playing, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let (playing, tapes) = planned(context, args)?;
    let interrupt = Interrupt::listen()?;
    let name: ProjectName = match &context.globals.project {
        Some(name) => name.clone(),
        None => PROJECT.parse().map_err(|_| CliError::NoProject)?,
    };
    // A folder that was named is the real project's, which may be running.
    let runtime_dir = context.globals.runtime_dir.as_ref().map(|dir| dir.join(name.as_str()));
    let globals = Globals {
        project: Some(name.clone()),
        runtime_dir,
        // Killed, we could end nothing.
        rehearsed_by: Some(std::process::id()),
        rehearsal: None,
        playing: Some(playing.clone()),
    };
    let own = Context { files: context.readable_files()?, form: Form::Text, globals };
    let topology = own.topology()?;
    let mut rehearsal = Rehearsal::of(own, name.as_str())?;
    tapes.iter().for_each(announce);
    rehearsal.up_idle(&interrupt)?;
    let place = rehearsal.context().place()?;
    announce_servers(&place)?;
    let project = rehearsal.context().project()?;
    let records = args.records.as_deref();
    let records = records.map(|path| Records::create(path, &project, &topology));
    let mut records = records.transpose()?;
    let begin = tapes.iter().map(|tape| tape.from).min().unwrap_or_default();
    let mut conductor = Conductor::new(&place, project, &topology, interrupt)?;
    let played = conductor.gather(records.as_mut()).and_then(|()| match playing.speed {
        Speed::Step => conductor.step(records.as_mut()),
        _ => conductor.play(begin, records.as_mut()),
    });
    drop(conductor);
    rehearsal.down()?;
    if let Some(records) = records {
        let (count, path) = records.finish()?;
        terminal::talk(&format!("{count} records in {}", path.display()));
    }
    played.map(|()| ExitCode::SUCCESS)
}

/// What is played, and what there is of it.
fn planned(context: &Context, args: &Args) -> Result<(Playing, Vec<ReplayableTape>), CliError> {
    let here = Here::now();
    let since = args.from.as_ref().map(|from| here.from(from)).transpose();
    let since = since.map_err(CliError::When)?;
    let until = args.to.as_ref().map(|to| here.to(to, since.unwrap_or_default())).transpose();
    let until = until.map_err(CliError::When)?;
    let folders = wanted(context, args)?;
    let range = Replayable {
        folders: folders.values().cloned().collect(),
        from: since.unwrap_or_default(),
        to: until.unwrap_or(UtcNs(u64::MAX)),
    };
    let mut tapes = ask(&range)?;
    tapes.retain(|tape| tape.packets > 0);
    let tape_of: BTreeMap<RingName, PathBuf> = folders
        .iter()
        .filter(|(_, folder)| tapes.iter().any(|tape| tape.folder == **folder))
        .map(|(ring, folder)| (ring.clone(), folder.clone()))
        .collect();
    if tape_of.is_empty() {
        let names: Vec<&str> = folders.keys().map(RingName::camera).collect();
        return Err(CliError::NothingRecorded { cameras: names.join(", ") });
    }
    let several = tape_of.len() > 1;
    let playing = Playing {
        tapes: tape_of,
        since: since.map(Utc),
        until: until.map(Utc),
        speed: if args.step { Speed::Step } else { args.speed },
        pause: args.pause.unwrap_or(if several { PAUSE_OF_SEVERAL } else { PAUSE }),
    };
    Ok((playing, tapes))
}

/// The rings that are meant, and where what was recorded of them is.
fn wanted(context: &Context, args: &Args) -> Result<BTreeMap<RingName, PathBuf>, CliError> {
    let topology = context.topology()?;
    let mut known = match &args.dir {
        None => topology.recorded(),
        Some(dir) => {
            let dir = std::path::absolute(dir).map_err(CliError::io("current directory"))?;
            let sources = topology.sources();
            let folder = |ring: &RingName| (ring.clone(), dir.join(ring.owner()));
            sources.map(folder).filter(|(_, folder)| folder.is_dir()).collect()
        }
    };
    // What is made of other rings here comes of itself.
    let sources: Vec<&RingName> = topology.sources().collect();
    known.retain(|ring, _| sources.contains(&ring));
    let names = || known.keys().map(RingName::camera).collect::<Vec<_>>().join(", ");
    let meant = groups::members(context, &args.cameras);
    for name in &meant {
        if !known.keys().any(|ring| matches(name, ring.camera())) {
            let (wanted, known) = (name.clone(), names());
            return Err(CliError::NoNamed { what: "recorded camera", wanted, known });
        }
    }
    if known.is_empty() {
        return Err(CliError::NothingRecorded { cameras: "any camera".to_owned() });
    }
    let all = meant.is_empty();
    let is_meant = |ring: &RingName| meant.iter().any(|name| matches(name, ring.camera()));
    known.retain(|ring, _| all || is_meant(ring));
    Ok(known)
}

fn ask(range: &Replayable) -> Result<Vec<ReplayableTape>, CliError> {
    let mut command = launch::verb(Kind::Replay, "replayable", range)?;
    let output = command.stderr(Stdio::inherit()).stdin(Stdio::null()).output();
    let output = output.map_err(CliError::io("start the program of the verb"))?;
    if !output.status.success() {
        return Err(CliError::NothingRecorded { cameras: "these cameras".to_owned() });
    }
    serde_json::from_slice(&output.stdout).map_err(CliError::skew("replay"))
}

/// A worker that listens, of the rows of `ps`.
#[derive(Debug, Deserialize)]
struct Server {
    name: WorkerName,
    kind: String,
    listen: Vec<SocketAddr>,
}

/// Servers listen on free ports here: says which.
fn announce_servers(place: &Place) -> Result<(), CliError> {
    let rows: Vec<Server> = Client::connect(place)?.ask("ps", &())?;
    for Server { name, kind, listen } in rows {
        let scheme = if kind == Kind::Rtsp.as_str() { "rtsp" } else { "http" };
        for address in listen {
            terminal::talk(&format!("{name}: {scheme}://{address}/"));
        }
    }
    Ok(())
}

fn announce(tape: &ReplayableTape) {
    let camera = tape.ring.as_ref().map_or("?", RingName::camera);
    terminal::talk(&format!(
        "{camera}: {} to {}, {} packets, {} gaps",
        time_of(tape.from),
        time_of(tape.to),
        tape.packets,
        tape.gaps
    ));
}
