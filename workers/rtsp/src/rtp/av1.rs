//! AV1 over RTP (AOM, RTP Payload Format For AV1 1.0): each OBU in packets of its own, without its size.
//!
//! Nothing is aggregated, as with H.264: a temporal unit of a camera is a sequence header now and then and
//! one large frame.

use std::ops::Range;

use bitstream::Bits;

use super::{PAYLOAD_MAX_BYTES, Piece, mark_last};

/// Bits of the aggregation header (section 4.4): the first element goes on from the packet before ...
const CONTINUES: u8 = 0x80;
/// ... the last one goes on in the next packet ...
const CONTINUED: u8 = 0x40;
/// ... there is one element, which so needs no length (W = 1) ...
const ONE_ELEMENT: u8 = 0x10;
/// ... and a coded video sequence begins.
const NEW_SEQUENCE: u8 = 0x08;

/// Bits of an OBU header (AV1 bitstream specification 5.3.2).
const FORBIDDEN: u8 = 0x80;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// First byte of a container's configuration record: its version, behind a marker bit.
const RECORD_MARKER: u8 = 0x81;

/// One OBU: its header without size, and where its payload is.
struct Obu {
    kind: u8,
    header: [u8; 2],
    header_bytes: usize,
    body: Range<usize>,
}

/// Cuts one temporal unit in the low-overhead format. What is not whole is left out with all behind it.
pub fn cut(unit: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for obu in obus(unit).filter(Obu::is_sent) {
        fragment(&obu, &mut pieces);
    }
    mark_last(pieces)
}

/// Temporal delimiters and tile lists must not be sent (section 5), padding is not worth it.
impl Obu {
    fn is_sent(&self) -> bool {
        !matches!(self.kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING)
    }
}

fn fragment(obu: &Obu, pieces: &mut Vec<Piece>) {
    let is_new = pieces.is_empty() && obu.kind == SEQUENCE_HEADER;
    let mut at = obu.body.start;
    loop {
        let is_first = at == obu.body.start;
        let own: &[u8] = if is_first { &obu.header[..obu.header_bytes] } else { &[] };
        let end = obu.body.end.min(at + PAYLOAD_MAX_BYTES - 1 - own.len());
        let mut aggregation = ONE_ELEMENT;
        for (bit, is_set) in [
            (CONTINUES, !is_first),
            (CONTINUED, end < obu.body.end),
            (NEW_SEQUENCE, is_new && is_first),
        ] {
            aggregation |= if is_set { bit } else { 0 };
        }
        pieces.push(Piece::new(&[&[aggregation][..], own].concat(), at..end));
        at = end;
        if at == obu.body.end {
            return;
        }
    }
}

/// The OBUs of a unit, up to the first that is not whole.
fn obus(unit: &[u8]) -> impl Iterator<Item = Obu> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let obu = obu(unit, at)?;
        at = obu.body.end;
        Some(obu)
    })
}

fn obu(unit: &[u8], at: usize) -> Option<Obu> {
    let first = *unit.get(at)?;
    if first & FORBIDDEN != 0 {
        return None;
    }
    let header_bytes = if first & HAS_EXTENSION != 0 { 2 } else { 1 };
    let extension = if header_bytes == 2 { *unit.get(at + 1)? } else { 0 };
    let behind = at + header_bytes;
    let (begin, bytes) = if first & HAS_SIZE != 0 {
        let (bytes, length) = leb128(unit.get(behind..)?)?;
        (behind + length, bytes)
    } else {
        (behind, unit.len().checked_sub(behind)?)
    };
    let end = begin.checked_add(bytes).filter(|end| *end <= unit.len())?;
    let header = [first & !HAS_SIZE, extension];
    Some(Obu { kind: first >> 3 & 15, header, header_bytes, body: begin..end })
}

/// A number in groups of seven bits, the lowest first, and how many bytes it takes (AV1 specification 4.10.5).
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, at + 1));
        }
    }
    None
}

/// `extradata`: a container's configuration record, or a sequence header. What is not told is profile 0 (Main),
/// level 2.0 and up as the stream says, tier 0 (section 7.1).
pub fn parameters(extradata: &[u8]) -> Vec<(&'static str, String)> {
    let told = match extradata {
        [RECORD_MARKER, second, third, ..] => Some((second >> 5, second & 31, third >> 7)),
        _ => obus(extradata)
            .find(|obu| obu.kind == SEQUENCE_HEADER)
            .and_then(|obu| sequence(&extradata[obu.body])),
    };
    let Some((profile, level, tier)) = told else { return Vec::new() };
    [("profile", profile), ("level-idx", level), ("tier", tier)]
        .map(|(name, value)| (name, value.to_string()))
        .into()
}

/// Profile, level and tier of the first operating point; `None` where timing stands in front of them, which
/// streams of cameras do not have (AV1 specification 5.5.1).
fn sequence(header: &[u8]) -> Option<(u8, u8, u8)> {
    let mut bits = Bits::new(header);
    let byte = |value| u8::try_from(value).ok();
    let profile = byte(bits.take(3)?)?;
    bits.take(1)?; // still_picture
    if bits.flag()? {
        return Some((profile, byte(bits.take(5)?)?, 0)); // reduced_still_picture_header
    }
    if bits.flag()? {
        return None; // timing_info_present_flag
    }
    bits.take(1 + 5 + 12)?; // initial_display_delay_present_flag, operating points, idc of the first
    let level = byte(bits.take(5)?)?;
    // Tiers begin at level 4.0.
    let tier = if level > 7 { byte(bits.take(1)?)? } else { 0 };
    Some((profile, level, tier))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_leb128(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = u8::try_from(value & 0x7f).unwrap();
            value >>= 7;
            bytes.push(low | if value > 0 { 0x80 } else { 0 });
            if value == 0 {
                return bytes;
            }
        }
    }

    /// With its size, as in a ring.
    fn obu_bytes(kind: u8, extension: Option<u8>, body: &[u8]) -> Vec<u8> {
        let first = kind << 3 | HAS_SIZE | if extension.is_some() { HAS_EXTENSION } else { 0 };
        let head: Vec<u8> = std::iter::once(first).chain(extension).collect();
        [head, to_leb128(body.len()), body.to_vec()].concat()
    }

    /// A depacketiser of its own, after section 4 of the payload format, for any number of elements in a
    /// packet; it puts sizes back. The temporal unit, and whether it begins a sequence.
    fn rebuild(payloads: &[Vec<u8>]) -> (Vec<u8>, bool) {
        let mut elements: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        for payload in payloads {
            let (aggregation, mut rest) = (payload[0], &payload[1..]);
            let count = aggregation >> 4 & 3;
            assert_eq!(aggregation & 0x80 != 0, open, "only what is open goes on");
            let mut number = 0;
            while !rest.is_empty() {
                number += 1;
                let bytes = if number == count {
                    rest.len()
                } else {
                    let (bytes, length) = leb128(rest).unwrap();
                    rest = &rest[length..];
                    bytes
                };
                let (element, behind) = rest.split_at(bytes);
                if number == 1 && open {
                    elements.last_mut().unwrap().extend(element);
                } else {
                    elements.push(element.to_vec());
                }
                rest = behind;
            }
            assert!(count == 0 || number == count);
            open = aggregation & 0x40 != 0;
        }
        assert!(!open, "the last element has its end");
        let unit = elements.iter().flat_map(|element| {
            assert_eq!(element[0] & HAS_SIZE, 0);
            let extended = element[0] & HAS_EXTENSION != 0;
            let body = if extended { 2 } else { 1 };
            obu_bytes(element[0] >> 3 & 15, extended.then(|| element[1]), &element[body..])
        });
        (unit.collect(), payloads[0][0] & 0x08 != 0)
    }

    fn any_obu() -> impl Strategy<Value = (u8, Option<u8>, usize)> {
        let kind = prop::sample::select(vec![1u8, 2, 3, 4, 5, 6, 7, 8, 15]);
        (kind, proptest::option::of(0u8..=255), 0usize..5000)
    }

    proptest! {
        #[test]
        fn any_temporal_unit_comes_back_whole(obus in proptest::collection::vec(any_obu(), 1..6)) {
            let (mut unit, mut expected) = (Vec::new(), Vec::new());
            let mut first = None;
            for (kind, extension, length) in obus {
                let body: Vec<u8> = (0..=255).cycle().take(length).collect();
                let bytes = obu_bytes(kind, extension, &body);
                unit.extend(&bytes);
                if !matches!(kind, 2 | 8 | 15) {
                    first.get_or_insert(kind);
                    expected.extend(bytes);
                }
            }
            let pieces = cut(&unit);
            prop_assert_eq!(pieces.is_empty(), first.is_none());
            if let Some(first) = first {
                let payloads: Vec<_> = pieces.iter().map(|piece| piece.payload(&unit)).collect();
                prop_assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX_BYTES));
                prop_assert_eq!(rebuild(&payloads), (expected, first == 1));
                let marks: Vec<_> = pieces.iter().filter(|piece| piece.marker).collect();
                prop_assert_eq!(marks, [pieces.last().unwrap()]);
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            cut(&bytes);
            parameters(&bytes);
        }
    }

    #[test]
    fn an_obu_that_ends_behind_the_unit_is_left_out() {
        let frame = obu_bytes(6, None, &[7; 100]);
        let torn = [&obu_bytes(1, None, &[1, 2])[..], &frame[..50]].concat();
        assert_eq!(cut(&torn).len(), 1);
        assert!(cut(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_empty());
    }

    #[test]
    fn the_sdp_states_profile_level_and_tier() {
        let told = |extradata: &[u8]| {
            parameters(extradata).iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        let record: Vec<String> = told(&[0x81, 0x05, 0x0c, 0x00, 0x0a, 0x01, 0x00]);
        assert_eq!(record, ["profile=0", "level-idx=5", "tier=0"]);
        // Profile 0, no timing, one operating point of level 4.0 and the high tier.
        let header = obu_bytes(1, None, &[0, 0, 0, 0b0100_0100]);
        let sequence: Vec<String> = told(&header);
        assert_eq!(sequence, ["profile=0", "level-idx=8", "tier=1"]);
        assert!(parameters(&[]).is_empty());
    }
}
