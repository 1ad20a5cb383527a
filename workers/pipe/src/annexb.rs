//! H.264 and H.265 byte streams (annex B of each) into access units in the ring's form: 4-byte start
//! codes, parameter sets before every key picture. Pure.
//!
//! An access unit ends where the first NAL unit of the next begins, so each comes out when that does.

use bitstream::{Family, nal, sps};

use crate::units::{NoStream, UNIT_MAX_BYTES, Unit};

/// So many bytes of a NAL unit tell whether it begins an access unit.
const HEAD_BYTES: usize = 3;

#[derive(Debug)]
pub(crate) struct AnnexB {
    family: Family,
    /// Bytes from the last start code on, not whole yet.
    open: Vec<u8>,
    /// Whether a start code was seen at all.
    begun: bool,
    /// Up to here `open` holds no start code.
    searched: usize,
    unit: Building,
    /// Parameter sets of the last unit that had all it needs, as Annex B.
    sets: Vec<u8>,
    /// The newest sequence parameter set says that pictures come in another order than they are shown in.
    reorders: bool,
}

/// The access unit that grows.
#[derive(Debug, Default)]
struct Building {
    bytes: Vec<u8>,
    sets: Vec<u8>,
    /// Whether a sequence parameter set is among them, without which no other set can be used.
    is_complete: bool,
    has_picture: bool,
    key: bool,
}

/// What a NAL unit is to the splitting: H.264 7.4.1.2.3, H.265 7.4.2.4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nal {
    /// Of a picture; `first` of its slices.
    Slice { first: bool, key: bool },
    /// Begins a unit when a picture came before.
    ParameterSet { of_sequence: bool },
    /// Begins a unit as well.
    Prefix,
    /// Belongs to the unit before it.
    Other,
}

impl AnnexB {
    pub(crate) fn new(family: Family) -> Self {
        Self {
            family,
            open: Vec::new(),
            begun: false,
            searched: 0,
            unit: Building::default(),
            sets: Vec::new(),
            reorders: false,
        }
    }

    pub(crate) fn parameter_sets(&self) -> &[u8] {
        &self.sets
    }

    pub(crate) fn reorders(&self) -> bool {
        self.reorders
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Unit>, NoStream> {
        self.open.extend_from_slice(bytes);
        let mut units = Vec::new();
        while let Some(code) = nal::start_code(&self.open, self.searched) {
            let rest = self.open.split_off(code.end);
            let mut nal = std::mem::replace(&mut self.open, rest);
            nal.truncate(code.start);
            self.searched = 0;
            if std::mem::replace(&mut self.begun, true) {
                units.extend(self.nal(&nal));
            }
        }
        units.extend(self.ended_by_open());
        // A start code may be cut by the end of these bytes.
        self.searched = self.open.len().saturating_sub(2);
        if self.open.len() + self.unit.bytes.len() > UNIT_MAX_BYTES {
            let most = UNIT_MAX_BYTES >> 20;
            return Err(NoStream(format!("no end of an access unit within {most} MiB")));
        }
        Ok(units)
    }

    /// At the end of the stream: the last NAL unit may end a picture and be another.
    pub(crate) fn rest(&mut self) -> Vec<Unit> {
        let last = std::mem::take(&mut self.open);
        let before = if self.begun { self.nal(&last) } else { None };
        before.into_iter().chain(self.finish()).collect()
    }

    /// The unit that ends before the NAL unit whose head is there: nobody waits for the rest of that.
    fn ended_by_open(&mut self) -> Option<Unit> {
        if !self.begun || self.open.len() < HEAD_BYTES {
            return None;
        }
        let begins = kind(self.family, &self.open)?.begins_unit();
        if begins && self.unit.has_picture { self.finish() } else { None }
    }

    /// The unit that ends before this NAL unit.
    fn nal(&mut self, nal: &[u8]) -> Option<Unit> {
        let nal = nal::without_trailing_zeros(nal);
        let kind = kind(self.family, nal)?;
        let begins = kind.begins_unit();
        let done = if begins && self.unit.has_picture { self.finish() } else { None };
        let unit = &mut self.unit;
        match kind {
            Nal::Slice { key, .. } => {
                unit.has_picture = true;
                unit.key |= key;
            }
            Nal::ParameterSet { of_sequence } => {
                if of_sequence {
                    unit.is_complete = true;
                    let pictures = sps::read(self.family, nal);
                    self.reorders = pictures.is_some_and(|pictures| pictures.reordered > 0);
                }
                nal::append(&mut unit.sets, nal);
            }
            Nal::Prefix | Nal::Other => {}
        }
        nal::append(&mut unit.bytes, nal);
        done
    }

    fn finish(&mut self) -> Option<Unit> {
        let Building { bytes, sets, is_complete, has_picture, key } =
            std::mem::take(&mut self.unit);
        if is_complete {
            self.sets = sets;
        }
        // Its own picture sets, if it has any, follow those of before and win.
        let lacks = key && !is_complete;
        let bytes = if lacks { [self.sets.as_slice(), &bytes].concat() } else { bytes };
        has_picture.then_some(Unit { bytes, key })
    }
}

impl Nal {
    /// Where a picture came before.
    fn begins_unit(self) -> bool {
        match self {
            Self::Slice { first, .. } => first,
            Self::ParameterSet { .. } | Self::Prefix => true,
            Self::Other => false,
        }
    }
}

/// `None` for an empty unit.
fn kind(family: Family, nal: &[u8]) -> Option<Nal> {
    nal.first()?;
    let kind = family.kind(nal);
    if family == Family::H265 {
        // first_slice_segment_in_pic_flag is the first bit behind the header of two bytes.
        let first = nal.get(2).is_some_and(|byte| byte & 0x80 != 0);
        return Some(match kind {
            0..=31 => Nal::Slice { first, key: (16..=21).contains(&kind) },
            32..=34 => Nal::ParameterSet { of_sequence: kind == 33 },
            35 | 39 | 41..=44 | 48..=55 => Nal::Prefix,
            _ => Nal::Other,
        });
    }
    // first_mb_in_slice is ue(v): a leading one bit is 0.
    let first = nal.get(1).is_some_and(|byte| byte & 0x80 != 0);
    Some(match kind {
        1 | 2 | 5 => Nal::Slice { first, key: kind == 5 },
        7 | 8 => Nal::ParameterSet { of_sequence: kind == 7 },
        6 | 9 | 14..=18 => Nal::Prefix,
        _ => Nal::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Delimiter, sets, a key picture of two slices, two plain pictures; the last start code is short.
    const STREAM: &[u8] = &[
        0, 0, 0, 1, 9, 16, //
        0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, //
        0, 0, 1, 0x65, 0x88, 1, 0, 0, 1, 0x65, 0x40, 2, //
        0, 0, 0, 1, 9, 48, 0, 0, 0, 1, 0x41, 0x9a, 4, 0, 0, //
        0, 1, 0x41, 0x9b, 5,
    ];

    fn units(parts: &[&[u8]]) -> Vec<Unit> {
        let mut stream = AnnexB::new(Family::H264);
        let mut units = Vec::new();
        for part in parts {
            units.extend(stream.push(part).unwrap());
        }
        units.extend(stream.rest());
        units
    }

    #[test]
    fn pictures_are_told_apart_and_slices_are_not() {
        let units = units(&[STREAM]);
        assert_eq!(units.iter().map(|unit| unit.key).collect::<Vec<_>>(), [true, false, false]);
        let first = [
            0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 0x88,
            1, 0, 0, 0, 1, 0x65, 0x40, 2,
        ];
        assert_eq!(units[0].bytes, first);
        assert_eq!(units[2].bytes, [0, 0, 0, 1, 0x41, 0x9b, 5]);
    }

    #[test]
    fn a_key_picture_without_parameter_sets_gets_those_seen_last() {
        let key = [0, 0, 0, 1, 0x65, 0x88, 7];
        let units = units(&[STREAM, &key]);
        let with = [&[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3][..], &key].concat();
        assert_eq!(units.last().unwrap(), &Unit { bytes: with, key: true });
    }

    #[test]
    fn a_key_picture_with_only_a_picture_set_of_its_own_gets_the_others_before_it() {
        let key = [0, 0, 0, 1, 0x68, 4, 0, 0, 0, 1, 0x65, 0x88, 7];
        let units = units(&[STREAM, &key]);
        let with = [&[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3][..], &key].concat();
        assert_eq!(units.last().unwrap(), &Unit { bytes: with, key: true });
    }

    #[test]
    fn a_picture_comes_out_with_the_head_of_the_next_and_the_last_ones_with_the_end() {
        let mut stream = AnnexB::new(Family::H264);
        let (before, last) = STREAM.split_at(STREAM.len() - 1);
        assert_eq!(stream.push(before).unwrap().len(), 1);
        assert_eq!(stream.rest().len(), 2, "the last NAL unit ends one picture and is another");
        let mut stream = AnnexB::new(Family::H264);
        assert_eq!(stream.push(before).unwrap().len(), 1);
        assert_eq!(stream.push(last).unwrap().len(), 1);
        assert_eq!((stream.rest().len(), stream.rest().len()), (1, 0));
    }

    #[test]
    fn of_h265_the_first_slice_and_the_random_access_points_are_known() {
        let mut stream = AnnexB::new(Family::H265);
        // VPS, IDR_W_RADL of two segments, a trailing picture.
        let bytes = [
            0, 0, 0, 1, 0x40, 1, 9, 0, 0, 0, 1, 0x26, 1, 0x80, 1, 0, 0, 0, 1, 0x26, 1, 0x40, 1, 0,
            0, 0, 1, 0x02, 1, 0x80, 5,
        ];
        let mut units = stream.push(&bytes).unwrap();
        units.extend(stream.rest());
        assert_eq!(units.iter().map(|unit| unit.key).collect::<Vec<_>>(), [true, false]);
        assert_eq!(units[0].bytes, bytes[..23]);
    }

    #[test]
    fn what_is_no_byte_stream_does_not_fill_the_memory() {
        let mut stream = AnnexB::new(Family::H264);
        let block = vec![0x55; 1 << 20];
        let pushed = (0..32).find_map(|_| stream.push(&block).err());
        assert!(pushed.unwrap().0.contains("16 MiB"));
    }

    proptest! {
        #[test]
        fn units_do_not_depend_on_how_the_bytes_are_cut(cuts in proptest::collection::vec(0..STREAM.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &STREAM[cut[0]..cut[1]]).collect();
            prop_assert_eq!(units(&parts), units(&[STREAM]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0u8..10, 0..200)) {
            for family in [Family::H264, Family::H265] {
                let mut stream = AnnexB::new(family);
                prop_assert!(stream.push(&bytes).is_ok());
                let _ = stream.rest();
            }
        }
    }
}
