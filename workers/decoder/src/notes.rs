//! What is known of the packets now inside the decoder, so that each picture gets its own back. Pure.

use protocol::config::DecoderConfig;
use protocol::time::{ClockSource, MonoNs, Stamp};
use shmring::{Packet, SourceId};

/// Rings that one decoder writes, at most.
pub(crate) const RINGS: usize = 1 + DecoderConfig::OUTPUTS_MAX;

/// By which step the sequence of each ring goes on with a picture; 0: it is not for that ring.
pub(crate) type Steps = [u32; RINGS];

/// Packets remembered: 16 reference pictures, 16 threads, and as much again.
const ROOM: usize = 64;

/// The part of a packet that its picture inherits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Where the packet stands in its ring.
    pub(crate) at: SourceId,
    /// What it is called: as `at`, unless it was recorded and is replayed.
    pub(crate) source: SourceId,
    pub(crate) pts_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) capture: Stamp,
    pub(crate) clock: ClockSource,
    pub(crate) ingest: MonoNs,
    pub(crate) gop_index: u64,
    pub(crate) corrupt: bool,
    pub(crate) steps: Steps,
}

impl Note {
    pub(crate) fn of(packet: &Packet, steps: Steps) -> Self {
        let meta = &packet.meta;
        let at = SourceId { epoch: packet.epoch, sequence: packet.sequence };
        Self {
            at,
            source: meta.source.unwrap_or(at),
            pts_ns: meta.pts_ns,
            duration_ns: meta.duration_ns,
            capture: meta.capture,
            clock: meta.clock,
            ingest: meta.ingest,
            gop_index: meta.gop_index,
            corrupt: meta.corrupt,
            steps,
        }
    }
}

/// The newest notes, found by the token the decoder carries along. Notes are not taken out: one
/// packet may give two pictures.
#[derive(Debug)]
pub(crate) struct Notes {
    places: [Option<Note>; ROOM],
    next: u64,
}

impl Default for Notes {
    fn default() -> Self {
        Self { places: [None; ROOM], next: 0 }
    }
}

impl Notes {
    pub(crate) fn add(&mut self, note: Note) -> u64 {
        let token = self.next;
        self.places[place(token)] = Some(note);
        self.next += 1;
        token
    }

    /// `None` for a token that was never given or is forgotten.
    pub(crate) fn find(&self, token: u64) -> Option<Note> {
        let age = self.next.checked_sub(token)?;
        if (1..=ROOM as u64).contains(&age) { self.places[place(token)] } else { None }
    }
}

fn place(token: u64) -> usize {
    usize::try_from(token % ROOM as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note(sequence: u64) -> Note {
        Note {
            at: SourceId { epoch: 1, sequence },
            source: SourceId { epoch: 1, sequence },
            pts_ns: 0,
            duration_ns: 0,
            capture: Stamp::default(),
            clock: ClockSource::Arrival,
            ingest: MonoNs(0),
            gop_index: 0,
            corrupt: false,
            steps: Steps::default(),
        }
    }

    proptest! {
        #[test]
        fn a_token_finds_its_own_note_or_none(count in 1u64..300, token in 0u64..400) {
            let mut notes = Notes::default();
            for sequence in 0..count {
                prop_assert_eq!(notes.add(note(sequence)), sequence);
            }
            let kept = token < count && token + ROOM as u64 >= count;
            prop_assert_eq!(notes.find(token), kept.then(|| note(token)));
        }
    }
}
