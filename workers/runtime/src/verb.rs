//! Verbs of the command that live in this worker's program (`protocol::verb`). Whoever runs one is a
//! person's process: no handshake, no health page, no sandbox.

use std::io::{self, Write};
use std::process::ExitCode;

use protocol::exit::WorkerExit;
use protocol::verb::{NOT_RUNNING, TIMEOUT, USAGE};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Worker, log, run};

/// A verb and what does it, given its arguments as they came.
pub type Verb = (&'static str, fn(&str) -> Result<(), VerbError>);

/// Why a verb failed: a sentence, and the command's exit code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct VerbError {
    code: u8,
    text: String,
}

impl VerbError {
    pub fn failed(text: impl ToString) -> Self {
        Self { code: WorkerExit::Failed as u8, text: text.to_string() }
    }

    /// Ctrl-C, or another signal that ends it, came: `128 + signal`, as a shell tells it.
    pub fn interrupted(signal: u8) -> Self {
        Self { code: 128 + signal, text: "interrupted; nothing was left behind".to_owned() }
    }

    /// What was waited for did not come.
    pub fn timeout(text: impl ToString) -> Self {
        Self { code: TIMEOUT, text: text.to_string() }
    }

    /// The command line asks for what cannot be.
    pub fn usage(text: impl ToString) -> Self {
        Self { code: USAGE, text: text.to_string() }
    }
}

impl From<shmring::Error> for VerbError {
    fn from(error: shmring::Error) -> Self {
        let code = if error.is_absent() { NOT_RUNNING } else { WorkerExit::Failed as u8 };
        Self { code, text: error.to_string() }
    }
}

/// [`crate::run`], or one of `verbs` when the command line names it.
pub fn run_or<W: Worker>(verbs: &[Verb]) -> ExitCode {
    match std::env::args().len() {
        0 | 1 => run::<W>(),
        _ => run_verb(verbs),
    }
}

/// The one of `verbs` that the command line names.
pub fn run_verb(verbs: &[Verb]) -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    log::init_quiet();
    let arguments = words.next().unwrap_or_default();
    let found = verbs.iter().find(|(verb, _)| *verb == name);
    let done = match found {
        Some((_, verb)) => verb(&arguments),
        None => Err(VerbError::usage(format!(
            "this program has no verb '{name}'; use the framevisor command of the same release"
        ))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening, which harms nothing.
            let _ = writeln!(io::stderr(), "framevisor: {error}");
            ExitCode::from(error.code)
        }
    }
}

/// The arguments of a verb.
pub fn arguments<T: DeserializeOwned>(text: &str) -> Result<T, VerbError> {
    serde_json::from_str(text).map_err(|error| {
        VerbError::usage(format!(
            "arguments of another release: {error}; this verb is run by the framevisor command, see `framevisor --help`"
        ))
    })
}

/// The answer of a verb: one line of JSON on stdout.
pub fn answer(value: &impl Serialize) -> Result<(), VerbError> {
    let text = serde_json::to_string(value).map_err(VerbError::failed)?;
    writeln!(io::stdout(), "{text}").map_err(|error| VerbError::failed(format!("stdout: {error}")))
}
