//! `use: detect`: frame rings to what a model finds in them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::zone::Zones;
use crate::units::{Size, Span};

/// What the user writes under `use: detect`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectConfig {
    /// An ONNX file. A relative path starts at the topology file's folder.
    pub model: PathBuf,
    /// What runs it. Default `auto`.
    #[serde(default)]
    pub engine: Engine,
    /// ONNX Runtime's library. Default: `$ORT_DYLIB_PATH`, else `libonnxruntime.so` as the system finds it.
    #[serde(default)]
    pub onnxruntime: Option<PathBuf>,
    /// What ONNX Runtime computes with, the first that is there; `cpu` is behind all of them. Default: `cpu`.
    #[serde(default)]
    pub providers: Vec<Provider>,
    /// Which of several graphics cards, counted from 0.
    #[serde(default)]
    pub device: u32,
    /// Threads that one run is divided among.
    #[serde(default = "one")]
    pub threads: u32,
    /// What the model's output means. Default `auto`: what its shape says.
    #[serde(default)]
    pub form: Form,
    /// Names of its classes in their order. Default: those in the model, else numbers.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Size of its input where the model leaves it open.
    #[serde(default = "usual_size")]
    pub size: Size,
    /// What samples of 0 to 255 become.
    #[serde(default)]
    pub scale: Scale,
    /// Order of the colours.
    #[serde(default)]
    pub colour: ColourOrder,
    /// How a picture of another shape is fitted in.
    #[serde(default)]
    pub fit: InputFit,
    /// Pictures of each camera looked at each second; the rest are skipped.
    #[serde(default = "usual_fps")]
    pub fps: u32,
    /// What is found less surely is not told, 0 to 1.
    #[serde(default = "usual_score")]
    pub min_score: f64,
    /// The same for single classes.
    #[serde(default)]
    pub scores: BTreeMap<String, f64>,
    /// Of two boxes of a class that share more than this of their area, the surer one stays, 0 to 1.
    #[serde(default = "usual_overlap")]
    pub overlap: f64,
    /// Most boxes of one picture, the surest.
    #[serde(default = "usual_most")]
    pub most: u32,
    /// Classes that are told. Default: all.
    #[serde(default)]
    pub only: Vec<String>,
    /// With any, only what stands in one of them counts. Default: the whole picture.
    #[serde(default)]
    pub zones: Zones,
    /// What stands here never counts.
    #[serde(default)]
    pub ignore: Zones,
    /// Most pictures, of all its cameras, that go through the model at once.
    #[serde(default = "usual_batch")]
    pub batch: u32,
    /// So long a picture waits for those of other cameras.
    #[serde(default = "usual_wait")]
    pub wait: Span,
}

impl DetectConfig {
    /// Everything at its default.
    pub fn of(model: PathBuf) -> Self {
        Self {
            model,
            engine: Engine::default(),
            onnxruntime: None,
            providers: Vec::new(),
            device: 0,
            threads: one(),
            form: Form::default(),
            labels: Vec::new(),
            size: usual_size(),
            scale: Scale::default(),
            colour: ColourOrder::default(),
            fit: InputFit::default(),
            fps: usual_fps(),
            min_score: usual_score(),
            scores: BTreeMap::new(),
            overlap: usual_overlap(),
            most: usual_most(),
            only: Vec::new(),
            zones: Zones::new(),
            ignore: Zones::new(),
            batch: usual_batch(),
            wait: usual_wait(),
        }
    }
}

fn one() -> u32 {
    1
}

/// What most YOLO models are trained with.
fn usual_size() -> Size {
    Size { width: 640, height: 640 }
}

/// People and cars are seen often enough, and a processor can do it.
fn usual_fps() -> u32 {
    5
}

fn usual_score() -> f64 {
    0.4
}

fn usual_overlap() -> f64 {
    0.45
}

fn usual_most() -> u32 {
    100
}

fn usual_batch() -> u32 {
    8
}

/// Shorter than a picture of any camera lasts.
fn usual_wait() -> Span {
    Span::from_millis(20)
}

/// What runs a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// ONNX Runtime where its library is, else tract.
    #[default]
    Auto,
    /// ONNX Runtime or nothing.
    OnnxRuntime,
    /// The engine that is built in: slower, and without other hardware.
    Tract,
}

/// What ONNX Runtime computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Cpu,
    /// NVIDIA cards.
    Cuda,
    /// NVIDIA cards, by an engine that is built for the model at its first start: minutes.
    TensorRt,
    /// Intel processors and graphics.
    OpenVino,
}

impl Provider {
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Cuda, Self::TensorRt, Self::OpenVino];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a model's output means. N boxes, C classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// By its shape.
    #[default]
    Auto,
    /// `[batch, C]`: a score for each class of the whole picture.
    Classes,
    /// `[batch, N, 6]`: left, top, right, bottom, score, class; overlapping boxes are gone already.
    Boxes,
    /// `[batch, N, 5 + C]`: middle, size, whether there is something, a score for each class (v5, v7).
    Yolo5,
    /// `[batch, 4 + C, N]`: middle, size, a score for each class (v8, v9, 11, 12).
    Yolo8,
    /// As `yolo5`, but places and sizes are told from cell to cell (YOLOX).
    Yolox,
}

impl Form {
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::Classes, Self::Boxes, Self::Yolo5, Self::Yolo8, Self::Yolox];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Classes => "classes",
            Self::Boxes => "boxes",
            Self::Yolo5 => "yolo5",
            Self::Yolo8 => "yolo8",
            Self::Yolox => "yolox",
        }
    }
}

/// What samples of 0 to 255 become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// 0 to 1.
    #[default]
    Unit,
    /// 0 to 255, as they are.
    Byte,
    /// 0 to 1, less the mean of ImageNet's pictures, by their deviation.
    ImageNet,
    /// -1 to 1.
    Signed,
}

/// Order of the colours in a model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColourOrder {
    #[default]
    Rgb,
    Bgr,
}

/// How a picture of another shape than the model's input is fitted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputFit {
    /// All of it, in its own shape, in the middle; the rest is gray.
    #[default]
    Letterbox,
    /// All of it in all of the input.
    Stretch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_alone_is_enough_and_has_the_defaults() {
        let read: DetectConfig = serde_json::from_str(r#"{"model": "yolo.onnx"}"#).unwrap();
        assert_eq!(read, DetectConfig::of("yolo.onnx".into()));
        assert!(serde_json::from_str::<DetectConfig>("{}").is_err());
    }

    #[test]
    fn it_survives_both_forms() {
        let config = DetectConfig {
            engine: Engine::OnnxRuntime,
            onnxruntime: Some("/opt/libonnxruntime.so".into()),
            providers: vec![Provider::TensorRt, Provider::Cuda],
            labels: vec!["person".into()],
            scores: [("person".to_owned(), 0.6)].into(),
            zones: [("drive".to_owned(), "0% 0%, 50% 50%".parse().unwrap())].into(),
            ..DetectConfig::of("yolo.onnx".into())
        };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<DetectConfig>(&text).unwrap(), config, "{text}");
        let frame = crate::codec::encode(&config).unwrap();
        assert_eq!(crate::codec::decode::<DetectConfig>(&frame).unwrap(), config);
    }

    #[test]
    fn words_are_what_files_have() {
        for provider in Provider::ALL {
            assert_eq!(serde_json::json!(provider), provider.as_str());
        }
        for form in Form::ALL {
            assert_eq!(serde_json::json!(form), form.as_str());
        }
    }
}
