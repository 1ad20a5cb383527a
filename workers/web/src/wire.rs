//! One client's connection as hyper has it, with or without TLS: whoever holds it, a WebSocket too, holds the
//! client's seat.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lobby::Seat;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

/// Bytes that wait in the kernel to be sent for the first time. Without an end of it they grow to megabytes: a viewer
/// slower than its video would see it ever later, and nobody here would know.
const UNSENT_MAX_BYTES: u32 = 128 * 1024;

/// Who acknowledges nothing for so long is gone: a quiet stream holds its place no longer than that behind a telephone
/// that left or a cable that was pulled. The kernel alone would wait a quarter of an hour.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// Both ways of it.
trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// The connection.
pub struct Wire {
    io: Pin<Box<dyn Duplex>>,
    /// The address of ours that it came to.
    pub reached: Option<IpAddr>,
    _seat: Seat,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    /// A write without progress fails after `write`; a handshake has `handshake`.
    pub async fn open(
        stream: TcpStream,
        tls: Option<Arc<ServerConfig>>,
        seat: Seat,
        write: Duration,
        handshake: Duration,
    ) -> io::Result<Self> {
        let reached = stream.local_addr().ok().map(|address| address.ip());
        let plain = Box::pin(with_deadline(stream, write));
        let io: Pin<Box<dyn Duplex>> = match tls {
            None => plain,
            Some(config) => {
                let accepted = TlsAcceptor::from(config).accept(plain);
                let accepted = tokio::time::timeout(handshake, accepted).await;
                Box::pin(accepted.map_err(|_| io::ErrorKind::TimedOut)??)
            }
        };
        Ok(Self { io, reached, _seat: seat })
    }
}

fn with_deadline(stream: TcpStream, write: Duration) -> TimeoutStream<TcpStream> {
    // A small answer must not wait for the acknowledgement of the one before.
    let _: io::Result<()> = stream.set_nodelay(true);
    let _: io::Result<()> = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_MAX_BYTES);
    let _: io::Result<()> = SockRef::from(&stream).set_tcp_user_timeout(Some(GONE_AFTER));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write));
    stream
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_read(cx, bytes)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_client_that_acknowledges_nothing_is_given_up_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (_client, accepted) = tokio::join!(client, listener.accept());
        let stream = with_deadline(accepted.unwrap().0, Duration::from_secs(10));
        let socket = SockRef::from(stream.get_ref());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(GONE_AFTER));
    }
}
