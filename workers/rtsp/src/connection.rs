//! One client: bytes to the session, responses and packets to the client, and the deadlines that end whoever is silent
//! or stuck. All decisions are elsewhere; here they meet the sockets.

mod carrying;
mod entry;
mod places;
mod publishing;
mod units;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::time::MonoNs;
use rtsp_types::{Method, Request, Response, StatusCode};
use shmring::clock;
use tokio::io::Interest;

use crate::admission::Admission;
use crate::chance::{Chance, NoChance};
use crate::clients::Card;
use crate::crowd::{Seat, Welcome};
use crate::envelope::Datagrams;
use crate::house::House;
use crate::inbox::{Broken, Inbound, Inbox};
use crate::outbox::Outbox;
use crate::playback::Outlet;
use crate::recorded::desk::Desk;
use crate::reply;
use crate::scene::{ASKED_TO, Changed, Happening, Scene};
use crate::session::{Circumstances, Event, Session};
use crate::sessions::{Claim, Listed};
use crate::target::Target;
use crate::transport::Mode;
use crate::wire::{Deaf, Heard, Readiness, Wire};

use carrying::stopped;
pub use places::Estate;
use units::NOTE_EVERY;

/// What a client has to finish a request it began.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// What a client has to take a last response.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

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
    #[error("too many passwords were tried from its address")]
    Guessing,
    #[error("the client did not say who it is within ten seconds")]
    Stranger,
    #[error("its connection is closed, and so is its port")]
    Gone,
    #[error("its session went on by another connection")]
    Moved,
    #[error("it publishes: its camera's worker has it now")]
    HandedOn,
    #[error(transparent)]
    Chance(#[from] NoChance),
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Deaf(#[from] Deaf),
}

impl From<Changed> for End {
    fn from(_: Changed) -> Self {
        Self::Changed
    }
}

impl End {
    /// Whether what is waiting for the client explains it.
    fn has_last_words(&self) -> bool {
        matches!(
            self,
            Self::Broken(_) | Self::Changed | Self::Full | Self::Guessing | Self::Stranger
        )
    }

    /// Whether it is the connection that is over, and not what is sent by datagrams.
    fn leaves_session(&self) -> bool {
        matches!(self, Self::Closed | Self::Socket(_) | Self::Deaf(Deaf::Socket(_)))
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    local: SocketAddr,
    peer: SocketAddr,
    house: Arc<House>,
    /// Without a place the client is told so and let go.
    seat: Seat,
    admission: Admission,
    inbox: Inbox,
    session: Session,
    outbox: Outbox,
    scene: Scene,
    /// While the session may move.
    listed: Option<Listed>,
    /// The connection is over, and the session goes on.
    is_alone: bool,
    card: Card,
    /// When the card was last written.
    noted: MonoNs,
}

impl Connection {
    /// Of a client that came at `opened`; `ends` are our address and its.
    pub fn new(
        wire: Wire,
        ends: (SocketAddr, SocketAddr),
        house: Arc<House>,
        seat: Seat,
        opened: MonoNs,
    ) -> Self {
        let now = clock::mono();
        let lobby = Arc::clone(&house.lobby);
        let desk = Desk::new(Arc::clone(&house.shelf), ends.1);
        let spares = house.spares.clone();
        Self {
            admission: Admission::new(lobby, wire.is_secure(), opened),
            card: house.clients.welcome(ends.1, opened),
            noted: now,
            wire,
            local: ends.0,
            peer: ends.1,
            house,
            seat,
            inbox: Inbox::of_a_stranger(),
            session: Session::new(opened),
            outbox: Outbox::new(now, spares),
            scene: Scene::new(desk, now),
            listed: None,
            is_alone: false,
        }
    }

    /// These bytes were read already.
    pub fn having_heard(mut self, bytes: &[u8]) -> Self {
        self.inbox.push(bytes, clock::mono());
        self
    }

    /// The client is sent these bytes first.
    pub fn greeted_with(mut self, bytes: &[u8]) -> Self {
        self.outbox.append(clock::mono()).extend(bytes);
        self
    }

    /// Serves the client until one side has had enough.
    pub async fn serve(mut self) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        let end = if end.leaves_session() { self.go_on_alone(end).await } else { end };
        self.scene.end(self.peer, &end);
        self.last_words(&end);
        if end.has_last_words() {
            // Whether the client reads it is its own affair.
            let _ = tokio::time::timeout(GOODBYE_TIME, self.flush()).await;
        }
        self.wire.say_goodbye();
        tracing::debug!(client = %self.peer, %end, "connection over");
    }

    fn last_words(&mut self, end: &End) {
        match end {
            End::Broken(broken) => {
                let status = match broken {
                    Broken::LongMessage => StatusCode::RequestMessageBodyTooLarge,
                    Broken::LongLine | Broken::NotRtsp => StatusCode::BadRequest,
                };
                self.respond(&reply::unreadable(status));
            }
            End::Changed => {
                if let Some(playback) = self.session.playback() {
                    playback.bye(Outlet::Interleaved(self.outbox.append(clock::mono())));
                }
            }
            _ => {}
        }
    }

    async fn turn(&mut self) -> Result<(), End> {
        self.answer_requests().await?;
        self.list();
        let (wants, due) = self.add_units()?;
        if self.makes_room()? {
            return Ok(());
        }
        let carriage = self.board(wants);
        let deadline = if carriage.is_some() { self.request_ends() } else { self.deadline() };
        let at = deadline.map(|(at, _)| at).into_iter().chain(due).min();
        let interest = self.interest();
        let waking = tokio::select! {
            ready = self.wire.ready(interest) => Waking::Ready(ready),
            claim = claimed(self.listed.as_mut()) => Waking::Claim(claim),
            () = stopped(carriage.as_ref()) => Waking::Happening(Happening::Units),
            happening = self.scene.happening(wants, at) => Waking::Happening(happening),
        };
        self.alight(carriage);
        match waking {
            Waking::Ready(ready) => self.move_bytes(ready?),
            Waking::Claim(claim) => {
                self.hand_over(claim);
                Ok(())
            }
            Waking::Happening(happening) => self.react(happening, deadline),
        }
    }

    fn react(
        &mut self,
        happening: Happening,
        deadline: Option<(MonoNs, Patience)>,
    ) -> Result<(), End> {
        match happening {
            Happening::Over => Err(End::Changed),
            Happening::Post => {
                self.hear_reports();
                Ok(())
            }
            Happening::Time => self.check(deadline),
            Happening::Units => Ok(()),
        }
    }

    fn interest(&self) -> Interest {
        match (self.outbox.waiting().is_empty(), self.outbox.has_room()) {
            (true, _) => Interest::READABLE,
            (false, true) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
        }
    }

    fn move_bytes(&mut self, ready: Readiness) -> Result<(), End> {
        if ready.writable {
            self.write()?;
        }
        if ready.readable && self.outbox.has_room() {
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), End> {
        match self.wire.read()? {
            Heard::Bytes(bytes) => self.inbox.push(&bytes, clock::mono()),
            Heard::Closed => return Err(End::Closed),
            Heard::Nothing => {}
        }
        Ok(())
    }

    /// Whether something may be added that had no room before. Nearly always the socket takes what was added, and
    /// waiting to hear so costs as much as the write.
    fn makes_room(&mut self) -> Result<bool, End> {
        let had_room = self.outbox.has_room();
        if !self.outbox.waiting().is_empty() {
            self.write()?;
        }
        Ok(!had_room && self.outbox.has_room())
    }

    fn write(&mut self) -> Result<(), End> {
        let count = self.wire.write(self.outbox.waiting())?;
        if count > 0 {
            self.outbox.took(count, clock::mono());
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        while !self.outbox.waiting().is_empty() || self.wire.wants_write() {
            self.wire.writable().await?;
            self.write()?;
        }
        Ok(())
    }

    async fn flush_within(&mut self, time: Duration) -> Result<(), End> {
        let flushed = tokio::time::timeout(time, self.flush()).await;
        flushed.map_err(|_| End::Stuck)?
    }

    async fn answer_requests(&mut self) -> Result<(), End> {
        while self.outbox.has_room() {
            let now = clock::mono();
            match self.inbox.next(self.session.expects_frames(), now)? {
                Some(Inbound::Request(request)) => self.answer(&request).await?,
                Some(Inbound::Frame { channel, payload }) => {
                    self.session.hear(channel, &payload, now);
                    self.noted = MonoNs(0);
                }
                None => break,
            }
        }
        Ok(())
    }

    async fn answer(&mut self, request: &Request<Vec<u8>>) -> Result<(), End> {
        if self.seat.why != Welcome::Served {
            self.respond(&reply::full(request));
            return Err(End::Full);
        }
        if let Some(refusal) = self.refusal(request).await? {
            self.respond(&refusal);
            return Ok(());
        }
        if *request.method() == Method::Announce && self.hand_on(request).await? {
            return Ok(());
        }
        if matches!(request.method(), Method::Describe | Method::Setup) {
            self.wait_for_camera(request).await;
        }
        self.claim_named(request).await;
        self.scene.desk.prepare(request, &mut self.session).await;
        let chance = Chance::draw()?;
        let (ready, mut last) =
            (self.make_ready(request, chance.beginning), self.farewell(request));
        let around = Circumstances {
            now: clock::mono(),
            chance,
            cameras: &self.scene.desk.cameras(&self.house.feeds),
            local: self.local.ip(),
            peer: self.peer.ip(),
            reserved: ready.reserved(),
        };
        let (response, event) = self.session.answer(request, &around);
        tracing::debug!(client = %self.peer, method = ?request.method(), status = ?response.status(), "answered");
        self.admission.answered(request, response.status(), event);
        if let Event::Placed { track } = event {
            self.place(track, ready, std::mem::take(&mut last))?;
        }
        self.respond(&response);
        self.noted = MonoNs(0);
        match event {
            Event::None | Event::Placed { .. } => {}
            Event::Playing => self.begin_viewing()?,
            Event::Paused => self.scene.pause(self.peer, clock::mono()),
            Event::TornDown => self.tear_down(last),
        }
        Ok(())
    }

    fn tear_down(&mut self, last: Datagrams) {
        self.scene.end(self.peer, &ASKED_TO);
        self.scene.post.end_with(last);
        self.scene = self.empty_scene();
        self.list();
    }

    fn empty_scene(&self) -> Scene {
        Scene::new(Desk::new(Arc::clone(&self.house.shelf), self.peer), clock::mono())
    }

    /// What is sent last by datagrams when this request ends the session.
    fn farewell(&self, request: &Request<Vec<u8>>) -> Datagrams {
        let mut last = Datagrams::default();
        if *request.method() == Method::Teardown
            && self.session.mode() == Some(Mode::Unicast)
            && let Some(playback) = self.session.playback()
        {
            playback.bye(Outlet::Datagrams(&mut last));
        }
        last
    }

    /// Waits for a camera that has not been seen yet.
    async fn wait_for_camera(&self, request: &Request<Vec<u8>>) {
        let target = request.request_uri().and_then(Target::of);
        let Some(feed) = target.and_then(|target| self.house.feeds.get(&target.path)) else {
            return;
        };
        let mut changes = feed.changes();
        let seen = changes.wait_for(|_| feed.presentation().is_some());
        // Answered 503 when it does not come.
        let _ = tokio::time::timeout(self.house.camera_time, seen).await;
    }

    fn respond(&mut self, response: &Response<Vec<u8>>) {
        // Writing into memory does not fail.
        let _ = response.write(self.outbox.append(clock::mono()));
    }

    /// The first instant at which patience ends, or there is something to do.
    fn deadline(&self) -> Option<(MonoNs, Patience)> {
        let reports = self.session.playback().filter(|_| self.wants_units());
        // Of a group nothing else wakes, and its viewers' reports are fetched.
        let in_group =
            self.scene.cast.as_ref().map(|_| (self.noted + NOTE_EVERY, Patience::Endless));
        let deadlines = [
            self.outbox.stuck_at().map(|at| (at, Patience::Stuck)),
            self.request_ends(),
            self.session.silent_until().map(|at| (at, Patience::Silent)),
            self.admission.stranger_until().map(|at| (at, Patience::Stranger)),
            self.scene.post.next_send().map(|at| (at, Patience::Endless)),
            reports.and_then(|it| it.next_report()).map(|at| (at, Patience::Endless)),
            in_group,
        ];
        deadlines.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Of who is carried nothing else is waited for: it plays over TCP, and its relay reports to it.
    fn request_ends(&self) -> Option<(MonoNs, Patience)> {
        self.inbox.begun().map(|begun| (begun + REQUEST_TIME, Patience::Silent))
    }

    fn check(&mut self, deadline: Option<(MonoNs, Patience)>) -> Result<(), End> {
        let Some((at, patience)) = deadline else { return Ok(()) };
        if clock::mono() < at {
            return Ok(());
        }
        match patience {
            Patience::Endless => Ok(()),
            Patience::Silent => Err(End::Silent),
            Patience::Stranger => Err(End::Stranger),
            Patience::Stuck => Err(End::Stuck),
        }
    }
}

/// Why a connection that slept goes on.
#[derive(Debug)]
enum Waking {
    Claim(Claim),
    Happening(Happening),
    Ready(io::Result<Readiness>),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// Something is to be sent; nobody is late.
    Endless,
    Silent,
    Stranger,
    Stuck,
}

async fn claimed(listed: Option<&mut Listed>) -> Claim {
    match listed.map(|listed| &mut listed.claims) {
        Some(claims) => match claims.recv().await {
            Some(claim) => claim,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
