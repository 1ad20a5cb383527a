//! A worker that may outlive its supervisor: it listens for the next one, and ends itself when none comes.

use std::ffi::OsString;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use protocol::adoption::{Adopt, Adopted, Fence};
use protocol::codec;
use protocol::control::{CONTROL_VERSION, env};
use rustix::fs::{Mode, chmod};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    listen, recvmsg, sendmsg, socket_with,
};
use rustix::process::{Signal, getpid, getuid, kill_process, set_parent_process_death_signal};
use shmring::clock;
use spawn::is_readable;

use crate::fault::Fault;

/// Who connects is one of ours and speaks at once.
const SPEAKS_WITHIN: Duration = Duration::from_secs(1);
/// Supervisors that wait at the socket: one, and what a person tries.
const BACKLOG: i32 = 4;
/// From being alone for too long to the end of a worker that does not end by itself.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// What it takes to be adopted.
#[derive(Debug)]
pub(crate) struct Adoption {
    listener: OwnedFd,
    fence: Fence,
    within: Duration,
    /// For the next supervisor.
    page: OwnedFd,
}

impl Adoption {
    /// `None` for a worker that dies with its supervisor. To be called before any sandbox.
    pub(crate) fn open(page: impl AsFd) -> Result<Option<Self>, Fault> {
        let Some(path) = std::env::var_os(env::ADOPTION) else { return Ok(None) };
        let number = |text: OsString| text.to_str()?.parse().ok();
        let within = std::env::var_os(env::ADOPT_WITHIN_MS).and_then(number);
        let fence = std::env::var(env::FENCE).ok().and_then(|text| text.parse().ok());
        let (Some(within), Some(fence)) = (within, fence) else {
            let (fence, within) = (env::FENCE, env::ADOPT_WITHIN_MS);
            return Err(Fault::contract(format!("{fence} or {within} is missing or no number")));
        };
        let failed = |error| Fault::unavailable(format!("socket for the next supervisor: {error}"));
        let listener = listen_at(PathBuf::from(path)).map_err(failed)?;
        let page = rustix::io::fcntl_dupfd_cloexec(page, 3).map_err(failed)?;
        Ok(Some(Self { listener, fence, within: Duration::from_millis(within), page }))
    }

    /// From now on it may live without a supervisor; until now the kernel ended it with its own.
    pub(crate) fn begin(&self) -> Result<(), Fault> {
        set_parent_process_death_signal(None).map_err(Fault::failed)
    }

    /// The link to the next supervisor; `None` when none has come in time.
    pub(crate) fn wait(&self) -> Option<OwnedFd> {
        let deadline = clock::mono() + self.within;
        tracing::warn!(within = ?self.within, "the supervisor is gone: going on, waiting for another");
        loop {
            let left = deadline.saturating_since(clock::mono());
            if left.is_zero() {
                return None;
            }
            if !is_readable(&self.listener, left) {
                continue;
            }
            let flags = SocketFlags::CLOEXEC;
            let Ok(connection) = accept_with(&self.listener, flags) else { continue };
            match self.admit(&connection) {
                Ok(()) => return Some(connection),
                Err(why) => tracing::warn!(%why, "a connection of no supervisor of ours"),
            }
        }
    }

    /// From now on it prints where the supervisor reads.
    fn admit(&self, connection: &OwnedFd) -> Result<(), String> {
        let peer = socket_peercred(connection).map_err(|error| error.to_string())?;
        if peer.uid != getuid() && !peer.uid.is_root() {
            return Err(format!("uid {}", peer.uid.as_raw()));
        }
        let (frame, fds) = first_message(connection)?;
        let Adopt { version, fence } = codec::decode(&frame).map_err(|error| error.to_string())?;
        if version != CONTROL_VERSION {
            return Err(format!("control version {version}, expected {CONTROL_VERSION}"));
        }
        if fence != self.fence {
            return Err("it means another process".to_owned());
        }
        let [out, err] = fds.as_slice() else { return Err("two descriptors expected".to_owned()) };
        let adopted = Adopted { pid: std::process::id() };
        let frame = codec::encode(&adopted).map_err(|error| error.to_string())?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let page = [self.page.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&page));
        let sent = sendmsg(connection, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL);
        sent.map_err(|error| error.to_string())?;
        // The old ones lead nowhere.
        rustix::stdio::dup2_stdout(out).map_err(|error| error.to_string())?;
        rustix::stdio::dup2_stderr(err).map_err(|error| error.to_string())?;
        tracing::info!("a supervisor has come");
        Ok(())
    }
}

/// A worker that is to end and does not, with nobody to end it.
pub(crate) fn end_in_time() {
    std::thread::sleep(ENDS_WITHIN);
    let _ = kill_process(getpid(), Signal::KILL);
}

fn listen_at(path: PathBuf) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(&path)?)?;
    chmod(&path, Mode::RUSR | Mode::WUSR)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn first_message(connection: &OwnedFd) -> Result<(Vec<u8>, Vec<OwnedFd>), String> {
    if !is_readable(connection, SPEAKS_WITHIN) {
        return Err("it says nothing".to_owned());
    }
    let mut bytes = vec![0; codec::FRAME_MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(connection, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
    let received = received.map_err(|error| error.to_string())?;
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = fds.flatten().collect();
    bytes.truncate(received.bytes);
    Ok((bytes, fds))
}
