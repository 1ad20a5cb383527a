//! `drill`: faults on purpose, under load, and what they cost. The supervisor does them to its own workers
//! (`supervisor::drill`), a witness reads the rings and the files, and here is what they add up to.

mod act;
mod report;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use protocol::admin::{WorkerState, WorkerStatus};
use protocol::name::{RingKind, RingName};
use protocol::time::MonoNs;
use protocol::units::Span;
use protocol::witness::{Watch, Watched};
use shmring::clock;

use super::client::Client;
use super::interrupt::Interrupt;
use super::witness::Witness;
use super::{CliError, Context, FileArg, terminal};
use crate::selector::Selector;
use crate::supervisor::drill::{Fault, Recorded};
use act::{Try, Victim};
use report::Report;
use stage::Stage;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor drill
  framevisor drill motion1
  framevisor drill 'cam*' --faults kill --times 20 --seed 7
  framevisor -p yard drill recorder --yes -o json

Without a running project the topology is brought up in a temporary place, without a topology the
demo of `framevisor init`. Exit code 1 when capture or recording lost anything, when a fault was not
found, or when restarts take more than three times their target.";

/// Before the first fault: what the sources do when nothing disturbs them.
const CALM: Duration = Duration::from_millis(2500);
/// Faults fall anywhere within a group of pictures.
const PAUSE: Duration = Duration::from_millis(600);
/// How long a recorder that was told nothing may take to write what was seen last.
const PATIENCE: Span = Span::from_millis(15_000);
/// The name under which the witness reads.
const READER: &str = "framevisor drill";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The workers, by name or pattern ('cam*') [default: all]
    names: Vec<Selector>,
    /// What is done to them
    #[arg(long, value_delimiter = ',', default_value = "kill,stop,hang", value_name = "FAULTS")]
    faults: Vec<Fault>,
    /// How often each [default: kill 5, stop and hang, whose finding takes seconds, 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    times: Option<u32>,
    /// Of the instants and the order; the one that was drawn is told
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Do not ask before a running project is drilled
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    pub(super) file: FileArg,
}

impl Args {
    fn times(&self, fault: Fault) -> u32 {
        let usual = if fault == Fault::Kill { 5 } else { 2 };
        self.times.unwrap_or(usual)
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let interrupt = Interrupt::listen()?;
    let mut stage = Stage::find(context, args.yes, &interrupt)?;
    let seed = args.seed.unwrap_or_else(|| clock::now().utc.0 % 1_000_000);
    let report = rehearse(&mut stage, args, seed, &interrupt)?;
    if context.is_json() {
        terminal::json(&report)?;
    } else {
        terminal::data(&report.in_words())?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rehearse(
    stage: &mut Stage,
    args: &Args,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<Report, CliError> {
    let mut client = Client::connect(&stage.place()?)?;
    let victims = victims(&mut client, &args.names)?;
    let witness = witness(stage, &mut client)?;
    let names: Vec<&str> = victims.iter().map(|worker| worker.name.as_str()).collect();
    terminal::talk(&format!("drilling {}: {}", stage.project()?, names.join(", ")));
    interrupt.within(CALM);
    let tries = try_all(&mut client, args, &victims, witness.pid(), seed, interrupt)?;
    stage.end()?;
    let marks: Vec<MonoNs> = tries.iter().map(|it| it.began).collect();
    let seen = witness.finish(&marks)?;
    Ok(Report::of(stage.project()?, seed, &tries, &seen))
}

/// Those that are up, in the order of the file.
fn victims(client: &mut Client, names: &[Selector]) -> Result<Vec<WorkerStatus>, CliError> {
    let workers: Vec<WorkerStatus> = client.ask("ps", &())?;
    let wanted = |worker: &WorkerStatus| {
        names.is_empty() || names.iter().any(|name| name.matches(&worker.name))
    };
    let matches = |name: &&Selector| !workers.iter().any(|worker| name.matches(&worker.name));
    if let Some(unknown) = names.iter().find(matches) {
        let known: Vec<&str> = workers.iter().map(|worker| worker.name.as_str()).collect();
        let (wanted, known) = (unknown.to_string(), known.join(", "));
        return Err(CliError::NoNamed { what: "worker", wanted, known });
    }
    let is_up = |worker: &WorkerStatus| worker.state != WorkerState::Stopped;
    Ok(workers.into_iter().filter(|worker| wanted(worker) && is_up(worker)).collect())
}

fn witness(stage: &Stage, client: &mut Client) -> Result<Witness, CliError> {
    let recorded: Vec<Recorded> = client.ask("recorders", &())?;
    let rings: Vec<protocol::admin::RingStatus> = client.ask("rings", &())?;
    let watched = |ring: RingName| {
        let folders = recorded.iter().filter(|row| row.ring == ring);
        Watched { folders: folders.map(|row| row.folder.clone()).collect(), ring }
    };
    let rings = rings.into_iter().map(|ring| ring.name);
    let rings = rings.filter(|ring| ring.kind() != RingKind::Events).map(watched).collect();
    let reader = READER.to_owned();
    let watch = Watch { project: stage.project()?, reader, rings, patience: PATIENCE };
    Witness::start(&watch, &stage.place()?.broker_socket())
}

/// Each worker in turn, in an order and at instants drawn from the seed.
fn try_all(
    client: &mut Client,
    args: &Args,
    victims: &[WorkerStatus],
    witness: u32,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<Vec<Try>, CliError> {
    let mut chance = Chance(seed);
    let mut tries = Vec::new();
    let most = args.faults.iter().map(|fault| args.times(*fault)).max().unwrap_or(0);
    for round in 0..most {
        for fault in args.faults.iter().filter(|fault| round < args.times(**fault)) {
            let mut order: Vec<&WorkerStatus> = victims.iter().collect();
            order.sort_by_cached_key(|_| chance.draw());
            for worker in order {
                let victim = Victim { name: &worker.name, kind: &worker.kind, witness };
                if interrupt.within(chance.below(PAUSE)) {
                    return Ok(tries);
                }
                tries.push(victim.suffer(client, *fault)?);
            }
        }
    }
    Ok(tries)
}

/// splitmix64: draws instants and orders, nothing more.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, span: Duration) -> Duration {
        let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.draw() % ns)
    }
}
