//! The bytes of a cut: what stands in front of its fragments, and where on its timeline each one goes.

use fmp4::{Error, Indexed, Placed};

use super::footage::{Footage, Part, Piece};

impl Part {
    /// Time zero of the file: the first picture or sound, or a little before where that would put a decode
    /// time below zero.
    pub fn file_zero_ns(&self) -> i64 {
        let begins = self.pieces.first().into_iter().flat_map(|piece| &piece.begins_ns);
        let earliest = begins.filter_map(|(track, dts_ns)| {
            let found = self.tracks.iter().find(|found| found.track == *track)?;
            Some(dts_ns.saturating_add(lead_ns(found)))
        });
        earliest.fold(self.zero_ns, i64::min)
    }

    /// `ftyp`, `moov` and the index that players seek by.
    pub fn head(&self, footage: &Footage) -> Result<Vec<u8>, Error> {
        let zero_ns = self.file_zero_ns();
        let indexed: Vec<Indexed> =
            self.pieces.iter().map(|piece| piece.indexed(footage, zero_ns)).collect();
        Ok([self.init.as_slice(), &fmp4::index(&self.tracks, &indexed)?].concat())
    }

    /// Where the piece with this index goes.
    pub fn placed(&self, at: usize) -> Option<Placed> {
        let begins = self.pieces.get(at)?.begins(self, self.file_zero_ns());
        Some(Placed { number: u32::try_from(at + 1).unwrap_or(u32::MAX), begins })
    }
}

/// What the edit list of the file takes off.
pub fn lead_ns(track: &fmp4::FoundTrack) -> i64 {
    track.base.to_ns(i64::try_from(track.lead_ticks).unwrap_or(0))
}

impl Piece {
    /// Decode times in the new file, before its edit lists.
    fn begins(&self, part: &Part, zero_ns: i64) -> Vec<(u32, u64)> {
        let place = |(track, dts_ns): &(u32, i64)| {
            let found = part.tracks.iter().find(|found| found.track == *track)?;
            let ticks = found.base.from_ns(dts_ns.saturating_sub(zero_ns));
            let lead = i64::try_from(found.lead_ticks).unwrap_or(0);
            Some((*track, u64::try_from(ticks.saturating_add(lead)).unwrap_or(0)))
        };
        self.begins_ns.iter().filter_map(place).collect()
    }

    fn indexed(&self, footage: &Footage, zero_ns: i64) -> Indexed {
        let name = footage.timeline.ring.as_ref();
        let packets = self.fragment.last - self.fragment.first + 1;
        Indexed {
            uuid_bytes: name.map_or(0, |ring| fmp4::origin_bytes(ring, packets)),
            bytes: self.fragment.bytes,
            key: self.fragment.key.is_some(),
            begin_ns: self.begin_ns.saturating_sub(zero_ns),
            end_ns: self.end_ns.saturating_sub(zero_ns),
        }
    }
}
