//! The slot table of a frame ring's index: two banks of version words, then the descriptor ring.

use super::descriptor::{Described, WORDS};
use super::form::{Form, Known};
use crate::layout::{descriptor as layout, flag, index};
use crate::segment::Mapping;
use crate::seqlock;
use crate::sync::{AtomicU64, Ordering};

/// Generations alternate between them.
pub(super) const BANKS: usize = 2;
/// Version words of each bank. A generation uses as many slots as its writer needs.
pub(crate) const SLOTS: u32 = 256;
/// At least four descriptors a slot, so that a descriptor outlives the picture it names.
pub(super) const DESCRIPTORS: u32 = 4 * SLOTS;

const _: () = assert!(layout::AT_SEQUENCE == 0);
const AT_DESCRIPTORS: usize = index::AT_VERSIONS + BANKS * SLOTS as usize * 8;
/// Length of an index with this table.
pub(crate) const INDEX_BYTES: usize = AT_DESCRIPTORS + DESCRIPTORS as usize * layout::BYTES;

/// The version word of a slot.
#[inline(always)]
pub(super) fn version_word(map: &Mapping, generation: u32, slot: u32) -> &AtomicU64 {
    map.word(version_at(generation, slot))
}

#[inline(always)]
fn version_at(generation: u32, slot: u32) -> usize {
    let bank = (generation as usize % BANKS) * SLOTS as usize;
    index::AT_VERSIONS + (bank + slot as usize) * 8
}

/// [`Mapping::fetch`] of a slot's version.
#[inline(always)]
pub(super) fn fetch_version(map: &Mapping, generation: u32, slot: u32) {
    map.fetch_line(version_at(generation, slot));
}

/// [`Mapping::fetch`] of a descriptor.
#[inline(always)]
pub(super) fn fetch_descriptor(map: &Mapping, sequence: u64) {
    map.fetch_lines::<{ layout::BYTES / 64 }>(descriptor_at(sequence));
}

/// [`Mapping::fetch_to_write`] of a descriptor.
#[inline(always)]
pub(super) fn fetch_descriptor_to_write(map: &Mapping, sequence: u64) {
    map.fetch_to_write::<{ layout::BYTES / 64 }>(descriptor_at(sequence));
}

/// The oldest sequence whose descriptor may still be there.
pub(super) fn oldest_described(head: u64) -> u64 {
    head.saturating_sub(u64::from(DESCRIPTORS) - 1).max(1)
}

/// `words` puts all of them but the sequence.
#[inline(always)]
pub(super) fn write_descriptor(
    map: &Mapping,
    sequence: u64,
    words: impl FnOnce(&[AtomicU64; WORDS]),
) {
    let descriptor = map.block(descriptor_at(sequence));
    // PAIR descriptor
    seqlock::write(&descriptor[0], 0, sequence, || words(descriptor));
}

/// What the picture of `sequence` is to be claimed with; `None` when its descriptor is another's by now.
#[inline(always)]
pub(super) fn read_token(map: &Mapping, sequence: u64) -> Option<u64> {
    let descriptor: &[AtomicU64; WORDS] = map.block(descriptor_at(sequence));
    let token = || descriptor[layout::AT_TOKEN / 8].load(Ordering::Relaxed);
    // PAIR descriptor
    seqlock::read(&descriptor[0], |seen| seen == sequence, token)
}

/// Whether the picture of `sequence` is a key picture; not when its descriptor is another's by now.
pub(super) fn is_key(map: &Mapping, sequence: u64) -> bool {
    let descriptor: &[AtomicU64; WORDS] = map.block(descriptor_at(sequence));
    let flags = || descriptor[layout::AT_FLAGS / 8].load(Ordering::Relaxed);
    // PAIR descriptor
    let seen = seqlock::read(&descriptor[0], |seen| seen == sequence, flags);
    seen.is_some_and(|flags| flags & u64::from(flag::KEY) != 0)
}

/// Whether the writer passed over `sequence`, which is not above `head`, so that no picture ever had it.
#[cold]
pub(super) fn was_left_out(map: &Mapping, sequence: u64, head: u64) -> bool {
    let descriptor: &[AtomicU64; WORDS] = map.block(descriptor_at(sequence));
    // All that was written up to `head` is seen by now: a lower number is what the place held before.
    let seen = descriptor[0].load(Ordering::Relaxed);
    seen < sequence && head - sequence < u64::from(DESCRIPTORS) - 1
}

/// Reads the descriptor of `sequence` into `described`. `false`, and then nothing of it is worth anything:
/// the descriptor is another's by now, or describes no picture that could be.
#[inline(always)]
pub(super) fn read_descriptor(
    map: &Mapping,
    sequence: u64,
    known: &mut Known,
    described: &mut Described,
) -> bool {
    let descriptor: &[AtomicU64; WORDS] = map.block(descriptor_at(sequence));
    let word = |at: usize| descriptor[at / 8].load(Ordering::Relaxed);
    let hear = || {
        described.hear(word);
        known.is(word)
    };
    // PAIR descriptor
    let is_known = seqlock::read(&descriptor[0], |seen| seen == sequence, hear);
    let Some(is_known) = is_known else { return false };
    if !is_known && !learn(descriptor, sequence, known) {
        return false;
    }
    known.complete(described);
    true
}

#[cold]
fn learn(descriptor: &[AtomicU64; WORDS], sequence: u64, known: &mut Known) -> bool {
    let word = |at: usize| descriptor[at / 8].load(Ordering::Relaxed);
    // PAIR descriptor
    let form = seqlock::read(&descriptor[0], |seen| seen == sequence, || Form::hear(word));
    form.is_some_and(|form| known.learn(&form))
}

/// Offset in the index.
#[inline(always)]
pub(crate) fn descriptor_at(sequence: u64) -> usize {
    let number = usize::try_from(sequence % u64::from(DESCRIPTORS)).unwrap_or(0);
    AT_DESCRIPTORS + number * layout::BYTES
}
