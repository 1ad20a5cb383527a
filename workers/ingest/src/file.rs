//! A media file at its own pace, once or for ever.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use media::{AccessUnit, Demuxer, Input, MediaError};
use protocol::stream::Track;
use protocol::time::MonoNs;
use shmring::clock;
use worker::Fault;

use crate::pace::{LATE, Pace, stamp_at};
use crate::source::{CapturedUnit, Event, sleep_until};
use crate::timeline::{Timeline, Times};

#[derive(Debug)]
pub(crate) struct FileSource {
    path: PathBuf,
    repeat: bool,
    /// Where every round begins.
    start_ns: i64,
    stop: Arc<AtomicBool>,
    demuxer: Demuxer,
    /// The container's times, joined from round to round.
    timeline: Timeline,
    pace: Pace,
    /// Read and not due yet.
    held: Option<(AccessUnit, MonoNs)>,
    /// What was said last of the tracks.
    tracks: Vec<Track>,
    units: u64,
    units_this_round: u64,
}

/// What reading on brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// A unit is held.
    Unit,
    /// Not yet a unit: a new round begins, or the worker is stopping and the read was broken off.
    Nothing,
    /// The end of a file that is not repeated.
    End,
}

impl FileSource {
    pub(crate) fn open(
        path: &Path,
        repeat: bool,
        start_ns: i64,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Fault> {
        Ok(Self {
            demuxer: open_demuxer(path, start_ns, &stop).map_err(Fault::unavailable)?,
            path: path.to_owned(),
            repeat,
            start_ns,
            stop,
            timeline: Timeline::default(),
            pace: Pace::default(),
            held: None,
            tracks: Vec::new(),
            units: 0,
            units_this_round: 0,
        })
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        if self.held.is_none() {
            match self.read_ahead()? {
                Ahead::Unit => {}
                Ahead::Nothing => return Ok(Event::Quiet),
                Ahead::End => return Ok(Event::Ended),
            }
        }
        if self.demuxer.tracks() != self.tracks {
            self.tracks = self.demuxer.tracks().to_vec();
            return Ok(Event::Tracks(self.tracks.clone()));
        }
        let Some((unit, due)) = self.held.take_if(|(_, due)| sleep_until(*due, wait)) else {
            return Ok(Event::Quiet);
        };
        self.units += 1;
        let now = clock::now();
        let late = now.mono.saturating_since(due) > LATE;
        let capture = stamp_at(due, now);
        Ok(Event::Unit(CapturedUnit::of_here(unit, capture, self.units == 1, late)))
    }

    fn read_ahead(&mut self) -> Result<Ahead, Fault> {
        match self.demuxer.read() {
            Ok(Some(unit)) => {
                self.hold(unit);
                Ok(Ahead::Unit)
            }
            Ok(None) if self.repeat => self.begin_round(),
            Ok(None) => Ok(Ahead::End),
            Err(MediaError::Interrupted { .. }) => Ok(Ahead::Nothing),
            Err(error) => Err(Fault::failed(error)),
        }
    }

    fn hold(&mut self, mut unit: AccessUnit) {
        self.units_this_round += 1;
        let times = self.timeline.place(times_of(&unit));
        unit.pts_ns = times.pts_ns;
        unit.dts_ns = times.dts_ns;
        unit.duration_ns = times.duration_ns;
        let due = self.pace.due(unit.dts_ns, clock::mono());
        self.held = Some((unit, due));
    }

    fn begin_round(&mut self) -> Result<Ahead, Fault> {
        if self.units_this_round == 0 {
            return Err(Fault::unavailable(format!(
                "{}: no packets in it, or none behind its `start`; expected at least one picture: check it with ffprobe",
                self.path.display()
            )));
        }
        match open_demuxer(&self.path, self.start_ns, &self.stop) {
            Ok(demuxer) => {
                self.demuxer = demuxer;
                self.units_this_round = 0;
                self.timeline.splice(0);
                Ok(Ahead::Nothing)
            }
            Err(MediaError::Interrupted { .. }) => Ok(Ahead::Nothing),
            Err(error) => Err(Fault::unavailable(error)),
        }
    }
}

pub(crate) fn times_of(unit: &AccessUnit) -> Times {
    Times {
        track: unit.track,
        pts_ns: unit.pts_ns,
        dts_ns: unit.dts_ns,
        duration_ns: unit.duration_ns,
    }
}

fn open_demuxer(path: &Path, start_ns: i64, stop: &Arc<AtomicBool>) -> Result<Demuxer, MediaError> {
    let stop = Arc::clone(stop);
    // A path may be a pipe or a network file system, where a read can take for ever.
    let interrupt = Box::new(move || stop.load(Ordering::Relaxed));
    let mut demuxer = Demuxer::open(&Input::File(path.to_owned()), interrupt)?;
    if start_ns > 0 {
        demuxer.seek(start_ns)?;
    }
    Ok(demuxer)
}

#[cfg(test)]
mod tests;
