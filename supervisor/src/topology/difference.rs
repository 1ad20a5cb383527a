//! What is to be done to come from one topology to another while it runs. Pure.
//!
//! What belongs here: which workers start, stop or are replaced, for which keys, and what that costs
//! those who watch. What does not: doing it (`supervisor::transition`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use protocol::config::{Access, Kind};
use protocol::control::Essential;
use protocol::name::{RingName, WorkerName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{HookSpec, Launch, RingSpec, Topology, WorkerSpec};
use crate::budget;

/// Places that rings were given at their writers' last start; of one that is missing, those that the
/// running topology names.
pub(crate) type Laid = BTreeMap<RingName, u32>;

/// The key that only the supervisor looks at.
const DRAIN: &str = "drain";

/// Everything that differs. More keys may come; these stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// In the order they start.
    pub(crate) start: Vec<WorkerName>,
    pub(crate) stop: Vec<WorkerName>,
    /// In the order they start.
    pub(crate) restart: Vec<Restart>,
    /// Their processes go on: what changes is the supervisor's own affair.
    pub(crate) adjust: Vec<Adjust>,
    pub(crate) keep: Vec<WorkerName>,
    pub(crate) rings: Rings,
    pub(crate) ports: Ports,
    #[serde(default)]
    pub(crate) hooks: Hooks,
    pub(crate) memory: Memory,
    /// One entry for each worker whose stop or restart somebody may notice, or need not.
    pub(crate) viewers: Vec<Loss>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restart {
    pub(crate) worker: WorkerName,
    pub(crate) how: How,
    /// The keys that say so, or what else does.
    pub(crate) why: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum How {
    /// The new process starts beside the old one, which goes when the new one is ready.
    Beside,
    /// The old process ends, then the new one starts.
    InPlace,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adjust {
    pub(crate) worker: WorkerName,
    pub(crate) keys: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rings {
    pub(crate) created: Vec<RingName>,
    pub(crate) removed: Vec<RingName>,
    /// Made anew with other settings.
    pub(crate) resized: Vec<RingName>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) opened: Vec<Port>,
    pub(crate) closed: Vec<Port>,
}

/// As `hook/NAME`. Runs under way end as they began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hooks {
    pub(crate) added: Vec<WorkerName>,
    pub(crate) removed: Vec<WorkerName>,
    pub(crate) changed: Vec<WorkerName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Port {
    pub(crate) worker: WorkerName,
    pub(crate) address: SocketAddr,
}

/// Shared memory of all rings, without pictures of unknown size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) before_bytes: u64,
    pub(crate) after_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loss {
    pub(crate) worker: WorkerName,
    pub(crate) loses: String,
}

impl Change {
    /// Whom it starts, stops, restarts or adjusts.
    pub(crate) fn touched(&self) -> impl Iterator<Item = &WorkerName> {
        let restart = self.restart.iter().map(|restart| &restart.worker);
        let adjust = self.adjust.iter().map(|adjust| &adjust.worker);
        self.start.iter().chain(&self.stop).chain(restart).chain(adjust)
    }

    /// Nothing starts, stops or changes.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { start, stop, restart, adjust, hooks, .. } = self;
        let workers = [start, stop].iter().all(|names| names.is_empty());
        workers && restart.is_empty() && adjust.is_empty() && *hooks == Hooks::default()
    }
}

/// What changes from `old`, which runs, to `new`.
pub(crate) fn difference(old: &Topology, new: &Topology, laid: &Laid) -> Change {
    let mut change = Change {
        rings: rings(old, new),
        ports: ports(old, new),
        hooks: hooks(old, new),
        memory: Memory { before_bytes: budget::total(old).0, after_bytes: budget::total(new).0 },
        ..Change::default()
    };
    for spec in new.start_order() {
        match old.worker(&spec.name) {
            None => change.start.push(spec.name.clone()),
            Some(before) => compare(&mut change, (old, before), (new, spec), laid),
        }
    }
    together(&mut change, new);
    let gone = old.workers.iter().filter(|spec| new.worker(&spec.name).is_none());
    for spec in gone {
        change.stop.push(spec.name.clone());
        change.viewers.extend(loss(spec, loss_of_a_stop(spec)));
    }
    change
}

/// Rings that have no name in shared memory.
pub(crate) fn brokered(topology: &Topology) -> Vec<&RingName> {
    let brokered = topology.rings.iter().filter(|ring| ring.config.access == Access::Brokered);
    let mut names: Vec<&RingName> = brokered.map(|ring| &ring.name).collect();
    names.sort();
    names
}

/// Whether the two cannot run at once: they write one ring or directory, ask one camera, or listen on
/// one port.
pub(crate) fn clash(old: &WorkerSpec, new: &WorkerSpec) -> bool {
    let both = |a: Option<String>, b: Option<String>| a.is_some() && a == b;
    let port = |spec: &WorkerSpec| spec.listen().map(|address| address.to_string());
    let ring = |spec: &WorkerSpec| spec.output.as_ref().map(ToString::to_string);
    both(ring(old), ring(new)) || both(port(old), port(new)) || both(takes(old), takes(new))
}

/// What it wants for itself alone: a camera, a directory.
fn takes(spec: &WorkerSpec) -> Option<String> {
    let Launch::Use(config) = &spec.launch else { return None };
    let key = match config.kind() {
        Kind::Ingest => "source",
        Kind::Recorder => "dir",
        _ => return None,
    };
    Some(section(config).get(key)?.to_string())
}

/// As if these had changed: what a planned replacement of them does.
pub(crate) fn replacement(running: &Topology, names: &[WorkerName], laid: &Laid) -> Change {
    let mut change = difference(running, running, laid);
    let why = || vec!["asked to".to_owned()];
    for spec in running.start_order().into_iter().filter(|spec| names.contains(&spec.name)) {
        change.keep.retain(|name| *name != spec.name);
        let how = how(spec, spec);
        change.viewers.extend(loss(spec, loss_of_a_restart(spec, how)));
        change.restart.push(Restart { worker: spec.name.clone(), how, why: why() });
    }
    together(&mut change, running);
    change
}

/// A command and its pipe worker have the ends of the same pipes: where one is started again, the other
/// is too.
fn together(change: &mut Change, new: &Topology) {
    for (command, pipe) in new.pairs() {
        for (one, other) in [(command, pipe), (pipe, command)] {
            let restarts = |spec: &WorkerSpec| {
                change.restart.iter().any(|restart| restart.worker == spec.name)
            };
            if restarts(one) || !restarts(other) {
                continue;
            }
            let is_there = |name: &WorkerName| *name == one.name;
            if !change.keep.iter().chain(change.adjust.iter().map(|it| &it.worker)).any(is_there) {
                continue;
            }
            change.keep.retain(|name| *name != one.name);
            change.adjust.retain(|adjust| adjust.worker != one.name);
            let why = vec![format!("{} restarts", other.name)];
            change.viewers.extend(loss(one, loss_of_a_restart(one, How::InPlace)));
            change.restart.push(Restart { worker: one.name.clone(), how: How::InPlace, why });
        }
    }
    let order = new.start_order();
    let turn = |restart: &Restart| order.iter().position(|spec| spec.name == restart.worker);
    change.restart.sort_by_cached_key(turn);
}

fn compare(
    change: &mut Change,
    (old, before): (&Topology, &WorkerSpec),
    (new, after): (&Topology, &WorkerSpec),
    laid: &Laid,
) {
    let worker = after.name.clone();
    let Keys { restart: mut why, adjust } = keys(before, after);
    let rings = after.output.as_ref().and_then(|ring| Some((old.ring(ring)?, new.ring(ring)?)));
    let ring = rings.filter(|(old, new)| old.writer == new.writer);
    if let Some((old, new)) = ring {
        let reasons = outgrown(old, new, laid.get(&new.name).copied(), after);
        if !reasons.is_empty() {
            change.rings.resized.push(new.name.clone());
        }
        why.extend(reasons);
    }
    if !why.is_empty() {
        let how = how(before, after);
        change.viewers.extend(loss(after, loss_of_a_restart(after, how)));
        change.restart.push(Restart { worker, how, why });
    } else if adjust.is_empty() {
        change.keep.push(worker);
    } else {
        change.adjust.push(Adjust { worker, keys: adjust });
    }
}

#[derive(Debug)]
struct Keys {
    /// A process reads them once, at its start.
    restart: Vec<String>,
    adjust: Vec<String>,
}

/// The keys in which the two differ.
fn keys(before: &WorkerSpec, after: &WorkerSpec) -> Keys {
    // By name, so that a key that comes later is not forgotten here.
    let WorkerSpec {
        name: _,
        launch,
        inputs,
        output,
        policy,
        restart,
        ready,
        after: waits,
        limits,
    } = before;
    let is_pipe = kind(before) == Some(Kind::Pipe);
    let launch = launch_keys(launch, &after.launch);
    let (adjust, restart_for) = launch.into_iter().partition(|key| key == DRAIN);
    let mut keys = Keys { restart: restart_for, adjust };
    for (key, differs) in [
        ("in", *inputs != after.inputs),
        ("out", *output != after.output),
        ("policy", *policy != after.policy),
        ("limits", *limits != after.limits),
    ] {
        keys.restart.extend(differs.then(|| key.to_owned()));
    }
    if is_pipe {
        keys.restart = of_its_command(&keys.restart);
    }
    for (key, differs) in [
        ("restart", *restart != after.restart),
        ("ready", *ready != after.ready),
        ("after", *waits != after.after),
    ] {
        keys.adjust.extend(differs.then(|| key.to_owned()));
    }
    keys
}

/// Keys of a pipe worker as its command's section has them, each once.
fn of_its_command(keys: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for key in keys {
        let key = match key.as_str() {
            "feeds" | "in" => "stdin",
            "makes" | "out" => "stdout",
            other => other,
        };
        if !found.iter().any(|known| known == key) {
            found.push(key.to_owned());
        }
    }
    found
}

fn launch_keys(before: &Launch, after: &Launch) -> Vec<String> {
    match (before, after) {
        (Launch::Run { argv, env }, Launch::Run { argv: new_argv, env: new_env }) => {
            let run = (argv != new_argv).then(|| "run".to_owned());
            run.into_iter().chain((env != new_env).then(|| "env".to_owned())).collect()
        }
        (Launch::Use(before), Launch::Use(after)) if before.kind() == after.kind() => {
            let differing = differing(&section(before), &section(after));
            // A value may differ where its form does not; then the kind stands for it.
            let hidden = differing.is_empty() && before != after;
            differing.into_iter().chain(hidden.then(|| "use".to_owned())).collect()
        }
        (_, Launch::Use(_)) => vec!["use".to_owned()],
        (_, Launch::Run { .. }) => vec!["run".to_owned()],
    }
}

/// The keys of a typed section, without the name of its kind around them.
fn section(config: &protocol::config::WorkerConfig) -> Value {
    let whole = serde_json::to_value(config).unwrap_or_default();
    let inner = whole.as_object().and_then(|kind| kind.values().next().cloned());
    inner.unwrap_or(whole)
}

fn differing(before: &Value, after: &Value) -> Vec<String> {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return Vec::new();
    };
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

/// Why the ring cannot stay as it is; nothing when its writer need not be bothered.
fn outgrown(old: &RingSpec, new: &RingSpec, laid: Option<u32>, writer: &WorkerSpec) -> Vec<String> {
    let name = &new.name;
    let mut settings = differing(&config_of(old), &config_of(new));
    if matches!(writer.launch, Launch::Run { .. }) {
        // It lays out its ring itself, and knows only this much.
        settings.retain(|key| key == "access");
        return settings.into_iter().map(|key| format!("rings.{name}.{key}")).collect();
    }
    let places = laid.unwrap_or_else(|| old.places());
    // More places than are asked for harm nobody.
    settings.retain(|key| key != "spare_readers" || new.places() > places);
    let spare = settings.iter().any(|key| key == "spare_readers");
    let mut reasons: Vec<String> =
        settings.into_iter().map(|key| format!("rings.{name}.{key}")).collect();
    let readers = u32::try_from(new.readers.len()).unwrap_or(u32::MAX);
    if readers > places && !spare {
        reasons.push(format!("{name} has {places} places, {readers} are needed"));
    }
    if !new.essential.iter().all(|reader| old.essential.contains(reader)) {
        reasons.push(format!("{name} keeps more for {}", named(&new.essential)));
    }
    if old.pre_roll < new.pre_roll {
        reasons.push(format!("{name} keeps more for the time before events"));
    }
    if old.waits != new.waits {
        reasons.push(format!("{name} comes from another kind of source"));
    }
    reasons
}

fn config_of(ring: &RingSpec) -> Value {
    serde_json::to_value(ring.config).unwrap_or_default()
}

fn named(essential: &[Essential]) -> String {
    essential.iter().map(|entry| entry.reader.as_str()).collect::<Vec<_>>().join(", ")
}

/// Only what viewers hang on is worth two processes at once, and two at one camera never are.
fn how(before: &WorkerSpec, after: &WorkerSpec) -> How {
    match (kind(before), kind(after)) {
        (Some(Kind::Rtsp), Some(Kind::Rtsp)) | (Some(Kind::Web), Some(Kind::Web)) => How::Beside,
        (Some(Kind::Decoder), Some(Kind::Decoder))
            if before.inputs == after.inputs && before.output == after.output =>
        {
            How::Beside
        }
        _ => How::InPlace,
    }
}

fn kind(spec: &WorkerSpec) -> Option<Kind> {
    match &spec.launch {
        Launch::Run { .. } => None,
        Launch::Use(config) => Some(config.kind()),
    }
}

fn loss(spec: &WorkerSpec, loses: &str) -> Option<Loss> {
    Some(Loss { worker: spec.name.clone(), loses: loses.to_owned() })
}

fn loss_of_a_restart(spec: &WorkerSpec, how: How) -> &'static str {
    match (kind(spec), how) {
        (Some(Kind::Ingest), _) => {
            "what the camera sends until the new process is ready, and then until its next key frame"
        }
        (Some(Kind::Replay), _) => "its place: the new process plays from the begin",
        (Some(Kind::Decoder), How::Beside) => "nothing: the new one goes on where the old one ends",
        (Some(Kind::Decoder), How::InPlace) => "pictures until the next key frame",
        (Some(Kind::Rtsp | Kind::Web), How::Beside) => {
            "nothing: clients stay with the old process until they leave"
        }
        (Some(Kind::Rtsp | Kind::Web), How::InPlace) => "their connections",
        (Some(Kind::Recorder), _) => "nothing: it goes on behind its last frame, from the ring",
        (Some(Kind::Pipe), _) => "what its command takes and prints until both are up again",
        (Some(Kind::Motion), _) => "what moves until the new process is ready",
        (None, _) => "what the command does until it is up again",
    }
}

fn loss_of_a_stop(spec: &WorkerSpec) -> &'static str {
    match kind(spec) {
        Some(Kind::Ingest) => "the camera",
        Some(Kind::Replay) => "the rest of what it plays",
        Some(Kind::Decoder) => "its pictures",
        Some(Kind::Rtsp | Kind::Web) => "their connections",
        Some(Kind::Recorder) => "the recording from here on",
        Some(Kind::Motion | Kind::Pipe) | None => "what it does",
    }
}

fn rings(old: &Topology, new: &Topology) -> Rings {
    let missing = |from: &Topology, ring: &&RingSpec| from.ring(&ring.name).is_none();
    let names = |rings: Vec<&RingSpec>| rings.into_iter().map(|ring| ring.name.clone()).collect();
    Rings {
        created: names(new.rings.iter().filter(|ring| missing(old, ring)).collect()),
        removed: names(old.rings.iter().filter(|ring| missing(new, ring)).collect()),
        resized: Vec::new(),
    }
}

fn hooks(old: &Topology, new: &Topology) -> Hooks {
    let of = |topology: &Topology, hook: &HookSpec| {
        topology.hooks.iter().find(|other| other.name == hook.name).cloned()
    };
    let names = |hooks: &[HookSpec], differs: &dyn Fn(&HookSpec) -> bool| {
        hooks.iter().filter(|hook| differs(hook)).map(|hook| hook.name.clone()).collect()
    };
    Hooks {
        added: names(&new.hooks, &|hook| of(old, hook).is_none()),
        removed: names(&old.hooks, &|hook| of(new, hook).is_none()),
        changed: names(&new.hooks, &|hook| of(old, hook).is_some_and(|before| before != *hook)),
    }
}

fn ports(old: &Topology, new: &Topology) -> Ports {
    let all = |topology: &Topology| -> Vec<Port> {
        let port =
            |spec: &WorkerSpec| Some(Port { worker: spec.name.clone(), address: spec.listen()? });
        topology.workers.iter().filter_map(port).collect()
    };
    let (before, after) = (all(old), all(new));
    let only = |ports: &[Port], others: &[Port]| {
        ports.iter().filter(|port| !others.contains(port)).cloned().collect()
    };
    Ports { opened: only(&after, &before), closed: only(&before, &after) }
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, parse};
    use super::*;

    const CAM1: &str = "  cam1: {use: ingest, source: 'test:'}\n";
    const CAM2: &str = "  cam2: {use: ingest, source: 'test:'}\n";
    const RTSP: &str = "  rtsp: {use: rtsp, in: '*.packets'}\n";

    fn topology(workers: &[&str]) -> Topology {
        let text = format!("version: 1\nworkers:\n{}", workers.concat());
        parse(&text, "/srv/yard/framevisor.yml".as_ref(), &Overrides::default()).unwrap()
    }

    fn change(old: &[&str], new: &[&str]) -> Change {
        difference(&topology(old), &topology(new), &Laid::new())
    }

    fn names(names: &[&str]) -> Vec<WorkerName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let change = change(&[CAM1, RTSP], &[RTSP, CAM1]);
        assert!(change.is_empty() && change.viewers.is_empty(), "{change:?}");
        assert_eq!(change.keep, names(&["cam1", "rtsp"]));
    }

    const FLIP: &str = "  flip: {run: [./flip], stdin: cam1.packets, stdout: flip.frames,
    raw: {format: nv12, size: 64x48, fps: 25}}\n";

    fn restarts(change: &Change) -> Vec<(&str, String)> {
        let restarts = change.restart.iter();
        restarts.map(|it| (it.worker.as_str(), it.why.join(", "))).collect()
    }

    #[test]
    fn a_command_and_its_pipe_worker_restart_together_whichever_of_the_two_has_changed() {
        let other = FLIP.replace("./flip", "./flop");
        let change = self::change(&[CAM1, FLIP], &[CAM1, &other]);
        let why = |it: &str| it.to_owned();
        let expected = [("flip/command", why("run")), ("flip/pipe", why("flip/command restarts"))];
        assert_eq!(restarts(&change), expected);
        assert_eq!(change.keep, names(&["cam1"]));
        let other =
            FLIP.replace("64x48", "32x24").replace("[./flip]", "[./flip], policy: sequential");
        let change = self::change(&[CAM1, FLIP], &[CAM1, &other]);
        let expected = [("flip/command", why("policy")), ("flip/pipe", why("stdout, policy"))];
        assert_eq!(restarts(&change), expected);
        let change = replacement(&topology(&[CAM1, FLIP]), &names(&["flip/pipe"]), &Laid::new());
        let expected =
            [("flip/command", why("flip/pipe restarts")), ("flip/pipe", why("asked to"))];
        assert_eq!(restarts(&change), expected);
    }

    #[test]
    fn a_further_camera_starts_and_who_reads_all_of_them_is_replaced_beside_its_viewers() {
        let change = change(&[CAM1, RTSP], &[CAM1, CAM2, RTSP]);
        assert_eq!((change.start, change.keep), (names(&["cam2"]), names(&["cam1"])));
        let [rtsp] = change.restart.as_slice() else { panic!("{:?}", change.restart) };
        assert_eq!((rtsp.how, rtsp.why.as_slice()), (How::Beside, &["in".to_owned()][..]));
        assert_eq!(change.rings.created, ["cam2.packets".parse().unwrap()]);
        assert!(change.memory.after_bytes > change.memory.before_bytes);
        assert!(change.viewers[0].loses.starts_with("nothing"));
    }

    #[test]
    fn a_camera_that_is_taken_away_is_stopped_with_its_ring() {
        let change = change(&[CAM1, CAM2], &[CAM1]);
        assert_eq!((change.stop, change.keep), (names(&["cam2"]), names(&["cam1"])));
        assert_eq!(change.rings.removed, ["cam2.packets".parse().unwrap()]);
    }

    #[test]
    fn a_key_of_a_worker_is_named_and_a_camera_is_never_ingested_twice() {
        let faster = "  cam1: {use: ingest, source: 'test:?fps=30'}\n";
        let change = change(&[CAM1, RTSP], &[faster, RTSP]);
        let [cam1] = change.restart.as_slice() else { panic!("{:?}", change.restart) };
        assert_eq!((cam1.how, cam1.why.as_slice()), (How::InPlace, &["source".to_owned()][..]));
        assert_eq!(change.keep, names(&["rtsp"]));
    }

    #[test]
    fn what_only_the_supervisor_reads_restarts_nobody() {
        let patient = "  cam1: {use: ingest, source: 'test:', restart: {limit: none}}\n";
        let change = change(&[CAM1], &[patient]);
        assert_eq!(change.adjust[0].keys, ["restart"]);
        assert!(change.restart.is_empty());
    }

    #[test]
    fn a_port_that_moves_is_opened_and_closed() {
        let moved = "  rtsp: {use: rtsp, in: '*.packets', listen: '127.0.0.1:9554'}\n";
        let change = change(&[CAM1, RTSP], &[CAM1, moved]);
        assert_eq!(change.ports.opened[0].address.port(), 9554);
        assert_eq!(change.ports.closed[0].address.port(), 8554);
        assert_eq!(change.restart[0].why, ["listen"]);
    }

    #[test]
    fn a_spare_place_takes_a_further_reader_and_a_writer_is_restarted_only_for_want_of_one() {
        let reader = |number| format!("  r{number}: {{run: [x], in: cam1.packets}}\n");
        let readers: Vec<String> = (0..4).map(reader).collect();
        let with = |count: usize| {
            let readers = readers[..count].iter().map(String::as_str);
            topology(&[CAM1].into_iter().chain(readers).collect::<Vec<_>>())
        };
        let spared = difference(&with(1), &with(3), &Laid::new());
        assert!(spared.restart.is_empty() && spared.keep.len() == 2, "{spared:?}");
        let outgrown = difference(&with(1), &with(4), &Laid::new());
        assert_eq!(outgrown.restart[0].why, ["cam1.packets has 3 places, 4 are needed"]);
        // What the ring was really given counts, not what the topology of the moment would give it.
        let laid = Laid::from([("cam1.packets".parse().unwrap(), 3)]);
        assert_eq!(difference(&with(3), &with(4), &laid).restart.len(), 1);
        assert!(difference(&with(3), &with(4), &Laid::new()).restart.is_empty());
    }

    #[test]
    fn settings_of_a_ring_restart_its_writer_and_its_readers_stay() {
        let larger = format!("{CAM1}{RTSP}rings:\n  cam1.packets: {{max_bitrate: 20M}}\n");
        let change = change(&[CAM1, RTSP], &[&larger]);
        assert_eq!(change.restart[0].why, ["rings.cam1.packets.max_bitrate"]);
        assert_eq!(change.rings.resized, ["cam1.packets".parse().unwrap()]);
        assert_eq!(change.keep, names(&["rtsp"]));
    }

    #[test]
    fn hooks_that_come_go_or_change_are_named_and_touch_no_worker() {
        let hook = |name: &str, timeout: u32| {
            format!("  {name}: {{on: worker.died, run: [x], timeout: {timeout}s}}\n")
        };
        let with = |hooks: &[String]| topology(&[CAM1, "hooks:\n", &hooks.concat()]);
        let old = with(&[hook("a", 1), hook("b", 1), hook("c", 1)]);
        let change =
            difference(&old, &with(&[hook("b", 2), hook("c", 1), hook("d", 1)]), &Laid::new());
        let Hooks { added, removed, changed } = &change.hooks;
        let named = |name: &str| vec![name.parse::<WorkerName>().unwrap()];
        assert_eq!(
            (added, removed, changed),
            (&named("hook/d"), &named("hook/a"), &named("hook/b"))
        );
        assert!(!change.is_empty() && change.touched().next().is_none());
        assert_eq!(change.keep, names(&["cam1"]));
    }

    #[test]
    fn a_replacement_is_the_change_of_nothing_but_its_processes() {
        let running = topology(&[CAM1, RTSP]);
        let change = replacement(&running, &names(&["rtsp", "cam1"]), &Laid::new());
        let how: Vec<How> = change.restart.iter().map(|restart| restart.how).collect();
        assert_eq!(how, [How::InPlace, How::Beside]);
        assert!(change.keep.is_empty() && change.rings == Rings::default());
    }
}
