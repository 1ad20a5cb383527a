//! The connection or connections to a client: one, or the two of an HTTP tunnel, which look like one from here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::socket::Socket;
use crate::tunnel::base64::{Decoder, NotBase64};
use crate::tunnel::{Arrival, Tunnel};

/// Read at once.
const READ_BYTES: usize = 4 << 10;

/// What can be done now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readiness {
    pub readable: bool,
    pub writable: bool,
}

/// What a read brought.
#[derive(Debug)]
pub enum Heard {
    Bytes(Vec<u8>),
    Closed,
    /// Not yet.
    Nothing,
}

/// Why no more is heard.
#[derive(Debug, thiserror::Error)]
pub enum Deaf {
    #[error(transparent)]
    NotBase64(#[from] NotBase64),
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// A client's bytes, both ways.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    tunnelled: Option<Tunnelled>,
}

/// What comes in by another connection.
#[derive(Debug)]
struct Tunnelled {
    tunnel: Tunnel,
    /// `None` before it has come, and between two of them.
    post: Option<Socket>,
    decoder: Decoder,
    /// Read before it was given to us.
    early: Vec<u8>,
}

impl Wire {
    pub fn new(socket: Socket) -> Self {
        Self { socket, tunnelled: None }
    }

    /// From now on what comes in comes by the tunnel's POST.
    pub fn through(&mut self, tunnel: Tunnel) {
        let (decoder, early) = (Decoder::default(), Vec::new());
        self.tunnelled = Some(Tunnelled { tunnel, post: None, decoder, early });
    }

    /// The connection itself.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// Where what is written reaches the client as it is.
    pub fn line(&self) -> Option<&Arc<TcpStream>> {
        self.socket.line()
    }

    /// Waits until something of `interest` can be done.
    pub async fn ready(&mut self, interest: Interest) -> io::Result<Readiness> {
        let Some(tunnelled) = &mut self.tunnelled else {
            let ready = self.socket.ready(interest).await?;
            return Ok(Readiness { readable: ready.is_readable(), writable: ready.is_writable() });
        };
        if interest.is_readable() && !tunnelled.early.is_empty() {
            return Ok(Readiness { readable: true, writable: false });
        }
        tokio::select! {
            // That the GET's own connection is readable means that it is closed: nothing else comes there.
            ready = self.socket.ready(interest) => {
                let ready = ready?;
                Ok(Readiness { readable: ready.is_readable(), writable: ready.is_writable() })
            }
            readable = readable(tunnelled.post.as_ref()), if interest.is_readable() => {
                readable.map(|()| Readiness { readable: true, writable: false })
            }
            Some(arrival) = tunnelled.tunnel.arrivals.recv() => {
                tunnelled.take(arrival);
                Ok(Readiness::default())
            }
        }
    }

    /// What has come in.
    pub fn read(&mut self) -> Result<Heard, Deaf> {
        match &mut self.tunnelled {
            None => Ok(try_read(&mut self.socket)?),
            Some(tunnelled) => match try_read(&mut self.socket)? {
                Heard::Closed => Ok(Heard::Closed),
                // A client has nothing to say there, and is not listened to.
                Heard::Bytes(_) | Heard::Nothing => tunnelled.read(),
            },
        }
    }

    /// How many of these bytes are taken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Whether bytes of TLS itself wait for the client to take them.
    pub fn wants_write(&self) -> bool {
        self.socket.wants_write()
    }

    /// Whether it is one connection, and its bytes are those of RTSP.
    pub fn is_plain(&self) -> bool {
        self.tunnelled.is_none() && !self.is_secure()
    }

    /// Whether nobody on the way reads along.
    pub fn is_secure(&self) -> bool {
        self.socket.is_secure()
    }

    /// Ends the connection for the client, which may have closed its half of it alone.
    pub fn shut(&mut self) {
        self.say_goodbye();
        // One that is broken needs no end.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// The last words of TLS, where there is any.
    pub fn say_goodbye(&mut self) {
        self.socket.say_goodbye();
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Tunnelled {
    /// A new POST replaces the one before it, whose last characters are lost with it.
    fn take(&mut self, arrival: Arrival) {
        self.post = Some(arrival.socket);
        self.decoder = Decoder::default();
        self.early = arrival.body;
    }

    fn read(&mut self) -> Result<Heard, Deaf> {
        let text = match &mut self.post {
            _ if !self.early.is_empty() => std::mem::take(&mut self.early),
            None => return Ok(Heard::Nothing),
            Some(post) => match try_read(post) {
                Ok(Heard::Bytes(bytes)) => bytes,
                Ok(Heard::Nothing) => return Ok(Heard::Nothing),
                // Clients end a POST when its length is used up, and begin another.
                Ok(Heard::Closed) | Err(_) => {
                    self.post = None;
                    return Ok(Heard::Nothing);
                }
            },
        };
        Ok(Heard::Bytes(self.decoder.decode(&text)?))
    }
}

fn try_read(socket: &mut Socket) -> io::Result<Heard> {
    let mut bytes = [0; READ_BYTES];
    match socket.try_read(&mut bytes) {
        Ok(0) => Ok(Heard::Closed),
        Ok(count) => Ok(Heard::Bytes(bytes[..count].to_vec())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Heard::Nothing),
        Err(error) => Err(error),
    }
}

async fn readable(post: Option<&Socket>) -> io::Result<()> {
    match post {
        Some(post) => post.ready(Interest::READABLE).await.map(drop),
        None => std::future::pending().await,
    }
}
