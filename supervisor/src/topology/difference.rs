//! What is to be done to come from one topology to another while it runs. Pure.
//!
//! What belongs here: which workers start, stop or are replaced, for which keys, and what that costs
//! those who watch. What does not: doing it (`supervisor::transition`).

mod keys;
mod losses;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use protocol::config::{Access, Kind};
use protocol::control::Essential;
use protocol::name::{RingName, WorkerName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{HookSpec, Launch, RingSpec, Topology, WorkerSpec};
use crate::budget;
use crate::listeners;
use keys::{Keys, differing, keys, section};
use losses::{loss, loss_of_a_restart, loss_of_a_stop};

/// Places that rings were given at their writers' last start; of one that is missing, those that the
/// running topology names.
pub(crate) type Laid = BTreeMap<RingName, u32>;

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
    let ring = old.outputs().any(|ring| new.outputs().any(|other| ring == other));
    let port = old.listens().any(|port| new.listens().any(|other| port == other));
    ring || port || both(takes(old), takes(new))
}

/// What it wants for itself alone: a camera, a directory, a place at a server.
fn takes(spec: &WorkerSpec) -> Option<String> {
    let Launch::Use(config) = &spec.launch else { return None };
    let key = match config.kind() {
        Kind::Ingest => "source",
        Kind::Recorder => "dir",
        Kind::RtspPush => "to",
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
    let rings = after.outputs().filter_map(|ring| Some((old.ring(ring)?, new.ring(ring)?)));
    for (old, new) in rings.filter(|(old, new)| old.writer == new.writer) {
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
            if before.inputs == after.inputs && before.outputs().eq(after.outputs()) =>
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
            |(worker, address): (&WorkerName, SocketAddr)| Port { worker: worker.clone(), address };
        listeners::wanted(topology).map(port).collect()
    };
    let (before, after) = (all(old), all(new));
    let only = |ports: &[Port], others: &[Port]| {
        ports.iter().filter(|port| !others.contains(port)).cloned().collect()
    };
    Ports { opened: only(&after, &before), closed: only(&before, &after) }
}
