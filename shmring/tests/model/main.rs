//! The files of the ring that order its shared words, run by loom through every interleaving and every
//! value a load may see. The mutants prove that the model would notice: each lacks one fence.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "scripts/torture reads the verdicts")]

/// What the ring's files know as their atomics.
mod sync {
    use std::cell::Cell;

    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::thread::yield_now as spin_loop;

    pub(crate) fn fence(ordering: Ordering) {
        match super::MUTANT.get() {
            Some(super::Mutant { role, instead }) if role == super::ROLE.with(Cell::get) => {
                if let Some(weaker) = instead {
                    loom::sync::atomic::fence(weaker);
                }
            }
            _ => loom::sync::atomic::fence(ordering),
        }
    }
}

#[path = "../../src/packets/floor.rs"]
mod floor;
#[path = "../../src/pin.rs"]
mod pin;
#[path = "../../src/seqlock.rs"]
mod seqlock;
#[path = "../../src/signal/settle.rs"]
mod settle;
#[path = "../../src/lease/told.rs"]
mod told;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Which side lacks its fences, and what it has instead.
#[derive(Clone, Copy, Debug)]
struct Mutant {
    role: Role,
    instead: Option<Ordering>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Reader,
    Writer,
}

std::thread_local! {
    /// Of the test's own thread, on which loom runs all of its.
    static MUTANT: Cell<Option<Mutant>> = const { Cell::new(None) };
}

loom::thread_local! {
    static ROLE: Cell<Role> = Cell::new(Role::Writer);
}

fn spawn_reader(body: impl FnOnce() + 'static) -> thread::JoinHandle<()> {
    thread::spawn(|| {
        ROLE.with(|role| role.set(Role::Reader));
        body();
    })
}

/// A slot published under token 2 is taken back, filled anew and published under token 4, while a
/// reader leases whatever is newest. Loom's cell finds every access that the other side could see.
fn lease() {
    struct Ring {
        head: AtomicU64,
        version: AtomicU64,
        hazard: AtomicU64,
        slot: UnsafeCell<u64>,
    }
    let ring = Arc::new(Ring {
        head: AtomicU64::new(2),
        version: AtomicU64::new(2),
        hazard: AtomicU64::new(0),
        slot: UnsafeCell::new(2),
    });
    let shared = Arc::clone(&ring);
    let reader = spawn_reader(move || {
        let token = shared.head.load(Ordering::Acquire);
        // A system call in the ring; by itself it orders nothing.
        let write = |token| shared.hazard.store(token, Ordering::Relaxed);
        if pin::claim(write, &shared.version, token, 2) {
            // SAFETY: the cell is alive; loom checks that nobody writes it meanwhile.
            let content = shared.slot.with(|slot| unsafe { *slot });
            assert_eq!(content, token, "another picture");
        }
        pin::unclaim(write);
    });
    // The ring reads hazards with pread, which is at least a relaxed load.
    let is_claimed = |token| ring.hazard.load(Ordering::Relaxed) == token;
    if pin::reclaim(&ring.version, 4, is_claimed) {
        // SAFETY: the cell is alive; loom checks that nobody looks at it meanwhile.
        ring.slot.with_mut(|slot| unsafe { *slot = 4 });
        ring.head.store(4, Ordering::Release);
    }
    reader.join().unwrap();
}

/// The record at position 0 is overwritten while a reader copies it.
fn log() {
    struct Log {
        floor: AtomicU64,
        head: AtomicU64,
        record: AtomicU64,
    }
    let log = Arc::new(Log {
        floor: AtomicU64::new(0),
        head: AtomicU64::new(128),
        record: AtomicU64::new(7),
    });
    let shared = Arc::clone(&log);
    let reader = spawn_reader(move || {
        let head = shared.head.load(Ordering::Acquire);
        let copy = shared.record.load(Ordering::Relaxed);
        let begins = floor::after_copy(&shared.floor);
        if begins == 0 {
            assert_eq!(copy, 7, "torn");
        }
        assert!(
            begins <= shared.head.load(Ordering::Acquire),
            "floor above head, which was {head}"
        );
    });
    for lap in [256, 384] {
        floor::raise(&log.floor, lap - 128);
        log.record.store(lap, Ordering::Relaxed);
        log.head.store(lap, Ordering::Release);
    }
    reader.join().unwrap();
}

/// Two words are rewritten while a reader copies them.
fn seqlock() {
    struct Block {
        lock: AtomicU64,
        words: [AtomicU64; 2],
    }
    let block =
        Arc::new(Block { lock: AtomicU64::new(2), words: [AtomicU64::new(1), AtomicU64::new(1)] });
    let shared = Arc::clone(&block);
    let reader = spawn_reader(move || {
        let [first, second] = &shared.words;
        let copy = || (first.load(Ordering::Relaxed), second.load(Ordering::Relaxed));
        if let Some((first, second)) = seqlock::read(&shared.lock, |seen| seen % 2 == 0, copy) {
            assert_eq!(first, second, "torn");
        }
    });
    seqlock::write(&block.lock, 3, 4, || {
        for word in &block.words {
            word.store(2, Ordering::Relaxed);
        }
    });
    reader.join().unwrap();
}

/// A picture is announced by the head while a reader takes whatever is newest (shmring's I2).
fn receive() {
    struct Ring {
        head: AtomicU64,
        sequence: AtomicU64,
        content: AtomicU64,
    }
    let ring = Arc::new(Ring {
        head: AtomicU64::new(1),
        sequence: AtomicU64::new(1),
        content: AtomicU64::new(1),
    });
    let shared = Arc::clone(&ring);
    let reader = spawn_reader(move || {
        let newest = shared.head.load(Ordering::Acquire);
        let copy = || shared.content.load(Ordering::Relaxed);
        match seqlock::read(&shared.sequence, |seen| seen == newest, copy) {
            Some(content) => assert_eq!(content, newest, "another picture's descriptor"),
            None => assert_eq!(newest, 1, "the head names what is not there"),
        }
    });
    seqlock::write(&ring.sequence, 0, 2, || ring.content.store(2, Ordering::Relaxed));
    ring.head.store(2, Ordering::Release);
    reader.join().unwrap();
}

/// An essential reader is let go of before its picture is taken away.
fn let_go() {
    struct Ring {
        version: AtomicU64,
        entry: AtomicU64,
    }
    let ring = Arc::new(Ring { version: AtomicU64::new(2), entry: AtomicU64::new(0) });
    let shared = Arc::clone(&ring);
    let reader = spawn_reader(move || {
        if shared.version.load(Ordering::Acquire) != 2 {
            assert_ne!(told::count(&shared.entry), 0, "a loss that nobody foretold");
        }
    });
    told::tell(&ring.entry, || {});
    // As a slot is taken back (`pin`), which is the weaker of the two ways.
    ring.version.store(3, Ordering::Relaxed);
    reader.join().unwrap();
}

/// A reader that has taken all there was empties its descriptor, while one more item is published and
/// the helper tells of it. The eventfd is what the kernel makes of it: a flag under a lock.
fn event(settle: impl Fn(&dyn Fn(), &dyn Fn() -> bool, &dyn Fn()) + 'static) {
    struct Ring {
        head: AtomicU64,
        bell: AtomicU64,
        taken: AtomicU64,
        readable: Mutex<bool>,
    }
    impl Ring {
        fn is_ahead(&self) -> bool {
            self.head.load(Ordering::Acquire) != self.taken.load(Ordering::Relaxed)
        }

        fn set(&self, readable: bool) {
            *self.readable.lock().unwrap() = readable;
        }

        /// One round of the helper, which fills only at a bell it has not heard.
        fn help(&self, heard: &mut u64) {
            let bell = self.bell.load(Ordering::Acquire);
            if std::mem::replace(heard, bell) != bell && self.is_ahead() {
                self.set(true);
            }
        }
    }
    let ring = Arc::new(Ring {
        head: AtomicU64::new(1),
        bell: AtomicU64::new(1),
        taken: AtomicU64::new(0),
        readable: Mutex::new(true),
    });
    let shared = Arc::clone(&ring);
    let reader = spawn_reader(move || {
        shared.taken.store(1, Ordering::Relaxed);
        settle(&|| shared.set(false), &|| shared.is_ahead(), &|| shared.set(true));
    });
    let shared = Arc::clone(&ring);
    let helper = thread::spawn(move || {
        let mut heard = 1;
        shared.help(&mut heard);
        heard
    });
    ring.head.store(2, Ordering::Release);
    ring.bell.store(2, Ordering::Release);
    let mut heard = helper.join().unwrap();
    reader.join().unwrap();
    // It does not sleep before it has heard this.
    ring.help(&mut heard);
    assert!(*ring.readable.lock().unwrap(), "a wake-up is lost");
}

fn event_as_it_is() {
    event(|empty, has_news, fill| settle::settle(empty, has_news, fill));
}

fn event_looked_at_before_it_is_emptied() {
    event(|empty, has_news, fill| {
        let had_news = has_news();
        empty();
        if had_news {
            fill();
        }
    });
}

fn holds(model: fn(), mutant: Option<Mutant>) -> bool {
    MUTANT.set(mutant);
    let verdict = catch_unwind(AssertUnwindSafe(|| loom::model(model)));
    MUTANT.set(None);
    verdict.is_ok()
}

/// Every mutant must be found out; the verdicts are for `scripts/torture --sabotage fence`.
fn is_guarded(name: &str, model: fn(), weaker: &[Option<Ordering>]) {
    let mutants = [Role::Reader, Role::Writer]
        .into_iter()
        .flat_map(|role| weaker.iter().map(move |instead| Mutant { role, instead: *instead }));
    are_noticed(name, model, mutants);
}

fn are_noticed(name: &str, model: fn(), mutants: impl Iterator<Item = Mutant>) {
    for mutant in mutants {
        let survived = holds(model, Some(mutant));
        let Mutant { role, instead } = mutant;
        println!(
            r#"{{"model":"{name}","without":"{role:?}","instead":"{instead:?}","noticed":{}}}"#,
            !survived
        );
        assert!(!survived, "{name}: nobody notices {mutant:?}");
    }
}

#[test]
fn no_slot_is_refilled_under_a_lease() {
    assert!(holds(lease, None));
}

#[test]
fn a_slot_is_refilled_under_a_lease_when_either_fence_is_missing_or_weaker() {
    is_guarded("lease", lease, &[None, Some(Ordering::AcqRel)]);
}

#[test]
fn no_torn_packet_passes_the_floor() {
    assert!(holds(log, None));
}

#[test]
fn a_torn_packet_passes_the_floor_when_either_fence_is_missing() {
    is_guarded("floor", log, &[None]);
}

#[test]
fn no_torn_block_passes_its_seqlock() {
    assert!(holds(seqlock, None));
}

#[test]
fn a_torn_block_passes_its_seqlock_when_either_fence_is_missing() {
    is_guarded("seqlock", seqlock, &[None]);
}

#[test]
fn the_head_names_only_what_is_there_and_whole() {
    assert!(holds(receive, None));
}

#[test]
fn another_pictures_descriptor_passes_when_either_fence_is_missing() {
    is_guarded("receive", receive, &[None]);
}

#[test]
fn who_misses_a_picture_knows_of_its_eviction() {
    assert!(holds(let_go, None));
}

#[test]
fn a_picture_is_missed_before_its_eviction_is_known_when_the_writers_fence_is_missing() {
    // The reader has none: its load of the version orders the two.
    let mutant = Mutant { role: Role::Writer, instead: None };
    are_noticed("evicted", let_go, [mutant].into_iter());
}

#[test]
fn no_wake_up_of_a_descriptor_is_lost() {
    assert!(holds(event_as_it_is, None));
}

#[test]
fn a_wake_up_is_lost_when_the_reader_looks_before_it_empties_its_descriptor() {
    let survived = holds(event_looked_at_before_it_is_emptied, None);
    println!(
        r#"{{"model":"event","without":"Reader","instead":"look first","noticed":{}}}"#,
        !survived
    );
    assert!(!survived);
}
