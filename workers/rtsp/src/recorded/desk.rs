//! One client's recordings: what its requests need is looked up before they are answered, and what it plays
//! is kept here.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::time::MonoNs;
use rtsp_types::{Method, Request, headers};

use super::address::Asked;
use super::course::{self, Course, Cue, Present};
use super::range::Unit;
use super::shelf::{NotPlayed, PATIENCE, Recorded, Shelf};
use super::showing::{Due, Showing};
use crate::feed::Feeds;
use crate::playback::Playback;
use crate::session::{Camera, Cameras, Session};
use crate::target::Target;

#[derive(Debug)]
pub struct Desk {
    shelf: Arc<Shelf>,
    client: SocketAddr,
    /// The last path that was asked for, and what there is of it: the same for every SETUP, also while the
    /// recording grows.
    found: Option<(String, Result<Recorded, NotPlayed>)>,
    /// What was set up, with its path: it can be played whatever else is asked for meanwhile.
    kept: Option<(String, Recorded)>,
    showing: Option<Showing>,
    /// What PLAY is answered, and what begins with the answer.
    cue: Option<Cue>,
    next: Option<Showing>,
}

impl Desk {
    pub fn new(shelf: Arc<Shelf>, client: SocketAddr) -> Self {
        Self { shelf, client, found: None, kept: None, showing: None, cue: None, next: None }
    }

    /// Looks up what the request needs. Live cameras need nothing.
    pub async fn prepare(&mut self, request: &Request<Vec<u8>>, session: &mut Session) {
        (self.cue, self.next) = (None, None);
        if let Some(playback) = session.playback() {
            self.keep(playback);
        }
        match request.method() {
            Method::Describe => self.find(request, session.playback().is_none()).await,
            Method::Setup => self.find(request, false).await,
            Method::Play => {
                let plays = session.playing().is_some();
                if let Some(recorded) = session.playback().and_then(|it| self.recorded(it)) {
                    self.cue = Some(self.decide(request, plays, recorded).await);
                }
            }
            _ => {}
        }
    }

    /// What the client may ask for: the cameras, and the recording that was looked up.
    pub fn cameras<'a>(&'a self, feeds: &'a Feeds) -> Known<'a> {
        Known { feeds, desk: self }
    }

    async fn find(&mut self, request: &Request<Vec<u8>>, anew: bool) {
        let Some(target) = request.request_uri().and_then(Target::of) else { return };
        let Some(asked) = Asked::of(&target.path) else { return };
        let is_found =
            self.found.as_ref().is_some_and(|(path, it)| *path == target.path && it.is_ok());
        if is_found && !anew {
            return;
        }
        let kept = self.kept.as_ref().filter(|(path, _)| *path == target.path && !anew);
        if let Some((path, recorded)) = kept {
            self.found = Some((path.clone(), Ok(recorded.clone())));
            return;
        }
        let found = self.shelf.find(asked, target.path.clone()).await;
        if let Err(why) = &found {
            tracing::info!(client = %self.client, path = target.path, %why, "no recording is played");
        }
        self.found = Some((target.path, found));
    }

    fn keep(&mut self, playback: &Playback) {
        if let Some((path, Ok(recorded))) = &self.found
            && playback.presentation() == &recorded.presentation
        {
            self.kept = Some((path.clone(), recorded.clone()));
        }
    }

    /// The recording that was set up.
    fn recorded(&self, playback: &Playback) -> Option<Recorded> {
        let (_, kept) = self.kept.as_ref()?;
        let is_set_up = playback.presentation() == &kept.presentation;
        is_set_up.then(|| kept.clone())
    }

    async fn decide(&mut self, request: &Request<Vec<u8>>, plays: bool, recorded: Recorded) -> Cue {
        // What follows a pause is told exactly.
        if let Some(showing) = self.showing.as_mut().filter(|_| !plays) {
            let _ = tokio::time::timeout(PATIENCE, showing.known()).await;
        }
        let header = |name| request.header(name).map(|value| value.as_str());
        let (range, scale) = (header(&headers::RANGE), header(&headers::SCALE));
        let present = self.showing.as_ref().map(|showing| Present {
            rest: showing.rest(),
            scale: showing.scale(),
            is_over: showing.is_over(),
        });
        let window = recorded.window;
        let request = course::Request { range, scale, plays };
        match (Course::of(request, present, window), present) {
            (Ok(Course::Seek { stretch, scale, unit }), _) => {
                match self.shelf.play(self.client, &recorded, stretch, scale).await {
                    Ok(showing) => {
                        let begins = Cue::begins(showing.rest(), scale, unit, window);
                        self.next = Some(showing);
                        begins
                    }
                    Err(why) => self.refusal(&why),
                }
            }
            (Ok(Course::Stay), Some(it)) => Cue::stays(it.rest, it.scale, window),
            (Ok(Course::Resume), Some(it)) => Cue::begins(it.rest, it.scale, Unit::Npt, window),
            _ => Cue::Invalid,
        }
    }

    fn refusal(&self, why: &NotPlayed) -> Cue {
        tracing::info!(client = %self.client, %why, "nothing is played of a recording");
        match why {
            NotPlayed::Nothing => Cue::Invalid,
            NotPlayed::OtherTracks => Cue::OtherTracks,
            NotPlayed::Busy => Cue::Busy,
            NotPlayed::Several(_) | NotPlayed::Unreadable(_) => Cue::Gone,
        }
    }

    /// PLAY was answered.
    pub fn begin(&mut self, path: &str, now: MonoNs) {
        match (self.next.take(), &mut self.showing) {
            (Some(next), _) => {
                tracing::info!(client = %self.client, path, "a recording is played");
                self.showing = Some(next);
            }
            (None, Some(showing)) => showing.resume(now),
            (None, None) => {}
        }
    }

    pub fn pause(&mut self, now: MonoNs) {
        if let Some(showing) = &mut self.showing {
            showing.pause(now);
        }
    }

    /// What is played ends.
    pub fn end(&mut self) {
        if let Some(showing) = self.showing.take() {
            tracing::info!(client = %self.client, units = showing.units, "a recording is played no more");
        }
    }

    /// How many units the client was given of what is played.
    pub fn units(&self) -> u64 {
        self.showing.as_ref().map_or(0, |showing| showing.units)
    }

    /// What is due now.
    pub fn take(&mut self, now: MonoNs) -> Due {
        self.showing.as_mut().map_or(Due::Nothing, |showing| showing.take(now))
    }

    /// Until more was read. For ever when nothing is played.
    pub async fn changed(&self) {
        match &self.showing {
            Some(showing) => showing.changed().await,
            None => std::future::pending().await,
        }
    }
}

/// Cameras, and what was recorded of one.
#[derive(Debug)]
pub struct Known<'a> {
    feeds: &'a Feeds,
    desk: &'a Desk,
}

impl Cameras for Known<'_> {
    fn camera(&self, path: &str) -> Camera {
        match &self.desk.found {
            Some((found, recorded)) if found == path => match recorded {
                Ok(recorded) => Camera::Ready(Arc::clone(&recorded.presentation)),
                Err(NotPlayed::Busy) => Camera::Silent,
                Err(_) => Camera::Unknown,
            },
            _ => self.feeds.camera(path),
        }
    }

    fn cue(&self) -> Option<&Cue> {
        self.desk.cue.as_ref()
    }
}
