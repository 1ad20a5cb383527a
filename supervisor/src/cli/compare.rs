//! `compare`: what two analyzers say of the same pictures.

mod tally;

use std::process::ExitCode;
use std::time::Duration;

use protocol::name::{ProjectName, RingName, WorkerName};
use protocol::time::MonoNs;
use serde::Serialize;
use shmring::{Error, Next, PacketOptions, PacketReader, Start, clock};

use super::interrupt::Interrupt;
use super::{CliError, Context, FileArg, project, table, terminal};
use crate::selector::RingSelector;
use tally::{Report, Side, Tally};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor compare counter-next
  framevisor compare counter-next --seconds 60
  framevisor compare counter.events counter-next.events -o json

Without --seconds it is what both rings still hold.";

/// How soon Ctrl-C is seen, and how long each ring is looked at in turn.
const WAIT: Duration = Duration::from_millis(20);
/// What the rings hold at the end takes less to read. A writer gone wrong says that all of it was published before.
const DRAIN: Duration = Duration::from_secs(10);
/// Longest look at one of the two rings before the other one.
const TURN: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A worker with `shadow: NAME`, or the ring of events of what is in use
    first: String,
    /// The ring of events of what is tried
    second: Option<RingSelector>,
    /// Listen so much longer
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    used: &'a RingName,
    tried: &'a RingName,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let interrupt = Interrupt::listen()?;
    let (project, rings) = match &args.second {
        Some(second) => {
            let project = context.project()?;
            let first: RingSelector = args.first.parse().map_err(Error::Name)?;
            let used = project::one_ring(context, &project, &first)?;
            let tried = project::one_ring(context, &project, second)?;
            (project, [used, tried])
        }
        None => of_shadow(context, &args.first)?,
    };
    let mut ears = [Ear::attach(&project, &rings[0])?, Ear::attach(&project, &rings[1])?];
    // What is published later is nobody's business: one that never rests would be listened to for ever.
    let mut until = clock::mono() + Duration::from_secs(args.seconds.unwrap_or(0));
    let mut tally = Tally::default();
    loop {
        let now = clock::mono();
        if interrupt.came() || tally.is_full() {
            until = until.min(now);
        }
        let goes_on = now < until;
        let wait = if goes_on { WAIT } else { Duration::ZERO };
        let mut heard = false;
        for (ear, side) in ears.iter_mut().zip([Side::Used, Side::Tried]) {
            heard |= ear.listen(&mut tally, side, wait, until)?;
        }
        if !goes_on && (!heard || now > until + DRAIN) {
            break;
        }
    }
    if tally.is_full() {
        terminal::talk("no more pictures are kept: what came later is not compared");
    }
    show(context, &rings, &tally.report())?;
    Ok(ExitCode::SUCCESS)
}

/// The rings of the worker that is in use and of its shadow.
fn of_shadow(context: &Context, name: &str) -> Result<(ProjectName, [RingName; 2]), CliError> {
    let name: WorkerName = name.parse().map_err(Error::Name)?;
    let topology = context.topology()?;
    let output = |name: &WorkerName| topology.worker(name)?.output.clone();
    let tried = topology.worker(&name);
    let used = tried.and_then(|spec| spec.shadow.as_ref());
    match (used.and_then(output), output(&name)) {
        (Some(used), Some(tried)) => {
            let project = context.globals.project.clone().unwrap_or(topology.project);
            Ok((project, [used, tried]))
        }
        _ => {
            let shadows = topology.workers.iter().filter(|spec| spec.shadow.is_some());
            let known: Vec<&WorkerName> = shadows.map(|spec| &spec.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { project::listed(&known) };
            Err(CliError::NoNamed { what: "shadow", wanted: name.to_string(), known })
        }
    }
}

/// A ring of events that is listened to.
struct Ear(PacketReader);

impl Ear {
    fn attach(project: &ProjectName, ring: &RingName) -> Result<Self, CliError> {
        let reader = "framevisor compare".to_owned();
        let options = PacketOptions { reader, start: Start::Oldest };
        Ok(Self(PacketReader::attach(project, ring, &options)?))
    }

    /// What there is and what comes within `wait`, published until `end`; whether there may be more. Not longer than
    /// [`TURN`], however much there is: the other one is overwritten meanwhile.
    fn listen(
        &mut self,
        tally: &mut Tally,
        side: Side,
        wait: Duration,
        end: MonoNs,
    ) -> Result<bool, Error> {
        let began = clock::mono();
        let mut heard = false;
        while clock::mono() < began + TURN {
            let left = (began + wait).saturating_since(clock::mono());
            match self.0.next(left)? {
                Next::Item(packet) if packet.published > end => return Ok(false),
                Next::Item(packet) => {
                    heard = true;
                    // What is no record is its writer's mistake, and about no picture.
                    if let Ok(record) = serde_json::from_slice(&packet.payload) {
                        tally.add(side, &record, packet.published);
                    }
                }
                Next::Overrun { missed } if missed > 0 => tally.missed(side, missed),
                Next::Quiet | Next::Ended => return Ok(heard),
                _ => {}
            }
        }
        Ok(true)
    }
}

fn show(context: &Context, [used, tried]: &[RingName; 2], report: &Report) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(&Answer { used, tried, report });
    }
    let (one, other) = (format!("ONLY {used}"), format!("ONLY {tried}"));
    let row = |what: &str, shares: &tally::Shares| {
        let numbers = [shares.both, shares.used, shares.tried].map(|it| it.to_string());
        [what.to_owned()].into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let rows = [row("pictures", &report.pictures), row("things", &report.things)];
    let mut page = table::render(&["", "BOTH", &one, &other], &rows);
    for line in report.lines() {
        page.push_str(&line);
        page.push('\n');
    }
    terminal::data(&page)
}
