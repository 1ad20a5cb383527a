//! Reads a source for some seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use media::{AccessUnit, Demuxer, Input, MediaError};
use protocol::config::ingest::{Source, Transport};
use protocol::stream::Track;
use protocol::time::{MonoNs, NS_PER_S};
use protocol::verb::Probe;
use shmring::clock;
use worker::verb::VerbError;

use super::measure::Measure;
use crate::rtsp::{Client, Happening, PATIENCE, RtspError, Wanted};

/// So much of a stream, with two key frames in it, tells all but its clock.
const ENOUGH_NS: u64 = 4 * NS_PER_S;
/// Cameras report their clock about every 5 s; who has not by then does not.
const CLOCK_NS: u64 = 6 * NS_PER_S;
/// Of a file, which is read as fast as it can be.
const FILE_NS: u64 = 30 * NS_PER_S;

/// What was seen of it.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) transport: Option<Transport>,
    pub(super) connected_ns: u64,
    pub(super) tracks: Vec<Track>,
    pub(super) measure: Measure,
    pub(super) clock_ahead_ns: Option<i64>,
    /// Oddities of the connection.
    pub(super) notes: Vec<String>,
}

impl Looked {
    fn take(&mut self, unit: &AccessUnit, began: MonoNs) {
        if self.connected_ns == 0 {
            let took = clock::mono().saturating_since(began);
            self.connected_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        }
        self.measure.take(unit);
    }

    fn is_enough(&self, knows_clock: bool) -> bool {
        let span_ns = self.measure.span_ns();
        let has_keys = self.measure.keys() >= 2;
        has_keys && span_ns >= if knows_clock { ENOUGH_NS } else { CLOCK_NS }
    }
}

/// Ends as soon as enough is seen, and at the end of the time in any case.
pub(super) fn look(source: &Source, wanted: &Probe) -> Result<Looked, VerbError> {
    let began = clock::mono();
    let over = ends_at(wanted.within.duration());
    let looked = match source {
        Source::Rtsp(url) => by_rtsp(url.url(), &url.to_string(), wanted, began, &over)?,
        Source::Stream(stream) => by_ffmpeg(&Input::Stream(stream.clone()), began, &over, wanted)?,
        Source::Device(device) => by_ffmpeg(&Input::Device(device.clone()), began, &over, wanted)?,
        Source::File(path) => by_ffmpeg(&Input::File(path.clone()), began, &over, wanted)?,
        Source::Publisher(_) => {
            return Err(VerbError::usage(
                "nobody can be asked: who publishes comes by itself; `framevisor ps` tells of the worker who is there",
            ));
        }
        Source::Test(_) => {
            return Err(VerbError::usage(
                "a test pattern is what it says; probe a camera, a stream, a device or a file",
            ));
        }
    };
    if looked.measure.units() > 0 {
        return Ok(looked);
    }
    Err(VerbError::timeout(format!(
        "{source}: connected, and no picture came within {}; expected a live stream: is the camera's encoder on?",
        wanted.within
    )))
}

/// Raised when the time is over.
fn ends_at(within: Duration) -> Arc<AtomicBool> {
    let over = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&over);
    thread::spawn(move || {
        thread::sleep(within);
        raised.store(true, Ordering::Relaxed);
    });
    over
}

fn by_rtsp(
    url: &str,
    name: &str,
    wanted: &Probe,
    began: MonoNs,
    over: &Arc<AtomicBool>,
) -> Result<Looked, VerbError> {
    let all = [Transport::Tcp, Transport::Udp, Transport::Multicast];
    let tried: &[Transport] = match &wanted.transport {
        None | Some(Transport::Auto) => &all,
        Some(one) => std::slice::from_ref(one),
    };
    let mut refusals = Vec::new();
    for transport in tried {
        let asked = Wanted {
            url: url.to_owned(),
            name: name.to_owned(),
            transport: *transport,
            first_within: PATIENCE,
        };
        let mut client = match Client::open(&asked, Arc::clone(over)) {
            Ok(client) => client,
            Err(RtspError::ForFfmpeg { .. }) => {
                let input = Input::Rtsp { url: url.to_owned(), name: name.to_owned() };
                let looked = by_ffmpeg(&input, began, over, wanted)?;
                return Ok(Looked { transport: Some(Transport::Tcp), ..looked });
            }
            Err(refused @ RtspError::Transport { .. }) => {
                refusals.push(refused);
                continue;
            }
            Err(error) => return Err(failure(error, name, wanted)),
        };
        let mut looked = Looked { transport: Some(*transport), ..Looked::default() };
        let read = watch(&mut client, &mut looked, began);
        looked.notes.extend(client.oddities());
        looked.notes.extend(refusals.iter().map(ToString::to_string));
        // What a picture needs to arrive makes the clock look behind; it is all that can be known.
        looked.clock_ahead_ns = client.delay_ns().map(i64::saturating_neg);
        client.close();
        return match read {
            Err(error) if looked.measure.units() == 0 => Err(failure(error, name, wanted)),
            Err(RtspError::Stopping) | Ok(()) => Ok(looked),
            Err(error) => {
                looked.notes.push(error.to_string());
                Ok(looked)
            }
        };
    }
    let last = refusals.pop().map_or_else(String::new, |refused| refused.to_string());
    Err(VerbError::failed(last))
}

fn watch(client: &mut Client, looked: &mut Looked, began: MonoNs) -> Result<(), RtspError> {
    while !looked.is_enough(client.delay_ns().is_some()) {
        match client.read(PATIENCE)? {
            Some(Happening::Tracks(tracks)) => looked.tracks = tracks,
            Some(Happening::Unit(received)) => looked.take(&received.unit, began),
            None => {}
        }
    }
    Ok(())
}

/// An end of the time is that, and everything else what the worker would say.
fn failure(error: RtspError, name: &str, wanted: &Probe) -> VerbError {
    match error {
        RtspError::Stopping => too_late(name, wanted),
        RtspError::Silent { .. } | RtspError::Drip { .. } | RtspError::Stalled { .. } => {
            VerbError::timeout(error)
        }
        error => VerbError::failed(error),
    }
}

fn too_late(name: &str, wanted: &Probe) -> VerbError {
    VerbError::timeout(format!(
        "{name}: no picture within {}; expected a live stream: is the camera on, and the network path up?",
        wanted.within
    ))
}

fn by_ffmpeg(
    input: &Input,
    began: MonoNs,
    over: &Arc<AtomicBool>,
    wanted: &Probe,
) -> Result<Looked, VerbError> {
    let raised = Arc::clone(over);
    let opened = Demuxer::open(input, Box::new(move || raised.load(Ordering::Relaxed)));
    let mut demuxer = opened.map_err(|error| match error {
        MediaError::Interrupted { input, .. } => too_late(&input, wanted),
        error @ MediaError::Timeout { .. } => VerbError::timeout(error),
        error => VerbError::failed(error),
    })?;
    let mut looked = Looked { tracks: demuxer.tracks().to_vec(), ..Looked::default() };
    let nature = demuxer.nature();
    let is_file = matches!(input, Input::File(_));
    let is_enough = |looked: &Looked| match is_file || nature.is_stored {
        true => looked.measure.span_ns() >= FILE_NS,
        false => looked.is_enough(true),
    };
    while !is_enough(&looked) && !over.load(Ordering::Relaxed) {
        match demuxer.read() {
            Ok(Some(mut unit)) => {
                if nature.is_untimed && !is_file {
                    let now_ns = clock::mono().0;
                    unit.pts_ns = i64::try_from(now_ns).unwrap_or(i64::MAX);
                }
                looked.take(&unit, began);
            }
            Ok(None) | Err(MediaError::Interrupted { .. }) => break,
            Err(error) if looked.measure.units() == 0 => return Err(VerbError::failed(error)),
            Err(error) => {
                looked.notes.push(error.to_string());
                break;
            }
        }
    }
    looked.tracks = demuxer.tracks().to_vec();
    Ok(looked)
}
