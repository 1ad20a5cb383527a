//! JPEG over RTP (RFC 2435): the scan of a picture in fragments; receivers make the headers anew from a
//! few numbers and the quantisation tables, which stand in front of each picture's first fragment.
//!
//! So only what those numbers can say is carried: baseline, 4:2:0 or 4:2:2, at most 2040 x 2040 pixels, and
//! the Huffman tables of the standard. A picture with tables of its own is written anew with those of the
//! standard ([`recode`]): the same coefficients, no decoding.

mod huffman;
mod picture;
mod recode;

use picture::Picture;
pub use picture::{NotCarried, SIDE_MAX};
pub use recode::with_standard_tables;

use super::{PAYLOAD_MAX_BYTES, Piece, fragments, mark_last};

/// Section 3.1.
const MAIN_HEADER_BYTES: usize = 8;
/// Section 3.1.7: interval, then F, L and the count.
const RESTART_HEADER_BYTES: usize = 4;
/// Added to the type of a picture with restart markers.
const WITH_RESTARTS: u8 = 64;
/// F and L and the highest count: packets end where they are full, not at restart markers.
const ANYWHERE: u16 = 0xffff;
/// Q: tables stand in every picture, and may change with each (section 3.1.8).
const TABLES_IN_EACH: u8 = 255;

/// Cuts one picture; nothing when it is not carried, see [`refusal`].
pub fn cut(bytes: &[u8]) -> Vec<Piece> {
    let Ok(picture) = Picture::read(bytes) else { return Vec::new() };
    if !picture.has_standard_tables(bytes) {
        return Vec::new();
    }
    let restart = restart_header(&picture);
    let tables = table_header(&picture, bytes);
    let head = MAIN_HEADER_BYTES + restart.len();
    // The first fragment is the shorter one.
    let first_room = PAYLOAD_MAX_BYTES - head - tables.len();
    let begin = picture.scan.start;
    let first = begin..picture.scan.end.min(begin + first_room);
    let rest = fragments(first.end..picture.scan.end, PAYLOAD_MAX_BYTES - head);
    let mut pieces = Vec::new();
    for part in std::iter::once(first).chain(rest) {
        let mut header = main_header(&picture, part.start - begin).to_vec();
        header.extend(&restart);
        if part.start == begin {
            header.extend(&tables);
        }
        pieces.push(Piece::new(&header, part));
    }
    mark_last(pieces)
}

/// Why a picture is not carried, for people; `None` when it is.
pub fn refusal(bytes: &[u8]) -> Option<NotCarried> {
    match Picture::read(bytes) {
        Err(why) => Some(why),
        Ok(picture) if !picture.has_standard_tables(bytes) => Some(NotCarried::Codes),
        Ok(_) => None,
    }
}

fn main_header(picture: &Picture, offset: usize) -> [u8; MAIN_HEADER_BYTES] {
    let [_, high, middle, low] = u32::try_from(offset).unwrap_or(u32::MAX).to_be_bytes();
    let restarts = if picture.restart_interval > 0 { WITH_RESTARTS } else { 0 };
    let kind = picture.kind + restarts;
    [0, high, middle, low, kind, TABLES_IN_EACH, picture.blocks_wide, picture.blocks_high]
}

fn restart_header(picture: &Picture) -> Vec<u8> {
    if picture.restart_interval == 0 {
        return Vec::new();
    }
    let header = [picture.restart_interval.to_be_bytes(), ANYWHERE.to_be_bytes()].concat();
    debug_assert_eq!(header.len(), RESTART_HEADER_BYTES);
    header
}

/// Zero, the precision of each table (8 bits), their length, then luma's and chroma's.
fn table_header(picture: &Picture, bytes: &[u8]) -> Vec<u8> {
    let tables: Vec<u8> =
        picture.quantisation.iter().flat_map(|table| &bytes[table.clone()]).copied().collect();
    let length = u16::try_from(tables.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0, 0], &length[..], &tables].concat()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture with headers as cameras write them; its scan is any bytes.
    pub(super) fn jpeg(kind: u8, side: (u16, u16), restart: u16, scan: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, b'A', b'V'];
        for (id, base) in [(0u8, 1u8), (1, 100)] {
            bytes.extend([0xff, 0xdb, 0, 67, id]);
            bytes.extend((0..64).map(|step| base + step));
        }
        let ([high, low], [wide, narrow]) = (side.1.to_be_bytes(), side.0.to_be_bytes());
        let luma = if kind == 0 { 0x21 } else { 0x22 };
        bytes.extend([0xff, 0xc0, 0, 17, 8, high, low, wide, narrow, 3]);
        bytes.extend([1, luma, 0, 2, 0x11, 1, 3, 0x11, 1]);
        if restart > 0 {
            let [high, low] = restart.to_be_bytes();
            bytes.extend([0xff, 0xdd, 0, 4, high, low]);
        }
        bytes.extend([0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]);
        bytes.extend(scan);
        bytes.extend([0xff, 0xd9]);
        bytes
    }

    /// What a reader puts together again, after RFC 2435 section 3.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        kind: u8,
        side: (u16, u16),
        restart: u16,
        tables: Vec<u8>,
        scan: Vec<u8>,
    }

    fn rebuild(payloads: &[Vec<u8>]) -> Read {
        let mut read = Read::default();
        for payload in payloads {
            let offset = u32::from_be_bytes([0, payload[1], payload[2], payload[3]]);
            assert_eq!(usize::try_from(offset).unwrap(), read.scan.len());
            let (kind, q) = (payload[4], payload[5]);
            read.side = (u16::from(payload[6]) * 8, u16::from(payload[7]) * 8);
            let mut rest = &payload[8..];
            read.kind = kind & 0x3f;
            if (64..=127).contains(&kind) {
                read.restart = u16::from_be_bytes([rest[0], rest[1]]);
                assert_eq!(rest[2..4], [0xff, 0xff], "aligned to nothing");
                rest = &rest[4..];
            }
            if offset == 0 && q >= 128 {
                assert_eq!(rest[..2], [0, 0]);
                let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
                read.tables = rest[4..4 + length].to_vec();
                rest = &rest[4 + length..];
            }
            read.scan.extend(rest);
        }
        read
    }

    /// Bytes of a scan hold no marker but restarts.
    fn any_scan() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            20 => (0u8..=254).prop_map(|byte| vec![byte]),
            1 => Just(vec![0xff, 0]),
            1 => (0xd0u8..=0xd7).prop_map(|marker| vec![0xff, marker]),
        ];
        proptest::collection::vec(byte, 1..6000).prop_map(|bytes| bytes.concat())
    }

    proptest! {
        #[test]
        fn any_picture_comes_back_whole(
            scan in any_scan(),
            kind in 0u8..2,
            wide in 1u16..=255,
            high in 1u16..=255,
            restart in prop_oneof![Just(0u16), 1u16..500],
        ) {
            let bytes = jpeg(kind, (wide * 8, high * 8), restart, &scan);
            let pieces = cut(&bytes);
            let payloads: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.payload(&bytes)).collect();
            prop_assert!(payloads.iter().all(|payload| payload.len() <= PAYLOAD_MAX_BYTES));
            let tables = (1..65).chain(100..164).collect();
            let expected = Read { kind, side: (wide * 8, high * 8), restart, tables, scan };
            prop_assert_eq!(rebuild(&payloads), expected);
            let marks: Vec<_> = pieces.iter().filter(|piece| piece.marker).collect();
            prop_assert_eq!(marks, [pieces.last().unwrap()]);
            prop_assert_eq!(refusal(&bytes), None);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            cut(&bytes);
            let mut picture = jpeg(1, (64, 64), 3, &[7; 40]);
            picture.splice(at..(at + bytes.len()).min(picture.len()).max(at), bytes);
            cut(&picture);
            with_standard_tables(picture);
        }
    }

    #[test]
    fn what_rtp_cannot_say_is_refused_by_name() {
        let whole = jpeg(1, (640, 480), 0, &[1, 2, 3]);
        let changed = |at: usize, to: u8| {
            let mut bytes = whole.clone();
            bytes[at] = to;
            refusal(&bytes).map(|why| why.to_string()).unwrap_or_default()
        };
        // The frame header stands behind 8 bytes and two tables of 69.
        let frame = 8 + 2 * 69;
        assert_eq!(whole[frame..frame + 2], [0xff, 0xc0]);
        assert!(changed(frame + 1, 0xc2).contains("progressive"), "{}", changed(frame + 1, 0xc2));
        assert!(changed(frame + 4, 12).contains("12 bits"));
        assert!(changed(frame + 7, 0x10).contains("4224x480: RTP carries 2040x2040 at most"));
        assert!(changed(frame + 11, 0x11).contains("1x1"), "{}", changed(frame + 11, 0x11));
        assert!(refusal(&whole[..frame]).is_some_and(|why| why == NotCarried::NoPicture));
        assert_eq!(refusal(&[]), Some(NotCarried::NoPicture));
    }

    #[test]
    fn a_side_that_is_no_multiple_of_eight_is_told_as_the_next_one() {
        let bytes = jpeg(1, (1921, 1081), 0, &[1]);
        let payload = cut(&bytes)[0].payload(&bytes);
        assert_eq!(payload[6..8], [241, 136]);
    }
}
