//! One connection to the control socket: a line out, a line back.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::admin::{ADMIN_VERSION, Event, Reply, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The supervisor never blocks: a longer silence is a stopped or broken one.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Below the runtime directory.
const SOCKET: &str = "control.sock";

#[derive(Debug)]
pub struct Connection {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
    next_id: u64,
}

impl Connection {
    /// # Errors
    ///
    /// [`Error::NotRunning`] when nobody listens in the runtime directory, [`Error::Denied`] when the
    /// project is another user's.
    pub fn open(runtime_dir: &Path) -> Result<Self, Error> {
        let socket = runtime_dir.join(SOCKET);
        let stream = match UnixStream::connect(&socket) {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Error::Denied { socket });
            }
            Err(_) => return Err(Error::NotRunning { socket }),
        };
        let connection = Self { stream: BufReader::new(stream), socket, next_id: 1 };
        connection.wait_at_most(Some(ANSWER_WITHIN))?;
        Ok(connection)
    }

    /// Says a verb of docs/protocol.md and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the supervisor's words, [`Error::NoAnswer`] after [`ANSWER_WITHIN`].
    pub fn ask<T: DeserializeOwned>(
        &mut self,
        verb: &str,
        args: &impl Serialize,
    ) -> Result<T, Error> {
        self.ask_within(verb, args, ANSWER_WITHIN)
    }

    /// [`ask`](Self::ask) for a verb whose answer takes as long as what it does.
    ///
    /// # Errors
    ///
    /// As for [`ask`](Self::ask).
    pub fn ask_within<T: DeserializeOwned>(
        &mut self,
        verb: &str,
        args: &impl Serialize,
        limit: Duration,
    ) -> Result<T, Error> {
        let skew = |source| Error::Skew { verb: verb.to_owned(), source };
        let request = Request {
            v: ADMIN_VERSION,
            id: self.next_id,
            verb: verb.to_owned(),
            args: serde_json::to_value(args).map_err(skew)?,
        };
        self.next_id += 1;
        self.wait_at_most(Some(limit))?;
        let text = serde_json::to_string(&request).map_err(skew)?;
        let sent = writeln!(self.stream.get_mut(), "{text}");
        sent.map_err(|source| self.no_answer(source))?;
        let reply: Reply = serde_json::from_str(&self.line()?).map_err(skew)?;
        match reply.error {
            Some(error) => Err(Error::Refused(error)),
            None => serde_json::from_value(reply.ok.unwrap_or_default()).map_err(skew),
        }
    }

    /// The next line of a verb that was asked to follow; waits for ever. `None` when the supervisor has
    /// ended.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswer`] when the connection breaks, [`Error::Skew`] for another shape than `T`.
    pub fn next_event<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        self.wait_at_most(None)?;
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(source) => Err(self.no_answer(source)),
            Ok(_) => {
                let event: Event<T> = serde_json::from_str(&line)
                    .map_err(|source| Error::Skew { verb: "following".to_owned(), source })?;
                Ok(Some(event.event))
            }
        }
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err(self.no_answer(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(line),
            Err(source) => Err(self.no_answer(source)),
        }
    }

    fn wait_at_most(&self, limit: Option<Duration>) -> Result<(), Error> {
        self.stream.get_ref().set_read_timeout(limit).map_err(|source| self.no_answer(source))
    }

    fn no_answer(&self, source: io::Error) -> Error {
        // What a socket's own limit says of itself is "Resource temporarily unavailable".
        let source = match source.kind() {
            io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::TimedOut, "it said nothing in time")
            }
            _ => source,
        };
        Error::NoAnswer { socket: self.socket.clone(), source }
    }
}
