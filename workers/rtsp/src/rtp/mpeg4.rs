//! MPEG-4 visual over RTP (RFC 6416): the bytes of a picture, cut where a packet is full.
//!
//! Headers stand at the beginning of a picture and so at the beginning of its first packet, as section 5.2
//! wants it.

use super::{PAYLOAD_MAX_BYTES, Piece, fragments, mark_last};

/// visual_object_sequence_start_code; profile and level follow (ISO/IEC 14496-2, 6.2.2).
const SEQUENCE_START: [u8; 4] = [0, 0, 1, 0xb0];

/// Cuts one picture, headers and all.
pub fn cut(picture: &[u8]) -> Vec<Piece> {
    let parts = fragments(0..picture.len(), PAYLOAD_MAX_BYTES);
    mark_last(parts.map(|part| Piece::new(&[], part)).collect())
}

/// `extradata` is the configuration: the headers in front of the first picture. Without it a client waits
/// for them in the stream.
pub fn parameters(extradata: &[u8]) -> Vec<(&'static str, String)> {
    let mut parameters = Vec::new();
    let at = extradata.windows(4).position(|bytes| bytes == SEQUENCE_START);
    if let Some(profile) = at.and_then(|at| extradata.get(at + 4)) {
        parameters.push(("profile-level-id", profile.to_string()));
    }
    if extradata.starts_with(&[0, 0, 1]) {
        let config = extradata.iter().map(|byte| format!("{byte:02X}")).collect();
        parameters.push(("config", config));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A reader puts together what has one timestamp, up to the marker.
        #[test]
        fn any_picture_comes_back_whole(length in 1usize..9000) {
            let picture: Vec<u8> = (0..=255).cycle().take(length).collect();
            let pieces = cut(&picture);
            let payloads: Vec<Vec<u8>> =
                pieces.iter().map(|piece| piece.payload(&picture)).collect();
            prop_assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX_BYTES));
            prop_assert_eq!(payloads.concat(), picture);
            let marks: Vec<_> = pieces.iter().filter(|piece| piece.marker).collect();
            prop_assert_eq!(marks, [pieces.last().unwrap()]);
        }
    }

    #[test]
    fn the_sdp_states_profile_and_configuration() {
        let headers = [0, 0, 1, 0xb0, 0xf5, 0, 0, 1, 0xb5, 9];
        assert_eq!(
            parameters(&headers),
            [("profile-level-id", "245".to_owned()), ("config", "000001B0F5000001B509".to_owned())]
        );
        assert!(parameters(&[]).is_empty());
        assert!(parameters(&[0, 0, 1, 0xb0])[0].0 == "config", "no profile to tell");
    }
}
