//! Sessions that outlive the connection they were made on (RFC 2326 section 1.1): those whose packets are datagrams.
//!
//! The new connection has to name the session, whose id cannot be guessed, and come from the same address; who checks
//! that is the owner of all sessions (`sessions`).

use protocol::time::MonoNs;
use rtsp_types::Request;

use super::{Session, SetUp, named};
use crate::transport::Mode;

/// A session on its way to another connection of its client.
#[derive(Debug)]
pub struct Moving {
    set_up: SetUp,
    playing: bool,
}

impl Session {
    /// The id of the session, if it may move: what it sends does not need this connection.
    pub fn movable(&self) -> Option<&str> {
        let set_up = self.set_up.as_ref()?;
        let mode = set_up.playback.mode()?;
        (mode != Mode::Interleaved).then_some(&set_up.id)
    }

    /// The session that a request names although it is not this connection's; `None` when this one has its own.
    pub fn names_another<'a>(&self, request: &'a Request<Vec<u8>>) -> Option<&'a str> {
        named(request).filter(|_| self.set_up.is_none())
    }

    /// Lets the session go to another connection of its client (RFC 2326 section 1.1: a session is not tied to a
    /// connection). This one is as if it had never had it.
    pub fn give_up(&mut self) -> Option<Moving> {
        self.movable()?;
        let (set_up, playing) = (self.set_up.take()?, std::mem::take(&mut self.playing));
        Some(Moving { set_up, playing })
    }

    /// Goes on with a session that another connection had.
    pub fn take_over(&mut self, moving: Moving, now: MonoNs) {
        self.set_up = Some(moving.set_up);
        self.playing = moving.playing;
        self.was_set_up = true;
        self.heard = Some(now);
    }
}
