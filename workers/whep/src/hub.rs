//! The one owner of all viewers: their socket, what is asked of them, and their time.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use protocol::config::WebrtcConfig;
use protocol::name::{ProjectName, RingName};
use str0m::Input;
use str0m::net::{Protocol, Receive};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, watch};

use crate::answer::{Asked, answer};
use crate::chance::Chance;
use crate::command::{Command, Wanted, refuse};
use crate::door::Answered;
use crate::feed::{Feed, Shown};
use crate::figures::Figures;
use crate::moment::{Clock, Moment};
use crate::refusal::Refusal;
use crate::tap::Tap;
use crate::viewer::{End, Viewer};
use crate::wire::{open, say_all, send};

/// An offer waits this long for the first packet of its camera: a ring that flows has one at once.
const FIRST_PACKET: Duration = Duration::from_secs(3);
/// A ring is read on for so long after its last viewer: who loads a page again finds it read.
const LINGERS: Duration = Duration::from_secs(10);
/// Longest sleep, for what nobody tells: a tap that ended, a client that hung up.
const LOOK: Duration = Duration::from_millis(200);
/// Datagrams read at one go.
const READ_MAX: usize = 256;
/// Larger ones are not of WebRTC: paths of the Internet carry 1500.
const DATAGRAM_MAX: usize = 2_048;
/// Pause before the address is tried again, which another process has.
const BIND_RETRY: Duration = Duration::from_millis(500);

/// What the hub is of.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) project: ProjectName,
    /// Name of the worker, shown as a reader's name.
    pub(crate) reader: String,
    pub(crate) rings: BTreeMap<String, RingName>,
    pub(crate) config: WebrtcConfig,
    /// Where media goes from and to.
    pub(crate) listen: SocketAddr,
}

/// Ends of the hub that its thread keeps.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) figures: Arc<Mutex<Figures>>,
}

/// Serves until told to stop.
pub(crate) async fn run(setup: Setup, mut ends: Ends) {
    let Some(socket) = bind(&setup, &mut ends).await else { return };
    let port = socket.local_addr().map_or_else(|_| setup.listen.port(), |address| address.port());
    tracing::info!(address = %setup.listen.ip(), port, "WebRTC goes by this UDP port");
    let mut hub = Hub::new(setup, port, ends.figures);
    let wake = Arc::clone(&hub.wake);
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let due = tokio::time::Instant::from_std(hub.due());
        tokio::select! {
            biased;
            _ = ends.stop.wait_for(|stop| *stop) => break,
            command = ends.commands.recv() => match command {
                Some(command) => hub.obey(command),
                None => break,
            },
            _ = socket.readable() => hub.read(&socket, &mut buffer),
            _ = socket.writable(), if hub.is_blocked => hub.is_blocked = false,
            () = wake.notified() => {}
            () = tokio::time::sleep_until(due) => {}
        }
        hub.turn(&socket);
    }
    hub.end(&socket);
}

/// The socket. A port that a process before us still has is waited for, and who asks meanwhile is told so.
async fn bind(setup: &Setup, ends: &mut Ends) -> Option<UdpSocket> {
    let mut told = false;
    loop {
        let error = match open(setup.listen) {
            Ok(socket) => return Some(socket),
            Err(error) => error,
        };
        let why = format!("UDP {}: {error}", setup.listen);
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("{why}; WebRTC waits for it (webrtc.listen)");
        }
        tokio::select! {
            _ = ends.stop.wait_for(|stop| *stop) => return None,
            command = ends.commands.recv() => refuse(command?, &why),
            () = tokio::time::sleep(BIND_RETRY) => {}
        }
    }
}

/// A camera.
#[derive(Debug)]
struct Source {
    ring: RingName,
    /// While somebody watches.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    feed: Arc<Feed>,
    tap: Tap,
    /// When it was last needed.
    needed: Instant,
}

#[derive(Debug)]
struct Hub {
    setup: Setup,
    port: u16,
    clock: Clock,
    sources: BTreeMap<String, Source>,
    viewers: BTreeMap<String, Viewer>,
    waiting: Vec<(Wanted, Instant)>,
    figures: Arc<Mutex<Figures>>,
    wake: Arc<Notify>,
    /// The kernel took no datagram.
    is_blocked: bool,
}

impl Hub {
    fn new(setup: Setup, port: u16, figures: Arc<Mutex<Figures>>) -> Self {
        let source = |ring: &RingName| Source { ring: ring.clone(), open: None };
        let sources = setup.rings.iter().map(|(camera, ring)| (camera.clone(), source(ring)));
        Self {
            port,
            clock: Clock::begin(),
            sources: sources.collect(),
            viewers: BTreeMap::new(),
            waiting: Vec::new(),
            figures,
            wake: Arc::new(Notify::new()),
            is_blocked: false,
            setup,
        }
    }

    /// When something is to be done that nobody asks for.
    fn due(&self) -> Instant {
        let now = self.clock.now().instant;
        let latest = now + LOOK;
        if self.is_blocked {
            return latest;
        }
        self.viewers.values().map(|viewer| viewer.due(now)).fold(latest, Instant::min)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Leave { camera, id, reply } => {
                let is_it = |it: &&mut Viewer| it.camera == camera && it.end().is_none();
                let viewer = self.viewers.get_mut(&id).filter(is_it);
                let is_there = viewer.map(|viewer| viewer.finish(End::Left)).is_some();
                // Who asked may have gone.
                let _ = reply.send(is_there);
            }
            Command::Offer(wanted) => self.consider(wanted),
            Command::Viewers { reply } => {
                let now = self.clock.now().instant;
                let there = self.viewers.values().filter_map(|viewer| viewer.figures(now));
                let _ = reply.send(there.collect());
            }
        }
    }

    fn consider(&mut self, wanted: Wanted) {
        let now = self.clock.now().instant;
        match self.admit(&wanted.camera, wanted.caller.origin, now) {
            Ok(()) => self.waiting.push((wanted, now + FIRST_PACKET)),
            Err(refusal) => self.reply(wanted, Err(refusal)),
        }
    }

    /// Whether there is a place for a viewer of `camera`; its ring is read from now on.
    fn admit(&mut self, camera: &str, origin: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.seat(origin)?;
        let Some(source) = self.sources.get_mut(camera) else {
            return Err(Refusal::UnknownCamera { camera: camera.to_owned() });
        };
        if let Some(open) = &mut source.open {
            open.needed = now;
            return Ok(());
        }
        let feed = Arc::new(Feed::new(Arc::clone(&self.wake)));
        let Setup { project, reader, .. } = &self.setup;
        let tap = Tap::open(project, &source.ring, reader, Arc::clone(&feed))
            .map_err(|error| Refusal::Closed { why: format!("no thread: {error}") })?;
        source.open = Some(Open { feed, tap, needed: now });
        Ok(())
    }

    /// Whether there is a place for who comes from `origin`. Who never comes has one too, for as long as may be.
    fn seat(&self, origin: IpAddr) -> Result<(), Refusal> {
        let most = usize::try_from(self.setup.config.max_viewers).unwrap_or(usize::MAX);
        let asking = self.waiting.iter().map(|(wanted, _)| wanted.caller.origin);
        let inside = self.viewers.values().map(|viewer| viewer.origin).chain(asking);
        if self.viewers.len() + self.waiting.len() >= most {
            return Err(Refusal::Full { viewers: most });
        }
        let share = share(origin, most);
        if inside.filter(|other| *other == origin).count() >= share {
            return Err(Refusal::TooMany { viewers: share });
        }
        Ok(())
    }

    /// Takes what has come for viewers. What is of none of them is nobody's.
    fn read(&mut self, socket: &UdpSocket, buffer: &mut [u8]) {
        for _ in 0..READ_MAX {
            let (bytes, source) = match socket.try_recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A viewer that has gone: its host says so of what we sent.
                Err(_) => continue,
            };
            let at = self.clock.now().instant;
            let ours = SocketAddr::new(self.setup.listen.ip(), self.port);
            let parsed = || Receive::new(Protocol::Udp, source, ours, &buffer[..bytes]).ok();
            let Some(datagram) = unharmed(parsed) else { continue };
            let input = Input::Receive(at, datagram);
            let takes = |viewer: &Viewer| unharmed(|| viewer.accepts(&input).then_some(()));
            if let Some(viewer) = self.viewers.values_mut().find(|it| takes(it).is_some()) {
                guarded(viewer, |viewer| viewer.receive(input));
            }
        }
    }

    /// Everything that is due now.
    fn turn(&mut self, socket: &UdpSocket) {
        let now = self.clock.now();
        self.answer_waiting(&now);
        for viewer in self.viewers.values_mut() {
            let open = self.sources.get_mut(&viewer.camera).and_then(|it| it.open.as_mut());
            match open {
                Some(open) => {
                    open.needed = now.instant;
                    guarded(viewer, |viewer| viewer.go_on(&now, &open.feed));
                }
                None => viewer.finish(End::Failed("its camera is not read any more".to_owned())),
            }
            if !self.is_blocked {
                self.is_blocked = send(viewer, socket, &now);
            }
        }
        self.count();
        self.see_off(socket);
        self.rest(now.instant);
    }

    fn answer_waiting(&mut self, now: &Moment) {
        for (wanted, deadline) in std::mem::take(&mut self.waiting) {
            if wanted.reply.is_closed() {
                continue;
            }
            let source = self.sources.get_mut(&wanted.camera);
            let Some(open) = source.and_then(|source| source.open.as_mut()) else {
                let why = "its ring cannot be read; the log says why".to_owned();
                let refusal = Refusal::Silent { camera: wanted.camera.clone(), why };
                self.reply(wanted, Err(refusal));
                continue;
            };
            open.needed = now.instant;
            let shown = open.feed.shown();
            match shown {
                Shown::Nothing { .. } if now.instant < deadline => {
                    self.waiting.push((wanted, deadline));
                }
                shown => {
                    let answered = self.answer(&wanted, &shown, now);
                    self.reply(wanted, answered);
                }
            }
        }
    }

    fn answer(
        &mut self,
        wanted: &Wanted,
        shown: &Shown,
        now: &Moment,
    ) -> Result<Answered, Refusal> {
        let camera = wanted.camera.clone();
        let (edition, lineup) = match shown {
            Shown::Nothing { why } => return Err(Refusal::Silent { camera, why: why.clone() }),
            Shown::Unfit { why } => return Err(Refusal::Unfit { camera, why: why.clone() }),
            Shown::Ready { edition, lineup } => (*edition, lineup),
        };
        let local = self.addresses(wanted.caller.reached);
        let chance = Chance::draw()?;
        let (origin, chance_of) = (wanted.caller.origin, [chance.audio, chance.video]);
        let asked = Asked { camera: &camera, origin, edition, lineup, local, chance: chance_of };
        let (viewer, sdp) = answer(&wanted.offer, &asked, now.instant)?;
        self.viewers.insert(chance.id.clone(), viewer);
        tracing::info!(camera, viewers = self.viewers.len(), "a viewer by WebRTC");
        Ok(Answered { id: chance.id, sdp, left_out: lineup.left_out.clone() })
    }

    /// Where viewers are told to send: what the topology says, else the address of the socket, else the one by
    /// which the request came.
    fn addresses(&self, reached: Option<IpAddr>) -> Vec<SocketAddr> {
        let listen = self.setup.listen.ip();
        let told = &self.setup.config.addresses;
        let told = if !told.is_empty() {
            told.clone()
        } else if !listen.is_unspecified() {
            vec![listen]
        } else {
            vec![reached.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical()]
        };
        told.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()
    }

    /// Who asked may have gone: then its viewer never comes, which ends it.
    fn reply(&mut self, wanted: Wanted, answered: Result<Answered, Refusal>) {
        if let Err(refusal) = &answered {
            tracing::info!(camera = wanted.camera, %refusal, "no viewer by WebRTC");
            self.figures().refused += 1;
        }
        let _ = wanted.reply.send(answered);
    }

    /// Moves what viewers counted into the figures.
    fn count(&mut self) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.cameras.values_mut().for_each(|camera| camera.viewers = 0);
        for viewer in self.viewers.values_mut() {
            let counted = figures.cameras.entry(viewer.camera.clone()).or_default();
            counted.add(&viewer.take_tally());
            counted.viewers += usize::from(viewer.end().is_none());
        }
    }

    /// Says goodbye to those who are no more.
    fn see_off(&mut self, socket: &UdpSocket) {
        let gone = self.viewers.extract_if(.., |_, viewer| viewer.end().is_some());
        for (_, mut viewer) in gone {
            let why = viewer.end().map(ToString::to_string).unwrap_or_default();
            tracing::info!(camera = viewer.camera, why, "a viewer by WebRTC is gone");
            guarded(&mut viewer, Viewer::close);
            say_all(&mut viewer, socket);
        }
    }

    /// Stops reading rings that nobody watches, and those that cannot be read.
    fn rest(&mut self, now: Instant) {
        for source in self.sources.values_mut() {
            let over = |open: &mut Open| {
                open.tap.has_ended() || now.saturating_duration_since(open.needed) > LINGERS
            };
            drop(source.open.take_if(over));
        }
    }

    /// Ends all: viewers are told, and who waits for an answer, too.
    fn end(&mut self, socket: &UdpSocket) {
        for (wanted, _) in std::mem::take(&mut self.waiting) {
            refuse(Command::Offer(wanted), "this worker stops");
        }
        for mut viewer in std::mem::take(&mut self.viewers).into_values() {
            guarded(&mut viewer, Viewer::close);
            say_all(&mut viewer, socket);
        }
        self.count();
    }

    fn figures(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of `most` places one origin may have: half of them, so that it takes two to take all. Programs of this
/// machine share one address, and so does who comes through a proxy on it that nobody named.
fn share(origin: IpAddr, most: usize) -> usize {
    if origin.is_loopback() { most } else { most.div_ceil(2) }
}

/// What only looks at a datagram: where the WebRTC stack panics over it, it is not for that viewer.
fn unharmed<T>(look: impl FnOnce() -> Option<T>) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| {
        tracing::debug!("the WebRTC stack panicked over a datagram");
        None
    })
}

/// The WebRTC stack ends in a panic where it finds itself at fault, which a stranger's datagram may bring about:
/// that costs one viewer and not the others.
fn guarded(viewer: &mut Viewer, change: impl FnOnce(&mut Viewer)) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| change(viewer)));
    if outcome.is_err() {
        tracing::error!(camera = viewer.camera, "the WebRTC stack panicked; this viewer ends");
        viewer.finish(End::Failed("an error of ours".to_owned()));
    }
}
