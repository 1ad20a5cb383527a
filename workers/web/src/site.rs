//! What the routes share: the cameras, the desk of pictures, and the cached views of rings and workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::admin::{RingStatus, WorkerStatus};
use protocol::config::Shelf as Told;
use protocol::name::{ProjectName, RingKind, RingName, WorkerName};
use protocol::time::{MonoNs, UtcNs};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::board::{Board, CameraRings, CameraStatus};
use crate::cache::Cached;
use crate::desk::Desk;
use crate::events::EventLog;
use crate::playback::shelf::Shelf;
use crate::server::CONNECTIONS_MAX;
use crate::sources::{Sources, Trouble};

/// A view this young is answered again: several open pages cost what one does.
const VIEW_KEPT: Duration = Duration::from_millis(500);
/// The list of cameras waits this long for the supervisor, then says what it knew before.
const BLAME_WAIT: Duration = Duration::from_millis(300);

/// Who answers: `/api/v1/about`.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    pub project: ProjectName,
    pub worker: WorkerName,
    pub version: &'static str,
    pub inputs: Vec<RingName>,
}

/// One answer of the supervisor: its text as it came, for those who know more keys than we do, and
/// what we understand of it.
#[derive(Debug)]
pub struct Workers {
    pub json: String,
    pub list: Vec<WorkerStatus>,
}

/// One look at all rings of the project.
#[derive(Debug)]
pub struct Census {
    pub at: MonoNs,
    pub rings: Vec<RingStatus>,
}

/// The state behind every route.
#[derive(Debug)]
pub struct Site {
    pub about: About,
    pub desk: Desk,
    pub events: Arc<EventLog>,
    /// Permits for connections; what is missing is open.
    pub connections: Arc<Semaphore>,
    /// What was recorded.
    pub shelf: Arc<Shelf>,
    cameras: Vec<CameraRings>,
    board: Mutex<Board>,
    census: Cached<Arc<Census>>,
    workers: Cached<Result<Arc<Workers>, Arc<Trouble>>>,
    sources: SourcesRef,
}

/// The sources, with a name in debug output.
#[derive(Clone)]
struct SourcesRef(Arc<dyn Sources>);

impl std::fmt::Debug for SourcesRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

impl Site {
    pub fn new(about: About, sources: Arc<dyn Sources>, jpeg_quality: u8) -> Self {
        let cameras = cameras(&about.inputs);
        let frames = cameras.iter().map(|camera| (camera.name.clone(), camera.frames.clone()));
        Self {
            about,
            desk: Desk::new(frames, Arc::clone(&sources), jpeg_quality),
            events: Arc::default(),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            shelf: Arc::new(Shelf::new(Told::None, BTreeMap::new())),
            board: Mutex::default(),
            census: Cached::new(VIEW_KEPT),
            workers: Cached::new(VIEW_KEPT),
            sources: SourcesRef(sources),
            cameras,
        }
    }

    /// With recordings to play.
    pub fn playing(self, shelf: Shelf) -> Self {
        Self { shelf: Arc::new(shelf), ..self }
    }

    pub fn now_utc(&self) -> UtcNs {
        self.sources.0.now().utc
    }

    pub fn sources(&self) -> &dyn Sources {
        self.sources.0.as_ref()
    }

    pub fn open_connections(&self) -> usize {
        CONNECTIONS_MAX.saturating_sub(self.connections.available_permits())
    }

    /// All rings of the project; empty when there are none, or none can be read.
    pub async fn census(&self) -> Arc<Census> {
        let sources = Arc::clone(&self.sources.0);
        let look = move || Arc::new(Census { at: sources.now().mono, rings: sources.rings() });
        let empty = || Arc::new(Census { at: self.now(), rings: Vec::new() });
        self.census.get(|| self.now(), look).await.unwrap_or_else(empty)
    }

    /// The supervisor's list; waits as long as the source does.
    pub async fn workers(&self) -> Result<Arc<Workers>, Arc<Trouble>> {
        let sources = Arc::clone(&self.sources.0);
        let ask = move || ask(sources.as_ref()).map(Arc::new).map_err(Arc::new);
        let answer = self.workers.get(|| self.now(), ask).await;
        answer.unwrap_or_else(|| Err(Arc::new(Trouble::Gone)))
    }

    /// One row a camera, in the topology's order.
    pub async fn cameras(&self) -> Vec<CameraStatus> {
        let census = self.census().await;
        let workers = match tokio::time::timeout(BLAME_WAIT, self.workers()).await {
            Ok(answer) => answer.ok(),
            Err(_slow) => self.workers.last().and_then(Result::ok),
        };
        let workers = workers.as_ref().map_or(&[][..], |workers| &workers.list);
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.observe(census.at, &census.rings, workers);
        self.cameras
            .iter()
            .map(|camera| {
                let watched = self.desk.is_watched(&camera.name);
                board.camera(camera, watched, &census.rings, workers)
            })
            .collect()
    }

    fn now(&self) -> MonoNs {
        self.sources.0.now().mono
    }
}

fn ask(sources: &dyn Sources) -> Result<Workers, Trouble> {
    let json = sources.workers()?;
    let list = serde_json::from_str(&json)?;
    Ok(Workers { json, list })
}

/// The cameras behind the inputs, in the inputs' order. Of several frame rings of a camera the
/// first named in the topology is shown. The packet ring is known by its name even when it is no
/// input: the census shows whether it flows.
fn cameras(inputs: &[RingName]) -> Vec<CameraRings> {
    let mut cameras: Vec<CameraRings> = Vec::new();
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    for ring in inputs.iter().filter(|ring| ring.kind() != RingKind::Events) {
        let at = *index.entry(ring.camera()).or_insert_with(|| {
            cameras.push(CameraRings {
                name: ring.camera().to_owned(),
                frames: None,
                packets: packets_of(ring),
            });
            cameras.len() - 1
        });
        if ring.kind() == RingKind::Frames && cameras[at].frames.is_none() {
            cameras[at].frames = Some(ring.clone());
        }
    }
    cameras
}

fn packets_of(ring: &RingName) -> Option<RingName> {
    let camera: WorkerName = ring.camera().parse().ok()?;
    Some(RingName::of(&camera, RingKind::Packets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_become_cameras_in_their_order() {
        let inputs = ["b.packets", "motion.events", "a.small.frames", "b.frames", "a.frames"]
            .map(|name| name.parse().unwrap());
        let cameras = cameras(&inputs);
        let shown: Vec<_> = cameras
            .iter()
            .map(|camera| (camera.name.as_str(), camera.frames.as_ref().map(RingName::as_str)))
            .collect();
        assert_eq!(shown, [("b", Some("b.frames")), ("a", Some("a.small.frames"))]);
        assert_eq!(cameras[1].packets, Some("a.packets".parse().unwrap()));
    }
}
