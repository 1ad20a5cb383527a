//! `record`: start and stop the recording of cameras whatever the topology says. The recorders do it; this
//! finds out which, and asks each of them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use framevisor_client::ANSWER_WITHIN;
use protocol::name::WorkerName;
use protocol::pattern::matches;
use protocol::recorder::{self, Order, Show, Told};
use protocol::units::Span;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::client::Client;
use super::events::time_of;
use super::{CliError, Context, FileArg, groups, table, terminal};
use crate::supervisor::Message;
use crate::supervisor::drill::Recorded;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor record ls
  framevisor record start cam1 --pre 5s --for 5m
  framevisor record stop 'cam*'
  framevisor record auto";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show which cameras are recorded now, and why
    Ls(Cameras),
    /// Record from now on, whatever the topology says
    Start(Start),
    /// Record nothing from now on, whatever the topology says
    Stop(Ordered),
    /// Record what the topology says, again
    Auto(Cameras),
}

#[derive(Debug, clap::Args)]
struct Cameras {
    /// The cameras, by name, pattern ('cam*') or group; all without any
    cameras: Vec<String>,
    #[command(flatten)]
    file: FileArg,
}

#[derive(Debug, clap::Args)]
struct Ordered {
    #[command(flatten)]
    cameras: Cameras,
    /// Then the topology decides again; until the next command, without
    #[arg(long = "for", value_name = "SPAN")]
    span: Option<Span>,
}

#[derive(Debug, clap::Args)]
struct Start {
    #[command(flatten)]
    ordered: Ordered,
    /// Begin so long ago, as far as the ring holds it
    #[arg(long, value_name = "SPAN")]
    pre: Option<Span>,
}

impl Args {
    pub(super) fn take_file(&mut self) -> FileArg {
        let cameras = match &mut self.verb {
            Verb::Ls(cameras) | Verb::Auto(cameras) => cameras,
            Verb::Start(start) => &mut start.ordered.cameras,
            Verb::Stop(ordered) => &mut ordered.cameras,
        };
        std::mem::take(&mut cameras.file)
    }
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let meant = |cameras: &Cameras| groups::members(context, &cameras.cameras);
    let told = match args.verb {
        Verb::Ls(cameras) => {
            let show = |cameras| recorder::Message::Show(Show { cameras });
            ask_recorders(&mut client, &meant(&cameras), show)?
        }
        Verb::Auto(cameras) => order(&mut client, &meant(&cameras), Order::Auto, None, None)?,
        Verb::Stop(Ordered { cameras, span }) => {
            order(&mut client, &meant(&cameras), Order::Stop, span, None)?
        }
        Verb::Start(Start { ordered: Ordered { cameras, span }, pre }) => {
            order(&mut client, &meant(&cameras), Order::Start, span, pre)?
        }
    };
    show(context, &told)?;
    Ok(ExitCode::SUCCESS)
}

fn order(
    client: &mut Client,
    cameras: &[String],
    order: Order,
    span: Option<Span>,
    pre: Option<Span>,
) -> Result<Vec<Told>, CliError> {
    ask_recorders(client, cameras, |cameras| {
        recorder::Message::Record(recorder::Record { cameras, order, span, pre })
    })
}

/// Every recorder of these cameras, and what all of them reply.
fn ask_recorders(
    client: &mut Client,
    cameras: &[String],
    message: impl Fn(Vec<String>) -> recorder::Message,
) -> Result<Vec<Told>, CliError> {
    let mut told = Vec::new();
    for (name, cameras) in of_recorders(client, cameras)? {
        told.extend(tell::<Vec<Told>>(client, name, &message(cameras))?);
    }
    Ok(told)
}

/// The cameras meant, by their recorders.
pub(super) fn of_recorders(
    client: &mut Client,
    cameras: &[String],
) -> Result<BTreeMap<WorkerName, Vec<String>>, CliError> {
    let recorded: Vec<Recorded> = client.ask("recorders", &())?;
    let is_meant = |name: &str, row: &Recorded| matches(name, row.ring.owner());
    let unknown = cameras.iter().find(|name| !recorded.iter().any(|row| is_meant(name, row)));
    if let Some(unknown) = unknown {
        let known: Vec<&str> = recorded.iter().map(|row| row.ring.owner()).collect();
        let (wanted, known) = (unknown.clone(), known.join(", "));
        return Err(CliError::NoNamed { what: "recorded camera", wanted, known });
    }
    let mut recorders: BTreeMap<WorkerName, Vec<String>> = BTreeMap::new();
    for row in recorded {
        if cameras.is_empty() || cameras.iter().any(|name| is_meant(name, &row)) {
            recorders.entry(row.worker).or_default().push(row.ring.owner().to_owned());
        }
    }
    Ok(recorders)
}

pub(super) fn tell<T: DeserializeOwned>(
    client: &mut Client,
    name: WorkerName,
    message: &recorder::Message,
) -> Result<T, CliError> {
    let message = Message { name, message: json!(message) };
    client.ask_within("send", &message, ANSWER_WITHIN * 2)
}

fn show(context: &Context, told: &[Told]) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(&told);
    }
    const HEAD: [&str; 5] = ["CAMERA", "RECORDING", "ORDER", "UNTIL", "WHY"];
    let rows: Vec<Vec<String>> = told.iter().map(row).collect();
    terminal::data(&table::render(&HEAD, &rows))?;
    for camera in told.iter().filter(|told| !told.kept).map(|told| &told.camera) {
        terminal::talk(&format!(
            "{camera}: its folder cannot be written, so this holds until the recorder ends"
        ));
    }
    Ok(())
}

fn row(told: &Told) -> Vec<String> {
    let order = match told.order {
        Order::Auto => "auto",
        Order::Start => "start",
        Order::Stop => "stop",
    };
    vec![
        told.camera.clone(),
        if told.recording { "yes" } else { "no" }.to_owned(),
        order.to_owned(),
        told.until_utc_ns.map_or_else(|| "-".to_owned(), time_of),
        told.why.clone(),
    ]
}
