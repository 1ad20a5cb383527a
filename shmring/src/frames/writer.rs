//! The writing end of a frame ring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::stat::Mode;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};

use super::pool::Pool;
use super::{FrameMeta, Token, descriptor};
use crate::clock;
use crate::error::Error;
use crate::files;
use crate::layout::{PAGE, descriptor as layout, index, token};
use crate::lease::LeaseTable;
use crate::owner::{self, IndexShape, Owner};
use crate::segment::{Draft, Mapping};
use crate::stream::{self, StreamBlock};
use crate::sync::{AtomicU64, Ordering, fence};

/// Leases every reader may hold: a plain `for frame in ring` keeps one while it takes the next.
pub(crate) const QUOTA: u32 = 2;
/// Slots in flight between loan and publish, beside what a decoder holds.
const IN_FLIGHT: u32 = 2;
/// Room of the slot table. A generation uses as many as its writer needs.
const SLOTS_ROOM: u32 = 256;
/// At least four descriptors a slot, so that a descriptor outlives the picture it names.
const DESCRIPTORS: u32 = 4 * SLOTS_ROOM;

/// A slot of one generation, as its writer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId {
    generation: u32,
    slot: u32,
}

impl SlotId {
    /// One number for callers that can carry only that.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The slot of [`Self::to_bits`]; a made-up number is refused by [`FrameWriter::publish`].
    pub fn from_bits(bits: u64) -> Self {
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
        Self { generation: half(bits >> 32), slot: half(bits) }
    }
}

/// The one writer of a frame ring's epoch; clones share it, so that a decoder's threads may take
/// slots. No reader can make any of it wait.
#[derive(Clone, Debug)]
pub struct FrameWriter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What a contract decides once.
    places: u32,
    history: u32,
    leases: LeaseTable,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    owner: Owner,
    generation: Option<Generation>,
    /// The one before: a decoder may still hand out its pictures after the size has changed.
    previous: Option<Generation>,
    /// Number of the newest generation, counted from 1.
    generations: u32,
    sequence: u64,
}

/// Slots of one size.
#[derive(Debug)]
struct Generation {
    number: u32,
    data: Arc<Mapping>,
    slot_bytes: usize,
    pool: Pool,
}

impl FrameWriter {
    /// Takes the ring and begins a new epoch. Memory for pictures is reserved at the first loan,
    /// when their size is known. `source` names the packet ring they are decoded from.
    pub fn create(
        project: &ProjectName,
        contract: &RingContract,
        source: Option<&RingName>,
    ) -> Result<Self, Error> {
        let versions = 2 * SLOTS_ROOM as usize * 8;
        let bytes = index::AT_VERSIONS + versions + DESCRIPTORS as usize * layout::BYTES;
        let shape = IndexShape {
            bytes,
            quota: QUOTA,
            slots: SLOTS_ROOM,
            descriptors: DESCRIPTORS,
            log_bytes: 0,
        };
        let mut owner = Owner::begin(project, contract, shape)?;
        let leases = LeaseTable::open(&owner.files, owner.places, QUOTA, owner.epoch)?;
        stream::write(
            &owner.index,
            owner.ring(),
            &StreamBlock { tracks: Vec::new(), source: source.cloned() },
        )?;
        owner.announce();
        let state = State { owner, generation: None, previous: None, generations: 0, sequence: 0 };
        let shared = Shared {
            places: contract.places,
            history: contract.config.history,
            leases,
            state: Mutex::new(state),
        };
        Ok(Self(Arc::new(shared)))
    }

    pub fn epoch(&self) -> u64 {
        self.0.lock().owner.epoch
    }

    /// Readers attached now; with none, nobody sees what is published.
    pub fn readers(&self) -> u32 {
        self.0.leases.attached()
    }

    /// Takes a slot of at least `slot_bytes` to fill. `writer_need` is how many slots the caller may
    /// hold at once (a decoder's reference pictures); it sizes the first generation, and a larger
    /// need or slot begins a new one.
    pub fn loan(&self, slot_bytes: usize, writer_need: u32) -> Result<Loan, Error> {
        let mut state = self.0.lock();
        let slots = self.slots_for(writer_need);
        state.ensure_generation(slot_bytes, slots, 1 + u64::from(self.0.history))?;
        state.lend(&self.0)
    }

    /// Decisions 14: leases can never exhaust the ring.
    fn slots_for(&self, writer_need: u32) -> u32 {
        let shared = &self.0;
        (writer_need + IN_FLIGHT + 1 + shared.history + shared.places * QUOTA).min(SLOTS_ROOM)
    }

    /// Shows a slot's picture to readers; the loan may live on, as long as nothing writes to it.
    /// The same slot may be published again.
    pub fn publish(&self, slot: SlotId, meta: &FrameMeta) -> Result<u64, Error> {
        self.0.lock().publish(slot, meta)
    }

    /// Says that a picture was lost for want of a slot; shown by `framevisor rings`.
    pub fn count_dropped(&self) {
        self.0.lock().owner.index.word(index::AT_DROPPED).fetch_add(1, Ordering::Relaxed);
    }

    /// Says that nothing follows.
    pub fn finish(&self) {
        self.0.lock().owner.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the book was open leaves at worst a slot on loan for ever.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ensure_generation(&mut self, slot_bytes: usize, slots: u32, keep: u64) -> Result<(), Error> {
        let slot_bytes = slot_bytes.max(1).next_multiple_of(PAGE);
        let enough = |g: &Generation| g.slot_bytes >= slot_bytes && g.pool_len() >= slots as usize;
        if self.generation.as_ref().is_some_and(enough) {
            return Ok(());
        }
        let number = self.generations + 1;
        if number > token::GENERATION_MAX {
            return Err(Error::BadPicture {
                ring: self.owner.ring().clone(),
                what: "too many size changes in one epoch",
            });
        }
        let generation = Generation::create(&self.owner, number, slot_bytes, slots, keep)?;
        self.generations = number;
        self.previous = self.generation.replace(generation);
        self.owner
            .index
            .word(index::AT_DATA_BYTES)
            .store(slot_bytes as u64 * u64::from(slots), Ordering::Relaxed);
        self.owner.index.half(index::AT_GENERATION).store(number, Ordering::Release);
        // Two generations are alive at a time: they alternate between two banks of versions.
        if let Some(over) = number.checked_sub(2).filter(|over| *over > 0) {
            files::unlink(&self.owner.files.data(self.owner.epoch, over));
        }
        Ok(())
    }

    fn lend(&mut self, shared: &Arc<Shared>) -> Result<Loan, Error> {
        let none = Error::NoFreeSlot { ring: self.owner.ring().clone(), slots: 0 };
        let Some(generation) = &mut self.generation else {
            return Err(none);
        };
        let candidates = generation.pool.candidates(self.sequence);
        // Asking the kernel whether a page's reader lives costs a call each, so first believe all.
        for only_living in [false, true] {
            for slot in &candidates {
                if reclaim(&self.owner.index, generation.number, *slot, &shared.leases, only_living)
                {
                    generation.pool.lend(*slot);
                    return Ok(Loan {
                        shared: Arc::clone(shared),
                        id: SlotId { generation: generation.number, slot: *slot },
                        data: Arc::clone(&generation.data),
                        slot_bytes: generation.slot_bytes,
                    });
                }
            }
        }
        let slots = u32::try_from(generation.pool_len()).unwrap_or(u32::MAX);
        Err(Error::NoFreeSlot { ring: self.owner.ring().clone(), slots })
    }

    fn publish(&mut self, id: SlotId, meta: &FrameMeta) -> Result<u64, Error> {
        let ring = self.owner.ring().clone();
        let held = [&mut self.generation, &mut self.previous];
        let Some(generation) = held.into_iter().flatten().find(|g| g.number == id.generation)
        else {
            return Err(Error::NotOnLoan { ring, slot: id.slot });
        };
        if !generation.pool.is_on_loan(id.slot) {
            return Err(Error::NotOnLoan { ring, slot: id.slot });
        }
        let slot_bytes = generation.slot_bytes as u64;
        if !(0..meta.format.planes()).all(|plane| descriptor::plane_fits(meta, plane, slot_bytes)) {
            return Err(Error::BadPicture { ring, what: "a plane leaves its slot" });
        }
        self.sequence += 1;
        generation.pool.published(id.slot, self.sequence);
        let map = &self.owner.index;
        let version = version_word(map, id.generation, id.slot).load(Ordering::Relaxed);
        let now = clock::mono();
        write_descriptor(map, self.sequence, &descriptor::encode(version, slot_bytes, now, meta));
        store_figures(map, meta, now.0);
        // PAIR head
        map.word(index::AT_HEAD).store(self.sequence, Ordering::Release);
        self.owner.ring_bell();
        Ok(self.sequence)
    }

    fn give_back(&mut self, id: SlotId) {
        let held = [&mut self.generation, &mut self.previous];
        if let Some(generation) = held.into_iter().flatten().find(|g| g.number == id.generation) {
            generation.pool.give_back(id.slot);
        }
    }
}

fn store_figures(map: &Mapping, meta: &FrameMeta, now_ns: u64) {
    map.word(index::AT_PUBLISHED_NS).store(now_ns, Ordering::Relaxed);
    map.word(index::AT_GOP).store(meta.gop_index, Ordering::Relaxed);
    map.half(index::AT_WIDTH).store(meta.width, Ordering::Relaxed);
    map.half(index::AT_HEIGHT).store(meta.height, Ordering::Relaxed);
    if meta.copied {
        map.word(index::AT_COPIED).fetch_add(1, Ordering::Relaxed);
    }
}

impl Generation {
    fn create(
        owner: &Owner,
        number: u32,
        slot_bytes: usize,
        slots: u32,
        keep: u64,
    ) -> Result<Self, Error> {
        let draft = Draft::create(
            owner.files.temporary(owner::salt()),
            slot_bytes * slots as usize,
            Mode::from_bits_truncate(0o640),
        )?;
        let (data, _) = draft.publish(&owner.files.data(owner.epoch, number))?;
        for slot in 0..slots {
            // The bank may still hold versions of the generation before last: never go back.
            let word = version_word(&owner.index, number, slot);
            let version = Token::unpack(word.load(Ordering::Relaxed)).version;
            let even = (version + 1) & !1;
            word.store(Token { generation: number, slot, version: even }.pack(), Ordering::Release);
        }
        let pool = Pool::new(slots as usize, keep);
        Ok(Self { number, data: Arc::new(data), slot_bytes, pool })
    }

    fn pool_len(&self) -> usize {
        self.data.bytes() / self.slot_bytes
    }
}

/// Takes a slot from readers, unless one of them leases it.
fn reclaim(
    map: &Mapping,
    generation: u32,
    slot: u32,
    leases: &LeaseTable,
    only_living: bool,
) -> bool {
    let word = version_word(map, generation, slot);
    let before = word.load(Ordering::Relaxed);
    let mut next = Token::unpack(before);
    next.version += 1;
    // Odd: a reader that pins from here on fails its re-check.
    word.store(next.pack(), Ordering::Relaxed);
    // PAIR pin
    fence(Ordering::SeqCst);
    if leases.claims(before, only_living) {
        word.store(before, Ordering::Release);
        return false;
    }
    // PAIR unpin
    fence(Ordering::Acquire);
    next.version += 1;
    // PAIR version
    word.store(next.pack(), Ordering::Release);
    true
}

/// The version word of a slot: generations alternate between two banks.
pub(crate) fn version_word(map: &Mapping, generation: u32, slot: u32) -> &AtomicU64 {
    let bank = (generation % 2) as usize * SLOTS_ROOM as usize;
    map.word(index::AT_VERSIONS + (bank + slot as usize) * 8)
}

/// Where the descriptor of `sequence` stands.
pub(crate) fn descriptor_at(sequence: u64) -> usize {
    let versions = 2 * SLOTS_ROOM as usize * 8;
    let number = usize::try_from(sequence % u64::from(DESCRIPTORS)).unwrap_or(0);
    index::AT_VERSIONS + versions + number * layout::BYTES
}

/// Slots and descriptors a reader may expect, to refuse an index of another shape.
pub(crate) const SHAPE: (u32, u32) = (SLOTS_ROOM, DESCRIPTORS);

fn write_descriptor(map: &Mapping, sequence: u64, bytes: &[u8; layout::BYTES]) {
    let at = descriptor_at(sequence);
    // PAIR descriptor
    map.word(at + layout::AT_SEQUENCE).store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    map.copy_in(at + 8, &bytes[8..]);
    map.word(at + layout::AT_SEQUENCE).store(sequence, Ordering::Release);
}

/// A slot to fill. Dropping it gives the slot back; what was published stays readable until the
/// slot is reclaimed.
#[derive(Debug)]
pub struct Loan {
    shared: Arc<Shared>,
    id: SlotId,
    data: Arc<Mapping>,
    slot_bytes: usize,
}

impl Loan {
    pub fn slot(&self) -> SlotId {
        self.id
    }

    /// The slot's bytes, page aligned. After the first publish they must not be written any more.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let at = self.id.slot as usize * self.slot_bytes;
        let start = self.data.range(at, self.slot_bytes);
        // SAFETY: the range is checked; the slot is on loan to this value alone (the pool lends a
        // slot once), its version was made odd before, so no reader's lease covers it, and readers
        // map it read-only. The borrow ends with `self`.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.slot_bytes) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.shared.lock().give_back(self.id);
    }
}
