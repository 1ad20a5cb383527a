//! What a session needs beside its conversation: its place in the camera's log or in a recording, its sockets, its
//! seat at a group.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::time::MonoNs;

use crate::cast::{Cast, Seat};
use crate::datagram::post::Post;
use crate::feed::{Feed, Viewer};
use crate::history::Taken;
use crate::recorded::desk::Desk;
use crate::relay::Relay;
use crate::unit::Unit;
use crate::wait::until;

/// Why a viewer ended that did so itself.
pub const ASKED_TO: &str = "the client asked to";

/// The effects of a session. It moves with the session from one connection to the next.
#[derive(Debug)]
pub struct Scene {
    pub viewing: Option<Viewing>,
    /// Of a viewer over TCP: who sends to it while it keeps up.
    pub relay: Option<Arc<Relay>>,
    pub post: Post,
    /// Of a session that was set up by multicast.
    pub cast: Option<Arc<Cast>>,
    pub seat: Option<Seat>,
    pub desk: Desk,
}

/// What the client watches.
#[derive(Debug)]
pub struct Viewing {
    feed: Arc<Feed>,
    viewer: Viewer,
    tally: Arc<Tally>,
}

/// What a viewer was given. Read by whoever lists the clients.
#[derive(Debug, Default)]
pub struct Tally {
    units: AtomicU64,
    /// Lost by being slow.
    skipped: AtomicU64,
}

/// What happened to a session while its connection was quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The camera sends something else now.
    Over,
    /// Reports came in, or datagrams may leave.
    Post,
    Time,
    /// There are new units.
    Units,
}

/// Which units are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Wants {
    pub live: bool,
    /// Of a recording that is still being read.
    pub recorded: bool,
}

impl Scene {
    pub fn new(desk: Desk, now: MonoNs) -> Self {
        let post = Post::new(now);
        Self { viewing: None, relay: None, post, cast: None, seat: None, desk }
    }

    /// Waits until there is something to do, at the latest until `at`.
    pub async fn happening(&mut self, wants: Wants, at: Option<MonoNs>) -> Happening {
        let (post, desk) = (&self.post, &self.desk);
        tokio::select! {
            () = changed(self.viewing.as_mut().filter(|_| wants.live)) => Happening::Units,
            () = desk.changed(), if wants.recorded => Happening::Units,
            () = poll_fn(|cx| post.poll_ready(cx)) => Happening::Post,
            () = over(self.cast.as_deref()) => Happening::Over,
            () = until(at) => Happening::Time,
        }
    }

    /// Takes a seat at the group.
    pub fn sit(&mut self) {
        self.seat = self.cast.as_ref().map(Cast::sit);
    }

    /// PAUSE: a recording stays where it is.
    pub fn pause(&mut self, client: SocketAddr, now: MonoNs) {
        self.desk.pause(now);
        self.stop_viewing(client, &ASKED_TO);
    }

    /// Nothing more is shown.
    pub fn end(&mut self, client: SocketAddr, why: &dyn fmt::Display) {
        self.desk.end();
        self.stop_viewing(client, why);
    }

    /// Ends the viewing, and says so.
    fn stop_viewing(&mut self, client: SocketAddr, why: &dyn fmt::Display) {
        self.relay = None;
        if let Some(Viewing { feed, tally, .. }) = self.viewing.take() {
            let (units, skipped) = tally.counts();
            tracing::info!(%client, camera = feed.path(), units, skipped, %why, "viewer ends");
        }
        if self.seat.take().is_some() {
            tracing::info!(%client, %why, "viewer leaves the group");
        }
    }
}

impl Tally {
    /// Units that the viewer was given, and that it lost by being slow.
    pub fn counts(&self) -> (u64, u64) {
        (self.units.load(Ordering::Relaxed), self.skipped.load(Ordering::Relaxed))
    }
}

impl Viewing {
    pub fn new(feed: Arc<Feed>, viewer: Viewer) -> Self {
        Self { feed, viewer, tally: Arc::default() }
    }

    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Whether there were more units than it has taken.
    pub fn is_before(&self, end: u64) -> bool {
        self.viewer.is_before(end)
    }

    /// What has come until now is known: only what comes from now on wakes.
    pub fn look(&mut self) {
        self.viewer.changes.mark_unchanged();
    }

    /// The next unit, if there is one; `Err` when the camera sends something else now.
    pub fn next(&mut self, client: SocketAddr) -> Result<Option<Arc<Unit>>, Changed> {
        loop {
            match self.feed.take(&mut self.viewer).ok_or(Changed)? {
                Taken::Nothing => return Ok(None),
                Taken::Skipped { units } => {
                    self.tally.skipped.fetch_add(units, Ordering::Relaxed);
                    tracing::warn!(%client, camera = self.feed.path(), units,
                        "viewer is too slow: it goes on at the newest key frame");
                }
                Taken::Unit(unit) => {
                    self.tally.units.fetch_add(1, Ordering::Relaxed);
                    return Ok(Some(unit));
                }
            }
        }
    }
}

/// The camera sends something else than was set up.
#[derive(Clone, Copy, Debug)]
pub struct Changed;

async fn changed(viewing: Option<&mut Viewing>) {
    match viewing {
        // The sender lives in the feed this viewer holds, so this only ends with a change.
        Some(viewing) => drop(viewing.viewer.changes.changed().await),
        None => std::future::pending().await,
    }
}

async fn over(cast: Option<&Cast>) {
    match cast {
        Some(cast) => cast.over().await,
        None => std::future::pending().await,
    }
}
