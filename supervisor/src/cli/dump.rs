//! `dump`: the last of what a ring still holds, into a file. Packets go through the recorder's
//! program, which has the muxer; pictures through the decoder's, which has the formats; records are
//! lines of JSON already.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use protocol::config::Kind;
use protocol::name::RingKind;
use protocol::units::Span;
use protocol::verb::{Dump, Dumped, DumpedFile, ItemId, gaps};
use shmring::{Next, Packet, PacketOptions, PacketReader, Start, clock};

use super::events::time_of;
use super::{CliError, Context, project, table, terminal};
use crate::launch;
use crate::selector::RingSelector;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor dump cam1.packets --last 10s -o clip.mp4
  framevisor dump cam1.packets --last 1m -o clip.h264 --force
  framevisor dump motion1.events -o motion.jsonl
  framevisor dump cam1.frames -o pictures.y4m
  framevisor -o json dump cam1.packets -o clip.mp4";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ring
    ring: RingSelector,
    /// How much of it, before its newest item; a little more, to begin with a key frame
    #[arg(long, default_value = "10s", value_name = "SPAN")]
    last: Span,
    /// Where to; the ending chooses: .mp4 .h264 .h265 .mjpeg .jsonl (packets), .y4m or a folder's
    /// name with / behind it for PNG files (frames), .jsonl (events)
    // Before the verb, -o is the form of what is printed.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    to: PathBuf,
    /// Write over what is there
    #[arg(long)]
    force: bool,
    /// The topology [default: framevisor.yml]
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let project = context.project()?;
    let ring = project::one_ring(context, &project, &args.ring)?;
    let kind = ring.kind();
    let file = std::path::absolute(&args.to).map_err(CliError::io("current directory"))?;
    // A name's last / is lost on the way to a path made absolute.
    let file =
        if args.to.as_os_str().as_encoded_bytes().ends_with(b"/") { file.join("") } else { file };
    let wanted = Dump { project, ring, last: args.last, file, force: args.force };
    let dumped = match kind {
        RingKind::Packets => by_program(Kind::Recorder, &wanted)?,
        RingKind::Frames => by_program(Kind::Decoder, &wanted)?,
        RingKind::Events => Ok(records(&wanted)?),
    };
    let dumped = match dumped {
        Ok(dumped) => dumped,
        Err(code) => return Ok(code),
    };
    if context.is_json() {
        terminal::json(&dumped)?;
    } else {
        terminal::data(&in_words(&dumped))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Its exit code when it failed, having said why.
fn by_program(kind: Kind, wanted: &Dump) -> Result<Result<Dumped, ExitCode>, CliError> {
    let mut command = launch::verb(kind, "dump", wanted)?;
    let output = command.stderr(Stdio::inherit()).stdin(Stdio::null()).output();
    let output = output.map_err(CliError::io("start the program of the verb"))?;
    if !output.status.success() {
        let code = output.status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(Err(code.map_or(ExitCode::FAILURE, ExitCode::from)));
    }
    let dumped = serde_json::from_slice(&output.stdout);
    dumped.map(Ok).map_err(CliError::skew("dump"))
}

/// A line each, as they were emitted.
pub(super) fn records(wanted: &Dump) -> Result<Dumped, CliError> {
    if wanted.file.extension().is_none_or(|ending| ending != "jsonl") {
        return Err(CliError::Ending { path: wanted.file.clone(), expected: ".jsonl" });
    }
    let held = held(wanted)?;
    let newest = held.last().map_or_else(clock::mono, |packet| packet.published);
    let old = |packet: &&Packet| newest.saturating_since(packet.published) > wanted.last.duration();
    let packets: Vec<&Packet> = held.iter().skip_while(old).collect();
    let mut text = Vec::new();
    for packet in &packets {
        text.extend_from_slice(&packet.payload);
        text.push(b'\n');
    }
    write_file(wanted, &text)?;
    let ids = packets.iter().map(|p| ItemId { epoch: p.epoch, sequence: p.sequence });
    Ok(Dumped {
        ring: wanted.ring.clone(),
        gaps: gaps(ids),
        files: described(wanted, &packets, text.len()).into_iter().collect(),
        left_out: String::new(),
    })
}

fn held(wanted: &Dump) -> Result<Vec<Packet>, CliError> {
    let began = clock::mono();
    // Behind nothing at all: the epoch before the live one too, while it is there.
    let start = Start::After { epoch: 0, sequence: 0 };
    let options = PacketOptions { reader: "framevisor dump".to_owned(), start };
    let mut reader = PacketReader::attach(&wanted.project, &wanted.ring, &options)?;
    let mut held: Vec<Packet> = Vec::new();
    while held.last().is_none_or(|newest| newest.published < began) {
        match reader.next(Duration::ZERO)? {
            Next::Item(packet) => held.push(packet),
            Next::Quiet | Next::Ended => break,
            // The sequences tell.
            _ => {}
        }
    }
    Ok(held)
}

fn write_file(wanted: &Dump, text: &[u8]) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    let force = wanted.force;
    let open =
        options.write(true).create(force).truncate(force).create_new(!force).open(&wanted.file);
    open.and_then(|mut file| file.write_all(text)).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::Overwrites { path: wanted.file.clone() },
        _ => CliError::Output { path: wanted.file.clone(), source },
    })
}

fn described(wanted: &Dump, packets: &[&Packet], bytes: usize) -> Option<DumpedFile> {
    let (first, last) = (packets.first()?, packets.last()?);
    let span = last.published.saturating_since(first.published);
    Some(DumpedFile {
        file: wanted.file.clone(),
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        items: u64::try_from(packets.len()).unwrap_or(u64::MAX),
        epoch: first.epoch,
        first: first.sequence,
        last: last.sequence,
        from_utc_ns: first.meta.capture.utc,
        to_utc_ns: last.meta.capture.utc,
        span_ns: u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
    })
}

fn in_words(dumped: &Dumped) -> String {
    let mut text = String::new();
    for file in &dumped.files {
        let DumpedFile { bytes, items, epoch, first, last, from_utc_ns, to_utc_ns, .. } = file;
        let (name, bytes) = (file.file.display(), table::bytes(*bytes));
        let seconds = Duration::from_nanos(file.span_ns).as_secs_f64();
        let (from, to) = (time_of(*from_utc_ns), time_of(*to_utc_ns));
        let _ = writeln!(
            text,
            "{name}: {seconds:.2} s of {}, {from} to {to}, {items} items, {first} to {last} of epoch {epoch}, {bytes}",
            dumped.ring
        );
    }
    if dumped.files.is_empty() {
        let _ = writeln!(text, "{}: nothing in it", dumped.ring);
    }
    for gap in &dumped.gaps {
        let behind = format!("behind {} of epoch {}", gap.sequence, gap.epoch);
        let _ = match gap.missing {
            0 => writeln!(text, "gap: the writer was restarted {behind}"),
            missing => writeln!(text, "gap: {missing} items are missing {behind}"),
        };
    }
    if dumped.gaps.is_empty() && !dumped.files.is_empty() {
        text.push_str("no gaps\n");
    }
    if !dumped.left_out.is_empty() {
        let _ = writeln!(text, "left out: {}", dumped.left_out);
    }
    text
}

#[cfg(test)]
mod tests {
    use protocol::time::UtcNs;
    use protocol::verb::Gap;

    use super::*;

    #[test]
    fn a_dump_says_its_range_in_time_and_numbers_and_each_gap() {
        let file = DumpedFile {
            file: "clip.mp4".into(),
            bytes: 2048,
            items: 240,
            epoch: 5,
            first: 1,
            last: 250,
            from_utc_ns: UtcNs(0),
            to_utc_ns: UtcNs(9_960_000_000),
            span_ns: 9_960_000_000,
        };
        let gaps = vec![Gap { epoch: 5, sequence: 7, missing: 10 }];
        let ring = "cam1.packets".parse().unwrap();
        let mut dumped = Dumped { ring, files: vec![file], gaps, left_out: String::new() };
        assert_eq!(
            in_words(&dumped),
            "clip.mp4: 9.96 s of cam1.packets, 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:09.960Z, \
             240 items, 1 to 250 of epoch 5, 2.0 KiB\n\
             gap: 10 items are missing behind 7 of epoch 5\n"
        );
        dumped.gaps.clear();
        assert!(in_words(&dumped).ends_with("no gaps\n"));
    }
}
