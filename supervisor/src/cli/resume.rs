//! `resume` (hidden): the supervisor after an upgrade, executed in place of the one before it. With
//! `--check` it only tries whether it could be: see `trial`.

use std::process::ExitCode;

use nix::sys::signal::SigSet;

use super::{CliError, Context, supervise, terminal};
use crate::manifest::Manifest;
use crate::signals::Signals;
use crate::startup;
use crate::talk::Talk;
use crate::trial::Answer;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say whether it could, and do nothing
    #[arg(long)]
    check: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    if args.check {
        return check();
    }
    let stop = Signals::stop().map_err(CliError::io("signals"))?;
    let released = SigSet::all().thread_unblock();
    released.map_err(|errno| CliError::io("signals")(errno.into()))?;
    let manifest = Manifest::inherited()?;
    let talk = Talk::start().map_err(CliError::io("stderr thread"))?;
    talk.serve_tracing();
    let program = supervise::program(context, Some(manifest.program.clone()))?;
    let (asked, from) = (manifest.open.asked, manifest.written_by.clone());
    let supervisor = startup::go_on(manifest, stop, talk.clone(), program);
    talk.flush();
    Ok(supervisor?.go_on(asked, &from))
}

fn check() -> Result<ExitCode, CliError> {
    let manifest = Manifest::inherited()?;
    startup::could_go_on(&manifest)?;
    terminal::json(&Answer::own())?;
    Ok(ExitCode::SUCCESS)
}
