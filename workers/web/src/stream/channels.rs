//! All cameras that can be watched live. A camera's ring is read from the first who watches until a while after the
//! last: one muxing for all of them, none for nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::name::{RingKind, RingName};
use protocol::time::MonoNs;

use super::feed::Feed;
use super::numbers::Numbers;
use super::tap::Tap;
use crate::sources::Sources;

/// A camera that nobody watched for this long is let go: a player that comes back, or asks for a list now and then,
/// finds it as it was.
const LINGERS: Duration = Duration::from_secs(20);

/// Why a camera cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum NoStream {
    #[error("no camera '{name}' among the inputs of this page")]
    UnknownCamera { name: String },
    #[error("camera '{name}' has no packet ring among the inputs of this page")]
    NoPackets { name: String },
    #[error("camera '{name}' cannot be read: {error}")]
    Reader { name: String, error: std::io::Error },
}

/// The cameras by name.
pub struct Channels {
    list: BTreeMap<String, Channel>,
    sources: Arc<dyn Sources>,
}

struct Channel {
    ring: Option<RingName>,
    /// There while somebody watches, and a while after.
    active: Mutex<Option<Active>>,
    audience: Arc<Audience>,
    numbers: Arc<Numbers>,
}

struct Active {
    feed: Arc<Feed>,
    /// Its reader ends with it.
    _tap: Tap,
}

#[derive(Debug, Default)]
struct Audience {
    count: AtomicUsize,
    /// When the last one left.
    last: AtomicU64,
}

/// Somebody watches. While it lives the camera is read.
pub struct Watch {
    pub feed: Arc<Feed>,
    audience: Arc<Audience>,
    sources: Arc<dyn Sources>,
}

impl Channels {
    /// `names` are all cameras of the page; of several packet rings of a camera the first among `inputs` is played.
    pub fn new(
        names: impl IntoIterator<Item = String>,
        inputs: &[RingName],
        sources: Arc<dyn Sources>,
    ) -> Self {
        let channel = |name: String| {
            let is_its =
                |ring: &&RingName| ring.kind() == RingKind::Packets && ring.camera() == name;
            let ring = inputs.iter().find(is_its).cloned();
            let (active, audience, numbers) = Default::default();
            (name, Channel { ring, active, audience, numbers })
        };
        Self { list: names.into_iter().map(channel).collect(), sources }
    }

    /// From now on what lists count is kept in this folder, for the process that comes after this one.
    pub fn remember(&self, folder: &Path) {
        for (name, channel) in &self.list {
            channel.numbers.keep(folder.join(format!("{name}.json")));
        }
    }

    /// Whether there is something to play of it.
    pub fn has(&self, name: &str) -> bool {
        self.list.get(name).is_some_and(|channel| channel.ring.is_some())
    }

    /// Begins to watch a camera.
    pub fn watch(&self, name: &str) -> Result<Watch, NoStream> {
        let unknown = || NoStream::UnknownCamera { name: name.to_owned() };
        let channel = self.list.get(name).ok_or_else(unknown)?;
        let no_packets = || NoStream::NoPackets { name: name.to_owned() };
        let ring = channel.ring.as_ref().ok_or_else(no_packets)?;
        let mut active = channel.active();
        let feed = match active.as_ref() {
            Some(active) => Arc::clone(&active.feed),
            None => {
                let feed = Arc::new(Feed::default());
                let (numbers, sources) = (Arc::clone(&channel.numbers), Arc::clone(&self.sources));
                let tap = Tap::open(ring, Arc::clone(&feed), numbers, sources)
                    .map_err(|error| NoStream::Reader { name: name.to_owned(), error })?;
                *active = Some(Active { feed: Arc::clone(&feed), _tap: tap });
                feed
            }
        };
        // Under the lock: `rest` must not let go of what was just found.
        channel.audience.count.fetch_add(1, Ordering::Relaxed);
        drop(active);
        let (audience, sources) = (Arc::clone(&channel.audience), Arc::clone(&self.sources));
        Ok(Watch { feed, audience, sources })
    }

    /// Lets go of every camera that nobody watches any more.
    pub fn rest(&self, now: MonoNs) {
        for channel in self.list.values() {
            let mut active = channel.active();
            if active.is_some() && channel.audience.is_gone(now) {
                *active = None;
            }
        }
    }
}

impl Channel {
    fn active(&self) -> MutexGuard<'_, Option<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audience {
    fn is_gone(&self, now: MonoNs) -> bool {
        let last = MonoNs(self.last.load(Ordering::Relaxed));
        self.count.load(Ordering::Relaxed) == 0 && now.saturating_since(last) >= LINGERS
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.audience.last.store(self.sources.now().mono.0, Ordering::Relaxed);
        self.audience.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").field("cameras", &self.list.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("audience", &self.audience).finish_non_exhaustive()
    }
}
