//! H.264 (RFC 6184) and H.265 (RFC 7798): packets into access units. Pure.
//!
//! A unit ends with the marker, or where the timestamp changes. Cameras differ from the book: some set the
//! marker on each slice, or on parameter sets that have a timestamp of their own, some never end their
//! fragments. What stands for no picture by itself goes with the picture behind it.

use bitstream::Family;
use bitstream::nal::{START_CODE, append, unescaped};

use super::order::Ordered;

/// More than any picture; a camera that never ends one is not followed further.
const UNIT_MAX_BYTES: usize = 16 << 20;

/// payloadType of the SEI message (D.1.1).
const RECOVERY_POINT: usize = 6;

/// One access unit, Annex B, as the camera sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) ticks: u32,
    pub(crate) key: bool,
    /// Some of it, or of what it refers to, may be missing.
    pub(crate) damaged: bool,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Assembler {
    family: Family,
    /// H.265: two bytes of decoding order stand before each unit.
    has_order: bool,
    unit: Unit,
    has_picture: bool,
    /// A fragmented NAL unit is being put together; it begins here.
    fragment_at: Option<usize>,
    /// The last unit that was handed on: its timestamp.
    ended: Option<u32>,
    /// Markers that stand in the middle of pictures end none.
    marker_lies: bool,
    /// What was lost is referred to by all that follows, up to the next key frame.
    broken: bool,
}

impl Assembler {
    pub(crate) fn new(family: Family, has_order: bool) -> Self {
        Self {
            family,
            has_order,
            unit: Unit::default(),
            has_picture: false,
            fragment_at: None,
            ended: None,
            marker_lies: false,
            broken: false,
        }
    }

    /// Takes the next packet; appends the units that it ends to `out`.
    pub(crate) fn push(&mut self, ordered: &Ordered<'_>, out: &mut Vec<Unit>) {
        let packet = &ordered.packet;
        let lost = ordered.lost > 0 || ordered.anew;
        if lost {
            self.lose();
        }
        if ordered.anew {
            self.forget_unit();
        }
        if packet.ticks != self.unit.ticks {
            self.finish_fragment();
            if self.has_picture {
                self.end(out);
            }
            // Whether the new one has its beginning, its first slice will tell.
            self.unit.damaged = false;
        }
        self.unit.ticks = packet.ticks;
        self.payload(&packet.payload);
        if packet.marker && !self.marker_lies {
            self.finish_fragment();
            if self.has_picture {
                self.end(out);
            }
        }
        if self.unit.bytes.len() > UNIT_MAX_BYTES {
            self.unit.bytes.clear();
            self.lose();
        }
    }

    /// Packets are missing: of the unit under way, of the one behind it, or of whole ones between them.
    fn lose(&mut self) {
        if let Some(at) = self.fragment_at.take() {
            self.unit.bytes.truncate(at);
        }
        self.unit.damaged = true;
        self.broken = true;
    }

    /// What is there belongs to nothing that may follow.
    fn forget_unit(&mut self) {
        self.unit = Unit::default();
        self.has_picture = false;
        self.fragment_at = None;
        self.ended = None;
    }

    fn payload(&mut self, payload: &[u8]) {
        match self.family {
            Family::H264 => self.h264(payload),
            Family::H265 => self.h265(payload),
        }
    }

    fn h264(&mut self, payload: &[u8]) {
        let Some((header, rest)) = payload.split_first() else { return };
        match header & 0x1f {
            1..=23 => self.whole(payload),
            24 => self.several(rest, 0),
            25 => self.several(rest.get(2..).unwrap_or_default(), 0),
            kind @ (28 | 29) => {
                let Some((bits, rest)) = rest.split_first() else { return };
                let begins = bits & 0x80 != 0;
                let rest =
                    if kind == 29 && begins { rest.get(2..).unwrap_or_default() } else { rest };
                self.fragment(&[header & 0xe0 | bits & 0x1f], begins, bits & 0x40 != 0, rest);
            }
            _ => {}
        }
    }

    fn h265(&mut self, payload: &[u8]) {
        let [first, second, rest @ ..] = payload else { return };
        // Another layer than the base, or, as mostly, no H.265 at all any more.
        if first & 1 != 0 || second >> 3 != 0 || second & 7 == 0 {
            return;
        }
        let order = if self.has_order { 2 } else { 0 };
        match first >> 1 & 0x3f {
            48 => self.several(rest.get(order..).unwrap_or_default(), order / 2),
            49 => {
                let Some((bits, rest)) = rest.split_first() else { return };
                let begins = bits & 0x80 != 0;
                let rest = if begins { rest.get(order..).unwrap_or_default() } else { rest };
                let header = [first & 0x81 | (bits & 0x3f) << 1, *second];
                self.fragment(&header, begins, bits & 0x40 != 0, rest);
            }
            50.. => {}
            _ if order == 0 => self.whole(payload),
            _ => {
                let body = rest.get(order..).unwrap_or_default();
                self.whole(&[&[*first, *second], body].concat());
            }
        }
    }

    /// An aggregate: each NAL unit behind its length; `between` bytes stand before all but the first.
    fn several(&mut self, mut rest: &[u8], between: usize) {
        while let [high, low, tail @ ..] = rest {
            let bytes = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(nal) = tail.get(..bytes) else {
                self.unit.damaged = true;
                return;
            };
            self.whole(nal);
            rest = tail.get(bytes + between..).unwrap_or_default();
        }
    }

    fn fragment(&mut self, header: &[u8], begins: bool, ends: bool, part: &[u8]) {
        if begins {
            self.finish_fragment();
            self.fragment_at = Some(self.unit.bytes.len());
            append(&mut self.unit.bytes, header);
        }
        if self.fragment_at.is_none() {
            // Its beginning is missing, or was ended by a marker.
            self.marker_lies |= self.ended == Some(self.unit.ticks) && !self.broken;
            self.unit.damaged = true;
            self.broken = true;
            return;
        }
        self.unit.bytes.extend(part);
        if ends {
            self.finish_fragment();
        }
    }

    /// One without an end is whole too: nothing of it was lost, else it would not be here.
    fn finish_fragment(&mut self) {
        let Some(at) = self.fragment_at.take() else { return };
        let nal = &self.unit.bytes[at + START_CODE.len()..];
        if leaves_start_code_in(nal) {
            let nal = nal.to_vec();
            self.unit.bytes.truncate(at);
            return self.whole(&nal);
        }
        // It stands where it belongs.
        match What::of(self.family, nal) {
            Some(what) => self.note(&what),
            None => self.unit.bytes.truncate(at),
        }
    }

    fn whole(&mut self, nal: &[u8]) {
        self.finish_fragment();
        let nal = nal
            .strip_prefix(&START_CODE)
            .or_else(|| nal.strip_prefix(&START_CODE[1..]))
            .unwrap_or(nal);
        let Some(what) = What::of(self.family, nal) else { return };
        self.note(&what);
        append(&mut self.unit.bytes, nal);
    }

    /// A NAL unit of the access unit is there.
    fn note(&mut self, what: &What) {
        if what.is_picture {
            if !self.has_picture && !what.begins_picture {
                // Its beginning was lost, or ended by a marker that came too early.
                self.marker_lies |= self.ended == Some(self.unit.ticks) && !self.broken;
                self.unit.damaged = true;
                self.broken = true;
            }
            self.has_picture = true;
        }
        self.unit.key |= what.is_key;
    }

    fn end(&mut self, out: &mut Vec<Unit>) {
        self.finish_fragment();
        // The next one will be about as large.
        let bytes = Vec::with_capacity(self.unit.bytes.len());
        let mut unit = std::mem::replace(&mut self.unit, Unit { bytes, ..Unit::default() });
        self.has_picture = false;
        self.ended = Some(unit.ticks);
        if unit.key && !unit.damaged {
            self.broken = false;
        }
        unit.damaged |= self.broken;
        out.push(unit);
    }
}

/// Whether one of the messages of an SEI unit of H.264 is a recovery point (7.3.2.3.1, D.1.8). Others may stand
/// before it: a buffering period, the picture's timing.
fn has_recovery_point(nal: &[u8]) -> bool {
    let plain = unescaped(nal);
    let mut rest = plain.get(1..).unwrap_or_default();
    // The last byte holds the stop bit.
    while rest.len() > 1 {
        let (kind, behind) = sei_number(rest);
        let (bytes, body) = sei_number(behind);
        if kind == RECOVERY_POINT {
            return true;
        }
        rest = body.get(bytes..).unwrap_or_default();
    }
    false
}

/// A type or a size, and what follows it.
fn sei_number(bytes: &[u8]) -> (usize, &[u8]) {
    let full = bytes.iter().take_while(|byte| **byte == 0xff).count();
    match bytes[full..].split_first() {
        Some((last, rest)) => (full * 0xff + usize::from(*last), rest),
        None => (full * 0xff, &[]),
    }
}

/// Some cameras leave the start code in.
fn leaves_start_code_in(nal: &[u8]) -> bool {
    nal.starts_with(&START_CODE) || nal.starts_with(&START_CODE[1..])
}

/// What a NAL unit is of.
struct What {
    is_picture: bool,
    /// A decoder may begin with the picture that it is of, or stands before.
    is_key: bool,
    /// The first slice of a picture, for what it says itself.
    begins_picture: bool,
}

impl What {
    fn of(family: Family, nal: &[u8]) -> Option<Self> {
        nal.first()?;
        let kind = family.kind(nal);
        Some(match family {
            Family::H264 => {
                // first_mb_in_slice is 0 when its code is the one bit 1.
                let begins_picture = nal.get(1).is_none_or(|byte| byte & 0x80 != 0);
                // Some cameras refresh pictures bit by bit and never send an IDR.
                let is_key = kind == 5 || kind == 6 && has_recovery_point(nal);
                // Partitions (2 to 4) no camera sends; a stream that has become H.265 looks like them.
                Self { is_picture: matches!(kind, 1 | 5), is_key, begins_picture }
            }
            Family::H265 => {
                let begins_picture = nal.get(2).is_none_or(|byte| byte & 0x80 != 0);
                Self { is_picture: kind < 32, is_key: matches!(kind, 16..=21), begins_picture }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::order::Packet;
    use proptest::prelude::*;
    use protocol::time::Stamp;

    fn ordered(ticks: u32, marker: bool, payload: &[u8], lost: u64) -> Ordered<'_> {
        let payload = payload.into();
        let packet = Packet { sequence: 0, ticks, marker, payload, arrival: Stamp::default() };
        Ordered { packet, lost, anew: false }
    }

    fn units(family: Family, packets: &[(u32, bool, &[u8], u64)]) -> Vec<Unit> {
        let mut assembler = Assembler::new(family, false);
        let mut out = Vec::new();
        for (ticks, marker, payload, lost) in packets {
            assembler.push(&ordered(*ticks, *marker, payload, *lost), &mut out);
        }
        out
    }

    fn annexb(nals: &[&[u8]]) -> Vec<u8> {
        bitstream::nal::stream(nals)
    }

    const SPS: &[u8] = &[0x67, 1, 2, 3];
    const PPS: &[u8] = &[0x68, 4];
    const KEY: &[u8] = &[0x65, 0x88, 5];
    const NEXT: &[u8] = &[0x41, 0x9a, 6];

    #[test]
    fn whole_aggregated_and_fragmented_units_are_put_together() {
        let aggregate: &[u8] = &[0x78, 0, 4, 0x67, 1, 2, 3, 0, 2, 0x68, 4];
        let out = units(
            Family::H264,
            &[
                (1, false, aggregate, 0),
                (1, false, &[0x7c, 0x85, 0x88], 0),
                (1, true, &[0x7c, 0x45, 5], 0),
                (2, true, NEXT, 0),
            ],
        );
        let key = Unit { ticks: 1, key: true, damaged: false, bytes: annexb(&[SPS, PPS, KEY]) };
        let next = Unit { ticks: 2, key: false, damaged: false, bytes: annexb(&[NEXT]) };
        assert_eq!(out, [key, next]);
    }

    #[test]
    fn h265_is_put_together_too() {
        let key: &[u8] = &[0x26, 1, 0x80, 9, 9];
        let out = units(
            Family::H265,
            &[
                (1, false, &[0x60, 1, 0, 3, 0x40, 1, 7, 0, 3, 0x42, 1, 8], 0),
                (1, false, &[0x62, 1, 0x80 | 19, 0x80], 0),
                (1, true, &[0x62, 1, 0x40 | 19, 9, 9], 0),
            ],
        );
        assert_eq!(out.len(), 1);
        assert!(out[0].key && !out[0].damaged);
        assert_eq!(out[0].bytes, annexb(&[&[0x40, 1, 7], &[0x42, 1, 8], key]));
    }

    #[test]
    fn a_change_of_the_timestamp_ends_a_unit_without_a_marker() {
        let out =
            units(Family::H264, &[(1, false, KEY, 0), (2, false, NEXT, 0), (3, false, NEXT, 0)]);
        assert_eq!(out.iter().map(|unit| unit.ticks).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn parameter_sets_with_markers_and_timestamps_of_their_own_go_with_their_picture() {
        let out = units(Family::H264, &[(1, true, SPS, 0), (2, true, PPS, 0), (3, true, KEY, 0)]);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].ticks, &out[0].bytes), (3, &annexb(&[SPS, PPS, KEY])));
    }

    #[test]
    fn a_marker_on_each_slice_is_found_out() {
        let rest: &[u8] = &[0x41, 0x40, 7];
        let mut packets = Vec::new();
        for ticks in 1..6 {
            packets.push((ticks, true, if ticks == 4 { KEY } else { NEXT }, 0));
            packets.push((ticks, true, if ticks == 4 { &[0x65, 0x40, 7] } else { rest }, 0));
        }
        let out = units(Family::H264, &packets);
        let from_key: Vec<_> = out.iter().skip_while(|unit| !unit.key).collect();
        assert_eq!(from_key[0].bytes, annexb(&[KEY, &[0x65, 0x40, 7]]));
        assert!(!from_key[0].damaged);
    }

    #[test]
    fn a_recovery_point_makes_a_picture_one_to_begin_with() {
        let out = units(
            Family::H264,
            &[(1, false, &[6, 6, 1, 0x84, 0x80], 0), (1, true, NEXT, 0), (2, true, NEXT, 0)],
        );
        assert_eq!(out.iter().map(|unit| unit.key).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_recovery_point_is_found_behind_other_messages_and_nowhere_else() {
        // A buffering period of 4 bytes, one of them escaped; a message of 256 bytes of user data.
        let period: &[u8] = &[0, 4, 0, 0, 3, 1, 9];
        let long = [&[5, 0xff, 1][..], &[6; 256]].concat();
        let point: &[u8] = &[6, 1, 0x84];
        for (messages, is_key) in [
            (vec![period, point], true),
            (vec![&long, period, point], true),
            (vec![period, &long], false),
            (vec![&[1, 6, 6, 6, 6, 6, 6, 6]], false),
            (vec![&[5, 200, 6]], false),
        ] {
            let sei = [&[6], messages.concat().as_slice(), &[0x80]].concat();
            let out = units(Family::H264, &[(1, false, &sei, 0), (1, true, NEXT, 0)]);
            assert_eq!(out[0].key, is_key, "{sei:?}");
        }
    }

    #[test]
    fn a_fragment_that_begins_and_ends_at_once_is_whole() {
        let out = units(Family::H264, &[(1, true, &[0x7c, 0xc5, 0x88, 5], 0)]);
        assert_eq!(out[0].bytes, annexb(&[KEY]));
    }

    #[test]
    fn a_fragment_without_an_end_is_taken_when_its_picture_ends() {
        let out = units(
            Family::H264,
            &[(1, false, &[0x7c, 0x85, 0x88], 0), (1, false, &[0x7c, 5, 5], 0), (2, true, NEXT, 0)],
        );
        assert_eq!(out[0].bytes, annexb(&[KEY]));
        assert!(!out[0].damaged);
    }

    #[test]
    fn all_is_damaged_from_a_loss_to_the_next_key_frame() {
        let out = units(
            Family::H264,
            &[
                (1, true, KEY, 0),
                (2, true, NEXT, 1),
                (3, true, NEXT, 0),
                (4, true, KEY, 0),
                (5, true, NEXT, 0),
            ],
        );
        let damaged: Vec<bool> = out.iter().map(|unit| unit.damaged).collect();
        assert_eq!(damaged, [false, true, true, false, false]);
    }

    #[test]
    fn what_lost_a_part_is_damaged_and_what_begins_anew_is_not() {
        let out = units(
            Family::H264,
            &[
                (1, false, &[0x7c, 0x85, 0x88], 0),
                (1, true, &[0x7c, 0x45, 5], 1),
                (2, true, NEXT, 0),
                (3, false, KEY, 0),
                (3, true, &[0x65, 0x40], 0),
                (4, true, &[0x41, 0x40], 1),
                (5, true, KEY, 3),
            ],
        );
        // Nothing of the first is left that is a picture. The fourth lost its beginning, the fifth, which
        // came after a loss, did not.
        let told: Vec<(u32, bool)> = out.iter().map(|unit| (unit.ticks, unit.damaged)).collect();
        assert_eq!(told, [(2, true), (3, false), (4, true), (5, false)]);
    }

    proptest! {
        #[test]
        fn any_packets_are_taken(
            packets in proptest::collection::vec(
                (0u32..4, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40), 0u64..2), 0..60,
            ),
        ) {
            for (family, has_order) in [(Family::H264, false), (Family::H265, false), (Family::H265, true)] {
                let mut assembler = Assembler::new(family, has_order);
                let mut out = Vec::new();
                for (ticks, marker, payload, lost) in &packets {
                    assembler.push(&ordered(*ticks, *marker, payload, *lost), &mut out);
                }
            }
        }
    }
}
