//! The fast way: fragments as they were recorded, put one behind the other.

use std::io::Write;
use std::path::Path;

use fmp4::Intact;
use recordings::RecordingFile;
use recordings::cut::{Footage, Part, Piece};

use crate::error::ExportError;
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
    to.write_all(&part.head(footage)?).map_err(failed())?;
    let mut open: Option<(usize, RecordingFile)> = None;
    let mut bytes = Vec::new();
    let mut damaged = 0;
    for (at, piece) in part.pieces.iter().enumerate() {
        watch.go_on()?;
        let file = opened(&mut open, footage, piece)?;
        let Piece { fragment, .. } = piece;
        let read = file.read(fragment.at_bytes, fragment.bytes, &mut bytes);
        read.map_err(ExportError::recording(&footage.camera))?;
        let placed = part.placed(at).and_then(|placed| fmp4::place(&mut bytes, &placed));
        let intact = placed.ok_or_else(|| {
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
