//! A running project, and what can be asked of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::admin::{RingStatus, WorkerState, WorkerStatus};
use protocol::name::{ProjectName, WorkerName};
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ANSWER_WITHIN, Connection, Error, runtime_dir};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A change that fails is undone first: start deadline, settling, and the way back.
const CHANGE_WITHIN: Duration = Duration::from_secs(120);

/// A running project. Names of workers may be patterns (`cam*`) wherever several are taken.
#[derive(Debug)]
pub struct Project {
    connection: Connection,
    runtime_dir: PathBuf,
}

/// One change of one worker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub time_utc_ns: UtcNs,
    pub worker: WorkerName,
    pub from: WorkerState,
    pub to: WorkerState,
    /// Empty when there is nothing to say.
    pub reason: String,
}

impl Project {
    /// A project that was started without `--runtime-dir`.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] and [`Error::Denied`].
    pub fn open(name: &ProjectName) -> Result<Self, Error> {
        Self::at(&runtime_dir(name))
    }

    /// The project of this runtime directory.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] and [`Error::Denied`].
    pub fn at(runtime_dir: &Path) -> Result<Self, Error> {
        let connection = Connection::open(runtime_dir)?;
        Ok(Self { connection, runtime_dir: runtime_dir.to_owned() })
    }

    /// Any verb of docs/protocol.md that has no method here.
    ///
    /// # Errors
    ///
    /// As for [`Connection::ask`].
    pub fn ask(&mut self, verb: &str, args: &impl Serialize) -> Result<Value, Error> {
        self.connection.ask(verb, args)
    }

    /// All workers, in the order of the topology.
    ///
    /// # Errors
    ///
    /// As for [`Connection::ask`]; so for each method below.
    pub fn workers(&mut self) -> Result<Vec<WorkerStatus>, Error> {
        self.connection.ask("ps", &())
    }

    /// All rings of the topology, and who reads them.
    ///
    /// # Errors
    pub fn rings(&mut self) -> Result<Vec<RingStatus>, Error> {
        self.connection.ask("rings", &())
    }

    /// Starts those that do not run and forgives them whatever they did; returns who was meant. It is
    /// under way then: [`wait_until_up`](Self::wait_until_up) waits for its end.
    ///
    /// # Errors
    pub fn start(&mut self, names: &[&str]) -> Result<Vec<WorkerName>, Error> {
        self.connection.ask("start", &json!({ "names": names }))
    }

    /// Stops them in the order of the pipeline; they stay stopped until they are started again.
    ///
    /// # Errors
    pub fn stop(&mut self, names: &[&str]) -> Result<Vec<WorkerName>, Error> {
        self.connection.ask("stop", &json!({ "names": names }))
    }

    /// Stops them, starts them again and forgives them.
    ///
    /// # Errors
    pub fn restart(&mut self, names: &[&str]) -> Result<Vec<WorkerName>, Error> {
        self.connection.ask("restart", &json!({ "names": names }))
    }

    /// Adds what these topology files describe to what runs. When a new worker does not become healthy,
    /// everything is as before and the error says why.
    ///
    /// # Errors
    pub fn add(&mut self, files: &[&Path]) -> Result<Value, Error> {
        self.connection.ask_within("add", &json!({ "files": files }), CHANGE_WITHIN)
    }

    /// Stops workers or whole cameras and forgets them, with their rings.
    ///
    /// # Errors
    pub fn remove(&mut self, names: &[&str]) -> Result<Value, Error> {
        self.connection.ask_within("remove", &json!({ "names": names }), CHANGE_WITHIN)
    }

    /// Gives a message to a `run:` worker that listens or to a recorder, and returns what it replies.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with code `reply` when the worker does not reply or does not listen.
    pub fn send(&mut self, name: &str, message: &Value) -> Result<Value, Error> {
        let args = json!({ "name": name, "message": message });
        self.connection.ask_within("send", &args, ANSWER_WITHIN * 2)
    }

    /// Changes of these workers' states as they come, of all without a name; ends with the project.
    ///
    /// # Errors
    pub fn events(&self, names: &[&str]) -> Result<Events, Error> {
        let mut connection = Connection::open(&self.runtime_dir)?;
        let args = json!({ "names": names, "count": 0, "follow": true });
        let _: Vec<Change> = connection.ask("events", &args)?;
        Ok(Events { connection })
    }

    /// Waits until `is_done` likes what it sees.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after `limit`.
    #[expect(clippy::disallowed_methods, reason = "the edge: who waits reads the clock here")]
    pub fn wait(
        &mut self,
        what: &'static str,
        limit: Duration,
        mut is_done: impl FnMut(&[WorkerStatus]) -> bool,
    ) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let workers = self.workers()?;
            if is_done(&workers) {
                return Ok(());
            }
            if began.elapsed() > limit {
                let states: Vec<String> = workers
                    .iter()
                    .map(|worker| format!("{} {}", worker.name, worker.state.as_str()))
                    .collect();
                let missing = format!(": {}", states.join(", "));
                return Err(Error::Timeout { what, limit, missing });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until each of these, as `start` and `restart` return them, is ready, running or degraded.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after `limit`.
    pub fn wait_until_up(&mut self, names: &[WorkerName], limit: Duration) -> Result<(), Error> {
        self.wait("readiness", limit, |workers| {
            workers.iter().filter(|worker| names.contains(&worker.name)).all(is_up_or_replaced)
        })
    }

    /// Ends the project in order; returns when it is under way.
    ///
    /// # Errors
    pub fn down(mut self) -> Result<(), Error> {
        self.connection.ask::<bool>("down", &()).map(drop)
    }
}

/// One that keeps its last clients has a successor, which is the one that is meant.
fn is_up_or_replaced(worker: &WorkerStatus) -> bool {
    let is_up =
        matches!(worker.state, WorkerState::Ready | WorkerState::Running | WorkerState::Degraded);
    is_up || worker.state == WorkerState::Draining
}

/// Made by [`Project::events`]. Each item waits for the next change.
#[derive(Debug)]
pub struct Events {
    connection: Connection,
}

impl Iterator for Events {
    type Item = Result<Change, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.connection.next_event().transpose()
    }
}
