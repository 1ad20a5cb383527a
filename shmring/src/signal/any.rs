//! Waiting for whichever of many readers has something first.

use std::sync::Arc;
use std::time::Duration;

use protocol::time::MonoNs;

use super::{Outlook, Shared};
use crate::clock;
use crate::wake::{self, Heard, SLICE, Word};

pub(crate) mod sealed {
    /// Keeps what is waited for inside this crate.
    pub trait Signalling {
        #[doc(hidden)]
        fn shared(&self) -> &super::Arc<super::Shared>;
    }
}

/// Something whose news can be waited for together with others': every reader, and every
/// [`super::Semaphore`].
pub trait Waitable: sealed::Signalling {}

impl<T: sealed::Signalling> Waitable for T {}

/// Sleeps until a reader's `next` has something to say, `wait` at most, and names those that have by their
/// places in `readers`; none of them when the time is over. A reader that was dropped, or that belongs to
/// the parent of this forked child, never has anything.
///
/// Any number of readers: beyond 63 the kernel cannot sleep on all their bells at once, and what comes is
/// seen up to 5 ms later.
///
/// ```no_run
/// # use std::time::Duration;
/// # fn show(readers: &mut [shmring::FrameReader]) -> Result<(), shmring::Error> {
/// let all: Vec<&dyn shmring::Waitable> = readers.iter().map(|reader| reader as _).collect();
/// for ready in shmring::wait_any(&all, Duration::from_secs(1)) {
///     let told = readers[ready].next(Duration::ZERO)?;
/// }
/// # Ok(())
/// # }
/// ```
pub fn wait_any(readers: &[&dyn Waitable], wait: Duration) -> Vec<usize> {
    let shared: Vec<&Shared> = readers.iter().map(|reader| &**reader.shared()).collect();
    wait_until(&shared, clock::mono() + wait)
}

pub(super) fn wait_until(readers: &[&Shared], deadline: MonoNs) -> Vec<usize> {
    let mut slice_end = deadline.min(clock::mono() + SLICE);
    loop {
        // Anew each time: a reader in another thread may have gone on to another epoch.
        let looks: Vec<Option<Look>> = readers.iter().map(|reader| Look::at(reader)).collect();
        let now = clock::mono();
        let ready = those(&looks, |look| look.outlook.has_news(now));
        if !ready.is_empty() {
            return ready;
        }
        if now >= slice_end {
            let ready = those(&looks, |look| look.outlook.has_quiet_news(now));
            // Nobody will ring for a reader that is gone.
            if !ready.is_empty() || now >= deadline || looks.iter().all(Option::is_none) {
                return ready;
            }
            slice_end = deadline.min(now + SLICE);
        }
        sleep(None, looks.iter().flatten(), now, slice_end);
    }
}

/// What there is for one reader, and the bells heard before looking.
pub(super) struct Look {
    pub(super) outlook: Arc<Outlook>,
    pub(super) heard: Heard,
}

impl Look {
    /// `None` when the reader is gone.
    pub(super) fn at(reader: &Shared) -> Option<Self> {
        let outlook = reader.outlook()?;
        let heard = outlook.hear();
        Some(Self { outlook, heard })
    }
}

fn those(looks: &[Option<Look>], has: impl Fn(&Look) -> bool) -> Vec<usize> {
    let numbered = looks.iter().enumerate();
    numbered.filter(|(_, look)| look.as_ref().is_some_and(&has)).map(|(number, _)| number).collect()
}

/// Sleeps on the bells of all, and on `own`.
pub(super) fn sleep<'a>(
    own: Option<Word<'a>>,
    looks: impl Iterator<Item = &'a Look>,
    now: MonoNs,
    until: MonoNs,
) {
    let mut words: Vec<Word<'a>> = own.into_iter().collect();
    let mut until = until;
    for Look { outlook, heard } in looks {
        words.extend(outlook.words(*heard));
        until = outlook.rests_until(now).map_or(until, |rested| rested.min(until));
    }
    wake::wait_for_any(&words, until);
}
