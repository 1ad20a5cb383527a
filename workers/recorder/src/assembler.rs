//! Packets into pieces of files. Pure: the bytes it gives are all that is to be written.
//!
//! It keeps one fragment in memory and knows the last packet it saw, so it also tells what is
//! missing in front of a packet. A file begins with a key frame of the first video track, except
//! inside a group of pictures that the file before it holds the begin of. Where neither is to be had
//! (the ring's oldest packet, a hole) pictures are left out until the next key frame, and counted.

use std::time::Duration;

use fmp4::{Fragment, Movie, Muxer, NextDecode, OriginFlags, Sample, parameter_sets};
use protocol::name::RingName;
use protocol::stream::{Codec, TRACKS_MAX, Track};
use protocol::time::{ClockSource, MonoNs, UtcNs};
use shmring::{Packet, PacketMeta};

use crate::cut::{self, Arrival, Cut, Progress};
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
}

/// The file under way.
#[derive(Debug)]
struct OpenFile {
    /// As the ring described them when the file began.
    ring_tracks: Vec<Track>,
    /// The same with the parameter sets that the pictures really use.
    tracks: Vec<Track>,
    movie: Movie,
    refused: String,
    /// There once the first fragment is complete.
    muxer: Option<Muxer>,
    fragment: Option<OpenFragment>,
    /// Flag of the next fragment.
    discontinuity: bool,
    /// Pictures can be decoded from what is recorded.
    decodable: bool,
    left_out: u64,
    renew: bool,
    begin_dts_ns: i64,
    previous_dts_ns: [Option<i64>; TRACKS_MAX],
}

#[derive(Debug)]
struct OpenFragment {
    fragment: Fragment,
    begin_dts_ns: i64,
    published: MonoNs,
}

/// Whether a file may begin with this packet.
pub(crate) fn is_entry(tracks: &[Track], meta: &PacketMeta) -> bool {
    lead(tracks).is_none_or(|lead| meta.key && meta.track == lead)
}

/// The track whose key frames begin fragments and files: the first video track that MP4 carries.
fn lead(tracks: &[Track]) -> Option<u32> {
    let carried = |track: &Track| matches!(track.codec, Codec::H264 | Codec::H265);
    u32::try_from(tracks.iter().position(carried)?).ok()
}

impl Assembler {
    /// Goes on behind `last`, or begins with whatever comes.
    pub(crate) fn new(ring: &RingName, segment: Duration, last: Option<PacketId>) -> Self {
        let segment_ns = i64::try_from(segment.as_nanos()).unwrap_or(i64::MAX);
        Self { ring: ring.clone(), segment_ns, last, file: None }
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
            self.file = Some(OpenFile::begin(&packet, tracks, follows, before.as_ref()));
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

impl OpenFile {
    fn begin(packet: &Packet, tracks: &[Track], follows: bool, before: Option<&Self>) -> Self {
        let described = describe(tracks, packet);
        let (movie, refused) = Movie::new(&described);
        let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
        Self {
            ring_tracks: tracks.to_vec(),
            tracks: described,
            movie,
            refused: refused.join("; "),
            muxer: None,
            fragment: None,
            discontinuity: !follows,
            decodable: follows && before.is_none_or(|file| file.decodable),
            left_out: 0,
            renew: false,
            begin_dts_ns: packet.meta.dts_ns,
            previous_dts_ns: [None; TRACKS_MAX],
        }
    }

    fn cut(&self, packet: &Packet, tracks: &[Track], entry: bool, segment_ns: i64) -> Cut {
        if entry && self.is_described_anew(packet, tracks) {
            return Cut::File;
        }
        let fragment = self.fragment.as_ref();
        let progress = Progress {
            segment_ns,
            file_dts_ns: self.begin_dts_ns,
            fragment_dts_ns: fragment.map_or(packet.meta.dts_ns, |open| open.begin_dts_ns),
            fragment_bytes: fragment.map_or(0, |open| open.fragment.payload_bytes()),
            renew: self.renew,
        };
        cut::decide(&progress, &self.arrival(packet, entry))
    }

    /// Whether the tracks, or the parameter sets of this key frame, are not those of the file.
    fn is_described_anew(&self, packet: &Packet, tracks: &[Track]) -> bool {
        if tracks != self.ring_tracks {
            return describe(tracks, packet) != self.tracks;
        }
        let own = self.tracks.get(packet.meta.track as usize);
        own.is_some_and(|track| {
            parameter_sets(track.codec, &packet.payload).is_some_and(|sets| sets != track.extradata)
        })
    }

    fn arrival(&self, packet: &Packet, entry: bool) -> Arrival {
        let previous = self.previous_dts_ns.get(packet.meta.track as usize);
        Arrival {
            entry,
            group: entry && self.is_picture(packet.meta.track),
            dts_ns: packet.meta.dts_ns,
            previous_dts_ns: previous.copied().flatten(),
            payload_bytes: packet.payload.len(),
            discontinuity: packet.meta.discontinuity,
        }
    }

    /// Takes a packet that belongs to this file. Gives the pictures left out before a key frame.
    fn push(&mut self, ring: &RingName, packet: Packet, entry: bool) -> u64 {
        let arrival = self.arrival(&packet, entry);
        self.renew |= !entry && cut::asks_for_renewal(&arrival);
        self.discontinuity |= packet.meta.discontinuity;
        self.decodable |= entry;
        if let Some(previous) = self.previous_dts_ns.get_mut(packet.meta.track as usize) {
            *previous = Some(packet.meta.dts_ns);
        }
        let picture = self.is_picture(packet.meta.track);
        if !self.movie.carries(packet.meta.track) || (picture && !self.decodable) {
            self.left_out += u64::from(picture);
            if let Some(open) = &mut self.fragment {
                open.fragment.leave_out();
            }
            return 0;
        }
        self.open_fragment(ring, &packet).push(sample(packet));
        if entry { std::mem::take(&mut self.left_out) } else { 0 }
    }

    fn is_picture(&self, track: u32) -> bool {
        self.tracks.get(track as usize).is_some_and(|track| track.codec.is_video())
    }

    fn open_fragment(&mut self, ring: &RingName, first: &Packet) -> &mut Fragment {
        let discontinuity = std::mem::take(&mut self.discontinuity);
        let open = self.fragment.get_or_insert_with(|| {
            let camera_clock = first.meta.clock == ClockSource::Camera;
            let flags = OriginFlags { discontinuity, camera_clock };
            let capture = first.meta.capture.utc;
            OpenFragment {
                fragment: Fragment::new(ring, first.epoch, first.sequence, capture, flags),
                begin_dts_ns: first.meta.dts_ns,
                published: first.published,
            }
        });
        &mut open.fragment
    }

    fn end_fragment(&mut self, next: Option<NextDecode>) -> Result<Option<Piece>, fmp4::Error> {
        let Some(OpenFragment { fragment, .. }) = self.fragment.take() else {
            return Ok(None);
        };
        let origin = fragment.origin();
        let last = PacketId { epoch: origin.epoch, sequence: origin.last() };
        if let Some(muxer) = &mut self.muxer {
            let bytes = muxer.write(&fragment, next)?;
            return Ok(Some(Piece { begins: None, bytes, last }));
        }
        let muxer = self.muxer.insert(Muxer::new(self.movie.clone(), &fragment));
        let mut bytes = muxer.init_segment()?;
        bytes.extend(muxer.write(&fragment, next)?);
        Ok(Some(Piece { begins: Some(origin.capture), bytes, last }))
    }
}

/// The tracks with their parameter sets in one form, taken from the packet itself where it brings
/// some: the ring's description may be older or newer than the packet.
fn describe(tracks: &[Track], packet: &Packet) -> Vec<Track> {
    let mut described = tracks.to_vec();
    for (index, track) in described.iter_mut().enumerate() {
        let own = packet.meta.track as usize == index;
        let from_packet = own.then(|| parameter_sets(track.codec, &packet.payload)).flatten();
        let sets = from_packet.or_else(|| parameter_sets(track.codec, &track.extradata));
        if let Some(sets) = sets {
            track.extradata = sets;
        }
    }
    described
}

fn sample(packet: Packet) -> Sample {
    let PacketMeta { track, key, pts_ns, dts_ns, duration_ns, .. } = packet.meta;
    Sample { track, key, pts_ns, dts_ns, duration_ns, payload: packet.payload }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use fmp4::scan;
    use protocol::stream::Track;
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
        let capture = Stamp { mono: MonoNs(0), utc: UtcNs(sequence) };
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
    fn long_groups_are_cut_each_second_and_files_at_key_frames() {
        let files = record(&mut assembler(Duration::from_secs(3)), (1..=230).map(picture));
        assert_eq!(files.len(), 3);
        let begins: Vec<u64> = files[0].iter().map(|fragment| fragment[0]).collect();
        assert_eq!(begins, [1, 26, 51, 76]);
        assert_eq!((files[1][0][0], files[2][0][0]), (101, 201));
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
        let piece = assembler.flush().unwrap().unwrap();
        let found = scan(&mut Cursor::new(&piece.bytes)).unwrap();
        assert_eq!(found.fragments[0].origin.packets, [Some(0), None, Some(0)]);
    }
}
