//! VP9: what the first bytes of a key frame say (VP9 bitstream specification 6.2 and 7.2), and the record
//! that `vpcC` repeats of it (VP Codec ISO Media File Format Binding 1.0).

use bitstream::Bits;
use mp4_atom::VpcC;
use protocol::stream::Track;

/// Bytes of the record: `vpcC` without its initialization data, which VP9 does not have.
const RECORD_BYTES: usize = 8;
/// Two bits in front of every frame.
const FRAME_MARKER: u32 = 2;
/// Behind the flags of a key frame.
const SYNC_CODE: u32 = 0x49_83_42;
/// `color_space` of RGB, which has no subsampling and no range of its own.
const RGB: u8 = 7;
/// Pictures a second when nothing tells, for the level alone.
const UNKNOWN_RATE: u64 = 30;

/// Level x 10, most luma samples a second and of a picture (VP9 levels, version 0.6).
const LEVELS: [(u8, u64, u64); 14] = [
    (10, 829_440, 36_864),
    (11, 2_764_800, 73_728),
    (20, 4_608_000, 122_880),
    (21, 9_216_000, 245_760),
    (30, 20_736_000, 552_960),
    (31, 36_864_000, 983_040),
    (40, 83_558_400, 2_228_224),
    (41, 160_432_128, 2_228_224),
    (50, 311_951_360, 8_912_896),
    (51, 588_251_136, 8_912_896),
    (52, 1_176_502_272, 8_912_896),
    (60, 1_176_502_272, 35_651_584),
    (61, 2_353_004_544, 35_651_584),
    (62, 4_706_009_088, 35_651_584),
];

/// The head of a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFrame {
    profile: u8,
    bit_depth: u8,
    color_space: u8,
    full_range: bool,
    /// Halved across and down.
    subsampling: (bool, bool),
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Reads the head of a packet, or of the first frame of a superframe. `None` when that is no key frame.
pub(crate) fn key_frame(packet: &[u8]) -> Option<KeyFrame> {
    let mut bits = Bits::new(packet);
    if bits.take(2)? != FRAME_MARKER {
        return None;
    }
    let profile = bits.byte(1)? | bits.byte(1)? << 1;
    if profile == 3 && bits.flag()? {
        return None; // reserved
    }
    let shows_existing = bits.flag()?;
    let is_inter = !shows_existing && bits.flag()?;
    if shows_existing || is_inter {
        return None;
    }
    bits.skip(2)?; // show_frame, error_resilient_mode
    if bits.take(24)? != SYNC_CODE {
        return None;
    }
    let bit_depth = match profile >= 2 {
        true if bits.flag()? => 12,
        true => 10,
        false => 8,
    };
    let color_space = bits.byte(3)?;
    let has_range = color_space != RGB;
    let full_range = !has_range || bits.flag()?;
    let states_subsampling = profile & 1 == 1;
    let subsampling = match (states_subsampling, has_range) {
        (true, true) => (bits.flag()?, bits.flag()?),
        (true, false) => (false, false),
        (false, true) => (true, true),
        (false, false) => return None, // RGB needs profile 1 or 3
    };
    if states_subsampling {
        bits.skip(1)?; // reserved
    }
    let (width, height) = (bits.take(16)? + 1, bits.take(16)? + 1);
    Some(KeyFrame { profile, bit_depth, color_space, full_range, subsampling, width, height })
}

impl KeyFrame {
    /// For [`Track::extradata`]: what `vpcC` says, without its version.
    pub(crate) fn record(&self, frame_rate: (u32, u32)) -> Vec<u8> {
        let [primaries, transfer, matrix] = self.colour();
        let shape = self.bit_depth << 4 | self.chroma() << 1 | u8::from(self.full_range);
        let level = level(self.width, self.height, frame_rate);
        vec![self.profile, level, shape, primaries, transfer, matrix, 0, 0]
    }

    /// 4:2:0 with the place of chroma that the binding names as the usual one, 4:2:2, or 4:4:4.
    fn chroma(&self) -> u8 {
        match self.subsampling {
            (true, true) => 1,
            (true, false) => 2,
            (false, _) => 3,
        }
    }

    /// Primaries, transfer and matrix in the numbers of ISO/IEC 23091-2.
    fn colour(&self) -> [u8; 3] {
        match self.color_space {
            1 | 3 => [6, 6, 6],                                      // BT.601, SMPTE 170
            2 => [1, 1, 1],                                          // BT.709
            4 => [7, 7, 7],                                          // SMPTE 240
            5 => [9, if self.bit_depth == 12 { 15 } else { 14 }, 9], // BT.2020
            RGB => [1, 13, 0],                                       // sRGB
            _ => [2, 2, 2],                                          // not said
        }
    }
}

fn level(width: u32, height: u32, (pictures, seconds): (u32, u32)) -> u8 {
    let samples = u64::from(width) * u64::from(height);
    let rate = u64::from(pictures).div_ceil(u64::from(seconds.max(1)));
    let rate = if rate == 0 { UNKNOWN_RATE } else { rate };
    let fits = |&&(_, rate_max, picture_max): &&(u8, u64, u64)| {
        samples.saturating_mul(rate) <= rate_max && samples <= picture_max
    };
    LEVELS.iter().find(fits).map_or(0, |(level, ..)| *level) // 0: not stated
}

/// What `vpcC` says of a track. A ring that does not tell has what nearly all encoders make; the file
/// that begins with the next key frame is right in any case.
pub(crate) fn vpcc(track: &Track) -> VpcC {
    read_record(&track.extradata).unwrap_or_else(|| VpcC {
        level: level(track.width, track.height, track.frame_rate),
        chroma_subsampling: 1,
        color_primaries: 2,
        transfer_characteristics: 2,
        matrix_coefficients: 2,
        ..VpcC::default()
    })
}

fn read_record(bytes: &[u8]) -> Option<VpcC> {
    let &[profile, level, shape, primaries, transfer, matrix, 0, 0] =
        bytes.first_chunk::<RECORD_BYTES>().filter(|_| bytes.len() == RECORD_BYTES)?
    else {
        return None;
    };
    let (bit_depth, chroma) = (shape >> 4, shape >> 1 & 7);
    let is_one = profile <= 3 && matches!(bit_depth, 8 | 10 | 12) && chroma <= 3;
    let is_one = is_one && (matrix != 0 || chroma == 3);
    is_one.then(|| VpcC {
        profile,
        level,
        bit_depth,
        chroma_subsampling: chroma,
        video_full_range_flag: shape & 1 == 1,
        color_primaries: primaries,
        transfer_characteristics: transfer,
        matrix_coefficients: matrix,
        codec_initialization_data: Vec::new(),
    })
}

/// The way back from the box to the record.
pub(crate) fn record_of(vpcc: &VpcC) -> Vec<u8> {
    let shape =
        vpcc.bit_depth << 4 | vpcc.chroma_subsampling << 1 | u8::from(vpcc.video_full_range_flag);
    let colour = [vpcc.color_primaries, vpcc.transfer_characteristics, vpcc.matrix_coefficients];
    [&[vpcc.profile, vpcc.level, shape][..], &colour, &[0, 0]].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// libvpx, profile 0, 320x240: the head of a key frame.
    pub(crate) const KEY: [u8; 12] =
        [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0, 0x0e, 0xf6, 0x00, 0x38, 0x24];
    pub(crate) const INTER: [u8; 4] = [0x86, 0x00, 0x40, 0x92];

    #[test]
    fn the_head_of_a_key_frame_is_read() {
        let head = key_frame(&KEY).unwrap();
        assert_eq!((head.width, head.height), (320, 240));
        assert_eq!(head.record((25, 1)), [0, 20, 0x82, 2, 2, 2, 0, 0]);
        assert_eq!(key_frame(&INTER), None);
    }

    #[test]
    fn deep_and_full_pictures_are_told() {
        // Profile 3, 12 bit, BT.709, full range, 4:4:4, 16x16: written bit by bit.
        let fields: [(u32, usize); 15] = [
            (2, 2),
            (1, 1),
            (1, 1),
            (0, 1),
            (0, 1),
            (0, 1),
            (1, 1),
            (0, 1),
            (SYNC_CODE, 24),
            (1, 1),
            (2, 3),
            (1, 1),
            (0, 2),
            (0, 1),
            (15 << 16 | 15, 32),
        ];
        let mut bits = Vec::new();
        for (value, count) in fields {
            bits.extend((0..count).rev().map(|at| u8::from(value >> at & 1 == 1)));
        }
        let pack =
            |eight: &[u8]| eight.iter().fold(0u8, |byte, bit| byte << 1 | bit) << (8 - eight.len());
        let packet: Vec<u8> = bits.chunks(8).map(pack).collect();
        let head = key_frame(&packet).unwrap();
        assert_eq!(head.record((25, 1))[..6], [3, 10, 0xc7, 1, 1, 1]);
        let vpcc = read_record(&head.record((25, 1))).unwrap();
        assert_eq!((vpcc.bit_depth, vpcc.chroma_subsampling), (12, 3));
        assert_eq!(record_of(&vpcc), head.record((25, 1)));
    }

    #[test]
    fn levels_grow_with_size_and_rate() {
        assert_eq!(level(1920, 1080, (30, 1)), 40);
        assert_eq!(level(1920, 1080, (60, 1)), 41);
        assert_eq!(level(3840, 2160, (0, 1)), 50);
        assert_eq!(level(u32::MAX, u32::MAX, (u32::MAX, 0)), 0);
    }

    proptest! {
        #[test]
        fn random_heads_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let _ = key_frame(&bytes);
            // Most of what follows the sync code is a head.
            let head = key_frame(&[&[0x82, 0x49, 0x83, 0x42], &bytes[..]].concat());
            if let Some(head) = head {
                let vpcc = read_record(&head.record((25, 1))).unwrap();
                prop_assert_eq!(record_of(&vpcc), head.record((25, 1)));
            }
        }

        #[test]
        fn a_record_is_read_back_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..10)) {
            if let Some(vpcc) = read_record(&bytes) {
                prop_assert_eq!(record_of(&vpcc), bytes);
            }
        }
    }
}
