//! `shadow: NAME`: a worker that is tried beside another one, on the same pictures. Pure.
//!
//! What belongs here: which workers may be that, what it means for others, and the two changing places. What does
//! not: comparing what they found (`cli::compare`).

use protocol::name::{RingKind, RingName, WorkerName};

use super::problem::{Finding, Subject, WiringProblem};
use super::section::Located;
use super::written::{Input, WrittenWorker};
use super::{Topology, WorkerSpec};

/// Per worker, in the order of the file.
type Outputs = [Option<Located<RingName>>];

/// What shadows write: their own business, so that nobody acts on it who does not name it.
pub(super) fn rings(workers: &[WrittenWorker], outputs: &Outputs) -> Vec<RingName> {
    let shadows = workers.iter().zip(outputs).filter(|(worker, _)| worker.shadow.is_some());
    shadows.filter_map(|(_, output)| Some(output.as_ref()?.value.clone())).collect()
}

/// Whether what they find can be compared, picture by picture.
pub(super) fn check(workers: &[WrittenWorker], outputs: &Outputs, findings: &mut Vec<Finding>) {
    let all = || workers.iter().zip(outputs);
    for (worker, output) in all() {
        let Some(shadow) = &worker.shadow else { continue };
        let name = shadow.value.in_file().to_owned();
        let live = all().find(|(other, _)| other.name.value == shadow.value);
        let problem = match live {
            None => {
                let known = workers.iter().map(|it| it.name.value.in_file().to_owned());
                let mut known: Vec<String> = known.collect();
                known.dedup();
                Some(WiringProblem::ShadowOfNobody { name, known })
            }
            Some((live, _)) if live.shadow.is_some() => {
                Some(WiringProblem::ShadowOfShadow { name })
            }
            Some((live, _)) if read(live) != read(worker) => {
                Some(WiringProblem::ShadowReads { name })
            }
            Some((_, found)) => {
                let own = worker.name.value.in_file().to_owned();
                let both = [(found.as_ref(), name), (output.as_ref(), own)];
                let silent = both.into_iter().find(|(output, _)| !writes_events(*output));
                silent.map(|(_, name)| WiringProblem::ShadowWrites { name })
            }
        };
        if let Some(problem) = problem {
            let subject = Subject::Worker(worker.name.value.in_file().to_owned());
            let (place, problem) = (Some(shadow.place), problem.into());
            findings.push(Finding { place, subject, problem });
        }
    }
}

fn read(worker: &WrittenWorker) -> Vec<&Input> {
    worker.inputs.iter().flatten().map(|input| &input.value).collect()
}

fn writes_events(output: Option<&Located<RingName>>) -> bool {
    output.is_some_and(|ring| ring.value.kind() == RingKind::Events)
}

/// Each of `promoted`, in this order, and the worker that it is tried beside change places: their programs and what
/// these need do, their names, rings and duties stay.
pub(super) fn promote(workers: &mut [WorkerSpec], promoted: &[WorkerName]) {
    for name in promoted {
        let at = |name: &WorkerName| workers.iter().position(|it| it.name == *name);
        let Some(tried) = at(name) else { continue };
        let Some(used) = workers[tried].shadow.as_ref().and_then(at) else { continue };
        let Ok([tried, used]) = workers.get_disjoint_mut([tried, used]) else { continue };
        std::mem::swap(&mut tried.launch, &mut used.launch);
        std::mem::swap(&mut tried.limits, &mut used.limits);
        std::mem::swap(&mut tried.ready, &mut used.ready);
    }
}

/// Whether the files of `new` have of this shadow and the other what those of `old` had, both as they are written.
pub(super) fn is_unchanged(old: &Topology, new: &Topology, shadow: &WorkerName) -> bool {
    let pair = |topology: &Topology| {
        let tried = topology.worker(shadow)?;
        let used = topology.worker(tried.shadow.as_ref()?)?;
        Some([tried.launch.clone(), used.launch.clone()])
    };
    pair(old).is_some_and(|pair_of_old| Some(pair_of_old) == pair(new))
}

#[cfg(test)]
mod tests {
    use super::super::live::{carried, promoted};
    use super::super::{Launch, Overrides, Report, parse};
    use super::*;

    const YARD: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:'}
  dec: {use: decoder, in: cam1.packets}
  mine: {run: [python3, old.py], in: cam1.frames, out: mine.events, restart: {delay: 1s}}
  next: {run: [python3, new.py], in: cam1.frames, out: next.events, shadow: mine, limits: {memory: 1GiB}}
  web: {use: web, in: ['cam1.*', '*.events']}
";

    fn read(text: &str) -> Result<Topology, Report> {
        parse(text, "/srv/yard/framevisor.yml".as_ref(), &Overrides::default())
    }

    fn name(text: &str) -> WorkerName {
        text.parse().unwrap()
    }

    /// The script of a worker, and whether its section has a limit of memory.
    fn program(topology: &Topology, worker: &str) -> (String, bool) {
        let spec = topology.worker(&name(worker)).unwrap();
        let Launch::Run { argv, .. } = &spec.launch else { panic!("{worker} runs nothing") };
        (argv[1].clone(), spec.limits.memory.is_some())
    }

    #[test]
    fn no_star_means_what_a_shadow_writes_and_a_name_does() {
        let inputs = |text: &str| {
            let topology = read(text).unwrap();
            let web = topology.worker(&name("web")).unwrap();
            web.inputs.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(inputs(YARD), ["cam1.packets", "cam1.frames", "mine.events"]);
        let named = YARD.replace("'*.events'", "next.events");
        assert_eq!(inputs(&named), ["cam1.packets", "cam1.frames", "next.events"]);
        let recorder = "  rec: {use: recorder, in: cam1.packets, dir: x, when: events}\n";
        let topology = read(&format!("{YARD}{recorder}")).unwrap();
        let heard = &topology.worker(&name("rec")).unwrap().inputs;
        assert!(!heard.contains(&"next.events".parse().unwrap()), "{heard:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        for (from, to, text) in [
            ("shadow: mine", "shadow: mnie", "is a shadow of 'mnie', and there is no such worker"),
            ("shadow: mine", "shadow: next", "is a shadow of 'next', which is one itself"),
            ("in: cam1.frames, out: next", "in: cam1.packets, out: next", "reads other rings"),
            ("out: next.events", "out: next.frames", "'next' writes no ring of events"),
            ("shadow: mine", "shadow: dec", "reads other rings than 'dec'"),
        ] {
            let report = read(&YARD.replace(from, to)).unwrap_err().to_string();
            assert!(report.contains(text), "{to}: {report}");
        }
        let ingest = YARD.replace("source: 'test:'", "source: 'test:', shadow: mine");
        assert!(read(&ingest).unwrap_err().to_string().contains("unknown key 'shadow'"));
    }

    #[test]
    fn the_two_change_places_and_the_second_time_back() {
        let before = read(YARD).unwrap();
        let after = promoted(&before, &name("next")).unwrap();
        assert_eq!(program(&after, "mine"), ("new.py".to_owned(), true));
        assert_eq!(program(&after, "next"), ("old.py".to_owned(), false));
        let (was, is) = (&before.workers[2], &after.workers[2]);
        assert_eq!((&was.output, &was.restart), (&is.output, &is.restart));
        // Another process of the command reads the same.
        assert_eq!(after.reading().again().unwrap(), after);
        assert_eq!(promoted(&after, &name("next")).unwrap(), before);
    }

    #[test]
    fn of_two_shadows_each_changes_places_with_what_the_one_before_left() {
        let third =
            "  more: {run: [python3, more.py], in: cam1.frames, out: more.events, shadow: mine}\n";
        let before = read(&format!("{YARD}{third}")).unwrap();
        let scripts = |topology: &Topology| {
            ["mine", "next", "more"].map(|worker| program(topology, worker).0.replace(".py", ""))
        };
        let after = promoted(&before, &name("next")).unwrap();
        let after = promoted(&after, &name("more")).unwrap();
        assert_eq!(scripts(&after), ["more", "old", "new"]);
        let reloaded = carried(&after, before.clone()).unwrap();
        assert_eq!(scripts(&reloaded), ["more", "old", "new"]);
        // The other one again: what it holds now takes the place.
        assert_eq!(scripts(&promoted(&after, &name("next")).unwrap()), ["old", "more", "new"]);
        let undone = promoted(&after, &name("more")).unwrap();
        assert_eq!(promoted(&undone, &name("next")).unwrap(), before);
    }

    #[test]
    fn a_file_that_says_the_same_of_both_leaves_them_and_one_that_does_not_is_right() {
        let promoted = promoted(&read(YARD).unwrap(), &name("next")).unwrap();
        let other = read(&YARD.replace("delay: 1s", "delay: 2s")).unwrap();
        assert_eq!(program(&carried(&promoted, other).unwrap(), "mine").0, "new.py");
        // Who has written it into the file means it so.
        let written = YARD.replace("old.py", "x.py").replace("new.py", "old.py");
        let written = read(&written.replace("x.py", "new.py")).unwrap();
        assert_eq!(program(&carried(&promoted, written).unwrap(), "mine").0, "new.py");
        let newer = read(&YARD.replace("new.py", "newer.py")).unwrap();
        assert_eq!(program(&carried(&promoted, newer).unwrap(), "mine").0, "old.py");
    }
}
