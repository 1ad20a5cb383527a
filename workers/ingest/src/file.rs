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

use crate::pace::{LATE, Pace, picture_ns, stamp_at};
use crate::source::{CapturedUnit, Event, sleep_until};
use crate::timeline::{Timeline, Times};

#[derive(Debug)]
pub(crate) struct FileSource {
    path: PathBuf,
    repeat: bool,
    stop: Arc<AtomicBool>,
    demuxer: Demuxer,
    clockwork: Clockwork,
    pace: Pace,
    /// Read and not due yet.
    held: Option<(AccessUnit, MonoNs)>,
    /// What was said last of the tracks.
    tracks: Vec<Track>,
    units: u64,
    units_this_round: u64,
}

/// Where a unit's times come from.
#[derive(Debug)]
enum Clockwork {
    /// Counted: the file is one track of pictures at a fixed rate, whose own times say less.
    Counted { fps: u32, number: u64 },
    /// The container's, joined from round to round.
    Stream(Box<Timeline>),
}

impl FileSource {
    pub(crate) fn open(path: &Path, repeat: bool, stop: Arc<AtomicBool>) -> Result<Self, Fault> {
        Self::with_clockwork(path, repeat, stop, Clockwork::Stream(Box::default()))
    }

    /// A file of pictures without times, for ever.
    pub(crate) fn counted(path: &Path, fps: u32, stop: Arc<AtomicBool>) -> Result<Self, Fault> {
        Self::with_clockwork(path, true, stop, Clockwork::Counted { fps, number: 0 })
    }

    fn with_clockwork(
        path: &Path,
        repeat: bool,
        stop: Arc<AtomicBool>,
        clockwork: Clockwork,
    ) -> Result<Self, Fault> {
        Ok(Self {
            demuxer: open_demuxer(path, &stop).map_err(Fault::unavailable)?,
            path: path.to_owned(),
            repeat,
            stop,
            clockwork,
            pace: Pace::default(),
            held: None,
            tracks: Vec::new(),
            units: 0,
            units_this_round: 0,
        })
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        if self.held.is_none() && !self.read_ahead()? {
            return Ok(Event::Ended);
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
        Ok(Event::Unit(CapturedUnit {
            unit,
            capture: stamp_at(due, now),
            discontinuity: self.units == 1,
            late: now.mono.saturating_since(due) > LATE,
        }))
    }

    /// Holds the next unit; false at the end of a file that is not repeated.
    fn read_ahead(&mut self) -> Result<bool, Fault> {
        loop {
            if let Some(unit) = self.demuxer.read().map_err(Fault::failed)? {
                self.units_this_round += 1;
                let unit = self.clockwork.place(unit);
                let due = self.pace.due(unit.dts_ns, clock::mono());
                self.held = Some((unit, due));
                return Ok(true);
            }
            if !self.repeat {
                return Ok(false);
            }
            self.begin_round()?;
        }
    }

    fn begin_round(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.units_this_round) == 0 {
            return Err(Fault::unavailable(format!(
                "{}: no packets in it; expected at least one picture: check it with ffprobe",
                self.path.display()
            )));
        }
        self.demuxer = open_demuxer(&self.path, &self.stop).map_err(Fault::unavailable)?;
        self.clockwork.begin_round();
        Ok(())
    }
}

impl Clockwork {
    fn place(&mut self, mut unit: AccessUnit) -> AccessUnit {
        let times = match self {
            Self::Counted { fps, number } => {
                let begin_ns = picture_ns(*number, *fps);
                *number += 1;
                let duration_ns = picture_ns(*number, *fps) - begin_ns;
                Times { track: unit.track, pts_ns: begin_ns, dts_ns: begin_ns, duration_ns }
            }
            Self::Stream(timeline) => timeline.place(times_of(&unit)),
        };
        unit.pts_ns = times.pts_ns;
        unit.dts_ns = times.dts_ns;
        unit.duration_ns = times.duration_ns;
        unit
    }

    fn begin_round(&mut self) {
        if let Self::Stream(timeline) = self {
            timeline.splice(0);
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

fn open_demuxer(path: &Path, stop: &Arc<AtomicBool>) -> Result<Demuxer, MediaError> {
    let stop = Arc::clone(stop);
    // A path may be a pipe or a network file system, where a read can take for ever.
    let interrupt = Box::new(move || stop.load(Ordering::Relaxed));
    Demuxer::open(&Input::File(path.to_owned()), interrupt)
}

#[cfg(test)]
mod tests;
