//! The worker: binds sockets, sources and routes together, and drives all of it a step at a time on
//! its one thread, so that the heartbeat is that of the sockets.

use std::sync::Arc;
use std::time::Duration;

use lobby::{Lobby, certificate};
use protocol::config::{WebConfig, WebSetup, WorkerConfig};
use protocol::control::Condition;
use protocol::name::{RingKind, RingName};
use protocol::time::MonoNs;
use shmring::clock;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use whep::Service;
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::changes;
use crate::control::Socket;
use crate::guard::Rules;
use crate::insight::history::STEP;
use crate::live::{EventInput, Live, Rings};
use crate::playback::shelf::Shelf;
use crate::route::guarded;
use crate::server::{Deadlines, Doors, Server};
use crate::site::{About, Site};

/// Threads for what blocks, which are there while they are needed: 38 at most read recordings, so that a disk which
/// hangs takes none from the others; some ask the supervisor, one looks at the rings, the others encode.
const BLOCKING_THREADS: usize = 64;
/// How often what is told of wrong passwords may change.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// Of what metrics count between two scrapes.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Requests in flight at the end may take this long.
const FAREWELL: Duration = Duration::from_millis(500);

/// The web worker.
#[derive(Debug)]
pub struct Web {
    /// `None` once stopped.
    runtime: Option<Runtime>,
    site: Arc<Site>,
    /// `None` when it is turned off.
    webrtc: Option<Service>,
    rings: Rings,
    events: Vec<EventInput>,
    stop: watch::Sender<bool>,
    drain: watch::Sender<bool>,
    serving: JoinHandle<()>,
    lobby: Arc<Lobby>,
    /// What was told of wrong passwords, and since when.
    told: Option<(String, MonoNs)>,
}

impl Worker for Web {
    type Config = WebSetup;

    fn section(config: WorkerConfig) -> Option<WebSetup> {
        match config {
            WorkerConfig::Web(config) => Some(*config),
            _ => None,
        }
    }

    fn start(setup: WebSetup, cx: &mut Context) -> Result<Self, Fault> {
        let rings = Rings { project: cx.project().clone(), reader: cx.worker().to_string() };
        let live = Arc::new(Live {
            rings: rings.clone(),
            link: cx.link(),
            state: cx.state_dir().to_owned(),
            notes: cx.notes_dir(),
        });
        let WebSetup { section: config, shelf, groups } = setup;
        let count = |most: u32| usize::try_from(most).unwrap_or(usize::MAX);
        let site = Site::new(about(cx), live, config.jpeg_quality)
            .remembering(&cx.state_dir().join("web").join(cx.worker().as_str()))
            .seating(count(config.max_clients), config.max_per_address.map(count))
            .controlled(Arc::new(Socket { runtime_dir: cx.runtime_dir().to_owned() }));
        let webrtc = webrtc(&config, cx)?;
        let door = webrtc.as_ref().map(Service::door);
        let site = Arc::new(site.playing(Shelf::new(shelf, groups)).live(door));
        let rules = Rules::of(&config).map_err(|error| Fault::contract(error.to_string()))?;
        let lobby = Arc::clone(&rules.lobby);
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(Fault::failed)?;
        let (stop, stopped) = watch::channel(false);
        let (drain, drained) = watch::channel(false);
        let server = Server {
            router: guarded(Arc::clone(&site), rules, secret()?),
            crowd: site.crowd.clone(),
            deadlines: Deadlines::default(),
            drain: drained,
            stop: stopped,
        };
        let doors = doors(&runtime, &config, cx)?;
        let serving = runtime.spawn(server.serve(doors));
        runtime.spawn(count_while_asked(Arc::clone(&site)));
        runtime.spawn(remember(Arc::clone(&site)));
        changes::begin(Arc::clone(&site), cx.runtime_dir().to_owned())
            .map_err(|error| Fault::unavailable(format!("no thread for changes: {error}")))?;
        let events = event_inputs(cx.inputs());
        cx.condition(Condition::Flowing, "");
        let told = None;
        let runtime = Some(runtime);
        Ok(Self { runtime, site, webrtc, rings, events, stop, drain, serving, lobby, told })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        for input in &mut self.events {
            input.drain(&self.rings, &self.site.events);
        }
        self.site.desk.rest(clock::mono());
        self.site.channels.rest(clock::mono());
        self.site.gauges.rest(clock::mono());
        if cx.draining() {
            return Ok(self.drain(cx));
        }
        if self.serving.is_finished() {
            return Err(Fault::failed("the server of connections ended by itself"));
        }
        if self.webrtc.as_ref().is_some_and(Service::has_ended) {
            return Err(Fault::failed("the thread of WebRTC ended by itself"));
        }
        self.drive(STEP_WAIT);
        self.tell_of_guesses(cx, clock::mono());
        Ok(Step::Again)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        // Nobody may be there to hear it: then nobody is connected either.
        let _ = self.stop.send(true);
        self.site.leave();
        if let Some(webrtc) = &mut self.webrtc {
            webrtc.stop();
        }
        let deadline = clock::mono() + FAREWELL;
        while self.site.open_connections() > 0 && clock::mono() < deadline {
            self.drive(STEP_WAIT / 10);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        Ok(())
    }
}

impl Web {
    /// A successor serves whoever comes; those who are here may finish.
    fn drain(&mut self, cx: &mut Context) -> Step {
        self.drain.send_replace(true);
        self.site.leave();
        self.drive(STEP_WAIT);
        let open = self.site.open_connections();
        let viewers = self.site.webrtc.as_ref().map_or(0, |door| door.figures().viewers());
        if self.serving.is_finished() && open + viewers == 0 {
            return Step::Done;
        }
        let stay = format!("{open} connections and {viewers} viewers by WebRTC stay");
        cx.condition(Condition::Flowing, stay);
        Step::Again
    }

    /// Each change of it is a line of events, so it changes no more often than now and then.
    fn tell_of_guesses(&mut self, cx: &mut Context, now: MonoNs) {
        let is_young = |since: &MonoNs| now.saturating_since(*since) < TOLD_EVERY;
        if !self.told.as_ref().is_some_and(|(_, since)| is_young(since)) {
            self.told = Some((self.lobby.told(now).unwrap_or_default(), now));
        }
        let why = self.told.as_ref().map_or("", |(told, _)| told.as_str());
        cx.condition(Condition::Flowing, why);
    }

    /// Lets connections and requests go on for `span`.
    fn drive(&self, span: Duration) {
        if let Some(runtime) = &self.runtime {
            // A timer is made inside the runtime: outside it there is no clock to register with.
            runtime.block_on(async { tokio::time::sleep(span).await });
        }
    }
}

/// What the last minutes of the rings are told from, whether somebody looks or not.
async fn remember(site: Arc<Site>) {
    loop {
        site.remember().await;
        tokio::time::sleep(STEP).await;
    }
}

fn about(cx: &Context) -> About {
    About {
        project: cx.project().clone(),
        worker: cx.worker().clone(),
        version: env!("CARGO_PKG_VERSION"),
        inputs: cx.inputs().to_vec(),
    }
}

/// The plain listener, and behind it the one for TLS if the section has it.
fn doors(runtime: &Runtime, config: &WebConfig, cx: &mut Context) -> Result<Doors, Fault> {
    let plain = listener(runtime, "listen", cx)?;
    let Some(tls) = &config.tls else { return Ok(plain.into()) };
    let certificate =
        certificate::load(tls).map_err(|error| Fault::unavailable(error.to_string()))?;
    Ok(Doors { plain, secure: Some((listener(runtime, "tls", cx)?, certificate)) })
}

/// The thread of WebRTC, unless it is turned off.
fn webrtc(config: &WebConfig, cx: &Context) -> Result<Option<Service>, Fault> {
    if config.webrtc.max_viewers == 0 {
        return Ok(None);
    }
    let (reader, webrtc) = (cx.worker().as_str(), config.webrtc.clone());
    let service = Service::start(cx.project(), reader, cx.inputs(), webrtc, config.listen);
    service.map(Some).map_err(|error| Fault::unavailable(format!("a thread for WebRTC: {error}")))
}

fn listener(runtime: &Runtime, key: &str, cx: &mut Context) -> Result<TcpListener, Fault> {
    let listener = cx.listener().ok_or_else(|| {
        Fault::contract(format!(
            "no listening socket was handed over for `{key}`; the supervisor binds it"
        ))
    })?;
    listener.set_nonblocking(true).map_err(Fault::failed)?;
    let _entered = runtime.enter();
    TcpListener::from_std(listener).map_err(Fault::failed)
}

/// What signs challenges.
fn secret() -> Result<[u8; 32], Fault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Fault::unavailable(format!("no random numbers from the system: {error}"))
    })?;
    Ok(bytes)
}

/// Between two scrapes things happen that the next one is to tell.
async fn count_while_asked(site: Arc<Site>) {
    loop {
        tokio::time::sleep(COUNT_EVERY).await;
        let is_wanted = site.tally().is_wanted(clock::mono());
        if is_wanted {
            site.count().await;
        }
    }
}

fn event_inputs(inputs: &[RingName]) -> Vec<EventInput> {
    inputs.iter().filter(|ring| ring.kind() == RingKind::Events).map(EventInput::new).collect()
}
