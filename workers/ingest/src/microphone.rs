//! The synthetic microphone: its sound coded packet by packet, each when it is complete.

use std::collections::VecDeque;

use media::g711::{self, Law};
use media::{AccessUnit, MediaError, SoundEncoder, SoundOptions, SoundUnit};
use protocol::config::ingest::TestSound;
use protocol::stream::{Codec, Track};
use protocol::time::{NS_PER_S, TimeBase};

use crate::waveform;

/// Samples are made and sent in blocks of 20 ms, as cameras do.
const BLOCKS_A_SECOND: u32 = 50;
/// Of AAC and Opus, for each channel.
const BITRATE_BPS: u64 = 64_000;

/// Times are counted from the first sample.
#[derive(Debug)]
pub(crate) struct Microphone {
    sound: TestSound,
    coder: Coder,
    /// Index of its track.
    track: u32,
    /// Samples so far, of each channel.
    given: u64,
    /// Each with the time at which all its samples have been heard.
    ready: VecDeque<(AccessUnit, i64)>,
}

#[derive(Debug)]
enum Coder {
    Frames(Box<SoundEncoder>),
    G711(Law),
    Pcm,
}

impl Microphone {
    pub(crate) fn open(sound: &TestSound, track: u32) -> Result<Self, MediaError> {
        let coder = match sound.codec {
            Codec::PcmAlaw => Coder::G711(Law::A),
            Codec::PcmMulaw => Coder::G711(Law::Mu),
            Codec::PcmS16le => Coder::Pcm,
            codec => {
                let (rate_hz, channels) = (sound.rate_hz, sound.channels);
                let bitrate_bps = BITRATE_BPS * u64::from(channels);
                let options = SoundOptions { codec, rate_hz, channels, bitrate_bps };
                Coder::Frames(Box::new(SoundEncoder::open(&options)?))
            }
        };
        Ok(Self { sound: *sound, coder, track, given: 0, ready: VecDeque::new() })
    }

    /// What it sends.
    pub(crate) fn track(&self) -> Track {
        if let Coder::Frames(encoder) = &self.coder {
            return encoder.track().clone();
        }
        Track {
            codec: self.sound.codec,
            time_base: TimeBase { num: 1, den: self.sound.rate_hz },
            width: 0,
            height: 0,
            sample_rate_hz: self.sound.rate_hz,
            channels: self.sound.channels,
            frame_rate: (0, 1),
            extradata: Vec::new(),
        }
    }

    /// When the next unit is complete.
    pub(crate) fn due_ns(&mut self) -> Result<i64, MediaError> {
        loop {
            if let Some((_, due_ns)) = self.ready.front() {
                return Ok(*due_ns);
            }
            self.hear()?;
        }
    }

    /// The unit that [`Self::due_ns`] is of.
    pub(crate) fn take(&mut self) -> Option<AccessUnit> {
        self.ready.pop_front().map(|(unit, _)| unit)
    }

    /// Another block of samples.
    fn hear(&mut self) -> Result<(), MediaError> {
        let count = (self.sound.rate_hz / BLOCKS_A_SECOND).max(1);
        let (first, channels) = (self.given, self.sound.channels.max(1) as usize);
        let one = waveform::samples(&self.sound, first, count as usize);
        let samples: Vec<i16> =
            one.iter().flat_map(|sample| std::iter::repeat_n(*sample, channels)).collect();
        self.given += u64::from(count);
        let first_sample = i64::try_from(first).unwrap_or(i64::MAX);
        let whole = |payload| SoundUnit { first_sample, samples: count, payload };
        let units = match &mut self.coder {
            Coder::Frames(encoder) => encoder.encode(&samples)?,
            Coder::G711(law) => vec![whole(g711::compress(*law, &samples))],
            Coder::Pcm => {
                vec![whole(samples.iter().flat_map(|sample| sample.to_le_bytes()).collect())]
            }
        };
        let due_ns = self.ns(i64::try_from(self.given).unwrap_or(i64::MAX));
        for unit in units {
            // One of nothing but what the encoder is behind by is none.
            let end = unit.first_sample.saturating_add(unit.samples.into());
            if end > 0 {
                let unit = self.unit(unit, end);
                self.ready.push_back((unit, due_ns));
            }
        }
        Ok(())
    }

    fn unit(&self, unit: SoundUnit, end: i64) -> AccessUnit {
        let pts_ns = self.ns(unit.first_sample);
        AccessUnit {
            track: self.track,
            key: true,
            corrupt: false,
            pts_ns,
            dts_ns: pts_ns,
            duration_ns: self.ns(end) - pts_ns,
            payload: unit.payload,
        }
    }

    fn ns(&self, sample: i64) -> i64 {
        let rate = i128::from(self.sound.rate_hz.max(1));
        let ns = i128::from(sample) * i128::from(NS_PER_S);
        i64::try_from(ns.div_euclid(rate)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use protocol::config::ingest::Wave;

    use super::*;

    #[test]
    fn units_follow_each_other_and_are_complete_when_they_have_been_heard() {
        for codec in [Codec::Aac, Codec::Opus, Codec::PcmAlaw, Codec::PcmMulaw, Codec::PcmS16le] {
            let rate_hz = if codec == Codec::Opus { 48_000 } else { 16_000 };
            let wave = Wave::Tone { hz: 440 };
            let sound = TestSound { wave, codec, rate_hz, channels: 2, ..TestSound::default() };
            let mut microphone = Microphone::open(&sound, 1).unwrap();
            assert_eq!((microphone.track().codec, microphone.track().channels), (codec, 2));
            let mut end_ns: Option<i64> = None;
            for _ in 0..50 {
                let due_ns = microphone.due_ns().unwrap();
                let unit = microphone.take().unwrap();
                assert!(end_ns.is_none_or(|end| (unit.pts_ns - end).abs() < 2), "{codec:?}");
                end_ns = Some(unit.pts_ns + unit.duration_ns);
                assert!(end_ns <= Some(due_ns), "{codec:?}");
                assert!(unit.key && unit.track == 1 && !unit.payload.is_empty());
            }
        }
    }
}
