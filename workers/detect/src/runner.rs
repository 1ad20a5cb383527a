//! The thread that has the model: it loads it, which may take minutes, and runs it, which may take seconds. The
//! worker's own thread beats on meanwhile.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use protocol::config::DetectConfig;
use protocol::config::detect::Scale;
use tensors::{Element, Wish};
use worker::Fault;

use crate::engine::{self, Engine, EngineError, Output};
use crate::labels::Labels;
use crate::meaning::Meaning;

/// A model, as far as whoever asks it needs to know it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub wish: Wish,
    pub meaning: Meaning,
    pub labels: Labels,
    /// What runs it, for people.
    pub by: String,
    /// Why that is not what was asked for.
    pub fell_back: Option<String>,
}

/// Pictures to run the model over.
#[derive(Debug)]
struct Task {
    numbers: Vec<f32>,
    pictures: usize,
}

#[derive(Debug)]
enum Answer {
    Loaded(Box<Loaded>),
    /// With the numbers it was about: their memory is used again.
    Ran(Output, Vec<f32>),
    Refused(Fault),
}

/// The thread, from outside. One thing at a time is asked of it.
#[derive(Debug)]
pub struct Runner {
    tasks: SyncSender<Task>,
    answers: Receiver<Answer>,
}

impl Runner {
    /// Begins to load. `cache`: a folder for what an engine makes of the model once.
    pub fn start(config: &DetectConfig, cache: PathBuf) -> Result<Self, Fault> {
        let (tasks, to_do) = mpsc::sync_channel(1);
        let (done, answers) = mpsc::sync_channel(1);
        let config = config.clone();
        let live = move || live(&config, &cache, &to_do, &done);
        thread::Builder::new().name("model".into()).spawn(live).map_err(Fault::failed)?;
        Ok(Self { tasks, answers })
    }

    /// The model, once it is there; `None` while it is not. Waits at most `wait`.
    pub fn loaded(&self, wait: Duration) -> Result<Option<Loaded>, Fault> {
        match self.answer(wait)? {
            Some(Answer::Loaded(loaded)) => Ok(Some(*loaded)),
            Some(Answer::Ran(..)) => Err(Fault::failed("the model's thread answered out of turn")),
            Some(Answer::Refused(fault)) => Err(fault),
            None => Ok(None),
        }
    }

    pub fn run(&self, numbers: Vec<f32>, pictures: usize) -> Result<(), Fault> {
        self.tasks.send(Task { numbers, pictures }).map_err(|_| died())
    }

    /// What came of [`Self::run`], with its numbers; `None` while nothing has. Waits at most `wait`.
    pub fn ran(&self, wait: Duration) -> Result<Option<(Output, Vec<f32>)>, Fault> {
        match self.answer(wait)? {
            Some(Answer::Ran(output, numbers)) => Ok(Some((output, numbers))),
            Some(Answer::Loaded(_)) => {
                Err(Fault::failed("the model's thread answered out of turn"))
            }
            Some(Answer::Refused(fault)) => Err(fault),
            None => Ok(None),
        }
    }

    fn answer(&self, wait: Duration) -> Result<Option<Answer>, Fault> {
        match self.answers.recv_timeout(wait) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(died()),
        }
    }
}

fn died() -> Fault {
    Fault::failed("the model's thread has died; what it said last is in the log")
}

/// The whole life of the thread; it ends when nobody asks or listens any more.
fn live(config: &DetectConfig, cache: &Path, to_do: &Receiver<Task>, done: &SyncSender<Answer>) {
    let mut engine = match load(config, cache) {
        Ok((engine, loaded)) => {
            if done.send(Answer::Loaded(Box::new(loaded))).is_err() {
                return;
            }
            engine
        }
        // Nobody may be listening, which harms nothing.
        Err(fault) => return drop(done.send(Answer::Refused(fault))),
    };
    while let Ok(Task { numbers, pictures }) = to_do.recv() {
        let answer = match run_all(&mut *engine, &numbers, pictures) {
            Ok(output) => Answer::Ran(output, numbers),
            Err(error) => Answer::Refused(Fault::failed(error)),
        };
        if done.send(answer).is_err() {
            return;
        }
    }
}

/// Opens the model, which has run once then: only so its output is known.
pub fn load(config: &DetectConfig, cache: &Path) -> Result<(Box<dyn Engine>, Loaded), Fault> {
    let opened = engine::open(config, cache).map_err(|error| match error {
        EngineError::Library { .. } => Fault::unavailable(error),
        EngineError::File { .. } | EngineError::Input { .. } => Fault::contract(error),
        EngineError::Run { .. } => Fault::failed(error),
    })?;
    let (engine, output) = (opened.engine, opened.first);
    let input = engine.input().clone();
    let wish = Wish {
        size: input.size,
        channels: input.channels,
        layout: input.layout,
        // Bytes are bytes.
        scale: if input.element == Element::U8 { Scale::Byte } else { config.scale },
        colour: config.colour,
        fit: config.fit,
    };
    let labels = Labels::of(&config.labels, engine.names());
    let meaning = Meaning::of(config.form, &output.shape, labels.count(), input.size);
    let meaning = meaning
        .map_err(|error| Fault::contract(format!("model {}: {error}", config.model.display())))?;
    let loaded = Loaded { wish, meaning, labels, by: opened.by, fell_back: opened.fell_back };
    Ok((engine, loaded))
}

/// Any number of pictures through a model that may insist on one.
pub fn run_all(
    engine: &mut dyn Engine,
    numbers: &[f32],
    pictures: usize,
) -> Result<Output, EngineError> {
    let each = engine.input().numbers();
    let Some(batch) = engine.input().batch else { return engine.run(numbers, pictures) };
    let mut whole = Output { shape: Vec::new(), values: Vec::new() };
    for part in numbers.chunks(each * batch) {
        let there = part.len() / each.max(1);
        let output = if there == batch {
            engine.run(part, batch)?
        } else {
            // What is missing is black, and its output nobody's.
            let mut filled = part.to_vec();
            filled.resize(each * batch, 0.0);
            engine.run(&filled, batch)?
        };
        let of_each = output.values.len() / batch.max(1);
        whole.values.extend_from_slice(&output.values[..of_each * there]);
        whole.shape = output.shape;
    }
    if let Some(first) = whole.shape.first_mut() {
        *first = pictures;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Input;
    use protocol::config::tensor::TensorLayout;

    /// Says of each picture its first number; insists on `batch`.
    #[derive(Debug)]
    struct First(Input);

    impl Engine for First {
        fn input(&self) -> &Input {
            &self.0
        }

        fn names(&self) -> Option<&str> {
            None
        }

        fn run(&mut self, numbers: &[f32], pictures: usize) -> Result<Output, EngineError> {
            assert!(self.0.batch.is_none_or(|batch| batch == pictures));
            assert_eq!(numbers.len(), self.0.numbers() * pictures);
            let values = numbers.chunks(self.0.numbers()).map(|picture| picture[0]).collect();
            Ok(Output { shape: vec![pictures, 1], values })
        }
    }

    fn first(batch: Option<usize>) -> First {
        let (size, layout, element) = ((2, 1), TensorLayout::Nchw, Element::F32);
        First(Input { batch, channels: 1, size, layout, element })
    }

    #[test]
    fn a_model_that_insists_on_a_number_gets_it_and_every_picture_its_own_output() {
        let numbers = [1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 0.0, 5.0, 0.0];
        for batch in [None, Some(1), Some(2), Some(3), Some(5), Some(8)] {
            let output = run_all(&mut first(batch), &numbers, 5).unwrap();
            assert_eq!(output.shape, [5, 1], "{batch:?}");
            let each: Vec<f32> = (0..5).map(|at| output.of(at, 5)[0]).collect();
            assert_eq!(each, [1.0, 2.0, 3.0, 4.0, 5.0], "{batch:?}");
        }
    }

    #[test]
    fn what_cannot_be_loaded_is_said_to_whoever_waits() {
        let config = DetectConfig::of("/nowhere/x.onnx".into());
        let runner = Runner::start(&config, "/nowhere".into()).unwrap();
        let refused = runner.loaded(Duration::from_secs(60)).unwrap_err();
        assert!(refused.to_string().contains("/nowhere/x.onnx"), "{refused}");
        // And then there is nobody any more.
        assert!(runner.loaded(Duration::from_secs(60)).is_err());
    }
}
