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
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use protocol::config::ingest::Source;
use protocol::verb::{Probe, Probed};
use worker::verb::{VerbError, answer, arguments};

use look::{Looked, look};

/// After its time a look ends within this, unless a call of the system's does not: a name server, or a device
/// that has stopped, may hold one for ever.
const GRACE: Duration = Duration::from_secs(3);

/// The verb: arguments as JSON, the source and how it is shown as two lines on stdin.
pub(crate) fn verb(text: &str) -> Result<(), VerbError> {
    let wanted: Probe = arguments(text)?;
    let source = source(&mut io::stdin().lock())?;
    let within = wanted.within;
    let (sender, looked) = sync_channel(1);
    let of_thread = source.clone();
    let looking = move || {
        // Nobody may wait any more.
        let _ = sender.send(look(&of_thread, &wanted));
    };
    thread::Builder::new().name("look".to_owned()).spawn(looking).map_err(VerbError::failed)?;
    match looked.recv_timeout(within.duration() + GRACE) {
        Ok(looked) => answer(&probed(&source, &looked?)),
        Err(RecvTimeoutError::Timeout) => Err(VerbError::timeout(format!(
            "{source}: opening or reading it has not ended within {within}; expected a stream: does its name have \
             an address, and does the device still answer?"
        ))),
        Err(RecvTimeoutError::Disconnected) => {
            Err(VerbError::failed(format!("{source}: the thread that reads it has ended")))
        }
    }
}

/// What a credential makes is shown under its name here too.
fn source(lines: &mut impl BufRead) -> Result<Source, VerbError> {
    let mut line = || {
        let mut text = String::new();
        lines.read_line(&mut text).map_err(VerbError::failed)?;
        Ok::<_, VerbError>(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let source: Source = line()?.parse().map_err(VerbError::usage)?;
    let shown = line()?;
    Ok(match source.clone().shown_as(&shown) {
        Some(named) if !shown.is_empty() => named,
        _ => source,
    })
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
