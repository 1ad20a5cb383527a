//! The slot table of a frame ring's index: two banks of version words, then the descriptor ring.

use super::descriptor::{self, Described};
use crate::layout::{descriptor as layout, index};
use crate::segment::Mapping;
use crate::seqlock;
use crate::sync::AtomicU64;

/// Version words of each bank. A generation uses as many slots as its writer needs.
pub(crate) const SLOTS: u32 = 256;
/// At least four descriptors a slot, so that a descriptor outlives the picture it names.
pub(super) const DESCRIPTORS: u32 = 4 * SLOTS;

const AT_DESCRIPTORS: usize = index::AT_VERSIONS + 2 * SLOTS as usize * 8;
/// Length of an index with this table.
pub(crate) const INDEX_BYTES: usize = AT_DESCRIPTORS + DESCRIPTORS as usize * layout::BYTES;

/// The version word of a slot: generations alternate between two banks.
pub(super) fn version_word(map: &Mapping, generation: u32, slot: u32) -> &AtomicU64 {
    let bank = (generation % 2) as usize * SLOTS as usize;
    map.word(index::AT_VERSIONS + (bank + slot as usize) * 8)
}

/// The oldest sequence whose descriptor may still be there.
pub(super) fn oldest_described(head: u64) -> u64 {
    head.saturating_sub(u64::from(DESCRIPTORS) - 1).max(1)
}

pub(super) fn write_descriptor(map: &Mapping, sequence: u64, bytes: &[u8; layout::BYTES]) {
    let at = descriptor_at(sequence);
    // PAIR descriptor
    seqlock::write(map.word(at + layout::AT_SEQUENCE), 0, sequence, || {
        map.copy_in(at + 8, &bytes[8..]);
    });
}

/// `None` when the descriptor is another's by now, or describes no picture that could be.
pub(super) fn read_descriptor(map: &Mapping, sequence: u64) -> Option<Described> {
    let at = descriptor_at(sequence);
    // PAIR descriptor
    let mut bytes = [0; layout::BYTES];
    seqlock::read(
        map.word(at + layout::AT_SEQUENCE),
        |seen| seen == sequence,
        || map.copy_out(at, &mut bytes),
    )?;
    descriptor::decode(&bytes).filter(Described::fits)
}

/// Offset in the index.
pub(crate) fn descriptor_at(sequence: u64) -> usize {
    let number = usize::try_from(sequence % u64::from(DESCRIPTORS)).unwrap_or(0);
    AT_DESCRIPTORS + number * layout::BYTES
}
