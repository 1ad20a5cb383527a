//! VP9 over RTP (RFC 9628), without layers and picture ids: a frame, or a superframe as encoders put
//! hidden pictures in front of shown ones, in fragments.

use bitstream::Bits;

use super::{PAYLOAD_MAX_BYTES, Piece, fragments, mark_last};

/// P: the frame is predicted from others (section 4.2). One that is not a key frame counts as such, since
/// nobody can begin at it, also when it is coded by itself.
const PREDICTED: u8 = 0x40;
/// B and E: the first and the last packet of a frame.
const BEGIN: u8 = 0x08;
const END: u8 = 0x04;
/// V: a scalability structure follows.
const STRUCTURE: u8 = 0x02;
/// One spatial layer (N_S = 0), with its size (Y), without groups of pictures (G = 0).
const ONE_LAYER_WITH_SIZE: u8 = 0x10;
/// Of a key frame's first packet: descriptor, structure, width and height.
const HEADER_MAX_BYTES: usize = 6;

/// First two bits of every frame (VP9 bitstream specification 6.2).
const FRAME_MARKER: u32 = 2;
/// Behind the flags of a key frame.
const SYNC_CODE: u32 = 0x49_83_42;
/// `color_space` of RGB, which has no range of its own.
const RGB: u32 = 7;

/// Cuts one frame or superframe.
pub fn cut(frame: &[u8]) -> Vec<Piece> {
    let size = key_frame(frame);
    let parts = fragments(0..frame.len(), PAYLOAD_MAX_BYTES - HEADER_MAX_BYTES);
    let pieces = parts.map(|part| {
        let mut descriptor = if size.is_some() { 0 } else { PREDICTED };
        if part.end == frame.len() {
            descriptor |= END;
        }
        if part.start > 0 {
            return Piece::new(&[descriptor], part);
        }
        descriptor |= BEGIN;
        let Some((width, height)) = size else { return Piece::new(&[descriptor], part) };
        let ([wide, narrow], [high, low]) = (width.to_be_bytes(), height.to_be_bytes());
        let header = [descriptor | STRUCTURE, ONE_LAYER_WITH_SIZE, wide, narrow, high, low];
        Piece::new(&header, part)
    });
    mark_last(pieces.collect())
}

/// Width and height of a key frame; `None` for every other frame, and what is none.
fn key_frame(frame: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(frame);
    if bits.take(2)? != FRAME_MARKER {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 && bits.flag()? {
        return None; // reserved
    }
    let (shows_existing, is_inter) = (bits.flag()?, bits.flag()?);
    if shows_existing || is_inter {
        return None;
    }
    bits.take(2)?; // show_frame, error_resilient_mode
    if bits.take(24)? != SYNC_CODE {
        return None;
    }
    skip_colour(&mut bits, profile)?;
    let mut side = || u16::try_from(bits.take(16)? + 1).ok();
    Some((side()?, side()?))
}

/// `color_config` (VP9 bitstream specification 6.2.2).
fn skip_colour(bits: &mut Bits<'_>, profile: u32) -> Option<()> {
    if profile >= 2 {
        bits.take(1)?; // 10 or 12 bits
    }
    let has_range = bits.take(3)? != RGB;
    if has_range {
        bits.take(1)?; // range
    }
    if profile & 1 == 1 {
        let subsampling = if has_range { 2 } else { 0 };
        bits.take(subsampling + 1)?; // and a reserved bit
    }
    Some(())
}

/// `extradata`: the record of a recording, whose first byte is the profile (VP Codec ISO Media File Format
/// Binding), or a key frame. Profile 0 needs no telling (RFC 9628 section 6).
pub fn parameters(extradata: &[u8]) -> Vec<(&'static str, String)> {
    let profile = match extradata {
        [profile @ 1..=3, _, _, _, _, _, _, _] => *profile,
        [first, ..] if key_frame(extradata).is_some() => (first >> 5 & 1) | (first >> 3 & 2),
        _ => 0,
    };
    if profile == 0 { Vec::new() } else { vec![("profile-id", profile.to_string())] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of profile 0, 352x288: as libvpx begins it.
    const KEY: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x15, 0xf0, 0x11, 0xf0, 0x00];
    const INTER: [u8; 3] = [0x86, 0x00, 0x40];

    /// What a reader finds of one frame: its bytes, whether it is predicted, and its size.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        bytes: Vec<u8>,
        predicted: bool,
        size: Option<(u16, u16)>,
        ended: bool,
    }

    /// A depacketiser of its own, after RFC 9628 section 4.2, non-flexible mode.
    fn rebuild(payloads: &[Vec<u8>]) -> Vec<Read> {
        let mut frames: Vec<Read> = Vec::new();
        for payload in payloads {
            let mut bytes = payload.iter().copied();
            let mut next = || bytes.next().unwrap();
            let first = next();
            let has = |bit: u8| first & bit != 0;
            if has(0x80) && next() & 0x80 != 0 {
                next();
            }
            assert!(!has(0x10), "flexible mode needs more");
            if has(0x20) {
                next();
                next();
            }
            if has(0x08) {
                frames.push(Read::default());
            }
            let read = frames.last_mut().unwrap();
            assert!(!read.ended, "a packet behind the end of its frame");
            read.predicted |= has(0x40);
            if has(0x02) {
                let structure = next();
                assert_eq!(structure & 0xe8, 0, "one layer, no groups");
                if structure & 0x10 != 0 {
                    let mut word = || u16::from_be_bytes([next(), next()]);
                    read.size = Some((word(), word()));
                }
            }
            read.bytes.extend(bytes);
            read.ended = has(0x04);
        }
        frames
    }

    proptest! {
        #[test]
        fn any_frame_comes_back_whole(
            frames in proptest::collection::vec((any::<bool>(), 0usize..6000), 1..5),
        ) {
            let (mut payloads, mut expected) = (Vec::new(), Vec::new());
            for (key, length) in frames {
                let head: &[u8] = if key { &KEY } else { &INTER };
                let bytes: Vec<u8> =
                    head.iter().copied().chain((0..=255).cycle().take(length)).collect();
                let pieces = cut(&bytes);
                let marks: Vec<_> = pieces.iter().filter(|piece| piece.marker).collect();
                prop_assert_eq!(marks, [pieces.last().unwrap()]);
                payloads.extend(pieces.iter().map(|piece| piece.payload(&bytes)));
                let size = key.then_some((352, 288));
                expected.push(Read { bytes, predicted: !key, size, ended: true });
            }
            prop_assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX_BYTES));
            prop_assert_eq!(rebuild(&payloads), expected);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            cut(&bytes);
            parameters(&bytes);
            key_frame(&[&[0x82 | bytes.len().to_le_bytes()[0] & 0x30, 0x49, 0x83, 0x42], &bytes[..]].concat());
        }
    }

    #[test]
    fn profiles_beyond_the_first_are_told() {
        assert!(parameters(&KEY).is_empty() && parameters(&[]).is_empty());
        assert!(parameters(&[0, 30, 0x82, 2, 2, 2, 0, 0]).is_empty());
        assert_eq!(parameters(&[2, 30, 0xa2, 2, 2, 2, 0, 0]), [("profile-id", "2".to_owned())]);
    }
}
