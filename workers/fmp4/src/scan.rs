//! Reading a file back: what is whole, which packets it holds, and where it is torn.
//!
//! [`scan`] reads headers only and skips the media, so an hour's file costs a few thousand small
//! reads; [`read_init`] and [`read_fragment`] are the same a piece at a time. [`is_intact`] reads a
//! fragment's every byte. All take any bytes without a panic.

use std::io::{Read, Seek, SeekFrom};

use mp4_atom::{Elst, FourCC, Mdhd, Tfdt, Tfhd, Tkhd, Trun, TrunSamples};
use protocol::stream::Track;
use protocol::time::TimeBase;

use crate::origin::{CRC_BYTES, FRAGMENT_UUID, HEADER_BYTES, Origin};
use crate::{boxes, describe};

/// Most bytes of a box that is read whole: a thousand times what the recorder writes.
const READ_MAX_BYTES: u64 = 16 << 20;
/// Read at a time for a checksum.
const HASH_CHUNK_BYTES: usize = 64 << 10;
/// Read at a time for the next fragment.
const SEARCH_CHUNK_BYTES: usize = 64 << 10;
/// sample_is_non_sync_sample (ISO/IEC 14496-12, 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// A file as found.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Bytes of `ftyp` and `moov`; 0 when they are not whole.
    pub init_bytes: u64,
    pub tracks: Vec<FoundTrack>,
    pub fragments: Vec<FoundFragment>,
    /// Length of the whole part: where a torn file is to be cut.
    pub whole_bytes: u64,
    /// Why the rest is not part of it; `None` when there is no rest.
    pub damage: Option<Damage>,
}

/// What stands before a file's first fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Of `ftyp` and `moov` together, and of the `sidx` boxes of an export.
    pub bytes: u64,
    pub tracks: Vec<FoundTrack>,
    /// The same tracks as a ring would describe them; `None` for what [`crate::Movie`] does not write.
    pub streams: Vec<Option<Track>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundTrack {
    /// Index into the ring's tracks.
    pub track: u32,
    pub video: bool,
    pub base: TimeBase,
    /// Decode time that is the file's time zero, from the edit list.
    pub lead_ticks: u64,
}

/// A whole fragment.
#[derive(Clone, Debug)]
pub struct FoundFragment {
    /// Where its `uuid` box begins.
    pub at_bytes: u64,
    /// Of `uuid`, `moof` and `mdat` together.
    pub bytes: u64,
    pub origin: Origin,
    crc: u32,
    pub samples: Vec<FoundSample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundSample {
    /// Index into the ring's tracks.
    pub track: u32,
    pub key: bool,
    /// In the track's time base.
    pub decode_ticks: u64,
    pub duration_ticks: u32,
    pub composition_ticks: i64,
    pub at_bytes: u64,
    pub bytes: u32,
}

/// Where and why a file stops being whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at_bytes}: {what}")]
pub struct Damage {
    pub at_bytes: u64,
    pub what: &'static str,
}

impl FoundFragment {
    /// Whether decoding can start here: the first video sample is a key frame.
    pub fn begins_with_key(&self, tracks: &[FoundTrack]) -> bool {
        let is_video = |index: u32| tracks.iter().any(|track| track.track == index && track.video);
        self.samples.iter().find(|sample| is_video(sample.track)).is_some_and(|sample| sample.key)
    }
}

/// Reads the structure of a file. An `Err` is the reader's; whatever the bytes are is a [`Scan`].
pub fn scan<R: Read + Seek>(reader: &mut R) -> std::io::Result<Scan> {
    let mut file = File { len: reader.seek(SeekFrom::End(0))?, reader };
    let mut found = Scan {
        init_bytes: 0,
        tracks: Vec::new(),
        fragments: Vec::new(),
        whole_bytes: 0,
        damage: None,
    };
    found.damage = match file.init_segment()? {
        Ok(init) => {
            found.init_bytes = init.bytes;
            found.whole_bytes = init.bytes;
            found.tracks = init.tracks;
            found.take_fragments(&mut file)?
        }
        Err(what) => Some(Damage { at_bytes: 0, what }),
    };
    Ok(found)
}

/// Reads what stands before the fragments. The outer `Err` is the reader's.
pub fn read_init<R: Read + Seek>(reader: &mut R) -> std::io::Result<Result<Init, Damage>> {
    let mut file = File { len: reader.seek(SeekFrom::End(0))?, reader };
    Ok(file.init_segment()?.map_err(|what| Damage { at_bytes: 0, what }))
}

/// Reads the headers of the fragment that begins at `at_bytes`. The outer `Err` is the reader's.
pub fn read_fragment<R: Read + Seek>(
    reader: &mut R,
    at_bytes: u64,
    tracks: &[FoundTrack],
) -> std::io::Result<Result<FoundFragment, Damage>> {
    let mut file = File { len: reader.seek(SeekFrom::End(0))?, reader };
    Ok(file.fragment(at_bytes, tracks)?.map_err(|what| Damage { at_bytes, what }))
}

/// Reads a fragment's every byte and compares its checksum.
pub fn is_intact<R: Read + Seek>(
    reader: &mut R,
    fragment: &FoundFragment,
) -> std::io::Result<bool> {
    let covered_bytes = fragment.origin.encode().len() as u64;
    let crc_end = covered_bytes + CRC_BYTES as u64;
    let mut hasher = crc32fast::Hasher::new();
    reader.seek(SeekFrom::Start(fragment.at_bytes))?;
    hash(&mut hasher, reader, covered_bytes)?;
    reader.seek(SeekFrom::Start(fragment.at_bytes + crc_end))?;
    hash(&mut hasher, reader, fragment.bytes.saturating_sub(crc_end))?;
    Ok(hasher.finalize() == fragment.crc)
}

/// Whether another fragment begins somewhere behind the one at `at_bytes`, whatever that one has become: then
/// its bytes are no write that a death broke off, but damage in the middle.
pub fn holds_more<R: Read + Seek>(reader: &mut R, at_bytes: u64) -> std::io::Result<bool> {
    let behind_its_mark = (HEADER_BYTES - FRAGMENT_UUID.len()) as u64 + 1;
    reader.seek(SeekFrom::Start(at_bytes.saturating_add(behind_its_mark)))?;
    let mut seen = Vec::with_capacity(SEARCH_CHUNK_BYTES + FRAGMENT_UUID.len());
    loop {
        let kept = seen.len().min(FRAGMENT_UUID.len() - 1);
        seen.drain(..seen.len() - kept);
        let read = reader.by_ref().take(SEARCH_CHUNK_BYTES as u64).read_to_end(&mut seen)?;
        if seen.windows(FRAGMENT_UUID.len()).any(|bytes| bytes == FRAGMENT_UUID) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
    }
}

fn hash<R: Read>(
    hasher: &mut crc32fast::Hasher,
    reader: &mut R,
    bytes: u64,
) -> std::io::Result<()> {
    let mut limited = reader.take(bytes);
    let mut chunk = vec![0; HASH_CHUNK_BYTES];
    loop {
        let read = limited.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        hasher.update(&chunk[..read]);
    }
}

impl Scan {
    fn take_fragments<R: Read + Seek>(
        &mut self,
        file: &mut File<'_, R>,
    ) -> std::io::Result<Option<Damage>> {
        while self.whole_bytes < file.len {
            match file.fragment(self.whole_bytes, &self.tracks)? {
                Ok(fragment) => {
                    self.whole_bytes += fragment.bytes;
                    self.fragments.push(fragment);
                }
                Err(what) => return Ok(Some(Damage { at_bytes: self.whole_bytes, what })),
            }
        }
        Ok(None)
    }
}

/// What stands in the bytes, or why they are not whole. The outer `Result` is the reader's.
type Found<T> = std::io::Result<Result<T, &'static str>>;

/// Takes the inner value or returns the inner reason.
macro_rules! whole {
    ($found:expr) => {
        match $found {
            Ok(value) => value,
            Err(what) => return Ok(Err(what)),
        }
    };
}

struct File<'a, R> {
    reader: &'a mut R,
    len: u64,
}

/// A box's place: where its content begins and how long that is.
#[derive(Clone, Copy)]
struct Place {
    content_at: u64,
    content_bytes: u64,
}

impl Place {
    fn end(self) -> u64 {
        self.content_at + self.content_bytes
    }
}

impl<R: Read + Seek> File<'_, R> {
    fn init_segment(&mut self) -> Found<Init> {
        let ftyp = whole!(self.place(0, b"ftyp")?);
        let moov = whole!(self.place(ftyp.end(), b"moov")?);
        let content = whole!(self.content(moov)?);
        let found: Option<(Vec<_>, Vec<_>)> =
            tracks(&content).map(|found| found.into_iter().unzip());
        let (tracks, streams) = whole!(found.ok_or("the moov box makes no sense"));
        let mut bytes = moov.end();
        // An export has its index here.
        while let Ok(sidx) = self.place(bytes, b"sidx")? {
            bytes = sidx.end();
        }
        Ok(Ok(Init { bytes, tracks, streams }))
    }

    fn fragment(&mut self, at: u64, tracks: &[FoundTrack]) -> Found<FoundFragment> {
        let uuid = whole!(self.place(at, b"uuid")?);
        let moof = whole!(self.place(uuid.end(), b"moof")?);
        let mdat = whole!(self.place(moof.end(), b"mdat")?);
        let body = whole!(self.content(uuid)?);
        let head = uuid.content_at - at + 16;
        let origin = Origin::decode(&body).filter(|_| head == HEADER_BYTES as u64);
        let (origin, crc) = whole!(origin.ok_or("the uuid box is not one of ours"));
        let moof_content = whole!(self.content(moof)?);
        let moof_at = uuid.end();
        let samples = samples(&moof_content, moof_at, mdat, tracks);
        let samples = whole!(samples.ok_or("the moof box does not fit its mdat box"));
        if !accounts_for(&origin, &samples) {
            return Ok(Err("the uuid and moof boxes count different packets"));
        }
        let bytes = mdat.end() - at;
        Ok(Ok(FoundFragment { at_bytes: at, bytes, origin, crc, samples }))
    }

    /// The box at `at`, when it is of that kind and ends inside the file.
    fn place(&mut self, at: u64, kind: &[u8; 4]) -> Found<Place> {
        let mut head = [0; 16];
        let there = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX).min(16);
        self.reader.seek(SeekFrom::Start(at))?;
        self.reader.read_exact(&mut head[..there])?;
        let (seen, head_bytes, content_bytes) =
            whole!(boxes::header(&head[..there]).ok_or("no box begins here"));
        if seen != FourCC::new(kind) {
            return Ok(Err("another box than expected"));
        }
        let content_at = at + head_bytes;
        let inside = content_at.checked_add(content_bytes).is_some_and(|end| end <= self.len);
        Ok(if inside { Ok(Place { content_at, content_bytes }) } else { Err("a box is cut off") })
    }

    fn content(&mut self, place: Place) -> Found<Vec<u8>> {
        if place.content_bytes > READ_MAX_BYTES {
            return Ok(Err("a box is larger than the recorder writes"));
        }
        let mut content = vec![0; usize::try_from(place.content_bytes).unwrap_or(0)];
        self.reader.seek(SeekFrom::Start(place.content_at))?;
        self.reader.read_exact(&mut content)?;
        Ok(Ok(content))
    }
}

fn tracks(moov: &[u8]) -> Option<Vec<(FoundTrack, Option<Track>)>> {
    let mut found = Vec::new();
    for child in boxes::children(moov) {
        let (kind, trak) = child?;
        if kind == FourCC::new(b"trak") {
            found.push(track(trak)?);
        }
    }
    Some(found)
}

fn track(trak: &[u8]) -> Option<(FoundTrack, Option<Track>)> {
    let tkhd: Tkhd = boxes::decode(boxes::only(trak, b"tkhd")?)?;
    let mdia = boxes::only(trak, b"mdia")?;
    let mdhd: Mdhd = boxes::decode(boxes::only(mdia, b"mdhd")?)?;
    let video = boxes::only(boxes::only(mdia, b"minf")?, b"vmhd").is_some();
    let base = TimeBase { num: 1, den: mdhd.timescale };
    let index = tkhd.track_id.checked_sub(1)?;
    let found = FoundTrack { track: index, video, base, lead_ticks: lead_ticks(trak) };
    (mdhd.timescale > 0).then(|| (found, describe::stream(trak, base)))
}

/// Where the only edit that we write begins; without one the track begins at zero.
fn lead_ticks(trak: &[u8]) -> u64 {
    let elst = boxes::only(trak, b"edts").and_then(|edts| boxes::only(edts, b"elst"));
    let elst: Option<Elst> = elst.and_then(boxes::decode);
    elst.and_then(|elst| elst.entries.first()?.media_time).unwrap_or(0)
}

fn samples(
    moof: &[u8],
    moof_at: u64,
    mdat: Place,
    tracks: &[FoundTrack],
) -> Option<Vec<FoundSample>> {
    let mut found = Vec::new();
    for child in boxes::children(moof) {
        let (kind, traf) = child?;
        if kind == FourCC::new(b"traf") {
            track_samples(traf, moof_at, mdat, tracks, &mut found)?;
        }
    }
    Some(found)
}

fn track_samples(
    traf: &[u8],
    moof_at: u64,
    mdat: Place,
    tracks: &[FoundTrack],
    found: &mut Vec<FoundSample>,
) -> Option<()> {
    let tfhd: Tfhd = boxes::decode(boxes::only(traf, b"tfhd")?)?;
    let tfdt: Tfdt = boxes::decode(boxes::only(traf, b"tfdt")?)?;
    let trun: Trun = boxes::decode(boxes::only(traf, b"trun")?)?;
    let index = tfhd.track_id.checked_sub(1)?;
    let track = tracks.iter().find(|track| track.track == index)?;
    let TrunSamples::Explicit(entries) = trun.samples else {
        return None;
    };
    let mut at_bytes = moof_at.checked_add_signed(trun.data_offset?.into())?;
    let mut decode_ticks = tfdt.base_media_decode_time;
    for entry in entries {
        let sample = FoundSample {
            track: index,
            key: entry.flags.map_or(!track.video, |flags| flags & NON_SYNC == 0),
            decode_ticks,
            duration_ticks: entry.duration?,
            composition_ticks: entry.cts.unwrap_or(0),
            at_bytes,
            bytes: entry.size?,
        };
        decode_ticks = decode_ticks.checked_add(sample.duration_ticks.into())?;
        at_bytes = at_bytes.checked_add(sample.bytes.into())?;
        if sample.at_bytes < mdat.content_at || at_bytes > mdat.end() {
            return None;
        }
        found.push(sample);
    }
    Some(())
}

/// Each packet that the origin says is recorded has its sample, and there is no other.
fn accounts_for(origin: &Origin, samples: &[FoundSample]) -> bool {
    let mut open = [0usize; 256];
    for track in origin.packets.iter().flatten() {
        open[usize::from(*track)] += 1;
    }
    let mut settle = |sample: &FoundSample| {
        let count = open.get_mut(sample.track as usize)?;
        *count = count.checked_sub(1)?;
        Some(())
    };
    samples.iter().all(|sample| settle(sample).is_some()) && open.iter().all(|&count| count == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use protocol::time::UtcNs;

    use super::*;
    use crate::movie::tests::{aac, h264};
    use crate::{Fragment, Movie, Muxer, OriginFlags, Sample};

    /// Three fragments of four pictures, two sounds and one packet left out.
    fn file() -> Vec<u8> {
        let (movie, _) = Movie::new(&[h264(), aac()]);
        let mut muxer = None;
        let mut bytes = Vec::new();
        for number in 0..3 {
            let fragment = fragment(number);
            let muxer = muxer.get_or_insert_with(|| Muxer::new(movie.clone(), &fragment));
            if number == 0 {
                bytes = muxer.init_segment().unwrap();
            }
            bytes.extend(muxer.write(&fragment, None).unwrap());
        }
        bytes
    }

    fn fragment(number: u64) -> Fragment {
        let ring = "cam1.packets".parse().unwrap();
        let first = number * 7 + 1;
        let mut fragment = Fragment::new(&ring, 5, first, UtcNs(number), OriginFlags::default());
        for place in 0..6 {
            let dts_ns = i64::try_from(number * 6 + place).unwrap() * 40_000_000;
            let payload = vec![0, 0, 0, 1, 0x65, 1, 2, 3];
            let track = u32::from(place % 3 == 2);
            let key = place == 0 || track == 1;
            fragment.push(Sample { track, key, pts_ns: dts_ns, dts_ns, duration_ns: 0, payload });
        }
        fragment.leave_out();
        fragment
    }

    fn scanned(bytes: &[u8]) -> Scan {
        scan(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn a_whole_file_has_no_damage_and_tells_every_packet() {
        let bytes = file();
        let found = scanned(&bytes);
        assert_eq!(found.damage, None);
        assert_eq!(found.whole_bytes, bytes.len() as u64);
        let recorded = |at: usize| found.fragments[at].origin.recorded().collect::<Vec<_>>();
        assert_eq!(recorded(1), [8, 9, 10, 11, 12, 13]);
        assert_eq!(found.fragments[2].origin.last(), 21);
        assert!(found.fragments.iter().all(|fragment| fragment.begins_with_key(&found.tracks)));
    }

    #[test]
    fn a_file_torn_anywhere_keeps_its_whole_fragments() {
        let bytes = file();
        let whole = scanned(&bytes);
        let ends: Vec<u64> =
            whole.fragments.iter().map(|fragment| fragment.at_bytes + fragment.bytes).collect();
        for length in 0..bytes.len() {
            let found = scanned(&bytes[..length]);
            let kept = ends.iter().filter(|&&end| end <= length as u64).count();
            assert_eq!(found.fragments.len(), kept, "torn at {length}");
            assert!(found.whole_bytes <= length as u64);
            let torn = found.damage.is_some();
            assert_eq!(torn, found.whole_bytes != length as u64 || length == 0, "at {length}");
        }
    }

    #[test]
    fn a_changed_byte_anywhere_in_a_fragment_is_found() {
        let bytes = file();
        let fragment = scanned(&bytes).fragments.remove(1);
        assert!(is_intact(&mut Cursor::new(&bytes), &fragment).unwrap());
        let begin = usize::try_from(fragment.at_bytes).unwrap();
        for at in begin..begin + usize::try_from(fragment.bytes).unwrap() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let found = scanned(&changed);
            let intact = found
                .fragments
                .get(1)
                .is_some_and(|f| is_intact(&mut Cursor::new(&changed), f).unwrap());
            assert!(!intact, "byte {at}");
        }
    }

    #[test]
    fn a_torn_end_holds_no_more_and_damage_in_the_middle_does() {
        let bytes = file();
        let found = scanned(&bytes);
        let [first, second, last] = &found.fragments[..] else { panic!("three fragments") };
        let more = |bytes: &[u8], at| holds_more(&mut Cursor::new(bytes), at).unwrap();
        assert!(more(&bytes, 0) && more(&bytes, first.at_bytes) && more(&bytes, second.at_bytes));
        assert!(!more(&bytes, last.at_bytes) && !more(&bytes, found.whole_bytes));
        for length in 0..bytes.len() {
            let torn = &bytes[..length];
            let whole_bytes = scanned(torn).whole_bytes;
            assert!(!more(torn, whole_bytes), "torn at {length}");
        }
        // Wherever what is read at a time ends.
        for chunk_ends in 0..2 * FRAGMENT_UUID.len() {
            let far = [vec![0; SEARCH_CHUNK_BYTES - chunk_ends], FRAGMENT_UUID.to_vec()].concat();
            assert!(more(&far, 0), "{chunk_ends}");
        }
    }

    #[test]
    fn zeros_behind_a_file_are_cut_off() {
        let mut bytes = file();
        let whole = bytes.len() as u64;
        bytes.extend([0; 4096]);
        assert_eq!(scanned(&bytes).whole_bytes, whole);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(scanned(&bytes).fragments.is_empty());
        }

        #[test]
        fn a_scribbled_file_never_panics(
            scribbles in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        ) {
            let mut bytes = file();
            for (at, value) in scribbles {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let found = scanned(&bytes);
            prop_assert!(found.whole_bytes <= bytes.len() as u64);
            for fragment in &found.fragments {
                let _ = is_intact(&mut Cursor::new(&bytes), fragment).unwrap();
            }
        }
    }
}
