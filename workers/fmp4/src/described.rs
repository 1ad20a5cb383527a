//! What a packet says of its own track: sets, sequence headers, sizes.

use protocol::stream::{Codec, Track};

use crate::params::parameter_sets;
use crate::{av1, jpeg, vp9};

/// Whether [`crate::Movie`] carries tracks of this codec.
pub fn carries(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Mjpeg | Codec::Vp9 => true,
        Codec::Aac | Codec::Opus => true,
        Codec::Vp8 | Codec::Mpeg4 | Codec::G722 => false,
        Codec::PcmMulaw | Codec::PcmAlaw | Codec::PcmS16le => false,
    }
}

/// Whether every picture stands by itself, so that a stream has no groups of pictures.
pub fn is_intra_only(codec: Codec) -> bool {
    codec == Codec::Mjpeg
}

/// The track as this key frame describes it, in the one form that files are compared by. `None` when
/// it says nothing of it. The bytes may be the track's extradata, too.
///
/// | codec | extradata becomes | size |
/// |---|---|---|
/// | H.264, H.265 | parameter sets as Annex B | as it was |
/// | AV1 | sequence header, a unit with its size | of the sequence header |
/// | VP9 | the eight bytes that `vpcC` has behind its version | of the key frame |
/// | MJPEG | empty | of the picture |
pub fn described(track: &Track, bytes: &[u8]) -> Option<Track> {
    let (width, height, extradata) = match track.codec {
        codec @ (Codec::H264 | Codec::H265) => {
            (track.width, track.height, parameter_sets(codec, bytes)?)
        }
        Codec::Av1 => {
            let sequence = av1::sequence_in(bytes)?;
            (sequence.width, sequence.height, sequence.obu)
        }
        Codec::Vp9 => {
            let head = vp9::key_frame(bytes)?;
            (head.width, head.height, head.record(track.frame_rate))
        }
        Codec::Mjpeg => {
            let (width, height) = jpeg::size(bytes)?;
            (width, height, Vec::new())
        }
        _ => return None,
    };
    Some(Track { width, height, extradata, ..track.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::av1::tests::SEQUENCE;
    use crate::movie::tests as tracks;

    #[test]
    fn key_frames_describe_their_track() {
        let h264 = tracks::h264();
        assert_eq!(described(&h264, tracks::SETS), Some(h264));
        let unknown = |track: Track| Track { width: 1, height: 1, extradata: vec![1], ..track };
        for (track, key_frame) in [
            (tracks::av1(), SEQUENCE),
            (tracks::vp9(), &vp9::tests::KEY),
            (tracks::mjpeg(), &jpeg::tests::HEAD),
        ] {
            assert_eq!(described(&unknown(track.clone()), key_frame), Some(track));
        }
    }

    #[test]
    fn other_packets_say_nothing() {
        assert_eq!(described(&tracks::h264(), &[0, 0, 1, 0x41, 7]), None);
        assert_eq!(described(&tracks::vp9(), &vp9::tests::INTER), None);
        assert_eq!(described(&tracks::av1(), av1::tests::INTER), None);
        assert_eq!(described(&tracks::aac(), tracks::SETS), None);
        assert_eq!(described(&tracks::mjpeg(), &[]), None);
    }
}
