//! How a track travels in RTP: what its SDP lines say and how an access unit is cut into packets.
//!
//! One file a codec, named after it. What belongs here: payload formats and packet bytes. What does
//! not: which client gets what and when (`playback`), and where units come from (`fanout`).

pub mod aac;
pub mod av1;
pub mod h264;
pub mod h265;
pub mod jpeg;
pub mod mpeg4;
pub mod opus;
pub mod reception;
pub mod rtcp;
pub mod samples;
pub mod sender;
pub mod vp8;
pub mod vp9;

use std::ops::Range;

use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

/// Largest RTP packet, header included. Below the 1500 of Ethernet with room for IP, UDP and a
/// tunnel, so that the same packets serve UDP; what cameras commonly send.
pub const PACKET_MAX_BYTES: usize = 1400;
/// Bytes of an RTP header without CSRC or extension (RFC 3550 section 5.1).
pub const HEADER_BYTES: usize = 12;
/// Largest payload of one packet.
pub const PAYLOAD_MAX_BYTES: usize = PACKET_MAX_BYTES - HEADER_BYTES;
/// First dynamic payload type (RFC 3551 section 6); a track adds its index.
const PAYLOAD_TYPE_FIRST: u8 = 96;
/// The RTP clock of every video format (RFC 6184 section 8.2.1).
const VIDEO_HZ: u32 = TimeBase::VIDEO_90K.den;

/// The kind of an `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Audio,
    Video,
}

/// The payload formats that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    Aac,
    Av1,
    G722,
    H264,
    H265,
    Jpeg,
    L16,
    Mpeg4,
    Opus,
    Pcma,
    Pcmu,
    Vp8,
    Vp9,
}

/// Why a track is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    #[error("motion JPEG of {width}x{height}: RTP carries {max}x{max} at most (RFC 2435)", max = jpeg::SIDE_MAX)]
    LargeJpeg { width: u32, height: u32 },
}

impl Payload {
    /// Numbers of their own (RFC 3551 section 6), which old players know alone: G.711 as telephones have it,
    /// G.722 and JPEG.
    fn fixed_type(self, track: &Track) -> Option<u8> {
        match self {
            Self::Jpeg => Some(26),
            Self::G722 if (track.sample_rate_hz, track.channels) == (16_000, 1) => Some(9),
            _ if (track.sample_rate_hz, track.channels) != (8_000, 1) => None,
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            _ => None,
        }
    }

    fn of(codec: Codec) -> Self {
        match codec {
            Codec::Aac => Self::Aac,
            Codec::Av1 => Self::Av1,
            Codec::G722 => Self::G722,
            Codec::H264 => Self::H264,
            Codec::H265 => Self::H265,
            Codec::Mjpeg => Self::Jpeg,
            Codec::Mpeg4 => Self::Mpeg4,
            Codec::Opus => Self::Opus,
            Codec::PcmAlaw => Self::Pcma,
            Codec::PcmMulaw => Self::Pcmu,
            Codec::PcmS16le => Self::L16,
            Codec::Vp8 => Self::Vp8,
            Codec::Vp9 => Self::Vp9,
        }
    }

    fn clock_hz(self, track: &Track) -> u32 {
        match self {
            Self::Opus => opus::CLOCK_HZ,
            Self::Aac | Self::L16 | Self::Pcma | Self::Pcmu => track.sample_rate_hz.max(1),
            // Half of its samples, by an old mistake that stays (RFC 3551 section 4.5.2).
            Self::G722 => (track.sample_rate_hz / 2).max(1),
            Self::Av1 | Self::H264 | Self::H265 | Self::Jpeg => VIDEO_HZ,
            Self::Mpeg4 | Self::Vp8 | Self::Vp9 => VIDEO_HZ,
        }
    }

    fn parameters(self, track: &Track) -> Vec<(&'static str, String)> {
        let extradata = &track.extradata[..];
        match self {
            Self::Aac => aac::parameters(extradata),
            Self::Av1 => av1::parameters(extradata),
            Self::H264 => h264::parameters(extradata),
            Self::H265 => h265::parameters(extradata),
            Self::Mpeg4 => mpeg4::parameters(extradata),
            Self::Opus => opus::parameters(track.channels),
            Self::Vp9 => vp9::parameters(extradata),
            Self::G722 | Self::L16 | Self::Pcma | Self::Pcmu => Vec::new(),
            Self::Jpeg | Self::Vp8 => Vec::new(),
        }
    }
}

/// How one track is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    payload: Payload,
    pub payload_type: u8,
    pub clock_hz: u32,
    /// Audio channels; zero for video, which states none.
    pub channels: u32,
    /// Parameters of `a=fmtp`, in order.
    pub parameters: Vec<(&'static str, String)>,
}

impl Format {
    /// What is not served is left out of the SDP.
    pub fn of(track: &Track, index: u8) -> Result<Self, NotServed> {
        let payload = Payload::of(track.codec);
        let (width, height) = (track.width, track.height);
        if payload == Payload::Jpeg && width.max(height) > jpeg::SIDE_MAX {
            return Err(NotServed::LargeJpeg { width, height });
        }
        Ok(Self {
            payload,
            payload_type: payload.fixed_type(track).unwrap_or(PAYLOAD_TYPE_FIRST + index),
            clock_hz: payload.clock_hz(track),
            channels: if payload == Payload::Opus { opus::CHANNELS } else { track.channels },
            parameters: payload.parameters(track),
        })
    }

    pub fn media(&self) -> Media {
        match self.payload {
            Payload::Av1 | Payload::H264 | Payload::H265 | Payload::Jpeg => Media::Video,
            Payload::Mpeg4 | Payload::Vp8 | Payload::Vp9 => Media::Video,
            Payload::Aac | Payload::G722 | Payload::L16 => Media::Audio,
            Payload::Opus | Payload::Pcma | Payload::Pcmu => Media::Audio,
        }
    }

    /// Encoding name of `a=rtpmap`.
    pub fn encoding(&self) -> &'static str {
        match self.payload {
            Payload::Aac => "mpeg4-generic",
            Payload::Av1 => "AV1",
            Payload::G722 => "G722",
            Payload::H264 => "H264",
            Payload::H265 => "H265",
            Payload::Jpeg => "JPEG",
            Payload::L16 => "L16",
            Payload::Mpeg4 => "MP4V-ES",
            Payload::Opus => "opus",
            Payload::Pcma => "PCMA",
            Payload::Pcmu => "PCMU",
            Payload::Vp8 => "VP8",
            Payload::Vp9 => "VP9",
        }
    }

    /// The unit as it is sent.
    pub fn wire(&self, unit: Vec<u8>) -> Vec<u8> {
        match self.payload {
            Payload::Jpeg => jpeg::with_standard_tables(unit),
            Payload::L16 => samples::swapped(unit),
            _ => unit,
        }
    }

    /// Cuts one access unit or audio frame, in sending order. Empty when there is nothing to send.
    pub fn cut(&self, unit: &[u8]) -> Vec<Piece> {
        match self.payload {
            Payload::Aac => aac::cut(unit),
            Payload::Av1 => av1::cut(unit),
            Payload::H264 => h264::cut(unit),
            Payload::H265 => h265::cut(unit),
            Payload::Jpeg => jpeg::cut(unit),
            Payload::L16 => samples::cut(unit, 2 * self.channels as usize),
            Payload::Mpeg4 => mpeg4::cut(unit),
            Payload::Opus => opus::cut(unit),
            // A byte of each channel a tick.
            Payload::G722 | Payload::Pcma | Payload::Pcmu => {
                samples::cut(unit, self.channels as usize)
            }
            Payload::Vp8 => vp8::cut(unit),
            Payload::Vp9 => vp9::cut(unit),
        }
    }

    /// Why there is nothing to send of a unit as it is sent, where that has a name.
    pub fn refusal(&self, unit: &[u8]) -> Option<jpeg::NotCarried> {
        if self.payload == Payload::Jpeg { jpeg::refusal(unit) } else { None }
    }
}

/// One RTP packet of a unit: a payload header of its own, then a run of the unit's bytes. Cut once a unit
/// and shared by every client, which adds its own RTP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    header: Header,
    /// Where in the unit the rest of the payload lies.
    pub body: Range<usize>,
    /// Later than the unit by so many ticks of the format's clock.
    pub later: u32,
    /// The last packet of an access unit.
    pub marker: bool,
}

/// The longest payload header that every packet of a format may have: JPEG's, with restart markers.
const HEADER_SHORT_BYTES: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Header {
    Short([u8; HEADER_SHORT_BYTES], u8),
    /// The first packet of a JPEG picture has its quantisation tables.
    Long(Box<[u8]>),
}

impl Piece {
    fn new(header: &[u8], body: Range<usize>) -> Self {
        let mut short = [0; HEADER_SHORT_BYTES];
        let header = match (short.get_mut(..header.len()), u8::try_from(header.len())) {
            (Some(room), Ok(bytes)) => {
                room.copy_from_slice(header);
                Header::Short(short, bytes)
            }
            _ => Header::Long(header.into()),
        };
        Self { header, body, later: 0, marker: false }
    }

    pub fn header(&self) -> &[u8] {
        match &self.header {
            Header::Short(bytes, length) => &bytes[..usize::from(*length)],
            Header::Long(bytes) => bytes,
        }
    }

    pub fn payload_bytes(&self) -> usize {
        self.header().len() + self.body.len()
    }

    #[cfg(test)]
    fn payload(&self, unit: &[u8]) -> Vec<u8> {
        [self.header(), &unit[self.body.clone()]].concat()
    }
}

/// Cuts a run of bytes into parts of at most `room`.
fn fragments(run: Range<usize>, room: usize) -> impl Iterator<Item = Range<usize>> {
    let end = run.end;
    run.step_by(room).map(move |start| start..(start + room).min(end))
}

/// Marks the end of the access unit (RFC 6184 section 5.1).
fn mark_last(mut pieces: Vec<Piece>) -> Vec<Piece> {
    if let Some(last) = pieces.last_mut() {
        last.marker = true;
    }
    pieces
}
