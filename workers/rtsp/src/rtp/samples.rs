//! Samples as they are: G.711 (RFC 3551 section 4.5.14), G.722 (section 4.5.2) and L16 (section 4.5.11). Whole samples a packet, each
//! with the time of its first one.

use super::{PAYLOAD_MAX_BYTES, Piece};

/// Cuts a block of samples of `sample_bytes` each, all channels together. What is no whole sample is left out.
pub fn cut(unit: &[u8], sample_bytes: usize) -> Vec<Piece> {
    let sample_bytes = sample_bytes.clamp(1, PAYLOAD_MAX_BYTES);
    let room = PAYLOAD_MAX_BYTES / sample_bytes * sample_bytes;
    let whole = unit.len() / sample_bytes * sample_bytes;
    (0..whole)
        .step_by(room)
        .map(|start| {
            let later = u32::try_from(start / sample_bytes).unwrap_or(0);
            Piece { later, ..Piece::new(&[], start..(start + room).min(whole)) }
        })
        .collect()
}

/// From the low byte first, as rings have them, to the high byte first, as networks do.
pub fn swapped(mut unit: Vec<u8>) -> Vec<u8> {
    unit.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_block_is_cut_between_samples_and_every_part_says_when_it_begins() {
        // 20 ms of 48 kHz in stereo.
        let pieces = cut(&[0; 3_840], 4);
        let parts: Vec<_> = pieces.iter().map(|piece| (piece.body.clone(), piece.later)).collect();
        assert_eq!(parts, [(0..1_388, 0), (1_388..2_776, 347), (2_776..3_840, 694)]);
        assert!(pieces.iter().all(|piece| piece.header().is_empty() && !piece.marker));
    }

    #[test]
    fn half_a_sample_is_left_out() {
        assert_eq!(cut(&[0; 7], 4)[0].body, 0..4);
        assert!(cut(&[0; 3], 4).is_empty());
    }

    #[test]
    fn bytes_change_their_places_in_pairs() {
        assert_eq!(swapped(vec![1, 2, 3, 4, 5]), [2, 1, 4, 3, 5]);
    }
}
