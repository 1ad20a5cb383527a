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

use super::{Engine, EngineError, Input, Opened, Output, in_words, tried};

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

/// The model on the first provider that takes it, and that runs it too: some find out at their first run that they cannot.
pub(super) fn open(
    environment: &Environment,
    config: &DetectConfig,
    cache: &Path,
) -> Result<Opened, EngineError> {
    first_that_runs(&config.providers, |provider| {
        let session = session(environment, config, dispatch(provider, config.device, cache));
        let path = config.model.clone();
        let session =
            session.map_err(|error| EngineError::File { path, why: error.to_string() })?;
        Ok(Box::new(OnnxRuntime::of(session, config)?))
    })
}

/// Those asked for in their order, and last the processor, which takes every model that it can read.
fn first_that_runs(
    providers: &[Provider],
    open: impl Fn(Provider) -> Result<Box<dyn Engine>, EngineError>,
) -> Result<Opened, EngineError> {
    let mut refusals = Vec::new();
    let opened = |provider, refusals: &[String]| {
        let (engine, first) = tried(open(provider)?)?;
        let by = format!("ONNX Runtime, {provider}");
        Ok(Opened { engine, first, by, fell_back: fallen_back(refusals, provider) })
    };
    for provider in providers.iter().copied() {
        match opened(provider, &refusals) {
            // Whoever runs it, it takes the same.
            Err(EngineError::File { why, .. } | EngineError::Run { why, .. }) => {
                refusals.push(format!("{provider}: {why}"));
            }
            opened => return opened,
        }
    }
    opened(Provider::Cpu, &refusals)
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

    /// Takes every model, and fails at its first run unless it is the processor.
    #[derive(Debug)]
    struct Fake(Provider, Input);

    impl Engine for Fake {
        fn input(&self) -> &Input {
            &self.1
        }

        fn names(&self) -> Option<&str> {
            None
        }

        fn run(&mut self, numbers: &[f32], pictures: usize) -> Result<Output, EngineError> {
            if self.0 == Provider::Cpu {
                return Ok(Output { shape: vec![pictures, 1], values: vec![numbers[0]; pictures] });
            }
            let path = PathBuf::from("x.onnx");
            Err(EngineError::Run { path, why: "no kernel for this card".to_owned() })
        }
    }

    fn fake(provider: Provider) -> Result<Box<dyn Engine>, EngineError> {
        let shape = [Some(1), Some(3), Some(2), Some(2)];
        let input = Input::of(&shape, Element::F32, (2, 2)).unwrap();
        Ok(Box::new(Fake(provider, input)))
    }

    #[test]
    fn a_provider_that_fails_at_its_first_run_is_passed_over() {
        let opened = first_that_runs(&[Provider::Cuda], fake).unwrap();
        assert_eq!((opened.by.as_str(), opened.first.shape), ("ONNX Runtime, cpu", vec![1, 1]));
        let told = "cuda: no kernel for this card: cpu runs the model";
        assert_eq!(opened.fell_back.as_deref(), Some(told));
    }

    #[test]
    fn what_nobody_can_read_is_an_error_and_what_a_model_takes_is_asked_once() {
        let path = || PathBuf::from("x.onnx");
        let broken = |_| Err(EngineError::File { path: path(), why: "no model".to_owned() });
        let error = first_that_runs(&[Provider::Cuda], broken).unwrap_err();
        assert_eq!(error.to_string(), "model x.onnx: no model");
        let misfit = |provider| {
            assert_eq!(provider, Provider::Cuda);
            Err(EngineError::Input { path: path(), seen: "[1, 512]".to_owned() })
        };
        let error = first_that_runs(&[Provider::Cuda], misfit).unwrap_err();
        assert!(matches!(error, EngineError::Input { .. }), "{error}");
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
