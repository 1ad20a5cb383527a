//! Who writes and reads which ring, as `graph -o json` and the control socket tell it. Pure.

use std::collections::BTreeMap;

use protocol::name::{ProjectName, RingName, WorkerName};
use serde::{Deserialize, Serialize};

use super::Topology;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Graph {
    pub(crate) project: ProjectName,
    /// In the order of the file.
    pub(crate) workers: Vec<Node>,
    pub(crate) rings: Vec<Edge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: WorkerName,
    pub(crate) kind: String,
    #[serde(rename = "in")]
    pub(crate) inputs: Vec<RingName>,
    #[serde(rename = "out")]
    pub(crate) output: Option<RingName>,
    /// Beside that one.
    #[serde(default, rename = "more_out", skip_serializing_if = "Vec::is_empty")]
    pub(crate) more_outputs: Vec<RingName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edge {
    pub(crate) name: RingName,
    pub(crate) writer: WorkerName,
    pub(crate) readers: Vec<WorkerName>,
}

impl Graph {
    pub(crate) fn of(topology: &Topology) -> Self {
        let node = |worker: &super::WorkerSpec| Node {
            name: worker.name.clone(),
            kind: worker.kind_name().to_owned(),
            inputs: worker.inputs.clone(),
            output: worker.output.clone(),
            more_outputs: worker.more_outputs.clone(),
        };
        let edge = |ring: &super::RingSpec| Edge {
            name: ring.name.clone(),
            writer: ring.writer.clone(),
            readers: ring.readers.clone(),
        };
        Self {
            project: topology.project.clone(),
            workers: topology.workers.iter().map(node).collect(),
            rings: topology.rings.iter().map(edge).collect(),
        }
    }

    /// The camera that each worker belongs to: the one at the source of all that it reads, or of what it
    /// writes. Nobody's are those that read several cameras, or nothing, or each other in a circle.
    pub(crate) fn cameras(&self) -> BTreeMap<&WorkerName, String> {
        let mut known = BTreeMap::new();
        for node in &self.workers {
            self.camera_of(node, &mut known);
        }
        known.into_iter().filter_map(|(name, camera)| Some((name, camera?))).collect()
    }

    fn camera_of<'a>(&'a self, node: &'a Node, known: &mut Known<'a>) -> Option<String> {
        if let Some(camera) = known.get(&node.name) {
            return camera.clone();
        }
        // Nobody's until it is known: who comes here again on its way has gone in a circle.
        known.insert(&node.name, None);
        let cameras: Vec<Option<String>> =
            node.inputs.iter().map(|ring| self.source(ring, known)).collect();
        let camera = match cameras.split_first() {
            None if node.output.is_none() => self.camera_of_pipe(node, known),
            None => node.output.as_ref().map(first_part),
            Some((first, others)) => {
                first.clone().filter(|_| others.iter().all(|other| other == first))
            }
        };
        known.insert(&node.name, camera.clone());
        camera
    }

    /// A command without rings of its own may have them at its stdin and stdout.
    fn camera_of_pipe<'a>(&'a self, node: &'a Node, known: &mut Known<'a>) -> Option<String> {
        let owner = node.name.owner()?;
        let is_other = |other: &&Node| other.name.owner() == Some(owner) && other.name != node.name;
        let other = self.workers.iter().find(is_other)?;
        self.camera_of(other, known)
    }

    fn source<'a>(&'a self, ring: &RingName, known: &mut Known<'a>) -> Option<String> {
        let writes =
            |node: &&Node| node.output.as_ref() == Some(ring) || node.more_outputs.contains(ring);
        let writer = self.workers.iter().find(writes);
        writer.map_or_else(|| Some(first_part(ring)), |writer| self.camera_of(writer, known))
    }
}

type Known<'a> = BTreeMap<&'a WorkerName, Option<String>>;

/// A camera's name is the first part of its rings'.
fn first_part(ring: &RingName) -> String {
    ring.as_str().split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, parse};
    use super::*;

    fn graph(workers: &str) -> Graph {
        let text = format!("version: 1\nworkers:\n{workers}");
        let topology = parse(&text, "/srv/yard/framevisor.yml".as_ref(), &Overrides::default());
        Graph::of(&topology.unwrap_or_else(|report| panic!("{report}")))
    }

    fn cameras(graph: &Graph) -> Vec<(&str, String)> {
        graph.cameras().into_iter().map(|(name, camera)| (name.as_str(), camera)).collect()
    }

    #[test]
    fn a_worker_belongs_to_the_camera_at_the_source_of_all_that_it_reads() {
        let yard = graph(
            "  cam1: {use: ingest, source: 'test:'}
  cam2: {use: ingest, source: 'test:'}
  dec: {use: decoder, in: cam1.packets}
  look: {use: motion, in: cam1.frames}
  both: {run: [x], in: [cam1.packets, look.events]}
  page: {use: web, in: [cam1.frames, cam2.packets], listen: '127.0.0.1:0'}
  clock: {run: [x]}
",
        );
        let cam = |name: &str, camera: &str| (name.to_owned(), camera.to_owned());
        let seen: Vec<_> = cameras(&yard).into_iter().map(|(n, c)| cam(n, &c)).collect();
        let of_one = ["both", "cam1"].map(|name| cam(name, "cam1"));
        assert_eq!(seen[..2], of_one);
        assert_eq!(seen[2..], [cam("cam2", "cam2"), cam("dec", "cam1"), cam("look", "cam1")]);
    }

    #[test]
    fn a_command_belongs_to_the_camera_of_its_pipe_worker() {
        let yard = graph(
            "  cam1: {use: ingest, source: 'test:'}
  show: {run: [x], stdin: cam1.packets}\n",
        );
        let cam1 = |name: &'static str| (name, "cam1".to_owned());
        assert_eq!(cameras(&yard), ["cam1", "show/command", "show/pipe"].map(cam1));
    }

    #[test]
    fn a_circle_belongs_to_nobody() {
        let circle = graph(
            "  a: {run: [x], in: b.events, out: a.events}
  b: {run: [x], in: a.events, out: b.events}\n",
        );
        assert!(cameras(&circle).is_empty());
    }
}
