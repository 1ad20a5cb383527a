//! What runs a detector's model. No ffmpeg command does it, and which engine it is can only be seen where it runs:
//! here is in which order it is tried, and who says how it went.

use protocol::config::DetectConfig;
use protocol::config::detect::{Engine, Provider};

use super::Explained;

pub(super) fn explain(config: &DetectConfig, to: &mut Explained) {
    to.notes.push("there is no ffmpeg command that does what detect does".to_owned());
    to.notes.push(format!("model {}: {}", config.model.display(), engines(config)));
    to.notes.push(
        "when it starts it logs what runs the model; `ps` says why, when that is not the first of these"
            .to_owned(),
    );
}

/// What may run the model, the first first.
pub(in super::super) fn engines(config: &DetectConfig) -> String {
    let library = match &config.onnxruntime {
        Some(path) => format!(" ({})", path.display()),
        None => String::new(),
    };
    let mut providers: Vec<&str> = config.providers.iter().map(|it| it.as_str()).collect();
    if providers.last() != Some(&Provider::Cpu.as_str()) {
        providers.push(Provider::Cpu.as_str());
    }
    let providers = providers.join(", else ");
    match config.engine {
        Engine::Auto => {
            format!(
                "ONNX Runtime{library} with {providers}; without its library tract on the processor"
            )
        }
        Engine::OnnxRuntime => format!("ONNX Runtime{library} with {providers}"),
        Engine::Tract => "tract on the processor".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;

    fn of(keys: &str) -> String {
        let workers = format!(
            "  own: {{run: [x], out: own.frames}}
  look: {{use: detect, in: own.frames, model: yolo.onnx{keys}}}\n"
        );
        told(&workers, "look")
    }

    #[test]
    fn a_model_is_explained_by_who_may_run_it_in_what_order() {
        let told = of(", providers: [tensorrt, cuda], onnxruntime: lib/ort.so");
        let line = "# model /srv/yard/yolo.onnx: ONNX Runtime (/srv/yard/lib/ort.so) with tensorrt, else cuda, \
                    else cpu; without its library tract on the processor\n";
        assert!(told.contains(line) && told.contains("no ffmpeg command"), "{told}");
        assert!(of("").contains("ONNX Runtime with cpu; without"));
        assert!(of(", engine: tract").contains("yolo.onnx: tract on the processor\n"));
        assert!(of(", engine: onnxruntime, providers: [cpu]").contains("ONNX Runtime with cpu\n"));
    }
}
