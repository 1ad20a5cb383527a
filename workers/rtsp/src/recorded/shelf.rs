//! Where the recordings are that are played, and how much of reading goes on at once: whatever people look
//! at, the disk is the recorder's first. Every look and every playing is a thread of its own, so that a disk
//! that does not answer holds up nobody else, and not the end of this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use protocol::config::Shelf as Told;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::address::Asked;
use super::belt::{Given, belt};
use super::range::{Scale, Stretch, Window};
use super::showing::Showing;
use super::spool::{self, Order, PART_NS, Strip};
use crate::crowd::Crowd;
use crate::sdp::Presentation;

/// Looks at what there is at once: each reads an index and some headers.
const LOOKS_MAX: usize = 4;
/// Clients that play recordings at once, of which each has a thread and reads ahead some MiB.
const PLAYS_MAX: usize = 32;
/// Of one address, but of this machine: it takes two to keep others from recordings.
const PLAYS_SHARE: usize = 16;
/// A look waits so long for its turn, and so long for the disk: less than clients wait for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The recordings.
#[derive(Debug)]
pub struct Shelf {
    told: Told,
    looks: Arc<Semaphore>,
    plays: Crowd,
}

/// What was found of a path.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub presentation: Arc<Presentation>,
    pub window: Window,
    folder: PathBuf,
}

/// Why nothing is played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlayed {
    #[error("nothing is recorded of it, or not at this time")]
    Nothing,
    #[error("no recordings are played here: name one of the recorders {} in 'recordings:'", .0.join(", "))]
    Several(Vec<String>),
    #[error("the tracks were others at that time")]
    OtherTracks,
    #[error("too many look at recordings at this moment, or the disk does not answer")]
    Busy,
    #[error("{0}")]
    Unreadable(String),
}

impl From<recordings::Error> for NotPlayed {
    fn from(error: recordings::Error) -> Self {
        if error.is_gone() { Self::Nothing } else { Self::Unreadable(error.to_string()) }
    }
}

impl Shelf {
    pub fn new(told: Told) -> Self {
        let looks = Arc::new(Semaphore::new(LOOKS_MAX));
        Self { told, looks, plays: Crowd::shared(PLAYS_MAX, PLAYS_SHARE) }
    }

    /// What there is of a path; `path` is what it is called.
    pub async fn find(&self, asked: Asked, path: String) -> Result<Recorded, NotPlayed> {
        let folder = self.folder(&asked)?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.looks).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(NotPlayed::Busy)?;
        apart(turn, move || look(folder, &asked, &path)).await
    }

    /// Begins to read a stretch of what was found, for who comes from `client`.
    pub async fn play(
        &self,
        client: SocketAddr,
        recorded: &Recorded,
        stretch: Stretch,
        scale: Scale,
    ) -> Result<Showing, NotPlayed> {
        let seat = self.plays.serve(client).ok_or(NotPlayed::Busy)?;
        let (giver, taker) = belt();
        let (folder, presentation) = (recorded.folder.clone(), Arc::clone(&recorded.presentation));
        let order = Order { folder, stretch, scale, presentation, part_ns: PART_NS };
        spawn(move || {
            spool::run(order, &giver);
            drop(seat);
        })?;
        let first = async {
            loop {
                match taker.take() {
                    Given::Item(Strip::Shown(first)) => return Ok(first),
                    Given::Item(Strip::Changed) => return Err(NotPlayed::OtherTracks),
                    Given::Over => return Err(NotPlayed::Nothing),
                    Given::NotYet => taker.changed().await,
                }
            }
        };
        let first = tokio::time::timeout(PATIENCE, first).await.map_err(|_| NotPlayed::Busy)??;
        Ok(Showing::new(taker, first, stretch.to, scale))
    }

    fn folder(&self, asked: &Asked) -> Result<PathBuf, NotPlayed> {
        match &self.told {
            Told::At(root) => Ok(root.join(&asked.camera)),
            Told::None => Err(NotPlayed::Nothing),
            Told::Several(names) => Err(NotPlayed::Several(names.clone())),
        }
    }
}

fn look(folder: PathBuf, asked: &Asked, path: &str) -> Result<Recorded, NotPlayed> {
    let [earliest, latest] = [0, u64::MAX].map(protocol::time::UtcNs);
    let wanted = Stretch { from: asked.from.unwrap_or(earliest), to: asked.to.unwrap_or(latest) };
    let recorded = spool::stretches(&folder, wanted)?;
    let begin = recorded.iter().map(|(from, _)| *from).min().ok_or(NotPlayed::Nothing)?;
    let to = recorded.iter().map(|(_, to)| *to).max().ok_or(NotPlayed::Nothing)?;
    let stretch = Stretch { from: begin, to };
    let first = spool::beginning(&folder, stretch)?.ok_or(NotPlayed::Nothing)?;
    let window = Window { from: first.capture, to };
    if window.from >= window.to {
        return Err(NotPlayed::Nothing);
    }
    let presentation = Arc::new(Presentation::recorded(path, &first.streams, window));
    Ok(Recorded { presentation, window, folder })
}

/// Does the work in a thread of its own. Who waits no longer leaves it behind, with its turn.
async fn apart<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, NotPlayed> + Send + 'static,
) -> Result<T, NotPlayed> {
    let (told, answer) = oneshot::channel();
    spawn(move || {
        // Nobody may wait for it any more.
        let _ = told.send(work());
        drop(turn);
    })?;
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Err(NotPlayed::Unreadable("reading failed".to_owned())),
        Err(_) => Err(NotPlayed::Busy),
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), NotPlayed> {
    let thread = thread::Builder::new().name("recording".into()).spawn(work);
    thread.map(drop).map_err(|error| {
        tracing::warn!(%error, "no thread for a recording");
        NotPlayed::Busy
    })
}
