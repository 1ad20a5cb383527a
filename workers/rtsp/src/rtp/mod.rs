//! How a track travels in RTP: what its SDP lines say and how an access unit is cut into packets.
//!
//! One file a codec, named after it. What belongs here: payload formats and packet bytes. What does
//! not: which client gets what and when (`playback`), and where units come from (`fanout`).

pub mod aac;
pub mod h264;
pub mod h265;
pub mod nal;
pub mod opus;
pub mod reception;
pub mod rtcp;
pub mod samples;
pub mod sender;

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
    H264,
    H265,
    L16,
    Opus,
    Pcma,
    Pcmu,
}

impl Payload {
    /// G.711 as telephones have it has numbers of its own (RFC 3551 section 6), which old players know
    /// alone.
    fn fixed_type(self, track: &Track) -> Option<u8> {
        match self {
            _ if (track.sample_rate_hz, track.channels) != (8_000, 1) => None,
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            _ => None,
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
    /// `None` for a codec that is not served: its track is left out of the SDP.
    pub fn of(track: &Track, index: u8) -> Option<Self> {
        let (rate_hz, extradata) = (track.sample_rate_hz, &track.extradata[..]);
        let (payload, clock_hz, parameters) = match track.codec {
            Codec::Aac => (Payload::Aac, rate_hz, aac::parameters(extradata)),
            Codec::H264 => (Payload::H264, VIDEO_HZ, h264::parameters(extradata)),
            Codec::H265 => (Payload::H265, VIDEO_HZ, h265::parameters(extradata)),
            Codec::Opus => (Payload::Opus, opus::CLOCK_HZ, opus::parameters(track.channels)),
            Codec::PcmAlaw => (Payload::Pcma, rate_hz, Vec::new()),
            Codec::PcmMulaw => (Payload::Pcmu, rate_hz, Vec::new()),
            Codec::PcmS16le => (Payload::L16, rate_hz, Vec::new()),
            _ => return None,
        };
        Some(Self {
            payload,
            payload_type: payload.fixed_type(track).unwrap_or(PAYLOAD_TYPE_FIRST + index),
            clock_hz: clock_hz.max(1),
            channels: if payload == Payload::Opus { opus::CHANNELS } else { track.channels },
            parameters,
        })
    }

    pub fn media(&self) -> Media {
        match self.payload {
            Payload::H264 | Payload::H265 => Media::Video,
            _ => Media::Audio,
        }
    }

    /// Encoding name of `a=rtpmap`.
    pub fn encoding(&self) -> &'static str {
        match self.payload {
            Payload::Aac => "mpeg4-generic",
            Payload::H264 => "H264",
            Payload::H265 => "H265",
            Payload::L16 => "L16",
            Payload::Opus => "opus",
            Payload::Pcma => "PCMA",
            Payload::Pcmu => "PCMU",
        }
    }

    /// The unit as it is sent.
    pub fn wire(&self, unit: Vec<u8>) -> Vec<u8> {
        if self.payload == Payload::L16 { samples::swapped(unit) } else { unit }
    }

    /// Cuts one access unit or audio frame, in sending order. Empty when there is nothing to send.
    pub fn cut(&self, unit: &[u8]) -> Vec<Piece> {
        match self.payload {
            Payload::Aac => aac::cut(unit),
            Payload::H264 => h264::cut(unit),
            Payload::H265 => h265::cut(unit),
            Payload::L16 => samples::cut(unit, 2 * self.channels as usize),
            Payload::Opus => opus::cut(unit),
            Payload::Pcma | Payload::Pcmu => samples::cut(unit, self.channels as usize),
        }
    }
}

/// One RTP packet of a unit: a short payload header of its own, then a run of the unit's bytes.
/// Cut once a unit and shared by every client, which adds its own RTP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    header: [u8; 4],
    header_bytes: u8,
    /// Where in the unit the rest of the payload lies.
    pub body: Range<usize>,
    /// Later than the unit by so many ticks of the format's clock.
    pub later: u32,
    /// The last packet of an access unit.
    pub marker: bool,
}

impl Piece {
    /// `header` holds at most 4 bytes, the longest payload header of the formats here.
    fn new(header: &[u8], body: Range<usize>) -> Self {
        let mut piece = Self { header: [0; 4], header_bytes: 0, body, later: 0, marker: false };
        for (to, from) in piece.header.iter_mut().zip(header) {
            *to = *from;
            piece.header_bytes += 1;
        }
        piece
    }

    pub fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_bytes)]
    }

    pub fn payload_bytes(&self) -> usize {
        usize::from(self.header_bytes) + self.body.len()
    }
}

/// Marks the end of the access unit (RFC 6184 section 5.1).
fn mark_last(mut pieces: Vec<Piece>) -> Vec<Piece> {
    if let Some(last) = pieces.last_mut() {
        last.marker = true;
    }
    pieces
}
