//! Profile and level of a stream, by its parameter sets: ITU-T H.264 7.3.2.1.1 and H.265 7.3.3. Pure.

use bitstream::Family;
use bitstream::nal::unescaped;
use protocol::stream::{Codec, Track};

/// `High 4.0`; `None` where the sets do not tell or the codec has none.
pub(super) fn of(track: &Track) -> Option<String> {
    match track.codec {
        Codec::H264 => h264(&unescaped(Family::H264.sequence_set(&track.extradata)?)),
        Codec::H265 => h265(&unescaped(Family::H265.sequence_set(&track.extradata)?)),
        _ => None,
    }
}

fn h264(set: &[u8]) -> Option<String> {
    let [_, profile, constraints, level, ..] = *set else { return None };
    let is_constrained = constraints & 0x40 != 0;
    let name = match (profile, is_constrained) {
        (66, true) => "Constrained Baseline",
        (66, false) => "Baseline",
        (77, _) => "Main",
        (88, _) => "Extended",
        (100, _) => "High",
        (110, _) => "High 10",
        (122, _) => "High 4:2:2",
        (244, _) => "High 4:4:4",
        _ => return Some(format!("profile {profile}, level {}", level_of(u32::from(level), 10))),
    };
    Some(format!("{name} {}", level_of(u32::from(level), 10)))
}

fn h265(set: &[u8]) -> Option<String> {
    // Two bytes of header, one of layers; then space, tier and profile, flags of 10 bytes, the level.
    let (profile, level) = (set.get(3)? & 0x1f, *set.get(14)?);
    let name = match profile {
        1 => "Main",
        2 => "Main 10",
        3 => "Main Still Picture",
        4 => "Range Extensions",
        _ => return Some(format!("profile {profile}, level {}", level_of(u32::from(level), 30))),
    };
    Some(format!("{name} {}", level_of(u32::from(level), 30)))
}

/// `4.0` of 40 tenths, or of 120 thirtieths.
fn level_of(value: u32, parts: u32) -> String {
    let tenths = value * 10 / parts;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::time::TimeBase;

    use super::*;

    fn track(codec: Codec, hex: &str) -> Track {
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let mut extradata = vec![0, 0, 0, 1];
        extradata.extend((0..hex.len()).step_by(2).map(byte));
        with(codec, extradata)
    }

    fn with(codec: Codec, extradata: Vec<u8>) -> Track {
        Track {
            codec,
            time_base: TimeBase { num: 1, den: 90_000 },
            width: 0,
            height: 0,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (0, 1),
            extradata,
        }
    }

    #[test]
    fn sets_of_known_encoders_tell_profile_and_level() {
        for (codec, hex, told) in [
            (Codec::H264, "6764001eacd940a02ff970110000030001000003003c0f162d96", "High 3.0"),
            (Codec::H264, "67640028acb200f0044fcb80880000030008000003019078c19240", "High 4.0"),
            (
                Codec::H264,
                "6742c00ad90209b011000003000100000300140f122648",
                "Constrained Baseline 1.0",
            ),
            (
                Codec::H265,
                "42010101600000030090000003000003003fa0050201696595964932bc05a020000003002000000303c1",
                "Main 2.1",
            ),
            (
                Codec::H265,
                "420101016000000300900000030000030078a003c08010e5964a924caf016808000003000800000300c840",
                "Main 4.0",
            ),
        ] {
            assert_eq!(of(&track(codec, hex)).as_deref(), Some(told));
        }
        assert_eq!(of(&with(Codec::H264, Vec::new())), None);
        assert_eq!(of(&with(Codec::Mjpeg, vec![0, 0, 0, 1, 0x67])), None);
    }

    proptest! {
        #[test]
        fn any_sets_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for codec in [Codec::H264, Codec::H265] {
                let _ = of(&with(codec, [&[0, 0, 0, 1][..], &bytes].concat()));
            }
        }
    }
}
