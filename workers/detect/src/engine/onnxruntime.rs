//! ONNX Runtime, whose library is loaded when it is wanted. Version 1.17 or newer.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use half::f16;
use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::Session;
use ort::value::{DynValue, Shape, Tensor, TensorElementType, TensorRef, ValueType};
use protocol::config::DetectConfig;
use protocol::config::detect::Provider;
use tensors::Element;
use tensors::element::byte;

use super::{Engine, EngineError, Input, Opened, Output, in_words};

/// Where the library is, for whoever says it by the environment: ONNX Runtime's own variable.
const VARIABLE: &str = "ORT_DYLIB_PATH";
/// What it is called where the system finds it.
const NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

/// One for the process: the library allows no more. A second model shares it.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

/// The library at `path`, or where it is usual; why not, if it is in none of these places.
pub(super) fn environment(path: Option<&Path>) -> Result<Environment, String> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let mut refusals = Vec::new();
    for place in places(path) {
        match load(&place) {
            Ok(environment) => return Ok(loaded.insert(environment).clone()),
            Err(why) => refusals.push(why),
        }
    }
    Err(refusals.join("; "))
}

fn places(path: Option<&Path>) -> Vec<PathBuf> {
    let said = path.map(Path::to_owned);
    let said =
        said.or_else(|| std::env::var_os(VARIABLE).filter(|it| !it.is_empty()).map(PathBuf::from));
    // Who says where it is means no other.
    said.map_or_else(|| NAMES.map(PathBuf::from).to_vec(), |path| vec![path])
}

fn load(path: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    let environment = builder.with_name("framevisor").with_telemetry(false).build();
    environment.map_err(|error| error.to_string())
}

/// The model on the first provider that takes it.
pub(super) fn open(
    environment: &Environment,
    config: &DetectConfig,
    cache: &Path,
) -> Result<Opened, EngineError> {
    let mut refusals = Vec::new();
    for provider in config.providers.iter().copied().chain([Provider::Cpu]) {
        let dispatch = dispatch(provider, config.device, cache);
        match session(environment, config, dispatch) {
            Ok(session) => {
                let engine = OnnxRuntime::of(session, config)?;
                let by = format!("ONNX Runtime, {provider}");
                let fell_back = fallen_back(&refusals, provider);
                return Ok(Opened { engine: Box::new(engine), by, fell_back });
            }
            Err(error) => refusals.push(format!("{provider}: {error}")),
        }
    }
    // The processor takes every model that it can read.
    let why = refusals.pop().unwrap_or_default();
    Err(EngineError::File { path: config.model.clone(), why })
}

fn fallen_back(refusals: &[String], provider: Provider) -> Option<String> {
    let runs = format!("{provider} runs the model");
    (!refusals.is_empty()).then(|| format!("{}: {runs}", refusals.join("; ")))
}

/// `None` is the processor, which needs no asking for.
fn dispatch(provider: Provider, device: u32, cache: &Path) -> Option<ExecutionProviderDispatch> {
    let device = i32::try_from(device).unwrap_or(i32::MAX);
    let dispatch = match provider {
        Provider::Cpu => return None,
        Provider::Cuda => ep::CUDA::default().with_device_id(device).build(),
        Provider::OpenVino => ep::OpenVINO::default().build(),
        Provider::TensorRt => {
            // Built once: without the folder it is built at each start, which takes minutes.
            let kept = std::fs::create_dir_all(cache).is_ok();
            ep::TensorRT::default()
                .with_device_id(device)
                .with_engine_cache(kept)
                .with_engine_cache_path(cache.display())
                .build()
        }
    };
    // Said aloud, instead of the processor in silence.
    Some(dispatch.error_on_failure())
}

fn session(
    environment: &Environment,
    config: &DetectConfig,
    dispatch: Option<ExecutionProviderDispatch>,
) -> ort::Result<Session> {
    let builder = Session::builder(environment)?
        .with_intra_threads(config.threads.max(1) as usize)?
        // Threads that turn round and round between two pictures take what others need.
        .with_config_entry("session.intra_op.allow_spinning", "0")?;
    let mut builder = match dispatch {
        Some(dispatch) => builder.with_execution_providers([dispatch])?,
        None => builder,
    };
    builder.commit_from_file(&config.model)
}

/// A model in ONNX Runtime.
#[derive(Debug)]
struct OnnxRuntime {
    session: Session,
    input: Input,
    names: Option<String>,
    path: PathBuf,
}

impl OnnxRuntime {
    fn of(session: Session, config: &DetectConfig) -> Result<Self, EngineError> {
        let path = config.model.clone();
        let bad = |seen: String| EngineError::Input { path: config.model.clone(), seen };
        let [input] = session.inputs() else {
            return Err(bad(format!("{} inputs", session.inputs().len())));
        };
        let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
            return Err(bad(format!("{:?}", input.dtype())));
        };
        let element = match ty {
            TensorElementType::Float32 => Element::F32,
            TensorElementType::Float16 => Element::F16,
            TensorElementType::Uint8 => Element::U8,
            other => return Err(bad(format!("of {other}"))),
        };
        // What is left open is -1.
        let shape: Vec<Option<usize>> =
            shape.iter().map(|side| usize::try_from(*side).ok().filter(|side| *side > 0)).collect();
        let usual = (config.size.width, config.size.height);
        let input = Input::of(&shape, element, usual).ok_or_else(|| bad(in_words(&shape)))?;
        let names = session.metadata().ok().and_then(|metadata| metadata.custom("names"));
        Ok(Self { session, input, names, path })
    }

    fn infer(&mut self, numbers: &[f32], pictures: usize) -> ort::Result<Output> {
        let shape = self.input.shape(pictures);
        let outputs = match self.input.element {
            Element::F32 => {
                let tensor = TensorRef::from_array_view((shape, numbers))?;
                self.session.run(ort::inputs![tensor])?
            }
            Element::F16 => {
                let halves: Vec<f16> = numbers.iter().map(|it| f16::from_f32(*it)).collect();
                self.session.run(ort::inputs![Tensor::from_array((shape, halves))?])?
            }
            Element::U8 => {
                let bytes: Vec<u8> = numbers.iter().map(|it| byte(*it)).collect();
                self.session.run(ort::inputs![Tensor::from_array((shape, bytes))?])?
            }
        };
        output(&outputs[0])
    }
}

fn output(value: &DynValue) -> ort::Result<Output> {
    if let Ok((shape, values)) = value.try_extract_tensor::<f16>() {
        let values = values.iter().map(|it| it.to_f32()).collect();
        return Ok(Output { shape: sides(shape), values });
    }
    let (shape, values) = value.try_extract_tensor::<f32>()?;
    Ok(Output { shape: sides(shape), values: values.to_vec() })
}

fn sides(shape: &Shape) -> Vec<usize> {
    shape.iter().map(|side| usize::try_from(*side).unwrap_or(0)).collect()
}

impl Engine for OnnxRuntime {
    fn input(&self) -> &Input {
        &self.input
    }

    fn names(&self) -> Option<&str> {
        self.names.as_deref()
    }

    fn run(&mut self, numbers: &[f32], pictures: usize) -> Result<Output, EngineError> {
        let path = self.path.clone();
        self.infer(numbers, pictures)
            .map_err(|error| EngineError::Run { path, why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_where_the_library_is_means_no_other() {
        let path = Path::new("/opt/libonnxruntime.so");
        assert_eq!(places(Some(path)), [path]);
    }

    #[test]
    fn what_was_asked_for_and_is_not_there_is_told_with_what_is() {
        assert_eq!(fallen_back(&[], Provider::Cuda), None);
        let refusals = ["tensorrt: no such library".to_owned(), "cuda: no card".to_owned()];
        assert_eq!(
            fallen_back(&refusals, Provider::Cpu).as_deref(),
            Some("tensorrt: no such library; cuda: no card: cpu runs the model")
        );
    }
}
