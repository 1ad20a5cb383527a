//! Events to an MQTT broker, and what is now so in topics that it keeps.
//!
//! ```text
//! Queue ── Session (pure) ── Link ── broker        panel.rs (pure): which topics, and what Home Assistant is told
//! Home ───────┘                                    Known, in the state folder: what stands at the broker
//! ```

mod link;
pub(crate) mod panel;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use https::{Backoff, Dialer};
use protocol::config::NotifyConfig;
use protocol::config::notify::Broker;
use protocol::name::{ProjectName, WorkerName};
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};
use shmring::clock;
use tokio::time::{sleep, timeout};

use crate::deliver::{LAST_WORDS, TICK, over_time};
use crate::home::Home;
use crate::kept::Kept;
use crate::shared::Shared;
use link::Link;
use panel::{OFFLINE, Panel, Retained};
use session::{Heard, Sent, Session};

const PREFIX: &str = "framevisor";
const HOME_ASSISTANT: &str = "homeassistant";
/// What `discovery` says of nobody who is to find anything.
const OFF: &str = "off";
/// How often what stands at the broker is kept, at most.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What outlives this process beside the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Known {
    /// The end of this client's id. The same in each life: who comes back under it is given the place of the
    /// one before, whose last will is then told first.
    client: String,
    /// Topics in which something of ours may stand.
    topics: BTreeSet<String>,
    home: Home,
}

/// The thread that speaks to the broker.
#[derive(Debug)]
pub(crate) struct Mqtt {
    config: NotifyConfig,
    broker: Broker,
    panel: Panel,
    client: String,
    dialer: Dialer,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    kept: Kept,
    known: Mutex<Known>,
    /// How long the broker may take for what is said after a stop.
    last_words: Duration,
}

/// What is said in one conversation.
#[derive(Debug)]
struct Talk {
    link: Link,
    session: Session,
    /// What stands at the broker, or is under way to it.
    told: Retained,
    /// What is to stand there, and what it was made of.
    wanted: Retained,
    of: Option<(Home, bool)>,
    /// `told` may be another thing than `wanted`.
    is_due: bool,
}

impl Talk {
    /// A site of hundreds of cameras has thousands of topics: they are made when something is other than before.
    fn want(&mut self, panel: &Panel, home: &Home, runs: bool) {
        if self.of.as_ref().is_none_or(|(seen, ran)| seen != home || *ran != runs) {
            self.wanted = panel.retained(home, runs);
            self.of = Some((home.clone(), runs));
            self.is_due = true;
        }
    }
}

impl Mqtt {
    /// Takes up what an earlier life knew.
    pub(crate) fn new(
        config: NotifyConfig,
        broker: Broker,
        (project, worker): (&ProjectName, &WorkerName),
        dialer: Dialer,
        shared: Arc<Shared>,
        stop: Arc<AtomicBool>,
        kept: Kept,
    ) -> Self {
        let mut known: Known = kept.load().unwrap_or_default();
        if known.client.is_empty() {
            known.client = format!("{:08x}", getrandom::u32().unwrap_or(7));
        }
        *shared.home() = known.home.clone();
        let panel = panel(&config, project);
        let client = format!("{PREFIX}-{project}-{worker}-{}", known.client);
        let known = Mutex::new(known);
        let last_words = LAST_WORDS;
        Self { config, broker, panel, client, dialer, shared, stop, kept, known, last_words }
    }

    /// A broker that is slow or silent holds up no stop: what is left is kept for the next life.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = self.speak() => {}
            () = over_time(&self.stop, self.last_words) => {}
        }
        self.keep();
        self.shared.keep();
    }

    async fn speak(&self) {
        let mut backoff = Backoff::default();
        while !self.is_stopping() {
            if !backoff.wait(clock::mono()).is_zero() {
                sleep(TICK).await;
                continue;
            }
            if let Err(why) = self.converse(&mut backoff).await {
                backoff.failed(clock::mono(), getrandom::u64().unwrap_or(7));
                self.shared.set_server(Some(why));
            }
        }
    }

    /// Until the broker or the network ends it, or all is said after a stop.
    async fn converse(&self, backoff: &mut Backoff) -> Result<(), String> {
        let mut talk = self.begin().await?;
        let mut kept = clock::mono();
        loop {
            self.listen(&mut talk, backoff).await?;
            let now = clock::mono();
            let due = talk.session.tend(now).map_err(|over| over.to_string())?;
            if let Some(packet) = due {
                talk.link.send(&packet).await?;
            }
            if !talk.session.is_open() {
                continue;
            }
            self.tell_events(&mut talk, now).await?;
            let is_last = self.is_stopping() && self.shared.waiting() == 0;
            let is_told = self.tell_states(&mut talk, !is_last, now).await?;
            if is_last && is_told && talk.session.is_settled() {
                return talk.link.goodbye().await;
            }
            if now.saturating_since(kept) >= KEEP_EVERY {
                kept = now;
                self.keep();
            }
        }
    }

    async fn begin(&self) -> Result<Talk, String> {
        let Broker { host, port, .. } = &self.broker;
        let stream = self.dialer.dial(host, *port).await.map_err(|error| error.to_string())?;
        let patience = self.config.timeout.duration();
        let (now, status) = (clock::mono(), self.panel.status());
        let (session, connect) = Session::begin(now, &self.broker, &self.client, &status, patience);
        let mut link = Link::new(stream, patience);
        link.send(&connect).await?;
        let (told, wanted) = (Retained::new(), Retained::new());
        Ok(Talk { link, session, told, wanted, of: None, is_due: true })
    }

    /// What the broker says within a moment.
    async fn listen(&self, talk: &mut Talk, backoff: &mut Backoff) -> Result<(), String> {
        let Ok(packet) = timeout(TICK, talk.link.receive()).await else { return Ok(()) };
        let (heard, answer) = talk.session.hear(packet?).map_err(|over| over.to_string())?;
        if let Some(answer) = answer {
            talk.link.send(&answer).await?;
        }
        match heard {
            Heard::Open => {
                backoff.succeeded();
                self.shared.set_server(None);
                let subscribe = talk.session.subscribe(clock::mono(), &self.news());
                talk.link.send(&subscribe).await?;
            }
            Heard::Confirmed(Sent::Event(id)) => self.shared.took(&id),
            Heard::Confirmed(Sent::Retained { topic, is_gone: true }) => {
                // It may have come back meanwhile.
                if talk.told.get(&topic).is_some_and(String::is_empty) {
                    self.known().topics.remove(&topic);
                }
            }
            Heard::Message { topic, payload } => self.hear_news(talk, &topic, &payload),
            Heard::Confirmed(_) | Heard::Nothing => {}
        }
        Ok(())
    }

    /// Topics that tell of what makes us say everything again.
    fn news(&self) -> Vec<String> {
        [self.panel.status()].into_iter().chain(self.panel.birth()).collect()
    }

    /// An earlier connection of ours that the broker took longer to miss; Home Assistant that has started anew.
    fn hear_news(&self, talk: &mut Talk, topic: &str, payload: &[u8]) {
        let status = self.panel.status();
        if topic == status && payload == OFFLINE.as_bytes() && !self.is_stopping() {
            talk.told.remove(&status);
            talk.is_due = true;
        }
        if Some(topic) == self.panel.birth().as_deref() && payload == panel::ONLINE.as_bytes() {
            talk.told.clear();
            talk.is_due = true;
        }
    }

    async fn tell_events(&self, talk: &mut Talk, now: MonoNs) -> Result<(), String> {
        if talk.session.has_event_under_way() {
            return Ok(());
        }
        let Some(next) = self.shared.next(&self.config) else { return Ok(()) };
        let on = &self.config.on.0;
        let topic = self.panel.event(next.event.name(on));
        let body = next.event.body(&next.id, &self.panel.project, on);
        let packet = talk.session.event(now, &topic, &body, &next.id);
        talk.link.send(&packet).await
    }

    /// As many as may be under way; whether that was all.
    async fn tell_states(&self, talk: &mut Talk, runs: bool, now: MonoNs) -> Result<bool, String> {
        talk.want(&self.panel, &self.shared.home(), runs);
        if !talk.is_due {
            return Ok(true);
        }
        if talk.session.room() == 0 {
            return Ok(false);
        }
        let changes = self.changes(&talk.wanted, &talk.told);
        let is_all = changes.len() <= talk.session.room();
        talk.is_due = !is_all;
        for (topic, payload) in changes.into_iter().take(talk.session.room()) {
            if !payload.is_empty() {
                self.known().topics.insert(topic.clone());
            }
            let packet = talk.session.retain(now, &topic, &payload);
            talk.told.insert(topic, payload);
            talk.link.send(&packet).await?;
        }
        Ok(is_all)
    }

    /// What is not told yet: what is new or other, and topics to be emptied because nothing of ours is to stand
    /// there any more.
    fn changes(&self, wanted: &Retained, told: &Retained) -> Vec<(String, String)> {
        let is_new = |(topic, payload): &(&String, &String)| told.get(*topic) != Some(*payload);
        let new = wanted.iter().filter(is_new).map(|(topic, text)| (topic.clone(), text.clone()));
        let known = self.known();
        let is_gone = |topic: &&String| {
            !wanted.contains_key(*topic) && told.get(*topic).is_none_or(|it| !it.is_empty())
        };
        let gone = known.topics.iter().filter(is_gone).map(|topic| (topic.clone(), String::new()));
        new.chain(gone).collect()
    }

    fn keep(&self) {
        let known = {
            let mut known = self.known();
            known.home = self.shared.home().clone();
            known.clone()
        };
        if let Err(error) = self.kept.save(&known) {
            tracing::warn!(%error, "what stands at the broker is not kept: it may stay there for good");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

fn panel(config: &NotifyConfig, project: &ProjectName) -> Panel {
    let prefix = config.topic.clone().unwrap_or_else(|| format!("{PREFIX}/{project}"));
    let discovery = config.discovery.clone().unwrap_or_else(|| HOME_ASSISTANT.to_owned());
    let discovery = Some(discovery).filter(|prefix| prefix != OFF);
    Panel { project: project.clone(), prefix, discovery }
}
