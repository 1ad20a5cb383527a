//! What the rings and workers together say about each camera: alive or stale, how fast, and who is
//! to blame. Pure: the caller brings the lists and the time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::admin::{RingStatus, WorkerState, WorkerStatus};
use protocol::health::PictureHealth;
use protocol::name::{RingName, WorkerName};
use protocol::time::MonoNs;
use schemars::JsonSchema;
use serde::Serialize;

/// A camera without a new frame for longer than this is stale.
pub const STALE_AFTER_MS: u64 = 2_000;
/// Rates are means over this long: short enough to show a stall, long enough to be steady at 1 fps.
const RATE_WINDOW: Duration = Duration::from_secs(4);
/// The shortest span a rate is computed from.
const RATE_SPAN_MIN: Duration = Duration::from_millis(400);

/// One camera of the page: its name and the rings that are inputs of this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraRings {
    pub name: String,
    pub frames: Option<RingName>,
    pub packets: Option<RingName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CameraState {
    Live,
    Stale,
    /// Nothing came so far.
    Waiting,
}

/// A row of `/api/v1/cameras`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CameraStatus {
    pub name: String,
    pub state: CameraState,
    /// Empty while live.
    pub why: String,
    /// What those see who read and decode it; `unknown` while nobody looks.
    pub health: PictureHealth,
    /// Frames (or, without a frame ring, packets) a second; `null` while unknown.
    pub fps: Option<f64>,
    /// Time since the newest frame, in ms.
    pub age_ms: Option<u64>,
    pub width: u32,
    pub height: u32,
    pub frames: Option<RingName>,
    pub packets: Option<RingName>,
    /// Where its picture is, if it has a frame ring.
    pub snapshot: Option<String>,
    /// Where its live video is, if its packet ring is an input.
    pub live: Option<String>,
}

/// Remembers what one look at the rings cannot tell: rates, and who wrote a ring whose writer is dead.
#[derive(Debug, Default)]
pub struct Board {
    heads: BTreeMap<RingName, VecDeque<Sample>>,
    writers: BTreeMap<RingName, WorkerName>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: MonoNs,
    epoch: u64,
    head: u64,
}

impl Board {
    /// Takes one look at the rings and the workers into account.
    pub fn observe(&mut self, now: MonoNs, rings: &[RingStatus], workers: &[WorkerStatus]) {
        self.heads.retain(|name, _| rings.iter().any(|ring| ring.name == *name));
        for ring in rings {
            let samples = self.heads.entry(ring.name.clone()).or_default();
            remember(samples, Sample { at: now, epoch: ring.epoch, head: ring.head });
            let writer =
                workers.iter().find(|worker| worker.pid.is_some() && worker.pid == ring.writer_pid);
            if let Some(writer) = writer {
                self.writers.insert(ring.name.clone(), writer.name.clone());
            }
        }
    }

    /// Items a second over the last seconds.
    pub fn rate(&self, ring: &RingName) -> Option<f64> {
        let samples = self.heads.get(ring)?;
        let (first, last) = (samples.front()?, samples.back()?);
        let span = last.at.saturating_since(first.at);
        (span >= RATE_SPAN_MIN).then(|| count(first.head, last.head) / span.as_secs_f64())
    }

    /// The row of one camera. `watched`: whether this page reads its frames now; if not, a parked
    /// decoder is no fault and the packets tell whether the camera lives.
    pub fn camera(
        &self,
        camera: &CameraRings,
        watched: bool,
        rings: &[RingStatus],
        workers: &[WorkerStatus],
    ) -> CameraStatus {
        let find = |name: &Option<RingName>| {
            let name = name.as_ref()?;
            rings.iter().find(|ring| ring.name == *name)
        };
        let (frames, packets) = (find(&camera.frames), find(&camera.packets));
        let shown = if watched { frames.or(packets) } else { packets.or(frames) };
        let age_ms = shown.and_then(|ring| ring.age_ms);
        let state = match age_ms {
            None => CameraState::Waiting,
            Some(age) if age > STALE_AFTER_MS => CameraState::Stale,
            Some(_) => CameraState::Live,
        };
        let why = match state {
            CameraState::Live => String::new(),
            _ => self.blame(camera, workers).unwrap_or_else(|| silence(camera, shown, age_ms)),
        };
        let size = frames.or(packets);
        CameraStatus {
            name: camera.name.clone(),
            state,
            why,
            health: self.health(camera, workers),
            fps: age_ms.and_then(|_| self.camera_rate(camera, watched)),
            age_ms,
            width: size.map_or(0, |ring| ring.width),
            height: size.map_or(0, |ring| ring.height),
            frames: camera.frames.clone(),
            packets: camera.packets.clone(),
            snapshot: camera.frames.as_ref().map(|_| format!("/snap/{}.jpg", camera.name)),
            live: None,
        }
    }

    /// Frames a second. A ring at rest that nobody here looks at is parked: its rate says nothing.
    fn camera_rate(&self, camera: &CameraRings, watched: bool) -> Option<f64> {
        let ring = camera.frames.as_ref().or(camera.packets.as_ref())?;
        let rate = round_tenth(self.rate(ring)?);
        (watched || rate > 0.0).then_some(rate)
    }

    /// What is wrong tells more than what is right.
    fn health(&self, camera: &CameraRings, workers: &[WorkerStatus]) -> PictureHealth {
        let seen = [&camera.frames, &camera.packets]
            .into_iter()
            .flatten()
            .filter_map(|ring| self.writer(ring, workers))
            .map(|worker| worker.health);
        let known = seen.filter(|health| !health.is_unknown());
        known.max_by_key(|health| health.is_fault()).unwrap_or_default()
    }

    /// The first worker on the way from the camera to the picture that is not well.
    fn blame(&self, camera: &CameraRings, workers: &[WorkerStatus]) -> Option<String> {
        [&camera.packets, &camera.frames]
            .into_iter()
            .flatten()
            .filter_map(|ring| self.writer(ring, workers))
            .find(|worker| !is_well(worker.state))
            .map(|worker| {
                let state = worker.state.as_str();
                match (worker.why.as_str(), worker.last_exit.as_str()) {
                    ("", "") => format!("{} is {state}", worker.name),
                    ("", exit) => format!("{} is {state}: {exit}", worker.name),
                    (why, _) => format!("{} is {state}: {why}", worker.name),
                }
            })
    }

    /// The worker that writes a ring: by its process, else the last that did, else by name.
    fn writer<'a>(&self, ring: &RingName, workers: &'a [WorkerStatus]) -> Option<&'a WorkerStatus> {
        let known = self.writers.get(ring).map_or_else(|| ring.camera(), WorkerName::as_str);
        workers.iter().find(|worker| worker.name.as_str() == known)
    }
}

fn remember(samples: &mut VecDeque<Sample>, sample: Sample) {
    if samples.back().is_some_and(|last| last.at == sample.at) {
        return;
    }
    if samples.back().is_some_and(|last| last.epoch != sample.epoch || last.head > sample.head) {
        samples.clear();
    }
    samples.push_back(sample);
    while samples.len() > 2 && sample.at.saturating_since(samples[1].at) >= RATE_WINDOW {
        samples.pop_front();
    }
}

fn is_well(state: WorkerState) -> bool {
    matches!(state, WorkerState::Ready | WorkerState::Running)
}

fn silence(camera: &CameraRings, ring: Option<&RingStatus>, age_ms: Option<u64>) -> String {
    let wanted = camera.frames.as_ref().or(camera.packets.as_ref());
    match (ring, age_ms, wanted) {
        (None, _, Some(wanted)) => format!("ring {wanted} is not there yet"),
        (Some(ring), ..) if !ring.live => format!("ring {} has no writer", ring.name),
        (Some(ring), Some(age_ms), _) => {
            format!("no new item in {} for {} s", ring.name, age_ms / 1_000)
        }
        _ => "no frame so far".to_owned(),
    }
}

/// The number of items between two heads. Heads are far below 2^53, so a float holds them exactly.
#[expect(clippy::cast_precision_loss, reason = "a difference of heads of a few seconds is small")]
pub(crate) fn count(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64
}

fn round_tenth(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::name::RingKind;

    fn ring(name: &str, head: u64, age_ms: Option<u64>) -> RingStatus {
        let name: RingName = name.parse().unwrap();
        RingStatus {
            epoch: 1,
            head,
            bytes: 1 << 20,
            live: true,
            writer_pid: Some(42),
            age_ms,
            width: 640,
            height: 480,
            ..RingStatus::absent(name)
        }
    }

    fn worker(name: &str, pid: Option<u32>, state: WorkerState, why: &str) -> WorkerStatus {
        WorkerStatus {
            name: name.parse().unwrap(),
            kind: "ingest".to_owned(),
            pid,
            state,
            why: why.to_owned(),
            restarts: 0,
            uptime_s: 1.0,
            last_exit: String::new(),
            restart_ms: None,
            health: PictureHealth::Unknown,
        }
    }

    fn cam1() -> CameraRings {
        CameraRings {
            name: "cam1".to_owned(),
            frames: Some("cam1.frames".parse().unwrap()),
            packets: Some("cam1.packets".parse().unwrap()),
        }
    }

    const S: u64 = protocol::time::NS_PER_S;

    #[test]
    fn the_rate_is_the_head_over_the_last_seconds() {
        let mut board = Board::default();
        let name: RingName = "cam1.frames".parse().unwrap();
        board.observe(MonoNs(0), &[ring("cam1.frames", 0, Some(0))], &[]);
        assert_eq!(board.rate(&name), None);
        for second in 1..20 {
            board.observe(MonoNs(second * S), &[ring("cam1.frames", second * 25, Some(0))], &[]);
        }
        assert_eq!(board.rate(&name), Some(25.0));
        for second in 20..30 {
            board.observe(MonoNs(second * S), &[ring("cam1.frames", 19 * 25, Some(0))], &[]);
        }
        assert_eq!(board.rate(&name), Some(0.0));
    }

    #[test]
    fn a_new_epoch_starts_the_rate_again() {
        let mut board = Board::default();
        board.observe(MonoNs(0), &[ring("cam1.frames", 1_000, Some(0))], &[]);
        board.observe(MonoNs(S), &[ring("cam1.frames", 1, Some(0))], &[]);
        assert_eq!(board.rate(&"cam1.frames".parse().unwrap()), None);
    }

    #[test]
    fn a_parked_decoder_is_no_stale_camera_while_nobody_looks() {
        let rings = [ring("cam1.frames", 5, Some(60_000)), ring("cam1.packets", 900, Some(40))];
        let row = |watched| Board::default().camera(&cam1(), watched, &rings, &[]);
        assert_eq!(row(false).state, CameraState::Live);
        assert_eq!(row(true).state, CameraState::Stale);
        assert_eq!(row(true).why, "no new item in cam1.frames for 60 s");
    }

    #[test]
    fn a_camera_that_is_down_says_what_its_ingest_says() {
        let mut board = Board::default();
        let rings = [ring("cam1.packets", 900, Some(12_000))];
        let alive = worker("front", Some(42), WorkerState::Running, "");
        board.observe(MonoNs(0), &rings, &[alive]);
        let dead = worker("front", None, WorkerState::Degraded, "401 Unauthorized");
        let row = board.camera(&cam1(), false, &rings, &[dead]);
        assert_eq!(row.state, CameraState::Stale);
        assert_eq!(row.why, "front is degraded: 401 Unauthorized");
    }

    #[test]
    fn what_is_wrong_with_the_picture_is_said_of_a_camera_that_is_live() {
        let mut board = Board::default();
        let rings = [ring("cam1.packets", 900, Some(12)), ring("cam1.frames", 900, Some(12))];
        let works = |name: &str, health| WorkerStatus {
            health,
            ..worker(name, Some(42), WorkerState::Running, "")
        };
        let seen = |board: &mut Board, ingest, decoder| {
            let workers = [works("cam1", ingest), works("cam1-decode", decoder)];
            board.writers.insert("cam1.frames".parse().unwrap(), workers[1].name.clone());
            board.writers.insert("cam1.packets".parse().unwrap(), workers[0].name.clone());
            board.camera(&cam1(), true, &rings, &workers).health
        };
        use PictureHealth::{Black, Ok, Rate, Unknown};
        assert_eq!(seen(&mut board, Unknown, Unknown), Unknown);
        assert_eq!(seen(&mut board, Ok, Unknown), Ok);
        assert_eq!(seen(&mut board, Ok, Black), Black);
        assert_eq!(seen(&mut board, Rate, Ok), Rate);
    }

    #[test]
    fn a_camera_without_rings_waits() {
        let row = Board::default().camera(&cam1(), false, &[], &[]);
        assert_eq!((row.state, row.age_ms), (CameraState::Waiting, None));
        assert_eq!(row.why, "ring cam1.frames is not there yet");
        assert_eq!(cam1().frames.unwrap().kind(), RingKind::Frames);
    }
}
