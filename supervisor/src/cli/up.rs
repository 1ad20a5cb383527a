//! `up`: the guard in the foreground, or detached (`-d`), perhaps until everything flows (`--wait`).

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use protocol::time::MonoNs;
use protocol::units::Span;
use shmring::clock;

use super::client::Client;
use super::{CliError, Context, FileArg, change, memory, supervise, terminal};
use crate::admin::changes::ReloadWanted;
use crate::admin::verbs::{NotFlowing, Status};
use crate::guard::{self, Ended};
use crate::place::{Place, PlaceError};
use crate::topology::Topology;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor up
  framevisor -f demo.yml up --wait --timeout 60s";

const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Return when it runs, and leave it running
    #[arg(short, long)]
    detach: bool,
    /// Return when every ring flows or its writer is parked; implies --detach
    #[arg(long)]
    wait: bool,
    /// How long --detach and --wait may take
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    timeout: Span,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let topology = context.topology()?;
    if let Some(mut running) = same_project(context, &topology)? {
        return reloaded(context, args, &mut running);
    }
    memory::check(&topology)?;
    if args.detach || args.wait {
        return detached(context, args, topology);
    }
    guard(context, supervise::Args { detach: false })
}

/// The supervisor that runs this very topology; another file of the same name is another project.
fn same_project(context: &Context, topology: &Topology) -> Result<Option<Client>, CliError> {
    let place = context.place_of(topology)?;
    if !place.is_taken() {
        return Ok(None);
    }
    // One that is just starting or ending answers nobody yet.
    let Ok(mut client) = Client::connect(&place) else { return Ok(None) };
    let status: Status = client.ask("status", &())?;
    Ok((status.file == topology.file && !status.stopping).then_some(client))
}

fn reloaded(context: &Context, args: &Args, client: &mut Client) -> Result<ExitCode, CliError> {
    let project = &context.topology()?.project;
    terminal::talk(&format!("project {project} runs already: only what differs is changed"));
    let wanted = ReloadWanted { files: context.readable_files()?, ..ReloadWanted::default() };
    let done = change::ask(context, client, "reload", &wanted, None)?;
    if args.wait {
        Patience { limit: args.timeout, began: clock::mono() }.wait_for_flow(client)?;
    }
    Ok(done)
}

/// `guard` (hidden): lives as long as its supervisor.
pub(super) fn guard(context: &Context, args: supervise::Args) -> Result<ExitCode, CliError> {
    let mut supervise = context.arguments("supervise")?;
    if args.detach {
        // A new session: the terminal's end does not reach it. It fails for a leader of one.
        let _ = nix::unistd::setsid();
        supervise.push("--detach".into());
    }
    match guard::run(&supervise, terminal::talk)? {
        Ended::Code(code) => Ok(ExitCode::from(code)),
        Ended::Killed(signal) => {
            terminal::talk(&format!(
                "the supervisor was ended by {signal}; everything it had started was ended too; \
                 start again with `framevisor up`"
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn detached(context: &Context, args: &Args, topology: Topology) -> Result<ExitCode, CliError> {
    let place = context.place_of(&topology)?;
    if place.is_taken() {
        let (project, pid) = (topology.project, place.supervisor());
        return Err(PlaceError::AlreadyRunning { project, pid }.into());
    }
    let started = start_guard(context)?;
    let patience = Patience { limit: args.timeout, began: clock::mono() };
    let mut start = Start { guard: started, place, patience };
    let Some(mut client) = start.connect()? else { return Ok(start.failed()) };
    if args.wait {
        patience.wait_for_flow(&mut client)?;
    }
    terminal::talk(&format!(
        "project {} runs; {} lists it, {} ends it",
        topology.project,
        context.hint("ps"),
        context.hint("down"),
    ));
    Ok(ExitCode::SUCCESS)
}

/// stderr stays ours until everything is in order: mistakes are told right here.
fn start_guard(context: &Context) -> Result<Child, CliError> {
    let program = std::env::current_exe().map_err(CliError::io("find this program"))?;
    let mut command = Command::new(program);
    // A topology from stdin is still there to be read; nothing else is.
    let stdin = if context.reads_stdin() { Stdio::inherit() } else { Stdio::null() };
    command.args(context.arguments("guard")?).arg("--detach").stdin(stdin);
    command.spawn().map_err(CliError::io("start the guard"))
}

/// A project that is coming up.
struct Start {
    guard: Child,
    place: Place,
    patience: Patience,
}

/// How long somebody waits.
#[derive(Clone, Copy)]
struct Patience {
    limit: Span,
    began: MonoNs,
}

impl Start {
    /// Until the supervisor answers; `None` when it ended instead, having said why.
    fn connect(&mut self) -> Result<Option<Client>, CliError> {
        loop {
            if let Ok(Some(_)) = self.guard.try_wait() {
                return Ok(None);
            }
            if let Ok(mut client) = Client::connect(&self.place)
                && client.ask::<Status>("status", &())?.guard == self.guard.id()
            {
                return Ok(Some(client));
            }
            self.patience.pause("an answer of the supervisor", String::new)?;
        }
    }

    /// The guard's own exit code, which is the supervisor's.
    fn failed(&mut self) -> ExitCode {
        let status = self.guard.wait().ok().and_then(|status| status.code());
        status
            .and_then(|code| u8::try_from(code).ok())
            .filter(|code| *code != 0)
            .map_or(ExitCode::FAILURE, ExitCode::from)
    }
}

impl Patience {
    fn wait_for_flow(&self, client: &mut Client) -> Result<(), CliError> {
        loop {
            let dry = client.ask::<Status>("status", &())?.not_flowing;
            if dry.is_empty() {
                return Ok(());
            }
            if let Some(held) =
                dry.iter().find(|ring| matches!(&*ring.state, "held" | "quarantined"))
            {
                return Err(CliError::Degraded(format!(
                    "ring {} cannot flow: {}",
                    held.ring,
                    writer(held)
                )));
            }
            let missing =
                || dry.iter().map(|ring| format!("\n  {}: {}", ring.ring, writer(ring))).collect();
            self.pause("data in every ring", missing)?;
        }
    }

    fn pause(&self, what: &'static str, missing: impl FnOnce() -> String) -> Result<(), CliError> {
        if clock::mono() > self.began + self.limit.duration() {
            return Err(CliError::Timeout { what, limit: self.limit, missing: missing() });
        }
        std::thread::sleep(LOOK_EVERY);
        Ok(())
    }
}

fn writer(ring: &NotFlowing) -> String {
    let why = if ring.why.is_empty() { String::new() } else { format!(" ({})", ring.why) };
    format!("its writer {} is {}{why}", ring.writer, ring.state)
}
