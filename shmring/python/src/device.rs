//! Frames in a device's memory: what they lie in is opened once for all frames of an allocation, and let go of
//! with the ring. No byte of it is followed here but by the driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::name::RingName;
use pyo3::prelude::*;
use shmring_cuda::{Device, DeviceId, Driver, Handle, Imported, Rows};

use crate::error::{NoDevice, WriterLost};

/// An allocation of a ring that this process has open.
struct Open {
    ring: RingName,
    epoch: u64,
    handle: [u8; 64],
    memory: Arc<Imported>,
}

/// The newest of each ring: the next frame most likely lies there, too.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

fn open() -> MutexGuard<'static, Vec<Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the frame lies in; `None` for one in the machine's memory.
pub(crate) fn memory_of(frame: &shmring::Frame) -> PyResult<Option<Arc<Imported>>> {
    let Some(on) = frame.device() else { return Ok(None) };
    let block = *on.block();
    let is_it = |it: &Open| it.epoch == frame.epoch() && it.handle == block.handle;
    if let Some(found) = open().iter().find(|it| is_it(it)) {
        return Ok(Some(Arc::clone(&found.memory)));
    }
    let opened = Driver::here()
        .and_then(|driver| Device::with_id(driver, DeviceId(block.device)))
        .and_then(|device| device.import(&Handle(block.handle), block.bytes));
    // A driver's word about a dead process is any.
    check(frame)?;
    let memory = opened.map(Arc::new).map_err(|error| {
        NoDevice::new_err(format!("frame {} of {}: {error}", frame.sequence(), frame.ring()))
    })?;
    let entry = Open {
        ring: frame.ring().clone(),
        epoch: frame.epoch(),
        handle: block.handle,
        memory: Arc::clone(&memory),
    };
    let before = {
        let mut all = open();
        let place = all.iter().position(|it| it.ring == entry.ring);
        let before = place.map(|place| all.swap_remove(place));
        all.push(entry);
        before
    };
    // With the list free: closing asks the driver.
    drop(before);
    Ok(Some(memory))
}

/// Nobody of this process reads the ring any more.
pub(crate) fn forget(ring: &RingName) {
    let gone: Vec<Open> = {
        let mut all = open();
        let place = all.iter().position(|it| it.ring == *ring);
        place.map(|place| all.swap_remove(place)).into_iter().collect()
    };
    drop(gone);
}

/// An error once the writer is gone, and the device's memory with it. To be asked behind each copy.
pub(crate) fn check(frame: &shmring::Frame) -> PyResult<()> {
    if !frame.device().is_some_and(|on| on.is_lost()) {
        return Ok(());
    }
    Err(WriterLost::new_err(format!(
        "frame {} of {}: its writer is gone, and the device's memory with it; take the next frame",
        frame.sequence(),
        frame.ring()
    )))
}

/// Rows of the frame, tightly packed, `offset` from its slot's start on.
pub(crate) fn fetch(
    frame: &shmring::Frame,
    offset: u32,
    pitch: usize,
    (row_bytes, rows): (usize, usize),
) -> PyResult<Vec<u8>> {
    let (Some(on), Some(memory)) = (frame.device(), memory_of(frame)?) else {
        return Ok(Vec::new());
    };
    let rows_at = Rows { offset: on.offset() + u64::from(offset), pitch, row_bytes, rows };
    let mut bytes = vec![0; row_bytes * rows];
    let copied = memory.region().download(&rows_at, &mut bytes, row_bytes);
    check(frame)?;
    copied.map_err(|error| {
        NoDevice::new_err(format!("frame {} of {}: {error}", frame.sequence(), frame.ring()))
    })?;
    Ok(bytes)
}
