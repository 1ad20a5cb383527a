//! Who comes with an ANNOUNCE: read, and let in or sent away.

use std::net::{SocketAddr, TcpStream};

use protocol::units::BitRate;
use shmring::clock;
use worker::door::Handed;

use super::announce::{Announced, Refusal};
use super::gone::Gone;
use super::guest::{Guest, Line};
use super::session::{Reply, Session};
use crate::rtsp::connection::write;
use crate::rtsp::message::{Inbox, Incoming, Request};

/// After so many seconds somebody who is refused for another one may come again.
const RETRY_AFTER_S: &str = "5";

/// Who comes with an ANNOUNCE, and is not let in yet.
#[derive(Debug)]
pub(crate) struct Newcomer {
    line: Line,
    request: Request,
    announced: Announced,
}

/// Who was sent away at once, and why.
#[derive(Debug, thiserror::Error)]
#[error("publisher {peer} {why}")]
pub(crate) struct Refused {
    peer: SocketAddr,
    why: String,
}

impl Newcomer {
    /// Reads the ANNOUNCE that a connection is handed on with; a bad one is answered and over.
    pub(crate) fn read(handed: Handed) -> Result<Self, Refused> {
        let Handed { stream, visitor } = handed;
        let (stream, peer) = (TcpStream::from(stream), visitor.peer);
        let refused = |why: String| Refused { peer, why };
        stream.set_nonblocking(true).map_err(|error| refused(error.to_string()))?;
        let mut inbox = Inbox::default();
        inbox.push(&visitor.bytes);
        let request = match inbox.next() {
            Ok(Some(Incoming::Request(request))) if request.method == "ANNOUNCE" => request,
            _ => return Err(refused("came without an ANNOUNCE".to_owned())),
        };
        match Announced::read(&request) {
            Ok(announced) => {
                let line = Line { stream, peer, local: visitor.local, inbox };
                Ok(Self { line, request, announced })
            }
            Err(refusal) => {
                answer(&stream, &Reply::from(refusal.clone()), &request);
                Err(refused(refusal.why))
            }
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.line.peer
    }

    /// Sends it away: somebody else publishes.
    pub(crate) fn refuse(self, first: SocketAddr) -> Refused {
        let busy = Reply::from(Refusal::new(503, "")).with("Retry-After", RETRY_AFTER_S);
        answer(&self.line.stream, &busy, &self.request);
        Refused { peer: self.line.peer, why: format!("was refused: {first} publishes") }
    }

    /// Lets it in. Its bit rate is to keep to `most`.
    pub(crate) fn welcome(self, most: BitRate) -> Result<Guest, Gone> {
        let Self { line, request, announced } = self;
        let peer = line.peer;
        let io = |source| Gone::Io { peer, doing: "answering", source };
        let id = session_id().map_err(io)?;
        let session = Session::new(id, announced);
        write(&line.stream, session.welcome().to(&request).as_bytes()).map_err(io)?;
        Ok(Guest::new(line, session, most, clock::mono()))
    }
}

/// Whether it is taken is its own affair.
fn answer(stream: &TcpStream, reply: &Reply, request: &Request) {
    let _ = write(stream, reply.to(request).as_bytes());
}

fn session_id() -> std::io::Result<String> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}
