//! `supervise` (hidden): the supervisor process, started by its guard.

use std::process::ExitCode;

use super::audience::Audience;
use super::{CliError, Context};
use crate::guard::link::GUARD_FD;
use crate::signals::Signals;
use crate::startup::{self, FromGuard};
use crate::talk::Talk;
use crate::topology::probe;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Leave the terminal once everything is in order
    #[arg(long)]
    pub(super) detach: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let stop = Signals::stop().map_err(CliError::io("signals"))?;
    let audience = context.globals.rehearsed_by.map(|pid| {
        let folder = context.globals.rehearsal.clone();
        Audience::watch(pid, folder).map_err(CliError::io("watch who rehearses"))
    });
    let audience = audience.transpose()?;
    let link = spawn::take_inherited(GUARD_FD);
    let link = link.map_err(|error| CliError::io("guard")(std::io::Error::other(error)))?;
    let pid = std::os::unix::process::parent_id();
    let guard = FromGuard { link, pid, stop, detach: args.detach };
    let topology = context.topology()?;
    probe::check(&topology).map_err(CliError::Topology)?;
    let place = context.place_of(&topology)?;
    let talk = Talk::start().map_err(CliError::io("stderr thread"))?;
    talk.serve_tracing();
    let supervisor = startup::open(topology, place, guard, talk.clone());
    // What was said so far comes before what an error says.
    talk.flush();
    let code = supervisor?.run();
    if let Some(audience) = audience {
        audience.clean_up();
    }
    Ok(code)
}
