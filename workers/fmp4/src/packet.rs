//! A sample of a file as the packet that it was in its ring.

use bitstream::{Family, nal};
use protocol::stream::{Codec, Track};

use crate::av1;

/// The bytes a ring carries for this sample: Annex B with the parameter sets of the file in front of
/// a key frame; AV1 with a sequence header there; all else as it is. `None` when a sample of H.264 or
/// H.265 is not made of whole NAL units.
///
/// Bytes need not be those of the original packet, but what a decoder makes of them is the same: start
/// codes all have four bytes, and sets that the file keeps once stand before each key frame.
pub fn as_packet(stream: &Track, key: bool, sample: &[u8]) -> Option<Vec<u8>> {
    if let Some(family) = Family::of(stream.codec) {
        return annexb(family, &stream.extradata, key, sample);
    }
    match stream.codec {
        // Every sample that we wrote has it; one of another hand may rest on its sample entry.
        Codec::Av1 if key && !av1::has_sequence_header(sample) => {
            Some([&stream.extradata, sample].concat())
        }
        _ => Some(sample.to_vec()),
    }
}

fn annexb(family: Family, sets: &[u8], key: bool, sample: &[u8]) -> Option<Vec<u8>> {
    let sets = if key { sets } else { &[] };
    let mut packet = Vec::with_capacity(sample.len() + sets.len());
    let mut sets_due = !sets.is_empty();
    let mut rest = sample;
    while !rest.is_empty() {
        let (head, body) = rest.split_first_chunk::<4>()?;
        let bytes = usize::try_from(u32::from_be_bytes(*head)).ok()?;
        let (unit, behind) = body.split_at_checked(bytes)?;
        if sets_due && !family.is_delimiter(unit) {
            packet.extend_from_slice(sets);
            sets_due = false;
        }
        nal::append(&mut packet, unit);
        rest = behind;
    }
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::av1::tests::{KEY, SEQUENCE};
    use crate::movie::tests::{SETS, aac, av1, h264};

    #[test]
    fn sets_stand_behind_the_delimiter_and_before_the_key_frame() {
        let sample = [0, 0, 0, 2, 9, 0x10, 0, 0, 0, 3, 0x65, 1, 2];
        let expected = [&[0, 0, 0, 1, 9, 0x10], SETS, &[0, 0, 0, 1, 0x65, 1, 2]].concat();
        assert_eq!(as_packet(&h264(), true, &sample), Some(expected));
        let other = [0, 0, 0, 2, 0x41, 7];
        assert_eq!(as_packet(&h264(), false, &other), Some(vec![0, 0, 0, 1, 0x41, 7]));
    }

    #[test]
    fn sound_is_as_it_was() {
        assert_eq!(as_packet(&aac(), true, &[0, 0, 0, 9]), Some(vec![0, 0, 0, 9]));
    }

    #[test]
    fn a_key_frame_of_av1_has_its_sequence_header() {
        let whole = [SEQUENCE, KEY].concat();
        assert_eq!(as_packet(&av1(), true, KEY).as_ref(), Some(&whole));
        assert_eq!(as_packet(&av1(), true, &whole).as_ref(), Some(&whole));
        assert_eq!(as_packet(&av1(), false, KEY).as_deref(), Some(KEY));
    }

    #[test]
    fn a_length_beyond_the_sample_is_no_packet() {
        for torn in [&[0, 0, 0, 9, 1][..], &[0, 0], &[0xff; 8]] {
            assert_eq!(as_packet(&h264(), true, torn), None, "{torn:?}");
        }
    }
}
