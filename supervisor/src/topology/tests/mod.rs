//! What a whole topology means, by subject. What the subjects share is here.

mod cameras;
mod credentials;
mod files;
mod mistakes;
mod page;
mod piped;
mod rings;

use super::*;

pub(super) const PAGE: &str = include_str!("../../../../docs/topology.md");

fn yard(text: &str) -> Result<Topology, Report> {
    parse(text, Path::new("/srv/Back Yard/framevisor.yml"), &Overrides::default())
}

fn meant(workers: &str) -> Topology {
    yard(&format!("version: 1\nworkers:\n{workers}")).unwrap_or_else(|report| panic!("{report}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let report = yard(text).expect_err("it was taken");
    report.mistakes().iter().map(|mistake| mistake.text.clone()).collect()
}

fn worker<'a>(topology: &'a Topology, name: &str) -> &'a WorkerSpec {
    topology.worker(&name.parse().unwrap()).unwrap()
}

/// The page's examples: YAML, and the output that follows it, if one does.
pub(super) fn page_blocks() -> Vec<(&'static str, Option<&'static str>)> {
    let mut blocks = Vec::new();
    for piece in PAGE.split("```yaml\n").skip(1) {
        let (yaml, rest) = piece.split_once("```").unwrap();
        let output = rest.trim_start().strip_prefix("```text\n");
        blocks.push((yaml, output.map(|text| text.split_once("```").unwrap().0)));
    }
    blocks
}

fn names(topology: &Topology) -> Vec<&str> {
    topology.workers.iter().map(|worker| worker.name.as_str()).collect()
}

fn source_of(topology: &Topology, name: &str) -> String {
    match &worker(topology, name).launch {
        Launch::Use(WorkerConfig::Ingest(ingest)) => ingest.source.to_string(),
        other => panic!("{other:?}"),
    }
}

fn inputs_of(topology: &Topology, name: &str) -> Vec<String> {
    worker(topology, name).inputs.iter().map(ToString::to_string).collect()
}

fn written(text: &str) -> Topology {
    yard(&format!("version: 1\n{text}")).unwrap_or_else(|report| panic!("{report}"))
}
