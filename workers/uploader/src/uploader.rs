//! The worker: starts the engine, and tells how it does.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use https::Backoff;
use protocol::config::{UploaderConfig, WorkerConfig};
use protocol::time::MonoNs;
use serde_json::Value;
use shmring::clock;
use tokio::runtime::Builder;
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::backlog::Backlog;
use crate::engine::Engine;
use crate::look::Looker;
use crate::pace::Pace;
use crate::send::Sender;
use crate::status::{Facts, Status};
use crate::store::Store;
use crate::unfinished::Unfinished;

/// From one word of how it does to the next: scrapers of metrics come every 15 s or so.
const TELL_EVERY: Duration = Duration::from_secs(3);
/// Between the start and the first upload.
const SETTLE: Duration = Duration::from_secs(1);

/// `use: uploader`.
#[derive(Debug)]
pub(crate) struct Uploader {
    sender: Arc<Sender>,
    status: Arc<Status>,
    engine: JoinHandle<()>,
    /// When it was last said how it does.
    told: MonoNs,
}

impl Worker for Uploader {
    type Config = UploaderConfig;

    fn section(config: WorkerConfig) -> Option<UploaderConfig> {
        match config {
            WorkerConfig::Uploader(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: UploaderConfig, cx: &mut Context) -> Result<Self, Fault> {
        let store = Store::open(&config)?;
        let path = cx.state_dir().join("uploads").join(format!("{}.json", cx.worker()));
        let unfinished = Unfinished::load(path).map_err(Fault::unavailable)?;
        let sender = Arc::new(Sender {
            store,
            pace: Mutex::new(Pace::new(config.rate)),
            unfinished: Mutex::new(unfinished),
        });
        let status = Arc::new(Status::default());
        let engine = Engine {
            sender: Arc::clone(&sender),
            status: Arc::clone(&status),
            stop: cx.stop_flag(),
            parallel: config.parallel as usize,
            begins: clock::mono() + SETTLE,
            looker: Some(Looker::new(&config)),
            backlog: Backlog::default(),
            backoff: Backoff::default(),
            giving_up: Backoff::default(),
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Fault::unavailable(format!("no thread for uploads: {error}")))?;
        let run = move || {
            runtime.block_on(engine.run());
            // A disk or a store that hangs holds up no stop.
            runtime.shutdown_background();
        };
        let engine = thread::Builder::new().name("uploads".to_owned()).spawn(run);
        let engine = engine
            .map_err(|error| Fault::unavailable(format!("no thread for uploads: {error}")))?;
        Ok(Self { sender, status, engine, told: MonoNs(0) })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        thread::park_timeout(STEP_WAIT);
        if self.engine.is_finished() && !cx.stopping() {
            return Err(Fault::failed("the thread that uploads ended by itself"));
        }
        let facts = self.status.lock().clone();
        cx.made(facts.files_sent + facts.files_found);
        let (condition, why) = facts.condition(self.sender.store.name(), clock::mono());
        cx.condition(condition, why);
        self.tell(&facts, cx);
        Ok(Step::Again)
    }

    fn message(&mut self, _cx: &mut Context, message: Value) -> Result<Value, String> {
        if message.as_str() != Some("status") {
            return Err(format!(r#"{message}: expected "status""#));
        }
        let now = clock::now();
        Ok(self.status.lock().json(self.sender.store.name(), now.utc, now.mono))
    }
}

impl Uploader {
    fn tell(&mut self, facts: &Facts, cx: &Context) {
        let now = clock::now();
        if self.told == MonoNs(0) || now.mono.saturating_since(self.told) >= TELL_EVERY {
            self.told = now.mono;
            // Uploads are none the worse for it.
            if let Err(error) = facts.brief(now.utc).write(cx.state_dir(), cx.worker()) {
                tracing::debug!(%error, "cannot say how it does");
            }
        }
    }
}
