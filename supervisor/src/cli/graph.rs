//! `graph`: which worker writes which ring, and who reads it. From the topology; nothing need run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use protocol::name::{RingName, WorkerName};

use super::{CliError, Context, FileArg, terminal};
use crate::topology::{Graph, Topology, WorkerSpec};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor graph
  framevisor graph --mermaid
  framevisor -f demo.yml graph -o json";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As a Mermaid flowchart, for pages that draw one
    #[arg(long)]
    mermaid: bool,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let topology = context.topology()?;
    if context.is_json() {
        terminal::json(&Graph::of(&topology))?;
    } else if args.mermaid {
        terminal::data(&mermaid(&topology))?;
    } else {
        terminal::data(&Tree::draw(&topology))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Nodes are numbered: names hold characters that Mermaid takes for its own.
fn mermaid(topology: &Topology) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let rings = rings_of(topology);
    for (at, worker) in topology.workers.iter().enumerate() {
        let _ = writeln!(text, "  w{at}[\"{}<br/>{}\"]", worker.name, worker.kind_name());
    }
    for (at, ring) in rings.iter().enumerate() {
        let _ = writeln!(text, "  r{at}([\"{ring}\"])");
    }
    for (at, worker) in topology.workers.iter().enumerate() {
        let number = |ring: &RingName| rings.iter().position(|other| *other == ring);
        for ring in worker.inputs.iter().filter_map(number) {
            let _ = writeln!(text, "  r{ring} --> w{at}");
        }
        for ring in worker.outputs().filter_map(number) {
            let _ = writeln!(text, "  w{at} --> r{ring}");
        }
    }
    for (command, pipe) in topology.pairs() {
        let number =
            |spec: &WorkerSpec| topology.workers.iter().position(|it| it.name == spec.name);
        if let (Some(command), Some(pipe)) = (number(command), number(pipe)) {
            let _ = writeln!(text, "  w{pipe} -.- w{command}");
        }
    }
    text
}

/// Those of the topology, then those that programs outside it write.
fn rings_of(topology: &Topology) -> Vec<&RingName> {
    let mut rings: Vec<&RingName> = topology.rings.iter().map(|ring| &ring.name).collect();
    for ring in topology.workers.iter().flat_map(|worker| &worker.inputs) {
        if !rings.contains(&ring) {
            rings.push(ring);
        }
    }
    rings
}

/// Workers below the rings they read, rings below their writers. Who reads several rings stands
/// below each, what follows from it only below the first.
struct Tree<'a> {
    topology: &'a Topology,
    drawn: BTreeSet<&'a WorkerName>,
    text: String,
}

impl<'a> Tree<'a> {
    fn draw(topology: &'a Topology) -> String {
        let mut tree = Self { topology, drawn: BTreeSet::new(), text: String::new() };
        let has_none = |worker: &&WorkerSpec| worker.inputs.is_empty() && worker.output.is_none();
        let commands = topology.pairs().map(|(command, _)| command).filter(has_none);
        // Their pipe workers name them.
        tree.drawn.extend(commands.map(|command| &command.name));
        for worker in topology.workers.iter().filter(|worker| worker.inputs.is_empty()) {
            if !tree.drawn.contains(&worker.name) {
                tree.worker(worker, "", "");
            }
        }
        let outside = |ring: &&RingName| topology.ring(ring).is_none();
        for ring in rings_of(topology).into_iter().filter(outside) {
            let _ = writeln!(tree.text, "(outside)");
            tree.ring(ring, "", ("└─ ", "   "));
        }
        // Workers that read each other in a circle hang below nothing.
        for worker in &topology.workers {
            if !tree.drawn.contains(&worker.name) {
                tree.worker(worker, "", "");
            }
        }
        tree.text
    }

    /// `before` leads this line, `below` all that hangs below it.
    fn worker(&mut self, worker: &'a WorkerSpec, before: &str, below: &str) {
        let again = !self.drawn.insert(&worker.name);
        let more = if again && worker.output.is_some() { " (above)" } else { "" };
        let mut pairs = self.topology.pairs();
        let of = pairs
            .find(|(_, pipe)| pipe.name == worker.name)
            .map_or_else(String::new, |(command, _)| {
                format!(" of {} ({})", command.name, command.kind_name())
            });
        let _ = writeln!(self.text, "{before}{} ({}){of}{more}", worker.name, worker.kind_name());
        let rings: Vec<&RingName> = if again { Vec::new() } else { worker.outputs().collect() };
        if let Some((last, others)) = rings.split_last() {
            for ring in others {
                self.ring(ring, below, ("├─ ", "│  "));
            }
            self.ring(last, below, ("└─ ", "   "));
        }
    }

    /// `branch` and `trunk`: what leads to it, and past it to the writer's next ring.
    fn ring(&mut self, ring: &'a RingName, below: &str, (branch, trunk): (&str, &str)) {
        let _ = writeln!(self.text, "{below}{branch}{ring}");
        let below = format!("{below}{trunk}");
        let topology = self.topology;
        let readers: Vec<&WorkerSpec> =
            topology.workers.iter().filter(|worker| worker.inputs.contains(ring)).collect();
        let last = readers.len().saturating_sub(1);
        for (at, reader) in readers.into_iter().enumerate() {
            let (branch, trunk) =
                if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let before = format!("{below}{branch}");
            self.worker(reader, &before, &format!("{below}{trunk}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    fn topology(workers: &str) -> Topology {
        let text = format!("version: 1\nworkers:\n{workers}");
        topology::parse(&text, "/srv/yard/framevisor.yml".as_ref(), &Overrides::default())
            .unwrap_or_else(|report| panic!("{report}"))
    }

    const CAMERA: &str = "  cam1: {use: ingest, source: 'test:'}
  dec: {use: decoder, in: cam1.packets}
  rec: {use: recorder, in: cam1.packets, dir: x}
  look: {run: [x], in: [cam1.frames, ext.note.events], out: look.events}
  log: {run: [x], in: look.events}
";

    #[test]
    fn the_tree_shows_each_reader_below_each_of_its_rings() {
        let expected = "\
cam1 (ingest)
└─ cam1.packets
   ├─ dec (decoder)
   │  └─ cam1.frames
   │     └─ look (run)
   │        └─ look.events
   │           └─ log (run)
   └─ rec (recorder)
(outside)
└─ ext.note.events
   └─ look (run) (above)
";
        assert_eq!(Tree::draw(&topology(CAMERA)), expected);
    }

    #[test]
    fn a_circle_is_drawn_once_and_comes_to_an_end() {
        let circle = "  a: {run: [x], in: b.events, out: a.events}
  b: {run: [x], in: a.events, out: b.events}\n";
        let expected = "\
a (run)
└─ a.events
   └─ b (run)
      └─ b.events
         └─ a (run) (above)
";
        assert_eq!(Tree::draw(&topology(circle)), expected);
    }

    #[test]
    fn a_pipe_worker_is_drawn_with_the_command_whose_rings_it_has() {
        let flip = topology(
            "  cam1: {use: ingest, source: 'test:'}
  flip: {run: [x], stdin: cam1.packets, stdout: flip.frames, raw: {format: nv12, size: 8x8, fps: 5}}
  look: {use: motion, in: flip.frames}\n",
        );
        let expected = "\
cam1 (ingest)
└─ cam1.packets
   └─ flip/pipe (pipe) of flip/command (run)
      └─ flip.frames
         └─ look (motion)
            └─ look.events
";
        assert_eq!(Tree::draw(&flip), expected);
        assert!(mermaid(&flip).contains("  w2 -.- w1\n"));
    }

    #[test]
    fn mermaid_has_each_node_once_and_an_arrow_for_each_use() {
        let chart = mermaid(&topology(CAMERA));
        assert!(chart.starts_with("flowchart LR\n  w0[\"cam1<br/>ingest\"]\n"), "{chart}");
        assert_eq!(chart.matches("-->").count(), 8, "{chart}");
        assert_eq!(chart.matches("r3([\"ext.note.events\"])").count(), 1, "{chart}");
    }
}
