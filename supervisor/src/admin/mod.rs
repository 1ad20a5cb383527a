//! The control socket: a unix socket of the project's owner alone, JSON lines.
//!
//! What belongs here: connections, their buffers and limits. What a verb does is in `verbs`.

pub(crate) mod changes;
mod handed_on;
pub(crate) mod verbs;
pub(crate) mod why;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use protocol::admin::{Event as Followed, LINE_MAX_BYTES, Reply, ReplyError, Request};
use protocol::name::WorkerName;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::history::{Change, ChangesWanted};
use crate::logs::LogLine;
use crate::poller::{Poller, Token};
use crate::reserve::{self, Reserve};
use crate::selector::Selector;
pub(crate) use handed_on::Handed;

const CLIENTS_MAX: usize = 64;
/// A client that reads slower than this is cut off; one that follows logs loses lines first.
const OUTPUT_MAX_BYTES: usize = 16 * 1024 * 1024;
const FOLLOW_MAX_BYTES: usize = 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// Who has said nothing for so many looks of the supervisor, 0.2 s each, may be cut off when there is no
/// descriptor left for others.
const SILENT_LOOKS: u64 = 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ClientId(u64);

/// Who waits for the answer to which request. It may be gone when the answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asker {
    pub(crate) client: ClientId,
    pub(crate) request: u64,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: UnixListener,
    /// `None` while there is no descriptor left to accept with.
    listening: Option<Token>,
    clients: BTreeMap<ClientId, Client>,
    next: u64,
    looks: u64,
    /// That it cannot accept was told since it last could.
    told: bool,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    token: Token,
    input: Vec<u8>,
    output: Vec<u8>,
    follows: Option<Follows>,
    /// The look since which it could have said something; `None` once it has.
    silent_since: Option<u64>,
    /// It closed its sending side, or broke the rules.
    ended: bool,
}

/// What a client wants as it comes; an empty list of workers is all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Follows {
    Changes(ChangesWanted),
    Lines {
        workers: Vec<Selector>,
        /// A line must contain it.
        grep: String,
    },
}

impl Admin {
    pub(crate) fn open(path: &Path, poller: &mut Poller<Event>) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let listening = Some(poller.watch(&listener, Event::AdminConnection)?);
        Ok(Self { listener, listening, clients: BTreeMap::new(), next: 0, looks: 0, told: false })
    }

    /// Without a free descriptor, with one of `reserve` or of a connection that says nothing.
    pub(crate) fn accept(&mut self, poller: &mut Poller<Event>, reserve: &mut Reserve) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    self.told = false;
                    self.admit(stream, poller);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if reserve::is_shortage(&error)
                        && (reserve.give_one() || self.cut_off_silent(poller)) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.told, true) {
                        tracing::warn!(%error, "control socket: cannot accept, trying until it can");
                    }
                    if let Some(token) = self.listening.take() {
                        poller.forget(&self.listener, token);
                    }
                    return;
                }
            }
        }
    }

    /// Listens again after a shortage of descriptors; to be called now and then.
    pub(crate) fn resume(&mut self, poller: &mut Poller<Event>) {
        self.looks += 1;
        if self.listening.is_none() {
            self.listening = poller.watch(&self.listener, Event::AdminConnection).ok();
        }
    }

    fn admit(&mut self, stream: UnixStream, poller: &mut Poller<Event>) {
        if self.clients.len() >= CLIENTS_MAX || !is_ours(&stream) {
            tracing::warn!("control socket: a connection was refused");
            return;
        }
        let id = ClientId(self.next);
        self.next += 1;
        let watched =
            stream.set_nonblocking(true).and_then(|()| poller.watch(&stream, Event::Client(id)));
        // A connection that cannot be watched is closed by being dropped.
        let Ok(token) = watched else { return };
        let client = Client {
            stream,
            token,
            input: Vec::new(),
            output: Vec::new(),
            follows: None,
            silent_since: Some(self.looks),
            ended: false,
        };
        self.clients.insert(id, client);
    }

    /// Whoever connects to ask something asks at once; the one that has waited longest goes.
    fn cut_off_silent(&mut self, poller: &mut Poller<Event>) -> bool {
        let is_silent = |client: &Client| {
            client.silent_since.is_some_and(|since| self.looks >= since + SILENT_LOOKS)
        };
        let silent = self.clients.iter().find(|(_, client)| is_silent(client)).map(|(id, _)| *id);
        silent.is_some_and(|id| {
            tracing::debug!(
                "control socket: a connection that said nothing was closed for another"
            );
            self.close(id, poller);
            true
        })
    }

    /// The requests a client has sent since; an error stands for a line that is none.
    pub(crate) fn receive(
        &mut self,
        id: ClientId,
        poller: &mut Poller<Event>,
    ) -> Vec<Result<Request, ReplyError>> {
        let Some(client) = self.clients.get_mut(&id) else { return Vec::new() };
        client.ended = !client.read() || !client.flush(poller);
        let requests = client.requests();
        client.ended |= client.input.len() > LINE_MAX_BYTES;
        requests
    }

    /// Its requests are answered: one that has nothing more to say is let go.
    pub(crate) fn settle(&mut self, id: ClientId, poller: &mut Poller<Event>) {
        if self.clients.get(&id).is_some_and(|client| client.ended) {
            self.close(id, poller);
        }
    }

    pub(crate) fn reply(&mut self, id: ClientId, reply: &Reply, poller: &mut Poller<Event>) {
        self.send(id, reply, poller);
    }

    pub(crate) fn follow(&mut self, id: ClientId, follows: Follows) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.follows = Some(follows);
        }
    }

    /// A new line, to those who follow its worker.
    pub(crate) fn publish_line(&mut self, line: &LogLine, poller: &mut Poller<Event>) {
        self.publish(line, |follows| follows.wants_line(line), poller);
    }

    /// A change of a worker's state, to those who follow them.
    pub(crate) fn publish_change(&mut self, change: &Change, poller: &mut Poller<Event>) {
        self.publish(change, |follows| follows.wants_change(change), poller);
    }

    fn publish(
        &mut self,
        news: &impl Serialize,
        wanted: impl Fn(&Follows) -> bool,
        poller: &mut Poller<Event>,
    ) {
        let wants = |client: &Client| {
            let wanted = client.follows.as_ref().is_some_and(&wanted);
            wanted && client.output.len() < FOLLOW_MAX_BYTES
        };
        let ids: Vec<ClientId> =
            self.clients.iter().filter(|(_, c)| wants(c)).map(|(id, _)| *id).collect();
        for id in ids {
            self.send(id, &Followed { event: news }, poller);
        }
    }

    fn send(&mut self, id: ClientId, message: &impl Serialize, poller: &mut Poller<Event>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        // Our own types always have a JSON form.
        client.output.extend(serde_json::to_vec(message).unwrap_or_default());
        client.output.push(b'\n');
        if !client.flush(poller) || client.output.len() > OUTPUT_MAX_BYTES {
            self.close(id, poller);
        }
    }

    fn close(&mut self, id: ClientId, poller: &mut Poller<Event>) {
        if let Some(client) = self.clients.remove(&id) {
            poller.forget(&client.stream, client.token);
        }
    }
}

impl Follows {
    fn wants_change(&self, change: &Change) -> bool {
        matches!(self, Self::Changes(wanted) if wanted.holds(change))
    }

    fn wants_line(&self, line: &LogLine) -> bool {
        matches!(self, Self::Lines { workers, grep }
            if selects(workers, &line.worker) && line.text.contains(grep))
    }
}

/// No selector selects all.
pub(crate) fn selects(selectors: &[Selector], name: &WorkerName) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.matches(name))
}

impl Client {
    /// False when the other end is closed.
    fn read(&mut self) -> bool {
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.silent_since = None;
                self.input.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => is_for_later(&error),
        }
    }

    /// Sends what the socket takes now; false when it is closed.
    fn flush(&mut self, poller: &Poller<Event>) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if is_for_later(&error) => break,
                Err(_) => return false,
            }
        }
        poller.want_write(&self.stream, self.token, !self.output.is_empty()).is_ok()
    }

    fn requests(&mut self) -> Vec<Result<Request, ReplyError>> {
        let Some(end) = self.input.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.input.split_off(end + 1);
        let lines = std::mem::replace(&mut self.input, rest);
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).map_err(|error| not_a_request(&error)))
            .collect()
    }
}

fn not_a_request(error: &serde_json::Error) -> ReplyError {
    ReplyError {
        code: "request".to_owned(),
        text: format!("not a request: {error}"),
        hint: "send one JSON object a line: {v, id, verb, args}".to_owned(),
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The socket's mode keeps others out already; this holds even if somebody changes that.
fn is_ours(stream: &UnixStream) -> bool {
    let me = nix::unistd::geteuid().as_raw();
    getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.uid() == me || peer.uid() == 0)
}
