//! The worker: binds sockets, sources and routes together, and drives all of it a step at a time on
//! its one thread, so that the heartbeat is that of the sockets.

use std::sync::Arc;
use std::time::Duration;

use protocol::config::{WebSetup, WorkerConfig};
use protocol::control::Condition;
use protocol::name::{RingKind, RingName};
use shmring::clock;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::guard::Hosts;
use crate::live::{EventInput, Live, Rings};
use crate::playback::shelf::Shelf;
use crate::route::router;
use crate::server::{Deadlines, Server};
use crate::site::{About, Site};

/// Threads for what blocks: one asks the supervisor, one looks at the rings, some encode, the others read
/// recordings.
const BLOCKING_THREADS: usize = 10;
/// Requests in flight at the end may take this long.
const FAREWELL: Duration = Duration::from_millis(500);

/// The web worker.
#[derive(Debug)]
pub struct Web {
    /// `None` once stopped.
    runtime: Option<Runtime>,
    site: Arc<Site>,
    rings: Rings,
    events: Vec<EventInput>,
    stop: watch::Sender<bool>,
    drain: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Worker for Web {
    type Config = WebSetup;

    fn section(config: WorkerConfig) -> Option<WebSetup> {
        match config {
            WorkerConfig::Web(config) => Some(config),
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
        let site = Site::new(about(cx), live, config.jpeg_quality);
        let site = Arc::new(site.playing(Shelf::new(shelf, groups)));
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(Fault::failed)?;
        let (stop, stopped) = watch::channel(false);
        let (drain, drained) = watch::channel(false);
        let server = Server {
            router: router(Arc::clone(&site), Hosts::new(config.listen)),
            places: Arc::clone(&site.connections),
            deadlines: Deadlines::default(),
            drain: drained,
            stop: stopped,
        };
        let listener = listener(&runtime, cx)?;
        let serving = runtime.spawn(server.serve(listener));
        let events = event_inputs(cx.inputs());
        cx.condition(Condition::Flowing, "");
        Ok(Self { runtime: Some(runtime), site, rings, events, stop, drain, serving })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        for input in &mut self.events {
            input.drain(&self.rings, &self.site.events);
        }
        self.site.desk.rest(clock::mono());
        if cx.draining() {
            return Ok(self.drain(cx));
        }
        if self.serving.is_finished() {
            return Err(Fault::failed("the server of connections ended by itself"));
        }
        self.drive(STEP_WAIT);
        Ok(Step::Again)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        // Nobody may be there to hear it: then nobody is connected either.
        let _ = self.stop.send(true);
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
        self.drive(STEP_WAIT);
        let open = self.site.open_connections();
        if self.serving.is_finished() && open == 0 {
            return Step::Done;
        }
        cx.condition(Condition::Flowing, format!("{open} connections stay"));
        Step::Again
    }

    /// Lets connections and requests go on for `span`.
    fn drive(&self, span: Duration) {
        if let Some(runtime) = &self.runtime {
            // A timer is made inside the runtime: outside it there is no clock to register with.
            runtime.block_on(async { tokio::time::sleep(span).await });
        }
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

fn listener(runtime: &Runtime, cx: &mut Context) -> Result<TcpListener, Fault> {
    let listener = cx.listener().ok_or_else(|| {
        Fault::contract("no listening socket was handed over; the supervisor binds `listen`")
    })?;
    listener.set_nonblocking(true).map_err(Fault::failed)?;
    let _entered = runtime.enter();
    TcpListener::from_std(listener).map_err(Fault::failed)
}

fn event_inputs(inputs: &[RingName]) -> Vec<EventInput> {
    inputs.iter().filter(|ring| ring.kind() == RingKind::Events).map(EventInput::new).collect()
}
