//! Slots of a ring in a device's memory, for its writer.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shmring::{DeviceBlock, DeviceMemory, DeviceSpot};

use crate::device::Device;
use crate::error::Error;
use crate::memory::{Allocation, Outside, Rows};

/// The allocations of a ring's generations, by their numbers; clones share them. None is freed before the
/// process ends: a larger picture makes another one, and a ring's pictures do not grow without end.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    device: Device,
    generations: Mutex<BTreeMap<u32, Arc<Allocation>>>,
}

impl Slots {
    pub fn new(device: Device) -> Self {
        Self(Arc::new(Shared { device, generations: Mutex::default() }))
    }

    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// From the host's memory into a loan's slot; `rows` are from the slot's start.
    pub fn upload(
        &self,
        spot: &DeviceSpot,
        rows: &Rows,
        from: &[u8],
        from_pitch: usize,
    ) -> Result<(), Error> {
        let (memory, rows) = self.within(spot, rows)?;
        memory.region().upload(&rows, from, from_pitch)
    }

    /// From elsewhere in the device's memory.
    pub fn copy_from(
        &self,
        spot: &DeviceSpot,
        rows: &Rows,
        from: Outside<'_>,
    ) -> Result<(), Error> {
        let (memory, rows) = self.within(spot, rows)?;
        memory.region().copy_from(&rows, from)
    }

    /// The rows within the allocation, if they lie in the slot.
    fn within(&self, spot: &DeviceSpot, rows: &Rows) -> Result<(Arc<Allocation>, Rows), Error> {
        let end = rows.extent(rows.pitch).and_then(|extent| rows.offset.checked_add(extent));
        let memory = self.generations().get(&spot.generation).cloned();
        let memory = memory.filter(|_| end.is_some_and(|end| end <= spot.bytes));
        let memory = memory.ok_or(Error::Outside { bytes: spot.bytes })?;
        let offset = spot.offset.saturating_add(rows.offset);
        Ok((memory, Rows { offset, ..*rows }))
    }

    fn generations(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Allocation>>> {
        self.0.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeviceMemory for Slots {
    fn allocate(&mut self, generation: u32, bytes: u64) -> Result<DeviceBlock, String> {
        let told = |error: Error| error.to_string();
        let memory = self.0.device.allocate(bytes).map_err(told)?;
        let handle = memory.export().map_err(told)?;
        let memory = Arc::new(memory);
        // Readers may have it open for longer than the ring has a writer, and to free opened memory is undefined
        // (CUDA Driver API, cuIpcGetMemHandle): it goes with the process.
        mem::forget(Arc::clone(&memory));
        self.generations().insert(generation, memory);
        Ok(DeviceBlock { device: self.0.device.id().0, handle: handle.0, bytes })
    }
}
