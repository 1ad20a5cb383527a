//! The task that sends one camera to those who keep up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;
use tokio::sync::{Notify, watch};

use super::carried::{Carried, Desk};
use super::held;
use crate::feed::Feed;
use crate::wait::until;

/// How often it is looked for streams that are to be reported on although no unit comes.
const REPORTS_EVERY: Duration = Duration::from_secs(1);

/// Who is carried. Invariant: their numbers ascend.
#[derive(Debug, Default)]
pub(super) struct Aboard {
    next: u64,
    /// One after the other in memory, as they are sent to.
    viewers: Vec<Viewer>,
    desk: Desk,
}

#[derive(Debug)]
struct Viewer {
    number: u64,
    carried: Carried,
    bell: Arc<Notify>,
    /// Its connection was told, and has not come for it yet.
    is_left: bool,
}

impl Aboard {
    pub(super) fn enter(&mut self, carried: Carried, bell: Arc<Notify>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.viewers.push(Viewer { number, carried, bell, is_left: false });
        number
    }

    pub(super) fn leave(&mut self, number: u64) -> Option<Carried> {
        let at = self.viewers.binary_search_by_key(&number, |viewer| viewer.number).ok()?;
        Some(self.viewers.remove(at).carried)
    }

    /// Sends what there is: one unit to all, then the next, since its packets are put together once.
    fn go_on(&mut self, feed: &Feed, now: MonoNs) {
        loop {
            let end = feed.end();
            let mut is_behind = false;
            self.each(|carried, desk| {
                let stays = carried.go_on(now, desk);
                is_behind |= stays && carried.viewing.is_before(end);
                stays
            });
            if !is_behind {
                break;
            }
        }
        self.desk.clear();
    }

    fn report(&mut self, now: MonoNs) {
        self.each(|carried, desk| carried.report(now, desk));
    }

    /// Does so for everybody; who does not stay is given back.
    fn each(&mut self, mut stays: impl FnMut(&mut Carried, &mut Desk) -> bool) {
        for viewer in self.viewers.iter_mut().filter(|viewer| !viewer.is_left) {
            if !stays(&mut viewer.carried, &mut self.desk) {
                viewer.leave();
            }
        }
    }
}

impl Viewer {
    fn leave(&mut self) {
        self.is_left = true;
        self.bell.notify_one();
    }
}

/// However the task ends: whoever is aboard then goes on alone.
struct Closing(Arc<Mutex<Aboard>>);

impl Drop for Closing {
    fn drop(&mut self) {
        held(&self.0).viewers.iter_mut().for_each(Viewer::leave);
    }
}

/// Sends while somebody is carried, until nobody holds the relay.
pub(super) async fn run(
    feed: Arc<Feed>,
    aboard: Arc<Mutex<Aboard>>,
    mut count: watch::Receiver<usize>,
) {
    let _closing = Closing(Arc::clone(&aboard));
    while count.wait_for(|count| *count > 0).await.is_ok() {
        if !carried(&feed, &aboard, &mut count).await {
            return;
        }
    }
}

/// Sends until nobody is carried; `false` when nobody holds the relay.
async fn carried(feed: &Feed, aboard: &Mutex<Aboard>, count: &mut watch::Receiver<usize>) -> bool {
    let mut changes = feed.changes();
    let mut reports = clock::mono() + REPORTS_EVERY;
    loop {
        let now = clock::mono();
        changes.mark_unchanged();
        // What came between a viewer's last look and this one is there already.
        held(aboard).go_on(feed, now);
        if now >= reports {
            held(aboard).report(now);
            reports = now + REPORTS_EVERY;
        }
        tokio::select! {
            left = count.wait_for(|count| *count == 0) => return left.is_ok(),
            _ = changes.changed() => {}
            () = until(Some(reports)) => {}
        }
    }
}
