//! The kernel's byte ways: a pipe and two kinds of unix socket, with a length before each item.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt,
};

use super::{Ends, Load, Receiver, Sender};
use crate::Outcome;
use crate::machine::{Touch, touch};

/// What raises of a pipe and of a socket's buffer are usually allowed to anybody.
const BUFFER_BYTES: i32 = 1 << 20;
const SOCKET_BYTES: usize = 208 << 10;

pub(super) fn pipe(load: &Load) -> Outcome<Ends<'static>> {
    let open = || {
        let (read, write) = nix::unistd::pipe()?;
        // An unprivileged user's share of pipe memory may be used up: then it is the default one.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(BUFFER_BYTES));
        Ok((read, write))
    };
    bytes(load, open)
}

pub(super) fn stream(load: &Load) -> Outcome<Ends<'static>> {
    bytes(load, || {
        let (read, write) = UnixStream::pair()?;
        let _ = setsockopt(&write, sockopt::SndBuf, &SOCKET_BYTES);
        Ok((read.into(), write.into()))
    })
}

fn bytes(load: &Load, open: impl Fn() -> Outcome<(OwnedFd, OwnedFd)>) -> Outcome<Ends<'static>> {
    let pairs = (0..load.readers).map(|_| open()).collect::<Outcome<Vec<_>>>()?;
    let (outs, ins): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let content = vec![7; load.bytes];
    Ok(Ends {
        receiver: Box::new(move |number| {
            let from = std::fs::File::from(outs[number].try_clone()?);
            Ok(Box::new(BytesOut { from, item: Vec::new() }))
        }),
        sender: Box::new(move || {
            let to = ins.into_iter().map(std::fs::File::from).collect();
            Ok(Box::new(BytesIn { to, content }))
        }),
    })
}

struct BytesIn {
    to: Vec<std::fs::File>,
    content: Vec<u8>,
}

impl Sender for BytesIn {
    fn prepare(&mut self, content: Option<&[u8]>) -> Outcome<()> {
        if let Some(content) = content {
            content.clone_into(&mut self.content);
        }
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        let length = (self.content.len() as u64).to_le_bytes();
        for to in &mut self.to {
            // Both in one call, as one who cares for speed would.
            let parts = [IoSlice::new(&length), IoSlice::new(&self.content)];
            let sent = to.write_vectored(&parts)?;
            let behind = sent.checked_sub(length.len()).ok_or("less than a length was sent")?;
            to.write_all(&self.content[behind..])?;
        }
        Ok(())
    }
}

struct BytesOut {
    from: std::fs::File,
    item: Vec<u8>,
}

impl Receiver for BytesOut {
    fn receive(&mut self, how: Touch) -> Outcome<bool> {
        let mut length = [0; 8];
        // Blocks: the director's end is closed or this process killed when it is to stop.
        match self.from.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        self.item.resize(u64::from_le_bytes(length) as usize, 0);
        self.from.read_exact(&mut self.item)?;
        touch(&self.item, how);
        Ok(true)
    }
}

pub(super) fn seqpacket(load: &Load) -> Outcome<Ends<'static>> {
    let open = |_| -> Outcome<(OwnedFd, OwnedFd)> {
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let pair = socketpair(family, kind, None, SockFlag::SOCK_CLOEXEC)?;
        setsockopt(&pair.1, sockopt::SndBuf, &SOCKET_BYTES)?;
        Ok(pair)
    };
    let pairs = (0..load.readers).map(open).collect::<Outcome<Vec<_>>>()?;
    let (outs, ins): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let (content, bytes) = (vec![7; load.bytes], load.bytes);
    Ok(Ends {
        receiver: Box::new(move |number| {
            let from = outs[number].try_clone()?;
            Ok(Box::new(PacketsOut { from, item: vec![0; bytes] }))
        }),
        sender: Box::new(move || Ok(Box::new(PacketsIn { to: ins, content }))),
    })
}

struct PacketsIn {
    to: Vec<OwnedFd>,
    content: Vec<u8>,
}

impl Sender for PacketsIn {
    fn prepare(&mut self, content: Option<&[u8]>) -> Outcome<()> {
        if let Some(content) = content {
            content.clone_into(&mut self.content);
        }
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        for to in &self.to {
            send(to.as_raw_fd(), &self.content, MsgFlags::empty())?;
        }
        Ok(())
    }
}

struct PacketsOut {
    from: OwnedFd,
    item: Vec<u8>,
}

impl Receiver for PacketsOut {
    fn receive(&mut self, how: Touch) -> Outcome<bool> {
        match recv(self.from.as_raw_fd(), &mut self.item, MsgFlags::empty())? {
            0 => Ok(false),
            bytes => {
                touch(&self.item[..bytes], how);
                Ok(true)
            }
        }
    }
}
