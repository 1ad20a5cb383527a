//! A model over pictures whose contents are known: what it tells of a picture is compared with the truth about the
//! very picture that the record names, while the detector is killed again and again.

use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use protocol::name::RingName;
use protocol::record::Record;
use protocol::shapes::{Shape, shapes};
use protocol::stream::FrameId;
use serde_json::{Value, json};
use shmring::{FrameOptions, Next, PacketOptions, Policy, Start};
use worker::{FrameInput, PacketInput};

use crate::project::{Project, source_root};
use crate::{Failure, Outcome, ensure, framecode, processes, wait_for};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// What is promised: a box is right from here on, and so many of the pictures are.
pub const IOU: f64 = 0.7;
pub const SHARE: f64 = 0.95;
/// Pictures whose own number is compared with their place in the ring.
const CODES_READ: usize = 20;

/// The small model that `scripts/train-shapes` made.
pub fn model() -> String {
    source_root().join("workers/detect/models/shapes.onnx").display().to_string()
}

/// Whether ONNX Runtime's library is where its own variable says.
pub fn onnxruntime() -> Option<String> {
    let path = std::env::var("ORT_DYLIB_PATH").ok()?;
    std::path::Path::new(&path).is_file().then_some(path)
}

/// What the detector reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Pictures,
    /// What the decoder has made of them.
    Tensors,
}

fn topology(reads: Reads, keys: &str) -> String {
    let model = model();
    let (outputs, input) = match reads {
        Reads::Pictures => ("", "cam.frames"),
        Reads::Tensors => {
            (", outputs: {net: {size: 160x160, tensor: {type: f16}}}", "cam.net.frames")
        }
    };
    format!(
        "version: 1
workers:
  cam: {{use: ingest, source: 'test:?picture=shapes&size={WIDTH}x{HEIGHT}&fps=25&gop=25&bitrate=4M'}}
  decode: {{use: decoder, in: cam.packets{outputs}}}
  detect:
    use: detect
    in: {input}
    model: '{model}'
    fps: 10
    restart: {{delay: 0s, limit: none}}
    {keys}
"
    )
}

/// Looks at `pictures` records between `kills` kills, each after its part of them.
pub fn boxes_are_right_through_kills(
    reads: Reads,
    keys: &str,
    pictures: usize,
    kills: usize,
) -> Outcome<Value> {
    let project = Project::new(&topology(reads, keys))?;
    project.up()?;
    let first = first_number(&project)?;
    let mut events = Events::of(&project)?;
    let mut seen = Vec::new();
    for kill in 0..=kills {
        let enough = pictures * (kill + 1) / (kills + 1);
        let (more, _) = wait_for(240, "records of the detector", || {
            match events.next() {
                Ok(Some(record)) => seen.push(record),
                Ok(None) => {}
                Err(failure) => return Some(Err(failure)),
            }
            (seen.len() >= enough).then_some(Ok(()))
        })?;
        more?;
        if kill < kills {
            let before = project.pid("detect")?;
            processes::signal(before, Signal::SIGKILL);
            project.wait_restarted("detect", before)?;
        }
    }
    let restarts = project.worker("detect")?.restarts;
    project.down()?;
    let judged: Vec<Judged> =
        seen.iter().map(|record| judge(record, &first)).collect::<Outcome<_>>()?;
    let right = judged.iter().filter(|it| it.is_right).count();
    let share = ratio(right, judged.len());
    let ious: Vec<f64> = judged.iter().flat_map(|it| it.ious.iter().copied()).collect();
    let figures = json!({
        "pictures": judged.len(), "right": right, "share": share, "kills": kills,
        "mean_iou": ious.iter().sum::<f64>() / (ious.len().max(1) as f64),
    });
    ensure(share >= SHARE, || format!("IoU {IOU} in {share} of the pictures: {figures}"))?;
    ensure(restarts == kills as u64, || format!("{restarts} restarts for {kills} kills"))?;
    Ok(figures)
}

fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The number of the picture in packet 0 of the camera's ring, and which ring that is: the frame code of some
/// pictures against their ids.
struct FirstNumber {
    ring: RingName,
    epoch: u64,
    /// A picture's number is its sequence less this.
    behind: u64,
}

fn first_number(project: &Project) -> Outcome<FirstNumber> {
    let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("truth") };
    let mut frames = FrameInput::detached(project.name(), &Project::ring("cam.frames")?, options);
    let mut found: Vec<(FrameId, u64)> = Vec::new();
    let (read, _) = wait_for(120, "pictures with a frame code", || {
        match frames.poll(Duration::from_millis(100)) {
            Ok(Some(Next::Item(frame))) => {
                let mut luma = Vec::new();
                frame.plane(0)?.copy_to(&mut luma);
                if let (Some(top), Some(bottom)) = framecode::read(&luma, WIDTH as usize)
                    && top == bottom
                {
                    found.push((frame.frame_id(), u64::from(top)));
                }
            }
            Ok(_) => {}
            Err(error) => return Some(Err(Failure::new(error))),
        }
        (found.len() >= CODES_READ).then_some(Ok(()))
    })?;
    read?;
    let (id, number) = &found[0];
    let behind = id.sequence.saturating_sub(*number);
    let fits = |(id, number): &(FrameId, u64)| id.sequence == number + behind;
    ensure(found.iter().all(fits), || format!("numbers do not follow the ids: {found:?}"))?;
    Ok(FirstNumber { ring: id.ring.clone(), epoch: id.epoch, behind })
}

/// What the detector tells, over its restarts.
struct Events(PacketInput);

impl Events {
    fn of(project: &Project) -> Outcome<Self> {
        let options = PacketOptions { reader: "check".to_owned(), start: Start::Oldest };
        let ring = Project::ring("detect.events")?;
        Ok(Self(PacketInput::detached(project.name(), &ring, options)))
    }

    fn next(&mut self) -> Outcome<Option<Record>> {
        match self.0.poll(Duration::from_millis(100)).map_err(Failure::new)? {
            Some(Next::Item(packet)) => {
                serde_json::from_slice(&packet.payload).map(Some).map_err(Failure::new)
            }
            _ => Ok(None),
        }
    }
}

/// One picture against the truth.
struct Judged {
    /// Each shape was found by its name at its place, and nothing else was.
    is_right: bool,
    /// Of each shape with the box of its name that fits it best.
    ious: Vec<f64>,
}

fn judge(record: &Record, first: &FirstNumber) -> Outcome<Judged> {
    let id = record.frame.as_ref().ok_or_else(|| Failure::new("a record without a frame id"))?;
    ensure(id.ring == first.ring && id.epoch == first.epoch, || {
        format!("a record about {id:?}, which is no picture of the camera")
    })?;
    let number = id.sequence - first.behind;
    let none = Vec::new();
    let boxes = record.data.get("boxes").and_then(Value::as_array).unwrap_or(&none);
    let ious: Vec<f64> = shapes(WIDTH, HEIGHT, number)
        .iter()
        .map(|shape| boxes.iter().filter_map(|it| iou(it, shape)).fold(0.0, f64::max))
        .collect();
    let is_right = boxes.len() == ious.len() && ious.iter().all(|iou| *iou >= IOU);
    Ok(Judged { is_right, ious })
}

/// `None` for a box of another name.
fn iou(told: &Value, shape: &Shape) -> Option<f64> {
    if told.get("label")?.as_str()? != shape.form.name() {
        return None;
    }
    let side = |key: &str| told.get(key)?.as_f64();
    let (x, y, w, h) = (side("x")?, side("y")?, side("w")?, side("h")?);
    let [sx, sy, sw, sh] = [shape.x, shape.y, shape.w, shape.h].map(f64::from);
    let across = (x + w).min(sx + sw) - x.max(sx);
    let down = (y + h).min(sy + sh) - y.max(sy);
    let both = across.max(0.0) * down.max(0.0);
    Some(both / (w * h + sw * sh - both))
}

/// What was asked for and is not there is told, and pictures are looked at all the same.
pub fn a_missing_provider_is_told_and_something_else_runs_the_model() -> Outcome<Value> {
    let keys = "engine: auto\n    onnxruntime: /nowhere/libonnxruntime.so\n    providers: [cuda]";
    let project = Project::new(&topology(Reads::Pictures, keys))?;
    let plan = project.succeed(&["plan"])?;
    let planned =
        "ONNX Runtime (/nowhere/libonnxruntime.so) with cuda, else cpu; without its library tract";
    ensure(plan.contains(planned), || format!("plan:\n{plan}"))?;
    // A degraded worker is up.
    project.succeed(&["up", "-d"])?;
    let told = || {
        let worker = project.worker("detect").ok()?;
        let is_told =
            worker.why.contains("/nowhere/libonnxruntime.so") && worker.why.contains("built-in");
        (worker.state == WorkerState::Degraded && is_told).then_some(worker.why)
    };
    let (why, _) = wait_for(120, "ps to tell what runs the model", told)?;
    let mut events = Events::of(&project)?;
    let is_looking = || events.next().ok().flatten().map(|record| record.kind);
    let (kind, _) = wait_for(120, "a record all the same", is_looking)?;
    project.down()?;
    Ok(json!({"why": why, "first": kind}))
}

/// Two cameras through one detector, each record about its own camera's picture.
pub fn cameras_share_a_detector() -> Outcome<Value> {
    let model = model();
    let camera = "detect: {model: MODEL, fps: 5, batch: 2, zones: {upper: '0% 0%, 100% 50%'}}";
    let camera = camera.replace("MODEL", &format!("'{model}'"));
    let project = Project::new(&format!(
        "version: 1
cameras:
  one: {{url: 'test:?picture=shapes&size={WIDTH}x{HEIGHT}', serve: false, {camera}}}
  two: {{url: 'test:?picture=shapes&size=640x352', serve: false, {camera}}}
"
    ))?;
    project.up()?;
    let mut events = Events::of(&project)?;
    let (mut counts, mut outside) = ([0_u32; 2], 0_u32);
    let enough = || {
        let record = match events.next() {
            Ok(Some(record)) => record,
            Ok(None) => return None,
            Err(failure) => return Some(Err(failure)),
        };
        let camera = usize::from(record.camera == "two");
        counts[camera] += 1;
        let is_upper = |it: &Value| it["zones"] == json!(["upper"]);
        let boxes = record.data["boxes"].as_array();
        outside += u32::from(boxes.is_some_and(|boxes| !boxes.iter().all(is_upper)));
        counts.iter().all(|count| *count >= 20).then_some(Ok(()))
    };
    wait_for(180, "records of both cameras", enough)?.0?;
    project.down()?;
    ensure(outside == 0, || format!("{outside} records tell of what stands in no zone"))?;
    Ok(json!({"records": counts}))
}
