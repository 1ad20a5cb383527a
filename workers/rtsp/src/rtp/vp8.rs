//! VP8 over RTP (RFC 7741): a frame in fragments, each behind a descriptor of one byte.
//!
//! No picture ids: they serve feedback, which RTP/AVP has not, and readers of an ordered stream find the
//! beginning of a frame by its start bit.

use super::{PAYLOAD_MAX_BYTES, Piece, fragments, mark_last};

/// S: the packet begins a partition (section 4.2). Only the first of a frame says so: where the others
/// begin stands inside the frame, and their number may stay 0.
const PARTITION_START: u8 = 0x10;
const DESCRIPTOR_BYTES: usize = 1;

/// Cuts one frame.
pub fn cut(frame: &[u8]) -> Vec<Piece> {
    let parts = fragments(0..frame.len(), PAYLOAD_MAX_BYTES - DESCRIPTOR_BYTES);
    let pieces = parts.map(|part| {
        let descriptor = if part.start == 0 { PARTITION_START } else { 0 };
        Piece::new(&[descriptor], part)
    });
    mark_last(pieces.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A depacketiser of its own, after RFC 7741 section 4: any descriptor, not only ours.
    fn rebuild(payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            let first = payload[0];
            let mut at = 1;
            if first & 0x80 != 0 {
                let extension = payload[at];
                at += 1;
                if extension & 0x80 != 0 {
                    at += if payload[at] & 0x80 != 0 { 2 } else { 1 };
                }
                at += usize::from(extension & 0x40 != 0);
                at += usize::from(extension & 0x30 != 0);
            }
            assert!(at < payload.len(), "a descriptor without a payload");
            if first & 0x17 == 0x10 {
                frames.push(Vec::new());
            }
            frames.last_mut().unwrap().extend(&payload[at..]);
        }
        frames
    }

    proptest! {
        #[test]
        fn any_frame_comes_back_whole(lengths in proptest::collection::vec(1usize..6000, 1..5)) {
            let frames: Vec<Vec<u8>> =
                lengths.iter().map(|length| (0..=255).cycle().take(*length).collect()).collect();
            let mut payloads = Vec::new();
            for frame in &frames {
                let pieces = cut(frame);
                let marks: Vec<_> = pieces.iter().filter(|piece| piece.marker).collect();
                prop_assert_eq!(marks, [pieces.last().unwrap()]);
                payloads.extend(pieces.iter().map(|piece| piece.payload(frame)));
            }
            prop_assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX_BYTES));
            prop_assert_eq!(rebuild(&payloads), frames);
        }
    }

    #[test]
    fn nothing_is_nothing() {
        assert!(cut(&[]).is_empty());
    }
}
