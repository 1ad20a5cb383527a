//! The project's rings, as shmring's census tells: all the supervisor ever does with shared memory.

use protocol::admin::RingStatus;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingKind, RingName};
use shmring::broker::Broker;
use shmring::census::Reach;
use shmring::{census, clock};

use crate::floors::{Floor, Floors};
use crate::topology::{RingSpec, Topology};

/// A ring of this topology that somebody writes although the project is not running here.
#[derive(Debug, thiserror::Error)]
#[error(
    "ring {ring} is already being written by pid {pid}: project {project} seems to run with another runtime directory; stop it, or choose another project name with -p"
)]
pub(crate) struct TwoWriters {
    ring: RingName,
    project: ProjectName,
    pid: String,
}

/// How the project's rings do, with names or without.
#[derive(Debug)]
pub(crate) struct Outlook {
    pub(crate) project: ProjectName,
    /// Of the rings that the topology calls `brokered`, if there are any.
    pub(crate) broker: Option<Broker>,
}

impl Outlook {
    pub(crate) fn status(&self, ring: &RingName) -> RingStatus {
        match &self.broker {
            Some(broker) if broker.serves(ring) => broker.status(ring),
            // Of a ring of names alone: nobody is asked, so nobody is waited for.
            _ => census::named(&self.project, ring, clock::mono()),
        }
    }

    /// Less than [`Self::status`], for less.
    fn reach(&self, ring: &RingName) -> Reach {
        match &self.broker {
            Some(broker) if broker.serves(ring) => {
                let RingStatus { epoch, head, gop_index, .. } = broker.status(ring);
                Reach { epoch, head, gop_index }
            }
            _ => census::reach(&self.project, ring),
        }
    }

    /// Every ring of the topology, written yet or not, and every other ring under the project's prefix.
    pub(crate) fn census_of(&self, topology: &Topology) -> Vec<RingStatus> {
        let mut rings = census::rings(&self.project);
        rings.retain(|ring| topology.ring(&ring.name).is_none());
        rings.extend(topology.rings.iter().map(|spec| self.status(&spec.name)));
        rings.sort_by(|a, b| a.name.cmp(&b.name));
        rings
    }
}

/// Removes what an earlier run left of this topology's rings.
pub(crate) fn sweep(topology: &Topology) {
    let names: Vec<RingName> = topology.rings.iter().map(|ring| ring.name.clone()).collect();
    census::sweep(&topology.project, &names);
}

/// Removes what is left of rings whose writers are gone for good.
pub(crate) fn sweep_named(project: &ProjectName, names: &[RingName]) {
    census::sweep(project, names);
}

/// Removes what is left of every ring under the project's prefix, also of programs outside the topology,
/// unless somebody still writes it.
pub(crate) fn sweep_all(topology: &Topology) {
    census::sweep_unowned(&topology.project);
}

/// To be asked before anything starts.
pub(crate) fn refuse_second_writer(topology: &Topology) -> Result<(), TwoWriters> {
    let taken = topology.rings.iter().find_map(|ring| {
        let status = census::status(&topology.project, &ring.name, clock::mono());
        status.live.then_some(status)
    });
    taken.map_or(Ok(()), |status| {
        Err(TwoWriters {
            ring: status.name,
            project: topology.project.clone(),
            pid: status.writer_pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
        })
    })
}

/// Whether what it is for has begun: items for packets and frames; events come when they come.
pub(crate) fn flows(outlook: &Outlook, ring: &RingName) -> bool {
    let reach = outlook.reach(ring);
    match ring.kind() {
        RingKind::Packets | RingKind::Frames => reach.head > 0,
        RingKind::Events => reach.epoch > 0,
    }
}

/// Whether it is there and nobody reads it, so that a writer of several rings makes nothing for it.
pub(crate) fn is_unread(outlook: &Outlook, ring: &RingName) -> bool {
    let status = outlook.status(ring);
    status.epoch > 0 && status.readers.is_empty()
}

/// Raises the floors of all rings to what is in use.
pub(crate) fn observe_all(outlook: &Outlook, topology: &Topology, floors: &mut Floors) {
    topology.rings.iter().for_each(|ring| observe(outlook, ring, floors));
}

/// How far a ring is: epoch and head.
pub(crate) fn head_of(outlook: &Outlook, ring: &RingName) -> (u64, u64) {
    let reach = outlook.reach(ring);
    (reach.epoch, reach.head)
}

fn observe(outlook: &Outlook, ring: &RingSpec, floors: &mut Floors) {
    let reach = outlook.reach(&ring.name);
    if reach.epoch > 0 {
        let floor = Floor { epoch: reach.epoch, gop: reach.gop_index };
        floors.observe(&ring.name, floor);
    }
}

/// What the next writer of `ring` must keep to.
pub(crate) fn contract(outlook: &Outlook, ring: &RingSpec, floors: &mut Floors) -> RingContract {
    observe(outlook, ring, floors);
    let floor = floors.of(&ring.name);
    RingContract {
        epoch_floor: floor.epoch,
        gop_floor: floor.gop,
        essential: ring.essential.clone(),
        waits: ring.waits,
        pre_roll: ring.pre_roll,
        ..RingContract::new(ring.name.clone(), ring.config, ring.places())
    }
}
