//! `probe`: what a source is, and the lines of a topology that use it. The worker that would read it does
//! the reading; this one knows where the text comes from and how the answer is shown.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use protocol::config::ingest::{Source, Transport};
use protocol::config::{Kind, WorkerConfig};
use protocol::units::Span;
use protocol::verb::{Probe, Probed, ProbedTrack};

use super::{CliError, Context, FileArg, table, terminal};
use crate::launch;
use crate::topology::Launch;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor probe rtsp://10.0.0.5/main
  framevisor probe 'rtsp://admin:${PASSWORD}@10.0.0.5/main' --transport udp
  framevisor probe front --within 20s
  framevisor -o json probe http://10.0.0.6/video.mjpg";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A source as in a topology, in which ${NAME} stands for a variable; a camera or ingest worker of the
    /// topology; or - for a line on stdin, which no list of processes shows
    source: String,
    /// RTSP: how packets come [default: tcp, then udp, then multicast]
    #[arg(long, value_name = "WAY")]
    transport: Option<Way>,
    /// Longest time for all of it
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    within: Span,
    #[command(flatten)]
    pub(super) file: FileArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    Tcp,
    Udp,
    Multicast,
}

impl From<Way> for Transport {
    fn from(way: Way) -> Self {
        match way {
            Way::Tcp => Self::Tcp,
            Way::Udp => Self::Udp,
            Way::Multicast => Self::Multicast,
        }
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let source = source(context, &args.source)?;
    let wanted = Probe { transport: args.transport.map(Transport::from), within: args.within };
    let mut command = launch::verb(Kind::Ingest, "probe", &wanted)?;
    let start = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = start.map_err(CliError::io("start the program of the verb"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that has ended already says why itself.
        let _ = writeln!(stdin, "{}\n{source}", String::from(source.clone()));
    }
    let output = child.wait_with_output().map_err(CliError::io("the program of the verb"))?;
    if !output.status.success() {
        let code = output.status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    let probed: Probed = serde_json::from_slice(&output.stdout).map_err(CliError::skew("probe"))?;
    if context.is_json() {
        terminal::json(&probed)?;
    } else {
        terminal::data(&in_words(&probed))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Of a worker's name its source, else the text with its variables filled in.
fn source(context: &Context, text: &str) -> Result<Source, CliError> {
    let mut line = String::new();
    let text = if text == "-" {
        io::stdin().lock().read_line(&mut line).map_err(CliError::io("stdin"))?;
        line.trim_end_matches(['\r', '\n'])
    } else {
        text
    };
    if !text.contains([':', '/', '.']) && context.has_files() {
        let topology = context.topology()?;
        let found = topology.workers.iter().find(|worker| worker.name.as_str() == text);
        if let Some(Launch::Use(WorkerConfig::Ingest(ingest))) = found.map(|worker| &worker.launch)
        {
            return Ok(ingest.source.clone());
        }
    }
    let text = filled(text, |name| std::env::var(name).ok())?;
    text.parse().map_err(CliError::Camera)
}

/// With the values of variables in place of `${NAME}`.
pub(super) fn filled(
    text: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<String, CliError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${") {
        let Some((name, after)) = from.split_once('}') else { break };
        let value = value(name).ok_or_else(|| CliError::Unset { name: name.to_owned() })?;
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    Ok(out + rest)
}

fn in_words(probed: &Probed) -> String {
    let span = |ns: u64| table::short(Duration::from_nanos(ns));
    let mut text = probed.source.clone();
    if let Some(transport) = probed.transport {
        let _ = write!(text, " by {}", transport.as_str());
    }
    let (connected, watched) = (span(probed.connected_ns), span(probed.watched_ns));
    let _ = writeln!(text, ": first picture after {connected}, watched for {watched}\n");
    let head = ["TRACK", "CODEC", "PROFILE", "SIZE", "RATE", "KEY FRAMES", "BIT RATE"];
    let rows =
        probed.tracks.iter().enumerate().map(|(at, track)| row(at, track)).collect::<Vec<_>>();
    text.push_str(&table::render(&head, &rows));
    text.push('\n');
    if let Some(ahead_ns) = probed.clock_ahead_ns {
        let side = if ahead_ns < 0 { "behind" } else { "ahead of" };
        let off = span(ahead_ns.unsigned_abs());
        let _ = writeln!(text, "clock: the camera's is {off} {side} this machine's");
    }
    for warning in &probed.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let _ = writeln!(text, "for the topology:\n\n{}", probed.topology.trim_end());
    text
}

fn row(at: usize, track: &ProbedTrack) -> Vec<String> {
    let codec = format!("{:?}", track.codec).to_lowercase();
    let size = match (track.size, track.sample_rate_hz, track.channels) {
        (Some(size), ..) => size.to_string(),
        (None, Some(rate), Some(channels)) => format!("{rate} Hz x{channels}"),
        _ => String::new(),
    };
    let rate = track.rate.map_or_else(String::new, |rate| format!("{rate:.2}/s"));
    let keys = track
        .key_every_ns
        .map_or_else(String::new, |ns| format!("each {}", table::short(Duration::from_nanos(ns))));
    let kbits = track.bit_rate.0.div_ceil(1_000);
    let bits = format!("{kbits} kbit/s");
    vec![at.to_string(), codec, track.profile.clone().unwrap_or_default(), size, rate, keys, bits]
}

#[cfg(test)]
mod tests {
    use protocol::stream::Codec;
    use protocol::units::{BitRate, Size};

    use super::*;

    #[test]
    fn variables_are_filled_in_and_one_that_is_not_set_is_told() {
        let value = |name: &str| (name == "PW").then(|| "s3cret".to_owned());
        let text = filled("rtsp://a:${PW}@h/x", value).unwrap();
        assert_eq!(text, "rtsp://a:s3cret@h/x");
        assert_eq!(filled("rtsp://h/${", value).unwrap(), "rtsp://h/${");
        let error = filled("rtsp://a:${NOPE}@h", value).unwrap_err();
        assert!(error.to_string().contains("NOPE"), "{error}");
    }

    #[test]
    fn what_was_seen_is_a_table_with_warnings_and_lines_to_paste() {
        let track = ProbedTrack {
            codec: Codec::H264,
            profile: Some("High 4.0".to_owned()),
            size: Some(Size { width: 1920, height: 1080 }),
            sample_rate_hz: None,
            channels: None,
            declared_rate: Some(25.0),
            rate: Some(25.0),
            key_every_ns: Some(2_000_000_000),
            units: 100,
            bit_rate: BitRate(4_000_000),
        };
        let probed = Probed {
            source: "rtsp://10.0.0.5/main".to_owned(),
            transport: Some(Transport::Tcp),
            connected_ns: 120_000_000,
            watched_ns: 4_000_000_000,
            tracks: vec![track],
            clock_ahead_ns: Some(-1_500_000_000),
            warnings: vec!["odd CSeq".to_owned()],
            topology: "version: 1\n".to_owned(),
        };
        let told = in_words(&probed);
        let expected = "rtsp://10.0.0.5/main by tcp: first picture after 120ms, watched for 4.0s

TRACK  CODEC  PROFILE   SIZE       RATE     KEY FRAMES  BIT RATE
0      h264   High 4.0  1920x1080  25.00/s  each 2.0s   4000 kbit/s

clock: the camera's is 1.5s behind this machine's
warning: odd CSeq
for the topology:

version: 1
";
        assert_eq!(told, expected);
    }
}
