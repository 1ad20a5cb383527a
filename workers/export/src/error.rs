//! Why there is no export.

use std::io;
use std::path::{Path, PathBuf};

use media::MediaError;
use protocol::stream::Codec;
use worker::verb::VerbError;

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
