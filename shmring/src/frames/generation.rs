//! Slots of one size: their memory, their versions in the index, and the writer's book of them.

use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Arc;

use super::pool::Pool;
use super::table::version_word;
use super::window::Window;
use super::{DeviceBlock, DeviceMemory, DeviceSpot, Token};
use crate::error::Error;
use crate::layout::device;
use crate::lease::LeaseTable;
use crate::lock::Locked;
use crate::owner::Owner;
use crate::pin;
use crate::segment::Mapping;
use crate::segments::Part;
use crate::sync::{AtomicBool, Ordering};

/// Set by `scripts/torture --sabotage pin` alone: the writer ignores all leases, to prove that torture
/// would find torn pictures.
#[expect(unexpected_cfgs, reason = "no feature: nobody must be able to ask for it by accident")]
const SABOTAGED: bool = cfg!(shmring_sabotage);

/// The slots' bytes, shared with the loans of them.
#[derive(Debug)]
pub(super) struct Memory {
    map: Mapping,
    /// For windows on its slots; the name may be gone before they are.
    file: Locked,
    path: PathBuf,
    slot_bytes: usize,
    /// The slots lie in a device's memory, and where is all that lies here.
    on_device: Option<u32>,
    /// For each slot, whether its present content has been shown to readers.
    published: Vec<AtomicBool>,
}

impl Memory {
    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// `None` for slots in the machine's memory.
    pub(super) fn spot(&self, slot: u32) -> Option<DeviceSpot> {
        let bytes = self.slot_bytes as u64;
        let at = |generation| DeviceSpot { generation, offset: u64::from(slot) * bytes, bytes };
        self.on_device.map(at)
    }

    /// # Panics
    /// For slots in a device's memory.
    pub(super) fn slot(&self, slot: u32) -> NonNull<u8> {
        assert!(
            self.on_device.is_none(),
            "slot {slot} lies in a device's memory: ask for its spot"
        );
        self.map.range(slot as usize * self.slot_bytes, self.slot_bytes)
    }

    pub(super) fn window(&self, slot: u32) -> Result<Window, Error> {
        assert!(
            self.on_device.is_none(),
            "slot {slot} lies in a device's memory: it has no window"
        );
        let offset = slot as usize * self.slot_bytes;
        Window::open(&self.path, &self.file, &self.map, offset, self.slot_bytes)
    }

    pub(super) fn is_published(&self, slot: u32) -> bool {
        self.published[slot as usize].load(Ordering::Acquire)
    }

    fn set_published(&self, slot: u32, published: bool) {
        self.published[slot as usize].store(published, Ordering::Release);
    }
}

/// What a generation is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) slot_bytes: usize,
    pub(super) slots: u32,
    /// Newest publications that are kept for late readers.
    pub(super) keep: u64,
}

#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) memory: Arc<Memory>,
    pool: Pool,
}

impl Generation {
    /// Reserves the memory and shows it under its name; no descriptor names it yet.
    pub(super) fn create(
        owner: &Owner,
        number: u32,
        shape: Shape,
        on: Option<&mut dyn DeviceMemory>,
    ) -> Result<Self, Error> {
        let part = Part::Data { epoch: owner.epoch, generation: number };
        let bytes = shape.slot_bytes.saturating_mul(shape.slots as usize);
        let on_device = on.is_some().then_some(number);
        let draft = owner.hold.create(part, if on.is_some() { device::BYTES } else { bytes })?;
        // Last: what was allocated there is not freed when something goes wrong.
        if let Some(memory) = on {
            allocate(owner, memory, number, bytes)?.write(&draft.mapping, owner.epoch, number);
        }
        let (map, file) = owner.hold.link(part, draft)?;
        for slot in 0..shape.slots {
            // The bank may still hold versions of the generation before last: never go back.
            let word = version_word(&owner.index, number, slot);
            let version = Token::unpack(word.load(Ordering::Relaxed)).version;
            let token = Token { generation: number, slot, version }.successor();
            word.store(token.pack(), Ordering::Release);
        }
        let path = owner.hold.path(part);
        let published = (0..shape.slots).map(|_| AtomicBool::new(false)).collect();
        let slot_bytes = shape.slot_bytes;
        let memory = Arc::new(Memory { map, file, path, slot_bytes, on_device, published });
        Ok(Self { number, memory, pool: Pool::new(shape.slots as usize, shape.keep) })
    }

    pub(super) fn slots(&self) -> usize {
        self.memory.published.len()
    }

    /// Whether it can serve in the place of one of this shape.
    pub(super) fn covers(&self, shape: Shape) -> bool {
        self.memory.slot_bytes >= shape.slot_bytes && self.slots() >= shape.slots as usize
    }

    /// The oldest picture that is kept for nothing else than that it is above `had`.
    pub(super) fn oldest_above(&self, had: u64) -> Option<u64> {
        self.pool.oldest_above(had)
    }

    /// Takes a slot from readers and lends it; `None` when every one is on loan, kept or leased. Pictures
    /// above `had` are kept.
    pub(super) fn lend(&mut self, index: &Mapping, had: u64, leases: &LeaseTable) -> Option<u32> {
        let candidates = self.pool.candidates(had);
        // Asking the kernel whether a page's reader lives costs a call each, so first believe all.
        for only_living in [false, true] {
            for slot in &candidates {
                let version = version_word(index, self.number, *slot);
                let next = Token::unpack(version.load(Ordering::Relaxed)).successor().pack();
                let is_claimed = |token| !SABOTAGED && leases.claims(token, only_living);
                if pin::reclaim(version, next, is_claimed) {
                    self.memory.set_published(*slot, false);
                    self.pool.lend(*slot);
                    return Some(*slot);
                }
            }
        }
        None
    }

    pub(super) fn is_on_loan(&self, slot: u32) -> bool {
        self.pool.is_on_loan(slot)
    }

    pub(super) fn published(&mut self, slot: u32, sequence: u64) {
        self.memory.set_published(slot, true);
        self.pool.published(slot, sequence);
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        self.pool.give_back(slot);
    }
}

fn allocate(
    owner: &Owner,
    memory: &mut dyn DeviceMemory,
    generation: u32,
    bytes: usize,
) -> Result<DeviceBlock, Error> {
    let refused = |what| Error::NoDevice { ring: owner.ring().clone(), what };
    let block = memory.allocate(generation, bytes as u64).map_err(refused)?;
    if block.bytes < bytes as u64 {
        return Err(refused(format!("{} bytes, expected {bytes}", block.bytes)));
    }
    Ok(block)
}
