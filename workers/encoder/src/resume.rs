//! Where a predecessor ended, read from the ring that it wrote: nothing of the source is taken twice.

use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use protocol::stream::TRACKS_MAX;
use shmring::{Next, PacketOptions, PacketReader, SourceId, Start};

/// What was made of each track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resume {
    tracks: [Option<Last>; TRACKS_MAX],
    /// The ring that their sources are places in.
    origin: Option<RingName>,
}

/// The newest packet of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) source: SourceId,
    pub(crate) end_ns: i64,
    /// The latest time of showing in the epoch of `source`; with B-pictures not that of the newest packet.
    pub(crate) shown_ns: i64,
}

impl Resume {
    /// Nothing, when there is no such ring any more.
    pub(crate) fn read(project: &ProjectName, ring: &RingName, reader: &str) -> Self {
        let options = PacketOptions { reader: reader.to_owned(), start: Start::Oldest };
        let mut resume = Self::default();
        let Ok(mut reader) = PacketReader::attach(project, ring, &options) else {
            return resume;
        };
        // All of it has been published, so nothing is waited for.
        loop {
            match reader.next(Duration::ZERO) {
                Ok(Next::Item(packet)) => {
                    let meta = &packet.meta;
                    if let Some(source) = meta.source {
                        let end_ns = meta.pts_ns.saturating_add(meta.duration_ns);
                        let before = resume.of(meta.track);
                        let before = before.filter(|last| last.source.epoch == source.epoch);
                        let shown_ns =
                            before.map_or(meta.pts_ns, |last| last.shown_ns.max(meta.pts_ns));
                        resume.note(meta.track, Last { source, end_ns, shown_ns });
                        resume.origin = reader.source_ring().cloned();
                    }
                }
                Ok(Next::Quiet | Next::Ended) | Err(_) => return resume,
                Ok(_) => {}
            }
        }
    }

    fn note(&mut self, track: u32, last: Last) {
        if let Some(place) = self.tracks.get_mut(track as usize) {
            *place = Some(last);
        }
    }

    fn of(&self, track: u32) -> Option<Last> {
        self.tracks.get(track as usize).copied().flatten()
    }

    /// The same, once.
    pub(crate) fn take(&mut self, track: u32) -> Option<Last> {
        self.tracks.get_mut(track as usize)?.take()
    }

    /// Where to begin: the newest key frame without a predecessor, else behind what all tracks have. What
    /// some have already is [told apart](Self::has).
    pub(crate) fn start(&self) -> Start {
        let newest = self.tracks.iter().flatten().map(|last| order(last.source));
        // Of another epoch is what has not gone on since.
        let epoch = newest.clone().map(|(epoch, _)| epoch).max();
        let all = newest.filter(|(of, _)| Some(*of) == epoch);
        match all.min() {
            // The packet itself is read again: only a part of its sound may have been used.
            Some((epoch, sequence)) => Start::After { epoch, sequence: sequence.saturating_sub(1) },
            None => Start::NewestKey,
        }
    }

    /// Places in another ring have nothing to do with these.
    pub(crate) fn is_of(&mut self, origin: &RingName) {
        if self.origin.as_ref().is_some_and(|of| of != origin) {
            *self = Self::default();
        }
    }

    /// Whether the packet was copied before. Behind the first that was not, none was.
    pub(crate) fn has(&mut self, track: u32, at: SourceId) -> bool {
        self.of(track).is_some_and(|last| order(at) <= order(last.source)) || self.forget(track)
    }

    /// The same of a picture; they come in the order of showing.
    pub(crate) fn has_shown(&mut self, at: SourceId, pts_ns: i64) -> bool {
        let had = |last: Last| at.epoch == last.source.epoch && pts_ns <= last.shown_ns;
        self.of(0).is_some_and(had) || self.forget(0)
    }

    fn forget(&mut self, track: u32) -> bool {
        self.take(track);
        false
    }
}

fn order(id: SourceId) -> (u64, u64) {
    (id.epoch, id.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(epoch: u64, sequence: u64) -> Last {
        Last { source: SourceId { epoch, sequence }, end_ns: 0, shown_ns: 0 }
    }

    #[test]
    fn it_begins_where_the_track_that_is_behind_goes_on() {
        let mut resume = Resume::default();
        assert_eq!(resume.start(), Start::NewestKey);
        resume.note(0, last(7, 50));
        resume.note(1, last(7, 40));
        assert_eq!(resume.start(), Start::After { epoch: 7, sequence: 39 });
        let mut has = |sequence| resume.has(0, SourceId { epoch: 7, sequence });
        assert_eq!([41, 50, 51].map(&mut has), [true, true, false]);
        // A source that begins again, as a replay does, is not what was had.
        assert!(!has(41));
        assert!(resume.has(1, SourceId { epoch: 7, sequence: 40 }));
        assert!(!resume.has(1, SourceId { epoch: 8, sequence: 1 }));
    }

    #[test]
    fn pictures_are_told_apart_by_their_times_since_packets_come_in_another_order() {
        let mut resume = Resume::default();
        // The newest packet is a B-picture; 53 was published before it.
        resume.note(0, Last { shown_ns: 53, ..last(7, 51) });
        let mut has =
            |epoch, sequence, pts_ns| resume.has_shown(SourceId { epoch, sequence }, pts_ns);
        let seen = [has(7, 50, 50), has(7, 53, 53), has(7, 54, 54), has(7, 53, 53)];
        assert_eq!(seen, [true, true, false, false]);
        resume.note(0, Last { shown_ns: 53, ..last(7, 51) });
        assert!(!resume.has_shown(SourceId { epoch: 8, sequence: 1 }, 10));
    }

    #[test]
    fn places_in_another_ring_are_not_compared() {
        let mut resume = Resume::default();
        let [own, other]: [RingName; 2] =
            ["cam1.packets", "cam2.packets"].map(|name| name.parse().unwrap());
        resume.note(0, last(7, 50));
        resume.origin = Some(own.clone());
        resume.is_of(&own);
        assert!(resume.has(0, SourceId { epoch: 7, sequence: 50 }));
        resume.is_of(&other);
        assert!(!resume.has(0, SourceId { epoch: 7, sequence: 50 }));
    }

    #[test]
    fn a_track_that_ended_epochs_ago_holds_nothing_up() {
        let mut resume = Resume::default();
        resume.note(0, last(8, 5));
        resume.note(1, last(7, 900));
        assert_eq!(resume.start(), Start::After { epoch: 8, sequence: 4 });
    }
}
