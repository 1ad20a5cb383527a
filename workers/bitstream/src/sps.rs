//! What a sequence parameter set says of pictures: ITU-T H.264 7.3.2.1.1 and H.265 7.3.2.2. Pure; nothing
//! here trusts a length.

use crate::nal::unescaped;
use crate::{Bits, Family};

/// Above this a picture is no camera's.
const SIDE_MAX: u32 = 16_384;
const RATE_MAX: u32 = 1000;

/// Of what follows the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Of what is shown, in pixels, as the height.
    pub width: u32,
    pub height: u32,
    /// Pictures a second, 0/1 when it is not told.
    pub rate: (u32, u32),
    /// Pictures that may come before one that is shown before them; 0 also where H.264 does not tell.
    pub reordered: usize,
}

/// `nal`: a sequence parameter set with its header. `None` for one that makes no sense.
pub fn read(family: Family, nal: &[u8]) -> Option<Pictures> {
    let bytes = unescaped(nal);
    let pictures = match family {
        Family::H264 => h264(&mut Bits::new(bytes.get(1..)?)),
        Family::H265 => h265(&mut Bits::new(bytes.get(2..)?)),
    }?;
    let side = 1..=SIDE_MAX;
    (side.contains(&pictures.width) && side.contains(&pictures.height)).then_some(pictures)
}

fn h264(bits: &mut Bits<'_>) -> Option<Pictures> {
    let profile = bits.take(8)?;
    bits.take(16)?; // constraints, level
    bits.exp_golomb()?; // id
    let mut chroma = 1;
    if matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244) {
        chroma = bits.exp_golomb()?;
        if chroma == 3 {
            bits.take(1)?;
        }
        bits.exp_golomb()?; // depth of luma
        bits.exp_golomb()?; // depth of chroma
        bits.take(1)?;
        if bits.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.exp_golomb()?; // bits of frame_num
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    bits.exp_golomb()?; // reference frames
    bits.take(1)?;
    let macroblocks_wide = bits.exp_golomb()?.checked_add(1)?;
    let map_units_high = bits.exp_golomb()?.checked_add(1)?;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.take(1)?;
    }
    bits.take(1)?;
    let fields = if frames_only { 1 } else { 2 };
    let mut width = macroblocks_wide.checked_mul(16)?;
    let mut height = map_units_high.checked_mul(16)?.checked_mul(fields)?;
    if bits.flag()? {
        let (across, down) = match chroma {
            0 | 3 => (1, fields),
            1 => (2, 2 * fields),
            _ => (2, fields),
        };
        let crop = [bits.exp_golomb()?, bits.exp_golomb()?, bits.exp_golomb()?, bits.exp_golomb()?];
        width = width.checked_sub(crop[0].checked_add(crop[1])?.checked_mul(across)?)?;
        height = height.checked_sub(crop[2].checked_add(crop[3])?.checked_mul(down)?)?;
    }
    let (mut rate, mut reordered) = ((0, 1), 0);
    if bits.flag()? {
        // What is cut off tells nothing; the size is known by now.
        if let Some((told, places)) = h264_usability(bits) {
            rate = told;
            reordered = places;
        }
    }
    Some(Pictures { width, height, rate, reordered })
}

fn h264_usability(bits: &mut Bits<'_>) -> Option<((u32, u32), usize)> {
    if bits.flag()? && bits.take(8)? == 255 {
        bits.take(32)?;
    }
    if bits.flag()? {
        bits.take(1)?;
    }
    if bits.flag()? {
        bits.take(4)?;
        if bits.flag()? {
            bits.take(24)?;
        }
    }
    if bits.flag()? {
        bits.exp_golomb()?;
        bits.exp_golomb()?;
    }
    let mut rate = (0, 1);
    if bits.flag()? {
        let (units, scale) = (bits.take(32)?, bits.take(32)?);
        bits.take(1)?;
        // A tick is a field.
        rate = sensible_rate(scale, units.saturating_mul(2));
    }
    let mut has_delays = false;
    for _ in 0..2 {
        if bits.flag()? {
            has_delays = true;
            let schedules = bits.exp_golomb()?.min(31) + 1;
            bits.take(8)?;
            for _ in 0..schedules {
                bits.exp_golomb()?;
                bits.exp_golomb()?;
                bits.take(1)?;
            }
            bits.take(20)?;
        }
    }
    if has_delays {
        bits.take(1)?;
    }
    bits.take(1)?;
    if !bits.flag()? {
        return Some((rate, 0));
    }
    bits.take(1)?;
    for _ in 0..4 {
        bits.exp_golomb()?;
    }
    Some((rate, usize::try_from(bits.exp_golomb()?.min(16)).unwrap_or(0)))
}

fn h265(bits: &mut Bits<'_>) -> Option<Pictures> {
    bits.take(4)?;
    let sub_layers = bits.take(3)?;
    bits.take(1)?;
    bits.skip(96)?; // profile and level
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - usize::try_from(sub_layers).unwrap_or(8)))?;
    }
    for (profile, level) in present {
        bits.skip(usize::from(profile) * 88 + usize::from(level) * 8)?;
    }
    bits.exp_golomb()?; // id
    let chroma = bits.exp_golomb()?;
    if chroma == 3 {
        bits.take(1)?;
    }
    let (mut width, mut height) = (bits.exp_golomb()?, bits.exp_golomb()?);
    if bits.flag()? {
        let (across, down) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let crop = [bits.exp_golomb()?, bits.exp_golomb()?, bits.exp_golomb()?, bits.exp_golomb()?];
        width = width.checked_sub(crop[0].checked_add(crop[1])?.checked_mul(across)?)?;
        height = height.checked_sub(crop[2].checked_add(crop[3])?.checked_mul(down)?)?;
    }
    for _ in 0..3 {
        bits.exp_golomb()?; // depths, bits of the order count
    }
    let layers = if bits.flag()? { sub_layers + 1 } else { 1 };
    let mut reordered = 0;
    for _ in 0..layers {
        bits.exp_golomb()?;
        reordered = bits.exp_golomb()?.min(16); // of the highest layer, which is the last
        bits.exp_golomb()?;
    }
    let reordered = usize::try_from(reordered).unwrap_or(0);
    Some(Pictures { width, height, rate: (0, 1), reordered })
}

fn sensible_rate(num: u32, den: u32) -> (u32, u32) {
    if den == 0 || num / den >= RATE_MAX || num == 0 { (0, 1) } else { (num, den) }
}

fn skip_scaling_list(bits: &mut Bits<'_>, entries: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..entries {
        if next != 0 {
            let code = i64::from(bits.exp_golomb()?);
            let delta = if code % 2 == 0 { -(code / 2) } else { (code + 1) / 2 };
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(family: Family, hex: &str) -> Option<Pictures> {
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        read(family, &(0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>())
    }

    /// Written by x264 and x265 for pictures of these sizes and rates, with and without B-frames.
    #[test]
    fn sets_of_known_encoders_say_what_they_were_told() {
        for (hex, width, height, fps, reordered) in [
            ("6764001eacd940a02ff970110000030001000003003c0f162d96", 640, 360, 30, 2),
            ("67640028acb200f0044fcb80880000030008000003019078c19240", 1920, 1080, 25, 0),
            ("6742c00ad90209b011000003000100000300140f122648", 128, 64, 10, 0),
        ] {
            let pictures = of(Family::H264, hex).unwrap();
            assert_eq!((pictures.width, pictures.height), (width, height));
            assert_eq!(pictures.rate.0, fps * pictures.rate.1, "{hex}");
            assert_eq!(pictures.reordered, reordered, "{hex}");
        }
        for (hex, width, height, reorders) in [
            (
                "42010101600000030090000003000003003fa0050201696595964932bc05a020000003002000000303c1",
                640,
                360,
                true,
            ),
            (
                "420101016000000300900000030000030078a003c08010e5964a924caf016808000003000800000300c840",
                1920,
                1080,
                false,
            ),
        ] {
            let pictures = of(Family::H265, hex).unwrap();
            assert_eq!((pictures.width, pictures.height), (width, height));
            assert_eq!(pictures.reordered > 0, reorders, "{pictures:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for family in [Family::H264, Family::H265] {
                if let Some(pictures) = read(family, &bytes) {
                    prop_assert!(pictures.reordered <= 16 && pictures.rate.1 > 0);
                }
            }
        }
    }
}
