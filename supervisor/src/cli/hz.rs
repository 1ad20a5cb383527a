//! `hz`: what comes out of rings, measured by reading them: a thread a ring, a place in each.

mod tally;

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::MonoNs;
use serde::Serialize;
use shmring::{
    Error, Frame, FrameOptions, FrameReader, Next, Packet, PacketOptions, PacketReader, Policy,
    Start, clock,
};

use super::interrupt::Interrupt;
use super::{CliError, Context, FileArg, project, table, terminal};
use crate::selector::RingSelector;
use tally::{Figures, HOPS, Item, Summary, Tally};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor hz cam1.packets cam1.frames
  framevisor hz 'cam*.packets' --seconds 10
  framevisor hz cam1.frames --seconds 5 -o json";

const SHOW_EVERY: Duration = Duration::from_secs(1);
/// How soon a thread sees that nobody listens any more.
const WAIT: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rings, by name or pattern ('cam*.frames')
    #[arg(required = true)]
    names: Vec<RingSelector>,
    /// Measure so long, then print once; without it, each second until Ctrl-C
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let interrupt = Interrupt::listen()?;
    let project = context.project()?;
    let names = project::rings_of(context, &project, &args.names)?;
    let mut rings = Vec::new();
    for name in names {
        rings.push(Measured::begin(&project, name)?);
    }
    if let Some(seconds) = args.seconds {
        interrupt.within(Duration::from_secs(seconds));
    } else {
        while !interrupt.within(SHOW_EVERY) {
            show(context, &mut rings, true)?;
        }
    }
    show(context, &mut rings, false)?;
    Ok(ExitCode::SUCCESS)
}

/// One ring and what was seen of it.
struct Measured {
    ring: RingName,
    seen: Receiver<Seen>,
    tally: Tally,
    /// Why nothing more will come; empty while it may.
    over: String,
}

enum Seen {
    Item(Item),
    Gap(u64),
    Restart,
    Failed(String),
}

#[derive(Serialize)]
struct Row<'a> {
    ring: &'a RingName,
    #[serde(flatten)]
    figures: Figures,
    over: &'a str,
}

impl Measured {
    fn begin(project: &ProjectName, ring: RingName) -> Result<Self, CliError> {
        let mut source = Source::attach(project, &ring)?;
        let (sender, seen) = channel();
        let began = clock::mono();
        let read = move || while source.step(began, &sender) {};
        thread::Builder::new()
            .name(ring.to_string())
            .spawn(read)
            .map_err(CliError::io("thread of a ring"))?;
        Ok(Self { ring, seen, tally: Tally::default(), over: String::new() })
    }

    fn figures(&mut self) -> Figures {
        for seen in self.seen.try_iter() {
            match seen {
                Seen::Item(item) => self.tally.item(&item),
                Seen::Gap(missed) => self.tally.gap(missed),
                Seen::Restart => self.tally.restart(),
                Seen::Failed(why) => self.over = why,
            }
        }
        self.tally.figures()
    }
}

/// A reader of either kind.
enum Source {
    Frames(Box<FrameReader>),
    Packets(Box<PacketReader>),
}

impl Source {
    fn attach(project: &ProjectName, ring: &RingName) -> Result<Self, Error> {
        let reader = "framevisor hz".to_owned();
        Ok(if ring.kind() == RingKind::Frames {
            let named = FrameOptions::named(&reader);
            // It looks at no picture, wherever it lies.
            let (policy, on_device) = (Policy::Sequential, true);
            let options = FrameOptions { policy, on_device, quota: 1, ..named };
            Self::Frames(Box::new(FrameReader::attach(project, ring, &options)?))
        } else {
            let options = PacketOptions { reader, start: Start::Newest };
            Self::Packets(Box::new(PacketReader::attach(project, ring, &options)?))
        })
    }

    /// Tells what came; whether there may be more and somebody who listens.
    fn step(&mut self, began: MonoNs, listener: &Sender<Seen>) -> bool {
        let next = match self {
            Self::Frames(reader) => reader.next(WAIT).map(|next| seen(next, of_frame)),
            Self::Packets(reader) => reader.next(WAIT).map(|next| seen(next, of_packet)),
        };
        match next {
            // What lay there before tells nothing of the way to here.
            Ok(Some(Seen::Item(item))) if item.published < began => true,
            Ok(Some(seen)) => listener.send(seen).is_ok(),
            Ok(None) => true,
            Err(error) => {
                // Nobody may be listening any more, which is an end as well.
                let _ = listener.send(Seen::Failed(error.to_string()));
                false
            }
        }
    }
}

fn seen<T>(next: Next<T>, item: impl FnOnce(&T) -> Item) -> Option<Seen> {
    match next {
        Next::Item(had) => Some(Seen::Item(item(&had))),
        Next::Overrun { missed } => Some(Seen::Gap(missed)),
        Next::NewEpoch { .. } => Some(Seen::Restart),
        Next::Ended => {
            // Answered at once for as long as there is no successor.
            thread::sleep(WAIT);
            None
        }
        Next::Evicted { .. } | Next::Quiet => None,
    }
}

fn of_frame(frame: &Frame) -> Item {
    let meta = frame.meta();
    // Of its description: on a device there is no plane to ask.
    let bytes = meta.picture().map_or(0, |picture| {
        let of_plane = |number| picture.format.plane_extent(number, picture.width, picture.height);
        let planes = (0..picture.format.planes()).map(of_plane);
        planes.map(|plane| u64::from(plane.row_bytes) * u64::from(plane.rows)).sum()
    });
    Item {
        capture: meta.capture,
        ingest: meta.ingest,
        decoded: meta.decoded,
        published: frame.published(),
        here: clock::mono(),
        bytes,
    }
}

fn of_packet(packet: &Packet) -> Item {
    Item {
        capture: packet.meta.capture,
        ingest: packet.meta.ingest,
        decoded: MonoNs(0),
        published: packet.published,
        here: clock::mono(),
        bytes: u64::try_from(packet.payload.len()).unwrap_or(u64::MAX),
    }
}

fn show(context: &Context, rings: &mut [Measured], more: bool) -> Result<(), CliError> {
    let figures: Vec<Figures> = rings.iter_mut().map(Measured::figures).collect();
    let rows: Vec<Row<'_>> = rings
        .iter()
        .zip(figures)
        .map(|(measured, figures)| Row { ring: &measured.ring, figures, over: &measured.over })
        .collect();
    if context.is_json() {
        return terminal::json(&rows);
    }
    let page = page(&rows);
    if more { terminal::screen(&page) } else { terminal::last_screen(&page) }
}

fn page(rows: &[Row<'_>]) -> String {
    let rings: Vec<Vec<String>> = rows.iter().map(ring_cells).collect();
    let hops: Vec<Vec<String>> = rows.iter().flat_map(hop_cells).collect();
    let head =
        ["RING", "ITEMS", "RATE", "BYTES/S", "MIN", "MEDIAN", "P99", "MAX", "MISSED", "RESTARTS"];
    let mut page = table::render(&head, &rings);
    if !hops.is_empty() {
        page.push('\n');
        page.push_str(&table::render(&["RING", "LATENCY", "MEDIAN", "P99", "MAX"], &hops));
    }
    for row in rows.iter().filter(|row| !row.over.is_empty()) {
        page.push_str(&format!("\n{}: over: {}\n", row.ring, row.over));
    }
    page
}

fn ring_cells(row: &Row<'_>) -> Vec<String> {
    let Figures { items, missed, restarts, rate_hz, bytes_per_s, interval_ms, .. } = &row.figures;
    let dash = || "-".to_owned();
    let interval =
        |of: fn(&Summary) -> f64| interval_ms.as_ref().map_or_else(dash, |spread| ms(of(spread)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes a second")]
    let bytes = bytes_per_s.map_or_else(dash, |count| table::bytes(count as u64));
    vec![
        row.ring.to_string(),
        items.to_string(),
        rate_hz.map_or_else(dash, |rate| format!("{rate:.2}/s")),
        bytes,
        interval(|spread| spread.min),
        interval(|spread| spread.median),
        interval(|spread| spread.p99),
        interval(|spread| spread.max),
        missed.to_string(),
        restarts.to_string(),
    ]
}

fn hop_cells(row: &Row<'_>) -> Vec<Vec<String>> {
    let hops = HOPS.iter().zip(row.figures.latency_ms.in_order());
    hops.filter_map(|(hop, spread)| {
        let Summary { median, p99, max, .. } = spread?;
        let cells = [row.ring.to_string(), (*hop).to_owned(), ms(median), ms(p99), ms(max)];
        Some(cells.to_vec())
    })
    .collect()
}

fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}ms") } else { format!("{value:.1}ms") }
}
