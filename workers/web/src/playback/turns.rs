//! Turns at what is done so many times at once and no more, of which one address has a share: who takes what it asked
//! for drop by drop keeps some turns for long, and not all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Those who have a turn.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    /// share <= all
    share: usize,
    /// Of addresses that have a turn or wait for one.
    origins: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// A turn. It is over when this goes.
#[derive(Debug)]
pub struct Held {
    _of_origin: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl Turns {
    pub fn new(all: usize, share: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), share, origins: Mutex::default() }
    }

    /// Waits for a turn, behind those of its own address first.
    pub async fn wait(&self, address: Option<IpAddr>) -> Option<Held> {
        let _of_origin = match address.and_then(|address| self.own(address)) {
            Some(own) => Some(own.acquire_owned().await.ok()?),
            None => None,
        };
        let _of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Held { _of_origin, _of_all })
    }

    /// A turn, if there is one now.
    pub fn take(&self, address: IpAddr) -> Option<Held> {
        let _of_origin = match self.own(address) {
            Some(own) => Some(own.try_acquire_owned().ok()?),
            None => None,
        };
        let _of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Held { _of_origin, _of_all })
    }

    /// The share of an address; `None` of this machine, whose programs have one address.
    fn own(&self, address: IpAddr) -> Option<Arc<Semaphore>> {
        let origin = access::origin(address);
        if origin.is_loopback() {
            return None;
        }
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.retain(|_, own| own.strong_count() > 0);
        let known = origins.get(&origin).and_then(Weak::upgrade);
        let own = known.unwrap_or_else(|| Arc::new(Semaphore::new(self.share)));
        origins.insert(origin, Arc::downgrade(&own));
        Some(own)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_share_and_others_the_rest() {
        let turns = Turns::new(4, 2);
        let mut greedy: Vec<Held> =
            std::iter::from_fn(|| turns.take(ip("2001:db8::1"))).take(9).collect();
        assert_eq!(greedy.len(), 2);
        assert!(turns.take(ip("2001:db8::2")).is_none(), "the same household");
        let _others = ["10.0.0.7", "127.0.0.1"].map(|other| turns.take(ip(other)).unwrap());
        assert!(turns.take(ip("10.0.0.8")).is_none(), "all have one");
        greedy.pop();
        assert!(turns.take(ip("10.0.0.8")).is_some());
        drop(greedy);
        assert_eq!(turns.origins.lock().unwrap().len(), 3);
        assert!(turns.take(ip("10.0.0.9")).is_some());
        assert_eq!(turns.origins.lock().unwrap().len(), 2, "who has no turn is forgotten");
    }

    #[test]
    fn who_waits_for_an_own_turn_holds_up_nobody_else() {
        let turns = Turns::new(4, 1);
        let first = turns.wait(Some(ip("10.0.0.7"))).now_or_never().flatten().unwrap();
        let mut second = Box::pin(turns.wait(Some(ip("10.0.0.7"))));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.wait(Some(ip("10.0.0.8"))).now_or_never().flatten().is_some());
        drop(first);
        assert!(second.now_or_never().flatten().is_some());
    }

    #[test]
    fn this_machine_has_all() {
        let turns = Turns::new(4, 1);
        let held: Vec<Held> = std::iter::from_fn(|| turns.take(ip("127.0.0.1"))).take(9).collect();
        assert_eq!(held.len(), 4);
    }
}
