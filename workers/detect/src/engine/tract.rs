//! The engine that is built in: tract, in Rust, on the processor. A picture at a time, or as many as the model
//! insists on.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::config::DetectConfig;
use tensors::Element;
use tensors::element::byte;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use super::{Engine, EngineError, Input, Output, in_words};

/// Where tract keeps what a model says of itself.
const NAMES: &str = "onnx.metadata_props.names";

#[derive(Debug)]
pub(super) struct Tract {
    plan: Arc<TypedRunnableModel>,
    input: Input,
    names: Option<String>,
    path: PathBuf,
}

impl Tract {
    pub(super) fn open(config: &DetectConfig) -> Result<Self, EngineError> {
        let path = config.model.clone();
        let bad =
            |error: TractError| EngineError::File { path: path.clone(), why: format!("{error:#}") };
        let model = tract_onnx::onnx().model_for_path(&path).map_err(bad)?;
        let names = model.properties.get(NAMES).and_then(|names| text(names));
        let fact = model.input_fact(0).map_err(bad)?;
        let shape: Vec<Option<usize>> = fact
            .shape
            .dims()
            .map(|side| usize::try_from(side.concretize()?.to_i64().ok()?).ok())
            .collect();
        let misfit = |seen: String| EngineError::Input { path: path.clone(), seen };
        let kind = fact.datum_type.concretize();
        let element = match kind {
            Some(DatumType::F32) => Element::F32,
            Some(DatumType::F16) => Element::F16,
            Some(DatumType::U8) => Element::U8,
            other => return Err(misfit(format!("of {other:?}"))),
        };
        let usual = (config.size.width, config.size.height);
        let input = Input::of(&shape, element, usual).ok_or_else(|| misfit(in_words(&shape)))?;
        let input = Input { batch: Some(input.batch.unwrap_or(1)), ..input };
        let whole = input.shape(input.batch.unwrap_or(1));
        let plan = plan(model, kind.unwrap_or(DatumType::F32), whole).map_err(bad)?;
        Ok(Self { plan, input, names, path })
    }

    fn infer(&self, numbers: &[f32], pictures: usize) -> TractResult<Output> {
        let shape = self.input.shape(pictures);
        let tensor = match self.input.element {
            Element::F32 => Tensor::from_shape(&shape, numbers)?,
            Element::F16 => {
                let halves: Vec<f16> = numbers.iter().map(|it| f16::from_f32(*it)).collect();
                Tensor::from_shape(&shape, &halves)?
            }
            Element::U8 => {
                let bytes: Vec<u8> = numbers.iter().map(|it| byte(*it)).collect();
                Tensor::from_shape(&shape, &bytes)?
            }
        };
        let outputs = self.plan.run(tvec!(tensor.into()))?;
        let Some(first) = outputs.first() else {
            return Ok(Output { shape: Vec::new(), values: Vec::new() });
        };
        let values = first.cast_to::<f32>()?;
        let values = values.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        Ok(Output { shape: first.shape().to_vec(), values })
    }
}

/// What can be run, for inputs of one shape: all that does not depend on the picture is done once, here.
fn plan(
    model: InferenceModel,
    kind: DatumType,
    shape: [usize; 4],
) -> TractResult<Arc<TypedRunnableModel>> {
    let fact = InferenceFact::dt_shape(kind, shape);
    model.with_input_fact(0, fact)?.into_optimized()?.into_runnable()
}

fn text(tensor: &Tensor) -> Option<String> {
    tensor.try_as_plain_ram().ok()?.as_slice::<String>().ok()?.first().cloned()
}

impl Engine for Tract {
    fn input(&self) -> &Input {
        &self.input
    }

    fn names(&self) -> Option<&str> {
        self.names.as_deref()
    }

    fn run(&mut self, numbers: &[f32], pictures: usize) -> Result<Output, EngineError> {
        self.infer(numbers, pictures).map_err(|error| EngineError::Run {
            path: self.path.clone(),
            why: format!("{error:#}"),
        })
    }
}
