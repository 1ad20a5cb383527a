//! What the threads of the worker share: the queue, its file, and how things are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::config::NotifyConfig;
use protocol::control::Condition;
use protocol::time::MonoNs;
use shmring::clock;

use crate::event::Event;
use crate::home::Home;
use crate::kept::Kept;
use crate::queue::{Queue, Waiting};

/// How often a queue that is worked off is kept.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What the threads of the worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// One file, written by one thread at a time.
    kept: Mutex<Kept>,
    /// What a broker's panels show; nobody looks at it for a web server.
    home: Mutex<Home>,
    /// For people.
    trouble: Mutex<Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// Why no events are heard.
    deaf: Option<String>,
    /// Why the server has not taken the next one.
    server: Option<String>,
    delivered: u64,
    given_up: u64,
    /// When the queue was kept last.
    kept: MonoNs,
}

impl Shared {
    /// Goes on where an earlier life was, or begins now; the next life then goes on from here.
    pub(crate) fn new(kept: Kept) -> Self {
        let loaded: Option<Queue> = kept.load();
        let is_first = loaded.is_none();
        let queue = loaded.unwrap_or_else(|| Queue::since(clock::now().utc));
        let (queue, kept) = (Mutex::new(queue), Mutex::new(kept));
        let (home, trouble) = (Mutex::default(), Mutex::default());
        let shared = Self { queue, kept, home, trouble };
        if is_first {
            shared.keep();
        }
        shared
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, id: String, event: Event) {
        let overflown = {
            let mut queue = self.queue();
            let before = queue.overflown;
            queue.take(id, event);
            queue.overflown - before
        };
        if overflown > 0 {
            tracing::error!("an event was dropped: the server has not taken 1000 others");
            self.trouble().given_up += overflown;
        }
    }

    pub(crate) fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_deaf(&self, why: Option<String>) {
        self.trouble().deaf = why;
    }

    /// Delivered, and given up.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let trouble = self.trouble();
        (trouble.delivered, trouble.given_up)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue().len()
    }

    pub(crate) fn condition(&self, url: &str) -> (Condition, String) {
        let trouble = self.trouble();
        if let Some(why) = &trouble.server {
            return (Condition::Degraded, format!("{url}: {why}"));
        }
        match &trouble.deaf {
            Some(why) => (Condition::Waiting, format!("events are not heard: {why}")),
            None => (Condition::Flowing, String::new()),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the server does not take the next one; `None` when it does.
    pub(crate) fn set_server(&self, why: Option<String>) {
        self.trouble().server = why;
    }

    /// The server has it.
    pub(crate) fn took(&self, id: &str) {
        let mut trouble = self.trouble();
        trouble.server = None;
        trouble.delivered += 1;
        drop(trouble);
        self.done(id);
    }

    /// What goes out next. Those that are too old to be of use to anybody are given up first.
    pub(crate) fn next(&self, config: &NotifyConfig) -> Option<Waiting> {
        loop {
            let next = self.queue().next().cloned()?;
            let age_ns = clock::now().utc.0.saturating_sub(next.event.time_utc_ns.0);
            if age_ns < config.give_up_after.0 {
                return Some(next);
            }
            tracing::error!(event = next.event.name(&config.on.0), id = %next.id, "given up: the server did not take it in time");
            self.trouble().given_up += 1;
            self.done(&next.id);
        }
    }

    /// It is not told again, by this life or another.
    fn done(&self, id: &str) {
        let now = clock::mono();
        let is_due = {
            let mut queue = self.queue();
            queue.done(id);
            // Of many that go out at once some are told again after a kill, rather than a sync for each.
            queue.len() == 0 || now.saturating_since(self.trouble().kept) >= KEEP_EVERY
        };
        if is_due {
            self.trouble().kept = now;
            self.keep();
        }
    }

    /// What waits outlives this process.
    pub(crate) fn keep(&self) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = self.queue().clone();
        if let Err(error) = kept.save(&queue) {
            tracing::warn!(%error, "what is delivered is not kept: a restart may tell it again");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    pub(crate) fn shared(dir: &Path) -> Arc<Shared> {
        Arc::new(Shared::new(Kept::at(dir.join("tell.json"))))
    }

    #[test]
    fn a_life_that_delivered_nothing_is_gone_on_from() {
        let dir = tempfile::tempdir().unwrap();
        let began = shared(dir.path()).queue().newest;
        // Killed before the server took anything: what happened since is asked for again.
        assert_eq!(shared(dir.path()).queue().newest, began);
    }
}
