//! `framevisor probe`: what a source is, by reading it for some seconds as the worker would.
//!
//! ```text
//! Source ──> look (our RTSP client, or FFmpeg) ──> Measure ──> warnings, paste ──> Probed
//! ```
//! What belongs here: the effects are in `look`; what is made of what came is pure.

mod look;
mod measure;
mod paste;
mod profile;
mod warn;

use std::io::{self, BufRead};

use protocol::config::ingest::Source;
use protocol::verb::{Probe, Probed};
use worker::verb::{VerbError, answer, arguments};

use look::{Looked, look};

/// The verb: arguments as JSON, the source as a line on stdin.
pub(crate) fn verb(text: &str) -> Result<(), VerbError> {
    let wanted: Probe = arguments(text)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(VerbError::failed)?;
    let source: Source = line.trim_end_matches(['\r', '\n']).parse().map_err(VerbError::usage)?;
    answer(&probed(&source, &look(&source, &wanted)?))
}

fn probed(source: &Source, looked: &Looked) -> Probed {
    let tracks = looked.measure.tracks(&looked.tracks);
    Probed {
        source: source.to_string(),
        transport: looked.transport,
        connected_ns: looked.connected_ns,
        watched_ns: looked.measure.span_ns(),
        clock_ahead_ns: looked.clock_ahead_ns,
        warnings: warn::warnings(source, looked, &tracks),
        topology: paste::lines(source, looked.transport, &tracks),
        tracks,
    }
}

#[cfg(test)]
mod tests;
