//! The order in which workers start: writers before their readers.

use std::collections::{BTreeMap, BTreeSet};

use super::WorkerSpec;

/// Indices into `workers`, each once; otherwise as close to the order of the file as it can be.
///
/// Order only saves the readers a wait. So workers that read each other in a circle are no mistake:
/// the first of the file begins.
pub(super) fn start_order(workers: &[WorkerSpec]) -> Vec<usize> {
    let mut waits_for: Vec<BTreeSet<usize>> = writers_of(workers);
    let mut left: BTreeSet<usize> = (0..workers.len()).collect();
    let mut ready: BTreeSet<usize> =
        left.iter().copied().filter(|&at| waits_for[at].is_empty()).collect();
    let mut order = Vec::with_capacity(workers.len());
    while let Some(next) = ready.pop_first().or_else(|| left.first().copied()) {
        left.remove(&next);
        order.push(next);
        for &reader in &left {
            if waits_for[reader].remove(&next) && waits_for[reader].is_empty() {
                ready.insert(reader);
            }
        }
    }
    order
}

fn writers_of(workers: &[WorkerSpec]) -> Vec<BTreeSet<usize>> {
    let outputs = workers.iter().enumerate();
    let writers: BTreeMap<_, usize> =
        outputs.flat_map(|(at, worker)| worker.outputs().map(move |ring| (ring, at))).collect();
    let of = |worker: &WorkerSpec| {
        worker.inputs.iter().filter_map(|ring| writers.get(ring).copied()).collect()
    };
    workers.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use protocol::config::{LimitsConfig, RestartConfig};

    use super::super::Launch;
    use super::*;

    fn worker(name: &str, inputs: &[&str], output: Option<&str>) -> WorkerSpec {
        WorkerSpec {
            name: name.parse().unwrap(),
            launch: Launch::Run { argv: vec!["x".into()], env: BTreeMap::new() },
            inputs: inputs.iter().map(|ring| ring.parse().unwrap()).collect(),
            output: output.map(|ring| ring.parse().unwrap()),
            more_outputs: Vec::new(),
            policy: None,
            restart: RestartConfig::default(),
            limits: LimitsConfig::default(),
            ready: None,
            after: Vec::new(),
            shadow: None,
        }
    }

    #[test]
    fn writers_start_before_their_readers() {
        let workers = [
            worker("web", &["cam.packets", "cam.frames"], None),
            worker("decoder", &["cam.packets"], Some("cam.frames")),
            worker("cam", &[], Some("cam.packets")),
            worker("other", &[], None),
        ];
        assert_eq!(start_order(&workers), [2, 1, 0, 3]);
    }

    #[test]
    fn a_circle_starts_with_the_first_of_the_file() {
        let workers = [
            worker("a", &["b.events"], Some("a.events")),
            worker("b", &["a.events"], Some("b.events")),
        ];
        assert_eq!(start_order(&workers), [0, 1]);
    }
}
