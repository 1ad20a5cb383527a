//! Taking up a worker whose supervisor was killed: who it is, a new link, its health page, new pipes for
//! what it prints. Whoever cannot be taken up is ended, and only then may another be started in its place.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use protocol::adoption::{Adopt, Adopted};
use protocol::codec;
use protocol::control::CONTROL_VERSION;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg,
    sendmsg, socket_with,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use spawn::is_readable;

use crate::orphans;
use crate::process::Bond;

/// A worker answers between two steps of its receiving thread, at once.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// SIGKILL takes effect in milliseconds, unless it is stuck in the kernel.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// A worker that was taken up.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) link: OwnedFd,
    pub(crate) pidfd: OwnedFd,
    pub(crate) health: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AdoptionError {
    /// Nothing is left to end.
    #[error("it is gone")]
    Gone,
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
    #[error("it does not answer within {ANSWERS_WITHIN:?}")]
    Silent,
    #[error("it answers something else: {0}")]
    Wrong(String),
}

/// The process that `pid` was when `bond` was made.
pub(crate) fn take_up(pid: u32, bond: &Bond) -> Result<Taken, AdoptionError> {
    let pidfd = find(pid, bond).ok_or(AdoptionError::Gone)?;
    connect_to(pid, bond, &pidfd).inspect_err(|_| end(&pidfd))
}

fn find(pid: u32, bond: &Bond) -> Option<OwnedFd> {
    let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let pidfd = pidfd_open(number, PidfdFlags::empty()).ok()?;
    // Looked at with the descriptor in hand, which cannot become another's.
    let is_same = bond.born.is_some() && orphans::born(pid) == bond.born;
    (is_same && !is_readable(&pidfd, Duration::ZERO)).then_some(pidfd)
}

fn connect_to(pid: u32, bond: &Bond, pidfd: &OwnedFd) -> Result<Taken, AdoptionError> {
    let failed =
        |step| move |error: rustix::io::Errno| AdoptionError::Io { step, source: error.into() };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let link = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let link = link.map_err(failed("socket"))?;
    let address = SocketAddrUnix::new(&bond.socket).map_err(failed("its socket"))?;
    connect(&link, &address).map_err(failed("connect to its socket"))?;
    let peer = socket_peercred(&link).map_err(failed("look at its socket"))?;
    if u32::try_from(peer.pid.as_raw_nonzero().get()) != Ok(pid) {
        return Err(AdoptionError::Wrong("another process listens in its place".to_owned()));
    }
    let (stdout, theirs_out) = pipe().map_err(failed("pipe"))?;
    let (stderr, theirs_err) = pipe().map_err(failed("pipe"))?;
    say(&link, bond, &theirs_out, &theirs_err)?;
    if !is_readable(&link, ANSWERS_WITHIN) {
        return Err(AdoptionError::Silent);
    }
    let health = hear(&link, pid)?;
    let pidfd = pidfd.try_clone().map_err(|source| AdoptionError::Io { step: "pidfd", source })?;
    Ok(Taken { link, pidfd, health, stdout, stderr })
}

fn say(link: &OwnedFd, bond: &Bond, out: &OwnedFd, err: &OwnedFd) -> Result<(), AdoptionError> {
    let adopt = Adopt { version: CONTROL_VERSION, fence: bond.fence };
    let frame = codec::encode(&adopt).map_err(|error| AdoptionError::Wrong(error.to_string()))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [out.as_fd(), err.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let sent = sendmsg(link, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL);
    sent.map(drop).map_err(|error| AdoptionError::Io { step: "send", source: error.into() })
}

/// Its health page: nobody can resize it, so reading it cannot fail in a way that matters.
fn hear(link: &OwnedFd, pid: u32) -> Result<OwnedFd, AdoptionError> {
    let wrong = |what: &str| AdoptionError::Wrong(what.to_owned());
    let mut bytes = vec![0; codec::FRAME_MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(link, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
    let received = received
        .map_err(|error| AdoptionError::Io { step: "receive", source: error.into() })?
        .bytes;
    if received == 0 {
        return Err(wrong("it refuses this supervisor"));
    }
    let adopted: Adopted =
        codec::decode(&bytes[..received]).map_err(|error| wrong(&error.to_string()))?;
    if adopted.pid != pid {
        return Err(wrong("it says that it is another process"));
    }
    let page = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let page = page.ok_or_else(|| wrong("no health page comes with it"))?;
    let seals =
        fcntl(&page, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_truncate);
    if !seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW) {
        return Err(wrong("its health page can be resized"));
    }
    Ok(page)
}

/// Waits for its end: whoever takes its place must find it free.
fn end(pidfd: &OwnedFd) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    if !is_readable(pidfd, ENDS_WITHIN) {
        tracing::warn!(
            "a worker that is not adopted does not end: its rings and files stay locked"
        );
    }
}

/// Ours for reading, without waiting, and theirs.
fn pipe() -> Result<(OwnedFd, OwnedFd), rustix::io::Errno> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(|errno| rustix::io::Errno::from_raw_os_error(errno as i32))?;
    Ok((ours, theirs))
}

/// This boot: numbers of processes mean nothing beyond it.
pub(crate) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use protocol::units::Span;

    use super::*;

    #[test]
    fn a_process_that_only_has_the_number_is_neither_adopted_nor_ended() {
        let mut child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let bond = Bond::new(PathBuf::from("/nowhere"), Span::from_millis(1)).unwrap();
        let born = orphans::born(child.id());
        for other in [None, born.map(|ticks| ticks + 1)] {
            let stranger = Bond { born: other, ..bond.clone() };
            assert!(matches!(take_up(child.id(), &stranger), Err(AdoptionError::Gone)));
            assert_eq!(child.try_wait().unwrap(), None);
        }
        // The process itself, which does not listen, makes room for another.
        let own = Bond { born, ..bond };
        assert!(matches!(take_up(child.id(), &own), Err(AdoptionError::Io { .. })));
        assert!(!child.wait().unwrap().success());
    }
}
