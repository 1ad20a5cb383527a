//! Which engine runs a model, with what, and what is said when that is not what was asked for.
//!
//! ```text
//! engine: auto ──library found──> ONNX Runtime: tensorrt, cuda, openvino in the order asked for, then cpu;
//!              │                  the first that runs the model
//!              └─not found──────> tract, on the processor
//! ```
//!
//! A file that no engine can read is told, and nobody else is asked: two engines that differ on what a model means
//! would be worse than none.

mod onnxruntime;
mod tract;

use std::fmt;
use std::path::{Path, PathBuf};

use protocol::config::DetectConfig;
use protocol::config::detect::{Engine as Asked, Provider};
use protocol::config::tensor::TensorLayout;
use tensors::{Element, Sides};

use crate::runner::run_all;

/// A model that can be run.
pub trait Engine: fmt::Debug + Send {
    fn input(&self) -> &Input;

    /// The names of its classes, as whoever made the model wrote them into it.
    fn names(&self) -> Option<&str>;

    /// Runs it over `pictures` of [`Input::numbers`] numbers each; as many as [`Input::batch`] says, if it does.
    fn run(&mut self, numbers: &[f32], pictures: usize) -> Result<Output, EngineError>;
}

/// What a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// So many pictures at once, no more and no fewer; `None`: any number.
    pub batch: Option<usize>,
    pub channels: usize,
    pub size: Sides,
    pub layout: TensorLayout,
    pub element: Element,
}

/// The first output of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The pictures first.
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Output {
    /// What it says of one of `pictures`; empty when its values cannot be divided among them.
    pub fn of(&self, picture: usize, pictures: usize) -> &[f32] {
        let each = self.values.len() / pictures.max(1);
        self.values.get(picture * each..(picture + 1) * each).unwrap_or_default()
    }
}

/// Why a model cannot be had or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("model {}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("model {}: its input is {seen}: expected pictures, [batch, 3, height, width] or [batch, height, width, 3]", path.display())]
    Input { path: PathBuf, seen: String },
    #[error(
        "ONNX Runtime cannot be loaded: {why}; install it, or say where its library is with 'onnxruntime', or take engine: tract"
    )]
    Library { why: String },
    #[error("model {}: {why}", path.display())]
    Run { path: PathBuf, why: String },
}

/// A model that is ready.
#[derive(Debug)]
pub struct Opened {
    pub engine: Box<dyn Engine>,
    /// What came of a run over nothing: only by it the output is known, and what is made at the first run is made.
    pub first: Output,
    /// What runs it, for people.
    pub by: String,
    /// Why that is not what was asked for.
    pub fell_back: Option<String>,
}

/// Opens the model of `config`; `cache` is a folder for what an engine makes of it once.
pub fn open(config: &DetectConfig, cache: &Path) -> Result<Opened, EngineError> {
    if let Err(error) = std::fs::File::open(&config.model) {
        return Err(EngineError::File { path: config.model.clone(), why: error.to_string() });
    }
    if config.engine == Asked::Tract {
        return built_in(config, asks_for_more(config).then(|| no_providers(config)));
    }
    match onnxruntime::environment(config.onnxruntime.as_deref()) {
        Ok(environment) => onnxruntime::open(&environment, config, cache),
        Err(why) if config.engine == Asked::OnnxRuntime => Err(EngineError::Library { why }),
        Err(why) => {
            // Who said nothing of ONNX Runtime gets what there is, and no complaint.
            let is_missed = config.onnxruntime.is_some() || asks_for_more(config);
            tracing::info!(
                "ONNX Runtime cannot be loaded ({why}): the built-in engine runs the model"
            );
            let text = || {
                format!(
                    "ONNX Runtime cannot be loaded ({why}): the built-in engine runs the model on the processor"
                )
            };
            built_in(config, is_missed.then(text))
        }
    }
}

fn built_in(config: &DetectConfig, fell_back: Option<String>) -> Result<Opened, EngineError> {
    let (engine, first) = tried(Box::new(tract::Tract::open(config)?))?;
    Ok(Opened { engine, first, by: "tract, on the processor".to_owned(), fell_back })
}

/// An engine that has run once, over nothing.
fn tried(mut engine: Box<dyn Engine>) -> Result<(Box<dyn Engine>, Output), EngineError> {
    let nothing = vec![0.0; engine.input().numbers()];
    let first = run_all(&mut *engine, &nothing, 1)?;
    Ok((engine, first))
}

fn asks_for_more(config: &DetectConfig) -> bool {
    config.providers.iter().any(|provider| *provider != Provider::Cpu)
}

fn no_providers(config: &DetectConfig) -> String {
    let asked: Vec<&str> = config.providers.iter().map(|provider| provider.as_str()).collect();
    format!("tract knows no {}: the processor runs the model", asked.join(", "))
}

impl Input {
    /// Numbers of one picture.
    pub fn numbers(&self) -> usize {
        self.size.0 as usize * self.size.1 as usize * self.channels
    }

    /// What a shape says; where it leaves a side open, that of `usual`. `None` where it is none of pictures.
    fn of(shape: &[Option<usize>], element: Element, usual: Sides) -> Option<Self> {
        let [batch, second, third, last] = *shape else { return None };
        let is_colours = |side: Option<usize>| matches!(side, Some(1 | 3));
        let (layout, channels, height, width) = if is_colours(second) {
            (TensorLayout::Nchw, second, third, last)
        } else if is_colours(last) {
            (TensorLayout::Nhwc, last, second, third)
        } else {
            return None;
        };
        let side = |side: Option<usize>, usual: u32| match side {
            Some(side) => u32::try_from(side).ok().filter(|side| (1..=16_384).contains(side)),
            None => Some(usual),
        };
        let size = (side(width, usual.0)?, side(height, usual.1)?);
        let batch = batch.filter(|batch| *batch > 0);
        Some(Self { batch, channels: channels?, size, layout, element })
    }

    /// The shape of a run over `pictures`.
    fn shape(&self, pictures: usize) -> [usize; 4] {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        match self.layout {
            TensorLayout::Nchw => [pictures, self.channels, height, width],
            TensorLayout::Nhwc => [pictures, height, width, self.channels],
        }
    }
}

/// For people: `[?, 3, 640, 640]`.
fn in_words(shape: &[Option<usize>]) -> String {
    let sides = shape.iter().map(|side| side.map_or_else(|| "?".to_owned(), |it| it.to_string()));
    format!("[{}]", sides.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
