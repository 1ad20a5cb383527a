//! A slow answer kept for a short while, asked for once however many want it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::time::MonoNs;

/// The newest answer of one source and when it was asked for.
#[derive(Debug)]
pub struct Cached<T> {
    keep: Duration,
    /// Held by the one who asks; the others wait here.
    asking: tokio::sync::Mutex<()>,
    last: Mutex<Option<(MonoNs, T)>>,
}

impl<T: Clone + Send + 'static> Cached<T> {
    pub fn new(keep: Duration) -> Self {
        Self { keep, asking: tokio::sync::Mutex::new(()), last: Mutex::new(None) }
    }

    /// The kept answer if it is young enough, else a new one from `ask`, which may block: it runs
    /// off the event loop. `None` when `ask` panicked.
    pub async fn get(
        &self,
        now: impl Fn() -> MonoNs,
        ask: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if let Some(young) = self.young(now()) {
            return Some(young);
        }
        let _asking = self.asking.lock().await;
        let now = now();
        if let Some(young) = self.young(now) {
            return Some(young);
        }
        let value = tokio::task::spawn_blocking(ask).await.ok()?;
        *self.lock() = Some((now, value.clone()));
        Some(value)
    }

    /// The last answer, however old.
    pub fn last(&self) -> Option<T> {
        self.lock().as_ref().map(|(_, value)| value.clone())
    }

    fn young(&self, now: MonoNs) -> Option<T> {
        let last = self.lock();
        let (at, value) = last.as_ref()?;
        (now.saturating_since(*at) < self.keep).then(|| value.clone())
    }

    /// A poisoned lock still guards a whole answer: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Option<(MonoNs, T)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

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
}
