//! Why there is no export.

use std::io;
use std::path::{Path, PathBuf};

use media::MediaError;
use protocol::stream::Codec;
use protocol::time::UtcNs;
use recordings::TimelineFragment;
use recordings::cut::Footage;
use worker::verb::VerbError;

use crate::manifest::Time;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot {doing} {}: {source}{}", path.display(), cure(source))]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is there already; name another with -o, or move it away", .0.display())]
    Exists(PathBuf),
    #[error(
        "{name}: nothing is recorded from {from} to {to}; `framevisor recordings ls` shows what is"
    )]
    Nothing { name: String, from: String, to: String },
    #[error("{}: {seen}; expected {expected}", path.display())]
    Out { path: PathBuf, seen: &'static str, expected: String },
    #[error(
        "camera {camera}: MPEG-TS carries no {codec:?}, expected H.264 or H.265; use --format mp4 or \
         mkv, or --exact, which encodes the pictures as H.264"
    )]
    Container { camera: String, codec: Codec },
    #[error("{name}: nothing from {from} to {to} can be read: {why}")]
    NothingRead { name: String, from: String, to: String, why: String },
    #[error(
        "camera {camera}: byte {at_bytes}: {source}; leave this out: export up to {from}, and once more from \
         {to} on"
    )]
    Piece {
        camera: String,
        at_bytes: u64,
        from: String,
        to: String,
        source: Box<recordings::Error>,
    },
    #[error("camera {camera}: {source}")]
    Recording { camera: String, source: recordings::Error },
    #[error(
        "{}: the fragment at byte {at_bytes} is not one of ours any more; `framevisor recordings verify` tells more",
        path.display()
    )]
    Fragment { path: PathBuf, at_bytes: u64 },
    #[error("interrupted")]
    Interrupted { signal: u8 },
    #[error("{}: {why}; it is not as `framevisor export` wrote it", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error(
        "{}: there is no manifest.json; expected a folder or a .zip file that `framevisor export` made",
        .0.display()
    )]
    NoExport(PathBuf),
    #[error("cannot read {}: {source}", path.display())]
    Unzip { path: PathBuf, source: zip::result::ZipError },
    #[error(transparent)]
    Boxes(#[from] fmp4::Error),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("cannot write {}: {source}", path.display())]
    Zip { path: PathBuf, source: zip::result::ZipError },
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, or name another place with -o; nothing was left behind"
        }
        _ => "",
    }
}

impl ExportError {
    /// For `map_err`: names what was tried and on what.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// Of bytes that could be found and cannot be read: where they are, and how to do without.
    pub(crate) fn piece(
        footage: &Footage,
        file: usize,
        at_bytes: u64,
    ) -> impl FnOnce(recordings::Error) -> Self {
        move |source| {
            let camera = footage.camera.clone();
            let holds = |place: &&TimelineFragment| {
                let end = place.fragment.at_bytes + place.fragment.bytes;
                place.file == file && (place.fragment.at_bytes..end).contains(&at_bytes)
            };
            let mut places = footage.timeline.fragments.iter();
            let Some(lost) = places.find(holds).map(|place| place.fragment) else {
                return Self::Recording { camera, source };
            };
            // A range takes in the key frame before it.
            let next = places.map(|place| place.fragment).find(|next| next.key.is_some());
            let to = next.map_or(lost.end, |next| next.capture);
            // Told to the ms, and not before.
            let to = Time(UtcNs(to.0.saturating_add(999_999))).short();
            let from = Time(lost.capture).short();
            Self::Piece { camera, at_bytes, from, to, source: Box::new(source) }
        }
    }

    pub(crate) fn recording(camera: &str) -> impl FnOnce(recordings::Error) -> Self + use<> {
        let camera = camera.to_owned();
        move |source| Self::Recording { camera, source }
    }
}

impl From<ExportError> for VerbError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Interrupted { signal } => Self::interrupted(signal),
            ExportError::Out { .. } => Self::usage(error),
            other => Self::failed(other),
        }
    }
}
