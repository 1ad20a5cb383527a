//! The broker's socket. One thread, nothing waits for a client: who is silent, slow, loud or not
//! understood is let go of.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Gid, Uid, chown, geteuid};
use protocol::name::RingName;
use protocol::time::MonoNs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, socket_with,
};

use super::message::{self, Received, Reply, Request};
use super::registry::{Answer, Peer, Registry};
use crate::clock;

/// Connections that wait to be taken.
const BACKLOG: i32 = 128;
/// Readers that may be asking at once, and how many of them may be of one other user.
const READERS_MAX: usize = 256;
const READERS_OF_ONE_MAX: usize = 16;
/// How long a reader may take to ask.
const ASK_WAIT: Duration = Duration::from_secs(1);
/// A pause after which a lack of descriptors may be over, or an answer taken.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);
/// Linux 6.16's socket(7): whether descriptors may be sent to this socket.
const SO_PASSRIGHTS: libc::c_int = 83;

/// Mode 0600, or 0660 for the group: the kernel lets nobody else connect.
pub(super) fn listen(path: &Path, group: Option<u32>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    if let Some(group) = group {
        chown(path, None, Some(Gid::from_raw(group)))?;
    }
    // Nobody can connect before it listens.
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    // Closing what a reader sent, an unsent TCP connection for one, may take as long as it likes.
    let_descriptors_in(&socket, false);
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

#[derive(Debug)]
pub(super) struct Server {
    listener: OwnedFd,
    registry: Arc<Mutex<Registry>>,
    for_others: bool,
    clients: Vec<Client>,
    /// What those who were let go of have not taken: a descriptor on its way counts against the broker's
    /// user, and at `ulimit -n` of them that user can send no more, to nobody.
    untaken: Vec<Untaken>,
    /// Nothing is accepted before this.
    accept_from: MonoNs,
}

#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    peer: Peer,
    /// The ring it writes; without one it is to ask before `deadline`.
    writes: Option<RingName>,
    deadline: MonoNs,
}

/// An answer whose client has neither read it nor ended.
#[derive(Debug)]
struct Untaken {
    socket: OwnedFd,
    uid: u32,
}

/// Whether a client is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Keep,
    LetGo,
}

impl Server {
    pub(super) fn new(listener: OwnedFd, registry: Arc<Mutex<Registry>>, for_others: bool) -> Self {
        let (clients, untaken) = (Vec::new(), Vec::new());
        Self { listener, registry, for_others, clients, untaken, accept_from: MonoNs(0) }
    }

    pub(super) fn run(mut self, until: &OwnedFd) {
        loop {
            let ready = match self.wait(until) {
                Ok(ready) => ready,
                // Too little memory, or a limit of descriptors that was lowered: neither need last.
                Err(_) => {
                    thread::sleep(SHORTAGE_PAUSE);
                    Ready { stop: is_told(until), ..Ready::default() }
                }
            };
            if ready.stop {
                return;
            }
            // From behind: letting go of one moves only those behind it.
            for at in ready.clients.into_iter().rev() {
                if self.serve(at) == Next::LetGo {
                    self.let_go(at);
                }
            }
            self.let_go_of_the_silent(clock::mono());
            self.forget_the_taken();
            if ready.listener {
                self.accept();
            }
        }
    }

    fn wait(&self, until: &OwnedFd) -> Result<Ready, Errno> {
        let now = clock::mono();
        let accepts = now >= self.accept_from;
        let listens = if accepts { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = vec![
            PollFd::new(until, PollFlags::IN),
            PollFd::from_borrowed_fd(self.listener.as_fd(), listens),
        ];
        fds.extend(self.clients.iter().map(|client| PollFd::new(&client.socket, PollFlags::IN)));
        let timeout = self.next_deadline(now).map(|deadline| {
            let wait = deadline.saturating_since(now) + Duration::from_millis(1);
            Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let clients = fds[2..].iter().enumerate().filter(|(_, fd)| is_ready(fd));
        Ok(Ready {
            stop: is_ready(&fds[0]),
            listener: accepts && is_ready(&fds[1]),
            clients: clients.map(|(at, _)| at).collect(),
        })
    }

    fn next_deadline(&self, now: MonoNs) -> Option<MonoNs> {
        let silent = self.clients.iter().filter(|client| client.writes.is_none());
        let deadlines = silent.map(|client| client.deadline);
        let untaken = (!self.untaken.is_empty()).then(|| now + SHORTAGE_PAUSE);
        let accept = (self.accept_from > now).then_some(self.accept_from);
        deadlines.chain(untaken).chain(accept).min()
    }

    /// One message, so that nobody keeps the thread.
    fn serve(&mut self, at: usize) -> Next {
        let received = message::receive(&self.clients[at].socket, RecvFlags::DONTWAIT);
        let (request, file) = match received {
            Ok(Received::Message(request, file)) => (request, file),
            Err(Errno::AGAIN | Errno::INTR) => return Next::Keep,
            Err(Errno::MFILE) => {
                return self.clients[at].refuse("the broker has no descriptor left");
            }
            Ok(Received::Garbage | Received::End) | Err(_) => return Next::LetGo,
        };
        let client = &mut self.clients[at];
        let writes = client.writes.clone();
        let mut registry = super::lock(&self.registry);
        let mut closed = None;
        let answer = match (request, &writes) {
            (Request::Open { ring, part }, None) => Some(registry.open(&ring, part)),
            (Request::Leads { ring, part, inode }, None) => {
                Some(registry.leads(&ring, part, inode))
            }
            (Request::Claim { ring }, None) => Some(registry.claim(&ring, client.peer)),
            (Request::Status { ring }, None) => {
                let status = Box::new(registry.status(&ring, clock::mono()));
                Some((Reply::Status { status }, None))
            }
            (Request::Begin { ring, places, spare }, None) => {
                let answer = registry.begin(&ring, (places, spare), client.peer);
                client.writes = matches!(answer.0, Reply::Held { .. }).then_some(ring);
                if client.writes.is_some() {
                    let_descriptors_in(&client.socket, true);
                }
                Some(answer)
            }
            (Request::Link { part }, Some(ring)) => Some(registry.link(ring, part, file)),
            (Request::Announce { epochs }, Some(ring)) => Some(registry.announce(ring, epochs)),
            (Request::Unlink { part }, Some(ring)) => {
                closed = registry.unlink(ring, part);
                None
            }
            (Request::Wake, Some(ring)) => {
                registry.wake(ring);
                None
            }
            _ => return Next::LetGo,
        };
        drop(registry);
        drop(closed);
        let sent = answer.is_none_or(|answer| client.send(&answer));
        if sent && client.writes.is_some() { Next::Keep } else { Next::LetGo }
    }

    fn let_go(&mut self, at: usize) {
        let client = self.clients.swap_remove(at);
        if let Some(ring) = client.writes {
            super::lock(&self.registry).end(&ring);
        }
        if has_untaken(&client.socket) {
            self.untaken.push(Untaken { socket: client.socket, uid: client.peer.uid });
        }
    }

    fn forget_the_taken(&mut self) {
        self.untaken.retain(|untaken| has_untaken(&untaken.socket));
    }

    fn let_go_of_the_silent(&mut self, now: MonoNs) {
        self.clients.retain(|client| client.writes.is_some() || client.deadline > now);
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match accept_with(&self.listener, flags) {
            Ok(socket) => socket,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                self.accept_from = clock::mono() + SHORTAGE_PAUSE;
                return;
            }
            Err(_) => return,
        };
        let Some(peer) = peer_of(&socket).filter(|peer| self.may_ask(*peer)) else {
            return;
        };
        let deadline = clock::mono() + ASK_WAIT;
        self.clients.push(Client { socket, peer, writes: None, deadline });
    }

    fn may_ask(&self, peer: Peer) -> bool {
        let asking = self.clients.iter().filter(|client| client.writes.is_none());
        let untaken = self.untaken.iter().map(|untaken| untaken.uid);
        let asking: Vec<u32> = asking.map(|client| client.peer.uid).chain(untaken).collect();
        let of_this_one = asking.iter().filter(|uid| **uid == peer.uid).count();
        // The project's own are let in beside any number of others.
        peer.is_own && of_this_one < READERS_MAX
            || self.for_others && of_this_one < READERS_OF_ONE_MAX && asking.len() < READERS_MAX
    }
}

/// Whether the thread is to end; asked without a wait, and without need of anything that may be short.
fn is_told(until: &OwnedFd) -> bool {
    rustix::io::read(until, &mut [0; 8]).is_ok()
}

#[derive(Debug, Default)]
struct Ready {
    stop: bool,
    listener: bool,
    /// In the order of the list.
    clients: Vec<usize>,
}

impl Client {
    fn refuse(&self, why: &str) -> Next {
        let sent = self.send(&(Reply::Refused { why: why.to_owned() }, None));
        if sent && self.writes.is_some() { Next::Keep } else { Next::LetGo }
    }

    /// One that does not read is not waited for.
    fn send(&self, (reply, file): &Answer) -> bool {
        let file = file.as_ref().map(AsFd::as_fd);
        message::send(&self.socket, reply, file, SendFlags::DONTWAIT).is_ok()
    }
}

/// Whether the other end has neither read all that was sent nor ended.
fn has_untaken(socket: &OwnedFd) -> bool {
    message::untaken_bytes(socket) > 0
}

/// Kernels that do not know the option let them in anyway.
fn let_descriptors_in(socket: &OwnedFd, let_in: bool) {
    let value = libc::c_int::from(let_in);
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
    // SAFETY: the kernel reads `length` bytes from `value`, which has so many.
    let _ = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const value).cast(),
            length,
        )
    };
}

fn peer_of(socket: &OwnedFd) -> Option<Peer> {
    let who = getsockopt(socket, sockopt::PeerCredentials).ok()?;
    let uid = Uid::from_raw(who.uid());
    let is_own = uid.is_root() || uid == geteuid();
    Some(Peer { uid: who.uid(), pid: u32::try_from(who.pid()).unwrap_or(0), is_own })
}

#[cfg(test)]
mod tests {
    use rustix::net::socketpair;

    use super::*;
    use crate::segments::Part;

    const STRANGER: Peer = Peer { uid: 61_001, pid: 1, is_own: false };

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn a_client_that_takes_no_answer_is_still_counted_when_it_was_let_go_of() {
        let project = "p".to_owned();
        let registry = Arc::new(Mutex::new(Registry::new(project, [])));
        let mut server = Server::new(pair().0, registry, true);
        let mut theirs = Vec::new();
        for _ in 0..READERS_OF_ONE_MAX {
            assert!(server.may_ask(STRANGER));
            let (ours, their) = pair();
            let request = Request::Open { ring: "cam.frames".parse().unwrap(), part: Part::Anchor };
            message::send(&their, &request, None, SendFlags::empty()).unwrap();
            let deadline = clock::mono() + ASK_WAIT;
            server.clients.push(Client { socket: ours, peer: STRANGER, writes: None, deadline });
            assert_eq!(server.serve(0), Next::LetGo);
            server.let_go(0);
            theirs.push(their);
        }
        server.forget_the_taken();
        assert!(!server.may_ask(STRANGER));
        let read = message::receive::<Reply>(&theirs[0], RecvFlags::empty());
        assert!(matches!(read, Ok(Received::Message(Reply::Absent, None))), "{read:?}");
        theirs.pop();
        server.forget_the_taken();
        assert_eq!(server.untaken.len(), READERS_OF_ONE_MAX - 2);
        assert!(server.may_ask(STRANGER));
    }
}
