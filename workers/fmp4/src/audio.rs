//! Sample entries of AAC and Opus.

use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, Esds};
use mp4_atom::{Audio, Codec as Entry, Dops, Encode, Mp4a, Opus};
use protocol::stream::{Codec, Track};

use crate::error::Error;

/// Opus always runs on this clock, whatever went into the encoder (RFC 7845 section 4).
const OPUS_RATE_HZ: u32 = 48_000;
/// An `OpusHead` of mapping family 0 (RFC 7845 section 5.1).
const OPUS_HEAD_BYTES: usize = 19;

/// The rate at which a track's decode times count.
pub(crate) fn timescale_hz(track: &Track) -> u32 {
    if track.codec == Codec::Opus { OPUS_RATE_HZ } else { track.sample_rate_hz }
}

/// Samples in one packet when the ring says nothing: an AAC frame, 20 ms of Opus.
pub(crate) fn nominal_samples(codec: Codec) -> u32 {
    if codec == Codec::Opus { OPUS_RATE_HZ / 50 } else { 1024 }
}

/// The whole box.
pub(crate) fn sample_entry(index: usize, track: &Track) -> Result<Vec<u8>, Error> {
    if track.channels == 0 || track.sample_rate_hz == 0 {
        let (channels, rate_hz) = (track.channels, track.sample_rate_hz);
        return Err(Error::Sound { track: index, channels, rate_hz });
    }
    let entry = if track.codec == Codec::Opus { opus(track) } else { aac(index, track)? };
    let mut bytes = Vec::new();
    entry.encode(&mut bytes)?;
    Ok(bytes)
}

fn audio(track: &Track) -> Audio {
    Audio {
        data_reference_index: 1,
        channel_count: u16::try_from(track.channels).unwrap_or(u16::MAX),
        sample_size: 16,
        // The field ends at 65535 Hz; decoders take the rate from the codec's own configuration.
        sample_rate: u16::try_from(timescale_hz(track)).unwrap_or(0).into(),
    }
}

fn aac(index: usize, track: &Track) -> Result<Entry, Error> {
    if track.extradata.len() < 2 {
        let bytes = track.extradata.len();
        return Err(Error::ShortConfiguration { track: index, codec: track.codec, bytes });
    }
    let dec_config = DecoderConfig {
        object_type_indication: 0x40, // MPEG-4 audio, ISO/IEC 14496-1 table 5
        stream_type: 5,               // AudioStream, table 6
        dec_specific: Some(DecoderSpecific {
            raw: track.extradata.clone(),
            ..DecoderSpecific::default()
        }),
        ..DecoderConfig::default()
    };
    let es_desc = EsDescriptor { dec_config, ..EsDescriptor::default() };
    Ok(Mp4a { audio: audio(track), esds: Esds { es_desc }, btrt: None, taic: None }.into())
}

fn opus(track: &Track) -> Entry {
    let head = OpusHead::read(&track.extradata);
    let channels = u8::try_from(track.channels).unwrap_or(2);
    let dops = Dops {
        output_channel_count: channels,
        pre_skip: head.pre_skip,
        input_sample_rate: head.input_rate_hz,
        output_gain: head.gain,
        channel_mapping: None,
    };
    Opus { audio: audio(track), dops, btrt: None }.into()
}

struct OpusHead {
    pre_skip: u16,
    input_rate_hz: u32,
    gain: i16,
}

impl OpusHead {
    /// What RTP and the like leave out (RFC 7587 has no header) takes the values that change nothing.
    fn read(extradata: &[u8]) -> Self {
        match extradata.first_chunk::<OPUS_HEAD_BYTES>() {
            Some(head) if head.starts_with(b"OpusHead") => Self {
                pre_skip: u16::from_le_bytes([head[10], head[11]]),
                input_rate_hz: u32::from_le_bytes([head[12], head[13], head[14], head[15]]),
                gain: i16::from_le_bytes([head[16], head[17]]),
            },
            _ => Self { pre_skip: 0, input_rate_hz: OPUS_RATE_HZ, gain: 0 },
        }
    }
}
