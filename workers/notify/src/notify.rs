//! The worker: starts both threads, and tells how they do.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use https::{Client, Dialer};
use protocol::config::{NotifyConfig, WorkerConfig};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::deliver::Deliver;
use crate::feed::Feed;
use crate::kept::Kept;
use crate::look::Look;
use crate::mqtt::Mqtt;
use crate::shared::Shared;

/// `use: notify`.
#[derive(Debug)]
pub(crate) struct Notify {
    url: String,
    shared: Arc<Shared>,
    feed: JoinHandle<()>,
    deliver: Option<JoinHandle<()>>,
}

impl Worker for Notify {
    type Config = NotifyConfig;

    fn section(config: WorkerConfig) -> Option<NotifyConfig> {
        match config {
            WorkerConfig::Notify(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: NotifyConfig, cx: &mut Context) -> Result<Self, Fault> {
        let url = config.url.to_string();
        let kept = |ending: &str| {
            let name = format!("{}{ending}.json", cx.worker());
            Kept::at(cx.state_dir().join("notify").join(name))
        };
        let shared = Arc::new(Shared::new(kept("")));
        let feed = Feed {
            runtime_dir: cx.runtime_dir().to_owned(),
            project: cx.project().clone(),
            on: config.on.0.clone(),
            looks: config.url.broker().is_some(),
            shared: Arc::clone(&shared),
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Fault::unavailable(format!("no thread for requests: {error}")))?;
        let (ca, stop, own) = (config.ca.clone(), cx.stop_flag(), Arc::clone(&shared));
        let deliver = if let Some(broker) = config.url.broker() {
            let dialer = if broker.tls { Dialer::tls(ca.as_deref()) } else { Ok(Dialer::plain()) };
            let dialer = dialer.map_err(Fault::unavailable)?;
            let who = (cx.project(), cx.worker());
            let mqtt = Mqtt::new(config, broker, who, dialer, own, stop, kept(".mqtt"));
            thread_of("messages", move || runtime.block_on(mqtt.run()))?
        } else {
            let client = Client::new(ca.as_deref()).map_err(Fault::unavailable)?;
            let project = cx.project().clone();
            let deliver = Deliver { config, project, client, shared: own, stop };
            thread_of("requests", move || runtime.block_on(deliver.run()))?
        };
        if feed.looks {
            let look =
                Look { runtime_dir: cx.runtime_dir().to_owned(), shared: Arc::clone(&shared) };
            thread_of("looks", move || look.run())?;
        }
        let feed = thread_of("events", move || feed.run())?;
        Ok(Self { url, shared, feed, deliver: Some(deliver) })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        thread::park_timeout(STEP_WAIT);
        let ended = self.deliver.as_ref().is_none_or(JoinHandle::is_finished);
        if (ended || self.feed.is_finished()) && !cx.stopping() {
            return Err(Fault::failed("a thread ended by itself"));
        }
        cx.made(self.shared.counts().0);
        let (condition, why) = self.shared.condition(&self.url);
        cx.condition(condition, why);
        Ok(Step::Again)
    }

    fn message(&mut self, _cx: &mut Context, message: Value) -> Result<Value, String> {
        if message.as_str() != Some("status") {
            return Err(format!(r#"{message}: expected "status""#));
        }
        let (delivered, given_up) = self.shared.counts();
        let waiting = self.shared.waiting();
        Ok(json!({ "delivered": delivered, "given_up": given_up, "waiting": waiting }))
    }

    /// What was told last goes out, if the server takes it at once.
    fn stop(&mut self, _: &mut Context) -> Result<(), Fault> {
        self.shared.keep();
        match self.deliver.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(Fault::failed("the thread that posts panicked")),
            _ => Ok(()),
        }
    }
}

fn thread_of(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map_err(|error| Fault::unavailable(format!("no thread for {name}: {error}")))
}
