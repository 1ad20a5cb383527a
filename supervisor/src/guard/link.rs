//! What guard and supervisor tell each other, over a SOCK_SEQPACKET pair: one byte, what goes with it,
//! and descriptors. docs/protocol.md lists them.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use protocol::exit::ExitReason;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Environment: number of the supervisor's inherited end.
pub(crate) const GUARD_FD: &str = "FRAMEVISOR_GUARD_FD";
/// The kernel takes at most 253 descriptors a message.
const FDS_MAX: usize = 64;
/// A command line with two paths.
const MESSAGE_MAX_BYTES: usize = 3 * 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// To the guard: if the supervisor is killed, start this program with these arguments, and leave alone
    /// who is kept. Nothing at all takes it back.
    Follow(Vec<OsString>),
    /// To the guard: this child of the supervisor may live on. With its pidfd.
    Keep(u32),
    /// To the guard: that one has ended.
    Forget(u32),
    /// Both ways: keep these descriptors open; from a guard to a new supervisor: it is what the last one had.
    Hold,
    /// To the guard: keep these sockets no longer.
    Release,
    /// To the guard: print there from now on.
    Log,
    /// To a new supervisor: that was all it held.
    Begin,
    /// To the supervisor: a child of the guard has ended.
    Ended(u32, ExitReason),
    /// Of another version: after an upgrade the guard is the older program. It is passed over.
    Unknown,
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        let numbered = |code: u8, pid: u32| [&[code][..], &pid.to_le_bytes()].concat();
        match self {
            Self::Follow(command) => {
                let words: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
                [b"F", words.join(&0).as_slice()].concat()
            }
            Self::Keep(pid) => numbered(b'K', *pid),
            Self::Forget(pid) => numbered(b'D', *pid),
            Self::Hold => b"H".to_vec(),
            Self::Log => b"L".to_vec(),
            Self::Release => b"R".to_vec(),
            Self::Begin => b"B".to_vec(),
            Self::Ended(pid, reason) => {
                let (how, value) = match reason {
                    ExitReason::Signal { number, core: false } => (b's', *number),
                    ExitReason::Signal { number, core: true } => (b'c', *number),
                    ExitReason::Code(code) => (b'e', *code),
                    _ => (b'e', 1),
                };
                [numbered(b'E', *pid), vec![how], value.to_le_bytes().to_vec()].concat()
            }
            Self::Unknown => Vec::new(),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (code, rest) = bytes.split_first()?;
        let pid = rest.first_chunk().map(|pid| u32::from_le_bytes(*pid));
        match code {
            b'F' => {
                let words = rest.split(|byte| *byte == 0).filter(|word| !word.is_empty());
                Some(Self::Follow(words.map(|word| OsStr::from_bytes(word).to_owned()).collect()))
            }
            b'K' => Some(Self::Keep(pid?)),
            b'D' => Some(Self::Forget(pid?)),
            b'H' => Some(Self::Hold),
            b'L' => Some(Self::Log),
            b'R' => Some(Self::Release),
            b'B' => Some(Self::Begin),
            b'E' => {
                let (how, value) = rest.get(4..)?.split_first()?;
                let number = i32::from_le_bytes(value.try_into().ok()?);
                let reason = match how {
                    b's' => ExitReason::Signal { number, core: false },
                    b'c' => ExitReason::Signal { number, core: true },
                    b'e' => ExitReason::Code(number),
                    _ => return None,
                };
                Some(Self::Ended(pid?, reason))
            }
            _ => None,
        }
    }
}

/// The guard's end and the supervisor's.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// As many messages as the descriptors need; never waits for the other end to read.
pub(crate) fn send(link: impl AsFd, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = message.bytes();
    let mut parts: Vec<&[BorrowedFd<'_>]> = fds.chunks(FDS_MAX).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    for some in parts {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !some.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(some));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&link, &[IoSlice::new(&bytes)], &mut control, flags)?;
    }
    Ok(())
}

/// `None` at the end of the link.
pub(crate) fn receive(link: impl AsFd) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; MESSAGE_MAX_BYTES];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(link, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = fds.flatten().collect();
    let message = Message::parse(&bytes[..received.bytes]).unwrap_or(Message::Unknown);
    Ok(Some((message, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::MsgFlags;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn a_held_duplicate_keeps_a_listening_socket_open() {
        let (guard, supervisor) = pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        send(&supervisor, &Message::Hold, &[listener.as_fd()]).unwrap();
        drop(listener);
        let (message, held) = receive(&guard).unwrap().unwrap();
        assert_eq!((message, held.len()), (Message::Hold, 1));
        TcpStream::connect(address).unwrap();
        drop(held);
        assert!(TcpStream::connect(address).is_err());
        drop(supervisor);
        assert!(receive(&guard).unwrap().is_none());
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        let (guard, supervisor) = pair().unwrap();
        for message in [
            Message::Follow(vec!["/usr/bin/framevisor".into(), "resume".into()]),
            Message::Follow(Vec::new()),
            Message::Keep(4_000_000),
            Message::Forget(1),
            Message::Begin,
            Message::Ended(7, ExitReason::Signal { number: 9, core: false }),
            Message::Ended(7, ExitReason::Signal { number: 11, core: true }),
            Message::Ended(7, ExitReason::Code(-1)),
        ] {
            send(&supervisor, &message, &[]).unwrap();
            assert_eq!(receive(&guard).unwrap().unwrap().0, message);
        }
        for garbage in
            [&b"x"[..], b"K", b"K\0", b"E\0\0\0\0", b"E\0\0\0\0e\0", b"E\0\0\0\0x\0\0\0\0"]
        {
            assert_eq!(Message::parse(garbage), None, "{garbage:?}");
        }
        nix::sys::socket::send(supervisor.as_raw_fd(), b"?", MsgFlags::empty()).unwrap();
        assert_eq!(receive(&guard).unwrap().unwrap().0, Message::Unknown);
    }
}
