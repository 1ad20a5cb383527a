//! Reads the numbers that are painted into the pictures of a frame ring, and says where one is not the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::time::{ClockSource, MonoNs, Stamp};
use shmring::{Frame, FrameOptions, Next, Policy};
use worker::FrameInput;

use crate::checks::sources::number_of;
use crate::project::Project;
use crate::{Failure, Outcome, ensure, wait_for};

/// A machine that is busy elsewhere loses datagrams, which is told and no fault of whoever reads them.
const TRIES: u32 = 5;

/// What a ring is in a topology whose pictures are watched: a busy machine lets the watcher wait for two seconds.
pub const DEEP: &str = "{history: 64}";

/// What is asked of a ring.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub ring: String,
    /// What the numbers count to; `None` for ever.
    pub modulo: Option<u32>,
    /// Pictures may be lost on their way here. The row of those that follow each other begins anew then.
    pub may_lose: bool,
    /// The source is gone so often, and what comes then is marked.
    pub joints: u32,
    /// So many that follow each other.
    pub pictures: usize,
    /// Reads on when it has them.
    pub goes_on: bool,
}

/// A picture of the row.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub number: u32,
    pub published: MonoNs,
    pub capture: Stamp,
    pub clock: ClockSource,
}

/// Reads in a thread of its own until it has what is asked, or is dropped.
#[derive(Debug)]
pub struct Watch {
    asked: Asked,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    row: Vec<Taken>,
    begun_anew: u32,
    failure: Option<Failure>,
}

impl Watch {
    pub fn start(project: &Project, asked: Asked) -> Outcome<Self> {
        let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("watch") };
        let input = FrameInput::detached(project.name(), &Project::ring(&asked.ring)?, options);
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (own, told, wanted) = (Arc::clone(&seen), Arc::clone(&stop), asked.clone());
        let thread = Some(thread::spawn(move || read(input, &wanted, &own, &told)));
        Ok(Self { asked, seen, stop, thread })
    }

    /// Those that follow each other, up to now.
    pub fn row(&self) -> Vec<Taken> {
        held(&self.seen).row.clone()
    }

    /// How often something was lost where that may be, or the source was gone.
    pub fn begun_anew(&self) -> u32 {
        held(&self.seen).begun_anew
    }

    fn pictures(&self) -> usize {
        held(&self.seen).row.len()
    }

    /// What was wrong with a picture; nothing is read behind it.
    pub fn failure(&self) -> Option<Failure> {
        held(&self.seen).failure.clone()
    }
}

/// Waits until each has as many pictures in a row as it is asked for, none of them torn.
pub fn all_have_their_row(watches: &[Watch], seconds: u64) -> Outcome<()> {
    let ask = || match watches.iter().find_map(Watch::failure) {
        Some(failure) => Some(Err(failure)),
        None => watches.iter().all(|it| it.pictures() >= it.asked.pictures).then_some(Ok(())),
    };
    let (outcome, _) = wait_for(seconds, "pictures in a row", ask).map_err(|failure| {
        let seen = watches
            .iter()
            .map(|it| format!("{}: {} of {}", it.asked.ring, it.pictures(), it.asked.pictures));
        Failure(format!("{failure}: {:?}", seen.collect::<Vec<_>>()))
    })?;
    outcome
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing more to tell.
            let _ = thread.join();
        }
    }
}

fn held(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(mut input: FrameInput, asked: &Asked, seen: &Mutex<Seen>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && !held(seen).is_over(asked) {
        let outcome = match input.poll(Duration::from_millis(50)) {
            Ok(Some(next)) => held(seen).hear(next, asked),
            Ok(None) => Ok(()),
            Err(fault) => Err(Failure::new(fault)),
        };
        if let Err(failure) = outcome {
            held(seen).failure = Some(failure);
        }
    }
}

impl Seen {
    fn is_over(&self, asked: &Asked) -> bool {
        self.failure.is_some() || !asked.goes_on && self.row.len() >= asked.pictures
    }

    fn hear(&mut self, next: Next<Frame>, asked: &Asked) -> Outcome<()> {
        match next {
            Next::Item(frame) => self.take(&frame, asked),
            // This program was too slow, which says nothing against anybody.
            Next::Overrun { .. } | Next::Evicted { .. } => {
                self.row.clear();
                Ok(())
            }
            Next::NewEpoch { .. } => ensure(self.row.is_empty(), || {
                format!("{}: its writer was started again", asked.ring)
            }),
            Next::Quiet | Next::Ended => Ok(()),
        }
    }

    fn take(&mut self, frame: &Frame, asked: &Asked) -> Outcome<()> {
        let (ring, meta) = (&asked.ring, frame.meta());
        let last = self.row.last().map(|taken| taken.number);
        let number = number_of(frame)
            .ok_or_else(|| Failure(format!("{ring}: a torn picture behind number {last:?}")))?;
        if let Some(last) = last.filter(|last| number != following(*last, asked.modulo)) {
            self.begun_anew += 1;
            let most = if asked.may_lose { TRIES } else { asked.joints };
            let is_told = (meta.discontinuity || asked.may_lose) && number != last;
            ensure(is_told && self.begun_anew <= most, || {
                format!(
                    "{ring}: picture {number} behind {last}, broken off {} times",
                    self.begun_anew
                )
            })?;
            self.row.clear();
        }
        let (published, capture, clock) = (frame.published(), meta.capture, meta.clock);
        self.row.push(Taken { number, published, capture, clock });
        Ok(())
    }
}

fn following(number: u32, modulo: Option<u32>) -> u32 {
    modulo.map_or(number + 1, |modulo| (number + 1) % modulo)
}
