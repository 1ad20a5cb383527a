//! The UDP socket that all viewers share.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use crate::moment::Moment;
use crate::viewer::Viewer;

/// Of the kernel: a key frame for each of a few viewers at once.
const SEND_BUFFER: usize = 4 << 20;
const RECEIVE_BUFFER: usize = 1 << 20;

pub(crate) fn open(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(listen)?;
    socket.set_nonblocking(true)?;
    // What the system does not give is less, and no error.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
    UdpSocket::from_std(socket)
}

/// Sends what is due; whether the kernel takes no more.
pub(crate) fn send(viewer: &mut Viewer, socket: &UdpSocket, now: &Moment) -> bool {
    while let Some(datagram) = viewer.pace.front(now.instant) {
        match socket.try_send_to(&datagram.bytes, datagram.to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            // As lost on its way: a viewer that cannot be reached falls silent.
            Ok(_) | Err(_) => viewer.pace.sent(now.instant),
        }
    }
    false
}

/// Sends what waits, as far as the kernel takes it: a farewell that is lost is missed by nobody for long.
pub(crate) fn say_all(viewer: &mut Viewer, socket: &UdpSocket) {
    for datagram in viewer.pace.drain() {
        let _ = socket.try_send_to(&datagram.bytes, datagram.to);
    }
}
