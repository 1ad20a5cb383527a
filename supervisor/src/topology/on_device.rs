//! Rings whose pictures lie in a device's memory: who can write one, and who can read one.

use protocol::config::{Access, DecoderConfig, Kind, Memory, WorkerConfig};
use protocol::name::RingKind;

use super::problem::{Finding, Problem, Subject, WiringProblem};
use super::tree::Place;
use super::written::Written;
use super::{Launch, RingSpec, WorkerSpec};

pub(super) fn check(
    written: &Written,
    workers: &[WorkerSpec],
    rings: &[RingSpec],
    findings: &mut Vec<Finding>,
) {
    for ring in rings.iter().filter(|ring| ring.config.memory == Memory::Cuda) {
        let entry = written.rings.iter().find(|(name, _)| name.value == ring.name);
        let writer = workers.iter().find(|worker| worker.name == ring.writer);
        match writer.and_then(|writer| unfit(ring, writer)) {
            Some(problem) => {
                let subject = Subject::Ring(ring.name.to_string());
                complain(entry.map(|(name, _)| name.place), subject, problem, findings);
            }
            None => unfit_readers(written, workers, ring, findings),
        }
    }
}

/// Why the ring cannot lie on a device.
fn unfit(ring: &RingSpec, writer: &WorkerSpec) -> Option<WiringProblem> {
    let no = |what, cure| Some(WiringProblem::NotOnDevice { what, cure });
    if ring.name.kind() != RingKind::Frames {
        return no("it is no ring of frames", "remove 'memory'");
    }
    let Launch::Use(WorkerConfig::Decoder(decoder)) = &writer.launch else {
        return no(
            "of all workers a decoder alone writes to a device",
            "remove 'memory', or let a decoder write the ring",
        );
    };
    if ring.config.access == Access::Brokered {
        return no(
            "access: brokered; who may read there may write there, so it is nothing for readers that are not trusted",
            "remove one of the two",
        );
    }
    let is_it = |(name, _): &(&String, _)| {
        let own = writer.output.as_ref();
        own.and_then(|own| DecoderConfig::ring_of(own, name)).as_ref() == Some(&ring.name)
    };
    let form = decoder.outputs.iter().find(is_it);
    if form.is_some_and(|(_, form)| form.tensor.is_some()) {
        return no(
            "its tensors are made by the processor, for models that run there",
            "remove 'memory', or 'tensor' of the output",
        );
    }
    None
}

fn unfit_readers(
    written: &Written,
    workers: &[WorkerSpec],
    ring: &RingSpec,
    findings: &mut Vec<Finding>,
) {
    for reader in workers.iter().filter(|worker| ring.readers.contains(&worker.name)) {
        let Launch::Use(config) = &reader.launch else { continue };
        let kind = config.kind();
        if kind == Kind::Encoder {
            continue;
        }
        let as_written = written.workers.iter().find(|worker| worker.name.value == reader.name);
        let Some(as_written) = as_written else { continue };
        let place = *as_written.values.get("in").unwrap_or(&as_written.name.place);
        let subject = Subject::Worker(as_written.name.value.in_file().to_owned());
        let ring = ring.name.clone();
        complain(Some(place), subject, WiringProblem::OnDevice { ring, kind }, findings);
    }
}

fn complain(
    place: Option<Place>,
    subject: Subject,
    problem: WiringProblem,
    findings: &mut Vec<Finding>,
) {
    findings.push(Finding { place, subject, problem: Problem::from(problem) });
}
