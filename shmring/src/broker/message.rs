//! What a broker and its clients say: one JSON object a datagram, at most one descriptor with it.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use protocol::admin::RingStatus;
use protocol::name::RingName;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::segments::{Epochs, Leads, Part};

/// Raised when a message changes its meaning; both sides refuse another one.
pub(crate) const VERSION: u32 = 1;
/// Longest datagram: all parts a ring can have and what is known of 256 readers fit.
const MESSAGE_MAX_BYTES: usize = 128 * 1024;

/// With the version that its sender speaks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Versioned<T> {
    pub(crate) v: u32,
    #[serde(flatten)]
    pub(crate) message: T,
}

/// To the broker. A reader asks one thing a connection; a writer's connection is its hold on the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(crate) enum Request {
    /// Answered by `fd` or `absent`.
    Open {
        ring: RingName,
        part: Part,
    },
    /// Where the name of an open segment leads by now; answered by `leads`.
    Leads {
        ring: RingName,
        part: Part,
        inode: u64,
    },
    /// Answered by `page` or `full`.
    Claim {
        ring: RingName,
    },
    /// How the ring does; answered by `status`.
    Status {
        ring: RingName,
    },
    /// First of a writer; answered by `held` or `taken`.
    Begin {
        ring: RingName,
        places: u32,
        spare: u32,
    },
    /// With the finished segment; answered by `done`.
    Link {
        part: Part,
    },
    Unlink {
        part: Part,
    },
    /// Answered by `done`.
    Announce {
        epochs: Epochs,
    },
    Wake,
}

/// From the broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub(crate) enum Reply {
    /// With a descriptor of the segment.
    Fd,
    Absent,
    Leads {
        leads: Leads,
    },
    /// With the page, locked.
    Page {
        place: u32,
    },
    Full {
        holders: String,
    },
    /// With the end of a socket over which the pages of new readers come, each as a [`Reply::Page`].
    Held {
        epochs: Epochs,
        parts: Vec<Part>,
    },
    Status {
        status: Box<RingStatus>,
    },
    /// By another writer.
    Taken,
    Done,
    Refused {
        why: String,
    },
}

/// Never waits where `flags` say so.
pub(crate) fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    with: Option<BorrowedFd<'_>>,
    flags: SendFlags,
) -> Result<(), Errno> {
    let text = serde_json::to_vec(&Versioned { v: VERSION, message });
    let text = text.map_err(|_| Errno::INVAL)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = with.as_slice();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(&text)], &mut control, flags | SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Bytes of memory that what was sent takes until the other end has read it, or ended.
pub(crate) fn untaken_bytes(socket: &OwnedFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request, SIOCOUTQ by its other name, writes one int, which `bytes` is. An error leaves it.
    let _ = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    usize::try_from(bytes).unwrap_or(0)
}

/// What came over a socket. A descriptor for which this process has no room is [`Errno::MFILE`]; but for a
/// look with [`RecvFlags::PEEK`], the message is lost then.
#[derive(Debug)]
pub(crate) enum Received<T> {
    Message(T, Option<OwnedFd>),
    /// Not one of ours.
    Garbage,
    End,
}

pub(crate) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    flags: RecvFlags,
) -> Result<Received<T>, Errno> {
    let mut bytes = vec![0; MESSAGE_MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    // Those beyond the first are closed.
    let with = descriptors.flatten().next();
    if received.bytes == 0 {
        return Ok(Received::End);
    }
    if received.flags.contains(ReturnFlags::CTRUNC) && with.is_none() {
        return Err(Errno::MFILE);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Ok(Received::Garbage);
    }
    match serde_json::from_slice::<Versioned<T>>(&bytes[..received.bytes]) {
        Ok(Versioned { v: VERSION, message }) => Ok(Received::Message(message, with)),
        _ => Ok(Received::Garbage),
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;
    use crate::broker::registry::PARTS_MAX;

    #[test]
    fn the_parts_of_the_fullest_ring_reach_its_next_writer() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let longest = Part::Data { epoch: u64::MAX, generation: u32::MAX };
        let epochs = Epochs { live: u64::MAX, previous: u64::MAX };
        let held = Reply::Held { epochs, parts: vec![longest; PARTS_MAX] };
        send(&ours, &held, None, SendFlags::DONTWAIT).unwrap();
        assert!(untaken_bytes(&ours) > 0);
        let read = receive::<Reply>(&theirs, RecvFlags::DONTWAIT);
        let Ok(Received::Message(Reply::Held { parts, .. }, None)) = read else {
            panic!("{read:?}")
        };
        assert_eq!((parts.len(), untaken_bytes(&ours)), (PARTS_MAX, 0));
    }
}
