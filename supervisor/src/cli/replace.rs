//! `replace`: new processes for workers, without their clients or readers noticing.

use std::process::ExitCode;

use super::client::Client;
use super::restart::Args;
use super::{CliError, Context, change};
use crate::admin::verbs::Names;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor replace rtsp
  framevisor replace rtsp web";

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    change::ask(context, &mut client, "replace", &Names { names: args.names }, None)
}
