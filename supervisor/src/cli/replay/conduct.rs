//! From an idle project to its end: all readers come, the cameras begin together, what they brought in is
//! taken to the last of it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use framevisor_client::ANSWER_WITHIN;
use protocol::admin::{RingStatus, WorkerState, WorkerStatus};
use protocol::config::{Kind, WorkerConfig};
use protocol::name::{ProjectName, RingName, WorkerName};
use protocol::time::UtcNs;
use serde_json::{Value, json};
use shmring::{census, clock};

use super::super::client::Client;
use super::super::events::time_of;
use super::super::interrupt::Interrupt;
use super::super::{CliError, terminal};
use super::records::Records;
use crate::place::Place;
use crate::supervisor::Message;
use crate::topology::{Launch, Topology, WorkerSpec};

/// Programs that load a model take their time; one that never reads is not waited for longer.
const READERS_WITHIN: Duration = Duration::from_secs(60);
/// From the word to begin until the first picture: it is with every camera by then.
const BEGIN_IN_NS: u64 = 200_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often the workers are asked.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Nothing moved for so long: everybody has taken and told what there was.
const STILL: Duration = Duration::from_millis(1_000);
const STILL_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Conductor {
    client: Client,
    project: ProjectName,
    cameras: Vec<WorkerName>,
    /// Who must read what before anything is played.
    audience: Vec<(RingName, WorkerName)>,
    rings: Vec<RingName>,
    interrupt: Interrupt,
}

impl Conductor {
    pub(super) fn new(
        place: &Place,
        project: ProjectName,
        topology: &Topology,
        interrupt: Interrupt,
    ) -> Result<Self, CliError> {
        let replays = topology.workers.iter().filter(|worker| kind(worker) == Some(Kind::Replay));
        let readers = topology.workers.iter().filter(|worker| is_audience(worker));
        Ok(Self {
            client: Client::connect(place)?,
            project,
            cameras: replays.map(|worker| worker.name.clone()).collect(),
            audience: readers
                .flat_map(|worker| {
                    worker.inputs.iter().map(|ring| (ring.clone(), worker.name.clone()))
                })
                .filter(|(ring, _)| topology.ring(ring).is_some())
                .collect(),
            rings: topology.rings.iter().map(|ring| ring.name.clone()).collect(),
            interrupt,
        })
    }

    /// Returns when every reader of the topology reads.
    pub(super) fn gather(&mut self, mut records: Option<&mut Records>) -> Result<(), CliError> {
        let deadline = clock::mono() + READERS_WITHIN;
        loop {
            take(&mut records)?;
            let missing = self.missing();
            let here = self.are_here()?;
            if here && missing.is_empty() {
                return Ok(());
            }
            if clock::mono() > deadline {
                if !here {
                    return Err(CliError::Degraded(self.trouble()?));
                }
                terminal::talk(&format!("begins without {}", missing.join(", ")));
                return Ok(());
            }
            if self.interrupt.within(LOOK_EVERY) {
                return Err(CliError::Interrupted);
            }
        }
    }

    /// Plays to the end, or until the user has had enough.
    pub(super) fn play(
        &mut self,
        begin: UtcNs,
        mut records: Option<&mut Records>,
    ) -> Result<(), CliError> {
        let start = clock::mono().0 + BEGIN_IN_NS;
        self.tell_all(&json!({"play": {"zero_utc_ns": begin, "start_mono_ns": start}}))?;
        let mut next_look = clock::mono();
        loop {
            take(&mut records)?;
            if clock::mono() >= next_look {
                next_look = clock::mono() + TELL_EVERY;
                self.show_progress()?;
                if self.have_ended()? {
                    break;
                }
            }
            if self.interrupt.within(LOOK_EVERY) {
                break;
            }
        }
        end_progress();
        self.drain(records)
    }

    /// A picture for each line that is typed.
    pub(super) fn step(&mut self, mut records: Option<&mut Records>) -> Result<(), CliError> {
        terminal::talk("Enter: a picture; g: a group; p: play on; q: end");
        let lines = typed();
        loop {
            take(&mut records)?;
            match lines.try_recv() {
                Ok(line) => match line.trim() {
                    "" => self.step_by(&json!({"step": 1}))?,
                    "g" => self.step_by(&json!({"step": "group"}))?,
                    "p" => self.tell_all(&json!("play"))?,
                    "q" => break,
                    other => terminal::talk(&format!("'{other}': expected Enter, g, p or q")),
                },
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if self.have_ended()? => break,
                Err(TryRecvError::Empty) if self.interrupt.within(LOOK_EVERY) => break,
                Err(TryRecvError::Empty) => {}
            }
        }
        self.drain(records)
    }

    /// Returns when it went out, so that steps do not overtake each other.
    fn step_by(&mut self, step: &Value) -> Result<(), CliError> {
        self.tell_all(step)?;
        let deadline = clock::mono() + ANSWER_WITHIN;
        loop {
            let told = self.status()?;
            if told.values().all(|status| status["state"] == "held") || clock::mono() > deadline {
                for (camera, status) in &told {
                    terminal::talk(&format!("{camera}: {}", place_of(status)));
                }
                return Ok(());
            }
            if self.interrupt.within(LOOK_EVERY) {
                return Ok(());
            }
        }
    }

    /// Waits until nothing moves any more: decoders give what they hold, analyzers tell the last of it.
    fn drain(&mut self, mut records: Option<&mut Records>) -> Result<(), CliError> {
        let deadline = clock::mono() + STILL_WITHIN;
        let (mut before, mut since) = (Vec::new(), clock::mono());
        while !self.interrupt.came() && clock::mono() < deadline {
            take(&mut records)?;
            let now: Vec<RingStatus> = self.rings.iter().map(|ring| self.ring(ring)).collect();
            let heads: Vec<(u64, u64)> = now.iter().map(|ring| (ring.head, lag(ring))).collect();
            if heads != before {
                (before, since) = (heads, clock::mono());
            } else if clock::mono().saturating_since(since) >= STILL {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        self.tell_losses();
        take(&mut records)
    }

    fn tell_losses(&self) {
        for ring in self.rings.iter().map(|ring| self.ring(ring)) {
            for reader in ring.readers.iter().filter(|reader| reader.missed > 0) {
                let (missed, name) = (reader.missed, &ring.name);
                terminal::talk(&format!("{} missed {missed} of {name}", reader.name));
            }
        }
    }

    fn ring(&self, name: &RingName) -> RingStatus {
        census::status(&self.project, name, clock::mono())
    }

    /// Readers that are not there yet.
    fn missing(&self) -> Vec<String> {
        let is_missing = |(ring, reader): &&(RingName, WorkerName)| {
            !self.ring(ring).readers.iter().any(|one| one.name == reader.as_str())
        };
        let missing = self.audience.iter().filter(is_missing);
        missing.map(|(ring, reader)| format!("{reader} (reads {ring})")).collect()
    }

    fn workers(&mut self) -> Result<Vec<WorkerStatus>, CliError> {
        self.client.ask("ps", &())
    }

    fn camera_states(&mut self) -> Result<Vec<WorkerStatus>, CliError> {
        let mut workers = self.workers()?;
        workers.retain(|worker| self.cameras.contains(&worker.name));
        Ok(workers)
    }

    /// Every camera has its ring; one that cannot play is an error.
    fn are_here(&mut self) -> Result<bool, CliError> {
        let failed = |state| matches!(state, WorkerState::Held | WorkerState::Quarantined);
        if self.camera_states()?.iter().any(|camera| failed(camera.state)) {
            return Err(CliError::Degraded(self.trouble()?));
        }
        let project = self.project.clone();
        let is_there = |ring: &RingName| census::status(&project, ring, clock::mono()).live;
        let told = self.status()?;
        let ready = told.len() == self.cameras.len()
            && told.values().all(|status| status["packets"].as_u64() > Some(0));
        Ok(ready && self.rings.iter().filter(|ring| self.is_played(ring)).all(is_there))
    }

    /// A ring of packets that no decoder makes pictures of may have no reader: its writer is looked at.
    fn is_played(&self, ring: &RingName) -> bool {
        ring.kind() == protocol::name::RingKind::Packets
    }

    fn trouble(&mut self) -> Result<String, CliError> {
        let cameras = self.camera_states()?;
        let told = cameras.iter().map(|one| format!("{}: {:?}: {}", one.name, one.state, one.why));
        Ok(told.collect::<Vec<_>>().join("; "))
    }

    fn have_ended(&mut self) -> Result<bool, CliError> {
        let over = |camera: &WorkerStatus| {
            matches!(
                camera.state,
                WorkerState::Stopped | WorkerState::Held | WorkerState::Quarantined
            )
        };
        Ok(self.camera_states()?.iter().all(over))
    }

    /// What those say that still play.
    fn status(&mut self) -> Result<BTreeMap<WorkerName, Value>, CliError> {
        let mut told = BTreeMap::new();
        for name in self.cameras.clone() {
            if let Some(status) = self.tell(&name, &json!("status"))? {
                told.insert(name, status);
            }
        }
        Ok(told)
    }

    fn tell_all(&mut self, message: &Value) -> Result<(), CliError> {
        for name in self.cameras.clone() {
            self.tell(&name, message)?;
        }
        Ok(())
    }

    /// `None` from one that does not run: it is at its end, or comes later.
    fn tell(&mut self, name: &WorkerName, message: &Value) -> Result<Option<Value>, CliError> {
        let message = Message { name: name.clone(), message: message.clone() };
        match self.client.ask_within("send", &message, ANSWER_WITHIN * 2) {
            Ok(reply) => Ok(Some(reply)),
            Err(CliError::Answer(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn show_progress(&mut self) -> Result<(), CliError> {
        if !io::stderr().is_terminal() {
            return Ok(());
        }
        let told = self.status()?;
        let parts = told.iter().map(|(camera, status)| format!("{camera} {}", place_of(status)));
        let line = parts.collect::<Vec<_>>().join("  ");
        // Nobody may be listening, which harms nothing.
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
        Ok(())
    }
}

fn end_progress() {
    if io::stderr().is_terminal() {
        let _ = writeln!(io::stderr());
    }
}

fn take(records: &mut Option<&mut Records>) -> Result<(), CliError> {
    records.as_mut().map_or(Ok(()), |records| records.take())
}

fn kind(worker: &WorkerSpec) -> Option<Kind> {
    match &worker.launch {
        Launch::Use(config) => Some(config.kind()),
        Launch::Run { .. } => None,
    }
}

/// Who is to see the first picture; people come when they like.
fn is_audience(worker: &WorkerSpec) -> bool {
    !matches!(worker.launch, Launch::Use(WorkerConfig::Rtsp(_) | WorkerConfig::Web(_)))
}

fn lag(ring: &RingStatus) -> u64 {
    ring.readers.iter().map(|reader| reader.lag).sum()
}

/// Of the newest packet that went out.
fn place_of(status: &Value) -> String {
    let newest = &status["newest"];
    match newest["capture_utc_ns"].as_u64() {
        Some(at) => {
            format!("{} {}:{}", time_of(UtcNs(at)), newest["epoch"], newest["sequence"])
        }
        None => "at its begin".to_owned(),
    }
}

/// Lines of stdin, until it ends.
fn typed() -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
