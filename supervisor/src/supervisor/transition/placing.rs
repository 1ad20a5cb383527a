//! Who does what in which turn of a change.

use super::super::Supervisor;
use super::{Transition, cleared};
use crate::topology::{Change, How, RingSpec, WorkerSpec, clash};
use crate::worker::{Role, Worker};
use crate::workers::WorkerId;

impl Supervisor {
    /// Who does what in which turn.
    pub(super) fn place(&mut self, transition: &mut Transition) {
        let change = transition.change.clone();
        for name in &change.stop {
            let Some(id) = self.workers.named(name) else { continue };
            if self.stands_in_the_way(id, &change) {
                transition.displaced.push(id);
            }
            transition.removed.push(id);
        }
        self.place_in_place(transition, &change);
        for spec in self.spawner.topology.workers.clone() {
            let writes = self.topology().written_by(&spec);
            let restart = change.restart.iter().find(|restart| restart.worker == spec.name);
            match (self.workers.named(&spec.name), restart) {
                (None, _) => self.place_added(transition, spec, writes),
                (Some(old), Some(_)) if transition.second.contains(&old) => {}
                (Some(old), Some(_)) => self.place_successor(transition, old, spec, writes),
                // Also of those that stay: the next process of a writer has what others need of it now.
                (Some(kept), None) => {
                    let (seed, worker) = (self.next_seed(), &mut self.workers[kept]);
                    let was = (kept, worker.spec.clone(), worker.writes.clone());
                    worker.change_to(spec, writes, seed);
                    transition.adjusted.push(was);
                }
            }
        }
        self.put_in_order(transition);
    }

    /// Before those that are added: what these leave may be what others need.
    fn place_in_place(&self, to: &mut Transition, change: &Change) {
        for restart in &change.restart {
            let Some(old) = self.workers.named(&restart.worker) else { continue };
            let worker = &self.workers[old];
            if restart.how == How::Beside && worker.life.is_up() {
                continue;
            }
            to.in_place.push((old, worker.spec.clone(), worker.writes.clone()));
            to.second.push(old);
        }
    }

    fn place_added(&mut self, to: &mut Transition, spec: WorkerSpec, writes: Vec<RingSpec>) {
        let waits = cleared(to).iter().any(|at| clash(&self.workers[*at].spec, &spec));
        let seed = self.next_seed();
        let id = self.workers.add(Worker::new(spec, writes, seed));
        if waits { &mut to.second } else { &mut to.first }.push(id);
    }

    fn place_successor(
        &mut self,
        to: &mut Transition,
        old: WorkerId,
        spec: WorkerSpec,
        writes: Vec<RingSpec>,
    ) {
        let seed = self.next_seed();
        let mut worker = Worker::new(spec, writes, seed);
        worker.role = Role::Successor;
        // There is one writer a ring: this one begins when the old one has let go of it.
        worker.stands_by = !worker.writes.is_empty();
        worker.poison = self.workers[old].poison.clone();
        let new = self.workers.add(worker);
        to.replaced.push((old, new));
        to.first.push(new);
    }

    fn put_in_order(&self, transition: &mut Transition) {
        let order = self.topology().start_order();
        let turn =
            |at: &WorkerId| order.iter().position(|spec| spec.name == self.workers[*at].spec.name);
        transition.first.sort_by_cached_key(turn);
        transition.second.sort_by_cached_key(turn);
    }

    /// Whether something new cannot start while this one runs.
    fn stands_in_the_way(&self, id: WorkerId, change: &Change) -> bool {
        let new = change.start.iter().chain(change.restart.iter().map(|restart| &restart.worker));
        let mut specs = new.filter_map(|name| self.topology().worker(name));
        specs.any(|spec| clash(&self.workers[id].spec, spec))
    }
}
