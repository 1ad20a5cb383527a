//! The one thread of a process that sleeps on the bells of all pollable readers and fills their eventfds.
//!
//! No wake-up is lost. The thread reads all bells, then looks at what they announce, then sleeps on the
//! bells it read: what comes after its look changes a bell (pair `bell`). It fills a descriptor whenever
//! a bell has changed and there is something; only the reader empties it, and looks again when it has
//! (pair `event`). A kick is a bell of the thread's own: rung after a change of what it is to watch, read
//! before that is looked at. A kernel that loses all of it costs a slice, after which all is looked at.

use std::sync::{Arc, Mutex, Weak};

use nix::sys::signal::{SigSet, SigmaskHow};
use protocol::time::MonoNs;

use super::any::{Look, sleep};
use super::pollable::Event;
use super::{Outlook, Shared, lock};
use crate::clock;
use crate::error::Error;
use crate::fork::Birth;
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::wake::{self, Heard, SLICE};

struct Helper {
    birth: Birth,
    kicks: AtomicU32,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    all: Vec<Watch>,
    /// Whether the thread is there. It ends when nothing is watched any more.
    runs: bool,
}

struct Watch {
    shared: Arc<Shared>,
    event: Arc<Event>,
    /// The bells at which the descriptor was filled last; what they announced needs no second filling.
    filled_at: Option<(Weak<Outlook>, Heard)>,
}

/// Starts to fill `event` when there is something for the reader.
pub(super) fn watch(shared: &Arc<Shared>, event: &Arc<Event>) -> Result<(), Error> {
    let helper = Helper::of_this_process();
    let mut watched = lock(&helper.watched);
    if !watched.runs {
        helper.start().map_err(|error| Error::NoSignal {
            ring: shared.ring.clone(),
            source: nix::Error::from_raw(error.raw_os_error().unwrap_or(nix::libc::EAGAIN)),
        })?;
        watched.runs = true;
    }
    let (shared, event) = (Arc::clone(shared), Arc::clone(event));
    watched.all.push(Watch { shared, event, filled_at: None });
    drop(watched);
    kick();
    Ok(())
}

pub(super) fn forget(is_gone: impl Fn(&Arc<Event>) -> bool) {
    let helper = Helper::of_this_process();
    lock(&helper.watched).all.retain(|watch| !is_gone(&watch.event));
    kick();
}

/// Makes the thread look at everything anew.
pub(super) fn kick() {
    wake::ring(&Helper::of_this_process().kicks);
}

impl Helper {
    /// A forked child has the memory of its parent's helper, which a thread that the child does not have
    /// may have been changing. It makes one of its own, and leaves that memory alone.
    fn of_this_process() -> &'static Self {
        static NOW: AtomicPtr<Helper> = AtomicPtr::new(std::ptr::null_mut());
        loop {
            let before = NOW.load(Ordering::Acquire);
            // SAFETY: not null is one that was leaked below, after it was written.
            if let Some(helper) = unsafe { before.as_ref() }
                && helper.birth.is_here()
            {
                return helper;
            }
            let new = Box::into_raw(Box::new(Self::new()));
            let swapped = NOW.compare_exchange(before, new, Ordering::AcqRel, Ordering::Acquire);
            if swapped.is_err() {
                // SAFETY: made four lines above by `into_raw`, and seen by nobody.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    fn new() -> Self {
        Self { birth: Birth::here(), kicks: AtomicU32::new(0), watched: Mutex::default() }
    }

    /// The thread takes no signal: those are the program's.
    fn start(&'static self) -> std::io::Result<()> {
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let thread = std::thread::Builder::new().name("shmring-wait".to_owned());
        let started = thread.spawn(|| self.run());
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
        started.map(drop)
    }

    fn run(&self) {
        let mut slice_end = MonoNs(0);
        let mut kicks_before = 0;
        loop {
            let kicks = self.kicks.load(Ordering::Acquire);
            let now = clock::mono();
            let occasion =
                Occasion { now, is_kick: kicks != kicks_before, is_slice_over: now >= slice_end };
            kicks_before = kicks;
            if occasion.is_slice_over {
                slice_end = now + SLICE;
            }
            let Some(looks) = self.look(occasion) else {
                return;
            };
            sleep(Some((&self.kicks, kicks)), looks.iter(), now, slice_end);
        }
    }

    /// Fills the descriptors of readers that have something. `None` when nothing is watched any more.
    fn look(&self, occasion: Occasion) -> Option<Vec<Look>> {
        let mut watched = lock(&self.watched);
        if watched.all.is_empty() {
            watched.runs = false;
            return None;
        }
        Some(watched.all.iter_mut().filter_map(|watch| watch.look(occasion)).collect())
    }
}

/// Why the thread looks.
#[derive(Clone, Copy, Debug)]
struct Occasion {
    now: MonoNs,
    is_kick: bool,
    is_slice_over: bool,
}

impl Watch {
    /// `None` when the reader is gone.
    fn look(&mut self, occasion: Occasion) -> Option<Look> {
        let look = Look::at(&self.shared)?;
        if occasion.is_kick {
            // A reader that rests has emptied its descriptor before something that is there.
            self.filled_at = None;
        }
        let has_something = if occasion.is_slice_over {
            look.outlook.has_quiet_news(occasion.now)
        } else {
            !self.was_filled_at(&look) && look.outlook.has_news(occasion.now)
        };
        if has_something {
            self.event.fill();
            self.filled_at = Some((Arc::downgrade(&look.outlook), look.heard));
        }
        Some(look)
    }

    fn was_filled_at(&self, look: &Look) -> bool {
        self.filled_at.as_ref().is_some_and(|(outlook, heard)| {
            std::ptr::eq(outlook.as_ptr(), &raw const *look.outlook) && *heard == look.heard
        })
    }
}
