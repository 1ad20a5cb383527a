//! The worker: one thread a camera, so that a slow disk or a full one delays no other camera.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::config::{RecorderConfig, WorkerConfig};
use protocol::control::{Condition, Happening};
use protocol::name::{ProjectName, RingKind, RingName};
use recordings::index::Notes;
use serde_json::Value;
use shmring::{census, clock};
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::camera::{Camera, Job};
use crate::desk::{self, Seat};
use crate::disk::Disk;
use crate::gate::{Gate, Gates, SharedGate};
use crate::indexing::Indexing;
use crate::keeper::Keeper;
use crate::listener::Listener;
use crate::pace::coarse;
use crate::remarks::Remarks;
use crate::segments::Segments;
use crate::status::Status;
use crate::told::Told;

/// How far the index is behind what is durable. A commit takes a few syncs: for many cameras together,
/// that is little beside those of their files.
const INDEX_BEHIND: Duration = Duration::from_secs(2);

/// `use: recorder`.
#[derive(Debug)]
pub struct Recorder {
    cameras: Vec<Running>,
    listener: Listener,
    told: Told,
    /// `None` once it has stopped.
    indexing: Option<Indexing>,
}

/// What all cameras have in common.
struct Shared {
    disk: Arc<Disk>,
    keeper: Arc<Keeper>,
    index: Notes,
}

#[derive(Debug)]
struct Running {
    ring: RingName,
    gate: SharedGate,
    remarks: Remarks,
    status: Arc<Status>,
    segments: Segments,
    thread: JoinHandle<()>,
}

impl Worker for Recorder {
    type Config = RecorderConfig;

    fn section(config: WorkerConfig) -> Option<RecorderConfig> {
        match config {
            WorkerConfig::Recorder(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: RecorderConfig, cx: &mut Context) -> Result<Self, Fault> {
        let inputs = cx.inputs().to_vec();
        let (events, rings): (Vec<RingName>, Vec<RingName>) =
            inputs.into_iter().partition(|ring| ring.kind() == RingKind::Events);
        if rings.is_empty() {
            return Err(Fault::contract("recorder without `in`: expected a list of packet rings"));
        }
        let indexing = Indexing::begin(&config.dir, INDEX_BEHIND)
            .map_err(|error| Fault::unavailable(format!("no thread for the index: {error}")))?;
        let keeper = Keeper::new(&config.keep, config.min_free).telling(indexing.notes());
        let shared = Shared {
            disk: Arc::new(Disk::new(&config.dir, memory(cx))),
            keeper: Arc::new(keeper),
            index: indexing.notes(),
        };
        let told = Told::load(cx.notes_dir().join(format!("{}.json", cx.worker())));
        let cameras = rings.iter().map(|ring| Running::begin(&config, &shared, cx, ring, &told));
        let cameras: Vec<Running> = cameras.collect::<Result<_, _>>()?;
        let gates = Gates(cameras.iter().map(|camera| camera.gate.clone()).collect());
        let (reader, stop) = (cx.worker().to_string(), cx.stop_flag());
        let listener = Listener::start(cx.project(), &reader, &events, gates, stop)?;
        Ok(Self { cameras, listener, told, indexing: Some(indexing) })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        thread::park_timeout(STEP_WAIT);
        if let Some(ended) = self.cameras.iter().find(|camera| camera.thread.is_finished()) {
            if cx.stopping() {
                return Ok(Step::Done);
            }
            return Err(Fault::failed(format!("the thread of {} ended by itself", ended.ring)));
        }
        if self.listener.is_finished() && !cx.stopping() {
            return Err(Fault::failed("the thread that hears events ended by itself"));
        }
        self.report(cx);
        Ok(Step::Again)
    }

    fn message(&mut self, _cx: &mut Context, message: Value) -> Result<Value, String> {
        let seats: Vec<Seat<'_>> = self.cameras.iter().map(Running::seat).collect();
        desk::answer(&seats, message)
    }

    /// The threads see the stop flag themselves, drain their rings and finish their files.
    fn stop(&mut self, cx: &mut Context) -> Result<(), Fault> {
        for camera in self.cameras.drain(..) {
            let Running { ring, status, segments, thread, .. } = camera;
            thread.join().map_err(|_| Fault::failed(format!("the thread of {ring} panicked")))?;
            cx.made(status.written());
            if status.is_recording() {
                status.stopped("the recorder was stopped");
            }
            tell_turns(cx, &mut self.told, &ring, &status);
            segments.tell(cx, &ring);
        }
        self.told.keep();
        if let Some(indexing) = self.indexing.take() {
            indexing.end();
        }
        Ok(())
    }
}

impl Recorder {
    fn report(&mut self, cx: &mut Context) {
        let packets = self.cameras.iter().map(|camera| camera.status.read());
        cx.reached(packets.chain(self.listener.read()));
        for camera in &self.cameras {
            cx.made(camera.status.written());
            cx.missed(camera.status.take_missed());
            tell_turns(cx, &mut self.told, &camera.ring, &camera.status);
        }
        self.cameras.iter().for_each(|camera| camera.segments.tell(cx, &camera.ring));
        self.told.keep();
        let project = cx.project().clone();
        let conditions = self.cameras.iter().map(|camera| camera.condition(&project));
        let trouble = self.indexing.as_ref().and_then(Indexing::trouble);
        let trouble = trouble.iter().map(|why| (Condition::Degraded, format!("index: {why}")));
        let (condition, why) = worst(conditions.chain(trouble));
        cx.condition(condition, why);
    }
}

impl Running {
    fn seat(&self) -> Seat<'_> {
        let Self { ring, gate, remarks, status, .. } = self;
        Seat { ring, gate, remarks, status }
    }

    fn begin(
        config: &RecorderConfig,
        shared: &Shared,
        cx: &Context,
        ring: &RingName,
        told: &Told,
    ) -> Result<Self, Fault> {
        let status = Arc::new(match told.why(ring) {
            Some(why) => Status::going_on(ring.as_str(), why),
            None => Status::new(ring.as_str()),
        });
        let remarks = Remarks::default();
        let segments = Segments::default();
        let gate = SharedGate::new(Gate::new(ring, config.when.clone()));
        let job = Job {
            project: cx.project().clone(),
            ring: ring.clone(),
            reader: cx.worker().to_string(),
            folder: folder(&config.dir, ring),
            segment: config.segment.duration(),
            gate: gate.clone(),
            remarks: remarks.clone(),
            disk: Arc::clone(&shared.disk),
            keeper: Arc::clone(&shared.keeper),
            index: shared.index.clone(),
            segments: segments.clone(),
            stop: cx.stop_flag(),
            status: Arc::clone(&status),
        };
        let camera = Camera::new(job);
        let thread = thread::Builder::new()
            .name(ring.camera().to_owned())
            .spawn(move || camera.run())
            .map_err(|error| Fault::unavailable(format!("no thread for {ring}: {error}")))?;
        Ok(Self { ring: ring.clone(), gate, remarks, status, segments, thread })
    }

    /// With how much waits in the ring while its disk does not answer.
    fn condition(&self, project: &ProjectName) -> (Condition, String) {
        let (condition, why) = self.status.condition();
        let now = clock::mono();
        if condition != Condition::Degraded || !self.status.stands_still(now) {
            return (condition, why);
        }
        let (epoch, read) = self.status.read();
        let ring = census::status(project, &self.ring, now);
        let waiting = if ring.epoch == epoch { ring.head.saturating_sub(read) } else { ring.head };
        (condition, format!("{why}; {} packets or more wait in the ring", coarse(waiting)))
    }
}

fn tell_turns(cx: &Context, told: &mut Told, ring: &RingName, status: &Status) {
    for turn in status.take_turns() {
        let what =
            if turn.began { Happening::RecordingStarted } else { Happening::RecordingStopped };
        cx.happened(what, ring.owner(), &turn.why);
        told.enter(ring, &turn);
    }
}

/// Where this recorder keeps which directory it records to.
fn memory(cx: &Context) -> PathBuf {
    cx.state_dir().join("recordings").join(format!("{}.json", cx.worker()))
}

/// `DIR/CAMERA`; a second stream of a camera gets `DIR/CAMERA.OUTPUT`, since a directory is of one
/// ring.
fn folder(dir: &Path, ring: &RingName) -> PathBuf {
    dir.join(ring.owner())
}

/// The condition of the worst camera, with the reasons of all that are as bad.
fn worst(conditions: impl Iterator<Item = (Condition, String)> + Clone) -> (Condition, String) {
    let badness = |condition: Condition| match condition {
        Condition::Degraded => 2,
        Condition::Waiting => 1,
        Condition::Flowing | Condition::Parked => 0,
    };
    let condition = conditions
        .clone()
        .map(|(condition, _)| condition)
        .max_by_key(|condition| badness(*condition))
        .unwrap_or(Condition::Waiting);
    let reasons = conditions.filter(|(own, why)| *own == condition && !why.is_empty());
    let reasons: Vec<String> = reasons.map(|(_, why)| why).collect();
    (condition, reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ring_has_a_directory_of_its_own() {
        let of = |ring: &str| folder(Path::new("/r"), &ring.parse().unwrap());
        assert_eq!(of("cam1.packets"), Path::new("/r/cam1"));
        assert_eq!(of("cam1.small.packets"), Path::new("/r/cam1.small"));
    }

    #[test]
    fn the_worst_camera_speaks_for_the_worker() {
        let flowing = (Condition::Flowing, String::new());
        let full = (Condition::Degraded, "disk full".to_owned());
        let waiting = (Condition::Waiting, "no writer".to_owned());
        let all = [flowing.clone(), full, waiting.clone()];
        assert_eq!(worst(all.into_iter()), (Condition::Degraded, "disk full".to_owned()));
        assert_eq!(worst([flowing, waiting.clone()].into_iter()), waiting);
    }
}
