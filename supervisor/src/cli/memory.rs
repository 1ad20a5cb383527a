//! Whether the rings of a topology fit into what this machine has of shared memory.

use shmring::census;

use super::CliError;
use super::shortage::{self, SharedMemory};
use crate::topology::Topology;

/// An error that tells what to lower, when they do not.
pub(super) fn check(topology: &Topology) -> Result<(), CliError> {
    match shared_memory(topology).and_then(|shm| shortage::of(topology, shm)) {
        Some(shortage) => Err(CliError::NoMemory { project: topology.project.clone(), shortage }),
        None => Ok(()),
    }
}

/// Where the system tells.
pub(super) fn shared_memory(topology: &Topology) -> Option<SharedMemory> {
    let shm = rustix::fs::statvfs("/dev/shm").ok()?;
    let free = shm.f_bavail.checked_mul(shm.f_frsize)?;
    // Of a project that runs, or was killed: its next start makes them anew.
    let own: u64 = census::rings(&topology.project).iter().map(|ring| ring.bytes).sum();
    let free_bytes = free.saturating_add(own);
    Some(SharedMemory { free_bytes, all_bytes: shm.f_blocks.checked_mul(shm.f_frsize)? })
}
