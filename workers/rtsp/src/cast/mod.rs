//! Multicast: what a camera sends to groups, once for all their viewers.
//!
//! ```text
//!   session ──> seat ──┐
//!   session ──> seat ──┴─> cast of one camera ──> a group for each track that anybody set up
//!                           (sends while a seat is taken)
//! ```
//! A cast is of one camera and one address of ours, since that decides the network it reaches. Its first viewer begins
//! at the newest key frame; who joins later waits for the next one, as nothing can be sent to it alone.

mod group;
mod sending;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use protocol::config::GroupPool;
use protocol::time::MonoNs;
use shmring::clock;
use tokio::sync::watch;

use crate::datagram::ports::PortPool;
use crate::feed::Feed;
use crate::playback::{Playback, Wanted};
use crate::rtp::sender::Beginning;
use crate::sdp::Presentation;
use crate::transport::Group;

use sending::Sending;

/// All casts, and the addresses they take from.
#[derive(Debug)]
pub struct Casts {
    pool: GroupPool,
    ttl: u32,
    ports: Arc<PortPool>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    casts: BTreeMap<(String, IpAddr), Weak<Cast>>,
    /// Numbers of the pool's addresses that are taken.
    taken: Arc<Mutex<BTreeSet<u32>>>,
}

/// What is sent of one camera. It ends when nobody holds it.
#[derive(Debug)]
pub struct Cast {
    presentation: Arc<Presentation>,
    sending: Arc<Mutex<Sending>>,
    /// How many seats are taken.
    viewers: watch::Sender<usize>,
    /// Set when the camera sends something else, or sending failed.
    over: watch::Receiver<bool>,
}

/// An address of the pool.
#[derive(Debug)]
struct Lease {
    number: u32,
    taken: Arc<Mutex<BTreeSet<u32>>>,
}

/// A viewer who watches.
#[derive(Debug)]
pub struct Seat(Arc<Cast>);

impl Casts {
    pub fn new(pool: GroupPool, ttl: u32, ports: Arc<PortPool>) -> Self {
        Self { pool, ttl, ports, inner: Mutex::default() }
    }

    /// Whether there are any addresses, and whether `local` can send to them.
    pub fn reaches(&self, local: IpAddr) -> bool {
        self.pool.count() > 0 && self.ports.is_open() && local.is_ipv4()
    }

    /// The cast of a camera, with a group for this track; `None` when addresses or ports are used up. To be called
    /// within the runtime.
    pub fn of(
        &self,
        feed: &Arc<Feed>,
        presentation: &Arc<Presentation>,
        track: u32,
        local: SocketAddr,
        beginning: Beginning,
    ) -> Option<(Arc<Cast>, Group)> {
        let mut inner = held(&self.inner);
        let key = (feed.path().to_owned(), local.ip());
        let known = inner.casts.get(&key).and_then(Weak::upgrade);
        let known = known.filter(|cast| Arc::ptr_eq(&cast.presentation, presentation));
        let cast = known.unwrap_or_else(|| {
            let cast = Cast::start(Arc::clone(feed), Arc::clone(presentation));
            inner.casts.retain(|_, cast| cast.strong_count() > 0);
            inner.casts.insert(key, Arc::downgrade(&cast));
            cast
        });
        let taken = Arc::clone(&inner.taken);
        let group = cast.group(track, || {
            let lease = Lease::take(self.pool, taken)?;
            group::open(lease, self.pool, self.ttl, local, &self.ports, beginning)
        })?;
        Some((cast, group))
    }
}

impl Cast {
    fn start(feed: Arc<Feed>, presentation: Arc<Presentation>) -> Arc<Self> {
        let playback = Playback::new(Arc::clone(&presentation));
        let sending = Arc::new(Mutex::new(Sending::new(playback, clock::mono())));
        let (viewers, seats) = watch::channel(0);
        let (ended, over) = watch::channel(false);
        tokio::spawn(sending::run(feed, Arc::clone(&sending), seats, ended));
        Arc::new(Self { presentation, sending, viewers, over })
    }

    /// The group of a track, opened when it is the first time that it is asked for.
    fn group(
        &self,
        track: u32,
        open: impl FnOnce() -> Option<(group::Opened, Beginning)>,
    ) -> Option<Group> {
        let mut sending = held(&self.sending);
        if let Some(group) = sending.group(track) {
            return Some(group);
        }
        let served = self.presentation.track(track)?;
        let (opened, beginning) = open()?;
        let group = opened.group;
        sending.playback.set_up(served, Wanted::Multicast(group), beginning)?;
        sending.add(track, opened).ok()?;
        Some(group)
    }

    /// What the viewer at `from` last reported of each track, and when.
    pub fn heard(&self, from: IpAddr) -> Vec<(u32, Vec<u8>, MonoNs)> {
        let sending = held(&self.sending);
        let reports = sending.heard.get(&from).into_iter().flatten();
        reports.map(|(track, (packet, at))| (*track, packet.clone(), *at)).collect()
    }

    /// Returns when there is nothing more to see: the camera sends something else.
    pub async fn over(&self) {
        // Its end is the end of the task that sends.
        let _ = self.over.clone().wait_for(|over| *over).await;
    }

    /// Sends while the seat is kept.
    pub fn sit(self: &Arc<Self>) -> Seat {
        self.viewers.send_modify(|viewers| *viewers += 1);
        Seat(Arc::clone(self))
    }
}

impl Drop for Cast {
    /// Here and not when its task notices: whoever comes next is given what it had.
    fn drop(&mut self) {
        held(&self.sending).end();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.viewers.send_modify(|viewers| *viewers -= 1);
    }
}

impl Lease {
    /// The lowest free one.
    fn take(pool: GroupPool, taken: Arc<Mutex<BTreeSet<u32>>>) -> Option<Self> {
        let number = {
            let mut numbers = held(&taken);
            let free = (0..pool.count()).find(|number| !numbers.contains(number))?;
            numbers.insert(free);
            free
        };
        Some(Self { number, taken })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        held(&self.taken).remove(&self.number);
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under these locks is changed by steps that leave it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
