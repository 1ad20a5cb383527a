//! The fast way: fragments as they were recorded, put one behind the other.

use std::io::Write;
use std::path::Path;

use fmp4::{Indexed, Intact, Placed};
use recordings::RecordingFile;

use crate::error::ExportError;
use crate::footage::{Footage, Part, Piece};
use crate::watch::Watch;

/// Fragments whose checksum differs.
pub(crate) type Damaged = u64;

/// Writes a part as one MP4 file to `to`, whose errors are told as those of `path`.
pub(crate) fn copy(
    footage: &Footage,
    part: &Part,
    to: &mut impl Write,
    path: &Path,
    watch: &Watch,
) -> Result<Damaged, ExportError> {
    let failed = || ExportError::io("write", path);
    let zero_ns = zero_of(part);
    let indexed: Vec<Indexed> =
        part.pieces.iter().map(|piece| piece.indexed(footage, zero_ns)).collect();
    to.write_all(&part.init).map_err(failed())?;
    to.write_all(&fmp4::index(&part.tracks, &indexed)?).map_err(failed())?;
    let mut open: Option<(usize, RecordingFile)> = None;
    let mut bytes = Vec::new();
    let mut damaged = 0;
    for (number, piece) in (1..).zip(&part.pieces) {
        watch.go_on()?;
        let file = opened(&mut open, footage, piece)?;
        let Piece { fragment, .. } = piece;
        let read = file.read(fragment.at_bytes, fragment.bytes, &mut bytes);
        read.map_err(ExportError::recording(&footage.camera))?;
        let placed = Placed { number, begins: piece.begins(part, zero_ns) };
        let intact = fmp4::place(&mut bytes, &placed).ok_or_else(|| {
            let (path, at_bytes) = (footage.timeline.files[piece.file].clone(), fragment.at_bytes);
            ExportError::Fragment { path, at_bytes }
        })?;
        damaged += u64::from(intact == Intact::No);
        to.write_all(&bytes).map_err(failed())?;
        watch.did(fragment.bytes);
    }
    Ok(damaged)
}

fn opened<'a>(
    open: &'a mut Option<(usize, RecordingFile)>,
    footage: &Footage,
    piece: &Piece,
) -> Result<&'a RecordingFile, ExportError> {
    let kept = open.take().filter(|(file, _)| *file == piece.file);
    let file = match kept {
        Some((_, file)) => file,
        None => RecordingFile::open(&footage.timeline.files[piece.file])
            .map_err(ExportError::recording(&footage.camera))?,
    };
    Ok(&open.insert((piece.file, file)).1)
}

/// Time zero of the file: the first picture or sound, or a little before where that would put a decode
/// time below zero.
pub(crate) fn zero_of(part: &Part) -> i64 {
    let begins = part.pieces.first().into_iter().flat_map(|piece| &piece.begins_ns);
    let earliest = begins.filter_map(|(track, dts_ns)| {
        let found = part.tracks.iter().find(|found| found.track == *track)?;
        Some(dts_ns.saturating_add(lead_ns(found)))
    });
    earliest.fold(part.zero_ns, i64::min)
}

/// What the edit list of the file takes off.
fn lead_ns(track: &fmp4::FoundTrack) -> i64 {
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
