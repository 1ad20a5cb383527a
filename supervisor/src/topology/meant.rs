//! The topology as meant: as written, with everything related, defaulted and made absolute.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use protocol::config::ingest::Source;
use protocol::config::{ReadPolicy, RingConfig, WorkerConfig};
use protocol::control::Essential;
use protocol::name::{RingKind, RingName, WorkerName};
use protocol::units::Span;

use super::on_device;
use super::problem::wiring::PLACES_MAX;
use super::problem::{Finding, Subject, WiringProblem};
use super::tree::Place;
use super::wiring::{self, Wiring};
use super::written::{Written, WrittenWorker};
use super::{HookSpec, Launch, RingSpec, WorkerSpec};

/// How long a replay without a pace of its own waits for a reader: longer means that it hangs.
const WAITED_FOR: Span = Span::from_millis(60_000);
/// Decoders and encoders between a file and who waits for it.
const HOPS_MAX: usize = 8;

/// Whatever has a mistake is left out; every mistake is in `findings`.
pub(super) fn relate(
    written: &Written,
    folder: &Path,
    findings: &mut Vec<Finding>,
) -> (Vec<WorkerSpec>, Vec<RingSpec>) {
    let wiring = wiring::wire(written, findings);
    let specs = workers(written, &wiring, folder);
    let rings = rings(written, &specs, findings);
    on_device::check(written, &specs, &rings, findings);
    same_address(written, &specs, findings);
    open_to_all(written, &specs, findings);
    order_of_start(written, findings);
    (specs, rings)
}

fn workers(written: &Written, wiring: &Wiring, folder: &Path) -> Vec<WorkerSpec> {
    let outputs = wiring.outputs.iter().zip(&wiring.more_outputs);
    let rings = wiring.inputs.iter().zip(outputs);
    let both = written.workers.iter().zip(rings);
    both.filter_map(|(worker, (inputs, (output, more_outputs)))| {
        Some(WorkerSpec {
            name: worker.name.value.clone(),
            launch: absolute(worker.launch.clone()?, folder),
            inputs: inputs.clone(),
            output: output.clone(),
            more_outputs: more_outputs.clone(),
            policy: worker.policy,
            restart: worker.restart,
            limits: worker.limits.clone(),
            ready: worker.ready.clone(),
            after: worker.after.iter().map(|name| name.value.clone()).collect(),
            shadow: worker.shadow.as_ref().map(|name| name.value.clone()),
        })
    })
    .collect()
}

/// Relative paths start at the topology's folder, wherever the command is called.
fn absolute(mut launch: Launch, folder: &Path) -> Launch {
    // Through components, which leave out a '.' in the middle.
    let join = |path: &mut PathBuf| *path = folder.join(&*path).components().collect();
    match &mut launch {
        Launch::Run { argv, .. } => absolute_command(argv, folder),
        Launch::Use(WorkerConfig::Ingest(ingest)) => {
            if let Source::File(path) = &mut ingest.source {
                join(path);
            }
        }
        Launch::Use(WorkerConfig::Detect(detect)) => {
            join(&mut detect.model);
            // A name without a slash is looked for where libraries are.
            detect.onnxruntime.as_mut().filter(|path| path.components().count() > 1).map(join);
        }
        Launch::Use(WorkerConfig::Notify(notify)) => {
            notify.ca.as_mut().map(join);
        }
        Launch::Use(WorkerConfig::Recorder(recorder)) => join(&mut recorder.dir),
        Launch::Use(WorkerConfig::Replay(replay)) => join(&mut replay.from),
        Launch::Use(WorkerConfig::Rtsp(rtsp)) => {
            if let Some(tls) = &mut rtsp.section.tls {
                join(&mut tls.cert);
                join(&mut tls.key);
            }
        }
        Launch::Use(WorkerConfig::RtspPush(push)) => push.to = push.to.clone().with_file(join),
        Launch::Use(WorkerConfig::Rules(rules)) => {
            rules.snapshots.as_mut().map(join);
        }
        Launch::Use(WorkerConfig::Uploader(uploader)) => {
            join(&mut uploader.dir);
            uploader.ca.as_mut().map(join);
        }
        Launch::Use(WorkerConfig::Web(web)) => {
            if let Some(tls) = &mut web.section.tls {
                join(&mut tls.cert);
                join(&mut tls.key);
            }
        }
        Launch::Use(_) => {}
    }
    launch
}

pub(super) fn hook(hook: &HookSpec, folder: &Path) -> HookSpec {
    let mut hook = hook.clone();
    absolute_command(&mut hook.argv, folder);
    hook
}

/// A command with a slash is a path.
fn absolute_command(argv: &mut [String], folder: &Path) {
    if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
        let path: PathBuf = folder.join(&*program).components().collect();
        *program = path.to_string_lossy().into_owned();
    }
}

fn rings(written: &Written, workers: &[WorkerSpec], findings: &mut Vec<Finding>) -> Vec<RingSpec> {
    let mut readers: BTreeMap<&RingName, Vec<WorkerName>> = BTreeMap::new();
    for reader in workers {
        for ring in &reader.inputs {
            readers.entry(ring).or_default().push(reader.name.clone());
        }
    }
    let mut rings = Vec::new();
    let outputs =
        workers.iter().flat_map(|worker| worker.outputs().map(move |ring| (worker, ring)));
    for (worker, name) in outputs {
        let ring = RingSpec {
            name: name.clone(),
            config: config(written, name),
            writer: worker.name.clone(),
            readers: readers.get(name).cloned().unwrap_or_default(),
            essential: essential(workers, worker, name),
            waits: comes_from_file(workers, worker) || waits_for_all(workers, worker),
            pre_roll: pre_roll(workers, name),
        };
        if ring.places() > PLACES_MAX {
            findings.push(too_many_places(written, &ring));
        }
        rings.push(ring);
    }
    rings
}

/// What its readers make of a ring, as in [`rings`].
pub(super) fn relate_ring(workers: &[WorkerSpec], ring: &mut RingSpec) {
    let Some(writer) = workers.iter().find(|worker| worker.name == ring.writer) else { return };
    let readers = workers.iter().filter(|worker| worker.inputs.contains(&ring.name));
    ring.readers = readers.map(|worker| worker.name.clone()).collect();
    ring.essential = essential(workers, writer, &ring.name);
    ring.waits = comes_from_file(workers, writer) || waits_for_all(workers, writer);
    ring.pre_roll = pre_roll(workers, &ring.name);
}

fn essential(workers: &[WorkerSpec], writer: &WorkerSpec, ring: &RingName) -> Vec<Essential> {
    // A recorder hears of events in its own time; what it records it must not lose.
    let reads = |worker: &WorkerSpec| match worker.launch {
        Launch::Use(WorkerConfig::Recorder(_)) => worker.recorded().any(|it| it == ring),
        Launch::Run { .. } | Launch::Use(_) => worker.inputs.contains(ring),
    };
    let all = waits_for_all(workers, writer).then_some(WAITED_FOR);
    let deadline = |worker: &WorkerSpec| match (worker.policy, &worker.launch) {
        (Some(ReadPolicy::Essential(deadline)), _) => Some(all.unwrap_or(deadline)),
        // People watch at their own pace.
        (_, Launch::Use(WorkerConfig::Rtsp(_) | WorkerConfig::Web(_))) => None,
        // It looks at a picture now and then.
        (_, Launch::Use(WorkerConfig::Rules(_))) if ring.kind() == RingKind::Frames => None,
        _ => all,
    };
    // Workers attach under their own names.
    let entry = |worker: &WorkerSpec| {
        let reader = worker.name.to_string();
        deadline(worker).map(|deadline| Essential { reader, deadline })
    };
    workers.iter().filter(|worker| reads(worker)).filter_map(entry).collect()
}

/// Whether what the worker writes comes from a replay that is as fast as its readers are.
fn waits_for_all(workers: &[WorkerSpec], writer: &WorkerSpec) -> bool {
    let (mut open, mut seen) = (vec![writer], BTreeSet::new());
    while let Some(worker) = open.pop() {
        match &worker.launch {
            Launch::Use(WorkerConfig::Replay(replay)) if replay.speed.waits_for_all() => {
                return true;
            }
            // They go by their clock and wait for nobody.
            Launch::Use(WorkerConfig::Compositor(_) | WorkerConfig::Mixer(_)) => {}
            _ if !seen.insert(&worker.name) => {}
            _ => open.extend(
                workers
                    .iter()
                    .filter(|source| source.outputs().any(|ring| worker.inputs.contains(ring))),
            ),
        }
    }
    false
}

/// The longest that a recorder of the ring wants of the time before an event.
fn pre_roll(workers: &[WorkerSpec], ring: &RingName) -> Span {
    let recorded = workers.iter().filter(|worker| worker.recorded().any(|it| it == ring));
    let asked = recorded.filter_map(|worker| match &worker.launch {
        Launch::Use(WorkerConfig::Recorder(recorder)) => Some(recorder.when.pre_roll()),
        _ => None,
    });
    asked.max().unwrap_or_default()
}

/// Whether what the worker writes can wait: it reads a file, or decodes or encodes what comes from one.
fn comes_from_file(workers: &[WorkerSpec], writer: &WorkerSpec) -> bool {
    // Into pictures and back is as far as anybody goes; a circle of rings is longer.
    (0..HOPS_MAX).try_fold(writer, |worker, _| match &worker.launch {
        Launch::Use(WorkerConfig::Decoder(_) | WorkerConfig::Encoder(_)) => {
            let read = worker.inputs.first();
            let is_source = |it: &&WorkerSpec| it.outputs().any(|ring| Some(ring) == read);
            workers.iter().find(is_source).ok_or(false)
        }
        launch => Err(reads_file(launch)),
    }) == Err(true)
}

fn reads_file(launch: &Launch) -> bool {
    match launch {
        Launch::Use(WorkerConfig::Ingest(ingest)) => matches!(ingest.source, Source::File(_)),
        Launch::Use(WorkerConfig::Replay(_)) => true,
        _ => false,
    }
}

fn config(written: &Written, ring: &RingName) -> RingConfig {
    let entry = written.rings.iter().find(|(name, _)| name.value == *ring);
    entry.map_or(written.ring_defaults, |(_, config)| *config)
}

fn too_many_places(written: &Written, ring: &RingSpec) -> Finding {
    let entry = written.rings.iter().find(|(name, _)| name.value == ring.name);
    let writer = written.workers.iter().find(|worker| worker.name.value == ring.writer);
    Finding {
        place: entry.map(|(name, _)| name.place).or_else(|| Some(writer?.name.place)),
        subject: Subject::Ring(ring.name.to_string()),
        problem: WiringProblem::TooManyPlaces { seen: ring.places() }.into(),
    }
}

/// Nobody may wait for who is not there, nor in a circle.
fn order_of_start(written: &Written, findings: &mut Vec<Finding>) {
    let known = || {
        let names = written.workers.iter().map(|worker| worker.name.value.in_file().to_owned());
        let mut names: Vec<String> = names.collect();
        names.dedup();
        names
    };
    let find = |name: &WorkerName| written.workers.iter().find(|other| other.name.value == *name);
    for worker in &written.workers {
        for name in &worker.after {
            let called = name.value.in_file().to_owned();
            let problem = if find(&name.value).is_none() && !written.unnamed {
                WiringProblem::AfterNobody { name: called, known: known() }
            } else if waits_for(worker, &name.value, &find) {
                WiringProblem::AfterItself { name: called }
            } else {
                continue;
            };
            let subject = Subject::Worker(worker.name.value.in_file().to_owned());
            let finding = Finding { place: Some(name.place), subject, problem: problem.into() };
            // Of a command and its pipe worker, which wait for the same, it is said once.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
}

/// Whether `worker` is among those that come before `name`, or is it.
fn waits_for<'a>(
    worker: &WrittenWorker,
    name: &'a WorkerName,
    find: &impl Fn(&WorkerName) -> Option<&'a WrittenWorker>,
) -> bool {
    let (mut open, mut seen) = (vec![name], BTreeSet::new());
    while let Some(name) = open.pop() {
        if *name == worker.name.value {
            return true;
        }
        if seen.insert(name) {
            open.extend(find(name).into_iter().flat_map(|it| &it.after).map(|it| &it.value));
        }
    }
    false
}

fn same_address(written: &Written, specs: &[WorkerSpec], findings: &mut Vec<Finding>) {
    // TCP and UDP have ports of their own each.
    let tcp = |spec: &WorkerSpec| spec.listens().collect();
    same_address_of("listen", &tcp, written, specs, findings);
    let udp = |spec: &WorkerSpec| spec.listen_udp().into_iter().collect();
    same_address_of("webrtc", &udp, written, specs, findings);
}

fn same_address_of(
    key: &str,
    addresses: &dyn Fn(&WorkerSpec) -> Vec<SocketAddr>,
    written: &Written,
    specs: &[WorkerSpec],
    findings: &mut Vec<Finding>,
) {
    let written =
        |spec: &WorkerSpec| written.workers.iter().find(|worker| worker.name.value == spec.name);
    let of = |spec| Some((written(spec)?, addresses(spec)));
    let listeners: Vec<(&WrittenWorker, SocketAddr)> = specs
        .iter()
        .filter_map(of)
        .flat_map(|(worker, addresses)| addresses.into_iter().map(move |address| (worker, address)))
        .collect();
    for (at, (worker, address)) in listeners.iter().enumerate() {
        let Some((other, _)) = listeners[..at].iter().find(|(_, other)| clash(*other, *address))
        else {
            continue;
        };
        let problem = WiringProblem::AddressTaken {
            address: *address,
            other: other.name.value.to_string(),
            first: place_of(key, other),
        };
        let subject = Subject::Worker(worker.name.value.to_string());
        let place = Some(place_of(key, worker));
        findings.push(Finding { place, subject, problem: problem.into() });
    }
}

fn place_of(key: &str, worker: &WrittenWorker) -> Place {
    *worker.values.get(key).unwrap_or(&worker.name.place)
}

/// Whoever reaches a server's address from another machine says who they are, or is let in by the file's word.
fn open_to_all(written: &Written, specs: &[WorkerSpec], findings: &mut Vec<Finding>) {
    for spec in specs {
        let users = match &spec.launch {
            Launch::Use(WorkerConfig::Rtsp(rtsp)) => &rtsp.section.users,
            Launch::Use(WorkerConfig::Web(web)) => &web.section.users,
            Launch::Run { .. } | Launch::Use(_) => continue,
        };
        let far = spec.listens().find(|address| !address.ip().to_canonical().is_loopback());
        let (Some(address), true) = (far, users.is_empty()) else { continue };
        let worker = written.workers.iter().find(|worker| worker.name.value == spec.name);
        findings.push(Finding {
            place: worker.map(|worker| place_of("listen", worker)),
            subject: Subject::Worker(spec.name.to_string()),
            problem: WiringProblem::OpenToAll { address }.into(),
        });
    }
}

/// Whether the kernel would refuse the second of the two. Port 0 is a new port each time, and `::`
/// takes IPv4 too unless the host says otherwise.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    let covers = |wide: IpAddr, narrow: IpAddr| any(wide) && (wide.is_ipv6() || narrow.is_ipv4());
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clashes(a: &str, b: &str) -> bool {
        clash(a.parse().unwrap(), b.parse().unwrap())
    }

    #[test]
    fn addresses_clash_when_one_covers_the_other() {
        assert!(clashes("127.0.0.1:80", "127.0.0.1:80"));
        assert!(clashes("0.0.0.0:80", "127.0.0.1:80"));
        assert!(clashes("127.0.0.1:80", "[::]:80"));
    }

    #[test]
    fn addresses_of_their_own_do_not_clash() {
        assert!(!clashes("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!clashes("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!clashes("0.0.0.0:80", "[::1]:80"));
        assert!(!clashes("127.0.0.1:0", "127.0.0.1:0"));
    }
}
