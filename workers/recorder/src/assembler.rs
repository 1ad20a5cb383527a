//! Packets into pieces of files. Pure: the bytes it gives are all that is to be written.
//!
//! It keeps one fragment in memory and knows the last packet it saw, so it also tells what is
//! missing in front of a packet. A file begins with a key frame of the first video track, except
//! inside a group of pictures that the file before it holds the begin of. Where neither is to be had
//! (the ring's oldest packet, a hole) pictures are left out until the next key frame, and counted.

use std::time::Duration;

use fmp4::NextDecode;
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::{MonoNs, UtcNs};
use shmring::{Packet, PacketMeta};

use crate::cut::Cut;
use crate::open_file::{OpenFile, is_entry};
use crate::packet_id::PacketId;

/// A fragment that nothing follows is written after this long: a camera that stalls has its last
/// pictures on disk.
const STALL: Duration = Duration::from_secs(1);

/// Bytes to be appended with one write.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The piece begins a new file, whose first packet was captured then.
    pub(crate) begins: Option<UtcNs>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) first: PacketId,
    pub(crate) last: PacketId,
}

/// What came of a packet.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) piece: Option<Piece>,
    /// Packets that were published in front of this one and never seen.
    pub(crate) missing: u64,
    /// Pictures left out before this key frame, because none of them could be decoded.
    pub(crate) left_out: u64,
}

#[derive(Debug)]
pub(crate) struct Assembler {
    ring: RingName,
    segment_ns: i64,
    /// The last packet seen.
    last: Option<PacketId>,
    file: Option<OpenFile>,
    /// What lies before the next file was not to be recorded.
    paused: bool,
}

impl Assembler {
    /// Goes on behind `last`, or begins with whatever comes.
    pub(crate) fn new(ring: &RingName, segment: Duration, last: Option<PacketId>) -> Self {
        let segment_ns = i64::try_from(segment.as_nanos()).unwrap_or(i64::MAX);
        Self { ring: ring.clone(), segment_ns, last, file: None, paused: false }
    }

    /// Begins with whatever comes, behind packets that were not to be recorded.
    pub(crate) fn behind_a_pause(ring: &RingName, segment: Duration) -> Self {
        Self { paused: true, ..Self::new(ring, segment, None) }
    }

    /// The last packet seen.
    pub(crate) fn last(&self) -> Option<PacketId> {
        self.last
    }

    /// Which tracks are not recorded, and why; empty when all are.
    pub(crate) fn refused(&self) -> &str {
        self.file.as_ref().map_or("", |file| &file.refused)
    }

    /// Takes the next packet. `tracks` is how the ring describes itself now.
    pub(crate) fn take(&mut self, packet: Packet, tracks: &[Track]) -> Result<Taken, fmp4::Error> {
        let id = PacketId { epoch: packet.epoch, sequence: packet.sequence };
        let follows = self.last.is_some_and(|last| id.follows(last));
        let entry = is_entry(tracks, &packet.meta);
        let cut = match &self.file {
            Some(file) if follows => file.cut(&packet, tracks, entry, self.segment_ns),
            _ => Cut::File,
        };
        let piece = match cut {
            Cut::None => None,
            Cut::Fragment | Cut::File => self.end_fragment(follows.then_some(&packet.meta))?,
        };
        let missing = self.missing_before(id);
        if cut == Cut::File {
            let before = self.file.take();
            let (before, segment_ns) = (before.as_ref(), self.segment_ns);
            let mut file =
                OpenFile::begin(&self.ring, &packet, tracks, follows, before, segment_ns);
            file.paused = std::mem::take(&mut self.paused);
            self.file = Some(file);
        }
        self.last = Some(id);
        let left_out = self.file.as_mut().map_or(0, |file| file.push(&self.ring, packet, entry));
        Ok(Taken { piece, missing, left_out })
    }

    /// Ends the open fragment although nothing follows it.
    pub(crate) fn flush(&mut self) -> Result<Option<Piece>, fmp4::Error> {
        self.end_fragment(None)
    }

    /// As [`Self::flush`] when the fragment has waited long enough.
    pub(crate) fn flush_stalled(&mut self, now: MonoNs) -> Result<Option<Piece>, fmp4::Error> {
        let fragment = self.file.as_ref().and_then(|file| file.fragment.as_ref());
        let stalled = fragment.is_some_and(|open| now.saturating_since(open.published) >= STALL);
        if stalled { self.flush() } else { Ok(None) }
    }

    fn missing_before(&self, id: PacketId) -> u64 {
        let Some(last) = self.last else {
            return 0;
        };
        // A new epoch counts from 1; the reader drained the one before it.
        last.missing_before(id).unwrap_or_else(|| id.sequence.saturating_sub(1))
    }

    fn end_fragment(&mut self, next: Option<&PacketMeta>) -> Result<Option<Piece>, fmp4::Error> {
        let next = next.map(|meta| NextDecode { track: meta.track, dts_ns: meta.dts_ns });
        self.file.as_mut().map_or(Ok(None), |file| file.end_fragment(next))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use fmp4::scan;
    use protocol::stream::Codec;
    use protocol::time::{Stamp, TimeBase};

    const SETS: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68,
        0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    ];
    const PICTURE_NS: i64 = 40_000_000;

    fn video() -> Track {
        Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: SETS.to_vec(),
        }
    }

    /// Picture `sequence` of a stream with a key frame every 50 (2 s).
    fn picture(sequence: u64) -> Packet {
        let time_ns = i64::try_from(sequence).unwrap() * PICTURE_NS;
        let key = sequence % 50 == 1;
        let slice: &[u8] = if key { &[0, 0, 0, 1, 0x65, 1, 2] } else { &[0, 0, 0, 1, 0x41, 3] };
        let payload = if key { [SETS, slice].concat() } else { slice.to_vec() };
        let capture = Stamp { mono: MonoNs(0), utc: UtcNs(time_ns.unsigned_abs()) };
        let meta =
            PacketMeta { key, pts_ns: time_ns, dts_ns: time_ns, capture, ..PacketMeta::default() };
        Packet { epoch: 1, sequence, meta, published: MonoNs(sequence), payload }
    }

    fn assembler(segment: Duration) -> Assembler {
        Assembler::new(&"cam1.packets".parse().unwrap(), segment, None)
    }

    /// Files as lists of fragments as lists of sequences.
    fn record(
        assembler: &mut Assembler,
        packets: impl IntoIterator<Item = Packet>,
    ) -> Vec<Vec<Vec<u64>>> {
        let mut files: Vec<Vec<u8>> = Vec::new();
        let mut append = |piece: Piece| {
            if piece.begins.is_some() {
                files.push(Vec::new());
            }
            files.last_mut().unwrap().extend(piece.bytes);
        };
        for packet in packets {
            assembler.take(packet, &[video()]).unwrap().piece.map(&mut append);
        }
        assembler.flush().unwrap().map(&mut append);
        let fragments = |bytes: &Vec<u8>| {
            let found = scan(&mut Cursor::new(bytes)).unwrap();
            assert_eq!(found.damage, None);
            found.fragments.iter().map(|f| f.origin.recorded().collect()).collect()
        };
        files.iter().map(fragments).collect()
    }

    #[test]
    fn long_groups_are_cut_each_second_and_files_at_the_key_frames_nearest_to_each_third() {
        let files = record(&mut assembler(Duration::from_secs(3)), (1..=230).map(picture));
        let begins: Vec<u64> = files[1].iter().map(|fragment| fragment[0]).collect();
        assert_eq!(begins, [51, 76, 101, 126]);
        // Key frames at 0.04 s, 2.04 s, 6.04 s and 8.04 s.
        let files_begin: Vec<u64> = files.iter().map(|file| file[0][0]).collect();
        assert_eq!(files_begin, [1, 51, 151, 201]);
        let all: Vec<u64> = files.into_iter().flatten().flatten().collect();
        assert_eq!(all, (1..=230).collect::<Vec<_>>());
    }

    #[test]
    fn pictures_before_the_first_key_frame_are_left_out_and_counted() {
        let mut assembler = assembler(Duration::from_secs(60));
        for sequence in 41..=50 {
            assert!(assembler.take(picture(sequence), &[video()]).unwrap().piece.is_none());
        }
        assert_eq!(assembler.take(picture(51), &[video()]).unwrap().left_out, 10);
        let files = record(&mut assembler, (52..=60).map(picture));
        assert_eq!(files, [[(51..=60).collect::<Vec<_>>()]]);
    }

    #[test]
    fn a_hole_begins_a_file_at_the_next_key_frame_and_is_told() {
        let mut assembler = assembler(Duration::from_secs(60));
        let files = record(&mut assembler, (1..=10).map(picture));
        assert_eq!(files.len(), 1);
        assert_eq!(assembler.take(picture(21), &[video()]).unwrap().missing, 10);
        let files = record(&mut assembler, (22..=60).map(picture));
        assert_eq!(files, [[(51..=60).collect::<Vec<_>>()]]);
    }

    #[test]
    fn what_lies_before_a_file_that_begins_behind_a_pause_is_not_missing() {
        let ring = "cam1.packets".parse().unwrap();
        let mut assembler = Assembler::behind_a_pause(&ring, Duration::from_secs(60));
        assert_eq!(assembler.take(picture(51), &[video()]).unwrap().missing, 0);
        let piece = assembler.flush().unwrap().unwrap();
        let found = scan(&mut Cursor::new(&piece.bytes)).unwrap();
        assert!(found.fragments[0].origin.flags.paused);
        assembler.take(picture(52), &[video()]).unwrap();
        let piece = assembler.take(picture(101), &[video()]).unwrap().piece;
        assert!(piece.is_some_and(|piece| piece.begins.is_none()));
    }

    #[test]
    fn a_file_that_goes_on_inside_a_group_leaves_nothing_out() {
        let last = Some(PacketId { epoch: 1, sequence: 30 });
        let ring = "cam1.packets".parse().unwrap();
        let mut assembler = Assembler::new(&ring, Duration::from_secs(60), last);
        let files = record(&mut assembler, (31..=40).map(picture));
        assert_eq!(files, [[(31..=40).collect::<Vec<_>>()]]);
    }

    #[test]
    fn a_new_epoch_is_a_new_file() {
        let mut assembler = assembler(Duration::from_secs(60));
        let second_life = (1..=10).map(|sequence| Packet { epoch: 2, ..picture(sequence) });
        let files = record(&mut assembler, (1..=10).map(picture).chain(second_life));
        assert_eq!(files, [[(1..=10).collect::<Vec<_>>()], [(1..=10).collect::<Vec<_>>()]]);
    }

    #[test]
    fn other_parameter_sets_are_a_new_file() {
        let mut assembler = assembler(Duration::from_secs(60));
        let mut changed = picture(51);
        changed.payload[9] ^= 1;
        let packets = (1..=50).map(picture).chain([changed]).chain((52..=60).map(picture));
        assert_eq!(record(&mut assembler, packets).len(), 2);
    }

    /// Files as lists of fragments' lengths.
    fn lengths(assembler: &mut Assembler, track: &Track, packets: Vec<Packet>) -> Vec<Vec<usize>> {
        let mut files: Vec<Vec<u8>> = Vec::new();
        let mut append = |piece: Piece| {
            if piece.begins.is_some() {
                files.push(Vec::new());
            }
            files.last_mut().unwrap().extend(piece.bytes);
        };
        for packet in packets {
            let taken = assembler.take(packet, std::slice::from_ref(track)).unwrap();
            taken.piece.map(&mut append);
        }
        assembler.flush().unwrap().map(&mut append);
        let length = |bytes: &Vec<u8>| {
            let found = scan(&mut Cursor::new(bytes)).unwrap();
            assert!(found.fragments[0].begins_with_key(&found.tracks));
            found.fragments.iter().map(|fragment| fragment.samples.len()).collect()
        };
        files.iter().map(length).collect()
    }

    #[test]
    fn pictures_that_stand_by_themselves_share_fragments_of_a_second() {
        // As much of a JPEG as tells its size, 16x16.
        let jpeg = vec![0xff, 0xd8, 0xff, 0xc0, 0, 8, 8, 0, 16, 0, 16, 1];
        let track = Track { codec: Codec::Mjpeg, extradata: Vec::new(), ..video() };
        let still = |sequence| {
            let mut packet = Packet { payload: jpeg.clone(), ..picture(sequence) };
            packet.meta.key = true;
            packet
        };
        let packets = (1..=60).map(still).collect();
        let files = lengths(&mut assembler(Duration::from_secs(60)), &track, packets);
        assert_eq!(files, [[25, 25, 10]]);
    }

    #[test]
    fn a_key_frame_of_vp9_of_another_size_is_a_new_file() {
        // The head of a key frame: profile 0, 8 bit, 320x240.
        let key = [0x82, 0x49, 0x83, 0x42, 0, 0x13, 0xf0, 0x0e, 0xf0];
        let track = Track { codec: Codec::Vp9, extradata: Vec::new(), ..video() };
        let vp9 = |sequence: u64| {
            let mut payload = if sequence % 50 == 1 { key.to_vec() } else { vec![0x86, 0] };
            if sequence == 51 {
                payload[6] = 0xe0; // 319 pixels wide
            }
            Packet { payload, ..picture(sequence) }
        };
        let packets = (1..=60).map(vp9).collect();
        let files = lengths(&mut assembler(Duration::from_secs(60)), &track, packets);
        assert_eq!(files.iter().map(|file| file.iter().sum()).collect::<Vec<usize>>(), [50, 10]);
    }

    #[test]
    fn a_stalled_camera_has_its_last_pictures_written() {
        let mut assembler = assembler(Duration::from_secs(60));
        assembler.take(picture(1), &[video()]).unwrap();
        assert!(assembler.flush_stalled(MonoNs(999_999_999)).unwrap().is_none());
        let piece = assembler.flush_stalled(MonoNs(1_000_000_001)).unwrap().unwrap();
        assert_eq!(piece.last, PacketId { epoch: 1, sequence: 1 });
        assert!(assembler.flush_stalled(MonoNs(9_000_000_000)).unwrap().is_none());
    }

    #[test]
    fn what_mp4_cannot_carry_is_told_and_the_pictures_are_recorded() {
        let mut assembler = assembler(Duration::from_secs(60));
        let sound = Track { codec: Codec::PcmAlaw, ..video() };
        for sequence in 1..=3 {
            let mut packet = picture(sequence);
            packet.meta.track = u32::from(sequence == 2);
            assembler.take(packet, &[video(), sound.clone()]).unwrap();
        }
        assert!(assembler.refused().contains("PcmAlaw"), "{}", assembler.refused());
        let cure = "cam1-aac: {use: encoder, in: cam1.packets, audio: aac}";
        assert!(assembler.refused().contains(cure), "{}", assembler.refused());
        let piece = assembler.flush().unwrap().unwrap();
        let found = scan(&mut Cursor::new(&piece.bytes)).unwrap();
        assert_eq!(found.fragments[0].origin.packets, [Some(0), None, Some(0)]);
    }

    #[test]
    fn what_mp4_cannot_carry_leaves_no_hole_between_fragments() {
        let mut assembler = assembler(Duration::from_secs(60));
        let sound = Track { codec: Codec::PcmAlaw, ..video() };
        let mut bytes = Vec::new();
        // Packet 26, a sound, is the first that is a second later than the key frame.
        for sequence in 1..=100 {
            let mut packet = picture(sequence);
            packet.meta.track = u32::from(sequence % 2 == 0);
            let taken = assembler.take(packet, &[video(), sound.clone()]).unwrap();
            bytes.extend(taken.piece.into_iter().flat_map(|piece| piece.bytes));
        }
        bytes.extend(assembler.flush().unwrap().unwrap().bytes);
        let found = scan(&mut Cursor::new(&bytes)).unwrap();
        let covered: Vec<(u64, u64)> =
            found.fragments.iter().map(|f| (f.origin.first, f.origin.last())).collect();
        assert_eq!(covered, [(1, 26), (27, 50), (51, 76), (77, 100)]);
    }
}
