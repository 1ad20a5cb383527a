//! One client's socket: bytes to the session, responses and units to the client, and the deadlines
//! that end whoever is silent or stuck. All decisions are elsewhere; here they meet the socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::time::MonoNs;
use rtsp_types::{Method, Request, Response, StatusCode};
use shmring::clock;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::chance::{Chance, NoChance};
use crate::feed::{Feed, Feeds, Viewer};
use crate::history::Taken;
use crate::inbox::{Broken, Inbound, Inbox};
use crate::outbox::Outbox;
use crate::recorded::desk::Desk;
use crate::recorded::showing::Due;
use crate::reply;
use crate::session::{Circumstances, Event, Session};
use crate::target::Target;

/// What a client has to finish a request it began.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// What the first request for a camera waits for it to be seen: a server that was just restarted has
/// its rings within milliseconds, and must not turn away who reconnects at once.
const CAMERA_TIME: Duration = Duration::from_secs(2);
/// What a client has to take a last response.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 4 << 10;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum End {
    #[error("the client closed it")]
    Closed,
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the client was silent for too long")]
    Silent,
    #[error("the client took nothing for ten seconds")]
    Stuck,
    #[error("the camera's stream changed: the client has to describe it anew")]
    Changed,
    #[error("all places for clients are taken")]
    Full,
    #[error(transparent)]
    Chance(#[from] NoChance),
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
    feeds: Feeds,
    /// Whether there is a place for this client; without one it is told so and let go.
    admitted: bool,
    inbox: Inbox,
    session: Session,
    outbox: Outbox,
    viewing: Option<Viewing>,
    desk: Desk,
}

/// What the client watches.
#[derive(Debug)]
struct Viewing {
    feed: Arc<Feed>,
    viewer: Viewer,
    units: u64,
    skipped: u64,
}

impl Connection {
    pub fn new(
        socket: TcpStream,
        peer: SocketAddr,
        feeds: Feeds,
        desk: Desk,
        admitted: bool,
    ) -> io::Result<Self> {
        // A unit is one write; nothing is gained by waiting for more.
        socket.set_nodelay(true)?;
        let now = clock::mono();
        Ok(Self {
            local: socket.local_addr()?,
            socket,
            peer,
            feeds,
            admitted,
            inbox: Inbox::default(),
            session: Session::new(now),
            outbox: Outbox::new(now),
            viewing: None,
            desk,
        })
    }

    /// Serves the client until one side has had enough.
    pub async fn serve(mut self) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        self.stop_viewing(&end);
        self.desk.end();
        if let End::Broken(broken) = &end {
            let status = match broken {
                Broken::LongMessage => StatusCode::RequestMessageBodyTooLarge,
                Broken::LongLine | Broken::NotRtsp => StatusCode::BadRequest,
            };
            self.respond(&reply::unreadable(status));
        }
        if matches!(end, End::Broken(_) | End::Full) {
            // Whether the client reads it is its own affair.
            let _ = tokio::time::timeout(GOODBYE_TIME, self.flush()).await;
        }
        tracing::debug!(client = %self.peer, %end, "connection over");
    }

    async fn turn(&mut self) -> Result<(), End> {
        self.answer_requests().await?;
        self.add_units()?;
        let recorded = self.add_recorded()?;
        let deadline = self.deadline();
        let interest = self.interest();
        let due = if let Due::At(at) = recorded { Some(at) } else { None };
        let next = deadline.map(|(at, _)| at).into_iter().chain(due).min();
        let wait = next.map(|at| at.saturating_since(clock::mono()));
        let wants_units = self.outbox.has_room();
        let is_read = matches!(recorded, Due::NotYet);
        tokio::select! {
            ready = self.socket.ready(interest) => self.move_bytes(ready?),
            () = changed(self.viewing.as_mut().filter(|_| wants_units)) => Ok(()),
            () = self.desk.changed(), if is_read => Ok(()),
            () = sleep(wait) => self.check(deadline),
        }
    }

    fn interest(&self) -> Interest {
        match (self.outbox.waiting().is_empty(), self.outbox.has_room()) {
            (true, _) => Interest::READABLE,
            (false, true) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
        }
    }

    fn move_bytes(&mut self, ready: tokio::io::Ready) -> Result<(), End> {
        if ready.is_writable() {
            self.write()?;
        }
        if ready.is_readable() && self.outbox.has_room() {
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), End> {
        let mut bytes = [0; READ_BYTES];
        match self.socket.try_read(&mut bytes) {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                self.inbox.push(&bytes[..count], clock::mono());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self) -> Result<(), End> {
        match self.socket.try_write(self.outbox.waiting()) {
            Ok(count) => {
                self.outbox.took(count, clock::mono());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        while !self.outbox.waiting().is_empty() {
            self.socket.writable().await?;
            self.write()?;
        }
        Ok(())
    }

    async fn answer_requests(&mut self) -> Result<(), End> {
        while self.outbox.has_room() {
            let now = clock::mono();
            match self.inbox.next(self.session.expects_frames(), now)? {
                Some(Inbound::Request(request)) => self.answer(&request).await?,
                Some(Inbound::Frame { channel, payload }) => {
                    self.session.hear(channel, &payload, now)
                }
                None => break,
            }
        }
        Ok(())
    }

    async fn answer(&mut self, request: &Request<Vec<u8>>) -> Result<(), End> {
        if !self.admitted {
            self.respond(&reply::full(request));
            return Err(End::Full);
        }
        if matches!(request.method(), Method::Describe | Method::Setup) {
            self.wait_for_camera(request).await;
        }
        self.desk.prepare(request, &mut self.session).await;
        let around = Circumstances {
            now: clock::mono(),
            chance: Chance::draw()?,
            cameras: &self.desk.cameras(&self.feeds),
            local: self.local.ip().to_canonical(),
        };
        let (response, event) = self.session.answer(request, &around);
        tracing::debug!(client = %self.peer, method = ?request.method(), status = ?response.status(), "answered");
        self.respond(&response);
        match event {
            Event::None => Ok(()),
            Event::Playing => self.begin_viewing(),
            Event::Paused | Event::TornDown => {
                self.stop_recorded(event);
                self.stop_viewing(&"the client asked to");
                Ok(())
            }
        }
    }

    /// Waits for a camera that has not been seen yet.
    async fn wait_for_camera(&self, request: &Request<Vec<u8>>) {
        let target = request.request_uri().and_then(Target::of);
        let Some(feed) = target.and_then(|target| self.feeds.get(&target.path)) else { return };
        let mut changes = feed.changes();
        let seen = changes.wait_for(|_| feed.presentation().is_some());
        // Answered 503 when it does not come.
        let _ = tokio::time::timeout(CAMERA_TIME, seen).await;
    }

    fn respond(&mut self, response: &Response<Vec<u8>>) {
        // Writing into memory does not fail.
        let _ = response.write(self.outbox.append(clock::mono()));
    }

    fn begin_viewing(&mut self) -> Result<(), End> {
        let Some(playback) = self.session.playing() else { return Ok(()) };
        let presentation = playback.presentation();
        if presentation.window().is_some() {
            self.desk.begin(presentation.path(), clock::mono());
            return Ok(());
        }
        let feed = self.feeds.get(presentation.path()).ok_or(End::Changed)?;
        let viewer = feed.join(presentation).ok_or(End::Changed)?;
        tracing::info!(client = %self.peer, camera = feed.path(), "viewer begins");
        self.viewing = Some(Viewing { viewer, feed: Arc::clone(feed), units: 0, skipped: 0 });
        Ok(())
    }

    fn stop_viewing(&mut self, why: &dyn fmt::Display) {
        if let Some(Viewing { feed, units, skipped, .. }) = self.viewing.take() {
            tracing::info!(client = %self.peer, camera = feed.path(), units, skipped, %why, "viewer ends");
        }
    }

    /// Appends units while the client takes them.
    fn add_units(&mut self) -> Result<(), End> {
        let (Some(viewing), Some(playback)) = (&mut self.viewing, self.session.playing()) else {
            return Ok(());
        };
        viewing.viewer.changes.mark_unchanged();
        while self.outbox.has_room() {
            match viewing.feed.take(&mut viewing.viewer).ok_or(End::Changed)? {
                Taken::Unit(unit) => {
                    let now = clock::mono();
                    playback.write(&unit, now, self.outbox.append(now));
                    viewing.units += 1;
                }
                Taken::Skipped { units } => {
                    viewing.skipped += units;
                    tracing::warn!(client = %self.peer, camera = viewing.feed.path(), units,
                        "viewer is too slow: it goes on at the newest key frame");
                }
                Taken::Nothing => break,
            }
        }
        Ok(())
    }

    /// Appends what is due of a recording, and says what is next.
    fn add_recorded(&mut self) -> Result<Due, End> {
        while self.outbox.has_room() {
            let now = clock::mono();
            let Some(playback) = self.session.playing() else { break };
            match self.desk.take(now) {
                Due::Unit(unit) => playback.write(&unit, now, self.outbox.append(now)),
                Due::Over => {
                    playback.goodbye(self.outbox.append(now));
                    self.session.ended(now);
                }
                Due::Changed => return Err(End::Changed),
                due => return Ok(due),
            }
        }
        Ok(Due::Nothing)
    }

    fn stop_recorded(&mut self, event: Event) {
        match event {
            Event::TornDown => self.desk.end(),
            _ => self.desk.pause(clock::mono()),
        }
    }

    /// The first instant at which patience ends, and with what.
    fn deadline(&self) -> Option<(MonoNs, Patience)> {
        let deadlines = [
            self.outbox.stuck_at().map(|at| (at, Patience::Stuck)),
            self.inbox.begun().map(|begun| (begun + REQUEST_TIME, Patience::Silent)),
            self.session.silent_until().map(|at| (at, Patience::Silent)),
        ];
        deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn check(&self, deadline: Option<(MonoNs, Patience)>) -> Result<(), End> {
        match deadline {
            Some((at, patience)) if clock::mono() >= at => Err(match patience {
                Patience::Silent => End::Silent,
                Patience::Stuck => End::Stuck,
            }),
            _ => Ok(()),
        }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug)]
enum Patience {
    Silent,
    Stuck,
}

async fn changed(viewing: Option<&mut Viewing>) {
    match viewing {
        // The sender lives in the feed this viewer holds, so this only ends with a change.
        Some(viewing) => drop(viewing.viewer.changes.changed().await),
        None => std::future::pending().await,
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
