//! H.265 over RTP (RFC 7798), sprop-max-don-diff 0: single NAL unit packets and fragmentation units.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitstream::nal;

use super::{PAYLOAD_MAX_BYTES, Piece, mark_last};

const TYPE_VPS: u8 = 32;
const TYPE_SPS: u8 = 33;
const TYPE_PPS: u8 = 34;
const TYPE_FU: u8 = 49;
/// The type's bits in the first byte of the two-byte NAL header.
const TYPE_MASK: u8 = 0x7e;
const NAL_HEADER_BYTES: usize = 2;
/// Payload header and FU header.
const FU_BYTES: usize = NAL_HEADER_BYTES + 1;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

/// Cuts an Annex B access unit.
pub fn cut(unit: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for nal in nal::ranges(unit).filter(|nal| nal.len() > NAL_HEADER_BYTES) {
        if nal.len() <= PAYLOAD_MAX_BYTES {
            pieces.push(Piece::new(&[], nal));
        } else {
            let header = [unit[nal.start], unit[nal.start + 1]];
            fragment(header, nal.start + NAL_HEADER_BYTES..nal.end, &mut pieces);
        }
    }
    mark_last(pieces)
}

fn fragment(nal_header: [u8; 2], body: std::ops::Range<usize>, pieces: &mut Vec<Piece>) {
    let payload_header = (nal_header[0] & !TYPE_MASK) | (TYPE_FU << 1);
    let room = PAYLOAD_MAX_BYTES - FU_BYTES;
    for start in body.clone().step_by(room) {
        let end = (start + room).min(body.end);
        let mut fu = nal_type(nal_header[0]);
        if start == body.start {
            fu |= FU_START;
        }
        if end == body.end {
            fu |= FU_END;
        }
        pieces.push(Piece::new(&[payload_header, nal_header[1], fu], start..end));
    }
}

/// What a decoder needs before the first packet (RFC 7798 section 7.1).
pub fn parameters(extradata: &[u8]) -> Vec<(&'static str, String)> {
    let sprop = |wanted| {
        let sets: Vec<String> = nal::units(extradata)
            .filter(|unit| nal_type(unit[0]) == wanted)
            .map(|set| STANDARD.encode(set))
            .collect();
        sets.join(",")
    };
    [("sprop-vps", TYPE_VPS), ("sprop-sps", TYPE_SPS), ("sprop-pps", TYPE_PPS)]
        .into_iter()
        .map(|(name, wanted)| (name, sprop(wanted)))
        .filter(|(_, sets)| !sets.is_empty())
        .collect()
}

fn nal_type(first_byte: u8) -> u8 {
    (first_byte & TYPE_MASK) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A depacketiser of its own, after RFC 7798 section 4.4.3.
    fn rebuild(unit: &[u8], pieces: &[Piece]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            let payload = [piece.header(), &unit[piece.body.clone()]].concat();
            assert!(payload.len() <= PAYLOAD_MAX_BYTES);
            if nal_type(payload[0]) != TYPE_FU {
                nals.push(payload);
                continue;
            }
            if payload[2] & FU_START != 0 {
                let first = (payload[0] & !TYPE_MASK) | ((payload[2] & 0x3f) << 1);
                nals.push(vec![first, payload[1]]);
            }
            nals.last_mut().unwrap().extend(&payload[3..]);
        }
        nals
    }

    proptest! {
        #[test]
        fn any_access_unit_comes_back_whole(
            lengths in proptest::collection::vec(1usize..6000, 1..5),
            kind in 0u8..41,
        ) {
            let nal = |length| [kind << 1, 1].into_iter().chain((2..=255).cycle().take(length));
            let nals: Vec<Vec<u8>> = lengths.into_iter().map(|length| nal(length).collect()).collect();
            let unit = nal::stream(&nals);
            let pieces = cut(&unit);
            prop_assert_eq!(rebuild(&unit, &pieces), nals);
            prop_assert!(pieces.last().unwrap().marker);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(0u8..4, 0..4096)) {
            cut(&bytes);
            parameters(&bytes);
        }
    }
}
