//! AAC over RTP (RFC 3640, mode AAC-hbr): one frame a packet, or a frame in fragments.

use super::{PAYLOAD_MAX_BYTES, Piece, mark_last};

/// AU-headers-length (16 bits) and one AU-header of 13 bits size and 3 bits index.
const AU_HEADER_BYTES: usize = 4;
const AU_HEADER_BITS: u16 = 16;
/// Largest frame whose size fits the 13 bits; AAC itself allows 6144 bits a channel, far less.
const FRAME_MAX_BYTES: usize = (1 << 13) - 1;

/// Cuts one raw frame. Every fragment states the size of the whole frame (RFC 3640 section 3.2.3.1).
pub fn cut(frame: &[u8]) -> Vec<Piece> {
    let Some(size) = u16::try_from(frame.len()).ok().filter(|_| frame.len() <= FRAME_MAX_BYTES)
    else {
        return Vec::new();
    };
    let [length_high, length_low] = AU_HEADER_BITS.to_be_bytes();
    let [au_high, au_low] = (size << 3).to_be_bytes();
    let header = [length_high, length_low, au_high, au_low];
    let room = PAYLOAD_MAX_BYTES - AU_HEADER_BYTES;
    let pieces = (0..frame.len())
        .step_by(room)
        .map(|start| Piece::new(&header, start..(start + room).min(frame.len())))
        .collect();
    mark_last(pieces)
}

/// `extradata` is the AudioSpecificConfig.
pub fn parameters(extradata: &[u8]) -> Vec<(&'static str, String)> {
    let config: String = extradata.iter().map(|byte| format!("{byte:02X}")).collect();
    [
        ("streamtype", "5"),
        ("profile-level-id", "1"),
        ("mode", "AAC-hbr"),
        ("sizelength", "13"),
        ("indexlength", "3"),
        ("indexdeltalength", "3"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .chain([("config", config)])
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_travels_behind_its_size() {
        let pieces = cut(&[7; 300]);
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].header(), [0, 16, 300u16.to_be_bytes()[0] << 3 | 1, 96]);
        assert!(pieces[0].marker);
    }

    #[test]
    fn a_long_frame_is_fragmented_and_an_impossible_one_left_out() {
        let pieces = cut(&[7; 3000]);
        assert_eq!(pieces.iter().map(|piece| piece.body.len()).sum::<usize>(), 3000);
        assert!(pieces.iter().all(|piece| piece.payload_bytes() <= PAYLOAD_MAX_BYTES));
        assert!(cut(&[7; FRAME_MAX_BYTES + 1]).is_empty());
        assert!(cut(&[]).is_empty());
    }
}
