//! A viewer in a relay's hands.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::time::MonoNs;
use rustix::net::{SendFlags, send};
use tokio::net::TcpStream;

use crate::playback::{Outlet, Playback};
use crate::print::Print;
use crate::scene::Viewing;

/// What is needed to send units to a viewer. While it is carried, all that was sent to it was taken.
#[derive(Debug)]
pub struct Carried {
    pub peer: SocketAddr,
    pub line: Arc<TcpStream>,
    pub playback: Playback,
    pub viewing: Viewing,
    /// What the client did not take.
    pub rest: Vec<u8>,
}

/// Where what is sent is put together.
#[derive(Debug, Default)]
pub(super) struct Desk {
    print: Print,
    aside: Vec<u8>,
}

impl Desk {
    /// Keeps no unit longer than it is needed.
    pub(super) fn clear(&mut self) {
        self.print.clear();
        self.aside = Vec::new();
    }
}

impl Carried {
    /// Sends the next unit, if there is one; `false` when the viewer's connection has to see to it.
    pub(super) fn go_on(&mut self, now: MonoNs, desk: &mut Desk) -> bool {
        // That the camera sends something else the connection will see for itself.
        let Ok(next) = self.viewing.next(self.peer) else { return false };
        let Some(unit) = next else { return true };
        let bytes = self.playback.print(&unit, now, &mut desk.print, &mut desk.aside);
        put(&self.line, bytes, &mut self.rest)
    }

    /// Reports on streams for which no unit comes; as [`Self::go_on`].
    pub(super) fn report(&mut self, now: MonoNs, desk: &mut Desk) -> bool {
        desk.aside.clear();
        self.playback.report(now, Outlet::Interleaved(&mut desk.aside));
        put(&self.line, &desk.aside, &mut self.rest)
    }
}

/// Whether the socket takes all of them now; else what it does not take is the rest.
fn put(line: &TcpStream, bytes: &[u8], rest: &mut Vec<u8>) -> bool {
    // Of a track that the client has not set up, or that pauses.
    if bytes.is_empty() {
        return true;
    }
    // Past tokio, which would look first whether it believes the socket to have room: it nearly always does. Where it does
    // not, or is broken, the connection finds out for itself.
    let taken = send(line, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).unwrap_or(0);
    rest.extend_from_slice(&bytes[taken..]);
    rest.is_empty()
}
