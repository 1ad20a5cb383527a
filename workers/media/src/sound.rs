//! Sound into AAC or Opus, for what files and browsers do not take.

use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::{ChannelLayout, Error, Packet, Rational, encoder, frame};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

use crate::error::MediaError;
use crate::raw;

const NAME: &str = "the sound";
/// Opus is always told in these (RFC 7845 section 4).
const OPUS_HZ: u32 = 48_000;
/// FFmpeg's AAC encoder refuses more bits a sample than fit its frames: 6144 for 1024 samples.
const AAC_BITS_A_SAMPLE: u64 = 6;
/// FFmpeg's libopus refuses more.
const OPUS_BPS_A_CHANNEL: u64 = 256_000;

/// What comes in, and what is to come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundOptions {
    /// AAC or Opus.
    pub codec: Codec,
    pub rate_hz: u32,
    /// 1 or 2.
    pub channels: u32,
    /// Of all channels together; what the codec cannot take of it is left out.
    pub bitrate_bps: u64,
}

/// One encoded frame. Decoded, it is the sound from `first_sample` on: what the encoder is behind by
/// is taken off already, so the first frames may begin before sample 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundUnit {
    /// Counted from the first one that was given, in each channel.
    pub first_sample: i64,
    pub samples: u32,
    pub payload: Vec<u8>,
}

/// Samples in, frames out.
pub struct SoundEncoder {
    encoder: encoder::audio::Encoder,
    options: SoundOptions,
    /// Interleaved; less than a frame.
    pending: Vec<i16>,
    /// Number of the first of them.
    next_sample: i64,
    track: Track,
}

impl SoundEncoder {
    pub fn open(options: &SoundOptions) -> Result<Self, MediaError> {
        crate::init();
        let name = match options.codec {
            Codec::Aac => "aac",
            Codec::Opus => "libopus",
            other => return Err(missing(format!("encoder for {other:?} sound"))),
        };
        let found = encoder::find_by_name(name);
        let found = found.ok_or_else(|| missing(format!("encoder {name}")))?;
        let mut encoder = open(found, options).map_err(|source| MediaError::Codec {
            input: NAME.to_owned(),
            what: "opening its encoder",
            expected: format!("{:?} at {} Hz", options.codec, options.rate_hz),
            source,
        })?;
        let track = track_of(options, raw::encoder_extradata(&mut encoder));
        Ok(Self { encoder, options: *options, pending: Vec::new(), next_sample: 0, track })
    }

    /// What it writes.
    pub fn track(&self) -> &Track {
        &self.track
    }

    /// Samples of all channels by turns.
    pub fn encode(&mut self, samples: &[i16]) -> Result<Vec<SoundUnit>, MediaError> {
        self.pending.extend_from_slice(samples);
        let frame_samples = self.encoder.frame_size() as usize * self.channels();
        let mut units = Vec::new();
        while frame_samples > 0 && self.pending.len() >= frame_samples {
            self.send(frame_samples).map_err(failed)?;
            self.receive(&mut units).map_err(failed)?;
        }
        Ok(units)
    }

    /// No more samples: the frames that are still inside. It is of no more use then.
    pub fn finish(mut self) -> Result<Vec<SoundUnit>, MediaError> {
        let mut units = Vec::new();
        if !self.pending.is_empty() {
            self.send(self.pending.len()).map_err(failed)?;
        }
        self.encoder.send_eof().map_err(failed)?;
        self.receive(&mut units).map_err(failed)?;
        Ok(units)
    }

    fn channels(&self) -> usize {
        self.options.channels.max(1) as usize
    }

    /// Gives it the first so many pending samples.
    fn send(&mut self, count: usize) -> Result<(), Error> {
        let channels = self.channels();
        let taken: Vec<i16> = self.pending.drain(..count.min(self.pending.len())).collect();
        let samples = taken.len() / channels;
        let format = self.encoder.format();
        let mut frame = frame::Audio::new(format, samples, layout(self.options.channels));
        if frame.planes() == 0 {
            return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
        }
        frame.set_rate(self.options.rate_hz);
        frame.set_pts(Some(self.next_sample));
        fill(&mut frame, format, &taken, channels);
        self.next_sample += i64::try_from(samples).unwrap_or(0);
        self.encoder.send_frame(&frame)
    }

    fn receive(&mut self, units: &mut Vec<SoundUnit>) -> Result<(), Error> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => units.push(self.unit(&packet)),
                Err(Error::Other { errno: EAGAIN } | Error::Eof) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn unit(&self, packet: &Packet) -> SoundUnit {
        let told = u32::try_from(packet.duration()).unwrap_or(0);
        SoundUnit {
            // Both encoders number what they were given less what they are behind by.
            first_sample: packet.pts().unwrap_or(0),
            samples: if told > 0 { told } else { self.encoder.frame_size() },
            payload: packet.data().unwrap_or_default().to_vec(),
        }
    }
}

impl std::fmt::Debug for SoundEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoundEncoder").field("options", &self.options).finish_non_exhaustive()
    }
}

fn open(
    found: ffmpeg_next::Codec,
    options: &SoundOptions,
) -> Result<encoder::audio::Encoder, Error> {
    let rate = i32::try_from(options.rate_hz).unwrap_or(i32::MAX);
    let most = AAC_BITS_A_SAMPLE * u64::from(options.rate_hz) * u64::from(options.channels);
    let bitrate = match options.codec {
        Codec::Aac => options.bitrate_bps.min(most),
        _ => options.bitrate_bps.min(OPUS_BPS_A_CHANNEL * u64::from(options.channels)),
    };
    let mut audio = codec::Context::new_with_codec(found).encoder().audio()?;
    audio.set_rate(rate);
    audio.set_format(match options.codec {
        Codec::Aac => Sample::F32(Type::Planar),
        _ => Sample::I16(Type::Packed),
    });
    audio.set_channel_layout(layout(options.channels));
    audio.set_bit_rate(usize::try_from(bitrate).unwrap_or(usize::MAX));
    audio.set_time_base(Rational(1, rate));
    // Parameters beside the stream, as the ring has them, instead of a header in each frame.
    audio.set_flags(Flags::GLOBAL_HEADER);
    audio.open_as(found)
}

fn layout(channels: u32) -> ChannelLayout {
    ChannelLayout::default(i32::try_from(channels).unwrap_or(1))
}

fn fill(frame: &mut frame::Audio, format: Sample, samples: &[i16], channels: usize) {
    if format == Sample::I16(Type::Packed) {
        // The packed plane is counted in samples of one channel each.
        let bytes = frame.data_mut(0).chunks_exact_mut(2);
        bytes.zip(samples).for_each(|(to, sample)| to.copy_from_slice(&sample.to_ne_bytes()));
        return;
    }
    for channel in 0..channels {
        let own = samples.iter().skip(channel).step_by(channels);
        let plane = frame.plane_mut::<f32>(channel);
        plane.iter_mut().zip(own).for_each(|(to, sample)| *to = f32::from(*sample) / 32_768.0);
    }
}

fn track_of(options: &SoundOptions, extradata: Vec<u8>) -> Track {
    let rate = if options.codec == Codec::Opus { OPUS_HZ } else { options.rate_hz };
    Track {
        codec: options.codec,
        time_base: TimeBase { num: 1, den: rate.max(1) },
        width: 0,
        height: 0,
        sample_rate_hz: rate,
        channels: options.channels,
        frame_rate: (0, 1),
        extradata,
    }
}

fn missing(what: String) -> MediaError {
    MediaError::Missing { input: NAME.to_owned(), what }
}

fn failed(source: Error) -> MediaError {
    MediaError::of(NAME, "encoding", source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8_000;

    fn options(codec: Codec) -> SoundOptions {
        SoundOptions { codec, rate_hz: RATE, channels: 1, bitrate_bps: 48_000 }
    }

    fn encoded(codec: Codec, seconds: usize) -> (Track, Vec<SoundUnit>) {
        let mut encoder = SoundEncoder::open(&options(codec)).unwrap();
        let mut units = Vec::new();
        for block in vec![0i16; RATE as usize * seconds].chunks(160) {
            units.extend(encoder.encode(block).unwrap());
        }
        let track = encoder.track().clone();
        units.extend(encoder.finish().unwrap());
        (track, units)
    }

    #[test]
    fn frames_follow_each_other_without_a_hole_and_begin_before_the_first_sample_by_the_delay() {
        // FFmpeg's AAC encoder is a frame behind, libopus 6.5 ms.
        for (codec, delay) in [(Codec::Aac, 1024), (Codec::Opus, 52)] {
            let (_, units) = encoded(codec, 2);
            assert_eq!(units[0].first_sample, -delay, "{codec:?}");
            for pair in units.windows(2) {
                let end = pair[0].first_sample + i64::from(pair[0].samples);
                assert_eq!(end, pair[1].first_sample, "{codec:?}");
            }
            let last = units.last().unwrap();
            let end = last.first_sample + i64::from(last.samples);
            assert!(end >= 2 * i64::from(RATE) - delay, "{codec:?} ends at {end}");
        }
    }

    #[test]
    fn its_track_says_what_a_player_needs() {
        let (aac, _) = encoded(Codec::Aac, 1);
        // AudioSpecificConfig: AAC LC (2), 8000 Hz (index 11), one channel.
        assert_eq!(aac.extradata[..2], [0b0001_0101, 0b1000_1000]);
        assert_eq!((aac.sample_rate_hz, aac.channels), (8_000, 1));
        let (opus, _) = encoded(Codec::Opus, 1);
        assert!(opus.extradata.starts_with(b"OpusHead"));
        assert_eq!(opus.sample_rate_hz, 48_000);
    }

    #[test]
    fn more_bits_than_a_codec_takes_are_as_many_as_it_takes() {
        for codec in [Codec::Aac, Codec::Opus] {
            let much = SoundOptions { bitrate_bps: 10_000_000, ..options(codec) };
            assert!(SoundEncoder::open(&much).is_ok(), "{codec:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_an_error_that_names_it() {
        let odd = SoundOptions { rate_hz: 11_025, ..options(Codec::Opus) };
        let refused = SoundEncoder::open(&odd).unwrap_err().to_string();
        assert!(refused.contains("Opus at 11025 Hz"), "{refused}");
        assert!(SoundEncoder::open(&options(Codec::PcmAlaw)).is_err());
    }
}
