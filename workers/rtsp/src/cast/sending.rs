//! The task that sends one camera to its groups.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;
use tokio::sync::watch;

use super::group::Opened;
use super::{Lease, held};
use crate::datagram::post::Post;
use crate::envelope::Datagrams;
use crate::feed::{Feed, Viewer};
use crate::history::Taken;
use crate::playback::{Outlet, Playback};
use crate::rtp::rtcp;
use crate::transport::{Group, Place};
use crate::wait::until;

/// Viewers whose last report is kept: more than a group has, unless somebody forges them.
const HEARD_MAX: usize = 1_000;
/// Who has reported nothing for so long watches no more: reports come every five seconds (RFC 3550 section 6.2).
const GONE_AFTER: Duration = Duration::from_secs(120);

/// What is sent, and to where.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) playback: Playback,
    post: Post,
    leases: BTreeMap<u32, Lease>,
    pub(super) heard: Heard,
    /// Whether somebody watches.
    on: bool,
}

impl Sending {
    pub(super) fn new(playback: Playback, now: MonoNs) -> Self {
        let (leases, heard) = (BTreeMap::new(), BTreeMap::new());
        Self { playback, post: Post::new(now), leases, heard, on: false }
    }

    pub(super) fn group(&self, track: u32) -> Option<Group> {
        match self.playback.place(track)? {
            Place::Multicast(group) => Some(group),
            Place::Interleaved(_) | Place::Unicast { .. } => None,
        }
    }

    pub(super) fn add(&mut self, track: u32, opened: Opened) -> std::io::Result<()> {
        let Opened { group, pair, reports, lease } = opened;
        let to = (group.address, group.ports.rtp).into();
        self.post.add(track, pair, to, group.ports, Some(reports))?;
        self.leases.insert(track, lease);
        if self.on {
            self.playback.start(Some(track), clock::mono());
        }
        Ok(())
    }

    fn switch(&mut self, on: bool, now: MonoNs) {
        self.on = on;
        if on {
            self.playback.start(None, now);
        } else {
            self.playback.pause(None);
        }
    }

    fn hear(&mut self, now: MonoNs) {
        for report in self.post.reports() {
            if rtcp::is_report(&report.bytes) && has_place(&mut self.heard, report.from, now) {
                let viewer = self.heard.entry(report.from).or_default();
                viewer.insert(report.track, (report.bytes, now));
            }
        }
    }

    /// Sends what is there; `false` when the camera sends something else now.
    fn go_on(&mut self, feed: &Feed, viewer: &mut Viewer, now: MonoNs) -> bool {
        viewer.changes.mark_unchanged();
        self.hear(now);
        self.post.send(now);
        while self.post.has_room() {
            match feed.take(viewer) {
                None => return false,
                Some(Taken::Nothing) => break,
                Some(Taken::Skipped { units }) => {
                    tracing::warn!(
                        camera = feed.path(),
                        units,
                        "multicast is too slow: it goes on at the newest key frame"
                    );
                }
                Some(Taken::Unit(unit)) => {
                    self.playback.write(&unit, now, Outlet::Datagrams(self.post.queue()));
                    self.post.send(now);
                }
            }
        }
        if self.post.has_room() {
            self.playback.report(now, Outlet::Datagrams(self.post.queue()));
            self.post.send(now);
        }
        true
    }

    /// When there is something to do without anything having happened.
    fn next(&self) -> Option<MonoNs> {
        let report = self.playback.next_report().filter(|_| self.post.has_room());
        [report, self.post.next_send()].into_iter().flatten().min()
    }

    /// Says so to whoever still listens, and gives addresses and ports back.
    pub(super) fn end(&mut self) {
        let mut last = Datagrams::default();
        self.playback.bye(Outlet::Datagrams(&mut last));
        self.post.end_with(last);
        self.leases.clear();
    }
}

/// What viewers last reported of each track, and when, by their addresses.
type Heard = BTreeMap<IpAddr, BTreeMap<u32, (Vec<u8>, MonoNs)>>;

/// Whether the report of a viewer can be kept; those who have gone give their places.
fn has_place(heard: &mut Heard, viewer: IpAddr, now: MonoNs) -> bool {
    if heard.len() < HEARD_MAX || heard.contains_key(&viewer) {
        return true;
    }
    heard.retain(|_, tracks| tracks.values().any(|(_, at)| now.saturating_since(*at) < GONE_AFTER));
    heard.len() < HEARD_MAX
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends while seats are taken, until nobody holds the cast or the camera sends something else.
pub(super) async fn run(
    feed: Arc<Feed>,
    sending: Arc<Mutex<Sending>>,
    mut seats: watch::Receiver<usize>,
    ended: watch::Sender<bool>,
) {
    while seats.wait_for(|viewers| *viewers > 0).await.is_ok() {
        let presentation = Arc::clone(held(&sending).playback.presentation());
        let Some(mut viewer) = feed.join(&presentation) else { break };
        tracing::info!(camera = feed.path(), "multicast begins");
        held(&sending).switch(true, clock::mono());
        let goes_on = watched(&feed, &sending, &mut viewer, &mut seats).await;
        held(&sending).switch(false, clock::mono());
        tracing::info!(camera = feed.path(), "multicast ends");
        if !goes_on {
            break;
        }
    }
    ended.send_replace(true);
}

/// Sends until the last seat is free; `false` when the camera sends something else now.
async fn watched(
    feed: &Feed,
    sending: &Mutex<Sending>,
    viewer: &mut Viewer,
    seats: &mut watch::Receiver<usize>,
) -> bool {
    loop {
        if !held(sending).go_on(feed, viewer, clock::mono()) {
            return false;
        }
        let (next, has_room) = {
            let sending = held(sending);
            (sending.next(), sending.post.has_room())
        };
        tokio::select! {
            left = seats.wait_for(|viewers| *viewers == 0) => return left.is_ok(),
            _ = viewer.changes.changed(), if has_room => {}
            () = poll_fn(|cx| held(sending).post.poll_ready(cx)) => {}
            () = until(next) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn forged_reports_hold_no_place_for_ever() {
        let from = |number: usize| IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap()));
        let (then, soon) = (MonoNs(1), MonoNs(1) + Duration::from_secs(119));
        let later = MonoNs(1) + GONE_AFTER;
        let mut heard: Heard = (0..HEARD_MAX)
            .map(|viewer| (from(viewer), BTreeMap::from([(0, (vec![], then))])))
            .collect();
        heard.insert(from(7), BTreeMap::from([(0, (vec![], then)), (1, (vec![], soon))]));
        let stranger = from(HEARD_MAX);
        assert!(!has_place(&mut heard, stranger, soon));
        assert!(has_place(&mut heard, from(3), soon), "it has one");
        assert!(has_place(&mut heard, stranger, later));
        assert_eq!(heard.into_keys().collect::<Vec<_>>(), [from(7)]);
    }
}
