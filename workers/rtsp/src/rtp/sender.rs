//! One client's RTP stream: its sequence numbers, timestamps and reports.
//!
//! The timestamp of the first unit is chosen before that unit is known, and the stream's time is
//! then counted from it. So what `RTP-Info` promises in the answer to PLAY holds by construction,
//! also while the camera is down.

use std::sync::Arc;
use std::time::Duration;

use protocol::time::{MonoNs, TimeBase, UtcNs};
use rtp_types::RtpPacketBuilder;

use super::reception::{Reception, Reported};
use super::rtcp::{self, ReportBlock, SenderReport};
use super::{Format, HEADER_BYTES, Piece};
use crate::envelope::{Envelope, Part};
use crate::print::{Numbers, Print};
use crate::unit::Unit;

/// Below the 5 s that clients count on, so that a stream of two pictures a second still keeps them.
const REPORT_EVERY: Duration = Duration::from_millis(4500);

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
    /// Of the newest unit sent.
    last: Option<Sent>,
    packets: u32,
    payload_bytes: u32,
    /// The last sender report after the last PLAY.
    reported: Option<Reported>,
    /// What the client said last of how it receives.
    reception: Option<Reception>,
}

/// A unit that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    ticks: u32,
    captured: UtcNs,
    at: MonoNs,
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
            reception: None,
        }
    }

    /// PLAY after a PAUSE: the clock went on, so the first new unit is later by the wall's distance.
    pub fn resume(&mut self, now: MonoNs) {
        if let Some(last) = self.last {
            self.start_ticks =
                last.ticks.wrapping_add(self.ticks_since(last.at, now)).wrapping_add(1);
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

    /// Packets and bytes of payload sent so far, modulo 2^32.
    pub fn counts(&self) -> (u32, u32) {
        (self.packets, self.payload_bytes)
    }

    /// How the client receives the stream, once it has said so.
    pub fn reception(&self) -> Option<&Reception> {
        self.reception.as_ref()
    }

    /// Whether a report should go out before the next unit.
    pub fn report_due(&self, now: MonoNs) -> bool {
        self.reported.is_none_or(|reported| now >= reported.at + REPORT_EVERY)
    }

    /// When a report is due although no unit comes: a camera that is down, or a microphone that is silent. Nothing is
    /// said of a stream before its first unit.
    pub fn next_report(&self) -> Option<MonoNs> {
        Some(self.reported?.at + REPORT_EVERY)
    }

    /// Writes a report that ties `unit`'s capture time to this stream's clock. `anchor_ns` is the stream time that
    /// `start_ticks` stands for.
    pub fn report(
        &mut self,
        unit: &Unit,
        anchor_ns: i64,
        now: MonoNs,
        cname: &str,
        out: &mut impl Envelope,
    ) {
        self.write_report(unit.captured, self.ticks(unit.pts_ns, anchor_ns), now, cname, out);
    }

    /// Writes a report for which there is no unit: both clocks went on since the last one.
    pub fn report_again(&mut self, now: MonoNs, cname: &str, out: &mut impl Envelope) {
        let Some(last) = self.last else { return };
        let since = u64::try_from(now.saturating_since(last.at).as_nanos()).unwrap_or(u64::MAX);
        let captured = UtcNs(last.captured.0.saturating_add(since));
        let ticks = last.ticks.wrapping_add(self.ticks_since(last.at, now));
        self.write_report(captured, ticks, now, cname, out);
    }

    fn write_report(
        &mut self,
        captured: UtcNs,
        ticks: u32,
        now: MonoNs,
        cname: &str,
        out: &mut impl Envelope,
    ) {
        let (ssrc, packets, payload_bytes) = (self.ssrc, self.packets, self.payload_bytes);
        let report = SenderReport { ssrc, captured, ticks, packets, payload_bytes };
        report.write(cname, out.begin(Part::Rtcp));
        out.end();
        self.reported = Some(Reported { at: now, ntp_middle: report.ntp_middle() });
    }

    /// Writes that the stream is over.
    pub fn bye(&self, cname: &str, out: &mut impl Envelope) {
        rtcp::write_bye(self.ssrc, cname, out.begin(Part::Rtcp));
        out.end();
    }

    /// Takes note of what the client says of this stream; of another one it says nothing here.
    pub fn hear(&mut self, block: &ReportBlock, now: MonoNs) {
        if block.ssrc == self.ssrc {
            self.reception = Some(Reception::of(block, self.clock, self.reported, now));
        }
    }

    /// Appends every packet of `unit`.
    pub fn send(&mut self, unit: &Unit, anchor_ns: i64, now: MonoNs, out: &mut impl Envelope) {
        let ticks = self.ticks(unit.pts_ns, anchor_ns);
        for piece in &unit.pieces {
            self.packet(piece, &unit.payload, ticks, out.begin(Part::Rtp));
            out.end();
        }
        self.last = Some(Sent { ticks, captured: unit.captured, at: now });
    }

    /// Every packet of `unit` as an interleaved frame.
    pub fn print<'a>(
        &mut self,
        unit: &Arc<Unit>,
        anchor_ns: i64,
        now: MonoNs,
        channels: Channels,
        print: &'a mut Print,
    ) -> &'a [u8] {
        let (ticks, sequence) = (self.ticks(unit.pts_ns, anchor_ns), self.next_sequence);
        let numbers = Numbers { channels, ssrc: self.ssrc, sequence, ticks };
        unit.pieces.iter().for_each(|piece| self.count(piece));
        self.last = Some(Sent { ticks, captured: unit.captured, at: now });
        print.of(unit, self.payload_type, numbers)
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
        self.count(piece);
    }

    fn count(&mut self, piece: &Piece) {
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        let bytes = u32::try_from(piece.payload_bytes()).unwrap_or(u32::MAX);
        self.payload_bytes = self.payload_bytes.wrapping_add(bytes);
    }

    fn ticks_since(&self, then: MonoNs, now: MonoNs) -> u32 {
        let elapsed = i64::try_from(now.saturating_since(then).as_nanos()).unwrap_or(i64::MAX);
        wrap(self.clock.from_ns(elapsed))
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
