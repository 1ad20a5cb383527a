//! One client's RTP stream: its sequence numbers, timestamps and reports.
//!
//! The timestamp of the first unit is chosen before that unit is known, and the stream's time is
//! then counted from it. So what `RTP-Info` promises in the answer to PLAY holds by construction,
//! also while the camera is down.

use std::time::Duration;

use protocol::time::{MonoNs, TimeBase};
use rtp_types::RtpPacketBuilder;

use super::rtcp::{self, SenderReport};
use super::{Format, HEADER_BYTES, Piece};
use crate::unit::Unit;

/// Below the 5 s that clients count on, so that a stream of two pictures a second still keeps them.
const REPORT_EVERY: Duration = Duration::from_millis(4500);
/// First byte of an interleaved frame (RFC 2326 section 10.12).
const INTERLEAVED: u8 = b'$';

/// Random beginnings, drawn anew for every stream (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    pub ssrc: u32,
    pub sequence: u16,
    pub ticks: u32,
}

/// The interleaved channels of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    pub rtp: u8,
    pub rtcp: u8,
}

/// The sending side of one track for one client.
#[derive(Debug)]
pub struct Sender {
    ssrc: u32,
    payload_type: u8,
    clock: TimeBase,
    next_sequence: u16,
    /// Timestamp of the first unit after the last PLAY.
    start_ticks: u32,
    /// The newest timestamp sent, and when.
    last: Option<(u32, MonoNs)>,
    packets: u32,
    payload_bytes: u32,
    reported: Option<MonoNs>,
}

impl Sender {
    pub fn new(format: &Format, beginning: Beginning) -> Self {
        Self {
            ssrc: beginning.ssrc,
            payload_type: format.payload_type,
            clock: TimeBase { num: 1, den: format.clock_hz },
            next_sequence: beginning.sequence,
            start_ticks: beginning.ticks,
            last: None,
            packets: 0,
            payload_bytes: 0,
            reported: None,
        }
    }

    /// PLAY after a PAUSE: the clock went on, so the first new unit is later by the wall's distance.
    pub fn resume(&mut self, now: MonoNs) {
        if let Some((ticks, sent)) = self.last {
            let paused = i64::try_from(now.saturating_since(sent).as_nanos()).unwrap_or(i64::MAX);
            self.start_ticks = ticks.wrapping_add(wrap(self.clock.from_ns(paused))).wrapping_add(1);
        }
        self.reported = None;
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Sequence number of the next packet.
    pub fn next_sequence(&self) -> u16 {
        self.next_sequence
    }

    /// Timestamp of the instant PLAY begins with.
    pub fn start_ticks(&self) -> u32 {
        self.start_ticks
    }

    /// Whether a report should go out before the next unit.
    pub fn report_due(&self, now: MonoNs) -> bool {
        self.reported.is_none_or(|sent| now.saturating_since(sent) >= REPORT_EVERY)
    }

    /// Appends a report that ties `unit`'s capture time to this stream's clock. `anchor_ns` is the
    /// stream time that `start_ticks` stands for.
    pub fn report(&mut self, unit: &Unit, anchor_ns: i64, now: MonoNs, frame: &mut Frame<'_>) {
        let report = SenderReport {
            ssrc: self.ssrc,
            captured: unit.captured,
            ticks: self.ticks(unit.pts_ns, anchor_ns),
            packets: self.packets,
            payload_bytes: self.payload_bytes,
        };
        frame.begin(frame.channels.rtcp);
        report.write(frame.cname, frame.out);
        frame.end();
        self.reported = Some(now);
    }

    /// Appends that the stream has ended.
    pub fn goodbye(&self, frame: &mut Frame<'_>) {
        frame.begin(frame.channels.rtcp);
        rtcp::write_goodbye(self.ssrc, frame.cname, frame.out);
        frame.end();
    }

    /// Appends every packet of `unit`.
    pub fn send(&mut self, unit: &Unit, anchor_ns: i64, now: MonoNs, frame: &mut Frame<'_>) {
        let ticks = self.ticks(unit.pts_ns, anchor_ns);
        for piece in &unit.pieces {
            frame.begin(frame.channels.rtp);
            self.packet(piece, &unit.payload, ticks, frame.out);
            frame.end();
        }
        self.last = Some((ticks, now));
    }

    fn packet(&mut self, piece: &Piece, unit: &[u8], ticks: u32, out: &mut Vec<u8>) {
        out.reserve(HEADER_BYTES + piece.payload_bytes());
        // Unchecked leaves out the checks of CSRC, extension and padding, which are not used, and of
        // the payload type, which is below 128 by `Format`.
        RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(self.payload_type)
            .sequence_number(self.next_sequence)
            .timestamp(ticks.wrapping_add(piece.later))
            .ssrc(self.ssrc)
            .marker_bit(piece.marker)
            .payload(piece.header())
            .payload(&unit[piece.body.clone()])
            .write_into_vec_unchecked(out);
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        let bytes = u32::try_from(piece.payload_bytes()).unwrap_or(u32::MAX);
        self.payload_bytes = self.payload_bytes.wrapping_add(bytes);
    }

    fn ticks(&self, stream_ns: i64, anchor_ns: i64) -> u32 {
        let since = self.clock.from_ns(stream_ns.saturating_sub(anchor_ns));
        self.start_ticks.wrapping_add(wrap(since))
    }
}

/// RTP timestamps count modulo 2^32.
fn wrap(ticks: i64) -> u32 {
    u32::try_from(ticks.rem_euclid(1 << 32)).unwrap_or(0)
}

/// Where interleaved frames are written: each packet behind `$`, its channel and its length.
#[derive(Debug)]
pub struct Frame<'a> {
    out: &'a mut Vec<u8>,
    channels: Channels,
    cname: &'a str,
    length_at: usize,
}

impl<'a> Frame<'a> {
    pub fn new(out: &'a mut Vec<u8>, channels: Channels, cname: &'a str) -> Self {
        Self { out, channels, cname, length_at: 0 }
    }

    fn begin(&mut self, channel: u8) {
        self.out.extend([INTERLEAVED, channel]);
        self.length_at = self.out.len();
        self.out.extend([0, 0]);
    }

    fn end(&mut self) {
        let bytes = self.out.len() - self.length_at - 2;
        // Packets end at PACKET_MAX_BYTES, far below the 16 bits of the frame's length.
        let length = u16::try_from(bytes).unwrap_or(u16::MAX);
        self.out[self.length_at..self.length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}
