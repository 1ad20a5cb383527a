//! `test:?mode=live`: draws and encodes each picture, and each block of sound, when it is due.

use std::time::Duration;

use media::{AccessUnit, EncodedUnit, Encoder, EncoderOptions, MediaError};
use protocol::config::ingest::TestPattern;
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;
use shmring::clock;
use worker::Fault;

use crate::microphone::Microphone;
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

/// The live synthetic camera, with pictures, sound or both.
#[derive(Debug)]
pub(crate) struct TestSource {
    camera: Option<Camera>,
    microphone: Option<Microphone>,
    pace: Pace,
    begun: bool,
}

/// Its pictures.
#[derive(Debug)]
struct Camera {
    encoder: PatternEncoder,
    fps: u32,
    number: u64,
    /// Encoded early, because only then the parameter sets are known.
    first: Option<EncodedUnit>,
}

impl TestSource {
    pub(crate) fn open(wanted: &TestPattern) -> Result<Self, Fault> {
        let camera = wanted.has_pictures().then(|| Camera::open(wanted)).transpose()?;
        let track = u32::from(camera.is_some());
        let open = |sound| Microphone::open(&sound, track).map_err(Fault::unavailable);
        let microphone = wanted.sound.map(open).transpose()?;
        Ok(Self { camera, microphone, pace: Pace::default(), begun: false })
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(Event::Tracks(self.tracks()));
        }
        // Stream time begins now, whatever is complete first.
        self.pace.due(0, clock::mono());
        let picture_ns = self.camera.as_ref().map(|camera| picture_ns(camera.number, camera.fps));
        let sound_ns = self.microphone.as_mut().map(Microphone::due_ns).transpose();
        let sound_ns = sound_ns.map_err(Fault::failed)?;
        let Some(time_ns) = picture_ns.into_iter().chain(sound_ns).min() else {
            return Ok(Event::Ended);
        };
        let due = self.pace.due(time_ns, clock::mono());
        if !sleep_until(due, wait) {
            return Ok(Event::Quiet);
        }
        let (unit, first) = self.complete(picture_ns == Some(time_ns))?;
        let now = clock::now();
        let late = now.mono.saturating_since(due) > LATE;
        // Sound is complete later than it began to be heard.
        let captured = self.pace.due(unit.pts_ns, now.mono);
        let capture = stamp_at(captured, now);
        Ok(Event::Unit(CapturedUnit::of_here(unit, capture, first, late)))
    }

    fn tracks(&self) -> Vec<Track> {
        let pictures = self.camera.iter().map(|camera| camera.encoder.track());
        pictures.chain(self.microphone.iter().map(Microphone::track)).collect()
    }

    /// The unit that is due, and whether it is the source's first.
    fn complete(&mut self, is_picture: bool) -> Result<(AccessUnit, bool), Fault> {
        if let Some(camera) = self.camera.as_mut().filter(|_| is_picture) {
            let first = camera.number == 0;
            return Ok((camera.picture().map_err(Fault::failed)?, first));
        }
        let unit = self.microphone.as_mut().and_then(Microphone::take);
        let unit = unit.ok_or_else(|| Fault::failed("the microphone has nothing that is due"))?;
        // Beside pictures the first of those is the first.
        let first = self.camera.is_none() && unit.pts_ns <= 0;
        Ok((unit, first))
    }
}

impl Camera {
    fn open(wanted: &TestPattern) -> Result<Self, Fault> {
        let mut encoder = PatternEncoder::open(wanted).map_err(Fault::unavailable)?;
        let first = Some(encoder.encode(0).map_err(Fault::failed)?);
        Ok(Self { encoder, fps: wanted.fps, number: 0, first })
    }

    fn picture(&mut self) -> Result<AccessUnit, MediaError> {
        let encoded = match self.first.take() {
            Some(first) => first,
            None => self.encoder.encode(self.number)?,
        };
        let time_ns = picture_ns(self.number, self.fps);
        self.number += 1;
        Ok(AccessUnit {
            track: 0,
            key: encoded.key,
            corrupt: false,
            pts_ns: time_ns,
            dts_ns: time_ns,
            duration_ns: picture_ns(self.number, self.fps) - time_ns,
            payload: encoded.payload,
        })
    }
}

#[cfg(test)]
mod tests;
