//! The fast way: fragments as they were recorded, put one behind the other. Each byte is read once, and is
//! checked, hashed and written while the processor's caches hold it.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use fmp4::Intact;
use recordings::RecordingFile;
use recordings::cut::{Footage, Part, Piece};

use crate::error::ExportError;
use crate::hashing::{Pieces, Summing};
use crate::watch::Watch;

/// Fragments whose checksum differs.
pub(crate) type Damaged = u64;

/// Writes a part as one MP4 file to `to`, whose errors are told as those of `path`.
pub(crate) fn copy(
    footage: &Footage,
    part: &Part,
    to: &mut impl Write,
    summing: &mut Summing,
    path: &Path,
    watch: &Watch,
) -> Result<Damaged, ExportError> {
    let failed = || ExportError::io("write", path);
    let head = Arc::new(part.head(footage)?);
    summing.take(&head);
    to.write_all(&head).map_err(failed())?;
    let mut open: Option<(usize, RecordingFile)> = None;
    let mut pieces = Pieces::default();
    let mut damaged = 0;
    for (at, piece) in part.pieces.iter().enumerate() {
        watch.go_on()?;
        let file = opened(&mut open, footage, piece)?;
        let fill = |bytes: &mut Vec<u8>| {
            let intact = placed(footage, part, at, file, bytes)?;
            damaged += u64::from(intact == Intact::No);
            Ok::<(), ExportError>(())
        };
        let bytes = pieces.fill(fill)?;
        summing.take(&bytes);
        to.write_all(&bytes).map_err(failed())?;
        watch.did(piece.fragment.bytes);
    }
    Ok(damaged)
}

/// Puts the bytes of a fragment, as they are in their new place, into `bytes`.
fn placed(
    footage: &Footage,
    part: &Part,
    at: usize,
    file: &RecordingFile,
    bytes: &mut Vec<u8>,
) -> Result<Intact, ExportError> {
    let Piece { fragment, file: of, .. } = &part.pieces[at];
    let read = file.read(fragment.at_bytes, fragment.bytes, bytes);
    read.map_err(ExportError::piece(footage, *of, fragment.at_bytes))?;
    let placed = part.placed(at).and_then(|placed| fmp4::place(bytes, &placed));
    placed.ok_or_else(|| {
        let (path, at_bytes) = (file.path().to_owned(), fragment.at_bytes);
        ExportError::Fragment { path, at_bytes }
    })
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
