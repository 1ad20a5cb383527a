//! Packets of sound into samples.

use std::ops::RangeInclusive;

use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::format::Sample;
use ffmpeg_next::{Error, Packet, Rational, codec, decoder, frame};
use protocol::stream::{Codec, Track};

use crate::codec::id_of;
use crate::error::MediaError;
use crate::raw;

/// More channels than any track has that a camera sends.
const CHANNELS_MAX: u32 = 8;
/// Below telephones, and above studios. Of samples as they are a camera may say any rate, and who makes
/// another of it pays in memory and time for how far it is off.
const RATES_HZ: RangeInclusive<u32> = 4_000..=384_000;

/// Samples that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct SoundBlock {
    /// Time of the first one, on the line of the packets' times.
    pub pts_ns: i64,
    pub rate_hz: u32,
    pub channels: u32,
    /// Of all channels by turns, -1 to 1.
    pub samples: Vec<f32>,
}

/// One track's decoder.
pub struct SoundDecoder {
    decoder: decoder::Audio,
    codec: Codec,
}

impl SoundDecoder {
    pub fn open(track: &Track) -> Result<Self, MediaError> {
        crate::init();
        let is_plain = matches!(track.codec, Codec::PcmMulaw | Codec::PcmAlaw | Codec::PcmS16le);
        if is_plain && !RATES_HZ.contains(&track.sample_rate_hz) {
            return Err(MediaError::Codec {
                input: format!("{:?} sound at {} Hz", track.codec, track.sample_rate_hz),
                what: "decoding",
                expected: format!("{} to {} Hz", RATES_HZ.start(), RATES_HZ.end()),
                source: Error::InvalidData,
            });
        }
        let found = decoder::find(id_of(track.codec)).filter(|_| !track.codec.is_video());
        let found = found.ok_or_else(|| MediaError::Missing {
            input: "the decoder".to_owned(),
            what: format!("sound decoder for {:?}", track.codec),
        })?;
        let decoder = open(found, track).map_err(|source| failed(track.codec, source))?;
        Ok(Self { decoder, codec: track.codec })
    }

    /// The samples of one packet; none while the decoder is behind. After an error it goes on with the next
    /// packet.
    pub fn decode(&mut self, payload: &[u8], pts_ns: i64) -> Result<Vec<SoundBlock>, MediaError> {
        // A copy, because FFmpeg reads past the end, where zeros must be.
        let mut packet = Packet::copy(payload);
        packet.set_pts(Some(pts_ns));
        self.decoder.send_packet(&packet).map_err(|source| failed(self.codec, source))?;
        let mut blocks = Vec::new();
        loop {
            let mut frame = frame::Audio::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => blocks.extend(block(&frame, pts_ns)),
                Err(Error::Other { errno: EAGAIN } | Error::Eof) => return Ok(blocks),
                Err(source) => return Err(failed(self.codec, source)),
            }
        }
    }
}

impl std::fmt::Debug for SoundDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoundDecoder").field("codec", &self.codec).finish_non_exhaustive()
    }
}

fn open(found: ffmpeg_next::Codec, track: &Track) -> Result<decoder::Audio, Error> {
    let mut context = codec::Context::new_with_codec(found);
    let channels = track.channels.clamp(1, CHANNELS_MAX);
    raw::set_sound(&mut context, track.sample_rate_hz.max(1), channels);
    // What Opus begins with is no part of it where it is joined in the middle, and its packets' times say
    // where it lies anyway.
    if track.codec != Codec::Opus {
        raw::set_extradata(&mut context, &track.extradata)?;
    }
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(Rational(1, 1_000_000_000));
    decoder.open_as(found)?.audio()
}

/// `None` for samples of a form, or at a rate, that none of our decoders gives.
fn block(frame: &frame::Audio, pts_ns: i64) -> Option<SoundBlock> {
    let (count, channels) = (frame.samples(), usize::from(frame.channels()));
    let is_sound = count > 0 && channels > 0 && RATES_HZ.contains(&frame.rate());
    if !is_sound || frame.planes() == 0 {
        return None;
    }
    // Of damage decoders make what is no number; added to others it would be all of them.
    let number = |sample: &f32| if sample.is_finite() { *sample } else { 0.0 };
    let of_f32 = |plane: usize| frame.plane::<f32>(plane).iter().map(number).collect();
    let of_i16 = |plane: usize| {
        frame.plane::<i16>(plane).iter().map(|sample| f32::from(*sample) / 32_768.0).collect()
    };
    let planes: Vec<Vec<f32>> = match frame.format() {
        Sample::F32(_) => (0..frame.planes()).map(of_f32).collect(),
        Sample::I16(_) => (0..frame.planes()).map(of_i16).collect(),
        _ => return None,
    };
    let samples = match frame.is_planar() {
        true => by_turns(&planes, count),
        false => planes.into_iter().next()?,
    };
    let channels = u32::try_from(channels).ok()?;
    Some(SoundBlock {
        pts_ns: frame.pts().unwrap_or(pts_ns),
        rate_hz: frame.rate(),
        channels,
        samples,
    })
}

fn by_turns(planes: &[Vec<f32>], count: usize) -> Vec<f32> {
    let at =
        |sample: usize| planes.iter().map(move |plane| plane.get(sample).copied().unwrap_or(0.0));
    (0..count).flat_map(at).collect()
}

fn failed(codec: Codec, source: Error) -> MediaError {
    MediaError::Codec {
        input: format!("{codec:?} sound"),
        what: "decoding",
        expected: format!("intact {codec:?}"),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::{self, Law};
    use crate::sound::{SoundEncoder, SoundOptions};
    use protocol::time::TimeBase;

    const LEVEL: f32 = 0.25;

    fn samples_track(codec: Codec, rate_hz: u32, channels: u32) -> Track {
        Track {
            codec,
            time_base: TimeBase { num: 1, den: rate_hz },
            width: 0,
            height: 0,
            sample_rate_hz: rate_hz,
            channels,
            frame_rate: (0, 1),
            extradata: Vec::new(),
        }
    }

    /// A second of 1 kHz.
    fn tone(rate_hz: u32) -> Vec<i16> {
        let at = |n: u32| (std::f32::consts::TAU * 1_000.0 * n as f32 / rate_hz as f32).sin();
        let sample = |n: u32| {
            #[expect(clippy::cast_possible_truncation, reason = "a quarter of its range")]
            let sample = (at(n) * LEVEL * 32_767.0) as i16;
            sample
        };
        (0..rate_hz).map(sample).collect()
    }

    fn loudest(samples: &[f32]) -> f32 {
        samples.iter().fold(0.0, |most: f32, sample| most.max(sample.abs()))
    }

    #[test]
    fn a_tone_comes_out_of_every_codec_as_loud_and_as_long_as_it_went_in() {
        for (codec, rate_hz) in [(Codec::Aac, 48_000), (Codec::Aac, 8_000), (Codec::Opus, 48_000)] {
            let options = SoundOptions { codec, rate_hz, channels: 1, bitrate_bps: 64_000 };
            let mut encoder = SoundEncoder::open(&options).unwrap();
            let mut decoder = SoundDecoder::open(encoder.track()).unwrap();
            let mut heard: Vec<f32> = Vec::new();
            let mut end_ns = None;
            for unit in encoder.encode(&tone(rate_hz)).unwrap() {
                let pts_ns = unit.first_sample * 1_000_000_000 / i64::from(rate_hz);
                for block in decoder.decode(&unit.payload, pts_ns).unwrap() {
                    assert_eq!((block.rate_hz, block.channels), (rate_hz, 1), "{codec:?}");
                    let follows = end_ns.is_none_or(|end: i64| (block.pts_ns - end).abs() < 1_000);
                    assert!(follows, "{codec:?}: {} behind {end_ns:?}", block.pts_ns);
                    let count = i64::try_from(block.samples.len()).unwrap();
                    end_ns = Some(block.pts_ns + count * 1_000_000_000 / i64::from(rate_hz));
                    heard.extend(block.samples);
                }
            }
            // The last frame is still inside the encoder, and the first is what it is behind by.
            assert!(heard.len() > rate_hz as usize * 3 / 4, "{codec:?}: {}", heard.len());
            let middle = &heard[heard.len() / 4..heard.len() / 2];
            assert!((loudest(middle) - LEVEL).abs() < 0.03, "{codec:?}: {}", loudest(middle));
        }
    }

    #[test]
    fn samples_that_are_not_coded_come_out_as_they_are_channel_by_channel() {
        let wave = tone(8_000);
        let mut decoder = SoundDecoder::open(&samples_track(Codec::PcmMulaw, 8_000, 1)).unwrap();
        let blocks = decoder.decode(&g711::compress(Law::Mu, &wave[..160]), 7).unwrap();
        assert_eq!((blocks.len(), blocks[0].pts_ns, blocks[0].samples.len()), (1, 7, 160));
        let expected = g711::expand(Law::Mu, &g711::compress(Law::Mu, &wave[..160]));
        for (heard, sample) in blocks[0].samples.iter().zip(expected) {
            assert!((heard * 32_768.0 - f32::from(sample)).abs() < 1.0, "{heard} of {sample}");
        }
        let mut decoder = SoundDecoder::open(&samples_track(Codec::PcmS16le, 44_100, 2)).unwrap();
        let stereo = [[0x00, 0x40], [0x00, 0xc0], [0x00, 0x20], [0x00, 0xe0]].concat();
        let blocks = decoder.decode(&stereo, 0).unwrap();
        assert_eq!((blocks[0].rate_hz, blocks[0].channels), (44_100, 2));
        assert_eq!(blocks[0].samples, [0.5, -0.5, 0.25, -0.25]);
    }

    #[test]
    fn damage_costs_itself() {
        let options =
            SoundOptions { codec: Codec::Aac, rate_hz: 48_000, channels: 1, bitrate_bps: 64_000 };
        let mut encoder = SoundEncoder::open(&options).unwrap();
        let mut decoder = SoundDecoder::open(encoder.track()).unwrap();
        let units = encoder.encode(&tone(48_000)).unwrap();
        let mut blocks = 0;
        for (number, unit) in units.iter().enumerate() {
            let payload = if number == 5 { vec![0xff; 40] } else { unit.payload.clone() };
            blocks += decoder.decode(&payload, 0).map_or(0, |blocks| blocks.len());
        }
        assert!(blocks + 2 >= units.len(), "{blocks} of {}", units.len());
        assert!(SoundDecoder::open(&samples_track(Codec::H264, 48_000, 1)).is_err());
    }

    #[test]
    fn samples_at_a_rate_that_no_sound_has_are_refused() {
        for rate_hz in [0, 1, u32::MAX] {
            let refused = SoundDecoder::open(&samples_track(Codec::PcmS16le, rate_hz, 1));
            let why = refused.unwrap_err().to_string();
            assert!(why.contains("4000 to 384000 Hz"), "{why}");
        }
    }
}
