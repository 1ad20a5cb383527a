//! The command's side of the control socket: the client's library, in the command's words.

use std::time::Duration;

use framevisor_client::{Connection, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CliError;
use crate::place::Place;

#[derive(Debug)]
pub(super) struct Client {
    connection: Connection,
    /// For messages about it.
    pid: String,
}

impl Client {
    pub(super) fn connect(place: &Place) -> Result<Self, CliError> {
        let pid = place.supervisor();
        let connection = Connection::open(place.path()).map_err(|error| told(error, &pid))?;
        Ok(Self { connection, pid })
    }

    pub(super) fn ask<T: DeserializeOwned>(
        &mut self,
        verb: &str,
        args: &impl Serialize,
    ) -> Result<T, CliError> {
        self.connection.ask(verb, args).map_err(|error| told(error, &self.pid))
    }

    /// For a verb whose answer takes as long as what it does.
    pub(super) fn ask_within<T: DeserializeOwned>(
        &mut self,
        verb: &str,
        args: &impl Serialize,
        limit: Duration,
    ) -> Result<T, CliError> {
        self.connection.ask_within(verb, args, limit).map_err(|error| told(error, &self.pid))
    }

    /// The next line of a followed verb; `None` when the supervisor has ended.
    pub(super) fn next_event<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CliError> {
        self.connection.next_event().map_err(|error| told(error, &self.pid))
    }
}

/// A library names the socket; a person wants the process that owns it.
fn told(error: Error, pid: &str) -> CliError {
    match error {
        Error::NoAnswer { source, .. } => CliError::NoAnswer { pid: pid.to_owned(), source },
        Error::Refused(answer) => CliError::Answer(answer),
        other => CliError::Client(other),
    }
}
