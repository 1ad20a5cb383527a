//! Segments without names, asked for at the project's broker (see [`crate::broker`]).

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use protocol::admin::RingStatus;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
    connect, recv, shutdown, socket_with,
};

use super::{Epochs, Hold, Leads, NewPages, Part, Segments};
use crate::broker::{self, Received, Reply, Request};
use crate::clock;
use crate::error::{Error, io};
use crate::fork::{Birth, Stretch, Unshared};
use crate::lock::Locked;
use crate::segment::{Access, Draft, Mapping};

/// How long a broker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a new writer waits for one that is on its way out.
const HOLD_PATIENCE: Duration = Duration::from_millis(250);
const HOLD_PAUSE: Duration = Duration::from_millis(2);

/// A ring of a project whose broker listens.
#[derive(Clone, Debug)]
pub(crate) struct Brokered {
    project: ProjectName,
    ring: RingName,
    socket: PathBuf,
    owner: u32,
}

impl Brokered {
    /// `None` where no broker listens.
    pub(super) fn find(project: &ProjectName, ring: &RingName) -> Option<Self> {
        let (socket, owner) = broker::sockets(project).into_iter().find_map(|socket| {
            let owner = fs::metadata(&socket).ok()?.uid();
            Some((socket, owner))
        })?;
        Some(Self { project: project.clone(), ring: ring.clone(), socket, owner })
    }

    /// The user that the broker's socket is of.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    /// Takes the ring for writing.
    pub(super) fn hold(self, contract: &RingContract) -> Result<BrokeredHold, Error> {
        let until = clock::mono() + HOLD_PATIENCE;
        loop {
            let (unshared, connection) = self.connect_for_this_process()?;
            let begin = Request::Begin {
                ring: self.ring.clone(),
                places: contract.places,
                spare: contract.config.spare_readers,
            };
            match self.ask(&connection, &begin, None)? {
                (Reply::Held { epochs, parts }, Some(pages)) => {
                    return Ok(BrokeredHold {
                        _unshared: [unshared, Unshared::descriptor(&pages)],
                        birth: Birth::here(),
                        at: self,
                        connection,
                        pages,
                        epochs,
                        said: Mutex::new(Said { parts, unanswered: 0 }),
                    });
                }
                (Reply::Taken, _) if clock::mono() < until => std::thread::sleep(HOLD_PAUSE),
                (Reply::Taken, _) => return Err(Error::HasWriter { ring: self.ring.clone() }),
                (reply, _) => return Err(self.unexpected(reply)),
            }
        }
    }

    /// How it does, in the broker's words.
    pub(crate) fn status(&self) -> Option<RingStatus> {
        match self.once(&Request::Status { ring: self.ring.clone() }) {
            Ok((Reply::Status { status }, _)) => Some(*status),
            _ => None,
        }
    }

    fn connect(&self) -> Result<OwnedFd, Error> {
        let flags = SocketFlags::CLOEXEC;
        let connected = || -> Result<OwnedFd, rustix::io::Errno> {
            let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            // The first bounds connecting as well.
            set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
            set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
            let address = SocketAddrUnix::new(&*self.socket)?;
            patiently(|| connect(&socket, &address))?;
            Ok(socket)
        };
        connected().map_err(|error| match error {
            // The project is down: its sockets go after it.
            rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED => self.absent(),
            error => io(&self.socket, Errno::from_raw(error.raw_os_error())),
        })
    }

    /// A connection that no forked child shares, before it holds anything: a child would keep the ring.
    fn connect_for_this_process(&self) -> Result<(Unshared, OwnedFd), Error> {
        loop {
            let stretch = Stretch::begin();
            let connection = self.connect()?;
            let unshared = Unshared::descriptor(&connection);
            if !stretch.saw_a_fork() {
                return Ok((unshared, connection));
            }
            std::thread::yield_now();
        }
    }

    /// A question on a connection of its own.
    fn once(&self, request: &Request) -> Result<(Reply, Option<OwnedFd>), Error> {
        self.ask(&self.connect()?, request, None)
    }

    fn ask(
        &self,
        connection: &OwnedFd,
        request: &Request,
        with: Option<&OwnedFd>,
    ) -> Result<(Reply, Option<OwnedFd>), Error> {
        self.say(connection, request, with)?;
        self.understood(self.hear(connection)?)
    }

    fn say(
        &self,
        connection: &OwnedFd,
        request: &Request,
        with: Option<&OwnedFd>,
    ) -> Result<(), Error> {
        let with = with.map(AsFd::as_fd);
        let sent = patiently(|| broker::send(connection, request, with, SendFlags::empty()));
        sent.map_err(|error| self.failed(error))
    }

    /// The answer that comes next.
    fn hear(&self, connection: &OwnedFd) -> Result<Received<Reply>, Error> {
        match patiently(|| broker::receive(connection, RecvFlags::empty())) {
            Ok(Received::End) => Err(self.failed("it ended the connection")),
            Ok(received) => Ok(received),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn understood(&self, received: Received<Reply>) -> Result<(Reply, Option<OwnedFd>), Error> {
        match received {
            Received::Message(Reply::Refused { why }, _) => Err(self.failed(why)),
            Received::Message(reply, file) => Ok((reply, file)),
            Received::Garbage | Received::End => {
                Err(self.failed("its answer is not one of this version"))
            }
        }
    }

    fn failed(&self, what: impl ToString) -> Error {
        let (ring, socket) = (self.ring.clone(), self.socket.clone());
        Error::Broker { ring, socket, what: what.to_string() }
    }

    fn unexpected(&self, reply: Reply) -> Error {
        match reply {
            Reply::Absent => self.absent(),
            other => self.failed(format!("an answer to another question: {other:?}")),
        }
    }

    fn path(&self, part: Part) -> PathBuf {
        broker::path_of(self.project.as_str(), &self.ring, part)
    }
}

impl Segments for Brokered {
    fn ring(&self) -> &RingName {
        &self.ring
    }

    fn absent(&self) -> Error {
        Error::NoSuchRing { ring: self.ring.clone(), project: self.project.clone() }
    }

    fn path(&self, part: Part) -> PathBuf {
        self.path(part)
    }

    fn open(&self, part: Part) -> Result<Option<OwnedFd>, Error> {
        match self.once(&Request::Open { ring: self.ring.clone(), part })? {
            (Reply::Fd, Some(file)) => Ok(Some(file)),
            (Reply::Absent, _) => Ok(None),
            (reply, _) => Err(self.unexpected(reply)),
        }
    }

    fn leads(&self, part: Part, file: &OwnedFd) -> Leads {
        let inode = broker::inode(file);
        match self.once(&Request::Leads { ring: self.ring.clone(), part, inode }) {
            Ok((Reply::Leads { leads }, _)) => leads,
            Err(Error::NoSuchRing { .. }) => Leads::Nowhere,
            // A broker that does not answer has not said that anything is gone.
            Ok(_) | Err(_) => Leads::Here,
        }
    }

    /// A sealed index is nobody else's, and a new writer gets none of the one before.
    fn successor_calls(&self) -> bool {
        false
    }

    fn claim_page(&self, places: u32) -> Result<(u32, OwnedFd), Error> {
        match self.once(&Request::Claim { ring: self.ring.clone() })? {
            (Reply::Page { place }, Some(page)) => Ok((place, page)),
            (Reply::Full { holders }, _) => {
                Err(Error::NoPlace { ring: self.ring.clone(), places, holders })
            }
            (reply, _) => Err(self.unexpected(reply)),
        }
    }
}

/// Sockets with a time limit are interrupted by every signal that is handled, and when a stopped process goes on
/// (signal(7)): neither is a reason to give a question up.
fn patiently<T>(
    mut call: impl FnMut() -> Result<T, rustix::io::Errno>,
) -> Result<T, rustix::io::Errno> {
    let until = clock::mono() + PATIENCE;
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) if clock::mono() < until => {}
            done => return done,
        }
    }
}

/// A ring that the broker lets nobody else write while this connection lasts.
#[derive(Debug)]
pub(crate) struct BrokeredHold {
    /// Of both sockets; dropped before they are closed.
    _unshared: [Unshared; 2],
    birth: Birth,
    at: Brokered,
    connection: OwnedFd,
    /// Where pages of new readers come from.
    pages: OwnedFd,
    epochs: Epochs,
    /// Locked also for questions, which have their answers in turn.
    said: Mutex<Said>,
}

/// What a writer has said to the broker.
#[derive(Debug)]
struct Said {
    /// What this ring shows.
    parts: Vec<Part>,
    /// Questions whose answers have not come, and may yet.
    unanswered: u32,
}

impl BrokeredHold {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers come in the order of the questions: those to questions that were given up come first.
    fn ask(&self, said: &mut Said, request: &Request, with: Option<&OwnedFd>) -> Result<(), Error> {
        self.at.say(&self.connection, request, with)?;
        said.unanswered += 1;
        loop {
            let heard = self.at.hear(&self.connection)?;
            said.unanswered -= 1;
            if said.unanswered == 0 {
                return match self.at.understood(heard)? {
                    (Reply::Done, _) => Ok(()),
                    (reply, _) => Err(self.at.unexpected(reply)),
                };
            }
        }
    }

    fn take_back(&self, said: &mut Said, part: Part) {
        // One that could not be told stays listed, to be taken away with its epoch.
        if self.tell(&Request::Unlink { part }) {
            said.parts.retain(|shown| *shown != part);
        }
    }

    /// No answer is waited for, nor room: the writer may be in the middle of its work. `false` when there
    /// was none.
    fn tell(&self, request: &Request) -> bool {
        broker::send(&self.connection, request, None, SendFlags::DONTWAIT).is_ok()
    }
}

impl Drop for BrokeredHold {
    fn drop(&mut self) {
        // Not by closing alone: a child forked just before would keep the ring.
        if self.birth.is_here() {
            let _ = shutdown(&self.connection, Shutdown::Both);
        }
    }
}

impl Hold for BrokeredHold {
    fn ring(&self) -> &RingName {
        &self.at.ring
    }

    fn path(&self, part: Part) -> PathBuf {
        self.at.path(part)
    }

    fn epochs(&self) -> Epochs {
        self.epochs
    }

    fn create(&self, part: Part, bytes: usize) -> Result<Draft, Error> {
        let path = self.path(part);
        let memory = broker::create(&path, bytes)?;
        let mapping = Mapping::open(&path, &memory, bytes, Access::ReadWrite)?;
        // A lock on it ends with this descriptor, not with the mapping.
        let file = reopened(&path, &memory, OFlag::O_RDWR)?;
        Ok(Draft::unnamed(mapping, file))
    }

    fn link(&self, part: Part, draft: Draft) -> Result<(Mapping, Locked), Error> {
        let path = self.path(part);
        let (mapping, file) = draft.into_parts();
        broker::seal_for_maker(&path, file.file())?;
        let for_readers = reopened(&path, file.file(), OFlag::O_RDONLY)?;
        let mut said = self.said();
        said.parts.push(part);
        if let Err(error) = self.ask(&mut said, &Request::Link { part }, Some(&for_readers)) {
            // It may be shown yet, when the broker comes to it.
            self.take_back(&mut said, part);
            return Err(error);
        }
        Ok((mapping, file))
    }

    fn unlink(&self, part: Part) {
        let mut said = self.said();
        if said.parts.contains(&part) {
            self.take_back(&mut said, part);
        }
    }

    fn list(&self) -> Vec<Part> {
        self.said().parts.clone()
    }

    fn announce(&self, epochs: Epochs) -> Result<(), Error> {
        self.ask(&mut self.said(), &Request::Announce { epochs }, None)
    }

    fn ring_bell(&self) {
        // Not told: readers look again by themselves within a slice.
        let _ = self.tell(&Request::Wake);
    }

    fn index_of(&self, _: u64) -> Option<Mapping> {
        None
    }

    fn take_pages(&self) -> NewPages {
        // One a place: those of readers that came and went meanwhile would cost descriptors.
        let mut taken = BTreeMap::new();
        let more = loop {
            match self.next_page() {
                Ok(Some((place, page))) => drop(taken.insert(place, page)),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        NewPages { pages: taken.into_iter().collect(), more }
    }

    fn forget_pages(&self) {
        // Before those that have come are taken: none is left on its way.
        let _ = shutdown(&self.pages, Shutdown::Both);
        drop(self.take_pages());
    }
}

impl BrokeredHold {
    /// An error: there is one, and it waits until this process has a descriptor for it.
    fn next_page(&self) -> Result<Option<(u32, OwnedFd)>, rustix::io::Errno> {
        let peek = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        let mut first = [0; 1];
        // Nearly always there is nothing, and this is asked for every slot.
        if !matches!(recv(&self.pages, &mut first, peek), Ok((1, _))) {
            return Ok(None);
        }
        // What is looked at only comes with a descriptor already: what is taken without one is lost.
        let seen = broker::receive(&self.pages, peek)?;
        let _ = recv(&self.pages, &mut first, RecvFlags::DONTWAIT);
        Ok(match seen {
            Received::Message(Reply::Page { place }, Some(page)) => Some((place, page)),
            _ => None,
        })
    }
}

fn reopened(path: &Path, file: &OwnedFd, access: OFlag) -> Result<OwnedFd, Error> {
    broker::reopen(file, access).map_err(|source| io(path, source))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use nix::libc;
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    use rustix::net::socketpair;

    use super::*;

    /// A writer's hold whose broker is the test, and that broker's end of the connection.
    fn hold(patience: Duration) -> (BrokeredHold, OwnedFd) {
        let pair = || {
            let flags = SocketFlags::CLOEXEC;
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
        };
        let ((connection, theirs), (pages, _)) = (pair(), pair());
        set_socket_timeout(&connection, Timeout::Recv, Some(patience)).unwrap();
        let at = Brokered {
            project: "p".parse().unwrap(),
            ring: "cam.frames".parse().unwrap(),
            socket: PathBuf::from("broker.sock"),
            owner: 0,
        };
        let hold = BrokeredHold {
            _unshared: [&connection, &pages].map(Unshared::descriptor),
            birth: Birth::here(),
            at,
            connection,
            pages,
            epochs: Epochs { live: 0, previous: 0 },
            said: Mutex::new(Said { parts: Vec::new(), unanswered: 0 }),
        };
        (hold, theirs)
    }

    fn asked(broker: &OwnedFd) -> Request {
        match broker::receive(broker, RecvFlags::empty()).unwrap() {
            Received::Message(request, _) => request,
            other => panic!("{other:?}"),
        }
    }

    fn answer(broker: &OwnedFd, reply: &Reply) {
        broker::send(broker, reply, None, SendFlags::empty()).unwrap();
    }

    fn link(hold: &BrokeredHold, generation: u32) -> Result<(), Error> {
        let part = Part::Data { epoch: 1, generation };
        hold.link(part, hold.create(part, 4096).unwrap()).map(drop)
    }

    #[test]
    fn an_answer_that_came_too_late_is_not_taken_for_that_to_the_next_question() {
        let (hold, broker) = hold(Duration::from_millis(20));
        let given_up = link(&hold, 1).unwrap_err().to_string();
        assert!(given_up.contains("temporarily unavailable"), "{given_up}");
        answer(&broker, &Reply::Done);
        answer(&broker, &Reply::Refused { why: "too many of them".to_owned() });
        let refused = link(&hold, 2).unwrap_err().to_string();
        assert!(refused.contains("too many of them"), "{refused}");
        answer(&broker, &Reply::Done);
        link(&hold, 3).unwrap();
        // What was given up is not left to be seen.
        let seen: Vec<Request> = (0..5).map(|_| asked(&broker)).collect();
        let part = |generation| Part::Data { epoch: 1, generation };
        for generation in [1, 2] {
            let position = |wanted| seen.iter().position(|request| *request == wanted).unwrap();
            let linked = position(Request::Link { part: part(generation) });
            assert_eq!(position(Request::Unlink { part: part(generation) }), linked + 1);
        }
        assert_eq!(hold.list(), [part(3)]);
    }

    extern "C" fn nothing(_: libc::c_int) {}

    #[test]
    fn a_signal_does_not_end_a_question() {
        let handler = SigHandler::Handler(nothing);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler does nothing, and nothing else here uses the signal.
        unsafe { sigaction(Signal::SIGURG, &action) }.unwrap();
        let (hold, broker) = hold(PATIENCE);
        // SAFETY: no more than a number.
        let asker = unsafe { libc::pthread_self() };
        let broker = thread::spawn(move || {
            asked(&broker);
            for _ in 0..5 {
                // SAFETY: that thread waits for the answer below.
                assert_eq!(unsafe { libc::pthread_kill(asker, libc::SIGURG) }, 0);
                thread::sleep(Duration::from_millis(5));
            }
            answer(&broker, &Reply::Done);
        });
        hold.announce(Epochs { live: 1, previous: 0 }).unwrap();
        broker.join().unwrap();
    }
}
