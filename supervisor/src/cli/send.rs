//! `send`: a message to a `run:` worker, and its reply.

use std::process::ExitCode;

use framevisor_client::ANSWER_WITHIN;
use protocol::name::WorkerName;
use serde_json::Value;

use super::client::Client;
use super::{CliError, Context, FileArg, terminal};
use crate::supervisor::Message;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor send detector '{\"threshold\":0.5}'
  framevisor send detector '\"reload\"'

The worker must listen: docs/analysis.md shows how, docs/protocol.md in which words.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The worker
    name: WorkerName,
    /// The message, any JSON value
    #[arg(value_name = "JSON", value_parser = json)]
    message: Value,
    #[command(flatten)]
    pub(super) file: FileArg,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("{error}; a text needs quotes within the shell's: '\"text\"'"))
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let message = Message { name: args.name, message: args.message };
    // The supervisor itself gives up after as long as any answer may take.
    let reply: Value = client.ask_within("send", &message, ANSWER_WITHIN * 2)?;
    terminal::json(&reply)?;
    Ok(ExitCode::SUCCESS)
}
