//! Processes of a measurement: the director, which sends, and its children, which receive. The only
//! file with unsafe code but for the reading of a leased picture.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::thread::futex;

use crate::Outcome;

/// Longest a child sleeps before it looks whether it is to stop.
pub(crate) const SLICE: Duration = Duration::from_millis(100);
/// How long an answer may take before a measurement is given up.
const PATIENCE: Duration = Duration::from_secs(20);
const PAGE: usize = 4096;

/// What a child and the director tell each other. Words on lines of their own.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Seat {
    /// Raised by the child once for being ready and once for every item.
    pub(crate) done: Bell,
    /// When the newest item was in the child's hands.
    pub(crate) stamp_ns: AtomicU64,
    pub(crate) items: AtomicU64,
    pub(crate) lost: AtomicU64,
    stop: AtomicU32,
    failed: AtomicU32,
}

impl Seat {
    pub(crate) fn is_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire) != 0
    }
}

/// A futex word.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Bell(AtomicU32);

impl Bell {
    pub(crate) fn rung(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn ring(&self) {
        self.0.fetch_add(1, Ordering::Release);
        let _ = futex::wake(&self.0, futex::Flags::empty(), u32::MAX >> 1);
    }

    /// Sleeps until it was rung after `heard`, at most a slice. `false`: it was not.
    pub(crate) fn wait(&self, heard: u32) -> bool {
        let until = Instant::now() + SLICE;
        while self.rung() == heard {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let timeout = futex::Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
            let _ = futex::wait(&self.0, futex::Flags::empty(), heard, Some(&timeout));
        }
        true
    }

    /// Burns time until it was rung after `heard`, at most a slice.
    pub(crate) fn spin(&self, heard: u32) -> bool {
        let until = Instant::now() + SLICE;
        while Instant::now() < until {
            for _ in 0..1000 {
                if self.rung() != heard {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        false
    }

    /// As [`Self::ring`], for one that spins.
    pub(crate) fn ring_quietly(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Which processor each process keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    One,
    Two,
}

impl Cores {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::One => "one core",
            Self::Two => "two cores",
        }
    }

    pub(crate) fn director(self) -> usize {
        0
    }

    pub(crate) fn child(self) -> usize {
        match self {
            Self::One => 0,
            Self::Two => 1,
        }
    }
}

pub(crate) fn pin(core: usize) -> Outcome<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

pub(crate) fn unpin(cores: usize) -> Outcome<()> {
    let mut set = CpuSet::new();
    (0..cores).try_for_each(|core| set.set(core))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Runs before everything that only wants processor time. Needs the right to.
pub(crate) fn be_realtime() -> Outcome<()> {
    let parameters = libc::sched_param { sched_priority: 10 };
    // SAFETY: the parameters are a live value that the call only reads.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    nix::errno::Errno::result(result)?;
    Ok(())
}

/// Memory that the director and its later children share, zeroed, for as long as any of them lives.
fn share(bytes: usize) -> Outcome<std::ptr::NonNull<libc::c_void>> {
    let length = NonZeroUsize::new(bytes.next_multiple_of(PAGE)).ok_or("nothing to share")?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh address chosen by the kernel; nothing existing is replaced.
    Ok(unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_SHARED) }?)
}

fn seat() -> Outcome<&'static Seat> {
    let at = share(size_of::<Seat>())?;
    // SAFETY: page aligned, large enough, never unmapped; all of a seat is atomics, for which zero is a
    // value.
    Ok(unsafe { at.cast::<Seat>().as_ref() })
}

/// A bell that later children hear too.
pub(crate) fn bell() -> Outcome<&'static Bell> {
    let at = share(size_of::<Bell>())?;
    // SAFETY: as in `seat`.
    Ok(unsafe { at.cast::<Bell>().as_ref() })
}

/// A process of our own that dies with us.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pub(crate) seat: &'static Seat,
    answered: u32,
}

impl Child {
    /// Runs `body` in a child on `core` until it returns; `body` tells over its seat when it is ready.
    pub(crate) fn spawn(
        core: Option<usize>,
        body: impl FnOnce(&'static Seat) -> Outcome<()>,
    ) -> Outcome<Self> {
        let seat = seat()?;
        // SAFETY: the director has one thread whenever it forks, so the child may go on as it is.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, seat, answered: 0 }),
            ForkResult::Child => {
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    prctl::set_pdeathsig(Signal::SIGKILL)?;
                    core.map_or(Ok(()), pin)?;
                    body(seat)
                }));
                if !matches!(ran, Ok(Ok(()))) {
                    crate::say(&format!("a child failed: {ran:?}"));
                    seat.failed.store(1, Ordering::Release);
                    seat.done.ring();
                }
                // SAFETY: ends this process at once; what the director owns must not be dropped twice.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Waits until the child has rung once more.
    pub(crate) fn wait(&mut self) -> Outcome<()> {
        let until = Instant::now() + PATIENCE;
        while !self.seat.done.wait(self.answered) {
            if Instant::now() > until {
                return Err("a child does not answer".into());
            }
        }
        self.answered = self.answered.wrapping_add(1);
        match self.seat.failed.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => Err("a child failed".into()),
        }
    }

    /// Whether [`Self::wait`] would end at once.
    pub(crate) fn has_rung(&self) -> bool {
        self.seat.done.rung() != self.answered
    }

    /// As [`Self::wait`], burning time.
    pub(crate) fn wait_spinning(&mut self) -> Outcome<()> {
        let until = Instant::now() + PATIENCE;
        while !self.seat.done.spin(self.answered) {
            if Instant::now() > until {
                return Err("a child does not answer".into());
            }
        }
        self.answered = self.answered.wrapping_add(1);
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill(self.pid, signal)?)
    }

    /// Tells it to stop, so that what it holds is given back; a deaf one is killed.
    pub(crate) fn stop(&self) {
        self.seat.stop.store(1, Ordering::Release);
        let until = Instant::now() + 20 * SLICE;
        while Instant::now() < until {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
                _ => return,
            }
        }
        self.kill();
    }

    pub(crate) fn kill(&self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Known to be gone already when it was stopped or killed: a second kill finds nobody, since
        // only this process reaps it.
        if waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
            self.kill();
        }
    }
}
