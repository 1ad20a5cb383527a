//! The worker: takes pictures of its cameras, has the model run over them, and tells what was found.

use std::time::Duration;

use protocol::config::{DetectConfig, WorkerConfig};
use protocol::control::Condition;
use protocol::name::RingName;
use shmring::{RecordWriter, clock};
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::batch::{Batch, Turns};
use crate::camera::{Camera, Taken};
use crate::engine::Output;
use crate::find::Wanted;
use crate::meaning::MeaningError;
use crate::runner::{Loaded, Runner};

/// How often the rings of several cameras are looked into.
const LOOK: Duration = Duration::from_millis(4);
/// A model that takes longer for one batch does not come back: no camera's pictures are of any use by then.
const RUN_MAX: Duration = Duration::from_secs(120);

/// The detect worker.
#[derive(Debug)]
pub struct Detect {
    config: DetectConfig,
    cameras: Vec<Camera>,
    output: RecordWriter,
    runner: Runner,
    /// `None` while it is being loaded.
    model: Option<Model>,
    batch: Batch<Taken>,
    turns: Turns,
    /// Of the pictures in `batch`, one behind the other.
    numbers: Vec<f32>,
}

#[derive(Debug)]
struct Model {
    loaded: Loaded,
    wanted: Wanted,
}

impl Worker for Detect {
    type Config = DetectConfig;

    fn section(config: WorkerConfig) -> Option<DetectConfig> {
        match config {
            WorkerConfig::Detect(config) => Some(*config),
            _ => None,
        }
    }

    fn start(config: DetectConfig, cx: &mut Context) -> Result<Self, Fault> {
        let rings: Vec<RingName> = cx.inputs().to_vec();
        if rings.is_empty() {
            return Err(Fault::contract("detect reads frame rings, but none was handed over"));
        }
        let contract = cx.output().ok_or_else(|| {
            Fault::contract("detect writes an event ring, but none was handed over")
        })?;
        let output = RecordWriter::create(cx.project(), contract)?;
        let cache = cx.state_dir().join("detect").join(cx.worker().as_str());
        Ok(Self {
            cameras: rings.iter().map(|ring| Camera::new(cx, ring, &config)).collect(),
            output,
            runner: Runner::start(&config, cache)?,
            model: None,
            batch: Batch::new(config.batch as usize, config.wait.duration()),
            turns: Turns::of(rings.len()),
            numbers: Vec::new(),
            config,
        })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        match self.model.take() {
            None => self.load(cx)?,
            Some(model) => {
                let done = self.look(&model, cx);
                self.model = Some(model);
                done?;
            }
        }
        Ok(Step::Again)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        self.output.finish();
        Ok(())
    }
}

impl Detect {
    /// Waits for the model a while.
    fn load(&mut self, cx: &mut Context) -> Result<(), Fault> {
        let name = self.config.model.display().to_string();
        cx.condition(Condition::Waiting, format!("model {name} is being loaded"));
        // Cameras go on meanwhile, and that nothing is taken of them is no standing still.
        cx.while_waiting()();
        let Some(loaded) = self.runner.loaded(STEP_WAIT)? else { return Ok(()) };
        let wanted = Wanted::of(&self.config, &loaded.labels)
            .map_err(|error| Fault::contract(format!("model {name}: {error}")))?;
        let (width, height) = loaded.wish.size;
        let (form, by) = (loaded.meaning.form().as_str(), &loaded.by);
        tracing::info!("model {name}: {width}x{height}, {form}, run by {by}");
        self.model = Some(Model { loaded, wanted });
        Ok(())
    }

    /// Takes what has come; when a batch is complete, runs the model over it and tells.
    fn look(&mut self, model: &Model, cx: &mut Context) -> Result<(), Fault> {
        self.gather(model, cx)?;
        self.tell_how_it_is(model, cx);
        let pictures = self.batch.pictures().len();
        if pictures == 0 || !self.batch.is_due(clock::mono(), self.others()) {
            return Ok(());
        }
        let numbers = std::mem::take(&mut self.numbers);
        let Some((output, numbers)) = self.run(numbers, pictures, cx)? else { return Ok(()) };
        self.numbers = numbers;
        self.numbers.clear();
        for (at, taken) in self.batch.take().into_iter().enumerate() {
            self.tell(model, output.of(at, pictures), &taken, cx)?;
        }
        cx.done();
        Ok(())
    }

    /// One look into each ring, and a wait when there was nothing.
    fn gather(&mut self, model: &Model, cx: &mut Context) -> Result<(), Fault> {
        let wish = &model.loaded.wish;
        let is_alone = self.cameras.len() == 1;
        let wait = if is_alone { STEP_WAIT } else { Duration::ZERO };
        let mut has_come = false;
        for at in self.turns.order() {
            let camera = &mut self.cameras[at];
            let is_in = |taken: &Taken| taken.camera == at;
            if self.batch.is_full() || self.batch.pictures().iter().any(is_in) {
                continue;
            }
            if let Some((seen, place)) = camera.take(cx, wait, wish, &mut self.numbers)? {
                self.batch.put(Taken { camera: at, seen, place }, clock::mono());
                self.turns.gave(at);
                has_come = true;
            }
        }
        if !has_come && (!is_alone || self.cameras.iter().any(Camera::rests)) {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Cameras that could still give a picture to the batch.
    fn others(&self) -> usize {
        let there = self.cameras.iter().filter(|camera| camera.is_there()).count();
        there.saturating_sub(self.batch.pictures().len())
    }

    /// `None` when a stop came first.
    fn run(
        &self,
        numbers: Vec<f32>,
        pictures: usize,
        cx: &mut Context,
    ) -> Result<Option<(Output, Vec<f32>)>, Fault> {
        self.runner.run(numbers, pictures)?;
        let deadline = clock::mono() + RUN_MAX;
        let mut go_on = cx.while_waiting();
        loop {
            if let Some(ran) = self.runner.ran(STEP_WAIT)? {
                return Ok(Some(ran));
            }
            if !go_on() {
                return Ok(None);
            }
            if clock::mono() > deadline {
                return Err(Fault::failed(format!(
                    "the model has not come back from {pictures} pictures within {} s",
                    RUN_MAX.as_secs()
                )));
            }
        }
    }

    fn tell(
        &mut self,
        model: &Model,
        values: &[f32],
        taken: &Taken,
        cx: &Context,
    ) -> Result<(), Fault> {
        let Model { loaded, wanted } = model;
        let camera = &mut self.cameras[taken.camera];
        let unread = |error: MeaningError| {
            Fault::failed(format!("model {}: {error}", self.config.model.display()))
        };
        let record = if loaded.meaning.is_of_whole() {
            let classes =
                wanted.classes(&loaded.meaning, values, &loaded.labels).map_err(unread)?;
            (!classes.is_empty()).then(|| taken.seen.class(&classes))
        } else {
            let found =
                wanted.boxes(&loaded.meaning, values, &taken.place, &camera.field, &loaded.labels);
            let found = found.map_err(unread)?;
            let had_something = std::mem::replace(&mut camera.had_something, !found.is_empty());
            match found.is_empty() {
                false => Some(taken.seen.objects(&found, &camera.field)),
                true => had_something.then(|| taken.seen.none()),
            }
        };
        if let Some(record) = record {
            cx.made(self.output.emit(&record)?);
        }
        Ok(())
    }

    /// By what is not as it was asked for, then by cameras that give nothing.
    fn tell_how_it_is(&self, model: &Model, cx: &mut Context) {
        let lacks: Vec<(Condition, String)> =
            self.cameras.iter().filter_map(Camera::lack).collect();
        let is_waiting = lacks.len() == self.cameras.len()
            && lacks.iter().all(|(condition, _)| *condition == Condition::Waiting);
        let lacks = lacks.into_iter().map(|(_, why)| why);
        let why: Vec<String> = model.loaded.fell_back.iter().cloned().chain(lacks).collect();
        let condition = match (is_waiting, why.is_empty()) {
            (true, _) => Condition::Waiting,
            (false, true) => Condition::Flowing,
            (false, false) => Condition::Degraded,
        };
        cx.condition(condition, why.join("; "));
    }
}
