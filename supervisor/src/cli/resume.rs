//! `resume` (hidden): the supervisor after an upgrade, executed in place of the one before it, or, with
//! `--after-death`, one that the guard starts after it was killed. With `--check` it only tries whether it
//! could go on: see `trial`.

use std::process::ExitCode;

use nix::sys::signal::SigSet;

use super::{CliError, Context, terminal};
use crate::guard::link::GUARD_FD;
use crate::manifest::{Manifest, ManifestError};
use crate::signals::Signals;
use crate::startup::{self, FromGuard};
use crate::talk::Talk;
use crate::trial::Answer;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say whether it could, and do nothing
    #[arg(long)]
    check: bool,
    /// The supervisor before this one was killed
    #[arg(long)]
    after_death: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    if args.check {
        return check();
    }
    let stop = Signals::stop().map_err(CliError::io("signals"))?;
    if args.after_death {
        return after_death(context, stop);
    }
    let released = SigSet::all().thread_unblock();
    released.map_err(|errno| CliError::io("signals")(errno.into()))?;
    let mut manifest = Manifest::inherited()?;
    let from = manifest.written_by.clone();
    let open = manifest.open.take();
    let open = open.ok_or(ManifestError::Other { what: "nothing is open" })?;
    let talk = talk()?;
    let asked = open.asked;
    let supervisor = startup::go_on(manifest, open, stop, talk.clone());
    talk.flush();
    Ok(supervisor?.go_on(asked, &from))
}

fn after_death(context: &Context, stop: Signals) -> Result<ExitCode, CliError> {
    let link = spawn::take_inherited(GUARD_FD);
    let link = link.map_err(|error| CliError::io("guard")(std::io::Error::other(error)))?;
    let pid = std::os::unix::process::parent_id();
    let guard = FromGuard { link, pid, stop, detach: false };
    let place = context.place()?;
    let manifest = Manifest::of_the_dead(&place.will())?;
    let talk = talk()?;
    let supervisor = startup::succeed(manifest, place, guard, talk.clone());
    talk.flush();
    let (supervisor, again) = supervisor?;
    Ok(supervisor.follow(again))
}

fn talk() -> Result<Talk, CliError> {
    let talk = Talk::start().map_err(CliError::io("stderr thread"))?;
    talk.serve_tracing();
    Ok(talk)
}

fn check() -> Result<ExitCode, CliError> {
    let manifest = Manifest::inherited()?;
    startup::could_go_on(&manifest)?;
    terminal::json(&Answer::own())?;
    Ok(ExitCode::SUCCESS)
}
