//! The edit lists of a plain MP4 file, made to end earlier. Pure.
//!
//! The library that writes such files makes lists that begin where time zero is and end with the last
//! picture. Pictures behind the end of a cut are there only because shown ones are made of them.

use std::ops::Range;

/// Of a `mvhd` box, behind version and flags: two times of 32 or of 64 bits, then the time scale.
const TIMESCALE_AT: [usize; 2] = [12, 20];
/// An entry of an `elst` box: duration, media time, rate.
const ENTRY_BYTES: [usize; 2] = [12, 20];
/// Version, flags and the number of entries.
const ELST_HEAD_BYTES: usize = 8;

/// Lets no track of this `moov` box last longer than so many ns. `None`, and nothing is changed, when it is
/// none.
pub(crate) fn end_at(moov: &mut [u8], end_ns: i64) -> Option<()> {
    let inside = only(moov, 0..moov.len(), b"moov")?;
    let mvhd = only(moov, inside.clone(), b"mvhd")?;
    let wide = version(moov, &mvhd)?;
    let hz = moov.get(mvhd.start + TIMESCALE_AT[wide]..)?.first_chunk()?;
    let ticks = u64::try_from(end_ns).ok()? * u64::from(u32::from_be_bytes(*hz)) / 1_000_000_000;
    let tracks = boxes(moov, inside)?;
    let tracks = tracks.into_iter().filter(|(kind, _)| kind == b"trak").map(|(_, at)| at);
    let lists: Vec<Range<usize>> = tracks
        .filter_map(|track| {
            let edts = only(moov, track, b"edts")?;
            only(moov, edts, b"elst")
        })
        .collect();
    lists.into_iter().try_for_each(|list| shorten(moov, list, ticks))
}

/// Entries of one list follow each other: the last one ends with it.
fn shorten(moov: &mut [u8], list: Range<usize>, mut left: u64) -> Option<()> {
    let wide = version(moov, &list)?;
    let entries = moov.get_mut(list)?.get_mut(ELST_HEAD_BYTES..)?;
    for entry in entries.chunks_exact_mut(ENTRY_BYTES[wide]) {
        let lasts = match wide {
            0 => u32::from_be_bytes(*entry.first_chunk()?).into(),
            _ => u64::from_be_bytes(*entry.first_chunk()?),
        };
        let lasts = lasts.min(left);
        left -= lasts;
        match wide {
            0 => *entry.first_chunk_mut()? = u32::try_from(lasts).ok()?.to_be_bytes(),
            _ => *entry.first_chunk_mut()? = lasts.to_be_bytes(),
        }
    }
    Some(())
}

/// 0, or 1 for wider fields.
fn version(bytes: &[u8], content: &Range<usize>) -> Option<usize> {
    Some(usize::from(*bytes.get(content.clone())?.first()? == 1))
}

fn only(bytes: &[u8], range: Range<usize>, kind: &[u8; 4]) -> Option<Range<usize>> {
    boxes(bytes, range)?.into_iter().find(|(seen, _)| seen == kind).map(|(_, content)| content)
}

/// The boxes that fill a range, by their contents.
fn boxes(bytes: &[u8], range: Range<usize>) -> Option<Vec<([u8; 4], Range<usize>)>> {
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let head = bytes.get(at..range.end)?;
        let short = u32::from_be_bytes(*head.first_chunk()?);
        let kind = *head.get(4..)?.first_chunk()?;
        let (head_bytes, length) = match short {
            1 => (16, u64::from_be_bytes(*head.get(8..)?.first_chunk()?)),
            _ => (8, short.into()),
        };
        let end = at.checked_add(usize::try_from(length).ok()?).filter(|end| *end <= range.end)?;
        found.push((kind, at.checked_add(head_bytes).filter(|begin| *begin <= end)?..end));
        at = end;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 8).unwrap();
        [&length.to_be_bytes()[..], kind, content].concat()
    }

    /// 1000 ticks a second.
    fn mvhd() -> Vec<u8> {
        let mut content = vec![0; 100];
        content[12..16].copy_from_slice(&1000_u32.to_be_bytes());
        boxed(b"mvhd", &content)
    }

    fn track(entries: &[(u32, i32)]) -> Vec<u8> {
        let mut list = vec![0, 0, 0, 0];
        list.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        for (lasts, media_time) in entries {
            list.extend(lasts.to_be_bytes());
            list.extend(media_time.to_be_bytes());
            list.extend(0x0001_0000_u32.to_be_bytes());
        }
        let edts = boxed(b"edts", &boxed(b"elst", &list));
        boxed(b"trak", &[boxed(b"tkhd", &[0; 84]), edts, boxed(b"mdia", &[7; 20])].concat())
    }

    fn moov(tracks: &[Vec<u8>]) -> Vec<u8> {
        boxed(b"moov", &[mvhd(), tracks.concat()].concat())
    }

    #[test]
    fn lists_that_last_longer_end_earlier_and_the_others_stay() {
        let mut given = moov(&[
            track(&[(2880, 117_000)]),
            track(&[(20, -1), (2850, 1024)]),
            boxed(b"trak", &boxed(b"tkhd", &[0; 84])),
        ]);
        end_at(&mut given, 2_800_000_000).unwrap();
        let wanted = moov(&[
            track(&[(2800, 117_000)]),
            track(&[(20, -1), (2780, 1024)]),
            boxed(b"trak", &boxed(b"tkhd", &[0; 84])),
        ]);
        assert_eq!(given, wanted);
        end_at(&mut given, 5_000_000_000).unwrap();
        assert_eq!(given, wanted);
    }

    #[test]
    fn what_is_cut_off_anywhere_is_no_such_box_and_does_no_harm() {
        let whole = moov(&[track(&[(2880, 117_000)])]);
        for length in 0..whole.len() {
            let mut part = whole[..length].to_vec();
            let _ = end_at(&mut part, 1);
            assert_eq!(part.len(), length);
        }
        assert_eq!(end_at(&mut [], 1), None);
    }
}
