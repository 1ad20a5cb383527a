//! `tap`: what is in a ring, to look at. Pictures are the decoder's program's work, which becomes
//! this process; records are lines of JSON already.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use protocol::config::Kind;
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::units::Span;
use protocol::verb::{Tap, TapTo};
use shmring::{Next, PacketOptions, PacketReader, Start, clock};

use super::interrupt::Interrupt;
use super::{CliError, Context, FileArg, project, terminal};
use crate::launch;
use crate::selector::RingSelector;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor tap cam1.frames
  framevisor tap cam1.packets --png cam1.png
  framevisor tap cam1.frames --png now.png --every 10s
  framevisor tap motion1.events --frames 1";

/// How soon Ctrl-C is seen.
const WAIT: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ring: pictures of frames and packets, records of events
    ring: RingSelector,
    /// Write the newest picture to this file
    #[arg(long, value_name = "FILE", conflicts_with = "term")]
    png: Option<PathBuf>,
    /// Show pictures in the terminal until Ctrl-C; what is done without --png
    #[arg(long)]
    term: bool,
    /// From one picture to the next; with --png: go on, writing over the file
    #[arg(long, value_name = "SPAN")]
    every: Option<Span>,
    /// End after so many pictures or records
    #[arg(long, value_name = "COUNT")]
    frames: Option<u64>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let project = context.project()?;
    let ring = project::one_ring(context, &project, &args.ring)?;
    if ring.kind() == RingKind::Events {
        return records(&project, &ring, &args);
    }
    let to = match args.png {
        Some(file) => {
            TapTo::Png(std::path::absolute(file).map_err(CliError::io("current directory"))?)
        }
        None if args.term || io::stdout().is_terminal() => TapTo::Term,
        None => return Err(CliError::NoTerminal { ring }),
    };
    let tap = Tap { project, ring, to, every: args.every, frames: args.frames };
    // Returns only when there is no such program.
    let error = launch::verb(Kind::Decoder, "tap", &tap)?.exec();
    Err(CliError::io("start the program of the verb")(error))
}

/// The newest record and all that follow, a line each.
fn records(project: &ProjectName, ring: &RingName, args: &Args) -> Result<ExitCode, CliError> {
    if args.png.is_some() || args.term || args.every.is_some() {
        return Err(CliError::NoPictures { ring: ring.clone() });
    }
    let interrupt = Interrupt::listen()?;
    let options = PacketOptions { reader: "framevisor tap".to_owned(), start: Start::NewestKey };
    let mut reader = PacketReader::attach(project, ring, &options)?;
    let mut left = args.frames.unwrap_or(u64::MAX);
    while left > 0 && !interrupt.came() {
        let until = clock::mono() + WAIT;
        match reader.next(WAIT)? {
            Next::Item(record) => {
                terminal::data(&format!("{}\n", String::from_utf8_lossy(&record.payload)))?;
                left -= 1;
            }
            Next::Overrun { missed } if missed > 0 => {
                terminal::talk(&format!("{missed} records were overwritten before they were read"));
            }
            // Answered at once for as long as there is no successor.
            Next::Ended => drop(interrupt.within(until.saturating_since(clock::mono()))),
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}
