//! The task that sends one camera to those who keep up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use protocol::time::MonoNs;
use shmring::clock;
use tokio::sync::{Notify, watch};

use super::carried::{Carried, Desk};
use super::held;
use crate::feed::Feed;

/// Who is carried.
#[derive(Debug, Default)]
pub(super) struct Aboard {
    next: u64,
    viewers: BTreeMap<u64, Viewer>,
    desk: Desk,
}

#[derive(Debug)]
struct Viewer {
    carried: Carried,
    bell: Arc<Notify>,
    /// Its connection was told, and has not come for it yet.
    is_left: bool,
}

impl Aboard {
    pub(super) fn enter(&mut self, carried: Carried, bell: Arc<Notify>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.viewers.insert(number, Viewer { carried, bell, is_left: false });
        number
    }

    pub(super) fn leave(&mut self, number: u64) -> Option<Carried> {
        self.viewers.remove(&number).map(|viewer| viewer.carried)
    }

    /// Sends what there is: one unit to all, then the next, since its packets are put together once.
    fn go_on(&mut self, feed: &Feed, now: MonoNs) {
        loop {
            let end = feed.end();
            let mut is_behind = false;
            for viewer in self.viewers.values_mut().filter(|viewer| !viewer.is_left) {
                if viewer.carried.go_on(now, &mut self.desk) {
                    is_behind |= viewer.carried.viewing.is_before(end);
                } else {
                    viewer.leave();
                }
            }
            if !is_behind {
                break;
            }
        }
        self.desk.clear();
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
        held(&self.0).viewers.values_mut().for_each(Viewer::leave);
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
        let mut changes = feed.changes();
        // What came between a viewer's last look and this one is there already.
        loop {
            changes.mark_unchanged();
            held(&aboard).go_on(&feed, clock::mono());
            tokio::select! {
                left = count.wait_for(|count| *count == 0) => {
                    if left.is_err() {
                        return;
                    }
                    break;
                }
                _ = changes.changed() => {}
            }
        }
    }
}
