//! The command's side of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use protocol::admin::{ADMIN_VERSION, Event, Reply, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CliError;
use crate::place::Place;

/// The supervisor never blocks: a longer silence is a stopped or broken one.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Client {
    stream: BufReader<UnixStream>,
    next_id: u64,
    /// For messages about it.
    pid: String,
}

impl Client {
    pub(super) fn connect(place: &Place) -> Result<Self, CliError> {
        let socket = place.control_socket();
        let stream = UnixStream::connect(&socket).map_err(|error| {
            let socket = socket.display().to_string();
            match error.kind() {
                io::ErrorKind::PermissionDenied => CliError::Denied { socket },
                _ => CliError::NotRunning { socket },
            }
        })?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(CliError::io("control socket"))?;
        Ok(Self { stream: BufReader::new(stream), next_id: 1, pid: place.supervisor() })
    }

    pub(super) fn ask<T: DeserializeOwned>(
        &mut self,
        verb: &str,
        args: &impl Serialize,
    ) -> Result<T, CliError> {
        let skew = |source| CliError::Skew { verb: verb.to_owned(), source };
        let request = Request {
            v: ADMIN_VERSION,
            id: self.next_id,
            verb: verb.to_owned(),
            args: serde_json::to_value(args).map_err(skew)?,
        };
        self.next_id += 1;
        let text = serde_json::to_string(&request).map_err(skew)?;
        let sent = writeln!(self.stream.get_mut(), "{text}");
        sent.map_err(|source| self.no_answer(source))?;
        let reply: Reply = serde_json::from_str(&self.line()?).map_err(skew)?;
        match reply.error {
            Some(error) => Err(CliError::Answer(error)),
            None => serde_json::from_value(reply.ok.unwrap_or_default()).map_err(skew),
        }
    }

    /// The next line of a followed verb; `None` when the supervisor has ended.
    pub(super) fn next_event<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CliError> {
        self.stream.get_ref().set_read_timeout(None).map_err(CliError::io("control socket"))?;
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(source) => Err(self.no_answer(source)),
            Ok(_) => {
                let event: Event<T> = serde_json::from_str(&line)
                    .map_err(|source| CliError::Skew { verb: "following".to_owned(), source })?;
                Ok(Some(event.event))
            }
        }
    }

    fn line(&mut self) -> Result<String, CliError> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(self.no_answer(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(line),
            Err(source) => Err(self.no_answer(source)),
        }
    }

    fn no_answer(&self, source: io::Error) -> CliError {
        CliError::NoAnswer { pid: self.pid.clone(), source }
    }
}
