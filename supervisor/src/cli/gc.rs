//! `gc`: remove what dead writers left in shared memory. shmring says what is dead; a project that
//! runs keeps its rings, because their writers come back.

use std::collections::BTreeSet;
use std::process::ExitCode;

use protocol::name::{ProjectName, RingName};
use serde::Serialize;
use serde_json::json;
use shmring::layout;
use shmring::leftovers::{self, Leftover, State};

use super::{CliError, Context, FileArg, table, terminal};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor gc --dry-run
  framevisor gc -p demo
  framevisor gc --all -o json";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of all projects, not of one
    #[arg(long)]
    all: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) file: FileArg,
}

/// One ring, or one strange file, and what became of it.
#[derive(Debug, Serialize)]
struct Row {
    project: ProjectName,
    ring: Option<RingName>,
    files: Vec<String>,
    bytes: u64,
    removed: bool,
    /// Why it is left; empty when it is not.
    why: String,
    /// The process that writes it.
    pid: Option<u32>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let projects = if args.all { shmring::project::all() } else { vec![context.project()?] };
    let mut rows = Vec::new();
    for project in &projects {
        let kept = Kept::by(context, project);
        rows.extend(leftovers::of(project).into_iter().map(|found| settle(found, &kept, args)));
    }
    if context.is_json() {
        terminal::json(&json!({"dry_run": args.dry_run, "rows": rows}))?;
    } else {
        show(&rows, args.dry_run)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which dead rings a running supervisor answers for.
enum Kept {
    None,
    /// Those that its topology names.
    Named {
        supervisor: String,
        rings: BTreeSet<RingName>,
    },
    /// The topology is not known here, so it may be any.
    Any {
        supervisor: String,
    },
}

impl Kept {
    fn by(context: &Context, project: &ProjectName) -> Self {
        let Some(place) = context.place_named(project).ok().filter(|place| place.is_taken()) else {
            return Self::None;
        };
        let supervisor = place.supervisor();
        match context.topology() {
            Ok(topology) if topology.project == *project => {
                let rings = topology.rings.into_iter().map(|ring| ring.name).collect();
                Self::Named { supervisor, rings }
            }
            _ => Self::Any { supervisor },
        }
    }

    fn reason(&self, ring: &RingName) -> Option<String> {
        match self {
            Self::Named { supervisor, rings } if rings.contains(ring) => Some(format!(
                "the project runs (supervisor {supervisor}) and its writer comes back; `framevisor ps` shows it"
            )),
            Self::Any { supervisor } => Some(format!(
                "the project runs (supervisor {supervisor}) and its writer may come back; name the topology with -f FILE"
            )),
            Self::None | Self::Named { .. } => None,
        }
    }
}

/// Removes it if it may go.
fn settle(found: Leftover, kept: &Kept, args: &Args) -> Row {
    let ring = found.ring.clone().filter(|_| found.state == State::Dead);
    let reason = ring.as_ref().and_then(|ring| kept.reason(ring));
    match (ring, reason) {
        (Some(ring), None) if !args.dry_run => {
            let left = leftovers::remove(&found.project, &ring);
            row(if left.state == State::Dead { found } else { left }, None)
        }
        (_, reason) => row(found, reason),
    }
}

fn row(found: Leftover, reason: Option<String>) -> Row {
    let Leftover { project, ring, files, bytes, state } = found;
    let removed = state == State::Dead && reason.is_none();
    let pid = if let State::Live { pid } = state { pid } else { None };
    let why = reason.unwrap_or_else(|| in_words(&state));
    Row { project, ring, files, bytes, removed, why, pid }
}

fn in_words(state: &State) -> String {
    match state {
        State::Dead => String::new(),
        State::Live { pid: Some(pid) } => format!("its writer lives: pid {pid}"),
        State::Live { pid: None } => {
            "its writer lives, where this process cannot see it: look as root or outside its container".to_owned()
        }
        State::Foreign { uid } => format!("it is user {uid}'s; run gc as that user"),
        State::Layout { major, minor } => format!(
            "it is of ring layout {major}.{minor} and this program knows {}.x; use gc of that release, or rm",
            layout::MAJOR
        ),
        State::Stray => "it is no file of a ring; rm it if it is yours".to_owned(),
    }
}

fn show(rows: &[Row], dry_run: bool) -> Result<(), CliError> {
    let done = if dry_run { "would remove" } else { "removed" };
    if !rows.is_empty() {
        let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, done)).collect();
        let head = ["", "PROJECT", "RING", "FILES", "MEMORY", "WHY"];
        terminal::data(&table::render(&head, &cells))?;
    }
    let (gone, left): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.removed);
    let bytes = table::bytes(gone.iter().map(|row| row.bytes).sum());
    terminal::talk(&format!("{done} {} rings, {bytes}; left {}", gone.len(), left.len()));
    Ok(())
}

fn cells(row: &Row, done: &str) -> Vec<String> {
    vec![
        if row.removed { done.to_owned() } else { "left".to_owned() },
        row.project.to_string(),
        row.ring.as_ref().map_or_else(|| row.files.join(" "), ToString::to_string),
        row.files.len().to_string(),
        table::bytes(row.bytes),
        row.why.clone(),
    ]
}
