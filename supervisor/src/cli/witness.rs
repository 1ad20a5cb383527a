//! The witness, a process of the recorder's program: what it sees and finds is told by it alone
//! (`protocol::witness`).

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use protocol::config::Kind;
use protocol::control::env;
use protocol::name::RingName;
use protocol::time::MonoNs;
use protocol::witness::{Seen, Watch};
use serde::de::DeserializeOwned;

use super::CliError;
use crate::launch;

#[derive(Debug)]
pub(super) struct Witness {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Witness {
    /// Returns when it reads the rings.
    pub(super) fn start(watch: &Watch, broker: &Path) -> Result<Self, CliError> {
        let mut command = launch::verb(Kind::Recorder, "witness", watch)?;
        command.env(env::BROKER, broker).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for us: what it saw until then is still asked for. It ends with its stdin.
        command.process_group(0);
        let mut child = command.spawn().map_err(CliError::io("start the program of the verb"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(CliError::Witness("it has no pipes".to_owned()));
        };
        let mut witness = Self { child, to: Some(to), from: BufReader::new(from) };
        let _: Vec<RingName> = witness.line()?;
        Ok(witness)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its time is over: what it saw, parted at these instants.
    pub(super) fn finish(mut self, instants: &[MonoNs]) -> Result<Vec<Seen>, CliError> {
        let line = serde_json::to_string(instants).unwrap_or_default();
        let sent = self.to.take().map(|mut to| writeln!(to, "{line}"));
        sent.transpose().map_err(|error| CliError::Witness(error.to_string()))?;
        self.line()
    }

    fn line<T: DeserializeOwned>(&mut self) -> Result<T, CliError> {
        let mut line = String::new();
        let read = self.from.by_ref().read_line(&mut line);
        read.map_err(|error| CliError::Witness(error.to_string()))?;
        if line.is_empty() {
            return Err(CliError::Witness("it ended before its time".to_owned()));
        }
        serde_json::from_str(&line).map_err(CliError::skew("witness"))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It has nothing to lose, and may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
