//! A connection that one worker accepted and another one is to serve: handed on as a descriptor, with the
//! bytes that were read of it.
//!
//! ```text
//! client ─> listening socket ─> worker A ─ sees whom it is for ─ hand_on ─> [NAME in a folder] ─> Door of B
//!    └────────────────────────────── from now on ──────────────────────────────────────────────> worker B
//! ```
//! What B makes of the connection does not end with A. The folder is one of the project's run
//! ([`Context::doors_dir`](crate::Context::doors_dir)), which only its user can enter.

use std::fs;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::codec;
use rustix::fs::{Mode, OFlags, chmod, open};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with,
};
use rustix::process::getuid;
use serde::{Deserialize, Serialize};
use spawn::is_readable;

/// Connections on their way to one worker; more are told to come later.
const BACKLOG: i32 = 16;
/// Who hands on connects and speaks in one go.
const SPEAKS_WITHIN: Duration = Duration::from_secs(1);

/// The name of the door for who publishes to a camera by RTSP; `path` is that of its URL.
pub fn of_publishers(path: &str) -> String {
    format!("{path}.rtsp")
}

/// Of a connection: who is at its ends, and what was read of it already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    pub peer: SocketAddr,
    pub local: IpAddr,
    pub bytes: Vec<u8>,
}

/// A connection that was handed on.
#[derive(Debug)]
pub struct Handed {
    pub stream: OwnedFd,
    pub visitor: Visitor,
}

/// Why a connection stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum NotHanded {
    /// Nobody of this name takes connections.
    #[error("no worker waits for it")]
    NoDoor,
    /// Its worker is away or has its hands full; it may be back in a moment.
    #[error("its worker does not take it: {0}; expected it to run and to keep up")]
    Busy(Errno),
    #[error(
        "{seen} bytes were read before it was handed on; expected {} at most",
        codec::FRAME_MAX_BYTES
    )]
    TooLong { seen: usize },
    #[error("it cannot be handed on: {0}")]
    Failed(Errno),
}

/// Where connections are handed to a worker. The name goes with it.
#[derive(Debug)]
pub struct Door {
    socket: OwnedFd,
    path: PathBuf,
}

impl Door {
    /// Opens the door `name` in `folder`, which is made where there is none. A door of the same name that an
    /// earlier life of the worker left behind is replaced.
    pub fn open(folder: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(name);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let inside = Short::of(folder)?;
        bind(&socket, &inside.address(name)?)?;
        chmod(&path, Mode::RUSR | Mode::WUSR)?;
        listen(&socket, BACKLOG)?;
        Ok(Self { socket, path })
    }

    /// The next connection, if there is one. One that is not handed on by a worker of this user is none.
    pub fn accept(&self) -> Option<Handed> {
        loop {
            let handing = accept_with(&self.socket, SocketFlags::CLOEXEC).ok()?;
            match take(&handing) {
                Ok(handed) => return Some(handed),
                Err(why) => tracing::warn!(%why, "nothing of use was handed on"),
            }
        }
    }

    /// Until a connection is there, or the time is over; whether one is.
    pub fn wait(&self, most: Duration) -> bool {
        is_readable(&self.socket, most)
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Else it is replaced by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

/// Hands `stream` to the worker whose door is `name` in `folder`; the caller closes its own. Never waits.
pub fn hand_on(
    folder: &Path,
    name: &str,
    stream: BorrowedFd<'_>,
    visitor: &Visitor,
) -> Result<(), NotHanded> {
    let frame =
        codec::encode(visitor).map_err(|_| NotHanded::TooLong { seen: visitor.bytes.len() })?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(NotHanded::Failed)?;
    let address = Short::of(folder).and_then(|inside| inside.connect(&socket, name));
    address.map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => NotHanded::NoDoor,
        Errno::AGAIN | Errno::CONNREFUSED => NotHanded::Busy(error),
        error => NotHanded::Failed(error),
    })?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let streams = [stream];
    control.push(SendAncillaryMessage::ScmRights(&streams));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = sendmsg(&socket, &[IoSlice::new(&frame)], &mut control, flags);
    sent.map(drop).map_err(NotHanded::Busy)
}

/// A folder by its descriptor: addresses of sockets have 107 bytes, and paths of folders more.
struct Short(OwnedFd);

impl Short {
    fn of(folder: &Path) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(folder, flags, Mode::empty()).map(Self)
    }

    fn address(&self, name: &str) -> Result<SocketAddrUnix, Errno> {
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }

    fn connect(&self, socket: &OwnedFd, name: &str) -> Result<(), Errno> {
        connect(socket, &self.address(name)?)
    }
}

fn take(handing: &OwnedFd) -> Result<Handed, String> {
    let told = |error: Errno| error.to_string();
    let peer = socket_peercred(handing).map_err(told)?;
    if peer.uid != getuid() && !peer.uid.is_root() {
        return Err(format!(
            "uid {} handed it on, expected {}",
            peer.uid.as_raw(),
            getuid().as_raw()
        ));
    }
    if !is_readable(handing, SPEAKS_WITHIN) {
        return Err("who handed it on says nothing".to_owned());
    }
    let mut bytes = vec![0; codec::FRAME_MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(handing, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
    let received = received.map_err(told)?;
    let streams = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(streams) => Some(streams),
        _ => None,
    });
    let stream = streams.flatten().next().ok_or("no connection came with it")?;
    bytes.truncate(received.bytes);
    let visitor = codec::decode(&bytes).map_err(|error| error.to_string())?;
    Ok(Handed { stream, visitor })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("framevisor-door-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn visitor(bytes: &[u8]) -> Visitor {
        let (peer, local) = ("10.0.0.5:4711".parse().unwrap(), "10.0.0.1".parse().unwrap());
        Visitor { peer, local, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_connection_is_served_by_whom_it_was_handed_to() {
        // Longer than an address of a socket may be.
        let folder = folder(&"long".repeat(40));
        let door = Door::open(&folder, "cam1").unwrap();
        assert!(door.accept().is_none());
        let (ours, mut clients) = UnixStream::pair().unwrap();
        hand_on(&folder, "cam1", ours.as_fd(), &visitor(b"ANNOUNCE")).unwrap();
        drop(ours);
        let handed = door.accept().unwrap();
        assert_eq!(handed.visitor, visitor(b"ANNOUNCE"));
        let mut served = UnixStream::from(handed.stream);
        clients.write_all(b"more").unwrap();
        let mut more = [0; 4];
        served.read_exact(&mut more).unwrap();
        assert_eq!(&more, b"more");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_door_that_is_not_there_is_told_from_one_whose_worker_died() {
        let folder = folder("gone");
        let (ours, _clients) = UnixStream::pair().unwrap();
        let hand = || hand_on(&folder, "cam1", ours.as_fd(), &visitor(b""));
        assert!(matches!(hand(), Err(NotHanded::NoDoor)));
        let door = Door::open(&folder, "cam1").unwrap();
        assert!(matches!(
            hand_on(&folder, "cam2", ours.as_fd(), &visitor(b"")),
            Err(NotHanded::NoDoor)
        ));
        // As a kill leaves it: the name without a socket behind it.
        let (copy, path) = (folder.join("copy"), folder.join("cam1"));
        fs::hard_link(&path, &copy).unwrap();
        drop(door);
        assert!(matches!(hand(), Err(NotHanded::NoDoor)));
        fs::rename(&copy, &path).unwrap();
        assert!(matches!(hand(), Err(NotHanded::Busy(Errno::CONNREFUSED))));
        let door = Door::open(&folder, "cam1").unwrap();
        hand().unwrap();
        assert!(door.accept().is_some());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn too_many_and_too_long_ones_stay_with_their_client() {
        let folder = folder("full");
        let door = Door::open(&folder, "cam1").unwrap();
        let (ours, _clients) = UnixStream::pair().unwrap();
        let hand = |bytes: &[u8]| hand_on(&folder, "cam1", ours.as_fd(), &visitor(bytes));
        let long = vec![b'x'; codec::FRAME_MAX_BYTES];
        assert!(matches!(hand(&long), Err(NotHanded::TooLong { .. })));
        let taken = (0..100).take_while(|_| hand(b"").is_ok()).count();
        assert!((1..100).contains(&taken), "{taken} were taken");
        assert!(matches!(hand(b""), Err(NotHanded::Busy(Errno::AGAIN))));
        assert_eq!(std::iter::from_fn(|| door.accept()).count(), taken);
        fs::remove_dir_all(folder).unwrap();
    }
}
