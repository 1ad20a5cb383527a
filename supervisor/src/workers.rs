//! The workers that are there: each has a number that is never given to another as long as the
//! supervisor lives, so whatever belongs to one that is gone cannot reach its successor.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use protocol::name::WorkerName;

use crate::worker::{Role, Worker};

/// Who is meant, also when the topology changes around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(u64);

#[cfg(test)]
impl WorkerId {
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// In the order they came.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    map: BTreeMap<WorkerId, Worker>,
    next: u64,
}

impl Workers {
    pub(crate) fn add(&mut self, worker: Worker) -> WorkerId {
        let id = WorkerId(self.next);
        self.next += 1;
        self.map.insert(id, worker);
        id
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.map.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.map.get_mut(&id)
    }

    /// A copy, so that workers may come and go while it is walked.
    pub(crate) fn ids(&self) -> Vec<WorkerId> {
        self.map.keys().copied().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.map.iter().map(|(id, worker)| (*id, worker))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (WorkerId, &mut Worker)> {
        self.map.iter_mut().map(|(id, worker)| (*id, worker))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Worker> + Clone {
        self.map.values()
    }

    /// The one that the topology means.
    pub(crate) fn named(&self, name: &WorkerName) -> Option<WorkerId> {
        let is_meant = |worker: &Worker| worker.spec.name == *name && worker.role == Role::Member;
        self.iter().find(|(_, worker)| is_meant(worker)).map(|(id, _)| id)
    }

    pub(crate) fn remove(&mut self, id: WorkerId) {
        self.map.remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}

/// Of one that is known to be there: who keeps a number beyond the present event asks [`Workers::get`].
impl Index<WorkerId> for Workers {
    type Output = Worker;

    fn index(&self, id: WorkerId) -> &Worker {
        &self.map[&id]
    }
}

impl IndexMut<WorkerId> for Workers {
    fn index_mut(&mut self, id: WorkerId) -> &mut Worker {
        self.map.get_mut(&id).expect("a worker that is there")
    }
}
