//! Why a worker ends: a typed exit and one sentence for people.

use protocol::exit::WorkerExit;

/// The reason of a worker's end. Its text is the last ERROR line of the worker's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    exit: WorkerExit,
    text: String,
}

impl Fault {
    /// Something went wrong at run time; a restart may cure it.
    pub fn failed(text: impl ToString) -> Self {
        Self { exit: WorkerExit::Failed, text: text.to_string() }
    }

    /// Something it needs is not to be had now.
    pub fn unavailable(text: impl ToString) -> Self {
        Self { exit: WorkerExit::Unavailable, text: text.to_string() }
    }

    /// The supervisor asked for what this worker cannot do.
    pub fn contract(text: impl ToString) -> Self {
        Self { exit: WorkerExit::Contract, text: text.to_string() }
    }

    /// The supervisor is gone.
    pub fn orphaned(text: impl ToString) -> Self {
        Self { exit: WorkerExit::Orphaned, text: text.to_string() }
    }

    pub fn exit(&self) -> WorkerExit {
        self.exit
    }
}

impl From<shmring::Error> for Fault {
    fn from(error: shmring::Error) -> Self {
        Self::failed(error)
    }
}
