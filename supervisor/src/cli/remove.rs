//! `remove`: workers and cameras out of what runs, with their rings.

use std::process::ExitCode;

use super::client::Client;
use super::restart::Args;
use super::{CliError, Context, change};
use crate::admin::verbs::Names;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor remove cam9
  framevisor remove cam10 cam11";

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    change::ask(context, &mut client, "remove", &Names { names: args.names }, None)
}
