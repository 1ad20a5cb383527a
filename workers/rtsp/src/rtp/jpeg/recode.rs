//! A picture with Huffman tables of its own, written with those of the standard: each coefficient keeps its
//! bits, only the codes in front of them change. FFmpeg's encoder makes such tables unless it is told not to.

use super::huffman::{Class, Decoder, Encoder, standard};
use super::picture::Picture;

/// Coefficients of a block.
const BLOCK: u8 = 64;
/// A run of 16 zeros, and the end of a block.
const ZERO_RUN: u8 = 0xf0;
const END_OF_BLOCK: u8 = 0;
/// Most bits behind a code of a baseline picture; more are no picture (T.81, tables F.1 and F.2).
const VALUE_MAX_BITS: u8 = 11;

/// The picture as RFC 2435 carries it. As it was when its tables are those of the standard, when it is not
/// carried anyway, or when its scan is no scan.
pub fn with_standard_tables(bytes: Vec<u8>) -> Vec<u8> {
    match Picture::read(&bytes) {
        Ok(picture) if !picture.has_standard_tables(&bytes) => {
            recoded(&picture, &bytes).unwrap_or(bytes)
        }
        _ => bytes,
    }
}

fn recoded(picture: &Picture, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0xff, 0xd8];
    for segment in &picture.kept {
        out.extend(&bytes[segment.clone()]);
    }
    let mut header = bytes[picture.scan_header.clone()].to_vec();
    // Behind marker, length and count: each component's number and tables. Luma has 0, chroma 1 of both.
    for (at, tables) in [(6, 0x00), (8, 0x11), (10, 0x11)] {
        *header.get_mut(at)? = tables;
    }
    out.extend(header);
    let mut scan = Scan {
        from: Source { bytes: &bytes[picture.scan.clone()], at: 0, bits: 0, left: 0 },
        to: Sink { bytes: out, bits: 0, held: 0 },
    };
    scan.recode(picture, bytes)?;
    let mut out = scan.to.bytes;
    out.extend([0xff, 0xd9]);
    Some(out)
}

struct Scan<'a> {
    from: Source<'a>,
    to: Sink,
}

/// A component's codes, before and after.
struct Codes {
    blocks: u8,
    dc: (Decoder, Encoder),
    ac: (Decoder, Encoder),
}

impl Scan<'_> {
    fn recode(&mut self, picture: &Picture, bytes: &[u8]) -> Option<()> {
        let components = picture.components.iter().enumerate().map(|(at, component)| {
            let pair = |class, number| {
                let own = picture.codes(bytes, class, number)?;
                Some((Decoder::new(own), Encoder::new(standard(class, at > 0))))
            };
            Some(Codes {
                blocks: component.sampling.0 * component.sampling.1,
                dc: pair(Class::Dc, component.tables.0)?,
                ac: pair(Class::Ac, component.tables.1)?,
            })
        });
        let components: Vec<Codes> = components.collect::<Option<_>>()?;
        for unit in 0..units(picture) {
            let interval = u32::from(picture.restart_interval);
            if interval > 0 && unit > 0 && unit % interval == 0 {
                self.to.align();
                self.to.bytes.extend(self.from.restart()?);
            }
            for codes in &components {
                (0..codes.blocks).try_for_each(|_| self.block(codes))?;
            }
        }
        self.to.align();
        Some(())
    }

    fn block(&mut self, codes: &Codes) -> Option<()> {
        let category = self.code(&codes.dc)?;
        self.value(category)?;
        let mut coefficient = 1;
        while coefficient < BLOCK {
            match self.code(&codes.ac)? {
                END_OF_BLOCK => return Some(()),
                ZERO_RUN => coefficient += 16,
                symbol => {
                    self.value(symbol & 15)?;
                    coefficient += (symbol >> 4) + 1;
                }
            }
        }
        (coefficient == BLOCK).then_some(())
    }

    fn code(&mut self, (decoder, encoder): &(Decoder, Encoder)) -> Option<u8> {
        let symbol = decoder.symbol(|| self.from.bit())?;
        let (code, bits) = encoder.code(symbol)?;
        self.to.put(code, bits);
        Some(symbol)
    }

    /// The bits behind a code, as they are.
    fn value(&mut self, bits: u8) -> Option<()> {
        if bits > VALUE_MAX_BITS {
            return None;
        }
        let value = (0..bits).try_fold(0u32, |value, _| Some(value << 1 | self.from.bit()?))?;
        self.to.put(u16::try_from(value).ok()?, bits);
        Some(())
    }
}

/// Blocks of all components that belong together, 16 pixels wide, in a picture.
fn units(picture: &Picture) -> u32 {
    let high = if picture.kind == 0 { 8 } else { 16 };
    picture.size.0.div_ceil(16) * picture.size.1.div_ceil(high)
}

/// Bits of a scan, without the zeros behind 0xff.
struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
    bits: u8,
    left: u8,
}

impl Source<'_> {
    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            self.bits = *self.bytes.get(self.at)?;
            self.at += 1;
            if self.bits == 0xff {
                if *self.bytes.get(self.at)? != 0 {
                    return None; // a marker where bits are due
                }
                self.at += 1;
            }
            self.left = 8;
        }
        self.left -= 1;
        Some(u32::from(self.bits >> self.left & 1))
    }

    /// The marker that is due here; what is left of a byte is filling.
    fn restart(&mut self) -> Option<[u8; 2]> {
        self.left = 0;
        let marker = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += 2;
        matches!(marker, [0xff, 0xd0..=0xd7]).then_some(marker)
    }
}

/// Bits of a scan, with zeros behind 0xff.
struct Sink {
    bytes: Vec<u8>,
    bits: u32,
    /// Invariant between calls: `held < 8`.
    held: u8,
}

impl Sink {
    fn put(&mut self, value: u16, bits: u8) {
        self.bits = self.bits << bits | u32::from(value);
        self.held += bits;
        while self.held >= 8 {
            self.held -= 8;
            let [.., byte] = (self.bits >> self.held).to_be_bytes();
            self.bytes.push(byte);
            if byte == 0xff {
                self.bytes.push(0);
            }
        }
    }

    /// Fills the last byte with ones (T.81, F.1.2.3).
    fn align(&mut self) {
        if self.held > 0 {
            let missing = 8 - self.held;
            self.put((1 << missing) - 1, missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::jpeg;
    use super::*;
    use crate::rtp::jpeg::refusal;

    /// A table that gives every symbol the standard has eight bits; 0xff is left free.
    fn flat(class: Class, chroma: bool) -> Vec<u8> {
        let encoder = Encoder::new(standard(class, chroma));
        let symbols: Vec<u8> = (0..=255).filter(|symbol| encoder.code(*symbol).is_some()).collect();
        let mut table = vec![0; 16];
        table[7] = u8::try_from(symbols.len()).unwrap();
        [table, symbols].concat()
    }

    /// Blocks in the standard's codes, and the same in those of [`flat`]: `blocks` of luma and chroma by turns.
    fn scan(flat_tables: bool, restart: u32, units: u32) -> Vec<u8> {
        let tables = |chroma| {
            [Class::Dc, Class::Ac].map(|class| {
                let own = flat(class, chroma);
                if flat_tables {
                    Encoder::new(super::super::huffman::Spec::of(&own).unwrap())
                } else {
                    Encoder::new(standard(class, chroma))
                }
            })
        };
        let (luma, chroma) = (tables(false), tables(true));
        let mut sink = Sink { bytes: Vec::new(), bits: 0, held: 0 };
        let put = |sink: &mut Sink, encoder: &Encoder, symbol: u8, value: u16| {
            let (code, bits) = encoder.code(symbol).unwrap();
            sink.put(code, bits);
            sink.put(value & ((1 << (symbol & 15)) - 1), symbol & 15);
        };
        for unit in 0..units {
            if restart > 0 && unit > 0 && unit % restart == 0 {
                sink.align();
                sink.bytes.extend([0xff, 0xd0 + u8::try_from((unit / restart - 1) % 8).unwrap()]);
            }
            for block in 0..6 {
                let [dc, ac] = if block < 4 { &luma } else { &chroma };
                put(&mut sink, dc, 11, 0x7ff - u16::try_from(unit).unwrap());
                put(&mut sink, ac, 0xf0, 0);
                put(&mut sink, ac, 0x35, 0x15);
                put(&mut sink, ac, 0x0a, 0x3ff);
                put(&mut sink, ac, 0, 0);
            }
        }
        sink.align();
        sink.bytes
    }

    #[test]
    fn a_picture_with_tables_of_its_own_is_said_with_those_of_the_standard() {
        // 3 x 2 units of 16 x 16.
        for restart in [0, 2] {
            let plain = jpeg(1, (48, 32), restart, &scan(false, restart.into(), 6));
            assert_eq!(with_standard_tables(plain.clone()), plain, "nothing to do");
            let mut own = jpeg(1, (48, 32), restart, &scan(true, restart.into(), 6));
            let at = own.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
            for (head, table) in [
                (0x00, flat(Class::Dc, false)),
                (0x10, flat(Class::Ac, false)),
                (0x01, flat(Class::Dc, true)),
                (0x11, flat(Class::Ac, true)),
            ] {
                let length = u16::try_from(table.len() + 3).unwrap().to_be_bytes();
                let segment = [&[0xff, 0xc4], &length[..], &[head], &table].concat();
                own.splice(at..at, segment);
            }
            assert!(refusal(&own).is_some());
            assert_eq!(with_standard_tables(own), plain, "restart interval {restart}");
        }
    }

    #[test]
    fn a_scan_that_breaks_off_is_left_as_it_is() {
        let scan = scan(true, 0, 3);
        let mut own = jpeg(1, (48, 32), 0, &scan);
        let at = own.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let table = flat(Class::Dc, false);
        let length = u16::try_from(table.len() + 3).unwrap().to_be_bytes();
        own.splice(at..at, [&[0xff, 0xc4], &length[..], &[0], &table].concat());
        assert_eq!(with_standard_tables(own.clone()), own);
    }
}
