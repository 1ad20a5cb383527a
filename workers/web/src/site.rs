//! What the routes share: the cameras, the desk of pictures, and the cached views of rings and workers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lobby::Crowd;
use protocol::admin::{RingStatus, WorkerStatus};
use protocol::config::{Kind, Shelf as Told};
use protocol::name::{ProjectName, RingKind, RingName, WorkerName};
use protocol::time::{MonoNs, UtcNs};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::board::{Board, CameraRings, CameraStatus};
use crate::cache::Cached;
use crate::control::{Control, NoControl};
use crate::desk::Desk;
use crate::events::EventLog;
use crate::insight::gauge::Gauges;
use crate::insight::history::{History, Told as Past};
use crate::insight::passage::{Hop, Stage};
use crate::playback::shelf::Shelf;
use crate::sources::{Sources, Trouble};
use crate::stream::channels::Channels;
use crate::stream::viewers::Viewers;
use crate::tally::Tally;

/// A view this young is answered again: several open pages cost what one does.
const VIEW_KEPT: Duration = Duration::from_millis(500);
/// Connections at once, unless the topology says otherwise; a browser uses six a page.
pub const CONNECTIONS_MAX: usize = 256;
/// Changes that are made at once: each holds a thread until the supervisor has answered.
const DEEDS_MAX: usize = 2;
/// Requests that ask the supervisor for logs at once, for the same reason; more wait.
const LOGS_MAX: usize = 2;
/// The list of cameras waits this long for the supervisor, then says what it knew before.
const BLAME_WAIT: Duration = Duration::from_millis(300);

/// Who answers: `/api/v1/about`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
    /// Live video.
    pub channels: Channels,
    pub viewers: Arc<Viewers>,
    pub events: Arc<EventLog>,
    /// Who is connected.
    pub crowd: Crowd,
    /// What can be done, and by how many requests at once.
    pub control: Arc<dyn Control>,
    pub deeds: Arc<Semaphore>,
    logs: Arc<Semaphore>,
    /// What is counted for the metrics.
    tally: Mutex<Tally>,
    leaving: watch::Sender<bool>,
    began: UtcNs,
    /// What was recorded.
    pub shelf: Arc<Shelf>,
    /// Times of packets, for who looks at them.
    pub gauges: Gauges,
    history: Mutex<History>,
    /// Live video by WebRTC, if there is any.
    pub webrtc: Option<whep::Door>,
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
        let began = sources.now().utc;
        let frames = cameras.iter().map(|camera| (camera.name.clone(), camera.frames.clone()));
        let names = cameras.iter().map(|camera| camera.name.clone());
        let channels = Channels::new(names, &about.inputs, Arc::clone(&sources));
        Self {
            about,
            desk: Desk::new(frames, Arc::clone(&sources), jpeg_quality),
            channels,
            viewers: Arc::default(),
            events: Arc::default(),
            crowd: Crowd::new(CONNECTIONS_MAX, None),
            control: Arc::new(NoControl),
            deeds: Arc::new(Semaphore::new(DEEDS_MAX)),
            logs: Arc::new(Semaphore::new(LOGS_MAX)),
            tally: Mutex::default(),
            leaving: watch::Sender::new(false),
            began,
            shelf: Arc::new(Shelf::new(Told::None, BTreeMap::new())),
            gauges: Gauges::default(),
            history: Mutex::default(),
            webrtc: None,
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

    /// With a folder for what the next process of this worker has to know.
    pub fn remembering(self, folder: &Path) -> Self {
        self.channels.remember(folder);
        self
    }

    /// So many connections at once, and so many of one address.
    pub fn seating(self, clients: usize, per_address: Option<usize>) -> Self {
        Self { crowd: Crowd::new(clients, per_address), ..self }
    }

    /// With somebody who does what is asked for.
    pub fn controlled(self, control: Arc<dyn Control>) -> Self {
        Self { control, ..self }
    }

    /// From now on a successor is there for whoever follows something.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Turns true when who follows something has to go elsewhere.
    pub fn leaving(&self) -> watch::Receiver<bool> {
        self.leaving.subscribe()
    }

    /// When this process began to serve.
    pub fn began(&self) -> UtcNs {
        self.began
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what there is to count at this moment.
    pub async fn count(&self) {
        let census = self.census().await;
        let workers = self.workers().await.ok();
        let mut tally = self.tally();
        if let Some(workers) = workers {
            tally.workers(&workers.list);
        }
        tally.rings(&census.rings);
    }

    /// Items a second of each ring, where they are known.
    pub fn rates(&self, rings: &[RingStatus]) -> BTreeMap<RingName, f64> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = |ring: &RingStatus| Some((ring.name.clone(), board.rate(&ring.name)?));
        rings.iter().filter_map(rate).collect()
    }

    /// In the topology's order.
    pub fn camera_names(&self) -> impl Iterator<Item = &str> {
        self.cameras.iter().map(|camera| camera.name.as_str())
    }

    /// By whose names workers are called: the cameras of the page, and those of the project that it does not show, as
    /// far as that is known. Of two the one with the longer name has the worker.
    pub async fn owners(&self) -> Vec<String> {
        let census = self.census().await;
        let workers = match tokio::time::timeout(BLAME_WAIT, self.workers()).await {
            Ok(answer) => answer.ok(),
            Err(_slow) => self.workers.last().and_then(Result::ok),
        };
        let list = workers.as_ref().map_or(&[][..], |workers| &workers.list);
        let ingests = list.iter().filter(|worker| worker.kind == Kind::Ingest.as_str());
        let ingests: BTreeSet<&str> = ingests.map(|worker| worker.name.as_str()).collect();
        // A second stream has an ingest worker too, and no ring of that name.
        let packets = census.rings.iter().filter(|ring| ring.name.kind() == RingKind::Packets);
        let others = packets.map(|ring| ring.name.camera()).filter(|name| ingests.contains(name));
        self.camera_names().chain(others).map(str::to_owned).collect()
    }

    /// The same for who changes something: an error where it is not known, and an ingest worker of which no ring is
    /// known is taken for a camera, whose workers are its own.
    pub async fn known_owners(&self) -> Result<Vec<String>, Arc<Trouble>> {
        let workers = self.workers().await?;
        let census = self.census().await;
        let ingests = workers.list.iter().filter(|worker| worker.kind == Kind::Ingest.as_str());
        let ingests = ingests.map(|worker| worker.name.as_str());
        let others = ingests.filter(|name| !is_second_stream(name, &census.rings));
        Ok(self.camera_names().chain(others).map(str::to_owned).collect())
    }

    pub fn shared_sources(&self) -> Arc<dyn Sources> {
        Arc::clone(&self.sources.0)
    }

    /// With live video by WebRTC.
    pub fn live(self, webrtc: Option<whep::Door>) -> Self {
        Self { webrtc, ..self }
    }

    pub fn now_utc(&self) -> UtcNs {
        self.sources.0.now().utc
    }

    pub fn sources(&self) -> &dyn Sources {
        self.sources.0.as_ref()
    }

    pub fn open_connections(&self) -> usize {
        self.crowd.inside()
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
                let row = board.camera(camera, watched, &census.rings, workers);
                let live = self.channels.has(&row.name).then(|| format!("/live/{}", row.name));
                CameraStatus { live, ..row }
            })
            .collect()
    }

    /// Takes one more look into the history; to be called once a step of it.
    pub async fn remember(&self) {
        let census = self.census().await;
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.observe(census.at, &census.rings);
    }

    pub fn history(&self) -> Past {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).told()
    }

    /// The rings of a camera among the inputs; `None` for another name.
    pub fn camera(&self, name: &str) -> Option<&CameraRings> {
        self.cameras.iter().find(|camera| camera.name == name)
    }

    /// How long a camera's packets and pictures take, hop by hop.
    pub async fn hops(&self, camera: &CameraRings) -> Vec<Hop> {
        let is_input = |ring: &&RingName| self.about.inputs.contains(*ring);
        let Some(packets) = camera.packets.as_ref().filter(is_input) else {
            return self.desk.hops(&camera.name, Stage::Capture).await;
        };
        let mut hops = self.gauges.hops(Arc::clone(&self.sources.0), packets).await;
        // The way into the ring of packets is told by the packets, if there are any.
        let first = if hops.is_empty() { Stage::Capture } else { Stage::Ingest };
        hops.extend(self.desk.hops(&camera.name, first).await);
        hops
    }

    /// The last lines that a worker printed.
    pub async fn logs(&self, worker: WorkerName, lines: u32) -> Result<Option<String>, Trouble> {
        let sources = Arc::clone(&self.sources.0);
        let turn = Arc::clone(&self.logs).acquire_owned().await;
        let asking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            sources.logs(&worker, lines)
        });
        asking.await.unwrap_or(Err(Trouble::Gone))
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

/// Whether an ingest worker brings another camera's stream: `hall-sub` that of `hall.sub.packets`.
fn is_second_stream(worker: &str, rings: &[RingStatus]) -> bool {
    let of_another = |ring: &&RingStatus| ring.name.camera() != worker;
    rings.iter().filter(of_another).any(|ring| {
        let stream = ring.name.as_str().strip_suffix(".packets");
        stream.is_some_and(|stream| stream.replace('.', "-") == worker)
    })
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

    #[test]
    fn a_second_stream_is_told_from_a_camera_of_its_own_by_its_ring() {
        let rings = ["hall.packets", "hall.sub.packets", "hall-2.packets", "hall.sub.frames"]
            .map(|name| RingStatus::absent(name.parse().unwrap()));
        assert!(is_second_stream("hall-sub", &rings));
        for camera in ["hall", "hall-2", "hall-3", "hall-sub-2"] {
            assert!(!is_second_stream(camera, &rings), "{camera}");
        }
        assert!(!is_second_stream("hall-sub", &[]), "nothing is known of it");
    }
}
