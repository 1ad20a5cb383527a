//! H.264 over RTP (RFC 6184), packetization-mode 1: single NAL unit packets and FU-A.
//!
//! Nothing is aggregated: STAP-A would save a few headers a key frame and is the part of the RFC
//! that small depacketisers most often lack.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitstream::nal;

use super::{PAYLOAD_MAX_BYTES, Piece, mark_last};

const TYPE_MASK: u8 = 0x1f;
const TYPE_SPS: u8 = 7;
const TYPE_PPS: u8 = 8;
const TYPE_FU_A: u8 = 28;
/// FU indicator and FU header.
const FU_BYTES: usize = 2;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

/// Cuts an Annex B access unit.
pub fn cut(unit: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for nal in nal::ranges(unit) {
        if nal.len() <= PAYLOAD_MAX_BYTES {
            pieces.push(Piece::new(&[], nal));
        } else {
            let first = unit[nal.start];
            fragment(first, nal.start + 1..nal.end, &mut pieces);
        }
    }
    mark_last(pieces)
}

/// FU-A: the NAL header is split over the indicator and each fragment's header, and not sent itself.
fn fragment(nal_header: u8, body: std::ops::Range<usize>, pieces: &mut Vec<Piece>) {
    let indicator = (nal_header & !TYPE_MASK) | TYPE_FU_A;
    let room = PAYLOAD_MAX_BYTES - FU_BYTES;
    for start in body.clone().step_by(room) {
        let end = (start + room).min(body.end);
        let mut header = nal_header & TYPE_MASK;
        if start == body.start {
            header |= FU_START;
        }
        if end == body.end {
            header |= FU_END;
        }
        pieces.push(Piece::new(&[indicator, header], start..end));
    }
}

/// What a decoder needs before the first packet. The parameter sets are in the stream as well, so an
/// empty `extradata` only leaves the client to wait for them.
pub fn parameters(extradata: &[u8]) -> Vec<(&'static str, String)> {
    let sets = |wanted| nal::units(extradata).filter(move |unit| unit[0] & TYPE_MASK == wanted);
    let mut parameters = vec![("packetization-mode", "1".to_owned())];
    if let Some([profile, constraints, level]) = sets(TYPE_SPS).next().and_then(|sps| sps.get(1..4))
    {
        let id = format!("{profile:02X}{constraints:02X}{level:02X}");
        parameters.push(("profile-level-id", id));
    }
    let sprop: Vec<String> =
        sets(TYPE_SPS).chain(sets(TYPE_PPS)).map(|set| STANDARD.encode(set)).collect();
    if !sprop.is_empty() {
        parameters.push(("sprop-parameter-sets", sprop.join(",")));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A depacketiser of its own, after RFC 6184 section 5.8.
    fn rebuild(unit: &[u8], pieces: &[Piece]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            let payload = [piece.header(), &unit[piece.body.clone()]].concat();
            assert!(payload.len() <= PAYLOAD_MAX_BYTES);
            if payload[0] & TYPE_MASK != TYPE_FU_A {
                nals.push(payload);
                continue;
            }
            if payload[1] & FU_START != 0 {
                assert_eq!(payload[1] & FU_END, 0, "one fragment is both first and last");
                nals.push(vec![(payload[0] & !TYPE_MASK) | (payload[1] & TYPE_MASK)]);
            }
            nals.last_mut().unwrap().extend(&payload[2..]);
        }
        nals
    }

    /// Bytes from 2 up contain no start code and no trailing zero, as an encoder guarantees.
    fn any_nal() -> impl Strategy<Value = Vec<u8>> {
        (0x20u8..0x80, 1u8..24, 0usize..6000).prop_map(|(bits, kind, length)| {
            let body = (2..=255).cycle().take(length);
            std::iter::once((bits & 0x60) | kind).chain(body).collect()
        })
    }

    proptest! {
        #[test]
        fn any_access_unit_comes_back_whole(nals in proptest::collection::vec(any_nal(), 1..6)) {
            let unit = nal::stream(&nals);
            let pieces = cut(&unit);
            prop_assert_eq!(rebuild(&unit, &pieces), nals);
            let marked: Vec<bool> = pieces.iter().map(|piece| piece.marker).collect();
            prop_assert!(marked[marked.len() - 1]);
            prop_assert!(!marked[..marked.len() - 1].contains(&true));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(0u8..4, 0..4096)) {
            cut(&bytes);
            parameters(&bytes);
        }
    }

    #[test]
    fn the_largest_single_packet_is_not_fragmented_and_one_byte_more_is() {
        for (bytes, packets) in [(PAYLOAD_MAX_BYTES, 1), (PAYLOAD_MAX_BYTES + 1, 2)] {
            let unit = nal::stream([vec![0x65; bytes]]);
            assert_eq!(cut(&unit).len(), packets);
        }
    }

    #[test]
    fn the_sdp_states_profile_and_parameter_sets() {
        let sps = vec![0x67, 0x42, 0xc0, 0x1e, 0xd9];
        let pps = vec![0x68, 0xcb, 0x83];
        let sei = vec![0x06, 0x05];
        assert_eq!(
            parameters(&nal::stream([sei, sps, pps])),
            [
                ("packetization-mode", "1".to_owned()),
                ("profile-level-id", "42C01E".to_owned()),
                ("sprop-parameter-sets", "Z0LAHtk=,aMuD".to_owned()),
            ]
        );
        assert_eq!(parameters(&[]), [("packetization-mode", "1".to_owned())]);
    }
}
