//! The packets of one unit as interleaved frames, put together once; every viewer's copy differs from the next one's by
//! four numbers, which are changed in place. Pure.

use std::sync::Arc;

use rtp_types::RtpPacketBuilder;

use crate::envelope::{Envelope, Frame, Part};
use crate::rtp::sender::Channels;
use crate::unit::Unit;

/// Memory that is kept between units: a key frame of 8 Mbit/s.
const KEPT_BYTES: usize = 1 << 20;
/// Of an interleaved frame before its packet (RFC 2326 section 10.12).
const FRAME_BYTES: usize = 4;

/// What is sent last. Invariant: `starts` are where the frames begin in `bytes`, one for each piece of `unit`, and behind
/// each of them lie a frame's and an RTP packet's header.
#[derive(Debug, Default)]
pub struct Print {
    unit: Option<Arc<Unit>>,
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

/// What is a viewer's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub channels: Channels,
    pub ssrc: u32,
    /// Of the unit's first packet.
    pub sequence: u16,
    /// Of the unit.
    pub ticks: u32,
}

impl Print {
    /// The frames of `unit` with these numbers.
    pub fn of(&mut self, unit: &Arc<Unit>, payload_type: u8, numbers: Numbers) -> &[u8] {
        if !self.unit.as_ref().is_some_and(|set| Arc::ptr_eq(set, unit)) {
            self.set(unit, payload_type, numbers.channels);
        }
        let mut sequence = numbers.sequence;
        for (start, piece) in self.starts.iter().zip(&unit.pieces) {
            let (frame, packet) = self.bytes[*start..].split_at_mut(FRAME_BYTES);
            frame[1] = numbers.channels.rtp;
            // RFC 3550 section 5.1.
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&numbers.ticks.wrapping_add(piece.later).to_be_bytes());
            packet[8..12].copy_from_slice(&numbers.ssrc.to_be_bytes());
            sequence = sequence.wrapping_add(1);
        }
        &self.bytes
    }

    /// Forgets the unit.
    pub fn clear(&mut self) {
        self.unit = None;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.starts.clear();
    }

    fn set(&mut self, unit: &Arc<Unit>, payload_type: u8, channels: Channels) {
        self.clear();
        for piece in &unit.pieces {
            self.starts.push(self.bytes.len());
            let mut frame = Frame::new(&mut self.bytes, channels);
            // Unchecked leaves out the checks of CSRC, extension and padding, which are not used, and of
            // the payload type, which is below 128 by `Format`.
            RtpPacketBuilder::<&[u8], &[u8]>::new()
                .payload_type(payload_type)
                .marker_bit(piece.marker)
                .payload(piece.header())
                .payload(&unit.payload[piece.body.clone()])
                .write_into_vec_unchecked(frame.begin(Part::Rtp));
            frame.end();
        }
        self.unit = Some(Arc::clone(unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playback::{Outlet, Playback, Wanted};
    use crate::rtp::Format;
    use crate::rtp::sender::Beginning;
    use crate::sdp::Presentation;
    use proptest::prelude::*;
    use protocol::stream::{Codec, Track};
    use protocol::time::{MonoNs, TimeBase, UtcNs};

    fn track(codec: Codec) -> Track {
        Track {
            codec,
            time_base: TimeBase::NANOSECONDS,
            width: 640,
            height: 480,
            sample_rate_hz: 48_000,
            channels: 2,
            frame_rate: (25, 1),
            extradata: Vec::new(),
        }
    }

    /// A viewer of both tracks who plays.
    fn viewer(presentation: &Arc<Presentation>, seed: u32) -> Playback {
        let mut playback = Playback::new(Arc::clone(presentation));
        for served in presentation.tracks() {
            let sequence = u16::MAX - 3;
            let beginning = Beginning { ssrc: seed, sequence, ticks: u32::MAX - seed };
            let wanted = Wanted::Interleaved(None);
            playback.set_up(served, wanted, beginning).unwrap();
        }
        playback.start(None, MonoNs(0)).unwrap();
        playback
    }

    fn unit(tracks: &[Track; 2], track: u32, number: u32, bytes: usize) -> Arc<Unit> {
        let of = &tracks[usize::try_from(track).unwrap()];
        let format = Format::of(of, u8::try_from(track).unwrap()).unwrap();
        let fill = u8::try_from(number % 250).unwrap() + 2;
        let payload = [&[0, 0, 0, 1, 0x65][..], &vec![fill; bytes]].concat();
        let pieces = format.cut(&payload);
        let pts_ns = i64::from(number) * 40_000_000;
        Arc::new(Unit { track, entry: true, pts_ns, captured: UtcNs(0), pieces, payload })
    }

    proptest! {
        #[test]
        fn what_is_printed_for_many_viewers_is_what_each_would_be_written_alone(
            units in proptest::collection::vec((0u32..2, 1usize..5_000, 0u64..3_000), 1..30),
        ) {
            let tracks = [track(Codec::H264), track(Codec::PcmMulaw)];
            let presentation = Arc::new(Presentation::of("cam1", &tracks));
            let mut pairs = [7, 9].map(|seed| [viewer(&presentation, seed), viewer(&presentation, seed)]);
            let (mut print, mut aside, mut now) = (Print::default(), Vec::new(), MonoNs(0));
            for (number, (track, bytes, later_ms)) in units.into_iter().enumerate() {
                let unit = unit(&tracks, track, u32::try_from(number).unwrap(), bytes);
                now = MonoNs(now.0 + later_ms * 1_000_000);
                for [printed, written] in &mut pairs {
                    let mut expected = Vec::new();
                    written.write(&unit, now, Outlet::Interleaved(&mut expected));
                    prop_assert!(!expected.is_empty());
                    prop_assert_eq!(printed.print(&unit, now, &mut print, &mut aside), &expected[..]);
                    prop_assert_eq!(printed.next_report(), written.next_report());
                }
                if later_ms % 2 == 0 {
                    print.clear();
                }
            }
        }
    }
}
