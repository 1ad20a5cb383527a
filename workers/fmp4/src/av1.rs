//! AV1: open bitstream units, the sequence header that `av1C` repeats, and which frame a packet begins
//! with (AV1 bitstream specification 5.3, 5.5 and 5.9; AV1 in ISO base media files 1.3).

use bitstream::Bits;
use mp4_atom::Av1c;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
/// `av1C` begins with this, and no unit does: its highest bit is forbidden there.
const MARKER_AND_VERSION: u8 = 0x81;
/// Bytes of `av1C` in front of its units.
const RECORD_BYTES: usize = 4;
/// Longest leb128 number.
const LEB128_BYTES: usize = 8;
/// ISO/IEC 23091-2: BT.709 primaries, sRGB transfer, identity matrix.
const SRGB: [u8; 3] = [1, 13, 0];

/// An open bitstream unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obu<'a> {
    kind: u8,
    /// With its header.
    pub(crate) whole: &'a [u8],
    content: &'a [u8],
}

impl Obu<'_> {
    /// It says what the container says: a sample has none.
    pub(crate) fn is_delimiter(&self) -> bool {
        self.kind == TEMPORAL_DELIMITER
    }

    pub(crate) fn is_sequence_header(&self) -> bool {
        self.kind == SEQUENCE_HEADER
    }
}

/// The units that fill `bytes`. `None` in place of what is none, and nothing behind it.
pub(crate) fn obus(bytes: &[u8]) -> Obus<'_> {
    Obus { rest: bytes }
}

pub(crate) struct Obus<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Obus<'a> {
    type Item = Option<Obu<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = split(self.rest);
        self.rest = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(obu, _)| obu))
    }
}

fn split(bytes: &[u8]) -> Option<(Obu<'_>, &[u8])> {
    let head = *bytes.first()?;
    let (is_forbidden, is_extended, has_size) = (head & 0x80 != 0, head & 4 != 0, head & 2 != 0);
    if is_forbidden {
        return None;
    }
    let behind_head = bytes.get(if is_extended { 2 } else { 1 }..)?;
    // Without a size it fills the rest.
    let (size, body) =
        if has_size { leb128(behind_head)? } else { (behind_head.len(), behind_head) };
    let (content, rest) = body.split_at_checked(size)?;
    let whole = &bytes[..bytes.len() - rest.len()];
    Some((Obu { kind: head >> 3 & 15, whole, content }, rest))
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().take(LEB128_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((value as usize, &bytes[at + 1..]));
        }
    }
    None
}

/// Whether a packet begins with a key frame that is shown.
pub(crate) fn begins_with_key(packet: &[u8]) -> bool {
    let mut units = obus(packet).map_while(|obu| obu);
    let first = units.find(|obu| matches!(obu.kind, FRAME | FRAME_HEADER));
    first.and_then(|obu| is_shown_key(obu.content)).unwrap_or(false)
}

fn is_shown_key(header: &[u8]) -> Option<bool> {
    let mut bits = Bits::new(header);
    let shows_existing = bits.flag()?;
    let is_key = bits.take(2)? == 0;
    let is_shown = bits.flag()?;
    Some(!shows_existing && is_key && is_shown)
}

pub(crate) fn has_sequence_header(packet: &[u8]) -> bool {
    obus(packet).map_while(|obu| obu).any(|obu| obu.is_sequence_header())
}

/// What `av1C` states of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// The header as a unit that states its size: it is put where others follow.
    pub(crate) obu: Vec<u8>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    profile: u8,
    level: u8,
    tier: bool,
    colour: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour {
    high_bitdepth: bool,
    twelve_bit: bool,
    monochrome: bool,
    subsampling: (bool, bool),
    sample_position: u8,
}

/// The sequence header in a packet, or in the contents of `av1C`.
pub(crate) fn sequence_in(bytes: &[u8]) -> Option<Sequence> {
    let bytes = match bytes.first()? {
        &MARKER_AND_VERSION => bytes.get(RECORD_BYTES..)?,
        _ => bytes,
    };
    let header = obus(bytes).map_while(|obu| obu).find(Obu::is_sequence_header)?;
    sequence(header.content)
}

fn sequence(content: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(content);
    let bits = &mut bits;
    let profile = bits.byte(3)?;
    bits.skip(1)?; // still_picture
    let is_reduced = bits.flag()?;
    let (level, tier) = if is_reduced { (bits.byte(5)?, false) } else { operating_points(bits)? };
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let width = bits.take(width_bits as usize)? + 1;
    let height = bits.take(height_bits as usize)? + 1;
    if !is_reduced && bits.flag()? {
        bits.skip(7)?; // lengths of frame ids
    }
    bits.skip(3)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if !is_reduced {
        skip_inter_tools(bits)?;
    }
    bits.skip(3)?; // enable_superres, enable_cdef, enable_restoration
    let colour = colour(bits, profile)?;
    Some(Sequence { obu: with_size(content), width, height, profile, level, tier, colour })
}

/// Level and tier of the first operating point, which is the whole stream.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u8, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?; // num_units_in_display_tick, time_scale
        if bits.flag()? {
            bits.exp_golomb()?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? as usize + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let has_display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.skip(12)?; // operating_point_idc
        let level = bits.byte(5)?;
        let tier = level > 7 && bits.flag()?;
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4)?;
        }
        first.get_or_insert((level, tier));
    }
    first
}

fn skip_inter_tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(4)?; // interintra and masked compound, warped motion, dual filter
    let has_order_hint = bits.flag()?;
    if has_order_hint {
        bits.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
    }
    let chooses_screen_tools = bits.flag()?;
    let may_have_screen_tools = chooses_screen_tools || bits.flag()?;
    if may_have_screen_tools && !bits.flag()? {
        bits.skip(1)?; // seq_force_integer_mv
    }
    if has_order_hint {
        bits.skip(3)?; // order_hint_bits_minus_1
    }
    Some(())
}

fn colour(bits: &mut Bits<'_>, profile: u8) -> Option<Colour> {
    let high_bitdepth = bits.flag()?;
    let twelve_bit = profile == 2 && high_bitdepth && bits.flag()?;
    let monochrome = profile != 1 && bits.flag()?;
    let described = match bits.flag()? {
        true => Some([bits.byte(8)?, bits.byte(8)?, bits.byte(8)?]),
        false => None,
    };
    let mut colour = Colour {
        high_bitdepth,
        twelve_bit,
        monochrome,
        subsampling: (true, true),
        sample_position: 0,
    };
    if monochrome {
        bits.skip(1)?; // color_range
        return Some(colour);
    }
    if described == Some(SRGB) {
        colour.subsampling = (false, false);
        return Some(colour);
    }
    bits.skip(1)?; // color_range
    colour.subsampling = match profile {
        0 => (true, true),
        1 => (false, false),
        _ if twelve_bit => {
            let across = bits.flag()?;
            (across, across && bits.flag()?)
        }
        _ => (true, false),
    };
    if colour.subsampling == (true, true) {
        colour.sample_position = bits.byte(2)?;
    }
    Some(colour)
}

/// The header as a unit with its size in front (leb128).
fn with_size(content: &[u8]) -> Vec<u8> {
    let mut obu = vec![SEQUENCE_HEADER << 3 | 2];
    let mut size = content.len();
    while size > 0x7f {
        obu.push(0x80 | size.to_le_bytes()[0]);
        size >>= 7;
    }
    obu.push(size.to_le_bytes()[0]);
    obu.extend_from_slice(content);
    obu
}

impl Sequence {
    pub(crate) fn av1c(&self) -> Av1c {
        let Colour { high_bitdepth, twelve_bit, monochrome, subsampling, sample_position } =
            self.colour;
        Av1c {
            seq_profile: self.profile,
            seq_level_idx_0: self.level,
            seq_tier_0: self.tier,
            high_bitdepth,
            twelve_bit,
            monochrome,
            chroma_subsampling_x: subsampling.0,
            chroma_subsampling_y: subsampling.1,
            chroma_sample_position: sample_position,
            initial_presentation_delay: None,
            config_obus: self.obu.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// libaom, profile 0, 320x240: the unit in front of a key frame.
    pub(crate) const SEQUENCE: &[u8] =
        &[0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xda, 0xf9, 0, 0x40];
    /// A frame that says it is a key frame and shown, and one that is neither.
    pub(crate) const KEY: &[u8] = &[0x32, 3, 0x14, 0, 0xa0];
    pub(crate) const INTER: &[u8] = &[0x32, 2, 0x30, 0x01];

    #[test]
    fn the_sequence_header_is_found_in_a_packet_and_in_its_record() {
        let delimited = [&[0x12, 0], SEQUENCE, KEY].concat();
        let sequence = sequence_in(&delimited).unwrap();
        assert_eq!((sequence.width, sequence.height), (320, 240));
        assert_eq!((sequence.profile, sequence.level, sequence.tier), (0, 0, false));
        assert_eq!(sequence.colour.subsampling, (true, true));
        assert_eq!(sequence.obu, SEQUENCE);
        let record = [&[0x81, 0, 0x0c, 0], SEQUENCE].concat();
        assert_eq!(sequence_in(&record), Some(sequence));
        assert_eq!(sequence_in(KEY), None);
    }

    #[test]
    fn a_header_without_a_size_gets_one() {
        let bare = [&[0x08], &SEQUENCE[2..]].concat();
        assert_eq!(sequence_in(&bare).unwrap().obu, SEQUENCE);
        let long = with_size(&[7; 300]);
        assert_eq!(split(&long).unwrap().0.content, [7; 300]);
    }

    #[test]
    fn key_frames_are_told_from_others() {
        assert!(begins_with_key(&[SEQUENCE, KEY].concat()));
        assert!(begins_with_key(KEY));
        assert!(!begins_with_key(INTER));
        assert!(!begins_with_key(SEQUENCE));
        assert!(!begins_with_key(&[0x32, 1, 0x90])); // shows a frame that was there
        assert!(!begins_with_key(&[0x32, 1, 0x00])); // a key frame for later
    }

    #[test]
    fn levels_tiers_and_timing_are_passed_over_bit_by_bit() {
        // Fields of 5.5.1 with timing, decoder model, two operating points and 4:4:4 of 10 bit.
        let fields: &[(u32, usize)] = &[
            (1, 3),
            (0, 1),
            (0, 1), // profile 1, video
            (1, 1),
            (1, 32),
            (25, 32),
            (1, 1),
            (1, 1), // timing, every tick a picture
            (1, 1),
            (9, 5),
            (1, 32),
            (9, 5),
            (9, 5), // decoder model, delays of ten bits
            (1, 1),
            (1, 5), // display delays, two operating points
            (0x303, 12),
            (13, 5),
            (1, 1),
            (1, 1),
            (5, 10),
            (5, 10),
            (0, 1),
            (1, 1),
            (3, 4),
            (0x101, 12),
            (5, 5),
            (0, 1),
            (0, 1),
            (10, 4),
            (10, 4),
            (1919, 11),
            (1079, 11),
            (0, 1),
            (0, 3), // no frame ids
            (0, 4),
            (1, 1),
            (0, 2),
            (1, 1),
            (1, 1),
            (6, 3), // order hints of seven bits
            (0, 3),
            (1, 1),
            (1, 1),
            (9, 8),
            (16, 8),
            (9, 8),
            (0, 1), // ten bit, BT.2020
            (0, 1),
            (0, 1),
            (1, 1),
        ];
        let bits: Vec<u8> = fields
            .iter()
            .flat_map(|&(value, count)| {
                (0..count).rev().map(move |at| u8::from(value >> at & 1 == 1))
            })
            .collect();
        let pack =
            |eight: &[u8]| eight.iter().fold(0u8, |byte, bit| byte << 1 | bit) << (8 - eight.len());
        let content: Vec<u8> = bits.chunks(8).map(pack).collect();
        let av1c = sequence(&content).unwrap().av1c();
        assert_eq!((av1c.seq_profile, av1c.seq_level_idx_0, av1c.seq_tier_0), (1, 13, true));
        assert!(av1c.high_bitdepth && !av1c.twelve_bit && !av1c.monochrome);
        assert!(!av1c.chroma_subsampling_x && !av1c.chroma_subsampling_y);
        let found = sequence(&content).unwrap();
        assert_eq!((found.width, found.height), (1920, 1080));
    }

    proptest! {
        #[test]
        fn random_units_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (begins_with_key(&bytes), has_sequence_header(&bytes));
            let _ = sequence_in(&bytes);
            let _ = sequence(&bytes).map(|sequence| sequence.av1c());
            // Units never reach beyond the packet, and together they are its begin.
            let whole: Vec<u8> =
                obus(&bytes).map_while(|obu| obu).flat_map(|obu| obu.whole.to_vec()).collect();
            prop_assert!(bytes.starts_with(&whole));
        }

        #[test]
        fn a_header_that_is_understood_is_found_again(
            bytes in proptest::collection::vec(any::<u8>(), 0..24),
        ) {
            if let Some(found) = sequence(&bytes) {
                prop_assert_eq!(sequence_in(&found.obu), Some(found.clone()));
            }
        }
    }
}
