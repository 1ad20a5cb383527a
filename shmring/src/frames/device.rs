//! Pictures in a device's memory. The ring says which slot is whose, as always; where the slots of a generation
//! lie is one allocation, which the writer makes through [`DeviceMemory`] and names in a block that takes the
//! place of the generation's data file. This crate follows no address of a device.

use std::fmt::Debug;

use super::Frame;
use crate::layout::{device as at, memory};
use crate::segment::Mapping;
use crate::sync::Ordering;

/// Where the slots of a generation lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceBlock {
    /// UUID of the device.
    pub device: [u8; at::DEVICE_BYTES],
    /// By which another process opens the allocation.
    pub handle: [u8; at::HANDLE_BYTES],
    /// Of the allocation. Slot `k` begins at `k` times the slots' length.
    pub bytes: u64,
}

/// Memory of a device, for the writer of a ring.
pub trait DeviceMemory: Debug + Send {
    /// Memory for the slots of a generation. It stays until this value goes: readers may have opened it, and
    /// what becomes of an opened allocation that is freed no driver promises. What went wrong is said in words.
    fn allocate(&mut self, generation: u32, bytes: u64) -> Result<DeviceBlock, String>;
}

/// Where a loan's slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSpot {
    /// As given to [`DeviceMemory::allocate`].
    pub generation: u32,
    /// From the start of that allocation.
    pub offset: u64,
    pub bytes: u64,
}

/// A leased frame in a device's memory.
#[derive(Debug)]
pub struct OnDevice<'a> {
    pub(super) frame: &'a Frame,
    pub(super) block: &'a DeviceBlock,
}

impl OnDevice<'_> {
    /// The allocation that it lies in, the same for all frames of a generation.
    pub fn block(&self) -> &DeviceBlock {
        self.block
    }

    /// Where its slot begins in that allocation; the planes' offsets are from there. The whole slot lies in it.
    pub fn offset(&self) -> u64 {
        self.frame.hand.start as u64
    }

    /// Whether its writer is gone: a driver frees what a process has when it ends, so that what lies there now,
    /// or what has been read since, is nobody's word. Ask behind a copy, not before.
    pub fn is_lost(&self) -> bool {
        self.frame.hand.origin.index.as_ref().is_none_or(|index| !index.is_live())
    }
}

impl DeviceBlock {
    /// Into a data file that nobody sees yet.
    pub(super) fn write(&self, map: &Mapping, epoch: u64, generation: u32) {
        let word = |place: usize, value| map.word(place).store(value, Ordering::Relaxed);
        map.half(at::AT_MEMORY).store(memory::CUDA, Ordering::Relaxed);
        map.half(at::AT_GENERATION).store(generation, Ordering::Relaxed);
        word(at::AT_EPOCH, epoch);
        word(at::AT_BYTES, self.bytes);
        for (place, bytes) in [(at::AT_DEVICE, &self.device[..]), (at::AT_HANDLE, &self.handle[..])]
        {
            let (words, _) = bytes.as_chunks::<8>();
            let places = (place..).step_by(8);
            words.iter().zip(places).for_each(|(bytes, at)| word(at, u64::from_le_bytes(*bytes)));
        }
        word(at::AT_MAGIC, at::MAGIC);
    }

    /// `None` for what is no such block, or that of other slots.
    pub(super) fn read(map: &Mapping, epoch: u64, generation: u32) -> Option<Self> {
        let word = |place: usize| map.word(place).load(Ordering::Relaxed);
        let half = |place: usize| map.half(place).load(Ordering::Relaxed);
        let is_it = word(at::AT_MAGIC) == at::MAGIC
            && (half(at::AT_MEMORY), half(at::AT_GENERATION)) == (memory::CUDA, generation)
            && word(at::AT_EPOCH) == epoch;
        let (mut device, mut handle) = ([0; at::DEVICE_BYTES], [0; at::HANDLE_BYTES]);
        for (place, bytes) in [(at::AT_DEVICE, &mut device[..]), (at::AT_HANDLE, &mut handle[..])] {
            let (words, _) = bytes.as_chunks_mut::<8>();
            let places = (place..).step_by(8);
            words.iter_mut().zip(places).for_each(|(bytes, at)| *bytes = word(at).to_le_bytes());
        }
        is_it.then(|| Self { device, handle, bytes: word(at::AT_BYTES) })
    }
}
