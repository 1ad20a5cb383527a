//! Where the recordings are that are played, and how much of reading goes on at once: people look, and
//! nothing they do may take the disk from the recorder.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::answer::Refusal;
use crate::playback::moment::BadTime;
use crate::playback::turns::{Held, Turns};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::config::Shelf as Told;
use protocol::name::{RingKind, RingName};
use serde::de::DeserializeOwned;

/// Requests that read headers at once; one of a day takes a second.
const LOOKS_MAX: usize = 2;
/// Downloads at once; each has a file open for each minute of its range.
const CUTS_MAX: usize = 4;
/// Of one address: it takes two that read slowly to keep others from downloading.
const CUTS_SHARE: usize = 2;
/// Segments that are sent at once: two for each of sixteen cameras.
const SEGMENTS_MAX: usize = 32;
/// Of one address: a browser has six connections.
const SEGMENTS_SHARE: usize = 8;
/// A request waits so long for its turn.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// What there is to play.
#[derive(Debug)]
pub struct Shelf {
    told: Told,
    groups: BTreeMap<String, Vec<String>>,
    looks: Turns,
    cuts: Turns,
    segments: Turns,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Look,
    /// With who asks.
    Cut(IpAddr),
    Segment(IpAddr),
}

/// Where recordings of a camera lie, if there are any: only its name was looked at so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    camera: String,
    path: PathBuf,
}

/// Why nothing is played.
#[derive(Debug, thiserror::Error)]
pub enum NotPlayed {
    #[error("nothing is recorded here: this project has no recorder")]
    NoRecorder,
    #[error("this page plays what one recorder writes, and there are several: {}", .0.join(", "))]
    Several(Vec<String>),
    #[error("nothing is recorded of a camera '{0}'")]
    NoCamera(String),
    #[error("nothing of {camera} is recorded in this range")]
    Nothing { camera: String },
    #[error(transparent)]
    Time(#[from] BadTime),
    #[error("{0}")]
    Query(String),
    #[error("the tracks of {camera} changed in this range: a file holds one of its {parts} parts")]
    Parts { camera: String, parts: usize },
    #[error("there is no part {part} of this range: it has {parts}")]
    NoPart { part: usize, parts: usize },
    #[error("a range of {files} files: a download holds {most} at most")]
    ManyFiles { files: usize, most: usize },
    #[error("no such segment")]
    NoSegment,
    #[error("the recording is not there any more")]
    Gone,
    #[error("too many people look at recordings at this moment")]
    Busy,
    #[error(transparent)]
    Unreadable(recordings::Error),
    #[error(transparent)]
    Boxes(#[from] fmp4::Error),
    #[error("reading failed; the log of this worker says how")]
    Failed,
}

impl Shelf {
    pub fn new(told: Told, groups: BTreeMap<String, Vec<String>>) -> Self {
        Self {
            told,
            groups,
            looks: Turns::new(LOOKS_MAX, LOOKS_MAX),
            cuts: Turns::new(CUTS_MAX, CUTS_SHARE),
            segments: Turns::new(SEGMENTS_MAX, SEGMENTS_SHARE),
        }
    }

    pub fn root(&self) -> Result<&Path, NotPlayed> {
        match &self.told {
            Told::At(root) => Ok(root),
            Told::None => Err(NotPlayed::NoRecorder),
            Told::Several(names) => Err(NotPlayed::Several(names.clone())),
        }
    }

    /// The directory of a camera, made of what the name means. Asks no disk: requests are taken by the thread
    /// of the heartbeat, and one that does not answer would end this worker with all its live video.
    pub fn folder(&self, camera: &str) -> Result<Folder, NotPlayed> {
        let root = self.root()?;
        let name = folder_name(camera).ok_or_else(|| no_camera(camera))?;
        Ok(Folder { path: root.join(&name), camera: name })
    }

    /// Names of cameras that something is or was recorded of, in order.
    pub fn cameras(&self) -> Result<Vec<String>, NotPlayed> {
        let root = self.root()?;
        // Nothing was recorded yet, or its disk is away.
        let Ok(entries) = root.read_dir() else { return Ok(Vec::new()) };
        let is_camera = |name: &String| {
            let folder = root.join(name);
            folder_name(name).is_some() && folder.join(recordings::LOCK_FILE).exists()
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(is_camera).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The groups with their cameras, of those that there are.
    pub fn groups(&self, cameras: &[String]) -> BTreeMap<&str, Vec<String>> {
        let members = |patterns: &[String]| {
            let fits = |camera: &&String| {
                patterns.iter().any(|pattern| protocol::pattern::matches(pattern, camera))
            };
            cameras.iter().filter(fits).cloned().collect()
        };
        self.groups.iter().map(|(name, patterns)| (name.as_str(), members(patterns))).collect()
    }

    /// Waits until it is this request's turn.
    pub async fn turn(&self, turn: Turn) -> Result<Held, NotPlayed> {
        let waiting = match turn {
            Turn::Look => self.looks.wait(None),
            // Who downloads is told at once.
            Turn::Cut(address) => return self.cuts.take(address).ok_or(NotPlayed::Busy),
            Turn::Segment(address) => self.segments.wait(Some(address)),
        };
        let turn = tokio::time::timeout(TURN_WAIT, waiting).await;
        turn.ok().flatten().ok_or(NotPlayed::Busy)
    }
}

impl Folder {
    /// The directory, if it is there: in [`blocking`] alone, and in its turn.
    pub fn find(self) -> Result<PathBuf, NotPlayed> {
        if self.path.is_dir() { Ok(self.path) } else { Err(no_camera(&self.camera)) }
    }
}

fn no_camera(name: &str) -> NotPlayed {
    NotPlayed::NoCamera(name.chars().take(80).collect())
}

/// Directories are called as packet rings are, without the last part.
fn folder_name(camera: &str) -> Option<String> {
    let ring: RingName = format!("{camera}.packets").parse().ok()?;
    let name = ring.as_str().rsplit_once('.')?.0.to_owned();
    (ring.kind() == RingKind::Packets).then_some(name)
}

impl From<recordings::Error> for NotPlayed {
    fn from(error: recordings::Error) -> Self {
        if error.is_gone() { Self::Gone } else { Self::Unreadable(error) }
    }
}

impl NotPlayed {
    fn refusal(&self) -> Refusal {
        const LIST: &str = "what is recorded is listed at /api/v1/recordings";
        let (status, code, hint) = match self {
            Self::NoRecorder => (
                StatusCode::NOT_FOUND,
                "no-recordings",
                "add a worker with use: recorder, or name a directory: recordings: ./films",
            ),
            Self::Several(_) => (
                StatusCode::NOT_FOUND,
                "several-recorders",
                "name one of them in this web worker's section: recordings: NAME",
            ),
            Self::NoCamera(_) => (StatusCode::NOT_FOUND, "no-such-camera", LIST),
            Self::Nothing { .. } => (StatusCode::NOT_FOUND, "nothing-recorded", LIST),
            Self::Time(BadTime::Long(_)) => {
                (StatusCode::BAD_REQUEST, "long-range", "ask for it in several requests")
            }
            Self::Time(_) | Self::Query(_) => {
                (StatusCode::BAD_REQUEST, "bad-range", "for example ?from=-10m&to=-5m")
            }
            Self::Parts { .. } => {
                (StatusCode::CONFLICT, "several-parts", "add part=1, then part=2 and so on")
            }
            Self::NoPart { .. } => (StatusCode::NOT_FOUND, "no-such-part", "parts count from 1"),
            Self::ManyFiles { .. } => (
                StatusCode::BAD_REQUEST,
                "long-range",
                "ask for less at once, or use framevisor export",
            ),
            Self::NoSegment => {
                (StatusCode::NOT_FOUND, "no-such-segment", "take it from a playlist")
            }
            Self::Gone => (StatusCode::NOT_FOUND, "gone", LIST),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "ask again in a moment"),
            Self::Unreadable(_) | Self::Boxes(_) | Self::Failed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unreadable",
                "framevisor recordings verify tells more",
            ),
        };
        Refusal::new(status, code, self.to_string(), hint)
    }
}

impl IntoResponse for NotPlayed {
    fn into_response(self) -> Response {
        let mut response = self.refusal().into_response();
        if matches!(self, Self::Busy) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

/// What stands behind the question mark.
#[derive(Clone, Copy, Debug)]
pub struct Ask<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = NotPlayed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotPlayed> {
        let asked = Query::<T>::try_from_uri(&parts.uri);
        asked.map(|Query(asked)| Self(asked)).map_err(|error| NotPlayed::Query(error.body_text()))
    }
}

/// Reads off the event loop. Who goes away leaves the reading behind: the turn goes with it, and comes back when
/// the disk has answered.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotPlayed> + Send + 'static,
) -> Result<T, NotPlayed> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_panicked) => Err(NotPlayed::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_camera_was_recorded_is_asked_of_the_disk_and_not_of_its_name() {
        let root = std::env::temp_dir().join("framevisor-no-recordings-here");
        let shelf = Shelf::new(Told::At(root.clone()), BTreeMap::new());
        let folder = shelf.folder("cam1").unwrap();
        assert_eq!(folder.path, root.join("cam1"));
        assert!(matches!(folder.find(), Err(NotPlayed::NoCamera(name)) if name == "cam1"));
        assert!(matches!(shelf.folder("../etc"), Err(NotPlayed::NoCamera(_))));
    }

    #[test]
    fn a_name_is_a_camera_or_nothing() {
        for name in ["cam1", "cam1.small", "front-door"] {
            assert_eq!(folder_name(name).as_deref(), Some(name));
        }
        for name in ["", ".", "..", "../etc", "a/b", "/etc", ".lock", "a..b", "Cam", "a\0b", "a b"]
        {
            assert_eq!(folder_name(name), None, "{name:?}");
        }
    }
}
