//! `supervise` (hidden): the supervisor process, started by its guard.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{CliError, Context};
use crate::guard::link::GUARD_FD;
use crate::signals::Signals;
use crate::startup::{self, FromGuard};
use crate::talk::Talk;
use crate::topology::probe;
use crate::trial::Program;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Leave the terminal once everything is in order
    #[arg(long)]
    pub(super) detach: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let stop = Signals::stop().map_err(CliError::io("signals"))?;
    let link = spawn::take_inherited(GUARD_FD);
    let link = link.map_err(|error| CliError::io("guard")(std::io::Error::other(error)))?;
    let pid = std::os::unix::process::parent_id();
    let guard = FromGuard { link, pid, stop, detach: args.detach };
    let topology = context.topology()?;
    probe::check(&topology).map_err(CliError::Topology)?;
    let place = context.place_of(&topology)?;
    let program = program(context, None)?;
    let talk = Talk::start().map_err(CliError::io("stderr thread"))?;
    talk.serve_tracing();
    let supervisor = startup::open(topology, place, guard, talk.clone(), program);
    // What was said so far comes before what an error says.
    talk.flush();
    Ok(supervisor?.run())
}

/// What this supervisor becomes at an upgrade: the program it was started as, as it will be there then.
pub(super) fn program(context: &Context, path: Option<PathBuf>) -> Result<Program, CliError> {
    let path = path.map_or_else(std::env::current_exe, Ok);
    let path = path.map_err(CliError::io("find this program"))?;
    Ok(Program { path, args: context.arguments("resume")? })
}
