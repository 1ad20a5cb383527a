//! Where a predecessor ended, read from the ring that it wrote: nothing of the source is taken twice.

use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use protocol::stream::TRACKS_MAX;
use shmring::{Next, PacketOptions, PacketReader, SourceId, Start};

/// What was made of each track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resume {
    tracks: [Option<Last>; TRACKS_MAX],
}

/// The newest packet of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) source: SourceId,
    pub(crate) end_ns: i64,
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
                        resume.note(meta.track, Last { source, end_ns });
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

    /// Whether the packet was copied before.
    pub(crate) fn has(&self, track: u32, at: SourceId) -> bool {
        self.of(track).is_some_and(|last| order(at) <= order(last.source))
    }
}

fn order(id: SourceId) -> (u64, u64) {
    (id.epoch, id.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(epoch: u64, sequence: u64) -> Last {
        Last { source: SourceId { epoch, sequence }, end_ns: 0 }
    }

    #[test]
    fn it_begins_where_the_track_that_is_behind_goes_on() {
        let mut resume = Resume::default();
        assert_eq!(resume.start(), Start::NewestKey);
        resume.note(0, last(7, 50));
        resume.note(1, last(7, 40));
        assert_eq!(resume.start(), Start::After { epoch: 7, sequence: 39 });
        let has = |sequence| resume.has(0, SourceId { epoch: 7, sequence });
        assert!(has(41) && has(50) && !has(51));
        assert!(!resume.has(0, SourceId { epoch: 8, sequence: 1 }));
    }

    #[test]
    fn a_track_that_ended_epochs_ago_holds_nothing_up() {
        let mut resume = Resume::default();
        resume.note(0, last(8, 5));
        resume.note(1, last(7, 900));
        assert_eq!(resume.start(), Start::After { epoch: 8, sequence: 4 });
    }
}
