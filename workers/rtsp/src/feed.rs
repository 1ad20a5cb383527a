//! One camera as its viewers see it: what can be served, and the newest units. Written by the
//! camera's reader thread, read by every connection; the lock is held for a few pointer moves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::time::MonoNs;
use tokio::sync::watch;

use crate::history::{Cursor, History, Taken};
use crate::onvif::device::Picture;
use crate::sdp::Presentation;
use crate::session::{Camera, Cameras};
use crate::unit::Unit;

/// All cameras by path.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    cameras: BTreeMap<String, Arc<Feed>>,
    doors: Option<Arc<PathBuf>>,
}

impl Feeds {
    pub fn get(&self, path: &str) -> Option<&Arc<Feed>> {
        self.cameras.get(path)
    }

    /// All of them, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Feed> {
        self.cameras.values().map(AsRef::as_ref)
    }

    /// Whoever publishes to one of the cameras is handed on by a door in this folder.
    pub fn with_doors(self, doors: PathBuf) -> Self {
        Self { doors: Some(Arc::new(doors)), ..self }
    }

    pub fn doors(&self) -> Option<&Path> {
        self.doors.as_ref().map(|doors| doors.as_path())
    }
}

impl FromIterator<Arc<Feed>> for Feeds {
    fn from_iter<I: IntoIterator<Item = Arc<Feed>>>(feeds: I) -> Self {
        let cameras = feeds.into_iter().map(|feed| (feed.path.clone(), feed)).collect();
        Self { cameras, doors: None }
    }
}

impl Cameras for Feeds {
    fn camera(&self, path: &str) -> Camera {
        match self.get(path).map(|feed| feed.presentation()) {
            Some(Some(presentation)) => Camera::Ready(presentation),
            Some(None) => Camera::Silent,
            None => Camera::Unknown,
        }
    }
}

/// A camera.
#[derive(Debug)]
pub struct Feed {
    /// The path of its URL.
    path: String,
    state: Mutex<State>,
    /// Raised at every change; connections sleep on it.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    presentation: Option<Arc<Presentation>>,
    /// What there is to see, for who looks for cameras.
    picture: Option<Picture>,
    history: History,
}

/// A viewer's place. While there is one the feed is watched, and more of it is kept.
#[derive(Debug)]
pub struct Viewer {
    presentation: Arc<Presentation>,
    cursor: Cursor,
    /// Wakes at every change.
    pub changes: watch::Receiver<u64>,
}

impl Viewer {
    /// Whether there were more units than the viewer has taken.
    pub fn is_before(&self, end: u64) -> bool {
        self.cursor.is_before(end)
    }
}

impl State {
    /// The current presentation, if it is this one.
    fn presented(&self, wanted: &Arc<Presentation>) -> Option<&Arc<Presentation>> {
        self.presentation.as_ref().filter(|current| Arc::ptr_eq(current, wanted))
    }
}

impl Feed {
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), state: Mutex::default(), changes: watch::Sender::new(0) }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// What may be set up; `None` until the camera has been seen. It stays while the camera is down.
    pub fn presentation(&self) -> Option<Arc<Presentation>> {
        self.state().presentation.clone()
    }

    /// States what the camera sends. The same again changes nothing: viewers go on. Something else
    /// begins a new log, and viewers of the old presentation are sent away to describe anew.
    pub fn present(&self, presentation: Presentation) {
        let mut state = self.state();
        if state.presentation.as_deref() != Some(&presentation) {
            state.presentation = Some(Arc::new(presentation));
            state.history = History::default();
            drop(state);
            self.raise();
        }
    }

    /// States what its pictures are like.
    pub fn describe(&self, picture: Option<Picture>) {
        self.state().picture = picture;
    }

    /// `None` until the camera has been seen, and of one without pictures.
    pub fn picture(&self) -> Option<Picture> {
        self.state().picture
    }

    pub fn publish(&self, unit: Unit, now: MonoNs) {
        let watched = self.changes.receiver_count() > 0;
        self.state().history.push(Arc::new(unit), now, watched);
        self.raise();
    }

    /// A place among the viewers of `presentation`; `None` when the camera sends something else now.
    pub fn join(&self, presentation: &Arc<Presentation>) -> Option<Viewer> {
        let state = self.state();
        let presentation = state.presented(presentation)?.clone();
        Some(Viewer { presentation, cursor: state.history.join(), changes: self.changes() })
    }

    /// What the viewer is given next; `None` when the camera sends something else now.
    pub fn take(&self, viewer: &mut Viewer) -> Option<Taken> {
        let state = self.state();
        state.presented(&viewer.presentation)?;
        Some(state.history.take(&mut viewer.cursor))
    }

    /// How many units there were until now.
    pub fn end(&self) -> u64 {
        self.state().history.end()
    }

    /// Wakes at every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn raise(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way; a poisoned lock still guards whole data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
