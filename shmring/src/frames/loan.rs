//! A slot in the hands of the writer's user.

use std::sync::Arc;

use super::DeviceSpot;
use super::generation::Memory;
use super::window::Window;
use super::writer::Shared;
use crate::error::Error;

/// A slot of one generation, as its writer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId {
    pub(super) generation: u32,
    pub(super) slot: u32,
}

impl SlotId {
    /// One number for callers that can carry only that.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The slot of [`Self::to_bits`]; a made-up number is refused by [`crate::FrameWriter::publish`].
    pub fn from_bits(bits: u64) -> Self {
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
        Self { generation: half(bits >> 32), slot: half(bits) }
    }
}

/// A slot to fill. Dropping it gives the slot back; what was published stays readable until the
/// slot is reclaimed.
#[derive(Debug)]
pub struct Loan {
    pub(super) shared: Arc<Shared>,
    pub(super) id: SlotId,
    pub(super) memory: Arc<Memory>,
}

impl Loan {
    pub fn slot(&self) -> SlotId {
        self.id
    }

    /// Where the slot lies, in a ring on a device: fill it there, and have the device finish, before it is
    /// published. `None` in the machine's memory.
    pub fn spot(&self) -> Option<DeviceSpot> {
        self.memory.spot(self.id.slot)
    }

    /// The slot's bytes, page aligned, for filling it before it is published.
    ///
    /// Publishing goes by the slot's number, which a decoder's callbacks can carry, so the compiler does not
    /// keep a caller from publishing while this borrow lives. That is a mistake, and no unsoundness: the
    /// slice stays the only one to these addresses, because readers, those of this process too, look through
    /// mappings of their own, by raw pointers, at bytes of which any value is valid. What is written late
    /// shows as a torn picture; a second borrow panics.
    ///
    /// # Panics
    /// Once the slot was published: readers look at it. In a ring on a device.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let slot = self.id.slot;
        assert!(!self.memory.is_published(slot), "slot {slot} is published and must not change");
        let start = self.memory.slot(slot);
        // SAFETY: the range is checked; the slot is on loan to this value alone (the pool lends a
        // slot once), no reader's lease covers it (it was reclaimed), and readers map it read-only.
        // The borrow ends with `self`.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.memory.slot_bytes()) }
    }

    /// The slot's bytes under an address of their own, for a caller that hands it on to code it cannot
    /// stop from keeping it. Close it before the slot is published.
    ///
    /// # Panics
    /// Once the slot was published: readers look at it. In a ring on a device.
    pub fn window(&mut self) -> Result<Window, Error> {
        let slot = self.id.slot;
        assert!(!self.memory.is_published(slot), "slot {slot} is published and must not change");
        self.memory.window(slot)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.shared.give_back(self.id);
    }
}
