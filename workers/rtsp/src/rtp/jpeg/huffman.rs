//! Huffman tables of JPEG: those that every receiver of RFC 2435 assumes (ITU-T T.81, annex K.3), and how
//! codes follow from counts (annex C).

/// What a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Dc,
    Ac,
}

/// A table as written: how many codes there are of 1 to 16 bits, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec<'a> {
    counts: &'a [u8; 16],
    symbols: &'a [u8],
}

/// Longest code.
const CODE_MAX_BITS: u8 = 16;

impl<'a> Spec<'a> {
    /// `bytes` are the counts and exactly as many symbols.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (counts, symbols) = bytes.split_first_chunk()?;
        Some(Self { counts, symbols })
    }

    /// Every symbol with its code and the bits of that.
    fn codes(self) -> impl Iterator<Item = (u8, u16, u8)> {
        let mut symbols = self.symbols.iter();
        let mut code = 0u32;
        (1..=CODE_MAX_BITS)
            .zip(self.counts)
            .flat_map(move |(bits, count)| {
                code <<= 1;
                let first = code;
                code = code.saturating_add(u32::from(*count));
                let of_these: Vec<_> = symbols
                    .by_ref()
                    .take(usize::from(*count))
                    .zip(first..)
                    .map(|(symbol, code)| (*symbol, code, bits))
                    .collect();
                of_these
            })
            // More codes than their bits can tell: a table that is none.
            .filter_map(|(symbol, code, bits)| {
                let fits = code < 1 << bits;
                Some((symbol, u16::try_from(code).ok().filter(|_| fits)?, bits))
            })
    }
}

/// From bits to symbols.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Of codes of 1 to 16 bits: the first code, how many there are, and where the symbol of the first is.
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(spec: Spec<'_>) -> Self {
        let mut lengths = [(0, 0, 0); 16];
        let (mut code, mut at) = (0u32, 0);
        for (length, count) in lengths.iter_mut().zip(spec.counts) {
            code <<= 1;
            *length = (code, u32::from(*count), at);
            code = code.saturating_add(u32::from(*count));
            at += usize::from(*count);
        }
        Self { lengths, symbols: spec.symbols.to_vec() }
    }

    /// Asks for bit after bit until they are a code. `None`: they are none, or there are no more.
    pub(super) fn symbol(&self, mut bit: impl FnMut() -> Option<u32>) -> Option<u8> {
        let mut code = 0u32;
        for (first, count, at) in self.lengths {
            code = code << 1 | bit()?;
            if let Some(behind) = code.checked_sub(first).filter(|behind| *behind < count) {
                return self.symbols.get(at + usize::try_from(behind).ok()?).copied();
            }
        }
        None
    }
}

/// From symbols to bits.
#[derive(Debug)]
pub(super) struct Encoder([Option<(u16, u8)>; 256]);

impl Encoder {
    pub(super) fn new(spec: Spec<'_>) -> Self {
        let mut codes = [None; 256];
        for (symbol, code, bits) in spec.codes() {
            codes[usize::from(symbol)] = Some((code, bits));
        }
        Self(codes)
    }

    /// The code and its bits; `None` for a symbol that the table does not have.
    pub(super) fn code(&self, symbol: u8) -> Option<(u16, u8)> {
        self.0[usize::from(symbol)]
    }
}

/// The table that receivers have.
pub(super) fn standard(class: Class, chroma: bool) -> Spec<'static> {
    match (class, chroma) {
        (Class::Dc, false) => {
            Spec { counts: &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], symbols: &CATEGORIES }
        }
        (Class::Dc, true) => {
            Spec { counts: &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], symbols: &CATEGORIES }
        }
        (Class::Ac, false) => {
            Spec { counts: &[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d], symbols: &AC_LUMA }
        }
        (Class::Ac, true) => Spec {
            counts: &[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
            symbols: &AC_CHROMA,
        },
    }
}

const CATEGORIES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

#[rustfmt::skip]
const AC_LUMA: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[rustfmt::skip]
const AC_CHROMA: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_of_the_standard_has_a_code_that_reads_as_it() {
        for (class, chroma, symbols) in [
            (Class::Dc, false, 12),
            (Class::Dc, true, 12),
            (Class::Ac, false, 162),
            (Class::Ac, true, 162),
        ] {
            let spec = standard(class, chroma);
            assert_eq!(spec.counts.iter().map(|count| usize::from(*count)).sum::<usize>(), symbols);
            let (decoder, encoder) = (Decoder::new(spec), Encoder::new(spec));
            let mut known = 0;
            for symbol in 0..=255 {
                let Some((code, bits)) = encoder.code(symbol) else { continue };
                let mut left = bits;
                let read = decoder.symbol(|| {
                    left = left.checked_sub(1)?;
                    Some(u32::from(code >> left & 1))
                });
                assert_eq!((read, left), (Some(symbol), 0));
                known += 1;
            }
            assert_eq!(known, symbols, "no symbol twice");
        }
    }

    #[test]
    fn a_table_with_more_codes_than_bits_can_tell_is_harmless() {
        let bytes = [&[255; 16][..], &[7; 255 * 16]].concat();
        let spec = Spec::of(&bytes).unwrap();
        assert_eq!(Encoder::new(spec).code(7).map(|(_, bits)| bits <= CODE_MAX_BITS), Some(true));
        assert_eq!(Decoder::new(spec).symbol(|| Some(0)), Some(7));
    }
}
