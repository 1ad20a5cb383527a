//! A connection's socket, with or without TLS: to whoever uses it both are bytes that come and go without waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

/// The socket.
#[derive(Debug)]
pub struct Socket {
    stream: Arc<TcpStream>,
    tls: Option<Box<Tls>>,
}

#[derive(Debug)]
struct Tls {
    connection: ServerConnection,
    /// Whether bytes may lie in it that the socket will not announce again.
    has_more: bool,
}

impl Socket {
    pub fn plain(stream: TcpStream) -> Self {
        Self { stream: Arc::new(stream), tls: None }
    }

    pub fn secure(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let tls = Tls { connection, has_more: false };
        Ok(Self { stream: Arc::new(stream), tls: Some(Box::new(tls)) })
    }

    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The connection itself, where what is written to it is what the client reads.
    pub fn line(&self) -> Option<&Arc<TcpStream>> {
        (!self.is_secure()).then_some(&self.stream)
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Whether bytes of the protocol itself wait for the client to take them.
    pub fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.connection.wants_write())
    }

    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if interest.is_readable() && self.tls.as_ref().is_some_and(|tls| tls.has_more) {
            return Ok(Ready::READABLE);
        }
        let own = self.wants_write().then_some(Interest::WRITABLE);
        self.stream.ready(own.map_or(interest, |own| interest | own)).await
    }

    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Bytes of the client; none at its end.
    pub fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_read(bytes),
            Some(tls) => tls.read(&self.stream, bytes),
        }
    }

    /// Takes as many bytes as it has room for. Of no bytes, it passes on what TLS itself has to say.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_write(bytes),
            Some(tls) => tls.write(&self.stream, bytes),
        }
    }

    /// The last words; whether they arrive is the client's own affair.
    pub fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.connection.send_close_notify();
            let _ = tls.flush(&self.stream);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Tls {
    fn read(&mut self, stream: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
        self.flush(stream)?;
        loop {
            match self.connection.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.has_more = false,
                // Many players close without a word of TLS.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => {
                    self.has_more = matches!(read, Ok(count) if count > 0);
                    return read;
                }
            }
            self.connection.read_tls(&mut Bytes(stream))?;
            if let Err(error) = self.connection.process_new_packets() {
                // The alert says why.
                let _ = self.flush(stream);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            self.flush(stream)?;
        }
    }

    fn write(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(stream)?;
        let count = self.connection.writer().write(bytes)?;
        self.flush(stream)?;
        if count == 0 && !bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// As far as the socket takes it.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Bytes(stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Bytes of a socket that never waits, as rustls wants them.
struct Bytes<'a>(&'a TcpStream);

impl Read for Bytes<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
