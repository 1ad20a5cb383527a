//! Packets of a ring into units of a feed. Pure but for the feed.
//!
//! The ring may be lapped and change its epoch: the feed has nothing new meanwhile. After a gap units are held
//! back until a key frame, since nothing before it decodes.

use protocol::stream::Track;
use shmring::Packet;
use worker::timeline::{Timeline, Times};

use crate::annexb;
use crate::feed::Feed;
use crate::formats::{Format, Lineup, Media, Served};
use crate::unit::Unit;

/// So many pictures of an epoch that are shown before one that came earlier are no accident: the stream reorders.
const REORDERED_MAX: u32 = 3;
/// Of samples in one datagram: 100 ms of G.711.
const SAMPLES_MAX_BYTES: usize = 800;
/// A byte of G.711 lasts 125 us (RFC 3551 section 4.5.14).
const SAMPLE_NS: i64 = 125_000;
/// Sound alone may be begun each second.
const SOUND_ENTRY_NS: i64 = 1_000_000_000;

/// What a stream that reorders is told as.
const REORDERS: &str = "its pictures are not in the order they are shown in (B-frames), for which WebRTC has no \
    way; an encoder that makes none, or another transport, shows it";

#[derive(Debug, Default)]
pub(crate) struct Intake {
    tracks: Option<Vec<Track>>,
    lineup: Lineup,
    timeline: Timeline,
    epoch: u64,
    /// Nothing decodes before the next key frame.
    needs_entry: bool,
    /// The latest time of a picture in this epoch.
    latest_ns: Option<i64>,
    reordered: u32,
    /// When sound could be begun last, of a camera without pictures.
    sound_ns: Option<i64>,
}

impl Intake {
    /// Packets were lost.
    pub(crate) fn gap(&mut self) {
        self.needs_entry = true;
    }

    /// Takes the next packet of the ring, whose tracks are `tracks` as of now.
    pub(crate) fn take(&mut self, packet: Packet, tracks: &[Track], feed: &Feed) {
        if packet.epoch != self.epoch {
            self.epoch = packet.epoch;
            self.timeline.cut();
            // What one writer's stream could not be may be what the next one's is.
            (self.latest_ns, self.reordered, self.tracks) = (None, 0, None);
            self.gap();
        }
        if self.tracks.as_deref() != Some(tracks) {
            self.tracks = Some(tracks.to_vec());
            self.lineup = Lineup::of(tracks);
            feed.present(self.lineup.clone());
            self.gap();
        }
        self.publish(packet, feed);
    }

    fn publish(&mut self, packet: Packet, feed: &Feed) {
        let Packet { meta, published, payload, .. } = packet;
        let times = Times { pts_ns: meta.pts_ns, dts_ns: meta.dts_ns };
        let pts_ns = self.timeline.place(times, meta.discontinuity, published).pts_ns;
        let Some((media, &served)) = self.lineup.media_of(meta.track) else { return };
        if media == Media::Video && self.reorders(pts_ns) {
            return feed.unfit(REORDERS);
        }
        let entry = self.is_entry(media, meta.key, pts_ns);
        self.needs_entry &= !entry;
        if self.needs_entry || payload.is_empty() || self.reordered >= REORDERED_MAX {
            return;
        }
        for (data, later_ns) in pieces(served, meta.key, &payload) {
            let pts_ns = pts_ns.saturating_add(later_ns);
            let entry = entry && later_ns == 0;
            feed.publish(Unit { media, entry, pts_ns, captured: meta.capture, data: data.into() });
        }
    }

    /// Whether it shows now that the stream reorders: said once an epoch.
    fn reorders(&mut self, pts_ns: i64) -> bool {
        let is_earlier = self.latest_ns.is_some_and(|latest| pts_ns < latest);
        self.latest_ns = self.latest_ns.max(Some(pts_ns));
        self.reordered = self.reordered.saturating_add(is_earlier.into());
        is_earlier && self.reordered == REORDERED_MAX
    }

    /// A key frame; without pictures, sound each second.
    fn is_entry(&mut self, media: Media, key: bool, pts_ns: i64) -> bool {
        if media == Media::Video || self.lineup.video.is_some() {
            return media == Media::Video && key;
        }
        let since = self.sound_ns.map(|before| pts_ns.saturating_sub(before));
        let is_entry = since.is_none_or(|since| !(0..SOUND_ENTRY_NS).contains(&since));
        if is_entry {
            self.sound_ns = Some(pts_ns);
        }
        is_entry
    }
}

/// What goes out of one payload, and how much later each piece is, in ns.
fn pieces(served: Served, key: bool, payload: &[u8]) -> Vec<(Vec<u8>, i64)> {
    if served.format.is_samples() {
        let pieces = payload.chunks(SAMPLES_MAX_BYTES).map(<[u8]>::to_vec);
        let step_ns = SAMPLE_NS * i64::try_from(SAMPLES_MAX_BYTES).unwrap_or(0);
        return pieces.zip((0..).map(|number: i64| number * step_ns)).collect();
    }
    let data = match served.format {
        Format::H264 if key => annexb::with_all_sets(payload).into_owned(),
        _ => payload.to_vec(),
    };
    vec![(data, 0)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::stream::Codec;
    use protocol::time::{MonoNs, TimeBase};
    use shmring::PacketMeta;
    use tokio::sync::Notify;

    use super::*;
    use crate::feed::Shown;
    use crate::recent::Taken;

    const FRAME_NS: i64 = 40_000_000;

    fn track(codec: Codec) -> Track {
        Track {
            codec,
            time_base: TimeBase::NANOSECONDS,
            width: 0,
            height: 0,
            sample_rate_hz: 8_000,
            channels: 1,
            frame_rate: (0, 1),
            extradata: Vec::new(),
        }
    }

    fn packet(epoch: u64, number: i64, track: u32, key: bool) -> Packet {
        let pts_ns = number * FRAME_NS;
        Packet {
            epoch,
            sequence: 1,
            meta: PacketMeta { track, key, pts_ns, dts_ns: pts_ns, ..PacketMeta::default() },
            published: MonoNs(u64::try_from(pts_ns).unwrap()),
            payload: vec![0, 0, 0, 1, 0x65, u8::try_from(number).unwrap()],
        }
    }

    fn feed() -> Feed {
        let feed = Feed::new(Arc::new(Notify::new()));
        feed.is_read();
        feed
    }

    /// The last bytes of what a viewer of everything gets; `None` is a gap.
    fn seen(tracks: &[Track], packets: impl IntoIterator<Item = Option<Packet>>) -> Vec<u8> {
        let (feed, mut intake) = (feed(), Intake::default());
        feed.present(Lineup::of(tracks));
        let Shown::Ready { edition, .. } = feed.shown() else { panic!("nothing is served") };
        let mut cursor = feed.join().unwrap();
        for packet in packets {
            match packet {
                Some(packet) => intake.take(packet, tracks, &feed),
                None => intake.gap(),
            }
        }
        std::iter::from_fn(|| match feed.take(edition, &mut cursor) {
            Some(Taken::Unit { unit, .. }) => unit.data.last().copied(),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn after_a_gap_or_a_restart_units_are_held_back_until_a_key_frame() {
        let of = |epoch, number, key| Some(packet(epoch, number, 0, key));
        let packets = [
            of(1, 1, false),
            of(1, 2, true),
            of(1, 3, false),
            None,
            of(1, 5, false),
            of(1, 6, true),
            of(2, 7, false),
            of(2, 8, true),
        ];
        assert_eq!(seen(&[track(Codec::H264)], packets), [2, 3, 6, 8]);
    }

    #[test]
    fn key_frames_of_the_picture_count_and_other_tracks_are_passed_over() {
        let tracks = [Codec::Aac, Codec::H264, Codec::PcmAlaw].map(track);
        let packets = [(1, 2, true), (2, 1, true), (3, 2, true), (4, 0, true), (5, 1, false)];
        let packets = packets.map(|(number, track, key)| Some(packet(1, number, track, key)));
        assert_eq!(seen(&tracks, packets), [2, 3, 5]);
    }

    #[test]
    fn pictures_out_of_their_order_are_told() {
        let (feed, mut intake) = (feed(), Intake::default());
        let tracks = [track(Codec::H264)];
        for number in [0, 3, 1, 2, 6, 4, 5, 9, 7, 8] {
            intake.take(packet(1, number, 0, number == 0), &tracks, &feed);
        }
        let Shown::Unfit { why } = feed.shown() else { panic!("{:?}", feed.shown()) };
        assert!(why.contains("B-frames"), "{why}");
    }

    #[test]
    fn long_pieces_of_samples_are_cut_with_their_times() {
        let served = Lineup::of(&[track(Codec::PcmMulaw)]).audio.unwrap();
        let pieces = pieces(served, true, &[7; 2_000]);
        let sizes: Vec<_> = pieces.iter().map(|(data, later)| (data.len(), *later)).collect();
        assert_eq!(sizes, [(800, 0), (800, 100_000_000), (400, 200_000_000)]);
    }

    #[test]
    fn sound_alone_may_be_begun_each_second() {
        let (feed, mut intake) = (feed(), Intake::default());
        let tracks = [track(Codec::PcmMulaw)];
        let mut entries = 0;
        for number in 0..100 {
            intake.take(packet(1, number, 0, true), &tracks, &feed);
        }
        let Shown::Ready { edition, .. } = feed.shown() else { panic!("nothing is served") };
        let mut cursor = feed.join().unwrap();
        while let Some(Taken::Unit { unit, .. }) = feed.take(edition, &mut cursor) {
            entries += u32::from(unit.entry);
        }
        assert_eq!(entries, 1, "the newest of those each second");
    }
}
