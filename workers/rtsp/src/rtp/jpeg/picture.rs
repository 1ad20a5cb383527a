//! What of a JPEG picture's headers RTP has to know (ITU-T T.81, annex B).

use std::ops::Range;

use super::huffman::{self, Class};

/// Largest width and height: eight bits count blocks of eight pixels (RFC 2435 sections 3.1.5 and 3.1.6).
pub const SIDE_MAX: u32 = 255 * 8;
/// Entries of a quantisation table; of eight bits in a baseline picture.
const TABLE_BYTES: usize = 64;

/// Why RFC 2435 does not carry a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCarried {
    #[error("its Huffman codes are not those of the standard, and cannot be said with them")]
    Codes,
    #[error("it has {0} components: RTP carries luma and two of chroma")]
    Components(u8),
    #[error("it is no whole JPEG picture")]
    NoPicture,
    #[error("samples of {0} bits: RTP carries 8")]
    Precision(u8),
    #[error("it is {}: RTP carries baseline pictures", process(*.0))]
    Process(u8),
    #[error(
        "a luma sample has {0}x{1} beside each of chroma: RTP carries 2x1 (4:2:2) and 2x2 (4:2:0)"
    )]
    Sampling(u8, u8),
    #[error("{0}x{1}: RTP carries {SIDE_MAX}x{SIDE_MAX} at most")]
    Size(u32, u32),
    #[error("its quantisation tables are not one of luma and one of both chromas, of 8 bits")]
    Tables,
}

/// What a frame header's marker means (table B.1).
fn process(marker: u8) -> &'static str {
    match marker {
        0xc1 => "extended sequential",
        0xc2 => "progressive",
        0xc3 => "lossless",
        _ => "of another process",
    }
}

/// A component as frame header and scan header have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Component {
    id: u8,
    /// Samples across and down.
    pub(super) sampling: (u8, u8),
    quantisation: u8,
    /// Huffman tables of its DC and AC coefficients.
    pub(super) tables: (u8, u8),
}

/// A picture that the numbers of RFC 2435 can tell of, its Huffman tables apart.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// 0: 4:2:2, 1: 4:2:0.
    pub(super) kind: u8,
    pub(super) blocks_wide: u8,
    pub(super) blocks_high: u8,
    pub(super) size: (u32, u32),
    pub(super) restart_interval: u16,
    /// Where the tables of luma and chroma are.
    pub(super) quantisation: [Range<usize>; 2],
    pub(super) components: [Component; 3],
    /// Huffman tables by class and number: their counts and symbols. One that is not there is the standard's.
    codes: Vec<(Class, u8, Range<usize>)>,
    /// Segments in front of the scan that a picture with standard tables needs: all but DHT and SOS.
    pub(super) kept: Vec<Range<usize>>,
    /// The scan's own header, with its marker.
    pub(super) scan_header: Range<usize>,
    /// Without the marker that ends it.
    pub(super) scan: Range<usize>,
}

/// What was found so far.
#[derive(Default)]
struct Headers {
    quantisation: [Option<Range<usize>>; 4],
    wide_tables: bool,
    codes: Vec<(Class, u8, Range<usize>)>,
    kept: Vec<Range<usize>>,
    size: (u32, u32),
    components: Vec<Component>,
    restart_interval: u16,
}

impl Picture {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, NotCarried> {
        let mut headers = Headers::default();
        let mut at = 2;
        if !bytes.starts_with(&[0xff, 0xd8]) {
            return Err(NotCarried::NoPicture);
        }
        loop {
            let segment = Segment::at(bytes, at).ok_or(NotCarried::NoPicture)?;
            at = segment.body.end;
            if segment.marker == 0xda {
                return headers.finish(bytes, &segment);
            }
            headers.take(bytes, &segment)?;
        }
    }

    /// Whether its codes are those that receivers assume.
    pub(super) fn has_standard_tables(&self, bytes: &[u8]) -> bool {
        self.components.iter().enumerate().all(|(at, component)| {
            let chroma = at > 0;
            let is_standard = |class, number| {
                self.codes(bytes, class, number) == Some(huffman::standard(class, chroma))
            };
            is_standard(Class::Dc, component.tables.0) && is_standard(Class::Ac, component.tables.1)
        })
    }

    /// Counts and symbols of a Huffman table; `None` when there is none of that number.
    pub(super) fn codes<'a>(
        &self,
        bytes: &'a [u8],
        class: Class,
        number: u8,
    ) -> Option<huffman::Spec<'a>> {
        // One that was defined again counts as it was last.
        let own = self.codes.iter().rev().find(|it| (it.0, it.1) == (class, number));
        match own {
            Some((_, _, at)) => huffman::Spec::of(&bytes[at.clone()]),
            // Motion JPEG may leave out tables that everybody has.
            None if self.codes.is_empty() => Some(huffman::standard(class, number > 0)),
            None => None,
        }
    }
}

impl Headers {
    fn take(&mut self, bytes: &[u8], segment: &Segment) -> Result<(), NotCarried> {
        let body = &bytes[segment.body.clone()];
        match segment.marker {
            0xdb => self.quantisation(body, segment.body.start).ok_or(NotCarried::NoPicture)?,
            0xc4 => {
                self.codes(body, segment.body.start).ok_or(NotCarried::NoPicture)?;
                return Ok(());
            }
            0xc0 => self.frame(body)?,
            0xc8 | 0xcc => {}
            0xc1..=0xcf => return Err(NotCarried::Process(segment.marker)),
            0xdd => {
                let interval = body.first_chunk().ok_or(NotCarried::NoPicture)?;
                self.restart_interval = u16::from_be_bytes(*interval);
            }
            _ => {}
        }
        self.kept.push(segment.whole.clone());
        Ok(())
    }

    /// DQT: precision and number, then the table, as often as there is room.
    fn quantisation(&mut self, body: &[u8], start: usize) -> Option<()> {
        let mut at = 0;
        while let Some(head) = body.get(at) {
            let bytes = if head >> 4 == 0 { TABLE_BYTES } else { 2 * TABLE_BYTES };
            self.wide_tables |= head >> 4 != 0;
            body.get(at + 1..at + 1 + bytes)?;
            *self.quantisation.get_mut(usize::from(head & 15))? =
                Some(start + at + 1..start + at + 1 + bytes);
            at += 1 + bytes;
        }
        Some(())
    }

    /// DHT: class and number, 16 counts, then the symbols, as often as there is room.
    fn codes(&mut self, body: &[u8], start: usize) -> Option<()> {
        let mut at = 0;
        while let Some(head) = body.get(at) {
            let counts = body.get(at + 1..at + 17)?;
            let end = at + 17 + counts.iter().map(|count| usize::from(*count)).sum::<usize>();
            body.get(at..end)?;
            let class = if head >> 4 == 0 { Class::Dc } else { Class::Ac };
            self.codes.push((class, head & 15, start + at + 1..start + end));
            at = end;
        }
        Some(())
    }

    /// SOF0: precision, height, width, then each component's number, sampling and table.
    fn frame(&mut self, body: &[u8]) -> Result<(), NotCarried> {
        let (&[bits, high, low, wide, narrow, count], components) =
            body.split_first_chunk().ok_or(NotCarried::NoPicture)?;
        if bits != 8 {
            return Err(NotCarried::Precision(bits));
        }
        self.size = (
            u32::from(u16::from_be_bytes([wide, narrow])),
            u32::from(u16::from_be_bytes([high, low])),
        );
        if count != 3 {
            return Err(NotCarried::Components(count));
        }
        let component = |&[id, sampling, quantisation]: &[u8; 3]| Component {
            id,
            sampling: (sampling >> 4, sampling & 15),
            quantisation,
            tables: (0, 0),
        };
        self.components = components.as_chunks::<3>().0.iter().map(component).collect();
        Ok(())
    }

    fn finish(self, bytes: &[u8], scan: &Segment) -> Result<Picture, NotCarried> {
        let kind = self.kind()?;
        let (width, height) = self.size;
        if width == 0 || height == 0 {
            return Err(NotCarried::NoPicture);
        }
        let blocks = |side: u32| u8::try_from(side.div_ceil(8)).ok();
        let too_large = NotCarried::Size(width, height);
        let (blocks_wide, blocks_high) = blocks(width).zip(blocks(height)).ok_or(too_large)?;
        let quantisation = self.tables(bytes).ok_or(NotCarried::Tables)?;
        let components = self.in_scan(&bytes[scan.body.clone()]).ok_or(NotCarried::NoPicture)?;
        let begin = scan.body.end;
        let end = begin + end_of_scan(&bytes[begin..]);
        if begin == end {
            return Err(NotCarried::NoPicture);
        }
        Ok(Picture {
            kind,
            blocks_wide,
            blocks_high,
            size: self.size,
            restart_interval: self.restart_interval,
            quantisation,
            components,
            codes: self.codes,
            kept: self.kept,
            scan_header: scan.whole.clone(),
            scan: begin..end,
        })
    }

    fn kind(&self) -> Result<u8, NotCarried> {
        let [luma, blue, red] = self.components[..] else { return Err(NotCarried::NoPicture) };
        match (luma.sampling, blue.sampling, red.sampling) {
            ((2, 1), (1, 1), (1, 1)) => Ok(0),
            ((2, 2), (1, 1), (1, 1)) => Ok(1),
            ((wide, high), _, _) => Err(NotCarried::Sampling(wide, high)),
        }
    }

    /// Of luma and of both chromas, which may have two tables that say the same.
    fn tables(&self, bytes: &[u8]) -> Option<[Range<usize>; 2]> {
        let of = |component: &Component| {
            self.quantisation.get(usize::from(component.quantisation))?.clone()
        };
        let [luma, blue, red] = self.components[..] else { return None };
        let (luma, blue, red) = (of(&luma)?, of(&blue)?, of(&red)?);
        let same = bytes[blue.clone()] == bytes[red];
        (same && !self.wide_tables).then_some([luma, blue])
    }

    /// The components with the tables that the scan names; all three, in their order.
    fn in_scan(&self, body: &[u8]) -> Option<[Component; 3]> {
        let (&[count, a, at, b, bt, c, ct], _) = body.split_first_chunk()?;
        let mut components: [Component; 3] = self.components.clone().try_into().ok()?;
        for (component, (id, tables)) in components.iter_mut().zip([(a, at), (b, bt), (c, ct)]) {
            if count != 3 || component.id != id {
                return None;
            }
            component.tables = (tables >> 4, tables & 15);
        }
        Some(components)
    }
}

/// A marker with what belongs to it.
#[derive(Clone, Debug)]
struct Segment {
    marker: u8,
    /// From the marker to the end.
    whole: Range<usize>,
    /// Behind the length.
    body: Range<usize>,
}

impl Segment {
    /// A marker may have any number of fill bytes in front.
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let fill = bytes.get(at..)?.iter().take_while(|byte| **byte == 0xff).count();
        let begin = at + fill.checked_sub(1)?;
        let &[marker, high, low] = bytes.get(begin + 1..begin + 4)?.first_chunk()?;
        let end = begin + 2 + usize::from(u16::from_be_bytes([high, low]));
        (end >= begin + 4 && end <= bytes.len()).then_some(Self {
            marker,
            whole: begin..end,
            body: begin + 4..end,
        })
    }
}

/// Bytes up to the first marker that is no restart.
fn end_of_scan(bytes: &[u8]) -> usize {
    let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
    bytes.windows(2).position(is_end).unwrap_or(bytes.len())
}
