//! The file under way: its tracks as they are, its open fragment, and whether a packet fits into it.
//! Pure.

use fmp4::{
    Fragment, Movie, Muxer, NextDecode, OriginFlags, Sample, carries, described, is_intra_only,
};
use protocol::name::RingName;
use protocol::stream::{Codec, TRACKS_MAX, Track};
use protocol::time::{ClockSource, MonoNs, UtcNs};
use shmring::{Packet, PacketMeta};

use crate::assembler::Piece;
use crate::cut::{self, Arrival, Cut, Progress};
use crate::packet_id::PacketId;

/// The file under way.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// As the ring described them when the file began.
    ring_tracks: Vec<Track>,
    /// The same with the parameter sets and sizes that the pictures really use.
    tracks: Vec<Track>,
    movie: Movie,
    /// Which tracks are not recorded, and why.
    pub(crate) refused: String,
    /// There once the first fragment is complete.
    muxer: Option<Muxer>,
    pub(crate) fragment: Option<OpenFragment>,
    /// Flags of the next fragment.
    discontinuity: bool,
    pub(crate) paused: bool,
    /// Pictures can be decoded from what is recorded.
    decodable: bool,
    left_out: u64,
    renew: bool,
    begin_dts_ns: i64,
    /// When it should end, on the clock.
    boundary: UtcNs,
    /// Where a file could have begun last.
    entry_dts_ns: i64,
    previous_dts_ns: [Option<i64>; TRACKS_MAX],
}

#[derive(Debug)]
pub(crate) struct OpenFragment {
    fragment: Fragment,
    begin_dts_ns: i64,
    pub(crate) published: MonoNs,
}

/// Whether a file may begin with this packet.
pub(crate) fn is_entry(tracks: &[Track], meta: &PacketMeta) -> bool {
    lead(tracks).is_none_or(|lead| meta.key && meta.track == lead)
}

/// Whether it is of the track whose key frames files begin with; every packet is, without video.
pub(crate) fn is_lead(tracks: &[Track], meta: &PacketMeta) -> bool {
    lead(tracks).is_none_or(|lead| meta.track == lead)
}

/// The track whose key frames begin fragments and files: the first video track that MP4 carries.
fn lead(tracks: &[Track]) -> Option<u32> {
    let carried = |track: &Track| track.codec.is_video() && carries(track.codec);
    u32::try_from(tracks.iter().position(carried)?).ok()
}

impl OpenFile {
    pub(crate) fn begin(
        ring: &RingName,
        packet: &Packet,
        tracks: &[Track],
        follows: bool,
        before: Option<&Self>,
        segment_ns: i64,
    ) -> Self {
        let described = describe(tracks, packet);
        let (movie, refused) = Movie::new(&described);
        let refused: Vec<String> =
            refused.iter().map(ToString::to_string).chain(cure(ring, tracks)).collect();
        Self {
            ring_tracks: tracks.to_vec(),
            tracks: described,
            movie,
            refused: refused.join("; "),
            muxer: None,
            fragment: None,
            discontinuity: !follows,
            paused: false,
            decodable: follows && before.is_none_or(|file| file.decodable),
            left_out: 0,
            renew: false,
            begin_dts_ns: packet.meta.dts_ns,
            boundary: cut::boundary(packet.meta.capture.utc, segment_ns),
            entry_dts_ns: packet.meta.dts_ns,
            previous_dts_ns: [None; TRACKS_MAX],
        }
    }

    pub(crate) fn cut(
        &self,
        packet: &Packet,
        tracks: &[Track],
        entry: bool,
        segment_ns: i64,
    ) -> Cut {
        if entry && self.is_described_anew(packet, tracks) {
            return Cut::File;
        }
        // A fragment that it would begin could not hold it, and it would seem to be lost.
        if !entry && !self.movie.carries(packet.meta.track) {
            return Cut::None;
        }
        let fragment = self.fragment.as_ref();
        let progress = Progress {
            segment_ns,
            file_dts_ns: self.begin_dts_ns,
            boundary: self.boundary,
            entry_dts_ns: self.entry_dts_ns,
            fragment_dts_ns: fragment.map_or(packet.meta.dts_ns, |open| open.begin_dts_ns),
            fragment_bytes: fragment.map_or(0, |open| open.fragment.payload_bytes()),
            renew: self.renew,
        };
        cut::decide(&progress, &self.arrival(packet, entry))
    }

    /// Whether the tracks, or what this key frame says of its own, are not those of the file.
    fn is_described_anew(&self, packet: &Packet, tracks: &[Track]) -> bool {
        if tracks != self.ring_tracks {
            return describe(tracks, packet) != self.tracks;
        }
        let own = self.tracks.get(packet.meta.track as usize);
        own.is_some_and(|track| {
            described(track, &packet.payload).is_some_and(|anew| anew != *track)
        })
    }

    fn arrival(&self, packet: &Packet, entry: bool) -> Arrival {
        let previous = self.previous_dts_ns.get(packet.meta.track as usize);
        Arrival {
            entry,
            group: entry && self.has_groups(packet.meta.track),
            dts_ns: packet.meta.dts_ns,
            capture: packet.meta.capture.utc,
            previous_dts_ns: previous.copied().flatten(),
            payload_bytes: packet.payload.len(),
            discontinuity: packet.meta.discontinuity,
        }
    }

    /// Takes a packet that belongs to this file. Gives the pictures left out before a key frame.
    pub(crate) fn push(&mut self, ring: &RingName, packet: Packet, entry: bool) -> u64 {
        let arrival = self.arrival(&packet, entry);
        self.renew |= !entry && cut::asks_for_renewal(&arrival);
        self.discontinuity |= packet.meta.discontinuity;
        self.decodable |= entry;
        if entry {
            self.entry_dts_ns = packet.meta.dts_ns;
        }
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

    /// Pictures that each stand by themselves would make a fragment each.
    fn has_groups(&self, track: u32) -> bool {
        let track = self.tracks.get(track as usize);
        track.is_some_and(|track| track.codec.is_video() && !is_intra_only(track.codec))
    }

    fn open_fragment(&mut self, ring: &RingName, first: &Packet) -> &mut Fragment {
        let discontinuity = std::mem::take(&mut self.discontinuity);
        let paused = std::mem::take(&mut self.paused);
        let open = self.fragment.get_or_insert_with(|| {
            let camera_clock = first.meta.clock == ClockSource::Camera;
            let flags = OriginFlags { discontinuity, camera_clock, paused };
            let capture = first.meta.capture.utc;
            OpenFragment {
                fragment: Fragment::new(ring, first.epoch, first.sequence, capture, flags),
                begin_dts_ns: first.meta.dts_ns,
                published: first.published,
            }
        });
        &mut open.fragment
    }

    pub(crate) fn end_fragment(
        &mut self,
        next: Option<NextDecode>,
    ) -> Result<Option<Piece>, fmp4::Error> {
        let Some(OpenFragment { fragment, .. }) = self.fragment.take() else {
            return Ok(None);
        };
        let origin = fragment.origin();
        let id = |sequence| PacketId { epoch: origin.epoch, sequence };
        let (first, last) = (id(origin.first), id(origin.last()));
        if let Some(muxer) = &mut self.muxer {
            let bytes = muxer.write(&fragment, next)?;
            return Ok(Some(Piece { begins: None, bytes, first, last }));
        }
        let muxer = self.muxer.insert(Muxer::new(self.movie.clone(), &fragment));
        let mut bytes = muxer.init_segment()?;
        bytes.extend(muxer.write(&fragment, next)?);
        Ok(Some(Piece { begins: Some(origin.capture), bytes, first, last }))
    }
}

/// What a user writes so that sound which MP4 lacks is recorded.
fn cure(ring: &RingName, tracks: &[Track]) -> Option<String> {
    let is_lacking =
        |track: &Track| matches!(track.codec, Codec::PcmMulaw | Codec::PcmAlaw | Codec::PcmS16le);
    let camera = ring.camera();
    tracks.iter().any(is_lacking).then(|| {
        format!(
            "write `audio: aac` at the camera, or `{camera}-aac: {{use: encoder, in: {ring}, audio: aac}}` \
             and let the recorder read {camera}-aac.packets"
        )
    })
}

/// The tracks in the form that key frames describe them in, taken from the packet itself where it is
/// one: the ring's description may be older or newer than the packet.
fn describe(tracks: &[Track], packet: &Packet) -> Vec<Track> {
    let mut told = tracks.to_vec();
    for (index, track) in told.iter_mut().enumerate() {
        let own = packet.meta.key && packet.meta.track as usize == index;
        let from_packet = own.then(|| described(track, &packet.payload)).flatten();
        if let Some(anew) = from_packet.or_else(|| described(track, &track.extradata)) {
            *track = anew;
        }
    }
    told
}

fn sample(packet: Packet) -> Sample {
    let PacketMeta { track, key, pts_ns, dts_ns, duration_ns, .. } = packet.meta;
    Sample { track, key, pts_ns, dts_ns, duration_ns, payload: packet.payload }
}
