//! What can be done from here, and nothing else: three words of the control socket, with names that were parsed
//! and texts that stay texts. No request can say a verb, a pattern or a command.

use std::fmt;
use std::path::PathBuf;

use framevisor_client::{ANSWER_WITHIN, Connection, Error};
use protocol::name::{RingName, WorkerName};
use protocol::recorder::{self, Noted, Told};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Who records what: a row of the supervisor's `recorders`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Recorded {
    pub worker: WorkerName,
    pub ring: RingName,
}

/// The supervisor's end. Everything may take some seconds, and runs off the event loop.
pub trait Control: fmt::Debug + Send + Sync + 'static {
    /// Stops a worker and starts it again; whom that was.
    fn restart(&self, worker: &WorkerName) -> Result<Vec<WorkerName>, Error>;
    fn recorders(&self) -> Result<Vec<Recorded>, Error>;
    /// A remark beside what is recorded now.
    fn comment(&self, recorder: &WorkerName, comment: recorder::Comment) -> Result<Noted, Error>;
    /// Whether a camera is recorded from now on.
    fn record(&self, recorder: &WorkerName, order: recorder::Record) -> Result<Vec<Told>, Error>;
}

/// Nothing can be done: of a site that has no project behind it.
#[derive(Debug)]
pub struct NoControl;

impl NoControl {
    fn refused<T>() -> Result<T, Error> {
        Err(Error::NotRunning { socket: PathBuf::from("control.sock") })
    }
}

impl Control for NoControl {
    fn restart(&self, _worker: &WorkerName) -> Result<Vec<WorkerName>, Error> {
        Self::refused()
    }

    fn recorders(&self) -> Result<Vec<Recorded>, Error> {
        Self::refused()
    }

    fn comment(&self, _recorder: &WorkerName, _comment: recorder::Comment) -> Result<Noted, Error> {
        Self::refused()
    }

    fn record(&self, _recorder: &WorkerName, _order: recorder::Record) -> Result<Vec<Told>, Error> {
        Self::refused()
    }
}

/// The project's control socket, a connection for each question.
#[derive(Debug)]
pub struct Socket {
    pub runtime_dir: PathBuf,
}

impl Control for Socket {
    fn restart(&self, worker: &WorkerName) -> Result<Vec<WorkerName>, Error> {
        self.open()?.ask("restart", &json!({ "names": [worker] }))
    }

    fn recorders(&self) -> Result<Vec<Recorded>, Error> {
        self.open()?.ask("recorders", &())
    }

    fn comment(&self, recorder: &WorkerName, comment: recorder::Comment) -> Result<Noted, Error> {
        self.tell(recorder, &recorder::Message::Comment(comment))
    }

    fn record(&self, recorder: &WorkerName, order: recorder::Record) -> Result<Vec<Told>, Error> {
        self.tell(recorder, &recorder::Message::Record(order))
    }
}

impl Socket {
    fn open(&self) -> Result<Connection, Error> {
        Connection::open(&self.runtime_dir)
    }

    fn tell<T: DeserializeOwned>(
        &self,
        recorder: &WorkerName,
        message: &recorder::Message,
    ) -> Result<T, Error> {
        let args: Value = json!({ "name": recorder, "message": message });
        self.open()?.ask_within("send", &args, ANSWER_WITHIN * 2)
    }
}
