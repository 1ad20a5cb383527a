//! Whole fragments of recordings put one behind the other in a new file: their bytes stay, but for the
//! few that say where on the timeline a fragment stands, and an index in front lets players seek.
//!
//! ```text
//! export = ftyp moov sidx+ fragment*     ftyp moov of the recording that the first fragment is from
//! ```

use std::ops::Range;

use mp4_atom::{Encode, FourCC, SegmentReference, Sidx};

use crate::error::Error;
use crate::muxer::checksum;
use crate::origin::CRC_BYTES;
use crate::{FoundTrack, boxes};

/// Most references of a `sidx` box: its count has 16 bits.
const REFERENCES_MAX: usize = u16::MAX as usize;
/// Where `moof` boxes keep the number of their fragment, behind version and flags.
const MFHD_NUMBER_AT: usize = 4;
/// Where a `tfhd` box keeps its track, and a `tfdt` box its time.
const TFHD_TRACK_AT: usize = 4;
const TFDT_TIME_AT: usize = 4;
/// Of a reference that begins with a key frame: stream access point of type 1.
const SAP_TYPE_KEY: u8 = 1;

/// Where a fragment goes in the new file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Counts up from 1.
    pub number: u32,
    /// Decode time of its first sample of each track, in the track's time base.
    pub begins: Vec<(u32, u64)>,
}

/// Whether a fragment was what its recorder wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intact {
    Yes,
    /// Its checksum differed, and does so in its new place.
    No,
}

/// Puts the fragment in `bytes` (its `uuid`, `moof` and `mdat`, as [`crate::scan`] found it) elsewhere.
/// `None` when it is none.
pub fn place(bytes: &mut [u8], placed: &Placed) -> Option<Intact> {
    let uuid = boxes_in(bytes, 0..bytes.len())?.into_iter().next()?;
    let crc_at = uuid.content.end.checked_sub(CRC_BYTES)?;
    let was = *bytes.get(crc_at..)?.first_chunk::<CRC_BYTES>()?;
    let is_intact = u32::from_be_bytes(was) == crc(bytes, crc_at);
    write_times(bytes, placed)?;
    // A fragment that was damaged must not seem whole from now on.
    let crc = if is_intact { crc(bytes, crc_at) } else { !crc(bytes, crc_at) };
    bytes[crc_at..crc_at + CRC_BYTES].copy_from_slice(&crc.to_be_bytes());
    Some(if is_intact { Intact::Yes } else { Intact::No })
}

fn crc(bytes: &[u8], crc_at: usize) -> u32 {
    checksum(&bytes[..crc_at], &bytes[crc_at + CRC_BYTES..])
}

fn write_times(bytes: &mut [u8], placed: &Placed) -> Option<()> {
    let moof = only(boxes_in(bytes, 0..bytes.len())?, b"moof")?;
    for child in boxes_in(bytes, moof)? {
        if child.is(b"mfhd") {
            put(bytes, child.content, MFHD_NUMBER_AT, &placed.number.to_be_bytes())?;
        } else if child.is(b"traf") {
            let of_track = boxes_in(bytes, child.content)?;
            let tfhd = only(of_track.clone(), b"tfhd")?;
            let id = *bytes.get(tfhd)?.get(TFHD_TRACK_AT..)?.first_chunk()?;
            let track = u32::from_be_bytes(id).checked_sub(1)?;
            let (_, begin) = placed.begins.iter().find(|(index, _)| *index == track)?;
            let tfdt = only(of_track, b"tfdt")?;
            // Version 1, as we write it, has 64 bits.
            let is_wide = *bytes.get(tfdt.clone())?.first()? == 1;
            match is_wide {
                true => put(bytes, tfdt, TFDT_TIME_AT, &begin.to_be_bytes())?,
                false => {
                    let begin = u32::try_from(*begin).ok()?;
                    put(bytes, tfdt, TFDT_TIME_AT, &begin.to_be_bytes())?;
                }
            }
        }
    }
    Some(())
}

#[derive(Clone, Debug)]
struct Found {
    kind: FourCC,
    content: Range<usize>,
}

impl Found {
    fn is(&self, kind: &[u8; 4]) -> bool {
        self.kind == FourCC::new(kind)
    }
}

/// The boxes that fill `range`, by their places.
fn boxes_in(bytes: &[u8], range: Range<usize>) -> Option<Vec<Found>> {
    let all = bytes.get(range.clone())?;
    let mut found = Vec::new();
    let mut end = range.start;
    for child in boxes::children(all) {
        let (kind, content) = child?;
        // Contents lie in `all`, one behind the other, each behind its header.
        let head = boxes::header(&bytes[end..range.end])?.1;
        let begin = end + usize::try_from(head).ok()?;
        end = begin + content.len();
        found.push(Found { kind, content: begin..end });
    }
    Some(found)
}

fn only(boxes: Vec<Found>, kind: &[u8; 4]) -> Option<Range<usize>> {
    let mut of_kind = boxes.into_iter().filter(|found| found.is(kind));
    let first = of_kind.next()?;
    of_kind.next().is_none().then_some(first.content)
}

fn put(bytes: &mut [u8], content: Range<usize>, at: usize, value: &[u8]) -> Option<()> {
    bytes.get_mut(content)?.get_mut(at..)?.get_mut(..value.len())?.copy_from_slice(value);
    Some(())
}

/// A fragment for the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// Of its `uuid` box, and of all of it.
    pub uuid_bytes: u64,
    pub bytes: u64,
    /// Its first video sample is a key frame.
    pub key: bool,
    /// When it begins and ends on the file's timeline, in ns.
    pub begin_ns: i64,
    pub end_ns: i64,
}

/// The `sidx` boxes of a file, one for each track, to stand between `moov` and the first fragment.
/// Players seek by them and know how long the file lasts. A reference is from one `moof` to the next.
pub fn index(tracks: &[FoundTrack], fragments: &[Indexed]) -> Result<Vec<u8>, Error> {
    let Some(first) = fragments.first() else { return Ok(Vec::new()) };
    let group = fragments.len().div_ceil(REFERENCES_MAX);
    let mut boxes: Vec<Sidx> = tracks.iter().map(|track| sidx(track, fragments, group)).collect();
    // How far the first `moof` is from a box depends on the boxes behind it, whose lengths do not
    // depend on how far it is as long as that needs no more than 32 bits.
    let lengths = boxes.iter().map(length).collect::<Result<Vec<u64>, Error>>()?;
    for (at, sidx) in boxes.iter_mut().enumerate() {
        sidx.first_offset = lengths[at + 1..].iter().sum::<u64>() + first.uuid_bytes;
    }
    let mut bytes = Vec::new();
    for sidx in &boxes {
        sidx.encode(&mut bytes)?;
    }
    Ok(bytes)
}

fn length(sidx: &Sidx) -> Result<u64, Error> {
    let mut bytes = Vec::new();
    sidx.encode(&mut bytes)?;
    Ok(bytes.len() as u64)
}

fn sidx(track: &FoundTrack, fragments: &[Indexed], group: usize) -> Sidx {
    let ticks = |ns: i64| u64::try_from(track.base.from_ns(ns)).unwrap_or(0);
    let starts: Vec<&[Indexed]> = fragments.chunks(group).collect();
    let references = starts.iter().enumerate().map(|(at, of_reference)| {
        let next = starts.get(at + 1).map(|next| &next[0]);
        let (first, last) = (&of_reference[0], &of_reference[of_reference.len() - 1]);
        let end_ns = next.map_or(last.end_ns, |next| next.begin_ns);
        let all: u64 = of_reference.iter().map(|fragment| fragment.bytes).sum();
        let bytes = all - first.uuid_bytes + next.map_or(0, |next| next.uuid_bytes);
        let lasts = ticks(end_ns).saturating_sub(ticks(first.begin_ns));
        SegmentReference {
            reference_type: false,
            referenced_size: u32::try_from(bytes).unwrap_or(u32::MAX),
            subsegment_duration: u32::try_from(lasts).unwrap_or(u32::MAX),
            starts_with_sap: first.key || !track.video,
            sap_type: if first.key || !track.video { SAP_TYPE_KEY } else { 0 },
            sap_delta_time: 0,
        }
    });
    Sidx {
        reference_id: track.track + 1,
        timescale: track.base.den,
        earliest_presentation_time: ticks(fragments[0].begin_ns),
        first_offset: 0,
        references: references.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use mp4_atom::Decode;
    use proptest::prelude::*;
    use protocol::time::UtcNs;

    use super::*;
    use crate::movie::tests::{aac, h264};
    use crate::{
        FoundFragment, Fragment, Movie, Muxer, OriginFlags, Sample, Scan, is_intact, scan,
    };

    /// Three seconds of a picture and a sound every half second, a fragment a second.
    fn recording() -> Vec<u8> {
        let (movie, _) = Movie::new(&[h264(), aac()]);
        let fragments: Vec<Fragment> = (0..3).map(fragment).collect();
        let mut muxer = Muxer::new(movie, &fragments[0]);
        let mut bytes = muxer.init_segment().unwrap();
        for fragment in &fragments {
            bytes.extend(muxer.write(fragment, None).unwrap());
        }
        bytes
    }

    fn fragment(second: u64) -> Fragment {
        let ring = "cam1.packets".parse().unwrap();
        let first = second * 4 + 1;
        let mut fragment = Fragment::new(&ring, 5, first, UtcNs(second), OriginFlags::default());
        for place in 0..4i64 {
            let dts_ns = i64::try_from(second).unwrap() * 1_000_000_000 + place / 2 * 500_000_000;
            let track = u32::from(place % 2 == 1);
            let payload = vec![0, 0, 0, 1, 0x65, 1, 2, 3];
            let key = place < 2;
            fragment.push(Sample { track, key, pts_ns: dts_ns, dts_ns, duration_ns: 0, payload });
        }
        fragment
    }

    fn scanned(bytes: &[u8]) -> Scan {
        scan(&mut Cursor::new(bytes)).unwrap()
    }

    fn bytes_of<'a>(file: &'a [u8], found: &FoundFragment) -> &'a [u8] {
        let begin = usize::try_from(found.at_bytes).unwrap();
        &file[begin..begin + usize::try_from(found.bytes).unwrap()]
    }

    #[test]
    fn a_fragment_in_its_new_place_is_whole_and_has_its_packets() {
        let file = recording();
        let found = scanned(&file);
        let mut bytes = bytes_of(&file, &found.fragments[2]).to_vec();
        let begins = vec![(0, 90_000), (1, 48_001)];
        let placed = place(&mut bytes, &Placed { number: 9, begins });
        assert_eq!(placed, Some(Intact::Yes));
        let init = &file[..usize::try_from(found.init_bytes).unwrap()];
        let new = [init, &bytes].concat();
        let again = scanned(&new);
        assert_eq!(again.damage, None);
        let moved = &again.fragments[0];
        assert!(is_intact(&mut Cursor::new(&new), moved).unwrap());
        assert_eq!(moved.origin, found.fragments[2].origin);
        let ticks: Vec<u64> = moved.samples.iter().map(|sample| sample.decode_ticks).collect();
        assert_eq!(ticks, [90_000, 135_000, 48_001, 72_001]);
    }

    #[test]
    fn a_damaged_fragment_stays_one() {
        let file = recording();
        let found = scanned(&file);
        let mut bytes = bytes_of(&file, &found.fragments[1]).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let placed = Placed { number: 1, begins: vec![(0, 0), (1, 0)] };
        for _ in 0..2 {
            assert_eq!(place(&mut bytes, &placed), Some(Intact::No));
        }
    }

    #[test]
    fn a_track_without_a_place_is_refused() {
        let file = recording();
        let mut bytes = bytes_of(&file, &scanned(&file).fragments[0]).to_vec();
        assert_eq!(place(&mut bytes, &Placed { number: 1, begins: vec![(0, 0)] }), None);
    }

    #[test]
    fn the_index_leads_from_moof_to_moof_and_lasts_as_long_as_the_file() {
        let file = recording();
        let found = scanned(&file);
        let seconds = |at: usize| i64::try_from(at).unwrap() * 1_000_000_000;
        let indexed: Vec<Indexed> = found
            .fragments
            .iter()
            .enumerate()
            .map(|(at, fragment)| {
                let uuid_bytes = fragment.origin.encode().len() as u64 + CRC_BYTES as u64;
                Indexed {
                    uuid_bytes,
                    bytes: fragment.bytes,
                    key: true,
                    begin_ns: seconds(at),
                    end_ns: seconds(at + 1),
                }
            })
            .collect();
        let index = index(&found.tracks, &indexed).unwrap();
        let (init, media) = file.split_at(usize::try_from(found.init_bytes).unwrap());
        let new = [init, &index, media].concat();
        let mut rest = &index[..];
        let mut boxes = Vec::new();
        while !rest.is_empty() {
            let sidx = Sidx::decode(&mut rest).unwrap();
            boxes.push((sidx, new.len() - media.len() - rest.len()));
        }
        assert_eq!(boxes.len(), 2);
        for (sidx, end) in boxes {
            let mut at = end + usize::try_from(sidx.first_offset).unwrap();
            let mut lasts = 0;
            for reference in &sidx.references {
                assert_eq!(&new[at + 4..at + 8], b"moof");
                at += reference.referenced_size as usize;
                lasts += reference.subsegment_duration;
            }
            assert_eq!((at, lasts), (new.len(), 3 * sidx.timescale));
        }
    }

    #[test]
    fn more_fragments_than_an_index_counts_share_its_references() {
        let one = Indexed { uuid_bytes: 60, bytes: 100, key: true, begin_ns: 0, end_ns: 1 };
        let many = vec![one; REFERENCES_MAX + 2];
        let tracks = scanned(&recording()).tracks;
        let index = index(&tracks[..1], &many).unwrap();
        let sidx = Sidx::decode(&mut &index[..]).unwrap();
        assert!(sidx.references.len() <= REFERENCES_MAX);
        let bytes: u64 = sidx.references.iter().map(|of| u64::from(of.referenced_size)).sum();
        assert_eq!(bytes, many.len() as u64 * 100 - 60);
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_nothing_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), whole: bool,
            scribbles in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..9),
        ) {
            let file = recording();
            let mut bytes = match whole {
                true => bytes_of(&file, &scanned(&file).fragments[0]).to_vec(),
                false => bytes,
            };
            for (at, value) in scribbles.into_iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let _ = place(&mut bytes, &Placed { number: 1, begins: vec![(0, 0), (1, 0)] });
        }
    }
}
