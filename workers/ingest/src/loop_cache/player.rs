//! The cached minute at its own pace, for ever.

use std::io;
use std::time::Duration;

use media::AccessUnit;
use protocol::config::ingest::TestPattern;
use protocol::time::MonoNs;
use shmring::clock;

use super::minute::Minute;
use crate::pace::{LATE, Pace, picture_ns, stamp_at};
use crate::source::{CapturedUnit, Event, sleep_until};
use crate::test_source::track_of;

/// Times are counted, so that rounds join without a seam.
#[derive(Debug)]
pub(super) struct Player {
    wanted: TestPattern,
    minute: Minute,
    /// The next picture's, over all rounds.
    number: u64,
    pace: Pace,
    /// Read and not due yet.
    held: Option<(AccessUnit, MonoNs)>,
    tracks_told: bool,
    /// The next unit is the first.
    fresh: bool,
}

impl Player {
    /// Counts on from `played` pictures.
    pub(super) fn new(minute: Minute, wanted: &TestPattern, played: u64) -> Self {
        Self {
            wanted: *wanted,
            minute,
            number: played,
            pace: Pace::default(),
            held: None,
            tracks_told: false,
            fresh: true,
        }
    }

    pub(super) fn played(&self) -> u64 {
        self.number
    }

    pub(super) fn next(&mut self, wait: Duration) -> io::Result<Event> {
        if !std::mem::replace(&mut self.tracks_told, true) {
            let extradata = self.minute.extradata().to_vec();
            return Ok(Event::Tracks(vec![track_of(&self.wanted, extradata)]));
        }
        if self.held.is_none() {
            self.read_ahead()?;
        }
        let Some((unit, due)) = self.held.take_if(|(_, due)| sleep_until(*due, wait)) else {
            return Ok(Event::Quiet);
        };
        let now = clock::now();
        let first = std::mem::take(&mut self.fresh);
        let late = now.mono.saturating_since(due) > LATE;
        let capture = stamp_at(due, now);
        Ok(Event::Unit(CapturedUnit::of_here(unit, capture, first, late)))
    }

    fn read_ahead(&mut self) -> io::Result<()> {
        let picture = self.minute.next()?;
        let time_ns = picture_ns(self.number, self.wanted.fps);
        self.number += 1;
        let unit = AccessUnit {
            track: 0,
            key: picture.key,
            corrupt: false,
            pts_ns: time_ns,
            dts_ns: time_ns,
            duration_ns: picture_ns(self.number, self.wanted.fps) - time_ns,
            payload: picture.payload,
        };
        self.held = Some((unit, self.pace.due(time_ns, clock::mono())));
        Ok(())
    }
}
