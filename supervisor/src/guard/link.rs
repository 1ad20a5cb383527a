//! What the supervisor tells its guard, over a SOCK_SEQPACKET pair: one byte, with descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Environment: number of the supervisor's inherited end.
pub(crate) const GUARD_FD: &str = "FRAMEVISOR_GUARD_FD";
/// The kernel takes at most 253 descriptors a message.
const FDS_MAX: usize = 64;

/// What a message's descriptors are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Keep them open as long as you live.
    Hold,
    /// Print there from now on.
    Log,
}

impl Meaning {
    fn code(self) -> u8 {
        match self {
            Self::Hold => b'H',
            Self::Log => b'L',
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Hold, Self::Log].into_iter().find(|meaning| meaning.code() == code)
    }
}

/// The guard's end and the supervisor's.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

pub(crate) fn send(link: impl AsFd, meaning: Meaning, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    for some in fds.chunks(FDS_MAX) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(some));
        let code = [meaning.code()];
        sendmsg(&link, &[IoSlice::new(&code)], &mut control, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// `None` at the end of the link.
pub(crate) fn receive(link: impl AsFd) -> io::Result<Option<(Meaning, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut code = [0];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(link, &mut [IoSliceMut::new(&mut code)], &mut control, flags)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = fds.flatten().collect();
    match Meaning::from_code(code[0]) {
        Some(meaning) => Ok(Some((meaning, fds))),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "unknown message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_held_duplicate_keeps_a_listening_socket_open() {
        let (guard, supervisor) = pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        send(&supervisor, Meaning::Hold, &[listener.as_fd()]).unwrap();
        drop(listener);
        let (meaning, held) = receive(&guard).unwrap().unwrap();
        assert_eq!((meaning, held.len()), (Meaning::Hold, 1));
        TcpStream::connect(address).unwrap();
        drop(held);
        assert!(TcpStream::connect(address).is_err());
        drop(supervisor);
        assert!(receive(&guard).unwrap().is_none());
    }
}
