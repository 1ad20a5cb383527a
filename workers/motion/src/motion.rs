//! The worker: takes a picture, samples it, lets it go, and tells what the pure parts decide.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::config::zone::Field;
use protocol::config::{MotionConfig, WorkerConfig};
use protocol::control::Condition;
use protocol::record::Record;
use protocol::stream::FrameId;
use protocol::time::{MonoNs, UtcNs};
use serde_json::json;
use shmring::{Frame, FrameOptions, Next, RecordWriter, clock};
use worker::{Context, Fault, FrameInput, STEP_WAIT, Step, Worker};

use crate::area::Area;
use crate::detect::{Detector, Sensitivity};
use crate::episode::{Episodes, Phase, Told};
use crate::grid::Grid;

/// Pictures are in order, and a camera's clock is set right by less. What goes farther back is another showing: a replay
/// that begins again.
const BACK_MAX: Duration = Duration::from_secs(2);

/// The motion worker.
#[derive(Debug)]
pub struct Motion {
    input: FrameInput,
    output: RecordWriter,
    detector: Detector,
    episodes: Episodes,
    /// Names of the camera's zones.
    zones: Vec<String>,
    /// Those in which something has moved since the episode began.
    moved: BTreeSet<usize>,
    seen: Option<Seen>,
    time: PictureTime,
}

/// The picture last looked at: what a record is about.
#[derive(Clone, Debug)]
struct Seen {
    frame: FrameId,
    capture: UtcNs,
    width: u32,
    height: u32,
    score: f32,
    areas: Vec<Area>,
}

/// The time that the pictures were taken at: what is found in them then depends on nothing else, and is
/// found again when they are replayed. Between pictures it goes on with the clock.
#[derive(Clone, Copy, Debug, Default)]
struct PictureTime {
    captured: MonoNs,
    /// When that picture came here.
    came: MonoNs,
    /// It was taken long before the one before it.
    is_set_back: bool,
}

impl PictureTime {
    /// A picture comes; one that does not say when it was taken was taken now.
    fn of(&mut self, captured: MonoNs, now: MonoNs) -> MonoNs {
        let captured = if captured == MonoNs(0) { now } else { captured };
        let is_set_back = self.captured.saturating_since(captured) > BACK_MAX;
        *self = Self { captured, came: now, is_set_back };
        captured
    }

    fn at(&self, now: MonoNs) -> MonoNs {
        self.captured + now.saturating_since(self.came)
    }
}

impl Worker for Motion {
    type Config = MotionConfig;

    fn section(config: WorkerConfig) -> Option<MotionConfig> {
        match config {
            WorkerConfig::Motion(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: MotionConfig, cx: &mut Context) -> Result<Self, Fault> {
        let [ring] = cx.inputs() else {
            let seen = cx.inputs().len();
            return Err(Fault::contract(format!("motion reads one frame ring, got {seen}")));
        };
        let contract = cx.output().ok_or_else(|| {
            Fault::contract("motion writes an event ring, but none was handed over")
        })?;
        let options = FrameOptions {
            // A picture is let go before the next is taken.
            quota: 1,
            max_fps: Some(config.fps.max(1)),
            ..FrameOptions::named(cx.worker().as_str())
        };
        let field = Field::of(&config.zones, &config.ignore, ring.camera());
        Ok(Self {
            input: FrameInput::new(cx, ring, options),
            output: RecordWriter::create(cx.project(), contract)?,
            zones: field.names().map(str::to_owned).collect(),
            detector: Detector::new(Sensitivity::new(config.sensitivity), field),
            episodes: Episodes::default(),
            moved: BTreeSet::new(),
            seen: None,
            time: PictureTime::default(),
        })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        let told = match self.input.next(cx, STEP_WAIT)? {
            Next::Item(frame) => self.look(cx, frame),
            Next::NewEpoch { .. } => {
                self.detector.restart();
                None
            }
            Next::Evicted { .. } | Next::Overrun { .. } | Next::Quiet => {
                self.episodes.idle(self.time.at(clock::mono()))
            }
            Next::Ended => {
                cx.condition(Condition::Waiting, format!("ring {} has ended", self.input.ring()));
                // An ended ring answers at once; a new writer is seen at the next step.
                std::thread::sleep(STEP_WAIT);
                self.episodes.idle(self.time.at(clock::mono()))
            }
        };
        self.tell(cx, told)?;
        Ok(Step::Again)
    }

    fn stop(&mut self, cx: &mut Context) -> Result<(), Fault> {
        let told = self.episodes.finish();
        self.tell(cx, told)?;
        self.output.finish();
        Ok(())
    }
}

impl Motion {
    /// Judges a picture. The lease ends as soon as its rows are sampled.
    fn look(&mut self, cx: &mut Context, frame: Frame) -> Option<Told> {
        let now = self.time.of(frame.meta().capture.mono, clock::mono());
        if self.time.is_set_back {
            // Until its own time had come again nothing would end, nor be learnt.
            self.detector.restart();
            if let Some(told) = self.episodes.finish() {
                return Some(told);
            }
        }
        if frame.meta().corrupt {
            // Damage looks like motion.
            return self.episodes.idle(now);
        }
        let (grid, frame, capture) = match sample(frame) {
            Ok(sampled) => sampled,
            Err(why) => {
                cx.condition(Condition::Degraded, why);
                return self.episodes.idle(now);
            }
        };
        cx.condition(Condition::Flowing, "");
        let look = self.detector.look(now, &grid);
        let id = format!("motion-{}-{}", frame.epoch, frame.sequence);
        self.seen = Some(Seen {
            frame,
            capture,
            width: grid.shape.width,
            height: grid.shape.height,
            score: look.score,
            areas: look.areas,
        });
        if look.moving {
            self.moved.extend(look.zones);
            return self.episodes.moving(now, look.score, || id);
        }
        let told = self.episodes.still(now);
        if told.is_none() && !self.episodes.is_open() {
            // A single look that moved was noise.
            self.moved.clear();
        }
        told
    }

    fn tell(&mut self, cx: &Context, told: Option<Told>) -> Result<(), Fault> {
        if let (Some(told), Some(seen)) = (told, &self.seen) {
            let zones = self.moved.iter().filter_map(|zone| self.zones.get(*zone));
            let mut record = record(&told, seen);
            if !self.zones.is_empty() {
                record.data["zones"] = zones.cloned().collect();
            }
            let sequence = self.output.emit(&record)?;
            cx.made(sequence);
            if told.phase == Phase::End {
                self.moved.clear();
            }
            if told.phase != Phase::Update {
                tracing::info!(camera = seen.frame.ring.camera(), id = %told.id, "{}", told.phase.kind());
            }
        }
        Ok(())
    }
}

/// Samples the first plane and lets the picture go; for what is no picture, why it cannot.
fn sample(frame: Frame) -> Result<(Grid, FrameId, UtcNs), String> {
    let meta = *frame.meta();
    let (Some(picture), Some(plane)) = (meta.picture(), frame.plane(0)) else {
        let (ring, seen) = (frame.ring(), meta.content);
        return Err(format!("ring {ring}: holds {seen}; motion is found in pictures only"));
    };
    let read_row = |y: usize, row: &mut [u8]| plane.copy_row(y, row);
    let grid = Grid::sample(picture.width, picture.height, picture.format, read_row);
    Ok((grid, frame.frame_id(), meta.capture.utc))
}

fn record(told: &Told, seen: &Seen) -> Record {
    let mut data = json!({
        "score": rounded(seen.score),
        "peak": rounded(told.peak),
        "width": seen.width,
        "height": seen.height,
    });
    match told.phase {
        Phase::End => data["duration_ms"] = json!(told.lasted.as_millis()),
        Phase::Begin | Phase::Update => data["boxes"] = json!(seen.areas),
    }
    Record {
        id: told.id.clone(),
        kind: told.phase.kind().to_owned(),
        camera: seen.frame.ring.camera().to_owned(),
        frame: Some(seen.frame.clone()),
        time_utc_ns: seen.capture.0,
        data,
    }
}

/// Four decimals: a block of a grid is more than that.
fn rounded(share: f32) -> f64 {
    (f64::from(share) * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_that_begins_again_is_seen_by_its_time_and_a_clock_that_is_set_right_is_not() {
        let ms = |ms: u64| MonoNs(ms * 1_000_000);
        let mut time = PictureTime::default();
        let mut back = |captured: u64, now: u64| {
            time.of(ms(captured), ms(now));
            time.is_set_back
        };
        assert!(!back(90_000, 9_000) && !back(90_040, 9_004));
        assert!(!back(89_000, 9_008), "a second");
        assert!(!back(90_080, 9_012));
        assert!(back(9_016, 9_016));
        assert!(!back(9_056, 9_020), "the next one follows it");
        assert_eq!(time.of(MonoNs(0), ms(9_100)), ms(9_100));
        assert_eq!(time.at(ms(9_150)), ms(9_150));
    }
}
