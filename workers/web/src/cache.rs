//! A slow answer kept for a short while, asked for once however many want it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::time::MonoNs;

/// The newest answer of one source and when it was asked for.
#[derive(Debug)]
pub struct Cached<T> {
    keep: Duration,
    /// Held while the source is asked; whoever wants to know waits here.
    asking: Arc<tokio::sync::Mutex<()>>,
    last: Arc<Mutex<Option<Answer<T>>>>,
}

type Answer<T> = (MonoNs, T);

impl<T: Clone + Send + 'static> Cached<T> {
    pub fn new(keep: Duration) -> Self {
        Self { keep, asking: Arc::default(), last: Arc::default() }
    }

    /// The kept answer if it is young enough, else a new one from `ask`, which may block: it runs
    /// off the event loop. `None` when `ask` panicked.
    ///
    /// Who goes away while it runs changes nothing: the answer is kept, and nobody else asks before it is there.
    pub async fn get(
        &self,
        now: impl Fn() -> MonoNs,
        ask: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let came = now();
        if let Some(young) = self.young(came, came) {
            return Some(young);
        }
        let asking = Arc::clone(&self.asking).lock_owned().await;
        let now = now();
        if let Some(young) = self.young(now, came) {
            return Some(young);
        }
        let last = Arc::clone(&self.last);
        let answered = tokio::task::spawn_blocking(move || {
            let value = ask();
            *lock(&last) = Some((now, value.clone()));
            drop(asking);
            value
        });
        answered.await.ok()
    }

    /// The last answer, however old.
    pub fn last(&self) -> Option<T> {
        lock(&self.last).as_ref().map(|(_, value)| value.clone())
    }

    /// One that is kept still, or that was asked for after `came`, however long it took.
    fn young(&self, now: MonoNs, came: MonoNs) -> Option<T> {
        let last = lock(&self.last);
        let (at, value) = last.as_ref()?;
        (now.saturating_since(*at) < self.keep || *at >= came).then(|| value.clone())
    }
}

/// A poisoned lock still guards a whole answer: every change is one assignment.
fn lock<T>(last: &Mutex<T>) -> MutexGuard<'_, T> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    const START: MonoNs = MonoNs(1_000_000_000);

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_answer_until_it_is_old() {
        let asked = Arc::new(AtomicU32::new(0));
        let cached = Cached::new(Duration::from_millis(500));
        let get = |ms: u64| {
            let asked = Arc::clone(&asked);
            cached
                .get(move || MonoNs(ms * 1_000_000), move || asked.fetch_add(1, Ordering::Relaxed))
        };
        let (a, b, c) = tokio::join!(get(1_000), get(1_000), get(1_400));
        assert_eq!((a, b, c), (Some(0), Some(0), Some(0)));
        assert_eq!(get(1_501).await, Some(1));
        assert_eq!(cached.last(), Some(1));
    }

    #[tokio::test]
    async fn an_answer_that_takes_longer_than_it_is_kept_is_shared_by_who_waited_for_it() {
        let cached = Cached::new(Duration::from_millis(500));
        let (clock, asked) = (Arc::new(AtomicU64::new(START.0)), Arc::new(AtomicU32::new(0)));
        let get = || {
            let (asked, slow) = (Arc::clone(&asked), Arc::clone(&clock));
            let ask = move || {
                slow.fetch_add(2_000_000_000, Ordering::Relaxed);
                asked.fetch_add(1, Ordering::Relaxed)
            };
            cached.get(|| MonoNs(clock.load(Ordering::Relaxed)), ask)
        };
        assert_eq!(tokio::join!(get(), get(), get()), (Some(0), Some(0), Some(0)));
        assert_eq!(get().await, Some(1));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_question_with_the_others_and_its_answer_is_kept() {
        let cached = Cached::new(Duration::from_millis(500));
        let (source, told) = mpsc::channel();
        let gone = cached.get(|| START, move || told.recv().unwrap());
        assert!(gone.now_or_never().is_none());
        let mut next = pin!(cached.get(|| START, || panic!("asked again")));
        assert!(next.as_mut().now_or_never().is_none());
        source.send(7).unwrap();
        assert_eq!((next.await, cached.last()), (Some(7), Some(7)));
    }
}
