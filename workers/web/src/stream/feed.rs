//! One camera as its viewers see it. Written by its reader's thread, read by every connection; the lock is held for
//! a few moves of pointers, and for the text of a playlist.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::time::MonoNs;
use tokio::sync::watch;

use super::history::{Cursor, History, Taken};
use super::segments::Segments;
use super::unit::Unit;

/// Who asked for a playlist comes back within this, or plays no more.
const PLAYLIST_LASTS: Duration = Duration::from_secs(60);

/// A camera that somebody watches.
#[derive(Debug, Default)]
pub struct Feed {
    state: Mutex<State>,
    /// When a playlist was last asked for.
    playlist_asked: AtomicU64,
    /// Raised at every change; connections sleep on it.
    changes: watch::Sender<u64>,
}

/// What there is of it.
#[derive(Debug, Default)]
pub struct State {
    pub segments: Segments,
    history: History,
    /// What the ring held when reading began has been read: from here on it is live.
    is_live: bool,
    /// Why nothing comes; empty while fragments do.
    pub lack: String,
    /// Why nothing can be made of what comes; empty otherwise.
    pub refused: String,
}

/// A viewer's place.
#[derive(Debug)]
pub struct Place {
    cursor: Cursor,
    /// Wakes at every change.
    pub changes: watch::Receiver<u64>,
}

impl State {
    /// Whether what the ring held when reading began has been read.
    pub fn is_live(&self) -> bool {
        self.is_live
    }
}

impl Feed {
    pub fn publish(&self, unit: Unit, now: MonoNs) {
        let asked = MonoNs(self.playlist_asked.load(Ordering::Relaxed));
        let is_played = asked != MonoNs(0) && now.saturating_since(asked) < PLAYLIST_LASTS;
        let unit = Arc::new(unit);
        let mut state = self.state();
        state.history.push(Arc::clone(&unit), now);
        state.segments.push(unit, is_played);
        state.lack.clear();
        state.refused.clear();
        drop(state);
        self.raise();
    }

    /// All that was there has been read.
    pub fn caught_up(&self) {
        self.change(|state| !std::mem::replace(&mut state.is_live, true));
    }

    /// Nothing could be read until now: what comes is first of all what the ring held meanwhile. Who asks for a list
    /// waits until it is whole: one that begins with the oldest segments would go back.
    pub fn reads_past(&self) {
        self.state().is_live = false;
    }

    pub fn is_live(&self) -> bool {
        self.state().is_live
    }

    /// Nothing comes, for this reason.
    pub fn lacks(&self, why: &str) {
        self.change(|state| told_anew(&mut state.lack, why));
    }

    /// Nothing can be made of what comes, for this reason.
    pub fn refuse(&self, why: &str) {
        self.change(|state| told_anew(&mut state.refused, why));
    }

    /// Somebody plays it by its playlist.
    pub fn playlist_asked(&self, now: MonoNs) {
        self.playlist_asked.store(now.0, Ordering::Relaxed);
    }

    /// A place among its viewers; `None` until it is live.
    pub fn join(&self) -> Option<Place> {
        let state = self.state();
        state.is_live.then(|| Place { cursor: state.history.join(), changes: self.changes() })
    }

    /// What the viewer is given next.
    pub fn take(&self, place: &mut Place, now: MonoNs) -> Taken {
        self.state().history.take(&mut place.cursor, now)
    }

    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    /// Looks at each change until there is an answer, `wait` at most.
    pub async fn until<T>(
        &self,
        wait: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.changes();
        let looking = async {
            loop {
                if let Some(found) = self.look(&mut look) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(wait, looking).await.ok().flatten()
    }

    /// Wakes at every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        let is_new = change(&mut self.state());
        if is_new {
            self.raise();
        }
    }

    fn raise(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything in it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told_anew(said: &mut String, why: &str) -> bool {
    let is_new = said != why;
    if is_new {
        why.clone_into(said);
    }
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testing::{EPOCH, fragments, picture, video};

    fn publish(feed: &Feed, numbers: std::ops::Range<u64>) {
        let packets = numbers.map(|number| picture(EPOCH, number + 1, number));
        for unit in fragments(&[video()], packets) {
            let unit = Arc::into_inner(unit).expect("nobody else has it");
            let at = MonoNs(unit.dts_ns.unsigned_abs());
            feed.publish(unit, at);
        }
    }

    #[test]
    fn nobody_joins_what_the_ring_still_had_but_what_is_live() {
        let feed = Feed::default();
        publish(&feed, 0..30);
        assert!(feed.join().is_none());
        feed.caught_up();
        let mut place = feed.join().unwrap();
        let Taken::Unit(unit) = feed.take(&mut place, MonoNs(1_200_000_000)) else { panic!() };
        assert_eq!(unit.sequence, 26);
    }

    #[test]
    fn a_ring_that_could_not_be_read_at_first_is_live_when_its_past_was_read() {
        let feed = Feed::default();
        feed.caught_up();
        feed.lacks("ring cam1.packets is not there");
        feed.reads_past();
        publish(&feed, 0..30);
        assert!(
            !feed.is_live() && feed.join().is_none(),
            "who asks for a list would be shown half of it"
        );
        feed.caught_up();
        assert!(feed.is_live() && feed.join().is_some());
        assert!(feed.look(|state| state.lack.is_empty()));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_what_it_waits_for() {
        let feed = Arc::new(Feed::default());
        let other = Arc::clone(&feed);
        let publishing = tokio::spawn(async move {
            publish(&other, 0..30);
            other.lacks("ring cam1.packets is quiet");
        });
        let wait = Duration::from_secs(60);
        let count = |state: &State| state.segments.last_complete().map(|segment| segment.number);
        assert!(feed.until(wait, count).await.is_some());
        let lack = |state: &State| Some(state.lack.clone()).filter(|lack| !lack.is_empty());
        assert_eq!(feed.until(wait, lack).await.unwrap(), "ring cam1.packets is quiet");
        publishing.await.unwrap();
        assert_eq!(feed.until(Duration::ZERO, |_| None::<()>).await, None);
    }
}
