//! `plan`: what `up` would start and take, or what `reload` would change of a project that runs. Nothing
//! is started, bound or written.

use std::process::ExitCode;

use protocol::config::{DetectConfig, WorkerConfig};
use protocol::name::RingName;
use protocol::units::Size;
use serde_json::{Value, json};

use super::client::Client;
use super::explain::engines;
use super::memory::shared_memory;
use super::{CliError, Context, change, shortage, table, terminal};
use crate::admin::changes::ReloadWanted;
use crate::budget::{self, Memory};
use crate::topology::{Launch, RingSpec, Topology, WorkerSpec};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor plan
  framevisor -f demo.yml plan -o json";

/// More rings are counted, not named: a page may read them all.
const NAMED_MAX: usize = 3;
/// For cameras that tell their size only when they run.
const USUAL: Size = Size { width: 1920, height: 1080 };

pub(super) fn run(context: &Context) -> Result<ExitCode, CliError> {
    let topology = context.topology()?;
    if context.place_of(&topology)?.is_taken() {
        return against_running(context, &topology);
    }
    if context.is_json() {
        terminal::json(&data(&topology))?;
    } else {
        terminal::data(&page(&topology))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a reload of this file would do.
fn against_running(context: &Context, topology: &Topology) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place_of(topology)?)?;
    let files = context.readable_files()?;
    let wanted = ReloadWanted { files, ..ReloadWanted::default() };
    change::ask(context, &mut client, "plan", &wanted, None)
}

fn data(topology: &Topology) -> Value {
    let processes = topology.start_order().into_iter().map(|worker| {
        json!({"name": worker.name, "kind": worker.kind_name(), "in": worker.inputs,
               "out": worker.output, "more_out": worker.more_outputs, "listen": worker.listen(),
               "tls_listen": worker.tls_listen(), "onvif_listen": worker.onvif_listen(),
               "runs_model": model(worker).map(engines)})
    });
    let rings = topology.rings.iter().map(|ring| {
        json!({"name": ring.name, "writer": ring.writer, "readers": ring.readers,
               "places": ring.places(), "memory": budget::memory_of(topology, ring)})
    });
    let (bytes, unknown) = budget::total(topology);
    json!({"project": topology.project, "processes": processes.collect::<Vec<_>>(),
           "rings": rings.collect::<Vec<_>>(), "bytes": bytes, "size_unknown": unknown,
           "free_bytes": shared_memory(topology).map(|shm| shm.free_bytes)})
}

fn page(topology: &Topology) -> String {
    let order = topology.start_order();
    let processes: Vec<Vec<String>> = order.iter().map(|worker| process(worker)).collect();
    let rings: Vec<Vec<String>> =
        topology.rings.iter().map(|ring| row(ring, budget::memory_of(topology, ring))).collect();
    format!(
        "{}\n{}\n{}{}",
        table::render(&["PROCESS", "KIND", "READS", "WRITES", "LISTENS"], &processes),
        table::render(&["RING", "WRITER", "READERS", "PLACES", "MEMORY"], &rings),
        models(topology),
        sum(topology),
    )
}

fn model(worker: &WorkerSpec) -> Option<&DetectConfig> {
    match &worker.launch {
        Launch::Use(WorkerConfig::Detect(detect)) => Some(detect.as_ref()),
        _ => None,
    }
}

/// What may run the models; what does is seen where they run.
fn models(topology: &Topology) -> String {
    let told = topology.workers.iter().filter_map(|worker| {
        let config = model(worker)?;
        let (name, file) = (&worker.name, config.model.display());
        Some(format!("{name}: model {file}: {}\n", engines(config)))
    });
    told.collect()
}

fn process(worker: &WorkerSpec) -> Vec<String> {
    let listens: Vec<String> = worker.listens().map(|address| address.to_string()).collect();
    vec![
        worker.name.to_string(),
        worker.kind_name().to_owned(),
        named(&worker.inputs.iter().collect::<Vec<_>>()),
        named(&worker.outputs().collect::<Vec<_>>()),
        if listens.is_empty() { "-".to_owned() } else { listens.join(", ") },
    ]
}

fn named(rings: &[&RingName]) -> String {
    match rings.len() {
        0 => "-".to_owned(),
        1..=NAMED_MAX => rings.iter().map(|ring| ring.as_str()).collect::<Vec<_>>().join(", "),
        more => format!("{more} rings"),
    }
}

fn row(ring: &RingSpec, memory: Memory) -> Vec<String> {
    vec![
        ring.name.to_string(),
        ring.writer.to_string(),
        ring.readers.len().to_string(),
        ring.places().to_string(),
        in_words(memory),
    ]
}

fn in_words(memory: Memory) -> String {
    let bytes = table::bytes(memory.bytes);
    match (memory.pictures, memory.size) {
        (None, _) => bytes,
        (Some(pictures), Some(size)) if memory.exact => {
            format!("{bytes} with {pictures} pictures of {size}")
        }
        (Some(pictures), Some(size)) => {
            format!("{bytes} with {pictures} pictures of {size}, and what the decoder holds")
        }
        (Some(pictures), None) => {
            let usual = budget::picture_bytes(USUAL).saturating_mul(u64::from(pictures));
            let usual = table::bytes(memory.bytes.saturating_add(usual));
            format!("{pictures} pictures, and what the decoder holds; {usual} if {USUAL}")
        }
    }
}

fn sum(topology: &Topology) -> String {
    let (bytes, unknown) = budget::total(topology);
    let least = if topology.rings.iter().any(|ring| !budget::memory_of(topology, ring).exact) {
        "at least "
    } else {
        ""
    };
    let beside = match unknown.len() {
        0 => String::new(),
        _ => format!(" beside the pictures of {}", named(&unknown)),
    };
    let shm = shared_memory(topology);
    let free_text =
        shm.map_or_else(String::new, |shm| format!(" of {} free", table::bytes(shm.free_bytes)));
    let short = shm.and_then(|shm| shortage::of(topology, shm));
    let short = short.map_or_else(String::new, |short| format!(": NOT ENOUGH\n{short}"));
    format!(
        "{} processes beside guard and supervisor; shared memory {least}{}{free_text}{beside}{short}\n",
        topology.workers.len(),
        table::bytes(bytes),
    )
}
