//! `test:?mode=live`: draws and encodes each picture when it is due.

use std::time::Duration;

use media::{AccessUnit, EncodedUnit, Encoder, EncoderOptions, MediaError};
use protocol::config::ingest::TestPattern;
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;
use shmring::clock;
use worker::Fault;

use crate::pace::{LATE, Pace, picture_ns, stamp_at};
use crate::pattern::Pattern;
use crate::source::{CapturedUnit, Event, sleep_until};

/// The pattern, encoded picture by picture.
#[derive(Debug)]
pub(crate) struct PatternEncoder {
    wanted: TestPattern,
    encoder: Encoder,
}

impl PatternEncoder {
    pub(crate) fn open(wanted: &TestPattern) -> Result<Self, MediaError> {
        let encoder = Encoder::open(&EncoderOptions {
            width: wanted.size.width,
            height: wanted.size.height,
            fps: wanted.fps,
            gop: wanted.gop,
            bitrate_bps: wanted.bitrate.0,
        })?;
        Ok(Self { wanted: *wanted, encoder })
    }

    /// Picture `number`; numbers rise by one from call to call.
    pub(crate) fn encode(&mut self, number: u64) -> Result<EncodedUnit, MediaError> {
        let pattern = Pattern {
            width: self.wanted.size.width as usize,
            height: self.wanted.size.height as usize,
            picture: self.wanted.picture,
        };
        self.encoder.encode(|plane, bytes, linesize| pattern.draw(number, plane, bytes, linesize))
    }

    /// Complete once the first picture is encoded.
    pub(crate) fn track(&self) -> Track {
        track_of(&self.wanted, self.encoder.extradata())
    }
}

/// What the pattern's pictures are.
pub(crate) fn track_of(wanted: &TestPattern, extradata: Vec<u8>) -> Track {
    Track {
        codec: Codec::H264,
        time_base: TimeBase { num: 1, den: wanted.fps },
        width: wanted.size.width,
        height: wanted.size.height,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (wanted.fps, 1),
        extradata,
    }
}

/// The live synthetic camera.
#[derive(Debug)]
pub(crate) struct TestSource {
    encoder: PatternEncoder,
    fps: u32,
    pace: Pace,
    number: u64,
    /// Encoded early, because only then the parameter sets are known.
    first: Option<EncodedUnit>,
    tracks_told: bool,
}

impl TestSource {
    pub(crate) fn open(wanted: &TestPattern) -> Result<Self, Fault> {
        let mut encoder = PatternEncoder::open(wanted).map_err(Fault::unavailable)?;
        let first = Some(encoder.encode(0).map_err(Fault::failed)?);
        let (pace, fps) = (Pace::default(), wanted.fps);
        Ok(Self { encoder, fps, pace, number: 0, first, tracks_told: false })
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        if !std::mem::replace(&mut self.tracks_told, true) {
            return Ok(Event::Tracks(vec![self.encoder.track()]));
        }
        let time_ns = picture_ns(self.number, self.fps);
        let due = self.pace.due(time_ns, clock::mono());
        if !sleep_until(due, wait) {
            return Ok(Event::Quiet);
        }
        let encoded = match self.first.take() {
            Some(first) => first,
            None => self.encoder.encode(self.number).map_err(Fault::failed)?,
        };
        self.number += 1;
        let now = clock::now();
        let unit = AccessUnit {
            track: 0,
            key: encoded.key,
            corrupt: false,
            pts_ns: time_ns,
            dts_ns: time_ns,
            duration_ns: picture_ns(self.number, self.fps) - time_ns,
            payload: encoded.payload,
        };
        let late = now.mono.saturating_since(due) > LATE;
        let capture = stamp_at(due, now);
        Ok(Event::Unit(CapturedUnit::of_here(unit, capture, self.number == 1, late)))
    }
}

#[cfg(test)]
mod tests;
