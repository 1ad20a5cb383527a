//! `upgrade`: the running supervisor becomes another program, and nothing else changes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::client::Client;
use super::{CliError, Context, FileArg, terminal};
use crate::admin::verbs::{UpgradeWanted, Upgraded};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor upgrade
  framevisor upgrade --binary /opt/framevisor-next/framevisor";

/// The program is tried, and a worker that starts is waited for.
const WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The program to become [default: the one it was started as, as it is there now]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let binary = args.binary.as_ref().map(std::path::absolute).transpose();
    let wanted = UpgradeWanted { binary: binary.map_err(CliError::io("current directory"))? };
    let mut client = Client::connect(&context.place()?)?;
    let upgraded: Upgraded = client.ask_within("upgrade", &wanted, WITHIN)?;
    if context.is_json() {
        terminal::json(&upgraded)?;
    } else {
        let Upgraded { from, to, workers } = upgraded;
        terminal::talk(&format!("framevisor {from} became {to}; {workers} workers go on"));
    }
    Ok(ExitCode::SUCCESS)
}
