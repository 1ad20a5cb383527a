//! What a worker may use of its surroundings.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::config::WorkerConfig;
use protocol::control::{
    Condition, Happening, ItemId, Joint, NOTES_DIR, RingContract, StartUp, ToSupervisor, env,
};
use protocol::health::{PictureHealth, word};
use protocol::name::{ProjectName, RingName, WorkerName};
use serde_json::{Map, Value};
use spawn::HealthPage;

use crate::fault::Fault;
use crate::link::Link;

/// A worker's names, rings, sockets, and its ways to speak to the supervisor.
#[derive(Debug)]
pub struct Context {
    start_up: StartUp,
    health: Arc<HealthPage>,
    link: Link,
    stop: Arc<AtomicBool>,
    listeners: Vec<TcpListener>,
    condition: Option<(Condition, String)>,
    picture: PictureHealth,
    /// Sequence of the item to abort at: `env::DRILL_ABORT`.
    drilled: Option<u64>,
}

impl Context {
    pub(crate) fn new(
        start_up: StartUp,
        health: HealthPage,
        link: Link,
        stop: Arc<AtomicBool>,
        listeners: Vec<TcpListener>,
    ) -> Self {
        let drilled = std::env::var(env::DRILL_ABORT).ok().and_then(|drill| {
            let (worker, sequence) = drill.rsplit_once(':')?;
            sequence.parse().ok().filter(|_| worker == start_up.worker.as_str())
        });
        Self {
            start_up,
            health: Arc::new(health),
            link,
            stop,
            listeners,
            condition: None,
            picture: PictureHealth::Unknown,
            drilled,
        }
    }

    pub fn project(&self) -> &ProjectName {
        &self.start_up.project
    }

    pub fn worker(&self) -> &WorkerName {
        &self.start_up.worker
    }

    pub(crate) fn config(&self) -> &WorkerConfig {
        &self.start_up.config
    }

    /// Rings it reads, in the topology's order.
    pub fn inputs(&self) -> &[RingName] {
        &self.start_up.inputs
    }

    /// The ring it writes.
    pub fn output(&self) -> Option<&RingContract> {
        self.start_up.output.as_ref()
    }

    /// Further rings it writes, in the order of its section.
    pub fn more_outputs(&self) -> &[RingContract] {
        &self.start_up.more_outputs
    }

    pub fn runtime_dir(&self) -> &Path {
        &self.start_up.runtime_dir
    }

    /// The next listening socket the supervisor bound for it; each is given once.
    pub fn listener(&mut self) -> Option<TcpListener> {
        if self.listeners.is_empty() { None } else { Some(self.listeners.remove(0)) }
    }

    /// The descriptor whose number `variable` holds; each is given once.
    pub fn inherited(&self, variable: &str) -> Result<OwnedFd, Fault> {
        spawn::take_inherited(variable).map_err(Fault::contract)
    }

    /// How it is doing, with the reason; sent when it differs from the last.
    pub fn condition(&mut self, condition: Condition, why: impl Into<String>) {
        let why = why.into();
        if self
            .condition
            .as_ref()
            .is_some_and(|(last, reason)| *last == condition && *reason == why)
        {
            return;
        }
        match condition {
            Condition::Degraded => tracing::warn!("degraded: {why}"),
            Condition::Waiting | Condition::Parked => tracing::debug!(?condition, "{why}"),
            Condition::Flowing => tracing::debug!("flowing"),
        }
        let message = ToSupervisor::Condition { condition, why: why.clone() };
        match self.link.send(&message) {
            Ok(()) => self.condition = Some((condition, why)),
            Err(error) => tracing::warn!(%error, "condition not reported"),
        }
    }

    /// Tells people and hooks of something that is no state; `subject` is what it happened to.
    pub fn happened(&self, what: Happening, subject: &str, why: &str) {
        self.tell(what, subject, why, String::new());
    }

    /// The same with facts for programs.
    pub fn happened_with(
        &self,
        what: Happening,
        subject: &str,
        why: &str,
        data: &Map<String, Value>,
    ) {
        let data = serde_json::to_string(data).unwrap_or_default();
        self.tell(what, subject, why, data);
    }

    /// What the pictures of the ring's camera look like. That they are not well, why, and that this is over
    /// is told to people and hooks; that they are well from the beginning is not.
    pub fn picture_health(&mut self, ring: &RingName, health: PictureHealth, why: &str) {
        let before = std::mem::replace(&mut self.picture, health);
        if before == health {
            return;
        }
        self.health.store(word::PICTURE, health.code());
        if before.is_fault() || health.is_fault() {
            let camera = ring.camera();
            let data = [("camera", camera), ("health", health.as_str())];
            let data = data.map(|(key, word)| (key.to_owned(), Value::from(word)));
            let why = match health {
                PictureHealth::Ok => "the picture is well again",
                PictureHealth::Unknown => "nobody looks at the pictures any more",
                _ => why,
            };
            self.happened_with(Happening::CameraHealth, camera, why, &Map::from_iter(data));
        }
    }

    fn tell(&self, what: Happening, subject: &str, why: &str, data: String) {
        match what {
            // One a minute and camera is no news.
            Happening::RecordingSegment | Happening::RuleGoesOn => {
                tracing::debug!(%subject, why, "{}", what.as_str());
            }
            _ => tracing::info!(%subject, why, "{}", what.as_str()),
        }
        let (subject, why) = (subject.to_owned(), why.to_owned());
        if let Err(error) = self.link.send(&ToSupervisor::Happened { what, subject, why, data }) {
            tracing::warn!(%error, "{} not reported", what.as_str());
        }
    }

    /// The item now in hand: what a dossier names when the worker dies on it.
    pub(crate) fn took(&self, item: ItemId) {
        self.health.store(word::ITEM_EPOCH, item.epoch);
        self.health.store(word::ITEM_SEQUENCE, item.sequence);
        self.health.store(word::IN_SEQUENCE, item.sequence);
        self.health.add(word::TAKEN, 1);
        if self.drilled == Some(item.sequence) {
            std::process::abort();
        }
    }

    /// Nothing is in hand: what was taken is done.
    pub fn done(&self) {
        self.health.store(word::ITEM_SEQUENCE, 0);
    }

    /// How far threads of the worker are in its inputs, (epoch, sequence) each; all of them each time.
    pub fn reached(&self, inputs: impl Iterator<Item = (u64, u64)>) {
        let mut taken: u64 = 0;
        for (epoch, sequence) in inputs {
            self.health.store(word::IN_SEQUENCE, sequence);
            // Both only grow: the sum stands still only while all of them do.
            taken = taken.wrapping_add(epoch).wrapping_add(sequence);
        }
        self.health.store(word::TAKEN, taken);
    }

    /// Whether it has killed this worker before.
    pub(crate) fn is_poison(&self, item: ItemId) -> bool {
        self.start_up.poison.contains(&item)
    }

    /// Of the project's run: what workers keep for their next life in it. To be made by who needs it; gone
    /// when the project ends.
    pub fn notes_dir(&self) -> PathBuf {
        self.start_up.runtime_dir.join(NOTES_DIR)
    }

    /// Of the project's run: where workers hand each other connections ([`door`](crate::door)).
    pub fn doors_dir(&self) -> PathBuf {
        self.notes_dir().join("doors")
    }

    /// Of the project: what outlives a run, a folder for each purpose.
    pub fn state_dir(&self) -> &Path {
        &self.start_up.state_dir
    }

    /// Sequence of the newest output.
    pub fn made(&self, sequence: u64) {
        self.health.store(word::OUT_SEQUENCE, sequence);
    }

    /// Items lost to overruns or damage.
    pub fn missed(&self, items: u64) {
        self.health.add(word::MISSED, items);
    }

    pub(crate) fn beat(&self) {
        self.health.add(word::BEAT, 1);
    }

    /// To be asked again and again by a writer that waits inside a step for a reader: the heart beats on,
    /// and a stop ends the wait.
    pub fn while_waiting(&self) -> impl FnMut() -> bool + Send + 'static {
        let (health, stop) = (Arc::clone(&self.health), self.stop_flag());
        move || {
            health.add(word::BEAT, 1);
            // Waiting for a reader is no standing still.
            health.add(word::TAKEN, 1);
            !stop.load(Ordering::Acquire)
        }
    }

    /// Whether a successor is ready: a server lets nobody in any more and is [done](crate::Step::Done)
    /// when its last client has gone; a writer [yields](Self::yield_to_successor) before the next key
    /// frame.
    pub fn draining(&self) -> bool {
        self.link.is_draining()
    }

    /// Says where the successor is to go on. The ring is let go of by the end of this process, which
    /// must follow, without a word to readers that the ring has ended.
    pub fn yield_to_successor(&self, to: Joint) -> Result<(), Fault> {
        self.link.send(&ToSupervisor::Yielded { to })
    }

    /// Whether another process still writes the ring that this one is to write.
    pub fn stands_by(&self) -> bool {
        self.start_up.stands_by
    }

    /// Where to go on with it: once, when it is free.
    pub fn take_over(&self) -> Option<Joint> {
        self.link.take_over()
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// For threads and callbacks of the worker.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// For threads of the worker that ask the supervisor.
    pub fn link(&self) -> Link {
        self.link.clone()
    }
}
