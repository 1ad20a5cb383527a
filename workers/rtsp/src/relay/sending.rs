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
const REPORTS_EVERY: Duration = Duration::from_millis(250);

/// Who is carried. Invariant: `free` are the empty places of `places`, each once.
#[derive(Debug, Default)]
pub(super) struct Aboard {
    /// One after the other in memory, as they are sent to.
    places: Vec<Option<Viewer>>,
    free: Vec<usize>,
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
    /// The number of its place.
    pub(super) fn enter(&mut self, carried: Carried, bell: Arc<Notify>) -> usize {
        let viewer = Some(Viewer { carried, bell, is_left: false });
        match self.free.pop() {
            Some(place) => {
                self.places[place] = viewer;
                place
            }
            None => {
                self.places.push(viewer);
                self.places.len() - 1
            }
        }
    }

    /// `None` for a place that is empty.
    pub(super) fn leave(&mut self, place: usize) -> Option<Carried> {
        let viewer = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(viewer.carried)
    }

    /// Sends a unit to everybody; whether there are more. All have the same one, whose packets are put together once.
    fn go_on(&mut self, feed: &Feed, now: MonoNs) -> bool {
        let end = feed.end();
        let mut are_more = false;
        self.each(|carried, desk| {
            let stays = carried.go_on(now, desk);
            are_more |= stays && carried.viewing.is_before(end);
            stays
        });
        self.desk.clear();
        are_more
    }

    fn report(&mut self, now: MonoNs) {
        self.each(|carried, desk| carried.report(now, desk));
    }

    /// Does so for everybody; who does not stay is given back.
    fn each(&mut self, mut stays: impl FnMut(&mut Carried, &mut Desk) -> bool) {
        for viewer in self.places.iter_mut().flatten().filter(|viewer| !viewer.is_left) {
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
        if std::thread::panicking() {
            tracing::error!("a camera's relay died: its viewers' connections send to them");
        }
        held(&self.0).places.iter_mut().flatten().for_each(Viewer::leave);
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
        while held(aboard).go_on(feed, now) {
            // Others have work, too: whoever comes, speaks or watches another camera.
            tokio::task::yield_now().await;
        }
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
