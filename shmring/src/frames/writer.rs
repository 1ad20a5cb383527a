//! The writing end of a frame ring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::config::Memory as Place;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};

use super::choice::Every;
use super::form::Shown;
use super::generation::{Generation, Memory, Shape};
use super::loan::{Loan, SlotId};
use super::table::{self, version_word, write_descriptor};
use super::{DeviceMemory, FrameMeta, QUOTA, descriptor};
use crate::clock;
use crate::error::Error;
use crate::fork::Birth;
use crate::layout::{PAGE, index, memory, token};
use crate::lease::{Demand, Keeper, LeaseTable, Way, WhileWaiting};
use crate::owner::{IndexShape, Owner};
use crate::segment::Mapping;
use crate::segments::Part;
use crate::size;
use crate::stream::{self, StreamBlock};
use crate::sync::Ordering;

/// The one writer of a frame ring's epoch; clones share it, so that a decoder's threads may take
/// slots. No reader can make any of it wait.
#[derive(Clone, Debug)]
pub struct FrameWriter(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    /// Looked at before the state is locked: a lock held at a fork is held in the child for ever.
    birth: Birth,
    epoch: u64,
    /// What a contract decides once: slots beside those that the writer's user holds, and pictures kept
    /// for late readers.
    slots: u32,
    history: u32,
    leases: LeaseTable,
    state: Mutex<State>,
    while_waiting: Mutex<Option<WhileWaiting>>,
}

#[derive(Debug)]
struct State {
    owner: Owner,
    /// `None` in a ring without essential readers.
    keeper: Option<Keeper>,
    generation: Option<Generation>,
    /// The one before: a decoder may still hand out its pictures after the size has changed.
    previous: Option<Generation>,
    /// Number of the newest generation, counted from 1.
    generations: u32,
    sequence: u64,
    /// What was published last.
    newest: Shown,
    /// Where the pictures lie, if not in the machine's memory. Behind the generations, whose readers go first.
    device: Option<Box<dyn DeviceMemory>>,
}

impl FrameWriter {
    /// Takes the ring and begins a new epoch. Memory for pictures is reserved at the first loan,
    /// when their size is known. `source` names the packet ring they are decoded from.
    pub fn create(
        project: &ProjectName,
        contract: &RingContract,
        source: Option<&RingName>,
    ) -> Result<Self, Error> {
        if contract.config.memory == Place::Cuda {
            let what = "this writer knows none; of built-in workers a decoder does".to_owned();
            return Err(Error::NoDevice { ring: contract.name.clone(), what });
        }
        Self::begin(project, contract, source, None)
    }

    /// The same for a ring whose pictures lie in a device's memory.
    pub fn create_on(
        project: &ProjectName,
        contract: &RingContract,
        source: Option<&RingName>,
        device: Box<dyn DeviceMemory>,
    ) -> Result<Self, Error> {
        Self::begin(project, contract, source, Some(device))
    }

    fn begin(
        project: &ProjectName,
        contract: &RingContract,
        source: Option<&RingName>,
        device: Option<Box<dyn DeviceMemory>>,
    ) -> Result<Self, Error> {
        let slots = size::slots(contract, 0);
        let at_least_one = 1;
        check_slots(&contract.name, slots.saturating_add(at_least_one))?;
        let shape = IndexShape {
            bytes: table::INDEX_BYTES,
            quota: QUOTA,
            slots: table::SLOTS,
            descriptors: table::DESCRIPTORS,
            log_bytes: 0,
            memory: if device.is_some() { memory::CUDA } else { memory::HOST },
        };
        let mut owner = Owner::begin(project, contract, shape)?;
        let leases = LeaseTable::new(Arc::clone(&owner.hold), owner.places, QUOTA, owner.epoch);
        let block = StreamBlock { tracks: Vec::new(), source: source.cloned() };
        stream::write(&owner.index, owner.ring(), &block)?;
        owner.announce()?;
        let (birth, epoch) = (Birth::here(), owner.epoch);
        let state = State {
            owner,
            keeper: Keeper::of(contract),
            generation: None,
            previous: None,
            generations: 0,
            sequence: 0,
            newest: Shown::default(),
            device,
        };
        Ok(Self(Arc::new(Shared {
            birth,
            epoch,
            slots,
            history: contract.config.history,
            leases,
            state: Mutex::new(state),
            while_waiting: Mutex::new(None),
        })))
    }

    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Readers attached now; with none, nobody sees what is published.
    pub fn readers(&self) -> u32 {
        self.0.leases.attached()
    }

    /// What they want altogether.
    pub fn demand(&self) -> Demand {
        self.0.leases.demand()
    }

    /// Takes a slot of at least `slot_bytes` to fill. `writer_need` is how many slots the caller may
    /// hold at once (a decoder's reference pictures); it sizes the first generation, and a larger
    /// need or slot begins a new one.
    ///
    /// Waits for nobody but an essential reader, within its deadline, and only where the contract says
    /// that it may.
    pub fn loan(&self, slot_bytes: usize, writer_need: u32) -> Result<Loan, Error> {
        let Shared { birth, slots, history, leases, .. } = &*self.0;
        birth.check()?;
        let slots = slots.saturating_add(writer_need);
        check_slots(self.0.lock().owner.ring(), slots)?;
        // A size that no page can end never fits anywhere: the largest one stands for it.
        let slot_bytes = slot_bytes.max(1).checked_next_multiple_of(PAGE).unwrap_or(usize::MAX);
        let keep = 1 + u64::from(*history);
        let shape = Shape { slot_bytes, slots, keep };
        let mut patient = true;
        loop {
            let lent = self.0.lock().lend(shape, leases, patient)?;
            if let Some((id, memory)) = lent {
                return Ok(Loan { shared: Arc::clone(&self.0), id, memory });
            }
            patient = self.0.pause();
        }
    }

    /// Asks `go_on` each millisecond that a loan waits for an essential reader, where the contract lets it
    /// wait; `false` ends the wait, and the reader is let go of.
    pub fn while_waiting(&self, go_on: impl FnMut() -> bool + Send + 'static) {
        *lock(&self.0.while_waiting) = Some(WhileWaiting::new(go_on));
    }

    /// Shows a slot's picture to readers; the loan may live on, as long as nothing writes to it.
    /// The same slot may be published again.
    pub fn publish(&self, slot: SlotId, meta: &FrameMeta) -> Result<u64, Error> {
        self.publish_each(slot, meta, 1)
    }

    /// The same for a writer that makes each so manyth picture only, because no reader wants more
    /// ([`Demand::every`]): its sequence is the next that `every` divides. Those between are nobody's.
    pub fn publish_each(&self, slot: SlotId, meta: &FrameMeta, every: u32) -> Result<u64, Error> {
        self.0.birth.check()?;
        self.0.lock().publish(slot, meta, every, &self.0.leases)
    }

    /// Says that a picture was lost for want of a slot; shown by `framevisor rings`.
    pub fn count_dropped(&self) {
        if !self.0.birth.is_here() {
            return;
        }
        self.0.lock().owner.index.word(index::AT_DROPPED).fetch_add(1, Ordering::Relaxed);
    }

    /// Pictures of this epoch that had to be copied into their slots.
    pub fn copied(&self) -> u64 {
        self.0.lock().owner.index.word(index::AT_COPIED).load(Ordering::Relaxed)
    }

    /// Says that nothing follows.
    pub fn finish(&self) {
        if self.0.birth.is_here() {
            self.0.lock().owner.end();
        }
    }
}

fn check_slots(ring: &RingName, slots: u32) -> Result<(), Error> {
    if slots > table::SLOTS {
        return Err(Error::TooManySlots { ring: ring.clone(), slots, limit: table::SLOTS });
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the book was open leaves at worst a slot on loan for ever.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// With the book closed: what ends the wait may be a slot given back.
    fn pause(&self) -> bool {
        WhileWaiting::pause(lock(&self.while_waiting).as_mut())
    }

    pub(super) fn give_back(&self, id: SlotId) {
        if !self.birth.is_here() {
            return;
        }
        if let Some(generation) = self.lock().generation_of(id) {
            generation.give_back(id.slot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// `None`: an essential reader is in the way, and may be waited for.
    fn lend(
        &mut self,
        shape: Shape,
        leases: &LeaseTable,
        patient: bool,
    ) -> Result<Option<(SlotId, Arc<Memory>)>, Error> {
        if !self.generation.as_ref().is_some_and(|newest| newest.covers(shape)) {
            self.begin_generation(shape)?;
        }
        let no_slot = || Error::NoFreeSlot { ring: self.owner.ring().clone(), slots: shape.slots };
        let Some(generation) = &mut self.generation else {
            return Err(no_slot());
        };
        let (map, head) = (&self.owner.index, self.sequence);
        loop {
            let had = self.keeper.as_ref().map_or(u64::MAX, Keeper::had_by_all);
            if let Some(slot) = generation.lend(map, had, leases) {
                self.keeper.iter_mut().for_each(Keeper::unblock);
                let id = SlotId { generation: generation.number, slot };
                return Ok(Some((id, Arc::clone(&generation.memory))));
            }
            let (Some(keeper), Some(oldest)) = (&mut self.keeper, generation.oldest_above(had))
            else {
                return Err(no_slot());
            };
            if keeper.make_way(leases, map, (oldest, head), patient) == Way::Wait {
                return Ok(None);
            }
        }
    }

    fn begin_generation(&mut self, shape: Shape) -> Result<(), Error> {
        let number = self.free_number()?;
        let device: Option<&mut dyn DeviceMemory> = match &mut self.device {
            Some(device) => Some(device.as_mut()),
            None => None,
        };
        let generation = Generation::create(&self.owner, number, shape, device)?;
        self.generations = number;
        let over = std::mem::replace(&mut self.previous, self.generation.replace(generation));
        let map = &self.owner.index;
        let data_bytes = shape.slot_bytes as u64 * u64::from(shape.slots);
        map.word(index::AT_DATA_BYTES).store(data_bytes, Ordering::Relaxed);
        map.half(index::AT_GENERATION).store(number, Ordering::Release);
        // Two generations are alive at a time: they alternate between two banks of versions.
        if let Some(Generation { number: generation, .. }) = over {
            self.owner.hold.unlink(Part::Data { epoch: self.owner.epoch, generation });
        }
        Ok(())
    }

    /// The number of the next generation. Anybody may make files in /dev/shm: where one has its name, another
    /// number of the same bank is taken.
    fn free_number(&self) -> Result<u32, Error> {
        let (epoch, shown) = (self.owner.epoch, self.owner.hold.list());
        let is_free =
            |generation: &u32| !shown.contains(&Part::Data { epoch, generation: *generation });
        let mut numbers = (self.generations + 1..=token::GENERATION_MAX).step_by(table::BANKS);
        numbers.find(is_free).ok_or_else(|| Error::BadPicture {
            ring: self.owner.ring().clone(),
            what: "too many size changes in one epoch",
        })
    }

    fn publish(
        &mut self,
        id: SlotId,
        meta: &FrameMeta,
        every: u32,
        leases: &LeaseTable,
    ) -> Result<u64, Error> {
        let next = Every::new(every).following(self.sequence).unwrap_or(u64::MAX);
        let Self { owner, keeper, generation, previous, newest, .. } = self;
        // The one was last written so many pictures ago, the others were read by readers since.
        table::fetch_descriptor_to_write(&owner.index, next);
        owner.index.fetch_to_write::<1>(index::AT_HEAD);
        owner.index.fetch_to_write::<1>(index::AT_BELL);
        let alive = [generation, previous].into_iter().flatten();
        let mut of_slot = alive.filter(|alive| alive.number == id.generation);
        let Some(generation) = of_slot.next().filter(|alive| alive.is_on_loan(id.slot)) else {
            return Err(Error::NotOnLoan { ring: owner.ring().clone(), slot: id.slot });
        };
        let slot_bytes = generation.memory.slot_bytes() as u64;
        let format_change = newest.turn_to(&meta.content, slot_bytes);
        let format_change =
            format_change.map_err(|what| Error::BadPicture { ring: owner.ring().clone(), what })?;
        self.sequence = next;
        let (sequence, map) = (self.sequence, &owner.index);
        generation.published(id.slot, sequence);
        let token = version_word(map, id.generation, id.slot).load(Ordering::Relaxed);
        let now = clock::mono();
        write_descriptor(map, sequence, |words| {
            let put = |at: usize, word| words[at / 8].store(word, Ordering::Relaxed);
            descriptor::tell(token, now, meta, (&newest.form, format_change), put);
        });
        // PAIR head
        map.word(index::AT_HEAD).store(sequence, Ordering::Release);
        owner.ring_bell();
        // What no reader waits for.
        let map = &owner.index;
        store_figures(map, meta, now.0);
        if let Some(keeper) = keeper {
            keeper.published(leases, map, sequence, now);
        }
        Ok(sequence)
    }

    /// `None` for a generation that is gone.
    fn generation_of(&mut self, id: SlotId) -> Option<&mut Generation> {
        let alive = [&mut self.generation, &mut self.previous];
        alive.into_iter().flatten().find(|generation| generation.number == id.generation)
    }
}

fn store_figures(map: &Mapping, meta: &FrameMeta, now_ns: u64) {
    map.word(index::AT_PUBLISHED_NS).store(now_ns, Ordering::Relaxed);
    map.word(index::AT_GOP).store(meta.gop_index, Ordering::Relaxed);
    let (width, height) = meta.picture().map_or((0, 0), |picture| (picture.width, picture.height));
    map.half(index::AT_WIDTH).store(width, Ordering::Relaxed);
    map.half(index::AT_HEIGHT).store(height, Ordering::Relaxed);
    if meta.copied {
        map.word(index::AT_COPIED).fetch_add(1, Ordering::Relaxed);
    }
}
