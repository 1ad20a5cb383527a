//! How many items the rings of a project held over a whole run, writers' restarts included: each
//! epoch counts from 1 again, and the rings are gone when the project has stopped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::admin::RingStatus;
use protocol::name::{ProjectName, RingKind, RingName};
use shmring::census;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Newest sequence seen of each epoch of each ring.
#[derive(Debug, Default)]
struct Heads(BTreeMap<(RingName, u64), (RingKind, u64)>);

impl Heads {
    fn note(&mut self, rings: &[RingStatus]) {
        for ring in rings.iter().filter(|ring| ring.epoch > 0) {
            let head =
                &mut self.0.entry((ring.name.clone(), ring.epoch)).or_insert((ring.kind, 0)).1;
            *head = (*head).max(ring.head);
        }
    }

    fn items(&self, wanted: RingKind) -> u64 {
        self.0.values().filter(|(kind, _)| *kind == wanted).map(|(_, head)| head).sum()
    }
}

/// Looks in a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Tally {
    stop: Arc<AtomicBool>,
    heads: Arc<Mutex<Heads>>,
    watcher: Option<JoinHandle<()>>,
}

impl Tally {
    pub fn start(project: &ProjectName) -> Self {
        let (stop, heads) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Heads>>::default());
        let (asked, noted, project) = (Arc::clone(&stop), Arc::clone(&heads), project.clone());
        let watch = move || {
            while !asked.load(Ordering::Acquire) {
                let rings = census::rings(&project);
                noted.lock().unwrap_or_else(PoisonError::into_inner).note(&rings);
                thread::sleep(LOOK_EVERY);
            }
        };
        Self { stop, heads, watcher: Some(thread::spawn(watch)) }
    }

    /// Items of all rings of a kind so far.
    pub fn items(&self, kind: RingKind) -> u64 {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).items(kind)
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(watcher) = self.watcher.take() {
            // A watcher that panicked has nothing more to tell.
            let _ = watcher.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(epoch: u64, head: u64) -> RingStatus {
        let name: RingName = "cam1.frames".parse().unwrap();
        RingStatus { epoch, head, live: true, ..RingStatus::absent(name) }
    }

    #[test]
    fn items_of_a_writer_that_was_restarted_still_count() {
        let mut heads = Heads::default();
        for seen in [ring(7, 3), ring(7, 10), ring(8, 2), ring(0, 0)] {
            heads.note(&[seen]);
        }
        assert_eq!(heads.items(RingKind::Frames), 12);
        assert_eq!(heads.items(RingKind::Events), 0);
    }
}
